// SPDX-License-Identifier: Apache-2.0
//
// The mailboxes in which two devices of one user pass the messages of a linking (docs/e2ee.md section 12): who asks,
// how often, and whether what is left there can be what its path says. Whose it may be and what it follows is judged by
// the store, in the write itself. Knows no HTTP, and who speaks was proven before.
//
// Threads: lives on the executor that it is given; every call and every answer is a turn there. The owner stops the
// executor before it destroys this.
// Invariants:
//   1. A message is durable when its put() is answered.
//   2. No error names a link_id or a byte of a message: who reads the log joins no linking.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/executor.h"
#include "base/limits.h"
#include "base/link_step.h"
#include "base/result.h"
#include "base/task.h"
#include "protocol/keys.pb.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/rate_limiter.h"
#include "server-reference/services/submit_write.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

struct LinkMailboxOptions {
  RateLimit calls_per_user{limits::e2ee::kLinkCallBurst, limits::e2ee::kLinkCallRefill};
  std::size_t rate_buckets_max = limits::kRateBucketsMax;
};

class LinkMailboxes {
 public:
  struct Parts {
    Executor& executor;
    StoreReader& reader;  // used on executor only
    SubmitWrite submit;
  };
  using OnDone = UniqueFunction<void(Status)>;

  LinkMailboxes(Parts parts, LinkMailboxOptions options);

  // link_id: as the path has it, 32 lower-case hexadecimal digits; else INVALID_ARGUMENT, in both calls.
  // TOO_LARGE (above the largest message of this step), MALFORMED (no message of this step and link_id), RATE_LIMITED,
  // and as PutLinkMessage says.
  void put(const Identity& sender, std::string_view link_id, LinkStep step, const wire::LinkMessage& message,
           OnDone on_done);
  // NOT_FOUND (nobody has left it yet, or its time is over), RATE_LIMITED.
  Result<wire::LinkMessage> get(const Identity& requester, std::string_view link_id, LinkStep step);

  // Entries of its rate limit.
  std::size_t rated() const { return calls_.size(); }

 private:
  Result<PutLinkMessage> check(const Identity& sender, std::string_view link_id, LinkStep step,
                               const wire::LinkMessage& message);
  Status take_a_call(const UserId& user_id);

  Parts parts_;
  RateLimiter calls_;
};

}  // namespace chatsdk::server
