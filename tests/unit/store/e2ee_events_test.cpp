// SPDX-License-Identifier: Apache-2.0
//
// What the app is to hear, kept in the device store until it has taken it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kEventsMost = limits::e2ee::kDeviceEventsMax;

class KeptForTheApp : public ChatOfTwo {
 protected:
  void keep(const std::vector<Event>& events) {
    alice.write([&](E2eeTransaction& tx) { return tx.notes().keep_events(events); });
  }
  void take(std::uint64_t up_to) {
    alice.write([&](E2eeTransaction& tx) { return tx.notes().drop_events(up_to); });
  }
  std::vector<Event> kept(std::uint64_t above = 0) { return alice.kept.e2ee().notes().kept_events(above).value(); }
  static Event about(EventKind kind, const UserId& user_id, std::uint64_t device = 0) {
    return {kind, user_id, DeviceId{device}};
  }
};

TEST_F(KeptForTheApp, IsThereUntilItIsTaken) {
  const std::vector<Event> all = {about(EventKind::kIdentityChanged, "bob"), about(EventKind::kVerifiedChanged, "bob"),
                                  about(EventKind::kDeviceAdded, "bob", 7), about(EventKind::kDeviceRemoved, "bob", 7),
                                  about(EventKind::kListRefused, "carol")};
  keep(all);
  ASSERT_TRUE(alice.kept.reload().ok());
  EXPECT_EQ(kept(), all);
  const std::uint64_t third = kept()[2].number;
  take(third);
  EXPECT_EQ(kept(), (std::vector<Event>{all[3], all[4]}));
  EXPECT_EQ(kept(third + 1), std::vector<Event>{all[4]});
  const std::uint64_t last = kept().back().number;
  take(last);
  EXPECT_TRUE(kept().empty());
  keep({all[0]});
  EXPECT_GT(kept().front().number, last) << "a number is given once";
}

TEST_F(KeptForTheApp, IsOnceWhatIsTheSameAndAtItsLastPlace) {
  const Event came = about(EventKind::kDeviceAdded, "bob", 7);
  const Event went = about(EventKind::kDeviceRemoved, "bob", 7);
  keep({came, went});
  keep({came});
  EXPECT_EQ(kept(), (std::vector<Event>{went, came}));
}

TEST_F(KeptForTheApp, IsNotThatSomebodyHasNoKeys) {
  keep({about(EventKind::kPeerWithoutKeys, "bob")});
  EXPECT_TRUE(kept().empty());
}

// Whoever changes devices without end drives out what is told of them, and of nobody else.
TEST_F(KeptForTheApp, IsBoundedForTheDevicesOfEachUser) {
  keep({about(EventKind::kIdentityChanged, "bob"), about(EventKind::kDeviceAdded, "carol", 1)});
  for (std::uint64_t n = 1; n <= kEventsMost; ++n) keep({about(EventKind::kDeviceAdded, "bob", n)});
  EXPECT_EQ(kept().size(), kEventsMost + 2);
  keep({about(EventKind::kDeviceAdded, "bob", kEventsMost + 1)});
  const auto all = kept();
  ASSERT_EQ(all.size(), kEventsMost + 2);
  EXPECT_EQ(all[0], about(EventKind::kIdentityChanged, "bob"));
  EXPECT_EQ(all[1], about(EventKind::kDeviceAdded, "carol", 1));
  EXPECT_EQ(all[2], about(EventKind::kDeviceAdded, "bob", 2));
  EXPECT_EQ(all.back(), about(EventKind::kDeviceAdded, "bob", kEventsMost + 1));
}

TEST_F(KeptForTheApp, NamesARowThatNobodyWroteSo) {
  keep({about(EventKind::kIdentityChanged, "bob")});
  ASSERT_TRUE(alice.kept.db().execute("UPDATE e2ee_event SET kind = 5").ok());
  const auto read = alice.kept.e2ee().notes().kept_events(0);
  EXPECT_EQ(read.code(), Code::kCorrupt);
  EXPECT_NE(read.error().detail.find("e2ee_event"), std::string::npos);
}

}  // namespace
}  // namespace chatsdk::e2ee
