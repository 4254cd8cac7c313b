// SPDX-License-Identifier: Apache-2.0
#include "engine/encryption.h"

#include <algorithm>
#include <utility>

#include "base/fault.h"

namespace chatsdk {

namespace {

// The lists of several users, whose names stand in the lists themselves.
std::vector<e2ee::UserLists> by_user(const google::protobuf::RepeatedPtrField<wire::SignedList>& signed_lists) {
  std::vector<e2ee::UserLists> users;
  for (const wire::SignedList& signed_list : signed_lists) {
    const auto parsed = e2ee::parse_device_list(signed_list.list());
    if (!parsed) continue;
    auto at = std::find_if(users.begin(), users.end(),
                           [&parsed](const e2ee::UserLists& known) { return known.user_id == parsed->user_id; });
    if (at == users.end()) at = users.insert(users.end(), {parsed->user_id, {}, {}});
    at->lists.push_back(signed_list.list());
    for (const std::string& record : signed_list.records()) at->records.push_back(record);
  }
  return users;
}

// Who joins a direct conversation beside the owner.
UserId peer_in(const wire::Roster& roster, const UserId& owner) {
  const wire::ConversationKind kind = roster.conversation_kind();
  if (kind != wire::CONVERSATION_KIND_UNSPECIFIED && kind != wire::CONVERSATION_KIND_DIRECT) return {};
  for (const wire::Roster::Change& change : roster.changes()) {
    if (change.joined() && change.user_id() != owner) return change.user_id();
  }
  return {};
}

std::optional<e2ee::SliceKind> slice_kind(wire::ItemKind kind) {
  switch (kind) {
    case wire::ITEM_KIND_MESSAGE:
      return e2ee::SliceKind::kMessage;
    case wire::ITEM_KIND_KEYS:
      return e2ee::SliceKind::kKeys;
    case wire::ITEM_KIND_RETRY:
      return e2ee::SliceKind::kRetry;
    case wire::ITEM_KIND_REPAIR:
      return e2ee::SliceKind::kRepair;
    default:
      return std::nullopt;
  }
}

// One item of several, as if it had come alone.
wire::Items alone(const wire::Items& items, int index, Seq after) {
  wire::Items one;
  one.set_stream_id(items.stream_id());
  one.set_stream_kind(items.stream_kind());
  one.set_after_seq(after);
  *one.add_items() = items.items(index);
  return one;
}

// What follows the cursor stays with the server.
Status hold(E2eeTransaction& transaction, StreamId id, DeviceStore::Applied& applied) {
  CHATSDK_ASSIGN(const auto known, transaction.cursor(id));
  if (known) {
    applied.cursor = known->seq;
    applied.delivered_from = known->delivered_from;
    applied.others_from = known->others_from;
  }
  applied.held = true;
  return {};
}

bool has_roster(const wire::Items& items) {
  return std::any_of(items.items().begin(), items.items().end(),
                     [](const wire::Item& item) { return item.kind() == wire::ITEM_KIND_ROSTER; });
}

bool devices_changed(const wire::Items& items) {
  return items.stream_kind() == wire::STREAM_KIND_ACCOUNT &&
         std::any_of(items.items().begin(), items.items().end(),
                     [](const wire::Item& item) { return item.kind() == wire::ITEM_KIND_DEVICES_CHANGED; });
}

}  // namespace

Error not_accepted_as_plain() {
  return error(Code::kWrongState,
               "the conversation is plain, and not by this app's wish: ask for it as plain to accept that");
}

Encryption::Encryption(const EngineContext& context, E2eeStore& store, Session& session, RestApi& rest,
                       Observer& observer)
    : context_(context),
      store_(store),
      session_(session),
      rest_(rest),
      observer_(observer),
      conversations_(context.random.keys, context.random.ids, own_kem(), context.options.block_changed_identities,
                     context.options.lifetimes),
      upkeep_(context, store, conversations_, session, rest, *this),
      linking_(context, store, session, rest, upkeep_),
      lists_failed_(context),
      bundles_failed_(context),
      backoff_(context.random.jitter, context.options.backoff_base, context.options.backoff_cap),
      again_timer_(context.executor),
      log_timer_(context.executor) {
  clear_log_later();
}

// ---- The app -------------------------------------------------------------------------------------------------------

Result<std::optional<std::string>> Encryption::device_name(DeviceId device) {
  CHATSDK_ASSIGN(const e2ee::Self* self, store_.state().self());
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, store_.state().user(session_.owner()));
  const e2ee::DeviceRecord* record = own == nullptr ? nullptr : e2ee::listed(*own, device);
  if (self == nullptr || record == nullptr || !e2ee::holds_account_of(*self, *own)) return std::optional<std::string>();
  return e2ee::open_device_name(record->sealed_name, self->account_seed,
                                {record->user_id, record->device_id, record->registration_id});
}

