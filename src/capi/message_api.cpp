// SPDX-License-Identifier: Apache-2.0
//
// Entry points of the C ABI: conversations and messages. Each checks its arguments, calls the runtime and translates;
// no logic lives here.
#include <cstring>

#include "base/limits.h"
#include "capi/guard.h"
#include "capi/handles.h"

using namespace chatsdk;        // NOLINT(google-build-using-namespace): this file is the boundary
using namespace chatsdk::capi;  // NOLINT(google-build-using-namespace)

namespace {

Status check_page(std::size_t max, const void* out) {
  if (out == nullptr) return error(Code::kInvalidArgument, "the output is NULL");
  if (max < 1 || max > limits::kPageMax) {
    return error(Code::kInvalidArgument,
                 "max " + std::to_string(max) + " is not within 1 and " + std::to_string(limits::kPageMax));
  }
  return {};
}

// Reads one row and hands it out as a snapshot.
template <typename Snapshot, typename Row>
Status read_out(chatsdk_client* client, Snapshot** out, const std::function<Result<Row>(DeviceReader&)>& read) {
  if (out == nullptr) return error(Code::kInvalidArgument, "the output is NULL");
  CHATSDK_ASSIGN(Row row, client->runtime.with_reader<Row>(read));
  *out = new Snapshot(std::move(row));
  return {};
}

Status read_count(chatsdk_client* client, std::uint64_t* out_count,
                  const std::function<Result<std::uint64_t>(DeviceReader&)>& read) {
  if (out_count == nullptr) return error(Code::kInvalidArgument, "out_count is NULL");
  CHATSDK_ASSIGN(*out_count, client->runtime.with_reader<std::uint64_t>(read));
  return {};
}

// Looks the message's id up and does one thing with it on the engine.
Status with_message(chatsdk_client* client, std::uint64_t message, Status (Client::*act)(const ClientMessageId&)) {
  CHATSDK_ASSIGN(const MessageRow row, client->runtime.with_reader<MessageRow>(
                                           [=](DeviceReader& reader) { return reader.message(MessageKey{message}); }));
  return client->runtime.with_engine<void>([&](Client& engine) { return (engine.*act)(row.client_message_id); });
}

// Says something of a message that is here.
template <typename Say>
Status said(chatsdk_client* client, Say&& say) {
  const auto sent = client->runtime.with_engine<Client::Sent>(std::forward<Say>(say));
  return sent.ok() ? Status() : Status(sent.error());
}

Status direct_conversation(chatsdk_client* client, const char* peer, std::size_t peer_length, bool encrypted,
                           std::uint64_t* out_conversation) {
  if (out_conversation == nullptr) return error(Code::kInvalidArgument, "out_conversation is NULL");
  CHATSDK_ASSIGN(const std::string_view user, text_in(peer, peer_length, {"peer", 1, limits::kUserIdBytesMax}));
  CHATSDK_ASSIGN(const ConversationKey key, client->runtime.with_engine<ConversationKey>([&](Client& engine) {
    return engine.direct_conversation(std::string(user), encrypted);
  }));
  *out_conversation = key.value;
  return {};
}

}  // namespace

