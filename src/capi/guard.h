// SPDX-License-Identifier: Apache-2.0
//
// What every entry point of the C ABI shares: the exception barrier, argument checks and the copying of structs that
// name their own size.
//
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "chatsdk/chatsdk.h"

namespace chatsdk::capi {

// Writes the error object, when one is asked for and can be made, and gives the status.
std::int32_t report(Error error, chatsdk_error** out_error) noexcept;

// An error whose text is left away where there is no memory for it: for a status that the caller must get.
inline Error error_with_text_if_possible(Code code, std::string_view detail) noexcept {
  Error made{code, {}, {}};
  try {
    made.detail = detail;
  } catch (const std::bad_alloc&) {
  }
  return made;
}

// The body of an entry point behind one type, so that what surrounds each of them is compiled once. Refers to the body.
class BodyRef {
 public:
  template <typename Body>
  explicit BodyRef(Body& body) : body_(&body), run_([](void* of) -> Status { return (*static_cast<Body*>(of))(); }) {}
  Status operator()() const { return run_(body_); }

 private:
  void* body_;
  Status (*run_)(void*);
};

std::int32_t run_guarded(BodyRef body, chatsdk_error** out_error) noexcept;

// Runs the body of an entry point: no exception leaves it. *out_error is NULL on success.
template <typename Body>
std::int32_t guard(chatsdk_error** out_error, Body body) noexcept {
  return run_guarded(BodyRef(body), out_error);
}

// A text argument: pointer and length, or CHATSDK_STRLEN. NULL with length 0 or CHATSDK_STRLEN is no text.
enum class TextUse {
  kAny,
  kPath,  // the system would take what stands before a NUL for all of it
  kName,  // shown to people: no control character
  kText,  // likewise, but for tabs and ends of lines
};
struct TextRule {
  const char* name;  // as the header names the parameter
  std::size_t bytes_min;
  std::size_t bytes_max;
  TextUse use = TextUse::kAny;
};
Result<std::string_view> text_in(const char* data, std::size_t length, const TextRule& rule);

inline const char* view_out(const std::string& text, std::size_t* out_length) {
  if (out_length != nullptr) *out_length = text.size();
  return text.c_str();
}
inline const char* view_out(const char* text, std::size_t* out_length) {
  if (out_length != nullptr) *out_length = std::strlen(text);
  return text;
}

// Reads a caller's struct of any size over the defaults in out: what a smaller one lacks keeps its default, a larger
// one is accepted while its unknown tail is zero.
template <typename Struct>
Status read_struct(const Struct* in, Struct& out, const char* name) {
  if (in == nullptr) return error(Code::kInvalidArgument, std::string(name) + " is NULL");
  const std::size_t size = in->struct_size;
  if (size < sizeof(std::uint32_t)) return error(Code::kInvalidArgument, std::string(name) + ".struct_size is not set");
  const auto* bytes = reinterpret_cast<const unsigned char*>(in);
  for (std::size_t i = sizeof(Struct); i < size; ++i) {
    if (bytes[i] != 0) {
      return error(Code::kUnsupported, std::string(name) + " has fields set that this version does not know");
    }
  }
  Struct read = out;
  std::memcpy(&read, in, std::min(size, sizeof(Struct)));
  if (read.reserved != 0) return error(Code::kUnsupported, std::string(name) + ".reserved is not 0");
  out = read;
  return {};
}

// Writes as much of value as the caller's struct has room for.
template <typename Struct>
std::int32_t write_struct(const Struct& value, Struct* out) {
  const std::uint32_t size = out->struct_size;
  if (size < sizeof(std::uint32_t)) return CHATSDK_INVALID_ARGUMENT;
  std::memcpy(out, &value, std::min<std::size_t>(size, sizeof(Struct)));
  out->struct_size = size;
  return CHATSDK_OK;
}

// Fills a caller's struct of `size` bytes with the default values.
template <typename Struct>
std::int32_t init_struct(Struct* out, std::size_t size, const Struct& defaults) {
  if (out == nullptr || size < sizeof(std::uint32_t)) return CHATSDK_INVALID_ARGUMENT;
  if (size > sizeof(Struct)) return CHATSDK_UNSUPPORTED;
  std::memcpy(out, &defaults, size);
  out->struct_size = static_cast<std::uint32_t>(size);
  return CHATSDK_OK;
}

}  // namespace chatsdk::capi
