// SPDX-License-Identifier: Apache-2.0
#include "sim/network.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/limits.h"

namespace chatsdk::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

std::string_view path_of(std::string_view url) {
  const auto scheme = url.find("://");
  const auto slash = url.find('/', scheme == url.npos ? 0 : scheme + 3);
  return slash == url.npos ? "/" : url.substr(slash);
}

// What an engine says although its connection has no room: what it is in the middle of, and what keeps it alive.
constexpr std::size_t kSentAllTheSame = limits::client_frame_bytes_max(limits::kTextBytesDefault);

CloseInfo broken(std::string detail) {
  CloseInfo info;
  info.error = error(Code::kNetwork, std::move(detail));
  return info;
}

}  // namespace

// A fault that holds something up, or may: it is counted once, when it first does.
struct Network::Hold {
  const char* kind;
  bool felt = false;
};

// ---- One connection ------------------------------------------------------------------------------------------------

class Network::Wire final : public server::FrameSink {
 public:
  struct Parcel {
    enum class Kind { kOpen, kFrame, kClose, kBroken };
    Kind kind = Kind::kFrame;
    std::shared_ptr<const Bytes> bytes;
    std::uint16_t code = 1006;
    MonotonicTime arrival;
    // Of its sender's queue. What somebody on the way has made of a frame, or said besides, is not the sender's.
    std::size_t queued = 0;
  };
  struct Pipe {
    std::deque<Parcel> parcels;
    std::size_t bytes = 0;  // queued
    MonotonicTime last_arrival;
    MonotonicTime clogged_until;
    std::shared_ptr<Hold> clog;
    std::shared_ptr<Hold> silence;  // set: nothing arrives
    MonotonicTime taken_until;      // a slow reader takes nothing before
    bool scheduled = false;
    bool ended = false;  // nothing more is put in
  };

  Wire(Network& network, WireId wire_id, NodeId device_node, Lane& device_lane, Transport::Handler& device_handler)
      : network_(network), id(wire_id), device(device_node), lane(&device_lane), handler(&device_handler) {}

  void put(bool is_up, Parcel parcel, microseconds extra = {}) {
    Pipe& pipe = is_up ? up : down;
    if (pipe.ended) return;
    const std::size_t size = parcel.bytes ? parcel.bytes->size() : 0;
    MonotonicTime arrival = network_.scheduler_.now() + network_.latency() + extra +
                            microseconds(size * 1000 / network_.options_.bytes_per_ms);
    arrival = std::max(arrival, pipe.last_arrival);
    pipe.last_arrival = arrival;
    parcel.arrival = arrival;
    pipe.bytes += parcel.queued;
    pipe.ended = parcel.kind == Parcel::Kind::kClose || parcel.kind == Parcel::Kind::kBroken;
    pipe.parcels.push_back(std::move(parcel));
    network_.schedule(id, is_up);
  }
  // What the hostile middle makes of a frame. of_queue: none: as large as it is.
  void put_frame(bool is_up, std::shared_ptr<const Bytes> bytes, std::optional<std::size_t> of_queue = {}) {
    ++network_.frames_;
    network_.observer_.on_crossing(device, is_up ? "a frame to the server" : "a frame to the device", *bytes);
    const NetworkOptions& hostile = network_.options_;
    if (network_.one_in(hostile.drop_one_in)) return network_.observer_.on_fault("frame_dropped");
    if (network_.one_in(hostile.alter_one_in) && !bytes->empty()) {
      bytes = std::make_shared<const Bytes>(network_.altered(*bytes, is_up));
      network_.observer_.on_fault("frame_altered");
    }
    const std::size_t queued = of_queue.value_or(bytes->size());
    put(is_up, {Parcel::Kind::kFrame, bytes, 0, {}, queued});
    Pipe& pipe = is_up ? up : down;
    if (network_.one_in(hostile.repeat_one_in)) {
      network_.observer_.on_fault("frame_repeated");
      put(is_up, {Parcel::Kind::kFrame, bytes, 0, {}, queued});
    }
    const std::size_t count = pipe.parcels.size();
    if (count >= 2 && network_.one_in(hostile.reorder_one_in) && pipe.parcels[count - 2].kind == Parcel::Kind::kFrame &&
        pipe.parcels[count - 1].kind == Parcel::Kind::kFrame) {
      network_.observer_.on_fault("frame_reordered");
      std::swap(pipe.parcels[count - 2].bytes, pipe.parcels[count - 1].bytes);
      std::swap(pipe.parcels[count - 2].queued, pipe.parcels[count - 1].queued);
    }
  }

