// SPDX-License-Identifier: Apache-2.0
#include "capi/runtime.h"

#include "base/limits.h"
#include "capi/engine_call.h"
#include "store/e2ee_store.h"
#include "transport/curl_http.h"
#include "transport/lws_transport.h"

namespace chatsdk::capi {

namespace {

constexpr int kFinishAttemptsMax = 1'000;

// At most five bytes each: with limits::kThreadNameBytesMax before them they fit into what Linux keeps.
constexpr const char* kEngineSuffix = "-eng";
constexpr const char* kTransportSuffix = "-ws";
constexpr const char* kHttpSuffix = "-http";
constexpr const char* kResolverSuffix = "-dns";

std::unique_ptr<chatsdk_event> make_event(std::int32_t type, std::uint64_t revision = 0) {
  auto event = std::make_unique<chatsdk_event>(type);
  event->revision = revision;
  return event;
}

std::int32_t type_of(e2ee::EventKind kind) {
  switch (kind) {
    case e2ee::EventKind::kIdentityChanged:
      return CHATSDK_EVENT_IDENTITY_CHANGED;
    case e2ee::EventKind::kDeviceAdded:
      return CHATSDK_EVENT_DEVICE_ADDED;
    case e2ee::EventKind::kDeviceRemoved:
      return CHATSDK_EVENT_DEVICE_REMOVED;
    case e2ee::EventKind::kVerifiedChanged:
      return CHATSDK_EVENT_VERIFIED_CHANGED;
    case e2ee::EventKind::kListRefused:
      return CHATSDK_EVENT_LIST_REFUSED;
    case e2ee::EventKind::kPeerWithoutKeys:
      return CHATSDK_EVENT_PEER_WITHOUT_KEYS;
  }
  return 0;
}

}  // namespace

void HookLog::write(LogLevel level, std::string_view area, std::string_view message) {
  if (!enabled(level)) return;
  try {
    hook_(static_cast<std::int32_t>(level), std::string(area).c_str(), std::string(message).c_str(), user_);
  } catch (...) {
    // The line is lost; whoever logs must not be: it may be inside a C library.
  }
}

Runtime::Runtime(RuntimeOptions options)
    : options_(std::move(options)),
      events_(std::make_shared<EventQueue>(limits::kEventQueueMax)),
      resolver_(std::make_shared<Resolver>(options_.look_up, options_.thread_name + kResolverSuffix)) {}

Runtime::~Runtime() { close(); }

// ---- Life ----------------------------------------------------------------------------------------------------------

Status Runtime::check_open() const {
  if (closed_) return error(Code::kClosed, "the client is closed");
  if (client_ != nullptr) return {};
  return error(Code::kWrongState, has_store_ ? "the client is suspended" : "no store is open");
}

Status Runtime::open_store(std::string_view path, StoreKey key, bool afresh) {
  std::unique_lock gate(gate_);
  if (closed_) return error(Code::kClosed, "the client is closed");
  if (has_store_) return error(Code::kWrongState, "a store is open");
  path_ = path;
  key_ = std::move(key);
  CHATSDK_TRY(open_parts(afresh));
  has_store_ = true;
  return {};
}

Status Runtime::open_parts(bool afresh) {
  DeviceStoreOptions store_options;
  store_options.path = path_;
  store_options.key = &key_;
  store_options.must_exist = has_store_;
  store_options.start_afresh = afresh;
  store_options.opens_with = E2eeStore::prepare;
  CHATSDK_ASSIGN(store_, DeviceStore::open(store_options, random_, clock_));
  try {
    make_parts();
  } catch (...) {
    drop_parts();  // a retry must find the store free
    throw;
  }
  return {};
}

void Runtime::make_parts() {
  encryption_ = std::make_unique<E2eeStore>(*store_);
  if (options_.tick_driven) {
    executor_ = std::make_unique<ManualExecutor>(clock_);
  } else {
    executor_ = std::make_unique<ThreadExecutor>(options_.thread_name + kEngineSuffix, clock_);
  }
  LwsOptions transport_options;
  transport_options.ca_file = options_.ca_file;
  transport_options.own_thread = !options_.tick_driven;
  transport_options.thread_name = options_.thread_name + kTransportSuffix;
  transport_options.resolver = resolver_;
  transport_ = std::make_unique<LwsTransport>(*executor_, transport_options, *options_.log);
  CurlOptions http_options;
  http_options.ca_file = options_.ca_file;
  http_options.own_thread = !options_.tick_driven;
  http_options.thread_name = options_.thread_name + kHttpSuffix;
  http_options.resolver = resolver_;
  http_ = std::make_unique<CurlHttp>(*executor_, http_options, *options_.log);
  EventSink& sink = *this;
  client_ = std::make_unique<Client>(
      options_.client, ClientSeams{*executor_, {random_, random_, random_}, *transport_, *http_, *options_.log},
      *store_, sink, encryption_.get());
  const auto recover = [this] {
    client_->recover(started_);
    events_->push(Ref<chatsdk_event>(make_event(CHATSDK_EVENT_RESYNC).release()));
  };
  if (options_.tick_driven) {
    static_cast<ManualExecutor&>(*executor_).recover_with(recover);
  } else {
    static_cast<ThreadExecutor&>(*executor_).recover_with(recover);
  }
  executor_->post([this] { client_->tell_kept_events(); });
}

bool Runtime::close_parts(std::chrono::milliseconds limit) {
  if (client_ == nullptr) return true;
  bool ran = false;
  const auto finish = [&] {
    ran = true;
    forget_pulled();
    client_->finish();
  };
  // An earlier turn that throws is gone then; the limit is for a machine without memory, where dropping must do.
  for (int attempt = 0; !ran && attempt < kFinishAttemptsMax; ++attempt) {
    try {
      if (!run_on_engine(finish, limit)) return false;
    } catch (...) {
    }
  }
  drop_parts();
  return true;
}

// The store before the adapters: its files and its lock must be free even if a thread takes its time to end.
void Runtime::drop_parts() {
  if (!options_.tick_driven && executor_ != nullptr) static_cast<ThreadExecutor&>(*executor_).stop();
  client_.reset();
  {
    std::lock_guard lock(readers_mutex_);
    readers_.clear();
  }
  encryption_.reset();
  store_.reset();
  transport_.reset();
  http_.reset();
  executor_.reset();
  events_->drop_kept();
  kept_told_ = kept_gone_ = 0;
  kept_pulled_ = 0;
}

Status Runtime::start() {
  std::unique_lock gate(gate_);
  CHATSDK_TRY(check_open());
  change_engine([this] {
    client_->start();
    note_state();
    started_ = true;
  });
  return {};
}

Status Runtime::stop() {
  std::unique_lock gate(gate_);
  if (client_ == nullptr) {
    started_ = false;
    return {};
  }
  change_engine([this] {
    client_->stop();
    note_state();
    started_ = false;
  });
  return {};
}

Status Runtime::suspend(std::chrono::milliseconds deadline) {
  const MonotonicTime end = clock_.monotonic_now() + deadline;
  std::unique_lock gate(gate_, std::defer_lock);
  if (!gate.try_lock_for(deadline)) return error(Code::kTimedOut, "another call still uses the store");
  CHATSDK_TRY(check_open());
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - clock_.monotonic_now());
  if (!close_parts(std::max<std::chrono::milliseconds>(left, {}))) {
    return error(Code::kTimedOut, "the engine is at work");
  }
  suspended_ = true;
  return {};
}

