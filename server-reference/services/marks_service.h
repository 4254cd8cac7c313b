// SPDX-License-Identifier: Apache-2.0
//
// The marks service: what devices acknowledged and read, gathered for limits::kMarkFlush and then written, one op for
// each user and conversation and one for each device and stream. It knows no connection and no frame.
//
// Threads: delivered, read, acknowledged and flush from any thread; the rest runs on the writer's executor, where the
// service is also destroyed, unless that executor has stopped.
// Invariants:
//   1. Nothing is written that no device claimed; merged claims cover no position that none of them covered.
//   2. A claim whose write is refused for now is gathered again; only a refusal for good drops it.
//   3. At most limits::kMarkClaimsMax keys are gathered, at most limits::kMarkClaimsPerUserMax of one user or device,
//      and at most kSliceMax writes wait in the committer.
//   4. What one user claims displaces no claim of another.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "base/ids.h"
#include "base/log.h"
#include "server-reference/services/submit_write.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class MarksService {
 public:
  // Writes handed to the committer at a time: few, because a message that comes meanwhile waits for them, but a large
  // flush in few commits.
  static constexpr std::size_t kSliceMin = 32;
  static constexpr std::size_t kSlicesWanted = 16;
  static constexpr std::size_t kSliceMax = 1'024;  // leaves most of limits::kCommitQueueMax to messages

  MarksService(SubmitWrite submit_write, Executor& writer, Log& log);
  ~MarksService();
  MarksService(const MarksService&) = delete;
  MarksService& operator=(const MarksService&) = delete;

  // A device of the user holds all of (from, up_to] of the conversation that was for it, and lacks missing_from.
  void delivered(std::string_view user, ConversationId conversation, Seq from, Seq up_to, Seq missing_from = 0);
  void read(std::string_view user, ConversationId conversation, Seq up_to);
  // The device applied everything of the stream up to seq, and holds all of it above missing_from that was for it.
  void acknowledged(DeviceId device, StreamId stream, Seq seq, Seq missing_from = 0);

  // Keys that are gathered: of marks, and of cursors. From any thread.
  std::size_t claims() const;
  std::size_t cursors() const;

  // Writes what is gathered without waiting; done runs on the writer's executor when all of it was answered once.
  void flush(Task done);

 private:
  struct KeyView {
    ConversationId conversation;
    std::string_view user;
  };
  struct Key {
    ConversationId conversation;
    UserId user;
  };
  struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(const KeyView& key) const {
      return std::hash<std::string_view>{}(key.user) ^ (key.conversation.value * 0x9E3779B97F4A7C15u);
    }
    std::size_t operator()(const Key& key) const { return (*this)(KeyView{key.conversation, key.user}); }
  };
  struct KeyEqual {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.conversation == b.conversation && std::string_view(a.user) == std::string_view(b.user);
    }
  };
  // All of (from, up_to].
  struct Range {
    Seq from = 0;
    Seq up_to = 0;  // 0: nothing
  };
  struct Claim {
    Range delivered;
    Seq read_up_to = 0;
    Seq missing_from = 0;  // the highest that a device lacked; its cursor, which says so, is written later
    // Ranges above it, with gaps between them: merged, they would claim the gaps. Lowest first, each once.
    std::vector<Range> beyond;
  };
  struct Cursor {
    Seq acknowledged = 0;
    Seq missing_from = 0;
  };
  struct CursorKey {
    DeviceId device;
    StreamId stream;
    friend bool operator==(const CursorKey&, const CursorKey&) = default;
  };
  struct CursorHash {
    std::size_t operator()(const CursorKey& key) const {
      return key.device.value * 0x9E3779B97F4A7C15u ^ key.stream.value * 0xC2B2AE3D27D4EB4Fu;
    }
  };

  static void add(Claim& claim, Range range);
  // Counts one more key of a user or device; false when it has as many as it may. Under mutex_.
  template <typename Counts, typename Owner>
  bool admit(Counts& counts, const Owner& owner);
  // The claim of a key, made when there is room; nullptr otherwise. Under mutex_.
  Claim* claim_of(std::string_view user, ConversationId conversation);
  // Asks for a flush on the writer's executor unless one is already on its way. Under mutex_.
  void schedule();
  void arm_timer();
  void start_flush();
  void submit_slice();
  void submit(WriteOp op);
  void gather_again(const WriteOp& op);
  void on_written(const WriteOp& op, const Status& status);
  void finish();

  const SubmitWrite submit_write_;
  Executor& writer_;
  Log& log_;
  // Tasks and answers may come after the service: they hold this weakly.
  std::shared_ptr<MarksService*> self_;

  mutable std::mutex mutex_;
  std::unordered_map<Key, Claim, KeyHash, KeyEqual> claims_;
  std::unordered_map<CursorKey, Cursor, CursorHash> cursors_;
  std::unordered_map<UserId, std::size_t> claims_of_user_;
  std::unordered_map<DeviceId, std::size_t> cursors_of_device_;
  bool scheduled_ = false;
  std::uint64_t lost_ = 0;

  // On the writer's executor only.
  Executor::TimerId timer_ = 0;
  std::vector<WriteOp> ready_;  // taken from the back
  std::size_t slice_ = kSliceMin;
  std::size_t in_flight_ = 0;
  bool flushing_ = false;
  std::vector<Task> waiting_;       // of flush(), for the flush in progress
  std::vector<Task> waiting_next_;  // for the one after it
};

}  // namespace chatsdk::server
