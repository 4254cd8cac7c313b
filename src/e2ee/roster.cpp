// SPDX-License-Identifier: Apache-2.0
#include "e2ee/roster.h"

#include <algorithm>

#include "e2ee/outcome.h"

namespace chatsdk::e2ee {

Result<RosterPoint> next_roster(const RosterPoint& before, std::span<const RosterDevice> devices_before,
                                const RosterStep& step) {
  if (step.revision <= before.revision) return untrusted();
  const bool somebody_left =
      std::any_of(devices_before.begin(), devices_before.end(), [&step](const RosterDevice& device) {
        return std::find(step.devices.begin(), step.devices.end(), device) == step.devices.end();
      });
  return RosterPoint{step.revision, step.number, step.hash, somebody_left ? step.revision : before.left_revision};
}

}  // namespace chatsdk::e2ee
