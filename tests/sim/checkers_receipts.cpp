// SPDX-License-Identifier: Apache-2.0
//
// S9: what the app is told of a message, and of how far the others are, only goes forwards and is true. And what it is
// told when it asks: receipts of a message, and whether device and server agree.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "sim/checker_properties.h"

namespace chatsdk::sim {

using namespace event;

namespace {

// ---- States --------------------------------------------------------------------------------------------------------

// For each device and message: queued < sending < sent < delivered < read, never back. failed comes only before sent
// and ends with a Retried of the same id, or with what another device sent again that the server had lost. An Acked
// counts as sent, a Failed as failed. A message that was given up, by failing or by being discarded, is not accepted
// afterwards in the same epoch. In a new epoch delivered and read may fall to sent.
class StatesAdvance final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* state = std::get_if<StateSeen>(&record.event)) {
      move(state->device, state->k, state->state, facts, report);
    } else if (const auto* acked = std::get_if<Acked>(&record.event)) {
      const Seen* seen = find(acked->device, acked->k);
      if (seen == nullptr || seen->state < SeenState::kSent || seen->state == SeenState::kFailed) {
        move(acked->device, acked->k, SeenState::kSent, facts, report);
      }
    } else if (const auto* failed = std::get_if<Failed>(&record.event)) {
      if (failed->code != Code::kRolledBack) move(failed->device, failed->k, SeenState::kFailed, facts, report);
    } else if (const auto* retried = std::get_if<Retried>(&record.event)) {
      // Whether it was on the wire before decides where it starts: it may be queued or sending.
      if (retried->k_old == retried->k_new) seen_.erase({retried->device, retried->k_old});
    }
  }

  void after(const Record&, const Facts& facts, Report& report) override {
    for (const Claim& claim : facts.fresh()) {
      const Message& message = facts.message(claim.message);
      if (message.closed_in == kNoEpoch || claim.from < message.closed_in) continue;
      report.violation("S9", claim.conversation,
                       name_of(message) + (message.discarded ? " was discarded" : " had failed") +
                           ", and yet was accepted at seq " + std::to_string(claim.seq));
    }
  }

 private:
  struct Seen {
    SeenState state = SeenState::kQueued;
    Epoch epoch = 0;
  };
  struct Key {
    DeviceNumber device = 0;
    ClientMessageId k;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return std::hash<ClientMessageId>{}(key.k) * 31 + key.device; }
  };

  const Seen* find(DeviceNumber device, const ClientMessageId& k) const {
    const auto found = seen_.find({device, k});
    return found == seen_.end() ? nullptr : &found->second;
  }

  void move(DeviceNumber device, const ClientMessageId& k, SeenState state, const Facts& facts, Report& report) {
    const Epoch epoch = facts.epoch_of(device);
    const auto [at, first] = seen_.try_emplace({device, k}, Seen{state, epoch});
    if (first) return;
    Seen& seen = at->second;
    if (seen.epoch != epoch && seen.state != SeenState::kFailed) seen.state = std::min(seen.state, SeenState::kSent);
    seen.epoch = epoch;
    const auto sent_elsewhere = [&] {
      const auto index = facts.find(k);
      return index && facts.message(*index).resent;
    };
    bool fine = state == seen.state;
    if (!fine && seen.state == SeenState::kFailed) fine = state >= SeenState::kSent && sent_elsewhere();
    if (!fine && seen.state != SeenState::kFailed) {
      fine = state == SeenState::kFailed ? seen.state < SeenState::kSent : state > seen.state;
    }
    if (!fine) {
      const auto index = facts.find(k);
      report.violation("S9", index ? facts.message(*index).conversation : kNoConversation,
                       "message " + to_text(k) + " on device " + std::to_string(device) + " went from " +
                           std::string(to_text(seen.state)) + " to " + std::string(to_text(state)));
    }
    seen.state = state;
  }

  std::unordered_map<Key, Seen, KeyHash> seen_;
};

// ---- Receipts ------------------------------------------------------------------------------------------------------

