// SPDX-License-Identifier: Apache-2.0
#include "capi/guard.h"

#include <system_error>

#include "capi/snapshot.h"

namespace chatsdk::capi {

namespace {

// Those of C0 and C1, and DEL; the text is valid UTF-8.
bool has_control(std::string_view text, bool has_lines) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (has_lines && (byte == '\t' || byte == '\n')) continue;
    if (byte < 0x20 || byte == 0x7F) return true;
    if (byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;
  }
  return false;
}

}  // namespace

std::int32_t report(Error error, chatsdk_error** out_error) noexcept {
  const auto status = static_cast<std::int32_t>(error.code);
  if (out_error != nullptr) {
    try {
      *out_error = new chatsdk_error(std::move(error));
    } catch (...) {
      *out_error = nullptr;  // the status alone must do
    }
  }
  return status;
}

std::int32_t run_guarded(BodyRef body, chatsdk_error** out_error) noexcept {
  if (out_error != nullptr) *out_error = nullptr;
  try {
    Status status = body();
    return status.ok() ? CHATSDK_OK : report(std::move(status).error(), out_error);
  } catch (const std::bad_alloc&) {
    return report(Error{Code::kNoMemory, {}, {}}, out_error);
  } catch (const std::system_error& failure) {
    // A thread that cannot be made is want of memory or of what the system counts like it.
    const bool no_thread = failure.code() == std::errc::resource_unavailable_try_again;
    return report(
        Error{no_thread ? Code::kNoMemory : Code::kInternal, {}, {}, 0, {CauseDomain::kSystem, failure.code().value()}},
        out_error);
  } catch (...) {
    return report(Error{Code::kInternal, {}, {}}, out_error);
  }
}

Result<std::string_view> text_in(const char* data, std::size_t length, const TextRule& rule) {
  const std::string name = rule.name;
  if (data == nullptr && length != 0 && length != CHATSDK_STRLEN) {
    return error(Code::kInvalidArgument, name + " is NULL with length " + std::to_string(length));
  }
  // A terminated text is measured no further than the limit lets it be.
  std::size_t size = length;
  if (data == nullptr) {
    size = 0;
  } else if (length == CHATSDK_STRLEN) {
    size = strnlen(data, rule.bytes_max + 1);
  }
  if (size < rule.bytes_min) {
    return error(Code::kInvalidArgument, name + " " + std::to_string(size) + " B, at least " +
                                             std::to_string(rule.bytes_min) + " B are needed");
  }
  if (size > rule.bytes_max) {
    const std::string seen =
        length == CHATSDK_STRLEN ? "above " + std::to_string(rule.bytes_max) : std::to_string(size);
    return error(Code::kTooLarge, name + " " + seen + " B, limit " + std::to_string(rule.bytes_max) + " B");
  }
  const std::string_view text(data == nullptr ? "" : data, size);
  if (!is_utf8(text)) return error(Code::kInvalidUtf8, name + " is not valid UTF-8");
  if (rule.use == TextUse::kPath && text.find('\0') != std::string_view::npos) {
    return error(Code::kInvalidArgument, name + " holds a NUL");
  }
  const bool is_shown = rule.use == TextUse::kName || rule.use == TextUse::kText;
  if (is_shown && has_control(text, rule.use == TextUse::kText)) {
    return error(Code::kInvalidArgument, name + " has a control character");
  }
  return text;
}

}  // namespace chatsdk::capi
