// SPDX-License-Identifier: Apache-2.0
//
// Two ends of a session under everything that a network and a restart may do to them, from one seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "e2ee/outcome.h"
#include "e2ee/ratchet.h"
#include "e2ee/session_rows.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

struct Sent {
  Bytes message;
  std::string text;
  bool was_opened = false;
};

class Side {
 public:
  explicit Side(End end) : end_(std::move(end)) {}

  void send() {
    const std::string text = "message " + std::to_string(sent_.size());
    sent_.push_back({end_.encrypt(text), text});
  }
  // What arrives opens to its own text, once; what does not open changes nothing.
  Code receive(Sent& sent) {
    const std::string before = end_.state();
    const Code code = end_.open(sent.message);
    if (code != Code::kOk) {
      EXPECT_EQ(end_.state(), before);
      return code;
    }
    EXPECT_FALSE(sent.was_opened) << sent.text;
    EXPECT_EQ(end_.last, padded_text(1, sent.text));
    sent.was_opened = true;
    return code;
  }
  void reload() {
    const SecretRows rows = session_rows(end_.session, end_.peer);
    auto again = session_of_rows(rows.view(), end_.peer);
    ASSERT_TRUE(again.has_value());
    end_.session = std::move(*again);
  }

  std::vector<Sent>& sent() { return sent_; }

 private:
  End end_;
  std::vector<Sent> sent_;
};

TEST(RatchetConversation, GoesOnUnderLossReorderingRepeatsAndReloads) {
  SeededRandom dice(20);
  End alices = alices_end();
  const Bytes first = alices.encrypt();
  Side sides[] = {Side(std::move(alices)), Side([&first] {
                    End bob = bobs_end(first, kThen);
                    EXPECT_EQ(bob.open(first), Code::kOk);
                    return bob;
                  }())};
  for (int step = 0; step < 3'000; ++step) {
    Side& to = sides[dice.below(2)];
    Side& from = &to == &sides[0] ? sides[1] : sides[0];
    switch (dice.below(6)) {
      case 0:
      case 1:
        from.send();
        break;
      case 2:  // the newest message always opens, whatever was lost before it
        if (!from.sent().empty() && !from.sent().back().was_opened) {
          ASSERT_EQ(to.receive(from.sent().back()), Code::kOk) << "step " << step;
        }
        break;
      case 3:
      case 4:  // any of the last forty, for the first or for another time
        if (!from.sent().empty()) {
          const std::size_t back = std::min<std::size_t>(from.sent().size(), 40);
          to.receive(from.sent()[from.sent().size() - 1 - dice.below(back)]);
        }
        break;
      default:
        to.reload();
        break;
    }
  }
  for (Side& side : sides) {
    const auto opened =
        std::count_if(side.sent().begin(), side.sent().end(), [](const Sent& s) { return s.was_opened; });
    EXPECT_GT(opened, static_cast<std::ptrdiff_t>(side.sent().size() / 4));
  }
}

}  // namespace
}  // namespace chatsdk::e2ee
