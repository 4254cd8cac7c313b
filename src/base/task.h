// SPDX-License-Identifier: Apache-2.0
//
// A move-only callable: C++20 has no std::move_only_function. Tasks own what they capture and run at most once each
// time they are called by their executor.
//
// Threads: one owner.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace chatsdk {

template <typename Signature>
class UniqueFunction;

template <typename R, typename... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  UniqueFunction(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, UniqueFunction> &&
                                                    std::is_invocable_r_v<R, std::decay_t<F>&, Args...>>>
  UniqueFunction(F&& f)  // NOLINT(google-explicit-constructor)
      : callee_(std::make_unique<Callee<std::decay_t<F>>>(std::forward<F>(f))) {}

  explicit operator bool() const { return callee_ != nullptr; }
  R operator()(Args... args) { return callee_->call(std::forward<Args>(args)...); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual R call(Args... args) = 0;
  };
  template <typename F>
  struct Callee final : Base {
    template <typename G>
    explicit Callee(G&& g) : f(std::forward<G>(g)) {}
    R call(Args... args) override { return f(std::forward<Args>(args)...); }
    F f;
  };
  std::unique_ptr<Base> callee_;
};

using Task = UniqueFunction<void()>;

}  // namespace chatsdk
