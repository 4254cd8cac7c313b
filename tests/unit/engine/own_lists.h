// SPDX-License-Identifier: Apache-2.0
//
// A device of alice's whose list names others of hers, on a server whose lists the test changes as those would.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "unit/engine/encrypted_engine.h"

namespace chatsdk::test {

inline constexpr std::uint64_t kTablet = 8;
inline constexpr std::uint64_t kLaptop = 9;
inline constexpr std::uint64_t kDesk = 10;

// Alice's phone is this device; her tablet and her laptop stand in version 2.
class OwnBranches : public EncryptedEngine {
 protected:
  OwnBranches() {
    begin_account();
    serve_own_keys();
    add({kTablet, kLaptop}, {});
    go_online();
    deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bobs_list()})}));
    EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  }
  // Some device of alice's makes the next version on the server.
  void add(const std::vector<std::uint64_t>& in, const std::vector<std::uint64_t>& out) {
    std::vector<e2ee::DeviceRecord> records;
    for (const std::uint64_t device : in) {
      records.push_back(e2ee::make_device_record({"alice", DeviceId{device}, e2ee::kSuitesSpoken, e2ee::kThen, {}},
                                                 e2ee::DeviceKeys::draw(random_)));
      server_records_.push_back(records.back().bytes);
    }
    std::vector<DeviceId> removed;
    for (const std::uint64_t device : out) removed.push_back(DeviceId{device});
    const auto list = e2ee::next_device_list(server_lists_.back(), e2ee_->state().self().value()->account_seed, records,
                                             removed, e2ee::kThen);
    ASSERT_TRUE(list.ok());
    server_lists_.push_back(*list);
  }
  // The phone hears of what the server has.
  void look() {
    deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
    ++heard_;
    ASSERT_EQ(known(), server_lists_.back());
  }
  static wire::Item devices_changed(Seq seq) {
    wire::Item item;
    item.set_seq(seq);
    item.set_kind(wire::ITEM_KIND_DEVICES_CHANGED);
    return item;
  }
  // The server has what it had then, and what a device that knew no better has made of it.
  void put_back(const std::vector<e2ee::DeviceList>& lists) {
    drop();
    ++epoch_;
    server_lists_ = lists;
  }
  void come_back() {
    sink_.encryption_events.clear();
    advance(std::chrono::minutes(2));
    ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  }
  e2ee::DeviceList known() { return e2ee_->state().user("alice").value()->newest(); }
  static std::vector<std::uint64_t> devices(const e2ee::DeviceList& list) {
    std::vector<std::uint64_t> ids;
    for (const e2ee::ListedDevice& device : list.devices) ids.push_back(device.device_id.value);
    return ids;
  }
  std::size_t told(e2ee::EventKind kind) const {
    return static_cast<std::size_t>(
        std::count_if(sink_.encryption_events.begin(), sink_.encryption_events.end(),
                      [kind](const e2ee::Event& event) { return event.kind == kind && event.user_id == "alice"; }));
  }
  // Nothing waits for the list any more.
  void expect_that_it_sends() {
    EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
    EXPECT_FALSE(*e2ee_->notes().list_in_doubt());
    ASSERT_TRUE(send("after all").ok());
    run();
    for (std::size_t i = 0; i < bundles_asked().size(); ++i) {
      give_bundles(bundles_asked()[i]);
    }
    EXPECT_EQ(sends().size(), 1U);
  }

  Seq heard_ = 0;
};

}  // namespace chatsdk::test
