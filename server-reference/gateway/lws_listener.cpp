// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/lws_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

namespace chatsdk::server {

namespace {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t bytes = 0;
};

Result<SocketAddress> parse_address(const std::string& text, std::uint16_t port) {
  SocketAddress out;
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    out.bytes = sizeof v4;
    return out;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    out.bytes = sizeof v6;
    return out;
  }
  return error(Code::kInvalidArgument, "address \"" + text + "\" is not a numeric IPv4 or IPv6 address");
}

std::uint16_t port_of(const SocketAddress& address) {
  return ntohs(address.storage.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(address.storage).sin_port
                                                    : reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port);
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// The first socket is bound without SO_REUSEPORT, so that a port which any other process listens on is in use, also
// when that process shares it; the option is set afterwards, for the sockets of the other shards.
Result<Fd> listen_on(SocketAddress& address, const std::string& name, bool is_first, bool is_shared) {
  Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto failed = [&](const char* call) {
    return error(Code::kNetwork, "cannot listen on " + name + ": " + call + ": " + strerror(errno));
  };
  const int on = 1;
  const int off = 0;
  if (fd.get() < 0) return failed("socket");
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return failed("SO_REUSEADDR");
  if (address.storage.ss_family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  const auto share = [&] { return ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0; };
  if (!is_first && !share()) return failed("SO_REUSEPORT");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.bytes) != 0) return failed("bind");
  if (is_first && is_shared && !share()) return failed("SO_REUSEPORT");
  if (::listen(fd.get(), SOMAXCONN) != 0) return failed("listen");
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.bytes) != 0) {
    return failed("getsockname");
  }
  return fd;
}

std::string tls_reason() {
  char text[256] = "";
  ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
  ERR_clear_error();
  return text;
}

// A server has nobody to ask. Notes that it was asked, and gives no pass phrase.
int refuse_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return 0;
}

constexpr int kToldBeforeExpiryDays = 14;  // time to renew what somebody renews by hand

// Clients refuse such a certificate, or soon will, and the server serves it all the same: a clock may be wrong.
void warn_of_times(const X509* certificate, const std::string& file, Log& log) {
  const auto from_now = [](const ASN1_TIME* time) -> std::optional<std::int64_t> {
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, nullptr, time) != 1) return std::nullopt;
    return std::int64_t{86'400} * days + seconds;
  };
  const auto begins = from_now(X509_get0_notBefore(certificate));
  const auto ends = from_now(X509_get0_notAfter(certificate));
  std::string what;
  if (begins && *begins > 0) {
    what = "is not valid yet";
  } else if (ends && *ends < 0) {
    what = "has expired";
  } else if (ends && *ends < std::int64_t{86'400} * kToldBeforeExpiryDays) {
    what = "expires in less than " + std::to_string(*ends / 86'400 + 1) + (*ends < 86'400 ? " day" : " days");
  }
  if (!what.empty()) {
    log.write(LogLevel::kWarning, "listener", "a certificate in TLS file \"" + file + "\" " + what);
  }
}

// The library would start without saying what is wrong with a file, so the files are tried before it sees them.
Status check_tls_files(const TlsFiles& files, Log& log) {
  if (files.certificate.empty() && files.key.empty()) return {};
  if (files.certificate.empty()) return error(Code::kInvalidArgument, "a TLS key without a certificate");
  if (files.key.empty()) return error(Code::kInvalidArgument, "a TLS certificate without a key");
  for (const std::string* file : {&files.certificate, &files.key}) {
    if (::access(file->c_str(), R_OK) != 0) {
      return error(Code::kTls, "cannot read TLS file \"" + *file + "\": " + strerror(errno));
    }
    std::error_code unknown;
    if (std::filesystem::is_directory(*file, unknown))
      return error(Code::kTls, "TLS file \"" + *file + "\" is a directory");
  }
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return error(Code::kTls, "OpenSSL did not start: " + tls_reason());
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
    return error(Code::kTls, "no certificate chain in TLS file \"" + files.certificate + "\": " + tls_reason());
  }
  bool encrypted = false;
  SSL_CTX_set_default_passwd_cb(context.get(), &refuse_pass_phrase);
  SSL_CTX_set_default_passwd_cb_userdata(context.get(), &encrypted);
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const std::string reason = tls_reason();
    if (encrypted) {
      return error(Code::kTls, "the key in TLS file \"" + files.key +
                                   "\" is encrypted, and the server has no pass phrase: give it the key without one");
    }
    return error(Code::kTls, "no key of the certificate in TLS file \"" + files.key + "\": " + reason);
  }
  // A key of another kind than the certificate's stands beside it until it is asked for.
  if (SSL_CTX_check_private_key(context.get()) != 1) {
    return error(Code::kTls, "the key in TLS file \"" + files.key + "\" is not that of the certificate");
  }
  warn_of_times(SSL_CTX_get0_certificate(context.get()), files.certificate, log);
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context.get(), &chain);
  for (int i = 0; i < sk_X509_num(chain); ++i) warn_of_times(sk_X509_value(chain, i), files.certificate, log);
  return {};
}

