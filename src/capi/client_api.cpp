// SPDX-License-Identifier: Apache-2.0
//
// Entry points of the C ABI: version, configuration, life, account and events. Each checks its arguments, calls the
// runtime and translates; no logic lives here.
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/limits.h"
#include "base/url.h"
#include "capi/guard.h"
#include "capi/handles.h"

using namespace chatsdk;        // NOLINT(google-build-using-namespace): this file is the boundary
using namespace chatsdk::capi;  // NOLINT(google-build-using-namespace)

namespace {

Status set_text(chatsdk_config* config, std::string RuntimeOptions::*member, const char* data, std::size_t length,
                const TextRule& rule) {
  CHATSDK_TRY(check(config));
  CHATSDK_ASSIGN(const std::string_view text, text_in(data, length, rule));
  config->options.*member = std::string(text);
  return {};
}

Status set_client_text(chatsdk_config* config, std::string ClientOptions::*member, const char* data, std::size_t length,
                       const TextRule& rule) {
  CHATSDK_TRY(check(config));
  CHATSDK_ASSIGN(const std::string_view text, text_in(data, length, rule));
  config->options.client.*member = std::string(text);
  return {};
}

// Starts a request and writes its id.
Status start_request(chatsdk_client* client, std::uint64_t* out_request, std::function<void(Client&, RequestId)> body) {
  if (out_request == nullptr) return error(Code::kInvalidArgument, "out_request is NULL");
  CHATSDK_ASSIGN(*out_request, client->runtime.request(std::move(body)));
  return {};
}

// Ends a client and frees it. Not from inside one of its calls.
void end(chatsdk_client* client) {
  client->calls.close();
  client->runtime.close();
  client->calls.close_and_wait();
  delete client;
}

struct LeaveClient {
  void operator()(chatsdk_client* client) const { client->calls.leave(); }
};

struct EndAfterTick {
  ~EndAfterTick() {
    if (client != nullptr) end(client);
  }
  chatsdk_client* client = nullptr;
};

// The time in which a thread ticks, also when a handler throws.
class TickScope {
 public:
  TickScope(chatsdk_client& client, EventQueue& queue, EndAfterTick& end_after_tick)
      : client_(client), queue_(queue), end_after_tick_(end_after_tick) {
    client_.ticking_thread.store(std::this_thread::get_id());
  }
  ~TickScope() {
    if (client_.destroy_after_tick) end_after_tick_.client = &client_;
    client_.ticking_thread.store(std::thread::id());
    queue_.end_pull();
  }
  TickScope(const TickScope&) = delete;
  TickScope& operator=(const TickScope&) = delete;

 private:
  chatsdk_client& client_;
  EventQueue& queue_;
  EndAfterTick& end_after_tick_;
};

// A wait in the ABI's milliseconds. Longer than limits::kWaitMax is as good as for ever, and no clock overflows.
std::chrono::milliseconds wait_of(std::int64_t wait_ms) {
  const std::chrono::milliseconds most = limits::kWaitMax;
  return std::chrono::milliseconds(std::min<std::int64_t>(wait_ms, most.count()));
}

std::string_view why_no_event(Code code) {
  switch (code) {
    case Code::kTimedOut:
      return "no event came in time";
    case Code::kCancelled:
      return "chatsdk_client_wake was called";
    case Code::kBusy:
      return "another thread polls, or a tick is under way";
    default:
      return "the client is closed";
  }
}

bool initialise_sodium() {
  static const bool ok = sodium_init() >= 0;  // once, and thread-safe, by the language
  return ok;
}

Status open_store(chatsdk_client* client, const char* path, size_t path_length, const uint8_t* key, size_t key_length,
                  bool afresh) {
  CHATSDK_ASSIGN(const std::string_view file,
                 text_in(path, path_length, {"path", 1, limits::kPathBytesMax, TextUse::kPath}));
  if (key == nullptr || key_length != StoreKey::size()) {
    return error(Code::kInvalidArgument,
                 "key " + std::to_string(key == nullptr ? 0 : key_length) + " B, 32 B are needed");
  }
  return client->runtime.open_store(file, StoreKey::copy_of({reinterpret_cast<const char*>(key), key_length}), afresh);
}

}  // namespace

