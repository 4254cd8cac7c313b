// SPDX-License-Identifier: Apache-2.0
//
// A listener with the smallest handlers that let a test see what it does: frames are echoed, requests are answered with
// what they were. Knows nothing of chat.
//
// Threads: the handlers run on the shards; the test's thread asks through locked members.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server-reference/gateway/lws_listener.h"
#include "support/raw_client.h"

namespace chatsdk::test {

class EchoHandler : public server::ConnectionHandler {
 public:
  void on_open(const server::ConnectionInfo& info, server::FrameSink& sink) override {
    std::lock_guard lock(mutex_);
    sinks_[info.id] = &sink;
    opened_.push_back(info);
    changed_.notify_all();
    if (on_opened) on_opened(info, sink);
  }
  void on_frame(server::ConnectionId connection, BytesView frame) override {
    server::FrameSink* sink = nullptr;
    {
      std::lock_guard lock(mutex_);
      sink = sinks_.at(connection);
      ++frames_;
      changed_.notify_all();
    }
    if (on_framed) {
      on_framed(*sink, frame);
    } else {
      sink->send(std::make_shared<const Bytes>(frame));
    }
  }
  void on_closed(server::ConnectionId connection) override {
    std::lock_guard lock(mutex_);
    EXPECT_EQ(sinks_.erase(connection), 1U) << "on_closed twice or without on_open";
    ++closed_;
    changed_.notify_all();
  }

  bool wait_until(const std::function<bool(const EchoHandler&)>& condition,
                  std::chrono::milliseconds patience = std::chrono::seconds(60)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return condition(*this); });
  }
  bool wait_closed(std::size_t count) {
    return wait_until([&](const EchoHandler& self) { return self.closed_ >= count; });
  }

  std::function<void(const server::ConnectionInfo&, server::FrameSink&)> on_opened;
  std::function<void(server::FrameSink&, BytesView)> on_framed;
  std::vector<server::ConnectionInfo> opened_;
  std::size_t frames_ = 0;
  std::size_t closed_ = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<server::ConnectionId, server::FrameSink*> sinks_;
};

// Answers 200 with "METHOD url body", unless told otherwise. /later waits for release().
class PlainHttp : public server::HttpService {
 public:
  void handle(HttpRequest request, std::string remote_address, Respond respond) override {
    EXPECT_EQ(remote_address, "127.0.0.1");
    if (request.url == "/later") {
      std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(respond));
      changed_.notify_all();
      return;
    }
    HttpResponse response;
    response.status = 200;
    response.headers["content-type"] = "text/plain";
    response.headers["x-injected"] = "a\r\nset-cookie: b";
    response.body = request.method + " " + request.url + " " + request.body;
    if (request.url == "/large") response.body.assign(3'000'000, 'x');
    respond(std::move(response));
  }
  // Answers the oldest /later on the caller's thread.
  void release() {
    Respond respond;
    {
      std::unique_lock lock(mutex_);
      ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !waiting_.empty(); }));
      respond = std::move(waiting_.front());
      waiting_.erase(waiting_.begin());
    }
    HttpResponse response;
    response.status = 201;
    response.body = "late";
    respond(std::move(response));
  }
  bool wait_asked() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !waiting_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Respond> waiting_;
};

// Keeps what is logged.
class LinesLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::string_view message) override {
    std::lock_guard lock(mutex_);
    lines_.emplace_back(message);
    changed_.notify_all();
  }
  bool enabled(LogLevel) const override { return true; }
  bool wait_for(const std::string& beginning) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return count_locked(beginning) > 0; });
  }
  std::size_t count(const std::string& beginning) {
    std::lock_guard lock(mutex_);
    return count_locked(beginning);
  }

 private:
  std::size_t count_locked(const std::string& beginning) const {
    std::size_t count = 0;
    for (const std::string& line : lines_) count += line.starts_with(beginning) ? 1U : 0U;
    return count;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

// Knows one token.
class OneToken : public server::TokenVerifier {
 public:
  Result<server::Identity> verify_access_token(std::string_view token, WallTime) const override {
    if (token == "good") return server::Identity{};
    return error(Code::kUnauthenticated, "the token is not known");
  }
};

class ListenerFixture : public ::testing::Test {
 protected:
  ListenerFixture() {
    options_.serving.message_bytes_max = 100'000;
    options_.serving.linger_timeout = std::chrono::milliseconds(500);
  }
  ~ListenerFixture() override {
    if (listener_ != nullptr) listener_->stop();
  }
  // Starts with options_.
  void start() {
    auto made = server::LwsListener::create(options_, log_);
    ASSERT_TRUE(made.ok()) << made.error().detail;
    listener_ = std::move(made).value();
    listener_->start();
    for (std::size_t i = 0; i < listener_->shard_count(); ++i) {
      server::LwsShard& shard = listener_->shard(i);
      shard.post([this, &shard] { shard.serve({echo_, http_, &tokens_, [this] { ++ended_; }}); });
    }
  }
  RawClient connect() { return RawClient(listener_->port(), listener_->secure()); }
  // A client whose upgrade went through.
  RawClient connect_websocket() {
    RawClient client = connect();
    EXPECT_EQ(client.upgrade().status, 101);
    return client;
  }

  // Everything that was posted on the shards before has run.
  void pass_turns() {
    for (std::size_t i = 0; i < listener_->shard_count(); ++i) {
      std::promise<void> passed;
      listener_->shard(i).post([&] { passed.set_value(); });
      passed.get_future().wait();
    }
  }

  LinesLog log_;
  server::ListenerOptions options_;
  EchoHandler echo_;
  PlainHttp http_;
  OneToken tokens_;
  std::atomic<std::size_t> ended_ = 0;
  std::unique_ptr<server::LwsListener> listener_;
};

}  // namespace chatsdk::test
