// SPDX-License-Identifier: Apache-2.0
#include "support/fake_transport.h"

#include "base/assert.h"

namespace chatsdk::test {

Transport::ConnectionId FakeTransport::open(const ConnectRequest& request, Handler& handler) {
  const ConnectionId id = ++last_id_;
  Connection& connection = connections_[id];
  connection.id = id;
  connection.request = request;
  connection.handler = &handler;
  if (on_attempt) on_attempt(connection);
  return id;
}

bool FakeTransport::send(ConnectionId id, Bytes frame) {
  Connection& connection = connections_.at(id);
  CHATSDK_ASSERT(connection.open);
  if (connection.over) return true;
  auto decoded = decode_client_frame(frame);
  CHATSDK_ASSERT(decoded.ok());
  connection.sent.push_back(*decoded);
  connection.sent_bytes.push_back(std::move(frame));
  if (on_sent) on_sent(connection, *decoded);
  return connection.room;
}

void FakeTransport::close(ConnectionId id, std::uint16_t close_code) {
  Connection& connection = connections_.at(id);
  if (connection.over) return;
  connection.over = true;
  connection.close_code = close_code;
  post_closed(id, {close_code, error(Code::kClosed, "closed here"), 0});
}

void FakeTransport::abort(ConnectionId id) {
  Connection& connection = connections_.at(id);
  if (connection.over) return;
  connection.over = true;
  connection.aborted = true;
  post_closed(id, {1006, error(Code::kClosed, "aborted here"), 0});
}

void FakeTransport::post_closed(ConnectionId id, CloseInfo info) {
  if (hold_closings_) {
    held_.emplace_back(id, std::move(info));
    return;
  }
  executor_.post([this, id, info = std::move(info)] { connections_.at(id).handler->on_closed(id, info); });
}

void FakeTransport::release_closings() {
  hold_closings_ = false;
  for (auto& [id, info] : held_) post_closed(id, std::move(info));
  held_.clear();
}

void FakeTransport::accept(ConnectionId id) {
  executor_.post([this, id] {
    Connection& connection = connections_.at(id);
    if (connection.over) return;
    connection.open = true;
    connection.handler->on_open(id);
  });
}

void FakeTransport::deliver(ConnectionId id, const wire::ServerFrame& frame) { deliver_bytes(id, encode(frame)); }

void FakeTransport::deliver_bytes(ConnectionId id, Bytes bytes) {
  executor_.post([this, id, bytes = std::move(bytes)] {
    Connection& connection = connections_.at(id);
    if (!connection.over) connection.handler->on_frame(id, bytes);
  });
}

void FakeTransport::deliver_late(ConnectionId id, const wire::ServerFrame& frame) {
  executor_.post([this, id, bytes = encode(frame)] { connections_.at(id).handler->on_frame(id, bytes); });
}

void FakeTransport::drop(ConnectionId id, const CloseInfo& info) {
  executor_.post([this, id, info] {
    Connection& connection = connections_.at(id);
    if (connection.over) return;
    connection.over = true;
    connection.handler->on_closed(id, info);
  });
}

void FakeTransport::set_room(ConnectionId id, bool room) {
  Connection& connection = connections_.at(id);
  const bool writable = room && !connection.room;
  connection.room = room;
  if (!writable) return;
  executor_.post([this, id] {
    Connection& target = connections_.at(id);
    if (!target.over) target.handler->on_writable(id);
  });
}

HttpClient::RequestId FakeHttp::request(HttpRequest request, Callback callback) {
  const RequestId id = ++last_id_;
  Exchange& exchange = exchanges_[id];
  exchange.id = id;
  exchange.request = std::move(request);
  exchange.callback = std::move(callback);
  if (respond) {
    if (auto response = respond(exchange.request)) answer(id, std::move(*response));
  }
  return id;
}

void FakeHttp::cancel(RequestId request) {
  exchanges_.at(request).cancelled = true;
  exchanges_.at(request).callback = {};
}

void FakeHttp::answer(RequestId id, Result<HttpResponse> response) {
  executor_.post([this, id, response = std::move(response)]() mutable {
    Callback callback = std::move(exchanges_.at(id).callback);
    exchanges_.at(id).callback = {};
    if (callback) callback(std::move(response));
  });
}

std::vector<HttpClient::RequestId> FakeHttp::requests(const std::string& method_and_path) const {
  std::vector<RequestId> found;
  for (const auto& [id, exchange] : exchanges_) {
    const std::string line = exchange.request.method + " " + exchange.request.url;
    const std::string path = method_and_path.substr(method_and_path.find('/'));
    const bool same_method =
        line.compare(0, method_and_path.find('/'), method_and_path, 0, method_and_path.find('/')) == 0;
    const bool ends = line.size() >= path.size() && line.compare(line.size() - path.size(), path.size(), path) == 0;
    if (same_method && ends) found.push_back(id);
  }
  return found;
}

HttpResponse protobuf_response(const google::protobuf::MessageLite& body) {
  HttpResponse response;
  response.status = 200;
  response.headers["content-type"] = std::string(kProtobufType);
  CHATSDK_ASSERT(body.SerializeToString(&response.body));
  return response;
}

HttpResponse problem_response(int status, Code code, std::uint32_t retry_after_ms) {
  wire::Problem problem;
  problem.set_status(static_cast<std::uint32_t>(status));
  problem.set_code(std::string(code_name(code)));
  problem.set_code_number(static_cast<std::int32_t>(code));
  problem.set_retry_after_ms(retry_after_ms);
  HttpResponse response = protobuf_response(problem);
  response.status = status;
  return response;
}

}  // namespace chatsdk::test