extern "C" {

// ---- Which library -------------------------------------------------------------------------------------------------

const char* chatsdk_status_name(int32_t status) { return code_name(static_cast<Code>(status)).data(); }
int32_t chatsdk_status_is_retryable(int32_t status) { return code_is_retryable(static_cast<Code>(status)) ? 1 : 0; }
uint32_t chatsdk_version_number(void) { return CHATSDK_VERSION_NUMBER; }
const char* chatsdk_version_string(void) { return CHATSDK_VERSION_STRING; }
uint32_t chatsdk_abi_version(void) { return CHATSDK_ABI_VERSION; }

int32_t chatsdk_has_feature(const char* name, size_t name_length) {
  bool found = false;
  const std::int32_t read = guard(nullptr, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view text, text_in(name, name_length, {"name", 0, 64}));
    for (const std::string_view feature : {"direct_text", "e2ee", "encrypted_store", "tick"}) {
      found = found || text == feature;
    }
    found = found || text == std::string("ml_kem_768:").append(own_kem().name());
    return {};
  });
  return read == CHATSDK_OK && found ? 1 : 0;
}

// ---- Configuration -------------------------------------------------------------------------------------------------

int32_t chatsdk_config_create(chatsdk_config** out_config, chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    if (out_config == nullptr) return error(Code::kInvalidArgument, "out_config is NULL");
    *out_config = new chatsdk_config();
    return {};
  });
}

void chatsdk_config_destroy(chatsdk_config* config) {
  if (lives(config)) delete config;
}

int32_t chatsdk_config_set_server_url(chatsdk_config* config, const char* url, size_t url_length,
                                      chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    CHATSDK_ASSIGN(const std::string_view text, text_in(url, url_length, {"url", 1, limits::kUrlBytesMax}));
    CHATSDK_ASSIGN(const Url parts, parse_url(text, UrlKind::kHttp));
    if (parts.target.size() > 1) return error(Code::kInvalidArgument, "url: a path or query is not allowed");
    config->options.client.server_url = parts.scheme + "://" + parts.authority();
    return {};
  });
}

int32_t chatsdk_config_set_device_name(chatsdk_config* config, const char* name, size_t name_length,
                                       chatsdk_error** out_error) {
  return guard(out_error, [&] {
    return set_client_text(config, &ClientOptions::device_name, name, name_length,
                           {"name", 0, limits::kDeviceNameBytesMax, TextUse::kName});
  });
}

int32_t chatsdk_config_set_ca_file(chatsdk_config* config, const char* path, size_t path_length,
                                   chatsdk_error** out_error) {
  return guard(out_error, [&] {
    return set_text(config, &RuntimeOptions::ca_file, path, path_length,
                    {"path", 0, limits::kPathBytesMax, TextUse::kPath});
  });
}

int32_t chatsdk_config_set_thread_name(chatsdk_config* config, const char* prefix, size_t prefix_length,
                                       chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    CHATSDK_ASSIGN(const std::string_view text,
                   text_in(prefix, prefix_length, {"prefix", 1, limits::kThreadNameBytesMax, TextUse::kName}));
    config->options.thread_name = std::string(text);
    return {};
  });
}

int32_t chatsdk_config_set_threading(chatsdk_config* config, int32_t threading, chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    if (threading != CHATSDK_THREADING_THREADS && threading != CHATSDK_THREADING_TICK) {
      return error(Code::kInvalidArgument, "threading " + std::to_string(threading) + " is unknown");
    }
    config->options.tick_driven = threading == CHATSDK_THREADING_TICK;
    return {};
  });
}

