// SPDX-License-Identifier: Apache-2.0
#include "engine/key_upkeep.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/fault.h"

namespace chatsdk {

namespace {

using e2ee::Standing;

constexpr int kReplaceConflictsMax = 8;  // of another account key, before it is given up
constexpr int kConflictsMax = 5;         // with lists of other devices, in a row, before who waits for one is told

}  // namespace

std::vector<Bytes> to_vector(const google::protobuf::RepeatedPtrField<std::string>& field) {
  return {field.begin(), field.end()};
}

void ask_for(const UserId& user_id, const e2ee::KnownUser* known, wire::DeviceListsRequest& request) {
  wire::DeviceListsRequest::Known& user = *request.add_users();
  user.set_user_id(user_id);
  if (known == nullptr) return;
  user.set_list_version(known->newest().version);
  user.set_list_hash(std::string(known->newest().hash.view()));
}

bool brought_something(e2ee::Learning result) {
  return result == e2ee::Learning::kFirstContact || result == e2ee::Learning::kChanged ||
         result == e2ee::Learning::kIdentityChanged;
}

bool is_page(e2ee::Learning result, const wire::DeviceLists::OfUser& user) {
  if (CHATSDK_PLANTED(Bug::kIdentitiesAskedForAtOnce)) return brought_something(result);
  return result == e2ee::Learning::kChanged && user.lists_size() >= static_cast<int>(limits::e2ee::kListVersionsMax);
}

KeyUpkeep::KeyUpkeep(const EngineContext& context, E2eeStore& store, e2ee::DirectConversations& conversations,
                     Session& session, RestApi& rest, Observer& observer)
    : context_(context),
      store_(store),
      conversations_(conversations),
      session_(session),
      rest_(rest),
      observer_(observer),
      keys_(context.random.keys, own_kem(), context.options.lifetimes),
      backoff_(context.random.jitter, context.options.backoff_base, context.options.backoff_cap),
      replace_backoff_(context.random.jitter, context.options.backoff_base, context.options.backoff_cap),
      timer_(context.executor) {}

// ---- What is told --------------------------------------------------------------------------------------------------

void KeyUpkeep::on_welcome(const wire::Welcome& welcome) {
  live_ = true;
  if (welcome.has_key_counts()) on_key_counts(welcome.key_counts());
  // It may not be so any more: what the server has shown was another's, or a list of before.
  if (state_ == EncryptionState::kLinkNeeded) lists_known_ = false;
  schedule();
}

void KeyUpkeep::on_key_counts(const wire::KeyCounts& counts) {
  holds_.counts = e2ee::StoredCounts{counts.one_time(), counts.one_time_kem()};
  if (!pauses_) schedule();
}

// Until the last-resort prekey is another one nobody who finds no one-time prekey can begin a session.
void KeyUpkeep::on_keys_used() {
  if (pauses_) return;
  const auto is_worn_out = store_.notes().last_resort_is_worn_out();
  if (is_worn_out.ok() && *is_worn_out) schedule();
}

void KeyUpkeep::on_caught_up() {
  caught_up_ = true;
  age();
  const auto replacing = store_.notes().replacing();
  if (replacing.ok() && *replacing) schedule();
}

// What waits may need what is old: so not before a connection has caught up. From then on with each turn.
void KeyUpkeep::age() {
  if (!caught_up_) return;
  const auto due = keys_.ageing_due({store_.state(), store_.notes()}, now_ms());
  if (due.ok() && !*due) return;
  bool aged = false;
  const auto written = store_.write([this, &aged](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN(aged, keys_.age_once_a_day(transaction.kept(), now_ms()));
    return {};
  });
  if (!written.ok()) return context_.debug("keys", "what is old could not be deleted");
  if (aged) observer_.on_keys_deleted();
}

void KeyUpkeep::on_lost() {
  cancel(error(Code::kNetwork, "the connection was lost while the device list was changed"));
}

void KeyUpkeep::cancel(const Error& cause) {
  live_ = false;
  caught_up_ = false;
  busy_ = false;
  scheduled_ = false;
  holds_ = {};
  pauses_ = false;
  timer_.cancel();
  guard_.renew();
  // What the server has not shown, or has not got, is looked for anew with the next connection.
  lists_known_ = lists_known_ && server_has_newest_;
  end_unlinks(unlinks_.size(), cause);
}

// Also where it was done and the epoch not yet stored: keys that are new twice harm nobody.
Status KeyUpkeep::before_epoch() {
  const auto written = store_.write([this](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN(const e2ee::Self* self, transaction.state().self());
    if (self == nullptr) return {};
    CHATSDK_ASSIGN(const e2ee::PrekeyUpload upload, keys_.new_epoch(transaction.kept(), now_ms()));
    drop_below_ = upload.drop_below;
    return {};
  });
  if (!written.ok()) return written.error();
  doubt_own_lists();
  branch_.reset();
  shown_.reset();
  // Until the server has shown that it has the list nothing is sent.
  if (state_ == EncryptionState::kReady) become(EncryptionState::kPreparing);
  return {};
}

void KeyUpkeep::on_session_started() {
  become(EncryptionState::kPreparing);
  digest_asked_.reset();
  ask_own_lists();
}

void KeyUpkeep::ask_own_lists() {
  doubt_own_lists();
  schedule();
}

// ---- Turns ---------------------------------------------------------------------------------------------------------

void KeyUpkeep::schedule() {
  if (!is_wanted() || busy_ || scheduled_) return;
  scheduled_ = true;
  context_.executor.post(guard_.wrap([this] {
    scheduled_ = false;
    run();
  }));
}

void KeyUpkeep::run() {
  if (!is_wanted() || busy_) return;
  timer_.cancel();
  pauses_ = false;
  age();
  if (!lists_known_) return query_own_lists();
  if (adopting_) return adopt_now();
  Work work;
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    CHATSDK_TRY(decide(transaction, work));
    return transaction.notes().keep_events(work.events);
  });
  if (!written.ok()) return failed(written.error());
  end_unlinks(work.unlinked, work.unlinked_as);
  if (!work.events.empty()) observer_.on_encryption_events(std::move(work.events));
  if (work.takes_shown) {
    shown_.reset();
    lists_known_ = false;
  }
  if (work.own_changed) observer_.on_own_keys_changed();
  CHATSDK_FAULT("keys.between_keys_and_upload");
  if (work.replaced) {
    replace_backoff_.reset();
    replace_conflicts_ = 0;
    context_.events.identity_replaced({});
  }
  if (work.cannot_replace) {
    give_up_replacing(*work.cannot_replace);
    return pause(backoff_.next());
  }
  if (!work.lists.empty()) return upload_list(std::move(work));
  if (work.ask_digest) return query_digest();
  if (work.prekeys) return upload_prekeys(std::move(*work.prekeys));
  holds_.digest.reset();
  if (work.replacing && live_ && caught_up_) {
    // Held for lists, or not acknowledged yet.
    replaces_later_ = false;
    return pause(replace_backoff_.next());
  }
  if (work.look_again_ms) wait_until(*work.look_again_ms);
}

