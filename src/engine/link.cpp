// SPDX-License-Identifier: Apache-2.0
#include "engine/link.h"

#include <new>

#include "base/limits.h"

namespace chatsdk {

class Link::Relay final : public Transport::Handler, public std::enable_shared_from_this<Relay> {
 public:
  Relay(Executor& executor, Listener& listener) : executor_(executor), listener_(&listener) {}

  void set_connection(Transport::ConnectionId connection) { connection_ = connection; }
  Transport::ConnectionId connection() const { return connection_; }
  bool closed() const { return closed_; }

  // Hands itself to the executor until the transport is done with it.
  void outlive_owner() {
    listener_ = nullptr;
    if (closed_) return;
    keep_ = executor_.post_after(limits::kKeepForgotten, [self = shared_from_this()] {});
  }

  void on_open(Transport::ConnectionId connection) override {
    if (listener_ != nullptr && connection == connection_) listener_->on_link_open();
  }
  void on_frame(Transport::ConnectionId connection, Frame frame) override {
    if (listener_ != nullptr && connection == connection_) listener_->on_link_frame(std::move(frame));
  }
  void on_writable(Transport::ConnectionId connection) override {
    if (listener_ != nullptr && connection == connection_) listener_->on_link_writable();
  }
  void on_closed(Transport::ConnectionId connection, const CloseInfo& info) override {
    if (connection != connection_) return;
    const auto self = shared_from_this();  // the last owner may let go below
    closed_ = true;
    if (keep_ != 0) executor_.cancel(keep_);
    if (listener_ != nullptr) listener_->on_link_closed(info);
  }

 private:
  Executor& executor_;
  Listener* listener_;
  Transport::ConnectionId connection_ = 0;
  bool closed_ = false;
  Executor::TimerId keep_ = 0;
};

Link::Link(Executor& executor, Transport& transport, const ConnectRequest& request, Listener& listener)
    : transport_(transport), relay_(std::make_shared<Relay>(executor, listener)) {
  relay_->set_connection(transport_.open(request, *relay_));
}

Link::~Link() {
  try {
    abort();
  } catch (const std::bad_alloc&) {
    // Only where the transport ends next: who goes on has let go before.
  }
}

bool Link::send(Bytes frame) { return relay_ == nullptr || transport_.send(relay_->connection(), std::move(frame)); }

void Link::close(std::uint16_t close_code) {
  if (relay_ == nullptr) return;
  if (!relay_->closed()) transport_.close(relay_->connection(), close_code);
  let_go();
}

void Link::abort() {
  if (relay_ == nullptr) return;
  if (!relay_->closed()) transport_.abort(relay_->connection());
  let_go();
}

void Link::let_go() {
  relay_->outlive_owner();
  relay_.reset();
}

}  // namespace chatsdk
