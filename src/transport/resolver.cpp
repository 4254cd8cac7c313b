// SPDX-License-Identifier: Apache-2.0
#include "transport/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <deque>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>

#include "base/executor.h"
#include "base/limits.h"

namespace chatsdk {

struct Resolver::Question {
  std::string host;
  std::mutex mutex;  // held while the callback runs
  Callback callback;

  bool wanted() {
    std::lock_guard lock(mutex);
    return callback != nullptr;
  }
  void answer(Result<std::vector<std::string>> addresses) {
    std::lock_guard lock(mutex);
    if (callback == nullptr) return;
    callback(std::move(addresses));
    callback = nullptr;
  }
};

struct Resolver::Shared {
  LookUp look_up;
  std::string thread_name;
  std::mutex mutex;
  std::deque<std::shared_ptr<Question>> waiting;
  std::size_t threads = 0;
};

namespace {

bool is_this_host(std::string_view host) {
  constexpr std::string_view kName = "localhost";
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (host.size() < kName.size()) return false;
  const std::string_view below = host.substr(0, host.size() - kName.size());
  const std::string_view name = host.substr(below.size());
  const bool same = std::equal(name.begin(), name.end(), kName.begin(),
                               [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; });
  return same && (below.empty() || below.back() == '.');
}

}  // namespace

Result<std::vector<std::string>> system_look_up(const std::string& host) {
  if (is_this_host(host)) return std::vector<std::string>{"127.0.0.1", "::1"};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int failure = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (failure != 0) {
    const Cause cause =
        failure == EAI_SYSTEM ? Cause{CauseDomain::kSystem, errno} : Cause{CauseDomain::kResolver, failure};
    return error(Code::kNetwork, std::string("cannot resolve the host: ") + gai_strerror(failure), cause);
  }
  std::vector<std::string> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (addresses.size() == limits::kAddressesMax) break;
    if (std::find(addresses.begin(), addresses.end(), text) == addresses.end()) addresses.emplace_back(text);
  }
  freeaddrinfo(list);
  if (addresses.empty()) return error(Code::kNetwork, "the host has no address");
  return addresses;
}

void Resolver::Ticket::reset() {
  if (question_ == nullptr) return;
  {
    std::lock_guard lock(question_->mutex);
    question_->callback = nullptr;
  }
  question_.reset();
}

Resolver::Resolver(LookUp look_up, std::string thread_name) : shared_(std::make_shared<Shared>()) {
  shared_->thread_name = std::move(thread_name);
  shared_->look_up = look_up ? std::move(look_up) : LookUp(system_look_up);
}

Resolver::~Resolver() {
  std::lock_guard lock(shared_->mutex);
  shared_->waiting.clear();
}

Resolver::Ticket Resolver::resolve(std::string host, Callback callback) {
  auto question = std::make_shared<Question>();
  question->host = std::move(host);
  question->callback = std::move(callback);
  std::unique_lock lock(shared_->mutex);
  shared_->waiting.push_back(question);
  if (shared_->threads == limits::kResolverThreadsMax) return Ticket(question);
  try {
    std::thread([shared = shared_] { work(shared); }).detach();
    ++shared_->threads;
  } catch (const std::system_error&) {
    if (shared_->threads == 0) {
      shared_->waiting.clear();
      lock.unlock();
      question->answer(error(Code::kNoMemory, "no thread for the look-up"));
    }
  }
  return Ticket(question);
}

void Resolver::work(const std::shared_ptr<Shared>& shared) {
  name_this_thread(shared->thread_name);
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the host's signal handlers do not run here
  for (;;) {
    std::shared_ptr<Question> question;
    {
      std::lock_guard lock(shared->mutex);
      if (shared->waiting.empty()) {
        --shared->threads;
        return;
      }
      question = std::move(shared->waiting.front());
      shared->waiting.pop_front();
    }
    if (!question->wanted()) continue;
    try {
      question->answer(shared->look_up(question->host));
    } catch (...) {
      question->answer(error(Code::kNoMemory, "the look-up failed"));
    }
  }
}

}  // namespace chatsdk
