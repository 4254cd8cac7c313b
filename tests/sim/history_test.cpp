// SPDX-License-Identifier: Apache-2.0
//
// The history itself, and how the checkers report.
#include <gmock/gmock.h>

#include "sim/checker_story.h"

namespace chatsdk::sim {

namespace {

// ---- Reports -------------------------------------------------------------------------------------------------------

TEST(Checkers, StopAtTheFirstViolationUnlessToldOtherwise) {
  History history;
  Checkers first;
  Checkers all({.stop_at_first = false});
  for (int number = 1; number <= 3; ++number) {
    const Record& record = history.record(0, 0, Shown{2, kTalk, k(number), static_cast<Seq>(number), h(1), 1});
    first.on(record);
    all.on(record);
  }

  EXPECT_EQ(first.violations().size(), 1u);
  EXPECT_EQ(all.violations().size(), 3u);
  EXPECT_EQ(all.violations().back().event, 3u);
  EXPECT_EQ(all.violations().back().conversation, kTalk);
}

TEST(Checkers, NameConversationAndEvent) {
  Story story;
  story.shows(2, 1, 2);

  EXPECT_EQ(story.why(),
            "S1 in conversation 1 at event 4: message 00000000..0001 of user 1 is on device 2, but nobody sent it");
}

// ---- History -------------------------------------------------------------------------------------------------------

TEST(History, HashesFieldsAndNothingElse) {
  const auto hash_of_two = [](Seq seq, const std::string& mode) {
    History history;
    history.record(5, 2, Shown{2, kTalk, k(1), seq, h(1), 1});
    history.record(5, 0, Crash{0, mode});
    return history.hash();
  };

  EXPECT_EQ(hash_of_two(2, "drop"), hash_of_two(2, "drop"));
  EXPECT_NE(hash_of_two(2, "drop"), hash_of_two(3, "drop"));
  EXPECT_NE(hash_of_two(2, "drop"), hash_of_two(2, "keep"));
  // The same in every build.
  EXPECT_EQ(hash_of_two(2, "drop"), 6296547772923866189u);
}

TEST(History, TellsWhereTwoPart) {
  const auto three = [](std::uint64_t time, NodeNumber node, Event second) {
    History history;
    history.record(5, 1, Crash{1, "keep"});
    history.record(time, node, std::move(second));
    history.record(9, 1, Heal{});
    return history;
  };
  const History history = three(6, 2, Crash{2, "keep"});
  const auto what = [&history](const History& other) { return first_difference(history, other, 5)->what; };

  EXPECT_FALSE(first_difference(history, history, 5));
  EXPECT_EQ(what(three(7, 2, Crash{2, "keep"})), "time");
  EXPECT_EQ(what(three(6, 1, Crash{2, "keep"})), "node");
  EXPECT_EQ(what(three(6, 2, Restart{2})), "event");
  EXPECT_EQ(what(three(6, 2, Crash{2, "drop"})), "mode");
  const auto found = first_difference(history, three(6, 2, Crash{3, "keep"}), 5);
  EXPECT_EQ(found->what, "node");
  EXPECT_EQ(found->number, 2u);
  EXPECT_THAT(found->before, testing::ElementsAre("#1 0.000005s n1 Crash node=1 mode=keep"));
  EXPECT_EQ(found->one, "#2 0.000006s n2 Crash node=2 mode=keep");
  EXPECT_EQ(found->other, "#2 0.000006s n2 Crash node=3 mode=keep");
}

// Rows that a line leaves out count.
TEST(History, TellsWhereTwoPartInWhatIsNotPrinted) {
  const auto read = [](ContentHash content) {
    History history;
    history.record(0, 0, StoreRead{2, kTalk, 1, 1, {{1, k(1), 1, content, false, false}}, {}});
    return history;
  };

  const auto found = first_difference(read(1), read(2), 5);

  EXPECT_EQ(found->one, found->other);
  EXPECT_EQ(found->what, "rows");
}

TEST(History, TellsThatOneIsOverWhereTheOtherGoesOn) {
  History shorter;
  History longer;
  for (std::uint64_t time = 1; time <= 3; ++time) shorter.record(time, 0, Heal{});
  for (std::uint64_t time = 1; time <= 4; ++time) longer.record(time, 0, Heal{});

  const auto found = first_difference(shorter, longer, 2);

  EXPECT_EQ(found->what, "end");
  EXPECT_EQ(found->number, 4u);
  EXPECT_THAT(found->before, testing::ElementsAre("#2 0.000002s n0 Heal node=0", "#3 0.000003s n0 Heal node=0"));
  EXPECT_EQ(found->one, "");
  EXPECT_EQ(found->other, "#4 0.000004s n0 Heal node=0");
}

TEST(History, PrintsOneLineForAnEvent) {
  History history;

  EXPECT_EQ(to_line(history.record(1'204'310, 2, Shown{2, kTalk, k(1), 7, 0xab, 1})),
            "#1 1.204310s n2 Shown device=2 conversation=1 k=00000000..0001 seq=7 h=00000000000000ab sender=1");
  EXPECT_EQ(to_line(history.record(1'204'311, 0, StoreRead{2, kTalk, 3, 1, {row(2, 1), lost(2)}, {pending(3)}})),
            "#2 1.204311s n0 StoreRead device=2 conversation=1 cursor=3 trimmed_below=1 "
            "rows=2[2:00000000..0001 by 1, 0:00000000..0002 by 1 rolled_back] pending=1[00000000..0003 queued]");
}

TEST(History, TailHoldsOneConversationAndWhatConcernsAll) {
  History history;
  history.record(1, 1, SendCalled{1, 1, k(1), h(1)});
  history.record(2, 1, SendCalled{1, 2, k(2), h(2)});
  history.record(3, 1, SendReturned{1, k(2), Code::kOk});
  history.record(4, 1, SendReturned{1, k(1), Code::kOk});
  history.record(5, 0, Crash{0, "drop"});
  history.record(6, 0, Bound{"outbox", 1, 2});

  const auto numbers = [&](ConversationNumber conversation, std::size_t count) {
    std::string text;
    for (const std::string& line : history.tail(conversation, count)) text += line.substr(0, line.find(' '));
    return text;
  };
  EXPECT_EQ(numbers(1, 200), "#1#4#5");
  EXPECT_EQ(numbers(2, 2), "#3#5");
  EXPECT_EQ(numbers(kNoConversation, 3), "#4#5#6");
}

}  // namespace

}  // namespace chatsdk::sim
