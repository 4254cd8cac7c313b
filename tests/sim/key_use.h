// SPDX-License-Identifier: Apache-2.0
//
// S13 as far as the wire shows it: a message key encrypts one message only. The header of a slice names its key (the
// session, the sender's ratchet key and the number in the chain); so one header with other bytes behind it is a key
// that has encrypted twice, whatever nonce it took. What is sent again is the same bytes.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/bytes.h"
#include "sim/judges.h"

namespace chatsdk::sim {

class KeyUse {
 public:
  // A slice that a device hands to a connection; what is wrong with it, if anything.
  Verdict on_slice(BytesView slice);

 private:
  std::map<std::string, std::uint64_t> sealed_;  // hash of the message, by what names its key
};

}  // namespace chatsdk::sim
