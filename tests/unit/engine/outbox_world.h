// SPDX-License-Identifier: Apache-2.0
//
// The engine's world with what tests of the outbox ask of the server that they play.
//
// Threads: one.
#pragma once

#include <map>
#include <string>

#include "unit/engine/engine_world.h"

namespace chatsdk::test {

class Outbox : public EngineWorld {
 protected:
  // Accepts every send of the last connection that was not answered yet, in order.
  void accept_all() {
    for (const wire::Send& send : sends()) {
      if (answered_[send.client_message_id()]++ == 0) deliver(accepted_frame(send.client_message_id(), ++seq_));
    }
    run();
  }
  static wire::ServerFrame out_of_order_frame(const ClientMessageId& id, std::uint64_t expected) {
    wire::ServerFrame frame = refused_frame(std::string(id.view()), Code::kOutOfOrder);
    frame.mutable_send_result()->mutable_refused()->set_expected_send_number(expected);
    return frame;
  }
  std::map<std::string, int> answered_;
  Seq seq_ = 0;
};

}  // namespace chatsdk::test
