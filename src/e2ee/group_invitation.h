// SPDX-License-Identifier: Apache-2.0
//
// Invitations to an encrypted group and requests to join it (docs/e2ee.md section 14.6): the link, the request that its
// holder sends, and what a device of the inviter makes of it. It does not know how requests travel.
//
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "e2ee/group_entry.h"
#include "e2ee/group_rules.h"
#include "e2ee/group_state.h"
#include "e2ee/primitives.h"
#include "e2ee/session_rows.h"

namespace chatsdk::e2ee {

using InvitationSecret = Secret<32>;
// Known to every device of the inviter's user.
InvitationSecret invitation_secret(const SigningSeed& account_seed, const GroupId& group, const InvitationId& id);

struct InvitationLink {
  GroupId group_id;
  InvitationId id;
  UserId inviter;
  SigningKey account_key;  // of the inviter
  InvitationSecret secret;
};
// It holds the secret: who is done with it wipes it.
std::string to_text(const InvitationLink& link);
std::optional<InvitationLink> parse_invitation_link(std::string_view text);

struct JoinRequest {
  GroupId group_id;
  InvitationId invitation;  // zeros without a link
  UserId user_id;
  SigningKey account_key;
  DeviceId device_id;
  std::uint64_t time_ms = 0;  // by the server's clock

  friend bool operator==(const JoinRequest&, const JoinRequest&) = default;
};
// `secret` is that of the link, or nullptr without one.
Bytes sign_join_request(const JoinRequest& request, const InvitationSecret* secret, const SigningSeed& signing_seed);
// Without its MAC and its signature.
std::optional<JoinRequest> parse_join_request(BytesView bytes);
Hash join_request_hash(BytesView bytes);

// What admits the one who asks, by the link of this device's user or, without one, by hand; else UNTRUSTED, without
// detail. `used` are the request_hashes of the entries that this device keeps. Whether the state lets this device's
// user do it is found out by make_entry().
struct Admission {
  const GroupState& state;
  const UserId& own_user;
  const SigningSeed& account_seed;  // of the own user
  const RosterUser& requester;      // by their newest list
  std::span<const Hash> used;
  std::uint64_t server_now_ms = 0;
};
Result<AddMembers> admit(BytesView request, const Admission& admission);

}  // namespace chatsdk::e2ee
