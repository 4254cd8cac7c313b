// SPDX-License-Identifier: Apache-2.0
//
// The rosters of encrypted conversations: which version of each member's device list counts, and the ROSTER items that
// say so. The newest lists are the key directory's rows; here they are read, and told to the conversations.
//
// Threads: the writer's.
// Invariants:
//   1. A stream's revision is the number of its ROSTER items, and its rows in the roster table are what they have told.
//   2. Who has a conversation whose roster is behind the newest list is in roster_due.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "server-reference/store/store.h"
#include "server-reference/store/stream_writer.h"
#include "store/sqlite.h"

namespace chatsdk::server {

class RosterWriter {
 public:
  // A user's newest list, as far as senders need it.
  struct Listed {
    DeviceId device_id;
    bool known = false;      // it is a device of the user still, and may be sent something
    bool reachable = false;  // the directory has a bundle of it, so that everybody can send it something
  };
  struct Newest {
    std::uint64_t version = 0;  // 0: there is none
    std::vector<Listed> devices;

    const Listed* find(DeviceId device) const;
  };

  RosterWriter(sqlite::Database& db, StreamWriter& streams) : db_(db), streams_(streams) {}
  Status prepare();

  Status apply(const ExtendRosters& op, Result<WriteAnswer>& answer);

  Result<Newest> newest(const UserId& user_id);
  // Makes the conversation, which has no item yet, an encrypted one: adds to the first of them what it says of lists.
  Status begin(StreamState& stream, wire::Roster& roster);
  // Appends what the newest lists have that the roster has not.
  Status bring_up_to_date(StreamState& stream, WallTime now);
  // The user's versions after one, ascending, for as long as there is room for their bytes.
  Status add_lists_after(const UserId& user_id, std::uint64_t version, std::size_t& room,
                         std::vector<SignedListRow>& lists);
  // The user's newest list is another one; true: rosters are due.
  Result<bool> list_changed(const UserId& user_id);

 private:
  // The user's versions after one, at most max.
  Result<std::vector<std::uint64_t>> versions_after(const UserId& user_id, std::uint64_t version, std::size_t max);
  // before: the version whose records are not repeated; 0: none.
  Result<SignedListRow> signed_list(const UserId& user_id, std::uint64_t version, std::uint64_t before);
  Status set_version(const StreamState& stream, MemberState& member, std::uint64_t version);
  Status set_revision(StreamState& stream, std::uint64_t revision);

  sqlite::Database& db_;
  StreamWriter& streams_;

  sqlite::Statement select_newest_;
  sqlite::Statement select_versions_;
  sqlite::Statement select_list_;
  sqlite::Statement select_records_;
  sqlite::Statement put_version_;
  sqlite::Statement update_revision_;
  sqlite::Statement insert_due_;
  sqlite::Statement select_due_;
  sqlite::Statement delete_due_;
  sqlite::Statement select_behind_;
};

}  // namespace chatsdk::server
