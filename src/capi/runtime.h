// SPDX-License-Identifier: Apache-2.0
//
// Runtime puts one client together from its real parts, as a main would, and keeps the order of its life: which thread
// runs the engine, when the store is open, who may use it. It holds no rule of chat.
//
// Threads: any, unless said otherwise. With CHATSDK_THREADING_THREADS the engine runs on a ThreadExecutor; with
// CHATSDK_THREADING_TICK it runs inside tick() and the calls themselves, one caller at a time.
// Invariants:
//   1. store_gate_ is held shared by whoever uses the store or the engine, and alone by whoever opens or closes them.
//   2. No lock is held while app code runs, but for the two hooks, which only signal.
//   3. After suspend() returned ok there is no open file, lock or socket, and no thread of the adapters.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "capi/event_queue.h"
#include "chatsdk/chatsdk.h"
#include "engine/client.h"
#include "store/device_store.h"
#include "transport/transport.h"

namespace chatsdk {
class LwsTransport;
class CurlHttp;
}  // namespace chatsdk

namespace chatsdk::capi {

// The app's log hook and its user pointer; destroyed once, when the configuration and all its clients are gone.
class HookLog final : public Log {
 public:
  HookLog(LogLevel level, chatsdk_log_hook hook, void* user, chatsdk_destroy_hook destroy)
      : level_(level), hook_(hook), user_(user), destroy_(destroy) {}
  ~HookLog() override {
    if (destroy_ != nullptr) destroy_(user_);
  }
  void write(LogLevel level, std::string_view area, std::string_view message) override;
  bool enabled(LogLevel level) const override { return hook_ != nullptr && level >= level_; }

 private:
  const LogLevel level_;
  const chatsdk_log_hook hook_;
  void* const user_;
  const chatsdk_destroy_hook destroy_;
};

struct RuntimeOptions {
  ClientOptions client;
  std::string ca_file;
  bool tick_driven = false;
  std::shared_ptr<Log> log;  // shared: the configuration may end before or after the client
};

class Runtime final : private EventSink {
 public:
  explicit Runtime(RuntimeOptions options);
  ~Runtime();

  Status open_store(std::string_view path, StoreKey key);
  Status start();
  Status stop();
  Status suspend(std::chrono::milliseconds deadline);
  Status resume();
  Status network_changed();
  // Waits until device and server agree; see chatsdk_client_sync.
  Status sync(std::chrono::milliseconds timeout);
  ConnectionState connection_state() const { return connection_state_.load(); }

  // Runs body on the engine and waits for its answer. WRONG_STATE without a store.
  template <typename T>
  Result<T> with_engine(std::function<Result<T>(Client&)> body) {
    std::shared_lock gate(store_gate_);
    CHATSDK_TRY(check_open());
    std::optional<Result<T>> answer;
    run_on_engine([&] { answer.emplace(body(*client_)); });
    return std::move(*answer);
  }
  // Starts a request on the engine and gives its id.
  Result<std::uint64_t> request(std::function<void(Client&, RequestId)> body);
  Result<UserId> owner();

  // Runs body with a reader that nobody else uses. WRONG_STATE without a store.
  template <typename T>
  Result<T> with_reader(const std::function<Result<T>(DeviceReader&)>& body) {
    std::shared_lock gate(store_gate_);
    CHATSDK_TRY(check_open());
    CHATSDK_ASSIGN(std::unique_ptr<DeviceReader> reader, take_reader());
    Result<T> answer = body(*reader);
    give_back(std::move(reader));
    return answer;
  }

  const std::shared_ptr<EventQueue>& events() const { return events_; }
  bool tick_driven() const { return options_.tick_driven; }
  // Does what is ready in tick mode; nothing in thread mode.
  void drive();

 private:
  // EventSink, on the engine.
  void on_changes(const Changes& changes) override;
  void on_connection(ConnectionState state, const Error& cause, std::chrono::milliseconds retry_in) override;
  void on_session_ended(const Error& cause) override;
  void on_completed(RequestId request, const Status& status) override;
  void on_devices(RequestId request, const std::vector<DeviceInfo>& devices) override;

  Status check_open() const;
  // True when nothing waits to be told to the server, failed messages apart. On the engine.
  Result<bool> all_told();
  void note_progress();
  Status open_parts();
  void close_parts();
  void run_on_engine(const std::function<void()>& body);
  Result<std::unique_ptr<DeviceReader>> take_reader();
  void give_back(std::unique_ptr<DeviceReader> reader);

  const RuntimeOptions options_;
  SystemClock clock_;
  SodiumRandom random_;
  const std::shared_ptr<EventQueue> events_;

  std::shared_timed_mutex store_gate_;
  std::string path_;
  StoreKey key_;
  bool has_store_ = false;  // open_store succeeded once
  bool suspended_ = false;
  bool started_ = false;

  std::mutex tick_mutex_;  // tick mode: one caller at a time is the engine
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<DeviceStore> store_;
  std::unique_ptr<LwsTransport> transport_;
  std::unique_ptr<CurlHttp> http_;
  std::unique_ptr<Client> client_;

  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<DeviceReader>> readers_;

  // Counts what happened, for those who wait in sync().
  std::mutex progress_mutex_;
  std::condition_variable progressed_;
  std::uint64_t progress_ = 0;

  std::atomic<ConnectionState> connection_state_{ConnectionState::kStopped};
  std::atomic<std::uint64_t> last_request_{0};
  std::vector<DeviceInfo> devices_;  // of the request being completed; engine only
};

}  // namespace chatsdk::capi