  // FrameSink: the server's side.
  void send(std::shared_ptr<const Bytes> frame) override {
    if (server_over || !network_.server_alive()) return;
    wire::ServerFrame parsed;
    if (parsed.ParseFromString(*frame)) network_.observer_.on_server_frame(device, parsed);
    if (parsed.has_welcome()) token_ends(parsed.welcome().token_expires_at_ms());
    if (parsed.has_authenticated()) token_ends(parsed.authenticated().token_expires_at_ms());
    if (parsed.has_welcome()) {
      welcome_number = ++network_.welcomes_;
      welcomed_device = parsed.welcome().device_id();
    }
    last_is_failure = parsed.has_failure();
    if (device_over) feel_half_open();
    network_.observer_.on_waiting(0, queued_bytes(), network_.options_.server_write_bytes_max);
    if (network_.front_ == nullptr) return put_frame(false, std::move(frame));
    std::size_t queued = frame->size();
    for (auto& said : network_.front_->to_device(device, std::move(frame))) {
      put_frame(false, std::move(said), std::exchange(queued, 0));
    }
  }
  // What the server hears of a frame that has arrived; null: nothing.
  std::shared_ptr<const Bytes> heard(std::shared_ptr<const Bytes> frame) {
    if (network_.front_ == nullptr) return frame;
    ServerFront::Frames answers;
    frame = network_.front_->to_server(device, std::move(frame), answers);
    for (auto& said : answers) put_frame(false, std::move(said), 0);
    return frame;
  }
  // One side still believes in it.
  void feel_half_open() {
    if (!std::exchange(half_open_felt, true)) network_.observer_.on_fault("half_open");
  }
  std::size_t queued_bytes() const override {
    const std::size_t kernel = network_.options_.kernel_bytes;
    return down.bytes > kernel ? down.bytes - kernel : 0;
  }
  void close(CloseCode code) override {
    if (server_over || server_closing || !network_.server_alive()) return;
    server_closing = true;
    if (code == CloseCode::kUnauthenticated && welcome_number != 0 && network_.scheduler_.now() >= token_end) {
      network_.observer_.on_fault("token_expired_while_connected");
    }
    if (code == CloseCode::kStalled && !last_is_failure) network_.observer_.on_fault("closed_for_unread_bytes");
    put(false, {Parcel::Kind::kClose, nullptr, static_cast<std::uint16_t>(code), {}});
    network_.scheduler_.after(limits::kCloseTimeout, [this_id = id, &network = network_] {
      if (Wire* wire = network.wire(this_id)) wire->end_server();
    });
  }

  // The session counts by the clock that does not jump, from what the other says now; messages name milliseconds.
  void token_ends(std::int64_t at_ms) {
    const auto left = milliseconds(at_ms - to_unix_ms(server_lane->clock().wall_now()));
    token_end = network_.scheduler_.now() + left - milliseconds(1);
  }

  void end_server() {
    if (server_over || !server_lane) return;
    server_over = true;
    server_lane->post([this_id = id, &network = network_] {
      if (Wire* wire = network.wire(this_id); wire != nullptr && wire->server_handler != nullptr) {
        wire->server_handler->on_closed(wire->id);
        wire->server_gone = true;
        network.forget_if_over(this_id);
      }
    });
  }
  void end_device(CloseInfo info) {
    if (device_over) return;
    device_over = true;
    lane->post([this_id = id, &network = network_, info = std::move(info)] {
      if (Wire* wire = network.wire(this_id); wire != nullptr && wire->handler != nullptr) {
        // The handler may destroy its connection; the wire stays for the server's side.
        Transport::Handler* const told = std::exchange(wire->handler, nullptr);
        wire->device_gone = true;
        told->on_closed(this_id, info);
        network.forget_if_over(this_id);
      }
    });
  }

