// SPDX-License-Identifier: Apache-2.0
//
// The key directory (docs/e2ee.md section 17): device lists, prekeys and bundles, for who asks and at what rate. What
// an upload holds is judged by key_checks.h, what it follows by the store. Knows requests and answers as messages;
// knows no HTTP, and who speaks was proven before.
//
// Threads: lives on the executor that it is given; every call and every answer is a turn there. Signatures are verified
// on the workers. The owner stops the executors before it destroys the directory.
// Invariants:
//   1. A one-time prekey leaves in the answer of one write of the store, and in no other.
//   2. At most KeyDirectoryOptions::checks_in_flight_max uploads are queued for the workers or checked there.
//   3. When publish_lists() answers, the log-ins of devices that left the list have ended, their prekeys are gone, and
//      their connections are told to close.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"
#include "base/task.h"
#include "protocol/frames.h"
#include "protocol/keys.pb.h"
#include "server-reference/bus/bus.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/rate_limiter.h"
#include "server-reference/services/submit_write.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

struct KeyDirectoryOptions {
  RateLimit bundles{limits::e2ee::kBundleBurst, limits::e2ee::kBundleRefill};  // of one user, for one requester
  RateLimit bundles_per_requester{limits::e2ee::kBundleRequesterBurst, limits::e2ee::kBundleRequesterRefill};
  RateLimit one_time_per_device{limits::e2ee::kOneTimeBurst, limits::e2ee::kOneTimeRefill};
  RateLimit lists_per_requester{limits::e2ee::kListBurst, limits::e2ee::kListRefill};
  RateLimit uploads_per_device{limits::e2ee::kKeyUploadBurst, limits::e2ee::kKeyUploadRefill};
  RateLimit lists_per_user{limits::e2ee::kListChangeBurst, limits::e2ee::kListChangeRefill};  // that change something
  RateLimit keys_per_user{limits::e2ee::kKeyChangeBurst, limits::e2ee::kKeyChangeRefill};     // of these, account keys
  std::size_t rate_buckets_max = limits::kRateBucketsMax;
  std::size_t checks_in_flight_max = limits::e2ee::kKeyChecksInFlightMax;
};

class KeyDirectory {
 public:
  struct Parts {
    Executor& executor;
    StoreReader& reader;  // used on executor only
    SubmitWrite submit;
    std::vector<Executor*> workers;  // at least one; used in turn
    Bus& bus;
    Log& log;
    std::function<void()> rosters_due = [] {};  // conversations have to hear of a list that was published
  };
  using OnDone = UniqueFunction<void(Status)>;
  using OnCounts = UniqueFunction<void(Result<wire::KeyCounts>)>;
  using OnBundles = UniqueFunction<void(Result<wire::Bundles>)>;

  KeyDirectory(Parts parts, KeyDirectoryOptions options);

  // MALFORMED, INVALID_ARGUMENT, CONFLICT, FORBIDDEN, LIMIT_REACHED as key_checks.h and PublishLists say; RATE_LIMITED;
  // UNAVAILABLE (too many checks at once, or the store).
  void publish_lists(const Identity& uploader, wire::DeviceListUpload upload, OnDone on_done);
  // INVALID_ARGUMENT, RATE_LIMITED.
  Result<wire::DeviceLists> lists(const Identity& requester, const wire::DeviceListsRequest& request);
  // As publish_lists(), and FORBIDDEN for a device that is not in its user's newest list.
  void upload_prekeys(const Identity& uploader, wire::PrekeyUpload upload, OnCounts on_counts);
  Result<wire::KeyCounts> counts(const Identity& requester);
  Result<wire::KeyDigest> digest(const Identity& requester);
  // INVALID_ARGUMENT, RATE_LIMITED.
  void take_bundles(const Identity& requester, const wire::BundlesRequest& request, OnBundles on_bundles);

  // Entries of the fullest of its rate limits; uploads that are queued for the workers or checked there.
  std::size_t rated() const;
  std::size_t checks_in_flight() const { return checks_in_flight_; }

 private:
  Status begin_upload(const Identity& uploader);
  // What is taken here is given back where nothing changed.
  Status begin_change(const PublishLists& op);
  void give_change_back(const UserId& user_id, bool replaces);
  // Runs `check`, which gives a Result<Op>, on a worker and `next` here. begin_upload() has let the upload in.
  template <typename Op, typename Check, typename Next>
  void check_off_thread(Check check, Next next);
  void lists_checked(Result<PublishLists> op, OnDone on_done);
  void lists_written(const UserId& user_id, bool replaces, Result<WriteAnswer> answer, OnDone on_done);
  Result<std::vector<TakeBundles::Wanted>> wanted_devices(const Identity& requester,
                                                          const wire::BundlesRequest& request,
                                                          const NewestList& newest) const;
  Status begin_fetch(const Identity& requester, const UserId& target, std::size_t bundles);
  // Decides for each device whether its bundle may have one-time keys.
  void charge_one_time(std::vector<TakeBundles::Wanted>& devices);
  void bundles_taken(const TakeBundles& op, std::uint64_t list_version, Result<WriteAnswer> answer,
                     OnBundles on_bundles);

  MonotonicTime monotonic_now() const { return parts_.executor.clock().monotonic_now(); }

  Parts parts_;
  KeyDirectoryOptions options_;
  RateLimiter bundles_;
  RateLimiter bundles_per_requester_;
  RateLimiter one_time_;
  RateLimiter lists_;
  RateLimiter uploads_;
  RateLimiter list_changes_;
  RateLimiter key_changes_;
  std::size_t checks_in_flight_ = 0;
  std::size_t last_worker_ = 0;
};

}  // namespace chatsdk::server