Status KeyUpkeep::decide(E2eeTransaction& transaction, Work& work) {
  CHATSDK_ASSIGN(const bool replaced, keys_.take_replacement(transaction.kept(), session_.owner()));
  CHATSDK_ASSIGN(auto replacing, transaction.notes().replacing());
  if (replaced && replacing) {
    CHATSDK_TRY(transaction.notes().put_replacing(std::nullopt));
    replacing.reset();
    work.replaced = true;
  }
  work.replacing = replacing.has_value();
  work.own_changed = replaced;
  CHATSDK_ASSIGN(const Standing standing, keys_.standing(transaction.kept(), own_device(), branch()));
  if (!live_ && standing != Standing::kListed) {
    work.unlinked = unlinks_.size();
    return {};
  }
  if (replacing && may_replace()) return decide_replacing(transaction, replacing->place, work);
  const bool may_sign = standing != Standing::kRemoved && standing != Standing::kNoKeys;
  if (may_sign) CHATSDK_TRY(collect_lost(transaction, work));
  const bool is_to_list = standing == Standing::kAnotherDevice || standing == Standing::kUnlisted;
  CHATSDK_ASSIGN(const bool is_at_end, is_at_last_version(transaction));
  if (is_to_list && is_at_end) {
    give_up_unlinks(work);
    become(EncryptionState::kLinkNeeded);
    return {};
  }
  switch (standing) {
    case Standing::kNoKeys: {
      CHATSDK_ASSIGN(const e2ee::KnownUser* own, transaction.state().user(session_.owner()));
      if (server_names_list_ || own != nullptr) {
        work.unlinked = unlinks_.size();
        if (!replacing) become(EncryptionState::kLinkNeeded);
        return {};
      }
      CHATSDK_ASSIGN(auto upload, keys_.begin_account(transaction.kept(), own_device(), device_name(), now_ms()));
      add_list(std::move(upload), work);
      return {};
    }
    case Standing::kAnotherDevice: {
      CHATSDK_ASSIGN(auto upload,
                     keys_.begin_anew(transaction.kept(), own_device(), device_name(), forgotten_, now_ms(), branch()));
      add_list(std::move(upload), work);
      return outgrow(transaction, work);
    }
    case Standing::kUnlisted: {
      CHATSDK_ASSIGN(auto upload, keys_.list_with_self(transaction.kept(), forgotten_, now_ms(), branch()));
      add_list(std::move(upload), work);
      return outgrow(transaction, work);
    }
    case Standing::kRemoved:
      work.unlinked = unlinks_.size();
      if (replacing) return {};
      become(EncryptionState::kLinkNeeded);
      return leave_list(transaction, work);
    case Standing::kListed:
      break;
  }
  return decide_listed(transaction, work);
}

