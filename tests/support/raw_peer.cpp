// SPDX-License-Identifier: Apache-2.0
#include "support/raw_peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

namespace chatsdk::test {

namespace {

constexpr int kPatienceMs = 60'000;
constexpr std::string_view kWebSocketGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 section 1.3

// Old versions need what OpenSSL and Debian have switched off for all programs.
void restrict_to(SSL_CTX* context, int tls_version) {
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(context, tls_version);
  SSL_CTX_set_max_proto_version(context, tls_version);
}

void add_chain(SSL_CTX* context, const std::string& chain_pem) {
  BIO* text = BIO_new_mem_buf(chain_pem.data(), static_cast<int>(chain_pem.size()));
  while (X509* certificate = PEM_read_bio_X509(text, nullptr, nullptr, nullptr)) {
    SSL_CTX_add0_chain_cert(context, certificate);
  }
  ERR_clear_error();  // of the end of the text
  BIO_free(text);
}

sockaddr_storage loopback(const std::string& address, std::uint16_t port, socklen_t* size) {
  sockaddr_storage storage{};
  if (address.find(':') == std::string::npos) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    inet_pton(AF_INET, address.c_str(), &v4.sin_addr);
    *size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr);
    *size = sizeof v6;
  }
  return storage;
}

ssl_ctx_st* new_server_context(const Identity& identity, int tls_version) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (tls_version != 0) restrict_to(context, tls_version);
  BIO* certificate_text =
      BIO_new_mem_buf(identity.certificate_pem.data(), static_cast<int>(identity.certificate_pem.size()));
  BIO* key_text = BIO_new_mem_buf(identity.key_pem.data(), static_cast<int>(identity.key_pem.size()));
  X509* certificate = PEM_read_bio_X509(certificate_text, nullptr, nullptr, nullptr);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
  const bool usable = SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1;
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free(certificate_text);
  BIO_free(key_text);
  if (!usable) {
    SSL_CTX_free(context);
    throw std::runtime_error("the identity cannot be used");
  }
  add_chain(context, identity.chain_pem);
  return context;
}

std::string header_of(std::string_view request, std::string_view name) {
  const std::size_t start = request.find(name);
  if (start == std::string_view::npos) return {};
  const std::size_t value = start + name.size();
  return std::string(request.substr(value, request.find("\r\n", value) - value));
}

}  // namespace

RawConnection::RawConnection(int socket, ssl_ctx_st* tls) : socket_(socket) {
  fcntl(socket_, F_SETFL, O_NONBLOCK);
  if (tls == nullptr) return;
  ssl_ = SSL_new(tls);
  SSL_set_fd(ssl_, socket_);
}

RawConnection::~RawConnection() {
  SSL_free(ssl_);
  close(socket_);
}

bool RawConnection::wait_for(short events) {
  pollfd waiting{socket_, events, 0};
  return poll(&waiting, 1, kPatienceMs) > 0;
}

bool RawConnection::handshake() {
  while (ssl_ != nullptr) {
    const int result = SSL_accept(ssl_);
    if (result == 1) break;
    const int reason = SSL_get_error(ssl_, result);
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return false;
    if (!wait_for(reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT)) return false;
  }
  return true;
}

bool RawConnection::read_some() {
  char bytes[16'384];
  for (;;) {
    ssize_t got = 0;
    if (ssl_ != nullptr) {
      got = SSL_read(ssl_, bytes, sizeof bytes);
      if (got <= 0 && SSL_get_error(ssl_, static_cast<int>(got)) != SSL_ERROR_WANT_READ) return false;
    } else {
      got = recv(socket_, bytes, sizeof bytes, 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
    }
    if (got > 0) {
      unread_.append(bytes, static_cast<std::size_t>(got));
      std::lock_guard lock(mutex_);
      received_.append(bytes, static_cast<std::size_t>(got));
      return true;
    }
    if (!wait_for(POLLIN)) return false;
  }
}

std::optional<std::string> RawConnection::read_until(std::string_view mark) {
  std::size_t found = 0;
  while ((found = unread_.find(mark)) == std::string::npos) {
    if (!read_some()) return std::nullopt;
  }
  return read_exactly(found + mark.size());
}

std::optional<std::string> RawConnection::read_exactly(std::size_t count) {
  while (unread_.size() < count) {
    if (!read_some()) return std::nullopt;
  }
  std::string result = unread_.substr(0, count);
  unread_.erase(0, count);
  return result;
}

bool RawConnection::read_to_end() {
  while (read_some()) unread_.clear();
  pollfd now{socket_, POLLIN, 0};
  return poll(&now, 1, 0) > 0;  // an ended stream is readable
}

bool RawConnection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t put = 0;
    if (ssl_ != nullptr) {
      put = SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
      if (put <= 0 && SSL_get_error(ssl_, static_cast<int>(put)) != SSL_ERROR_WANT_WRITE) return false;
    } else {
      put = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put < 0 && errno != EAGAIN) return false;
    }
    if (put > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(put));
    } else if (!wait_for(POLLOUT)) {
      return false;
    }
  }
  return true;
}