extern "C" {

int32_t chatsdk_client_direct_conversation(chatsdk_client* client, const char* peer, size_t peer_length,
                                           uint64_t* out_conversation, chatsdk_error** out_error) {
  return on_client(client, out_error,
                   [&] { return direct_conversation(client, peer, peer_length, true, out_conversation); });
}

int32_t chatsdk_client_direct_conversation_plain(chatsdk_client* client, const char* peer, size_t peer_length,
                                                 uint64_t* out_conversation, chatsdk_error** out_error) {
  return on_client(client, out_error,
                   [&] { return direct_conversation(client, peer, peer_length, false, out_conversation); });
}

int32_t chatsdk_send_options_init(chatsdk_send_options* options, size_t size) {
  const chatsdk_send_options defaults = CHATSDK_SEND_OPTIONS_INIT;
  return init_struct(options, size, defaults);
}

int32_t chatsdk_client_send_text(chatsdk_client* client, uint64_t conversation, const char* text, size_t text_length,
                                 const chatsdk_send_options* options, uint8_t* out_id, uint64_t* out_message,
                                 chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view body, text_in(text, text_length, {"text", 1, limits::kTextBytesMax}));
    chatsdk_send_options in = CHATSDK_SEND_OPTIONS_INIT;
    if (options != nullptr) CHATSDK_TRY(read_struct(options, in, "options"));
    Client::SendOptions send;
    if (in.client_message_id != nullptr) {
      send.id = ClientMessageId::from_bytes(
          {reinterpret_cast<const char*>(in.client_message_id), limits::kClientMessageIdBytes});
    }
    if (in.time_limit_ms < 0) return error(Code::kInvalidArgument, "options.time_limit_ms is negative");
    if (in.time_limit_ms > 0) send.time_limit = std::chrono::milliseconds(in.time_limit_ms);
    CHATSDK_ASSIGN(const Client::Sent sent, client->runtime.with_engine<Client::Sent>([&](Client& engine) {
      return engine.send_text(ConversationKey{conversation}, body, send);
    }));
    if (out_id != nullptr) std::memcpy(out_id, sent.id.bytes.data(), sent.id.bytes.size());
    if (out_message != nullptr) *out_message = sent.message.value;
    return {};
  });
}

int32_t chatsdk_client_retry_message(chatsdk_client* client, uint64_t message, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] { return with_message(client, message, &Client::retry); });
}

int32_t chatsdk_client_discard_message(chatsdk_client* client, uint64_t message, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] { return with_message(client, message, &Client::discard); });
}

int32_t chatsdk_client_edit_text(chatsdk_client* client, uint64_t message, const char* text, size_t text_length,
                                 chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view body, text_in(text, text_length, {"text", 1, limits::kTextBytesMax}));
    return said(client, [&](Client& engine) { return engine.edit_text(MessageKey{message}, body); });
  });
}

int32_t chatsdk_client_delete_for_all(chatsdk_client* client, uint64_t message, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return client->runtime.with_engine<void>(
        [=](Client& engine) { return engine.delete_for_all(MessageKey{message}); });
  });
}

int32_t chatsdk_client_set_reactions(chatsdk_client* client, uint64_t message, const char* const* keys, size_t count,
                                     chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (keys == nullptr && count > 0) return error(Code::kInvalidArgument, "keys is NULL");
    if (count > limits::content::kReactionKeysMax) {
      return error(Code::kTooLarge,
                   std::to_string(count) + " keys, limit " + std::to_string(limits::content::kReactionKeysMax));
    }
    std::vector<std::string> chosen;
    for (std::size_t i = 0; i < count; ++i) {
      CHATSDK_ASSIGN(const std::string_view key,
                     text_in(keys[i], CHATSDK_STRLEN, {"key", 1, limits::content::kReactionKeyBytesMax}));
      chosen.emplace_back(key);
    }
    return said(client, [&](Client& engine) { return engine.set_reactions(MessageKey{message}, std::move(chosen)); });
  });
}

int32_t chatsdk_client_set_pinned(chatsdk_client* client, uint64_t message, int32_t pinned, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (pinned != 0 && pinned != 1) return error(Code::kInvalidArgument, "pinned is neither 0 nor 1");
    return said(client, [&](Client& engine) { return engine.set_pinned(MessageKey{message}, pinned == 1); });
  });
}

int32_t chatsdk_client_mark_read(chatsdk_client* client, uint64_t conversation, uint64_t conversation_seq,
                                 chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    return client->runtime.with_engine<void>(
        [=](Client& engine) { return engine.mark_read(ConversationKey{conversation}, conversation_seq); });
  });
}

// ---- Reads ---------------------------------------------------------------------------------------------------------

int32_t chatsdk_client_conversations(chatsdk_client* client, uint64_t after, size_t max,
                                     chatsdk_conversation_list** out_list, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check_page(max, out_list));
    return read_out<chatsdk_conversation_list, DeviceReader::ConversationPage>(
        client, out_list, [=](DeviceReader& reader) {
          return reader.conversations(after == 0 ? std::nullopt : std::optional(ConversationKey{after}), max);
        });
  });
}

