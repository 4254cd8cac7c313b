// SPDX-License-Identifier: Apache-2.0
//
// A bus that loses, repeats, delays and thereby reorders hints and digests, as a network between server nodes would.
// Kicks are lost too: what must hold does not lean on any of them.
//
// Threads: one.
#pragma once

#include <utility>

#include "base/random.h"
#include "server-reference/bus/in_process_bus.h"
#include "sim/scheduler.h"

namespace chatsdk::sim {

class LossyBus final : public server::Bus {
 public:
  // Chances in 1,000.
  struct Losses {
    std::uint32_t drop = 0;
    std::uint32_t repeat = 0;
    std::uint32_t delay = 0;
    // What came of them, over the whole run.
    std::uint64_t dropped = 0;
    std::uint64_t repeated = 0;
    std::uint64_t delayed = 0;
    void end() { drop = repeat = delay = 0; }
  };

  LossyBus(Scheduler& scheduler, Losses& losses, SeededRandom& random, std::size_t inbox_hints_max)
      : bus_(inbox_hints_max),
        scheduler_(scheduler),
        losses_(losses),
        random_(random),
        self_(std::make_shared<LossyBus*>(this)) {}

  SubscriberId add_subscriber(Executor& executor, Subscriber& subscriber) override {
    return bus_.add_subscriber(executor, subscriber);
  }
  void remove_subscriber(SubscriberId subscriber) override { bus_.remove_subscriber(subscriber); }
  void follow(SubscriberId subscriber, const UserId& user) override { bus_.follow(subscriber, user); }
  void unfollow(SubscriberId subscriber, const UserId& user) override { bus_.unfollow(subscriber, user); }
  void publish(const UserId& user, server::UserMessage message) override {
    spoil([this, user, message = std::move(message)] { bus_.publish(user, message); });
  }
  void publish_heads(std::shared_ptr<const server::HeadDigest> digest) override {
    spoil([this, digest = std::move(digest)] { bus_.publish_heads(digest); });
  }
  server::InProcessBus::Fullest fullest() const { return bus_.fullest(); }

 private:
  bool chance(std::uint32_t per_mille) { return per_mille != 0 && random_.below(1000) < per_mille; }

  template <typename Publish>
  void spoil(Publish publish) {
    if (chance(losses_.drop)) {
      ++losses_.dropped;
      return;
    }
    if (chance(losses_.repeat)) {
      ++losses_.repeated;
      publish();
    }
    if (!chance(losses_.delay)) return publish();
    ++losses_.delayed;
    scheduler_.after(std::chrono::microseconds(random_.below(5'000'000)),
                     [publish, alive = std::weak_ptr<LossyBus*>(self_)] {
                       if (!alive.expired()) publish();
                     });
  }

  server::InProcessBus bus_;
  Scheduler& scheduler_;
  Losses& losses_;
  SeededRandom& random_;
  std::shared_ptr<LossyBus*> self_;
};

}  // namespace chatsdk::sim