int32_t chatsdk_config_set_send_time_limit_ms(chatsdk_config* config, int64_t limit_ms, chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    const std::chrono::milliseconds max = limits::kSendTimeLimitMax;
    if (limit_ms < 1 || limit_ms > max.count()) {
      return error(Code::kInvalidArgument,
                   "limit_ms " + std::to_string(limit_ms) + " is not within 1 and " + std::to_string(max.count()));
    }
    config->options.client.send_time_limit = std::chrono::milliseconds(limit_ms);
    return {};
  });
}

int32_t chatsdk_config_set_backoff_ms(chatsdk_config* config, int64_t base_ms, int64_t cap_ms,
                                      chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    if (base_ms < 1 || cap_ms < base_ms || cap_ms > limits::kBackoffCapMax.count()) {
      return error(Code::kInvalidArgument, "base_ms " + std::to_string(base_ms) + ", cap_ms " + std::to_string(cap_ms) +
                                               ": 1 <= base_ms <= cap_ms <= " +
                                               std::to_string(limits::kBackoffCapMax.count()) + " does not hold");
    }
    config->options.client.backoff_base = std::chrono::milliseconds(base_ms);
    config->options.client.backoff_cap = std::chrono::milliseconds(cap_ms);
    return {};
  });
}

int32_t chatsdk_config_set_block_changed_identities(chatsdk_config* config, int32_t blocks, chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    if (blocks != 0 && blocks != 1) return error(Code::kInvalidArgument, "blocks is neither 0 nor 1");
    config->options.client.block_changed_identities = blocks == 1;
    return {};
  });
}

int32_t chatsdk_config_set_log(chatsdk_config* config, int32_t level, chatsdk_error** out_error, chatsdk_log_hook hook,
                               void* user, chatsdk_destroy_hook destroy) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    if (level < CHATSDK_LOG_TRACE || level > CHATSDK_LOG_ERROR) {
      return error(Code::kInvalidArgument, "level " + std::to_string(level) + " is unknown");
    }
    // The control block is allocated before ownership of user passes, so that a failure does not call destroy.
    auto holder = std::make_shared<std::unique_ptr<HookLog>>();
    *holder = std::make_unique<HookLog>(static_cast<LogLevel>(level), hook, user, destroy);
    config->options.log = std::shared_ptr<Log>(holder, holder->get());
    return {};
  });
}

// ---- Life ----------------------------------------------------------------------------------------------------------

int32_t chatsdk_client_create(const chatsdk_config* config, chatsdk_client** out_client, chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(config));
    if (out_client == nullptr) return error(Code::kInvalidArgument, "out_client is NULL");
    if (config->options.client.server_url.empty()) return error(Code::kInvalidArgument, "no server URL is set");
    if (!initialise_sodium()) return error(Code::kCrypto, "libsodium could not be initialised");
    RuntimeOptions options = config->options;
    options.client.client_name = "chatsdk/" CHATSDK_VERSION_STRING;
    *out_client = new chatsdk_client(std::move(options));
    return {};
  });
}

int32_t chatsdk_client_open_store(chatsdk_client* client, const char* path, size_t path_length, const uint8_t* key,
                                  size_t key_length, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] { return open_store(client, path, path_length, key, key_length, false); });
}

int32_t chatsdk_client_recreate_store(chatsdk_client* client, const char* path, size_t path_length, const uint8_t* key,
                                      size_t key_length, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] { return open_store(client, path, path_length, key, key_length, true); });
}

int32_t chatsdk_client_start(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status { return client->runtime.start(); });
}

int32_t chatsdk_client_stop(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status { return client->runtime.stop(); });
}

int32_t chatsdk_client_suspend(chatsdk_client* client, int64_t deadline_ms, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (deadline_ms < 0) return error(Code::kInvalidArgument, "deadline_ms is negative");
    return client->runtime.suspend(wait_of(deadline_ms));
  });
}

int32_t chatsdk_client_resume(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status { return client->runtime.resume(); });
}

