// SPDX-License-Identifier: Apache-2.0
//
// Runtime puts one client together from its real parts, as a main would, and keeps the order of its life: which thread
// runs the engine, when the store is open, who may use it. It holds no rule of chat.
//
// Threads: any, unless said otherwise. With CHATSDK_THREADING_THREADS the engine runs on a ThreadExecutor; with
// CHATSDK_THREADING_TICK it runs inside tick() and the calls themselves, one caller at a time.
// Invariants:
//   1. gate_ is held shared by whoever uses the store or the engine, and alone by whoever opens or closes them.
//   2. No lock is held while an event handler runs. The two hooks run on the engine's turns.
//   3. After suspend() or close() returned ok there is no open file, lock or socket, and no thread but those of the
//      resolver, which own nothing of the client.
//   4. What the engine has raised reaches the queue before the engine ends: no completion and no change is lost.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
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
#include "capi/gate.h"
#include "chatsdk/chatsdk.h"
#include "engine/client.h"
#include "store/device_store.h"
#include "transport/resolver.h"
#include "transport/transport.h"

namespace chatsdk {
class LwsTransport;
class CurlHttp;
class E2eeStore;
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
  std::string thread_name = "chatsdk";  // what the names of the library's threads begin with
  bool tick_driven = false;
  std::shared_ptr<Log> log;  // shared: the configuration may end before or after the client
  LookUp look_up;            // empty: the system's
};

class Runtime final : private EventSink {
 public:
  explicit Runtime(RuntimeOptions options);
  ~Runtime();

  // afresh: what is there and cannot be opened is set aside, and a new store is made.
  Status open_store(std::string_view path, StoreKey key, bool afresh = false);
  Status start();
  Status stop();
  // TIMED_OUT: nothing has changed.
  Status suspend(std::chrono::milliseconds deadline);
  Status resume();
  // Ends polls, syncs and every later call with CLOSED, then closes everything. A second call waits for the first.
  void close() noexcept;
  Status network_changed();
  // Waits until device and server agree; see chatsdk_client_sync.
  Status sync(std::chrono::milliseconds timeout);
  ConnectionState connection_state() const { return connection_state_.load(); }

  // Runs body on the engine and waits for its answer. WRONG_STATE without a store.
  template <typename T>
  Result<T> with_engine(std::function<Result<T>(Client&)> body) {
    std::shared_lock gate(gate_);
    CHATSDK_TRY(check_open());
    std::optional<Result<T>> answer;
    run_on_engine([&] { answer.emplace(body(*client_)); });
    return std::move(*answer);
  }
  // As with_engine, for what is more than one commit.
  template <typename T>
  Result<T> change(std::function<Result<T>(Client&)> body) {
    std::shared_lock gate(gate_);
    CHATSDK_TRY(check_open());
    std::optional<Result<T>> answer;
    change_engine([&] { answer.emplace(body(*client_)); });
    return std::move(*answer);
  }
  // Starts a request on the engine and gives its id.
  Result<std::uint64_t> request(std::function<void(Client&, RequestId)> body);
  Result<UserId> owner();

  // Runs body with a reader that nobody else uses. WRONG_STATE without a store.
  template <typename T>
  Result<T> with_reader(const std::function<Result<T>(DeviceReader&)>& body) {
    std::shared_lock gate(gate_);
    CHATSDK_TRY(check_open());
    CHATSDK_ASSIGN(std::unique_ptr<DeviceReader> reader, take_reader());
    Result<T> answer = body(*reader);
    give_back(std::move(reader));
    return answer;
  }

  const std::shared_ptr<EventQueue>& events() const { return events_; }
  // The app has pulled these: what the store keeps of them until then goes from it soon, or with the client's end.
  void pulled(const std::vector<Ref<chatsdk_event>>& events) noexcept;
  bool tick_driven() const { return options_.tick_driven; }
  // Works (in tick mode) and hands events to handler, until nothing is left, the budget is spent or handler answers
  // false. A budget of zero is one round: what is ready, then the events that wait after it.
  void tick(std::chrono::milliseconds budget, const std::function<bool(const chatsdk_event&)>& handler);

 private:
  // EventSink, on the engine.
  void on_changes(const Changes& changes) override;
  void on_decided() override { note_progress(); }
  void on_connection(ConnectionState state, const Error& cause, std::chrono::milliseconds retry_in) override;
  void on_session_ended(const Error& cause) override;
  void on_completed(RequestId request, const Status& status) override;
  void on_devices(RequestId request, const std::vector<DeviceInfo>& devices) override;
  void on_encryption_state(EncryptionState state) override;
  void on_operation_ended(const DeviceStore::EndedOperation& ended) override;
  void on_encryption_events(const std::vector<e2ee::Event>& told) override;
  void on_link_code(const std::string& code, const std::string& name) override;
  void on_link_ended(const Status& status) override;
  void on_identity_replaced(const Status& status) override;

  void push_end(std::int32_t type, const Status& status);
  // Remembers it; true where the store keeps it until it is pulled.
  bool note_pulled(const chatsdk_event& event) noexcept;
  void forget_pulled_soon() noexcept;
  void forget_pulled();  // on the engine
  Status check_open() const;
  void note_progress();
  void note_state();  // on the engine
  Status open_parts(bool afresh = false);
  void make_parts();
  // False: the engine was not free in time, and nothing has changed.
  bool close_parts(std::chrono::milliseconds limit);
  void drop_parts();
  // Does what is ready in tick mode, until the time is over unless it is nullopt; nothing in thread mode.
  void drive(std::optional<MonotonicTime> end);
  // Runs body on the engine and waits. False: the engine was busy for the whole limit, and body will not run.
  bool run_on_engine(const std::function<void()>& body, std::chrono::milliseconds limit = limits::kWaitMax);
  // As run_on_engine, for what is more than one commit: when it throws, the engine begins anew from the store.
  void change_engine(const std::function<void()>& body);
  Result<std::unique_ptr<DeviceReader>> take_reader();
  void give_back(std::unique_ptr<DeviceReader> reader);

  const RuntimeOptions options_;
  SystemClock clock_;
  SodiumRandom random_;
  const std::shared_ptr<EventQueue> events_;

  const std::shared_ptr<Resolver> resolver_;  // shared by the adapters; lookups under way outlive them

  Gate gate_;
  std::string path_;
  StoreKey key_;
  bool has_store_ = false;  // open_store succeeded once
  bool suspended_ = false;
  bool started_ = false;  // the engine's, where there is one
  bool closed_ = false;

  std::mutex tick_mutex_;  // tick mode: one caller at a time is the engine
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<DeviceStore> store_;
  std::unique_ptr<E2eeStore> encryption_;
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
  // Numbers of events that the store keeps: told to the queue, pulled from it, and gone from the store.
  std::uint64_t kept_told_ = 0;  // engine only
  std::atomic<std::uint64_t> kept_pulled_{0};
  std::uint64_t kept_gone_ = 0;  // engine only
  std::mutex pulled_mutex_;
  std::vector<std::uint64_t> pulled_operations_;  // and not gone from the store
};

}  // namespace chatsdk::capi
