// SPDX-License-Identifier: Apache-2.0
//
// A client put together for real, where C cannot reach: a resolver that hangs, handlers and hooks that throw, a store
// with a session in it, a machine that gives no thread.
#include "capi/runtime.h"

#include <gtest/gtest.h>
#include <sodium.h>
#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>

#include "capi/engine_call.h"
#include "capi/handles.h"

namespace chatsdk::capi {
namespace {

using namespace std::chrono_literals;

constexpr const char* kKeyBytes = "0123456789abcdef0123456789abcdef";

StoreKey store_key() { return StoreKey::copy_of(kKeyBytes); }

// A resolver that answers nobody until it is released.
class HangingResolver {
 public:
  ~HangingResolver() { release(); }
  LookUp look_up() {
    return [state = state_](const std::string&) -> Result<std::vector<std::string>> {
      std::unique_lock lock(state->mutex);
      ++state->asked;
      state->changed.notify_all();
      state->changed.wait(lock, [&] { return state->released; });
      return error(Code::kNetwork, "released");
    };
  }
  void wait_until_asked() {
    std::unique_lock lock(state_->mutex);
    ASSERT_TRUE(state_->changed.wait_for(lock, 60s, [&] { return state_->asked > 0; }));
  }
  bool asked() {
    std::lock_guard lock(state_->mutex);
    return state_->asked > 0;
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
    int asked = 0;
    bool released = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();  // shared with threads that outlive the client
};

class RuntimeTest : public ::testing::Test {
 protected:
  RuntimeTest() {
    EXPECT_GE(sodium_init(), 0);
    directory_ = std::filesystem::temp_directory_path() /
                 ("chatsdk-runtime-" + std::to_string(::getpid()) + "-" + std::to_string(++directories));
    std::filesystem::create_directories(directory_);
  }
  ~RuntimeTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return (directory_ / "store.db").string(); }

  RuntimeOptions options(bool tick_driven) const {
    RuntimeOptions made;
    made.client.server_url = "http://chat.example:8080";
    made.tick_driven = tick_driven;
    made.log = std::make_shared<NullLog>();
    return made;
  }
  // A store of ann, with a session.
  void make_store() {
    SystemClock clock;
    SodiumRandom random;
    const StoreKey key = store_key();
    DeviceStoreOptions store_options;
    store_options.path = path();
    store_options.key = &key;
    auto store = DeviceStore::open(store_options, random, clock);
    ASSERT_TRUE(store.ok());
    StoredSession session;
    session.user_id = "ann";
    session.device_id = DeviceId{7};
    session.access_token = "a";
    session.access_expires = clock.wall_now() + 1h;
    session.refresh_token = "r";
    ASSERT_TRUE((*store)->save_session(session).ok());
  }
  // Opens what nobody else may hold.
  Code open_by_another() {
    SystemClock clock;
    SodiumRandom random;
    const StoreKey key = store_key();
    DeviceStoreOptions store_options;
    store_options.path = path();
    store_options.key = &key;
    return DeviceStore::open(store_options, random, clock).code();
  }
  static std::vector<Ref<chatsdk_event>> drain(EventQueue& queue) {
    std::vector<Ref<chatsdk_event>> events;
    while (Ref<chatsdk_event> event = queue.take()) events.push_back(std::move(event));
    return events;
  }

  static inline int directories = 0;
  std::filesystem::path directory_;
};

TEST_F(RuntimeTest, EventsPushedTogetherAreSignalledOnce) {
  EventQueue queue(8);
  int signals = 0;
  queue.set_ready_hook([](void* user) { ++*static_cast<int*>(user); }, &signals, nullptr);
  std::vector<Ref<chatsdk_event>> events;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    auto event = std::make_unique<chatsdk_event>(CHATSDK_EVENT_MESSAGE_ADDED);
    event->message = i;
    events.emplace_back(event.release());
  }

  queue.push(std::move(events));

  EXPECT_EQ(signals, 1);
  const auto taken = drain(queue);
  ASSERT_EQ(taken.size(), 3u);
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(taken[i - 1]->message, i);
}

TEST_F(RuntimeTest, EventsPushedTogetherAreFoldedLikeOthers) {
  EventQueue queue(2);
  std::vector<Ref<chatsdk_event>> events;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    auto event = std::make_unique<chatsdk_event>(CHATSDK_EVENT_MESSAGE_ADDED);
    event->revision = i;
    events.emplace_back(event.release());
  }

