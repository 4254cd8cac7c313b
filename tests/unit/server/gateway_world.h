// SPDX-License-Identifier: Apache-2.0
//
// A server in one thread for the gateway's tests: the SQLite store in a directory of its own, committer, services, a
// bus that can lose, two shards, and clients that record what they are sent. Time moves only when a test says so.
//
// Threads: one.
#pragma once

#include <google/protobuf/stubs/logging.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/limits.h"
#include "base/random.h"
#include "protocol/content.h"
#include "server-reference/bus/in_process_bus.h"
#include "server-reference/gateway/gateway.h"
#include "server-reference/services/delivery_service.h"
#include "server-reference/services/marks_service.h"
#include "server-reference/store/sqlite_store.h"
#include "unit/server/recording_log.h"
#include "unit/server/sqlite_harness.h"

namespace chatsdk::server {

// Loses what the test asks it to.
class LossyBus final : public Bus {
 public:
  SubscriberId add_subscriber(Executor& executor, Subscriber& subscriber) override {
    return bus_.add_subscriber(executor, subscriber);
  }
  void remove_subscriber(SubscriberId subscriber) override { bus_.remove_subscriber(subscriber); }
  void follow(SubscriberId subscriber, const UserId& user) override { bus_.follow(subscriber, user); }
  void unfollow(SubscriberId subscriber, const UserId& user) override { bus_.unfollow(subscriber, user); }
  void publish(const UserId& user, UserMessage message) override {
    const auto* item = std::get_if<std::shared_ptr<const ItemHint>>(&message);
    if (lose_items && item != nullptr) return;
    if (lose_conversation_items && item != nullptr && (*item)->kind == wire::STREAM_KIND_CONVERSATION) return;
    if (lose_marks && std::holds_alternative<std::shared_ptr<const MarksHint>>(message)) return;
    if (lose_kicks && std::holds_alternative<Kick>(message)) return;
    bus_.publish(user, std::move(message));
  }
  void publish_heads(std::shared_ptr<const HeadDigest> digest) override {
    if (!lose_digests) bus_.publish_heads(std::move(digest));
  }

  bool lose_items = false;
  bool lose_conversation_items = false;
  bool lose_marks = false;
  bool lose_kicks = false;
  bool lose_digests = false;

 private:
  InProcessBus bus_;
};

// A token is "user/device/session/expiry in Unix ms".
class PlainTokens final : public TokenVerifier {
 public:
  static std::string make(const UserId& user, DeviceId device, SessionId session, WallTime expires) {
    return user + "/" + std::to_string(device.value) + "/" + std::to_string(session.value) + "/" +
           std::to_string(to_unix_ms(expires));
  }
  Result<Identity> verify_access_token(std::string_view token, WallTime now) const override {
    std::array<std::string_view, 4> parts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto end = i + 1 < parts.size() ? token.find('/') : token.size();
      if (end == token.npos) return error(Code::kUnauthenticated, "not a token");
      parts[i] = token.substr(0, end);
      token.remove_prefix(i + 1 < parts.size() ? end + 1 : end);
    }
    Identity identity;
    identity.user_id = UserId(parts[0]);
    std::int64_t expires_ms = 0;
    if (!number(parts[1], identity.device_id.value) || !number(parts[2], identity.session_id.value) ||
        !number(parts[3], expires_ms)) {
      return error(Code::kUnauthenticated, "not a token");
    }
    identity.expires = from_unix_ms(expires_ms);
    if (identity.expires <= now) return error(Code::kUnauthenticated, "expired");
    return identity;
  }

 private:
  template <typename Number>
  static bool number(std::string_view text, Number& out) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
    return failed == std::errc() && end == text.data() + text.size();
  }
};

struct World;

// A device's connection: what it was sent, and a model of the device that applies items and refuses gaps.
class TestClient final : public FrameSink {
 public:
  TestClient(World& world, std::size_t shard, ConnectionId id) : world_(world), shard_(shard), id_(id) {}

  void send(std::shared_ptr<const Bytes> frame) override;
  std::size_t queued_bytes() const override { return queued; }
  void pause_reading(bool on) override { paused = on; }
  void close(CloseCode code) override;

  void say(const wire::ClientFrame& frame) { say_bytes(encode(frame)); }
  void say_bytes(BytesView bytes);
  void hang_up();

  // Frames of a kind, in order.
  std::vector<wire::ServerFrame> of(wire::ServerFrame::BodyCase kind) const;
  Code failure() const;
  std::vector<std::string> texts(StreamId stream) const;
  void ack(StreamId stream, Seq seq, Seq delivered_from = 0, Seq missing_from = 0);