// For each observer, conversation, user and kind receipts never fall within an epoch; read <= delivered <= the highest
// seq. delivered(user, up_to): each message up to there is in the store of one of the user's devices at that time.
// read(user, up_to): that user's app marked at least as much before; in a later epoch also when what stands at up_to
// was marked where it stood before.
//
// A device that crashed and was not read since may hold what nobody has seen: a receipt that only it can bear out is
// judged at its next StoreRead. Where that never comes, because the device was installed anew and nobody could read
// what it left, the user must have the message in the end on some device that is entitled to it.
class ReceiptsAreTrue final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* marking = std::get_if<MarkedRead>(&record.event)) {
      Seq& marked = user_[{marking->conversation, facts.device(marking->device).user}].marked;
      marked = std::max(marked, marking->up_to);
    } else if (const auto* turned = std::get_if<EpochSeen>(&record.event)) {
      // Whether the epoch is another one shows with the facts after it.
      epoch_before_ = facts.epoch_of(turned->device);
    } else if (const auto* receipt = std::get_if<ReceiptSeen>(&record.event)) {
      judge(*receipt, record.number, facts, report);
    }
  }

  void after(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* turned = std::get_if<EpochSeen>(&record.event)) {
      if (facts.epoch_of(turned->device) != epoch_before_) forget(turned->device);
    } else if (std::holds_alternative<EpochBegun>(record.event)) {
      forget(kServer);
    } else if (const auto* read = std::get_if<StoreRead>(&record.event)) {
      settle(read->device, read->conversation, facts, report);
    } else if (const auto* in_full = std::get_if<StoreReadInFull>(&record.event)) {
      settle(in_full->device, kNoConversation, facts, report);
    }
    for (const Claim& claim : facts.fresh()) judge_late_claim(claim, record.number, facts, report);
  }

  void at_end(const FinalState& final_state, const Facts& facts, Report& report) override {
    for (const Debt& debt : debts_) {
      const Place* place = facts.place_in(facts.message(debt.message), facts.epoch());
      if (place == nullptr) continue;  // the server has lost it
      bool due = false;
      bool held = false;
      for (const FinalState::Eligible& one : final_state.eligible) {
        if (one.conversation != debt.conversation || facts.device(one.device).user != debt.user) continue;
        if (!facts.is_due(one.device, one.conversation, place->seq, facts.epoch())) continue;
        due = true;
        held = held || facts.holds(one.device, debt.message);
      }
      if (due && !held) report.violation("S9", debt.conversation, debt.text + ", nor has any in the end");
    }
  }

 private:
  struct Observer {
    DeviceNumber device = 0;
    ConversationNumber conversation = 0;
    UserNumber user = 0;
    friend auto operator<=>(const Observer&, const Observer&) = default;
  };
  struct Marks {
    Seq delivered = 0;
    Seq read = 0;
  };
  struct UserKey {
    ConversationNumber conversation = 0;
    UserNumber user = 0;
    friend auto operator<=>(const UserKey&, const UserKey&) = default;
  };
  struct UserMarks {
    Seq marked = 0;              // by the user's app, on any device, in any epoch
    std::vector<Seq> borne_out;  // by epoch: delivered up to here has been judged
  };
  struct Debt {
    ConversationNumber conversation = 0;
    UserNumber user = 0;
    MessageIndex message = 0;
    Seq seq = 0;
    Epoch epoch = 0;
    std::string text;
  };

  void judge(const ReceiptSeen& e, std::uint64_t number, const Facts& facts, Report& report) {
    Marks& marks = observed_[{e.device, e.conversation, e.user}];
    Seq& mark = e.kind == MarkKind::kDelivered ? marks.delivered : marks.read;
    const std::string what = describe(e);
    if (e.up_to < mark) return report.violation("S9", e.conversation, what + " fell from " + std::to_string(mark));
    mark = e.up_to;
    const Epoch epoch = facts.epoch_of(e.device);
    if (const Seq highest = facts.highest(e.conversation, epoch); e.up_to > highest) {
      return report.violation("S9", e.conversation, what + " is above the highest seq, " + std::to_string(highest));
    }
    UserMarks& user = user_[{e.conversation, e.user}];
    if (e.kind == MarkKind::kDelivered) return judge_delivered(e, number, user, epoch, facts, report);
    if (e.up_to > marks.delivered) {
      return report.violation("S9", e.conversation, what + " is above delivered, " + std::to_string(marks.delivered));
    }
    if (e.up_to > user.marked && !was_marked_elsewhere(e, user.marked, epoch, facts)) {
      report.violation("S9", e.conversation,
                       what + ", but its app has marked up to " + std::to_string(user.marked) + " only");
    }
  }

  void judge_delivered(const ReceiptSeen& e, std::uint64_t number, UserMarks& user, Epoch epoch, const Facts& facts,
                       Report& report) {
    if (user.borne_out.size() <= epoch) user.borne_out.resize(epoch + 1);
    Seq& borne_out = user.borne_out[epoch];
    if (e.up_to <= borne_out) return;
    facts.conversation(e.conversation).claims.walk(borne_out + 1, e.up_to, [&](const ClaimTable::Slot& slot) {
      const Claim* claim = facts.claim_in(slot, epoch);
      return claim == nullptr || judge_held(*claim, epoch, e.user, describe(e), number, facts, report);
    });
    borne_out = e.up_to;
  }

  // A message that becomes known below a delivered mark.
  void judge_late_claim(const Claim& claim, std::uint64_t number, const Facts& facts, Report& report) {
    for (auto user = user_.lower_bound({claim.conversation, 0});
         user != user_.end() && user->first.conversation == claim.conversation; ++user) {
      const std::vector<Seq>& borne_out = user->second.borne_out;
      for (Epoch epoch = claim.from; epoch < borne_out.size(); ++epoch) {
        if (claim.seq > borne_out[epoch] || !facts.survives(claim.conversation, claim.seq, claim.from, epoch)) continue;
        const std::string what =
            "user " + std::to_string(user->first.user) + " delivered up to " + std::to_string(borne_out[epoch]);
        if (!judge_held(claim, epoch, user->first.user, what, number, facts, report)) return;
        break;
      }
    }
  }

  // False: a violation was told.
  bool judge_held(const Claim& claim, Epoch epoch, UserNumber user, const std::string& what, std::uint64_t number,
                  const Facts& facts, Report& report) {
    if (!facts.is_member(claim.conversation, user, claim.seq)) return true;
    // A server that went back told its author that it was lost, who sends it again or gives it up, and one that went
    // back to another state has it and the mark of then: it waits in the outbox of a device of the user, or is yet to
    // come.
    const Message& message = facts.message(claim.message);
    const bool was_lost = message.resent || message.given_up_as_lost;
    if (was_lost && facts.device(message.author()).user == user) return true;
    bool unseen = false;
    for (const DeviceNumber device : facts.devices_of(user)) {
      if (facts.holds(device, claim.message)) return true;
      // What could not be decrypted, and nobody is asked for.
      if (facts.lists_told() && facts.has_placeholder(device, claim.conversation, claim.seq)) return true;
      unseen = unseen || facts.is_unseen(device, claim.conversation);
    }
    if (!unseen && facts.is_given_up(claim.conversation, claim.seq, epoch, user)) return true;
    const std::string text = what + ", but no device of the user has " + name_of(facts.message(claim.message)) +
                             " at seq " + std::to_string(claim.seq) + " in its store";
    if (unseen) {
      debts_.push_back({claim.conversation, user, claim.message, claim.seq, epoch,
                        text + ", as told at event " + std::to_string(number)});
      return true;
    }
    report.violation("S9", claim.conversation, text);
    return false;
  }

  // A device's copy of the conversation was read; kNoConversation: all that its store has.
  void settle(DeviceNumber read, ConversationNumber conversation, const Facts& facts, Report& report) {
    const UserNumber user = facts.device(read).user;
    std::erase_if(debts_, [&](const Debt& debt) {
      if (debt.user != user || (conversation != kNoConversation && conversation != debt.conversation)) return false;
      bool unseen = false;
      for (const DeviceNumber device : facts.devices_of(user)) {
        if (facts.holds(device, debt.message)) return true;
        unseen = unseen || facts.is_unseen(device, debt.conversation);
      }
      if (!unseen && !facts.is_given_up(debt.conversation, debt.seq, debt.epoch, debt.user)) {
        report.violation("S9", debt.conversation, debt.text);
      }
      return !unseen;
    });
  }

  static bool was_marked_elsewhere(const ReceiptSeen& e, Seq marked, Epoch epoch, const Facts& facts) {
    if (epoch == 0) return false;
    const Claim* claim = facts.claim_in(e.conversation, e.up_to, epoch);
    if (claim == nullptr) return false;
    const auto& places = facts.message(claim->message).places;
    return std::any_of(places.begin(), places.end(), [&](const Place& place) { return place.seq <= marked; });
  }

  void forget(DeviceNumber device) {
    observed_.erase(observed_.lower_bound({device, 0, 0}), observed_.lower_bound({device + 1, 0, 0}));
  }

  static std::string describe(const ReceiptSeen& e) {
    return "user " + std::to_string(e.user) + " " + std::string(to_text(e.kind)) + " up to " + std::to_string(e.up_to) +
           ", as " + node_name(e.device) + " says";
  }

  std::map<Observer, Marks> observed_;
  std::map<UserKey, UserMarks> user_;
  std::vector<Debt> debts_;
  Epoch epoch_before_ = 0;
};

