// SPDX-License-Identifier: Apache-2.0
#include "support/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace chatsdk::test {

struct RawClient::Socket {
  int fd = -1;
  SSL_CTX* context = nullptr;
  SSL* tls = nullptr;
  std::chrono::milliseconds patience{10'000};

  ~Socket() {
    SSL_free(tls);
    SSL_CTX_free(context);
    if (fd >= 0) ::close(fd);
  }
  bool wait(short events) const {
    pollfd entry{fd, events, 0};
    return ::poll(&entry, 1, static_cast<int>(patience.count())) > 0;
  }
  long read(char* out, std::size_t size) const {
    if (tls != nullptr) {
      if (SSL_pending(tls) == 0 && !wait(POLLIN)) return -1;
      return SSL_read(tls, out, static_cast<int>(size));
    }
    if (!wait(POLLIN)) return -1;
    return ::recv(fd, out, size, 0);
  }
  long write(const char* bytes, std::size_t size) const {
    if (tls != nullptr) return SSL_write(tls, bytes, static_cast<int>(size));
    return ::send(fd, bytes, size, MSG_NOSIGNAL);
  }
};

int RawClient::Frame::close_code() const {
  if (opcode != 8) return 0;
  if (payload.size() < 2) return 1005;
  return (static_cast<unsigned char>(payload[0]) << 8) | static_cast<unsigned char>(payload[1]);
}

RawClient::RawClient(std::uint16_t port, bool tls, const std::string& address) : socket_(std::make_unique<Socket>()) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd);
    return;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  socket_->fd = fd;
  if (!tls) return;
  socket_->context = SSL_CTX_new(TLS_client_method());
  socket_->tls = SSL_new(socket_->context);
  SSL_set_fd(socket_->tls, fd);
  if (SSL_connect(socket_->tls) == 1) return;
  ::close(fd);
  socket_->fd = -1;
}

RawClient::~RawClient() = default;
RawClient::RawClient(RawClient&&) noexcept = default;

bool RawClient::connected() const { return socket_->fd >= 0; }
std::string RawClient::tls_version() const { return socket_->tls == nullptr ? "" : SSL_get_version(socket_->tls); }
void RawClient::set_patience(std::chrono::milliseconds patience) { socket_->patience = patience; }
void RawClient::set_receive_buffer(int bytes) {
  ::setsockopt(socket_->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (socket_->tls == nullptr && !socket_->wait(POLLOUT)) return false;
    const long count = socket_->write(bytes.data(), bytes.size());
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void RawClient::end_sending() {
  if (socket_->tls != nullptr) SSL_shutdown(socket_->tls);
  ::shutdown(socket_->fd, SHUT_WR);
}

void RawClient::reset() {
  const linger none{1, 0};
  ::setsockopt(socket_->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  ::close(socket_->fd);
  socket_->fd = -1;
}

bool RawClient::fill() {
  char bytes[65'536];
  const long count = socket_->read(bytes, sizeof bytes);
  if (count <= 0) return false;
  input_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

std::string RawClient::read_some() {
  if (input_.empty()) fill();
  return std::exchange(input_, {});
}

bool RawClient::read_to_end() {
  char bytes[65'536];
  for (;;) {
    const long count = socket_->read(bytes, sizeof bytes);
    if (count == 0) return true;
    if (count < 0) return socket_->tls != nullptr && SSL_get_shutdown(socket_->tls) != 0;
  }
}

bool RawClient::read_to_end_or_reset() {
  errno = 0;
  return read_to_end() || errno == ECONNRESET;
}

RawClient::Response RawClient::read_response() {
  Response response;
  std::size_t end = 0;
  while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return {};
  }
  std::string head = input_.substr(0, end + 2);
  input_.erase(0, end + 4);
  response.status = std::stoi(head.substr(9, 3));
  head.erase(0, head.find("\r\n") + 2);
  while (!head.empty()) {
    const std::string line = head.substr(0, head.find("\r\n"));
    head.erase(0, line.size() + 2);
    const std::size_t colon = line.find(':');
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    response.headers[name] = line.substr(colon + 2);
  }
  const auto length = response.headers.find("content-length");
  const std::size_t body = length == response.headers.end() ? 0 : std::stoul(length->second);
  while (input_.size() < body) {
    if (!fill()) return {};
  }
  response.body = input_.substr(0, body);
  input_.erase(0, body);
  return response;
}

RawClient::Response RawClient::upgrade(const std::string& more_headers, const std::string& path) {
  send("GET " + path +
       " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
       "Sec-WebSocket-Protocol: chatsdk.v1\r\n" +
       more_headers + "\r\n");
  return read_response();
}

std::string RawClient::encode_frame(int opcode, std::string_view payload, bool final, bool masked) {
  std::string out;
  out.push_back(static_cast<char>((final ? 0x80 : 0) | opcode));
  const unsigned mask_bit = masked ? 0x80 : 0;
  const std::size_t size = payload.size();
  const int extended = size < 126 ? 0 : size <= 0xFFFF ? 2 : 8;
  out.push_back(static_cast<char>(mask_bit | (extended == 0 ? size : extended == 2 ? 126U : 127U)));
  for (int i = extended - 1; i >= 0; --i) out.push_back(static_cast<char>((size >> (8 * i)) & 0xFF));
  if (!masked) return out.append(payload);
  const unsigned char mask[4] = {0x37, 0xFA, 0x21, 0x3D};
  out.append(reinterpret_cast<const char*>(mask), 4);
  for (std::size_t i = 0; i < size; ++i) {
    out.push_back(static_cast<char>(static_cast<unsigned char>(payload[i]) ^ mask[i & 3]));
  }
  return out;
}

bool RawClient::send_frame(int opcode, std::string_view payload, bool final, bool masked) {
  return send(encode_frame(opcode, payload, final, masked));
}

RawClient::Frame RawClient::read_frame() {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(input_[i]); };
  while (input_.size() < 2) {
    if (!fill()) return {};
  }
  Frame frame;
  frame.opcode = byte(0) & 0x0F;
  frame.final = (byte(0) & 0x80) != 0;
  frame.masked = (byte(1) & 0x80) != 0;
  std::size_t size = byte(1) & 0x7F;
  const std::size_t header = 2 + (size == 126 ? 2U : size == 127 ? 8U : 0U);
  while (input_.size() < header) {
    if (!fill()) return {};
  }
  if (header > 2) size = 0;
  for (std::size_t i = 2; i < header; ++i) size = (size << 8) | byte(i);
  while (input_.size() < header + size) {
    if (!fill()) return {};
  }
  frame.payload = input_.substr(header, size);
  input_.erase(0, header + size);
  return frame;
}

}  // namespace chatsdk::test
