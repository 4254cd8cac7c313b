// SPDX-License-Identifier: Apache-2.0
#include "e2ee/direct.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/fault.h"
#include "base/wipe.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"
#include "e2ee/own_keys.h"

namespace chatsdk::e2ee {
namespace {

Peer own_peer(const Self& self) { return {self.record.user_id, self.record.device_id}; }

bool is_outcome(Code code) {
  return code == kDuplicate || code == kNoSession || code == kUntrusted || code == kBadMessage;
}

// The list of a member that the roster means, where it is kept byte for byte. Where the user is known anew since, it
// has reached no version.
const DeviceList* list_of(const KnownUser* user, const RosterMember& member) {
  if (user != nullptr && member.list_version == 0) {
    const auto at = std::find_if(user->lists.begin(), user->lists.end(),
                                 [&member](const DeviceList& list) { return list.hash == member.list_hash; });
    return at == user->lists.end() ? nullptr : &*at;
  }
  const DeviceList* list = user == nullptr ? nullptr : user->list(member.list_version);
  return list != nullptr && list->hash == member.list_hash ? list : nullptr;
}

// Whether a device of the list has left the newest one since, or has other keys there.
bool has_left(const KnownUser& user, const DeviceList& list, DeviceId device_id) {
  const DeviceRecord* then = listed(user, list.version, device_id);
  const DeviceRecord* now = listed(user, device_id);
  return then != nullptr && (now == nullptr || now->hash != then->hash);
}

const RosterMember* find_member(const Roster& roster, const UserId& user_id) {
  const auto at = std::find_if(roster.members.begin(), roster.members.end(),
                               [&user_id](const RosterMember& member) { return member.user_id == user_id; });
  return at == roster.members.end() ? nullptr : &*at;
}

void add_events(const Learned& learned, const UserId& user_id, bool was_verified, std::vector<Event>& events) {
  switch (learned.result) {
    case Learning::kIdentityChanged:
      if (CHATSDK_PLANTED(Bug::kIdentityChangeUntold)) break;
      events.push_back({EventKind::kIdentityChanged, user_id, {}});
      if (was_verified) events.push_back({EventKind::kVerifiedChanged, user_id, {}});
      break;
    case Learning::kRefused:
      // What lies between, or comes behind another branch, is asked for, and what comes is judged then.
      if (!learned.missing && !learned.against) events.push_back({EventKind::kListRefused, user_id, {}});
      break;
    default:
      break;
  }
  for (const DeviceId device : learned.added) events.push_back({EventKind::kDeviceAdded, user_id, device});
  for (const DeviceId device : learned.removed) events.push_back({EventKind::kDeviceRemoved, user_id, device});
}

// Nobody need be told that this device has come, or of the account key that its own user has just asked for, however
// the list comes that says so.
Status leave_out_own(Kept kept, const KnownUser& own, std::vector<Event>& events) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  CHATSDK_ASSIGN(const auto next, kept.state.next_self());
  const bool is_asked_for = next && holds_account_of(*next, own);
  const DeviceRecord* record = self == nullptr ? nullptr : listed(own, self->record.device_id);
  const bool is_listed = record != nullptr && record->hash == self->record.hash;
  std::erase_if(events, [&](const Event& event) {
    if (event.user_id != own.user_id) return false;
    if (event.kind == EventKind::kIdentityChanged) return is_asked_for;
    return event.kind == EventKind::kDeviceAdded && is_listed && event.device_id == self->record.device_id;
  });
  return {};
}

// Who was forgotten, or whose key of before counts again, is read by what rosters that have come already name.
Status begin_again(Kept kept, const KnownUser& user, std::vector<Event>& events) {
  CHATSDK_TRY(kept.notes.stand_by_newest(user));
  events.push_back({EventKind::kIdentityChanged, user.user_id, {}});
  return {};
}

Result<Learned> learn_of(Kept kept, const UserLists& given, std::uint64_t now_ms, std::vector<Event>& events) {
  CHATSDK_ASSIGN(const KnownUser* known, kept.state.user(given.user_id));
  const bool was_verified = known != nullptr && known->verified;
  CHATSDK_ASSIGN(Learned learned, learn_lists(kept.state, given.user_id, given.lists, given.records, now_ms));
  if (learned.result == Learning::kIdentityChanged && !CHATSDK_PLANTED(Bug::kIdentityChangeUntold)) {
    CHATSDK_TRY(kept.notes.note_identity_changed(given.user_id, true));
    CHATSDK_TRY(kept.notes.forget_identity(given.user_id));
    CHATSDK_TRY(kept.notes.keep_former(*learned.former, now_ms));
    CHATSDK_ASSIGN(const Self* self, kept.state.self());
    const bool is_left =
        self != nullptr && kept.notes.is_owner(given.user_id) && holds_account_of(*self, *learned.former);
    if (is_left) CHATSDK_TRY(kept.notes.note_left_list(learned.former->newest().hash));
  }
  for (const DeviceId device : learned.removed) CHATSDK_TRY(kept.notes.ask_no_more(given.user_id, device));
  if (learned.against && learned.user) {
    CHATSDK_TRY(kept.notes.note_branch(given.user_id, learned.user->newest().version));
  }
  if (learned.result == Learning::kFirstContact) {
    CHATSDK_ASSIGN(const bool was_forgotten, kept.notes.take_forgotten(given.user_id));
    if (was_forgotten) CHATSDK_TRY(begin_again(kept, *learned.user, events));
  }
  std::vector<Event> told;
  add_events(learned, given.user_id, was_verified, told);
  if (learned.user && kept.notes.is_owner(given.user_id)) {
    CHATSDK_TRY(note_place(kept, *learned.user));
    CHATSDK_TRY(leave_out_own(kept, *learned.user, told));
  }
  events.insert(events.end(), told.begin(), told.end());
  return learned;
}

// What the server shows as the user's newest. A list of a key that comes before what is known is of a server that went
// back, or of an identity that was begun by a clock or a list that was behind, or it is the real one, and what is known
// was made up: nothing is written for it but that it was told of. Under its own account key this device puts the own
// ones right.
Result<Learned> learn_newest(Kept kept, const UserLists& given, std::uint64_t now_ms, std::vector<Event>& events) {
  CHATSDK_ASSIGN(Learned learned, learn_of(kept, given, now_ms, events));
  const bool is_shorter = learned.against && learned.result == Learning::kRefused && !learned.missing;
  if (is_shorter) events.push_back({EventKind::kListRefused, given.user_id, {}});
  if (learned.result != Learning::kIgnored) return learned;
  const auto newest = parse_device_list(given.lists.back());
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  CHATSDK_ASSIGN(const KnownUser* known, kept.state.user(given.user_id));
  const bool puts_right =
      !learned.passed_over && kept.notes.is_owner(given.user_id) && self != nullptr && holds_account_of(*self, *known);
  if (!newest || puts_right) return learned;
  CHATSDK_ASSIGN(const bool is_news, kept.notes.note_passed_over(given.user_id, newest->account_key));
  if (is_news) events.push_back({EventKind::kListRefused, given.user_id, {}});
  return learned;
}

// Of the last list that came.
RosterMember member_of(const UserLists& given) {
  const auto newest = parse_device_list(given.lists.back());
  return newest ? RosterMember{given.user_id, newest->version, newest->hash} : RosterMember{given.user_id, 0, {}};
}

// Its list is none that could be kept: items of the user are UNTRUSTED, and nothing is sent.
RosterMember member_without_list(const UserId& user_id, std::uint64_t version) { return {user_id, version, {}}; }

// What is signed under the account key that counts, be it that some lists between are missing, or that it is of a
// branch that does not count yet.
bool is_signed(const Learned& learned) {
  return learned.missing || learned.against ||
         (learned.result != Learning::kRefused && learned.result != Learning::kIgnored);
}

void put_member(Roster& roster, RosterMember member) {
  for (RosterMember& known : roster.members) {
    if (known.user_id != member.user_id) continue;
    known = std::move(member);
    return;
  }
  roster.members.push_back(std::move(member));
}

// Of what is known well enough without being opened.
std::optional<ItemResult::Outcome> outcome_of(KnownMessage::State known, bool has_slice) {
  using Known = KnownMessage::State;
  switch (known) {
    case Known::kUnknown:
      return std::nullopt;
    case Known::kShown:
      if (CHATSDK_PLANTED(Bug::kShownAtEachPlace)) return std::nullopt;
      return ItemResult::Outcome::kRepeated;
    case Known::kWhole:
      return ItemResult::Outcome::kKnown;
    case Known::kUnread:
      return has_slice ? std::nullopt : std::optional(ItemResult::Outcome::kRepeated);
    case Known::kPlaceholder:
    case Known::kWaiting:
      return has_slice ? std::nullopt : std::optional(ItemResult::Outcome::kKnown);
  }
  return std::nullopt;
}

// The roster means a list that verified and is not kept: it does not connect yet with those that are, or stands against
// them.
bool may_be_missing(const KnownUser* user, const RosterMember& member) {
  return member.list_hash != Hash{} && user != nullptr && member.list_version >= user->oldest().version;
}

// Another branch of the own user's lists is judged by who can join it with the one that is known here (section 12).
Result<bool> is_own_branch(Kept kept, const UserId& own, const UserLists& given) {
  if (given.user_id != own) return false;
  CHATSDK_ASSIGN(const KnownUser* known, kept.state.user(own));
  return known != nullptr && seem_another_branch(*known, given.lists);
}

// A send names the newest lists that are known, whichever the roster means.
void name_newest(const KnownUser* user, bool is_peer, Plan& plan) {
  (is_peer ? plan.peer_list_version : plan.own_list_version) = user == nullptr ? 0 : user->newest().version;
}

void wait_until(std::uint64_t until_ms, Plan& plan) {
  if (plan.ask_again_ms == 0 || until_ms < plan.ask_again_ms) plan.ask_again_ms = until_ms;
}

void finish(Plan& plan) {
  const bool waits = !plan.lists.empty() || !plan.bundles.empty() || plan.ask_again_ms != 0;
  plan.outcome = waits ? Plan::Outcome::kWaits : Plan::Outcome::kReady;
  std::sort(plan.devices.begin(), plan.devices.end(),
            [](const Peer& a, const Peer& b) { return a.device_id < b.device_id; });
}

std::chrono::milliseconds as_time(std::uint64_t ms) {
  return std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(ms));
}

