// SPDX-License-Identifier: Apache-2.0
//
// The snapshots' constructors and their getters of the C ABI: no logic, no failure but NULL.
#include "capi/snapshot.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/limits.h"
#include "capi/guard.h"
#include "protocol/content.h"

using chatsdk::capi::Ref;
using chatsdk::capi::view_out;

namespace {

// What is shown of a message that is a text, edited or not.
std::optional<std::string> shown_text(const chatsdk::MessageRow& row) {
  namespace content = chatsdk::content;
  if (row.deleted) return std::nullopt;
  if (row.edit.empty()) return content::text_of(row.content);
  const content::Content read = content::read(row.edit);
  const auto* annotation = std::get_if<content::Annotation>(&read);
  const auto* edit = annotation == nullptr ? nullptr : std::get_if<content::Edit>(&annotation->kind);
  const auto* text = edit == nullptr ? nullptr : std::get_if<content::Text>(&edit->post.kind);
  return text == nullptr ? std::nullopt : std::optional(text->text);
}

std::vector<chatsdk_message::Reaction> grouped(const std::vector<chatsdk::MessageRow::Reaction>& reactions) {
  std::map<std::string, chatsdk_message::Reaction> by_key;
  for (const auto& of_member : reactions) {
    for (const std::string& key : of_member.keys) {
      chatsdk_message::Reaction& group = by_key[key];
      group.key = key;
      group.members.push_back(of_member.user_id);
      group.own = group.own || of_member.own;
    }
  }
  std::vector<chatsdk_message::Reaction> groups;
  for (auto& [key, group] : by_key) groups.push_back(std::move(group));
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.members.size() > b.members.size(); });
  return groups;
}

// Sixteen groups of four hexadecimal digits.
std::string fingerprint_of(const chatsdk::e2ee::Hash& record) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string shown;
  for (const char byte : record.view()) {
    const auto value = static_cast<unsigned char>(byte);
    if (shown.size() % 5 == 4) shown += ' ';
    shown += kDigits[value >> 4U];
    shown += kDigits[value & 0xfU];
  }
  return shown;
}

const chatsdk_signed_devices::Device* device_at(const chatsdk_signed_devices* devices, std::size_t index) {
  return devices != nullptr && index < devices->devices.size() ? &devices->devices[index] : nullptr;
}

}  // namespace

chatsdk_signed_devices::chatsdk_signed_devices(const std::vector<chatsdk::SignedDevice>& signed_devices) {
  for (const chatsdk::SignedDevice& device : signed_devices) {
    devices.push_back({device.device_id.value, device.name.value_or(""), fingerprint_of(device.record),
                       static_cast<std::int64_t>(device.since_ms), device.current});
  }
}

chatsdk_message::chatsdk_message(chatsdk::MessageRow r) : row(std::move(r)), reactions(grouped(row.reactions)) {
  auto known = shown_text(row);
  if (!known) return;
  text = std::move(*known);
  content_type = "text/plain";
}

chatsdk_message_list::chatsdk_message_list(chatsdk::DeviceReader::MessagePage page) : more(page.more) {
  rows.reserve(page.rows.size());
  for (auto& row : page.rows) rows.emplace_back(new chatsdk_message(std::move(row)));
}

chatsdk_conversation::chatsdk_conversation(chatsdk::ConversationRow r) : row(std::move(r)) {
  if (row.last_message) last_message = Ref<chatsdk_message>(new chatsdk_message(*row.last_message));
}

chatsdk_identity::chatsdk_identity(chatsdk::PeerIdentity i)
    : identity(std::move(i)),
      number(chatsdk::e2ee::safety_number(identity.own, identity.peer)),
      safety_number(number.grouped()) {}

chatsdk_conversation_list::chatsdk_conversation_list(chatsdk::DeviceReader::ConversationPage page) : more(page.more) {
  rows.reserve(page.rows.size());
  for (auto& row : page.rows) rows.emplace_back(new chatsdk_conversation(std::move(row)));
}

