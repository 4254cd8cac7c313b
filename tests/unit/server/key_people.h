// SPDX-License-Identifier: Apache-2.0
//
// Users whose devices have real keys, for the tests of the key directory: they register by REST, make records, lists
// and prekeys as a client does, and send them.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "e2ee/device_list.h"
#include "e2ee/device_record.h"
#include "e2ee/kem.h"
#include "e2ee/prekeys.h"
#include "unit/server/rest_world.h"

namespace chatsdk::server::testing {

inline constexpr std::uint64_t kKeysMadeMs = 1'800'000'000'000;

struct KeyDevice {
  UserId user_id;
  DeviceId id;
  std::string token;
  e2ee::DeviceKeys keys;
  e2ee::DeviceRecord record;
  std::uint32_t last_key_id = 0;

  Bytes prekey_with(e2ee::PrekeyKind kind, std::uint32_t key_id, Random& random) const {
    const auto own = e2ee::OwnPrekey::draw(kind, key_id, kKeysMadeMs, random);
    return e2ee::published(own, {user_id, id}, keys.signing_seed, own_kem()).value();
  }
  Bytes prekey(e2ee::PrekeyKind kind, Random& random) { return prekey_with(kind, ++last_key_id, random); }

  // A pair and so many one-time prekeys of each kind.
  wire::PrekeyUpload upload(int one_time, int kem, Random& random) {
    wire::PrekeyUpload upload;
    upload.set_signed_prekey(prekey(e2ee::PrekeyKind::kSigned, random));
    upload.set_last_resort_prekey(prekey(e2ee::PrekeyKind::kLastResort, random));
    for (int i = 0; i < one_time; ++i) upload.add_one_time_prekeys(prekey(e2ee::PrekeyKind::kOneTime, random));
    for (int i = 0; i < kem; ++i) upload.add_one_time_kem_prekeys(prekey(e2ee::PrekeyKind::kOneTimeKem, random));
    return upload;
  }
};

inline e2ee::DeviceRecord record_of(const KeyDevice& device) {
  return e2ee::make_device_record({device.user_id, device.id, e2ee::kSuitesSpoken, kKeysMadeMs, {}}, device.keys);
}

// A user with an account key and the newest list that was made; whether the server has it is the test's business.
struct KeyUser {
  UserId user_id;
  e2ee::SigningSeed account_seed;
  std::optional<e2ee::DeviceList> newest;
  std::vector<std::unique_ptr<KeyDevice>> devices;

  KeyDevice& device(std::size_t index = 0) { return *devices.at(index); }

  // The next list, or the first one.
  e2ee::DeviceList next(std::vector<e2ee::DeviceRecord> add, std::vector<DeviceId> remove = {}) {
    auto made = newest ? e2ee::next_device_list(*newest, account_seed, add, remove, kKeysMadeMs)
                       : e2ee::first_device_list(user_id, account_seed, add, kKeysMadeMs);
    newest = std::move(made).value();
    return *newest;
  }
};

inline wire::DeviceListUpload upload_of(const std::vector<e2ee::DeviceList>& lists,
                                        const std::vector<e2ee::DeviceRecord>& records) {
  wire::DeviceListUpload upload;
  for (const auto& list : lists) upload.add_lists(list.bytes);
  for (const auto& record : records) upload.add_records(record.bytes);
  return upload;
}

class KeyWorld : public RestWorld {
 public:
  using RestWorld::RestWorld;

  HttpResponse post(const std::string& url, const std::string& token, const google::protobuf::MessageLite& body) {
    return call("POST", url, headers(token), body.SerializeAsString());
  }
  HttpResponse get(const std::string& url, const std::string& token) { return call("GET", url, headers(token)); }
  static Headers headers(const std::string& token) {
    Headers headers{{"content-type", "application/x-protobuf"}, {"accept", "application/x-protobuf"}};
    if (!token.empty()) headers["authorization"] = "Bearer " + token;
    return headers;
  }

  // A registered user with one device, which nobody has listed yet.
  KeyUser& add_user(const UserId& user_id) {
    users_.push_back(std::make_unique<KeyUser>());
    KeyUser& user = *users_.back();
    user.user_id = user_id;
    user.account_seed = e2ee::draw_secret<32>(random);
    take_in(user, registered(user_id));
    return user;
  }
  KeyDevice& add_device(KeyUser& user) {
    const std::string installation =
        "BBBBBBBBBBBBBBBBBBBB" + std::string(1, static_cast<char>('a' + ++installations_)) + "A==";
    return take_in(user, json_of(post_json("/v1/sessions", {{"userId", user.user_id},
                                                            {"password", "correct horse"},
                                                            {"installationId", installation}})));
  }
  // A user whose device is listed and has prekeys.
  KeyUser& add_reachable(const UserId& user_id, int one_time = 0, int kem = 0) {
    KeyUser& user = add_user(user_id);
    KeyDevice& device = user.device();
    EXPECT_EQ(post("/v1/keys/lists", device.token, upload_of({user.next({device.record})}, {device.record})).status,
              204);
    EXPECT_EQ(post("/v1/keys/prekeys", device.token, device.upload(one_time, kem, random)).status, 200);
    return user;
  }

  wire::Bundles bundles(const KeyDevice& requester, const UserId& target) {
    wire::BundlesRequest request;
    request.set_user_id(target);
    return answer<wire::Bundles>(post("/v1/keys/bundles", requester.token, request));
  }
  wire::DeviceLists lists_of(const KeyDevice& requester, const UserId& target,
                             const e2ee::DeviceList* known = nullptr) {
    wire::DeviceListsRequest request;
    auto& user = *request.add_users();
    user.set_user_id(target);
    if (known != nullptr) {
      user.set_list_version(known->version);
      user.set_list_hash(Bytes(known->hash.view()));
    }
    return answer<wire::DeviceLists>(post("/v1/keys/lists/query", requester.token, request));
  }
  wire::KeyCounts counts(const KeyDevice& device) {
    return answer<wire::KeyCounts>(get("/v1/keys/counts", device.token));
  }
  template <typename Message>
  static Message answer(const HttpResponse& response) {
    Message message;
    EXPECT_EQ(response.status, 200) << refusal(response);
    EXPECT_TRUE(message.ParseFromString(response.body));
    return message;
  }
  // "409 conflict: why", or the status alone.
  static std::string refusal(const HttpResponse& response) {
    wire::Problem problem;
    if (response.status < 400 || !problem.ParseFromString(response.body)) return std::to_string(response.status);
    return std::to_string(response.status) + " " + problem.code() + ": " + problem.detail();
  }

 private:
  KeyDevice& take_in(KeyUser& user, const nlohmann::json& session) {
    user.devices.push_back(std::make_unique<KeyDevice>());
    KeyDevice& device = *user.devices.back();
    device.user_id = user.user_id;
    device.id = DeviceId{std::stoull(session["deviceId"].get<std::string>())};
    device.token = session["accessToken"].get<std::string>();
    device.keys = e2ee::DeviceKeys::draw(random);
    device.record = record_of(device);
    return device;
  }

  std::vector<std::unique_ptr<KeyUser>> users_;
  int installations_ = 0;
};

}  // namespace chatsdk::server::testing
