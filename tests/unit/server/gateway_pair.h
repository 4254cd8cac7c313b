// SPDX-License-Identifier: Apache-2.0
//
// The gateway's world with two users, ada and bob, and what tests of single frames ask of it.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "unit/server/gateway_world.h"

namespace chatsdk::server {

struct Pair : World {
  explicit Pair(GatewayOptions gateway_options = {}) : World(std::move(gateway_options)) {
    add_user("ada");
    add_user("bob");
    ada = add_device("ada");
    bob = add_device("bob");
  }
  Device ada, bob;
};

inline std::vector<wire::SendResult> results(const TestClient& client) {
  std::vector<wire::SendResult> out;
  for (const auto& frame : client.of(wire::ServerFrame::kSendResult)) out.push_back(frame.send_result());
  return out;
}

// What a peer said must stand in no line, and no line is as long as a text may be.
inline void expect_no_line_holds(const World& world, const std::vector<std::string>& said) {
  for (const std::string& line : world.log.lines) EXPECT_LE(line.size(), 512u) << line;
  for (const std::string& words : said) EXPECT_EQ(world.log.with(words), std::vector<std::string>()) << words;
}

}  // namespace chatsdk::server
