// SPDX-License-Identifier: Apache-2.0
#include "transport/resolver.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>

#include "base/limits.h"

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using Answer = Result<std::vector<std::string>>;

// Names that begin with "slow" are answered when the test lets them.
class Names {
 public:
  ~Names() { release(); }
  LookUp look_up() {
    return [state = state_](const std::string& host) -> Answer {
      std::unique_lock lock(state->mutex);
      ++state->asked;
      state->changed.notify_all();
      if (host.substr(0, 4) == "slow") state->changed.wait(lock, [&] { return state->released; });
      return std::vector<std::string>{"192.0.2.1"};
    };
  }
  bool wait_for_asked(std::size_t count) {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, 60s, [&] { return state_->asked >= count; });
  }
  std::size_t asked() {
    std::lock_guard lock(state_->mutex);
    return state_->asked;
  }
  void release() {
    std::lock_guard lock(state_->mutex);
    state_->released = true;
    state_->changed.notify_all();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t asked = 0;
    bool released = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();  // shared with the resolver's threads
};

TEST(Resolver, AnswersWhileAnotherQuestionHangs) {
  Names names;
  Resolver resolver(names.look_up());
  const auto slow = resolver.resolve("slow.example", [](Answer) {});
  std::promise<Answer> answer;
  const auto quick = resolver.resolve("quick.example", [&](Answer given) { answer.set_value(std::move(given)); });
  const Answer given = answer.get_future().get();
  ASSERT_TRUE(given.ok());
  EXPECT_EQ(given->front(), "192.0.2.1");
}

TEST(Resolver, CallsNobodyWhoseTicketIsGone) {
  Names names;
  bool called = false;
  std::promise<void> later;
  {
    Resolver resolver(names.look_up());
    {
      const auto dropped = resolver.resolve("slow.example", [&](Answer) { called = true; });
      ASSERT_TRUE(names.wait_for_asked(1));
    }
    names.release();
    const auto kept = resolver.resolve("quick.example", [&](Answer) { later.set_value(); });
    later.get_future().get();
  }
  EXPECT_FALSE(called);
}

TEST(Resolver, HoldsNoMoreThreadsThanItsLimit) {
  Names names;
  Resolver resolver(names.look_up());
  std::vector<Resolver::Ticket> tickets;
  for (std::size_t i = 0; i < limits::kResolverThreadsMax; ++i) {
    tickets.push_back(resolver.resolve("slow.example", [](Answer) {}));
  }
  ASSERT_TRUE(names.wait_for_asked(limits::kResolverThreadsMax));
  std::promise<void> answered;
  tickets.push_back(resolver.resolve("quick.example", [&](Answer) { answered.set_value(); }));
  EXPECT_EQ(names.asked(), limits::kResolverThreadsMax);
  names.release();
  answered.get_future().get();
}

TEST(Resolver, TheSystemKnowsThisHost) {
  const auto addresses = system_look_up("localhost");
  ASSERT_TRUE(addresses.ok());
  EXPECT_FALSE(addresses->empty());
  const auto unknown = system_look_up("no-such-host.invalid");
  EXPECT_EQ(unknown.code(), Code::kNetwork);
  EXPECT_EQ(unknown.error().cause.domain, CauseDomain::kResolver);
  EXPECT_NE(unknown.error().cause.code, 0);
}

// RFC 6761 section 6.3: nobody is asked, so a machine without a hosts file knows it too.
TEST(Resolver, NamesOfThisHostAreTheLoopbackAddresses) {
  const std::vector<std::string> loopback = {"127.0.0.1", "::1"};

  for (const char* name : {"localhost", "LocalHost", "localhost.", "app.localhost", "a.b.LOCALHOST."}) {
    const Answer answer = system_look_up(name);
    ASSERT_TRUE(answer.ok()) << name;
    EXPECT_EQ(*answer, loopback) << name;
  }
  EXPECT_FALSE(system_look_up("notlocalhost.invalid").ok());
}

}  // namespace
}  // namespace chatsdk
