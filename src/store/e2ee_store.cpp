// SPDX-License-Identifier: Apache-2.0
#include "store/e2ee_store.h"

#include "store/e2ee_schema.h"

namespace chatsdk {

namespace {

using Outcome = e2ee::ItemResult::Outcome;

bool is_shown(Outcome outcome) {
  return outcome != Outcome::kSkip && outcome != Outcome::kInvented && outcome != Outcome::kRepeated &&
         outcome != Outcome::kRepaired;
}

}  // namespace

// ---- Items ---------------------------------------------------------------------------------------------------------

Result<DeviceStore::Applied> E2eeTransaction::apply(const wire::Items& items) {
  DeviceStore::Applied applied;
  CHATSDK_TRY(store_.apply(items, applied, changes_));
  return applied;
}

Result<DeviceStore::Applied> E2eeTransaction::apply(const wire::Items& one, const e2ee::Item& item,
                                                    const e2ee::ItemResult& result) {
  if (one.items_size() != 1) return error(Code::kInternal, "items are received one by one");
  wire::Items opened = one;
  wire::Item& stored = *opened.mutable_items(0);
  if (is_shown(result.outcome)) {
    stored.set_kind(wire::ITEM_KIND_MESSAGE);
  } else {
    stored.set_kind(wire::ITEM_KIND_SKIP);
    // What was never for this device: who has it speaks for it.
    const bool for_others = result.outcome == Outcome::kSkip && item.kind == e2ee::SliceKind::kMessage && !item.slice;
    if (for_others) stored.set_skip_reason(wire::SKIP_REASON_NOT_LISTED);
  }
  if (result.outcome != Outcome::kPlain) stored.set_content(result.content);
  const bool without_content = result.outcome == Outcome::kKnown || result.outcome == Outcome::kOwn;
  if (without_content && store_.is_owner(item.sender.user_id)) {
    // What comes without its slice is the message of that id that is here, under whatever id this device sent it.
    CHATSDK_ASSIGN(auto own, store_.own_messages(item.client_message_id));
    if (!own.empty()) stored.set_content(std::move(own.front().content));
  }
  const std::size_t before = changes_.added.size();
  DeviceStore::Applied applied;
  CHATSDK_TRY(store_.apply(opened, applied, changes_, DeviceStore::Impl::Contents::kOpened));
  if (result.outcome == Outcome::kPlaceholder) {
    changes_.undecryptable.insert(changes_.undecryptable.end(),
                                  changes_.added.begin() + static_cast<std::ptrdiff_t>(before), changes_.added.end());
  }
  if (is_shown(result.outcome)) CHATSDK_TRY(settle(item, result));
  // A placeholder, or the repair of one, moves where what counts as delivered begins.
  CHATSDK_ASSIGN(const auto stream, cursor(StreamId{one.stream_id()}));
  if (stream) applied.delivered_from = stream->delivered_from;
  return applied;
}

Status E2eeTransaction::settle(const e2ee::Item& item, const e2ee::ItemResult& result) {
  const e2ee::ItemPlace place{item.conversation, item.seq};
  // A placeholder that the server sent again stands at another place now, and may have its content at last.
  const bool has_none = result.outcome == Outcome::kPlaceholder || result.outcome == Outcome::kKnown;
  if (has_none || result.again) CHATSDK_TRY(notes_.note_placeholder(place, result.asked));
  if (!result.again || result.outcome != Outcome::kContent) return {};
  CHATSDK_TRY(notes_.repair(place, item.sender, item.client_message_id, result.content));
  return {};
}

// ---- Tasks ---------------------------------------------------------------------------------------------------------

Status E2eeTransaction::take_back_task(const ClientMessageId& id, bool number_is_open) {
  CHATSDK_ASSIGN(const auto entry, store_.outbox_entry(id));
  if (!entry) return {};
  return number_is_open ? store_.take_back_row(*entry) : store_.delete_outbox_row(entry->id);
}

Result<bool> E2eeTransaction::is_in_outbox(const ClientMessageId& id) {
  CHATSDK_ASSIGN(const auto entry, store_.outbox_entry(id));
  return entry.has_value();
}

// ---- Transactions --------------------------------------------------------------------------------------------------

Status E2eeStore::prepare(DeviceStore::Impl& store) {
  const auto migrated = store.write([&store](Changes&) { return e2ee_schema::migrate(store.db); });
  if (!migrated.ok()) return migrated.error();
  for (const char* table : e2ee_schema::tables()) CHATSDK_TRY(store.db.quick_check(table));
  return {};
}

Result<std::unique_ptr<E2eeStore>> E2eeStore::open(DeviceStore& store) {
  CHATSDK_TRY(prepare(store.inside()));
  return std::make_unique<E2eeStore>(store);
}

}  // namespace chatsdk
