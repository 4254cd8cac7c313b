// SPDX-License-Identifier: Apache-2.0
#include "server-reference/bus/in_process_bus.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <utility>

#include "base/assert.h"
#include "base/fault.h"
#include "base/limits.h"

namespace chatsdk::server {

namespace {

// Kicks and hints of keys are few and small: they are not counted.
std::size_t bytes_of(const UserMessage& message) {
  if (const auto* item = std::get_if<std::shared_ptr<const ItemHint>>(&message)) {
    std::size_t bytes = sizeof(ItemHint) + ((*item)->frame ? (*item)->frame->size() : 0);
    for (const ItemHint::ForDevice& slice : (*item)->slices) bytes += sizeof(slice) + slice.frame->size();
    return bytes;
  }
  if (const auto* marks = std::get_if<std::shared_ptr<const MarksHint>>(&message)) {
    return sizeof(MarksHint) + ((*marks)->frame ? (*marks)->frame->size() : 0);
  }
  return 0;
}

}  // namespace

class InProcessBus::Inbox : public std::enable_shared_from_this<Inbox> {
 public:
  Inbox(Executor& executor, Subscriber& subscriber, std::size_t messages_max, std::size_t bytes_max)
      : executor_(executor), subscriber_(&subscriber), messages_max_(messages_max), bytes_max_(bytes_max) {}

  void put(const UserId& user, const UserMessage& message) {
    const std::size_t bytes = bytes_of(message);
    {
      std::lock_guard lock(mutex_);
      if (closed_) return;
      const bool full = messages_.size() >= messages_max_ || (bytes_ > 0 && bytes_ + bytes > bytes_max_);
      if (full && !std::holds_alternative<Kick>(message) && !CHATSDK_PLANTED(Bug::kInboxWithoutLimit)) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      bytes_ += bytes;
      messages_.push_back(Addressed{user, message});
      if (std::exchange(posted_, true)) return;
    }
    post_delivery();
  }

  // A digest stands for all before it of the last seconds, so that a few waiting ones are enough.
  void put_heads(std::shared_ptr<const HeadDigest> digest) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return;
      if (digests_.size() >= limits::kDigestsWaitingMax) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      digests_.push_back(std::move(digest));
      if (std::exchange(posted_, true)) return;
    }
    post_delivery();
  }

  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    bytes_ = 0;
    messages_.clear();
    digests_.clear();
  }

  std::size_t held_bytes() const {
    std::lock_guard lock(mutex_);
    return bytes_;
  }

  Fullest fullest() const {
    std::lock_guard lock(mutex_);
    const auto kicks = std::count_if(messages_.begin(), messages_.end(), [](const Addressed& addressed) {
      return std::holds_alternative<Kick>(addressed.message);
    });
    return {messages_.size() - static_cast<std::size_t>(kicks), bytes_, digests_.size()};
  }

  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Addressed {
    UserId user;
    UserMessage message;
  };

  void post_delivery() {
    executor_.post([self = shared_from_this()] { self->deliver(); });
  }

  void deliver() {
    std::vector<Addressed> messages;
    std::vector<std::shared_ptr<const HeadDigest>> digests;
    std::size_t bytes = 0;
    {
      std::lock_guard lock(mutex_);
      posted_ = false;
      bytes = bytes_;  // a turn of the executor handles all of them, so these are all there are
      messages.swap(messages_);
      digests.swap(digests_);
    }
    // A handler may remove the subscriber: the run stops there.
    for (const Addressed& addressed : messages) {
      if (is_closed()) return;
      subscriber_->on_user_message(addressed.user, addressed.message);
    }
    messages.clear();
    release(bytes);
    for (const auto& digest : digests) {
      if (is_closed()) return;
      subscriber_->on_heads(digest);
    }
  }

  void release(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    if (!closed_) bytes_ -= bytes;
  }

  bool is_closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }

  Executor& executor_;
  Subscriber* const subscriber_;
  const std::size_t messages_max_;
  const std::size_t bytes_max_;
  std::atomic<std::uint64_t> dropped_{0};
  mutable std::mutex mutex_;
  std::vector<Addressed> messages_;
  std::size_t bytes_ = 0;  // of messages_ and of those that are being handled
  std::vector<std::shared_ptr<const HeadDigest>> digests_;
  bool posted_ = false;
  bool closed_ = false;
};