// What is kept of the user, where the account key is still the one that the app means.
Result<const KnownUser*> same_identity(State& state, const Identity& peer) {
  CHATSDK_ASSIGN(const KnownUser* known, state.user(peer.user_id));
  if (known == nullptr) return error(Code::kNotFound, "nothing is known of this user");
  if (known->account_key != peer.account_key) {
    return error(Code::kConflict, "the account key of this user is another one by now");
  }
  return known;
}

}  // namespace

// ---- Lists and bundles ---------------------------------------------------------------------------------------------

Result<Learned> DirectConversations::take_lists(Kept kept, const UserLists& given, std::uint64_t awaited,
                                                std::uint64_t now_ms, std::vector<Event>& events) {
  Learned learned;
  learned.result = Learning::kSame;
  if (!given.lists.empty()) {
    CHATSDK_ASSIGN(learned, learn_newest(kept, given, now_ms, events));
  }
  CHATSDK_ASSIGN(const KnownUser* known, kept.state.user(given.user_id));
  if (given.lists.empty() && known == nullptr) events.push_back({EventKind::kPeerWithoutKeys, given.user_id, {}});
  CHATSDK_ASSIGN(const std::uint64_t still_awaited, kept.notes.awaited_list(given.user_id));
  if (still_awaited == 0) return learned;
  const bool shown = known != nullptr && known->newest().version >= still_awaited;
  // Of many versions the rest comes with the next answer; and one to a question of before says nothing.
  if (!shown && (learned.user || awaited < still_awaited)) return learned;
  const Event withheld{EventKind::kListRefused, given.user_id, {}};
  const bool told = !events.empty() && events.back() == withheld;
  if (!shown && !told) events.push_back(withheld);
  CHATSDK_TRY(kept.notes.await_list(given.user_id, 0));
  return learned;
}

