// SPDX-License-Identifier: Apache-2.0
//
// The committer against a store whose commits are scripted: what shares a batch, who is answered when, and what a
// failed store does to those who wait.
//
// Threads: manual executors, but for the last test.
#include "server-reference/services/committer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>

#include "unit/server/recording_log.h"

namespace chatsdk::server {
namespace {

// Answers Done to everything, or fails as told, and remembers the batches.
class ScriptedStore final : public Store {
 public:
  Result<CommitResult> commit(std::span<const WriteOp> ops) override {
    std::vector<std::uint64_t> tags;
    CommitResult result;
    for (const WriteOp& op : ops) {
      tags.push_back(tag_of(op));
      result.answers.emplace_back(WriteAnswer(Done{}));
    }
    batches.push_back(tags);
    if (during_commit) during_commit();
    if (next_error) return *std::exchange(next_error, std::nullopt);
    return result;
  }
  Result<std::unique_ptr<StoreReader>> open_reader() override { return error(Code::kUnsupported, "scripted"); }
  std::uint64_t epoch() const override { return 1; }
  Bytes secret() const override { return Bytes(32, 's'); }

  static std::uint64_t tag_of(const WriteOp& op) {
    if (const auto* message = std::get_if<AppendMessage>(&op)) return message->send_number;
    if (const auto* cursor = std::get_if<AdvanceCursor>(&op)) return cursor->acknowledged;
    return 0;
  }

  std::vector<std::vector<std::uint64_t>> batches;
  std::optional<Error> next_error;
  std::function<void()> during_commit;
};

WriteOp message(std::uint64_t tag, std::size_t content_bytes = 0) {
  AppendMessage op;
  op.content.assign(content_bytes, 'x');
  op.send_number = tag;
  return op;
}

WriteOp cursor(std::uint64_t tag) {
  AdvanceCursor op;
  op.acknowledged = tag;
  return op;
}

class CommitterTest : public ::testing::Test {
 protected:
  void submit(WriteOp op) { submit(std::move(op), replies); }
  void submit(WriteOp op, Executor& on) {
    committer().submit(
        std::move(op), [this](Result<WriteAnswer> answer) { answers.push_back(std::move(answer)); }, on);
  }
  Committer& committer() {
    if (!committer_) committer_.emplace(store, writer, log, limits);
    return *committer_;
  }

