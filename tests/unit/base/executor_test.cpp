// SPDX-License-Identifier: Apache-2.0
#include "base/executor.h"

#include <gtest/gtest.h>

#include <future>
#include <new>
#include <string>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;

TEST(ManualExecutor, RunsTasksInOrderAndTimersWhenDue) {
  ManualClock clock;
  ManualExecutor executor(clock);
  std::string order;
  executor.post_after(10ms, [&] { order += 'c'; });
  executor.post_after(5ms, [&] { order += 'b'; });
  executor.post([&] { order += 'a'; });

  executor.run_ready();
  EXPECT_EQ(order, "a");
  clock.advance(10ms);
  executor.run_ready();

  EXPECT_EQ(order, "abc");
  EXPECT_EQ(executor.next_time(), std::nullopt);
}

TEST(ManualExecutor, DoesNotRunACancelledTimer) {
  ManualClock clock;
  ManualExecutor executor(clock);
  bool ran = false;
  const auto timer = executor.post_after(1ms, [&] { ran = true; });

  EXPECT_TRUE(executor.cancel(timer));
  EXPECT_FALSE(executor.cancel(timer));
  clock.advance(1s);
  executor.run_ready();

  EXPECT_FALSE(ran);
}

TEST(ManualExecutor, KeepsTimeConstantWithinATurn) {
  ManualClock clock;
  ManualExecutor executor(clock);
  executor.post([&] {
    const auto before = executor.clock().monotonic_now();
    clock.advance(1s);
    EXPECT_EQ(executor.clock().monotonic_now(), before);
  });
  executor.run_ready();
}

TEST(ManualExecutor, RecoversBeforeLaterTurns) {
  ManualClock clock;
  ManualExecutor executor(clock);
  std::string order;
  int attempts = 0;
  executor.recover_with([&] {
    order += 'r';
    if (++attempts == 1) throw std::bad_alloc();
  });
  executor.post([&] { throw std::bad_alloc(); });
  executor.post([&] { order += 'a'; });
  EXPECT_THROW(executor.run_ready(), std::bad_alloc);  // the turn
  EXPECT_THROW(executor.run_ready(), std::bad_alloc);  // the first recovery
  executor.run_ready();
  EXPECT_EQ(order, "rra");

  executor.lose_turn();
  executor.run_ready();
  EXPECT_EQ(order, "rrar");
}

// While the recovery itself finds no memory turns go on: an app's calls are among them.
TEST(ThreadExecutor, RecoversBeforeLaterTurns) {
  SystemClock clock;
  ThreadExecutor executor("test", clock);
  std::string order;
  std::promise<void> recovered;
  int attempts = 0;
  executor.recover_with([&] {
    order += 'r';
    if (++attempts == 1) throw std::bad_alloc();
    if (attempts == 3) recovered.set_value();
  });
  std::promise<void> told;
  executor.post([&] {
    executor.post([&] { throw std::bad_alloc(); });
    executor.post([&] { order += 'a'; });
    executor.post([&] { order += 'b'; });
    executor.post([&] { told.set_value(); });
  });
  told.get_future().wait();
  executor.lose_turn();
  recovered.get_future().wait();
  executor.stop();
  EXPECT_EQ(order, "rarbr");
}

TEST(ThreadExecutor, RunsTasksInOrderOnOneThread) {
  SystemClock clock;
  ThreadExecutor executor("test", clock);
  std::string order;
  std::promise<void> done;

  executor.post([&] { order += 'a'; });
  executor.post([&] {
    EXPECT_TRUE(executor.on_this_thread());
    order += 'b';
  });
  executor.post([&] { done.set_value(); });
  done.get_future().wait();

  EXPECT_EQ(order, "ab");
}

TEST(ThreadExecutor, RunsATimerThatAnotherThreadSet) {
  SystemClock clock;
  ThreadExecutor executor("test", clock);
  std::promise<MonotonicTime> ran;
  const MonotonicTime due = clock.monotonic_now() + 1ms;

  executor.post_at(due, [&] { ran.set_value(executor.clock().monotonic_now()); });

  EXPECT_GE(ran.get_future().get(), due);
}

TEST(ThreadExecutor, DestroysPendingTasksWithoutRunningThem) {
  SystemClock clock;
  auto held = std::make_shared<int>(1);
  bool ran = false;
  {
    ThreadExecutor executor("test", clock);
    executor.post_at(clock.monotonic_now() + 1h, [&ran, held] { ran = true; });
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace chatsdk
