// SPDX-License-Identifier: Apache-2.0
//
// What changes an encrypted group, and who wants to come into it. The first byte says what follows:
//
//   0   a membership entry as it comes
//   1   a membership entry without its signature: the actor's is put behind it
//   2   a state
//   3   an actor, an operation (a byte each) and a value: an entry that says so follows the group's last one
//   4   the text of an invitation
//   5   a request to join without its signature: that of the device is put behind it
//
// What parses is written again to the same bytes. What nobody signed here does not hold, and what holds leads to a
// state that parses.
//
// Threads: one.
#include <algorithm>

#include "base/limits.h"
#include "e2ee/group_invitation.h"
#include "fuzz/e2ee_world.h"
#include "fuzz/fuzz.h"
#include "unit/e2ee/groups.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

struct Group {
  GroupPeople people;
  std::vector<RosterUser> roster = people.roster();
  GroupHead head = with_invitations();

  GroupHead with_invitations() {
    GroupPermissions permissions;
    permissions[GroupRight::kRoles] = GroupRole::kAdmin;
    const GroupHead first = people.created(permissions).head;
    return make_entry(first, Invite{invitation_id(1), kThen + 1'000, 2}, people.maker("ann")).value().head;
  }
};
Group& group() {
  static Group group;
  return group;
}

void assert_whole(const GroupState& state) {
  const Bytes bytes = serialize(state);
  CHATSDK_ASSERT(parse_group_state(bytes) == state);
  CHATSDK_ASSERT(state.members.size() <= limits::e2ee::kMembersMax);
}

void read_entry(BytesView bytes, bool signed_here) {
  const auto entry = parse_group_entry(bytes);
  const Judged judged = judge(group().head, bytes, group().roster);
  CHATSDK_ASSERT(judged.after.has_value() == (judged.judgement == Judgement::kHolds));
  CHATSDK_ASSERT(entry || judged.judgement == Judgement::kDoesNotHold);
  if (!entry) return;
  CHATSDK_ASSERT(!judged.after || signed_here);
  if (judged.after) assert_whole(judged.after->state);
  const Bytes again = sign_group_entry(*entry, secret_of<32>(0x12));
  const std::size_t unsigned_bytes = bytes.size() - Signature::size();
  CHATSDK_ASSERT(BytesView(again).substr(0, unsigned_bytes) == bytes.substr(0, unsigned_bytes));
}

void read_state(BytesView bytes) {
  const auto state = parse_group_state(bytes);
  if (state) CHATSDK_ASSERT(serialize(*state) == bytes);
}

// An entry of that value, with the state hash that its change leads to.
void change(fuzz::Reader& input) {
  static const UserId kActors[] = {"alice", "ann", "bob", "dan"};
  const Person& actor = group().people.of(kActors[input.byte() % 4]);
  const auto operation = static_cast<std::uint8_t>(input.byte());
  const Bytes value(input.rest());
  const auto written = [&](const Hash& state_hash) {
    Writer writer;
    writer.u8(1).raw(group().head.state.group_id.view()).u64(group().head.state.number + 1);
    writer.raw(group().head.entry_hash).u8(operation).user(actor.user_id).u64(actor.record.device_id.value);
    writer.u64(kThen).lp(value).raw(state_hash);
    writer.raw(sign(actor.keys.signing_seed, label::kSigGroupEntry, writer.view()));
    return writer.take();
  };
  const auto entry = parse_group_entry(written({}));
  if (!entry) return;
  const auto after = change_group(group().head.state, actor.user_id, entry->change, kThen);
  const Hash state_hash = after ? group_state_hash(serialize(*after)) : Hash{};
  const Bytes bytes = written(state_hash);
  const Judged judged = judge(group().head, bytes, group().roster);
  // Nobody is a member under a key that their list has not.
  const auto* add = std::get_if<AddMembers>(&entry->change);
  const bool may_hold = after && (add == nullptr || std::all_of(add->people.begin(), add->people.end(), [](auto& p) {
                                    return std::any_of(group().roster.begin(), group().roster.end(), [&p](auto& user) {
                                      return user.user_id == p.user_id && user.account_key == p.account_key;
                                    });
                                  }));
  CHATSDK_ASSERT((judged.judgement == Judgement::kHolds) == may_hold);
  if (after) assert_whole(*after);
}

void read_link(BytesView text) {
  const auto link = parse_invitation_link(text);
  if (link) CHATSDK_ASSERT(to_text(*link) == text);
}

void read_request(BytesView unsigned_request) {
  const Person& dan = group().people.of("dan");
  const SigningSeed& seed = dan.keys.signing_seed;
  const Bytes request = Bytes(unsigned_request) + Bytes(sign(seed, label::kSigGroupRequest, unsigned_request).view());
  const RosterUser user = roster_user(dan);
  const SigningSeed anns_seed = secret_of<32>(0x41);
  const auto add = admit(request, {group().head.state, "ann", anns_seed, user, {}, kThen});
  const auto parsed = parse_join_request(request);
  CHATSDK_ASSERT(parsed || !add);
  if (!add) return;
  CHATSDK_ASSERT(add->people.size() == 1 && add->people[0].user_id == "dan");
  const auto made = make_entry(group().head, *add, group().people.maker("ann"));
  CHATSDK_ASSERT(made && made->head.state.member("dan") != nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const int what = input.byte() % 6;
  if (what == 3) {
    change(input);
    return 0;
  }
  const Bytes rest(input.rest());
  switch (what) {
    case 0:
      read_entry(rest, false);
      break;
    case 1:
      read_entry(rest + Bytes(sign(secret_of<32>(0x12), label::kSigGroupEntry, rest).view()), true);
      break;
    case 2:
      read_state(rest);
      break;
    case 4:
      read_link(rest);
      break;
    default:
      read_request(rest);
  }
  return 0;
}
