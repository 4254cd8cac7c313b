// SPDX-License-Identifier: Apache-2.0
#include "transport/curl_http.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/url.h"
#include "transport/curl_library.h"
#include "transport/liveness.h"
#include "transport/sigpipe_scope.h"
#include "transport/tls_checks.h"

namespace chatsdk {

namespace {

constexpr const char* kArea = "http";

// Only where a multi handle exists or existed: then the library is loaded.
const CurlLibrary& curl() {
  static const CurlLibrary& library = *CurlLibrary::load().value();
  return library;
}

struct FreeEasy {
  void operator()(CURL* easy) const { curl().easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl().slist_free_all(list); }
};

struct Exchange {
  HttpClient::RequestId id = 0;
  HttpRequest request;
  Url url;
  Resolver::Ticket look_up;
  MonotonicTime give_up_at{};  // when the look-up has taken too long
  MonotonicTime end{};         // when the request has taken too long
  std::unique_ptr<curl_slist, FreeList> header_lines;
  std::unique_ptr<curl_slist, FreeList> addresses;
  std::unique_ptr<CURL, FreeEasy> easy;  // after what it borrows
  HttpResponse response;
  std::size_t header_bytes = 0;
  std::size_t body_bytes_max = 0;
  std::optional<Error> failure;  // why a callback of ours stopped the transfer
  char error_text[CURL_ERROR_SIZE] = {};
};

struct StartCommand {
  std::unique_ptr<Exchange> exchange;
};
struct ResolvedCommand {
  HttpClient::RequestId id;
  Result<std::vector<std::string>> addresses;
};
struct CancelCommand {
  HttpClient::RequestId id;
};
using Command = std::variant<StartCommand, ResolvedCommand, CancelCommand>;

std::string trimmed_lower(std::string_view text, bool lower) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n')) {
    text.remove_suffix(1);
  }
  std::string result(text);
  if (lower) {
    std::transform(result.begin(), result.end(), result.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  }
  return result;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// CURLOPT_RESOLVE's form: host:port:address,address.
std::string resolve_line(const Url& url, const std::vector<std::string>& addresses) {
  std::string line = url.host + ":" + std::to_string(url.port);
  char separator = ':';
  for (const std::string& address : addresses) {
    line += separator;
    line += address.find(':') == std::string::npos ? address : "[" + address + "]";
    separator = ',';
  }
  return line;
}

// Runs what a callback of libcurl does: no exception may leave it.
template <typename Take>
std::size_t contain(Exchange& exchange, Take take) noexcept {
  try {
    return take();
  } catch (const std::bad_alloc&) {
    exchange.failure = Error{Code::kNoMemory, {}, {}};
    return 0;
  }
}

std::size_t read_header(char* data, std::size_t size, Exchange& exchange) {
  exchange.header_bytes += size;
  if (exchange.header_bytes > limits::kResponseHeaderBytesMax) {
    exchange.failure =
        error(Code::kTooLarge, "headers above " + std::to_string(limits::kResponseHeaderBytesMax) + " B");
    return 0;
  }
  const std::string_view line(data, size);
  if (line.substr(0, 5) == "HTTP/") {
    exchange.response.headers.clear();  // of an informational answer before
    return size;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  const std::string name = trimmed_lower(line.substr(0, colon), true);
  const std::string value = trimmed_lower(line.substr(colon + 1), false);
  // Repeated fields form one list (RFC 9110 section 5.3).
  auto [place, fresh] = exchange.response.headers.emplace(name, value);
  if (!fresh) place->second += ", " + value;
  return size;
}

std::size_t read_body(char* data, std::size_t size, Exchange& exchange) {
  const std::size_t total = exchange.response.body.size() + size;
  if (total > exchange.body_bytes_max) {
    exchange.failure = error(Code::kTooLarge, "body above " + std::to_string(exchange.body_bytes_max) + " B");
    return 0;
  }
  exchange.response.body.append(data, size);
  return size;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  return contain(exchange, [&] { return read_header(data, size, exchange); });
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  return contain(exchange, [&] { return read_body(data, size, exchange); });
}

CURLcode demand_host(CURL*, void* context, void* user) {
  const auto& exchange = *static_cast<Exchange*>(user);
  return tls::require_host(static_cast<ssl_ctx_st*>(context), exchange.url.host) ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

bool is_tls_failure(CURLcode code) {
  switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
      return true;
    default:
      return false;
  }
}

Error error_of(const Exchange& exchange, CURLcode code) {
  if (exchange.failure) return *exchange.failure;
  const std::string_view text = exchange.error_text[0] != '\0' ? exchange.error_text : curl().easy_strerror(code);
  const Cause cause{CauseDomain::kCurl, static_cast<std::int32_t>(code)};
  if (code == CURLE_OPERATION_TIMEDOUT) return error(Code::kTimedOut, std::string(text), cause);
  // A stream that ends in the handshake says nothing about the peer's certificate.
  const bool peer_left = text.find("SSL_ERROR_SYSCALL") != text.npos || text.find("unexpected eof") != text.npos ||
                         text.find("onnection reset") != text.npos;
  if (is_tls_failure(code) && !(code == CURLE_SSL_CONNECT_ERROR && peer_left)) {
    // The verdict on the certificate says more, when that is what failed.
    long verdict = 0;
    curl().easy_getinfo(exchange.easy.get(), CURLINFO_SSL_VERIFYRESULT, &verdict);
    const bool refused = code == CURLE_PEER_FAILED_VERIFICATION && verdict != 0;
    return error(Code::kTls, std::string(text),
                 refused ? Cause{CauseDomain::kTls, static_cast<std::int32_t>(verdict)} : cause);
  }
  return error(Code::kNetwork, std::string(text), cause);
}

}  // namespace

// Everything behind the public face. The first group of functions runs on the engine's turns, the second wherever the
// transfers are driven: on the own thread, or inside drive().
class CurlHttp::Service {
 public:
  Service(Executor& engine, CurlOptions options, Log& log)
      : engine_(engine),
        options_(std::move(options)),
        log_(log),
        resolver_(options_.resolver ? options_.resolver : std::make_shared<Resolver>()) {}
  ~Service() {
    liveness_->alive = false;
    shutdown();
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // ---- The engine's side ----

  RequestId request(HttpRequest request, Callback callback) {
    const RequestId id = ++last_id_;
    callbacks_.emplace(id, std::move(callback));
    auto exchange = std::make_unique<Exchange>();
    exchange->id = id;
    exchange->request = std::move(request);
    exchange->body_bytes_max = options_.body_bytes_max;
    if (Status checked = check(*exchange); !checked.ok()) {
      answer(id, std::move(checked).error());
      return id;
    }
    enqueue(StartCommand{std::move(exchange)});
    return id;
  }

  void cancel(RequestId id) {
    if (callbacks_.count(id) == 0) return;
    enqueue(CancelCommand{id});
    callbacks_.erase(id);
  }

  void drive() {
    if (options_.own_thread || (multi_ == nullptr && !commands_waiting())) return;
    const SigpipeScope sigpipe_scope;
    make_multi();
    turn();
  }

  void shutdown() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      if (multi_ != nullptr) curl().multi_wakeup(multi_);
    }
    if (thread_.joinable()) thread_.join();
    const SigpipeScope sigpipe_scope;
    end_multi();
    stopping_ = false;
    running_ = false;
  }

 private:
  static Status check(Exchange& exchange) {
    CHATSDK_ASSIGN(exchange.url, parse_url(exchange.request.url, UrlKind::kHttp));
    if (!is_token(exchange.request.method)) return error(Code::kInvalidArgument, "the method is not valid");
    for (const auto& [name, value] : exchange.request.headers) {
      if (!is_token(name) || !is_header_value(value)) return error(Code::kInvalidArgument, "a header is not valid");
    }
    return {};
  }

  void enqueue(Command command) {
    std::lock_guard lock(mutex_);
    const bool starts = std::holds_alternative<StartCommand>(command);
    if (!starts && options_.own_thread && !running_) return;  // nothing is under way
    commands_.push_back(std::move(command));
    if (!options_.own_thread) return;
    if (!running_) {
      // The thread that ended for want of work has left the lock for good: it only has to be joined.
      if (thread_.joinable()) thread_.join();
      try {
        thread_ = std::thread([this] { run(); });
      } catch (...) {
        commands_.pop_back();
        throw std::bad_alloc();  // want of memory, or of what the system counts like it
      }
      running_ = true;
    } else if (multi_ != nullptr) {
      curl().multi_wakeup(multi_);
    }
  }

  void answer(RequestId id, Result<HttpResponse> result) {
    try {
      engine_.post([this, liveness = liveness_, id, result = std::move(result)]() mutable {
        if (!liveness->alive) return;
        auto found = callbacks_.extract(id);
        if (!found.empty()) found.mapped()(std::move(result));
      });
    } catch (const std::bad_alloc&) {
      engine_.lose_turn();
    }
  }

  // From the resolver's threads, while a ticket lives: so the thread runs, or the owner drives.
  void pass_on(Command command) {
    std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
    if (options_.own_thread && multi_ != nullptr) curl().multi_wakeup(multi_);
  }

  // ---- The service's side ----

  void run() {
    name_this_thread(options_.thread_name);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the host's signal handlers do not run here
    while (!should_stop()) {
      try {
        make_multi();
        turn();
      } catch (const std::bad_alloc&) {
        engine_.lose_turn();
      }
      if (multi_ == nullptr) {
        if (ends_idle()) return;
        continue;
      }
      int events = 0;
      if (commands_waiting()) continue;
      curl().multi_poll(multi_, nullptr, 0, static_cast<int>(longest_wait().count()), &events);
      if (events == 0 && exchanges_.empty() && unresolved_.empty() && ends_idle()) return;
    }
  }

  std::chrono::milliseconds longest_wait() const {
    if (exchanges_.empty() && unresolved_.empty()) return options_.idle;
    std::chrono::milliseconds wait = limits::kRequestTimeout;
    for (const auto& [id, exchange] : unresolved_) {
      wait =
          std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(exchange->give_up_at - clock_.monotonic_now()));
    }
    return std::max<std::chrono::milliseconds>(wait, {});
  }

