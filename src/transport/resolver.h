// SPDX-License-Identifier: Apache-2.0
//
// Resolver: asks the system for the addresses of a host, on threads of its own. The system's resolver cannot be
// interrupted and takes as long as an unreachable DNS server lets it (glibc: 5 s and up for each server, twice), so
// nobody may wait for it: neither the adapters' threads nor an app that suspends or ends its client.
//
// A thread exists while a question is under way, at most kResolverThreadsMax at a time; further questions
// wait their turn. A thread whose question nobody wants any more ends when the system lets it. It owns what it needs,
// calls nobody, and touches nothing of the resolver's owner, so that it may outlive all of them. It returns into this
// library's code: the shared library is therefore never unloaded (-z nodelete), and whoever links the static one into
// a module that is unloaded does the same.
//
// Threads: any. A callback runs on one of the resolver's threads, or inside resolve(), and may only pass the answer on.
// Invariants:
//   1. A callback runs at most once, and never once its ticket is gone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace chatsdk {

// The addresses of a host in text form, in the order in which to try them; never empty. Blocks.
using LookUp = std::function<Result<std::vector<std::string>>(const std::string& host)>;

// getaddrinfo(3), but for names of this host, which nobody is asked for: "localhost" and all below it are the loopback
// addresses (RFC 6761 section 6.3), also where no hosts file says so.
Result<std::vector<std::string>> system_look_up(const std::string& host);

class Resolver {
 private:
  struct Question;
  struct Shared;

 public:
  using Callback = std::function<void(Result<std::vector<std::string>>)>;

  // A question under way. Its end waits for a callback that is running.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&& other) noexcept {
      reset();
      question_ = std::move(other.question_);
      return *this;
    }
    ~Ticket() { reset(); }
    void reset();

   private:
    friend class Resolver;
    explicit Ticket(std::shared_ptr<Question> question) : question_(std::move(question)) {}
    std::shared_ptr<Question> question_;  // shared with the thread that answers it
  };

  // Empty: system_look_up. The name is the threads'.
  explicit Resolver(LookUp look_up = {}, std::string thread_name = "chatsdk-dns");
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Not under a lock that the callback takes.
  [[nodiscard]] Ticket resolve(std::string host, Callback callback);

 private:
  static void work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;  // shared with the threads, which outlive this object
};

}  // namespace chatsdk