  std::vector<wire::ServerFrame> frames;
  std::optional<CloseCode> closed;
  std::size_t queued = 0;
  bool paused = false;  // the server does not read; a test that goes on speaking is what was received before
  bool auto_ack = false;
  bool drop_items = false;  // the device's own transaction fails
  std::size_t gaps = 0;
  std::map<StreamId, std::vector<wire::Item>> items;
  std::map<StreamId, Seq> cursors;
  std::map<StreamId, std::uint64_t> marks_revisions;
  std::map<std::pair<StreamId, std::pair<std::string, int>>, Seq> marks;

  ConnectionId id() const { return id_; }

 private:
  World& world_;
  const std::size_t shard_;
  const ConnectionId id_;
};

struct World {
  static constexpr auto kTokenLife = std::chrono::minutes(15);

  // given: a store other than a new one.
  explicit World(GatewayOptions gateway_options = {}, std::unique_ptr<Store> given = {})
      : options(std::move(gateway_options)), store(given ? std::move(given) : new_store()) {
    google::protobuf::SetLogHandler(nullptr);  // it reports every malformed name
    reader = std::move(store->open_reader()).value();
    marks = std::make_unique<MarksService>(submit_write(), writer, log);
    delivery = std::make_unique<DeliveryService>(bus, writer, log);
    committer.set_observer(delivery.get());
    open_gateways();
  }
  void open_gateways() {
    for (std::size_t i = 0; i < shard_executors.size(); ++i) {
      gateways[i] =
          std::make_unique<Gateway>(GatewayParts{shard_executors[i], bus, reader_executor, *reader, submit_write(),
                                                 *marks, tokens, directory, random, log, store->epoch()},
                                    options);
    }
  }
  // As a new start of the server with other options; every connection ends.
  void restart_gateways(const GatewayOptions& changed) {
    for (const auto& client : clients) {
      if (!client->closed) client->hang_up();
    }
    for (auto& gateway : gateways) gateway.reset();
    options = changed;
    open_gateways();
  }

  struct Device {
    UserId user;
    DeviceId id;
    SessionId session;
  };

  void add_user(const UserId& user) {
    Account account;
    account.user_id = user;
    CHATSDK_ASSERT(commit_now(CreateAccount{account}).ok());
  }
  Device add_device(const UserId& user, const std::string& name = "device") {
    const auto answer = commit_now(OpenSession{user,
                                               name,
                                               (name + Bytes(16, '-')).substr(0, 16),
                                               clock.wall_now(),
                                               clock.wall_now() + std::chrono::hours(9),
                                               {}});
    const Session& session = std::get<SessionOpened>(answer.value()).session;
    return Device{user, session.device_id, session.session_id};
  }
  std::string token(const Device& device) const {
    return PlainTokens::make(device.user, device.id, device.session, clock.wall_now() + kTokenLife);
  }

  TestClient& open(std::string bearer = {}, std::size_t shard = 0) {
    clients.push_back(std::make_unique<TestClient>(*this, shard, ++last_connection));
    gateways[shard]->on_open(ConnectionInfo{last_connection, std::move(bearer), "127.0.0.1"}, *clients.back());
    return *clients.back();
  }
  // The hello of a device that has seen what `before` has.
  wire::ClientFrame hello(const TestClient* before = nullptr) const {
    wire::ClientFrame frame;
    wire::Hello& body = *frame.mutable_hello();
    body.set_protocol_min(1);
    body.set_protocol_max(1);
    if (before == nullptr) return frame;
    body.set_store_epoch(store->epoch());
    for (const auto& [stream, seq] : before->cursors) {
      body.add_stream_ids(stream.value);
      body.add_seqs(seq);
      const auto revision = before->marks_revisions.find(stream);
      body.add_marks_revisions(revision == before->marks_revisions.end() ? 0 : revision->second);
    }
    return frame;
  }
  TestClient& connect(const Device& device, const TestClient* before = nullptr, std::size_t shard = 0,
                      bool auto_ack = true) {
    TestClient& client = open(token(device), shard);
    client.auto_ack = auto_ack;
    if (before != nullptr) {
      client.cursors = before->cursors;
      client.items = before->items;
      client.marks = before->marks;
      client.marks_revisions = before->marks_revisions;
    }
    client.say(hello(before));
    run();
    return client;
  }