int32_t chatsdk_client_conversation(chatsdk_client* client, uint64_t conversation,
                                    chatsdk_conversation** out_conversation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return read_out<chatsdk_conversation, ConversationRow>(client, out_conversation, [=](DeviceReader& reader) {
      return reader.conversation(ConversationKey{conversation});
    });
  });
}

int32_t chatsdk_client_unread_total(chatsdk_client* client, uint64_t* out_count, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return read_count(client, out_count, [](DeviceReader& reader) { return reader.unread_total(); });
  });
}

int32_t chatsdk_client_outbox_count(chatsdk_client* client, uint64_t* out_count, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return read_count(client, out_count, [](DeviceReader& reader) { return reader.outbox_count(); });
  });
}

int32_t chatsdk_client_history_before(chatsdk_client* client, uint64_t conversation, uint64_t before, size_t max,
                                      chatsdk_message_list** out_list, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check_page(max, out_list));
    return read_out<chatsdk_message_list, DeviceReader::MessagePage>(client, out_list, [=](DeviceReader& reader) {
      return reader.history_before(ConversationKey{conversation}, before, max);
    });
  });
}

int32_t chatsdk_client_history_after(chatsdk_client* client, uint64_t conversation, uint64_t after, size_t max,
                                     chatsdk_message_list** out_list, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check_page(max, out_list));
    return read_out<chatsdk_message_list, DeviceReader::MessagePage>(client, out_list, [=](DeviceReader& reader) {
      return reader.history_after(ConversationKey{conversation}, after, max);
    });
  });
}

int32_t chatsdk_client_history_before_message(chatsdk_client* client, uint64_t conversation, uint64_t message,
                                              size_t max, chatsdk_message_list** out_list, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check_page(max, out_list));
    return read_out<chatsdk_message_list, DeviceReader::MessagePage>(client, out_list, [=](DeviceReader& reader) {
      return reader.history_before(ConversationKey{conversation}, MessageKey{message}, max);
    });
  });
}

int32_t chatsdk_client_history_after_message(chatsdk_client* client, uint64_t conversation, uint64_t message,
                                             size_t max, chatsdk_message_list** out_list, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check_page(max, out_list));
    return read_out<chatsdk_message_list, DeviceReader::MessagePage>(client, out_list, [=](DeviceReader& reader) {
      return reader.history_after(ConversationKey{conversation}, MessageKey{message}, max);
    });
  });
}

int32_t chatsdk_client_message(chatsdk_client* client, uint64_t message, chatsdk_message** out_message,
                               chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return read_out<chatsdk_message, MessageRow>(
        client, out_message, [=](DeviceReader& reader) { return reader.message(MessageKey{message}); });
  });
}

int32_t chatsdk_client_message_by_id(chatsdk_client* client, const uint8_t* id, chatsdk_message** out_message,
                                     chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (id == nullptr) return error(Code::kInvalidArgument, "id is NULL");
    const auto key = ClientMessageId::from_bytes({reinterpret_cast<const char*>(id), limits::kClientMessageIdBytes});
    return read_out<chatsdk_message, MessageRow>(
        client, out_message, [&](DeviceReader& reader) { return reader.message_by_client_id(*key); });
  });
}

int32_t chatsdk_client_receipt(chatsdk_client* client, uint64_t message, const char* member, size_t member_length,
                               int64_t* out_delivered_ms, int64_t* out_read_ms, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view user, text_in(member, member_length, {"member", 1, limits::kUserIdBytesMax}));
    CHATSDK_ASSIGN(const Receipt receipt, client->runtime.with_reader<Receipt>([&](DeviceReader& reader) {
      return reader.receipt(MessageKey{message}, std::string(user));
    }));
    const auto ms = [](const std::optional<WallTime>& time) { return time ? to_unix_ms(*time) : 0; };
    if (out_delivered_ms != nullptr) *out_delivered_ms = ms(receipt.delivered_at);
    if (out_read_ms != nullptr) *out_read_ms = ms(receipt.read_at);
    return {};
  });
}

}  // extern "C"
