// SPDX-License-Identifier: Apache-2.0
//
// The outcomes of opening what came from a peer or from the server (docs/e2ee.md section 19), as errors of
// base/result.h. Each is one code and no text: whatever did not hold, the error of an outcome is the same value, so
// that nothing above can tell one failed check from another.
//
// Threads: pure functions.
#pragma once

#include "base/result.h"

namespace chatsdk::e2ee {

inline constexpr Code kDuplicate = Code::kAlreadyExists;  // the key of that number was used or is gone
inline constexpr Code kNoSession = Code::kNotFound;       // no session, chain or prekey of that id
inline constexpr Code kUntrusted = Code::kForbidden;      // not in the list that counts, or the roster differs
inline constexpr Code kBadMessage = Code::kCrypto;        // everything else

inline Error duplicate() { return error(kDuplicate, {}); }
inline Error no_session() { return error(kNoSession, {}); }
inline Error untrusted() { return error(kUntrusted, {}); }
inline Error bad_message() { return error(kBadMessage, {}); }

}  // namespace chatsdk::e2ee
