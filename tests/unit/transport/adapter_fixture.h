// SPDX-License-Identifier: Apache-2.0
//
// What the tests of both adapters share: an engine thread to call them from, a handler that remembers, a log that
// remembers, a resolver that needs nobody,
// the table of certificates that must be refused, and the versions of TLS that are too old.
//
// Threads: run() may be called from the test's thread only; the recorders from any.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/log.h"
#include "support/raw_peer.h"
#include "support/test_ca.h"
#include "transport/resolver.h"
#include "transport/transport.h"

namespace chatsdk::test {

inline constexpr const char* kToken = "secret-token-0123456789";

class RecordingLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::string_view message) override {
    std::lock_guard lock(mutex_);
    text_.append(message);
    text_ += '\n';
  }
  bool enabled(LogLevel) const override { return true; }
  std::string text() const {
    std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

class Engine {
 public:
  // Runs the call as a turn and waits for its end.
  void run(const std::function<void()>& call) {
    std::promise<void> done;
    executor_.post([&] {
      call();
      done.set_value();
    });
    done.get_future().wait();
  }
  // Every task posted so far has run when this returns.
  void settle() {
    run([] {});
  }
  Executor& executor() { return executor_; }

 private:
  SystemClock clock_;
  ThreadExecutor executor_{"engine", clock_};
};

class RecordingHandler final : public Transport::Handler {
 public:
  void on_open(Transport::ConnectionId) override {
    note([&] { ++opened; });
  }
  void on_frame(Transport::ConnectionId, Frame frame) override {
    note([&] {
      if (frame.reading)
        readings.push_back(std::move(frame.reading));
      else
        frames.push_back(std::move(frame.bytes));
    });
  }
  void on_writable(Transport::ConnectionId) override {
    note([&] { ++writable; });
  }
  void on_closed(Transport::ConnectionId, const CloseInfo& info) override {
    note([&] {
      ++closed;
      close_info = info;
    });
  }

  // Under the lock; false when a minute was not enough.
  bool wait(const std::function<bool(const RecordingHandler&)>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return condition(*this); });
  }
  bool wait_for_open() {
    return wait([](const auto& self) { return self.opened == 1; });
  }
  bool wait_for_close() {
    return wait([](const auto& self) { return self.closed == 1; });
  }

  int opened = 0;
  int writable = 0;
  int closed = 0;
  std::vector<Bytes> frames;  // that nobody had read
  std::vector<std::unique_ptr<FrameReading>> readings;
  CloseInfo close_info;

 private:
  template <typename Change>
  void note(Change change) {
    std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
};

// A resolver that answers every question with these. Nobody listens on 127.0.0.77 and its neighbours.
inline std::shared_ptr<Resolver> resolver_of(std::vector<std::string> addresses) {
  return std::make_shared<Resolver>([=](const std::string&) -> Result<std::vector<std::string>> { return addresses; });
}

struct BadCertificate {
  std::string name;
  std::string host;    // what the client connects to
  std::string reason;  // a part of the error's detail
  std::function<Identity(const TestCa& trusted)> make;
};

inline const std::vector<BadCertificate>& bad_certificates() {
  static const std::vector<BadCertificate> table = {
      {"WrongHost", "localhost", "mismatch",
       [](const TestCa& ca) { return ca.issue({.common_name = "other.example", .dns_names = {"other.example"}}); }},
      {"WrongAddress", "127.0.0.1", "mismatch",
       [](const TestCa& ca) { return ca.issue({.dns_names = {}, .addresses = {"127.0.0.2"}}); }},
      {"AddressOnlyAsName", "127.0.0.1", "mismatch",
       [](const TestCa& ca) {
         return ca.issue({.common_name = "127.0.0.1", .dns_names = {"127.0.0.1"}, .addresses = {}});
       }},
      {"AddressWithoutAlternativeName", "127.0.0.1", "mismatch",
       [](const TestCa& ca) { return ca.issue({.common_name = "127.0.0.1", .dns_names = {}, .addresses = {}}); }},
      {"CommonNameOnly", "localhost", "mismatch",
       [](const TestCa& ca) { return ca.issue({.common_name = "localhost", .dns_names = {}, .addresses = {}}); }},
      {"WildcardOverALabel", "localhost", "mismatch",
       [](const TestCa& ca) { return ca.issue({.common_name = "x", .dns_names = {"*"}, .addresses = {}}); }},
      {"PartialWildcard", "localhost", "mismatch",
       [](const TestCa& ca) { return ca.issue({.common_name = "x", .dns_names = {"local*"}, .addresses = {}}); }},
      {"Expired", "localhost", "expired",
       [](const TestCa& ca) { return ca.issue({.valid_from_s = -7'200, .valid_to_s = -3'600}); }},
      {"NotYetValid", "localhost", "not yet valid",
       [](const TestCa& ca) { return ca.issue({.valid_from_s = 3'600, .valid_to_s = 7'200}); }},
      {"UnknownRoot", "localhost", "issuer", [](const TestCa&) { return TestCa("another root").issue({}); }},
      {"SelfSigned", "localhost", "self-signed", [](const TestCa&) { return TestCa::self_signed({}); }},
      {"MissingIntermediate", "localhost", "issuer",
       [](const TestCa& ca) {
         Identity identity = TestCa(ca, {.common_name = "between"}).issue({});
         identity.chain_pem.clear();
         return identity;
       }},
      {"ExpiredIntermediate", "localhost", "expired",
       [](const TestCa& ca) {
         return TestCa(ca, {.common_name = "between", .valid_from_s = -7'200, .valid_to_s = -3'600}).issue({});
       }},
      {"IntermediateThatMayNotSign", "localhost", "invalid CA",
       [](const TestCa& ca) { return TestCa(ca, {.common_name = "a server"}, false).issue({}); }},
  };
  return table;
}

inline constexpr int kOldTlsVersions[] = {0x0301, 0x0302};      // 1.0 and 1.1
inline constexpr int kCurrentTlsVersions[] = {0x0303, 0x0304};  // 1.2 and 1.3

}  // namespace chatsdk::test
