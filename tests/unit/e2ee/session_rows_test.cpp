// SPDX-License-Identifier: Apache-2.0
#include "e2ee/session_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

std::vector<Bytes> rows_of(const End& end) {
  const SecretRows rows = session_rows(end.session, end.peer);
  return {rows.view().begin(), rows.view().end()};
}

// Bob's end, with a chain of before, skipped keys and a chain of his own.
End busy_end() {
  End alice = alices_end();
  const Bytes first = alice.encrypt();
  alice.encrypt();
  End bob = bobs_end(first, kThen);
  EXPECT_EQ(bob.open(first), Code::kOk);
  EXPECT_EQ(alice.open(bob.encrypt()), Code::kOk);
  alice.encrypt();
  alice.encrypt();
  EXPECT_EQ(bob.open(alice.encrypt(), kThen + 7), Code::kOk);
  bob.encrypt();
  return bob;
}

TEST(SessionRows, HaveTheSizesOfTheSpecification) {
  const std::vector<Bytes> rows = rows_of(busy_end());
  ASSERT_EQ(rows.size(), 5U);  // the session, two chains, two skipped keys
  EXPECT_EQ(rows[0].size(), 276U + 5U);
  EXPECT_EQ(rows[1].size(), 1U + 4U + 5U + 8U + 8U + 4U + 64U + 8U + 8U);
  EXPECT_EQ(rows[3].size(), 69U + 5U);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].front(), i == 0 ? '\x08' : i < 3 ? '\x0A' : '\x0B') << i;
  }
}

TEST(SessionRows, AreReadAgainAsTheyWere) {
  End begun = alices_end();
  End sent = alices_end();
  sent.encrypt();
  for (const End* end : {&begun, &sent}) {
    const auto again = session_of_rows(rows_of(*end), end->peer);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(rows_of(End{again->clone(), end->peer, {}, SeededRandom(1)}), rows_of(*end));
  }
  const End busy = busy_end();
  const auto again = session_of_rows(rows_of(busy), busy.peer);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(rows_of(End{again->clone(), busy.peer, {}, SeededRandom(1)}), rows_of(busy));
}

TEST(SessionRows, MayComeInAnyOrder) {
  const End busy = busy_end();
  std::vector<Bytes> rows = rows_of(busy);
  std::reverse(rows.begin(), rows.end());
  const auto again = session_of_rows(rows, busy.peer);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(rows_of(End{again->clone(), busy.peer, {}, SeededRandom(1)}), rows_of(busy));
}

TEST(SessionRows, AreTakenWholeOrNotAtAll) {
  const End busy = busy_end();
  const std::vector<Bytes> good = rows_of(busy);
  for (std::size_t i = 0; i < good.size(); ++i) {
    expect_whole_or_nothing(good[i], [&](BytesView row) {
      std::vector<Bytes> rows = good;
      rows[i] = row;
      return session_of_rows(rows, busy.peer);
    });
  }
}

TEST(SessionRows, RefuseWhatDoesNotBelongTogether) {
  const End busy = busy_end();
  const std::vector<Bytes> good = rows_of(busy);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::vector<Bytes> twice = good;
    twice.push_back(good[i]);
    EXPECT_FALSE(session_of_rows(twice, busy.peer).has_value()) << i;
  }
  EXPECT_FALSE(session_of_rows({}, busy.peer).has_value());
  EXPECT_FALSE(session_of_rows(good, {"alice", DeviceId{2}}).has_value());
  EXPECT_FALSE(session_of_rows(good, {"alicf", DeviceId{1}}).has_value());
  const std::vector<Bytes> without_session(good.begin() + 1, good.end());
  EXPECT_FALSE(session_of_rows(without_session, busy.peer).has_value());
  std::vector<Bytes> without_chain = good;
  without_chain.erase(without_chain.begin() + 2);  // of the skipped keys
  EXPECT_FALSE(session_of_rows(without_chain, busy.peer).has_value());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::vector<Bytes> other_session = good;
    other_session[i][18] = static_cast<char>(other_session[i][18] ^ 1);
    EXPECT_FALSE(session_of_rows(other_session, busy.peer).has_value()) << i;
  }
}

TEST(StateHash, DoesNotDependOnTheOrderOfRows) {
  const std::vector<Bytes> one = {"a", "b", "ab"};
  const std::vector<Bytes> other = {"ab", "b", "a"};
  const std::vector<Bytes> different = {"a", "ba", "b"};
  EXPECT_EQ(state_hash(one), state_hash(other));
  EXPECT_NE(state_hash(one), state_hash(different));
}

}  // namespace
}  // namespace chatsdk::e2ee
