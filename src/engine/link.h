// SPDX-License-Identifier: Apache-2.0
//
// One connection of the transport, as its owner sees it. The transport may speak of a connection for seconds after its
// owner has given it up or is gone: the link then listens alone, and what it hears goes nowhere.
//
// Threads: the executor's.
// Invariants:
//   1. After close(), abort() or destruction the listener is not called again.
//   2. What the transport holds on to lives until it has said on_closed, or until the executor ends.
#pragma once

#include <memory>

#include "base/executor.h"
#include "transport/transport.h"

namespace chatsdk {

class Link {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_link_open() = 0;
    virtual void on_link_frame(Frame frame) = 0;
    virtual void on_link_writable() = 0;
    virtual void on_link_closed(const CloseInfo& info) = 0;
  };

  Link(Executor& executor, Transport& transport, const ConnectRequest& request, Listener& listener);
  ~Link();  // aborts

  bool send(Bytes frame);
  void close(std::uint16_t close_code);
  void abort();

 private:
  class Relay;
  void let_go();

  Transport& transport_;
  // Shared with the executor once the owner has let go: the transport must find a handler until it says on_closed.
  std::shared_ptr<Relay> relay_;
};

}  // namespace chatsdk
