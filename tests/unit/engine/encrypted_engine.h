// SPDX-License-Identifier: Apache-2.0
//
// An engine's world in which conversations are encrypted: alice's device has keys, and the test plays the server, with
// the rosters, lists and bundles of the two people of docs/e2ee.md section 26.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>
#include <sodium.h>

#include <string>
#include <vector>

#include "e2ee/own_keys.h"
#include "protocol/keys.pb.h"
#include "unit/e2ee/people.h"
#include "unit/engine/engine_world.h"

namespace chatsdk::test {

inline wire::Item encrypted_roster(Seq seq, std::uint64_t revision = 1) {
  wire::Item item = roster_item(seq);
  item.mutable_roster()->set_encrypted(true);
  item.mutable_roster()->set_revision(revision);
  return item;
}

class EncryptedEngine : public EngineWorld {
 protected:
  static constexpr std::uint64_t kStream = 777;

  EncryptedEngine() {
    EXPECT_GE(sodium_init(), 0);
    open_encryption();
  }

  // -- Conversations --
  // As the app asks for it where it wants it encrypted.
  ConversationKey with_bob() {
    auto key = client_->direct_conversation("bob", true);
    EXPECT_TRUE(key.ok()) << key.error().detail;
    return key.ok() ? *key : ConversationKey();
  }
  Result<Client::Sent> send(const std::string& text) { return client_->send_text(with_bob(), text, {}); }

