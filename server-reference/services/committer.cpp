// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/committer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/fault.h"

namespace chatsdk::server {

namespace {

constexpr const char* kArea = "committer";  // of the log

Error unavailable(std::string detail, std::chrono::milliseconds retry_after) {
  return Error{Code::kUnavailable, std::move(detail), retry_after};
}

// After these the store is whole and nothing of the batch is in it, so the same ops may be tried again. Any other error
// of a batch is the end of the store.
bool store_survives(Code code) { return code == Code::kStorageFull || code == Code::kBusy || code == Code::kNoMemory; }

std::size_t bytes_of(const std::vector<PrekeyRow>& prekeys) {
  std::size_t bytes = 0;
  for (const PrekeyRow& prekey : prekeys) bytes += sizeof(PrekeyRow) + prekey.prekey.size();
  return bytes;
}

std::size_t bytes_of(const std::vector<SliceRow>& slices) {
  std::size_t bytes = 0;
  for (const SliceRow& slice : slices) bytes += sizeof(SliceRow) + slice.message.size();
  return bytes;
}

std::size_t bytes_of(const PublishLists& op) {
  std::size_t bytes = 0;
  for (const ListVersion& list : op.lists) {
    bytes += sizeof(ListVersion) + list.list.size() + list.devices.size() * sizeof(ListedDevice);
  }
  for (const DeviceRecordRow& record : op.records) bytes += sizeof(DeviceRecordRow) + record.record.size();
  return bytes;
}

std::size_t bytes_of(const std::vector<UserId>& users) {
  std::size_t bytes = 0;
  for (const UserId& user : users) bytes += sizeof(UserId) + user.size();
  return bytes;
}

// What an op holds while it waits. What is not looked at here has a fixed size or a small limit of its own.
std::size_t bytes_of(const WriteOp& op) {
  std::size_t bytes = sizeof(WriteOp);
  if (const auto* message = std::get_if<AppendMessage>(&op)) {
    bytes += message->content.size();
    if (message->encrypted) bytes += sizeof(EncryptedParts) + bytes_of(message->encrypted->slices);
  }
  if (const auto* staged = std::get_if<StageSlices>(&op)) bytes += bytes_of(staged->slices);
  if (const auto* lists = std::get_if<PublishLists>(&op)) bytes += bytes_of(*lists);
  if (const auto* upload = std::get_if<UploadPrekeys>(&op)) {
    bytes += bytes_of(upload->one_time) + bytes_of(upload->one_time_kem);
  }
  if (const auto* group = std::get_if<GroupOperation>(&op)) {
    if (const auto* create = std::get_if<CreateGroup>(&group->change)) {
      bytes += bytes_of(create->members) + create->description.size() + create->picture.size();
    }
    if (const auto* add = std::get_if<AddMembers>(&group->change)) bytes += bytes_of(add->user_ids);
    if (const auto* change = std::get_if<ChangeGroup>(&group->change)) {
      bytes += change->description.value_or("").size() + change->picture.value_or("").size();
    }
  }
  return bytes;
}

// What takes its time, and is counted so that a transaction stays short.
bool is_heavy(const WriteOp& op) {
  return std::holds_alternative<AppendMessage>(op) || std::holds_alternative<GroupOperation>(op);
}

}  // namespace

Committer::Committer(Store& store, Executor& writer, Log& log, Limits limits)
    : store_(store),
      writer_(writer),
      log_(log),
      limits_(limits),
      self_(std::make_shared<Committer*>(this)),
      not_stored_(
          writer.clock(), log,
          {.area = kArea, .window = limits::kNotStoredWindow, .level = LogLevel::kError, .what = "did not store"}) {
  CHATSDK_ASSERT(limits.batch_max > 0 && limits.batch_ops_max > 0);
}

Committer::~Committer() = default;

void Committer::submit(WriteOp op, Callback callback, Executor& reply_on) {
  const std::size_t bytes = bytes_of(op);
  std::optional<Error> refused;
  {
    std::lock_guard lock(mutex_);
    refused = refusal(bytes);
    if (!refused) {
      held_bytes_ += bytes;
      queue_.push_back({std::move(op), bytes, std::move(callback), &reply_on});
      if (armed_) return;
      armed_ = true;
    }
  }
  if (refused) {
    reply_on.post(
        [callback = std::move(callback), refused = *std::move(refused)]() mutable { callback(std::move(refused)); });
  } else {
    arm();
  }
}

std::optional<Error> Committer::refusal(std::size_t bytes) const {
  if (closed_) return closed_;
  if (queue_.size() >= limits_.queue_max || CHATSDK_FAULT_BRANCH("committer.queue_is_full")) {
    return unavailable(
        "commit queue holds " + std::to_string(queue_.size()) + " writes, limit " + std::to_string(limits_.queue_max),
        limits::kRetryQueueFull);
  }
  if (held_bytes_ > 0 && held_bytes_ + bytes > limits_.queue_bytes_max) {
    return unavailable("commit queue holds " + std::to_string(held_bytes_) + " B, limit " +
                           std::to_string(limits_.queue_bytes_max) + " B",
                       limits::kRetryQueueFull);
  }
  return std::nullopt;
}

void Committer::drain(Task drained) {
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    drained_ = std::move(drained);
    if (!closed_) closed_ = unavailable("the server is stopping", limits::kRetryStopping);
    if (armed_) return;
    armed_ = true;
  }
  arm();
}