InProcessBus::~InProcessBus() {
  for (const auto& inbox : inboxes_) {
    if (inbox) inbox->close();
  }
}

Bus::SubscriberId InProcessBus::add_subscriber(Executor& executor, Subscriber& subscriber) {
  std::lock_guard lock(mutex_);
  for (std::size_t place = 0; place < kSubscribersMax; ++place) {
    if (inboxes_[place]) continue;
    inboxes_[place] = std::make_shared<Inbox>(executor, subscriber, inbox_messages_max_, inbox_bytes_max_);
    return static_cast<SubscriberId>(place);
  }
  CHATSDK_ASSERT(false && "more subscribers than kSubscribersMax");
  return 0;
}

void InProcessBus::remove_subscriber(SubscriberId subscriber) {
  std::lock_guard lock(mutex_);
  CHATSDK_ASSERT(subscriber < kSubscribersMax && inboxes_[subscriber]);
  inboxes_[subscriber]->close();
  inboxes_[subscriber].reset();
  const std::uint64_t others = ~(std::uint64_t{1} << subscriber);
  for (auto place = subscribers_of_.begin(); place != subscribers_of_.end();) {
    place->second &= others;
    place = place->second == 0 ? subscribers_of_.erase(place) : std::next(place);
  }
}

void InProcessBus::follow(SubscriberId subscriber, const UserId& user) {
  CHATSDK_ASSERT(subscriber < kSubscribersMax);
  std::lock_guard lock(mutex_);
  subscribers_of_[user] |= std::uint64_t{1} << subscriber;
}

void InProcessBus::unfollow(SubscriberId subscriber, const UserId& user) {
  CHATSDK_ASSERT(subscriber < kSubscribersMax);
  std::lock_guard lock(mutex_);
  const auto found = subscribers_of_.find(user);
  if (found == subscribers_of_.end()) return;
  found->second &= ~(std::uint64_t{1} << subscriber);
  if (found->second == 0) subscribers_of_.erase(found);
}

void InProcessBus::publish(const UserId& user, UserMessage message) {
  std::lock_guard lock(mutex_);
  const auto found = subscribers_of_.find(user);
  if (found == subscribers_of_.end()) return;
  for (std::uint64_t rest = found->second; rest != 0; rest &= rest - 1) {
    inboxes_[static_cast<std::size_t>(std::countr_zero(rest))]->put(user, message);
  }
}

void InProcessBus::publish_heads(std::shared_ptr<const HeadDigest> digest) {
  std::lock_guard lock(mutex_);
  for (const auto& inbox : inboxes_) {
    if (inbox) inbox->put_heads(digest);
  }
}

std::size_t InProcessBus::held_bytes() const {
  std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& inbox : inboxes_) {
    if (inbox) sum += inbox->held_bytes();
  }
  return sum;
}

InProcessBus::Fullest InProcessBus::fullest() const {
  std::lock_guard lock(mutex_);
  Fullest most;
  for (const auto& inbox : inboxes_) {
    if (!inbox) continue;
    const Fullest held = inbox->fullest();
    most = {std::max(most.hints, held.hints), std::max(most.bytes, held.bytes), std::max(most.digests, held.digests)};
  }
  return most;
}

std::uint64_t InProcessBus::dropped() const {
  std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& inbox : inboxes_) {
    if (inbox) sum += inbox->dropped();
  }
  return sum;
}

}  // namespace chatsdk::server