Result<PeerIdentity> Encryption::identity(const UserId& peer) {
  PeerIdentity identity;
  const e2ee::Kept kept{store_.state(), store_.notes()};
  CHATSDK_ASSIGN(identity.own, e2ee::DirectConversations::own_identity(kept, session_.owner()));
  CHATSDK_ASSIGN(const e2ee::KnownUser* known, store_.state().user(peer));
  if (known == nullptr) return error(Code::kNotFound, "no device of this user is known");
  identity.peer = {known->user_id, known->account_key};
  identity.verified = known->verified;
  CHATSDK_ASSIGN(identity.changed, store_.notes().identity_changed(peer));
  return identity;
}

Status Encryption::set_verified(const e2ee::Identity& peer, bool verified, std::vector<e2ee::Event>& events) {
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    CHATSDK_TRY(conversations_.set_verified(transaction.kept(), peer, verified, events));
    return transaction.notes().keep_events(events);
  });
  return written.ok() ? Status() : Status(written.error());
}

Status Encryption::accept_identity(const e2ee::Identity& peer) {
  const auto written = store_.write(
      [&](E2eeTransaction& transaction) -> Status { return conversations_.accept_identity(transaction.kept(), peer); });
  return written.ok() ? Status() : Status(written.error());
}

Status Encryption::forget_identity(const e2ee::Identity& peer, std::vector<e2ee::Event>& events) {
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    CHATSDK_TRY(conversations_.forget_identity(transaction.kept(), peer, events));
    return transaction.notes().keep_events(events);
  });
  return written.ok() ? Status() : Status(written.error());
}

void Encryption::identity_forgotten(const UserId& peer) {
  After after;
  after.lists.insert(peer);
  lists_pauses_.end(peer);
  follow(std::move(after));
}

Result<std::vector<SignedDevice>> Encryption::signed_devices(const UserId& user_id) {
  CHATSDK_ASSIGN(const e2ee::KnownUser* user, store_.state().user(user_id));
  if (user == nullptr) return error(Code::kNotFound, "no device of this user is known");
  CHATSDK_ASSIGN(const e2ee::Self* self, store_.state().self());
  const bool is_own = self != nullptr && self->record.user_id == user_id && holds_account_of(*self, *user);
  std::vector<SignedDevice> devices;
  for (const e2ee::ListedDevice& listed : user->newest().devices) {
    SignedDevice& device = devices.emplace_back();
    device.device_id = listed.device_id;
    device.record = listed.record_hash;
    device.current = is_own && self->record.hash == listed.record_hash;
    for (auto list = user->lists.rbegin(); list != user->lists.rend(); ++list) {
      const e2ee::ListedDevice* there = list->find(listed.device_id);
      if (there == nullptr || *there != listed) break;
      device.since_ms = list->time_ms;
    }
    const auto record = user->records.find(listed.record_hash);
    if (!is_own || record == user->records.end()) continue;
    device.name = e2ee::open_device_name(record->second.sealed_name, self->account_seed,
                                         {user_id, listed.device_id, record->second.registration_id});
  }
  return devices;
}

// ---- Events --------------------------------------------------------------------------------------------------------

void Encryption::tell(std::vector<e2ee::Event> events) {
  if (std::erase_if(events, [](const e2ee::Event& event) { return e2ee::is_kept(event); }) > 0) {
    CHATSDK_FAULT("encryption.between_kept_and_told");
    tell_kept_events();
  }
  context_.events.encryption_events(std::move(events));
}

void Encryption::tell_kept_events() {
  auto kept = store_.notes().kept_events(events_told_);
  if (!kept.ok()) return context_.debug("encryption", "what the app is to hear could not be read");
  if (kept->empty()) return;
  const std::uint64_t last = kept->back().number;
  context_.events.encryption_events(std::move(*kept));
  events_told_ = last;
}

Status Encryption::events_taken(std::uint64_t up_to) {
  const auto written =
      store_.write([up_to](E2eeTransaction& transaction) -> Status { return transaction.notes().drop_events(up_to); });
  return written.ok() ? Status() : Status(written.error());
}

// ---- The connection ------------------------------------------------------------------------------------------------

void Encryption::on_welcome(const wire::Welcome& welcome) {
  live_ = true;
  linking_.on_server_time(welcome.server_time_ms());
  upkeep_.on_welcome(welcome);
}

void Encryption::on_lost() {
  live_ = false;
  lists_wanted_.clear();
  bundles_wanted_.clear();
  lists_pauses_.clear();
  lists_failed_.on_lost();
  bundles_failed_.on_lost();
  held_for_.clear();
  unnamed_pauses_.clear();
  lists_asked_ = bundles_asked_ = one_by_one_ = false;
  again_timer_.cancel();
  guard_.renew();
  conversations_.connection_lost();
  linking_.on_lost();
  upkeep_.on_lost();
}

