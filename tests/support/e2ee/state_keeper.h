// SPDX-License-Identifier: Apache-2.0
//
// Where the state of a device is kept while operations run on it: in memory, or in tables. What both keep after the
// same operations has the same hash.
//
// Threads: one owner.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "support/e2ee/memory_state.h"

namespace chatsdk::e2ee {

class StateKeeper {
 public:
  virtual ~StateKeeper() = default;

  // Operations work on it, and whoever only looks.
  virtual State& state() = 0;
  // Runs one operation as one transaction: where it fails, nothing of it stays.
  virtual Status run(const std::function<Status()>& operation) = 0;
  // How many writes operations made, those included that did not stay.
  virtual std::size_t writes() = 0;
  // Of what is kept, not of what is at hand.
  virtual Hash hash() = 0;
  // Reads everything again.
  virtual Status reload() = 0;
};

// Makes the keeper of the device of that name.
using MakeKeeper = std::function<std::unique_ptr<StateKeeper>(const std::string& device)>;

class MemoryKeeper final : public StateKeeper {
 public:
  State& state() override { return state_; }
  Status run(const std::function<Status()>& operation) override { return operation(); }
  std::size_t writes() override { return state_.writes(); }
  Hash hash() override { return state_.hash(); }
  Status reload() override {
    const SecretRows rows = state_.rows();
    auto again = MemoryState::of_rows(rows.view());
    if (!again || again->hash() != state_.hash()) return error(Code::kInternal, "rows give another state");
    state_ = std::move(*again);
    return {};
  }

 private:
  MemoryState state_;
};

}  // namespace chatsdk::e2ee
