// SPDX-License-Identifier: Apache-2.0
#include "capi/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <shared_mutex>
#include <thread>
#include <vector>

namespace chatsdk::capi {
namespace {

using namespace std::chrono_literals;

TEST(Gate, SteadyUseDoesNotKeepAnOwnerOut) {
  Gate gate;
  std::atomic<bool> end{false};
  std::vector<std::thread> users;
  for (int i = 0; i < 3; ++i) {
    users.emplace_back([&] {
      while (!end) {
        const std::shared_lock inside(gate);
        std::this_thread::yield();
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    std::unique_lock alone(gate, std::defer_lock);
    EXPECT_TRUE(alone.try_lock_for(60s));
  }
  end = true;
  for (std::thread& user : users) user.join();
}

TEST(Gate, AnOwnerThatGivesUpLetsUsersIn) {
  Gate gate;
  const std::shared_lock inside(gate);
  EXPECT_FALSE(gate.try_lock_for(1ms));
  std::thread([&] { const std::shared_lock another(gate); }).join();
}

}  // namespace
}  // namespace chatsdk::capi
