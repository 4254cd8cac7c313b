// SPDX-License-Identifier: Apache-2.0
//
// How long a device uses its prekeys and keeps what ages, and how often it looks (docs/e2ee.md sections 4, 6 and 11.4),
// as one value that is handed down from the client's options. What ships has kLifetimes. The simulation has shorter
// ones, so that ten minutes live through what takes months.
//
// Threads: values.
#pragma once

#include <chrono>

#include "base/limits.h"

namespace chatsdk::e2ee {

struct Lifetimes {
  using Time = std::chrono::milliseconds;

  Time signed_rotation = limits::e2ee::kSignedRotation;
  Time signed_rotation_share = limits::e2ee::kSignedRotationShare;  // less than the one above
  Time signed_kept = limits::e2ee::kSignedKept;
  Time one_time_kept = limits::e2ee::kOneTimeKept;
  Time skipped_kept = limits::e2ee::kSkippedKept;
  Time archived_kept = limits::e2ee::kArchivedKept;
  Time ageing_pause = std::chrono::hours(24);
  Time digest_interval = limits::e2ee::kDigestInterval;
  Time upkeep_look = limits::e2ee::kUpkeepLook;

  friend bool operator==(const Lifetimes&, const Lifetimes&) = default;
};
inline constexpr Lifetimes kLifetimes;

}  // namespace chatsdk::e2ee
