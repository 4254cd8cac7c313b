// SPDX-License-Identifier: Apache-2.0
//
// The index of a write-ahead log, as SQLite's shared-memory methods ask for it, in memory of this process: it holds
// page numbers and checksums in the clear, so it never becomes a file. Connections of one process to one store share
// one WalIndex; one process at a time holds a store, so nobody else needs it.
//
// Threads: every method from any thread. What lies in the regions is SQLite's, ordered by its locks and barriers.
// Invariants:
//   1. A region, once given out, stays where it is until the last user has left.
//   2. A slot is free, held by n readers, or held by one writer.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace chatsdk {

class WalIndex {
 public:
  static constexpr int kSlots = 8;
  // The slots that SQLite holds exclusively while it copies the log into the main file, and while it reads the log
  // after a crash. Their numbers are part of the published format of the index.
  static constexpr int kCheckpointSlot = 1;
  static constexpr int kRecoverySlot = 2;

  // What one connection holds.
  struct User {
    bool joined = false;
    std::uint16_t shared = 0;
    std::uint16_t exclusive = 0;
  };

  // Each returns an SQLite result code.
  int map(User& user, int region, int region_bytes, bool extend, void volatile** out);
  int lock(User& user, int first, int count, int flags);
  void barrier();
  // Drops the user's locks; with the last user go the regions.
  void leave(User& user);

  // True while the log is being read after a crash, or is used by a connection that shares no index.
  bool recovering();
  // True while a connection copies the log into the main file.
  bool checkpointing();

 private:
  void unlock(User& user, int first, int count);
  int lock_shared(User& user, int slot);
  int lock_exclusive(User& user, int first, int count);

  std::mutex mutex_;
  std::vector<std::unique_ptr<std::uint64_t[]>> regions_;
  std::array<int, kSlots> slots_{};  // -1: one writer; otherwise the number of readers
  int users_ = 0;
};

}  // namespace chatsdk
