// SPDX-License-Identifier: Apache-2.0
//
// Streams as the writer sees them: their heads, members, marks and send numbers in memory, their rows in the database.
// It appends items and keeps what changed until flush(), so that a batch writes each head and each send number once. It
// decides nothing: who may append what is the business of the ops above it.
//
// Threads: the writer's.
// Invariants:
//   1. Between batches the cache equals the database: whoever rolls a transaction back calls forget().
//   2. Between batches the cache holds at most as many streams as it may, and kMembersPerStream times as many members;
//      pointers to states live for one batch.
//   3. A stream grows by one item at a time, and its head is that item's sequence.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "server-reference/store/item_row.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// A member of today, with the marks, which stand before the joining at least.
struct MemberState {
  UserId user_id;
  MemberRole role = MemberRole::kMember;
  Seq joined_seq = 0;
  Seq delivered_up_to = 0;
  Seq read_up_to = 0;
  std::uint64_t list_version = 0;  // of the device list in an encrypted conversation's roster
};

struct SendNumber {
  DeviceId device_id;
  std::uint64_t last = 0;
  bool changed = false;
};

struct StreamState {
  StreamId stream_id;
  wire::StreamKind kind = wire::STREAM_KIND_UNSPECIFIED;
  wire::ConversationKind conversation_kind = wire::CONVERSATION_KIND_UNSPECIFIED;
  Seq head = 0;
  std::uint64_t marks_revision = 0;
  std::vector<MemberState> members;
  std::uint64_t membership = 0;          // counts who joined and left since the state was read
  std::uint64_t roster_revision = 0;     // 0: plain, or without an item yet
  GroupPermissions permissions = {};     // of a group
  std::vector<SendNumber> send_numbers;  // those asked for so far
  bool queued = false;                   // for flush()
  bool head_changed = false;
  bool revision_changed = false;

  // A conversation exists for its members from its first item on.
  bool announced() const { return head > 0; }
  bool encrypted() const { return roster_revision > 0; }
  MemberState* member(const UserId& user_id);
  std::vector<UserId> followers() const;
};

class StreamWriter {
 public:
  static constexpr std::size_t kMembersPerStream = 8;

  StreamWriter(sqlite::Database& db, MessageIdMaker& ids, std::size_t cached_max)
      : db_(db), ids_(ids), cached_max_(cached_max) {}
  Status prepare();

  // Appended items of this batch go to result.
  void begin(CommitResult& result);
  // nullptr: there is no such stream.
  Result<StreamState*> find(StreamId stream_id);
  // A stream without items, whose members join with the first.
  Result<StreamState*> create(wire::StreamKind kind, wire::ConversationKind conversation_kind,
                              const std::vector<UserId>& members, WallTime now);

  // The direct conversation of two users; nullptr: there is none.
  Result<StreamState*> find_direct(const UserId& one, const UserId& other);
  Result<StreamState*> create_direct(const UserId& one, const UserId& other, WallTime now);

  // nullptr: there is no such group.
  Result<StreamState*> find_group(BytesView group_id);

  // Members change between two items: who joins is a follower of the next one, who leaves was one of the last one.
  // first_seq: the first item that the member may read, the next one or an earlier one.
  Status join(StreamState& stream, const UserId& user_id, MemberRole role, Seq first_seq);
  Status leave(StreamState& stream, const UserId& user_id, bool removed);
  Status set_role(StreamState& stream, MemberState& member, MemberRole role);
  // Also true of a member.
  Result<bool> was_member(const StreamState& stream, const UserId& user_id);
  // And left by another's doing, the last time.
  Result<bool> was_removed(const StreamState& stream, const UserId& user_id);

  // Appends the row; its sequence and message id are filled in here. What it borrows lives until the batch ends, or,
  // for kinds other than messages, until this returns.
  Result<MessageId> append(StreamState& stream, ItemRow row, WallTime now);
  // The same of an encrypted item, which is for the devices that have a slice, and for the sender's own.
  Result<MessageId> append(StreamState& stream, const ItemRow& row, const std::vector<SliceView>& slices, WallTime now);

  // The item that tells a user's devices of it.
  Status append_devices_changed(StreamId account_stream, WallTime now);

  // No roster has a higher version of the user's list from now on.
  Status lower_rosters(const UserId& user_id, std::uint64_t version);

  Result<SendNumber*> send_number(StreamState& stream, DeviceId device_id);
  // The device is no more: what this batch has changed of its numbers is not written.
  void forget_send_numbers(DeviceId device_id);
  void set_send_number(StreamState& stream, SendNumber& number, std::uint64_t last);
  Status write_mark(StreamState& stream, const MemberState& member, MarkAdvance& advance);

  // True when flush() has something to write.
  bool pending() const { return !queue_.empty(); }
  Status flush();
  // Lets go of what statements borrow.
  void release();
  // Makes the cache as small as it has to be between batches.
  void trim();
  void forget();
  // How much is cached: the larger of streams and pairs of users.
  std::size_t cached() const { return std::max(streams_.size(), directs_.size()); }

 private:
  void enqueue(StreamState& stream);
  void forget_streams();
  const std::string& direct_key(const UserId& low, const UserId& high);

  sqlite::Database& db_;
  MessageIdMaker& ids_;
  const std::size_t cached_max_;
  CommitResult* result_ = nullptr;
  std::unordered_map<StreamId, StreamState> streams_;
  std::size_t cached_members_ = 0;  // of all of them
  std::unordered_map<std::string, StreamId> directs_;
  std::string direct_key_;
  std::vector<StreamState*> queue_;

  sqlite::Statement select_stream_;
  sqlite::Statement select_members_;
  sqlite::Statement select_list_version_;
  sqlite::Statement lower_rosters_;
  sqlite::Statement select_direct_;
  sqlite::Statement select_group_;
  sqlite::Statement select_permissions_;
  sqlite::Statement select_send_number_;
  sqlite::Statement insert_stream_;
  sqlite::Statement insert_member_;
  sqlite::Statement select_interval_;
  sqlite::Statement end_member_;
  sqlite::Statement select_removed_;
  sqlite::Statement update_role_;
  sqlite::Statement insert_direct_;
  sqlite::Statement insert_item_;
  sqlite::Statement insert_slice_;
  sqlite::Statement update_head_;
  sqlite::Statement put_send_number_;
  sqlite::Statement put_revision_;
  sqlite::Statement put_mark_;
  sqlite::Statement insert_advance_;
};

// SQLite's integers are signed; ids and sequences of this store stay below 2^63, epochs and sessions use all 64 bits
// and come back unchanged.
inline std::int64_t to_column(std::uint64_t value) { return static_cast<std::int64_t>(value); }
inline std::uint64_t from_column(std::int64_t value) { return static_cast<std::uint64_t>(value); }

}  // namespace chatsdk::server
