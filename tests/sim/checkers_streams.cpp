// SPDX-License-Identifier: Apache-2.0
//
// S14, S15, S17: limits, repeated questions, and the server's streams.
#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>

#include "sim/checker_properties.h"

namespace chatsdk::sim {

using namespace event;

namespace {

// ---- S14 -----------------------------------------------------------------------------------------------------------

// What has a declared limit stays within it at every step, and no node sends more than its rate allows: at most `limit`
// in each stretch of `window_us` that ends with a sending.
class Bounds final : public Property {
 public:
  void on(const Record& record, const Facts&, Report& report) override {
    if (const auto* bound = std::get_if<Bound>(&record.event)) {
      if (bound->value <= bound->limit) return;
      report.violation("S14", kNoConversation,
                       bound->name + " of node " + std::to_string(record.node) + " is " + std::to_string(bound->value) +
                           ", limit " + std::to_string(bound->limit));
    } else if (const auto* sent = std::get_if<Sent>(&record.event)) {
      judge_rate(record, *sent, report);
    }
  }

 private:
  struct Window {
    std::deque<std::pair<std::uint64_t, std::uint64_t>> sent;  // time, count
    std::uint64_t count = 0;
  };

  void judge_rate(const Record& record, const Sent& e, Report& report) {
    Window& window = windows_[{record.node, e.name}];
    window.sent.emplace_back(record.time_us, e.count);
    window.count += e.count;
    while (window.sent.front().first + e.window_us <= record.time_us && window.sent.size() > 1) {
      window.count -= window.sent.front().second;
      window.sent.pop_front();
    }
    if (window.count <= e.limit) return;
    report.violation("S14", kNoConversation,
                     "node " + std::to_string(record.node) + " sent " + std::to_string(window.count) + " " + e.name +
                         " within " + std::to_string(e.window_us) + " us, limit " + std::to_string(e.limit));
  }

  std::map<std::pair<NodeNumber, std::string>, Window> windows_;
};

// ---- S15 -----------------------------------------------------------------------------------------------------------

// One request gets one answer, also when the server restarted in between. For a message: once accepted it is never
// answered otherwise, once voided it is answered with voided or refused as voided and never accepted; but either may be
// refused for want of room or time, which says nothing of the message. A refusal before either may change its mind
// later: nothing was stored. What is sent again encrypted, since the server was said to have lost it, is another
// message to a server that has it, and so is what two devices send, each as it encrypted it. With a new epoch the
// server has forgotten what it answered above the restored heads, and all requests. The same holds on the device: a
// send that is asked for again under its id is the message that it was, and another text under its id is a conflict;
// only the disk can be in the way of saying so.
class Idempotence final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* request = std::get_if<RequestAnswered>(&record.event)) {
      const auto [at, first] = answers_.try_emplace(request->request, Answer{request->answer, record.number});
      if (first || at->second.answer == request->answer) return;
      report.violation("S15", kNoConversation,
                       "request " + std::to_string(request->request) + " has another answer than at event " +
                           std::to_string(at->second.event));
    } else if (const auto* answer = std::get_if<AnswerSeen>(&record.event)) {
      judge(*answer, facts, report);
    } else if (const auto* repeated = std::get_if<SendRepeated>(&record.event)) {
      judge(*repeated, facts, report);
    } else if (const auto* contradicted = std::get_if<SendContradicted>(&record.event)) {
      judge(*contradicted, facts, report);
    } else if (std::holds_alternative<EpochBegun>(record.event)) {
      answers_.clear();
    }
  }

 private:
  struct Answer {
    std::uint64_t answer = 0;
    std::uint64_t event = 0;
  };

  static void judge(const AnswerSeen& e, const Facts& facts, Report& report) {
    const auto index = facts.find(e.k);
    if (!index || (e.kind == AnswerSeen::Kind::kRefused && is_for_want_of_room(e.code))) return;
    const Message& message = facts.message(*index);
    const bool accepts = e.kind == AnswerSeen::Kind::kAccepted;
    const bool encrypted_twice = facts.lists_told() && (message.resent || message.is_of_several());
    if (encrypted_twice && e.code == Code::kConflict) return;
    if (const Place* place = facts.place_in(message, facts.epoch()); place != nullptr && !accepts) {
      report.violation("S15", message.conversation,
                       name_of(message) + " was accepted at seq " + std::to_string(place->seq) + " and is answered " +
                           describe(e) + " now");
    } else if (message.voided_in == facts.epoch() &&
               (accepts || (e.kind == AnswerSeen::Kind::kRefused && e.code != Code::kVoided))) {
      report.violation("S15", message.conversation,
                       name_of(message) + " was voided and is answered " + describe(e) + " now");
    }
  }

  static void judge(const SendRepeated& e, const Facts& facts, Report& report) {
    const auto index = facts.find(e.k);
    const ConversationNumber conversation = index ? facts.message(*index).conversation : kNoConversation;
    const std::string what =
        "message " + to_text(e.k) + ", asked for again on device " + std::to_string(e.device) + ", ";
    if (e.code == Code::kOk) {
      if (e.got == e.k && e.same_message) return;
      report.violation("S15", conversation,
                       what + (e.got == e.k ? std::string("is another message") : "got the id " + to_text(e.got)));
    } else if (!is_of_the_disk(e.code)) {
      report.violation("S15", conversation, what + "is refused, " + std::string(code_name(e.code)));
    }
  }

  static void judge(const SendContradicted& e, const Facts& facts, Report& report) {
    if (e.code == Code::kConflict || is_of_the_disk(e.code)) return;
    const auto index = facts.find(e.k);
    report.violation(
        "S15", index ? facts.message(*index).conversation : kNoConversation,
        "another text under the id of message " + to_text(e.k) + " on device " + std::to_string(e.device) +
            (e.code == Code::kOk ? std::string(" is taken") : " is refused as " + std::string(code_name(e.code))));
  }

  // What the gateway may say before anybody has looked for the message, or instead of a store that cannot answer.
  static bool is_for_want_of_room(Code code) {
    return code == Code::kRateLimited || code == Code::kUnavailable || code == Code::kStorageFull;
  }

  static std::string describe(const AnswerSeen& e) {
    switch (e.kind) {
      case AnswerSeen::Kind::kAccepted:
        return "accepted at seq " + std::to_string(e.seq);
      case AnswerSeen::Kind::kVoided:
        return "voided";
      case AnswerSeen::Kind::kRefused:
        return "refused, " + std::string(code_name(e.code)) + ",";
    }
    return "unknown";
  }

  std::unordered_map<std::uint64_t, Answer> answers_;
};