Status DirectConversations::take_bundle(Kept kept, const Peer& peer, const BundleBytes* bundle, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const auto requests, kept.notes.count_tasks(TaskKind::kRetry, peer));
  const bool for_request = requests.for_device > 0;
  // Meanwhile the device may have begun a session itself, or have left its list.
  CHATSDK_ASSIGN(const Readiness readiness, for_request ? prepare_request(kept.state, kept.notes, peer, now_ms)
                                                        : prepare(kept.state, peer, now_ms));
  if (readiness != Readiness::kNeedsBundle) return {};
  if (bundle != nullptr) {
    const auto begun = begin_session(kept.state, peer, *bundle, now_ms, keys_, kem_);
    if (begun.ok()) return for_request ? kept.notes.note_begun(peer, *begun) : Status();
    if (!is_outcome(begun.code())) return begun.error();
  }
  (bundle == nullptr ? absent_ : refused_).begin(peer, as_time(now_ms));
  return {};
}

std::optional<std::uint64_t> DirectConversations::paused_until(const Peer& peer, std::uint64_t now_ms) const {
  const auto until = std::max(absent_.until(peer, as_time(now_ms)), refused_.until(peer, as_time(now_ms)));
  return until ? std::optional(static_cast<std::uint64_t>(until->count())) : std::nullopt;
}

// ---- Sending -------------------------------------------------------------------------------------------------------

// Where it is not known for want of lists, the plan says whose.
Result<Roster> DirectConversations::roster_for_sending(Kept kept, const DirectTarget& target, const UserId& own,
                                                       Plan& plan) {
  std::optional<Roster> roster;
  if (target.conversation) {
    CHATSDK_ASSIGN(roster, kept.notes.roster(target.conversation));
    const auto told = told_.find(target.conversation);
    if (told != told_.end() && (!roster || told->second.revision > roster->revision)) roster = told->second;
  }
  return of_the_two(kept, roster.value_or(Roster{}), own, target.peer, plan.lists);
}

Result<Roster> DirectConversations::of_the_two(Kept kept, const Roster& roster, const UserId& own, const UserId& peer,
                                               std::vector<UserId>& unknown) {
  Roster two;
  two.revision = roster.revision;
  for (const UserId& user_id : {own, peer}) {
    if (const RosterMember* member = find_member(roster, user_id)) {
      two.members.push_back(*member);
      continue;
    }
    CHATSDK_ASSIGN(const KnownUser* user, kept.state.user(user_id));
    if (user == nullptr) {
      unknown.push_back(user_id);
    } else {
      two.members.push_back({user_id, user->newest().version, user->newest().hash});
    }
  }
  return two;
}

void DirectConversations::want(const Peer& peer, Readiness readiness, std::uint64_t now_ms, Plan& plan) {
  if (readiness == Readiness::kReady) plan.devices.push_back(peer);
  if (readiness != Readiness::kNeedsBundle) return;
  const auto until = paused_until(peer, now_ms);
  if (!until) {
    plan.bundles.push_back(peer);
  } else if (refused_.until(peer, as_time(now_ms))) {
    wait_until(*until, plan);
  } else {
    plan.left_out.push_back(peer);
  }
}

// Before the lists of somebody who was forgotten have come there is nothing to accept.
Result<bool> DirectConversations::is_blocked(Kept kept, const UserId& peer) {
  if (!blocks_changed_) return false;
  CHATSDK_ASSIGN(const KnownUser* known, kept.state.user(peer));
  return known == nullptr ? Result<bool>(false) : kept.notes.identity_changed(peer);
}