Status Runtime::resume() {
  std::unique_lock gate(gate_);
  if (closed_) return error(Code::kClosed, "the client is closed");
  if (!suspended_) return error(Code::kWrongState, "the client is not suspended");
  CHATSDK_TRY(open_parts());
  if (started_) {
    try {
      run_on_engine([this] {
        client_->start();
        note_state();
      });
    } catch (...) {
      drop_parts();  // still suspended
      throw;
    }
  }
  suspended_ = false;
  return {};
}

void Runtime::close() noexcept {
  events_->close();
  std::unique_lock gate(gate_);
  close_parts(limits::kWaitMax);
  closed_ = true;
  note_progress();
}

Status Runtime::network_changed() {
  std::shared_lock gate(gate_);
  if (client_ != nullptr) change_engine([this] { client_->network_changed(); });
  return {};
}

Status Runtime::sync(std::chrono::milliseconds timeout) {
  if (options_.tick_driven) return error(Code::kWrongState, "this client is driven by ticks");
  const MonotonicTime end = clock_.monotonic_now() + timeout;
  for (;;) {
    std::uint64_t seen = 0;
    {
      std::lock_guard lock(progress_mutex_);
      seen = progress_;
    }
    ConnectionState state{};
    CHATSDK_ASSIGN(const bool told, with_engine<bool>([&](Client& client) {
                     state = client.connection_state();
                     return store_->all_told();
                   }));
    if (state == ConnectionState::kStopped) return error(Code::kCancelled, "the client is stopped");
    if (told && state == ConnectionState::kOnline) {
      // The engine tells of a commit in a turn of its own, which was posted before this one: the events are there too.
      CHATSDK_ASSIGN([[maybe_unused]] const bool in_queue,
                     with_engine<bool>([](Client&) { return Result<bool>(true); }));
      return {};
    }
    // Holds neither the gate nor the engine while it waits, so that the client may be suspended meanwhile.
    std::unique_lock lock(progress_mutex_);
    const auto left = end - clock_.monotonic_now();
    if (left.count() <= 0 || !progressed_.wait_for(lock, left, [&] { return progress_ != seen; })) {
      return error(Code::kTimedOut, "device and server do not agree yet");
    }
  }
}

