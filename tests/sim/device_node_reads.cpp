// SPDX-License-Identifier: Apache-2.0
//
// What the checks ask of a device: full reads of its store, whether it has come to rest, and its image.
//
// Threads: one.
#include <algorithm>
#include <utility>

#include "e2ee/ageing.h"
#include "sim/device_node.h"
#include "store/crypt_vfs.h"
#include "store/sqlite.h"

namespace chatsdk::sim {

template <typename See>
bool DeviceNode::each_row(ConversationKey key, See see) {
  auto page = process_->reader->history_after(key, Seq{0}, kPage);
  while (page.ok()) {
    for (const MessageRow& row : page->rows) see(row);
    if (!page->more || page->rows.empty()) return true;
    page = process_->reader->history_after(key, page->rows.back().key, kPage);
  }
  return false;
}

bool DeviceNode::read_conversation(const ConversationRow& row, const std::map<ConversationKey, StreamCursor>& cursors,
                                   std::vector<event::StoreRead>* reads) {
  const auto number = conversation(row.key);
  if (!number) return false;
  event::StoreRead read;
  read.device = options_.number;
  read.conversation = *number;
  const auto cursor = cursors.find(row.key);
  if (cursor != cursors.end()) read.cursor = cursor->second.seq;
  std::vector<MessageRow> rows;
  const bool whole = each_row(row.key, [&](const MessageRow& message) {
    const bool lost = message.failure == Code::kRolledBack;
    const bool pending = message.seq == 0 && !lost &&
                         (message.state == MessageState::kQueued || message.state == MessageState::kSending ||
                          message.state == MessageState::kFailed);
    if (pending) {
      read.pending.push_back({message.client_message_id, hash_of(message.content), seen(message.state)});
    } else {
      const bool placeholder = message.content.empty();
      read.rows.push_back({message.seq, placeholder ? ClientMessageId{} : message.client_message_id,
                           Observer::user_named(message.sender), placeholder ? 0 : hash_of(message.content),
                           placeholder, lost});
    }
    rows.push_back(message);
  });
  if (!whole) {
    cannot_read_ = true;
    return false;
  }
  count_unread(row, rows);
  for (const MessageRow& message : rows) settle_retry(message);
  settle_discards(row.key, rows);
  record(read);
  if (reads != nullptr) reads->push_back(std::move(read));
  for (const MessageRow& message : rows) {
    const auto known = told_.find(message.key);
    if (known == told_.end()) observe(message);
  }
  return true;
}

// What was read with nothing in between: in the world only one thing happens at a time, and this is one.
void DeviceNode::count_unread(const ConversationRow& conversation, const std::vector<MessageRow>& rows) {
  UnreadCount count;
  count.conversation = this->conversation(conversation.key).value_or(kNoConversation);
  count.user = Observer::name_of(options_.user);
  count.read_up_to = conversation.read_up_to;
  count.counted = conversation.unread_count;
  for (const MessageRow& row : rows) count.rows.push_back({row.seq, row.sender});
  const Verdict found = judge_unread(count);
  if (!found) return;
  const std::string name = "Device " + std::to_string(options_.number) + ": ";
  observer_.on_broken("unread", Finding(name + found->what + ".", found->conversation));
}

std::vector<ConversationRow> DeviceNode::all_conversations() {
  std::vector<ConversationRow> rows;
  auto page = process_->reader->conversations(std::nullopt, kPage);
  while (page.ok()) {
    rows.insert(rows.end(), page->rows.begin(), page->rows.end());
    if (!page->more || page->rows.empty()) break;
    page = process_->reader->conversations(page->rows.back().key, kPage);
  }
  cannot_read_ = cannot_read_ || !page.ok();
  return rows;
}

void DeviceNode::read_store(std::vector<event::StoreRead>* reads, std::vector<event::ReceiptSeen>* receipts) {
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  observe_epoch();
  std::map<ConversationKey, StreamCursor> cursors;
  const auto all = process_->store->cursors(limits::kHelloCursorsMax);
  if (!all.ok()) {
    cannot_read_ = true;
    return;
  }
  for (const StreamCursor& cursor : *all) {
    if (cursor.kind == wire::STREAM_KIND_CONVERSATION) cursors[cursor.conversation] = cursor;
  }
  const std::vector<ConversationRow> rows = all_conversations();
  if (cannot_read_) return;  // a cursor says nothing without what is below it
  std::set<ConversationNumber> unread;
  for (const ConversationRow& row : rows) {
    if (!read_conversation(row, cursors, reads)) unread.insert(conversation(row.key).value_or(kNoConversation));
  }
  if (unread.empty()) record(event::StoreReadInFull{options_.number});
  for (const StreamCursor& cursor : *all) {
    const auto number =
        cursor.kind == wire::STREAM_KIND_CONVERSATION ? conversation(cursor.conversation) : std::nullopt;
    if (number && unread.contains(*number)) continue;
    record(event::CursorSeen{options_.number, cursor.stream_id.value, number.value_or(kNoConversation), cursor.seq});
  }
  for (const ConversationRow& row : rows) observe_marks(row.key, receipts);
}

std::optional<DeviceNode::Belief> DeviceNode::belief_of(const UserId& user_id) {
  if (!alive() || !process_->encryption) return std::nullopt;
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  const auto known = process_->encryption->state().user(user_id);
  const auto waits = process_->encryption->notes().kept_events(0);
  if (!known.ok() || *known == nullptr || !waits.ok()) return std::nullopt;
  // The app was told, or will be, whatever happens to its process.
  const e2ee::Event change{e2ee::EventKind::kIdentityChanged, user_id, {}};
  const bool will_be_told = std::find(waits->begin(), waits->end(), change) != waits->end();
  Belief belief{(*known)->account_key, {}, will_be_told || told_changed_.contains(user_id)};
  for (const e2ee::DeviceList& list : (*known)->lists) belief.lists.push_back(list.bytes);
  return belief;
}

bool DeviceNode::has_tasks() {
  if (!alive() || !process_->encryption) return false;
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  const auto tasks = process_->encryption->notes().tasks();
  return tasks.ok() && !tasks->empty();
}

bool DeviceNode::has_sound_rosters() {
  if (!alive() || !process_->encryption) return true;
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  for (const ConversationRow& row : all_conversations()) {
    const auto roster = process_->encryption->notes().roster(row.conversation_id);
    if (!roster.ok() || !roster->has_value()) continue;
    for (const e2ee::RosterMember& member : (*roster)->members) {
      const auto known = process_->encryption->state().user(member.user_id);
      if (!known.ok() || *known == nullptr) continue;
      const e2ee::DeviceList* const list = (*known)->list(member.list_version);
      if (list == nullptr || list->hash != member.list_hash) return false;
    }
  }
  return true;
}

Status DeviceNode::check_image() {
  CHATSDK_ASSERT(process_ == nullptr);
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  SeededRandom unused(options_.number);
  CHATSDK_ASSIGN(const auto vfs, CryptVfs::create({disk_.vfs_name(), store_key_, unused}));
  const Status found = vfs->check_file(kStorePath);
  if (found.code() == Code::kNotFound) return {};
  CHATSDK_TRY(found);
  CHATSDK_ASSIGN(auto db, sqlite::Database::open(kStorePath, {sqlite::OpenMode::kReadWrite, vfs->name()}));
  CHATSDK_TRY(db.integrity_check());
  return db.foreign_key_check();
}

std::map<ConversationNumber, Seq> DeviceNode::places() {
  std::map<ConversationNumber, Seq> places;
  const auto all = process_->store->cursors(limits::kHelloCursorsMax);
  if (!all.ok()) return places;
  for (const StreamCursor& cursor : *all) {
    if (cursor.kind != wire::STREAM_KIND_CONVERSATION) continue;
    if (const auto number = conversation(cursor.conversation)) places[*number] = cursor.seq;
  }
  return places;
}

std::map<std::pair<ConversationNumber, UserNumber>, std::pair<Seq, Seq>> DeviceNode::marks() {
  std::map<std::pair<ConversationNumber, UserNumber>, std::pair<Seq, Seq>> all;
  for (const ConversationRow& row : all_conversations()) {
    const auto number = conversation(row.key);
    const auto marks = process_->reader->marks(row.key);
    if (!number || !marks.ok()) continue;
    for (const auto& mark : *marks) {
      if (mark.delivered_up_to == 0 && mark.read_up_to == 0) continue;
      all[{*number, Observer::user_named(mark.user_id)}] = {mark.delivered_up_to, mark.read_up_to};
    }
  }
  return all;
}

Verdict DeviceNode::untold() {
  std::map<MessageNumber, ToldMessage> told;
  for (const auto& [key, message] : told_) told.emplace(key.value, message);
  std::vector<std::pair<MessageNumber, ToldMessage>> stored;
  for (const ConversationRow& row : all_conversations()) {
    const ConversationNumber number = conversation(row.key).value_or(kNoConversation);
    const auto add = [&](const MessageRow& message) {
      stored.emplace_back(message.key.value, told_of(message, number));
    };
    cannot_read_ = !each_row(row.key, add) || cannot_read_;
  }
  if (cannot_read_) return std::nullopt;  // which is judged by itself
  return judge_told(told, stored);
}

std::vector<e2ee::PrekeySummary> DeviceNode::prekeys() {
  if (process_ == nullptr || process_->encryption == nullptr) return {};
  auto prekeys = process_->encryption->state().prekeys();
  return prekeys.ok() ? std::move(*prekeys) : std::vector<e2ee::PrekeySummary>();
}

// Where keys live for minutes: the pair was replaced when it was due, but for the time until the device looks and the
// server has it.
bool DeviceNode::is_pair_overdue() {
  constexpr std::chrono::seconds kPatience{30};
  const auto all = prekeys();
  const auto now_ms = static_cast<std::uint64_t>(to_unix_ms(clock_.wall_now()));
  const e2ee::Lifetimes::Time due = options_.lifetimes.signed_rotation + options_.lifetimes.upkeep_look + kPatience;
  return std::any_of(all.begin(), all.end(), [&](const e2ee::PrekeySummary& prekey) {
    const bool of_pair = prekey.kind == e2ee::PrekeyKind::kSigned || prekey.kind == e2ee::PrekeyKind::kLastResort;
    return of_pair && prekey.successor_ms == 0 && e2ee::is_old(now_ms, prekey.created_ms, due);
  });
}

Verdict DeviceNode::unrest(bool may_wait_to_be_read) {
  if (!online()) return Finding("is not online but " + std::to_string(static_cast<int>(state_)));
  if (!process_->lane.idle()) return Finding("has turns to run");
  if (log_in_request_ != 0) return Finding("is logging in");
  const auto sending = process_->store->sending_conversations();
  if (!sending.ok()) return Finding("cannot read its outbox");
  for (const ConversationKey key : *sending) {
    // What stands behind a failed message waits for the app.
    const auto rows = process_->store->outbox(key, 0, 1);
    if (!rows.ok()) return Finding("cannot read its outbox");
    if (!rows->empty() && !rows->front().failed) {
      return Finding("has " + to_text(rows->front().client_message_id) + " to send",
                     conversation(key).value_or(kNoConversation));
    }
  }
  const auto reads = process_->store->pending_reads();
  if (!reads.ok()) return Finding("cannot read its marks");
  if (!reads->empty() && !may_wait_to_be_read) {
    return Finding("has a read mark to tell", observer_.conversation_of(reads->front().conversation_id));
  }
  if (options_.lifetimes != e2ee::kLifetimes && is_pair_overdue()) return Finding("has prekeys that are overdue");
  return std::nullopt;
}

}  // namespace chatsdk::sim
