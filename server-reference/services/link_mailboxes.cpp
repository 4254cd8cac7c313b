// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/link_mailboxes.h"

#include <chrono>
#include <string>
#include <utility>

#include "base/fault.h"
#include "e2ee/linking.h"

namespace chatsdk::server {

namespace {

std::size_t bytes_max(LinkStep step) {
  if (step == LinkStep::kOffer) return limits::e2ee::kLinkOfferBytes;
  return step == LinkStep::kReveal ? limits::e2ee::kLinkRevealBytes : limits::e2ee::kLinkGrantBytesMax;
}

// One spelling for each, so that nobody takes two names of a mailbox for two mailboxes.
Result<e2ee::LinkId> parse_link_id(std::string_view text) {
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != e2ee::LinkId::size() || to_hex(*bytes) != text) {
    return error(Code::kInvalidArgument, "link_id in the path is not " + std::to_string(2 * e2ee::LinkId::size()) +
                                             " lower-case hexadecimal digits");
  }
  return e2ee::LinkId::from(*bytes);
}

}  // namespace

LinkMailboxes::LinkMailboxes(Parts parts, LinkMailboxOptions options)
    : parts_(std::move(parts)), calls_(options.calls_per_user, options.rate_buckets_max) {}

Status LinkMailboxes::take_a_call(const UserId& user_id) {
  const auto wait = calls_.take(user_id, parts_.executor.clock().monotonic_now());
  if (wait.count() == 0) return {};
  return Error{Code::kRateLimited, "too many calls for linkings", std::chrono::ceil<std::chrono::milliseconds>(wait)};
}

Result<PutLinkMessage> LinkMailboxes::check(const Identity& sender, std::string_view link_id, LinkStep step,
                                            const wire::LinkMessage& message) {
  CHATSDK_ASSIGN(const e2ee::LinkId link, parse_link_id(link_id));
  const std::string name(link_step_name(step));
  if (const std::size_t bytes = message.message().size(); bytes > bytes_max(step)) {
    return error(Code::kTooLarge, "message: " + name + " of " + std::to_string(bytes) + " B, limit " +
                                      std::to_string(bytes_max(step)) + " B");
  }
  if (!e2ee::is_link_message(step, link, message.message())) {
    return error(Code::kMalformed, "message: no " + name + " of this linking");
  }
  CHATSDK_TRY(take_a_call(sender.user_id));
  return PutLinkMessage{sender.user_id,
                        sender.device_id,
                        sender.session_id,
                        Bytes(link.view()),
                        step,
                        message.message(),
                        parts_.executor.clock().wall_now()};
}

void LinkMailboxes::put(const Identity& sender, std::string_view link_id, LinkStep step,
                        const wire::LinkMessage& message, OnDone on_done) {
  auto op = check(sender, link_id, step, message);
  if (!op.ok()) {
    on_done(std::move(op).error());
    return;
  }
  parts_.submit(
      *std::move(op),
      [on_done = std::move(on_done)](Result<WriteAnswer> answer) mutable {
        if (!answer.ok()) {
          on_done(std::move(answer).error());
          return;
        }
        CHATSDK_FAULT("links.between_message_and_answer");
        on_done({});
      },
      parts_.executor);
}

Result<wire::LinkMessage> LinkMailboxes::get(const Identity& requester, std::string_view link_id, LinkStep step) {
  CHATSDK_ASSIGN(const e2ee::LinkId link, parse_link_id(link_id));
  CHATSDK_TRY(take_a_call(requester.user_id));
  CHATSDK_ASSIGN(auto message,
                 parts_.reader.link_message(requester.user_id, link.view(), step, parts_.executor.clock().wall_now()));
  if (!message) return error(Code::kNotFound, "no " + std::string(link_step_name(step)) + " is there");
  wire::LinkMessage answer;
  answer.set_message(*std::move(message));
  return answer;
}

}  // namespace chatsdk::server
