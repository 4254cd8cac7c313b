// SPDX-License-Identifier: Apache-2.0
#include "sim/workload.h"

#include <numeric>

namespace chatsdk::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

void Workload::begin(MonotonicTime end) {
  const MonotonicTime start = world_.scheduler().now();
  const auto span = static_cast<std::uint64_t>((end - start).count());
  // Bursts make queues, pauses let everything settle: half of the actions come in bursts.
  MonotonicTime burst = start;
  for (std::uint32_t i = 0; i < world_.options().actions; ++i) {
    if (i % 20 == 0) burst = start + microseconds(random_.below(span));
    const MonotonicTime time =
        i % 2 == 0 ? burst + microseconds(random_.below(2'000'000)) : start + microseconds(random_.below(span));
    world_.scheduler().at(std::min(time, end), [this] { act(); });
  }
}

Action Workload::draw() {
  const auto& weights = world_.options().action_weights;
  std::uint64_t draw = random_.below(std::accumulate(weights.begin(), weights.end(), std::uint64_t{0}));
  std::size_t i = 0;
  while (draw >= weights[i]) draw -= weights[i++];
  return static_cast<Action>(i);
}

void Workload::act() {
  DeviceNode& device = *world_.draw_device();
  const std::uint64_t number = random_.next_u64();
  switch (draw()) {
    case Action::kSend:
      return send(device);
    case Action::kRepeatSend:
      return device.repeat_last_send();
    case Action::kRead:
      return read(device, number);
    case Action::kRetryFailed:
      return device.retry_failed(number);
    case Action::kDiscardFailed:
      return device.discard_failed(number);
    case Action::kLogOut:
      return device.log_out();
    case Action::kRevokeDevice:
      return device.revoke_another_device();
    case Action::kRestartClient:
      return device.restart_client();
    case Action::kNetworkChanged:
      return device.network_changed();
    case Action::kCloseAndOpen:
      return world_.close_device(device, microseconds(number % 60'000'000));
    case Action::kReinstall:
      return world_.reinstall(device);
    case Action::kSuspend:
      return world_.suspend_device(device, microseconds(number % 60'000'000));
    case Action::kContradict:
      return device.contradict_last_send();
    case Action::kStranger:
      return device.send(world_.options().users + 1 + static_cast<UserNumber>(number % 2), 30, std::nullopt);
    case Action::kDiscardQueued:
      return device.discard_queued(number);
    case Action::kSettleLost:
      return device.settle_lost(number);
    case Action::kPage:
      return device.page(number);
    case Action::kReuseToken:
      return device.reuse_refresh_token();
    case Action::kSync:
      return device.sync(microseconds(number % 60'000'000));
    case Action::kReceipt:
      return device.ask_receipts(number);
  }
}

// Now and then on all of the user's devices at once: their marks cross.
void Workload::read(DeviceNode& device, std::uint64_t number) {
  device.read(number);
  if (number % 4 != 0) return;
  for (DeviceNode* other : world_.devices()) {
    if (other != &device && other->user() == device.user()) other->read(random_.next_u64());
  }
}

// Mostly short texts; now and then one that fills a window, and a few in a row, so that order matters.
void Workload::send(DeviceNode& device) {
  const std::uint32_t users = world_.options().users;
  UserNumber peer = static_cast<UserNumber>(1 + random_.below(users - 1));
  if (peer >= device.user()) ++peer;
  const std::uint64_t count = random_.below(10) == 0 ? 1 + random_.below(6) : 1;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t longest = world_.options().long_text_bytes;
    const bool is_long = random_.below(40) == 0;
    const std::size_t bytes = is_long ? longest / 4 + random_.below(longest / 4 * 3) : 24 + random_.below(200);
    std::optional<milliseconds> limit;
    if (random_.below(8) == 0) limit = milliseconds(500 + random_.below(20'000));
    device.send(peer, bytes, limit);
  }
}

}  // namespace chatsdk::sim