  ManualClock clock;
  ManualExecutor writer{clock};
  ManualExecutor replies{clock};
  ManualExecutor other_replies{clock};
  testing::RecordingLog log;
  ScriptedStore store;
  Committer::Limits limits;
  std::vector<Result<WriteAnswer>> answers;
  std::optional<Committer> committer_;
};

TEST_F(CommitterTest, EverythingQueuedSharesOneBatchInOrder) {
  for (std::uint64_t tag = 1; tag <= 5; ++tag) submit(message(tag));
  EXPECT_EQ(writer.run_ready(), 1u);
  EXPECT_EQ(store.batches, (std::vector<std::vector<std::uint64_t>>{{1, 2, 3, 4, 5}}));
  EXPECT_TRUE(answers.empty()) << "answers run on their own executor";
  EXPECT_EQ(replies.run_ready(), 1u) << "one task carries all answers of a batch";
  EXPECT_EQ(answers.size(), 5u);
}

TEST_F(CommitterTest, WhatArrivesDuringACommitIsTheNextBatch) {
  store.during_commit = [this] {
    if (store.batches.size() == 1) {
      for (std::uint64_t tag = 2; tag <= 4; ++tag) submit(message(tag));
    }
  };
  submit(message(1));
  writer.run_ready();
  EXPECT_EQ(store.batches, (std::vector<std::vector<std::uint64_t>>{{1}, {2, 3, 4}}));
}

TEST_F(CommitterTest, ABatchHoldsAtMostBatchMaxMessages) {
  limits.batch_max = 3;
  for (std::uint64_t tag = 1; tag <= 7; ++tag) submit(message(tag));
  writer.run_ready();
  EXPECT_EQ(store.batches, (std::vector<std::vector<std::uint64_t>>{{1, 2, 3}, {4, 5, 6}, {7}}));
}

TEST_F(CommitterTest, OtherWritesDoNotCountAsMessagesButAreBounded) {
  limits.batch_max = 2;
  limits.batch_ops_max = 4;
  for (std::uint64_t tag = 1; tag <= 6; ++tag) submit(tag % 3 == 0 ? message(tag) : cursor(tag));
  writer.run_ready();
  EXPECT_EQ(store.batches, (std::vector<std::vector<std::uint64_t>>{{1, 2, 3, 4}, {5, 6}}));
}

TEST_F(CommitterTest, EachExecutorGetsItsAnswersInOneTask) {
  submit(message(1), replies);
  submit(message(2), other_replies);
  submit(message(3), replies);
  writer.run_ready();
  EXPECT_EQ(replies.run_ready(), 1u);
  EXPECT_EQ(answers.size(), 2u);
  EXPECT_EQ(other_replies.run_ready(), 1u);
  EXPECT_EQ(answers.size(), 3u);
}

TEST_F(CommitterTest, TheObserverSeesTheCommitBeforeAnyAnswerIsPosted) {
  struct Observer final : CommitObserver {
    void on_committed(const CommitResult& result) override {
      seen += result.answers.size();
      posted_before = replies->next_time().has_value();
    }
    ManualExecutor* replies = nullptr;
    std::size_t seen = 0;
    bool posted_before = true;
  } observer;
  observer.replies = &replies;
  committer().set_observer(&observer);
  submit(message(1));
  writer.run_ready();
  EXPECT_EQ(observer.seen, 1u);
  EXPECT_FALSE(observer.posted_before);
  EXPECT_TRUE(replies.next_time().has_value());
}

TEST_F(CommitterTest, AFullQueueRefusesAtOnceAndNamesATime) {
  limits.queue_max = 4;
  for (std::uint64_t tag = 1; tag <= 5; ++tag) submit(message(tag));
  EXPECT_EQ(committer().queued(), 4u);
  EXPECT_TRUE(answers.empty()) << "not within submit";
  replies.run_ready();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].code(), Code::kUnavailable);
  EXPECT_GT(answers[0].error().retry_after.count(), 0);
  writer.run_ready();
  submit(message(6));
  writer.run_ready();
  replies.run_ready();
  EXPECT_EQ(answers.size(), 6u);
  EXPECT_TRUE(answers.back().ok());
}

TEST_F(CommitterTest, TheBytesOfAllOpsAreBounded) {
  const std::size_t each = sizeof(WriteOp) + 1'000;
  for (const std::size_t limit : {3 * each - 1, 3 * each, 3 * each + 1}) {
    limits.queue_bytes_max = limit;
    committer_.reset();
    answers.clear();
    const std::size_t fitting = limit / each;

    for (std::uint64_t tag = 1; tag <= fitting + 1; ++tag) submit(message(tag, 1'000));
    replies.run_ready();

    EXPECT_EQ(committer().queued(), fitting);
    EXPECT_EQ(committer().held_bytes(), fitting * each);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].code(), Code::kUnavailable);
    EXPECT_GT(answers[0].error().retry_after.count(), 0);
    writer.run_ready();
    EXPECT_EQ(committer().held_bytes(), 0u);
    replies.run_ready();
  }
}