// What a device answers for a message follows from the marks that it knows: got by whoever's delivered mark is at or
// above the message, likewise read. Read not before got. What was answered once is answered so until the epoch ends;
// only that a message was read may show that it was got earlier than was known.
class ReceiptsAnswerTruly final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* seen = std::get_if<ReceiptSeen>(&record.event)) {
      Marks& marks = marks_[{seen->device, seen->conversation, seen->user}];
      (seen->kind == MarkKind::kDelivered ? marks.delivered : marks.read) = seen->up_to;
    } else if (const auto* turned = std::get_if<EpochSeen>(&record.event)) {
      epoch_before_ = facts.epoch_of(turned->device);
    } else if (const auto* answer = std::get_if<ReceiptAnswered>(&record.event)) {
      judge(*answer, report);
    }
  }

  void after(const Record& record, const Facts& facts, Report&) override {
    const auto* turned = std::get_if<EpochSeen>(&record.event);
    if (turned == nullptr || facts.epoch_of(turned->device) == epoch_before_) return;
    marks_.erase(marks_.lower_bound({turned->device, 0, 0}), marks_.lower_bound({turned->device + 1, 0, 0}));
  }

 private:
  struct Key {
    DeviceNumber device = 0;
    ConversationNumber conversation = 0;
    UserNumber user = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Times {
    std::int64_t delivered = 0;
    std::int64_t read = 0;
  };
  struct Marks {
    Seq delivered = 0;
    Seq read = 0;
    std::map<Seq, Times> answered;
  };

  void judge(const ReceiptAnswered& e, Report& report) {
    Marks& marks = marks_[{e.device, e.conversation, e.user}];
    const auto wrong = [&](const std::string& what) {
      report.violation("S9", e.conversation,
                       "device " + std::to_string(e.device) + " answers that user " + std::to_string(e.user) +
                           " got seq " + std::to_string(e.seq) + " at " + std::to_string(e.delivered_ms) +
                           " and read it at " + std::to_string(e.read_ms) + ", " + what);
    };
    if ((e.delivered_ms != 0) != (e.seq <= marks.delivered) || (e.read_ms != 0) != (e.seq <= marks.read)) {
      return wrong("but knows delivered up to " + std::to_string(marks.delivered) + ", read up to " +
                   std::to_string(marks.read));
    }
    if (e.read_ms != 0 && e.delivered_ms > e.read_ms) return wrong("which is earlier");
    Times& before = marks.answered[e.seq];
    const bool known_earlier = before.read == 0 && e.read_ms != 0 && e.delivered_ms <= before.delivered;
    if ((before.read != 0 && before.read != e.read_ms) ||
        (before.delivered != 0 && before.delivered != e.delivered_ms && !known_earlier)) {
      return wrong("and answered " + std::to_string(before.delivered) + " and " + std::to_string(before.read) +
                   " before");
    }
    before = {e.delivered_ms, e.read_ms};
  }

  std::map<Key, Marks> marks_;
  Epoch epoch_before_ = 0;
};

