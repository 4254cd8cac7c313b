// SPDX-License-Identifier: Apache-2.0
#include "protocol/content.h"

#include <algorithm>

#include "base/limits.h"
#include "protocol/record.h"

namespace chatsdk::content {

namespace {

// Field numbers of Content. Up to kPostMax posts, up to kKindMax annotations; then attributes.
enum Number : std::uint32_t {
  kText = 1,
  kLocation = 3,
  kContact = 4,
  kSticker = 5,
  kCustom = 6,
  kErased = 15,
  kPostMax = 15,
  kEdit = 16,
  kDelete = 17,
  kReaction = 18,
  kPin = 19,
  kTimer = 20,
  kErasedAnnotation = 31,
  kKindMax = 31,
  kReply = 32,
  kThread = 33,
  kMentions = 34,
  kForwarded = 35,
  kSilent = 36,
  kExpiresAfter = 37,
  kFallback = 38,
};

// ---- Reading -------------------------------------------------------------------------------------------------------

// The one kind of a content, and its bytes; 0: it has none, or is not of the form.
struct Top {
  std::uint32_t kind = 0;
  BytesView body;
};

Top top_of(BytesView bytes) {
  Top top;
  int kinds = 0;
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() > kKindMax) continue;
    ++kinds;
    top = {fields.number(), fields.bytes()};
  }
  return fields.failed() || kinds != 1 ? Top() : top;
}

bool is_annotation(const Top& top) { return top.kind > kPostMax; }

// More than may be is not gathered: check() refuses one too many.
template <typename T>
void gather(std::vector<T>& values, T value, std::size_t most) {
  if (values.size() <= most) values.push_back(std::move(value));
}

// Each reads one record; false: it is not of the form.
bool parse(BytesView bytes, Target& target) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) target.author = UserId(fields.bytes());
    if (fields.number() != 2) continue;
    const auto id = ClientMessageId::from_bytes(fields.bytes());
    if (!id) return false;
    target.id = *id;
  }
  return !fields.failed() && target.id != ClientMessageId();
}

bool parse(BytesView bytes, Text& text) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) text.text = std::string(fields.bytes());
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Location& location) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) location.latitude_e7 = fields.sint32();
    if (fields.number() == 2) location.longitude_e7 = fields.sint32();
    if (fields.number() == 3) location.accuracy_m = fields.u32();
    if (fields.number() == 4) location.name = std::string(fields.bytes());
    if (fields.number() == 5) location.address = std::string(fields.bytes());
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Contact& contact) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) contact.name = std::string(fields.bytes());
    if (fields.number() == 2) contact.user_id = UserId(fields.bytes());
    if (fields.number() == 3)
      gather(contact.phones, std::string(fields.repeated_bytes()), limits::content::kContactEntriesMax);
    if (fields.number() == 4)
      gather(contact.emails, std::string(fields.repeated_bytes()), limits::content::kContactEntriesMax);
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Sticker& sticker) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) sticker.pack = std::string(fields.bytes());
    if (fields.number() == 2) sticker.sticker = std::string(fields.bytes());
    if (fields.number() == 3) sticker.emoji = std::string(fields.bytes());
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Custom& custom) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) custom.type = std::string(fields.bytes());
    if (fields.number() == 2) custom.data = Bytes(fields.bytes());
  }
  return !fields.failed();
}

// Whatever it will hold some day.
bool parse(BytesView bytes, Erased&) {
  RecordReader fields(bytes);
  while (fields.next()) {
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Mention& mention) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) mention.start = fields.u32();
    if (fields.number() == 2) mention.length = fields.u32();
    if (fields.number() == 3) mention.user_id = UserId(fields.bytes());
    if (fields.number() == 4) mention.all = fields.boolean();
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Reply& reply) {
  bool named = false;
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) named = parse(fields.bytes(), reply.target);
    if (fields.number() == 2) reply.quote = std::string(fields.bytes());
  }
  return named && !fields.failed();
}

bool parse(BytesView bytes, Forwarded& forwarded) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) forwarded.author = UserId(fields.bytes());
    if (fields.number() == 2) forwarded.time_ms = fields.u64();
    if (fields.number() == 3) forwarded.times = fields.u32();
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Timer& timer) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) timer.expires_after_s = fields.u32();
  }
  return !fields.failed();
}

bool parse(BytesView bytes, Delete& deletion) {
  bool named = false;
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) named = parse(fields.bytes(), deletion.target);
  }
  return named && !fields.failed();
}

