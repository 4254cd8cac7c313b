// SPDX-License-Identifier: Apache-2.0
#include "sim/watched_store.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace chatsdk::sim {
namespace {

using namespace server;

// Answers what the test says.
class ScriptedStore final : public Store {
 public:
  Result<CommitResult> commit(std::span<const WriteOp> ops) override {
    if (fails) return error(Code::kStorage, "the disk failed");
    CommitResult result;
    for (std::size_t i = 0; i < ops.size(); ++i) result.answers.push_back(answers.at(i));
    return result;
  }
  Result<std::unique_ptr<StoreReader>> open_reader() override { return error(Code::kInternal, "none"); }
  std::uint64_t epoch() const override { return 1; }
  Bytes secret() const override { return {}; }

  std::vector<Result<WriteAnswer>> answers;
  bool fails = false;
};

class WatchedStoreTest : public ::testing::Test {
 protected:
  // Of how many ops, after a removal of device 7, it says that they break the promise.
  std::size_t broken_by(std::vector<WriteOp> ops, std::vector<Result<WriteAnswer>> answers) {
    ops.insert(ops.begin(), EndSessions{"ann", DeviceId{7}, true, {}});
    answers.insert(answers.begin(), WriteAnswer(Done{}));
    store_.answers = std::move(answers);
    EXPECT_TRUE(watched_.commit(ops).ok());
    return broken_.size();
  }
  static AppendMessage from(DeviceId device) {
    AppendMessage op;
    op.sender_device = device;
    return op;
  }
  static Appended answer(bool repeated) {
    Appended appended;
    appended.repeated = repeated;
    return appended;
  }

  ScriptedStore store_;
  std::vector<DeviceId> broken_;
  WatchedStore watched_{store_, [this](DeviceId device) { broken_.push_back(device); }};
};

TEST_F(WatchedStoreTest, SeesAMessageThatIsAcceptedAfterItsDevicesRemoval) {
  EXPECT_EQ(broken_by({from(DeviceId{7})}, {WriteAnswer(answer(false))}), 1U);
}

TEST_F(WatchedStoreTest, SeesAVoidToo) {
  VoidMessage op;
  op.sender_device = DeviceId{7};
  EXPECT_EQ(broken_by({op}, {WriteAnswer(Voided{})}), 1U);
}

TEST_F(WatchedStoreTest, TakesARepeatARefusalAndOtherDevices) {
  EXPECT_EQ(broken_by({from(DeviceId{7}), from(DeviceId{7}), from(DeviceId{8})},
                      {WriteAnswer(answer(true)), error(Code::kUnauthenticated, "ended"), WriteAnswer(answer(false))}),
            0U);
}

TEST_F(WatchedStoreTest, TakesARepeatedVoidToo) {
  VoidMessage op;
  op.sender_device = DeviceId{7};
  EXPECT_EQ(broken_by({op, op}, {WriteAnswer(Voided{{}, true}), WriteAnswer(Voided{answer(true), false})}), 0U);
}

// What it tells of sessions, in order.
class WatchedSessionsTest : public ::testing::Test {
 protected:
  WatchedSessionsTest() {
    watched_.on_rotated = [this](const RotateSession& op, const SessionRotated& rotated) {
      told_.push_back("rotated by " + op.request_id + " to " + std::to_string(rotated.session.generation));
    };
    watched_.on_session_ended = [this](DeviceId device) {
      told_.push_back("ended of " + std::to_string(device.value));
    };
    watched_.on_sessions_in_doubt = [this] { told_.push_back("in doubt"); };
  }
  std::vector<std::string> told_of(const std::vector<WriteOp>& ops, std::vector<Result<WriteAnswer>> answers) {
    store_.answers = std::move(answers);
    EXPECT_TRUE(watched_.commit(ops).ok());
    return std::exchange(told_, {});
  }
  std::vector<std::string> told_of_failed(const WriteOp& op) {
    store_.fails = true;
    EXPECT_EQ(watched_.commit(std::vector<WriteOp>{ProbeWrite{}, op}).code(), Code::kStorage);
    return std::exchange(told_, {});
  }
  static RotateSession rotation() {
    RotateSession op;
    op.request_id = "one";
    return op;
  }

  ScriptedStore store_;
  WatchedStore watched_{store_, [](DeviceId) {}};
  std::vector<std::string> told_;
};

TEST_F(WatchedSessionsTest, ARotationIsToldAndALogInEndsWhatTheDeviceHad) {
  SessionRotated rotated;
  rotated.session.generation = 2;
  SessionOpened opened;
  opened.session.device_id = DeviceId{7};
  EXPECT_EQ(told_of({rotation(), OpenSession{}, EndSessions{"ann", DeviceId{8}, false, {}}},
                    {WriteAnswer(rotated), WriteAnswer(opened), WriteAnswer(Done{})}),
            (std::vector<std::string>{"rotated by one to 2", "ended of 7", "ended of 8"}));
}

TEST_F(WatchedSessionsTest, WhatWasRefusedEndsNone) {
  EXPECT_EQ(told_of({OpenSession{}, EndSessions{"ann", DeviceId{8}, true, {}}},
                    {error(Code::kLimitReached, "full"), error(Code::kNotFound, "no such device")}),
            std::vector<std::string>{});
}

TEST_F(WatchedSessionsTest, ACommitThatFailedLeavesTheSessionsInItInDoubt) {
  const std::vector<std::string> in_doubt{"in doubt"};
  EXPECT_EQ(told_of_failed(rotation()), in_doubt);
  EXPECT_EQ(told_of_failed(OpenSession{}), in_doubt);
  EXPECT_EQ(told_of_failed(EndSessions{}), in_doubt);
  EXPECT_EQ(told_of_failed(AppendMessage{}), std::vector<std::string>{});
}

}  // namespace
}  // namespace chatsdk::sim