// Behind another identity than the one that was to be replaced, a key that was drawn before may have been on the server
// and be gone already.
Status KeyUpkeep::decide_replacing(E2eeTransaction& transaction, const std::optional<e2ee::SigningKey>& place,
                                   Work& work) {
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, transaction.state().user(session_.owner()));
  if (own == nullptr) return error(Code::kWrongState, "no account key of this user is known");
  CHATSDK_TRY(make_room_to_replace(transaction, work));
  if (work.cannot_replace) return {};
  CHATSDK_ASSIGN(own, transaction.state().user(session_.owner()));
  const bool again = place == own->account_key;
  work.replaces = own->account_key;
  if (!again) CHATSDK_TRY(transaction.notes().put_replacing(e2ee::SqlNotes::Replacing{own->account_key}));
  CHATSDK_ASSIGN(auto upload, keys_.replace_account(transaction.kept(), own_device(), device_name(),
                                                    {again, server_version_}, now_ms()));
  add_list(std::move(upload), work);
  return {};
}

// What follows the first list of a new key has to be taken by who meets the user first, too. Where the pinned key has
// come as far as that, and the server shows lists of another one, the pinned one was made up.
Status KeyUpkeep::make_room_to_replace(E2eeTransaction& transaction, Work& work) {
  const auto is_full = [this](const e2ee::KnownUser& own) {
    return std::max(own.newest().version, server_version_) >= limits::e2ee::kListBegunMax;
  };
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, transaction.state().user(session_.owner()));
  if (!is_full(*own)) return {};
  if (!shown_ || is_full(*shown_)) {
    work.cannot_replace = error(Code::kLimitReached, "no version is left for lists of another account key");
    return {};
  }
  work.own_changed = work.takes_shown = true;
  return e2ee::DirectConversations::take_shown(transaction.kept(), *shown_, work.events);
}

Result<bool> KeyUpkeep::is_at_last_version(E2eeTransaction& transaction) {
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, transaction.state().user(session_.owner()));
  if (branch_) own = branch();
  return own != nullptr && own->newest().version >= limits::e2ee::kListVersionMax;
}

void KeyUpkeep::give_up_unlinks(Work& work) {
  work.unlinked = unlinks_.size();
  work.unlinked_as = error(Code::kLimitReached, "the device list has come to its last version");
}

void KeyUpkeep::add_list(e2ee::ListUpload upload, Work& work) {
  work.lists.push_back(std::move(upload.list));
  work.records.insert(work.records.end(), upload.records.begin(), upload.records.end());
}

// What the server's store has lost when it was put back goes ahead of anything new.
Status KeyUpkeep::collect_lost(E2eeTransaction& transaction, Work& work) {
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, transaction.state().user(session_.owner()));
  if (own == nullptr || branch_) return {};
  // A server without any list is to take those that are kept, be the first not among them.
  const bool without_first = server_version_ == 0 && own->oldest().version > 1;
  work.replaces_earlier_key = server_holds_earlier_key_ || without_first;
  const std::uint64_t has = server_holds_earlier_key_ ? 0 : server_version_;
  for (const e2ee::DeviceList& list : own->lists) {
    if (list.version <= has) continue;
    work.lists.push_back(list.bytes);
    for (const e2ee::ListedDevice& device : list.devices) {
      const auto record = own->records.find(device.record_hash);
      if (record == own->records.end()) continue;
      const Bytes& bytes = record->second.bytes;
      const bool twice = std::find(work.records.begin(), work.records.end(), bytes) != work.records.end();
      if (!twice) work.records.push_back(bytes);
    }
  }
  return {};
}