  queue.push(std::move(events));

  const auto taken = drain(queue);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0]->type, CHATSDK_EVENT_RESYNC);
  EXPECT_EQ(taken[1]->revision, 3u);
}

TEST_F(RuntimeTest, WhatALinkingSaysIsNotFolded) {
  EventQueue queue(1);
  for (const std::int32_t type : {CHATSDK_EVENT_LINK_CODE, CHATSDK_EVENT_ENCRYPTION, CHATSDK_EVENT_IDENTITY_CHANGED,
                                  CHATSDK_EVENT_LINK_ENDED, CHATSDK_EVENT_VERIFIED_CHANGED}) {
    queue.push(Ref<chatsdk_event>(new chatsdk_event(type)));
  }
  std::vector<std::int32_t> types;
  for (const auto& event : drain(queue)) types.push_back(event->type);
  EXPECT_EQ(std::count(types.begin(), types.end(), CHATSDK_EVENT_LINK_CODE), 1);
  EXPECT_EQ(std::count(types.begin(), types.end(), CHATSDK_EVENT_LINK_ENDED), 1);
  EXPECT_EQ(std::count(types.begin(), types.end(), CHATSDK_EVENT_RESYNC), 1);
  EXPECT_EQ(std::count(types.begin(), types.end(), CHATSDK_EVENT_IDENTITY_CHANGED), 0) << "it is in the store";
}

TEST_F(RuntimeTest, SuspendsPromptlyWhileTheResolverHangs) {
  for (const bool tick : {false, true}) {
    make_store();
    HangingResolver resolver;
    RuntimeOptions made = options(tick);
    made.look_up = resolver.look_up();
    Runtime runtime(std::move(made));
    ASSERT_TRUE(runtime.open_store(path(), store_key()).ok());
    ASSERT_TRUE(runtime.start().ok());
    const auto request = runtime.request([](Client& client, RequestId id) { client.list_devices(id); });
    ASSERT_TRUE(request.ok());
    const SystemClock clock;
    for (int i = 0; tick && i < 1'000 && !resolver.asked(); ++i) {
      const auto before = clock.monotonic_now();
      runtime.tick(0ms, [](const chatsdk_event&) { return true; });
      EXPECT_LT(clock.monotonic_now() - before, 5s) << "a frame waits for the resolver";
    }
    resolver.wait_until_asked();

    const auto before = clock.monotonic_now();
    ASSERT_TRUE(runtime.suspend(5s).ok());
    EXPECT_LT(clock.monotonic_now() - before, 5s);

    EXPECT_EQ(open_by_another(), Code::kOk);
    EXPECT_EQ(runtime.connection_state(), ConnectionState::kStopped);
    int completions = 0;
    std::int32_t last_state = -1;
    for (const auto& event : drain(*runtime.events())) {
      if (event->type == CHATSDK_EVENT_COMPLETED && event->request == *request) {
        ++completions;
        EXPECT_EQ(event->status, CHATSDK_CANCELLED);
      }
      if (event->type == CHATSDK_EVENT_CONNECTION) last_state = event->connection_state;
    }
    EXPECT_EQ(completions, 1);
    EXPECT_EQ(last_state, CHATSDK_CONNECTION_STOPPED);

    ASSERT_TRUE(runtime.resume().ok());
    ASSERT_TRUE(runtime.stop().ok());
    runtime.close();
    EXPECT_EQ(open_by_another(), Code::kOk);
  }
}

TEST_F(RuntimeTest, ALookUpOutlivesItsClient) {
  HangingResolver resolver;
  {
    RuntimeOptions made = options(false);
    made.look_up = resolver.look_up();
    Runtime runtime(std::move(made));
    ASSERT_TRUE(runtime.open_store(path(), store_key()).ok());
    ASSERT_TRUE(runtime.request([](Client& client, RequestId id) { client.login(id, "ann", "password"); }).ok());
    resolver.wait_until_asked();
  }
  resolver.release();
}

