// SPDX-License-Identifier: Apache-2.0
//
// What a device keeps beside its end-to-end state, in the tables of the device store: the seam of e2ee/notes.h over
// SQL, and the bytes that wait to be sent. Every call belongs to the transaction that is open. Messages are the device
// store's own rows: what was sent when, and what stands at a place, is read there and kept nowhere twice.
//
// Threads: the writer's.
// Invariants:
//   1. A row that this does not write is CORRUPT with the name of its table.
//   2. A placeholder holds back what counts as delivered for as long as somebody is asked for it, and no longer,
//   however
//      that ends.
//   3. Bytes that were stored for sending are given out unchanged until they are dropped, or their message goes, is
//      discarded or gets another id.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "e2ee/direct.h"
#include "e2ee/linking.h"
#include "e2ee/notes.h"
#include "store/device_store_impl.h"

namespace chatsdk::e2ee {

class SqlNotes final : public Notes {
 public:
  explicit SqlNotes(DeviceStore::Impl& store) : store_(store), sql_(store.sql) {}

  // What the transaction changes that the app can see.
  void begin(Changes& changes) { changes_ = &changes; }

  // -- Of retries --
  Result<bool> was_asked(StreamId conversation, Seq seq) override;
  Status note_asked(StreamId conversation, Seq seq, std::uint64_t now_ms) override;
  Result<std::optional<SessionId>> begun_for_request(const Peer& peer) override;
  Status note_begun(const Peer& peer, const SessionId& session_id) override;
  Result<std::optional<SentNote>> sent(const ClientMessageId& id) override;
  Result<bool> was_answered(const ClientMessageId& id, const Peer& to) override;
  Status note_answered(const ClientMessageId& id, const Peer& to) override;

  // -- Of conversations --
  Result<std::optional<Roster>> roster(ConversationId conversation) override;
  Status put_roster(ConversationId conversation, const Roster& roster) override;
  Result<std::uint64_t> list_version_with(const UserId& user_id, const UserId& peer) override;
  Result<std::uint64_t> list_version_before(const UserId& user_id, const UserId& peer) override;
  Status note_branch(const UserId& user_id, std::uint64_t version) override;
  Result<bool> is_encrypted_with(const UserId& peer) override;
  Status note_encrypted_with(const UserId& peer) override;
  Result<bool> identity_changed(const UserId& peer) override;
  Status note_identity_changed(const UserId& peer, bool changed) override;
  Result<bool> note_passed_over(const UserId& user_id, const SigningKey& account_key) override;
  Result<std::uint64_t> awaited_list(const UserId& user_id) override;
  Status await_list(const UserId& user_id, std::uint64_t version) override;
  Status forget_identity(const UserId& user_id) override;
  Status note_left_list(const Hash& list_hash) override;
  Result<std::optional<Hash>> left_list() override;
  Status note_forgotten(const UserId& user_id) override;
  Result<bool> take_forgotten(const UserId& user_id) override;
  Status stand_by_newest(const KnownUser& user) override;
  Status keep_former(const KnownUser& former, std::uint64_t now_ms) override;
  Result<std::optional<FormerDevice>> former_device(const UserId& user_id, const Hash& list_hash, DeviceId device_id,
                                                    std::uint64_t after_ms) override;
  Result<bool> is_former_list(const UserId& user_id, const Hash& list_hash, std::uint64_t after_ms) override;
  Result<KnownMessage> known_message(const ItemPlace& place, const UserId& sender, const ClientMessageId& id) override;
  bool is_owner(const UserId& user_id) override { return store_.is_owner(user_id); }
  Result<bool> has_sent(ConversationId conversation, const ClientMessageId& id) override;
  Result<std::uint64_t> take_counter() override;
  Status note_sent(const Envelope& message, std::span<const SentTo> devices, std::uint64_t now_ms) override;
  Result<std::optional<OwnMessage>> own_message(const ClientMessageId& id) override;
  Result<bool> repair(const ItemPlace& place, const Peer& sender, const ClientMessageId& id,
                      BytesView content) override;

