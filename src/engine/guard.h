// SPDX-License-Identifier: Apache-2.0
//
// A liveness token. Tasks, timers and HTTP callbacks outlive the object that they speak of; wrapped by its Guard they
// run only while that object lives and has not let go of them.
//
// Threads: the executor's.
#pragma once

#include <memory>
#include <utility>

namespace chatsdk {

class Guard {
 public:
  Guard() = default;
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // A callable that does nothing once this guard is destroyed or renewed.
  template <typename F>
  auto wrap(F f) const {
    return [weak = std::weak_ptr<char>(token_), f = std::move(f)](auto&&... args) mutable {
      if (weak.expired()) return;
      f(std::forward<decltype(args)>(args)...);
    };
  }
  // Silences everything wrapped so far.
  void renew() { token_ = std::make_shared<char>(); }
  std::weak_ptr<char> watch() const { return token_; }

 private:
  // Shared only so that weak_ptr can watch it; nobody else keeps it alive.
  std::shared_ptr<char> token_ = std::make_shared<char>();
};

}  // namespace chatsdk