// ---- S17 -----------------------------------------------------------------------------------------------------------

// Each stream is dense from 1 and only ever grows at its end; an item never changes. What is trimmed goes from the
// start on, never comes back, and only once every linked device that is entitled to it has stored it, as its cursor
// said when its store was last read: once a server trims by acknowledgements, these have to be recorded, too. What a
// gateway sends is in the stream: at once when the world records commits, and in every later read.
class Streams final : public Property {
 public:
  void after(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* read = std::get_if<StreamRead>(&record.event)) {
      judge_read(*read, record.number, facts, report);
    } else if (const auto* committed = std::get_if<ItemCommitted>(&record.event)) {
      commits_recorded_ = true;
      learn(stream_of(committed->stream, committed->conversation), committed->stream, committed->item, record.number,
            "committed", report);
    } else if (const auto* pushed = std::get_if<PushedLive>(&record.event)) {
      judge_push(*pushed, record.number, report);
    } else if (const auto* trimmed = std::get_if<StreamTrimmed>(&record.event)) {
      judge_trim(trimmed->stream, stream_of(trimmed->stream, trimmed->conversation), trimmed->below, facts, report);
    } else if (const auto* moved = std::get_if<CursorSeen>(&record.event)) {
      Stream& stream = stream_of(moved->stream, moved->conversation);
      stream.cursors[moved->device] = moved->seq;
    } else if (const auto* begun = std::get_if<EpochBegun>(&record.event)) {
      begin_epoch(*begun);
    }
  }

 private:
  struct Known {
    std::uint64_t hash = 0;
    std::uint64_t event = 0;
  };
  struct Stream {
    ConversationNumber conversation = kNoConversation;
    std::map<Seq, Known> items;
    Seq trimmed_below = 1;
    std::map<DeviceNumber, Seq> cursors;
  };

  Stream& stream_of(StreamNumber number, ConversationNumber conversation) {
    Stream& stream = streams_[number];
    stream.conversation = conversation;
    return stream;
  }

  // False: it contradicts what is known.
  bool learn(Stream& stream, StreamNumber number, const StreamItem& item, std::uint64_t event, const char* what,
             Report& report) {
    const auto [at, added] = stream.items.try_emplace(item.seq, Known{item.hash, event});
    if (added || at->second.hash == item.hash) return true;
    report.violation("S17", stream.conversation,
                     "item " + std::to_string(item.seq) + " of stream " + std::to_string(number) + " is " + what +
                         " with other bytes than at event " + std::to_string(at->second.event));
    return false;
  }

  void judge_push(const PushedLive& e, std::uint64_t number, Report& report) {
    Stream& stream = stream_of(e.stream, e.conversation);
    if (commits_recorded_ && stream.items.find(e.item.seq) == stream.items.end()) {
      report.violation("S17", e.conversation,
                       "item " + std::to_string(e.item.seq) + " of stream " + std::to_string(e.stream) +
                           " was sent to device " + std::to_string(e.device) + ", but the stream does not hold it");
      return;
    }
    learn(stream, e.stream, e.item, number, "sent", report);
  }

  void judge_read(const StreamRead& e, std::uint64_t number, const Facts& facts, Report& report) {
    Stream& stream = stream_of(e.stream, e.conversation);
    const std::string name = "stream " + std::to_string(e.stream);
    Seq expected = e.trimmed_below;
    for (const StreamItem& item : e.items) {
      if (item.seq != expected) {
        return report.violation(
            "S17", e.conversation,
            name + " has item " + std::to_string(item.seq) + " where " + std::to_string(expected) + " is due");
      }
      if (!learn(stream, e.stream, item, number, "read", report)) return;
      ++expected;
    }
    if (expected != e.head + 1) {
      return report.violation(
          "S17", e.conversation,
          name + " has items up to " + std::to_string(expected - 1) + ", head " + std::to_string(e.head));
    }
    if (!stream.items.empty() && stream.items.rbegin()->first > e.head) {
      const auto& [seq, known] = *stream.items.rbegin();
      return report.violation("S17", e.conversation,
                              name + " ends at " + std::to_string(e.head) + ", but held item " + std::to_string(seq) +
                                  " at event " + std::to_string(known.event));
    }
    if (e.trimmed_below < stream.trimmed_below) {
      return report.violation("S17", e.conversation,
                              name + " begins at " + std::to_string(e.trimmed_below) + ", but was trimmed below " +
                                  std::to_string(stream.trimmed_below));
    }
    judge_trim(e.stream, stream, e.trimmed_below, facts, report);
  }

  void judge_trim(StreamNumber number, Stream& stream, Seq below, const Facts& facts, Report& report) {
    if (below <= stream.trimmed_below) return;
    for (DeviceNumber device = 1; device < facts.device_count(); ++device) {
      if (!follows(device, stream, facts)) continue;
      const auto cursor = stream.cursors.find(device);
      const Seq stored = cursor == stream.cursors.end() ? 0 : cursor->second;
      if (stored + 1 >= below) continue;
      report.violation("S17", stream.conversation,
                       "stream " + std::to_string(number) + " was trimmed below " + std::to_string(below) +
                           ", but device " + std::to_string(device) + " has stored up to " + std::to_string(stored) +
                           " only");
      break;
    }
    stream.trimmed_below = below;
  }

  // A conversation's stream is for the devices of its members, an account's for those that have a cursor in it.
  static bool follows(DeviceNumber device, const Stream& stream, const Facts& facts) {
    if (!facts.device(device).linked) return false;
    const bool named = stream.cursors.find(device) != stream.cursors.end();
    if (stream.conversation == kNoConversation) return named;
    const auto& members = facts.conversation(stream.conversation).members;
    return members.empty() ? named : members.find(facts.device(device).user) != members.end();
  }

  void begin_epoch(const EpochBegun& e) {
    std::unordered_map<StreamNumber, Seq> heads;
    for (const EpochBegun::Head& head : e.heads) heads[head.stream] = head.head;
    for (auto& [number, stream] : streams_) {
      const auto found = heads.find(number);
      const Seq head = found == heads.end() ? 0 : found->second;
      stream.items.erase(stream.items.upper_bound(head), stream.items.end());
      for (auto& [device, cursor] : stream.cursors) cursor = std::min(cursor, head);
      stream.trimmed_below = 1;  // less may have been trimmed in that state
    }
  }

  std::map<StreamNumber, Stream> streams_;
  bool commits_recorded_ = false;
};

}  // namespace

void add_stream_properties(Properties& properties) {
  properties.push_back(std::make_unique<Bounds>());
  properties.push_back(std::make_unique<Idempotence>());
  properties.push_back(std::make_unique<Streams>());
}

}  // namespace chatsdk::sim