TEST_F(RuntimeTest, SuspendGivesUpWithoutAnyChangeWhileTheEngineIsAtWork) {
  make_store();
  Runtime runtime(options(false));
  ASSERT_TRUE(runtime.open_store(path(), store_key()).ok());
  std::promise<void> inside;
  std::promise<void> go_on;
  std::thread call([&] {
    const auto done = runtime.with_engine<void>([&](Client&) -> Status {
      inside.set_value();
      go_on.get_future().wait();
      return {};
    });
    EXPECT_TRUE(done.ok());
  });
  inside.get_future().wait();

  EXPECT_EQ(runtime.suspend(1ms).code(), Code::kTimedOut);
  go_on.set_value();
  call.join();

  EXPECT_TRUE(runtime.owner().ok());
  EXPECT_TRUE(runtime.suspend(10s).ok());
  EXPECT_EQ(runtime.owner().code(), Code::kWrongState);
}

TEST_F(RuntimeTest, AnnouncesEveryChangeOverManySuspensions) {
  make_store();
  Runtime runtime(options(false));
  ASSERT_TRUE(runtime.open_store(path(), store_key()).ok());
  const auto bob =
      runtime.with_engine<ConversationKey>([](Client& client) { return client.direct_conversation("bob"); });
  ASSERT_TRUE(bob.ok());
  std::map<std::uint64_t, int> wanted;
  std::map<std::uint64_t, int> announced;
  for (int cycle = 0; cycle < 20; ++cycle) {
    for (int i = 0; i < 10; ++i) {
      const auto sent =
          runtime.with_engine<Client::Sent>([&](Client& client) { return client.send_text(*bob, "x", {}); });
      ASSERT_TRUE(sent.ok());
      ++wanted[sent->message.value];
    }
    ASSERT_TRUE(runtime.suspend(10s).ok());
    for (const auto& event : drain(*runtime.events())) {
      EXPECT_NE(event->type, CHATSDK_EVENT_RESYNC);
      if (event->type != CHATSDK_EVENT_MESSAGE_ADDED) continue;
      ++announced[event->message];
      EXPECT_EQ(event->conversation, bob->value);
    }
    EXPECT_EQ(announced, wanted);
    ASSERT_TRUE(runtime.resume().ok());
  }
}

TEST_F(RuntimeTest, ADiscardedMessageIsAnnouncedAsRemoved) {
  make_store();
  Runtime runtime(options(true));
  ASSERT_TRUE(runtime.open_store(path(), store_key()).ok());
  const auto bob =
      runtime.with_engine<ConversationKey>([](Client& client) { return client.direct_conversation("bob"); });
  const auto sent = runtime.with_engine<Client::Sent>([&](Client& client) { return client.send_text(*bob, "x", {}); });
  ASSERT_TRUE(sent.ok());
  runtime.tick(0ms, [](const chatsdk_event&) { return true; });

  ASSERT_TRUE(runtime.with_engine<void>([&](Client& client) { return client.discard(sent->id); }).ok());

  int removed = 0;
  runtime.tick(0ms, [&](const chatsdk_event& event) {
    EXPECT_NE(event.type, CHATSDK_EVENT_MESSAGE_UPDATED);
    if (event.type == CHATSDK_EVENT_MESSAGE_REMOVED) {
      ++removed;
      EXPECT_EQ(event.message, sent->message.value);
      EXPECT_EQ(event.conversation, bob->value);
    }
    return true;
  });
  EXPECT_EQ(removed, 1);
}

TEST_F(RuntimeTest, AHookThatThrowsHarmsNobody) {
  make_store();
  RuntimeOptions made = options(true);
  made.log = std::make_shared<HookLog>(
      LogLevel::kTrace, [](int32_t, const char*, const char*, void*) { throw std::runtime_error("log"); }, nullptr,
      nullptr);
  made.client.server_url = "http://127.0.0.1:1";
  Runtime runtime(std::move(made));
  runtime.events()->set_ready_hook([](void*) { throw std::runtime_error("hook"); }, nullptr, nullptr);
  ASSERT_TRUE(runtime.open_store(path(), store_key()).ok());
  const auto request = runtime.request([](Client& client, RequestId id) { client.list_devices(id); });
  ASSERT_TRUE(request.ok());
  const SystemClock clock;
  bool completed = false;
  for (const auto end = clock.monotonic_now() + 10s; !completed && clock.monotonic_now() < end;) {
    runtime.tick(1ms, [&](const chatsdk_event& event) {
      completed = completed || event.request == *request;
      return true;
    });
  }
  EXPECT_TRUE(completed);
}

