// SPDX-License-Identifier: Apache-2.0
//
// What stands beside an encrypted item: the slices that were staged for it, those that wait for their devices, and the
// count of a device's encrypted items. It compares sizes, devices and times; what a slice holds is nobody's business
// here, and who is to have one is the message writer's.
//
// Threads: the writer's.
// Invariants:
//   1. A slice is stored for a device until that device has acknowledged its item, has other keys or is no more.
//   2. At most limits::e2ee::kStagedBytesMax of a device are staged.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "server-reference/store/open_sessions.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// In each call the Status tells whether the store works; the op's own answer or refusal goes to `answer`.
class SliceWriter {
 public:
  SliceWriter(sqlite::Database& db, OpenSessions& sessions) : db_(db), sessions_(sessions) {}
  Status prepare();

  Status apply(const StageSlices& op, Result<WriteAnswer>& answer);
  Status apply(const PurgeStaged& op, Result<WriteAnswer>& answer);

  // All slices of an item, those that were staged among them. It borrows from the op, and stays where it is.
  struct Set {
    std::vector<Bytes> chunks;
    std::vector<SliceView> slices;  // ascending by device_id
    std::optional<Error> refusal;
  };
  Result<Set> gather(const AppendMessage& op);
  Status discard_staged(DeviceId device, const ClientMessageId& id);

  // An encrypted item with this number of the device was accepted.
  Status count(DeviceId device, std::uint64_t counter);
  // The device has acknowledged all of (from, up_to].
  Status acknowledged(DeviceId device, StreamId stream, Seq from, Seq up_to);
  // Nothing waits for the device any more.
  Status forget(const UserId& user_id, DeviceId device);
  // Whether something waits for the device that it has not acknowledged.
  Result<bool> any_for(const UserId& user_id, DeviceId device);

 private:
  sqlite::Database& db_;
  OpenSessions& sessions_;

  sqlite::Statement select_staged_bytes_;
  sqlite::Statement put_staged_;
  sqlite::Statement select_staged_;
  sqlite::Statement delete_staged_;
  sqlite::Statement delete_staged_of_;
  sqlite::Statement delete_staged_before_;
  sqlite::Statement update_counter_;
  sqlite::Statement delete_acknowledged_;
  sqlite::Statement select_any_for_;
  sqlite::Statement delete_slices_of_;
};

}  // namespace chatsdk::server
