// SPDX-License-Identifier: Apache-2.0
#include "e2ee/group_invitation.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/constant_time.h"
#include "e2ee/outcome.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::string_view kInvitationPrefix = "csdk-group:";
constexpr std::uint8_t kInvitationVersion = 1;
constexpr std::size_t kInvitationLinkMax = 102 + limits::kUserIdBytesMax;
constexpr std::uint8_t kRequestVersion = 1;
constexpr std::uint8_t kTypeRequest = 5;
constexpr std::size_t kRequestMacBytes = 32;
constexpr std::size_t kTailBytes = kRequestMacBytes + Signature::size();
constexpr std::size_t kRequestBytesMax = 183 + limits::kUserIdBytesMax;
constexpr std::uint64_t kAgeMax = std::chrono::milliseconds(limits::e2ee::kRequestValid).count();
constexpr std::uint64_t kAheadMax = std::chrono::milliseconds(limits::e2ee::kLinkValid).count();

Secret<64> request_mac(const InvitationSecret& secret, BytesView before) {
  return hmac(view(secret), {label::kGroupRequest.bytes(), before});
}

std::span<const unsigned char> octets(BytesView bytes) {
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

bool is_mac_right(BytesView bytes, const InvitationSecret& secret) {
  const std::size_t before = bytes.size() - kTailBytes;
  const Secret<64> mac = request_mac(secret, bytes.substr(0, before));
  return equal_mask(octets(view(mac).substr(0, kRequestMacBytes)), octets(bytes.substr(before, kRequestMacBytes))) != 0;
}

bool is_signed_by_device(BytesView bytes, const JoinRequest& request, const RosterUser& user) {
  if (user.user_id != request.user_id || user.account_key != request.account_key) return false;
  const auto device = std::find_if(user.devices.begin(), user.devices.end(), [&request](const DeviceRecord& record) {
    return record.device_id == request.device_id;
  });
  if (device == user.devices.end()) return false;
  const std::size_t signed_bytes = bytes.size() - Signature::size();
  return verify(device->signing_key, label::kSigGroupRequest, bytes.substr(0, signed_bytes),
                Signature::from(bytes.substr(signed_bytes)));
}

bool is_in_time(const JoinRequest& request, std::uint64_t now_ms) {
  return request.time_ms <= now_ms ? now_ms - request.time_ms <= kAgeMax : request.time_ms - now_ms <= kAheadMax;
}

bool is_invited(BytesView bytes, const JoinRequest& request, const Admission& admission) {
  const GroupInvitation* invitation = admission.state.invitation(request.invitation);
  if (invitation == nullptr || invitation->inviter != admission.own_user) return false;
  if (invitation->expires_ms != 0 && invitation->expires_ms <= admission.server_now_ms) return false;
  if (admission.state.member(request.user_id) != nullptr) return false;
  return is_mac_right(bytes, invitation_secret(admission.account_seed, request.group_id, request.invitation));
}

}  // namespace

InvitationSecret invitation_secret(const SigningSeed& account_seed, const GroupId& group, const InvitationId& id) {
  constexpr char kSalt[64] = {};
  return hkdf<32>(BytesView(kSalt, sizeof kSalt), view(account_seed),
                  {label::kGroupInvitation.bytes(), group.view(), id.view()});
}

std::string to_text(const InvitationLink& link) {
  Writer writer(kInvitationLinkMax);
  writer.u8(kInvitationVersion).raw(link.group_id.view()).raw(link.id).user(link.inviter).key(link.account_key);
  writer.raw(view(link.secret));
  return std::string(kInvitationPrefix) + to_base64url(writer.view());
}

std::optional<InvitationLink> parse_invitation_link(std::string_view text) {
  if (!text.starts_with(kInvitationPrefix)) return std::nullopt;
  auto body = from_base64url(text.substr(kInvitationPrefix.size()));
  if (!body) return std::nullopt;
  const WipeAtEnd wiped(*body);
  Reader reader(*body);
  InvitationLink link;
  reader.expect_u8(kInvitationVersion);
  link.group_id = reader.group_id();
  link.id = reader.fixed<InvitationId>();
  link.inviter = reader.user();
  link.account_key = reader.signing_key();
  link.secret = InvitationSecret::copy_of(reader.raw(32));
  reader.require(link.id != InvitationId{});
  if (!reader.finished()) return std::nullopt;
  return link;
}

Bytes sign_join_request(const JoinRequest& request, const InvitationSecret* secret, const SigningSeed& signing_seed) {
  Writer writer(kRequestBytesMax);
  writer.u8(kRequestVersion).u8(kTypeRequest).raw(request.group_id.view()).raw(request.invitation);
  writer.user(request.user_id).key(request.account_key).u64(request.device_id.value).u64(request.time_ms);
  if (secret == nullptr) {
    writer.zeros(kRequestMacBytes);
  } else {
    writer.raw(view(request_mac(*secret, writer.view())).substr(0, kRequestMacBytes));
  }
  writer.raw(sign(signing_seed, label::kSigGroupRequest, writer.view()));
  return writer.take();
}

std::optional<JoinRequest> parse_join_request(BytesView bytes) {
  Reader reader(bytes);
  JoinRequest request;
  reader.expect_u8(kRequestVersion);
  reader.expect_u8(kTypeRequest);
  request.group_id = reader.group_id();
  request.invitation = reader.fixed<InvitationId>();
  request.user_id = reader.user();
  request.account_key = reader.signing_key();
  request.device_id = DeviceId{reader.id()};
  request.time_ms = reader.u64();
  const BytesView mac = reader.raw(kRequestMacBytes);
  reader.raw(Signature::size());
  reader.require(request.invitation != InvitationId{} || mac.find_first_not_of('\0') == BytesView::npos);
  if (!reader.finished()) return std::nullopt;
  return request;
}

Hash join_request_hash(BytesView bytes) { return hash(label::kHashGroupRequest, {bytes}); }

Result<AddMembers> admit(BytesView bytes, const Admission& admission) {
  const auto request = parse_join_request(bytes);
  if (!request || request->group_id != admission.state.group_id) return untrusted();
  AddMembers add;
  add.source = request->invitation == InvitationId{} ? AddSource::kRequest : AddSource::kInvitation;
  add.invitation = request->invitation;
  add.request_hash = join_request_hash(bytes);
  add.people.push_back({request->user_id, GroupRole::kMember, request->account_key});
  const bool is_used =
      std::find(admission.used.begin(), admission.used.end(), add.request_hash) != admission.used.end();
  if (is_used || !is_in_time(*request, admission.server_now_ms) ||
      !is_signed_by_device(bytes, *request, admission.requester)) {
    return untrusted();
  }
  if (add.source == AddSource::kInvitation && !is_invited(bytes, *request, admission)) return untrusted();
  return add;
}

}  // namespace chatsdk::e2ee