  Network& network_;
  const WireId id;
  const NodeId device;
  Lane* lane;
  Transport::Handler* handler;
  bool device_closing = false;
  bool device_over = false;  // on_closed is posted, or the process is gone
  bool device_gone = false;  // nothing will be called there any more
  bool wants_writable = false;

  Lane* server_lane = nullptr;
  server::ConnectionHandler* server_handler = nullptr;
  bool server_closing = false;
  bool server_over = false;
  bool server_gone = true;           // until it is reached
  std::uint64_t welcome_number = 0;  // in the order of all welcomes; 0: none yet
  std::uint64_t welcomed_device = 0;
  MonotonicTime token_end;
  bool last_is_failure = false;  // of the server's frames
  bool half_open_felt = false;
  bool frame_was_late = false;  // one came after a newer connection of the device had been made

  Pipe up;
  Pipe down;
};

struct Network::Exchange {
  NodeId device = 0;
  Lane* lane = nullptr;
  HttpClient::Callback callback;
  bool reached = false;
};

Network::Network(Scheduler& scheduler, std::uint64_t seed, const NetworkOptions& options, NetworkObserver& observer)
    : scheduler_(scheduler), random_(seed), options_(options), observer_(observer) {}

Network::~Network() = default;

// Exponential, bounded, in whole microseconds: -mean * ln(u), u in (0, 1], from a table-free integer draw.
microseconds Network::latency() {
  const auto draw = static_cast<double>(random_.below(1'000'000) + 1) / 1'000'000.0;
  const double tail = -std::log(draw) * static_cast<double>(options_.latency_mean.count());
  return options_.latency_min + microseconds(static_cast<std::int64_t>(tail));
}

Network::Wire* Network::wire(WireId id) {
  const auto found = wires_.find(id);
  return found == wires_.end() ? nullptr : found->second.get();
}

std::vector<Network::WireId> Network::wires_of(NodeId device) const {
  std::vector<WireId> ids;
  for (const auto& [id, wire] : wires_) {
    if (wire->device == device) ids.push_back(id);
  }
  return ids;
}

void Network::forget_if_over(WireId id) {
  // As an event of its own: the caller may be inside the wire.
  scheduler_.after(microseconds(0), [this, id] {
    Wire* const found = wire(id);
    if (found != nullptr && found->device_gone && found->server_gone) wires_.erase(id);
  });
}

// ---- Connecting ----------------------------------------------------------------------------------------------------

Transport::ConnectionId DeviceNetwork::open(const ConnectRequest& request, Handler& handler) {
  const auto id = ++network_.last_wire_;
  if (!alive_()) return id;
  network_.observer_.on_connecting(device_);
  network_.wires_.emplace(id, std::make_unique<Network::Wire>(network_, id, device_, lane_, handler));
  network_.scheduler_.after(network_.latency() * 2,
                            [&network = network_, id, request] { network.connect(id, request); });
  return id;
}

void Network::refuse(WireId id, CloseInfo info) {
  if (Wire* found = wire(id)) {
    found->up.ended = true;
    found->end_device(std::move(info));
  }
}

