// SPDX-License-Identifier: Apache-2.0
//
// The store's contract with five users and groups of them: operations, and what followed from each.
//
// Threads: one.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "protocol/groups.pb.h"
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {

class GroupContract : public StoreContract {
 protected:
  void SetUp() override {
    for (const char* user : {"ann", "bob", "cid", "dan", "eve"}) register_user(user);
  }

  static Bytes group_id(char name = 'g') { return Bytes(16, name); }
  static Bytes invitation_id(char name = 't') { return Bytes(16, name); }
  static GroupPermissions permissions() {
    GroupPermissions permissions;
    permissions.least.fill(MemberRole::kAdmin);
    permissions.of(GroupRight::kSend) = permissions.of(GroupRight::kPin) = MemberRole::kMember;
    return permissions;
  }
  CreateGroup creation(std::vector<UserId> members, bool history = false) {
    CreateGroup create;
    create.members = std::move(members);
    create.name = "name";
    create.permissions = permissions();
    create.history = history;
    return create;
  }
  // Under an operation_id of its own.
  GroupOperation by(const UserId& user_id, GroupChange change, char group = 'g') {
    GroupOperation op;
    op.user_id = user_id;
    op.operation_id = Bytes(8, 'o') + Bytes(client_id(++operations_).view().substr(8));
    op.request_hash = "hash";
    op.group_id = group_id(group);
    op.members_max = members_max_;
    op.now = now();
    op.change = std::move(change);
    return op;
  }
  static wire::GroupChanged changed(const OperationDone& done) {
    wire::GroupChanged changed;
    EXPECT_FALSE(done.refused) << done.refused->detail;
    EXPECT_TRUE(changed.ParseFromString(done.answer));
    return changed;
  }
  // Of a change that is done; what it appended is in `appended_`.
  wire::GroupChanged done(GroupOperation op) {
    CommitResult result = commit({std::move(op)});
    EXPECT_TRUE(result.answers.at(0).ok());
    appended_ = std::move(result.appended);
    return changed(std::get<OperationDone>(*result.answers.at(0)));
  }
  wire::GroupChanged done(const UserId& user_id, GroupChange change) { return done(by(user_id, std::move(change))); }
  // The code of what the groups refuse; kOk: nothing.
  Code refused(GroupOperation op) {
    CommitResult result = commit({std::move(op)});
    const auto& answer = result.answers.at(0);
    if (!answer.ok()) return answer.code();
    const auto& refusal = std::get<OperationDone>(*answer).refused;
    EXPECT_TRUE(!refusal || result.appended.empty()) << "what is refused appends nothing";
    return refusal ? refusal->code : Code::kOk;
  }
  Code refused(const UserId& user_id, GroupChange change) { return refused(by(user_id, std::move(change))); }
  // Ann's group with bob and cid: the ROSTER, item 1.
  void make_group(bool history = false) {
    conversation_ = ConversationId{done("ann", creation({"bob", "cid"}, history)).conversation_id()};
  }

  // "ann owner, bob member": as a page of members has it.
  std::string members(const UserId& asking = "ann") {
    const auto page = reader().group_members(asking, group_id(), {}, 100);
    if (!page.ok()) return std::string(code_name(page.code()));
    std::string text;
    for (const GroupMember& member : page->members) {
      constexpr const char* kRoles[] = {"none", "member", "admin", "owner"};
      text += (text.empty() ? "" : ", ") + member.user_id + " " + kRoles[static_cast<std::size_t>(member.role)];
    }
    return text;
  }
  wire::Item last_item(const UserId& user_id) {
    const auto items = read(user_id, conversation_);
    EXPECT_FALSE(items.empty());
    return items.empty() ? wire::Item() : items.back();
  }
  // The newest item of the user's account stream.
  wire::Item news(const UserId& user_id) {
    const auto items = read(user_id, (*reader().account(user_id))->account_stream);
    EXPECT_FALSE(items.empty());
    return items.empty() ? wire::Item() : items.back();
  }
  AppendMessage text(const UserId& user_id, std::uint64_t number, const std::string& words = "hello") {
    AppendMessage op = message(user_id, device_of(user_id), to_conversation(conversation_), number, words);
    op.right = GroupRight::kSend;
    return op;
  }
  DeviceId device_of(const UserId& user_id) {
    DeviceId& device = devices_[user_id];
    if (!device) device = log_in(user_id).session.device_id;
    return device;
  }

  std::size_t members_max_ = 5;
  std::uint64_t operations_ = 0;
  std::vector<AppendedItem> appended_;
  ConversationId conversation_;
  std::map<UserId, DeviceId> devices_;
};

}  // namespace chatsdk::server
