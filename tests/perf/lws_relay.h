// SPDX-License-Identifier: Apache-2.0
//
// The floor of the library that the server stands on: a relay on libwebsockets with the libev loop, one service thread,
// ready frames packed into one write. It hands each message to the connection that the message names; it stores,
// checks and parses nothing. The load is the throughput run's: 100 pairs, 16 in flight, 256 bytes.
#pragma once

namespace chatsdk::perf {

struct RelayFigures {
  double per_s = 0;
  double cpu_s_per_100k = 0;  // of the relay's thread
};

// Any failure ends the program with a message.
RelayFigures measure_relay(double seconds);

}  // namespace chatsdk::perf
