// SPDX-License-Identifier: Apache-2.0
//
// transport: how frames and HTTP requests leave the device. This header is the seam: messages cross it, not sockets.
// The adapters (lws_transport.h, curl_http.h) are chosen where a client is put together; a simulation brings its own.
//
// Threads: every call comes from the engine's executor, and every handler and callback runs as a task there, never
// inside the call that caused it.
// Invariants:
//   1. After open(), exactly one of on_closed with any number of on_frame before it, in order; nothing after on_closed.
//   2. on_open comes before the first on_frame.
//   3. No header or token byte leaves before the peer's TLS certificate was verified.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "base/task.h"
#include "protocol/http.h"

namespace chatsdk {

// What a frame was read into; whoever gave the FrameReader knows what it is.
struct FrameReading {
  virtual ~FrameReading() = default;
};
// Takes decoding off the engine's thread: may be called where a frame arrives, on any thread, and sees the frame alone.
// Null: it could not be read there, for lack of memory.
using FrameReader = std::unique_ptr<FrameReading> (*)(BytesView frame) noexcept;

struct Frame {
  Frame(Bytes content) : bytes(std::move(content)) {}  // NOLINT: a frame is its bytes
  explicit Frame(std::unique_ptr<FrameReading> read) : reading(std::move(read)) {}

  Bytes bytes;                            // empty when there is a reading
  std::unique_ptr<FrameReading> reading;  // null: nobody has read it yet
};

struct ConnectRequest {
  std::string url;  // ws:// or wss://
  std::string subprotocol;
  std::string bearer_token;      // sent as Authorization: Bearer
  FrameReader reader = nullptr;  // null: frames come as bytes. A transport may also leave it unused
};

struct CloseInfo {
  std::uint16_t close_code = 1006;  // RFC 6455 section 7.4; 1006: no close frame came
  Error error;  // why: NETWORK, TLS, UNAUTHENTICATED (refused upgrade 401), UNAVAILABLE (503), TOO_LARGE, PROTOCOL,
                // CLOSED
  int http_status = 0;  // of a refused upgrade, 0 otherwise
};

class Transport {
 public:
  using ConnectionId = std::uint64_t;  // never 0, never used twice

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_open(ConnectionId connection) = 0;
    virtual void on_frame(ConnectionId connection, Frame frame) = 0;
    // The buffer has drained below half of its limit after send() had answered false.
    virtual void on_writable(ConnectionId connection) = 0;
    virtual void on_closed(ConnectionId connection, const CloseInfo& info) = 0;
  };

  virtual ~Transport() = default;
  // handler outlives the transport or the connection, whichever ends first.
  virtual ConnectionId open(const ConnectRequest& request, Handler& handler) = 0;
  // Queues a frame; order is kept. False: the buffer is over its limit; the frame is queued all the same, and the
  // caller stops until on_writable. Unknown connections are ignored.
  virtual bool send(ConnectionId connection, Bytes frame) = 0;
  // Starts a closing handshake; on_closed follows within a few seconds, whatever the peer does.
  virtual void close(ConnectionId connection, std::uint16_t close_code) = 0;
  // Ends at once without a closing handshake; on_closed follows.
  virtual void abort(ConnectionId connection) = 0;
};

class HttpClient {
 public:
  using RequestId = std::uint64_t;  // never 0
  using Callback = UniqueFunction<void(Result<HttpResponse>)>;

  virtual ~HttpClient() = default;
  // The callback runs exactly once, with an answer of any status, or NETWORK, TLS, TIMED_OUT, TOO_LARGE; not at all
  // after cancel() or the client's destruction. Redirects are not followed.
  virtual RequestId request(HttpRequest request, Callback callback) = 0;
  virtual void cancel(RequestId request) = 0;
};

}  // namespace chatsdk
