// SPDX-License-Identifier: Apache-2.0
//
// What leaves a device for an encrypted conversation with bob, with a server that the test plays by hand.
//
// Threads: one.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "unit/engine/encrypted_engine.h"

namespace chatsdk::test {

class EncryptedSending : public EncryptedEngine {
 protected:
  // Online, in a conversation whose roster has these lists of bob's.
  void begin(const std::vector<wire::SignedList>& bobs) {
    begin_account();
    go_online();
    deliver_and_run(items_frame(kStream, 0, {roster_with_lists(bobs)}));
  }
  void begin() { begin({bobs_list()}); }
  // With the bundles that are asked for.
  void send_whole(const std::string& text) {
    const std::size_t asked = bundles_asked().size();
    ASSERT_TRUE(send(text).ok());
    run();
    const auto now_asked = bundles_asked();
    for (std::size_t i = asked; i < now_asked.size(); ++i) give_bundles(now_asked[i]);
  }
  void refuse(const wire::Send& sent, const std::vector<wire::SignedList>& lists = {}, std::uint64_t revision = 1) {
    wire::ServerFrame frame;
    frame.mutable_send_result()->set_client_message_id(sent.client_message_id());
    wire::RosterChanged& changed = *frame.mutable_send_result()->mutable_roster_changed();
    changed.set_revision(revision);
    changed.set_encryption_counter(sent.encryption_counter());
    for (const wire::SignedList& list : lists) *changed.add_lists() = list;
    deliver_and_run(frame);
  }
  wire::Send before_last() { return *(sends().rbegin() + 1); }
  MessageState state_of(const wire::Send& sent) {
    return state(*ClientMessageId::from_bytes(sent.client_message_id()));
  }
  static std::vector<std::uint64_t> receivers(const wire::Send& sent) {
    std::vector<std::uint64_t> devices;
    for (const wire::Slice& slice : sent.slices()) devices.push_back(slice.device_id());
    return devices;
  }
};

}  // namespace chatsdk::test
