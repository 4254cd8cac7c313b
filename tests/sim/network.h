// SPDX-License-Identifier: Apache-2.0
//
// The network between devices and the server: what a WebSocket over TCP and an HTTP request really meet. Inside a live
// connection frames keep their order and none is lost; what happens instead is latency, clogs, silence that only one
// side notices, and an end after which each direction has delivered a prefix of its own. Frames, not sockets: the byte
// protocols are tested elsewhere.
//
//   device                    pipe up: frames in flight, in order                    server
//   SimTransport --send-->  [ f f f ]  --latency, clog, silence-->  ConnectionHandler::on_frame
//   on_frame     <--------  [ f f f ]  pipe down             <--    FrameSink::send
//
// The hostile middle is a mode of its own: it drops, repeats, reorders and alters frames inside a connection.
//
// Threads: one.
// Invariants:
//   1. Both seams' rules hold on both sides: one on_open, frames in order, one on_closed, each as a turn of the lane.
//   2. A side that crashed hears nothing more; the other side learns of it later, or by its own time limits.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "protocol/frames.h"
#include "server-reference/gateway/connection.h"
#include "server-reference/services/http_service.h"
#include "sim/scheduler.h"
#include "transport/transport.h"

namespace chatsdk::sim {

struct NetworkOptions {
  std::chrono::microseconds latency_min{500};
  std::chrono::microseconds latency_mean{10'000};  // of the exponential part
  std::uint32_t bytes_per_ms = 10'000;
  std::size_t kernel_bytes = 65'536;                                      // taken by the kernel, as the server sees it
  std::size_t server_write_bytes_max = limits::kConnectionWriteBytesMax;  // the server's own limit, for its observer
  std::size_t send_buffer_bytes_max = limits::kSendBufferBytesMax;        // of a device's connection
  // The hostile middle, in 1 of this many frames each; 0: never.
  std::uint32_t drop_one_in = 0;
  std::uint32_t repeat_one_in = 0;
  std::uint32_t reorder_one_in = 0;
  std::uint32_t alter_one_in = 0;
  // What it alters may still be a frame, and say something else; else it is none any more.
  bool alters_meaning = false;
};

// Chances of what befalls new connections and requests, in 1,000. Changed by the nemesis, zero after the heal.
struct NetworkFaults {
  std::uint32_t refuse_upgrade = 0;  // 503, TLS or network error
  std::uint32_t lose_request = 0;
  std::uint32_t lose_response = 0;
  std::uint32_t repeat_request = 0;  // a proxy asks again
  std::uint32_t slow_request = 0;    // takes up to twice the client's patience
};

// What the network meets at the server's address.
class ServerEndpoint {
 public:
  virtual ~ServerEndpoint() = default;
  virtual bool listening() const = 0;
  virtual bool draining() const = 0;
  // It has power: what it does in the rest of a turn in which it lost it reaches nobody.
  virtual bool alive() const = 0;
  virtual std::size_t shard_count() const = 0;
  virtual Lane& shard(std::size_t index) = 0;
  virtual server::ConnectionHandler& handler(std::size_t shard) = 0;
  virtual const server::TokenVerifier& verifier() = 0;
  virtual server::HttpService& http() = 0;
};

// Stands between the server and the network, on the server's side, and says what it likes (liar.h).
class ServerFront {
 public:
  using Frames = std::vector<std::shared_ptr<const Bytes>>;

  virtual ~ServerFront() = default;
  // What a device is sent in the place of a frame of the server's.
  virtual Frames to_device(NodeId device, std::shared_ptr<const Bytes> frame) = 0;
  // What the server hears in the place of a frame that has arrived; null: nothing, and the device gets the answers.
  virtual std::shared_ptr<const Bytes> to_server(NodeId device, std::shared_ptr<const Bytes> frame,
                                                 Frames& answers) = 0;
  // A request comes to the server, and its answer goes.
  virtual void on_request(NodeId device, HttpRequest& request) = 0;
  virtual void on_answer(NodeId device, const HttpRequest& request, HttpResponse& response) = 0;
};

// Tells what crosses the wire.
class NetworkObserver {
 public:
  virtual ~NetworkObserver() = default;
  // The server's session hands a frame to a device's connection.
  virtual void on_server_frame(NodeId device, const wire::ServerFrame& frame) = 0;
  // A device's engine hands a frame to a connection, is handed one of the server's, or asks the server.
  virtual void on_device_frame(NodeId device, std::uint64_t connection, BytesView frame) = 0;
  virtual void on_device_hears(NodeId device, std::uint64_t connection, BytesView frame) = 0;
  virtual void on_request(NodeId device, const HttpRequest& request) = 0;
  virtual void on_connecting(NodeId device) = 0;
  // A frame is to be sent; what waits before it on the sender's side of the connection, in bytes.
  virtual void on_waiting(NodeId sender, std::size_t bytes, std::size_t limit) = 0;
  virtual void on_fault(const char* kind) = 0;
  // Bytes of a frame, a request or an answer, as they leave their node; `what` says which.
  virtual void on_crossing(NodeId device, const char* what, BytesView bytes) = 0;
  // The server answered a request.
  virtual void on_answer(const HttpRequest& request, const HttpResponse& response) = 0;
  // The server went on with a connection's frame after it had welcomed a newer connection of the same device.
  virtual void on_replaced_served(NodeId device) = 0;
};

class Network {
 public:
  Network(Scheduler& scheduler, std::uint64_t seed, const NetworkOptions& options, NetworkObserver& observer);
  ~Network();