Result<Plan> DirectConversations::plan(Kept kept, const DirectTarget& target, std::uint64_t now_ms) {
  Plan plan;
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) {
    plan.outcome = Plan::Outcome::kUnlisted;
    return plan;
  }
  const Peer own = own_peer(*self);
  CHATSDK_ASSIGN(const KnownUser* own_user, kept.state.user(own.user_id));
  if (!is_in_own_list(*self, own_user)) {
    plan.outcome = Plan::Outcome::kUnlisted;
    return plan;
  }
  CHATSDK_ASSIGN(const bool blocked, is_blocked(kept, target.peer));
  if (blocked) {
    plan.outcome = Plan::Outcome::kBlocked;
    return plan;
  }
  CHATSDK_ASSIGN(const Roster roster, roster_for_sending(kept, target, own.user_id, plan));
  plan.roster_revision = roster.revision;

  std::vector<Peer> wanted;
  std::set<DeviceId> device_ids;
  for (const RosterMember& member : roster.members) {
    CHATSDK_ASSIGN(const KnownUser* user, kept.state.user(member.user_id));
    name_newest(user, member.user_id == target.peer, plan);
    const DeviceList* list = list_of(user, member);
    if (list == nullptr) {
      plan.lists.push_back(member.user_id);
      continue;
    }
    for (const ListedDevice& device : list->devices) {
      if (!device_ids.insert(device.device_id).second) {
        plan.outcome = Plan::Outcome::kForbidden;
        return plan;
      }
      const Peer peer{member.user_id, device.device_id};
      if (peer != own) wanted.push_back(peer);
    }
  }
  for (const Peer& peer : wanted) {
    CHATSDK_ASSIGN(const Readiness readiness, prepare(kept.state, peer, now_ms));
    want(peer, readiness, now_ms, plan);
  }
  // A message that would reach nobody waits.
  const bool reaches_peer = std::any_of(plan.devices.begin(), plan.devices.end(),
                                        [&target](const Peer& peer) { return peer.user_id == target.peer; });
  if (!reaches_peer) {
    for (const Peer& peer : wanted) {
      const auto until = paused_until(peer, now_ms);
      if (peer.user_id == target.peer && until) wait_until(*until, plan);
    }
  }
  finish(plan);
  return plan;
}

Result<Encrypted> DirectConversations::encrypt_for_all(Kept kept, const Plan& plan, const Envelope& envelope) {
  if (plan.outcome != Plan::Outcome::kReady) return error(Code::kWrongState, "a plan that is not ready");
  Encrypted encrypted{plan.roster_revision, plan.own_list_version, plan.peer_list_version, 0, {}};
  Bytes plain = serialize(envelope);
  const WipeAtEnd wiped(plain);
  for (const Peer& peer : plan.devices) {
    CHATSDK_ASSIGN(Bytes message, encrypt_for(kept.state, peer, plain, keys_));
    encrypted.slices.push_back({peer, std::move(message)});
  }
  CHATSDK_ASSIGN(encrypted.counter, kept.notes.take_counter());
  return encrypted;
}

Result<Encrypted> DirectConversations::encrypt(Kept kept, const Plan& plan, const Envelope& envelope,
                                               std::uint64_t now_ms) {
  CHATSDK_ASSIGN(Encrypted encrypted, encrypt_for_all(kept, plan, envelope));
  std::vector<SentTo> sent;
  for (const std::vector<Peer>* peers : {&plan.devices, &plan.left_out}) {
    for (const Peer& peer : *peers) {
      CHATSDK_ASSIGN(const KnownUser* user, kept.state.user(peer.user_id));
      const DeviceRecord* record = user == nullptr ? nullptr : listed(*user, peer.device_id);
      if (record == nullptr) return error(Code::kWrongState, "a plan of before a change of lists");
      sent.push_back({peer, record->hash});
    }
  }
  CHATSDK_TRY(kept.notes.note_sent(envelope, sent, now_ms));
  return encrypted;
}

Status DirectConversations::roster_refused(Kept kept, const DirectTarget& target, std::uint64_t revision,
                                           std::span<const UserLists> newer, std::uint64_t now_ms,
                                           std::vector<Event>& events) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return {};
  const UserId own = self->record.user_id;
  Roster refused;
  refused.revision = revision;
  for (const UserLists& given : newer) {
    if (given.lists.empty() || (given.user_id != own && given.user_id != target.peer)) continue;
    CHATSDK_ASSIGN(const bool own_branch, is_own_branch(kept, own, given));
    Learned learned;
    if (!own_branch) {
      CHATSDK_ASSIGN(learned, learn_newest(kept, given, now_ms, events));
    }
    const bool holds = learned.result != Learning::kRefused && learned.result != Learning::kIgnored;
    if (!holds) put_member(refused, member_without_list(given.user_id, 0));
  }
  if (!target.conversation || revision == 0) return {};
  std::vector<UserId> unknown;
  CHATSDK_ASSIGN(told_[target.conversation], of_the_two(kept, refused, own, target.peer, unknown));
  return {};
}

// ---- Identities ----------------------------------------------------------------------------------------------------