void Runtime::note_progress() {
  {
    std::lock_guard lock(progress_mutex_);
    ++progress_;
  }
  progressed_.notify_all();
}

// ---- The engine ----------------------------------------------------------------------------------------------------

bool Runtime::run_on_engine(const std::function<void()>& body, std::chrono::milliseconds limit) {
  const auto call = std::make_shared<EngineCall>(body);
  if (options_.tick_driven) {
    std::lock_guard lock(tick_mutex_);
    auto& executor = static_cast<ManualExecutor&>(*executor_);
    executor.post([call] { call->run(); });
    try {
      while (!call->done()) executor.run_one();
    } catch (...) {
      call->give_up();
      throw;
    }
  } else {
    executor_->post([call] { call->run(); });
    if (!call->wait(limit)) return false;
  }
  call->rethrow();
  return true;
}

// What could not be done to its end is no half: the recovery follows.
void Runtime::change_engine(const std::function<void()>& body) {
  run_on_engine([&] {
    try {
      body();
    } catch (...) {
      executor_->lose_turn();
      throw;
    }
  });
}

void Runtime::drive(std::optional<MonotonicTime> end) {
  if (!options_.tick_driven) return;
  std::shared_lock gate(gate_);
  if (client_ == nullptr) return;
  std::lock_guard lock(tick_mutex_);
  auto& executor = static_cast<ManualExecutor&>(*executor_);
  try {
    transport_->drive();
    http_->drive();
  } catch (...) {
    executor.lose_turn();
    throw;
  }
  while (executor.run_one() && (!end || clock_.monotonic_now() < *end)) {
  }
  client_->tell_overdue();
}

void Runtime::tick(std::chrono::milliseconds budget, const std::function<bool(const chatsdk_event&)>& handler) {
  const bool one_round = budget.count() == 0;
  const MonotonicTime end = clock_.monotonic_now() + budget;
  const auto in_time = [&] { return clock_.monotonic_now() < end; };
  do {
    drive(one_round ? std::nullopt : std::optional(end));
    std::size_t waiting = events_->size();
    if (waiting == 0) return;
    for (; waiting > 0; --waiting) {
      const Ref<chatsdk_event> event = events_->take();
      if (!event) break;
      const bool goes_on = handler(*event.get());
      if (note_pulled(*event.get())) forget_pulled_soon();
      if (!goes_on) return;
      if (!one_round && !in_time()) return;
    }
  } while (!one_round && in_time());
}

void Runtime::note_state() { connection_state_.store(client_->connection_state()); }

Result<std::uint64_t> Runtime::request(std::function<void(Client&, RequestId)> body) {
  std::shared_lock gate(gate_);
  CHATSDK_TRY(check_open());
  const std::uint64_t id = ++last_request_;
  change_engine([&] {
    try {
      body(*client_, id);
    } catch (...) {
      client_->forget(id);
      throw;
    }
  });
  return id;
}