namespace {

// The C ABI's causes are the Error's.
template <chatsdk::CauseDomain domain, std::int32_t number>
constexpr bool kSame = static_cast<std::int32_t>(domain) == number;
static_assert(kSame<chatsdk::CauseDomain::kNone, CHATSDK_CAUSE_NONE>);
static_assert(kSame<chatsdk::CauseDomain::kSystem, CHATSDK_CAUSE_SYSTEM>);
static_assert(kSame<chatsdk::CauseDomain::kSqlite, CHATSDK_CAUSE_SQLITE>);
static_assert(kSame<chatsdk::CauseDomain::kHttp, CHATSDK_CAUSE_HTTP>);
static_assert(kSame<chatsdk::CauseDomain::kCurl, CHATSDK_CAUSE_CURL>);
static_assert(kSame<chatsdk::CauseDomain::kTls, CHATSDK_CAUSE_TLS>);
static_assert(kSame<chatsdk::CauseDomain::kWebSocket, CHATSDK_CAUSE_WEBSOCKET>);
static_assert(kSame<chatsdk::CauseDomain::kResolver, CHATSDK_CAUSE_RESOLVER>);

template <typename T>
T* retained(const T* object) {
  if (object != nullptr) object->retain();
  return const_cast<T*>(object);
}

template <typename T>
void released(const T* object) {
  if (object != nullptr) object->release();
}

const chatsdk_message::Reaction* reaction_at(const chatsdk_message* message, std::size_t index) {
  return message != nullptr && index < message->reactions.size() ? &message->reactions[index] : nullptr;
}

template <typename List>
auto row_at(const List* list, std::size_t index) -> decltype(list->rows[0].get()) {
  return list != nullptr && index < list->rows.size() ? list->rows[index].get() : nullptr;
}

}  // namespace