  void set_server(ServerEndpoint* server) { server_ = server; }
  void set_front(ServerFront* front) { front_ = front; }
  NetworkFaults faults;

  // -- For the nemesis. What holds something up is counted when it first does. --
  // Ends a connection of the device; each direction keeps a prefix, each side learns at a time of its own.
  void cut(NodeId device);
  // Nothing arrives in one direction or both until the time; then everything does.
  void clog(NodeId device, bool up, bool down, std::chrono::microseconds time);
  // Devices are clogged one after another and let go in another order: one fault.
  void swizzle_clog(const std::vector<NodeId>& devices);
  // As a clog, without an end: only time limits help.
  void silence(NodeId device, bool up, bool down);
  // It reads what the server sends at this rate, on later connections too; what it sends leaves as ever.
  void slow_reader(NodeId device, std::uint32_t bytes_per_second, std::chrono::microseconds time);
  // Its connections fall silent; later ones and requests meet nothing, until end_isolation or heal.
  void isolate(NodeId device);
  // These together, as a side of a network that fell apart: one fault.
  void part(const std::vector<NodeId>& devices);
  void end_isolation(NodeId device) { isolated_.erase(device); }
  // Every clog, silence and isolation ends, the hostile middle leaves, and with it every connection; requests that are
  // on their way arrive.
  void heal();

  // The node's process ended. abrupt: its machine too, so that nothing tells the peer.
  void device_crashed(NodeId device, bool abrupt);
  void server_crashed(bool abrupt);

  std::size_t connections() const { return wires_.size(); }
  std::uint64_t frames() const { return frames_; }

 private:
  friend class DeviceNetwork;
  class Wire;
  struct Exchange;
  struct Hold;
  struct Slow {
    std::uint32_t bytes_per_second = 0;
    MonotonicTime until;
    std::shared_ptr<Hold> hold;
  };
  using WireId = std::uint64_t;

  std::chrono::microseconds latency();
  bool chance(std::uint32_t per_mille) { return per_mille != 0 && random_.below(1000) < per_mille; }
  bool one_in(std::uint32_t n) { return n != 0 && !healed_ && random_.below(n) == 0; }
  Wire* wire(WireId id);
  bool is_replaced(const Wire& wire) const;
  const Wire* other_live(const Wire& wire) const;
  std::vector<WireId> wires_of(NodeId device) const;
  void connect(WireId id, ConnectRequest request);
  void refuse(WireId id, CloseInfo info);
  void silence(NodeId device, bool up, bool down, const std::shared_ptr<Hold>& hold);
  void clog(NodeId device, bool up, bool down, std::chrono::microseconds time, const std::shared_ptr<Hold>& hold);
  void isolate(NodeId device, const std::shared_ptr<Hold>& hold);
  void felt(const std::shared_ptr<Hold>& hold);
  bool is_isolated(NodeId device);
  // When the device has read this much, after which it takes the next; felt when something waits for it.
  void take_slowly(Wire& wire, std::size_t bytes);
  bool server_alive() const { return server_ != nullptr && server_->alive(); }
  Bytes altered(BytesView frame, bool up);
  void schedule(WireId id, bool up);
  void arrive(WireId id, bool up);
  void forget_if_over(WireId id);
  void break_wire(Wire& wire, bool tell_device, bool tell_server);
  void arrives_after(std::chrono::microseconds travel, Task arrival);
  void arrive(std::uint64_t travelling);
  // The client may have given up by now, or be gone: the exchange is, and the request arrives all the same.
  void request_arrives(std::uint64_t id, NodeId device, HttpRequest request);
  void serve(HttpRequest request, NodeId device, UniqueFunction<void(HttpResponse)> respond);
  void request_ends(std::uint64_t id, Result<HttpResponse> response);

  Scheduler& scheduler_;
  SeededRandom random_;
  NetworkOptions options_;
  NetworkObserver& observer_;
  ServerEndpoint* server_ = nullptr;
  ServerFront* front_ = nullptr;
  WireId last_wire_ = 0;
  std::uint64_t welcomes_ = 0;
  bool healed_ = false;
  std::uint64_t last_exchange_ = 0;
  std::uint64_t server_run_ = 0;  // counts the server's processes
  std::uint64_t frames_ = 0;
  std::map<WireId, std::unique_ptr<Wire>> wires_;
  std::map<std::uint64_t, std::unique_ptr<Exchange>> exchanges_;
  std::uint64_t last_travelling_ = 0;
  std::map<std::uint64_t, Task> travelling_;  // requests on their way, repeated ones too
  std::map<NodeId, std::shared_ptr<Hold>> isolated_;
  std::map<NodeId, Slow> slow_;
};

// One device process's view: the client's two seams. Once its machine has lost its power nothing leaves any more.
class DeviceNetwork final : public Transport, public HttpClient {
 public:
  DeviceNetwork(Network& network, NodeId device, Lane& lane, std::function<bool()> alive)
      : network_(network), device_(device), lane_(lane), alive_(std::move(alive)) {}

  ConnectionId open(const ConnectRequest& request, Handler& handler) override;
  bool send(ConnectionId connection, Bytes frame) override;
  void close(ConnectionId connection, std::uint16_t close_code) override;
  void abort(ConnectionId connection) override;

  RequestId request(HttpRequest request, Callback callback) override;
  void cancel(RequestId request) override;

 private:
  Network& network_;
  const NodeId device_;
  Lane& lane_;
  const std::function<bool()> alive_;
};

}  // namespace chatsdk::sim