Result<Identity> DirectConversations::own_identity(Kept kept, const UserId& owner) {
  CHATSDK_ASSIGN(const KnownUser* own, kept.state.user(owner));
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (own == nullptr || self == nullptr) return error(Code::kWrongState, "this device has no account key yet");
  if (self->record.user_id != owner || !holds_account_of(*self, *own)) {
    return error(Code::kWrongState, "the own user's lists are under another account key than this device's");
  }
  return Identity{owner, own->account_key};
}

Status DirectConversations::accept_identity(Kept kept, const Identity& peer) {
  CHATSDK_ASSIGN([[maybe_unused]] const KnownUser* known, same_identity(kept.state, peer));
  CHATSDK_ASSIGN(const bool changed, kept.notes.identity_changed(peer.user_id));
  return changed ? kept.notes.note_identity_changed(peer.user_id, false) : Status();
}

Status DirectConversations::set_verified(Kept kept, const Identity& peer, bool verified, std::vector<Event>& events) {
  CHATSDK_ASSIGN(const KnownUser* known, same_identity(kept.state, peer));
  if (known->verified != verified) {
    CHATSDK_TRY(mark_verified(kept.state, peer.user_id, verified));
    events.push_back({EventKind::kVerifiedChanged, peer.user_id, {}});
  }
  return verified ? accept_identity(kept, peer) : Status();
}

Status DirectConversations::forget_identity(Kept kept, const Identity& peer, std::vector<Event>& events) {
  CHATSDK_ASSIGN(const KnownUser* known, same_identity(kept.state, peer));
  const bool was_verified = known->verified;
  CHATSDK_TRY(forget_user(kept.state, peer.user_id));
  CHATSDK_TRY(kept.notes.forget_identity(peer.user_id));
  CHATSDK_TRY(kept.notes.note_forgotten(peer.user_id));
  told_.clear();
  if (was_verified) events.push_back({EventKind::kVerifiedChanged, peer.user_id, {}});
  return {};
}

Result<bool> DirectConversations::go_back_to_own(Kept kept, const UserLists& given, std::vector<Event>& events) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  CHATSDK_ASSIGN(const KnownUser* known, kept.state.user(given.user_id));
  if (self == nullptr || known == nullptr || holds_account_of(*self, *known)) return false;
  const Learned shown = learn(nullptr, given.user_id, given.lists, given.records);
  if (!shown.user || !holds_account_of(*self, *shown.user)) return false;
  // Not to what was before that: who has been taken out since does not come back.
  CHATSDK_ASSIGN(const auto left, kept.notes.left_list());
  const bool goes_on = std::any_of(shown.user->lists.begin(), shown.user->lists.end(),
                                   [&left](const DeviceList& list) { return left == list.hash; });
  if (!goes_on) return false;
  CHATSDK_TRY(kept.state.drop_user(given.user_id));
  CHATSDK_TRY(kept.notes.forget_identity(given.user_id));
  CHATSDK_TRY(kept.state.put_user(*shown.user));
  CHATSDK_TRY(begin_again(kept, *shown.user, events));
  return true;
}

Status DirectConversations::take_shown(Kept kept, KnownUser shown, std::vector<Event>& events) {
  CHATSDK_ASSIGN(const KnownUser* known, kept.state.user(shown.user_id));
  if (known == nullptr) return error(Code::kWrongState, "no account key of this user is known");
  shown.replaced = known->replaced;
  std::erase(shown.replaced, shown.account_key);
  note_replaced(shown, known->account_key);
  const UserId user_id = shown.user_id;
  CHATSDK_TRY(kept.state.drop_user(user_id));
  CHATSDK_TRY(kept.notes.forget_identity(user_id));
  CHATSDK_TRY(kept.state.put_user(std::move(shown)));
  CHATSDK_ASSIGN(known, kept.state.user(user_id));
  return begin_again(kept, *known, events);
}

// ---- Requests and repairs ------------------------------------------------------------------------------------------

Result<Plan> DirectConversations::plan_task(Kept kept, const Task& task, const UserId& peer, std::uint64_t now_ms) {
  Plan plan;
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  bool is_over = self == nullptr || is_old(now_ms, task.created_ms, limits::e2ee::kResendKept);
  if (task.kind == TaskKind::kRepair && !is_over) {
    CHATSDK_ASSIGN(const auto message, kept.notes.own_message(task.target.target_id));
    CHATSDK_ASSIGN(const bool was_sent,
                   was_sent_to(kept.state, kept.notes, task.to, task.conversation, task.target, now_ms));
    is_over = !message || !was_sent;
  }
  Readiness readiness = Readiness::kNotListed;
  if (!is_over) {
    // Linked anew this device has other keys, and nothing of this.
    CHATSDK_ASSIGN(const KnownUser* own_user, kept.state.user(self->record.user_id));
    CHATSDK_ASSIGN(const bool peer_blocked, is_blocked(kept, peer));
    const bool blocked = peer_blocked && task.to.user_id == peer;
    if (blocked || !is_in_own_list(*self, own_user)) {
      plan.outcome = blocked ? Plan::Outcome::kBlocked : Plan::Outcome::kUnlisted;
      return plan;
    }
    // Its turn comes, be it after an hour; what it is for is looked at then.
    const std::uint64_t turn_ms = rate_of(task.kind).next_ms(task.to, now_ms);
    if (turn_ms > now_ms) {
      plan.ask_again_ms = turn_ms;
      return plan;
    }
    CHATSDK_ASSIGN(readiness, task.kind == TaskKind::kRetry ? prepare_request(kept.state, kept.notes, task.to, now_ms)
                                                            : prepare(kept.state, task.to, now_ms));
  }
  if (readiness == Readiness::kNotListed) {
    CHATSDK_TRY(kept.notes.give_up_task(task));
    return error(Code::kNotFound, "the device is not listed any more, or the message is gone");
  }
  CHATSDK_ASSIGN(const Roster roster, roster_for_sending(kept, {peer, task.conversation}, self->record.user_id, plan));
  plan.roster_revision = roster.revision;
  for (const RosterMember& member : roster.members) {
    CHATSDK_ASSIGN(const KnownUser* user, kept.state.user(member.user_id));
    name_newest(user, member.user_id == peer, plan);
  }
  want(task.to, readiness, now_ms, plan);
  // Without a bundle a message goes to the others; this has nobody else to go to.
  if (plan.devices.empty() && plan.bundles.empty()) plan.ask_again_ms = paused_until(task.to, now_ms).value_or(0);
  finish(plan);
  return plan;
}

