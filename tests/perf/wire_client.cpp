// SPDX-License-Identifier: Apache-2.0
#include "perf/wire_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/limits.h"
#include "protocol/http.h"

namespace chatsdk::perf {

namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "load: %s (%s)\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int connect_to(const Endpoint& endpoint) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  if (inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr) != 1) die("not an IPv4 address: " + endpoint.host);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n <= 0) die("write");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

// Reads until the end of an HTTP head; what follows it stays in buffer.
std::string read_head(int fd, std::string& buffer) {
  for (;;) {
    if (const auto end = buffer.find("\r\n\r\n"); end != std::string::npos) {
      std::string head = buffer.substr(0, end);
      buffer.erase(0, end + 4);
      return head;
    }
    char chunk[4096];
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n <= 0) die("the server closed the connection");
    buffer.append(chunk, static_cast<std::size_t>(n));
  }
}

}  // namespace

Registrar::~Registrar() {
  if (socket_ >= 0) ::close(socket_);
}

wire::Session Registrar::register_user(const std::string& user_id) {
  if (socket_ < 0) socket_ = connect_to(endpoint_);
  wire::RegisterRequest request;
  request.set_user_id(user_id);
  request.set_password("load generator");
  std::string installation = user_id;
  installation.resize(limits::kInstallationIdBytes, '.');
  request.set_installation_id(installation);
  const std::string body = request.SerializeAsString();
  write_all(socket_,
            "POST /v1/accounts HTTP/1.1\r\nHost: load\r\nContent-Type: application/x-protobuf\r\nAccept: "
            "application/x-protobuf\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
  const std::string head = read_head(socket_, buffer_);
  std::size_t length = 0;
  for (std::size_t at = 0; at < head.size(); at = head.find('\n', at) + 1) {
    if (strncasecmp(head.c_str() + at, "content-length:", 15) == 0)
      length = std::strtoul(head.c_str() + at + 15, nullptr, 10);
    if (head.find('\n', at) == std::string::npos) break;
  }
  while (buffer_.size() < length) {
    char chunk[4096];
    const ssize_t n = ::read(socket_, chunk, sizeof chunk);
    if (n <= 0) die("the server closed the connection");
    buffer_.append(chunk, static_cast<std::size_t>(n));
  }
  wire::Session session;
  if (head.find(" 201") == std::string::npos || !session.ParseFromString(buffer_.substr(0, length))) {
    die("registration refused: " + head.substr(0, head.find('\r')));
  }
  buffer_.erase(0, length);
  return session;
}

WireConnection::WireConnection(Loop& loop, const Endpoint& endpoint, const std::string& token, OnFrame on_frame)
    : loop_(loop), on_frame_(std::move(on_frame)), socket_(connect_to(endpoint)) {
  write_all(socket_, "GET " + std::string(kWebSocketPath) +
                         " HTTP/1.1\r\nHost: load\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                         "Sec-WebSocket-Protocol: chatsdk.v1\r\nAuthorization: Bearer " +
                         token + "\r\n\r\n");
  const std::string head = read_head(socket_, in_);
  if (head.find(" 101 ") == std::string::npos) die("upgrade refused: " + head.substr(0, head.find('\r')));
  fcntl(socket_, F_SETFL, O_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = this;
  epoll_ctl(loop_.epoll_, EPOLL_CTL_ADD, socket_, &event);
}

WireConnection::~WireConnection() {
  std::erase(loop_.to_flush_, this);
  ::close(socket_);
}

void WireConnection::send(const wire::ClientFrame& frame) {
  const std::size_t size = frame.ByteSizeLong();
  // The mask is all zero: RFC 6455 wants it unpredictable against hostile proxies, of which there are none here.
  out_.push_back(static_cast<char>(0x82));
  if (size < 126) {
    out_.push_back(static_cast<char>(0x80 | size));
  } else {
    out_.push_back(static_cast<char>(0x80 | 126));
    out_.push_back(static_cast<char>(size >> 8));
    out_.push_back(static_cast<char>(size & 255));
  }
  out_.append(4, '\0');
  frame.AppendToString(&out_);
  if (!flush_queued_) {
    flush_queued_ = true;
    loop_.to_flush_.push_back(this);
  }
}

void WireConnection::flush() {
  flush_queued_ = false;
  const ssize_t n = ::write(socket_, out_.data(), out_.size());
  if (n < 0 && errno != EAGAIN) die("write");
  if (n > 0) out_.erase(0, static_cast<std::size_t>(n));
  if (awaits_writable_ == out_.empty()) {
    awaits_writable_ = !out_.empty();
    epoll_event event{};
    event.events = EPOLLIN | (awaits_writable_ ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
    event.data.ptr = this;
    epoll_ctl(loop_.epoll_, EPOLL_CTL_MOD, socket_, &event);
  }
}

void WireConnection::on_readable() {
  char chunk[65536];
  const ssize_t n = ::read(socket_, chunk, sizeof chunk);
  if (n == 0) die("the server closed a WebSocket");
  if (n < 0) {
    if (errno == EAGAIN) return;
    die("read");
  }
  in_.append(chunk, static_cast<std::size_t>(n));
  std::size_t at = 0;
  for (;;) {
    if (in_.size() - at < 2) break;
    const auto byte = [&](std::size_t i) {
      return static_cast<std::uint64_t>(static_cast<unsigned char>(in_[at + i]));
    };
    std::size_t head = 2;
    std::uint64_t size = byte(1) & 127;
    if (size == 126) {
      head = 4;
      if (in_.size() - at < head) break;
      size = byte(2) << 8 | byte(3);
    } else if (size == 127) {
      head = 10;
      if (in_.size() - at < head) break;
      size = 0;
      for (std::size_t i = 2; i < 10; ++i) size = size << 8 | byte(i);
    }
    if (in_.size() - at < head + size) break;
    if ((byte(0) & 15) == 8) die("the server closed a WebSocket with a code");
    if ((byte(0) & 15) == 2) {
      const auto frame = decode_server_frame(std::string_view(in_).substr(at + head, size));
      if (!frame.ok()) die("a frame that is no protobuf message");
      if (frame->has_failure())
        die("failure: " + frame->failure().error().name() + ": " + frame->failure().error().detail());
      if (frame->has_ping()) {
        wire::ClientFrame pong;
        pong.mutable_pong()->set_token(frame->ping().token());
        send(pong);
      } else {
        on_frame_(*this, *frame);
      }
    }
    at += head + size;
  }
  in_.erase(0, at);
}

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
Loop::~Loop() { ::close(epoll_); }

std::int64_t Loop::now_us() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

void Loop::flush_all() {
  std::vector<WireConnection*> batch;
  batch.swap(to_flush_);
  for (WireConnection* connection : batch) connection->flush();
}

void Loop::run_once(int timeout_ms) {
  flush_all();
  epoll_event events[256];
  const int count = epoll_wait(epoll_, events, 256, timeout_ms);
  for (int i = 0; i < count; ++i) {
    auto* connection = static_cast<WireConnection*>(events[i].data.ptr);
    if ((events[i].events & EPOLLOUT) != 0) connection->flush();
    if ((events[i].events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) connection->on_readable();
  }
  flush_all();
}

}  // namespace chatsdk::perf
