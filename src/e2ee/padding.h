// SPDX-License-Identifier: Apache-2.0
//
// The sizes to which envelopes, attachments and backups are padded: P(n) of docs/e2ee.md section 9. What stands before
// the zeros is known above.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace chatsdk::e2ee {

inline constexpr std::size_t kPaddedMin = 64;  // P of nothing

// P(n), for n up to 2^62.
std::uint64_t padded_size(std::uint64_t size);

// The bytes with zeros behind them, up to P of their length.
Bytes padded(BytesView bytes);

// Whether `padded` is `size` bytes of anything, then only zeros, and exactly P(size) long.
bool is_padded(BytesView padded, std::uint64_t size);

}  // namespace chatsdk::e2ee