void RawConnection::finish() {
  if (ssl_ != nullptr) SSL_shutdown(ssl_);
  shutdown(socket_, SHUT_WR);
}

void RawConnection::reset() {
  // A socket that lingers for no time is reset when it is closed. Another takes its number, for interrupt() may come
  // from another thread.
  const linger none{1, 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  const int replacement = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  dup2(replacement, socket_);
  close(replacement);
}

void RawConnection::interrupt() { shutdown(socket_, SHUT_RDWR); }

std::string RawConnection::received() const {
  std::lock_guard lock(mutex_);
  return received_;
}

std::string RawConnection::server_name() const {
  const char* name = ssl_ == nullptr ? nullptr : SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

RawPeer::RawPeer(Script script, std::optional<Identity> identity)
    : RawPeer(std::move(script), RawPeerOptions{.identity = std::move(identity)}) {}

RawPeer::RawPeer(Script script, const RawPeerOptions& options)
    : script_(std::move(script)), before_handshake_(options.before_handshake) {
  if (options.identity) tls_ = new_server_context(*options.identity, options.tls_version);
  socklen_t size = 0;
  sockaddr_storage address = loopback(options.address, 0, &size);
  listener_ = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cannot listen on loopback");
  }
  port_ = ntohs(address.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(address).sin_port
                                             : reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

RawPeer::~RawPeer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Session& session : sessions_) {
      if (session.connection) session.connection->interrupt();
    }
  }
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (Session& session : sessions_) session.thread.join();
  close(listener_);
  SSL_CTX_free(tls_);
}

void RawPeer::accept_all() {
  for (;;) {
    const int accepted = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (accepted < 0) return;
    std::lock_guard lock(mutex_);
    if (stopping_) {
      close(accepted);
      return;
    }
    Session& session = sessions_.emplace_back();
    session.connection = std::make_unique<RawConnection>(accepted, tls_);
    session.thread = std::thread([this, &connection = *session.connection] {
      // A write to a stream that the client reset must not end the test program.
      sigset_t pipe;
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      if (before_handshake_ && connection.wait_for_bytes()) before_handshake_();
      const bool secured = connection.handshake();
      {
        std::lock_guard counting(mutex_);
        if (secured) ++handshakes_;
      }
      // A client that refuses the certificate in TLS 1.3 does so after this side's handshake has ended; the script
      // then reads an end of stream.
      if (secured) script_(connection);
      connection.finish();
      std::lock_guard counting(mutex_);
      ++ended_;
      changed_.notify_all();
    });
  }
}

std::string RawPeer::url(std::string_view scheme, std::string_view host, std::string_view target) const {
  return std::string(scheme) + "://" + std::string(host) + ":" + std::to_string(port_) + std::string(target);
}

std::string RawPeer::received() const {
  std::lock_guard lock(mutex_);
  std::string all;
  for (const Session& session : sessions_) all += session.connection->received();
  return all;
}

bool RawPeer::wait_for_ended(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMs), [&] { return ended_ >= count; });
}

std::size_t RawPeer::handshakes() const {
  std::lock_guard lock(mutex_);
  return handshakes_;
}

bool has_ipv6_loopback() {
  socklen_t size = 0;
  const sockaddr_storage address = loopback("::1", 0, &size);
  const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool bound = probe >= 0 && bind(probe, reinterpret_cast<const sockaddr*>(&address), size) == 0;
  if (probe >= 0) close(probe);
  return bound;
}

