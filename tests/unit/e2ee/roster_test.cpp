// SPDX-License-Identifier: Apache-2.0
#include "e2ee/roster.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "e2ee/outcome.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

const RosterDevice kPhone{{"alice", DeviceId{1}}, fixed_of<Hash>(1)};
const RosterDevice kTablet{{"alice", DeviceId{2}}, fixed_of<Hash>(2)};
const RosterDevice kBobs{{"bob", DeviceId{3}}, fixed_of<Hash>(3)};

// At revision 7; the last device left by revision 4.
class RosterSteps : public ::testing::Test {
 protected:
  Result<RosterPoint> step(std::uint64_t revision, const std::vector<RosterDevice>& after) const {
    return next_roster(before_, devices_, {revision, 2, fixed_of<RosterHash>(0x08), after});
  }
  // Whether a chain that was made at the revision before is used up behind the step.
  bool ends_chain(const std::vector<RosterDevice>& after) {
    SeededRandom random(1);
    const OwnChain chain = OwnChain::draw(fixed_of<GroupId>(7), before_.revision, kThen, random);
    EXPECT_FALSE(is_used_up(chain, before_, kThen));
    return is_used_up(chain, step(8, after).value(), kThen);
  }

  const RosterPoint before_{7, 1, fixed_of<RosterHash>(0x07), 4};
  const std::vector<RosterDevice> devices_{kPhone, kTablet, kBobs};
};

TEST_F(RosterSteps, OnlyWhoLeavesEndsAChain) {
  const RosterDevice carols{{"carol", DeviceId{4}}, fixed_of<Hash>(4)};
  const RosterDevice other_keys{kTablet.device, fixed_of<Hash>(9)};
  EXPECT_FALSE(ends_chain({kPhone, kTablet, kBobs}));
  EXPECT_FALSE(ends_chain({kBobs, kTablet, kPhone})) << "the order says nothing";
  EXPECT_FALSE(ends_chain({kPhone, kTablet, kBobs, carols}));
  EXPECT_TRUE(ends_chain({kPhone, kTablet}));
  EXPECT_TRUE(ends_chain({kPhone, kBobs}));
  EXPECT_TRUE(ends_chain({kTablet, kBobs})) << "the own device, too";
  EXPECT_TRUE(ends_chain({kPhone, carols, kBobs})) << "as many as before";
  EXPECT_TRUE(ends_chain({kPhone, other_keys, kBobs})) << "a device with other keys is another one";
  EXPECT_TRUE(ends_chain({}));
}

TEST_F(RosterSteps, KeepTheRevisionAtWhichTheLastOneLeft) {
  const auto same = step(8, devices_);
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->revision, 8U);
  EXPECT_EQ(same->number, 2U);
  EXPECT_EQ(same->hash, fixed_of<RosterHash>(0x08));
  EXPECT_EQ(same->left_revision, 4U);
  EXPECT_EQ(step(9, {kPhone}).value().left_revision, 9U);
}

TEST_F(RosterSteps, GoForwardsOnly) {
  EXPECT_EQ(step(6, devices_).code(), kUntrusted);
  EXPECT_EQ(step(7, devices_).code(), kUntrusted);
  EXPECT_EQ(step(8, devices_).code(), Code::kOk);
}

// Made below, at, and above the revision at which somebody left.
TEST(SenderChain, IsUsedUpByWhoLeftSinceItWasMade) {
  SeededRandom random(1);
  const RosterPoint roster{7, 1, fixed_of<RosterHash>(0x07), 5};
  for (const std::uint64_t made : {3U, 4U, 5U, 6U, 7U}) {
    OwnChain chain = OwnChain::draw(fixed_of<GroupId>(7), made, kThen, random);
    const Code expected = made < 5 ? Code::kLimitReached : Code::kOk;
    const Bytes padded(512, 'p');
    EXPECT_EQ(encrypt_group(chain, {"alice", DeviceId{1}, roster}, padded, kThen, random).code(), expected) << made;
    EXPECT_EQ(chain.next, made < 5 ? 0U : 1U) << made;
  }
}

}  // namespace
}  // namespace chatsdk::e2ee