  bool should_stop() {
    std::lock_guard lock(mutex_);
    return stopping_;
  }
  bool commands_waiting() {
    std::lock_guard lock(mutex_);
    return !commands_.empty();
  }

  // True when the thread shall end because nothing came; from then on request() starts another.
  bool ends_idle() {
    std::lock_guard lock(mutex_);
    if (stopping_ || !commands_.empty()) return false;
    if (multi_ != nullptr) curl().multi_cleanup(std::exchange(multi_, nullptr));
    running_ = false;
    return true;
  }

  void make_multi() {
    if (multi_ != nullptr || !CurlLibrary::load().ok()) return;
    CURLM* multi = curl().multi_init();
    std::lock_guard lock(mutex_);
    multi_ = multi;
  }

  void end_multi() {
    std::vector<Command> commands;
    {
      std::lock_guard lock(mutex_);
      commands.swap(commands_);
    }
    for (Command& command : commands) {
      if (auto* start = std::get_if<StartCommand>(&command)) answer(start->exchange->id, ended());
    }
    for (auto& [id, exchange] : unresolved_) answer(id, ended());
    unresolved_.clear();
    for (auto& [id, exchange] : exchanges_) {
      curl().multi_remove_handle(multi_, exchange->easy.get());
      answer(id, ended());
    }
    exchanges_.clear();
    std::lock_guard lock(mutex_);
    if (multi_ != nullptr) curl().multi_cleanup(std::exchange(multi_, nullptr));
  }

