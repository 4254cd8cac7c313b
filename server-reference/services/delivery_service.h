// SPDX-License-Identifier: Apache-2.0
//
// The delivery service: turns what a batch committed into frames, encoded once, and publishes them to the followers on
// the bus. It remembers which streams changed lately and publishes their heads every limits::kHeadCompare, so that a
// lost last hint is noticed; also when none did, so that a lost digest is. It knows no connection; whoever misses
// everything it says still finds it all in the store.
//
// Threads: the writer's executor, where it is also destroyed unless that executor has stopped.
// Invariants:
//   1. Only what is committed is published.
//   2. A changed stream stands in at least two digests, and in the next one within limits::kHeadCompare.
//   3. From the first change on a digest follows each other within limits::kHeadCompare, numbered without a gap.
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>

#include "base/executor.h"
#include "base/log.h"
#include "server-reference/bus/bus.h"
#include "server-reference/services/committer.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class DeliveryService final : public CommitObserver {
 public:
  DeliveryService(Bus& bus, Executor& writer, Log& log);
  ~DeliveryService() override;
  DeliveryService(const DeliveryService&) = delete;
  DeliveryService& operator=(const DeliveryService&) = delete;

  void on_committed(const CommitResult& result) override;

 private:
  struct Recent {
    Seq head = 0;
    std::uint64_t marks_revision = 0;
  };
  using RecentHeads = std::unordered_map<StreamId, Recent>;

  void publish_item(const AppendedItem& item);
  void publish_marks(const MovedMarks& moved);
  void remember(StreamId stream, Seq head, std::uint64_t marks_revision);
  void arm_timer();
  void publish_digest();

  Bus& bus_;
  Executor& writer_;
  Log& log_;
  std::shared_ptr<DeliveryService*> self_;  // the timer's task holds it weakly
  RecentHeads since_digest_;                // changed since the last digest
  RecentHeads before_digest_;               // changed between the last digest and the one before it
  std::uint64_t digests_ = 0;               // published
  Executor::TimerId timer_ = 0;
};

}  // namespace chatsdk::server
