// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/delivery_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/fault.h"
#include "base/limits.h"
#include "server-reference/services/frame_builder.h"

namespace chatsdk::server {

DeliveryService::DeliveryService(Bus& bus, Executor& writer, Log& log)
    : bus_(bus), writer_(writer), log_(log), self_(std::make_shared<DeliveryService*>(this)) {}

DeliveryService::~DeliveryService() {
  if (timer_ != 0) writer_.cancel(timer_);
}

void DeliveryService::on_committed(const CommitResult& result) {
  for (const AppendedItem& item : result.appended) {
    CHATSDK_FAULT("delivery.before_fan_out");
    publish_item(item);
  }
  for (const MovedMarks& moved : result.moved) publish_marks(moved);
  if (CHATSDK_PLANTED(Bug::kLastHintNotHealed)) since_digest_.clear();  // only the next hint shows what was lost
  if (since_digest_.size() >= limits::kDigestStreamsMax || CHATSDK_FAULT_BRANCH("delivery.digest_is_full")) {
    log_.write(LogLevel::kInfo, "delivery",
               "digest of " + std::to_string(since_digest_.size()) + " streams published early");
    publish_digest();
  }
  arm_timer();
}

void DeliveryService::publish_item(const AppendedItem& item) {
  remember(item.stream_id, item.seq, 0);
  auto hint = std::make_shared<ItemHint>();
  hint->stream_id = item.stream_id;
  hint->kind = item.kind;
  hint->seq = item.seq;
  const auto frame_of = [&item](const std::shared_ptr<const Bytes>& bytes) {
    return items_frame(item.stream_id, item.kind, item.seq - 1, {&bytes, 1});
  };
  hint->frame = frame_of(item.item);
  if (item.only_for) {
    hint->only_for = item.only_for;
    hint->slices.reserve(item.slices.size());
    for (const ItemForDevice& slice : item.slices) hint->slices.push_back({slice.device_id, frame_of(slice.item)});
    hint->skip = skip_frame(item.stream_id, item.kind, item.seq, item.skip_reason);
  }
  const std::shared_ptr<const ItemHint> shared = std::move(hint);
  for (const UserId& follower : item.followers) bus_.publish(follower, shared);
}

void DeliveryService::publish_marks(const MovedMarks& moved) {
  if (moved.advances.empty()) return;
  remember(moved.conversation_id, 0, moved.revision);
  // Each revision stands on the advances that made it, so the one before the first of these is where they start. A
  // session that is elsewhere reads the store instead.
  std::uint64_t first = moved.revision;
  for (const MarkAdvance& advance : moved.advances) first = std::min(first, advance.revision);
  auto hint = std::make_shared<MarksHint>();
  hint->conversation_id = moved.conversation_id;
  hint->revision_before = first == 0 ? 0 : first - 1;
  hint->revision = moved.revision;
  hint->frame = marks_frame(moved.conversation_id, hint->revision_before, moved.revision, moved.advances);
  const std::shared_ptr<const MarksHint> shared = std::move(hint);
  for (const UserId& follower : moved.followers) bus_.publish(follower, shared);
}

void DeliveryService::remember(StreamId stream, Seq head, std::uint64_t marks_revision) {
  Recent& recent = since_digest_[stream];
  recent.head = std::max(recent.head, head);
  recent.marks_revision = std::max(recent.marks_revision, marks_revision);
}

void DeliveryService::arm_timer() {
  if (timer_ != 0) return;
  timer_ = writer_.post_after(limits::kHeadCompare, [weak = std::weak_ptr(self_)] {
    const auto self = weak.lock();
    if (!self) return;
    (*self)->timer_ = 0;
    (*self)->publish_digest();
    (*self)->arm_timer();
  });
}

void DeliveryService::publish_digest() {
  CHATSDK_FAULT("delivery.before_digest");
  auto digest = std::make_shared<HeadDigest>();
  if (!CHATSDK_PLANTED(Bug::kLastHintNotHealed)) digest->number = ++digests_;
  digest->heads.reserve(since_digest_.size() + before_digest_.size());
  for (const auto& [stream, recent] : since_digest_) {
    const auto before = before_digest_.find(stream);
    const Recent older = before == before_digest_.end() ? Recent{} : before->second;
    digest->heads.push_back(
        {stream, std::max(recent.head, older.head), std::max(recent.marks_revision, older.marks_revision)});
  }
  for (const auto& [stream, recent] : before_digest_) {
    if (!since_digest_.contains(stream)) digest->heads.push_back({stream, recent.head, recent.marks_revision});
  }
  before_digest_ = std::exchange(since_digest_, {});
  std::sort(digest->heads.begin(), digest->heads.end(),
            [](const auto& a, const auto& b) { return a.stream_id < b.stream_id; });
  bus_.publish_heads(std::move(digest));
}

}  // namespace chatsdk::server
