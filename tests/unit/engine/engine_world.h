// SPDX-License-Identifier: Apache-2.0
//
// One client in a world that the test turns by hand: its clock, its executor, a transport and an HTTP client whose
// other side is the test, and a real device store in memory-backed files. The world plays the parts of a server that
// every test needs (discovery, log-in, the welcome); each of them can be switched off.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "engine/client.h"
#include "store/e2ee_store.h"
#include "support/fake_transport.h"

namespace chatsdk::test {

// What the engine told, in order.
class RecordingSink final : public EventSink {
 public:
  struct State {
    ConnectionState state;
    Error cause;
    std::chrono::milliseconds retry_in;
  };

  void on_changes(const Changes& changes) override {
    ++changes_told;
    last_changes = changes;
    if (in_changes) in_changes();
  }
  void on_connection(ConnectionState state, const Error& cause, std::chrono::milliseconds retry_in) override {
    states.push_back({state, cause, retry_in});
    if (in_connection) in_connection(state);
  }
  void on_decided() override { ++decided; }
  void on_session_ended(const Error& cause) override {
    ended.push_back(cause);
    if (in_ended) in_ended();
  }
  void on_completed(RequestId request, const Status& status) override {
    completed.emplace_back(request, status);
    if (in_completed) in_completed();
  }
  void on_devices(RequestId, const std::vector<DeviceInfo>& list) override { devices = list; }
  void on_identity_replaced(const Status& status) override { identity_replaced.push_back(status.code()); }
  void on_link_ended(const Status& status) override { links_ended.push_back(status.code()); }
  void on_encryption_events(const std::vector<e2ee::Event>& events) override {
    encryption_events.insert(encryption_events.end(), events.begin(), events.end());
  }

  // The status of a request that was completed exactly once.
  Code code_of(RequestId request) const {
    std::optional<Code> code;
    for (const auto& [id, status] : completed) {
      if (id != request) continue;
      EXPECT_FALSE(code.has_value()) << "request " << id << " was completed twice";
      code = status.code();
    }
    EXPECT_TRUE(code.has_value()) << "request " << request << " was not completed";
    return code.value_or(Code::kInternal);
  }

  std::size_t changes_told = 0;
  std::size_t decided = 0;
  Changes last_changes;
  std::vector<State> states;
  std::vector<Error> ended;
  std::vector<std::pair<RequestId, Status>> completed;
  std::vector<DeviceInfo> devices;
  std::vector<e2ee::Event> encryption_events;
  std::vector<Code> identity_replaced;
  std::vector<Code> links_ended;
  std::function<void()> in_changes;
  std::function<void(ConnectionState)> in_connection;
  std::function<void()> in_ended;
  std::function<void()> in_completed;
};

class EngineWorld : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kEpoch = 77;
  static constexpr std::uint64_t kAccountStream = 500;
  static constexpr std::uint64_t kConversation = 900;
  static constexpr std::uint64_t kDevice = 31;

  EngineWorld();
  ~EngineWorld() override;

  // -- Life --
  void open_store();
  // The clients made from here on take part in encryption.
  void open_encryption();
  void make_client();
  void destroy_client() { client_.reset(); }
  // As after a kill: the store and a new client over the same file.
  void restart();
  // Stores a session of alice, without a log-in.
  void have_session(std::chrono::milliseconds valid_for = std::chrono::minutes(15));
  // A started client that is caught up; returns the connection.
  Transport::ConnectionId go_online();
  void run() { executor_.run_ready(); }
  // Moves time on, timer by timer.
  void advance(std::chrono::microseconds by);

  // -- The server's side --
  wire::Welcome welcome() const;
  wire::Session session_answer(int generation) const;
  void deliver(const wire::ServerFrame& frame) { transport_.deliver(transport_.last().id, frame); }
  void deliver_and_run(const wire::ServerFrame& frame) {
    deliver(frame);
    run();
  }
  void drop(std::uint16_t close_code = 1006, Error error = {Code::kNetwork, "lost", {}}) {
    transport_.drop(transport_.last().id, {close_code, std::move(error), 0});
    run();
  }

