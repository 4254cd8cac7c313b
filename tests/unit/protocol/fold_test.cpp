// SPDX-License-Identifier: Apache-2.0
#include "protocol/fold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace chatsdk::content {
namespace {

const ClientMessageId kPost = *ClientMessageId::from_bytes(std::string(16, 'p'));

template <typename Kind>
Stated stated(std::int64_t place, const UserId& by, Kind kind) {
  Stated annotation{{place, 0}, by, {}};
  annotation.what.kind = std::move(kind);
  return annotation;
}

Edit edit_to(const std::string& text) {
  Edit edit;
  edit.target.id = kPost;
  edit.post.kind = Text{text};
  return edit;
}

// What is shown, in words.
std::string told(const Fold& shown, const std::vector<Stated>& annotations) {
  std::string words = shown.deleted ? "deleted" : "there";
  if (shown.edit) {
    words += " edit=" + std::get<Text>(std::get<Edit>(annotations[*shown.edit].what.kind).post.kind).text;
  }
  words += " edits=" + std::to_string(shown.edits);
  for (const auto& [user, keys] : shown.reactions) {
    words += " " + user + ":";
    for (const std::string& key : keys) words += key + ",";
  }
  return words + (shown.pinned ? " pinned" : "");
}

std::string told(const std::vector<Stated>& annotations) { return told(fold("ann", annotations), annotations); }

// ---- Rules ---------------------------------------------------------------------------------------------------------

TEST(Fold, OfNothingShowsThePostAsItIs) { EXPECT_EQ(told({}), "there edits=0"); }

TEST(Fold, ShowsTheAuthorsLastEditAndCountsAll) {
  EXPECT_EQ(
      told({stated(1, "ann", edit_to("one")), stated(3, "ann", edit_to("three")), stated(2, "ann", edit_to("two"))}),
      "there edit=three edits=3");
}

TEST(Fold, PassesOverWhatOnlyTheAuthorMayDo) {
  EXPECT_EQ(told({stated(1, "bob", edit_to("forged")), stated(2, "bob", Delete{{"ann", kPost}})}), "there edits=0");
}

TEST(Fold, LetsADeletionTakeEverythingWhereverItStands) {
  const Stated edit = stated(2, "ann", edit_to("two"));
  const Stated reaction = stated(3, "bob", Reaction{{"ann", kPost}, {"+1"}});
  const Stated pin = stated(4, "bob", Pin{{"ann", kPost}, true});
  for (const std::int64_t place : {1, 5}) {
    EXPECT_EQ(told({edit, reaction, pin, stated(place, "ann", Delete{{"", kPost}})}), "deleted edits=0");
  }
}

TEST(Fold, KeepsOfEachMemberTheLastReactionAndNoneThatWasTakenBack) {
  EXPECT_EQ(
      told({stated(1, "bob", Reaction{{"ann", kPost}, {"+1"}}), stated(2, "ann", Reaction{{"", kPost}, {"ha", "+1"}}),
            stated(4, "bob", Reaction{{"ann", kPost}, {"no"}}), stated(3, "bob", Reaction{{"ann", kPost}, {}}),
            stated(5, "cyd", Reaction{{"ann", kPost}, {"+1"}}), stated(6, "cyd", Reaction{{"ann", kPost}, {}})}),
      "there edits=0 ann:ha,+1, bob:no,");
}

TEST(Fold, PinsByTheLastWordOfAnyMember) {
  EXPECT_EQ(told({stated(1, "ann", Pin{{"", kPost}, true})}), "there edits=0 pinned");
  EXPECT_EQ(told({stated(2, "bob", Pin{{"ann", kPost}, false}), stated(1, "ann", Pin{{"", kPost}, true})}),
            "there edits=0");
}

TEST(Fold, PassesOverWhatItDoesNotKnow) {
  EXPECT_EQ(told({stated(1, "ann", Unknown{}), stated(2, "ann", Erased{}), stated(3, "ann", Timer{5})}),
            "there edits=0");
}

TEST(Fold, OfOnePlaceGoesByTheKey) {
  Stated first = stated(7, "ann", edit_to("first"));
  Stated second = stated(7, "ann", edit_to("second"));
  second.at.key = 1;
  EXPECT_EQ(told({second, first}), "there edit=second edits=2");
}

TEST(Fold, OfATimerIsTheLastOne) {
  EXPECT_EQ(fold_timer({}), 0u);
  const std::vector<Stated> set = {stated(2, "bob", Timer{60}), stated(1, "ann", Timer{5}),
                                   stated(3, "ann", edit_to("x"))};
  EXPECT_EQ(fold_timer(set), 60u);
}

// ---- Any order -----------------------------------------------------------------------------------------------------

// The same rules said another way: one after the other, as a device that was there from the beginning sees them.
std::string replayed(std::vector<Stated> annotations) {
  std::sort(annotations.begin(), annotations.end(), [](const Stated& a, const Stated& b) { return a.at < b.at; });
  std::string text;
  int edits = 0;
  std::map<std::string, std::string> reactions;
  bool pinned = false;
  for (const Stated& one : annotations) {
    if (const auto* edit = std::get_if<Edit>(&one.what.kind); edit != nullptr && one.by == "ann") {
      text = " edit=" + std::get<Text>(edit->post.kind).text;
      ++edits;
    }
    if (const auto* reaction = std::get_if<Reaction>(&one.what.kind)) {
      std::string keys;
      for (const std::string& key : reaction->keys) keys += key + ",";
      reactions[one.by] = keys;
    }
    if (const auto* pin = std::get_if<Pin>(&one.what.kind)) pinned = pin->pinned;
    if (std::holds_alternative<Delete>(one.what.kind) && one.by == "ann") return "deleted edits=0";
  }
  std::string words = "there" + text + " edits=" + std::to_string(edits);
  for (const auto& [user, keys] : reactions) words += keys.empty() ? "" : " " + user + ":" + keys;
  return words + (pinned ? " pinned" : "");
}

Stated drawn(std::mt19937& random, std::int64_t place) {
  const auto pick = [&random](std::uint32_t below) { return static_cast<std::uint32_t>(random() % below); };
  const UserId by = std::vector<UserId>{"ann", "bob", "cyd"}[pick(3)];
  const Target target{by == "ann" ? "" : "ann", kPost};
  std::vector<std::string> keys;
  for (const char* key : {"+1", "ha", "no"}) {
    if (pick(2) == 0) keys.emplace_back(key);
  }
  switch (pick(9)) {
    case 0:
      return stated(place, by, Delete{target});
    case 1:
    case 2:
      return stated(place, by, edit_to("edit " + std::to_string(place)));
    case 3:
      return stated(place, by, Unknown{});
    case 4:
      return stated(place, by, Pin{target, pick(2) == 0});
    default:
      return stated(place, by, Reaction{target, keys});
  }
}

TEST(Fold, IsTheSameInWhateverOrderAnnotationsCome) {
  std::mt19937 random(20'260'723);
  int deleted = 0;
  for (int round = 0; round < 2'000; ++round) {
    SCOPED_TRACE(round);
    std::vector<Stated> annotations;
    const int count = static_cast<int>(random() % 8);
    for (int i = 0; i < count; ++i) annotations.push_back(drawn(random, 10 * i));
    const std::string wanted = replayed(annotations);
    deleted += wanted.starts_with("deleted") ? 1 : 0;
    for (int shuffle = 0; shuffle < 10; ++shuffle) {
      std::shuffle(annotations.begin(), annotations.end(), random);
      ASSERT_EQ(told(annotations), wanted);
    }
  }
  EXPECT_GT(deleted, 100);
  EXPECT_LT(deleted, 1'500);
}

}  // namespace
}  // namespace chatsdk::content
