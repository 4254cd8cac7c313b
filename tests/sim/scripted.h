// SPDX-License-Identifier: Apache-2.0
//
// What scripted runs have in common: a small world on a good network, in which nothing happens but what the script
// does. A test changes what it is about.
//
// Threads: pure functions.
#pragma once

#include "sim/options.h"

namespace chatsdk::sim {

// Two users with a device each, of the same numbers; they are online within ten seconds.
inline RunOptions scripted_options() {
  RunOptions options = draw_plain_options(1);
  options.users = 2;
  options.devices_per_user = 1;
  options.duration = std::chrono::seconds(20);
  options.actions = options.faults = 0;
  options.hostile = options.fault_points = options.assertions = false;
  options.network = {};
  return options;
}

// With encrypted conversations, and time for what these need. Who needs a link is linked by the script.
inline RunOptions encrypted_options() {
  RunOptions options = scripted_options();
  options.encrypted = true;
  options.lifetimes = e2ee::kLifetimes;
  options.users_link = false;
  options.all_start_again = false;
  options.send_time_limit = std::chrono::seconds(600);
  options.duration = std::chrono::seconds(90);
  return options;
}

}  // namespace chatsdk::sim