void Encryption::on_caught_up() {
  upkeep_.on_caught_up();
  want_awaited_lists();
  fetch();
  prepare_tasks();
  if (log_timer_.pending()) clear_log();
}

void Encryption::keys_changed() {
  prepare_tasks();
  observer_.on_keys_changed();
}

void Encryption::clear_log_later() {
  if (!log_timer_.pending()) log_timer_.start_after(limits::e2ee::kUpkeepLook, [this] { clear_log(); });
}

void Encryption::clear_log() {
  log_timer_.cancel();
  if (context_.store.clear_log().ok()) return;
  context_.debug("encryption", "the store's log could not be cleared");
  clear_log_later();
}

void Encryption::on_own_keys_changed() {
  tell_unsealed();
  linking_.on_own_lists();
  tell_kept_events();
  tell_fewer_missing();
  if (live_) keys_changed();
}

void Encryption::on_own_lists_answered() {
  tell_unsealed();
  linking_.on_own_lists();
  tell_kept_events();
  tell_fewer_missing();
  observer_.on_lists_answered();
}

void Encryption::on_keys_deleted() {
  tell_fewer_missing();
  clear_log_later();
}

// In a turn of its own, as in follow(). Without a connection: the next one tells it once all is caught up.
void Encryption::tell_fewer_missing() {
  if (!store_.take_fewer_missing() || !live_) return;
  context_.executor.post(guard_.wrap([this] { observer_.on_fewer_missing(); }));
}

void Encryption::tell_unsealed() {
  for (const UserId& user_id : store_.take_unsealed()) {
    // Own devices are sent to in each conversation.
    observer_.on_unsealed(user_id == session_.owner() ? std::nullopt : std::optional(user_id));
  }
}

void Encryption::on_encryption_state(EncryptionState state) { context_.events.encryption_state(state); }

void Encryption::on_encryption_events(std::vector<e2ee::Event> events) { tell(std::move(events)); }

void Encryption::follow(After after) {
  tell_unsealed();
  tell(std::move(after.events));
  if (after.keys_used) clear_log_later();
  if (after.keys_used) upkeep_.on_keys_used();
  if (after.own_devices) upkeep_.ask_own_lists();
  tell_fewer_missing();
  if (!live_) return;
  for (const auto& [user_id, version] : after.held_for) need_list(user_id, version);
  for (const UserId& user_id : after.lists) want_lists(user_id);
  bundles_wanted_.insert(after.bundles.begin(), after.bundles.end());
  if (after.ask_again_ms != 0) {
    const std::uint64_t now = now_ms();
    look_again_after(
        std::chrono::milliseconds(after.ask_again_ms > now ? static_cast<std::int64_t>(after.ask_again_ms - now) : 0));
  }
  fetch();
  // In a turn of its own: who is followed may be in the middle of its rows. An own list that a roster brought may be
  // the one that names this device.
  if (after.begun || after.own_devices) {
    context_.executor.post(guard_.wrap([this] { keys_changed(); }));
  } else if (after.tasks) {
    context_.executor.post(guard_.wrap([this] { prepare_tasks(); }));
  }
}

// ---- The outbox ----------------------------------------------------------------------------------------------------

Result<std::vector<Encryption::Sealed>> Encryption::seal(std::span<const OutboxRow> rows,
                                                         std::span<const ClientMessageId> also_mark) {
  std::vector<Sealed> sealed;
  After after;
  CHATSDK_ASSIGN(auto changes, store_.write([&](E2eeTransaction& transaction) -> Status {
    // Whoever logged in as another device has what the one before encrypted, and its keys, until the upkeep's next
    // turn. And a server that went back takes nothing of a device that it does not find in a list, for good.
    CHATSDK_ASSIGN(const e2ee::Self* self, transaction.kept().state.self());
    const bool is_another = self != nullptr && self->record.device_id != session_.device_id();
    CHATSDK_ASSIGN(const bool list_in_doubt, transaction.notes().list_in_doubt());
    std::set<ConversationKey> waiting;
    for (const OutboxRow& row : rows) {
      Sealed& one = sealed.emplace_back();
      one.waits = is_another || list_in_doubt || waiting.count(row.conversation) != 0;
      if (!one.waits && row.kind == OutboxRow::Kind::kSend) CHATSDK_TRY(seal_one(transaction, row, one, after));
      if (!one.waits && row.kind == OutboxRow::Kind::kTask) CHATSDK_TRY(seal_task(transaction, row, one));
      if (one.gone) {
        CHATSDK_TRY(transaction.take_back_task(row.client_message_id, false));
        waiting.insert(row.conversation);
      } else if (one.waits) {
        waiting.insert(row.conversation);
      } else {
        CHATSDK_TRY(transaction.mark_on_wire(row.client_message_id));
      }
    }
    for (const ClientMessageId& id : also_mark) CHATSDK_TRY(transaction.mark_on_wire(id));
    return {};
  }));
  CHATSDK_FAULT("encryption.between_sealed_and_sent");
  context_.events.changes(std::move(changes));
  follow(std::move(after));
  return sealed;
}

