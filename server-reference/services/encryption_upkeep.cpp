// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/encryption_upkeep.h"

#include <utility>

#include "base/limits.h"

namespace chatsdk::server {

EncryptionUpkeep::EncryptionUpkeep(SubmitWrite submit, Executor& writer)
    : submit_(std::move(submit)), writer_(writer), self_(std::make_shared<EncryptionUpkeep*>(this)) {}

EncryptionUpkeep::~EncryptionUpkeep() {
  if (extend_timer_ != 0) writer_.cancel(extend_timer_);
  if (purge_timer_ != 0) writer_.cancel(purge_timer_);
}

void EncryptionUpkeep::start() {
  extend();
  purge_later();
}

void EncryptionUpkeep::rosters_due() {
  writer_.post([weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->extend();
  });
}

template <typename Then>
void EncryptionUpkeep::submit(WriteOp op, Then then) {
  submit_(
      std::move(op),
      [weak = std::weak_ptr(self_), then](Result<WriteAnswer> answer) {
        if (const auto self = weak.lock()) then(**self, answer);
      },
      writer_);
}

// ---- Rosters -------------------------------------------------------------------------------------------------------

void EncryptionUpkeep::extend() {
  if (std::exchange(extending_, true)) {
    extend_again_ = true;
    return;
  }
  submit(ExtendRosters{limits::e2ee::kRostersExtended, writer_.clock().wall_now()},
         [](EncryptionUpkeep& upkeep, const Result<WriteAnswer>& answer) { upkeep.on_extended(answer); });
}

void EncryptionUpkeep::on_extended(const Result<WriteAnswer>& answer) {
  if (!answer.ok()) {
    // Refused for now: the queue is full, or the disk. A server that stops hears no more of it.
    extend_timer_ = writer_.post_after(limits::kRetryQueueFull, [this] {
      extend_timer_ = 0;
      extending_ = false;
      extend();
    });
    return;
  }
  extending_ = false;
  const auto* extended = std::get_if<RostersExtended>(&*answer);
  const bool more = extended != nullptr && extended->more;
  if (std::exchange(extend_again_, false) || more) extend();
}

// ---- What is over --------------------------------------------------------------------------------------------------

void EncryptionUpkeep::purge_later() {
  purge_timer_ = writer_.post_after(limits::e2ee::kUpkeepInterval, [this] {
    purge_timer_ = 0;
    purge_staged();
  });
}

void EncryptionUpkeep::purge_staged() {
  submit(PurgeStaged{writer_.clock().wall_now()},
         [](EncryptionUpkeep& upkeep, const Result<WriteAnswer>&) { upkeep.purge_links(); });
}

void EncryptionUpkeep::purge_links() {
  submit(PurgeLinks{writer_.clock().wall_now()},
         [](EncryptionUpkeep& upkeep, const Result<WriteAnswer>&) { upkeep.purge_later(); });
}

}  // namespace chatsdk::server