extern "C" {

// ---- Error ---------------------------------------------------------------------------------------------------------

int32_t chatsdk_error_status(const chatsdk_error* error) {
  return error == nullptr ? CHATSDK_OK : static_cast<std::int32_t>(error->error.code);
}
const char* chatsdk_error_message(const chatsdk_error* error, size_t* out_length) {
  return error == nullptr ? view_out("", out_length) : view_out(error->error.detail, out_length);
}
int32_t chatsdk_error_is_retryable(const chatsdk_error* error) {
  return error != nullptr && chatsdk::code_is_retryable(error->error.code) ? 1 : 0;
}
int64_t chatsdk_error_retry_after_ms(const chatsdk_error* error) {
  return error == nullptr ? 0 : error->error.retry_after.count();
}
int32_t chatsdk_error_cause_domain(const chatsdk_error* error) {
  return error == nullptr ? CHATSDK_CAUSE_NONE : static_cast<std::int32_t>(error->error.cause.domain);
}
int32_t chatsdk_error_cause_code(const chatsdk_error* error) { return error == nullptr ? 0 : error->error.cause.code; }
chatsdk_error* chatsdk_error_retain(const chatsdk_error* error) { return retained(error); }
void chatsdk_error_release(const chatsdk_error* error) { released(error); }

// ---- Event ---------------------------------------------------------------------------------------------------------

int32_t chatsdk_event_type(const chatsdk_event* event) { return event == nullptr ? 0 : event->type; }
uint64_t chatsdk_event_store_revision(const chatsdk_event* event) { return event == nullptr ? 0 : event->revision; }
uint64_t chatsdk_event_request(const chatsdk_event* event) { return event == nullptr ? 0 : event->request; }
int32_t chatsdk_event_status(const chatsdk_event* event) { return event == nullptr ? CHATSDK_OK : event->status; }
const chatsdk_error* chatsdk_event_error(const chatsdk_event* event) {
  return event == nullptr ? nullptr : event->error.get();
}
uint64_t chatsdk_event_conversation(const chatsdk_event* event) { return event == nullptr ? 0 : event->conversation; }
uint64_t chatsdk_event_message(const chatsdk_event* event) { return event == nullptr ? 0 : event->message; }
int32_t chatsdk_event_connection_state(const chatsdk_event* event) {
  return event == nullptr ? 0 : event->connection_state;
}
int64_t chatsdk_event_retry_in_ms(const chatsdk_event* event) { return event == nullptr ? 0 : event->retry_in_ms; }
size_t chatsdk_event_device_count(const chatsdk_event* event) { return event == nullptr ? 0 : event->devices.size(); }

int32_t chatsdk_event_device(const chatsdk_event* event, size_t index, chatsdk_device_info* out_device) {
  if (event == nullptr || out_device == nullptr) return CHATSDK_INVALID_ARGUMENT;
  if (index >= event->devices.size()) return CHATSDK_NOT_FOUND;
  const chatsdk::DeviceInfo& device = event->devices[index];
  chatsdk_device_info info = CHATSDK_DEVICE_INFO_INIT;
  info.is_current = device.current ? 1 : 0;
  info.device_id = device.device_id.value;
  info.created_ms = chatsdk::to_unix_ms(device.created);
  info.last_seen_ms = chatsdk::to_unix_ms(device.last_seen);
  info.name = device.name.c_str();
  info.name_length = device.name.size();
  return chatsdk::capi::write_struct(info, out_device);
}

int32_t chatsdk_event_encryption_state(const chatsdk_event* event) {
  return event == nullptr ? 0 : event->encryption_state;
}
const char* chatsdk_event_user(const chatsdk_event* event, size_t* out_length) {
  return event == nullptr ? view_out("", out_length) : view_out(event->user, out_length);
}
uint64_t chatsdk_event_device_id(const chatsdk_event* event) { return event == nullptr ? 0 : event->device_id; }
const char* chatsdk_event_link_code(const chatsdk_event* event, size_t* out_length) {
  return event == nullptr ? view_out("", out_length) : view_out(event->link_code, out_length);
}
const char* chatsdk_event_link_name(const chatsdk_event* event, size_t* out_length) {
  return event == nullptr ? view_out("", out_length) : view_out(event->link_name, out_length);
}

uint64_t chatsdk_event_operation(const chatsdk_event* event) { return event == nullptr ? 0 : event->operation; }

chatsdk_event* chatsdk_event_retain(const chatsdk_event* event) { return retained(event); }
void chatsdk_event_release(const chatsdk_event* event) { released(event); }

// ---- Message -------------------------------------------------------------------------------------------------------

uint64_t chatsdk_message_key(const chatsdk_message* message) { return message == nullptr ? 0 : message->row.key.value; }
uint64_t chatsdk_message_conversation(const chatsdk_message* message) {
  return message == nullptr ? 0 : message->row.conversation.value;
}
uint64_t chatsdk_message_seq(const chatsdk_message* message) { return message == nullptr ? 0 : message->row.seq; }
uint64_t chatsdk_message_id(const chatsdk_message* message) {
  return message == nullptr ? 0 : message->row.message_id.value;
}
const uint8_t* chatsdk_message_client_id(const chatsdk_message* message) {
  return message == nullptr ? nullptr : message->row.client_message_id.bytes.data();
}
const char* chatsdk_message_sender(const chatsdk_message* message, size_t* out_length) {
  return message == nullptr ? view_out("", out_length) : view_out(message->row.sender, out_length);
}
uint64_t chatsdk_message_sender_device(const chatsdk_message* message) {
  return message == nullptr ? 0 : message->row.sender_device.value;
}
int32_t chatsdk_message_is_own(const chatsdk_message* message) {
  return message != nullptr && message->row.state != chatsdk::MessageState::kReceived ? 1 : 0;
}
int64_t chatsdk_message_time_ms(const chatsdk_message* message) {
  return message == nullptr ? 0 : chatsdk::to_unix_ms(message->row.time);
}
int32_t chatsdk_message_state(const chatsdk_message* message) {
  return message == nullptr ? 0 : static_cast<std::int32_t>(message->row.state);
}
int32_t chatsdk_message_is_undecryptable(const chatsdk_message* message) {
  // What the server had no more has no sender.
  const bool is_placeholder = message != nullptr && message->row.content.empty() && !message->row.sender.empty();
  return is_placeholder && !message->row.deleted ? 1 : 0;
}
int32_t chatsdk_message_failure(const chatsdk_message* message) {
  return message == nullptr ? CHATSDK_OK : static_cast<std::int32_t>(message->row.failure);
}
const char* chatsdk_message_content_type(const chatsdk_message* message, size_t* out_length) {
  return view_out(message == nullptr ? "" : message->content_type, out_length);
}
const char* chatsdk_message_text(const chatsdk_message* message, size_t* out_length) {
  return message == nullptr ? view_out("", out_length) : view_out(message->text, out_length);
}
int32_t chatsdk_message_is_deleted(const chatsdk_message* message) {
  return message != nullptr && message->row.deleted ? 1 : 0;
}
uint64_t chatsdk_message_edit_count(const chatsdk_message* message) {
  return message == nullptr ? 0 : message->row.edits;
}
int32_t chatsdk_message_is_pinned(const chatsdk_message* message) {
  return message != nullptr && message->row.pinned ? 1 : 0;
}
uint64_t chatsdk_message_failed_change(const chatsdk_message* message) {
  return message == nullptr ? 0 : message->row.failed_annotation.value;
}
size_t chatsdk_message_reaction_count(const chatsdk_message* message) {
  return message == nullptr ? 0 : message->reactions.size();
}
const char* chatsdk_message_reaction_key(const chatsdk_message* message, size_t index, size_t* out_length) {
  const auto* reaction = reaction_at(message, index);
  return reaction == nullptr ? view_out("", out_length) : view_out(reaction->key, out_length);
}
int32_t chatsdk_message_reaction_is_own(const chatsdk_message* message, size_t index) {
  const auto* reaction = reaction_at(message, index);
  return reaction != nullptr && reaction->own ? 1 : 0;
}
size_t chatsdk_message_reaction_member_count(const chatsdk_message* message, size_t index) {
  const auto* reaction = reaction_at(message, index);
  return reaction == nullptr ? 0 : reaction->members.size();
}
const char* chatsdk_message_reaction_member(const chatsdk_message* message, size_t index, size_t member,
                                            size_t* out_length) {
  const auto* reaction = reaction_at(message, index);
  const bool there = reaction != nullptr && member < reaction->members.size();
  return there ? view_out(reaction->members[member], out_length) : view_out("", out_length);
}
chatsdk_message* chatsdk_message_retain(const chatsdk_message* message) { return retained(message); }
void chatsdk_message_release(const chatsdk_message* message) { released(message); }

size_t chatsdk_message_list_size(const chatsdk_message_list* list) { return list == nullptr ? 0 : list->rows.size(); }
const chatsdk_message* chatsdk_message_list_at(const chatsdk_message_list* list, size_t index) {
  return row_at(list, index);
}
int32_t chatsdk_message_list_has_more(const chatsdk_message_list* list) {
  return list != nullptr && list->more ? 1 : 0;
}
void chatsdk_message_list_release(const chatsdk_message_list* list) { released(list); }

// ---- Conversation --------------------------------------------------------------------------------------------------

uint64_t chatsdk_conversation_key(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? 0 : conversation->row.key.value;
}
uint64_t chatsdk_conversation_id(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? 0 : conversation->row.conversation_id.value;
}
int32_t chatsdk_conversation_kind(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? 0 : static_cast<std::int32_t>(conversation->row.kind);
}
int32_t chatsdk_conversation_is_encrypted(const chatsdk_conversation* conversation) {
  return conversation != nullptr && conversation->row.encrypted ? 1 : 0;
}
int32_t chatsdk_conversation_is_accepted_plain(const chatsdk_conversation* conversation) {
  return conversation != nullptr && conversation->row.accepted_plain ? 1 : 0;
}
const char* chatsdk_conversation_peer(const chatsdk_conversation* conversation, size_t* out_length) {
  return conversation == nullptr ? view_out("", out_length) : view_out(conversation->row.peer, out_length);
}
uint64_t chatsdk_conversation_head(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? 0 : conversation->row.head;
}
uint64_t chatsdk_conversation_read_up_to(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? 0 : conversation->row.read_up_to;
}
uint64_t chatsdk_conversation_unread_count(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? 0 : conversation->row.unread_count;
}
int64_t chatsdk_conversation_last_activity_ms(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? 0 : chatsdk::to_unix_ms(conversation->row.last_activity);
}
const chatsdk_message* chatsdk_conversation_last_message(const chatsdk_conversation* conversation) {
  return conversation == nullptr ? nullptr : conversation->last_message.get();
}
chatsdk_conversation* chatsdk_conversation_retain(const chatsdk_conversation* conversation) {
  return retained(conversation);
}
void chatsdk_conversation_release(const chatsdk_conversation* conversation) { released(conversation); }

size_t chatsdk_conversation_list_size(const chatsdk_conversation_list* list) {
  return list == nullptr ? 0 : list->rows.size();
}
const chatsdk_conversation* chatsdk_conversation_list_at(const chatsdk_conversation_list* list, size_t index) {
  return row_at(list, index);
}
int32_t chatsdk_conversation_list_has_more(const chatsdk_conversation_list* list) {
  return list != nullptr && list->more ? 1 : 0;
}
void chatsdk_conversation_list_release(const chatsdk_conversation_list* list) { released(list); }

// ---- Signed devices ------------------------------------------------------------------------------------------------

size_t chatsdk_signed_devices_size(const chatsdk_signed_devices* devices) {
  return devices == nullptr ? 0 : devices->devices.size();
}
uint64_t chatsdk_signed_devices_id(const chatsdk_signed_devices* devices, size_t index) {
  const auto* device = device_at(devices, index);
  return device == nullptr ? 0 : device->id;
}
const char* chatsdk_signed_devices_name(const chatsdk_signed_devices* devices, size_t index, size_t* out_length) {
  const auto* device = device_at(devices, index);
  return device == nullptr ? view_out("", out_length) : view_out(device->name, out_length);
}
const char* chatsdk_signed_devices_fingerprint(const chatsdk_signed_devices* devices, size_t index,
                                               size_t* out_length) {
  const auto* device = device_at(devices, index);
  return device == nullptr ? view_out("", out_length) : view_out(device->fingerprint, out_length);
}
int64_t chatsdk_signed_devices_since_ms(const chatsdk_signed_devices* devices, size_t index) {
  const auto* device = device_at(devices, index);
  return device == nullptr ? 0 : device->since_ms;
}
int32_t chatsdk_signed_devices_is_current(const chatsdk_signed_devices* devices, size_t index) {
  const auto* device = device_at(devices, index);
  return device != nullptr && device->current ? 1 : 0;
}
void chatsdk_signed_devices_release(const chatsdk_signed_devices* devices) { released(devices); }

// ---- Identity ------------------------------------------------------------------------------------------------------

const char* chatsdk_identity_user(const chatsdk_identity* identity, size_t* out_length) {
  return identity == nullptr ? view_out("", out_length) : view_out(identity->identity.peer.user_id, out_length);
}
const char* chatsdk_identity_safety_number(const chatsdk_identity* identity, size_t* out_length) {
  return identity == nullptr ? view_out("", out_length) : view_out(identity->safety_number, out_length);
}
const char* chatsdk_identity_scannable(const chatsdk_identity* identity, size_t* out_length) {
  return identity == nullptr ? view_out("", out_length) : view_out(identity->number.scannable, out_length);
}
int32_t chatsdk_identity_is_verified(const chatsdk_identity* identity) {
  return identity != nullptr && identity->identity.verified ? 1 : 0;
}
int32_t chatsdk_identity_has_changed(const chatsdk_identity* identity) {
  return identity != nullptr && identity->identity.changed ? 1 : 0;
}
chatsdk_identity* chatsdk_identity_retain(const chatsdk_identity* identity) { return retained(identity); }
void chatsdk_identity_release(const chatsdk_identity* identity) { released(identity); }

}  // extern "C"