Status Encryption::seal_one(E2eeTransaction& transaction, const OutboxRow& row, Sealed& sealed, After& after) {
  CHATSDK_ASSIGN(sealed.encrypted, transaction.notes().out(row.client_message_id));
  if (sealed.encrypted && !CHATSDK_PLANTED(Bug::kP11RetryUnderTheSameKey)) return {};
  const std::uint64_t now = now_ms();
  CHATSDK_ASSIGN(const e2ee::Plan plan, conversations_.plan(transaction.kept(), {row.peer, row.conversation_id}, now));
  if (plan.outcome != e2ee::Plan::Outcome::kReady) {
    if (CHATSDK_PLANTED(Bug::kP12PlaintextLogged)) context_.debug("encryption", "not yet encrypted: " + row.content);
    sealed.waits = true;
    want(plan, after);
    return {};
  }
  e2ee::Envelope envelope;
  envelope.body_type = e2ee::BodyType::kContent;
  envelope.client_message_id = row.client_message_id;
  envelope.binding = e2ee::DirectBinding::of(session_.owner(), row.peer);
  envelope.sender_time_ms = now;
  envelope.body = row.content;
  CHATSDK_ASSIGN(sealed.encrypted, conversations_.encrypt(transaction.kept(), plan, envelope, now));
  after.keys_used = true;
  return transaction.notes().put_out(row.client_message_id, *sealed.encrypted);
}

Status Encryption::seal_task(E2eeTransaction& transaction, const OutboxRow& row, Sealed& sealed) {
  sealed.gone = true;
  CHATSDK_ASSIGN(const auto task, transaction.notes().task(row.client_message_id));
  if (!task) return {};
  CHATSDK_ASSIGN(sealed.encrypted, transaction.notes().task_out(*task));
  sealed.gone = !sealed.encrypted;
  const bool is_repair = task->kind == e2ee::TaskKind::kRepair;
  sealed.kind = is_repair ? wire::ITEM_KIND_REPAIR : wire::ITEM_KIND_RETRY;
  if (is_repair) sealed.target_seq = task->target.target_seq;
  return {};
}

void Encryption::want(const e2ee::Plan& plan, After& after) {
  after.lists.insert(plan.lists.begin(), plan.lists.end());
  after.bundles.insert(plan.bundles.begin(), plan.bundles.end());
  const bool sooner = after.ask_again_ms == 0 || plan.ask_again_ms < after.ask_again_ms;
  if (plan.ask_again_ms != 0 && sooner) after.ask_again_ms = plan.ask_again_ms;
}

void Encryption::prepare_tasks() {
  if (!live_) return;
  const auto tasks = store_.notes().tasks();
  if (!tasks.ok() || tasks->empty()) return;
  After after;
  bool added = false;
  auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    for (const e2ee::Task& task : *tasks) CHATSDK_TRY(prepare_task(transaction, task, after, added));
    return {};
  });
  if (!written.ok()) return context_.debug("encryption", "requests could not be prepared");
  context_.events.changes(std::move(*written));
  follow(std::move(after));
  if (added) observer_.on_rows_added();
}

// A task that is encrypted and stands in the outbox no more has been sent.
Status Encryption::prepare_task(E2eeTransaction& transaction, const e2ee::Task& task, After& after, bool& added) {
  CHATSDK_ASSIGN(const auto out, transaction.notes().task_out(task));
  if (out) {
    CHATSDK_ASSIGN(const bool waits, transaction.is_in_outbox(task.client_message_id));
    return waits ? Status() : transaction.notes().drop_task(task.id);
  }
  CHATSDK_ASSIGN(const auto conversation, transaction.conversation(task.conversation));
  if (!conversation || conversation->peer.empty()) return transaction.notes().give_up_task(task);
  const std::uint64_t now = now_ms();
  const auto plan = conversations_.plan_task(transaction.kept(), task, conversation->peer, now);
  if (plan.code() == Code::kNotFound) return {};
  if (!plan.ok()) return plan.error();
  if (plan->outcome != e2ee::Plan::Outcome::kReady) {
    want(*plan, after);
    return {};
  }
  CHATSDK_ASSIGN(const e2ee::Encrypted encrypted,
                 conversations_.encrypt_task(transaction.kept(), *plan, task, conversation->peer, now));
  CHATSDK_TRY(transaction.notes().put_task_out(task, encrypted));
  added = after.keys_used = true;
  return transaction.enqueue_task(conversation->key, task.client_message_id);
}