void Network::connect(WireId id, ConnectRequest request) {
  Wire* const found = wire(id);
  if (found == nullptr || found->device_over) return;
  if (is_isolated(found->device)) {
    scheduler_.after(limits::kConnectTimeout, [this, id] { refuse(id, broken("no route")); });
    return;
  }
  if (server_ == nullptr || !server_->listening()) return refuse(id, broken("connection refused"));
  if (chance(faults.refuse_upgrade)) {
    CloseInfo info = broken("reset in the handshake");
    static constexpr const char* kKinds[] = {"upgrade_refused_by_tls", "upgrade_refused_with_503", "upgrade_reset"};
    const auto kind = random_.below(std::size(kKinds));
    observer_.on_fault(kKinds[kind]);
    if (kind == 0) info.error = error(Code::kTls, "bad certificate");
    if (kind == 1) {
      info.error = error(Code::kUnavailable, "refused");
      info.error.retry_after = milliseconds(500 + random_.below(3'000));
      info.http_status = 503;
    }
    return refuse(id, std::move(info));
  }
  if (server_->draining()) {
    CloseInfo info = broken("draining");
    info.error = error(Code::kUnavailable, "draining");
    info.http_status = 503;
    return refuse(id, std::move(info));
  }
  const std::size_t shard = static_cast<std::size_t>(id % server_->shard_count());
  Lane& lane = server_->shard(shard);
  if (!server_->verifier().verify_access_token(request.bearer_token, lane.clock().wall_now()).ok()) {
    CloseInfo info = broken("401");
    info.error = error(Code::kUnauthenticated, "401");
    info.http_status = 401;
    return refuse(id, std::move(info));
  }
  if (other_live(*found) != nullptr) observer_.on_fault("two_live_connections");
  found->server_lane = &lane;
  found->server_handler = &server_->handler(shard);
  found->server_gone = false;
  found->put(false, {Wire::Parcel::Kind::kOpen, nullptr, 0, {}});
  lane.post([this, id, token = std::move(request.bearer_token)] {
    Wire* const opened = wire(id);
    if (opened != nullptr && !opened->server_gone) {
      opened->server_handler->on_open({id, token, "device-" + std::to_string(opened->device)}, *opened);
    }
  });
}

// ---- Frames --------------------------------------------------------------------------------------------------------

bool DeviceNetwork::send(ConnectionId connection, Bytes frame) {
  Network::Wire* const wire = network_.wire(connection);
  if (wire == nullptr || wire->device_over || wire->device_closing || !alive_()) return true;
  if (wire->server_over) wire->feel_half_open();
  network_.observer_.on_device_frame(device_, connection, frame);
  wire->put_frame(true, std::make_shared<const Bytes>(std::move(frame)));
  network_.observer_.on_waiting(device_, wire->up.bytes, network_.options_.send_buffer_bytes_max + kSentAllTheSame);
  if (wire->up.bytes <= network_.options_.send_buffer_bytes_max) return true;
  if (!std::exchange(wire->wants_writable, true)) network_.observer_.on_fault("sending_paused");
  return false;
}

void DeviceNetwork::close(ConnectionId connection, std::uint16_t close_code) {
  Network::Wire* const wire = network_.wire(connection);
  if (wire == nullptr || wire->device_over || !alive_() || std::exchange(wire->device_closing, true)) return;
  wire->put(true, {Network::Wire::Parcel::Kind::kClose, nullptr, close_code, {}});
  network_.scheduler_.after(limits::kCloseTimeout, [&network = network_, connection, close_code] {
    if (Network::Wire* closing = network.wire(connection)) {
      CloseInfo info;
      info.close_code = close_code;
      info.error = error(Code::kClosed, "closed here");
      closing->end_device(std::move(info));
    }
  });
}

void DeviceNetwork::abort(ConnectionId connection) {
  Network::Wire* const wire = network_.wire(connection);
  if (wire == nullptr || wire->device_over || !alive_()) return;
  wire->put(true, {Network::Wire::Parcel::Kind::kBroken, nullptr, 1006, {}});
  CloseInfo info;
  info.error = error(Code::kClosed, "aborted here");
  wire->end_device(std::move(info));
  if (wire->server_lane == nullptr) network_.forget_if_over(connection);
}

void Network::schedule(WireId id, bool up) {
  Wire* const found = wire(id);
  Wire::Pipe& pipe = up ? found->up : found->down;
  if (pipe.parcels.empty()) return;
  if (pipe.silence) return felt(pipe.silence);
  if (pipe.scheduled) return;
  pipe.scheduled = true;
  const MonotonicTime arrival = pipe.parcels.front().arrival;
  const MonotonicTime time = std::max({arrival, pipe.clogged_until, pipe.taken_until});
  if (pipe.clog && pipe.clogged_until > arrival) felt(pipe.clog);
  if (pipe.taken_until > arrival) felt(slow_[found->device].hold);
  scheduler_.at(time, [this, id, up] { arrive(id, up); });
}

bool Network::is_replaced(const Wire& wire) const {
  if (wire.welcome_number == 0 || wire.server_closing) return false;
  return std::any_of(wires_.begin(), wires_.end(), [&](const auto& entry) {
    const Wire& other = *entry.second;
    return other.welcomed_device == wire.welcomed_device && other.welcome_number > wire.welcome_number;
  });
}

// Another connection of the device that the server holds open.
const Network::Wire* Network::other_live(const Wire& wire) const {
  for (const auto& [id, other] : wires_) {
    if (id == wire.id || other->device != wire.device || other->server_lane == nullptr) continue;
    if (!other->server_over && !other->server_closing && !other->server_gone) return other.get();
  }
  return nullptr;
}

void Network::arrive(WireId id, bool up) {
  Wire* const found = wire(id);
  if (found == nullptr) return;
  Wire::Pipe& pipe = up ? found->up : found->down;
  pipe.scheduled = false;
  if (pipe.parcels.empty()) return;
  if (pipe.silence) return felt(pipe.silence);
  if (std::max({pipe.clogged_until, pipe.taken_until, pipe.parcels.front().arrival}) > scheduler_.now()) {
    return schedule(id, up);
  }
  Wire::Parcel parcel = std::move(pipe.parcels.front());
  pipe.parcels.pop_front();
  const std::size_t size = parcel.bytes ? parcel.bytes->size() : 0;
  pipe.bytes -= parcel.queued;
  if (!up) take_slowly(*found, size);
  schedule(id, up);

  if (up) {
    if (found->wants_writable && pipe.bytes <= options_.send_buffer_bytes_max / 2 && !found->device_over) {
      found->wants_writable = false;
      found->lane->post([this, id] {
        if (Wire* wire = this->wire(id); wire != nullptr && wire->handler != nullptr) wire->handler->on_writable(id);
      });
    }
    if (found->server_lane == nullptr || found->server_over) return;
    switch (parcel.kind) {
      case Wire::Parcel::Kind::kOpen:
        break;
      case Wire::Parcel::Kind::kFrame:
        if (const Wire* other = other_live(*found); other != nullptr && other->id > id && !found->frame_was_late) {
          found->frame_was_late = true;
          observer_.on_fault("late_frame_of_old_connection");
        }
        found->server_lane->post([this, id, bytes = std::move(parcel.bytes)] {
          if (Wire* wire = this->wire(id); wire != nullptr && !wire->server_gone) {
            const bool replaced = is_replaced(*wire);
            const auto heard = wire->heard(bytes);
            if (heard == nullptr) return;
            wire->server_handler->on_frame(id, *heard);
            wire = this->wire(id);
            const bool goes_on = wire != nullptr && !wire->server_closing && !wire->server_over;
            if (replaced && goes_on) observer_.on_replaced_served(wire->device);
          }
        });
        break;
      case Wire::Parcel::Kind::kClose:
        // The closing handshake: ours goes back, then the session ends.
        if (!found->server_closing) found->put(false, {Wire::Parcel::Kind::kClose, nullptr, parcel.code, {}});
        found->end_server();
        break;
      case Wire::Parcel::Kind::kBroken:
        found->end_server();
        break;
    }
    return;
  }
  if (found->device_over) return;
  switch (parcel.kind) {
    case Wire::Parcel::Kind::kOpen:
      found->lane->post([this, id] {
        if (Wire* wire = this->wire(id); wire != nullptr && wire->handler != nullptr) wire->handler->on_open(id);
      });
      break;
    case Wire::Parcel::Kind::kFrame:
      found->lane->post([this, id, bytes = std::move(parcel.bytes)] {
        Wire* const wire = this->wire(id);
        if (wire == nullptr || wire->handler == nullptr) return;
        observer_.on_device_hears(wire->device, id, *bytes);
        wire->handler->on_frame(id, *bytes);
      });
      break;
    case Wire::Parcel::Kind::kClose: {
      if (!found->device_closing) found->put(true, {Wire::Parcel::Kind::kClose, nullptr, parcel.code, {}});
      CloseInfo info;
      info.close_code = parcel.code;
      info.error = error(Code::kClosed, "closed by the server");
      found->end_device(std::move(info));
      break;
    }
    case Wire::Parcel::Kind::kBroken:
      found->end_device(broken("connection lost"));
      break;
  }
}

// ---- Requests ------------------------------------------------------------------------------------------------------

HttpClient::RequestId DeviceNetwork::request(HttpRequest request, Callback callback) {
  const auto id = ++network_.last_exchange_;
  if (!alive_()) return id;
  auto exchange = std::make_unique<Network::Exchange>();
  exchange->device = device_;
  exchange->lane = &lane_;
  exchange->callback = std::move(callback);
  const auto timeout = request.timeout;
  request.url = std::string(path_of(request.url));
  network_.observer_.on_request(device_, request);
  network_.observer_.on_crossing(device_, "the address of a request", request.url);
  network_.observer_.on_crossing(device_, "the body of a request", request.body);
  network_.exchanges_.emplace(id, std::move(exchange));

  Network& network = network_;
  network.scheduler_.after(timeout, [&network, id] { network.request_ends(id, error(Code::kTimedOut, "no answer")); });
  if (network.is_isolated(device_)) return id;
  if (network.chance(network.faults.lose_request)) {
    network.observer_.on_fault("request_lost");
    if (network.random_.below(2) == 0) {
      network.scheduler_.after(network.latency(),
                               [&network, id] { network.request_ends(id, error(Code::kNetwork, "connection lost")); });
    }
    return id;
  }
  microseconds travel = network.latency() * 2;
  if (network.chance(network.faults.slow_request)) {
    network.observer_.on_fault("request_slow");
    travel += microseconds(network.random_.below(static_cast<std::uint64_t>(microseconds(timeout).count()) * 2));
  }
  // What is on its way is the network's: the exchange is the client's side of it, which may end before.
  network.arrives_after(travel, [&network, id, device = device_, copy = request]() mutable {
    network.request_arrives(id, device, std::move(copy));
  });
  if (network.chance(network.faults.repeat_request)) {
    travel += network.latency();
    network.arrives_after(travel, [&network, copy = std::move(request), device = device_]() mutable {
      if (!network.server_alive() || !network.server_->listening() || network.is_isolated(device)) return;
      network.observer_.on_fault("request_repeated");
      Lane& shard = network.server_->shard(0);
      shard.post([&network, copy = std::move(copy), device]() mutable {
        network.serve(std::move(copy), device, [](HttpResponse) {});
      });
    });
  }
  return id;
}

void DeviceNetwork::cancel(RequestId request) { network_.exchanges_.erase(request); }

void Network::arrives_after(microseconds travel, Task arrival) {
  const std::uint64_t id = ++last_travelling_;
  travelling_.emplace(id, std::move(arrival));
  scheduler_.after(travel, [this, id] { arrive(id); });
}

void Network::arrive(std::uint64_t travelling) {
  if (auto arrival = travelling_.extract(travelling)) arrival.mapped()();
}

void Network::request_arrives(std::uint64_t id, NodeId device, HttpRequest request) {
  const auto found = exchanges_.find(id);
  if (server_ == nullptr || !server_->listening()) {
    return request_ends(id, error(Code::kNetwork, "connection refused"));
  }
  if (found == exchanges_.end()) {
    observer_.on_fault("request_outlived_its_client");
  } else {
    found->second->reached = true;
  }
  const bool lose = chance(faults.lose_response);
  const bool tell = random_.below(2) == 0;
  server_->shard(id % server_->shard_count())
      .post([this, id, lose, tell, run = server_run_, request = std::move(request), device]() mutable {
        serve(std::move(request), device, [this, id, lose, tell, run](HttpResponse response) {
          if (run != server_run_ || !server_alive()) return;
          if (lose) observer_.on_fault("response_lost");
          scheduler_.after(latency(), [this, id, lose, tell, response = std::move(response)]() mutable {
            if (!lose) return request_ends(id, std::move(response));
            if (tell) request_ends(id, error(Code::kNetwork, "connection lost"));
          });
        });
      });
}

void Network::serve(HttpRequest request, NodeId device, UniqueFunction<void(HttpResponse)> respond) {
  if (front_ != nullptr) front_->on_request(device, request);
  auto asked = std::make_shared<const HttpRequest>(request);
  server_->http().handle(std::move(request), "device-" + std::to_string(device),
                         [this, asked, device, respond = std::move(respond)](HttpResponse response) mutable {
                           if (server_alive()) {
                             observer_.on_answer(*asked, response);
                             if (front_ != nullptr) front_->on_answer(device, *asked, response);
                             observer_.on_crossing(device, "the answer to a request", response.body);
                           }
                           respond(std::move(response));
                         });
}

void Network::request_ends(std::uint64_t id, Result<HttpResponse> response) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end() || !found->second->callback) return;
  // The exchange stays until its callback's turn, so that cancel() still stops it.
  auto callback = std::exchange(found->second->callback, nullptr);
  found->second->lane->post([this, id, callback = std::move(callback), response = std::move(response)]() mutable {
    if (exchanges_.erase(id) == 0) return;
    callback(std::move(response));
  });
}

