// SPDX-License-Identifier: Apache-2.0
//
// The load generator: drives a running server over the wire and prints one JSON object with its figures.
//
//   load throughput URL PID [--pairs 100] [--in-flight 16] [--bytes 256] [--seconds 10]
//   load latency    URL PID [--rate 500] [--pairs 100] [--bytes 256] [--seconds 10]
//   load register   URL PID --sessions FILE [--connections 10000]         makes accounts for idle
//   load idle       URL PID --sessions FILE
//   load fill       URL PID --to USER [--messages 10000] [--bytes 256]     queues messages for a user who is offline
//
// PID is the server's process: its CPU time and memory are read from /proc. A message counts when its sender has the
// server's acceptance and its receiver has it; receivers acknowledge and mark delivered as a device does.
#include <CLI/CLI.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "perf/wire_client.h"
#include "protocol/content.h"

namespace chatsdk::perf {
namespace {

struct Options {
  std::string url;
  int pid = 0;
  std::size_t pairs = 100;
  std::size_t in_flight = 16;
  std::size_t bytes = 256;
  std::size_t seconds = 10;
  std::size_t rate = 500;
  std::size_t connections = 10'000;
  std::size_t messages = 10'000;
  std::string to;
  std::string sessions;
};

Endpoint endpoint_of(const std::string& url) {
  const auto host = url.find("://") + 3;
  const auto colon = url.find(':', host);
  return {url.substr(host, colon - host), static_cast<std::uint16_t>(std::stoul(url.substr(colon + 1)))};
}

// User and system time of the server, in seconds.
double cpu_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string word;
  double ticks = 0;
  for (int i = 3; i <= 15 && fields >> word; ++i) {
    if (i >= 14) ticks += std::stod(word);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::size_t resident_kib(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoul(line.substr(6));
  }
  return 0;
}

double percentile(std::vector<std::int64_t>& values, double p) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(p * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return static_cast<double>(values[at]) / 1'000.0;
}

// A device that acknowledges what it gets and can send to one peer.
class Peer {
 public:
  Peer(Loop& loop, const Endpoint& endpoint, const wire::Session& session)
      : user_(session.user_id()),
        connection_(loop, endpoint, session.access_token(),
                    [this](WireConnection&, const wire::ServerFrame& frame) { on_frame(frame); }) {
    wire::ClientFrame hello;
    hello.mutable_hello()->set_protocol_min(1);
    hello.mutable_hello()->set_protocol_max(1);
    hello.mutable_hello()->set_client("load");
    connection_.send(hello);
  }

  bool ready() const { return ready_; }
  std::size_t unanswered() const { return sent_at_.size(); }
  std::size_t accepted = 0;
  std::size_t received = 0;
  std::size_t marks = 0;
  std::vector<std::int64_t> ack_us;
  std::vector<std::int64_t> delivery_us;
  const std::string& user() const { return user_; }

  void send(const std::string& to, std::size_t bytes, std::int64_t intended_us) {
    wire::ClientFrame frame;
    wire::Send& send = *frame.mutable_send();
    send.set_peer_user_id(to);
    ++number_;
    std::string id(16, '\0');
    std::memcpy(id.data(), &number_, 8);
    std::memcpy(id.data() + 8, user_.data() + user_.size() - std::min<std::size_t>(8, user_.size()),
                std::min<std::size_t>(8, user_.size()));
    send.set_client_message_id(id);
    send.set_send_number(number_);
    // The text begins with the time at which it was to be sent, for the receiver's clock, which is the same.
    std::string text = std::to_string(intended_us) + " ";
    text.resize(std::max(bytes, text.size()), 'x');
    send.set_content(encode_text_content(text));
    sent_at_.push_back(intended_us);
    connection_.send(frame);
  }

 private:
  void on_frame(const wire::ServerFrame& frame) {
    switch (frame.body_case()) {
      case wire::ServerFrame::kCaughtUp:
        ready_ = ready_ || frame.caught_up().stream_id() == 0;
        break;
      case wire::ServerFrame::kSendResult:
        if (!frame.send_result().has_accepted()) {
          std::fprintf(stderr, "load: refused: %s\n", frame.send_result().refused().detail().c_str());
          std::exit(1);
        }
        ack_us.push_back(Loop::now_us() - sent_at_.front());
        sent_at_.pop_front();
        ++accepted;
        break;
      case wire::ServerFrame::kItems:
        on_items(frame.items());
        break;
      case wire::ServerFrame::kMarks:
        ++marks;
        break;
      default:
        break;
    }
  }

  void on_items(const wire::Items& items) {
    if (items.items().empty()) return;
    const std::int64_t now = Loop::now_us();
    for (const wire::Item& item : items.items()) {
      if (item.kind() != wire::ITEM_KIND_MESSAGE || item.sender_user_id() == user_) continue;
      const std::string text = content::text_of(item.content()).value_or("");
      delivery_us.push_back(now - std::strtoll(text.c_str(), nullptr, 10));
      ++received;
    }
    wire::ClientFrame frame;
    wire::Ack::Stream& ack = *frame.mutable_ack()->add_streams();
    ack.set_stream_id(items.stream_id());
    ack.set_seq(items.items(items.items_size() - 1).seq());
    connection_.send(frame);
  }

