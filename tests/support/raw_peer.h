// SPDX-License-Identifier: Apache-2.0
//
// RawPeer: a server on loopback that speaks only what a test's script says, byte for byte, over TCP or TLS. It listens
// at once, runs the script for each connection on a thread of its own, and keeps every application byte received.
// Nothing here checks what the other side does; the test does.
//
// Threads: the script runs on the peer's threads; the accessors may be called from any.
// Invariants:
//   1. Every wait ends: after ten seconds, or when the peer is destroyed.
#pragma once

#include <poll.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "support/test_ca.h"

struct ssl_ctx_st;
struct ssl_st;

namespace chatsdk::test {

class RawConnection {
 public:
  RawConnection(int socket, ssl_ctx_st* tls);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // The TLS handshake; true at once without TLS.
  bool handshake();
  // Waits until there is something to read, and leaves it there.
  bool wait_for_bytes() { return wait_for(POLLIN); }
  // All bytes up to and with the mark, or nullopt when the stream ends before.
  std::optional<std::string> read_until(std::string_view mark);
  std::optional<std::string> read_exactly(std::size_t count);
  // Reads and drops until the stream ends; false when the wait was cut off.
  bool read_to_end();
  bool write(std::string_view bytes);
  // An orderly end of the stream.
  void finish();
  // An end with a reset.
  void reset();
  // Wakes every wait; from any thread.
  void interrupt();

  // Every application byte so far; from any thread.
  std::string received() const;
  // The name that the client asked for in the TLS handshake (RFC 6066 section 3), "" when it named none.
  std::string server_name() const;

 private:
  bool wait_for(short events);
  bool read_some();

  int socket_;
  ssl_st* ssl_ = nullptr;
  std::string unread_;
  mutable std::mutex mutex_;
  std::string received_;
};

struct RawPeerOptions {
  std::optional<Identity> identity{};  // none: no TLS
  int tls_version = 0;                 // the only one that is offered, as on the wire (0x0302 is TLS 1.1); 0: any
  std::string address = "127.0.0.1";   // or "::1"
  // Runs on each connection's thread when the client's first bytes have come, before the TLS handshake goes on.
  std::function<void()> before_handshake{};
};

class RawPeer {
 public:
  using Script = std::function<void(RawConnection&)>;

  explicit RawPeer(Script script, std::optional<Identity> identity = std::nullopt);
  RawPeer(Script script, const RawPeerOptions& options);
  ~RawPeer();
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view scheme, std::string_view host = "127.0.0.1", std::string_view target = "/") const;
  // Every application byte of every connection, in the order of connecting.
  std::string received() const;
  // Waits until so many connections have come and their scripts have ended; false when the wait was cut off.
  bool wait_for_ended(std::size_t count);
  std::size_t handshakes() const;

 private:
  void accept_all();

  struct Session {
    std::unique_ptr<RawConnection> connection;
    std::thread thread;
  };

  Script script_;
  std::function<void()> before_handshake_;
  ssl_ctx_st* tls_ = nullptr;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Session> sessions_;
  std::size_t ended_ = 0;
  std::size_t handshakes_ = 0;
  bool stopping_ = false;
  std::thread acceptor_;
};

// True when this machine has the loopback address of IPv6.
bool has_ipv6_loopback();

// Whether a client that accepts this one version of TLS, and any certificate, gets through the handshake with whoever
// listens on 127.0.0.1.
bool tls_handshake_succeeds(std::uint16_t port, int tls_version);

// The first flight of a TLS server up to 1.2 that chooses this version, whatever the client offered.
std::string tls_server_hello(int tls_version);

// ---- The server's side of RFC 6455, in single steps ----

struct WsFrame {
  int opcode = 0;
  bool final = true;
  bool masked = false;
  std::string payload;
};

// Reads the upgrade request and accepts it with this subprotocol ("" sends none). Returns the request.
std::optional<std::string> accept_upgrade(RawConnection& connection, std::string_view subprotocol = "chatsdk.v1");
std::optional<WsFrame> read_frame(RawConnection& connection);
std::string ws_frame(int opcode, std::string_view payload, bool final = true, bool masked = false);
std::string ws_close(std::uint16_t code);

}  // namespace chatsdk::test