Result<UserId> Runtime::owner() {
  std::shared_lock gate(gate_);
  CHATSDK_TRY(check_open());
  std::optional<Result<std::optional<UserId>>> owner;
  run_on_engine([&] { owner.emplace(store_->owner()); });
  if (!owner->ok()) return owner->error();
  if (!owner->value()) return error(Code::kNotLoggedIn, "nobody has logged in with this store");
  return *std::move(owner->value());
}

// ---- Readers -------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<DeviceReader>> Runtime::take_reader() {
  std::lock_guard lock(readers_mutex_);
  if (readers_.empty()) return store_->open_reader();
  auto reader = std::move(readers_.back());
  readers_.pop_back();
  return reader;
}

void Runtime::give_back(std::unique_ptr<DeviceReader> reader) {
  std::lock_guard lock(readers_mutex_);
  if (readers_.size() < limits::kIdleReadersMax) readers_.push_back(std::move(reader));
}

// ---- Events --------------------------------------------------------------------------------------------------------

void Runtime::on_changes(const Changes& changes) {
  std::vector<Ref<chatsdk_event>> events;
  events.reserve(changes.added.size() + changes.updated.size() + changes.removed.size() + changes.conversations.size() +
                 changes.undecryptable.size() + changes.marks.size() + changes.members.size() + 1);
  const auto push = [&](std::int32_t type, std::uint64_t conversation, std::uint64_t message) {
    auto event = make_event(type, changes.revision);
    event->conversation = conversation;
    event->message = message;
    events.push_back(Ref<chatsdk_event>(event.release()));
  };
  const auto push_messages = [&](std::int32_t type, const std::vector<MessageRef>& messages) {
    for (const MessageRef& ref : messages) push(type, ref.conversation.value, ref.message.value);
  };
  push_messages(CHATSDK_EVENT_MESSAGE_ADDED, changes.added);
  push_messages(CHATSDK_EVENT_UNDECRYPTABLE, changes.undecryptable);
  push_messages(CHATSDK_EVENT_MESSAGE_UPDATED, changes.updated);
  push_messages(CHATSDK_EVENT_MESSAGE_REMOVED, changes.removed);
  for (const ConversationKey key : changes.conversations) push(CHATSDK_EVENT_CONVERSATION_CHANGED, key.value, 0);
  for (const ConversationKey key : changes.marks) push(CHATSDK_EVENT_RECEIPTS_CHANGED, key.value, 0);
  for (const ConversationKey key : changes.members) push(CHATSDK_EVENT_MEMBERS_CHANGED, key.value, 0);
  if (changes.devices_changed) push(CHATSDK_EVENT_DEVICES_CHANGED, 0, 0);
  events_->push(std::move(events));
  note_progress();
}

void Runtime::on_connection(ConnectionState state, const Error& cause, std::chrono::milliseconds retry_in) {
  note_state();
  note_progress();
  auto event = make_event(CHATSDK_EVENT_CONNECTION);
  event->connection_state = static_cast<std::int32_t>(state);
  event->retry_in_ms = retry_in.count();
  event->status = static_cast<std::int32_t>(cause.code);
  if (cause.code != Code::kOk) event->error = Ref<chatsdk_error>(new chatsdk_error(cause));
  events_->push(Ref<chatsdk_event>(event.release()));
}

void Runtime::on_session_ended(const Error& cause) {
  auto event = make_event(CHATSDK_EVENT_SESSION_ENDED);
  event->status = static_cast<std::int32_t>(cause.code);
  event->error = Ref<chatsdk_error>(new chatsdk_error(cause));
  events_->push(Ref<chatsdk_event>(event.release()));
}

void Runtime::on_devices(RequestId, const std::vector<DeviceInfo>& devices) { devices_ = devices; }

void Runtime::on_completed(RequestId request, const Status& status) {
  auto event = make_event(CHATSDK_EVENT_COMPLETED);
  event->request = request;
  event->status = static_cast<std::int32_t>(status.code());
  if (!status.ok()) event->error = Ref<chatsdk_error>(new chatsdk_error(status.error()));
  event->devices = devices_;
  events_->push(Ref<chatsdk_event>(event.release()));
  devices_.clear();  // not before: an event that found no memory is told again
}