int32_t chatsdk_client_network_changed(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status { return client->runtime.network_changed(); });
}

int32_t chatsdk_client_sync(chatsdk_client* client, int64_t timeout_ms, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (timeout_ms < 0) return error(Code::kInvalidArgument, "timeout_ms is negative");
    return client->runtime.sync(wait_of(timeout_ms));
  });
}

int32_t chatsdk_client_close(chatsdk_client* client, chatsdk_error** out_error) {
  return guard(out_error, [&]() -> Status {
    CHATSDK_TRY(check(client));
    client->calls.enter_to_close();
    const std::unique_ptr<chatsdk_client, LeaveClient> inside(client);
    client->runtime.close();
    return {};
  });
}

void chatsdk_client_destroy(chatsdk_client* client) {
  if (!lives(client)) return;
  if (client->ticking_thread.load() == std::this_thread::get_id()) {
    client->destroy_after_tick = true;
    return;
  }
  end(client);
}

int32_t chatsdk_client_connection_state(const chatsdk_client* client, int32_t* out_state, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_state == nullptr) return error(Code::kInvalidArgument, "out_state is NULL");
    *out_state = static_cast<std::int32_t>(client->runtime.connection_state());
    return {};
  });
}

// ---- Account and devices -------------------------------------------------------------------------------------------

int32_t chatsdk_registration_init(chatsdk_registration* registration, size_t size) {
  const chatsdk_registration defaults = CHATSDK_REGISTRATION_INIT;
  return init_struct(registration, size, defaults);
}

int32_t chatsdk_client_register(chatsdk_client* client, const chatsdk_registration* registration, uint64_t* out_request,
                                chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    chatsdk_registration in = CHATSDK_REGISTRATION_INIT;
    CHATSDK_TRY(read_struct(registration, in, "registration"));
    Registration out;
    CHATSDK_ASSIGN(out.user_id, text_in(in.user_id, in.user_id_length, {"user_id", 1, limits::kUserIdBytesMax}));
    CHATSDK_ASSIGN(out.password, text_in(in.password, in.password_length,
                                         {"password", limits::kPasswordBytesMin, limits::kPasswordBytesMax}));
    CHATSDK_ASSIGN(out.display_name,
                   text_in(in.display_name, in.display_name_length, {"display_name", 0, limits::kDisplayNameBytesMax}));
    CHATSDK_ASSIGN(out.email, text_in(in.email, in.email_length, {"email", 0, limits::kEmailBytesMax}));
    CHATSDK_ASSIGN(out.phone, text_in(in.phone, in.phone_length, {"phone", 0, limits::kPhoneBytesMax}));
    return start_request(client, out_request,
                         [&](Client& engine, RequestId request) { engine.register_account(request, std::move(out)); });
  });
}

int32_t chatsdk_client_login(chatsdk_client* client, const char* user_id, size_t user_id_length, const char* password,
                             size_t password_length, uint64_t* out_request, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view user,
                   text_in(user_id, user_id_length, {"user_id", 1, limits::kUserIdBytesMax}));
    CHATSDK_ASSIGN(const std::string_view secret,
                   text_in(password, password_length, {"password", 1, limits::kPasswordBytesMax}));
    return start_request(client, out_request, [&](Client& engine, RequestId request) {
      engine.login(request, std::string(user), std::string(secret));
    });
  });
}

int32_t chatsdk_client_login_with_assertion(chatsdk_client* client, const char* assertion, size_t assertion_length,
                                            uint64_t* out_request, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view text,
                   text_in(assertion, assertion_length, {"assertion", 1, limits::kTokenBytesMax}));
    return start_request(client, out_request, [&](Client& engine, RequestId request) {
      engine.login_with_assertion(request, std::string(text));
    });
  });
}

int32_t chatsdk_client_logout(chatsdk_client* client, uint64_t* out_request, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return start_request(client, out_request, [](Client& engine, RequestId request) { engine.logout(request); });
  });
}