// ---- Faults --------------------------------------------------------------------------------------------------------

// Each direction keeps a prefix of what is in flight, and then breaks.
void Network::break_wire(Wire& wire, bool tell_device, bool tell_server) {
  for (const bool up : {true, false}) {
    Wire::Pipe& pipe = up ? wire.up : wire.down;
    const std::size_t kept = static_cast<std::size_t>(random_.below(pipe.parcels.size() + 1));
    while (pipe.parcels.size() > kept) {
      pipe.bytes -= pipe.parcels.back().queued;
      pipe.parcels.pop_back();
    }
    pipe.silence.reset();
    pipe.ended = false;
    if (up ? tell_server : tell_device) {
      // Mostly at once, sometimes much later than the other side.
      const auto late = random_.below(4) == 0 ? microseconds(random_.below(20'000'000)) : microseconds(0);
      wire.put(up, {Wire::Parcel::Kind::kBroken, nullptr, 1006, {}}, late);
    } else {
      pipe.ended = true;
      schedule(wire.id, up);
    }
  }
}

void Network::cut(NodeId device) {
  bool any = false;
  for (const WireId id : wires_of(device)) {
    Wire& found = *wire(id);
    if (found.device_over && found.server_over) continue;
    break_wire(found, true, true);
    any = true;
  }
  if (any) observer_.on_fault("cut");
}

