// SPDX-License-Identifier: Apache-2.0
//
// REST bodies: JSON to protobuf and protobuf to JSON, for each message of the interface. The first byte chooses the
// message. What was mapped once keeps its meaning when it is mapped there and back.
//
// Threads: one.
#include <google/protobuf/stubs/logging.h>

#include <array>

#include "fuzz/fuzz.h"
#include "server-reference/services/json_codec.h"

namespace {

constexpr std::array<std::string_view, 28> kMessages{"chatsdk.v1.RegisterRequest",
                                                     "chatsdk.v1.LoginRequest",
                                                     "chatsdk.v1.RefreshRequest",
                                                     "chatsdk.v1.Session",
                                                     "chatsdk.v1.Devices",
                                                     "chatsdk.v1.Connect",
                                                     "chatsdk.v1.Problem",
                                                     "chatsdk.v1.ServerFrame",
                                                     "chatsdk.v1.DeviceListUpload",
                                                     "chatsdk.v1.DeviceLists",
                                                     "chatsdk.v1.DeviceListsRequest",
                                                     "chatsdk.v1.PrekeyUpload",
                                                     "chatsdk.v1.BundlesRequest",
                                                     "chatsdk.v1.Bundles",
                                                     "chatsdk.v1.LinkMessage",
                                                     "chatsdk.v1.CreateGroupRequest",
                                                     "chatsdk.v1.ChangeGroupRequest",
                                                     "chatsdk.v1.MembersRequest",
                                                     "chatsdk.v1.RoleRequest",
                                                     "chatsdk.v1.OwnerRequest",
                                                     "chatsdk.v1.InvitationRequest",
                                                     "chatsdk.v1.RequestAnswer",
                                                     "chatsdk.v1.GroupChanged",
                                                     "chatsdk.v1.GroupInfo",
                                                     "chatsdk.v1.GroupMembers",
                                                     "chatsdk.v1.Invitations",
                                                     "chatsdk.v1.InvitationPreview",
                                                     "chatsdk.v1.JoinRequests"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace chatsdk;
  using server::JsonCodec;
  google::protobuf::SetLogHandler(nullptr);
  static const JsonCodec codec;
  fuzz::Reader input(fuzz::view(data, size));
  const std::string_view message = kMessages[input.byte() % kMessages.size()];
  const BytesView body = input.rest();

  const auto foreign = codec.to_json(message, body, JsonCodec::Defaults::kOmit);
  CHATSDK_ASSERT(foreign.ok() || foreign.error().code == Code::kInternal);

  const Code refused = codec.why_not(message, body).code;
  CHATSDK_ASSERT(refused == Code::kMalformed || refused == Code::kInvalidUtf8);

  const auto binary = codec.to_binary(message, body);
  if (!binary.ok()) {
    CHATSDK_ASSERT(binary.code() == (is_utf8(body) ? Code::kMalformed : Code::kInvalidUtf8));
    return 0;
  }
  const auto json = codec.to_json(message, *binary, JsonCodec::Defaults::kOmit);
  CHATSDK_ASSERT(json.ok());
  const auto again = codec.to_binary(message, *json);
  CHATSDK_ASSERT(again.ok());
  CHATSDK_ASSERT(codec.to_json(message, *again, JsonCodec::Defaults::kOmit).value() == *json);
  CHATSDK_ASSERT(codec.to_json(message, *binary, JsonCodec::Defaults::kPrint).ok());
  return 0;
}