bool tls_handshake_succeeds(std::uint16_t port, int tls_version) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  restrict_to(context, tls_version);
  socklen_t size = 0;
  const sockaddr_storage address = loopback("127.0.0.1", port, &size);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, client);
  const bool through = connect(client, reinterpret_cast<const sockaddr*>(&address), size) == 0 && SSL_connect(ssl) == 1;
  ERR_clear_error();
  SSL_free(ssl);
  SSL_CTX_free(context);
  close(client);
  return through;
}

std::string tls_server_hello(int tls_version) {
  const std::string version{static_cast<char>(tls_version >> 8), static_cast<char>(tls_version & 0xff)};
  std::string hello = version + std::string(32, 'r');  // its random bytes
  hello += '\0';                                       // no session
  hello += "\xc0\x09";                                 // ECDHE_ECDSA_WITH_AES_128_CBC_SHA, known since TLS 1.0
  hello += '\0';                                       // no compression
  const auto sized = [](std::size_t size, int bytes) {
    std::string length;
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) length += static_cast<char>((size >> shift) & 0xff);
    return length;
  };
  const std::string handshake = '\x02' + sized(hello.size(), 3) + hello;
  return '\x16' + version + sized(handshake.size(), 2) + handshake;
}

std::optional<std::string> accept_upgrade(RawConnection& connection, std::string_view subprotocol) {
  const auto request = connection.read_until("\r\n\r\n");
  if (!request) return std::nullopt;
  const std::string source = header_of(*request, "Sec-WebSocket-Key: ") + std::string(kWebSocketGuid);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned digest_size = 0;
  EVP_Digest(source.data(), source.size(), digest, &digest_size, EVP_sha1(), nullptr);
  unsigned char accept[64];
  EVP_EncodeBlock(accept, digest, static_cast<int>(digest_size));
  std::string answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  answer += "Sec-WebSocket-Accept: " + std::string(reinterpret_cast<char*>(accept)) + "\r\n";
  if (!subprotocol.empty()) answer += "Sec-WebSocket-Protocol: " + std::string(subprotocol) + "\r\n";
  if (!connection.write(answer + "\r\n")) return std::nullopt;
  return request;
}

std::optional<WsFrame> read_frame(RawConnection& connection) {
  const auto head = connection.read_exactly(2);
  if (!head) return std::nullopt;
  WsFrame frame;
  const auto first = static_cast<unsigned char>((*head)[0]);
  const auto second = static_cast<unsigned char>((*head)[1]);
  frame.final = (first & 0x80) != 0;
  frame.opcode = first & 0x0f;
  frame.masked = (second & 0x80) != 0;
  std::uint64_t size = second & 0x7f;
  if (size >= 126) {
    const auto wide = connection.read_exactly(size == 126 ? 2 : 8);
    if (!wide) return std::nullopt;
    size = 0;
    for (const char byte : *wide) size = (size << 8) | static_cast<unsigned char>(byte);
  }
  std::string mask(4, '\0');
  if (frame.masked) {
    const auto read = connection.read_exactly(4);
    if (!read) return std::nullopt;
    mask = *read;
  }
  auto payload = connection.read_exactly(size);
  if (!payload) return std::nullopt;
  frame.payload = *std::move(payload);
  for (std::size_t i = 0; i < frame.payload.size(); ++i) {
    frame.payload[i] = static_cast<char>(frame.payload[i] ^ mask[i % 4]);
  }
  return frame;
}

std::string ws_frame(int opcode, std::string_view payload, bool final, bool masked) {
  std::string frame(1, static_cast<char>((final ? 0x80 : 0) | opcode));
  const int mask_bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    frame += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
  } else if (payload.size() <= 0xffff) {
    frame += static_cast<char>(mask_bit | 126);
    for (int shift = 8; shift >= 0; shift -= 8) frame += static_cast<char>((payload.size() >> shift) & 0xff);
  } else {
    frame += static_cast<char>(mask_bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>((payload.size() >> shift) & 0xff);
  }
  constexpr std::string_view kMask = "\x11\x22\x33\x44";
  if (!masked) return frame.append(payload);
  frame += kMask;
  for (std::size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ kMask[i % 4]);
  return frame;
}

std::string ws_close(std::uint16_t code) {
  return ws_frame(8, std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)});
}

}  // namespace chatsdk::test