// Whom the known lists have taken out, and the server's newest names all the same: it was put back, and nobody else
// need know of it. For as long as it stands there it cannot be linked.
Status KeyUpkeep::leave_list(E2eeTransaction& transaction, Work& work) {
  CHATSDK_ASSIGN(const e2ee::Self* self, transaction.state().self());
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, transaction.state().user(session_.owner()));
  if (own == nullptr || server_holds_earlier_key_ || !holds_account_of(*self, *own)) return {};
  const e2ee::DeviceList* shown = branch_ ? &branch_->newest() : own->list(server_version_);
  const e2ee::ListedDevice* place = shown == nullptr ? nullptr : shown->find(session_.device_id());
  if (place == nullptr || place->record_hash != self->record.hash || own->newest().find(place->device_id)) return {};
  if (!branch_) return collect_lost(transaction, work);
  CHATSDK_ASSIGN(const bool is_at_end, is_at_last_version(transaction));
  if (is_at_end || taken_out_of(*own, *shown).size() == shown->devices.size()) return {};
  CHATSDK_ASSIGN(auto upload, keys_.next_list(transaction.kept(), {}, {}, now_ms(), branch()));
  add_list(std::move(upload), work);
  return outgrow(transaction, work);
}

// Versions do not go back: what joins two branches, or takes the place of another key's lists, is above both.
Status KeyUpkeep::outgrow(E2eeTransaction& transaction, Work& work) {
  if (work.lists.empty() || (!branch_ && !server_holds_earlier_key_)) return {};
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, transaction.state().user(session_.owner()));
  const std::uint64_t known = own == nullptr || !branch_ ? 0 : own->newest().version;
  const auto last = e2ee::parse_device_list(work.lists.back());
  if (!last) return error(Code::kInternal, "an own list that does not parse");
  const std::uint64_t above = std::min(std::max(known, server_version_) + 1, limits::e2ee::kListVersionMax);
  CHATSDK_ASSIGN(auto more, keys_.repeat_list(transaction.kept(), *last, above, work.lists.size(), now_ms()));
  work.lists.insert(work.lists.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return {};
}

// Whom the app has removed, and whom the server has forgotten: another device without a place in the list may have
// removed it. A server that says so falsely can do no more than keep that device from speaking.
Status KeyUpkeep::take_out_gone(E2eeTransaction& transaction, Work& work) {
  CHATSDK_ASSIGN(const e2ee::KnownUser* known, transaction.state().user(session_.owner()));
  const e2ee::KnownUser* own = branch_ ? branch() : known;
  const e2ee::DeviceList& newest = own->newest();
  std::set<DeviceId> gone;
  for (const DeviceId device : forgotten_) {
    if (newest.find(device) != nullptr && device != session_.device_id()) gone.insert(device);
  }
  for (const Unlink& wanted : unlinks_) {
    const bool leaves_another = gone.size() + 1 < newest.devices.size() || gone.count(wanted.device) != 0;
    if (newest.find(wanted.device) != nullptr && leaves_another) gone.insert(wanted.device);
  }
  if (gone.empty() && !branch_) {
    work.unlinked = unlinks_.size();
    return {};
  }
  CHATSDK_ASSIGN(const bool is_at_end, is_at_last_version(transaction));
  if (is_at_end) {
    give_up_unlinks(work);
    return {};
  }
  const std::vector<DeviceId> remove(gone.begin(), gone.end());
  CHATSDK_ASSIGN(auto upload, keys_.next_list(transaction.kept(), {}, remove, now_ms(), branch()));
  add_list(std::move(upload), work);
  return {};
}

Status KeyUpkeep::decide_listed(E2eeTransaction& transaction, Work& work) {
  CHATSDK_ASSIGN(bool in_doubt, transaction.notes().list_in_doubt());
  if (in_doubt && server_has_newest_) {
    CHATSDK_TRY(transaction.notes().list_is_there());
    work.own_changed = true;
    in_doubt = false;
  }
  if (in_doubt) become(EncryptionState::kPreparing);
  if (server_has_newest_ && !work.replacing) {
    // What an earlier version of the library has given up.
    CHATSDK_ASSIGN(const auto forgotten, transaction.state().next_self());
    if (forgotten) CHATSDK_TRY(transaction.state().drop_next_self());
  }
  CHATSDK_TRY(take_out_gone(transaction, work));
  CHATSDK_TRY(outgrow(transaction, work));
  if (!work.lists.empty() || !live_) return {};
  const bool compared = !CHATSDK_PLANTED(Bug::kDigestWithoutPause) && digest_asked_ &&
                        context_.now() - *digest_asked_ < context_.options.lifetimes.digest_interval;
  CHATSDK_ASSIGN(const auto waiting, transaction.notes().prekeys_to_upload());
  if (!compared && waiting.empty()) {
    CHATSDK_ASSIGN(const auto prekeys, transaction.state().prekeys());
    work.ask_digest = !prekeys.empty();
    if (work.ask_digest) return {};
  }
  CHATSDK_ASSIGN(work.prekeys, keys_.due_upload(transaction.kept(), holds_, now_ms()));
  // Without prekeys on the server nobody could begin a session with this device.
  if (!work.prekeys && !in_doubt && !work.replacing) become(EncryptionState::kReady);
  CHATSDK_ASSIGN(work.look_again_ms, keys_.rotation_due_ms(transaction.kept()));
  return {};
}

