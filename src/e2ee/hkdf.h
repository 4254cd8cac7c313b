// SPDX-License-Identifier: Apache-2.0
//
// What HKDF of RFC 5869 does with any HMAC, so that the published vectors, whose hash is SHA-256, run through the code
// that the library runs with SHA-512. It knows no hash; hkdf() of e2ee/primitives.h is what others call.
//
// Threads: pure functions.
// Invariants:
//   1. Each block is wiped before it returns.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

// Expands PRK = HMAC(salt, ikm): T(i) = HMAC(PRK, T(i - 1) ‖ info ‖ i); the output is T(1) ‖ T(2) ‖ … cut off. Mac is
// begun with its key, and has kBytes, add() and finish(Secret<kBytes>&).
template <typename Mac>
void hkdf_expand(const Secret<Mac::kBytes>& extracted, Parts info, std::span<unsigned char> out) {
  CHATSDK_ASSERT(out.size() <= 255 * Mac::kBytes);
  Secret<Mac::kBytes> block;
  char counter = 0;
  for (std::size_t done = 0; done < out.size(); done += Mac::kBytes) {
    Mac mac(view(extracted));
    if (done > 0) mac.add(view(block));
    for (const BytesView part : info) mac.add(part);
    ++counter;
    mac.add(BytesView(&counter, 1));
    mac.finish(block);
    std::memcpy(out.data() + done, block.data(), std::min<std::size_t>(Mac::kBytes, out.size() - done));
  }
}

}  // namespace chatsdk::e2ee
