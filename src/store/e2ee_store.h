// SPDX-License-Identifier: Apache-2.0
//
// End-to-end encryption's part of a device store: its tables in the store's file, written by the store's one writer in
// the store's transactions, so that a message and what its encryption or decryption changed are there both or neither.
// It decides nothing: what a message does to the state is known by e2ee/.
//
//   CHATSDK_ASSIGN(const Changes changes, store.write([&](E2eeTransaction& transaction) -> Status {
//     CHATSDK_ASSIGN(received, e2ee::receive_slice(transaction.state(), item, ...));
//     ...
//   }));
//
// Threads: the writer's, the engine's executor.
// Invariants:
//   1. write() that returns ok has committed with synchronous=FULL; one that returns an error has changed nothing, in
//      the file or in memory.
#pragma once

#include <memory>
#include <utility>

#include "base/result.h"
#include "store/device_store_impl.h"
#include "store/e2ee_notes.h"
#include "store/e2ee_state.h"

namespace chatsdk {

// What is at hand while a transaction is open.
class E2eeTransaction {
 public:
  E2eeTransaction(DeviceStore::Impl& store, e2ee::SqlState& state, e2ee::SqlNotes& notes, Changes& changes)
      : store_(store), state_(state), notes_(notes), changes_(changes) {}

  e2ee::State& state() { return state_; }
  e2ee::SqlNotes& notes() { return notes_; }
  e2ee::Kept kept() { return {state_, notes_}; }

  // DeviceStore's functions of these names as parts of this transaction.
  Result<std::optional<StreamCursor>> cursor(StreamId stream) { return store_.cursor(stream); }
  Result<DeviceStore::Applied> apply(const wire::Items& items);
  Status apply(const wire::Marks& marks) { return store_.apply_marks(marks, changes_); }
  // The conversation of a stream; none before its first item.
  Result<std::optional<ConversationState>> conversation(ConversationId id) { return store_.find_conversation(id); }
  // One item of an encrypted conversation, as it came, and what DirectConversations::receive() made of it: its content
  // stands in its place decrypted, or a placeholder does. Items are received and applied one by one, since a repair
  // reads what the items before it have stored.
  Result<DeviceStore::Applied> apply(const wire::Items& one, const e2ee::Item& item, const e2ee::ItemResult& result);
  Result<std::optional<ConversationState>> conversation(ConversationKey key) { return store_.find_conversation(key); }
  // A task that is encrypted takes its place in the outbox, and leaves it. number_is_open: the server was asked, and
  // has nothing of it; else the next answer says which number is due.
  Status enqueue_task(ConversationKey conversation, const ClientMessageId& id) {
    return store_.insert_task_row(conversation, id);
  }
  Status take_back_task(const ClientMessageId& id, bool number_is_open);
  Result<bool> is_in_outbox(const ClientMessageId& id);
  Status mark_on_wire(const ClientMessageId& id) { return store_.mark_on_wire(id, changes_); }

 private:
  Status settle(const e2ee::Item& item, const e2ee::ItemResult& result);

  DeviceStore::Impl& store_;
  e2ee::SqlState& state_;
  e2ee::SqlNotes& notes_;
  Changes& changes_;
};

class E2eeStore {
 public:
  // For DeviceStoreOptions::opens_with. Makes the tables where they are not there, and checks their structure.
  // SCHEMA_TOO_NEW; CORRUPT; what the store's own opening says.
  static Status prepare(DeviceStore::Impl& store);
  // Of a store that was opened with prepare(), and outlives it.
  explicit E2eeStore(DeviceStore& store) : E2eeStore(store.inside()) {}
  // Of one that was not.
  static Result<std::unique_ptr<E2eeStore>> open(DeviceStore& store);
  E2eeStore(const E2eeStore&) = delete;
  E2eeStore& operator=(const E2eeStore&) = delete;

  // Whether any transaction since the last look had Changes::fewer_missing.
  bool take_fewer_missing() { return std::exchange(fewer_missing_, false); }
  // Changes::unsealed of all transactions since the last look.
  std::vector<UserId> take_unsealed() { return std::exchange(unsealed_, {}); }

  // For looking, outside of a transaction.
  e2ee::State& state() { return state_; }
  e2ee::SqlNotes& notes() { return notes_; }
  // Runs body(E2eeTransaction&) -> Status in one transaction of the store.
  template <typename Body>
  Result<Changes> write(Body&& body) {
    state_.begin();
    try {
      Result<Changes> written = store_.write([&](Changes& changes) -> Status {
        notes_.begin(changes);
        E2eeTransaction transaction(store_, state_, notes_, changes);
        return body(transaction);
      });
      if (!written.ok()) {
        state_.forget();
      } else {
        fewer_missing_ = fewer_missing_ || written->fewer_missing;
        unsealed_.insert(unsealed_.end(), written->unsealed.begin(), written->unsealed.end());
      }
      return written;
    } catch (...) {
      state_.forget();  // no memory was left in the middle; the transaction has rolled back
      throw;
    }
  }

 private:
  explicit E2eeStore(DeviceStore::Impl& store) : store_(store), state_(store.db, store.sql), notes_(store) {}

  DeviceStore::Impl& store_;
  e2ee::SqlState state_;
  e2ee::SqlNotes notes_;
  bool fewer_missing_ = false;
  std::vector<UserId> unsealed_;
};

}  // namespace chatsdk
