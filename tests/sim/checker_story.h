// SPDX-License-Identifier: Apache-2.0
//
// A history written by hand, judged as it is told: for the tests of the checkers.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "sim/checkers.h"

namespace chatsdk::sim {

using namespace event;

inline constexpr ConversationNumber kTalk = 1;  // of users 1 and 2
inline constexpr StreamNumber kTalkStream = 501;

inline ClientMessageId k(int number) {
  ClientMessageId id;
  id.bytes[3] = static_cast<unsigned char>(number >> 8);
  id.bytes[15] = static_cast<unsigned char>(number);
  return id;
}

inline ContentHash h(int number) { return 7'000 + static_cast<ContentHash>(number); }

inline StoredRow row(Seq seq, int number, UserNumber sender = 1) {
  return {seq, k(number), sender, h(number), false, false};
}
inline StoredRow lost(int number, UserNumber sender = 1) { return {0, k(number), sender, h(number), false, true}; }
inline PendingRow pending(int number, SeenState state = SeenState::kQueued) { return {k(number), h(number), state}; }

// Users 1 and 2 talk; user 1 has devices 1 and 3, user 2 has device 2. Message n has the content h(n).
class Story {
 public:
  explicit Story(CheckerOptions options = {}) : checkers_(options) { tell({Linked{1, 1}, Linked{2, 2}, Linked{3, 1}}); }

  Story& tell(std::initializer_list<Event> events) {
    for (const Event& event : events) checkers_.on(history_.record(time_us_ += 1'000, 0, event));
    return *this;
  }
  Story& wait_until(std::uint64_t time_us) {
    time_us_ = time_us - 1'000;
    return *this;
  }

  // -- What often happens --
  Story& sends(DeviceNumber device, int number) {
    return tell({SendCalled{device, kTalk, k(number), h(number)}, SendReturned{device, k(number), Code::kOk}});
  }
  Story& accepts(DeviceNumber device, int number, Seq seq) {
    return tell({AnswerSeen{device, k(number), AnswerSeen::Kind::kAccepted, seq, Code::kOk}});
  }
  Story& shows(DeviceNumber device, int number, Seq seq, UserNumber sender = 1) {
    return tell({Shown{device, kTalk, k(number), seq, h(number), sender}});
  }
  // Sent by device 1 and accepted, and known to it.
  Story& delivers(int number, Seq seq) {
    sends(1, number).accepts(1, number, seq);
    return tell({Acked{1, k(number), seq}}).shows(1, number, seq);
  }
  Story& reads(DeviceNumber device, Seq cursor, std::vector<StoredRow> rows, std::vector<PendingRow> waiting = {}) {
    return tell({StoreRead{device, kTalk, cursor, 1, std::move(rows), std::move(waiting)}});
  }
  Story& ends(const FinalState& final_state) {
    checkers_.at_end(final_state);
    return *this;
  }

  // The property that the first violation names; empty: none.
  std::string broken() const { return checkers_.ok() ? std::string() : checkers_.violations().front().property; }
  std::string why() const {
    return checkers_.ok() ? std::string("nothing found") : to_line(checkers_.violations().front());
  }
  const History& history() const { return history_; }

 private:
  History history_;
  Checkers checkers_;
  std::uint64_t time_us_ = 0;
};

#define EXPECT_BROKEN(property, story) EXPECT_EQ((story).broken(), property) << (story).why()
#define EXPECT_SOUND(story) EXPECT_EQ((story).broken(), "") << (story).why()

inline constexpr MarkKind kDelivered = MarkKind::kDelivered;
inline constexpr MarkKind kRead = MarkKind::kRead;

// A full read of the stream of kTalk.
inline StreamRead stream_read(std::vector<StreamItem> items, Seq trimmed_below = 1) {
  const Seq head = items.empty() ? trimmed_below - 1 : items.back().seq;
  return {kTalkStream, kTalk, trimmed_below, head, std::move(items)};
}

}  // namespace chatsdk::sim