void Network::felt(const std::shared_ptr<Hold>& hold) {
  if (!std::exchange(hold->felt, true)) observer_.on_fault(hold->kind);
}

void Network::clog(NodeId device, bool up, bool down, microseconds time) {
  clog(device, up, down, time, std::make_shared<Hold>(Hold{"clog"}));
}

void Network::swizzle_clog(const std::vector<NodeId>& devices) {
  const auto hold = std::make_shared<Hold>(Hold{"swizzle_clog"});
  for (const NodeId device : devices) {
    const microseconds begin(random_.below(10'000'000));
    const microseconds time(10'000'000 + random_.below(20'000'000));
    scheduler_.after(begin, [this, device, time, hold] {
      if (!healed_) clog(device, true, true, time, hold);
    });
  }
}

void Network::clog(NodeId device, bool up, bool down, microseconds time, const std::shared_ptr<Hold>& hold) {
  for (const WireId id : wires_of(device)) {
    Wire& found = *wire(id);
    if (found.device_over) continue;
    for (const bool is_up : {true, false}) {
      if (!(is_up ? up : down)) continue;
      Wire::Pipe& pipe = is_up ? found.up : found.down;
      pipe.clogged_until = scheduler_.now() + time;
      pipe.clog = hold;
    }
  }
}

