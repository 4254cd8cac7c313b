// SPDX-License-Identifier: Apache-2.0
//
// What every implementation of Store must do. The contract_*.cpp files hold the rules and know only store.h and the
// harness; a program that links them and defines make_store_harness() holds its implementation to them.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "protocol/content.h"
#include "protocol/frames.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

// One store with its durable state, and what the contract needs beyond the seam.
class StoreHarness {
 public:
  virtual ~StoreHarness() = default;
  virtual Store& store() = 0;
  virtual StoreReader& reader() = 0;
  // As a stop of the process and a new start.
  virtual void reopen() = 0;
  // No op changes the members of a conversation yet, so the rows are written behind the store's back; implies reopen().
  virtual void end_membership(StreamId stream_id, const UserId& user_id, Seq left_seq) = 0;
  virtual void begin_membership(StreamId stream_id, const UserId& user_id, int interval, Seq joined_seq) = 0;
};

std::unique_ptr<StoreHarness> make_store_harness();

inline constexpr std::int64_t kStartMs = 1'750'000'000'000;

class StoreContract : public ::testing::Test {
 protected:
  Store& store() { return harness_->store(); }
  StoreReader& reader() { return harness_->reader(); }

  WallTime now() const { return from_unix_ms(now_ms_); }
  void pass(std::int64_t ms) { now_ms_ += ms; }

  CommitResult commit(std::vector<WriteOp> ops) {
    auto result = store().commit(ops);
    EXPECT_TRUE(result.ok()) << result.error().detail;
    return result.ok() ? *std::move(result) : CommitResult{};
  }
  // The answer of one op that is not refused.
  template <typename Answer>
  Answer write(WriteOp op) {
    CommitResult result = commit({std::move(op)});
    if (result.answers.size() != 1 || !result.answers[0].ok()) {
      ADD_FAILURE() << "refused: " << (result.answers.empty() ? "" : result.answers[0].error().detail);
      return {};
    }
    if (!std::holds_alternative<Answer>(*result.answers[0])) {
      ADD_FAILURE() << "another answer";
      return {};
    }
    return std::get<Answer>(*result.answers[0]);
  }
  // The code of one op's answer.
  Code code(WriteOp op) {
    CommitResult result = commit({std::move(op)});
    return result.answers.size() == 1 ? result.answers[0].code() : Code::kInternal;
  }

  Account account(const UserId& user_id) {
    Account made;
    made.user_id = user_id;
    made.password_hash = "$argon2id$" + user_id;
    made.display_name = "Name of " + user_id;
    made.created = now();
    return made;
  }
  Account register_user(const UserId& user_id) { return write<Account>(CreateAccount{account(user_id)}); }
  OpenSession opening(const UserId& user_id, const std::string& installation = "installation-000") {
    OpenSession op;
    op.user_id = user_id;
    op.device_name = "phone";
    op.installation_id = installation;
    op.now = now();
    op.expires = now() + std::chrono::hours(1);
    return op;
  }
  SessionOpened log_in(const UserId& user_id, const std::string& installation = "installation-000") {
    return write<SessionOpened>(opening(user_id, installation));
  }

  static ClientMessageId client_id(std::uint64_t number) {
    ClientMessageId id;
    for (std::size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<unsigned char>(number >> (8 * i));
    return id;
  }
  // The message with this number of its device; number and text determine everything about it.
  AppendMessage message(const UserId& sender, DeviceId device, Target target, std::uint64_t number,
                        const std::string& text = "hello") {
    AppendMessage op;
    op.sender = sender;
    op.sender_device = device;
    op.target = std::move(target);
    op.client_message_id = client_id(number * 1'000'003 + device.value);
    op.send_number = number;
    op.content = encode_text_content(text);
    op.payload_hash = payload_hash(op.content);
    op.now = now();
    return op;
  }
  static Target to_peer(const UserId& peer) { return {{}, peer}; }
  static Target to_conversation(ConversationId conversation) { return {conversation, {}}; }
  static VoidMessage void_of(const AppendMessage& op) {
    return {op.sender, op.sender_device, op.session, op.target, op.client_message_id, op.send_number, op.now};
  }

  static wire::Item parse(const std::shared_ptr<const Bytes>& bytes) {
    wire::Item item;
    EXPECT_TRUE(item.ParseFromString(*bytes));
    return item;
  }
  std::vector<wire::Item> read(const UserId& user_id, StreamId stream_id, Seq after = 0, std::size_t max = 1'000,
                               std::size_t max_bytes = 1 << 20, DeviceId device = {}) {
    auto page = reader().items(user_id, device, stream_id, after, max, max_bytes);
    EXPECT_TRUE(page.ok()) << page.error().detail;
    std::vector<wire::Item> items;
    if (page.ok()) {
      for (const auto& bytes : page->items) items.push_back(parse(bytes));
    }
    return items;
  }
  Code read_code(const UserId& user_id, StreamId stream_id) {
    return reader().items(user_id, {}, stream_id, 0, 10, 1 << 20).code();
  }
  static std::string text_of(const wire::Item& item) {
    const auto text = content::text_of(item.content());
    EXPECT_TRUE(text);
    return text.value_or("");
  }

  std::unique_ptr<StoreHarness> harness_ = make_store_harness();
  std::int64_t now_ms_ = kStartMs;
};

// Two users, each with a device, and the conversation that ann's first message made: roster, message.
class PairContract : public StoreContract {
 protected:
  void SetUp() override {
    ann_account_ = register_user("ann");
    bob_account_ = register_user("bob");
    ann_ = log_in("ann").session.device_id;
    bob_ = log_in("bob").session.device_id;
    conversation_ = write<Appended>(message("ann", ann_, to_peer("bob"), 1)).conversation_id;
  }
  AppendMessage from_ann(std::uint64_t number, const std::string& text = "hello") {
    return message("ann", ann_, to_conversation(conversation_), number, text);
  }
  AppendMessage from_bob(std::uint64_t number, const std::string& text = "hello") {
    return message("bob", bob_, to_conversation(conversation_), number, text);
  }

  Account ann_account_;
  Account bob_account_;
  DeviceId ann_;
  DeviceId bob_;
  ConversationId conversation_;
};

}  // namespace chatsdk::server
