// SPDX-License-Identifier: Apache-2.0
#include "sim/checker_facts.h"

#include <algorithm>
#include <utility>

namespace chatsdk::sim {

using namespace event;

namespace {

template <typename T>
T& grown(std::vector<T>& all, std::size_t index) {
  if (all.size() <= index) all.resize(index + 1);
  return all[index];
}

template <typename T>
const T& at_or_none(const std::vector<T>& all, std::size_t index) {
  static const T none{};
  return index < all.size() ? all[index] : none;
}

std::uint64_t view_key(DeviceNumber device, ConversationNumber conversation) {
  return (std::uint64_t{device} << 32) | conversation;
}

bool same_content(const Claim& a, const Claim& b) {
  return !a.has_content || !b.has_content || (a.sender == b.sender && a.h == b.h);
}

}  // namespace

// ---- Claims --------------------------------------------------------------------------------------------------------

ClaimTable::Slot& ClaimTable::at(Seq seq) {
  if (seq >= kDenseMax) return sparse_[seq];
  return grown(dense_, static_cast<std::size_t>(seq));
}

const ClaimTable::Slot* ClaimTable::find(Seq seq) const {
  if (seq < dense_.size()) return &dense_[static_cast<std::size_t>(seq)];
  const auto found = sparse_.find(seq);
  return found == sparse_.end() ? nullptr : &found->second;
}

bool Facts::survives(ConversationNumber conversation, Seq seq, Epoch from, Epoch to) const {
  for (Epoch epoch = from + 1; epoch <= to; ++epoch) {
    if (seq > restored_head(conversation, epoch)) return false;
  }
  return true;
}

Seq Facts::restored_head(ConversationNumber conversation, Epoch epoch) const {
  const auto found = heads_[epoch].find(conversation);
  return found == heads_[epoch].end() ? 0 : found->second;
}

void Facts::claim(Claim claim) {
  claim.event = now_;
  Message& message = messages_[claim.message];
  ClaimTable::Slot& slot = conversation_at(claim.conversation).claims.at(claim.seq);
  for (Claim& known : slot) {
    const auto [earlier, later] = std::minmax(known.from, claim.from);
    if (!survives(claim.conversation, claim.seq, earlier, later)) continue;
    if (known.message != claim.message || !same_content(known, claim)) {
      conflicts_.push_back({claim, known});
      return;
    }
    if (!known.has_content && claim.has_content) {
      known.has_content = true;
      known.sender = claim.sender;
      known.h = claim.h;
    }
    known.by_server = known.by_server || claim.by_server;
    if (claim.from < known.from) {
      known.from = claim.from;
      for (Place& place : message.places) {
        if (place.seq == claim.seq) place.from = std::min(place.from, claim.from);
      }
    }
    return;
  }
  for (const Place& place : message.places) {
    const bool first_was_place = place.from <= claim.from;
    const Seq earlier_seq = first_was_place ? place.seq : claim.seq;
    const auto [earlier, later] = std::minmax(place.from, claim.from);
    if (!survives(message.conversation, earlier_seq, earlier, later)) continue;
    if (place.seq == claim.seq && message.conversation == claim.conversation) continue;
    Claim other = claim;
    other.conversation = message.conversation;
    other.seq = place.seq;
    other.from = place.from;
    if (const Claim* known = claim_in(other.conversation, other.seq, other.from)) other = *known;
    conflicts_.push_back({claim, other});
    return;
  }
  slot.push_back(claim);
  message.places.push_back({claim.seq, claim.from});
  if (message.conversation == kNoConversation) message.conversation = claim.conversation;
  raise_highest(claim.conversation, claim.from, claim.seq);
  fresh_.push_back(claim);
}

const Place* Facts::place_in(const Message& message, Epoch epoch) const {
  for (auto place = message.places.rbegin(); place != message.places.rend(); ++place) {
    if (place->from <= epoch && survives(message.conversation, place->seq, place->from, epoch)) return &*place;
  }
  return nullptr;
}

const Claim* Facts::claim_in(const ClaimTable::Slot& slot, Epoch epoch) const {
  for (auto claim = slot.rbegin(); claim != slot.rend(); ++claim) {
    if (claim->from <= epoch && survives(claim->conversation, claim->seq, claim->from, epoch)) return &*claim;
  }
  return nullptr;
}

const Claim* Facts::claim_in(ConversationNumber conversation, Seq seq, Epoch epoch) const {
  const ClaimTable::Slot* slot = this->conversation(conversation).claims.find(seq);
  return slot == nullptr ? nullptr : claim_in(*slot, epoch);
}

Seq Facts::highest(ConversationNumber conversation, Epoch epoch) const {
  const std::vector<Seq>& said = this->conversation(conversation).highest;
  Seq highest = 0;
  for (Epoch from = 0; from <= epoch && from < said.size(); ++from) {
    Seq reached = said[from];
    for (Epoch next = from + 1; next <= epoch; ++next) reached = std::min(reached, restored_head(conversation, next));
    highest = std::max(highest, reached);
  }
  return highest;
}

void Facts::raise_highest(ConversationNumber conversation, Epoch epoch, Seq seq) {
  Seq& highest = grown(conversation_at(conversation).highest, epoch);
  highest = std::max(highest, seq);
}

// ---- Looking up ----------------------------------------------------------------------------------------------------

std::optional<MessageIndex> Facts::find(const ClientMessageId& k) const {
  const auto found = index_.find(k);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

MessageIndex Facts::index_of(const ClientMessageId& k) {
  const auto [at, added] = index_.emplace(k, static_cast<MessageIndex>(messages_.size()));
  if (added) {
    messages_.emplace_back();
    messages_.back().k = k;
  }
  return at->second;
}

const Attempt* Facts::explains(const Message& message, ConversationNumber conversation, ContentHash h,
                               UserNumber sender) const {
  for (const Attempt& attempt : message.attempts) {
    if (attempt.outcome != SendOutcome::kRefused && attempt.conversation == conversation && attempt.h == h &&
        attempt.user == sender) {
      return &attempt;
    }
  }
  return nullptr;
}

const Conversation& Facts::conversation(ConversationNumber number) const { return at_or_none(conversations_, number); }
Conversation& Facts::conversation_at(ConversationNumber number) { return grown(conversations_, number); }
const Device& Facts::device(DeviceNumber number) const { return at_or_none(devices_, number); }
Device& Facts::device_at(DeviceNumber number) { return grown(devices_, number); }

const DeviceConversation& Facts::view(DeviceNumber device, ConversationNumber conversation) const {
  static const DeviceConversation none;
  const auto found = views_.find(view_key(device, conversation));
  return found == views_.end() ? none : found->second;
}

DeviceConversation& Facts::view_at(DeviceNumber device, ConversationNumber conversation) {
  const auto [at, added] = views_.try_emplace(view_key(device, conversation));
  if (added) {
    device_at(device).conversations.push_back(conversation);
    conversation_at(conversation).devices.push_back(device);
  }
  return at->second;
}

std::span<const DeviceNumber> Facts::devices_of(UserNumber user) const {
  return user < devices_of_.size() ? std::span<const DeviceNumber>(devices_of_[user]) : std::span<const DeviceNumber>();
}

bool Facts::holds(DeviceNumber device, MessageIndex message) const {
  const std::vector<bool>& held = this->device(device).held;
  return message < held.size() && held[message];
}

void Facts::hold(DeviceNumber device, MessageIndex message) {
  std::vector<bool>& held = device_at(device).held;
  if (held.size() <= message) held.resize(std::max<std::size_t>(message + 1, held.size() * 2));
  held[message] = true;
}

void Facts::unhold(DeviceNumber device, MessageIndex message) {
  std::vector<bool>& held = device_at(device).held;
  if (message < held.size()) held[message] = false;
}

bool Facts::has_placeholder(DeviceNumber device, ConversationNumber conversation, Seq seq) const {
  for (const auto& [first, last] : view(device, conversation).placeholders) {
    if (first <= seq && seq <= last) return true;
  }
  return false;
}

bool Facts::is_member(ConversationNumber conversation, UserNumber user, Seq seq) const {
  const auto& members = this->conversation(conversation).members;
  if (members.empty()) return true;
  const auto found = members.find(user);
  if (found == members.end()) return false;
  for (const auto& [joined, left] : found->second) {
    if (joined <= seq && (left == 0 || seq < left)) return true;
  }
  return false;
}

Seq Facts::in_later(ConversationNumber conversation, Seq place, Epoch from, Epoch epoch) const {
  for (Epoch next = from + 1; next <= epoch; ++next) place = std::min(place, restored_head(conversation, next) + 1);
  return place;
}

bool Facts::covers(const Listing& listing, ConversationNumber conversation, Seq seq, Epoch epoch) const {
  // What the server had lost before the list named the device was never for it.
  if (epoch < listing.begun && !survives(conversation, seq, epoch, listing.begun)) return false;
  const auto from = listing.from.find(conversation);
  if (from != listing.from.end() && seq < in_later(conversation, from->second, listing.begun, epoch)) return false;
  if (!listing.to || epoch < listing.ended) return true;
  const auto to = listing.to->find(conversation);
  return to != listing.to->end() && seq < in_later(conversation, to->second, listing.ended, epoch);
}

bool Facts::is_listed(DeviceNumber device, ConversationNumber conversation, Seq seq, Epoch epoch) const {
  if (!lists_told_) return true;
  const std::vector<Listing>& listings = this->device(device).listings;
  return std::any_of(listings.begin(), listings.end(),
                     [&](const Listing& listing) { return covers(listing, conversation, seq, epoch); });
}

bool Facts::is_due(DeviceNumber device, ConversationNumber conversation, Seq seq, Epoch epoch) const {
  const Device& one = this->device(device);
  if (!is_member(conversation, one.user, seq)) return false;
  if (!lists_told_) return true;
  return !one.keyed.empty() && !one.keyed.back().to && covers(one.keyed.back(), conversation, seq, epoch);
}

bool Facts::is_given_up(ConversationNumber conversation, Seq seq, Epoch epoch, UserNumber user) const {
  if (!lists_told_) return false;
  const auto devices = devices_of(user);
  return std::none_of(devices.begin(), devices.end(), [&](DeviceNumber number) {
    return device(number).linked && is_due(number, conversation, seq, epoch);
  });
}

bool Facts::is_unseen(DeviceNumber device, ConversationNumber conversation) const {
  const Device& known = this->device(device);
  return known.last_crash > std::max(known.read_in_full, view(device, conversation).last_read);
}

// ---- Events --------------------------------------------------------------------------------------------------------

void Facts::apply(const Record& record) {
  now_ = record.number;
  fresh_.clear();
  conflicts_.clear();
  std::visit([this](const auto& e) { on(e); }, record.event);
}

void Facts::on(const SendCalled& e) {
  const MessageIndex index = index_of(e.k);
  Message& message = messages_[index];
  const UserNumber user = device_at(e.device).user;
  if (message.conversation == kNoConversation) message.conversation = e.conversation;
  if (message.attempts.empty()) view_at(e.device, e.conversation).sends.push_back(index);
  for (std::size_t i = 0; i < message.attempts.size(); ++i) {
    Attempt& known = message.attempts[i];
    if (known.device != e.device || known.conversation != e.conversation || known.h != e.h) continue;
    message.last_call = static_cast<std::uint32_t>(i);
    if (known.outcome == SendOutcome::kOpen) known.again = true;
    if (known.outcome == SendOutcome::kRefused) {
      known.outcome = SendOutcome::kOpen;
      known.called = now_;
    }
    return;
  }
  message.last_call = static_cast<std::uint32_t>(message.attempts.size());
  Attempt attempt;
  attempt.device = e.device;
  attempt.user = user;
  attempt.conversation = e.conversation;
  attempt.h = e.h;
  attempt.called = now_;
  message.attempts.push_back(attempt);
}

void Facts::on(const SendReturned& e) {
  Message& message = messages_[index_of(e.k)];
  if (message.last_call >= message.attempts.size()) return;
  Attempt& attempt = message.attempts[message.last_call];
  if (attempt.outcome != SendOutcome::kOpen) return;
  if (e.code == Code::kOk) {
    attempt.outcome = SendOutcome::kOk;
    attempt.returned = now_;
  } else if (e.code != Code::kStorage && !attempt.again) {
    attempt.outcome = SendOutcome::kRefused;
  } else {
    attempt.again = true;
  }
}

void Facts::on(const Acked& e) {
  const MessageIndex index = index_of(e.k);
  Message& message = messages_[index];
  message.acked = true;
  if (message.conversation == kNoConversation) return;
  hold(e.device, index);
  Claim claimed;
  claimed.conversation = message.conversation;
  claimed.seq = e.seq;
  claimed.message = index;
  claimed.from = epoch_of(e.device);
  claimed.by_server = true;
  claim(claimed);
}

void Facts::give_up(Message& message) {
  if (message.closed_in == kNoEpoch && !message.resent) message.closed_in = epoch();
}

void Facts::on(const Failed& e) {
  Message& message = messages_[index_of(e.k)];
  if (e.code == Code::kRolledBack || e.device != message.author()) return;
  message.told_failed = true;
  give_up(message);
}

void Facts::on(const StateSeen& e) {
  Message& message = messages_[index_of(e.k)];
  if (e.state != SeenState::kFailed || e.device != message.author()) return;
  message.told_failed = true;
  give_up(message);
}

void Facts::on(const Discarded& e) {
  const MessageIndex index = index_of(e.k);
  Message& message = messages_[index];
  message.discarded = true;
  message.given_up_as_lost = message.given_up_as_lost || e.lost;
  if (!e.lost) give_up(message);
  // What the server has lost was shown here, and need not be here any more, until the cursor comes to its new place.
  if (e.lost || place_in(message, epoch_of(e.device)) == nullptr) unhold(e.device, index);
}

void Facts::on(const Retried& e) {
  const MessageIndex index = index_of(e.k_old);
  Message& message = messages_[index];
  if (e.k_old == e.k_new) {
    message.told_failed = false;
    message.closed_in = kNoEpoch;
    // Where it stands among what its devices send is not known any more.
    if (e.lost) {
      message.resent = true;
      for (Attempt& attempt : message.attempts) attempt.again = true;
      unhold(e.device, index);  // it waits again, wherever another device's attempt may have brought it meanwhile
    }
  } else {
    message.discarded = true;
    give_up(message);
    // The message keeps its place in the order of sending.
    if (message.attempts.empty()) return;
    const Attempt first = message.attempts.front();
    Message& retried = messages_[index_of(e.k_new)];
    if (retried.attempts.empty()) return;
    retried.attempts.front().called = first.called;
    retried.attempts.front().returned = first.returned;
    retried.attempts.front().again |= first.again;
  }
}

void Facts::on(const Shown& e) {
  const MessageIndex index = index_of(e.k);
  view_at(e.device, e.conversation);
  hold(e.device, index);
  claim({e.conversation, e.seq, index, epoch_of(e.device), true, e.sender, e.h, false, 0});
}

void Facts::on(const PlaceholderShown& e) {
  view_at(e.device, e.conversation).placeholders.emplace_back(e.first, e.last);
}

void Facts::on(const StoreRead& e) {
  const Epoch epoch = epoch_of(e.device);
  raise_highest(e.conversation, epoch, e.cursor);
  DeviceConversation* view = nullptr;
  if (e.device != kServer) {
    view = &view_at(e.device, e.conversation);
    view->last_read = now_;
    view->cursor = e.cursor;
    view->placeholders.clear();
  }
  Seq previous = 0;
  for (const StoredRow& row : e.rows) {
    if (row.placeholder) {
      if (view != nullptr) view->placeholders.emplace_back(previous + 1, row.seq);
    } else {
      const MessageIndex index = index_of(row.k);
      if (view != nullptr) hold(e.device, index);
      if (row.seq != 0) {
        claim({e.conversation, row.seq, index, epoch, true, row.sender, row.h, e.device == kServer, 0});
      }
    }
    if (row.seq != 0) previous = row.seq;
  }
}

void Facts::on(const StoreReadInFull& e) { device_at(e.device).read_in_full = now_; }

void Facts::on(const CursorSeen& e) {
  if (e.conversation == kNoConversation) return;
  view_at(e.device, e.conversation).cursor = e.seq;
  raise_highest(e.conversation, epoch_of(e.device), e.seq);
}

void Facts::on(const MarkReadReturned& e) {
  if (e.code != Code::kOk) return;
  DeviceConversation& view = view_at(e.device, e.conversation);
  view.marked_read = std::max(view.marked_read, std::min(e.up_to, view.cursor));
}

void Facts::on(const StreamRead& e) {
  if (e.conversation != kNoConversation) raise_highest(e.conversation, epoch(), e.head);
}

void Facts::on(const ItemCommitted& e) {
  if (e.conversation != kNoConversation) raise_highest(e.conversation, epoch(), e.item.seq);
}

void Facts::on(const PushedLive& e) {
  if (e.conversation != kNoConversation) raise_highest(e.conversation, epoch(), e.item.seq);
}

void Facts::on(const AnswerSeen& e) {
  const MessageIndex index = index_of(e.k);
  Message& message = messages_[index];
  if (e.kind == AnswerSeen::Kind::kVoided) message.voided_in = epoch();
  if (e.kind != AnswerSeen::Kind::kAccepted || message.conversation == kNoConversation) return;
  Claim claimed;
  claimed.conversation = message.conversation;
  claimed.seq = e.seq;
  claimed.message = index;
  claimed.from = epoch();
  claimed.by_server = true;
  claim(claimed);
}

void Facts::on(const Member& e) {
  auto& intervals = conversation_at(e.conversation).members[e.user];
  raise_highest(e.conversation, epoch(), e.seq);
  if (e.joined) {
    intervals.emplace_back(e.seq, 0);
  } else if (!intervals.empty()) {
    intervals.back().second = e.seq;
  }
}

void Facts::on(const Linked& e) {
  Device& device = device_at(e.device);
  if (device.user != e.user) {
    // A log-in is stored before its completion is told: the app may have sent in between.
    if (device.user == 0) {
      for (Message& message : messages_) {
        for (Attempt& attempt : message.attempts) {
          if (attempt.device == e.device) attempt.user = e.user;
        }
      }
    }
    device.user = e.user;
    grown(devices_of_, e.user).push_back(e.device);
  }
  device.linked = true;
}

void Facts::on(const Unlinked& e) { device_at(e.device).linked = false; }

void Facts::on(const CopiedFrom& e) { device_at(e.device).original = e.original; }

void Facts::on(const Listed& e) {
  lists_told_ = true;
  Device& device = device_at(e.device);
  set_listed(device.listings, e.listed);
  set_listed(device.keyed, e.listed && e.has_keys);
}

void Facts::set_listed(std::vector<Listing>& listings, bool listed) {
  const bool was_listed = !listings.empty() && !listings.back().to;
  if (listed && !was_listed) listings.push_back({epoch(), next_places(), 0, std::nullopt});
  if (listed || !was_listed) return;
  listings.back().ended = epoch();
  listings.back().to = next_places();
}

std::map<ConversationNumber, Seq> Facts::next_places() const {
  std::map<ConversationNumber, Seq> next;
  for (ConversationNumber number = 0; number < conversations_.size(); ++number) {
    next[number] = highest(number, epoch()) + 1;
  }
  return next;
}

void Facts::on(const EpochBegun& e) {
  epochs_.push_back(e.epoch);
  heads_.emplace_back();
  for (const EpochBegun::Head& head : e.heads) {
    if (head.conversation != kNoConversation) heads_.back()[head.conversation] = head.head;
  }
}

void Facts::on(const EpochSeen& e) {
  Device& device = device_at(e.device);
  Epoch seen = 0;
  for (Epoch epoch = 1; epoch < epochs_.size(); ++epoch) {
    if (epochs_[epoch] == e.epoch) seen = epoch;
  }
  if (seen == device.epoch) return;
  device.epoch = seen;
  for (const ConversationNumber conversation : device.conversations) {
    DeviceConversation& view = view_at(e.device, conversation);
    view.cursor = 0;
    view.marked_read = 0;
    view.placeholders.clear();
  }
}

void Facts::on(const Crash& e) {
  if (e.node != kServer) device_at(e.node).last_crash = now_;
}

// ---- Names ---------------------------------------------------------------------------------------------------------

std::string name_of(const Message& message) { return "message " + to_text(message.k); }

std::string node_name(DeviceNumber device) {
  return device == kServer ? std::string("the server") : "device " + std::to_string(device);
}

}  // namespace chatsdk::sim
