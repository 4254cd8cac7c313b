// SPDX-License-Identifier: Apache-2.0
#include "support/raw_peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
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

constexpr int kPatienceMs = 10'000;
constexpr std::string_view kWebSocketGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 section 1.3

ssl_ctx_st* new_server_context(const Identity& identity) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
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

RawPeer::RawPeer(Script script, std::optional<Identity> identity) : script_(std::move(script)) {
  if (identity) tls_ = new_server_context(*identity);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cannot listen on loopback");
  }
  port_ = ntohs(address.sin_port);
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
  if (masked) frame += kMask;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    frame += masked ? static_cast<char>(payload[i] ^ kMask[i % 4]) : payload[i];
  }
  return frame;
}

std::string ws_close(std::uint16_t code) {
  return ws_frame(8, std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)});
}

}  // namespace chatsdk::test