int32_t chatsdk_client_list_devices(chatsdk_client* client, uint64_t* out_request, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return start_request(client, out_request, [](Client& engine, RequestId request) { engine.list_devices(request); });
  });
}

int32_t chatsdk_client_revoke_device(chatsdk_client* client, uint64_t device_id, uint64_t* out_request,
                                     chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (device_id == 0) return error(Code::kInvalidArgument, "device_id is 0");
    return start_request(client, out_request, [=](Client& engine, RequestId request) {
      engine.revoke_device(request, DeviceId{device_id});
    });
  });
}

int32_t chatsdk_client_user_id(chatsdk_client* client, char* buffer, size_t capacity, size_t* out_length,
                               chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_length == nullptr || (buffer == nullptr && capacity != 0)) {
      return error(Code::kInvalidArgument, "out_length is NULL, or buffer is NULL with a capacity");
    }
    CHATSDK_ASSIGN(const UserId owner, client->runtime.owner());
    *out_length = owner.size();
    if (capacity < owner.size()) {
      return error(Code::kTooSmall, "capacity " + std::to_string(capacity) + " B, the user_id has " +
                                        std::to_string(owner.size()) + " B");
    }
    std::memcpy(buffer, owner.data(), owner.size());
    return {};
  });
}

// ---- Events --------------------------------------------------------------------------------------------------------

int32_t chatsdk_client_poll(chatsdk_client* client, int64_t timeout_ms, chatsdk_event** out_events, size_t max,
                            size_t* out_count, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_events == nullptr || out_count == nullptr || max == 0 || timeout_ms < -1) {
      return error(Code::kInvalidArgument, "out_events or out_count is NULL, max is 0 or timeout_ms below -1");
    }
    if (client->runtime.tick_driven()) return error(Code::kWrongState, "this client is driven by ticks");
    const std::shared_ptr<EventQueue> queue = client->runtime.events();
    std::vector<Ref<chatsdk_event>> events;
    const Code code = queue->poll(wait_of(timeout_ms), max, events);
    if (code != Code::kOk) return error_with_text_if_possible(code, why_no_event(code));
    client->runtime.pulled(events);
    *out_count = events.size();
    for (std::size_t i = 0; i < events.size(); ++i) out_events[i] = const_cast<chatsdk_event*>(events[i].leak());
    return {};
  });
}

int32_t chatsdk_client_wake(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    client->runtime.events()->wake();
    return {};
  });
}

int32_t chatsdk_client_tick(chatsdk_client* client, int64_t budget_ms, size_t* out_dispatched,
                            chatsdk_error** out_error, chatsdk_event_handler handler, void* user) {
  // Outermost, so that a client whose end a handler asked for ends after this call has left it.
  EndAfterTick end_after_tick;
  return on_client(client, out_error, [&]() -> Status {
    if (handler == nullptr || budget_ms < 0) {
      return error(Code::kInvalidArgument, "handler is NULL or budget_ms negative");
    }
    const std::shared_ptr<EventQueue> queue = client->runtime.events();
    if (!queue->begin_pull()) return error(Code::kBusy, "another thread polls, or a tick is under way");
    const TickScope scope(*client, *queue, end_after_tick);
    std::size_t dispatched = 0;
    client->runtime.tick(wait_of(budget_ms), [&](const chatsdk_event& event) {
      handler(&event, user);
      ++dispatched;
      return !client->destroy_after_tick;
    });
    if (out_dispatched != nullptr) *out_dispatched = dispatched;
    return {};
  });
}

int32_t chatsdk_client_set_ready_hook(chatsdk_client* client, chatsdk_error** out_error, chatsdk_ready_hook hook,
                                      void* user, chatsdk_destroy_hook destroy) {
  return on_client(client, out_error, [&]() -> Status {
    client->runtime.events()->set_ready_hook(hook, user, destroy);
    return {};
  });
}

}  // extern "C"