  const std::string user_;
  WireConnection connection_;
  bool ready_ = false;
  std::uint64_t number_ = 0;
  std::deque<std::int64_t> sent_at_;
};

struct Pairs {
  std::vector<std::unique_ptr<Peer>> senders;
  std::vector<std::unique_ptr<Peer>> receivers;
};

std::string run_name() { return std::to_string(::getpid()); }

void wait_ready(Loop& loop, const std::vector<std::unique_ptr<Peer>>& peers) {
  for (const auto& peer : peers) {
    while (!peer->ready()) loop.run_once(100);
  }
}

Pairs make_pairs(Loop& loop, const Endpoint& endpoint, std::size_t count) {
  Registrar registrar(endpoint);
  Pairs pairs;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string suffix = run_name() + "-" + std::to_string(i);
    pairs.senders.push_back(std::make_unique<Peer>(loop, endpoint, registrar.register_user("s" + suffix)));
    pairs.receivers.push_back(std::make_unique<Peer>(loop, endpoint, registrar.register_user("r" + suffix)));
  }
  wait_ready(loop, pairs.senders);
  wait_ready(loop, pairs.receivers);
  return pairs;
}

std::size_t total(const std::vector<std::unique_ptr<Peer>>& peers, std::size_t Peer::*figure) {
  std::size_t sum = 0;
  for (const auto& peer : peers) sum += (*peer).*figure;
  return sum;
}

void drain(Loop& loop, const Pairs& pairs) {
  while (total(pairs.receivers, &Peer::received) < total(pairs.senders, &Peer::accepted) ||
         std::any_of(pairs.senders.begin(), pairs.senders.end(), [](const auto& s) { return s->unanswered() != 0; })) {
    loop.run_once(100);
  }
}

int throughput(const Options& options) {
  Loop loop;
  const Endpoint endpoint = endpoint_of(options.url);
  Pairs pairs = make_pairs(loop, endpoint, options.pairs);
  const auto fill = [&] {
    const std::int64_t now = Loop::now_us();
    for (std::size_t i = 0; i < options.pairs; ++i) {
      while (pairs.senders[i]->unanswered() < options.in_flight) {
        pairs.senders[i]->send(pairs.receivers[i]->user(), options.bytes, now);
      }
    }
  };
  // A second to warm up: conversations are made, caches are filled.
  for (const std::int64_t end = Loop::now_us() + 1'000'000; Loop::now_us() < end; loop.run_once(10)) fill();

  const std::size_t accepted_before = total(pairs.senders, &Peer::accepted);
  const std::size_t received_before = total(pairs.receivers, &Peer::received);
  const double cpu_before = cpu_seconds(options.pid);
  const std::int64_t start = Loop::now_us();
  for (const std::int64_t end = start + static_cast<std::int64_t>(options.seconds) * 1'000'000; Loop::now_us() < end;
       loop.run_once(10)) {
    fill();
  }
  const double seconds = static_cast<double>(Loop::now_us() - start) / 1e6;
  const double accepted = static_cast<double>(total(pairs.senders, &Peer::accepted) - accepted_before);
  const double received = static_cast<double>(total(pairs.receivers, &Peer::received) - received_before);
  const double cpu = cpu_seconds(options.pid) - cpu_before;
  drain(loop, pairs);
  std::printf(
      "{\"accepted_per_s\": %.0f, \"delivered_per_s\": %.0f, \"server_cpu_s_per_100k\": %.2f, "
      "\"server_cpu_share\": %.2f}\n",
      accepted / seconds, received / seconds, cpu / accepted * 1e5, cpu / seconds);
  return 0;
}

int latency(const Options& options) {
  Loop loop;
  Pairs pairs = make_pairs(loop, endpoint_of(options.url), options.pairs);
  for (std::size_t i = 0; i < options.pairs; ++i) {
    pairs.senders[i]->send(pairs.receivers[i]->user(), options.bytes, Loop::now_us());
  }
  drain(loop, pairs);
  for (auto& sender : pairs.senders) sender->ack_us.clear();
  for (auto& receiver : pairs.receivers) receiver->delivery_us.clear();

  // Open loop: a slow answer does not delay the next send, and each is timed from when it was due.
  const std::int64_t start = Loop::now_us();
  const std::size_t count = options.rate * options.seconds;
  for (std::size_t sent = 0; sent < count;) {
    const std::int64_t due = start + static_cast<std::int64_t>(sent * 1'000'000 / options.rate);
    if (Loop::now_us() >= due) {
      const std::size_t i = sent % options.pairs;
      pairs.senders[i]->send(pairs.receivers[i]->user(), options.bytes, due);
      ++sent;
    } else {
      loop.run_once(due - Loop::now_us() > 1'000 ? 1 : 0);
    }
  }
  drain(loop, pairs);
  std::vector<std::int64_t> ack;
  std::vector<std::int64_t> delivery;
  for (auto& sender : pairs.senders) ack.insert(ack.end(), sender->ack_us.begin(), sender->ack_us.end());
  for (auto& receiver : pairs.receivers) {
    delivery.insert(delivery.end(), receiver->delivery_us.begin(), receiver->delivery_us.end());
  }
  std::printf(
      "{\"send_to_ack_p50_ms\": %.2f, \"send_to_ack_p99_ms\": %.2f, \"send_to_delivery_p50_ms\": %.2f, "
      "\"send_to_delivery_p99_ms\": %.2f}\n",
      percentile(ack, 0.5), percentile(ack, 0.99), percentile(delivery, 0.5), percentile(delivery, 0.99));
  return 0;
}

// Registers over several connections at once, so that the server's commits are shared.
std::vector<wire::Session> register_many(const Endpoint& endpoint, std::size_t count) {
  constexpr std::size_t kRegistrars = 32;
  std::vector<wire::Session> sessions(count);
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < kRegistrars; ++first) {
    threads.emplace_back([&, first] {
      Registrar registrar(endpoint);
      for (std::size_t i = first; i < count; i += kRegistrars) {
        sessions[i] = registrar.register_user("i" + run_name() + "-" + std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return sessions;
}

int register_sessions(const Options& options) {
  std::ofstream file(options.sessions);
  for (const wire::Session& session : register_many(endpoint_of(options.url), options.connections)) {
    file << session.user_id() << ' ' << session.access_token() << '\n';
  }
  std::printf("{\"registered\": %zu}\n", options.connections);
  return 0;
}

// The server has been started anew since the accounts were made, so that no connection lives on memory that something
// else had left behind.
int idle(const Options& options) {
  Loop loop;
  const Endpoint endpoint = endpoint_of(options.url);
  const std::size_t before = resident_kib(options.pid);
  std::vector<std::unique_ptr<Peer>> peers;
  std::ifstream file(options.sessions);
  wire::Session session;
  while (file >> *session.mutable_user_id() >> *session.mutable_access_token()) {
    peers.push_back(std::make_unique<Peer>(loop, endpoint, session));
    if (peers.size() % 64 == 0) loop.run_once(0);
  }
  wait_ready(loop, peers);
  const std::size_t after = resident_kib(options.pid);
  const double each = static_cast<double>(after - before) / static_cast<double>(peers.size());
  std::printf("{\"connections\": %zu, \"server_kib_each\": %.2f, \"server_resident_kib\": %zu}\n", peers.size(), each,
              after);
  return 0;
}

int fill(const Options& options) {
  Loop loop;
  const Endpoint endpoint = endpoint_of(options.url);
  Registrar registrar(endpoint);
  Peer sender(loop, endpoint, registrar.register_user("f" + run_name()));
  while (!sender.ready()) loop.run_once(100);
  for (std::size_t sent = 0; sender.accepted < options.messages;) {
    while (sent < options.messages && sender.unanswered() < options.in_flight) {
      sender.send(options.to, options.bytes, Loop::now_us());
      ++sent;
    }
    loop.run_once(100);
  }
  std::printf("{\"filled\": %zu}\n", sender.accepted);
  return 0;
}

}  // namespace
}  // namespace chatsdk::perf

int main(int argc, char** argv) {
  using namespace chatsdk::perf;  // NOLINT(google-build-using-namespace)
  Options options;
  CLI::App app("Drives a chatsdk server over the wire.");
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* text) {
    CLI::App* command = app.add_subcommand(name, text);
    command->add_option("url", options.url)->required();
    command->add_option("pid", options.pid)->required();
    command->add_option("--bytes", options.bytes);
    command->add_option("--seconds", options.seconds);
    command->add_option("--pairs", options.pairs);
    command->add_option("--in-flight", options.in_flight);
    return command;
  };
  CLI::App* throughput_command = add("throughput", "As many messages as the window allows");
  CLI::App* latency_command = add("latency", "A fixed rate");
  latency_command->add_option("--rate", options.rate);
  CLI::App* idle_command = add("idle", "Connections that only stay");
  idle_command->add_option("--sessions", options.sessions)->required();
  CLI::App* register_command = add("register", "Accounts for idle");
  register_command->add_option("--sessions", options.sessions)->required();
  register_command->add_option("--connections", options.connections);
  CLI::App* fill_command = add("fill", "Messages for somebody offline");
  fill_command->add_option("--to", options.to)->required();
  fill_command->add_option("--messages", options.messages);
  CLI11_PARSE(app, argc, argv);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (*throughput_command) return throughput(options);
  if (*latency_command) return latency(options);
  if (*idle_command) return idle(options);
  if (*register_command) return register_sessions(options);
  return fill(options);
}
