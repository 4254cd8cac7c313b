// SPDX-License-Identifier: Apache-2.0
//
// The reads of the SQLite store, on a read-only connection of their own. Each call sees one snapshot: the state after
// the last commit that returned before it began, or a later one.
//
// Threads: one executor; the writer goes on meanwhile.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "server-reference/store/group_reader.h"
#include "server-reference/store/item_row.h"
#include "server-reference/store/key_reader.h"
#include "server-reference/store/log_index.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// How long a connection waits for another that recovers, resets or closes the log, which takes milliseconds.
constexpr std::chrono::milliseconds kBusyTimeout{5'000};

class SqliteReader final : public StoreReader {
 public:
  static Result<std::unique_ptr<SqliteReader>> open(const std::string& path, const std::string& vfs_name);

  Result<std::optional<Account>> account(const UserId& user_id) override;
  Result<std::optional<Session>> session_of(DeviceId device_id) override;
  Result<std::vector<Device>> devices(const UserId& user_id) override;
  Result<std::vector<FollowedStream>> followed(const UserId& user_id, DeviceId device_id) override;
  Result<ItemPage> items(const UserId& user_id, DeviceId device_id, StreamId stream_id, Seq after,
                         std::size_t max_items, std::size_t max_bytes) override;
  Result<std::vector<MarkAdvance>> marks_after(const UserId& user_id, ConversationId conversation_id,
                                               std::uint64_t revision, std::size_t max) override;
  Result<NewestList> newest_list(const UserId& user_id) override;
  Result<ListPage> device_lists(const UserId& user_id, const KnownList& known, std::size_t max) override;
  Result<std::optional<DeviceKeys>> device_keys(DeviceId device_id) override;
  Result<std::optional<KeyCounts>> key_counts(DeviceId device_id) override;
  Result<std::optional<Bytes>> link_message(const UserId& user_id, BytesView link_id, LinkStep step,
                                            WallTime now) override;
  Result<GroupView> group(const UserId& user_id, BytesView group_id) override;
  Result<GroupMemberPage> group_members(const UserId& user_id, BytesView group_id, const UserId& after,
                                        std::size_t max) override;
  Result<std::vector<InvitationView>> group_invitations(const UserId& user_id, BytesView group_id,
                                                        WallTime now) override;
  Result<InvitationView> group_invitation(const UserId& user_id, BytesView invitation_id, WallTime now) override;
  Result<std::vector<JoinRequestView>> join_requests(const UserId& user_id, BytesView group_id) override;
  Result<std::uint64_t> encryption_counter(DeviceId device_id) override;
  Status check() override;

 private:
  // Sequences that a user may read, both ends included.
  struct Interval {
    Seq first = 0;
    Seq last = 0;
  };
  struct Stream {
    Seq head = 0;
    Seq trimmed_to = 0;
    bool encrypted = false;
    Seq earlier_head = 0;             // where it ended when the epoch began
    std::vector<Interval> intervals;  // ascending
  };
  // The consecutive run of items or the one skip that follows a sequence.
  struct Run {
    Seq last = 0;
    wire::SkipReason skip = wire::SKIP_REASON_UNSPECIFIED;  // unspecified: the items themselves
  };
  struct PageLimits {
    std::size_t items = 0;
    std::size_t bytes = 0;
  };

  SqliteReader() = default;
  Status prepare();
  Result<Stream> readable_stream(const UserId& user_id, StreamId stream_id);
  static Run run_after(const Stream& stream, Seq after);
  // Both return false when the page is full.
  Result<bool> add_items(StreamId stream_id, Seq last, PageLimits& room, ItemPage& page);
  // Of an encrypted conversation: each item with the device's slice. What is not for the device is one skip.
  Result<bool> add_items_for(const UserId& user_id, DeviceId device_id, StreamId stream_id, Seq earlier_head, Seq last,
                             PageLimits& room, ItemPage& page);
  static bool add(Bytes item, Seq seq, PageLimits& room, ItemPage& page);

  LogIndex log_index_;
  sqlite::Database db_;
  sqlite::Statement select_account_;
  sqlite::Statement select_session_;
  sqlite::Statement select_devices_;
  sqlite::Statement select_followed_;
  sqlite::Statement select_stream_;
  sqlite::Statement select_intervals_;
  sqlite::Statement select_items_;
  sqlite::Statement select_items_for_;
  sqlite::Statement select_counter_;
  sqlite::Statement select_marks_;
  sqlite::Statement select_progress_;
  // From prepare() on.
  std::optional<KeyReader> keys_;
  std::optional<GroupReader> groups_;
};

}  // namespace chatsdk::server
