// SPDX-License-Identifier: Apache-2.0
//
// A peer for tests of the server's wire: a blocking TCP or TLS socket that says exactly what it is told, well-formed or
// not, and reads what comes. It shares no code with what it tests.
//
// Threads: one owner. Every read ends within the client's patience.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace chatsdk::test {

class RawClient {
 public:
  struct Response {
    int status = 0;                              // 0: none came
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
  };
  struct Frame {
    int opcode = -1;  // -1: none came
    bool final = false;
    bool masked = false;
    std::string payload;
    // Of a close frame: its code, 1005 when it has none.
    int close_code() const;
  };

  // Not connected when the port does not accept.
  explicit RawClient(std::uint16_t port, bool tls = false, const std::string& address = "127.0.0.1");
  ~RawClient();
  RawClient(RawClient&&) noexcept;

  bool connected() const;
  // What the TLS handshake agreed on: "TLSv1.3".
  std::string tls_version() const;
  void set_patience(std::chrono::milliseconds patience);
  // The receive buffer of the kernel, so that a slow reader is slow soon. Before anything was read.
  void set_receive_buffer(int bytes);

  bool send(std::string_view bytes);
  void end_sending();
  // Ends with a reset, as a vanished process on a lossy path would.
  void reset();

  // Empty at the end of the stream, or when patience ends.
  std::string read_some();
  // True when the server has ended its half; drops what comes before.
  bool read_to_end();
  // As read_to_end, and also when it ended with a reset.
  bool read_to_end_or_reset();
  Response read_response();

  // The upgrade with further header lines; nullopt when the answer was not 101.
  Response upgrade(const std::string& more_headers = "", const std::string& path = "/v1/ws");
  bool send_frame(int opcode, std::string_view payload, bool final = true, bool masked = true);
  Frame read_frame();

  static std::string encode_frame(int opcode, std::string_view payload, bool final = true, bool masked = true);

 private:
  struct Socket;
  bool fill();

  std::unique_ptr<Socket> socket_;
  std::string input_;
};

}  // namespace chatsdk::test
