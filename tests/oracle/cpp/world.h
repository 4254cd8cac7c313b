// SPDX-License-Identifier: Apache-2.0
//
// Makes transcripts with the library: users with several devices, a server that hands out prekeys, and a network that
// loses, repeats, reorders and damages, up to each limit and over it. All of it follows from the seed.
//
// Threads: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "e2ee/envelope.h"
#include "oracle/cpp/transcript.h"

namespace chatsdk::e2ee::oracle {

class World {
 public:
  World(std::uint64_t seed, std::function<void(const Json&)> emit);

  // Account keys, records, lists that everybody learns, prekeys.
  void start();
  // What random steps hardly reach: jumps, skipped keys, chains and archived sessions at their limits and over them.
  void go_to_the_limits();
  // Linking, unlinking, a new account key, files.
  void tour();
  void step();

  Json states() const { return run_.states(); }
  // How often each operation ended how.
  const std::map<std::string, std::size_t>& outcomes() const { return outcomes_; }
  std::size_t defects() const { return defects_; }

 private:
  struct Stocked {
    PrekeyKind kind;
    std::string bytes;
  };
  struct Member {
    std::string name;
    std::string user_id;
    std::string device_id;
    std::string record;
    std::vector<Stocked> stock;
  };
  struct UnderWay {
    std::string op;
    Member* to;
    Json item;
  };

  Json perform(const std::string& op, Member& member, Json inputs = Json::object());
  std::uint64_t below(std::uint64_t bound) { return dice_.below(bound); }
  Member& any() { return members_[below(members_.size())]; }
  Member& other_than(const Member& member);
  static Json names(const Member& member);
  void upload(Member& member, bool signed_pair, int one_time, int kem);
  Json bundle_of(Member& member);
  Json direct(const std::string& one, const std::string& other) const;
  // An envelope's hexadecimal and its client_message_id.
  std::pair<std::string, std::string> envelope(const Binding& binding);
  Json item(const Member& from, const std::string& message, const std::string& id, const Json& binding) const;
  void send();
  void send_group();
  // Somebody changes the members' group, or tries to.
  void change_group();
  Bytes random_change(std::uint8_t operation);
  void deliver();
  // One that is lost, or comes later: what encrypt gave, as an item.
  Json written(Member& from, Member& to);

  SeededRandom dice_;
  SeededRandom random_;
  std::function<void(const Json&)> emit_;
  Run run_;
  std::uint64_t now_ms_ = 1'800'000'000'000;
  std::vector<Member> members_;
  std::map<std::string, Json> lists_;
  Json roster_;
  std::string group_state_;
  Bytes group_entry_;
  std::deque<UnderWay> under_way_;
  std::uint32_t sent_ = 0;
  std::map<std::string, std::size_t> outcomes_;
  std::size_t defects_ = 0;
};

}  // namespace chatsdk::e2ee::oracle