  static Error ended() { return {Code::kClosed, {}, {}}; }  // no text: an end takes no memory

  void turn() {
    std::vector<Command> commands;
    {
      std::lock_guard lock(mutex_);
      commands.swap(commands_);
    }
    for (Command& command : commands) {
      std::visit([this](auto& action) { execute(action); }, command);
    }
    end_late_look_ups();
    if (multi_ == nullptr) return;
    int running = 0;
    curl().multi_perform(multi_, &running);
    int left = 0;
    while (const CURLMsg* message = curl().multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) complete(message->easy_handle, message->data.result);
    }
  }

  void execute(StartCommand& command) {
    std::unique_ptr<Exchange> exchange = std::move(command.exchange);
    if (const auto library = CurlLibrary::load(); !library.ok()) return answer(exchange->id, library.error());
    exchange->end = clock_.monotonic_now() + exchange->request.timeout;
    if (is_address(exchange->url.host) || options_.proxy_of_environment) return transfer(std::move(exchange));
    exchange->give_up_at = std::min(exchange->end, clock_.monotonic_now() + options_.connect_timeout);
    const RequestId id = exchange->id;
    Exchange& waiting = *unresolved_.emplace(id, std::move(exchange)).first->second;
    waiting.look_up = resolver_->resolve(waiting.url.host, [this, id](Result<std::vector<std::string>> addresses) {
      pass_on(ResolvedCommand{id, std::move(addresses)});
    });
  }

  void execute(ResolvedCommand& command) {
    const auto found = unresolved_.find(command.id);
    if (found == unresolved_.end()) return;
    std::unique_ptr<Exchange> exchange = std::move(found->second);
    unresolved_.erase(found);
    exchange->look_up.reset();
    if (!command.addresses.ok()) return answer(exchange->id, command.addresses.error());
    const std::string line = resolve_line(exchange->url, *command.addresses);
    exchange->addresses.reset(curl().slist_append(nullptr, line.c_str()));
    transfer(std::move(exchange));
  }

  void end_late_look_ups() {
    const MonotonicTime now = clock_.monotonic_now();
    for (auto entry = unresolved_.begin(); entry != unresolved_.end();) {
      if (entry->second->give_up_at > now) {
        ++entry;
        continue;
      }
      answer(entry->first, error(Code::kTimedOut, "the host's name was not resolved within the time limit"));
      entry = unresolved_.erase(entry);
    }
  }

  void transfer(std::unique_ptr<Exchange> exchange) {
    exchange->easy.reset(curl().easy_init());
    if (multi_ == nullptr || !exchange->easy || !configure(*exchange) ||
        curl().multi_add_handle(multi_, exchange->easy.get()) != CURLM_OK) {
      return answer(exchange->id, error(Code::kNoMemory, "the request cannot be set up"));
    }
    const RequestId id = exchange->id;
    exchanges_.emplace(id, std::move(exchange));
  }

  void execute(CancelCommand& command) {
    unresolved_.erase(command.id);
    const auto found = exchanges_.find(command.id);
    if (found == exchanges_.end()) return;
    curl().multi_remove_handle(multi_, found->second->easy.get());
    exchanges_.erase(found);
  }

  void complete(CURL* easy, CURLcode code) {
    Exchange* exchange = nullptr;
    curl().easy_getinfo(easy, CURLINFO_PRIVATE, &exchange);
    long status = 0;
    curl().easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl().multi_remove_handle(multi_, easy);
    exchange->response.status = static_cast<int>(status);
    const RequestId id = exchange->id;
    const auto ended = exchanges_.extract(id);  // also where there is no memory to tell
    if (code == CURLE_OK) {
      answer(id, std::move(exchange->response));
    } else {
      const Error failure = error_of(*exchange, code);
      if (log_.enabled(LogLevel::kInfo)) {
        log_.write(LogLevel::kInfo, kArea, "request " + std::to_string(id) + ": " + failure.detail);
      }
      answer(id, failure);
    }
  }

  bool configure(Exchange& exchange) const {
    CURL* easy = exchange.easy.get();
    bool good = true;
    const auto set = [&](CURLoption option, auto value) {
      good = curl().easy_setopt(easy, option, value) == CURLE_OK && good;
    };
    const HttpRequest& request = exchange.request;

    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_PRIVATE, &exchange);
    set(CURLOPT_ERRORBUFFER, exchange.error_text);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(exchange.end - clock_.monotonic_now());
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(left.count(), 1)));
    if (exchange.addresses) set(CURLOPT_RESOLVE, exchange.addresses.get());
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
    if (!options_.proxy_of_environment) set(CURLOPT_PROXY, "");

    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSL_CTX_FUNCTION, &demand_host);
    set(CURLOPT_SSL_CTX_DATA, &exchange);
    if (!options_.ca_file.empty()) {
      set(CURLOPT_CAINFO, options_.ca_file.c_str());
      set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // else the system's roots count beside the file
    }

    set(CURLOPT_HEADERFUNCTION, &take_header);
    set(CURLOPT_HEADERDATA, &exchange);
    set(CURLOPT_WRITEFUNCTION, &take_body);
    set(CURLOPT_WRITEDATA, &exchange);

    if (request.method == "HEAD") {
      set(CURLOPT_NOBODY, 1L);
    } else if (request.method != "GET" || !request.body.empty()) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.data());
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    return good && add_headers(exchange);
  }

  static bool add_headers(Exchange& exchange) {
    // What libcurl would add by itself and we do not mean.
    std::vector<std::string> lines = {"Expect:"};
    if (exchange.request.headers.count("content-type") == 0) lines.emplace_back("Content-Type:");
    for (const auto& [name, value] : exchange.request.headers) {
      lines.push_back(value.empty() ? name + ";" : name + ": " + value);
    }
    for (const std::string& line : lines) {
      curl_slist* longer = curl().slist_append(exchange.header_lines.get(), line.c_str());
      if (longer == nullptr) return false;
      (void)exchange.header_lines.release();
      exchange.header_lines.reset(longer);
    }
    return curl().easy_setopt(exchange.easy.get(), CURLOPT_HTTPHEADER, exchange.header_lines.get()) == CURLE_OK;
  }

  Executor& engine_;
  const CurlOptions options_;
  Log& log_;
  const SystemClock clock_;
  const std::shared_ptr<Resolver> resolver_;

  // The engine's side.
  std::shared_ptr<Liveness> liveness_ = std::make_shared<Liveness>();  // shared with posted tasks
  std::map<RequestId, Callback> callbacks_;
  RequestId last_id_ = 0;
  std::thread thread_;

  // Between the two sides.
  std::mutex mutex_;
  std::vector<Command> commands_;
  bool stopping_ = false;
  bool running_ = false;
  CURLM* multi_ = nullptr;  // written by the service's side under the mutex

  // The service's side.
  std::map<RequestId, std::unique_ptr<Exchange>> exchanges_;   // libcurl works on them
  std::map<RequestId, std::unique_ptr<Exchange>> unresolved_;  // they wait for the host's addresses
};

CurlHttp::CurlHttp(Executor& engine, CurlOptions options, Log& log)
    : service_(std::make_unique<Service>(engine, std::move(options), log)) {}
CurlHttp::~CurlHttp() = default;

HttpClient::RequestId CurlHttp::request(HttpRequest request, Callback callback) {
  return service_->request(std::move(request), std::move(callback));
}
void CurlHttp::cancel(RequestId request) { service_->cancel(request); }
void CurlHttp::drive() { service_->drive(); }
void CurlHttp::shutdown() { service_->shutdown(); }

}  // namespace chatsdk