void KeyUpkeep::wait_until(std::uint64_t wall_ms) {
  const std::uint64_t now = now_ms();
  const std::chrono::milliseconds left(wall_ms > now ? static_cast<std::int64_t>(wall_ms - now) : 0);
  const std::chrono::milliseconds pause = std::min(left, context_.options.lifetimes.upkeep_look);
  timer_.start_after(std::max<std::chrono::milliseconds>(pause, limits::e2ee::kUpkeepLookMin), [this] { schedule(); });
}

void KeyUpkeep::failed(const Error& cause) {
  context_.debug("keys", std::string(code_name(cause.code)) + ": " + cause.detail);
  busy_ = false;
  // Another device may have changed the list meanwhile: then it is made anew, behind that one.
  const bool list_in_doubt = cause.code == Code::kConflict && ++conflicts_ < kConflictsMax;
  if (!list_in_doubt) {
    conflicts_ = 0;
    end_unlinks(unlinks_.size(), cause);
  }
  if (is_wanted()) pause(backoff_.next(cause.retry_after));
}

void KeyUpkeep::pause(std::chrono::milliseconds pause) {
  pauses_ = true;
  timer_.start_after(pause, [this] { schedule(); });
}

void KeyUpkeep::become(EncryptionState state) {
  if (std::exchange(state_, state) != state) observer_.on_encryption_state(state);
}

void KeyUpkeep::unlink(DeviceId device, Session::StatusCallback done) {
  // Without a connection nobody may have asked for the session yet.
  if (auto loaded = session_.load(); !loaded.ok()) return done(std::move(loaded));
  if (session_.owner().empty()) return done({});
  unlinks_.push_back({device, std::move(done)});
  if (!live_) doubt_own_lists();
  schedule();
}

void KeyUpkeep::end_unlinks(std::size_t count, const Status& status) {
  const auto end = unlinks_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Unlink> ended(std::make_move_iterator(unlinks_.begin()), std::make_move_iterator(end));
  unlinks_.erase(unlinks_.begin(), end);
  for (Unlink& one : ended) one.done(status);
}

Status KeyUpkeep::replace_account() {
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, store_.state().user(session_.owner()));
  if (own == nullptr) return error(Code::kWrongState, "no account key of this user is known");
  const auto written = store_.write([](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN(const auto replacing, transaction.notes().replacing());
    return replacing ? Status() : transaction.notes().put_replacing(e2ee::SqlNotes::Replacing{});
  });
  if (!written.ok()) return written.error();
  become(EncryptionState::kPreparing);
  ask_own_lists();
  return {};
}

// Nothing of it stays: nobody would ever use it.
Result<bool> KeyUpkeep::forget_replacing(E2eeTransaction& transaction) {
  CHATSDK_ASSIGN(const auto replacing, transaction.notes().replacing());
  CHATSDK_TRY(transaction.notes().put_replacing(std::nullopt));
  CHATSDK_TRY(transaction.state().drop_next_self());
  return replacing.has_value();
}

void KeyUpkeep::give_up_replacing(const Error& cause) {
  bool was_asked = false;
  const auto written = store_.write([&was_asked](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN(was_asked, forget_replacing(transaction));
    return {};
  });
  replace_backoff_.reset();
  replace_conflicts_ = 0;
  if (!written.ok()) return context_.debug("keys", "an account key that was refused could not be dropped");
  if (was_asked) context_.events.identity_replaced(cause);
}

Result<e2ee::Standing> KeyUpkeep::standing() {
  return keys_.standing({store_.state(), store_.notes()}, own_device(), branch());
}

Result<const e2ee::KnownUser*> KeyUpkeep::own_lists() {
  if (branch_) return branch();
  if (shown_) return &*shown_;
  return store_.state().user(session_.owner());
}

void KeyUpkeep::adopt(e2ee::Granted granted, Session::StatusCallback done) {
  adopting_ = {std::move(granted), std::move(done)};
  ask_own_lists();
}