TEST(EngineCall, DoesNotRunOnceItsCallerHasLeft) {
  int runs = 0;
  std::shared_ptr<EngineCall> call;
  {
    const std::function<void()> body = [&] { ++runs; };
    call = std::make_shared<EngineCall>(body);
    EXPECT_FALSE(call->wait(1ms));
  }
  call->run();
  EXPECT_EQ(runs, 0);
}

TEST(EngineCall, CarriesAFailureToItsCaller) {
  const std::function<void()> body = [] { throw std::runtime_error("body"); };
  EngineCall call(body);
  call.run();
  EXPECT_TRUE(call.wait(0ms));
  EXPECT_THROW(call.rethrow(), std::runtime_error);
}

// ---- Through the ABI ------------------------------------------------------------------------------------------------

class ThrowingHandler : public RuntimeTest {
 protected:
  chatsdk_client* make_client(int32_t threading) {
    chatsdk_config* config = nullptr;
    chatsdk_client* client = nullptr;
    EXPECT_EQ(chatsdk_config_create(&config, nullptr), CHATSDK_OK);
    EXPECT_EQ(chatsdk_config_set_server_url(config, "http://127.0.0.1:1", CHATSDK_STRLEN, nullptr), CHATSDK_OK);
    EXPECT_EQ(chatsdk_config_set_threading(config, threading, nullptr), CHATSDK_OK);
    EXPECT_EQ(chatsdk_client_create(config, &client, nullptr), CHATSDK_OK);
    chatsdk_config_destroy(config);
    EXPECT_EQ(chatsdk_client_open_store(client, path().c_str(), CHATSDK_STRLEN,
                                        reinterpret_cast<const std::uint8_t*>(kKeyBytes), 32, nullptr),
              CHATSDK_OK);
    return client;
  }
  static void throwing(const chatsdk_event*, void* user) {
    if (user != nullptr) chatsdk_client_destroy(static_cast<chatsdk_client*>(user));
    throw std::runtime_error("handler");
  }
  // Ticks until the handler has thrown.
  static void tick_until_thrown(chatsdk_client* client, void* user) {
    std::uint64_t request = 0;
    ASSERT_EQ(chatsdk_client_login(client, "ann", 3, "password", 8, &request, nullptr), CHATSDK_OK);
    std::int32_t status = CHATSDK_OK;
    const SystemClock clock;
    const auto end = clock.monotonic_now() + 10s;
    while (status == CHATSDK_OK && clock.monotonic_now() < end) {
      status = chatsdk_client_tick(client, 1, nullptr, nullptr, throwing, user);
    }
    ASSERT_EQ(status, CHATSDK_INTERNAL);
  }
};

TEST_F(ThrowingHandler, LeavesTheClientUsable) {
  for (const int32_t threading : {CHATSDK_THREADING_THREADS, CHATSDK_THREADING_TICK}) {
    chatsdk_client* client = make_client(threading);
    tick_until_thrown(client, nullptr);

    EXPECT_EQ(chatsdk_client_tick(
                  client, 0, nullptr, nullptr, [](const chatsdk_event*, void*) {}, nullptr),
              CHATSDK_OK);
    chatsdk_client_destroy(client);
    EXPECT_EQ(open_by_another(), Code::kOk);
  }
}

TEST_F(ThrowingHandler, MayHaveDestroyedTheClient) {
  chatsdk_client* client = make_client(CHATSDK_THREADING_TICK);
  tick_until_thrown(client, client);
  EXPECT_EQ(open_by_another(), Code::kOk);
}

#if !defined(CHATSDK_SANITIZED)
// Room for the store and none for a thread's stack.
void allow_no_thread() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t bytes = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + 4'000'000;
  const rlimit limit{bytes, RLIM_INFINITY};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

// 0: opening failed without a thread, and the store was free for a second try.
int open_without_threads(const std::string& path, RuntimeOptions options) {
  Runtime runtime(std::move(options));
  allow_no_thread();
  bool thrown = false;
  try {
    static_cast<void>(runtime.open_store(path, store_key()));
  } catch (const std::exception&) {
    thrown = true;
  }
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &none);
  return thrown && runtime.open_store(path, store_key()).ok() ? 0 : 1;
}

TEST_F(RuntimeTest, AStoreThatCouldNotBeUsedIsFreeForARetry) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(open_without_threads(path(), options(false))), ::testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace chatsdk::capi
