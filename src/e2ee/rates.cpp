// SPDX-License-Identifier: Apache-2.0
#include "e2ee/rates.h"

#include <algorithm>

#include "base/limits.h"

namespace chatsdk::e2ee {

bool DeviceRates::take(const Peer& peer, std::uint64_t now_ms) {
  if (used_.size() >= limits::e2ee::kRatedDevicesMax && !used_.contains(peer)) forget_one();
  Used& used = used_.try_emplace(peer, Used{0, now_ms, 0}).first->second;
  regain(used, now_ms);
  used.last_taken = ++takes_;
  if (used.count >= burst_) return false;
  ++used.count;
  return true;
}

std::uint64_t DeviceRates::next_ms(const Peer& peer, std::uint64_t now_ms) const {
  const auto at = used_.find(peer);
  if (at == used_.end()) return now_ms;
  Used used = at->second;
  regain(used, now_ms);
  return used.count < burst_ ? now_ms : used.since_ms + regain_ms_;
}

void DeviceRates::regain(Used& used, std::uint64_t now_ms) const {
  used.since_ms = std::min(used.since_ms, now_ms);
  const std::uint64_t regained = (now_ms - used.since_ms) / regain_ms_;
  if (regained >= used.count) {
    used.count = 0;
    used.since_ms = now_ms;
  } else {
    used.count -= static_cast<std::uint32_t>(regained);
    used.since_ms += regained * regain_ms_;
  }
}

void DeviceRates::forget_one() {
  const auto longest_unused = std::min_element(used_.begin(), used_.end(), [](const auto& a, const auto& b) {
    return a.second.last_taken < b.second.last_taken;
  });
  used_.erase(longest_unused);
}

}  // namespace chatsdk::e2ee