void KeyUpkeep::adopt_now() {
  Adopting adopting = *std::exchange(adopting_, std::nullopt);
  // With it: what was to replace the key of before would replace the one that was granted.
  bool was_replacing = false;
  // Two codes that were compared say more than the server: what it made this device pin is left for what it shows now.
  const bool takes_shown = shown_ && shown_->account_key == adopting.granted.list.account_key;
  std::vector<e2ee::Event> events;
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    if (takes_shown) CHATSDK_TRY(e2ee::DirectConversations::take_shown(transaction.kept(), *shown_, events));
    CHATSDK_TRY(keys_.adopt_account(transaction.kept(), own_device(), device_name(), std::move(adopting.granted),
                                    now_ms(), branch()));
    CHATSDK_ASSIGN(was_replacing, forget_replacing(transaction));
    return transaction.notes().keep_events(events);
  });
  if (written.ok()) {
    CHATSDK_FAULT("encryption.between_adopted_and_listed");
    replace_backoff_.reset();
    replace_conflicts_ = 0;
    if (was_replacing) context_.events.identity_replaced(error(Code::kCancelled, "this device was linked"));
    if (branch_ || takes_shown) lists_known_ = false;
    branch_.reset();
    shown_.reset();
    become(EncryptionState::kPreparing);
    if (!events.empty()) observer_.on_encryption_events(std::move(events));
    if (takes_shown) observer_.on_own_keys_changed();
  }
  adopting.done(written.ok() ? Status() : Status(written.error()));
  schedule();
}

std::string KeyUpkeep::device_name() const {
  std::string name = context_.options.device_name;
  while (name.size() > limits::e2ee::kDeviceNameBytesMax || !is_utf8(name)) name.pop_back();
  return name;
}

// ---- Own lists -----------------------------------------------------------------------------------------------------

void KeyUpkeep::query_own_lists() {
  const auto awaited = store_.notes().awaited_list(session_.owner());
  if (!awaited.ok()) return failed(awaited.error());
  const auto own = store_.state().user(session_.owner());
  if (!own.ok()) return failed(own.error());
  wire::DeviceListsRequest request;
  ask_for(session_.owner(), *own, request);
  busy_ = asked_since_ = true;
  session_.authorized<wire::DeviceLists>(
      [this, request = std::move(request)](const std::string& token, RestApi::Callback<wire::DeviceLists> done) {
        rest_.device_lists(token, request, std::move(done));
      },
      guard_.wrap(
          [this, awaited = *awaited](Result<wire::DeviceLists> answer) { on_own_lists(awaited, std::move(answer)); }));
}

void KeyUpkeep::on_own_lists(std::uint64_t awaited, Result<wire::DeviceLists> answer) {
  if (!answer.ok()) return failed(answer.error());
  if (answer->users_size() != 1 || answer->users(0).user_id() != session_.owner()) {
    return failed(error(Code::kProtocol, "an answer about other users"));
  }
  const wire::DeviceLists::OfUser& own = answer->users(0);
  const e2ee::UserLists given{session_.owner(), to_vector(own.lists()), to_vector(own.records())};
  const auto apart = part_from_known(given);
  if (!apart.ok()) return failed(apart.error());
  std::vector<e2ee::Event> events;
  bool changed = false;
  bool has_more = false;
  if (!*apart && (own.lists_size() > 0 || awaited != 0)) {
    const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
      // Where the server's store went back, this is of before the other key.
      CHATSDK_ASSIGN(const bool in_doubt, transaction.notes().list_in_doubt());
      if (!in_doubt) {
        CHATSDK_ASSIGN(changed, conversations_.go_back_to_own(transaction.kept(), given, events));
      }
      if (!changed) {
        CHATSDK_ASSIGN(const auto learned,
                       conversations_.take_lists(transaction.kept(), given, awaited, now_ms(), events));
        changed = brought_something(learned.result);
        has_more = is_page(learned.result, own);
      }
      return transaction.notes().keep_events(events);
    });
    if (!written.ok()) return failed(written.error());
  }
  const auto known = store_.state().user(session_.owner());
  if (!known.ok()) return failed(known.error());
  const std::uint64_t known_version = *known == nullptr ? 0 : (*known)->newest().version;
  forgotten_.clear();
  // A server of before this says nothing of devices.
  const e2ee::KnownUser* const lists = branch_ ? branch() : *known;
  if (lists != nullptr && own.devices_size() > 0) {
    const std::set<std::uint64_t> there(own.devices().begin(), own.devices().end());
    for (const e2ee::ListedDevice& device : lists->newest().devices) {
      if (there.count(device.device_id.value) == 0) forgotten_.push_back(device.device_id);
    }
  }
  // What is of a key that is known to come before was not taken. What is made up is no list at all.
  auto shown = given.lists.empty() ? std::nullopt : e2ee::valid_device_list(given.lists.back(), given.user_id);
  const auto is_of_another = [&] { return shown && *known != nullptr && shown->account_key != (*known)->account_key; };
  if (shown && (*known == nullptr || is_of_another()) && e2ee::is_made_up(*known, *shown)) shown.reset();
  server_holds_earlier_key_ = is_of_another();
  shown_.reset();
  if (is_of_another()) shown_ = e2ee::learn(nullptr, given.user_id, given.lists, given.records).user;
  // No list at all: the one that was named is the newest.
  const bool is_same = *known != nullptr && (given.lists.empty() || (shown && shown->hash == (*known)->newest().hash));
  server_has_newest_ = is_same && known_version == own.newest_version();
  // Nobody has signed the number: what is made behind it could not be undone.
  server_names_list_ = own.newest_version() > 0;
  server_version_ = std::min(own.newest_version(), std::max(known_version, shown ? shown->version : 0));
  has_more = has_more && known_version < own.newest_version();
  lists_known_ = asked_since_ && !has_more;
  busy_ = false;
  if (!has_more) backoff_.reset();
  if (!events.empty()) observer_.on_encryption_events(std::move(events));
  if (changed) observer_.on_own_keys_changed();
  if (lists_known_) observer_.on_own_lists_answered();
  if (has_more && !lists_at_once_.take({session_.owner(), {}}, now_ms())) {
    return pause(backoff_.next());
  }
  schedule();
}

