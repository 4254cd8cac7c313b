// SPDX-License-Identifier: Apache-2.0
//
// The users' hands where devices are linked (docs/e2ee.md section 12): whenever a device says that it needs a link and
// another of its user's is listed, the user carries the text from the new one to the other, compares the codes, and
// confirms on both. What comes to nothing, for a crash or a silent network, is begun again. An installation that is
// gone and still listed is taken out from a listed device: what only it was sent holds the user's marks back as long.
// Where none of a user's devices is listed any more, one begins a new identity.
//
// Threads: one.
// Invariants:
//   1. At most one linking of a user is under way; what an abandoned one still tells changes nothing.
//   2. Nobody confirms codes that differ.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/device_node.h"

namespace chatsdk::sim {

class World;

class Linker {
 public:
  explicit Linker(World& world) : world_(world) {}

  // Looks from now on, every few seconds.
  void begin();
  // No user begins anything more; what is under way comes to its end.
  void stop() { stopped_ = true; }
  bool is_busy() const { return !under_way_.empty(); }
  std::uint64_t linked() const { return linked_; }

 private:
  struct Linking {
    std::uint64_t number = 0;
    NodeId fresh = 0;
    NodeId listed = 0;
    MonotonicTime until;
    std::string code;  // the first that was shown
  };

  void look();
  void look_at(UserNumber user);
  void link(UserNumber user, DeviceNode& fresh, DeviceNode& listed);
  void on_code(UserNumber user, std::uint64_t number, const std::string& code);
  void end(UserNumber user, std::uint64_t number, bool linked);
  Linking* current(UserNumber user, std::uint64_t number);

  World& world_;
  std::map<UserNumber, Linking> under_way_;
  std::map<UserNumber, MonotonicTime> next_cleanup_;
  std::uint64_t last_ = 0;
  std::uint64_t linked_ = 0;
  bool stopped_ = false;
};

}  // namespace chatsdk::sim
