// SPDX-License-Identifier: Apache-2.0
//
// One owner of a device store at a time: by whatever name a second one comes, in this process or another, and how the
// store becomes free again.
//
// Threads: one in each process.
#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include "device_store_fixture.h"

namespace chatsdk {
namespace {

// A process of its own that is asked one thing after the other. It is forked before any store is open: SQLite's
// knowledge of who locks what within a process would come along.
class OtherProcess {
 public:
  // answer is called in the other process, with each question.
  explicit OtherProcess(const std::function<Code(const std::string&)>& answer) {
    std::array<int, 2> questions = {-1, -1};
    std::array<int, 2> answers = {-1, -1};
    if (::pipe(questions.data()) != 0 || ::pipe(answers.data()) != 0) std::abort();
    id_ = ::fork();
    questions_ = questions[id_ == 0 ? 0 : 1];
    answers_ = answers[id_ == 0 ? 1 : 0];
    ::close(questions[id_ == 0 ? 1 : 0]);
    ::close(answers[id_ == 0 ? 0 : 1]);
    if (id_ == 0) serve(answer);
  }
  ~OtherProcess() {
    kill();
    ::close(questions_);
    ::close(answers_);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;

  Code ask(const std::string& question) const {
    const std::string line = question + "\n";
    Code code = Code::kInternal;
    EXPECT_EQ(::write(questions_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    EXPECT_EQ(::read(answers_, &code, sizeof code), static_cast<ssize_t>(sizeof code));
    return code;
  }
  void kill() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(std::exchange(id_, -1), nullptr, 0);
  }

 private:
  [[noreturn]] void serve(const std::function<Code(const std::string&)>& answer) const {
    std::string question;
    for (char c = 0; ::read(questions_, &c, 1) == 1;) {
      if (c != '\n') {
        question += c;
        continue;
      }
      const Code code = answer(question);
      if (::write(answers_, &code, sizeof code) != static_cast<ssize_t>(sizeof code)) break;
      question.clear();
    }
    ::_exit(0);
  }

  pid_t id_ = -1;
  int questions_ = -1;
  int answers_ = -1;
};

class StoreOwner : public DeviceStoreTest {
 protected:
  // Opens the store of that name and keeps it open; of no name: closes the one that is open.
  Code open_there(const std::string& name) {
    held_.reset();
    if (name.empty()) return Code::kOk;
    auto there = options();
    there.path = name;
    auto opened = DeviceStore::open(there, random_, clock_);
    if (opened.ok()) held_ = std::move(opened).value();
    return opened.code();
  }
  Code open_and_close(const std::string& name) {
    const Code code = open_there(name);
    held_.reset();
    return code;
  }
  Code open_and_close_elsewhere(const std::string& name) {
    const Code code = other_.ask(name);
    other_.ask("");
    return code;
  }

  std::string other_name() const { return (directory_ / "other.db").string(); }
  void link_other_name() { std::filesystem::create_hard_link(path(), other_name()); }

  void expect_in_use(const std::string& name) {
    EXPECT_EQ(open_and_close(name), Code::kStoreInUse) << name << ", in the owner's process";
    EXPECT_EQ(open_and_close_elsewhere(name), Code::kStoreInUse) << name << ", in another process";
  }
  void expect_free(const std::string& name) {
    EXPECT_EQ(open_and_close(name), Code::kOk) << name << ", in this process";
    EXPECT_EQ(open_and_close_elsewhere(name), Code::kOk) << name << ", in another process";
  }

  std::unique_ptr<DeviceStore> held_;
  OtherProcess other_{[this](const std::string& name) { return open_there(name); }};
};

TEST_F(StoreOwner, IsTheOnlyOneUnderEveryName) {
  open_as_ann();
  close();
  link_other_name();
  std::filesystem::create_symlink(other_name(), directory_ / "soft.db");
  reopen();

  for (const std::string& name : {path(), other_name(), (directory_ / "soft.db").string()}) expect_in_use(name);

  close();
  expect_free(other_name());
}

TEST_F(StoreOwner, OfAStoreJustMadeIsTheOnlyOneToo) {
  reopen();
  link_other_name();

  expect_in_use(other_name());

  close();
  expect_free(other_name());
}

TEST_F(StoreOwner, OfAStoreMadeAfreshIsTheOnlyOneToo) {
  std::ofstream(path()) << std::string(10'000, 'j');
  auto afresh = options();
  afresh.start_afresh = true;
  auto store = DeviceStore::open(afresh, random_, clock_);
  ASSERT_TRUE(store.ok()) << store.error().detail;
  link_other_name();

  expect_in_use(other_name());

  store->reset();
  expect_free(other_name());
}

TEST_F(StoreOwner, StaysWhenTheLockFileIsRemoved) {
  const auto chat = open_chat();
  std::filesystem::remove(path() + "-lock");

  expect_in_use(path());

  must(queue(chat, 1, "kept"));
  close();
  expect_free(path());
  reopen();
  EXPECT_EQ(must(store_->outbox(chat, 0, 10)).size(), 1u);
}

TEST_F(StoreOwner, StaysWhenAnotherFileIsPutInTheStoresPlace) {
  open_as_ann();
  close();
  std::filesystem::copy_file(path(), directory_ / "copy.db");
  reopen();
  std::filesystem::rename(directory_ / "copy.db", path());

  expect_in_use(path());
}

// Whoever closes a descriptor of a file gives up the locks that POSIX knows of its process.
TEST_F(StoreOwner, StaysWhenItsProcessReadsTheFile) {
  open_as_ann();
  link_other_name();
  for (const std::string& file : {path(), path() + "-lock"}) {
    std::ifstream in(file, std::ios::binary);
    EXPECT_TRUE(in.good());
  }

  EXPECT_EQ(open_and_close_elsewhere(path()), Code::kStoreInUse);
  EXPECT_EQ(open_and_close_elsewhere(other_name()), Code::kStoreInUse);
}

TEST_F(StoreOwner, IsGoneWithItsProcess) {
  open_as_ann();
  close();
  link_other_name();
  ASSERT_EQ(other_.ask(path()), Code::kOk);
  EXPECT_EQ(open_and_close(path()), Code::kStoreInUse);
  EXPECT_EQ(open_and_close(other_name()), Code::kStoreInUse);

  other_.kill();

  EXPECT_EQ(open_and_close(path()), Code::kOk);
  EXPECT_EQ(open_and_close(other_name()), Code::kOk);
}

TEST_F(StoreOwner, LetsGoAlsoWhereItsProcessWasForked) {
  open_as_ann();
  const OtherProcess forked([](const std::string&) { return Code::kOk; });
  ASSERT_EQ(forked.ask("are you there?"), Code::kOk);

  close();

  expect_free(path());
}

TEST_F(StoreOwner, IsNobodyAfterARefusal) {
  open_as_ann();
  close();
  link_other_name();
  key_ = StoreKey::copy_of(std::string(32, 'x'));

  EXPECT_EQ(open_and_close(path()), Code::kWrongKey);

  EXPECT_EQ(open_and_close_elsewhere(other_name()), Code::kOk);
}

}  // namespace
}  // namespace chatsdk
