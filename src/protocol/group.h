// SPDX-License-Identifier: Apache-2.0
//
// Groups as a client sees them: roles, the table of rights, and the REST bodies of groups.proto, as records. A server's
// answer is read strictly; a field that is not known here is passed over.
//
// Threads: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "protocol/frames.h"

namespace chatsdk::group {

enum class Role : std::uint8_t { kNone = 0, kMember = 1, kAdmin = 2, kOwner = 3 };

// In the order of wire::GroupPermissions.
enum class Right : std::uint8_t { kSend, kPin, kAdd, kInvite, kRemove, kInfo, kRoles, kPermissions };
inline constexpr std::size_t kRights = 8;

// The least role that has each right; kNone: not said.
struct Rights {
  std::array<Role, kRights> least{};

  Role of(Right right) const { return least[static_cast<std::size_t>(right)]; }
  Role& of(Right right) { return least[static_cast<std::size_t>(right)]; }
  // What is said in the other one counts.
  void take(const Rights& said);
  friend bool operator==(const Rights&, const Rights&) = default;
};

// Of a group whose creator said nothing.
Rights default_rights();
// One number, as the store keeps them. A number of no role reads as kOwner: a right that nobody is known to have.
std::int64_t pack(const Rights& rights);
Rights unpack(std::int64_t packed);
Role role_of(std::uint64_t number);

// What a group is.
struct Info {
  GroupId id;
  std::string name;
  std::string description;
  Bytes picture;  // a reference of the app's
  Rights rights;
  bool history = false;  // who joins reads what was before
};

// Of a roster. A text above its limit is cut away: the server's own rules do not let it be.
Info info_of(const wire::Group& group);

// ---- What is asked -------------------------------------------------------------------------------------------------

struct Changes {
  std::optional<std::string> name;
  std::optional<std::string> description;
  std::optional<Bytes> picture;
  Rights rights;
};

struct Invitation {
  Bytes token;  // of one that is there: the invitation_id
  UserId inviter;
  std::int64_t created_at_ms = 0;
  std::int64_t expires_at_ms = 0;  // 0: never
  std::uint32_t uses = 0;          // 0: without limit; of one that is there: left
  bool approval = false;
};

// Of a body that write_changes() has written.
Result<Changes> read_changes(BytesView bytes);
Bytes write_create(const Info& info, const std::vector<UserId>& members);
Bytes write_changes(const Changes& changes);
Bytes write_members(const std::vector<UserId>& members);
Bytes write_role(Role role);
Bytes write_owner(const UserId& user_id);
Bytes write_invitation(const Invitation& invitation);
Bytes write_answer(bool accept);

// ---- What is answered: PROTOCOL where it is no such record ----------------------------------------------------------

struct Changed {
  ConversationId conversation_id;
  Seq seq = 0;             // 0: no item tells of it
  bool requested = false;  // somebody has to admit
};
Result<Changed> read_changed(BytesView bytes);

struct State {
  Info info;
  ConversationId conversation_id;
  Seq seq = 0;  // of the conversation, when all of this was so
  std::uint64_t members = 0;
  Role role = Role::kNone;  // of who asks
};
Result<State> read_state(BytesView bytes);

struct Member {
  UserId user_id;
  Role role = Role::kNone;
  friend bool operator==(const Member&, const Member&) = default;
};
struct Members {
  std::vector<Member> members;  // ascending
  Seq seq = 0;
  bool more = false;
};
Result<Members> read_members(BytesView bytes);

Result<std::vector<Invitation>> read_invitations(BytesView bytes);

struct Preview {
  GroupId id;
  std::string name;
  std::string description;
  Bytes picture;
  std::uint64_t members = 0;
  bool approval = false;
  UserId inviter;
  bool member = false;  // who asks is one already
};
Result<Preview> read_preview(BytesView bytes);

struct JoinRequest {
  UserId user_id;
  std::int64_t requested_at_ms = 0;
};
Result<std::vector<JoinRequest>> read_requests(BytesView bytes);

}  // namespace chatsdk::group
