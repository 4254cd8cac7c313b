// SPDX-License-Identifier: Apache-2.0
//
// What the tests of LwsTransport share: one client, and the scripts of the peers it meets.
//
// Threads: as in adapter_fixture.h.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "transport/lws_transport.h"
#include "unit/transport/adapter_fixture.h"

namespace chatsdk::test {

// One client: an engine, a transport on it, a handler.
struct Client {
  explicit Client(LwsOptions options = {}) {
    engine.run([&] { transport = std::make_unique<LwsTransport>(engine.executor(), std::move(options), log); });
  }
  ~Client() {
    engine.run([&] { transport.reset(); });
  }

  void open(const std::string& url, FrameReader reader = nullptr) {
    engine.run([&] { id = transport->open({url, "chatsdk.v1", kToken, reader}, handler); });
  }
  bool send(Bytes frame) {
    bool below = false;
    engine.run([&] { below = transport->send(id, std::move(frame)); });
    return below;
  }
  void close(std::uint16_t code) {
    engine.run([&] { transport->close(id, code); });
  }
  Code close_code() const { return handler.close_info.error.code; }

  RecordingLog log;
  RecordingHandler handler;
  Engine engine;
  std::unique_ptr<LwsTransport> transport;
  Transport::ConnectionId id = 0;
};

inline void echo(RawConnection& connection) {
  if (!accept_upgrade(connection)) return;
  while (const auto frame = read_frame(connection)) {
    if (frame->opcode == 8) {
      connection.write(ws_frame(8, frame->payload));
      return;
    }
    connection.write(ws_frame(frame->opcode, frame->payload));
  }
}

// Accepts the upgrade, writes the bytes, then reads to the end.
inline RawPeer::Script answer_with(std::string bytes) {
  return [bytes = std::move(bytes)](RawConnection& connection) {
    if (!accept_upgrade(connection)) return;
    connection.write(bytes);
    connection.read_to_end();
  };
}

inline RawPeer::Script refuse_with(std::string answer) {
  return [answer = std::move(answer)](RawConnection& connection) {
    if (connection.read_until("\r\n\r\n")) connection.write(answer);
  };
}

// Returns the code of the close frame that the client sent, 0 when none came.
inline std::uint16_t close_code_seen(RawConnection& connection) {
  while (const auto frame = read_frame(connection)) {
    if (frame->opcode == 8 && frame->payload.size() >= 2) {
      return static_cast<std::uint16_t>((static_cast<unsigned char>(frame->payload[0]) << 8) |
                                        static_cast<unsigned char>(frame->payload[1]));
    }
  }
  return 0;
}

}  // namespace chatsdk::test
