// SPDX-License-Identifier: Apache-2.0
//
// The key directory as the server runs it: the directory, the checks and the committer each on a thread of their own,
// and requests from several more. Whatever comes at once, a one-time prekey goes to one of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>
#include <thread>

#include "server-reference/services/committer.h"
#include "server-reference/services/key_directory.h"
#include "server-reference/store/sqlite_store.h"
#include "support/scratch_directory.h"
#include "unit/server/key_people.h"

namespace chatsdk::server {
namespace {

using testing::KeyDevice;
using testing::KeyUser;
using testing::RecordingBus;
using testing::upload_of;

class ThreadedKeys : public ::testing::Test {
 protected:
  ThreadedKeys() {
    KeyDirectoryOptions options;
    options.bundles.burst = options.bundles_per_requester.burst = options.one_time_per_device.burst = 10'000;
    const SubmitWrite submit = [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
      committer_.submit(std::move(op), std::move(on_written), reply_on);
    };
    directory_ = std::make_unique<KeyDirectory>(
        KeyDirectory::Parts{service_, *reader_, submit, {&first_worker_, &second_worker_}, bus_, log_}, options);
    ann_.user_id = "ann";
    ann_.account_seed = e2ee::draw_secret<32>(random_);
    add_ann();
  }
  ~ThreadedKeys() override {
    first_worker_.stop();
    second_worker_.stop();
    service_.stop();
    writer_.stop();
    reader_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void add_ann() {
    Account account;
    account.user_id = "ann";
    OpenSession opening;
    opening.user_id = "ann";
    opening.installation_id = "installation-000";
    opening.now = clock_.wall_now();
    opening.expires = opening.now + std::chrono::hours(1);
    const std::vector<WriteOp> ops = {CreateAccount{account}, opening};
    const auto result = store_->commit(ops);
    const Session& session = std::get<SessionOpened>(*result.value().answers.at(1)).session;
    ann_.devices.push_back(std::make_unique<KeyDevice>());
    KeyDevice& device = ann_.device();
    device.user_id = "ann";
    device.id = session.device_id;
    device.keys = e2ee::DeviceKeys::draw(random_);
    device.record = testing::record_of(device);
    identity_ = {"ann", session.device_id, session.session_id, session.expires};
  }
  // Runs the call on the directory's executor and waits for its answer.
  template <typename Answer, typename Call>
  Answer ask(Call call) {
    std::promise<Answer> answered;
    auto answer = answered.get_future();
    service_.post([&] { call([&answered](Answer value) { answered.set_value(std::move(value)); }); });
    return answer.get();
  }
  Status publish(const wire::DeviceListUpload& upload) {
    return ask<Status>([&](auto done) { directory_->publish_lists(identity_, upload, std::move(done)); });
  }
  Result<wire::KeyCounts> upload(const wire::PrekeyUpload& prekeys) {
    return ask<Result<wire::KeyCounts>>(
        [&](auto done) { directory_->upload_prekeys(identity_, prekeys, std::move(done)); });
  }
  Result<wire::Bundles> fetch(const UserId& requester) {
    wire::BundlesRequest request;
    request.set_user_id("ann");
    const Identity identity{requester, DeviceId{1}, SessionId{1}, {}};
    return ask<Result<wire::Bundles>>([&](auto done) { directory_->take_bundles(identity, request, std::move(done)); });
  }

  const std::string folder_ = test::make_scratch_directory("keys");
  SystemClock clock_;
  SodiumRandom random_;
  NullLog log_;
  RecordingBus bus_;
  std::unique_ptr<SqliteStore> store_ =
      SqliteStore::open({.path = folder_ + "/server.db", .vfs_name = {}}, random_).value();
  std::unique_ptr<StoreReader> reader_ = store_->open_reader().value();
  ThreadExecutor writer_{"writer", clock_};
  Committer committer_{*store_, writer_, log_};
  ThreadExecutor service_{"rest", clock_};
  ThreadExecutor first_worker_{"hash-0", clock_};
  ThreadExecutor second_worker_{"hash-1", clock_};
  std::unique_ptr<KeyDirectory> directory_;
  KeyUser ann_;
  Identity identity_;
};

TEST_F(ThreadedKeys, HandOutEachOneTimeKeyOnce) {
  constexpr int kThreads = 6;
  constexpr int kFetches = 12;  // of each; more than there are keys
  constexpr int kKeys = 25;     // and as many again while they are fetched
  ASSERT_TRUE(publish(upload_of({ann_.next({ann_.device().record})}, {ann_.device().record})).ok());
  const wire::PrekeyUpload before = ann_.device().upload(kKeys, kKeys, random_);
  const wire::PrekeyUpload during = ann_.device().upload(kKeys, kKeys, random_);
  ASSERT_TRUE(upload(before).ok());

  std::vector<std::vector<wire::Bundles>> answers(kThreads);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([this, thread, &answers] {
      for (int i = 0; i < kFetches; ++i) {
        auto answer = fetch("user" + std::to_string(thread));
        if (answer.ok()) answers[static_cast<std::size_t>(thread)].push_back(*std::move(answer));
      }
    });
  }
  ASSERT_TRUE(upload(during).ok());
  ASSERT_TRUE(upload(during).ok()) << "a repeat, as after a lost answer";
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < 2 * kKeys; ++i) answers[0].push_back(fetch("last").value());

  std::map<Bytes, int> one_time;
  std::map<Bytes, int> kem;
  for (const auto& of_thread : answers) {
    for (const wire::Bundles& answer : of_thread) {
      ASSERT_EQ(answer.bundles_size(), 1);
      const wire::Bundle& bundle = answer.bundles(0);
      if (!bundle.one_time_prekey().empty()) ++one_time[bundle.one_time_prekey()];
      if (bundle.kem_prekey()[0] == static_cast<char>(e2ee::PrekeyKind::kOneTimeKem)) ++kem[bundle.kem_prekey()];
    }
  }
  EXPECT_EQ(one_time.size(), 2u * kKeys) << "all of them went out";
  EXPECT_EQ(kem.size(), 2u * kKeys);
  for (const auto& [bytes, times] : one_time) EXPECT_EQ(times, 1);
  for (const auto& [bytes, times] : kem) EXPECT_EQ(times, 1);
}

TEST_F(ThreadedKeys, TakeOneOfManySuccessorsAtOnce) {
  constexpr int kRivals = 6;
  ASSERT_TRUE(publish(upload_of({ann_.next({ann_.device().record})}, {ann_.device().record})).ok());
  const e2ee::DeviceList common = *ann_.newest;
  std::vector<wire::DeviceListUpload> uploads;
  for (int i = 0; i < kRivals; ++i) {
    // They differ in their times.
    const auto time_ms = common.time_ms + static_cast<std::uint64_t>(i);
    const auto rival = e2ee::next_device_list(common, ann_.account_seed, {}, {}, time_ms);
    uploads.push_back(upload_of({rival.value()}, {}));
  }
  std::vector<Code> codes(kRivals, Code::kInternal);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kRivals; ++i) {
    threads.emplace_back([this, i, &uploads, &codes] { codes[i] = publish(uploads[i]).code(); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::count(codes.begin(), codes.end(), Code::kOk), 1);
  EXPECT_EQ(std::count(codes.begin(), codes.end(), Code::kConflict), kRivals - 1);
}

}  // namespace
}  // namespace chatsdk::server
