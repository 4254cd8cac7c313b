// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/record_purge.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"

namespace chatsdk::server {

RecordPurge::RecordPurge(SubmitWrite submit, Executor& writer, Log& log)
    : submit_(std::move(submit)), writer_(writer), log_(log), self_(std::make_shared<RecordPurge*>(this)) {}

RecordPurge::~RecordPurge() {
  if (timer_ != 0) writer_.cancel(timer_);
}

void RecordPurge::start() {
  wall_at_start_ = writer_.clock().wall_now();
  monotonic_at_start_ = writer_.clock().monotonic_now();
  look_after(limits::kPurgeInterval);
}

WallTime RecordPurge::now() const {
  const WallTime latest =
      wall_at_start_ + (writer_.clock().monotonic_now() - monotonic_at_start_) + limits::kPurgeClockStepMax;
  return std::min(writer_.clock().wall_now(), latest);
}

void RecordPurge::look() {
  timer_ = 0;
  submit_(
      PurgeRecords{place_, limits::kPurgeRecordsMax, now()},
      [weak = std::weak_ptr(self_)](Result<WriteAnswer> answer) {
        if (const auto self = weak.lock()) (*self)->on_looked(answer);
      },
      writer_);
}

void RecordPurge::on_looked(const Result<WriteAnswer>& answer) {
  if (!answer.ok()) return look_after(limits::kPurgeInterval);  // the same place again
  const auto* purged = std::get_if<RecordsPurged>(&*answer);
  if (purged == nullptr) return;
  removed_ += purged->removed;
  if (purged->last) {
    place_ = *purged->last;
    return look_after(limits::kPurgePause);
  }
  if (removed_ > 0) {
    log_.write(LogLevel::kInfo, "store", std::to_string(removed_) + " deduplication records have outlived their use");
  }
  place_ = {};
  removed_ = 0;
  look_after(limits::kPurgeInterval);
}

void RecordPurge::look_after(std::chrono::microseconds pause) {
  timer_ = writer_.post_after(pause, [this] { look(); });
}

}  // namespace chatsdk::server