Status Encryption::roster_changed(std::span<const OutboxRow> refused, const wire::RosterChanged& answer) {
  After after;
  const std::vector<e2ee::UserLists> newer = by_user(answer.lists());
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN(const auto tasks, transaction.notes().tasks());
    for (const OutboxRow& row : refused) {
      if (row.kind != OutboxRow::Kind::kTask) CHATSDK_TRY(transaction.notes().drop_out(row.client_message_id));
    }
    for (const e2ee::Task& task : tasks) {
      const bool is_refused = std::any_of(refused.begin(), refused.end(), [&task](const OutboxRow& row) {
        return row.client_message_id == task.client_message_id;
      });
      if (!is_refused) continue;
      CHATSDK_TRY(transaction.notes().drop_task_out(task.id));
      CHATSDK_TRY(transaction.take_back_task(task.client_message_id, true));
    }
    const OutboxRow& first = refused.front();
    CHATSDK_TRY(conversations_.roster_refused(transaction.kept(), {first.peer, first.conversation_id},
                                              answer.revision(), newer, now_ms(), after.events));
    return transaction.notes().keep_events(after.events);
  });
  if (!written.ok()) return written.error();
  after.tasks = true;
  // By the numbers alone the server has nothing newer: what it has may be of another account key, or of a branch.
  if (newer.empty()) after.lists.insert(refused.front().peer);
  after.own_devices = std::any_of(newer.begin(), newer.end(),
                                  [this](const e2ee::UserLists& given) { return given.user_id == session_.owner(); });
  follow(std::move(after));
  return {};
}

Status Encryption::task_refused(const ClientMessageId& id) {
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    CHATSDK_TRY(transaction.take_back_task(id, true));
    CHATSDK_ASSIGN(const auto task, transaction.notes().task(id));
    return task ? transaction.notes().give_up_task(*task) : Status();
  });
  if (!written.ok()) return written.error();
  follow({});
  return {};
}

// ---- The inbox -----------------------------------------------------------------------------------------------------

Result<DeviceStore::AppliedTogether> Encryption::apply_together(const std::vector<DeviceStore::Arrival>& arrivals) {
  DeviceStore::AppliedTogether together;
  After after;
  CHATSDK_ASSIGN(together.changes, store_.write([&](E2eeTransaction& transaction) -> Status {
    for (const DeviceStore::Arrival& arrival : arrivals) {
      if (arrival.items == nullptr) {
        CHATSDK_TRY(transaction.apply(*arrival.marks));
      } else {
        CHATSDK_TRY(apply(transaction, *arrival.items, together.items.emplace_back(), after));
      }
    }
    return transaction.notes().keep_events(after.events);
  }));
  follow(std::move(after));
  return together;
}

Status Encryption::apply(E2eeTransaction& transaction, const wire::Items& items, DeviceStore::Applied& applied,
                         After& after) {
  after.own_devices = after.own_devices || devices_changed(items);
  const ConversationId id{items.stream_id()};
  bool may_be_encrypted = items.stream_kind() == wire::STREAM_KIND_CONVERSATION;
  Seq cursor = 0;
  if (may_be_encrypted) {
    CHATSDK_ASSIGN(const auto conversation, transaction.conversation(id));
    CHATSDK_ASSIGN(const auto known, transaction.cursor(id));
    if (known) cursor = known->seq;
    // A stream's first item says what the conversation is; no other makes an encrypted one of a plain one. But whose
    // stream it is any roster may say: what is behind it is looked at one by one.
    may_be_encrypted = cursor == 0 || !conversation || !conversation->is_known_plain() || has_roster(items);
    after.begun = after.begun || cursor == 0;
  }
  if (!may_be_encrypted || items.after_seq() > cursor) {
    CHATSDK_ASSIGN(applied, transaction.apply(items));
    return {};
  }
  // The store refuses what does not follow what is before it.
  Seq last = items.after_seq();
  bool any = false;
  for (int i = 0; i < items.items_size(); ++i) {
    const wire::Item& item = items.items(i);
    if (item.seq() > cursor) {
      CHATSDK_ASSIGN(const DeviceStore::Applied one, apply_one(transaction, alone(items, i, last), after));
      if (one.held) return hold(transaction, id, applied);
      applied = one;
      any = true;
    }
    last = item.seq();
  }
  if (any) return {};
  CHATSDK_ASSIGN(applied, transaction.apply(items));
  return {};
}