Result<Encrypted> DirectConversations::encrypt_task(Kept kept, const Plan& plan, const Task& task, const UserId& peer,
                                                    std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return error(Code::kWrongState, "a device without keys");
  Envelope envelope;
  envelope.client_message_id = task.client_message_id;
  envelope.binding = DirectBinding::of(self->record.user_id, peer);
  envelope.sender_time_ms = now_ms;
  if (task.kind == TaskKind::kRetry) {
    envelope.body_type = BodyType::kRetryRequest;
    envelope.body = serialize(task.target);
  } else {
    CHATSDK_ASSIGN(auto message, kept.notes.own_message(task.target.target_id));
    if (!message) return error(Code::kNotFound, "the message is gone");
    envelope.body_type = BodyType::kRepair;
    envelope.sender_time_ms = message->sender_time_ms;
    envelope.expires_after_s = message->expires_after_s;
    envelope.body = serialize(RepairBody{task.target.target_seq, task.target.target_id, std::move(message->content)});
  }
  CHATSDK_ASSIGN(Encrypted encrypted, encrypt_for_all(kept, plan, envelope));
  rate_of(task.kind).take(task.to, now_ms);
  return encrypted;
}

// ---- Receiving -----------------------------------------------------------------------------------------------------

namespace {

// Whether the list is of an account key that was replaced, and no roster in an earlier epoch has come to the one that
// replaced it.
Result<bool> stands_before_change(Kept kept, const RosterMember& member, const UserId& peer, std::uint64_t after_ms) {
  CHATSDK_ASSIGN(const std::uint64_t before, kept.notes.list_version_before(member.user_id, peer));
  if (before != 0) return false;
  return kept.notes.is_former_list(member.user_id, member.list_hash, after_ms);
}

// As which device the sender stands in the roster at the item; version 0 and no record: as none.
Status judge_sender(Kept kept, const Self& self, const Item& item, const RosterMember& member,
                    std::uint64_t former_after_ms, Incoming& incoming) {
  const UserId& user_id = item.sender.user_id;
  CHATSDK_ASSIGN(const KnownUser* sender, kept.state.user(user_id));
  if (const DeviceList* list = list_of(sender, member)) {
    // All that stood under a list below what an earlier epoch had reached has been read: who has left since has nothing
    // to say under it again.
    CHATSDK_ASSIGN(const std::uint64_t reached, kept.notes.list_version_before(user_id, item.peer));
    const bool is_over = list->version < reached && has_left(*sender, *list, item.sender.device_id);
    if (!is_over) incoming.list_version = list->version;
    return {};
  }
  CHATSDK_ASSIGN(auto former,
                 kept.notes.former_device(user_id, member.list_hash, item.sender.device_id, former_after_ms));
  if (!former) return {};
  // The own user's lists count under the key that this device holds alone.
  const bool is_own = user_id == self.record.user_id;
  if (is_own && former->account_key != signing_key_of(self.account_seed)) return {};
  incoming.former = std::move(former->record);
  return {};
}

// A direct conversation is of two users, and a device knows what it has sent itself.
Result<bool> is_invented(Kept kept, const Self* self, const Item& item) {
  if (!kept.notes.is_owner(item.sender.user_id)) return item.sender.user_id != item.peer;
  if (self == nullptr || item.sender != own_peer(*self)) return false;
  CHATSDK_ASSIGN(const bool has_sent, kept.notes.has_sent(item.conversation, item.client_message_id));
  return !has_sent;
}

}  // namespace

