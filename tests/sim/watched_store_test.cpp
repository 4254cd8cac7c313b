// SPDX-License-Identifier: Apache-2.0
#include "sim/watched_store.h"

#include <gtest/gtest.h>

#include <vector>

namespace chatsdk::sim {
namespace {

using namespace server;

// Answers what the test says.
class ScriptedStore final : public Store {
 public:
  Result<CommitResult> commit(std::span<const WriteOp> ops) override {
    CommitResult result;
    for (std::size_t i = 0; i < ops.size(); ++i) result.answers.push_back(answers.at(i));
    return result;
  }
  Result<std::unique_ptr<StoreReader>> open_reader() override { return error(Code::kInternal, "none"); }
  std::uint64_t epoch() const override { return 1; }
  Bytes secret() const override { return {}; }

  std::vector<Result<WriteAnswer>> answers;
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

}  // namespace
}  // namespace chatsdk::sim