void Network::slow_reader(NodeId device, std::uint32_t bytes_per_second, microseconds time) {
  slow_[device] = {bytes_per_second, scheduler_.now() + time, std::make_shared<Hold>(Hold{"slow_reader"})};
}

void Network::take_slowly(Wire& wire, std::size_t bytes) {
  const auto found = slow_.find(wire.device);
  if (found == slow_.end() || found->second.until <= scheduler_.now()) return;
  wire.down.taken_until = scheduler_.now() + microseconds(bytes * 1'000'000 / found->second.bytes_per_second);
}

void Network::silence(NodeId device, bool up, bool down) {
  silence(device, up, down, std::make_shared<Hold>(Hold{up && down ? "silence" : "one_way_silence"}));
}

void Network::silence(NodeId device, bool up, bool down, const std::shared_ptr<Hold>& hold) {
  for (const WireId id : wires_of(device)) {
    Wire& found = *wire(id);
    if (found.device_over) continue;
    if (up) found.up.silence = hold;
    if (down) found.down.silence = hold;
  }
}

void Network::isolate(NodeId device) { isolate(device, std::make_shared<Hold>(Hold{"isolate"})); }

void Network::part(const std::vector<NodeId>& devices) {
  const auto hold = std::make_shared<Hold>(Hold{"partition"});
  for (const NodeId device : devices) isolate(device, hold);
}

