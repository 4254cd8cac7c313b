// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/link_writer.h"

#include <string>
#include <utility>

#include "base/limits.h"
#include "server-reference/store/stream_writer.h"

namespace chatsdk::server {

namespace {

// What was opened at this time or before is over.
WallTime links_over(WallTime now) { return now - limits::e2ee::kLinkValid; }

std::size_t place_of(LinkStep step) { return static_cast<std::size_t>(step) - 1; }

}  // namespace

Status LinkWriter::prepare() {
  CHATSDK_ASSIGN(select_mailbox_,
                 db_.prepare("SELECT step, device_id, opened_ms, message FROM link_message WHERE user_id = ?1 AND "
                             "link_id = ?2 AND opened_ms > ?3"));
  CHATSDK_ASSIGN(select_listed_, db_.prepare("SELECT 1 FROM device_keys WHERE device_id = ?1 AND user_id = ?2"));
  CHATSDK_ASSIGN(insert_, db_.prepare("INSERT INTO link_message(user_id, link_id, step, device_id, opened_ms, message) "
                                      "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  CHATSDK_ASSIGN(delete_mailbox_, db_.prepare("DELETE FROM link_message WHERE user_id = ?1 AND link_id = ?2"));
  CHATSDK_ASSIGN(delete_oldest_,
                 db_.prepare("DELETE FROM link_message WHERE user_id = ?1 AND link_id IN (SELECT link_id FROM "
                             "link_message WHERE user_id = ?1 AND step = 1 ORDER BY opened_ms DESC, link_id LIMIT -1 "
                             "OFFSET ?2)"));
  CHATSDK_ASSIGN(delete_opened_before_, db_.prepare("DELETE FROM link_message WHERE opened_ms <= ?1"));
  CHATSDK_ASSIGN(delete_of_device_,
                 db_.prepare("DELETE FROM link_message WHERE user_id = ?1 AND link_id IN (SELECT link_id FROM "
                             "link_message WHERE user_id = ?1 AND device_id = ?2)"));
  return {};
}

Status LinkWriter::apply(const PutLinkMessage& op, Result<WriteAnswer>& answer) {
  answer = WriteAnswer(Done{});
  CHATSDK_ASSIGN(const Mailbox mailbox, mailbox_of(op));
  const auto& there = mailbox.messages.at(place_of(op.step));
  if (there && there->device_id == op.device_id && there->bytes == op.message) return {};
  CHATSDK_ASSIGN(Refusal refusal, refusal_of(op, mailbox));
  if (refusal) {
    answer = *std::move(refusal);
    return {};
  }
  WallTime opened = mailbox.opened;
  if (op.step == LinkStep::kOffer) {
    // One of this name whose time is over may still have its rows. And what was abandoned makes room: nobody ends a
    // linking that came to nothing, and who has tried a few times is not to wait until the first is over.
    CHATSDK_TRY(delete_mailbox_.bind_text(1, op.user_id).bind_blob(2, op.link_id).run());
    const auto others = static_cast<std::int64_t>(limits::e2ee::kLinkMailboxesMax - 1);
    CHATSDK_TRY(delete_oldest_.bind_text(1, op.user_id).bind(2, others).run());
    opened = op.now;
  }
  return insert_.bind_text(1, op.user_id)
      .bind_blob(2, op.link_id)
      .bind(3, static_cast<std::int64_t>(op.step))
      .bind(4, to_column(op.device_id.value))
      .bind(5, to_unix_ms(opened))
      .bind_blob(6, op.message)
      .run();
}

Result<LinkWriter::Mailbox> LinkWriter::mailbox_of(const PutLinkMessage& op) {
  Mailbox mailbox;
  select_mailbox_.bind_text(1, op.user_id).bind_blob(2, op.link_id).bind(3, to_unix_ms(links_over(op.now)));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_mailbox_.step());
    if (!row) return mailbox;
    const auto step = static_cast<LinkStep>(select_mailbox_.integer(0));
    mailbox.messages.at(place_of(step)) =
        Message{DeviceId{from_column(select_mailbox_.integer(1))}, Bytes(select_mailbox_.blob(3))};
    mailbox.opened = from_unix_ms(select_mailbox_.integer(2));
  }
}

Result<LinkWriter::Refusal> LinkWriter::refusal_of(const PutLinkMessage& op, const Mailbox& mailbox) {
  CHATSDK_ASSIGN(auto refusal, refusal_of_sender(op));
  if (refusal) return refusal;
  const std::string name(link_step_name(op.step));
  if (mailbox.messages.at(place_of(op.step))) {
    return Refusal(error(Code::kConflict, "another " + name + " is in the mailbox"));
  }
  if (op.step == LinkStep::kOffer) return Refusal();
  const auto before = static_cast<LinkStep>(static_cast<std::uint8_t>(op.step) - 1);
  if (!mailbox.messages.at(place_of(before))) {
    return Refusal(
        error(Code::kConflict, name + " without " + std::string(link_step_name(before)) + ", or its time is over"));
  }
  const auto& offer = mailbox.messages.at(place_of(LinkStep::kOffer));
  if (op.step == LinkStep::kGrant && offer->device_id != op.device_id) {
    return Refusal(error(Code::kForbidden, "the offer is another device's"));
  }
  return Refusal();
}

Result<LinkWriter::Refusal> LinkWriter::refusal_of_sender(const PutLinkMessage& op) {
  CHATSDK_ASSIGN(const SessionId open, sessions_.of(op.device_id));
  if (open != op.session) return Refusal(error(Code::kUnauthenticated, "the session has ended"));
  CHATSDK_ASSIGN(const bool listed,
                 select_listed_.bind(1, to_column(op.device_id.value)).bind_text(2, op.user_id).step());
  select_listed_.reset();
  if (listed == (op.step != LinkStep::kReveal)) return Refusal();
  return Refusal(error(Code::kForbidden, listed ? "the device is in its user's device list already"
                                                : "the device is not in its user's device list"));
}

Status LinkWriter::apply(const PurgeLinks& op, Result<WriteAnswer>& answer) {
  answer = WriteAnswer(Done{});
  return delete_opened_before_.bind(1, to_unix_ms(links_over(op.now))).run();
}

Status LinkWriter::forget(const UserId& user_id, DeviceId device) {
  return delete_of_device_.bind_text(1, user_id).bind(2, to_column(device.value)).run();
}

}  // namespace chatsdk::server