bool parse(BytesView bytes, Reaction& reaction) {
  bool named = false;
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) named = parse(fields.bytes(), reaction.target);
    if (fields.number() == 2)
      gather(reaction.keys, std::string(fields.repeated_bytes()), limits::content::kReactionKeysMax);
  }
  return named && !fields.failed();
}

bool parse(BytesView bytes, Pin& pin) {
  bool named = false;
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) named = parse(fields.bytes(), pin.target);
    if (fields.number() == 2) pin.pinned = fields.boolean();
  }
  return named && !fields.failed();
}

bool parse_post(BytesView bytes, const Top& top, Post& post);

bool parse(BytesView bytes, Edit& edit) {
  bool named = false;
  bool has_content = false;
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() == 1) named = parse(fields.bytes(), edit.target);
    if (fields.number() != 2) continue;
    const BytesView inner = fields.bytes();
    has_content = parse_post(inner, top_of(inner), edit.post);
  }
  return named && has_content && !fields.failed();
}

// An empty optional becomes the parsed one.
template <typename T>
bool parse_into(BytesView bytes, std::optional<T>& value) {
  return parse(bytes, value.emplace());
}

bool parse_attribute(RecordReader& fields, Post& post) {
  switch (fields.number()) {
    case kReply:
      return parse_into(fields.bytes(), post.reply);
    case kThread:
      return parse_into(fields.bytes(), post.thread);
    case kMentions: {
      Mention mention;
      const bool fits = parse(fields.repeated_bytes(), mention);
      gather(post.mentions, std::move(mention), limits::content::kMentionsMax);
      return fits;
    }
    case kForwarded:
      return parse_into(fields.bytes(), post.forwarded);
    case kSilent:
      post.silent = fields.boolean();
      return true;
    case kExpiresAfter:
      post.expires_after_s = fields.u32();
      return true;
    case kFallback:
      post.fallback = std::string(fields.bytes());
      return true;
    default:
      return true;
  }
}

template <typename T, typename Kind>
bool parse_kind(BytesView body, Kind& kind) {
  return parse(body, kind.template emplace<T>());
}

bool parse_post(BytesView bytes, const Top& top, Post& post) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (!parse_attribute(fields, post)) return false;
  }
  if (fields.failed()) return false;
  switch (top.kind) {
    case kText:
      return parse_kind<Text>(top.body, post.kind);
    case kLocation:
      return parse_kind<Location>(top.body, post.kind);
    case kContact:
      return parse_kind<Contact>(top.body, post.kind);
    case kSticker:
      return parse_kind<Sticker>(top.body, post.kind);
    case kCustom:
      return parse_kind<Custom>(top.body, post.kind);
    case kErased:
      return parse_kind<Erased>(top.body, post.kind);
    default:
      return top.kind != 0 && !is_annotation(top);
  }
}

bool parse_annotation(BytesView bytes, const Top& top, Annotation& annotation) {
  RecordReader fields(bytes);
  while (fields.next()) {
    if (fields.number() > kKindMax && fields.number() <= kFallback) return false;
  }
  switch (top.kind) {
    case kEdit:
      return parse_kind<Edit>(top.body, annotation.kind);
    case kDelete:
      return parse_kind<Delete>(top.body, annotation.kind);
    case kReaction:
      return parse_kind<Reaction>(top.body, annotation.kind);
    case kPin:
      return parse_kind<Pin>(top.body, annotation.kind);
    case kTimer:
      return parse_kind<Timer>(top.body, annotation.kind);
    case kErasedAnnotation:
      return parse_kind<Erased>(top.body, annotation.kind);
    default:
      return true;
  }
}

bool parse_content(BytesView bytes, const Top& top, Content& content) {
  return is_annotation(top) ? parse_annotation(bytes, top, content.emplace<Annotation>())
                            : parse_post(bytes, top, content.emplace<Post>());
}

// ---- What fits -----------------------------------------------------------------------------------------------------

Error too_large(const char* what, std::size_t bytes, std::size_t most) {
  return error(Code::kTooLarge,
               std::string(what) + " " + std::to_string(bytes) + " B, limit " + std::to_string(most) + " B");
}

Status check_text(const char* what, std::string_view text, std::size_t least, std::size_t most) {
  if (text.size() < least) {
    return error(Code::kInvalidArgument, std::string(what) + " of 0 B, at least 1 B is needed");
  }
  if (text.size() > most) return too_large(what, text.size(), most);
  if (!is_utf8(text)) return error(Code::kInvalidUtf8, std::string(what) + " is not valid UTF-8");
  return {};
}

