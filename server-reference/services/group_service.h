// SPDX-License-Identifier: Apache-2.0
//
// Groups, as REST asks for them: what a request may hold, how often somebody may ask, and what it is as a write of the
// store. Who may change what is judged by the store, in the write itself. Knows requests and answers as messages; knows
// no HTTP, and who speaks was proven before.
//
// Threads: lives on the executor that it is given; every call and every answer is a turn there. The owner stops the
// executor before it destroys the service.
// Invariants:
//   1. A change is durable when it is answered, and an operation is done once however often it is asked for.
//   2. No error names a token, a user_id or a byte of a name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/task.h"
#include "protocol/frames.h"
#include "protocol/groups.pb.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/rate_limiter.h"
#include "server-reference/services/submit_write.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

struct GroupOptions {
  std::size_t members_max = limits::groups::kMembersDefault;  // of one group, at most limits::groups::kMembersMax
  RateLimit changes_per_user{limits::groups::kChangeBurst, limits::groups::kChangeRefill};
  RateLimit groups_per_user{limits::groups::kCreateBurst, limits::groups::kCreateRefill};
  RateLimit added_per_user{limits::groups::kAddBurst, limits::groups::kAddRefill};
  RateLimit joins_per_user{limits::groups::kJoinBurst, limits::groups::kJoinRefill};
  RateLimit reads_per_user{limits::groups::kReadBurst, limits::groups::kReadRefill};
  std::size_t rate_buckets_max = limits::kRateBucketsMax;
};

class GroupService {
 public:
  struct Parts {
    Executor& executor;
    StoreReader& reader;  // used on executor only
    SubmitWrite submit;
  };
  using OnChanged = UniqueFunction<void(Result<wire::GroupChanged>)>;

  // Who asks for a change, about what: as header and path have it. A path without a name leaves it empty.
  struct Asked {
    Identity identity;
    std::string operation_id;  // 32 lower-case hexadecimal digits, as are the two below (a token to revoke: or 64)
    std::string group_id;
    std::string token;
    std::string user_id;
  };

  GroupService(Parts parts, GroupOptions options);

  // INVALID_ARGUMENT, TOO_LARGE, RATE_LIMITED, UNSUPPORTED (an encrypted group), and as the store says.
  void create(const Asked& asked, const wire::CreateGroupRequest& request, OnChanged on_changed);
  void change(const Asked& asked, const wire::ChangeGroupRequest& request, OnChanged on_changed);
  void remove(const Asked& asked, OnChanged on_changed);
  void add_members(const Asked& asked, const wire::MembersRequest& request, OnChanged on_changed);
  void remove_member(const Asked& asked, OnChanged on_changed);
  void set_role(const Asked& asked, const wire::RoleRequest& request, OnChanged on_changed);
  void set_owner(const Asked& asked, const wire::OwnerRequest& request, OnChanged on_changed);
  void invite(const Asked& asked, const wire::InvitationRequest& request, OnChanged on_changed);
  void revoke(const Asked& asked, OnChanged on_changed);
  void join(const Asked& asked, OnChanged on_changed);
  void answer_request(const Asked& asked, const wire::RequestAnswer& request, OnChanged on_changed);

  // INVALID_ARGUMENT, RATE_LIMITED, NOT_FOUND, FORBIDDEN.
  Result<wire::GroupInfo> info(const Identity& identity, const std::string& group_id);
  // max 0: limits::groups::kMemberPageDefault.
  Result<wire::GroupMembers> members(const Identity& identity, const std::string& group_id, const std::string& after,
                                     std::uint64_t max);
  Result<wire::Invitations> invitations(const Identity& identity, const std::string& group_id);
  Result<wire::InvitationPreview> preview(const Identity& identity, const std::string& token);
  Result<wire::JoinRequests> requests(const Identity& identity, const std::string& group_id);

  // Entries of the fullest of its rate limits.
  std::size_t rated() const;

 private:
  // The operation that a request is, but for its change. request_bytes: what makes it the same as another beside who
  // asks.
  Result<GroupOperation> begin(const Asked& asked, std::string_view name, const Bytes& request_bytes);
  Status take(RateLimiter& limiter, const Identity& identity, const char* what, std::size_t count = 1);
  template <typename Change>
  void submit(Result<GroupOperation> op, Result<Change> change, OnChanged on_changed);
  WallTime wall_now() const { return parts_.executor.clock().wall_now(); }

  Parts parts_;
  GroupOptions options_;
  RateLimiter changes_;
  RateLimiter created_;
  RateLimiter added_;
  RateLimiter joins_;
  RateLimiter reads_;
};

}  // namespace chatsdk::server