// ---- Events of encryption ------------------------------------------------------------------------------------------

void Runtime::on_encryption_state(EncryptionState state) {
  auto event = make_event(CHATSDK_EVENT_ENCRYPTION);
  event->encryption_state = static_cast<std::int32_t>(state);
  events_->push(Ref<chatsdk_event>(event.release()));
}

void Runtime::on_encryption_events(const std::vector<e2ee::Event>& told) {
  // One by one: where memory runs out, what is in the queue is not told again.
  for (const e2ee::Event& one : told) {
    if (one.number != 0 && one.number <= kept_told_) continue;
    auto event = make_event(type_of(one.kind));
    event->user = one.user_id;
    event->device_id = one.device_id.value;
    event->kept = one.number;
    events_->push(Ref<chatsdk_event>(event.release()));
    kept_told_ = std::max(kept_told_, one.number);
  }
}

void Runtime::pulled(const std::vector<Ref<chatsdk_event>>& events) noexcept {
  bool any = false;
  for (const Ref<chatsdk_event>& event : events) any = note_pulled(*event.get()) || any;
  if (any) forget_pulled_soon();
}

bool Runtime::note_pulled(const chatsdk_event& event) noexcept {
  if (event.operation != 0) {
    try {
      const std::lock_guard lock(pulled_mutex_);
      pulled_operations_.push_back(event.operation);
    } catch (const std::bad_alloc&) {
      // Told again at worst.
    }
    return true;
  }
  std::uint64_t before = kept_pulled_.load();
  while (before < event.kept && !kept_pulled_.compare_exchange_weak(before, event.kept)) {
  }
  return event.kept != 0;
}

void Runtime::forget_pulled_soon() noexcept {
  try {
    std::shared_lock gate(gate_);
    if (client_ == nullptr) return;
    executor_->post([this] { forget_pulled(); });
  } catch (const std::bad_alloc&) {
    // With the next one, or as the client ends.
  }
}

void Runtime::forget_pulled() {
  try {
    const std::uint64_t pulled = kept_pulled_.load();
    if (pulled > kept_gone_ && client_->encryption_events_taken(pulled).ok()) kept_gone_ = pulled;
    std::vector<std::uint64_t> operations;
    {
      const std::lock_guard lock(pulled_mutex_);
      operations = pulled_operations_;
    }
    if (operations.empty() || !client_->operations_taken(operations).ok()) return;
    const std::lock_guard lock(pulled_mutex_);
    pulled_operations_.erase(pulled_operations_.begin(),
                             pulled_operations_.begin() + static_cast<std::ptrdiff_t>(operations.size()));
  } catch (const std::bad_alloc&) {
    // Likewise; told again at worst.
  }
}

void Runtime::on_operation_ended(const DeviceStore::EndedOperation& ended) {
  auto event = make_event(CHATSDK_EVENT_OPERATION_ENDED);
  event->operation = ended.number;
  event->conversation = ended.conversation.value;
  event->status = static_cast<std::int32_t>(ended.status.code);
  if (ended.status.code != Code::kOk) event->error = Ref<chatsdk_error>(new chatsdk_error(ended.status));
  events_->push(Ref<chatsdk_event>(event.release()));
  note_progress();
}

void Runtime::on_link_code(const std::string& code, const std::string& name) {
  auto event = make_event(CHATSDK_EVENT_LINK_CODE);
  event->link_code = code;
  event->link_name = name;
  events_->push(Ref<chatsdk_event>(event.release()));
}

void Runtime::on_link_ended(const Status& status) { push_end(CHATSDK_EVENT_LINK_ENDED, status); }

void Runtime::on_identity_replaced(const Status& status) { push_end(CHATSDK_EVENT_IDENTITY_REPLACED, status); }

void Runtime::push_end(std::int32_t type, const Status& status) {
  auto event = make_event(type);
  event->status = static_cast<std::int32_t>(status.code());
  if (!status.ok()) event->error = Ref<chatsdk_error>(new chatsdk_error(status.error()));
  events_->push(Ref<chatsdk_event>(event.release()));
}

}  // namespace chatsdk::capi
