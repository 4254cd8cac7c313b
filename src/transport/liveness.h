// SPDX-License-Identifier: Apache-2.0
//
// Whether an adapter is still there for the tasks that it has posted; they and the adapter share one.
//
// Threads: read and written on the engine's turns only.
#pragma once

namespace chatsdk {

struct Liveness {
  bool alive = true;
};

}  // namespace chatsdk
