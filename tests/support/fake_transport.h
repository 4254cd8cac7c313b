// SPDX-License-Identifier: Apache-2.0
//
// A transport and an HTTP client whose other side is the test: they record what the engine sends and hand it what the
// test says, as tasks of the executor, by the seam's rules. A connection that is over stays silent.
//
// Threads: the executor's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "protocol/frames.h"
#include "transport/transport.h"

namespace chatsdk::test {

class FakeTransport final : public Transport {
 public:
  struct Connection {
    ConnectionId id = 0;
    ConnectRequest request;
    Handler* handler = nullptr;
    bool open = false;
    bool over = false;                        // on_closed is on its way or was said
    std::optional<std::uint16_t> close_code;  // the engine's close()
    bool aborted = false;
    bool room = true;  // what send() answers
    std::vector<wire::ClientFrame> sent;
    std::vector<Bytes> sent_bytes;
  };

  explicit FakeTransport(Executor& executor) : executor_(executor) {}

  // -- The seam --
  ConnectionId open(const ConnectRequest& request, Handler& handler) override;
  bool send(ConnectionId connection, Bytes frame) override;
  void close(ConnectionId connection, std::uint16_t close_code) override;
  void abort(ConnectionId connection) override;

  // -- The other side --
  // Called for each attempt and each frame, in the engine's turn; may use the functions below.
  std::function<void(Connection&)> on_attempt;
  std::function<void(Connection&, const wire::ClientFrame&)> on_sent;

  void accept(ConnectionId connection);
  void deliver(ConnectionId connection, const wire::ServerFrame& frame);
  void deliver_bytes(ConnectionId connection, Bytes bytes);
  void drop(ConnectionId connection, const CloseInfo& info);
  // Speaks of a connection that is over, as a late network would, past all rules.
  void deliver_late(ConnectionId connection, const wire::ServerFrame& frame);
  // on_closed for the engine's own close() and abort() waits until released.
  void hold_closings(bool hold) { hold_closings_ = hold; }
  void release_closings();
  void set_room(ConnectionId connection, bool room);  // true after false: on_writable

  Connection& connection(ConnectionId id) { return connections_.at(id); }
  Connection& last() { return connections_.rbegin()->second; }
  std::size_t attempts() const { return connections_.size(); }

 private:
  void post_closed(ConnectionId connection, CloseInfo info);

  Executor& executor_;
  std::map<ConnectionId, Connection> connections_;
  ConnectionId last_id_ = 0;
  bool hold_closings_ = false;
  std::vector<std::pair<ConnectionId, CloseInfo>> held_;
};

class FakeHttp final : public HttpClient {
 public:
  struct Exchange {
    RequestId id = 0;
    HttpRequest request;
    Callback callback;
    bool cancelled = false;
  };

  explicit FakeHttp(Executor& executor) : executor_(executor) {}

  RequestId request(HttpRequest request, Callback callback) override;
  void cancel(RequestId request) override;

  // Answers what it knows; nullopt leaves the request open for answer().
  std::function<std::optional<Result<HttpResponse>>(const HttpRequest&)> respond;

  void answer(RequestId request, Result<HttpResponse> response);
  Exchange& exchange(RequestId id) { return exchanges_.at(id); }
  // Every request so far whose method and path end in this, oldest first: "POST /v1/sessions".
  std::vector<RequestId> requests(const std::string& method_and_path) const;

 private:
  Executor& executor_;
  std::map<RequestId, Exchange> exchanges_;
  RequestId last_id_ = 0;
};

HttpResponse protobuf_response(const google::protobuf::MessageLite& body);
HttpResponse problem_response(int status, Code code, std::uint32_t retry_after_ms = 0);

}  // namespace chatsdk::test
