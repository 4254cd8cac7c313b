// SPDX-License-Identifier: Apache-2.0
//
// What a ROSTER item of a group makes of the roster before it, as far as sender chains have to know (docs/e2ee.md
// section 14.9): whether a device is in it no more that has this device's chain. It does not know who may change a
// roster, nor where it is kept.
//
// Threads: pure functions.
// Invariants:
//   1. Revisions only rise, and left_revision with them.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "e2ee/sender_chains.h"

namespace chatsdk::e2ee {

// With another record it is another device, which has none of the keys of the one before.
struct RosterDevice {
  Peer device;
  Hash record;

  friend auto operator<=>(const RosterDevice&, const RosterDevice&) = default;
};

struct RosterStep {
  std::uint64_t revision = 0;
  std::uint64_t number = 0;  // of the newest membership entry
  RosterHash hash;
  std::span<const RosterDevice> devices;  // of all members, in any order, the own one included
};
// The point behind the item, which is kept with its devices. UNTRUSTED where the revision is not above the one before:
// who was removed would be a member again.
Result<RosterPoint> next_roster(const RosterPoint& before, std::span<const RosterDevice> devices_before,
                                const RosterStep& step);

}  // namespace chatsdk::e2ee
