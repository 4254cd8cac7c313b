// SPDX-License-Identifier: Apache-2.0
//
// The mailboxes in which a listed device and one that is to be listed leave each other the messages of a linking
// (docs/e2ee.md section 12). It compares steps, devices, bytes and times; what a message says is nobody's business
// here.
//
// Threads: the writer's.
// Invariants:
//   1. A mailbox is one user's. Its messages are the first one, two or three steps of a linking, each once, and never
//      change.
//   2. Offer and grant are of one device, which was in its user's newest list when it left each; the reveal is of one
//      that was not.
//   3. A mailbox whose time is over is none, whether its rows are still there or not.
//   4. A user has limits::e2ee::kLinkMailboxesMax at most: one more ends the oldest.
#pragma once

#include <array>
#include <optional>

#include "base/result.h"
#include "server-reference/store/open_sessions.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// In each call the Status tells whether the store works; the op's own answer or refusal goes to `answer`.
class LinkWriter {
 public:
  LinkWriter(sqlite::Database& db, OpenSessions& sessions) : db_(db), sessions_(sessions) {}
  Status prepare();

  Status apply(const PutLinkMessage& op, Result<WriteAnswer>& answer);
  Status apply(const PurgeLinks& op, Result<WriteAnswer>& answer);

  // The mailboxes in which the device has left something are gone: it has other keys, or is no more.
  Status forget(const UserId& user_id, DeviceId device);

 private:
  struct Message {
    DeviceId device_id;
    Bytes bytes;
  };
  struct Mailbox {
    WallTime opened;
    std::array<std::optional<Message>, 3> messages;  // by step
  };
  using Refusal = std::optional<Error>;

  Result<Mailbox> mailbox_of(const PutLinkMessage& op);
  Result<Refusal> refusal_of(const PutLinkMessage& op, const Mailbox& mailbox);
  Result<Refusal> refusal_of_sender(const PutLinkMessage& op);

  sqlite::Database& db_;
  OpenSessions& sessions_;

  sqlite::Statement select_mailbox_;
  sqlite::Statement select_listed_;
  sqlite::Statement insert_;
  sqlite::Statement delete_mailbox_;
  sqlite::Statement delete_oldest_;
  sqlite::Statement delete_opened_before_;
  sqlite::Statement delete_of_device_;
};

}  // namespace chatsdk::server
