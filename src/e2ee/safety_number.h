// SPDX-License-Identifier: Apache-2.0
//
// What two people compare to be certain of each other's account keys: sixty digits, or a text to scan (docs/e2ee.md
// section 13). What "verified" leads to is known above.
//
// Threads: pure functions. One number takes 10,400 hashes: some milliseconds.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "e2ee/wire.h"

namespace chatsdk::e2ee {

struct Identity {
  UserId user_id;
  SigningKey account_key;
};

struct SafetyNumber {
  std::string digits;     // 60, without blanks
  std::string scannable;  // csdk-safety:…

  // As people read it: twelve groups of five, a blank between them.
  std::string grouped() const;
};

// The same for both: the order of the two does not matter.
SafetyNumber safety_number(const Identity& one, const Identity& other);

enum class Scan {
  kEqual,         // the two are verified
  kDifferent,     // they are not
  kOtherVersion,  // cannot be compared
};
Scan compare_scanned(const SafetyNumber& own, std::string_view scanned);

}  // namespace chatsdk::e2ee
