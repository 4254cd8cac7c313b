// SPDX-License-Identifier: Apache-2.0
//
// A WebSocket client of a running server, for tests: it says single frames and reads until what it waits for comes.
//
// Threads: one. Every read ends within RawClient's patience.
#pragma once

#include <optional>
#include <string>

#include "protocol/content.h"
#include "protocol/frames.h"
#include "support/raw_client.h"

namespace chatsdk::test {

class ProgramClient {
 public:
  // The upgrade, with the token in its header when there is one.
  explicit ProgramClient(std::uint16_t port, const std::string& bearer = "") : client_(port) {
    upgraded_ = client_.upgrade(bearer.empty() ? "" : "Authorization: Bearer " + bearer + "\r\n").status == 101;
  }

  bool upgraded() const { return upgraded_; }
  void say_bytes(BytesView bytes) { client_.send_frame(2, bytes); }
  void say(const wire::ClientFrame& frame) { say_bytes(encode(frame)); }

  static wire::ClientFrame hello_frame(const std::string& token = "") {
    wire::ClientFrame frame;
    frame.mutable_hello()->set_protocol_min(1);
    frame.mutable_hello()->set_protocol_max(1);
    frame.mutable_hello()->set_access_token(token);
    return frame;
  }
  void hello(const std::string& token = "") { say(hello_frame(token)); }
  void renew(const std::string& token) {
    wire::ClientFrame frame;
    frame.mutable_authenticate()->set_access_token(token);
    say(frame);
  }
  void ping(std::uint64_t token) {
    wire::ClientFrame frame;
    frame.mutable_ping()->set_token(token);
    say(frame);
  }
  void send_text(const std::string& peer, const std::string& text, const Bytes& id, std::uint64_t number) {
    wire::ClientFrame frame;
    frame.mutable_send()->set_peer_user_id(peer);
    frame.mutable_send()->set_client_message_id(id);
    frame.mutable_send()->set_send_number(number);
    frame.mutable_send()->set_content(encode_text_content(text));
    say(frame);
  }

  // The next frame of a kind; frames of others are passed over. nullopt when the connection closes before.
  std::optional<wire::ServerFrame> read(wire::ServerFrame::BodyCase kind) {
    while (!close_code_) {
      const RawClient::Frame raw = client_.read_frame();
      if (raw.opcode == 8) close_code_ = raw.close_code();
      if (raw.opcode == -1) close_code_ = 1006;
      if (raw.opcode != 2) continue;
      auto frame = decode_server_frame(raw.payload);
      if (frame.ok() && frame->body_case() == kind) return *std::move(frame);
    }
    return std::nullopt;
  }
  // The text of the next message from a sender.
  std::string read_text(const std::string& sender) {
    while (const auto frame = read(wire::ServerFrame::kItems)) {
      for (const wire::Item& item : frame->items().items()) {
        const bool wanted = item.kind() == wire::ITEM_KIND_MESSAGE && item.sender_user_id() == sender;
        if (wanted) return content::text_of(item.content()).value_or("");
      }
    }
    return {};
  }
  // The code of the failure that ends the connection; OK when it ends without one.
  Code failure() {
    const auto frame = read(wire::ServerFrame::kFailure);
    return frame ? static_cast<Code>(frame->failure().error().code()) : Code::kOk;
  }
  int close_code() {
    while (!close_code_) read(wire::ServerFrame::kFailure);
    return *close_code_;
  }

 private:
  RawClient client_;
  bool upgraded_ = false;
  std::optional<int> close_code_;
};

}  // namespace chatsdk::test