void Network::isolate(NodeId device, const std::shared_ptr<Hold>& hold) {
  isolated_[device] = hold;
  silence(device, true, true, hold);
}

bool Network::is_isolated(NodeId device) {
  const auto found = isolated_.find(device);
  if (found == isolated_.end()) return false;
  felt(found->second);
  return true;
}

// One bit is another. Where the middle may not change what is said, the frame is none any more: mostly cut short, else
// with a tag at its end that no field has.
Bytes Network::altered(BytesView frame, bool up) {
  constexpr char kNoField = 0x07;
  Bytes bytes(frame);
  const auto says_something = [&] {
    return up ? wire::ClientFrame().ParseFromString(bytes) : wire::ServerFrame().ParseFromString(bytes);
  };
  bytes[random_.below(bytes.size())] ^= static_cast<char>(1u << random_.below(8));
  if (options_.alters_meaning || !says_something()) return bytes;
  bytes.resize(random_.below(bytes.size()));
  if (says_something()) bytes += kNoField;
  return bytes;
}

void Network::heal() {
  healed_ = true;
  faults = {};
  isolated_.clear();
  slow_.clear();
  const bool hostile = options_.drop_one_in != 0 || options_.repeat_one_in != 0 || options_.reorder_one_in != 0 ||
                       options_.alter_one_in != 0 || front_ != nullptr;
  options_.drop_one_in = options_.repeat_one_in = options_.reorder_one_in = options_.alter_one_in = 0;
  std::vector<WireId> ids;
  for (const auto& [id, unused] : wires_) ids.push_back(id);
  for (const WireId id : ids) {
    Wire& found = *wire(id);
    found.up.silence.reset();
    found.down.silence.reset();
    found.up.clogged_until = found.down.clogged_until = {};
    found.down.taken_until = {};
    if (hostile) break_wire(found, true, true);
    schedule(id, true);
    schedule(id, false);
  }
  for (const auto& [id, unused] : travelling_) {
    scheduler_.after(latency(), [this, id = id] { arrive(id); });
  }
}

void Network::device_crashed(NodeId device, bool abrupt) {
  for (const WireId id : wires_of(device)) {
    Wire& found = *wire(id);
    if (found.device_gone) continue;
    found.handler = nullptr;
    found.device_over = found.device_gone = true;
    if (found.server_lane == nullptr || found.server_gone) {
      forget_if_over(id);
    } else {
      break_wire(found, false, !abrupt);
    }
  }
  std::erase_if(exchanges_, [device](const auto& entry) { return entry.second->device == device; });
}

void Network::server_crashed(bool abrupt) {
  ++server_run_;
  std::vector<WireId> ids;
  for (const auto& [id, unused] : wires_) ids.push_back(id);
  for (const WireId id : ids) {
    Wire& found = *wire(id);
    const bool reached = found.server_lane != nullptr;
    found.server_lane = nullptr;
    found.server_handler = nullptr;
    found.server_over = found.server_gone = true;
    if (found.device_gone) {
      forget_if_over(id);
    } else if (reached) {
      break_wire(found, !abrupt, false);
    }
  }
  std::vector<std::uint64_t> lost;
  for (const auto& [id, exchange] : exchanges_) {
    if (exchange->reached && exchange->callback) lost.push_back(id);
  }
  for (const std::uint64_t id : lost) {
    if (abrupt) continue;  // the client's own time limit
    scheduler_.after(latency(), [this, id] { request_ends(id, error(Code::kNetwork, "connection lost")); });
  }
}

}  // namespace chatsdk::sim
