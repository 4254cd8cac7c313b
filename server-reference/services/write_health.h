// SPDX-License-Identifier: Apache-2.0
//
// What became of the store's last commit, for whoever asks whether this server takes writes. WatchedStore keeps it up
// to date; it is a Store around another, which it borrows, and changes nothing of what passes.
//
// Threads: a WriteHealth is read from any; a WatchedStore belongs to the writer's executor, as every Store.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "base/result.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class WriteHealth {
 public:
  // OK, also before the first commit; else why the last batch was not stored.
  Code last_commit() const { return last_.load(std::memory_order_relaxed); }
  void committed(Code code) { last_.store(code, std::memory_order_relaxed); }

 private:
  std::atomic<Code> last_ = Code::kOk;
};

class WatchedStore final : public Store {
 public:
  WatchedStore(Store& store, WriteHealth& health) : store_(store), health_(health) {}

  Result<CommitResult> commit(std::span<const WriteOp> ops) override {
    Result<CommitResult> result = store_.commit(ops);
    health_.committed(result.code());
    return result;
  }
  Result<std::unique_ptr<StoreReader>> open_reader() override { return store_.open_reader(); }
  std::uint64_t epoch() const override { return store_.epoch(); }
  Bytes secret() const override { return store_.secret(); }

 private:
  Store& store_;
  WriteHealth& health_;
};

}  // namespace chatsdk::server
