// SPDX-License-Identifier: Apache-2.0
//
// Alice's group of docs/e2ee.md section 26 and who comes into it, for the tests of membership.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "e2ee/group_rules.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {

inline RosterUser roster_user(const Person& person) {
  return {person.user_id, signing_key_of(person.account_seed), {person.record}};
}
inline GroupMember as_member(const Person& person, GroupRole role) {
  return {person.user_id, role, signing_key_of(person.account_seed)};
}

// Alice, the owner; Ann, an admin; Bob and Carol, members; Dan and Erin, who are none. Their devices are 1 to 6.
class GroupPeople {
 public:
  GroupPeople() {
    add(alice());
    add(person("ann", 5, 0x41, 5, {}));
    add(bob());
    add(person("carol", 3, 0x51, 6, {}));
    add(person("dan", 4, 0x61, 7, {}));
    add(person("erin", 6, 0x71, 8, {}));
  }

  const Person& of(const UserId& user_id) const { return people_.at(user_id); }
  GroupMember member(const UserId& user_id, GroupRole role = GroupRole::kMember) const {
    return as_member(of(user_id), role);
  }
  std::vector<RosterUser> roster() const {
    std::vector<RosterUser> users;
    for (const auto& named : people_) users.push_back(roster_user(named.second));
    return users;
  }
  EntryMaker maker(const UserId& user_id, std::uint64_t time_ms = kThen) const {
    const Person& person = of(user_id);
    return {{user_id, person.record.device_id}, person.keys.signing_seed, time_ms};
  }
  // Entry 1, with these rights.
  MadeEntry created(const GroupPermissions& permissions = {}) const {
    GroupState first;
    first.origin = alices_origin();
    first.permissions = permissions;
    first.members = {member("alice", GroupRole::kOwner), member("ann", GroupRole::kAdmin), member("bob"),
                     member("carol")};
    return create_group(std::move(first), maker("alice")).value();
  }

 private:
  void add(Person person) {
    const UserId user_id = person.user_id;
    people_.emplace(user_id, std::move(person));
  }

  std::map<UserId, Person> people_;
};

inline InvitationId invitation_id(unsigned char byte) { return fixed_of<InvitationId>(byte); }

}  // namespace chatsdk::e2ee
