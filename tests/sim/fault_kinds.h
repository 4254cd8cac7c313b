// SPDX-License-Identifier: Apache-2.0
//
// Every kind of fault that a run counts, by name: what befell the world and had an effect. The summary speaks of each,
// also of those that never came, so that a kind that died out is seen.
//
// Threads: values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace chatsdk::sim {

inline constexpr std::string_view kFaultKinds[] = {
    // Links.
    "cut",
    "clog",
    "swizzle_clog",     // of some devices, one after another
    "silence",          // in both directions
    "one_way_silence",  // in one
    "half_open",        // one side sends to a connection that is over for the other; once a connection
    "isolate",
    "partition",  // about half of the devices at once
    "slow_reader",
    "closed_for_unread_bytes",  // by the server: who reads too slowly
    "sending_paused",           // a device's connection has no room
    "upgrade_refused_by_tls",
    "upgrade_refused_with_503",
    "upgrade_reset",
    "two_live_connections",          // of one device, at the server
    "late_frame_of_old_connection",  // once a connection
    "token_expired_while_connected",
    // Requests.
    "request_lost",
    "request_slow",
    "request_repeated",
    "request_outlived_its_client",
    "response_lost",
    // The hostile middle.
    "frame_dropped",
    "frame_repeated",
    "frame_reordered",
    "frame_altered",
    // Disks that fail, and what that ends.
    "device_io_error",
    "device_disk_full",
    "device_short_read",
    "device_sync_failed",
    "device_disk_busy",
    "device_delete_failed",
    "device_bit_flipped",
    "app_could_not_read",
    "server_io_error",
    "server_disk_full",
    "server_sync_failed",
    "server_disk_busy",
    "server_delete_failed",
    "server_store_failed",
    // What a power cut makes of writes and names that were not durable.
    "device_write_dropped",
    "device_write_torn",
    "device_write_garbage",
    "device_name_lost",
    "server_write_dropped",
    "server_write_torn",
    "server_write_garbage",
    "server_name_lost",
    // Nodes.
    "device_crash",
    "device_died_at_crash_point",
    "device_stall",
    "server_crash",
    "server_died_at_crash_point",
    "server_stall",
    "server_drained",
    "server_restored",
    "clock_jump",
    "clock_drift",  // of all nodes, each by its own rate
    // Between the server's parts, and in the code.
    "bus_dropped",
    "bus_repeated",
    "bus_delayed",
    "crash_at_fault_point",
    "delay_at_fault_point",
    "rare_branch",
    // What a server says that attacks devices, where conversations are encrypted (lies.h).
    "lie_altered_slice",
    "lie_another_devices_slice",
    "lie_another_conversation",
    "lie_another_author",
    "lie_older_item",
    "lie_plain_text",
    "lie_message_as_task",
    "lie_task_as_message",
    "lie_old_lists",
    "lie_cut_lists",
    "lie_forged_lists",
    "lie_another_users_lists",
    "lie_another_account",
    "lie_forged_roster",
    "lie_altered_bundle",
    "lie_another_bundle",
    "lie_used_prekey",
    "lie_low_order_prekey",
    "lie_endless_refusal",
    "lie_no_prekeys_left",
    "lie_wrong_digest",
    "lie_nobodys_lists",
    "lie_refused_and_given_out",
    "lie_identity_in_each_answer",
};

// One seed in fourteen has a liar, which tells some lies of the many.
constexpr bool is_lie(std::string_view kind) { return kind.starts_with("lie_"); }

// Less often than in this share of seeds is too rare to lean on.
inline constexpr double kSeedsPercentMin = 5.0;
inline constexpr double kLieSeedsPercentMin = 0.2;
constexpr double seeds_percent_min(std::string_view kind) {
  return is_lie(kind) ? kLieSeedsPercentMin : kSeedsPercentMin;
}
// Fewer in a seed, on average, show too little.
inline constexpr std::uint64_t kSendsPerSeedMin = 200;
inline constexpr std::uint64_t kFaultsPerSeedMin = 20;

constexpr bool is_fault_kind(std::string_view name) {
  return std::find(std::begin(kFaultKinds), std::end(kFaultKinds), name) != std::end(kFaultKinds);
}

}  // namespace chatsdk::sim
