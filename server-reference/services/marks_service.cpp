// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/marks_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/fault.h"
#include "base/limits.h"

namespace chatsdk::server {

MarksService::MarksService(SubmitWrite submit_write, Executor& writer, Log& log)
    : submit_write_(std::move(submit_write)),
      writer_(writer),
      log_(log),
      self_(std::make_shared<MarksService*>(this)) {}

MarksService::~MarksService() {
  if (timer_ != 0) writer_.cancel(timer_);
}

void MarksService::delivered(std::string_view user, ConversationId conversation, Seq from, Seq up_to,
                             Seq missing_from) {
  if (up_to == 0 || from >= up_to) return;
  std::lock_guard lock(mutex_);
  Claim* claim = claim_of(user, conversation);
  if (claim == nullptr) return;
  add(*claim, {from, up_to});
  claim->missing_from = std::max(claim->missing_from, missing_from);
  schedule();
}

// A mark moves only by a range that starts at or below it. When there are more ranges than are kept, the one that
// starts highest is the least likely to do so, and goes.
void MarksService::add(Claim& claim, Range range) {
  const auto touches = [&](const Range& other) { return range.from <= other.up_to && other.from <= range.up_to; };
  if (claim.beyond.empty() && (claim.delivered.up_to == 0 || touches(claim.delivered))) {
    if (claim.delivered.up_to != 0) range.from = std::min(range.from, claim.delivered.from);
    claim.delivered = {range.from, std::max(range.up_to, claim.delivered.up_to)};
    return;
  }
  std::vector<Range> all = std::move(claim.beyond);
  all.push_back(claim.delivered);
  all.push_back(range);
  std::sort(all.begin(), all.end(), [](const Range& a, const Range& b) { return a.from < b.from; });
  std::size_t last = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i].from <= all[last].up_to) {
      all[last].up_to = std::max(all[last].up_to, all[i].up_to);
    } else {
      all[++last] = all[i];
    }
  }
  all.resize(std::min(last + 1, limits::kMarkRangesMax));
  claim.delivered = all.front();
  claim.beyond.assign(all.begin() + 1, all.end());
}

void MarksService::read(std::string_view user, ConversationId conversation, Seq up_to) {
  if (up_to == 0) return;
  std::lock_guard lock(mutex_);
  Claim* claim = claim_of(user, conversation);
  if (claim == nullptr) return;
  claim->read_up_to = std::max(claim->read_up_to, up_to);
  schedule();
}

void MarksService::acknowledged(DeviceId device, StreamId stream, Seq seq, Seq missing_from) {
  std::lock_guard lock(mutex_);
  auto found = cursors_.find({device, stream});
  if (found == cursors_.end()) {
    if (cursors_.size() >= limits::kMarkClaimsMax || !admit(cursors_of_device_, device)) {
      ++lost_;  // the device is sent again what it has, and drops it
      return;
    }
    found = cursors_.emplace(CursorKey{device, stream}, Cursor{}).first;
  }
  if (seq >= found->second.acknowledged) found->second = {seq, missing_from};
  schedule();
}

template <typename Counts, typename Owner>
bool MarksService::admit(Counts& counts, const Owner& owner) {
  std::size_t& count = counts[owner];
  if (count >= limits::kMarkClaimsPerUserMax) return false;
  ++count;
  return true;
}

std::size_t MarksService::claims() const {
  std::lock_guard lock(mutex_);
  return claims_.size();
}

std::size_t MarksService::cursors() const {
  std::lock_guard lock(mutex_);
  return cursors_.size();
}

void MarksService::flush(Task done) {
  writer_.post([weak = std::weak_ptr(self_), done = std::move(done)]() mutable {
    const auto self = weak.lock();
    if (!self) return;
    (*self)->waiting_next_.push_back(std::move(done));
    (*self)->start_flush();
  });
}

MarksService::Claim* MarksService::claim_of(std::string_view user, ConversationId conversation) {
  const auto found = claims_.find(KeyView{conversation, user});
  if (found != claims_.end()) return &found->second;
  if (claims_.size() >= limits::kMarkClaimsMax || !admit(claims_of_user_, UserId(user))) {
    ++lost_;  // the range of the device's next acknowledgement covers it again
    return nullptr;
  }
  return &claims_.emplace(Key{conversation, UserId(user)}, Claim{}).first->second;
}

void MarksService::schedule() {
  if (std::exchange(scheduled_, true)) return;
  writer_.post([weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->arm_timer();
  });
}

void MarksService::arm_timer() {
  if (timer_ != 0 || flushing_) return;
  timer_ = writer_.post_after(limits::kMarkFlush, [weak = std::weak_ptr(self_)] {
    const auto self = weak.lock();
    if (!self) return;
    (*self)->timer_ = 0;
    (*self)->start_flush();
  });
}