  // -- What was sent on the last connection --
  std::vector<wire::Send> sends() { return sends_on(transport_.last()); }
  static std::vector<wire::Send> sends_on(const FakeTransport::Connection& connection);
  template <typename T>
  std::vector<T> sent(bool (wire::ClientFrame::*has)() const, const T& (wire::ClientFrame::*get)() const) {
    std::vector<T> found;
    for (const wire::ClientFrame& frame : transport_.last().sent) {
      if ((frame.*has)()) found.push_back((frame.*get)());
    }
    return found;
  }
  std::vector<wire::Hello> hellos() { return sent(&wire::ClientFrame::has_hello, &wire::ClientFrame::hello); }
  std::vector<wire::Void> voids() { return sent(&wire::ClientFrame::has_void_, &wire::ClientFrame::void_); }
  std::vector<wire::Ack> acks() { return sent(&wire::ClientFrame::has_ack, &wire::ClientFrame::ack); }
  std::vector<wire::Read> reads() { return sent(&wire::ClientFrame::has_read, &wire::ClientFrame::read); }
  std::vector<wire::Pull> pulls() { return sent(&wire::ClientFrame::has_pull, &wire::ClientFrame::pull); }
  std::vector<wire::Ping> pings() { return sent(&wire::ClientFrame::has_ping, &wire::ClientFrame::ping); }
  std::vector<wire::Authenticate> authentications() {
    return sent(&wire::ClientFrame::has_authenticate, &wire::ClientFrame::authenticate);
  }

  // -- Messages --
  ConversationKey bob();
  ClientMessageId queue(const std::string& text, Client::SendOptions options = {});
  std::string text_of(const wire::Send& send) const;
  std::vector<std::string> texts(const std::vector<wire::Send>& sends) const;
  MessageRow row(const ClientMessageId& id);
  MessageState state(const ClientMessageId& id) { return row(id).state; }
  // The texts of the conversation with bob, in the order shown.
  std::vector<std::string> history();

  ManualClock clock_;
  ManualExecutor executor_{clock_};
  SeededRandom random_{20'260'101};
  FakeTransport transport_{executor_};
  FakeHttp http_{executor_};
  NullLog log_;
  RecordingSink sink_;
  std::filesystem::path directory_;
  std::unique_ptr<DeviceStore> store_;
  std::unique_ptr<E2eeStore> e2ee_;  // none: the client encrypts nothing
  std::unique_ptr<DeviceReader> reader_;
  ClientOptions options_;
  std::unique_ptr<Client> client_;
  std::string base_vfs_;

  bool auto_accept_upgrade_ = true;
  bool auto_welcome_ = true;
  bool auto_caught_up_ = true;
  bool auto_pong_ = true;
  std::uint64_t epoch_ = kEpoch;
  std::uint32_t heartbeat_ms_ = 30'000;
  std::uint32_t send_window_ = 16;
  std::uint32_t sends_in_flight_ = 256;
  std::uint32_t text_bytes_max_ = 65'536;
  std::chrono::milliseconds token_lifetime_ = std::chrono::hours(24);  // of connections
  int refreshes_ = 0;                                                  // answered by the world
};

// -- Frames --
wire::ServerFrame accepted_frame(const std::string& client_message_id, Seq seq, std::uint64_t conversation = 900);
wire::ServerFrame refused_frame(const std::string& client_message_id, Code code, std::uint32_t retry_after_ms = 0);
wire::ServerFrame void_accepted_frame(const std::string& client_message_id, Seq seq);
wire::ServerFrame voided_frame(const std::string& client_message_id);
wire::ServerFrame void_refused_frame(const std::string& client_message_id, Code code);
wire::ServerFrame caught_up_frame(std::uint64_t stream, Seq seq = 0);
wire::ServerFrame failure_frame(Code code, std::uint32_t retry_after_ms = 0);
wire::Item message_item(Seq seq, const std::string& text, const std::string& sender = "bob",
                        const std::string& client_message_id = {}, std::uint64_t device = 99);
wire::Item roster_item(Seq seq);
wire::ServerFrame items_frame(std::uint64_t stream, Seq after, std::vector<wire::Item> items);
wire::ServerFrame read_mark_frame(const std::string& user, Seq up_to, std::uint64_t revision);

}  // namespace chatsdk::test