// A question says nothing of what was needed only after it was put.
std::uint64_t Encryption::answered_list(const UserId& user_id, const After& after) const {
  if (user_id == session_.owner()) {
    return upkeep_.asks_own_lists() || after.own_devices ? 0 : e2ee::Item::kAnyList;
  }
  const auto held = held_for_.find(user_id);
  return held == held_for_.end() ? 0 : held->second.answered;
}

void Encryption::need_list(const UserId& user_id, std::uint64_t version) {
  if (user_id == session_.owner()) return;
  HeldFor& held = held_for_[user_id];
  if (version <= held.needed) return;
  held.needed = version;
  lists_pauses_.end(user_id);
}

void Encryption::lists_shown(const UserId& user_id, const AskedList& asked) {
  const auto held = held_for_.find(user_id);
  if (held != held_for_.end()) held->second.answered = std::max(held->second.answered, asked.needed);
}

std::optional<MonotonicTime> Encryption::lists_paused_until(const UserId& user_id) const {
  return std::max(lists_pauses_.until(user_id, context_.now()), unnamed_pauses_.until(user_id, context_.now()));
}

Result<DeviceStore::Applied> Encryption::apply_one(E2eeTransaction& transaction, const wire::Items& one, After& after) {
  const wire::Item& item = one.items(0);
  const ConversationId id{one.stream_id()};
  CHATSDK_ASSIGN(const auto conversation, transaction.conversation(id));
  UserId peer = conversation ? conversation->peer : UserId();
  const bool is_first = one.after_seq() == 0;
  if (conversation && conversation->is_known_plain() && !is_first) return transaction.apply(one);
  if (item.kind() == wire::ITEM_KIND_ROSTER) {
    if (peer.empty()) peer = peer_in(item.roster(), session_.owner());
    if (!peer.empty()) CHATSDK_TRY(apply_roster(transaction, id, peer, item.roster(), after));
    return transaction.apply(one);
  }
  const auto kind = slice_kind(item.kind());
  const auto client_message_id = ClientMessageId::from_bytes(item.client_message_id());
  if (!kind) return transaction.apply(one);
  e2ee::Item received;
  received.conversation = id;
  received.seq = item.seq();
  received.peer = peer;
  received.kind = *kind;
  received.sender = {item.sender_user_id(), DeviceId{item.sender_device_id()}};
  if (peer.empty() || !client_message_id) {
    // Nobody can have encrypted this. What comes before its conversation is known to be encrypted, the store hides
    // then.
    if (!conversation || !conversation->encrypted) return transaction.apply(one);
    e2ee::ItemResult untrusted;
    const bool invented = !peer.empty() && item.sender_user_id() != peer && item.sender_user_id() != session_.owner();
    if (*kind == e2ee::SliceKind::kMessage) {
      untrusted.outcome = invented ? e2ee::ItemResult::Outcome::kInvented : e2ee::ItemResult::Outcome::kPlaceholder;
    }
    return transaction.apply(one, received, untrusted);
  }
  received.client_message_id = *client_message_id;
  received.encrypted = item.content().empty();
  if (!item.slice().empty()) received.slice = item.slice();
  received.answered_list = answered_list(received.sender.user_id, after);
  after.keys_used = after.keys_used || received.slice;
  CHATSDK_ASSIGN(const e2ee::ItemResult result, conversations_.receive(transaction.kept(), received, now_ms()));
  if (result.lists_wanted) after.lists.insert(received.sender.user_id);
  if (result.outcome == e2ee::ItemResult::Outcome::kHeld) {
    std::uint64_t& needed = after.held_for[received.sender.user_id];
    needed = std::max(needed, result.needed_list);
    DeviceStore::Applied held;
    held.held = true;
    return held;
  }
  after.tasks = after.tasks || result.asked || *kind == e2ee::SliceKind::kRetry;
  return transaction.apply(one, received, result);
}

Status Encryption::apply_roster(E2eeTransaction& transaction, ConversationId conversation, const UserId& peer,
                                const wire::Roster& roster, After& after) {
  const e2ee::RosterItem item{conversation,       session_.owner(),  peer,
                              roster.encrypted(), roster.revision(), by_user(roster.lists())};
  CHATSDK_ASSIGN(const e2ee::RosterResult result,
                 conversations_.roster_item(transaction.kept(), item, now_ms(), after.events));
  after.lists.insert(result.lists_wanted.begin(), result.lists_wanted.end());
  for (const e2ee::UserLists& given : item.lists) after.own_devices |= given.user_id == session_.owner();
  return {};
}

// ---- Lists and bundles ---------------------------------------------------------------------------------------------

void Encryption::want_lists(const UserId& user_id) {
  // The own ones are asked for by whoever needs to know that this device is in them.
  if (user_id == session_.owner()) return upkeep_.ask_own_lists();
  const auto until = lists_paused_until(user_id);
  if (!until) {
    lists_wanted_.insert(user_id);
    return;
  }
  look_again_at(*until);
}

