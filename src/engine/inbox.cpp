// SPDX-License-Identifier: Apache-2.0
#include "engine/inbox.h"

#include <algorithm>
#include <utility>

#include "base/fault.h"

namespace chatsdk {

namespace {

// What shares a transaction: items of any streams, and what stands between them.
constexpr std::size_t kBurstItemsMax = limits::kApplyBatchMax;
constexpr std::size_t kBurstFramesMax = 4 * limits::kApplyBatchMax;

bool is_storage(Code code) {
  return static_cast<std::int32_t>(code) <= static_cast<std::int32_t>(Code::kStorage) &&
         static_cast<std::int32_t>(code) > static_cast<std::int32_t>(Code::kCrypto);
}

// The frame that ends catching up: it names no stream.
bool is_end(const wire::ServerFrame& frame) {
  return !frame.has_items() && !frame.has_marks() && (!frame.has_caught_up() || frame.caught_up().stream_id() == 0);
}

}  // namespace

void Inbox::on_lost() {
  // What has arrived is applied all the same: the next hello then asks for less.
  if (auto applied = apply_all(); !applied.ok()) context_.debug("inbox", "what had arrived could not be applied");
  waiting_.clear();
  waiting_items_ = 0;
  to_acknowledge_.clear();
  pulled_.clear();
  held_.clear();
  work_guard_.renew();
  scheduled_ = false;
}

void Inbox::on_frame(wire::ServerFrame& frame) {
  merge_or_push(frame);
  const bool full = waiting_items_ >= limits::kWaitingItemsMax || waiting_.size() >= limits::kWaitingFramesMax;
  if (full || CHATSDK_FAULT_BRANCH("inbox.burst_is_full")) return work();
  if (scheduled_) return;
  scheduled_ = true;
  context_.executor.post(work_guard_.wrap([this] {
    scheduled_ = false;
    work();
  }));
}

void Inbox::merge_or_push(wire::ServerFrame& frame) {
  if (frame.has_items()) {
    wire::Items& items = *frame.mutable_items();
    const std::size_t count = static_cast<std::size_t>(items.items_size());
    waiting_items_ += count;
    if (!waiting_.empty() && waiting_.back().has_items()) {
      wire::Items& last = *waiting_.back().mutable_items();
      const std::size_t together = static_cast<std::size_t>(last.items_size()) + count;
      const bool follows = last.stream_id() == items.stream_id() && last.stream_kind() == items.stream_kind() &&
                           last.items_size() > 0 && last.items(last.items_size() - 1).seq() == items.after_seq();
      if (follows && together <= limits::kApplyBatchMax) {
        for (wire::Item& item : *items.mutable_items()) last.add_items()->Swap(&item);
        return;
      }
    }
  } else if (frame.has_marks() && !waiting_.empty() && waiting_.back().has_marks()) {
    wire::Marks& last = *waiting_.back().mutable_marks();
    const wire::Marks& marks = frame.marks();
    const int together = last.advances_size() + marks.advances_size();
    if (last.conversation_id() == marks.conversation_id() && marks.revision() >= last.revision() &&
        marks.after_revision() <= last.revision() && together <= static_cast<int>(limits::kApplyBatchMax)) {
      last.mutable_advances()->MergeFrom(marks.advances());
      last.set_revision(marks.revision());
      return;
    }
  }
  waiting_.emplace_back();
  waiting_.back().Swap(&frame);
}

void Inbox::work() {
  if (auto applied = apply_all(); !applied.ok()) {
    const Error cause = std::move(applied).error();
    const bool storage = is_storage(cause.code);
    connection_.fail(cause, storage ? CloseCode::kGoingAway : CloseCode::kInvalidPayload);
  }
}

Status Inbox::apply_all() {
  bool all_caught_up = false;
  while (!waiting_.empty()) {
    if (!is_end(waiting_.front())) {
      if (auto applied = apply_burst(); !applied.ok()) {
        waiting_.clear();
        waiting_items_ = 0;
        return applied;
      }
      CHATSDK_FAULT("inbox.between_apply_and_ack");
      acknowledge();  // so that the server sends on while the next burst is applied
      free_window();
      continue;
    }
    waiting_.pop_front();
    CHATSDK_ASSIGN(auto changes, context_.store.settle_epoch());
    context_.events.changes(std::move(changes));
    all_caught_up = true;
  }
  if (!all_caught_up) return {};
  CHATSDK_TRY(acknowledge_again());
  connection_.caught_up();
  return {};
}

// The server keeps a delivered mark in memory for a moment before it writes it: what its marks do not show once all is
// caught up was lost with a server, and nobody else would ever tell it again.
Status Inbox::acknowledge_again() {
  CHATSDK_TRY(note_undelivered());
  acknowledge();
  return {};
}

void Inbox::tell_delivered() {
  if (auto told = acknowledge_again(); !told.ok()) connection_.fail(told.error(), CloseCode::kGoingAway);
}

// Also where an own device has gone: what only that one was to have holds the mark back no longer.
Status Inbox::note_undelivered() {
  CHATSDK_ASSIGN(const auto behind, context_.store.undelivered(limits::kHelloCursorsMax));
  for (const StreamCursor& stream : behind) {
    acknowledge_soon(stream.stream_id, stream.seq, stream.delivered_from, stream.others_from);
  }
  return {};
}

Status Inbox::apply_burst() {
  // Taken out first: a frame that cannot be applied must not be met again when the connection ends.
  std::vector<wire::ServerFrame> burst;
  std::vector<DeviceStore::Arrival> arrivals;
  std::size_t items = 0;
  while (!waiting_.empty() && !is_end(waiting_.front()) && burst.size() < kBurstFramesMax) {
    const auto count = static_cast<std::size_t>(waiting_.front().items().items_size());
    if (!burst.empty() && items + count > kBurstItemsMax) break;
    items += count;
    burst.emplace_back().Swap(&waiting_.front());
    waiting_.pop_front();
  }
  waiting_items_ -= items;
  for (const wire::ServerFrame& frame : burst) {
    if (frame.has_items()) arrivals.push_back({&frame.items(), nullptr});
    if (frame.has_marks()) arrivals.push_back({nullptr, &frame.marks()});
  }
  if (arrivals.size() <= 1) return apply_singly(burst);

  auto together = apply_together(arrivals);
  CHATSDK_FAULT("inbox.between_burst_and_events");
  if (!together.ok()) return is_storage(together.code()) ? Status(together.error()) : apply_singly(burst);
  const bool devices_changed = encryption_ != nullptr && together->changes.devices_changed;
  tell(std::move(together->changes));
  auto applied = together->items.begin();
  for (const wire::ServerFrame& frame : burst) {
    if (frame.has_items()) note(frame.items(), *applied++);
    if (frame.has_caught_up()) CHATSDK_TRY(apply(frame.caught_up()));
  }
  return devices_changed ? note_undelivered() : Status();
}

Status Inbox::apply_singly(const std::vector<wire::ServerFrame>& burst) {
  for (const wire::ServerFrame& frame : burst) {
    if (frame.has_items()) CHATSDK_TRY(apply(frame.items()));
    if (frame.has_marks()) CHATSDK_TRY(apply(frame.marks()));
    if (frame.has_caught_up()) CHATSDK_TRY(apply(frame.caught_up()));
  }
  return {};
}

Result<DeviceStore::AppliedTogether> Inbox::apply_together(const std::vector<DeviceStore::Arrival>& arrivals) {
  return encryption_ != nullptr ? encryption_->apply_together(arrivals) : context_.store.apply_together(arrivals);
}

Status Inbox::apply(const wire::Items& items) {
  if (encryption_ != nullptr) {
    CHATSDK_ASSIGN(auto together, apply_together({{&items, nullptr}}));
    const bool devices_changed = together.changes.devices_changed;
    tell(std::move(together.changes));
    note(items, together.items.front());
    return devices_changed ? note_undelivered() : Status();
  }
  CHATSDK_ASSIGN(auto applied, context_.store.apply(items));
  tell(std::move(applied.changes));
  note(items, applied);
  return {};
}

void Inbox::tell(Changes changes) {
  outbox_.on_applied(changes);
  groups_.on_applied(changes);
  context_.events.changes(std::move(changes));
}

void Inbox::note(const wire::Items& items, const DeviceStore::Applied& applied) {
  const StreamId stream{items.stream_id()};
  const bool over_gap = CHATSDK_PLANTED(Bug::kDeliveredOverGap) && applied.gap && items.items_size() > 0;
  if (applied.held) held_.try_emplace(stream);
  if (const auto held = held_.find(stream); held != held_.end() && items.items_size() > 0) {
    held->second.seen = std::max<Seq>(held->second.seen, items.items(items.items_size() - 1).seq());
  }
  if (applied.gap && !over_gap) return pull(stream, applied.cursor);
  if (const auto pulled = pulled_.find(stream); pulled != pulled_.end() && applied.cursor > pulled->second.after) {
    pulled_.erase(pulled);
  }
  // Also for items that were known: the acknowledgement of them may have been lost.
  acknowledge_soon(stream, over_gap ? items.items(items.items_size() - 1).seq() : applied.cursor,
                   applied.delivered_from, applied.others_from);
  connection_.progress();
}

Status Inbox::apply(const wire::Marks& marks) {
  CHATSDK_ASSIGN(auto changes, context_.store.apply_marks(marks));
  context_.events.changes(std::move(changes));
  return {};
}

Status Inbox::apply(const wire::CaughtUp& caught_up) {
  const StreamId stream{caught_up.stream_id()};
  CHATSDK_ASSIGN(const auto cursor, context_.store.cursor(stream));
  const Seq held = cursor.has_value() ? cursor->seq : 0;
  if (held < caught_up.seq()) pull(stream, held);
  return {};
}

void Inbox::go_on() {
  for (const auto& [stream, held] : std::exchange(held_, {})) {
    const auto cursor = context_.store.cursor(stream);
    if (!cursor.ok()) return connection_.fail(cursor.error(), CloseCode::kGoingAway);
    pulled_.erase(stream);
    pull(stream, cursor->has_value() ? (*cursor)->seq : 0);
  }
}

bool Inbox::all_applied() const {
  const auto is_recent = [this](const auto& asked) { return context_.now() - asked.second.asked < limits::kPullAgain; };
  return waiting_.empty() && held_.empty() && std::none_of(pulled_.begin(), pulled_.end(), is_recent);
}

void Inbox::pull(StreamId stream, Seq after) {
  if (held_.contains(stream)) return;
  const auto asked = pulled_.find(stream);
  if (asked != pulled_.end()) {
    if (asked->second.after == after && context_.now() - asked->second.asked < limits::kPullAgain) return;
  } else if (pulled_.size() >= limits::kPulledMax) {
    return;
  }
  pulled_[stream] = {after, context_.now()};
  send_pull(stream, after);
}

void Inbox::send_pull(StreamId stream, Seq after) {
  wire::ClientFrame frame;
  frame.mutable_pull()->set_stream_id(stream.value);
  frame.mutable_pull()->set_after_seq(after);
  connection_.send(frame);
}

void Inbox::free_window() {
  if (!connection_.live()) return;
  for (auto& [stream, held] : held_) {
    if (held.seen <= held.freed) continue;
    held.freed = held.seen;
    send_pull(stream, held.freed);
  }
}

void Inbox::acknowledge_soon(StreamId stream, Seq seq, Seq missing_from, Seq others_from) {
  wire::Ack::Stream& ack = to_acknowledge_[stream];
  ack.set_stream_id(stream.value);
  ack.set_seq(seq);
  ack.set_delivered_from(std::max(missing_from, others_from));
  ack.set_missing_from(missing_from);
}

void Inbox::acknowledge() {
  while (!to_acknowledge_.empty() && connection_.writable()) {
    wire::ClientFrame frame;
    while (!to_acknowledge_.empty() && frame.ack().streams_size() < static_cast<int>(limits::kStreamsPerAckMax)) {
      frame.mutable_ack()->add_streams()->Swap(&to_acknowledge_.begin()->second);
      to_acknowledge_.erase(to_acknowledge_.begin());
    }
    connection_.send(frame);
  }
}

}  // namespace chatsdk
