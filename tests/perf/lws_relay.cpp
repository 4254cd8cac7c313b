// SPDX-License-Identifier: Apache-2.0
//
// Threads: one for the relay, the caller's for the clients.
#include "perf/lws_relay.h"

#include <arpa/inet.h>
#include <ev.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace chatsdk::perf {

namespace {

constexpr std::size_t kPairs = 100;
constexpr std::size_t kInFlight = 16;
constexpr std::size_t kBytes = 256;
constexpr std::size_t kFrameBytes = 4 + kBytes;  // from the server: header and payload

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "floors: relay: %s\n", what);
  std::exit(1);
}

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void append_header(std::string& out, std::size_t payload_bytes) {
  out.push_back(static_cast<char>(0x82));
  if (payload_bytes >= 126) {
    out.push_back(126);
    out.push_back(static_cast<char>(payload_bytes >> 8));
  }
  out.push_back(static_cast<char>(payload_bytes & 255));
}

// ---- The relay -----------------------------------------------------------------------------------------------------

// A connection says its number in its first message; each message begins with the number of its target.
struct Seat {
  lws* wsi = nullptr;
  std::string in;
  std::string out = std::string(LWS_PRE, '\0');
};

struct Relay {
  std::vector<Seat> seats = std::vector<Seat>(2 * kPairs);
  lws_context* context = nullptr;
  struct ev_loop* loop = nullptr;
  ev_async stop{};
  int port = 0;

  static int on_event(lws* wsi, lws_callback_reasons reason, void* user, void* in, std::size_t bytes) {
    auto* relay = static_cast<Relay*>(lws_context_user(lws_get_context(wsi)));
    auto** own = static_cast<Seat**>(user);
    switch (reason) {
      case LWS_CALLBACK_ESTABLISHED:
        *own = nullptr;
        return 0;
      case LWS_CALLBACK_RECEIVE: {
        // A message that did not arrive in one piece is gathered first.
        std::string_view message(static_cast<const char*>(in), bytes);
        const bool whole = lws_remaining_packet_payload(wsi) == 0;
        if (*own != nullptr && (!whole || !(*own)->in.empty())) {
          (*own)->in.append(message);
          if (!whole) return 0;
          message = (*own)->in;
        }
        std::uint32_t number = 0;
        if (message.size() < sizeof number) return -1;
        std::memcpy(&number, message.data(), sizeof number);
        if (number >= relay->seats.size()) return -1;
        Seat& target = relay->seats[number];
        if (*own == nullptr) {
          *own = &target;
          target.wsi = wsi;
        }
        append_header(target.out, message.size());
        target.out.append(message);
        (*own)->in.clear();
        lws_callback_on_writable(target.wsi);
        return 0;
      }
      case LWS_CALLBACK_SERVER_WRITEABLE: {
        if (*own == nullptr) return 0;
        std::string& out = (*own)->out;
        if (out.size() == LWS_PRE) return 0;
        auto* data = reinterpret_cast<unsigned char*>(out.data());
        if (lws_write(wsi, data + LWS_PRE, out.size() - LWS_PRE, LWS_WRITE_RAW) < 0) return -1;
        out.resize(LWS_PRE);
        return 0;
      }
      default:
        return 0;
    }
  }

  void open() {
    static const lws_protocols kProtocols[] = {{"relay", &Relay::on_event, sizeof(Seat*), 1'024, 0, nullptr, 65'536},
                                               {nullptr, nullptr, 0, 0, 0, nullptr, 0}};
    loop = ev_loop_new(EVFLAG_AUTO);
    ev_async_init(&stop, [](struct ev_loop* l, ev_async*, int) { ev_break(l, EVBREAK_ALL); });
    ev_async_start(loop, &stop);
    void* loops[1] = {loop};
    lws_context_creation_info info = {};
    info.port = 0;
    info.iface = "127.0.0.1";
    info.protocols = kProtocols;
    info.user = this;
    info.foreign_loops = loops;
    info.options = LWS_SERVER_OPTION_LIBEV;
    info.pt_serv_buf_size = 65'536;
    lws_set_log_level(LLL_ERR, nullptr);
    context = lws_create_context(&info);
    if (context == nullptr) die("libwebsockets did not start on libev");
    port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
  }

