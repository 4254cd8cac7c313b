// SPDX-License-Identifier: Apache-2.0
#include "unit/engine/engine_world.h"

#include <unistd.h>

#include "protocol/content.h"

namespace chatsdk::test {

namespace {

// Memory-backed where the system has it: these tests commit thousands of times, and what survives a power cut is
// shown elsewhere.
std::filesystem::path temporary_root() {
  const std::filesystem::path shared = "/dev/shm";
  return std::filesystem::is_directory(shared) && ::access(shared.c_str(), W_OK) == 0
             ? shared
             : std::filesystem::temp_directory_path();
}

StoreKey store_key() { return StoreKey::copy_of(std::string(32, 'k')); }

}  // namespace

EngineWorld::EngineWorld() {
  static int serial = 0;
  directory_ = temporary_root() / ("chatsdk-engine-" + std::to_string(::getpid()) + "-" + std::to_string(++serial));
  std::filesystem::create_directories(directory_);
  options_.server_url = "http://server.test";
  options_.device_name = "test device";
  options_.client_name = "chatsdk/test";

  http_.respond = [this](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    if (request.url == "http://server.test/v1/connect") {
      wire::Connect connect;
      wire::Connect::Gateway& gateway = *connect.add_gateways();
      gateway.set_url("ws://gateway.test/v1/ws");
      connect.set_ttl_s(3'600);
      return protobuf_response(connect);
    }
    if (request.url == "http://server.test/v1/sessions/refresh") {
      return protobuf_response(session_answer(++refreshes_));
    }
    return std::nullopt;
  };
  transport_.on_attempt = [this](FakeTransport::Connection& connection) {
    if (auto_accept_upgrade_) transport_.accept(connection.id);
  };
  transport_.on_sent = [this](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
    if (frame.has_ping() && auto_pong_) {
      wire::ServerFrame pong;
      pong.mutable_pong()->set_token(frame.ping().token());
      transport_.deliver(connection.id, pong);
    }
    if (!frame.has_hello() || !auto_welcome_) return;
    wire::ServerFrame answer;
    *answer.mutable_welcome() = welcome();
    transport_.deliver(connection.id, answer);
    if (auto_caught_up_) transport_.deliver(connection.id, caught_up_frame(0));
  };
  open_store();
}

EngineWorld::~EngineWorld() {
  client_.reset();
  e2ee_.reset();
  reader_.reset();
  store_.reset();
  std::filesystem::remove_all(directory_);
}

void EngineWorld::open_store() {
  const StoreKey key = store_key();
  DeviceStoreOptions store_options;
  store_options.path = directory_ / "device.db";
  store_options.key = &key;
  store_options.base_vfs = base_vfs_;
  auto opened = DeviceStore::open(store_options, random_, clock_);
  ASSERT_TRUE(opened.ok()) << opened.error().detail;
  store_ = std::move(opened).value();
  auto reader = store_->open_reader();
  ASSERT_TRUE(reader.ok()) << reader.error().detail;
  reader_ = std::move(reader).value();
}

void EngineWorld::open_encryption() {
  auto opened = E2eeStore::open(*store_);
  ASSERT_TRUE(opened.ok()) << opened.error().detail;
  e2ee_ = std::move(opened).value();
}

void EngineWorld::make_client() {
  ClientSeams seams{executor_, RandomStreams{random_, random_, random_}, transport_, http_, log_};
  client_ = std::make_unique<Client>(options_, seams, *store_, sink_, e2ee_.get());
}

void EngineWorld::restart() {
  const bool encrypts = e2ee_ != nullptr;
  client_.reset();
  e2ee_.reset();
  reader_.reset();
  store_.reset();
  open_store();
  if (encrypts) open_encryption();
  make_client();
}

void EngineWorld::have_session(std::chrono::milliseconds valid_for) {
  StoredSession session;
  session.user_id = "alice";
  session.device_id = DeviceId{kDevice};
  session.access_token = "access-0";
  session.access_expires = clock_.wall_now() + valid_for;
  session.refresh_token = "refresh-0";
  ASSERT_TRUE(store_->save_session(session).ok());
}

Transport::ConnectionId EngineWorld::go_online() {
  if (client_ == nullptr) {
    if (auto session = store_->session(); session.ok() && !session->has_value()) have_session();
    make_client();
  }
  client_->start();
  run();
  EXPECT_EQ(client_->connection_state(), auto_caught_up_ ? ConnectionState::kOnline : ConnectionState::kSyncing);
  return transport_.last().id;
}

void EngineWorld::advance(std::chrono::microseconds by) {
  run();
  const MonotonicTime end = clock_.monotonic_now() + by;
  for (;;) {
    const auto next = executor_.next_time();
    if (!next.has_value() || *next > end) break;
    if (*next > clock_.monotonic_now()) clock_.advance(*next - clock_.monotonic_now());
    run();
  }
  clock_.advance(end - clock_.monotonic_now());
  run();
}

wire::Welcome EngineWorld::welcome() const {
  wire::Welcome welcome;
  welcome.set_protocol(1);
  welcome.set_user_id("alice");
  welcome.set_device_id(kDevice);
  welcome.set_account_stream_id(kAccountStream);
  welcome.set_store_epoch(epoch_);
  welcome.set_server_time_ms(to_unix_ms(clock_.wall_now()));
  welcome.set_token_expires_at_ms(to_unix_ms(clock_.wall_now() + token_lifetime_));
  welcome.set_heartbeat_ms(heartbeat_ms_);
  welcome.set_text_bytes_max(text_bytes_max_);
  welcome.set_send_window(send_window_);
  welcome.set_sends_in_flight(sends_in_flight_);
  return welcome;
}

wire::Session EngineWorld::session_answer(int generation) const {
  wire::Session session;
  session.set_user_id("alice");
  session.set_device_id(kDevice);
  session.set_access_token("access-" + std::to_string(generation));
  session.set_access_expires_at_ms(to_unix_ms(clock_.wall_now() + std::chrono::minutes(15)));
  session.set_refresh_token("refresh-" + std::to_string(generation));
  session.set_refresh_expires_at_ms(to_unix_ms(clock_.wall_now() + std::chrono::hours(24)));
  return session;
}

std::vector<wire::Send> EngineWorld::sends_on(const FakeTransport::Connection& connection) {
  std::vector<wire::Send> found;
  for (const wire::ClientFrame& frame : connection.sent) {
    if (frame.has_send()) found.push_back(frame.send());
  }
  return found;
}

ConversationKey EngineWorld::bob() {
  auto key = client_->direct_conversation("bob");
  EXPECT_TRUE(key.ok()) << key.error().detail;
  return key.ok() ? *key : ConversationKey{};
}

ClientMessageId EngineWorld::queue(const std::string& text, Client::SendOptions options) {
  auto sent = client_->send_text(bob(), text, options);
  EXPECT_TRUE(sent.ok()) << sent.error().detail;
  return sent.ok() ? sent->id : ClientMessageId{};
}

std::string EngineWorld::text_of(const wire::Send& send) const {
  const auto text = content::text_of(send.content());
  EXPECT_TRUE(text);
  return text.value_or("");
}

std::vector<std::string> EngineWorld::texts(const std::vector<wire::Send>& sends) const {
  std::vector<std::string> found;
  for (const wire::Send& send : sends) found.push_back(text_of(send));
  return found;
}

MessageRow EngineWorld::row(const ClientMessageId& id) {
  auto found = reader_->message_by_client_id(id);
  EXPECT_TRUE(found.ok()) << found.error().detail;
  return found.ok() ? *found : MessageRow{};
}

std::vector<std::string> EngineWorld::history() {
  std::vector<std::string> found;
  auto page = reader_->history_before(bob(), 0, limits::kPageMax);
  EXPECT_TRUE(page.ok());
  if (!page.ok()) return found;
  for (const MessageRow& message : page->rows) {
    const auto text = content::text_of(message.content);
    EXPECT_TRUE(text);
    found.push_back(text.value_or(""));
  }
  return found;
}

// ---- Frames --------------------------------------------------------------------------------------------------------

namespace {

wire::Accepted acceptance(Seq seq, std::uint64_t conversation) {
  wire::Accepted accepted;
  accepted.set_conversation_id(conversation);
  accepted.set_message_id(10'000 + seq);
  accepted.set_conversation_seq(seq);
  accepted.set_time_ms(1'700'000'000'000 + static_cast<std::int64_t>(seq));
  return accepted;
}

wire::Error refusal(Code code, std::uint32_t retry_after_ms) {
  return to_wire({code, "refused", std::chrono::milliseconds(retry_after_ms)});
}

}  // namespace

wire::ServerFrame accepted_frame(const std::string& client_message_id, Seq seq, std::uint64_t conversation) {
  wire::ServerFrame frame;
  frame.mutable_send_result()->set_client_message_id(client_message_id);
  *frame.mutable_send_result()->mutable_accepted() = acceptance(seq, conversation);
  return frame;
}

wire::ServerFrame refused_frame(const std::string& client_message_id, Code code, std::uint32_t retry_after_ms) {
  wire::ServerFrame frame;
  frame.mutable_send_result()->set_client_message_id(client_message_id);
  *frame.mutable_send_result()->mutable_refused() = refusal(code, retry_after_ms);
  return frame;
}

wire::ServerFrame void_accepted_frame(const std::string& client_message_id, Seq seq) {
  wire::ServerFrame frame;
  frame.mutable_void_result()->set_client_message_id(client_message_id);
  *frame.mutable_void_result()->mutable_accepted() = acceptance(seq, 900);
  return frame;
}

wire::ServerFrame voided_frame(const std::string& client_message_id) {
  wire::ServerFrame frame;
  frame.mutable_void_result()->set_client_message_id(client_message_id);
  frame.mutable_void_result()->set_voided(true);
  return frame;
}

wire::ServerFrame void_refused_frame(const std::string& client_message_id, Code code) {
  wire::ServerFrame frame;
  frame.mutable_void_result()->set_client_message_id(client_message_id);
  *frame.mutable_void_result()->mutable_refused() = refusal(code, 0);
  return frame;
}

wire::ServerFrame caught_up_frame(std::uint64_t stream, Seq seq) {
  wire::ServerFrame frame;
  frame.mutable_caught_up()->set_stream_id(stream);
  frame.mutable_caught_up()->set_seq(seq);
  return frame;
}

wire::ServerFrame failure_frame(Code code, std::uint32_t retry_after_ms) {
  wire::ServerFrame frame;
  *frame.mutable_failure()->mutable_error() = refusal(code, retry_after_ms);
  return frame;
}

wire::Item message_item(Seq seq, const std::string& text, const std::string& sender,
                        const std::string& client_message_id, std::uint64_t device) {
  wire::Item item;
  item.set_seq(seq);
  item.set_kind(wire::ITEM_KIND_MESSAGE);
  item.set_message_id(10'000 + seq);
  item.set_sender_user_id(sender);
  item.set_sender_device_id(device);
  item.set_client_message_id(client_message_id.empty() ? std::string(8, 'i') + std::to_string(10'000'000 + seq)
                                                       : client_message_id);
  item.set_time_ms(1'700'000'000'000 + static_cast<std::int64_t>(seq));
  item.set_content(encode_text_content(text));
  return item;
}

wire::Item roster_item(Seq seq) {
  wire::Item item;
  item.set_seq(seq);
  item.set_kind(wire::ITEM_KIND_ROSTER);
  item.set_time_ms(1'700'000'000'000);
  item.mutable_roster()->set_conversation_kind(wire::CONVERSATION_KIND_DIRECT);
  for (const char* user : {"alice", "bob"}) {
    wire::Roster::Change& change = *item.mutable_roster()->add_changes();
    change.set_user_id(user);
    change.set_joined(true);
  }
  return item;
}

wire::ServerFrame items_frame(std::uint64_t stream, Seq after, std::vector<wire::Item> items) {
  wire::ServerFrame frame;
  wire::Items& out = *frame.mutable_items();
  out.set_stream_id(stream);
  out.set_stream_kind(stream == 500 ? wire::STREAM_KIND_ACCOUNT : wire::STREAM_KIND_CONVERSATION);
  out.set_after_seq(after);
  for (wire::Item& item : items) out.add_items()->Swap(&item);
  return frame;
}

wire::ServerFrame read_mark_frame(const std::string& user, Seq up_to, std::uint64_t revision) {
  wire::ServerFrame frame;
  frame.mutable_marks()->set_conversation_id(900);
  frame.mutable_marks()->set_revision(revision);
  wire::Marks::Advance& advance = *frame.mutable_marks()->add_advances();
  advance.set_user_id(user);
  advance.set_kind(wire::Marks::KIND_READ);
  advance.set_up_to(up_to);
  advance.set_time_ms(1'700'000'000'000);
  return frame;
}

}  // namespace chatsdk::test