Status check_count(const char* what, std::size_t count, std::size_t most) {
  if (count <= most) return {};
  return error(Code::kTooLarge, std::string(what) + ": more than " + std::to_string(most));
}

Status check_expiry(std::uint32_t seconds) {
  if (seconds <= limits::content::kExpirySecondsMax) return {};
  return error(Code::kInvalidArgument, "expiry of " + std::to_string(seconds) + " s, at most " +
                                           std::to_string(limits::content::kExpirySecondsMax) + " s");
}

Status check_kind(const Target& target) {
  if (target.id == ClientMessageId()) return error(Code::kInvalidArgument, "a target without client_message_id");
  return check_text("author", target.author, 0, limits::kUserIdBytesMax);
}

Status check_kind(const Unknown&) { return {}; }
Status check_kind(const Erased&) { return {}; }

Status check_kind(const Location& location) {
  constexpr std::int32_t kLatitudeMax = 900'000'000;
  constexpr std::int32_t kLongitudeMax = 1'800'000'000;
  const bool on_earth = location.latitude_e7 >= -kLatitudeMax && location.latitude_e7 <= kLatitudeMax &&
                        location.longitude_e7 >= -kLongitudeMax && location.longitude_e7 <= kLongitudeMax;
  if (!on_earth) return error(Code::kInvalidArgument, "a location beyond 90 or 180 degrees");
  CHATSDK_TRY(check_text("name", location.name, 0, limits::content::kNameBytesMax));
  return check_text("address", location.address, 0, limits::content::kAddressBytesMax);
}

Status check_kind(const Contact& contact) {
  CHATSDK_TRY(check_text("name", contact.name, 1, limits::content::kNameBytesMax));
  CHATSDK_TRY(check_text("user_id", contact.user_id, 0, limits::kUserIdBytesMax));
  CHATSDK_TRY(check_count("phones", contact.phones.size(), limits::content::kContactEntriesMax));
  CHATSDK_TRY(check_count("emails", contact.emails.size(), limits::content::kContactEntriesMax));
  for (const std::string& phone : contact.phones) {
    CHATSDK_TRY(check_text("phone", phone, 1, limits::content::kContactPhoneBytesMax));
  }
  for (const std::string& email : contact.emails) {
    CHATSDK_TRY(check_text("email", email, 1, limits::kEmailBytesMax));
  }
  return {};
}

Status check_kind(const Sticker& sticker) {
  CHATSDK_TRY(check_text("pack", sticker.pack, 1, limits::content::kStickerNameBytesMax));
  CHATSDK_TRY(check_text("sticker", sticker.sticker, 1, limits::content::kStickerNameBytesMax));
  return check_text("emoji", sticker.emoji, 0, limits::content::kEmojiBytesMax);
}

Status check_kind(const Custom& custom) {
  constexpr std::string_view kPrefix = "application/";
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '+' || c == '-';
  };
  if (custom.type.size() > limits::content::kTypeBytesMax) {
    return too_large("type", custom.type.size(), limits::content::kTypeBytesMax);
  }
  const bool fits = custom.type.starts_with(kPrefix) && custom.type.size() > kPrefix.size() &&
                    std::all_of(custom.type.begin() + kPrefix.size(), custom.type.end(), allowed);
  if (!fits) return error(Code::kInvalidArgument, "type is not application/ and letters, digits, '.', '+' or '-'");
  return {};
}