// True: the server's own lists part from those that are known, and do not count by themselves, or not with this device.
// Nothing of them is learned then: who is in neither as the other has it is judged by whoever joins them.
Result<bool> KeyUpkeep::part_from_known(const e2ee::UserLists& given) {
  branch_.reset();
  CHATSDK_ASSIGN(const e2ee::KnownUser* known, store_.state().user(session_.owner()));
  if (known == nullptr || given.lists.empty()) return false;
  auto branch = e2ee::branch_against(*known, given.lists, given.records);
  if (!branch) return false;
  const e2ee::DeviceList& newest = branch->newest();
  const bool counts = newest.version > known->newest().version && taken_out_of(*known, newest).empty();
  CHATSDK_ASSIGN(const Standing there, keys_.standing({store_.state(), store_.notes()}, own_device(), &*branch));
  if (counts && there != Standing::kRemoved) return false;
  const bool may_join = there != Standing::kRemoved && there != Standing::kNoKeys;
  std::vector<e2ee::Event> refused;
  if (!may_join && told_branch_ != newest.hash)
    refused.push_back({e2ee::EventKind::kListRefused, session_.owner(), {}});
  const auto written = store_.write([&refused](E2eeTransaction& transaction) -> Status {
    CHATSDK_TRY(transaction.notes().doubt_list());
    return transaction.notes().keep_events(refused);
  });
  if (!written.ok()) return written.error();
  if (!may_join) told_branch_ = newest.hash;
  if (!refused.empty()) observer_.on_encryption_events(std::move(refused));
  branch_ = std::move(branch);
  return true;
}

void KeyUpkeep::upload_list(Work work) {
  wire::DeviceListUpload request;
  for (const Bytes& list : work.lists) request.add_lists(list);
  for (const Bytes& record : work.records) request.add_records(record);
  request.set_replaces_account_key(work.replaces || work.replaces_earlier_key);
  busy_ = true;
  session_.authorized<void>(
      [this, request = std::move(request)](const std::string& token, RestApi::Callback<void> done) {
        rest_.upload_lists(token, request, std::move(done));
      },
      guard_.wrap([this, work = std::move(work)](Status answer) { on_list_uploaded(work, std::move(answer)); }));
}

void KeyUpkeep::on_list_uploaded(const Work& work, Status answer) {
  if (!answer.ok()) {
    const bool in_doubt = answer.code() == Code::kConflict;
    // Forbidden: by now it names this device no more.
    lists_known_ = lists_known_ && !in_doubt && answer.code() != Code::kForbidden;
    // What the server will never take is given up; so is what it refuses time and again.
    replaces_later_ = work.replaces.has_value();
    const bool is_final =
        in_doubt ? work.replaces && ++replace_conflicts_ >= kReplaceConflictsMax : !code_is_retryable(answer.code());
    if (work.replaces && is_final) give_up_replacing(answer.error());
    return failed(answer.error());
  }
  std::vector<e2ee::Event> events;
  if (auto learned = learn_uploaded(work, events); !learned.ok()) return failed(learned.error());
  CHATSDK_FAULT("keys.between_list_and_prekeys");
  conflicts_ = 0;
  busy_ = false;
  backoff_.reset();
  if (!events.empty()) observer_.on_encryption_events(std::move(events));
  observer_.on_own_keys_changed();
  // What was held until two branches were one.
  if (lists_known_) observer_.on_own_lists_answered();
  schedule();
}