  Status put_task(const Task& task) override;
  Result<TaskCount> count_tasks(TaskKind kind, const Peer& to) override;
  Result<std::optional<Task>> newest_of_most(TaskKind kind, std::size_t above) override;
  Result<std::vector<Task>> tasks() override;
  Status drop_task(std::int64_t id) override;
  Status give_up_task(const Task& task) override;
  Status ask_no_more(const UserId& user_id, std::optional<DeviceId> device_id) override;

  // -- Of prekeys and ages --
  Result<std::vector<std::uint32_t>> prekeys_to_upload() override;
  Status mark_uploaded(std::span<const std::uint32_t> key_ids) override;
  Status upload_again(std::span<const std::uint32_t> key_ids) override;
  Status upload_all_again() override;
  Status forget_device() override;
  Status forget_places() override;
  Result<bool> was_listed() override;
  Status note_listed(bool was_listed) override;
  Result<std::uint64_t> aged_ms() override;
  Status age_notes(std::uint64_t now_ms, const Lifetimes& lifetimes) override;

  // -- For the engine --
  // What stands at the place, and is without content, is a placeholder from now on. asked: for what it stands for,
  // which is missing until its repair comes; else nobody will bring it. Called after the items were applied.
  Status note_placeholder(const ItemPlace& place, bool asked);
  // The one whose item has the id.
  Result<std::optional<Task>> task(const ClientMessageId& id);
  // What a message of the outbox is sent as. NOT_FOUND: it does not wait there.
  Status put_out(const ClientMessageId& id, const Encrypted& encrypted);
  Result<std::optional<Encrypted>> out(const ClientMessageId& id);
  Status drop_out(const ClientMessageId& id);
  // Likewise of a task; its one slice.
  Status put_task_out(const Task& task, const Encrypted& encrypted);
  Result<std::optional<Encrypted>> task_out(const Task& task);
  Status drop_task_out(std::int64_t id);
  // The users of awaited_list().
  Result<std::vector<UserId>> awaited_users();
  // Since another store epoch began, or doubt_list(): whether the server has the own list's newest version is not
  // known.
  Result<bool> list_in_doubt();
  Status list_is_there();
  // The server's own lists part from those that are known here.
  Status doubt_list();
  // Whether the app has asked for another account key: the one in whose place it is to come, or nothing before it is
  // drawn.
  struct Replacing {
    std::optional<SigningKey> place;
  };
  Result<std::optional<Replacing>> replacing();
  Status put_replacing(const std::optional<Replacing>& replacing);
  // What the app is to hear of this transaction, with what it has not taken yet: of the same about the same once, and
  // of a user's devices the newest limits::e2ee::kDeviceEventsMax. What is never kept is passed over.
  Status keep_events(std::span<const Event> events);
  // Those above the number, in order.
  Result<std::vector<Event>> kept_events(std::uint64_t above);
  // The app has those up to the number.
  Status drop_events(std::uint64_t up_to);
  // The devices that this one has let in, and that no list has named yet.
  Result<std::vector<LetIn>> let_in();
  Status put_let_in(std::span<const LetIn> devices);
  // Whether as many set-ups are noted under the newest last-resort prekey as may be: it is replaced at once.
  Result<bool> last_resort_is_worn_out();
  // The number that was given last: what Hello names.
  Result<std::uint64_t> counter();

 private:
  Result<std::optional<MessageKey>> waiting_message(const ClientMessageId& id);
  std::optional<std::string_view> sender_of(const UserId& user_id) const;
  // One of the statements by which nobody is asked any more for some placeholders.
  template <typename... Args>
  Status ask_no_more_for(const char* sql, const Args&... args);

  DeviceStore::Impl& store_;
  rows::Statements& sql_;
  Changes* changes_ = nullptr;
};

}  // namespace chatsdk::e2ee
