// SPDX-License-Identifier: Apache-2.0
//
// The rows of a session as bytes, and the hash of a set of rows (docs/e2ee.md section 20): what a store keeps of a
// session, and what tests compare. It does not know in what tables they lie.
//
// Threads: values and pure functions.
// Invariants:
//   1. A session that is written to rows and read again is the same, and writes the same rows.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/wipe.h"
#include "e2ee/ratchet.h"
#include "e2ee/wire.h"

namespace chatsdk::e2ee {

// The device that a session is with.
struct Peer {
  UserId user_id;
  DeviceId device_id;

  friend auto operator<=>(const Peer&, const Peer&) = default;
};

// Rows hold keys: they are wiped when they end.
class SecretRows {
 public:
  SecretRows() = default;
  ~SecretRows() { wipe_all(); }
  SecretRows(SecretRows&&) noexcept = default;
  SecretRows& operator=(SecretRows&& other) noexcept;

  void add(Bytes row) { rows_.push_back(std::move(row)); }
  std::span<const Bytes> view() const { return rows_; }

 private:
  void wipe_all() {
    for (Bytes& row : rows_) wipe(row);
  }

  std::vector<Bytes> rows_;
};

// Of the types 8 to 11, in this order.
SecretRows session_rows(const Session& session, const Peer& peer);
// All rows of one session, in any order; nullopt for what session_rows() does not write.
std::optional<Session> session_of_rows(std::span<const Bytes> rows, const Peer& peer);

Hash state_hash(std::span<const Bytes> rows);

}  // namespace chatsdk::e2ee
