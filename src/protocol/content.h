// SPDX-License-Identifier: Apache-2.0
//
// What a message carries, docs/content.md: posts, which are shown, and annotations, which change what is shown.
// Reading, writing and the limits of each field; what is made of them is the fold's.
//
// Threads: values and pure functions.
// Invariants:
//   1. read() takes any bytes: what this version does not know, or what does not fit, is of an unknown kind.
//   2. What check() lets pass, write() writes so that read() gives it again.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace chatsdk::content {

// The post that author has sent under this id; an empty author is whoever names it.
struct Target {
  UserId author;
  ClientMessageId id;
  friend auto operator<=>(const Target&, const Target&) = default;
};

// ---- Posts ---------------------------------------------------------------------------------------------------------

// Of a kind that this version does not know, or no content at all.
struct Unknown {
  friend bool operator==(const Unknown&, const Unknown&) = default;
};
struct Text {
  std::string text;
  friend bool operator==(const Text&, const Text&) = default;
};
struct Location {
  std::int32_t latitude_e7 = 0;
  std::int32_t longitude_e7 = 0;
  std::uint32_t accuracy_m = 0;
  std::string name;
  std::string address;
  friend bool operator==(const Location&, const Location&) = default;
};
struct Contact {
  std::string name;
  UserId user_id;
  std::vector<std::string> phones;
  std::vector<std::string> emails;
  friend bool operator==(const Contact&, const Contact&) = default;
};
struct Sticker {
  std::string pack;
  std::string sticker;
  std::string emoji;
  friend bool operator==(const Sticker&, const Sticker&) = default;
};
struct Custom {
  std::string type;
  Bytes data;
  friend bool operator==(const Custom&, const Custom&) = default;
};
// What is left of something that was deleted.
struct Erased {
  friend bool operator==(const Erased&, const Erased&) = default;
};

struct Mention {
  std::uint32_t start = 0;  // bytes of the text
  std::uint32_t length = 0;
  UserId user_id;
  bool all = false;
  friend bool operator==(const Mention&, const Mention&) = default;
};
struct Reply {
  Target target;
  std::string quote;
  friend bool operator==(const Reply&, const Reply&) = default;
};
struct Forwarded {
  UserId author;
  std::uint64_t time_ms = 0;
  std::uint32_t times = 0;
  friend bool operator==(const Forwarded&, const Forwarded&) = default;
};

struct Post {
  std::variant<Unknown, Text, Location, Contact, Sticker, Custom, Erased> kind;
  std::optional<Reply> reply;
  std::optional<Target> thread;
  std::vector<Mention> mentions;
  std::optional<Forwarded> forwarded;
  bool silent = false;
  std::uint32_t expires_after_s = 0;
  std::string fallback;
  friend bool operator==(const Post&, const Post&) = default;
};

// ---- Annotations ---------------------------------------------------------------------------------------------------

struct Edit {
  Target target;
  Post post;  // a kind, mentions, fallback
  friend bool operator==(const Edit&, const Edit&) = default;
};
struct Delete {
  Target target;
  friend bool operator==(const Delete&, const Delete&) = default;
};
struct Reaction {
  Target target;
  std::vector<std::string> keys;
  friend bool operator==(const Reaction&, const Reaction&) = default;
};
struct Pin {
  Target target;
  bool pinned = false;
  friend bool operator==(const Pin&, const Pin&) = default;
};
struct Timer {
  std::uint32_t expires_after_s = 0;
  friend bool operator==(const Timer&, const Timer&) = default;
};

struct Annotation {
  std::variant<Unknown, Edit, Delete, Reaction, Pin, Timer, Erased> kind;

  const Target* target() const;  // none: unknown, erased, or of the conversation
  friend bool operator==(const Annotation&, const Annotation&) = default;
};

using Content = std::variant<Post, Annotation>;

// ---- Bytes ---------------------------------------------------------------------------------------------------------

// Whether the bytes are an annotation, known or not; what read() makes of them agrees.
bool is_annotation(BytesView bytes);
Content read(BytesView bytes);
// Of a post that is a text.
std::optional<std::string> text_of(BytesView bytes);
// For who takes content from a sender: MALFORMED, or what check() says. An unknown kind passes.
Result<Content> read_strictly(BytesView bytes, std::size_t text_bytes_max);

// INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE: what does not fit. Of a text: 1 byte to text_bytes_max.
Status check(const Content& content, std::size_t text_bytes_max);
// Neither an unknown kind, which has no bytes, nor what did not pass check().
Bytes write(const Post& post);
Bytes write(const Annotation& annotation);

// What takes the place of a post, or of an annotation, that was deleted.
Bytes erased();
Bytes erased_annotation();

}  // namespace chatsdk::content
