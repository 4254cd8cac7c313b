// SPDX-License-Identifier: Apache-2.0
//
// Encryption's tables from their first day on: made in a store of before, and after a power cut behind every single
// change of a file as they were before the transaction that was cut, or as they were after it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "device_store_fixture.h"
#include "recording_vfs.h"
#include "store/e2ee_store.h"
#include "unit/e2ee/devices.h"
#include "unit/store/e2ee_keeper.h"

namespace chatsdk {
namespace {

class E2eeFiles : public DeviceStoreTest {
 protected:
  Result<std::unique_ptr<E2eeStore>> try_e2ee() { return E2eeStore::open(*store_); }
  // What the file says, but for what opening and closing write by themselves.
  static std::string tables(DeviceStore& store) {
    const std::string all = e2ee::all_tables(store.inside().db);
    const std::size_t meta = all.find("\nmeta\n");
    return all.substr(0, meta) + all.substr(all.find('\n', meta + 6));
  }
};

// ---- Versions ------------------------------------------------------------------------------------------------------

TEST_F(E2eeFiles, AreMadeInAStoreOfBeforeAndLeaveItAsItWas) {
  const auto chat = open_chat();
  must(queue(chat, 1, "waits"));
  const auto before = history(chat);
  {
    auto e2ee = must(try_e2ee());
    EXPECT_FALSE(must(e2ee->notes().roster(kChat)).has_value());
  }
  EXPECT_EQ(history(chat), before);
  reopen();  // by who knows nothing of encryption
  EXPECT_EQ(history(chat), before);
  must(accept(1, 2));
  reopen();
  auto e2ee = must(try_e2ee());
  EXPECT_EQ(must(e2ee->notes().counter()), 0U);
}

TEST_F(E2eeFiles, AreMadeInAStoreOfAnOlderSchema) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 7, "old")));
  const auto before = history(chat);
  must(store_->inside().db.execute(kToVersion2));
  reopen();
  auto e2ee = must(try_e2ee());
  EXPECT_EQ(history(chat), before);
  must(e2ee->write([](E2eeTransaction& tx) { return tx.notes().note_encrypted_with(kBob); }));
  e2ee.reset();
  reopen();
  e2ee = must(try_e2ee());
  EXPECT_TRUE(must(e2ee->notes().is_encrypted_with(kBob)));
}

TEST_F(E2eeFiles, OfALaterVersionAreLeftAlone) {
  open_as_ann();
  must(try_e2ee());
  must(store_->inside().db.execute("UPDATE e2ee_meta SET version = version + 1"));
  const std::string before = tables(*store_);
  const auto opened = try_e2ee();
  EXPECT_EQ(opened.code(), Code::kSchemaTooNew);
  const std::string known = std::to_string(e2ee_schema::kVersion);
  const std::string later = std::to_string(e2ee_schema::kVersion + 1);
  EXPECT_EQ(opened.error().detail, "encryption's tables of version " + later + ", this library knows " + known);
  EXPECT_EQ(tables(*store_), before);
}

TEST_F(E2eeFiles, ThatDoNotSayWhichTheyAreAreCorrupt) {
  open_as_ann();
  must(try_e2ee());
  for (const char* damage : {"UPDATE e2ee_meta SET version = 0", "DELETE FROM e2ee_meta"}) {
    must(store_->inside().db.execute(damage));
    const std::string before = tables(*store_);
    EXPECT_EQ(try_e2ee().code(), Code::kCorrupt) << damage;
    EXPECT_EQ(tables(*store_), before) << damage;
  }
}

// An app whose store is refused makes it anew; it could not if the store itself were found whole.
TEST_F(E2eeFiles, ThatAreDamagedAreTheStores) {
  open_as_ann();
  must(try_e2ee());
  must(store_->inside().db.execute("DELETE FROM e2ee_meta"));
  close();
  DeviceStoreOptions with_e2ee = options();
  with_e2ee.opens_with = E2eeStore::prepare;
  const auto refused = DeviceStore::open(with_e2ee, random_, clock_);
  EXPECT_EQ(refused.code(), Code::kCorrupt);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("store.db.corrupt-1"));
  with_e2ee.start_afresh = true;
  auto anew = must(DeviceStore::open(with_e2ee, random_, clock_));
  E2eeStore e2ee(*anew);
  EXPECT_EQ(must(e2ee.notes().counter()), 0U);
}

TEST_F(E2eeFiles, EveryTableIsNamed) {
  open_as_ann();
  must(try_e2ee());
  rows::Statements sql(store_->inside().db);
  std::size_t named = 0;
  must(e2ee::for_each_row(sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'e2ee%'"),
                          [&named](const sqlite::Statement& row) -> Status {
                            const auto all = e2ee_schema::tables();
                            EXPECT_NE(std::find(all.begin(), all.end(), row.text(0)), all.end()) << row.text(0);
                            ++named;
                            return {};
                          }));
  EXPECT_EQ(named, e2ee_schema::tables().size());
}