  wire::ClientFrame text_to(const UserId& peer, const std::string& text, std::uint64_t number) {
    wire::ClientFrame frame;
    frame.mutable_send()->set_peer_user_id(peer);
    fill(*frame.mutable_send(), text, number);
    return frame;
  }
  wire::ClientFrame text_in(StreamId conversation, const std::string& text, std::uint64_t number) {
    wire::ClientFrame frame;
    frame.mutable_send()->set_conversation_id(conversation.value);
    fill(*frame.mutable_send(), text, number);
    return frame;
  }
  void fill(wire::Send& send, const std::string& text, std::uint64_t number) {
    send.set_client_message_id(std::string(ClientMessageId::make(clock.wall_now(), random).view()));
    send.set_send_number(number);
    send.set_content(encode_text_content(text));
  }
  // `count` messages from a user, committed without any connection.
  StreamId append(const Device& from, const UserId& peer, std::uint64_t first_number, std::size_t count,
                  std::size_t text_bytes = 16) {
    std::vector<WriteOp> ops;
    for (std::size_t i = 0; i < count; ++i) {
      AppendMessage op;
      op.sender = from.user;
      op.sender_device = from.id;
      op.target.peer = peer;
      op.client_message_id = ClientMessageId::make(clock.wall_now(), random);
      op.send_number = first_number + i;
      std::string text = "m" + std::to_string(first_number + i) + " ";
      text.resize(std::max(text.size(), text_bytes), 'x');
      op.content = encode_text_content(text);
      op.payload_hash = payload_hash(op.content);
      op.now = clock.wall_now();
      ops.emplace_back(std::move(op));
    }
    Result<CommitResult> result = store->commit(ops);
    delivery->on_committed(result.value());
    return std::get<Appended>(result->answers.at(0).value()).conversation_id;
  }

  // Commits one op at once, and tells the delivery service.
  Result<WriteAnswer> commit_now(WriteOp op) {
    auto result = store->commit({&op, 1});
    if (delivery) delivery->on_committed(result.value());
    return std::move(result.value().answers[0]);
  }

  // That a commit survives a power loss is the durability test's concern: here its syncs would only cost time.
  static std::filesystem::path memory_folder() {
    constexpr const char* kShared = "/dev/shm";
    return ::access(kShared, W_OK | X_OK) == 0 ? kShared : std::filesystem::temp_directory_path();
  }

  std::unique_ptr<Store> new_store() {
    return SqliteStore::open({.path = folder.file("chat.db"), .vfs_name = {}}, random).value();
  }

  SubmitWrite submit_write() {
    return [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
      submitted.push_back(op);
      if (refuse_with) {
        reply_on.post(
            [on_written = std::move(on_written), refusal = error(*refuse_with, "refused by the test")]() mutable {
              on_written(std::move(refusal));
            });
      } else if (hold_commits) {
        held.push_back(Held{std::move(op), std::move(on_written), &reply_on});
      } else {
        committer.submit(std::move(op), std::move(on_written), reply_on);
      }
    };
  }
  void release_commits() {
    hold_commits = false;
    for (Held& one : held) committer.submit(std::move(one.op), std::move(one.on_written), *one.reply_on);
    held.clear();
    run();
  }

  std::vector<ManualExecutor*> executors() {
    return {&shard_executors[0], &shard_executors[1], &writer, &reader_executor};
  }
  void run() {
    for (bool any = true; any;) {
      any = false;
      for (ManualExecutor* executor : executors()) any = executor->run_ready() > 0 || any;
    }
  }
  void advance(std::chrono::microseconds by) {
    const MonotonicTime end = clock.monotonic_now() + by;
    run();
    for (;;) {
      std::optional<MonotonicTime> next;
      for (ManualExecutor* executor : executors()) {
        const auto time = executor->next_time();
        if (time && (!next || *time < *next)) next = time;
      }
      if (!next || *next > end) break;
      if (*next > clock.monotonic_now()) clock.advance(*next - clock.monotonic_now());
      run();
    }
    clock.advance(end - clock.monotonic_now());
    run();
  }
  // Advances the time while a connected device sends its heartbeats.
  void advance_alive(TestClient& client, std::chrono::milliseconds by) {
    for (std::chrono::milliseconds passed{0}; passed < by; passed += std::chrono::seconds(5)) {
      wire::ClientFrame ping;
      ping.mutable_ping()->set_token(1);
      if (!client.closed) client.say(ping);
      advance(std::min<std::chrono::milliseconds>(by - passed, std::chrono::seconds(5)));
    }
  }