Result<std::vector<UserId>> DirectConversations::learn_members(Kept kept, const RosterItem& item, std::uint64_t now_ms,
                                                               std::vector<Event>& events, Roster& roster) {
  std::vector<UserId> missing;
  for (const UserLists& given : item.lists) {
    if (given.lists.empty() || (given.user_id != item.own && given.user_id != item.peer)) continue;
    Learned learned;
    CHATSDK_ASSIGN(learned.against, is_own_branch(kept, item.own, given));
    if (!learned.against) {
      CHATSDK_ASSIGN(learned, learn_of(kept, given, now_ms, events));
    }
    const bool refused = learned.result == Learning::kRefused;
    if (learned.missing || (refused && learned.against)) missing.push_back(given.user_id);
    // No stream has an older list after a newer one: who shows one wants a device back that was removed. The version
    // that was reached stays, so that it cannot be shown at the second try either.
    CHATSDK_ASSIGN(const std::uint64_t reached, kept.notes.list_version_with(given.user_id, item.peer));
    RosterMember member = member_of(given);
    const bool goes_back = member.list_version < reached;
    if (is_signed(learned) && goes_back) events.push_back({EventKind::kListRefused, given.user_id, {}});
    bool is_former = false;
    if (learned.result == Learning::kIgnored && reached == 0) {
      CHATSDK_ASSIGN(is_former, stands_before_change(kept, member, item.peer, former_after(now_ms)));
    }
    if (is_former) {
      member.list_version = 0;  // of the lists that count now none was reached
    } else if (!is_signed(learned) || goes_back) {
      member = member_without_list(given.user_id, reached);
    }
    put_member(roster, std::move(member));
  }
  return missing;
}

Result<RosterResult> DirectConversations::roster_item(Kept kept, const RosterItem& item, std::uint64_t now_ms,
                                                      std::vector<Event>& events) {
  RosterResult result;
  if (!item.encrypted) {
    CHATSDK_ASSIGN(const bool was_encrypted, kept.notes.is_encrypted_with(item.peer));
    result.applied = !was_encrypted;
    return result;
  }
  CHATSDK_TRY(kept.notes.note_encrypted_with(item.peer));
  CHATSDK_ASSIGN(auto roster, kept.notes.roster(item.conversation));
  if (!roster) roster.emplace();
  CHATSDK_ASSIGN(result.lists_wanted, learn_members(kept, item, now_ms, events, *roster));
  roster->revision = item.revision;
  CHATSDK_TRY(kept.notes.put_roster(item.conversation, *roster));
  const auto told = told_.find(item.conversation);
  if (told != told_.end() && told->second.revision <= item.revision) told_.erase(told);
  return result;
}

Result<DirectConversations::Room> DirectConversations::find_room(Kept kept, TaskKind kind, const Peer& to) {
  CHATSDK_ASSIGN(const auto waiting, kept.notes.count_tasks(kind, to));
  Room room;
  if (waiting.for_device >= limits::e2ee::kRetryWaitingMax) return room;
  if (waiting.for_user >= limits::e2ee::kRetryWaitingUserMax) return room;
  room.is_there = waiting.for_all < limits::e2ee::kRetryWaitingTotalMax;
  if (room.is_there) return room;
  CHATSDK_ASSIGN(room.in_place_of, kept.notes.newest_of_most(kind, waiting.for_user + 1));
  room.is_there = room.in_place_of.has_value();
  return room;
}

Status DirectConversations::put_task(Kept kept, const Room& room, const Task& task) {
  if (room.in_place_of) CHATSDK_TRY(kept.notes.give_up_task(*room.in_place_of));
  return kept.notes.put_task(task);
}

Task DirectConversations::new_task(const Item& item, TaskKind kind, const RetryBody& target, std::uint64_t now_ms) {
  Task task;
  task.kind = kind;
  task.conversation = item.conversation;
  task.to = item.sender;
  task.target = target;
  task.client_message_id = ClientMessageId::make(from_unix_ms(static_cast<std::int64_t>(now_ms)), ids_);
  task.created_ms = now_ms;
  return task;
}

Result<ItemResult> DirectConversations::failed(Kept kept, const Item& item, const Incoming& incoming, Code outcome,
                                               std::uint64_t now_ms) {
  ItemResult result;
  result.lists_wanted = outcome == kUntrusted;
  if (item.kind != SliceKind::kMessage) return result;
  result.outcome = ItemResult::Outcome::kPlaceholder;
  const ItemPlace place{item.conversation, item.seq};
  CHATSDK_ASSIGN(const Room room, find_room(kept, TaskKind::kRetry, item.sender));
  if (!room.is_there || CHATSDK_PLANTED(Bug::kNothingAskedForAgain)) return result;
  CHATSDK_ASSIGN(result.asked, ask_again(kept.state, kept.notes, incoming, place, outcome, now_ms));
  if (!result.asked) return result;
  const RetryBody target = request_for(place, item.client_message_id, incoming.message);
  CHATSDK_TRY(put_task(kept, room, new_task(item, TaskKind::kRetry, target, now_ms)));
  return result;
}

