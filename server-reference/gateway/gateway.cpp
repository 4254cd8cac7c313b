// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/gateway.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/assert.h"

namespace chatsdk::server {

// The base class keeps a reference to options_, which is made after it and outlives its use.
Gateway::Gateway(const GatewayParts& parts, GatewayOptions gateway_options)
    : SessionShard(options_, parts.executor, parts.tokens, parts.marks, parts.directory, parts.log, parts.store_epoch),
      options_(std::move(gateway_options)),
      bus_(parts.bus),
      reader_executor_(parts.reader_executor),
      reader_(parts.reader),
      submit_write_(parts.submit_write),
      jitter_(parts.jitter),
      self_(std::make_shared<Gateway*>(this)),
      subscriber_(bus_.add_subscriber(executor, *this)) {}

Gateway::~Gateway() {
  sessions_.clear();
  bus_.remove_subscriber(subscriber_);
  if (tick_timer_ != 0) executor.cancel(tick_timer_);
}

// ---- The listener --------------------------------------------------------------------------------------------------

void Gateway::on_open(const ConnectionInfo& info, FrameSink& sink) {
  SessionShard& shard = *this;
  const auto [place, made] = sessions_.emplace(std::piecewise_construct, std::forward_as_tuple(info.id),
                                               std::forward_as_tuple(shard, info, sink));
  CHATSDK_ASSERT(made && info.id != 0);
  arm_tick();
  if (draining_) place->second.drain(reconnect_time());
}

void Gateway::on_frame(ConnectionId connection, BytesView frame) {
  if (GatewaySession* session = find(connection)) session->on_frame(frame);
}

void Gateway::on_closed(ConnectionId connection) {
  GatewaySession* session = find(connection);
  if (session == nullptr) return;
  session->on_closed();
  sessions_.erase(connection);
  finish_drain();
}

GatewaySession* Gateway::find(ConnectionId connection) {
  const auto found = sessions_.find(connection);
  return found == sessions_.end() ? nullptr : &found->second;
}

// ---- The bus -------------------------------------------------------------------------------------------------------

Gateway::Fullest Gateway::fullest() const {
  Fullest most;
  for (const auto& [connection, session] : sessions_) {
    const DeliveryWindow& window = session.window();
    most.window_items = std::max(most.window_items, window.items());
    if (window.items() > 1) most.window_bytes = std::max(most.window_bytes, window.bytes());
    most.sends_in_flight = std::max(most.sends_in_flight, session.sends_in_flight());
  }
  return most;
}

void Gateway::on_user_message(const UserId& user, const UserMessage& message) {
  const auto found = first_of_user_.find(user);
  if (found == first_of_user_.end()) return;
  GatewaySession* next = nullptr;
  for (GatewaySession* session = found->second; session != nullptr; session = next) {
    next = session->next_of_user;  // handling may end this session, and no other
    if (const auto* item = std::get_if<std::shared_ptr<const ItemHint>>(&message)) {
      session->on_item_hint(**item);
    } else if (const auto* moved = std::get_if<std::shared_ptr<const MarksHint>>(&message)) {
      session->on_marks_hint(**moved);
    } else if (const auto* kick = std::get_if<Kick>(&message)) {
      session->on_kick(*kick);
    } else if (const auto* keys = std::get_if<KeysHint>(&message)) {
      session->on_keys_hint(*keys);
    }
  }
}

void Gateway::on_heads(const std::shared_ptr<const HeadDigest>& digest) {
  const bool missed = digest->number > last_digest_ + 1;
  last_digest_ = std::max(last_digest_, digest->number);
  if (digest->heads.empty() && !missed) return;
  if (missed) log.write(LogLevel::kInfo, "gateway", "a digest was missed: the heads of all streams are read again");
  for (auto& [connection, session] : sessions_) {
    session.on_heads(*digest);
    if (missed) session.on_digest_missed();
  }
}

// ---- What sessions ask ---------------------------------------------------------------------------------------------

const UserId& Gateway::join(GatewaySession& session, const UserId& user) {
  const auto [place, first] = first_of_user_.try_emplace(user, nullptr);
  if (first) bus_.follow(subscriber_, user);
  session.next_of_user = place->second;
  place->second = &session;
  return place->first;
}

void Gateway::leave(GatewaySession& session) {
  const auto place = first_of_user_.find(*session.user());
  CHATSDK_ASSERT(place != first_of_user_.end());
  GatewaySession** link = &place->second;
  while (*link != &session) link = &(*link)->next_of_user;
  *link = session.next_of_user;
  session.next_of_user = nullptr;
  if (place->second != nullptr) return;
  bus_.unfollow(subscriber_, place->first);
  first_of_user_.erase(place);
}

void Gateway::announce(const GatewaySession& session) {
  bus_.publish(*session.user(), Kick{.user_id = *session.user(),
                                     .device_id = session.device(),
                                     .reason = Code::kReplaced,
                                     .except_connection = session.connection()});
}

void Gateway::read(const GatewaySession& session, Reading reading) {
  reader_executor_.post([weak = std::weak_ptr(self_), connection = session.connection(), &shard = executor,
                         &reader = reader_, reading = std::move(reading)]() mutable {
    shard.post([weak = std::move(weak), connection, continuation = reading(reader)]() mutable {
      const auto self = weak.lock();
      if (!self) return;
      if (GatewaySession* found = (*self)->find(connection)) continuation(*found);
    });
  });
}

void Gateway::write(const GatewaySession& session, WriteOp op, Answered answered) {
  submit_write_(
      std::move(op),
      [weak = std::weak_ptr(self_), connection = session.connection(),
       answered = std::move(answered)](Result<WriteAnswer> answer) mutable {
        const auto self = weak.lock();
        if (!self) return;
        if (GatewaySession* found = (*self)->find(connection)) answered(*found, std::move(answer));
      },
      executor);
}

// ---- Time and the end ----------------------------------------------------------------------------------------------

void Gateway::arm_tick() {
  if (tick_timer_ != 0) return;
  tick_timer_ = executor.post_after(kTickPeriod, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->tick();
  });
}

void Gateway::tick() {
  tick_timer_ = 0;
  for (auto& [connection, session] : sessions_) session.tick();
  if (sessions_.empty()) return refusals.tell_counted();
  refusals.look();
  arm_tick();
}

std::chrono::milliseconds Gateway::reconnect_time() {
  const auto spread = static_cast<std::uint64_t>(std::max<std::int64_t>(options_.drain_spread.count(), 1));
  return std::chrono::milliseconds(jitter_.below(spread));
}

void Gateway::drain(Task done) {
  draining_ = true;
  drained_ = std::move(done);
  for (auto& [connection, session] : sessions_) session.drain(reconnect_time());
  finish_drain();
}

void Gateway::finish_drain() {
  if (!draining_ || !sessions_.empty() || !drained_) return;
  std::exchange(drained_, {})();
}

}  // namespace chatsdk::server