std::size_t Committer::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

std::size_t Committer::held_bytes() const {
  std::lock_guard lock(mutex_);
  return held_bytes_;
}

void Committer::arm() {
  writer_.post([weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->run_batch();
  });
}

void Committer::run_batch() {
  not_stored_.look();
  if (take_batch()) {
    CHATSDK_FAULT("committer.before_commit");
    Result<CommitResult> result = store_.commit(ops_);
    ops_.clear();  // their content is not kept until the next batch
    CHATSDK_FAULT("committer.between_commit_and_fan_out");
    if (result.ok()) {
      answer(*std::move(result));
    } else if (store_survives(result.code())) {
      log_not_stored(result.error());
      answer_all(result.error());
    } else {
      fail(result.error());
      return;
    }
  }
  {
    std::lock_guard lock(mutex_);
    held_bytes_ -= std::exchange(batch_bytes_, 0);
    if (queue_.empty()) {
      armed_ = false;
    } else {
      // One batch a turn, so that other tasks of the writer have theirs in between.
      arm();
      return;
    }
  }
  finish_drain();
}

bool Committer::take_batch() {
  ops_.clear();
  waiting_.clear();
  std::lock_guard lock(mutex_);
  std::size_t messages = 0;
  const std::size_t ops_max = CHATSDK_FAULT_BRANCH("committer.batch_of_one") ? 1 : limits_.batch_ops_max;
  while (!queue_.empty() && ops_.size() < ops_max) {
    const std::size_t bytes = queue_.front().bytes;
    if (!ops_.empty() && batch_bytes_ + bytes > limits_.batch_bytes_max) break;
    if (is_heavy(queue_.front().op) && ++messages > limits_.batch_max) break;
    batch_bytes_ += bytes;
    ops_.push_back(std::move(queue_.front().op));
    waiting_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return !ops_.empty();
}

void Committer::log_not_stored(const Error& failure) {
  if (!not_stored_.note(failure.detail)) return;
  told_not_stored_ = true;
  log_.write(LogLevel::kError, kArea, "batch of " + std::to_string(waiting_.size()) + " not stored: " + failure.detail);
}

void Committer::answer(CommitResult result) {
  CHATSDK_ASSERT(result.answers.size() == waiting_.size());
  if (std::exchange(told_not_stored_, false)) log_.write(LogLevel::kInfo, kArea, "batches are stored again");
  if (observer_ != nullptr) observer_->on_committed(result);
  CHATSDK_FAULT("committer.between_fan_out_and_ack");
  for (std::size_t i = 0; i < waiting_.size(); ++i) add_reply(waiting_[i], std::move(result.answers[i]));
  post_replies();
}

void Committer::answer_all(const Error& failure) {
  for (Pending& pending : waiting_) add_reply(pending, failure);
  post_replies();
}

void Committer::add_reply(Pending& pending, Result<WriteAnswer> answer) {
  // The executors that wait are as many as the server has service threads: a scan beats a map.
  auto found = std::find_if(replies_.begin(), replies_.end(),
                            [&](const Replies& replies) { return replies.reply_on == pending.reply_on; });
  if (found == replies_.end()) found = replies_.insert(found, Replies{pending.reply_on, {}});
  found->replies.push_back({std::move(pending.callback), std::move(answer)});
}

void Committer::post_replies() {
  waiting_.clear();
  for (Replies& group : replies_) {
    group.reply_on->post([replies = std::move(group.replies)]() mutable {
      for (Reply& reply : replies) reply.callback(std::move(reply.answer));
    });
  }
  replies_.clear();
}

void Committer::fail(const Error& failure) {
  log_.write(
      LogLevel::kError, kArea,
      "the store failed, nothing is written any more: " + std::string(code_name(failure.code)) + ": " + failure.detail);
  const Error answer = unavailable("the server's store failed", limits::kRetryStopping);
  {
    std::lock_guard lock(mutex_);
    closed_ = answer;
    std::move(queue_.begin(), queue_.end(), std::back_inserter(waiting_));
    queue_.clear();
    held_bytes_ = batch_bytes_ = 0;
    armed_ = false;
  }
  answer_all(answer);
  if (auto on_fatal = std::exchange(on_fatal_, {})) on_fatal(failure);
  finish_drain();
}

void Committer::finish_drain() {
  Task drained;
  {
    std::lock_guard lock(mutex_);
    if (!draining_ || armed_) return;
    drained = std::exchange(drained_, {});
  }
  if (drained) drained();
}

}  // namespace chatsdk::server