// ---- Power cuts ----------------------------------------------------------------------------------------------------

class E2eePower : public E2eeFiles {
 protected:
  void put(const std::map<std::string, std::string>& wanted) {
    close();
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) std::filesystem::remove(entry.path());
    for (const auto& [name, bytes] : wanted) std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  void moment() { moments_.push_back({recorder_.changes().size(), tables(*store_)}); }
  // Each cut leaves one of the two moments that it lies between.
  void check_every_cut() {
    close();
    base_vfs_.clear();
    std::size_t reached = 0;
    std::size_t before_seen = 0;
    std::size_t after_seen = 0;
    for (std::size_t count = moments_.front().changes; count <= recorder_.changes().size(); ++count) {
      while (reached + 1 < moments_.size() && moments_[reached + 1].changes <= count) ++reached;
      for (const auto cut : {RecordingVfs::Cut::kNothingLost, RecordingVfs::Cut::kAnyLost}) {
        SeededRandom fate(count);
        put(recorder_.files_after(count, cut, fate));
        auto opened = try_open();
        ASSERT_TRUE(opened.ok()) << "cut behind change " << count << ": " << opened.error().detail;
        const std::string left = tables(**opened);
        const bool before = left == moments_[reached].tables;
        const bool after = reached + 1 < moments_.size() && left == moments_[reached + 1].tables;
        ASSERT_TRUE(before || after) << "cut behind change " << count << ", after moment " << reached;
        before_seen += before ? 1 : 0;
        after_seen += after ? 1 : 0;
      }
    }
    EXPECT_EQ(reached + 1, moments_.size());
    EXPECT_GT(before_seen, 0U);
    EXPECT_GT(after_seen, 0U) << "no cut fell behind a commit's last write";
  }

  struct Moment {
    std::size_t changes = 0;
    std::string tables;
  };
  RecordingVfs recorder_;
  std::vector<Moment> moments_;
};

TEST_F(E2eePower, ACutLeavesASendOrAReceiptWholeOrNotAtAll) {
  e2ee::Two two;
  two.talk();
  base_vfs_ = recorder_.name();
  const auto chat = open_chat();
  moment();
  auto kept = must(try_e2ee());
  moment();
  e2ee::MemoryState& from = two.alice.state;
  const e2ee::Peer bob = two.bob.peer();
  must(kept->write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_TRY(tx.state().put_self(must(from.self())->clone()));
    for (const UserId user_id : {"alice", "bob"}) CHATSDK_TRY(tx.state().put_user(*must(from.user(user_id))));
    for (const auto& summary : must(from.sessions(bob))) {
      CHATSDK_TRY(tx.state().put_session(bob, *must(from.session(bob, summary.session_id))));
    }
    return {};
  }));
  moment();
  for (std::uint64_t i = 0; i < 3; ++i) {
    // Sent: chain step, slices, notes and the mark in one.
    must(queue(chat, 1 + i, "out"));
    moment();
    must(kept->write([&](E2eeTransaction& tx) -> Status {
      e2ee::Envelope envelope = e2ee::Device::text_envelope("out");
      envelope.client_message_id = client_id(1 + i);
      e2ee::Encrypted encrypted;
      CHATSDK_ASSIGN(Bytes slice, e2ee::encrypt_for(tx.state(), bob, e2ee::serialize(envelope), random_));
      encrypted.slices.push_back({bob, std::move(slice)});
      CHATSDK_ASSIGN(encrypted.counter, tx.notes().take_counter());
      const e2ee::SentTo sent_to[] = {{bob, {}}};
      CHATSDK_TRY(tx.notes().note_sent(envelope, sent_to, 5));
      CHATSDK_TRY(tx.notes().put_out(client_id(1 + i), encrypted));
      return tx.mark_on_wire(client_id(1 + i));
    }));
    moment();
    // Received: session, content and cursor in one.
    const Bytes message = two.bob.write(two.alice, "in");
    must(kept->write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(const e2ee::Received received, e2ee::receive_slice(tx.state(), two.alice.item(two.bob, message),
                                                                        e2ee::kThen, own_kem(), nullptr));
      EXPECT_EQ(received.envelope.body, "in");
      return tx.apply(ItemsOf(kChat, 1 + i).message(kBob, 100 + i, "in")).ok() ? Status()
                                                                               : error(Code::kInternal, "not applied");
    }));
    moment();
    if (i == 1) {
      kept.reset();
      reopen();
      moment();
      kept = must(try_e2ee());
    }
  }
  kept.reset();
  check_every_cut();
}

}  // namespace
}  // namespace chatsdk