bool at_border(std::string_view text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

Status check_mentions(const Post& post) {
  CHATSDK_TRY(check_count("mentions", post.mentions.size(), limits::content::kMentionsMax));
  const Text* text = std::get_if<Text>(&post.kind);
  std::size_t end = 0;
  for (const Mention& mention : post.mentions) {
    CHATSDK_TRY(check_text("user_id of a mention", mention.user_id, 0, limits::kUserIdBytesMax));
    if (mention.all != mention.user_id.empty()) {
      return error(Code::kInvalidArgument, "a mention is of one user or of all");
    }
    const std::size_t start = mention.start;
    const std::size_t after = start + mention.length;
    const bool fits = text == nullptr ? after == 0
                                      : mention.length > 0 && start >= end && after <= text->text.size() &&
                                            at_border(text->text, start) && at_border(text->text, after);
    if (!fits) return error(Code::kInvalidArgument, "a mention at " + std::to_string(start) + " does not fit the text");
    end = after;
  }
  return {};
}

Status check_kind(const Post& post, std::size_t text_bytes_max) {
  if (const auto* text = std::get_if<Text>(&post.kind)) CHATSDK_TRY(check_text("text", text->text, 1, text_bytes_max));
  CHATSDK_TRY(std::visit(
      [](const auto& kind) -> Status {
        if constexpr (std::is_same_v<std::decay_t<decltype(kind)>, Text>)
          return {};
        else
          return check_kind(kind);
      },
      post.kind));
  if (post.reply) {
    CHATSDK_TRY(check_kind(post.reply->target));
    CHATSDK_TRY(check_text("quote", post.reply->quote, 0, limits::content::kQuoteBytesMax));
  }
  if (post.thread) CHATSDK_TRY(check_kind(*post.thread));
  CHATSDK_TRY(check_mentions(post));
  if (post.forwarded) {
    CHATSDK_TRY(check_text("author", post.forwarded->author, 0, limits::kUserIdBytesMax));
    if (post.forwarded->times == 0) return error(Code::kInvalidArgument, "forwarded 0 times");
  }
  CHATSDK_TRY(check_expiry(post.expires_after_s));
  return check_text("fallback", post.fallback, 0, limits::content::kFallbackBytesMax);
}

Status check_kind(const Edit& edit, std::size_t text_bytes_max) {
  CHATSDK_TRY(check_kind(edit.target));
  if (!edit.target.author.empty()) return error(Code::kInvalidArgument, "an edit names an author");
  const Post& post = edit.post;
  const bool only_shown = !post.reply && !post.thread && !post.forwarded && !post.silent && post.expires_after_s == 0 &&
                          !std::holds_alternative<Erased>(post.kind);
  if (!only_shown) return error(Code::kInvalidArgument, "an edit has what only a post has");
  return check_kind(post, text_bytes_max);
}

Status check_kind(const Delete& deletion) { return check_kind(deletion.target); }
Status check_kind(const Pin& pin) { return check_kind(pin.target); }
Status check_kind(const Timer& timer) { return check_expiry(timer.expires_after_s); }

Status check_kind(const Reaction& reaction) {
  CHATSDK_TRY(check_kind(reaction.target));
  CHATSDK_TRY(check_count("keys", reaction.keys.size(), limits::content::kReactionKeysMax));
  for (std::size_t i = 0; i < reaction.keys.size(); ++i) {
    CHATSDK_TRY(check_text("key", reaction.keys[i], 1, limits::content::kReactionKeyBytesMax));
    const auto here = reaction.keys.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(reaction.keys.begin(), here, *here) != here) {
      return error(Code::kInvalidArgument, "a reaction has a key twice");
    }
  }
  return {};
}

Status check_annotation(const Annotation& annotation, std::size_t text_bytes_max) {
  if (const auto* edit = std::get_if<Edit>(&annotation.kind)) return check_kind(*edit, text_bytes_max);
  return std::visit(
      [](const auto& kind) -> Status {
        if constexpr (std::is_same_v<std::decay_t<decltype(kind)>, Edit>)
          return {};
        else
          return check_kind(kind);
      },
      annotation.kind);
}

// ---- Writing -------------------------------------------------------------------------------------------------------

RecordWriter written(const Target& target) {
  RecordWriter out;
  out.bytes(1, target.author).bytes(2, target.id.view());
  return out;
}

// A kind writes itself under its number.
void write_kind(RecordWriter&, const Unknown&) {}
void write_kind(RecordWriter& out, const Text& text) { out.record(kText, RecordWriter().bytes(1, text.text)); }
void write_kind(RecordWriter& out, const Location& location) {
  out.record(kLocation, RecordWriter()
                            .sint32(1, location.latitude_e7)
                            .sint32(2, location.longitude_e7)
                            .u64(3, location.accuracy_m)
                            .bytes(4, location.name)
                            .bytes(5, location.address));
}
void write_kind(RecordWriter& out, const Contact& contact) {
  RecordWriter inner;
  inner.bytes(1, contact.name).bytes(2, contact.user_id);
  for (const std::string& phone : contact.phones) inner.each(3, phone);
  for (const std::string& email : contact.emails) inner.each(4, email);
  out.record(kContact, inner);
}
void write_kind(RecordWriter& out, const Sticker& sticker) {
  out.record(kSticker, RecordWriter().bytes(1, sticker.pack).bytes(2, sticker.sticker).bytes(3, sticker.emoji));
}
void write_kind(RecordWriter& out, const Custom& custom) {
  out.record(kCustom, RecordWriter().bytes(1, custom.type).bytes(2, custom.data));
}

