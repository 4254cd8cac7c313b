// SPDX-License-Identifier: Apache-2.0
//
// What of events the queue folds, and what it never does: those that the store keeps until they are pulled.
#include "capi/event_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/limits.h"

namespace chatsdk::capi {
namespace {

constexpr std::size_t kStateMax = 4;

class KeptInQueue : public ::testing::Test {
 protected:
  void push(std::int32_t type, std::uint64_t kept = 0, const std::string& user = {}, std::uint64_t device = 0) {
    auto event = std::make_unique<chatsdk_event>(type);
    event->kept = kept;
    event->user = user;
    event->device_id = device;
    queue_.push(Ref<chatsdk_event>(event.release()));
  }
  // The numbers of those that are kept, and minus the type of others.
  std::vector<std::int64_t> pull() {
    std::vector<std::int64_t> all;
    while (const Ref<chatsdk_event> event = queue_.take()) {
      all.push_back(event->kept != 0 ? static_cast<std::int64_t>(event->kept) : -event->type);
    }
    return all;
  }

  EventQueue queue_{kStateMax};
};

TEST_F(KeptInQueue, IsNeverFolded) {
  push(CHATSDK_EVENT_IDENTITY_CHANGED, 1, "bob");
  push(CHATSDK_EVENT_DEVICE_ADDED, 2, "bob", 7);
  push(CHATSDK_EVENT_LIST_REFUSED, 3, "carol");
  for (std::size_t n = 0; n <= kStateMax; ++n) push(CHATSDK_EVENT_MESSAGE_ADDED);
  const auto all = pull();
  EXPECT_EQ(all, (std::vector<std::int64_t>{1, 2, 3, -CHATSDK_EVENT_RESYNC, -CHATSDK_EVENT_MESSAGE_ADDED}));
}

TEST_F(KeptInQueue, IsOnceWhatIsTheSame) {
  push(CHATSDK_EVENT_DEVICE_ADDED, 1, "bob", 7);
  push(CHATSDK_EVENT_DEVICE_REMOVED, 2, "bob", 7);
  push(CHATSDK_EVENT_DEVICE_ADDED, 3, "carol", 7);
  push(CHATSDK_EVENT_DEVICE_ADDED, 4, "bob", 7);
  EXPECT_EQ(pull(), (std::vector<std::int64_t>{2, 3, 4}));
}

TEST_F(KeptInQueue, IsBoundedForTheDevicesOfEachUser) {
  constexpr std::uint64_t kMost = limits::e2ee::kDeviceEventsMax;
  push(CHATSDK_EVENT_IDENTITY_CHANGED, 1, "bob");
  push(CHATSDK_EVENT_DEVICE_ADDED, 2, "carol", 1);
  for (std::uint64_t n = 1; n <= kMost; ++n) push(CHATSDK_EVENT_DEVICE_ADDED, 2 + n, "bob", n);
  EXPECT_EQ(queue_.size(), kMost + 2);
  push(CHATSDK_EVENT_DEVICE_ADDED, 3 + kMost, "bob", kMost + 1);
  const auto all = pull();
  ASSERT_EQ(all.size(), kMost + 2);
  EXPECT_EQ(all[0], 1);
  EXPECT_EQ(all[1], 2);
  EXPECT_EQ(all[2], 4) << "the oldest of bob's devices went";
  EXPECT_EQ(all.back(), static_cast<std::int64_t>(3 + kMost));
}

TEST_F(KeptInQueue, GoesWithTheStore) {
  push(CHATSDK_EVENT_IDENTITY_CHANGED, 1, "bob");
  push(CHATSDK_EVENT_MESSAGE_ADDED);
  queue_.drop_kept();
  EXPECT_EQ(pull(), (std::vector<std::int64_t>{-CHATSDK_EVENT_MESSAGE_ADDED}));
}

}  // namespace
}  // namespace chatsdk::capi