void Encryption::want_awaited_lists() {
  const auto users = store_.notes().awaited_users();
  if (!users.ok()) return context_.debug("encryption", "awaited lists could not be read");
  for (const UserId& user_id : *users) want_lists(user_id);
  for (const auto& [user_id, held] : held_for_) {
    if (held.needed > held.answered) want_lists(user_id);
  }
}

void Encryption::look_again_after(std::chrono::milliseconds pause) { look_again_at(context_.now() + pause); }

void Encryption::look_again_at(MonotonicTime at) {
  if (again_timer_.pending() && again_timer_.time() <= at) return;
  again_timer_.start_at(at, [this] {
    want_awaited_lists();
    fetch();
    keys_changed();
  });
}

void Encryption::fetch() {
  if (!live_) return;
  if (!lists_asked_ && !lists_wanted_.empty()) fetch_lists();
  if (!bundles_asked_ && !bundles_wanted_.empty()) fetch_bundles();
}

void Encryption::fetch_lists() {
  wire::DeviceListsRequest request;
  AskedLists asked;
  const std::size_t most = one_by_one_ ? 1 : limits::e2ee::kListUsersMax;
  for (const UserId& user_id : lists_wanted_) {
    if (asked.size() == most) break;
    if (const auto until = lists_failed_.until(user_id)) {
      look_again_at(*until);
      continue;
    }
    const auto awaited = store_.notes().awaited_list(user_id);
    const auto known = store_.state().user(user_id);
    if (!known.ok() || !awaited.ok()) return look_again_after(backoff_.next());
    ask_for(user_id, *known, request);
    const auto held = held_for_.find(user_id);
    asked.emplace(user_id, AskedList{*awaited, held == held_for_.end() ? 0 : held->second.needed});
  }
  if (asked.empty()) return;
  for (const auto& [user_id, awaited] : asked) lists_wanted_.erase(user_id);
  one_by_one_ = one_by_one_ && !lists_wanted_.empty();
  lists_asked_ = true;
  session_.authorized<wire::DeviceLists>(
      [this, request = std::move(request)](const std::string& token, RestApi::Callback<wire::DeviceLists> done) {
        rest_.device_lists(token, request, std::move(done));
      },
      guard_.wrap(
          [this, asked = std::move(asked)](Result<wire::DeviceLists> answer) { on_lists(asked, std::move(answer)); }));
}

void Encryption::on_lists(const AskedLists& asked, Result<wire::DeviceLists> answer) {
  lists_asked_ = false;
  const bool is_refused = answer.code() == Code::kInvalidArgument;
  if (!answer.ok() && !is_refused) {
    lists_failed_.begin(asked, answer.error());
    for (const auto& [user_id, awaited] : asked) lists_wanted_.insert(user_id);
    return fetch();
  }
  lists_failed_.end(asked);
  if (is_refused) return on_lists_refused(asked);
  backoff_.reset();
  After after;
  std::map<UserId, e2ee::Learning> learned_of;
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    for (const wire::DeviceLists::OfUser& user : answer->users()) {
      const auto question = asked.find(user.user_id());
      if (question == asked.end()) continue;
      const e2ee::UserLists given{user.user_id(), to_vector(user.lists()), to_vector(user.records())};
      CHATSDK_ASSIGN(
          const e2ee::Learned learned,
          conversations_.take_lists(transaction.kept(), given, question->second.awaited, now_ms(), after.events));
      const bool more = brought_something(learned.result);
      learned_of[user.user_id()] = learned.result;
      CHATSDK_ASSIGN(const e2ee::KnownUser* known, transaction.state().user(user.user_id()));
      CHATSDK_ASSIGN(const std::uint64_t awaited, transaction.notes().awaited_list(user.user_id()));
      const bool has_more = is_page(learned.result, user) && known->newest().version < user.newest_version();
      if (more && known->newest().version >= question->second.needed) lists_shown(user.user_id(), question->second);
      if (has_more || awaited != 0) after.lists.insert(user.user_id());
    }
    return transaction.notes().keep_events(after.events);
  });
  if (!written.ok()) return look_again_after(backoff_.next());
  for (const auto& [user_id, question] : asked) {
    const auto answered = learned_of.find(user_id);
    if (answered == learned_of.end()) {
      // It had no room for more; but an answer names one at least. Of whom it does not name it says nothing.
      const bool named_nobody = learned_of.empty() && !CHATSDK_PLANTED(Bug::kUnnamedAskedForAtOnce);
      if (named_nobody) unnamed_pauses_.begin(user_id, context_.now());
      after.lists.insert(user_id);
      continue;
    }
    unnamed_pauses_.end(user_id);
    if (!brought_something(answered->second)) lists_shown(user_id, question);
    if (may_ask_at_once(user_id, answered->second)) {
      lists_pauses_.end(user_id);
    } else {
      pause_lists(user_id, after);
    }
  }
  follow(std::move(after));
  observer_.on_lists_answered();
  keys_changed();
}