Result<ItemResult> DirectConversations::opened(Kept kept, const Item& item, const Roster& roster, Received received,
                                               std::uint64_t now_ms) {
  ItemResult result;
  result.lists_wanted = received.newer_list != 0;
  if (result.lists_wanted) {
    CHATSDK_ASSIGN(const std::uint64_t awaited, kept.notes.awaited_list(item.sender.user_id));
    if (received.newer_list > awaited) CHATSDK_TRY(kept.notes.await_list(item.sender.user_id, received.newer_list));
  }
  result.sender_time_ms = received.envelope.sender_time_ms;
  result.expires_after_s = received.envelope.expires_after_s;
  switch (received.envelope.body_type) {
    case BodyType::kContent:
      result.content = std::move(received.envelope.body);
      // There is nothing to show of it, and nothing more to ask for.
      result.outcome = result.content.empty() ? ItemResult::Outcome::kPlaceholder : ItemResult::Outcome::kContent;
      break;
    case BodyType::kRepair: {
      const auto body = parse_repair_body(received.envelope.body);
      if (!body) return error(Code::kInternal, "a repair that was judged is none");
      if (body->content.empty()) break;
      CHATSDK_ASSIGN(const bool repaired, kept.notes.repair({item.conversation, body->target_seq}, item.sender,
                                                            body->target_id, body->content));
      if (!repaired) break;
      result.outcome = ItemResult::Outcome::kRepaired;
      result.repaired = body->target_seq;
      break;
    }
    case BodyType::kRetryRequest: {
      const auto body = parse_retry_body(received.envelope.body);
      if (!body) return error(Code::kInternal, "a request that was judged is none");
      CHATSDK_ASSIGN(const auto message, kept.notes.own_message(body->target_id));
      const RequestFacts facts{find_member(roster, item.sender.user_id) != nullptr, message.has_value()};
      CHATSDK_ASSIGN(const Room room, find_room(kept, TaskKind::kRepair, item.sender));
      if (!room.is_there) break;
      CHATSDK_ASSIGN(const bool answers, answer(kept.state, kept.notes, item.sender, received.session_id,
                                                item.conversation, *body, facts, now_ms));
      if (answers) CHATSDK_TRY(put_task(kept, room, new_task(item, TaskKind::kRepair, *body, now_ms)));
      break;
    }
    case BodyType::kSenderChain:
    case BodyType::kInfoKey:
      break;  // of groups
  }
  return result;
}

Result<ItemResult> DirectConversations::receive(Kept kept, const Item& item, std::uint64_t now_ms) {
  ItemResult result;
  const bool is_message = item.kind == SliceKind::kMessage;
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (!item.encrypted && CHATSDK_PLANTED(Bug::kPlainAccepted)) {
    if (is_message) result.outcome = ItemResult::Outcome::kPlain;
    return result;
  }
  bool is_encrypted = item.encrypted;
  if (!is_encrypted) {
    CHATSDK_ASSIGN(is_encrypted, kept.notes.is_encrypted_with(item.peer));
  }
  if (is_message && is_encrypted) {
    CHATSDK_ASSIGN(const bool invented, is_invented(kept, self, item));
    if (invented) {
      result.outcome = ItemResult::Outcome::kInvented;
      return result;
    }
  }
  if (!item.encrypted) {
    if (is_message) result.outcome = is_encrypted ? ItemResult::Outcome::kPlaceholder : ItemResult::Outcome::kPlain;
    return result;
  }
  if (self != nullptr && item.sender == own_peer(*self)) {
    if (is_message) result.outcome = ItemResult::Outcome::kOwn;
    return result;
  }
  using Known = KnownMessage::State;
  KnownMessage known;
  if (is_message) {
    CHATSDK_ASSIGN(
        known, kept.notes.known_message({item.conversation, item.seq}, item.sender.user_id, item.client_message_id));
  }
  if (const auto outcome = outcome_of(known.state, item.slice.has_value())) {
    result.outcome = *outcome;
    return result;
  }
  if (self == nullptr || !item.slice) return result;
  CHATSDK_ASSIGN(const auto kept_roster, kept.notes.roster(item.conversation));
  const Roster roster = kept_roster.value_or(Roster{});
  const RosterMember* member = find_member(roster, item.sender.user_id);
  if (member != nullptr && member->list_version > item.answered_list) {
    CHATSDK_ASSIGN(const KnownUser* sender, kept.state.user(item.sender.user_id));
    if (list_of(sender, *member) == nullptr && may_be_missing(sender, *member)) {
      result.outcome = ItemResult::Outcome::kHeld;
      result.lists_wanted = true;
      result.needed_list = member->list_version;
      return result;
    }
  }
  Incoming incoming;
  incoming.sender = item.sender;
  if (member != nullptr) CHATSDK_TRY(judge_sender(kept, *self, item, *member, former_after(now_ms), incoming));
  incoming.kind = item.kind;
  incoming.client_message_id = item.client_message_id;
  incoming.binding = DirectBinding::of(self->record.user_id, item.peer);
  incoming.message = *item.slice;
  auto received = receive_slice(kept.state, incoming, now_ms, kem_, &set_up_rate_);
  if (received.ok()) {
    CHATSDK_ASSIGN(result, opened(kept, item, roster, std::move(*received), now_ms));
  } else {
    if (!is_outcome(received.code())) return std::move(received).error();
    CHATSDK_ASSIGN(result, failed(kept, item, incoming, received.code(), now_ms));
  }
  result.again = known.state == Known::kPlaceholder;
  if (known.state == Known::kUnread && result.outcome == ItemResult::Outcome::kContent) {
    CHATSDK_ASSIGN(const bool repaired, kept.notes.repair({item.conversation, known.seq}, item.sender,
                                                          item.client_message_id, result.content));
    if (repaired) {
      result.outcome = ItemResult::Outcome::kRepaired;
      result.repaired = known.seq;
      result.content.clear();
    }
  }
  return result;
}

}  // namespace chatsdk::e2ee
