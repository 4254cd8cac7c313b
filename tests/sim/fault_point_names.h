// SPDX-License-Identifier: Apache-2.0
//
// Every fault point in the code (base/fault.h), by name. The summary speaks of each, also of those that never struck,
// so that a point that nothing reaches is seen. Sim.EveryFaultPointIsListed compares the list with the code.
//
// Threads: values.
#pragma once

#include <string_view>

namespace chatsdk::sim {

inline constexpr std::string_view kFaultPointNames[] = {
    "accounts.between_account_and_session",
    "accounts.between_end_and_kick",
    "accounts.between_kick_and_end_answer",
    "accounts.between_kick_and_reuse_answer",
    "accounts.between_kick_and_session_answer",
    "accounts.between_rotation_and_answer",
    "accounts.between_session_and_answer",
    "client.between_queued_and_returned",
    "committer.batch_of_one",
    "committer.before_commit",
    "committer.between_commit_and_fan_out",
    "committer.between_fan_out_and_ack",
    "committer.queue_is_full",
    "connection.before_new_epoch",
    "connection.between_welcome_and_sync",
    "delivery.before_digest",
    "delivery.before_fan_out",
    "delivery.digest_is_full",
    "device_store.after_commit",
    "device_store.before_commit",
    "device_store.disk_is_full",
    "encryption.between_adopted_and_listed",
    "encryption.between_bundle_and_sealing",
    "encryption.between_kept_and_told",
    "encryption.between_sealed_and_sent",
    "gateway.before_renewal_is_told",
    "gateway.between_admission_and_welcome",
    "gateway.between_commit_and_send_result",
    "gateway.between_commit_and_void_result",
    "gateway.between_cursor_and_marks",
    "gateway.between_reading_and_sending",
    "gateway.no_room_for_hint",
    "gateway.too_many_sends",
    "inbox.between_apply_and_ack",
    "inbox.between_burst_and_events",
    "inbox.burst_is_full",
    "keys.between_bundles_and_answer",
    "keys.between_keys_and_upload",
    "keys.between_list_and_answer",
    "keys.between_list_and_prekeys",
    "keys.between_prekeys_and_answer",
    "keys.between_prekeys_and_noting",
    "links.between_message_and_answer",
    "marks.between_gathering_and_writing",
    "marks.between_slices",
    "outbox.after_accept",
    "outbox.before_accept",
    "outbox.between_mark_and_send",
    "outbox.room_for_one",
    "receipts.between_mark_and_telling",
    "server_store.before_checkpoint",
    "server_store.before_commit",
    "server_store.between_commit_and_epoch_file",
    "server_store.checkpoint_is_due",
    "server_store.disk_is_full",
    "server_store.open_between_epoch_and_anchor",
    "server_store.open_between_schema_and_epoch",
    "session.between_login_and_saving",
    "session.between_logout_and_forgetting",
    "session.between_new_tokens_and_saving",
    "session.between_renewed_installation_and_forgetting",
    "session.between_request_id_and_refresh",
    "session.between_saving_login_and_using",
    "session.between_saving_tokens_and_using",
};

// Those of end-to-end encryption: in a third of the seeds.
constexpr bool needs_encryption(std::string_view point) {
  return point.starts_with("keys.") || point.starts_with("encryption.") || point.starts_with("links.");
}

}  // namespace chatsdk::sim