  template <typename Op>
  std::vector<Op> submitted_ops() const {
    std::vector<Op> out;
    for (const WriteOp& op : submitted) {
      if (const auto* one = std::get_if<Op>(&op)) out.push_back(*one);
    }
    return out;
  }

  struct Held {
    WriteOp op;
    OnWritten on_written;
    Executor* reply_on;
  };

  GatewayOptions options;
  ManualClock clock;
  std::array<ManualExecutor, 2> shard_executors{ManualExecutor(clock), ManualExecutor(clock)};
  ManualExecutor writer{clock};
  ManualExecutor reader_executor{clock};
  testing::RecordingLog log;
  SeededRandom random{1};
  PlainTokens tokens;
  TemporaryDirectory folder{memory_folder()};
  std::unique_ptr<Store> store;
  std::unique_ptr<StoreReader> reader;
  LossyBus bus;
  ConnectionDirectory directory;
  std::vector<WriteOp> submitted;
  Committer committer{*store, writer, log};
  std::vector<Held> held;
  bool hold_commits = false;
  std::optional<Code> refuse_with;
  std::unique_ptr<MarksService> marks;
  std::unique_ptr<DeliveryService> delivery;
  std::function<void(const wire::ServerFrame&)> on_frame_out;
  ConnectionId last_connection = 0;
  std::vector<std::unique_ptr<TestClient>> clients;
  std::array<std::unique_ptr<Gateway>, 2> gateways;
};

inline void TestClient::send(std::shared_ptr<const Bytes> bytes) {
  CHATSDK_ASSERT(!closed);
  frames.push_back(std::move(decode_server_frame(*bytes)).value());
  const wire::ServerFrame& frame = frames.back();
  if (world_.on_frame_out) world_.on_frame_out(frame);
  if (frame.has_items() && !drop_items) {
    const StreamId stream{frame.items().stream_id()};
    if (frame.items().after_seq() > cursors[stream]) {
      ++gaps;
      return;
    }
    for (const wire::Item& item : frame.items().items()) {
      if (item.seq() <= cursors[stream]) continue;
      items[stream].push_back(item);
      cursors[stream] = item.seq();
    }
    if (auto_ack) {
      world_.shard_executors[shard_].post([this, stream, seq = cursors[stream]] { ack(stream, seq); });
    }
  }
  if (frame.has_marks()) {
    const StreamId conversation{frame.marks().conversation_id()};
    marks_revisions[conversation] = frame.marks().revision();
    for (const wire::Marks::Advance& advance : frame.marks().advances()) {
      marks[{conversation, {advance.user_id(), advance.kind()}}] = advance.up_to();
    }
  }
}

inline void TestClient::close(CloseCode code) {
  CHATSDK_ASSERT(!closed);
  closed = code;
  world_.shard_executors[shard_].post([this] { world_.gateways[shard_]->on_closed(id_); });
}

inline void TestClient::say_bytes(BytesView bytes) { world_.gateways[shard_]->on_frame(id_, bytes); }

inline void TestClient::hang_up() {
  closed = CloseCode::kAbnormal;
  world_.gateways[shard_]->on_closed(id_);
  world_.run();
}

inline std::vector<wire::ServerFrame> TestClient::of(wire::ServerFrame::BodyCase kind) const {
  std::vector<wire::ServerFrame> out;
  for (const wire::ServerFrame& frame : frames) {
    if (frame.body_case() == kind) out.push_back(frame);
  }
  return out;
}

inline Code TestClient::failure() const {
  const auto failures = of(wire::ServerFrame::kFailure);
  return failures.empty() ? Code::kOk : static_cast<Code>(failures.back().failure().error().code());
}

inline std::vector<std::string> TestClient::texts(StreamId stream) const {
  std::vector<std::string> out;
  const auto found = items.find(stream);
  if (found == items.end()) return out;
  for (const wire::Item& item : found->second) {
    if (item.kind() != wire::ITEM_KIND_MESSAGE) continue;
    out.push_back(content::text_of(item.content()).value());
  }
  return out;
}

inline void TestClient::ack(StreamId stream, Seq seq, Seq delivered_from, Seq missing_from) {
  if (closed) return;
  wire::ClientFrame frame;
  wire::Ack::Stream& one = *frame.mutable_ack()->add_streams();
  one.set_stream_id(stream.value);
  one.set_seq(seq);
  one.set_delivered_from(delivered_from);
  one.set_missing_from(missing_from);
  say(frame);
}

}  // namespace chatsdk::server
