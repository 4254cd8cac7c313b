// SPDX-License-Identifier: Apache-2.0
#include "sim/nemesis.h"

#include <numeric>

namespace chatsdk::sim {

using std::chrono::microseconds;
using std::chrono::seconds;

void Nemesis::begin(MonotonicTime end) {
  const MonotonicTime start = world_.scheduler().now();
  const auto span = static_cast<std::uint64_t>((end - start).count());
  // While a store is made, names are what a power cut takes.
  if (world_.options().drift_max != 0) world_.observer().on_fault("clock_drift");
  const bool crashes = world_.options().fault_weights[static_cast<std::size_t>(FaultKind::kServerCrashPoint)] != 0;
  if (world_.options().faults != 0 && crashes && random_.below(2) == 0) {
    world_.server().disk().crash_after(1 + random_.below(60), CrashMoment::kDrawn);
  }
  for (std::uint32_t i = 0; i < world_.options().faults; ++i) {
    world_.scheduler().at(start + microseconds(random_.below(span)), [this] { strike(); });
  }
}

void Nemesis::strike() {
  if (world_.healed()) return;
  const auto& weights = world_.options().fault_weights;
  const std::uint64_t total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  if (total == 0) return;
  std::uint64_t draw = random_.below(total);
  std::size_t i = 0;
  while (draw >= weights[i]) draw -= weights[i++];
  strike(static_cast<FaultKind>(i));
}

void Nemesis::raise(std::uint32_t NetworkFaults::*chance, std::uint32_t per_mille) {
  world_.network().faults.*chance = per_mille;
  world_.scheduler().after(up_to_seconds(30), [this, chance] { world_.network().faults.*chance = 0; });
}

// Some operations come with every turn, some only when a process starts or ends: it does so then.
bool Nemesis::restarts(DiskOp op, Side side) {
  if (op == DiskOp::kLock) return side == Side::kOfDevice;
  return op == DiskOp::kOpen || op == DiskOp::kDelete || op == DiskOp::kTruncate;
}

// To SQLite a read that is cut short is the end of the file, and what it lacks is zeros: only the encrypted store below
// a device notices that there should be more. Its files have one owner: locks are taken when it opens, and no more.
DiskFault Nemesis::draw_disk_fault(Side side) {
  DiskFault fault;
  const DiskOp ops[] = {DiskOp::kWrite, DiskOp::kWrite, DiskOp::kSync, DiskOp::kSync,     DiskOp::kRead,
                        DiskOp::kLock,  DiskOp::kLock,  DiskOp::kOpen, DiskOp::kTruncate, DiskOp::kDelete};
  const DiskOp op = ops[random_.below(std::size(ops))];
  fault.op = op;
  fault.nth = 1 + random_.below(restarts(op, side) ? 2 : op == DiskOp::kSync ? 8 : 40);
  fault.failure = DiskFailure::kIoError;
  if (op == DiskOp::kWrite && random_.below(2) == 0) fault.failure = DiskFailure::kFull;
  if (op == DiskOp::kLock) fault.failure = DiskFailure::kBusy;
  if (op == DiskOp::kRead && random_.below(2) == 0 && side == Side::kOfDevice) fault.failure = DiskFailure::kShortRead;
  fault.from_then_on = random_.below(4) == 0;
  return fault;
}

std::vector<NodeId> Nemesis::draw_devices() {
  std::vector<NodeId> drawn;
  for (const DeviceNode* device : world_.devices()) {
    if (random_.below(2) == 0) drawn.push_back(device->number());
  }
  return drawn;
}

void Nemesis::strike(FaultKind kind) {
  switch (kind) {
    case FaultKind::kRefuseUpgrades:
      return raise(&NetworkFaults::refuse_upgrade, 700);
    case FaultKind::kLoseRequests:
      return raise(&NetworkFaults::lose_request, 500);
    case FaultKind::kLoseResponses:
      return raise(&NetworkFaults::lose_response, 500);
    case FaultKind::kRepeatRequests:
      return raise(&NetworkFaults::repeat_request, 700);
    case FaultKind::kSlowRequests:
      return raise(&NetworkFaults::slow_request, 500);
    case FaultKind::kServerCrash:
    case FaultKind::kServerCrashPoint:
    case FaultKind::kServerDiskFails:
    case FaultKind::kServerStall:
    case FaultKind::kServerDrain:
    case FaultKind::kBusLosses:
    case FaultKind::kServerRestore:
      return strike_server(kind);
    case FaultKind::kPartition: {
      const std::vector<NodeId> side = draw_devices();
      world_.network().part(side);
      return world_.scheduler().after(up_to_seconds(60), [this, side] {
        for (const NodeId device : side) world_.network().end_isolation(device);
      });
    }
    case FaultKind::kSwizzleClog:
      return world_.network().swizzle_clog(draw_devices());
    case FaultKind::kClockJump: {
      const auto by = microseconds(static_cast<std::int64_t>(random_.below(240'000'000)) - 119'999'999);
      const bool server = random_.below(4) == 0;
      DeviceNode& device = *world_.draw_device();
      (server ? world_.server().clock() : device.clock()).jump_wall(by);
      world_.observer().record(server ? 0 : device.number(),
                               event::ClockJump{server ? 0 : device.number(), by.count()});
      return world_.observer().on_fault(to_text(kind));
    }
    case FaultKind::kCut:
    case FaultKind::kClog:
    case FaultKind::kSilence:
    case FaultKind::kIsolate:
    case FaultKind::kSlowReader:
    case FaultKind::kDeviceCrash:
    case FaultKind::kDeviceCrashPoint:
    case FaultKind::kDeviceDiskFails:
    case FaultKind::kDeviceBitFlip:
    case FaultKind::kDeviceStall:
      return strike_device(kind, *world_.draw_device());
  }
}

void Nemesis::strike_device(FaultKind kind, DeviceNode& device) {
  const NodeId number = device.number();
  const std::uint64_t direction = random_.below(3);
  const bool up = direction != 1;
  const bool down = direction != 0;
  bool effect = false;
  switch (kind) {
    case FaultKind::kCut:
      world_.network().cut(number);
      break;
    case FaultKind::kClog:
      world_.network().clog(number, up, down, up_to_seconds(20));
      break;
    case FaultKind::kSilence:
      world_.network().silence(number, up, down);
      break;
    case FaultKind::kIsolate:
      world_.network().isolate(number);
      world_.scheduler().after(up_to_seconds(60), [this, number] { world_.network().end_isolation(number); });
      break;
    case FaultKind::kSlowReader: {
      constexpr std::uint32_t kBytesPerSecond[] = {30, 100, 400};
      world_.network().slow_reader(number, kBytesPerSecond[random_.below(3)], up_to_seconds(90));
      break;
    }
    case FaultKind::kDeviceCrash:
      effect = device.running();
      world_.crash_device(device, world_.draw_mode(), up_to_seconds(30));
      break;
    case FaultKind::kDeviceCrashPoint:
      // Counted where it strikes, and a disk's failures when they end.
      if (device.running()) device.disk().crash_after(1 + random_.below(60), CrashMoment::kDrawn);
      break;
    case FaultKind::kDeviceDiskFails:
      if (!device.running()) break;
      {
        const DiskFault fault = draw_disk_fault(Side::kOfDevice);
        device.disk().arm(fault);
        if (restarts(*fault.op, Side::kOfDevice)) world_.close_device(device, up_to_seconds(5));
      }
      // An app that keeps failing is started again by its user.
      world_.scheduler().after(up_to_seconds(30), [this, number] {
        DeviceNode* const node = world_.device(number);
        if (node == nullptr || world_.healed()) return;
        node->disk().clear_faults();
        world_.count_faults();
        world_.close_device(*node, microseconds(0));
      });
      break;
    case FaultKind::kDeviceBitFlip:
      if (!device.running()) break;
      device.disk().set_flip_rate(100'000, DeviceNode::kStorePath);
      // What it has in memory it does not read.
      world_.close_device(device, microseconds(0));
      world_.scheduler().after(up_to_seconds(10), [this, number] {
        DeviceNode* const node = world_.device(number);
        if (node == nullptr) return;
        node->disk().set_flip_rate(0);
        world_.count_faults();
        if (!world_.healed()) world_.close_device(*node, microseconds(0));
      });
      break;
    case FaultKind::kDeviceStall:
      device.stall(up_to_seconds(20));
      break;
    default:
      break;
  }
  if (effect) world_.observer().on_fault(to_text(kind));
}

void Nemesis::strike_server(FaultKind kind) {
  ServerNode& server = world_.server();
  if (!server.running()) return;
  bool effect = true;
  switch (kind) {
    case FaultKind::kServerCrash:
      world_.crash_server(world_.draw_mode(), up_to_seconds(15));
      break;
    case FaultKind::kServerCrashPoint:
      server.disk().crash_after(1 + random_.below(200), CrashMoment::kDrawn);
      effect = false;  // counted where it strikes
      break;
    case FaultKind::kServerDiskFails: {
      const DiskFault fault = draw_disk_fault(Side::kOfServer);
      server.disk().arm(fault);
      if (restarts(*fault.op, Side::kOfServer)) world_.drain_server(up_to_seconds(5));
    }
      effect = false;  // counted when it ends, as the bus
      world_.scheduler().after(up_to_seconds(30), [this] {
        world_.server().disk().clear_faults();
        world_.count_faults();
      });
      break;
    case FaultKind::kServerStall:
      server.shard(random_.below(server.shard_count())).stall_until(world_.scheduler().now() + up_to_seconds(10));
      effect = false;  // counted when it holds something up
      break;
    case FaultKind::kServerDrain:
      world_.drain_server(up_to_seconds(5));
      effect = false;  // counted there
      break;
    case FaultKind::kBusLosses: {
      LossyBus::Losses& losses = server.bus_losses();
      losses.drop = static_cast<std::uint32_t>(random_.below(1'000));
      losses.repeat = static_cast<std::uint32_t>(random_.below(300));
      losses.delay = static_cast<std::uint32_t>(random_.below(500));
      effect = false;
      world_.scheduler().after(up_to_seconds(60), [this] {
        world_.server().bus_losses().end();
        world_.count_faults();
      });
      break;
    }
    case FaultKind::kServerRestore:
      world_.back_up_server();
      effect = false;  // counted there
      world_.scheduler().after(up_to_seconds(120), [this] {
        if (!world_.healed()) world_.restore_server();
      });
      break;
    default:
      break;
  }
  if (effect) world_.observer().on_fault(to_text(kind));
}

}  // namespace chatsdk::sim