// Makes room for the connections and answers how many fit. libwebsockets sizes its table of descriptors by this limit
// when a context starts, so it comes first.
std::size_t fit_descriptor_limit(std::size_t connections_max, Log& log) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections_max;
  const auto wanted = static_cast<rlim_t>(connections_max + limits::kOtherDescriptors);
  if (limit.rlim_cur >= wanted) return connections_max;
  limit.rlim_cur = std::min(limit.rlim_max, wanted);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return connections_max;
  const auto allowed = static_cast<std::size_t>(limit.rlim_cur);
  const std::size_t fitting =
      allowed > 2 * limits::kOtherDescriptors ? allowed - limits::kOtherDescriptors : allowed / 2;
  log.write(LogLevel::kInfo, "listener",
            "at most " + std::to_string(fitting) + " connections: the system allows " + std::to_string(allowed) +
                " open files");
  return fitting;
}

}  // namespace

std::string host_and_port(const std::string& address, std::uint16_t port) {
  const bool is_v6 = address.find(':') != std::string::npos;
  return (is_v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

Result<std::unique_ptr<LwsListener>> LwsListener::create(ListenerOptions options, Log& log) {
  if (options.threads < 1 || options.threads > limits::kListenerThreadsMax) {
    return error(Code::kInvalidArgument, "listener threads " + std::to_string(options.threads) + ", allowed 1 to " +
                                             std::to_string(limits::kListenerThreadsMax));
  }
  CHATSDK_ASSIGN(SocketAddress address, parse_address(options.address, options.port));
  CHATSDK_TRY(check_tls_files(options.tls, log));
  options.connections_max = fit_descriptor_limit(options.connections_max, log);
  options.serving.websockets_max = std::min(options.serving.websockets_max, options.connections_max);

  std::unique_ptr<LwsListener> listener(new LwsListener(std::move(options)));
  const ListenerOptions& kept = listener->options_;
  std::vector<Fd> sockets;
  for (std::size_t i = 0; i < kept.threads; ++i) {
    CHATSDK_ASSIGN(Fd fd, listen_on(address, host_and_port(kept.address, kept.port), i == 0, kept.threads > 1));
    sockets.push_back(std::move(fd));
  }
  listener->port_ = port_of(address);
  for (std::size_t i = 0; i < kept.threads; ++i) {
    LwsShard::Settings settings;
    settings.index = static_cast<std::uint8_t>(i);
    settings.listen_fd = sockets[i].release();
    settings.tls = kept.tls;
    settings.connections_per_address_max = kept.connections_per_address_max;
    settings.connections_max = std::max<std::size_t>(1, kept.connections_max / kept.threads);
    CHATSDK_ASSIGN(auto shard, LwsShard::create(std::move(settings), kept.serving, listener->state_, log));
    listener->shards_.push_back(std::move(shard));
  }
  return listener;
}

LwsListener::~LwsListener() { stop(); }

void LwsListener::start() {
  for (const auto& shard : shards_) shard->start();
}

void LwsListener::begin_drain(Task requests_done) {
  state_.draining.store(true);
  struct Countdown {
    std::atomic<std::size_t> left = 0;
    Task done;
  };
  // Shared: the shard that ends last calls it, and a shard that is stopped drops it.
  const auto countdown = std::make_shared<Countdown>();
  countdown->left = shards_.size();
  countdown->done = std::move(requests_done);
  for (const auto& shard : shards_) {
    shard->post([&shard = *shard, countdown] {
      shard.drain_requests([countdown] {
        if (countdown->left.fetch_sub(1) == 1) countdown->done();
      });
    });
  }
}

void LwsListener::stop() {
  for (const auto& shard : shards_) shard->stop();
}

}  // namespace chatsdk::server
