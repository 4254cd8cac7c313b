// SPDX-License-Identifier: Apache-2.0
//
// The operations of docs/e2ee.md section 21 done by the library: a line of a transcript goes in, and the line with the
// outputs and the state hash that were computed comes out. Where lines come from, and what they are compared with, is
// the program's matter.
//
// Threads: one owner.
// Invariants:
//   1. An operation that fails has written nothing and left the device's state hash as it was: anything else is told in
//      the line as "defect".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/random.h"
#include "e2ee/linking.h"
#include "support/e2ee/state_keeper.h"

namespace chatsdk::e2ee::oracle {

using Json = nlohmann::json;

// What an operation drew.
class NotedRandom : public Random {
 public:
  const Bytes& drawn() const { return drawn_; }

 protected:
  Bytes drawn_;
};
// From a line.
class TapeRandom final : public NotedRandom {
 public:
  explicit TapeRandom(Bytes tape) : tape_(std::move(tape)) {}
  void fill(std::span<unsigned char> out) override;

 private:
  Bytes tape_;
};
// From a generator.
class FreshRandom final : public NotedRandom {
 public:
  explicit FreshRandom(Random& source) : source_(source) {}
  void fill(std::span<unsigned char> out) override;

 private:
  Random& source_;
};

struct Device {
  std::unique_ptr<StateKeeper> kept;
  SigningSeed account_seed;  // zeros: none; no row before there are device keys
  bool has_account = false;
  std::optional<LinkNew> link_new;
  std::optional<LinkOld> link_old;
  Hash hash;
};

class Run {
 public:
  Run() : Run([](const std::string&) { return std::make_unique<MemoryKeeper>(); }) {}
  explicit Run(MakeKeeper make_keeper) : make_keeper_(std::move(make_keeper)) {}

  // Random bytes come from the line, or from `fresh` where the line names none.
  Json perform(const Json& line, Random* fresh);
  Json states() const;
  Device* device(const std::string& name);

 private:
  MakeKeeper make_keeper_;
  std::map<std::string, std::unique_ptr<Device>> devices_;
};

// The names of fields in which the two lines differ. Absent, null and "" are the same.
std::vector<std::string> differences(const Json& line, const Json& wanted);

}  // namespace chatsdk::e2ee::oracle