// With what joins two branches the other one is learned, as soon as it is longer than what is known.
Status KeyUpkeep::learn_uploaded(const Work& work, std::vector<e2ee::Event>& events) {
  const auto newest = e2ee::parse_device_list(work.lists.back());
  if (!newest) return error(Code::kInternal, "an own list that does not parse");
  CHATSDK_ASSIGN(const e2ee::KnownUser* before, store_.state().user(session_.owner()));
  e2ee::UserLists given{session_.owner(), work.lists, work.records};
  if (branch_ && !work.replaces) {
    if (before != nullptr && newest->version <= before->newest().version) {
      lists_known_ = false;
      return {};
    }
    std::vector<Bytes> lists;
    for (const e2ee::DeviceList& list : branch_->lists) lists.push_back(list.bytes);
    given.lists.insert(given.lists.begin(), lists.begin(), lists.end());
    for (const auto& [hash, record] : branch_->records) given.records.push_back(record.bytes);
  }
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN([[maybe_unused]] const auto learned,
                   conversations_.take_lists(transaction.kept(), given, 0, now_ms(), events));
    return transaction.notes().keep_events(events);
  });
  if (!written.ok()) return written.error();
  CHATSDK_ASSIGN(const e2ee::KnownUser* known, store_.state().user(session_.owner()));
  branch_.reset();
  server_version_ = std::max(server_version_, newest->version);
  server_names_list_ = true;
  server_holds_earlier_key_ = false;
  server_has_newest_ = known != nullptr && known->newest() == *newest;
  return {};
}

// ---- Prekeys -------------------------------------------------------------------------------------------------------

void KeyUpkeep::query_digest() {
  busy_ = true;
  session_.authorized<wire::KeyDigest>(
      [this](const std::string& token, RestApi::Callback<wire::KeyDigest> done) {
        rest_.key_digest(token, std::move(done));
      },
      guard_.wrap([this](Result<wire::KeyDigest> answer) {
        if (!answer.ok()) return failed(answer.error());
        if (answer->digest().size() != e2ee::Hash::size()) {
          return failed(error(Code::kProtocol, "a digest of " + std::to_string(answer->digest().size()) + " B"));
        }
        holds_.digest = e2ee::Hash::from(answer->digest());
        digest_asked_ = context_.now();
        busy_ = false;
        schedule();
      }));
}

void KeyUpkeep::upload_prekeys(e2ee::PrekeyUpload upload) {
  wire::PrekeyUpload request;
  request.set_signed_prekey(upload.signed_prekey);
  request.set_last_resort_prekey(upload.last_resort);
  for (const Bytes& prekey : upload.one_time) request.add_one_time_prekeys(prekey);
  for (const Bytes& prekey : upload.one_time_kem) request.add_one_time_kem_prekeys(prekey);
  request.set_drop_below(drop_below_);
  busy_ = true;
  session_.authorized<wire::KeyCounts>(
      [this, request = std::move(request)](const std::string& token, RestApi::Callback<wire::KeyCounts> done) {
        rest_.upload_prekeys(token, request, std::move(done));
      },
      guard_.wrap([this, upload = std::move(upload)](Result<wire::KeyCounts> answer) {
        if (!answer.ok()) {
          // Another list, or other keys, than this device knows of.
          const bool in_doubt = answer.code() == Code::kConflict || answer.code() == Code::kForbidden;
          if (in_doubt) lists_known_ = false;
          if (answer.code() == Code::kLimitReached) give_up_one_time(upload);
          return failed(answer.error());
        }
        CHATSDK_FAULT("keys.between_prekeys_and_noting");
        const auto written = store_.write(
            [&](E2eeTransaction& transaction) -> Status { return keys_.taken(transaction.kept(), upload); });
        if (!written.ok()) return failed(written.error());
        drop_below_ = 0;
        holds_ = {};
        holds_.counts = e2ee::StoredCounts{answer->one_time(), answer->one_time_kem()};
        busy_ = false;
        backoff_.reset();
        schedule();
      }));
}

// The server has as many as it keeps, whatever it said before: these never get there, and a pair of signed and
// last-resort prekey that is with them does without.
void KeyUpkeep::give_up_one_time(const e2ee::PrekeyUpload& upload) {
  const auto written = store_.write(
      [&](E2eeTransaction& transaction) -> Status { return keys_.give_up_one_time(transaction.kept(), upload); });
  if (!written.ok()) context_.debug("keys", "prekeys that the server does not take could not be given up");
}

}  // namespace chatsdk