  // -- Keys --
  // Alice's account, with this device alone.
  void begin_account() {
    e2ee::OwnKeys keys(random_, own_kem());
    const auto written = e2ee_->write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(own_, keys.begin_account(tx.kept(), {"alice", DeviceId{kDevice}}, {}, e2ee::kThen));
      const Bytes lists[] = {own_.list};
      const auto learned = e2ee::learn_lists(tx.state(), "alice", lists, own_.records, e2ee::kThen);
      return learned.ok() ? Status() : Status(learned.error());
    });
    ASSERT_TRUE(written.ok()) << written.error().detail;
  }
  // From here on the server has a key directory for what alice uploads and asks of herself: with the lists of
  // server_lists_, and taking more unless list_refusal_ says otherwise.
  void serve_own_keys() {
    server_lists_ = {*e2ee::parse_device_list(own_.list)};
    server_records_ = own_.records;
    http_.respond = [this, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
      if (request.url.ends_with("/v1/keys/lists/query")) return own_lists(request.body);
      if (request.url.ends_with("/v1/keys/lists")) return take_lists(request.body);
      if (request.url.ends_with("/v1/keys/digest")) {
        wire::KeyDigest digest;
        digest.set_digest(std::string(e2ee::Hash::size(), '\0'));
        return protobuf_response(digest);
      }
      if (request.url.ends_with("/v1/keys/prekeys")) {
        wire::KeyCounts counts;
        counts.set_one_time(limits::e2ee::kOneTimeStored);
        counts.set_one_time_kem(limits::e2ee::kOneTimeStored);
        return protobuf_response(counts);
      }
      return others(request);
    };
  }
  static wire::SignedList signed_list(const e2ee::DeviceList& list, const e2ee::DeviceRecord& record) {
    wire::SignedList made;
    made.set_list(list.bytes);
    made.add_records(record.bytes);
    return made;
  }
  wire::SignedList bobs_list() const { return signed_list(bob_.list, bob_.record); }
  // The next one, in which the tablet stands too.
  wire::SignedList bobs_list_with_tablet() const {
    const auto next = e2ee::next_device_list(bob_.list, bob_.account_seed, {&tablet_.record, 1}, {}, e2ee::kThen);
    EXPECT_TRUE(next.ok());
    return signed_list(*next, tablet_.record);
  }
  // The conversation's first item, with both users' lists.
  wire::Item roster_with_lists(const std::vector<wire::SignedList>& bobs) const {
    wire::Item item = encrypted_roster(1);
    wire::SignedList& own = *item.mutable_roster()->add_lists();
    own.set_list(own_.list);
    for (const Bytes& record : own_.records) own.add_records(record);
    for (const wire::SignedList& list : bobs) *item.mutable_roster()->add_lists() = list;
    return item;
  }
  std::vector<FakeHttp::RequestId> bundles_asked() const { return http_.requests("POST /v1/keys/bundles"); }
  // With one-time keys, of those of bob's devices that are asked for.
  void give_bundles(FakeHttp::RequestId asked) {
    wire::BundlesRequest request;
    EXPECT_TRUE(request.ParseFromString(http_.exchange(asked).request.body));
    wire::Bundles answer;
    for (const std::uint64_t device : request.device_ids()) {
      for (const e2ee::Person* one : {&bob_, &tablet_}) {
        if (one->record.device_id.value == device) *answer.add_bundles() = bundle_of(*one);
      }
    }
    http_.answer(asked, protobuf_response(answer));
    run();
  }
  static wire::Bundle bundle_of(const e2ee::Person& device) {
    const e2ee::PrekeyOwner owner{device.user_id, device.record.device_id};
    const auto prekey = [&](std::uint32_t key_id) {
      return e2ee::published(e2ee::bobs_prekey(key_id), owner, device.keys.signing_seed, own_kem()).value();
    };
    wire::Bundle bundle;
    bundle.set_device_id(owner.device_id.value);
    bundle.set_device_record(device.record.bytes);
    bundle.set_signed_prekey(prekey(1));
    bundle.set_kem_prekey(prekey(4));
    bundle.set_one_time_prekey(prekey(3));
    return bundle;
  }

  std::vector<e2ee::DeviceList> server_lists_;  // under one account key
  std::vector<Bytes> server_records_;
  std::vector<std::uint64_t> server_devices_;  // of alice, whom it names to her; none: it says nothing of them
  std::optional<Code> list_refusal_;
  std::optional<Code> replacement_refusal_;  // of lists under another account key

 private:
  std::optional<Result<HttpResponse>> own_lists(const std::string& body) const {
    wire::DeviceListsRequest asked;
    EXPECT_TRUE(asked.ParseFromString(body));
    if (asked.users_size() != 1 || asked.users(0).user_id() != "alice") return std::nullopt;
    wire::DeviceLists answer;
    wire::DeviceLists::OfUser& own = *answer.add_users();
    own.set_user_id("alice");
    // The versions after the one that is known, or all where that one is not here.
    std::size_t known = 0;
    while (known < server_lists_.size() && server_lists_[known].hash.view() != asked.users(0).list_hash()) ++known;
    const bool is_here = known != server_lists_.size();
    for (std::size_t i = 0; i < server_lists_.size(); ++i) {
      own.set_newest_version(server_lists_[i].version);
      if (!is_here || i > known) own.add_lists(server_lists_[i].bytes);
    }
    for (const std::uint64_t device : server_devices_) own.add_devices(device);
    for (const Bytes& record : server_records_) own.add_records(record);
    return protobuf_response(answer);
  }
  HttpResponse take_lists(const std::string& body) {
    if (list_refusal_) return problem_response(409, *list_refusal_);
    wire::DeviceListUpload upload;
    EXPECT_TRUE(upload.ParseFromString(body));
    if (replacement_refusal_ && upload.replaces_account_key()) return problem_response(409, *replacement_refusal_);
    std::vector<e2ee::DeviceList> lists;
    for (const std::string& bytes : upload.lists()) {
      const auto list = e2ee::valid_device_list(bytes, "alice");
      EXPECT_TRUE(list.has_value());
      if (!list) return problem_response(400, Code::kInvalidArgument);
      const bool follows =
          lists.empty() || (list->version == lists.back().version + 1 &&
                            list->account_key == lists.back().account_key && list->previous == lists.back().hash);
      EXPECT_TRUE(follows);
      lists.push_back(*list);
    }
    const bool anew = server_lists_.empty() || lists.front().account_key != server_lists_.back().account_key;
    if (anew && !server_lists_.empty()) {
      const bool is_above = lists.back().version > server_lists_.back().version;
      if (!upload.replaces_account_key() || !is_above) return problem_response(409, Code::kConflict);
      server_lists_.clear();
    } else if (anew) {
      if (lists.front().version != 1 && !upload.replaces_account_key()) return problem_response(409, Code::kConflict);
    } else {
      const bool follows = lists.front().version == server_lists_.back().version + 1 &&
                           lists.front().previous == server_lists_.back().hash;
      if (!follows) return problem_response(409, Code::kConflict);
    }
    server_lists_.insert(server_lists_.end(), lists.begin(), lists.end());
    server_records_.insert(server_records_.end(), upload.records().begin(), upload.records().end());
    HttpResponse taken;
    taken.status = 204;
    return taken;
  }

 protected:
  const e2ee::Person bob_ = e2ee::bob();
  const e2ee::Person tablet_ = e2ee::person("bob", 3, 0x61, 0x090a0b0c, {});  // bob's other device
  e2ee::ListUpload own_;
};

}  // namespace chatsdk::test
