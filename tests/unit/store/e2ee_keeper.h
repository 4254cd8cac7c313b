// SPDX-License-Identifier: Apache-2.0
//
// A device's end-to-end state in a device store, for tests of what works on states, and what the tables hold: as rows
// of docs/e2ee.md section 20, and whole, so that two moments can be compared.
//
// Threads: one owner.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "store/device_store.h"
#include "store/e2ee_rows.h"
#include "store/e2ee_schema.h"
#include "store/e2ee_store.h"
#include "support/e2ee/state_keeper.h"

namespace chatsdk::e2ee {

// Reads a whole state through its interface, and the names of what it holds from the tables.
inline Status copy_state(sqlite::Database& db, MemoryState& copy) {
  rows::Statements sql(db);
  SqlState kept(db, sql);
  CHATSDK_ASSIGN(const Self* self, kept.self());
  if (self != nullptr) CHATSDK_TRY(copy.put_self(self->clone()));
  CHATSDK_ASSIGN(const auto next_self, kept.next_self());
  if (next_self) CHATSDK_TRY(copy.put_next_self(*next_self));
  CHATSDK_ASSIGN(const auto prekeys, kept.prekeys());
  for (const PrekeySummary& summary : prekeys) {
    CHATSDK_ASSIGN(auto prekey, kept.prekey(summary.key_id));
    CHATSDK_TRY(copy.put_prekey(std::move(*prekey)));
  }
  CHATSDK_TRY(for_each_row(sql("SELECT key_id, ephemeral FROM e2ee_seen"), [&](const sqlite::Statement& row) {
    return copy.note_seen(static_cast<std::uint32_t>(row.integer(0)), AgreementKey::from(row.blob(1)));
  }));
  CHATSDK_TRY(for_each_row(sql("SELECT user FROM e2ee_user"), [&](const sqlite::Statement& row) -> Status {
    CHATSDK_ASSIGN(const KnownUser* user, kept.user(UserId(row.text(0))));
    return copy.put_user(*user);
  }));
  CHATSDK_TRY(for_each_row(sql("SELECT user, device, session_id FROM e2ee_session"),
                           [&](const sqlite::Statement& row) -> Status {
                             const Peer peer{UserId(row.text(0)), DeviceId{rows::unsigned_at(row, 1)}};
                             CHATSDK_ASSIGN(const auto session, kept.session(peer, SessionId::from(row.blob(2))));
                             return copy.put_session(peer, *session);
                           }));
  CHATSDK_TRY(
      for_each_row(sql("SELECT group_id FROM e2ee_own_chain"), [&](const sqlite::Statement& row) -> Status {
        CHATSDK_ASSIGN(auto chain, kept.own_chain(GroupId::from(row.blob(0))));
        return copy.put_own_chain(std::move(*chain));
      }));
  return for_each_row(sql("SELECT DISTINCT group_id, user, device FROM e2ee_received_chain"),
                      [&](const sqlite::Statement& row) -> Status {
                        const Peer peer{UserId(row.text(1)), DeviceId{rows::unsigned_at(row, 2)}};
                        CHATSDK_ASSIGN(auto chains, kept.received_chains(GroupId::from(row.blob(0)), peer));
                        for (ReceivedChain& chain : chains) CHATSDK_TRY(copy.put_received_chain(std::move(chain)));
                        return {};
                      });
}

// Every row of every table of the file, the revision apart.
inline std::string all_tables(sqlite::Database& db) {
  std::string all;
  auto tables =
      db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence' ORDER BY 1");
  while (tables->step().value()) {
    const std::string name(tables->text(0));
    all.append(name).append("\n");
    auto read = db.prepare("SELECT * FROM " + name);
    while (read->step().value()) {
      for (int column = 0; column < read->column_count(); ++column) {
        all.append(read->is_null(column) ? std::string("-") : to_hex(read->blob(column))).append(" ");
      }
      all.append("\n");
    }
  }
  return all;
}

// In a directory of its own, which goes with it.
class StoreKeeper final : public StateKeeper {
 public:
  // after_each: everything is read again after each operation.
  StoreKeeper(std::filesystem::path directory, bool after_each)
      : directory_(std::move(directory)), after_each_(after_each) {
    std::filesystem::create_directories(directory_);
    EXPECT_TRUE(reload().ok());
  }
  ~StoreKeeper() override {
    e2ee_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  State& state() override { return e2ee_->state(); }
  Status run(const std::function<Status()>& operation) override {
    const auto written = e2ee_->write([&operation](E2eeTransaction&) { return operation(); });
    if (after_each_) CHATSDK_TRY(open_e2ee());
    return written.ok() ? Status() : Status(written.error());
  }
  std::size_t writes() override { return static_cast<std::size_t>(db().total_changes()) + writes_before_; }
  Hash hash() override {
    MemoryState copy;
    const Status copied = copy_state(db(), copy);
    EXPECT_TRUE(copied.ok()) << copied.error().detail;
    return copy.hash();
  }
  Status reload() override {
    if (store_) writes_before_ = writes();
    e2ee_.reset();
    store_.reset();
    DeviceStoreOptions options;
    options.path = (directory_ / "store.db").string();
    options.key = &key_;
    CHATSDK_ASSIGN(store_, DeviceStore::open(options, random_, clock_));
    return open_e2ee();
  }

  sqlite::Database& db() { return store_->inside().db; }
  DeviceStore& store() { return *store_; }
  E2eeStore& e2ee() { return *e2ee_; }

 private:
  Status open_e2ee() {
    CHATSDK_ASSIGN(e2ee_, E2eeStore::open(*store_));
    return {};
  }

  std::filesystem::path directory_;
  bool after_each_;
  StoreKey key_ = StoreKey::copy_of(std::string(32, 'k'));
  SeededRandom random_{1};
  ManualClock clock_{from_unix_ms(1'800'000'000'000)};
  std::size_t writes_before_ = 0;
  std::unique_ptr<DeviceStore> store_;
  std::unique_ptr<E2eeStore> e2ee_;
};

}  // namespace chatsdk::e2ee