void MarksService::start_flush() {
  if (flushing_) return;  // what was gathered since is taken when this one ends
  if (timer_ != 0) writer_.cancel(std::exchange(timer_, 0));

  std::uint64_t lost = 0;
  decltype(claims_) claims;
  decltype(cursors_) cursors;
  {
    std::lock_guard lock(mutex_);
    scheduled_ = false;
    claims.swap(claims_);
    cursors.swap(cursors_);
    claims_of_user_.clear();
    cursors_of_device_.clear();
    lost = std::exchange(lost_, 0);
  }
  if (lost != 0) {
    log_.write(LogLevel::kWarning, "marks", std::to_string(lost) + " claims dropped: too many at once");
  }

  // Taken from the back: the lower range of a claim is written before those above it, and cursors last. A device
  // repeats what its cursor does not cover, and nothing of what it covers: a cursor that is durable without the claim
  // asks for no acknowledgement that would make up for it.
  const WallTime now = writer_.clock().wall_now();
  ready_.reserve(claims.size() + cursors.size());
  for (const auto& [key, cursor] : cursors) {
    ready_.emplace_back(AdvanceCursor{.device_id = key.device,
                                      .stream_id = key.stream,
                                      .acknowledged = cursor.acknowledged,
                                      .missing_from = cursor.missing_from});
  }
  for (auto& [key, claim] : claims) {
    for (auto range = claim.beyond.rbegin(); range != claim.beyond.rend(); ++range) {
      ready_.emplace_back(AdvanceMarks{.user_id = key.user,
                                       .conversation_id = key.conversation,
                                       .delivered_from = range->from,
                                       .delivered_up_to = range->up_to,
                                       .now = now,
                                       .missing_from = claim.missing_from});
    }
    ready_.emplace_back(AdvanceMarks{.user_id = key.user,
                                     .conversation_id = key.conversation,
                                     .delivered_from = claim.delivered.from,
                                     .delivered_up_to = claim.delivered.up_to,
                                     .read_up_to = claim.read_up_to,
                                     .now = now,
                                     .missing_from = claim.missing_from});
  }
  slice_ = std::clamp(ready_.size() / kSlicesWanted, kSliceMin, kSliceMax);
  flushing_ = true;
  waiting_.swap(waiting_next_);
  submit_slice();
}

void MarksService::submit_slice() {
  if (ready_.empty()) return finish();
  CHATSDK_FAULT("marks.between_gathering_and_writing");
  // The count covers the whole slice before the first answer can come.
  const std::size_t count = std::min(ready_.size(), slice_);
  in_flight_ = count;
  for (std::size_t i = 0; i < count; ++i) {
    WriteOp op = std::move(ready_.back());
    ready_.pop_back();
    submit(std::move(op));
  }
}

void MarksService::submit(WriteOp op) {
  WriteOp copy = op;
  submit_write_(
      std::move(copy),
      [weak = std::weak_ptr(self_), op = std::move(op)](Result<WriteAnswer> answer) {
        const auto self = weak.lock();
        if (!self) return;
        (*self)->on_written(op, answer.ok() ? Status() : Status(std::move(answer).error()));
      },
      writer_);
}

void MarksService::on_written(const WriteOp& op, const Status& status) {
  if (!status.ok()) {
    // A store that failed has not said no.
    if (code_is_retryable(status.code()) || status.code() <= Code::kStorage) {
      gather_again(op);
    } else {
      log_.write(LogLevel::kInfo, "marks", "claim refused: " + std::string(code_name(status.code())));
    }
  }
  CHATSDK_FAULT("marks.between_slices");
  if (--in_flight_ == 0) submit_slice();
}

void MarksService::gather_again(const WriteOp& op) {
  if (const auto* marks = std::get_if<AdvanceMarks>(&op)) {
    delivered(marks->user_id, marks->conversation_id, marks->delivered_from, marks->delivered_up_to,
              marks->missing_from);
    read(marks->user_id, marks->conversation_id, marks->read_up_to);
  } else if (const auto* cursor = std::get_if<AdvanceCursor>(&op)) {
    acknowledged(cursor->device_id, cursor->stream_id, cursor->acknowledged, cursor->missing_from);
  }
}

void MarksService::finish() {
  flushing_ = false;
  bool more = false;
  {
    std::lock_guard lock(mutex_);
    more = scheduled_;
  }
  std::vector<Task> waiting;
  waiting.swap(waiting_);
  if (!waiting_next_.empty()) {
    start_flush();
  } else if (more) {
    arm_timer();
  }
  for (Task& task : waiting) task();
}

}  // namespace chatsdk::server