TEST_F(CommitterTest, UploadsOfKeysCountWithTheirBytes) {
  UploadPrekeys upload;
  upload.one_time = {{1, Bytes(1'000, 'a')}};
  upload.one_time_kem = {{2, Bytes(1'000, 'b')}, {3, Bytes(1'000, 'c')}};
  submit(upload);
  const std::size_t of_upload = committer().held_bytes();
  EXPECT_GE(of_upload, sizeof(WriteOp) + 3'000);
  PublishLists lists;
  lists.lists = {{1, {}, {}, Bytes(1'000, 'l'), {}}};
  lists.records = {{DeviceId{1}, {}, Bytes(1'000, 'r')}};
  submit(lists);
  EXPECT_GE(committer().held_bytes(), of_upload + sizeof(WriteOp) + 2'000);
  writer.run_ready();
  EXPECT_EQ(committer().held_bytes(), 0u);
}

TEST_F(CommitterTest, ChangesOfGroupsCountWithTheirBytes) {
  GroupOperation op;
  op.change = CreateGroup{{Bytes(1'000, 'u'), Bytes(1'000, 'v')}, {}, Bytes(1'000, 'd'), Bytes(1'000, 'p')};
  submit(op);
  const std::size_t of_creation = committer().held_bytes();
  EXPECT_GE(of_creation, sizeof(WriteOp) + 4'000);
  op.change = AddMembers{{Bytes(1'000, 'u'), Bytes(1'000, 'v')}};
  submit(op);
  EXPECT_GE(committer().held_bytes(), of_creation + sizeof(WriteOp) + 2'000);
  op.change = ChangeGroup{{}, Bytes(1'000, 'd'), Bytes(1'000, 'p')};
  const std::size_t before = committer().held_bytes();
  submit(op);
  EXPECT_GE(committer().held_bytes(), before + sizeof(WriteOp) + 2'000);
  writer.run_ready();
  EXPECT_EQ(committer().held_bytes(), 0u);
}

TEST_F(CommitterTest, ChangesOfGroupsCountAsMessages) {
  limits.batch_max = 2;
  GroupOperation op;
  op.change = DeleteGroup{};
  for (int i = 0; i < 3; ++i) submit(op);
  submit(message(4));
  submit(cursor(5));
  writer.run_ready();
  ASSERT_EQ(store.batches.size(), 2u);
  EXPECT_EQ(store.batches[0].size(), 2u);
  EXPECT_EQ(store.batches[1].size(), 3u);
}

TEST_F(CommitterTest, AnOpLargerThanTheQueueIsTakenAlone) {
  limits.queue_bytes_max = 100;
  submit(message(1, 1'000));
  submit(message(2, 1'000));
  writer.run_ready();
  replies.run_ready();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].code(), Code::kUnavailable) << "the one that did not fit";
  EXPECT_TRUE(answers[1].ok());
}

TEST_F(CommitterTest, WhatIsBeingWrittenStillCounts) {
  limits.queue_bytes_max = sizeof(WriteOp) + 1'000;
  store.during_commit = [this] {
    EXPECT_EQ(committer().held_bytes(), sizeof(WriteOp) + 1'000);
    if (store.batches.size() == 1) submit(message(2, 1));
  };
  submit(message(1, 1'000));
  writer.run_ready();
  EXPECT_EQ(store.batches.size(), 1u);
  submit(message(3, 1'000));
  writer.run_ready();
  EXPECT_EQ(store.batches.size(), 2u);
}

TEST_F(CommitterTest, ABatchHoldsAtMostItsBytes) {
  const std::size_t each = sizeof(WriteOp) + 1'000;
  for (const std::size_t limit : {2 * each - 1, 2 * each, 2 * each + 1}) {
    limits.batch_bytes_max = limit;
    committer_.reset();
    store.batches.clear();

    for (std::uint64_t tag = 1; tag <= 3; ++tag) submit(message(tag, 1'000));
    writer.run_ready();

    EXPECT_EQ(store.batches.size(), limit < 2 * each ? 3u : 2u);
  }
}

TEST_F(CommitterTest, AFullDiskRefusesItsBatchAndTheNextIsTried) {
  store.next_error = error(Code::kStorageFull, "full");
  submit(message(1));
  writer.run_ready();
  submit(message(2));
  writer.run_ready();
  replies.run_ready();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].code(), Code::kStorageFull);
  EXPECT_TRUE(answers[1].ok());
}

class CommitterLog : public CommitterTest {
 protected:
  void not_stored(int batches, const char* why = "full") {
    for (int i = 0; i < batches; ++i) {
      store.next_error = error(Code::kStorageFull, why);
      submit(message(1));
      writer.run_ready();
    }
  }
  void stored() {
    submit(message(1));
    writer.run_ready();
  }
};

using Lines = std::vector<std::string>;

TEST_F(CommitterLog, TellsOfAFullDiskOnceAMinuteAndOfItsEnd) {
  not_stored(240);
  EXPECT_EQ(log.lines, Lines{"committer: batch of 1 not stored: full"});
  clock.advance(std::chrono::seconds(59));
  not_stored(1);
  EXPECT_EQ(log.lines.size(), 1u);

  clock.advance(std::chrono::seconds(1));
  not_stored(3);
  EXPECT_EQ(log.lines, (Lines{"committer: batch of 1 not stored: full", "committer: did not store 240 more: full",
                              "committer: batch of 1 not stored: full"}));
  log.lines.clear();

  stored();
  stored();
  EXPECT_EQ(log.lines, Lines{"committer: batches are stored again"});
  clock.advance(std::chrono::minutes(1));
  stored();
  EXPECT_EQ(log.lines, (Lines{"committer: batches are stored again", "committer: did not store 2 more: full"}));
}

TEST_F(CommitterLog, HasFourLinesAMinuteOfADiskThatIsFullNowAndThen) {
  for (int i = 0; i < 100; ++i) {
    not_stored(1);
    stored();
  }
  EXPECT_EQ(log.lines, (Lines{"committer: batch of 1 not stored: full", "committer: batches are stored again"}));
  clock.advance(std::chrono::minutes(1));
  not_stored(1);
  stored();
  EXPECT_EQ(log.lines.size(), 5u);
  EXPECT_EQ(log.lines[2], "committer: did not store 99 more: full");
}

TEST_F(CommitterLog, TellsAnotherReasonAtOnceAndTheCountAtTheEnd) {
  not_stored(2);
  not_stored(1, "busy");
  committer_.reset();
  EXPECT_EQ(log.lines, (Lines{"committer: batch of 1 not stored: full", "committer: batch of 1 not stored: busy",
                              "committer: did not store 1 more: full"}));
}

TEST_F(CommitterTest, AFailedStoreAnswersAllUnavailableAndSaysSoOnce) {
  limits.batch_max = 2;
  int fatal = 0;
  committer().set_on_fatal([&](const Error& failure) {
    ++fatal;
    EXPECT_EQ(failure.code, Code::kStorage);
  });
  store.next_error = error(Code::kStorage, "sync failed");
  for (std::uint64_t tag = 1; tag <= 5; ++tag) submit(message(tag));
  writer.run_ready();
  submit(message(6));
  writer.run_ready();
  replies.run_ready();
  EXPECT_EQ(fatal, 1);
  EXPECT_EQ(store.batches.size(), 1u) << "the store is not called again";
  ASSERT_EQ(answers.size(), 6u);
  for (const auto& answer : answers) EXPECT_EQ(answer.code(), Code::kUnavailable);
}

TEST_F(CommitterTest, DrainRefusesNewWritesAndEndsAfterTheQueued) {
  limits.batch_max = 1;
  submit(message(1));
  submit(message(2));
  bool drained = false;
  committer().drain([&] {
    drained = true;
    EXPECT_EQ(store.batches.size(), 2u);
  });
  submit(message(3));
  EXPECT_FALSE(drained);
  writer.run_ready();
  replies.run_ready();
  EXPECT_TRUE(drained);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0].code(), Code::kUnavailable);
  EXPECT_TRUE(answers[1].ok());
  EXPECT_TRUE(answers[2].ok());
}

TEST_F(CommitterTest, DrainOfAnIdleCommitterEndsOnTheWriter) {
  bool drained = false;
  committer().drain([&] { drained = true; });
  EXPECT_FALSE(drained);
  writer.run_ready();
  EXPECT_TRUE(drained);
}

TEST_F(CommitterTest, DestructionDropsWhatIsQueued) {
  submit(message(1));
  committer_.reset();
  writer.run_ready();
  replies.run_ready();
  EXPECT_TRUE(store.batches.empty());
  EXPECT_TRUE(answers.empty());
}

TEST(CommitterThreads, SubmittersOnSeveralThreadsAreAllAnswered) {
  constexpr std::uint64_t kEach = 2'000;
  SystemClock clock;
  NullLog log;
  ScriptedStore store;
  ThreadExecutor writer("writer", clock);
  ThreadExecutor first("first", clock);
  ThreadExecutor second("second", clock);
  std::atomic<std::uint64_t> answered = 0;
  std::promise<void> done;
  Committer committer(store, writer, log);
  const auto flood = [&](Executor& on) {
    on.post([&] {
      for (std::uint64_t tag = 1; tag <= kEach; ++tag) {
        committer.submit(
            message(tag),
            [&](Result<WriteAnswer> answer) {
              EXPECT_TRUE(answer.ok());
              if (++answered == 2 * kEach) done.set_value();
            },
            on);
      }
    });
  };
  flood(first);
  flood(second);
  done.get_future().wait();
  writer.stop();
  first.stop();
  second.stop();
  std::size_t written = 0;
  for (const auto& batch : store.batches) written += batch.size();
  EXPECT_EQ(written, 2 * kEach);
}

}  // namespace
}  // namespace chatsdk::server