// ---- Syncs ---------------------------------------------------------------------------------------------------------

// When device and server agree, every send that returned ok on the device has its end, as the app was told: accepted,
// failed or discarded; what stands in a conversation with one that failed may wait. And the server has every read mark
// that returned ok in the epoch that both are in.
class SyncsAreTrue final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* seen = std::get_if<ReceiptSeen>(&record.event)) {
      if (seen->device == kServer && seen->kind == MarkKind::kRead)
        read_[{seen->conversation, seen->user}] = seen->up_to;
    } else if (const auto* looked = std::get_if<SyncLooked>(&record.event)) {
      due_.try_emplace({looked->device, looked->number}, due_at(looked->device, facts));
    } else if (const auto* sync = std::get_if<SyncReturned>(&record.event)) {
      const auto due = due_.extract({sync->device, sync->number});
      if (sync->code != Code::kOk) return;
      judge(*sync, due.empty() ? due_at(sync->device, facts) : due.mapped(), facts, report);
    } else if (const auto* failed = std::get_if<Failed>(&record.event)) {
      // What the server has lost holds nothing back.
      if (failed->code != Code::kRolledBack) note(failed->device, failed->k, true, facts);
    } else if (const auto* state = std::get_if<StateSeen>(&record.event)) {
      if (state->state != SeenState::kFailed) note(state->device, state->k, false, facts);
    } else if (std::holds_alternative<EpochBegun>(record.event)) {
      read_.clear();
    } else if (const auto* retried = std::get_if<Retried>(&record.event)) {
      note(retried->device, retried->k_old, false, facts);
    } else if (const auto* discarded = std::get_if<Discarded>(&record.event)) {
      note(discarded->device, discarded->k, false, facts);
    }
  }

 private:
  static bool waits(const Message& message, DeviceNumber device) {
    if (message.acked || message.discarded || message.closed_in != kNoEpoch) return false;
    return std::any_of(message.attempts.begin(), message.attempts.end(), [&](const Attempt& attempt) {
      return attempt.device == device && attempt.outcome == SendOutcome::kOk;
    });
  }

  // What must have had its end, once a look said that nothing waits.
  struct Due {
    struct Of {
      ConversationNumber conversation = 0;
      std::vector<MessageIndex> sends;
      Seq marked_read = 0;
    };
    Epoch epoch = 0;  // of the device
    std::vector<Of> conversations;
  };

  Due due_at(DeviceNumber device, const Facts& facts) const {
    Due due{facts.epoch_of(device), {}};
    for (const ConversationNumber conversation : facts.device(device).conversations) {
      const DeviceConversation& view = facts.view(device, conversation);
      Due::Of& of = due.conversations.emplace_back(Due::Of{conversation, {}, view.marked_read});
      if (is_blocked(device, conversation)) continue;
      for (const MessageIndex index : view.sends) {
        if (waits(facts.message(index), device)) of.sends.push_back(index);
      }
    }
    return due;
  }

  bool is_blocked(DeviceNumber device, ConversationNumber conversation) const {
    const auto failed = failed_.find({device, conversation});
    return failed != failed_.end() && !failed->second.empty();
  }

  void judge(const SyncReturned& e, const Due& due, const Facts& facts, Report& report) {
    const UserNumber user = facts.device(e.device).user;
    const bool marks_count = e.server_read && due.epoch == facts.epoch() && facts.epoch_of(e.device) == facts.epoch();
    for (const auto& [conversation, sends, marked_read] : due.conversations) {
      for (const MessageIndex index : sends) {
        const Message& message = facts.message(index);
        if (is_blocked(e.device, conversation) || !waits(message, e.device)) continue;
        return report.violation("sync", conversation,
                                "device " + std::to_string(e.device) + " and the server are said to agree, but " +
                                    name_of(message) + " waits");
      }
      const auto known = read_.find({conversation, user});
      const Seq read = known == read_.end() ? 0 : known->second;
      if (!marks_count || marked_read <= read) continue;
      report.violation("sync", conversation,
                       "device " + std::to_string(e.device) + " and the server are said to agree, but user " +
                           std::to_string(user) + " read up to " + std::to_string(marked_read) +
                           ", and the server knows " + std::to_string(read));
    }
  }

  void note(DeviceNumber device, const ClientMessageId& k, bool failed, const Facts& facts) {
    const auto index = facts.find(k);
    if (!index) return;
    const std::pair place{device, facts.message(*index).conversation};
    if (failed) {
      failed_[place].insert(*index);
    } else if (const auto found = failed_.find(place); found != failed_.end()) {
      found->second.erase(*index);
    }
  }

  std::map<std::pair<DeviceNumber, std::uint64_t>, Due> due_;      // by device and wait
  std::map<std::pair<ConversationNumber, UserNumber>, Seq> read_;  // as the server's store said last
  // What each device's app was told has failed, and has not retried or discarded since: it holds back what is behind.
  std::map<std::pair<DeviceNumber, ConversationNumber>, std::set<MessageIndex>> failed_;
};

}  // namespace

void add_receipt_properties(Properties& properties) {
  properties.push_back(std::make_unique<StatesAdvance>());
  properties.push_back(std::make_unique<ReceiptsAreTrue>());
  properties.push_back(std::make_unique<ReceiptsAnswerTruly>());
  properties.push_back(std::make_unique<SyncsAreTrue>());
}

}  // namespace chatsdk::sim