void write_post(RecordWriter& out, const Post& post) {
  std::visit(
      [&out](const auto& kind) {
        if constexpr (std::is_same_v<std::decay_t<decltype(kind)>, Erased>)
          out.record(kErased, RecordWriter());
        else
          write_kind(out, kind);
      },
      post.kind);
  if (post.reply) {
    out.record(kReply, RecordWriter().record(1, written(post.reply->target)).bytes(2, post.reply->quote));
  }
  if (post.thread) out.record(kThread, written(*post.thread));
  for (const Mention& mention : post.mentions) {
    out.record(kMentions, RecordWriter()
                              .u64(1, mention.start)
                              .u64(2, mention.length)
                              .bytes(3, mention.user_id)
                              .u64(4, mention.all ? 1 : 0));
  }
  if (post.forwarded) {
    const Forwarded& forwarded = *post.forwarded;
    out.record(kForwarded, RecordWriter().bytes(1, forwarded.author).u64(2, forwarded.time_ms).u64(3, forwarded.times));
  }
  out.u64(kSilent, post.silent ? 1 : 0).u64(kExpiresAfter, post.expires_after_s).bytes(kFallback, post.fallback);
}

void write_kind(RecordWriter& out, const Edit& edit) {
  RecordWriter inner;
  write_post(inner, edit.post);
  out.record(kEdit, RecordWriter().record(1, written(edit.target)).record(2, inner));
}
void write_kind(RecordWriter& out, const Delete& deletion) {
  out.record(kDelete, RecordWriter().record(1, written(deletion.target)));
}
void write_kind(RecordWriter& out, const Reaction& reaction) {
  RecordWriter inner;
  inner.record(1, written(reaction.target));
  for (const std::string& key : reaction.keys) inner.each(2, key);
  out.record(kReaction, inner);
}
void write_kind(RecordWriter& out, const Pin& pin) {
  out.record(kPin, RecordWriter().record(1, written(pin.target)).u64(2, pin.pinned ? 1 : 0));
}
void write_kind(RecordWriter& out, const Timer& timer) {
  out.record(kTimer, RecordWriter().u64(1, timer.expires_after_s));
}

}  // namespace

const Target* Annotation::target() const {
  return std::visit(
      [](const auto& known) -> const Target* {
        if constexpr (requires { known.target; })
          return &known.target;
        else
          return nullptr;
      },
      kind);
}

bool is_annotation(BytesView bytes) { return is_annotation(top_of(bytes)); }

Content read(BytesView bytes) {
  const Top top = top_of(bytes);
  Content content;
  if (parse_content(bytes, top, content) && check(content, limits::kTextBytesMax).ok()) return content;
  if (is_annotation(top)) {
    content.emplace<Annotation>();
  } else {
    content.emplace<Post>();
  }
  return content;
}

std::optional<std::string> text_of(BytesView bytes) {
  Content content = read(bytes);
  auto* post = std::get_if<Post>(&content);
  auto* text = post == nullptr ? nullptr : std::get_if<Text>(&post->kind);
  return text == nullptr ? std::nullopt : std::optional(std::move(text->text));
}

Result<Content> read_strictly(BytesView bytes, std::size_t text_bytes_max) {
  Content content;
  if (!parse_content(bytes, top_of(bytes), content)) {
    return error(Code::kMalformed, "content of " + std::to_string(bytes.size()) + " B is not of the form");
  }
  CHATSDK_TRY(check(content, text_bytes_max));
  return content;
}

Status check(const Content& content, std::size_t text_bytes_max) {
  if (const auto* post = std::get_if<Post>(&content)) return check_kind(*post, text_bytes_max);
  return check_annotation(std::get<Annotation>(content), text_bytes_max);
}

Bytes write(const Post& post) {
  RecordWriter out;
  write_post(out, post);
  return out.take();
}

Bytes write(const Annotation& annotation) {
  RecordWriter out;
  std::visit(
      [&out](const auto& kind) {
        if constexpr (std::is_same_v<std::decay_t<decltype(kind)>, Erased>) {
          out.record(kErasedAnnotation, RecordWriter());
        } else {
          write_kind(out, kind);
        }
      },
      annotation.kind);
  return out.take();
}

Bytes erased() {
  Post post;
  post.kind = Erased();
  return write(post);
}

Bytes erased_annotation() {
  Annotation annotation;
  annotation.kind = Erased();
  return write(annotation);
}

}  // namespace chatsdk::content