// Whoever makes up an account key has any number of them, and of lists under each.
bool Encryption::may_ask_at_once(const UserId& user_id, e2ee::Learning result) {
  if (CHATSDK_PLANTED(Bug::kIdentitiesAskedForAtOnce)) return brought_something(result);
  const bool is_of_one_key = result == e2ee::Learning::kFirstContact || result == e2ee::Learning::kChanged;
  return is_of_one_key && lists_at_once_.take({user_id, {}}, now_ms());
}

// One of them has a name that nobody can have: whose it is shows when each is asked for alone. Nobody has keys under
// it.
void Encryption::on_lists_refused(const AskedLists& asked) {
  if (asked.size() > 1) {
    for (const auto& [user_id, awaited] : asked) lists_wanted_.insert(user_id);
    one_by_one_ = true;
    return fetch();
  }
  After after;
  const UserId& user_id = asked.begin()->first;
  after.events.push_back({e2ee::EventKind::kPeerWithoutKeys, user_id, {}});
  lists_shown(user_id, asked.begin()->second);
  pause_lists(user_id, after);
  follow(std::move(after));
  observer_.on_lists_answered();
  keys_changed();
}

// Who has no keys is told of once, and not again with each look.
void Encryption::pause_lists(const UserId& user_id, After& after) {
  if (lists_pauses_.begin(user_id, context_.now())) return;
  std::erase_if(after.events, [&user_id](const e2ee::Event& event) {
    return event.kind == e2ee::EventKind::kPeerWithoutKeys && event.user_id == user_id;
  });
}

void Encryption::fetch_bundles() {
  auto first = bundles_wanted_.begin();
  for (; first != bundles_wanted_.end(); ++first) {
    const auto until = bundles_failed_.until(first->user_id);
    if (!until) break;
    look_again_at(*until);
  }
  if (first == bundles_wanted_.end()) return;
  wire::BundlesRequest request;
  const UserId user_id = first->user_id;
  request.set_user_id(user_id);
  std::vector<DeviceId> asked;
  while (first != bundles_wanted_.end() && first->user_id == user_id && asked.size() < limits::e2ee::kDevicesMax) {
    asked.push_back(first->device_id);
    request.add_device_ids(asked.back().value);
    first = bundles_wanted_.erase(first);
  }
  bundles_asked_ = true;
  session_.authorized<wire::Bundles>(
      [this, request = std::move(request)](const std::string& token, RestApi::Callback<wire::Bundles> done) {
        rest_.bundles(token, request, std::move(done));
      },
      guard_.wrap([this, user_id, asked = std::move(asked)](Result<wire::Bundles> answer) {
        on_bundles(user_id, asked, std::move(answer));
      }));
}

void Encryption::on_bundles(const UserId& user_id, const std::vector<DeviceId>& asked, Result<wire::Bundles> answer) {
  bundles_asked_ = false;
  if (!answer.ok()) {
    bundles_failed_.begin(std::vector{user_id}, answer.error());
    for (const DeviceId device_id : asked) bundles_wanted_.insert({user_id, device_id});
    return fetch();
  }
  bundles_failed_.end(std::vector{user_id});
  backoff_.reset();
  After after;
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    for (const DeviceId device_id : asked) {
      const auto at = std::find_if(answer->bundles().begin(), answer->bundles().end(),
                                   [device_id](const wire::Bundle& one) { return one.device_id() == device_id.value; });
      std::optional<e2ee::BundleBytes> bundle;
      if (at != answer->bundles().end()) {
        bundle = e2ee::BundleBytes{at->device_record(), at->signed_prekey(), at->kem_prekey(), at->one_time_prekey()};
      }
      CHATSDK_TRY(
          conversations_.take_bundle(transaction.kept(), {user_id, device_id}, bundle ? &*bundle : nullptr, now_ms()));
    }
    CHATSDK_ASSIGN(const e2ee::KnownUser* known, transaction.state().user(user_id));
    // A lower one, too, may be of another account key, or of a branch.
    const std::uint64_t shown = answer->list_version();
    if (known != nullptr && shown != 0 && shown != known->newest().version) after.lists.insert(user_id);
    return {};
  });
  if (!written.ok()) return look_again_after(backoff_.next());
  CHATSDK_FAULT("encryption.between_bundle_and_sealing");
  follow(std::move(after));
  keys_changed();
}

}  // namespace chatsdk