  void run() {
    ev_run(loop, 0);
    lws_context_destroy(context);
    ev_async_stop(loop, &stop);
    ev_loop_destroy(loop);
  }
};

// ---- The clients ---------------------------------------------------------------------------------------------------

// A masked frame, the mask being zero.
std::string client_frame(std::uint32_t target, std::size_t bytes) {
  std::string payload(bytes, 'x');
  std::memcpy(payload.data(), &target, sizeof target);
  std::string frame;
  append_header(frame, bytes);
  frame[1] = static_cast<char>(static_cast<unsigned char>(frame[1]) | 0x80);
  frame.append(4, '\0');
  return frame + payload;
}

void write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n <= 0) die("write");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

int connect_client(int port, std::uint32_t number) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  write_all(fd,
            "GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
            "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: relay\r\n\r\n");
  std::string head;
  char byte = 0;
  while (!head.ends_with("\r\n\r\n")) {
    if (::read(fd, &byte, 1) != 1) die("upgrade");
    head.push_back(byte);
  }
  if (head.find(" 101 ") == std::string::npos) die("upgrade refused");
  // The relay answers the first message to its sender: then it knows the number.
  write_all(fd, client_frame(number, sizeof number));
  char hello[2 + sizeof number];
  for (std::size_t got = 0; got < sizeof hello;) {
    const ssize_t n = ::read(fd, hello + got, sizeof hello - got);
    if (n <= 0) die("first message");
    got += static_cast<std::size_t>(n);
  }
  return fd;
}

}  // namespace

RelayFigures measure_relay(double seconds) {
  Relay relay;
  std::promise<int> listening;
  std::thread thread([&] {
    relay.open();
    listening.set_value(relay.port);
    relay.run();
  });
  const int port = listening.get_future().get();
  clockid_t relay_cpu{};
  pthread_getcpuclockid(thread.native_handle(), &relay_cpu);

  std::vector<int> sockets;
  for (std::uint32_t i = 0; i < 2 * kPairs; ++i) sockets.push_back(connect_client(port, i));
  // Even numbers send, odd ones receive.
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::size_t> pending(kPairs);
  std::vector<std::string> frames;
  for (std::uint32_t pair = 0; pair < kPairs; ++pair) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = pair;
    epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[2 * pair + 1], &event);
    std::string burst;
    for (std::size_t i = 0; i < kInFlight; ++i) burst += client_frame(2 * pair + 1, kBytes);
    frames.push_back(std::move(burst));
    write_all(sockets[2 * pair], frames[pair]);
  }
  std::vector<char> buffer(65'536);
  const std::size_t sent_bytes = frames[0].size() / kInFlight;
  std::size_t relayed = 0;
  const double cpu_start = seconds_of(relay_cpu);
  const double start = seconds_of(CLOCK_MONOTONIC);
  while (seconds_of(CLOCK_MONOTONIC) - start < seconds) {
    epoll_event events[128];
    const int count = epoll_wait(epoll, events, 128, 50);
    for (int i = 0; i < count; ++i) {
      const std::size_t pair = events[i].data.u32;
      const ssize_t n = ::read(sockets[2 * pair + 1], buffer.data(), buffer.size());
      if (n <= 0) die("the relay closed a connection");
      pending[pair] += static_cast<std::size_t>(n);
      const std::size_t whole = pending[pair] / kFrameBytes;
      pending[pair] %= kFrameBytes;
      relayed += whole;
      write_all(sockets[2 * pair], std::string_view(frames[pair]).substr(0, whole * sent_bytes));
    }
  }
  RelayFigures figures;
  const auto messages = static_cast<double>(relayed);
  figures.per_s = messages / (seconds_of(CLOCK_MONOTONIC) - start);
  figures.cpu_s_per_100k = (seconds_of(relay_cpu) - cpu_start) / messages * 1e5;
  ev_async_send(relay.loop, &relay.stop);
  thread.join();
  for (const int fd : sockets) ::close(fd);
  ::close(epoll);
  return figures;
}

}  // namespace chatsdk::perf
