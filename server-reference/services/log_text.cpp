// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/log_text.h"

#include <array>
#include <charconv>
#include <cstdint>

#include "base/bytes.h"
#include "server-reference/services/code_points.h"

namespace chatsdk::server {

namespace {

void append_escaped(std::string& out, char kind, char32_t value) {
  std::array<char, 8> digits{};
  const auto [end, failure] =
      std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<std::uint32_t>(value), 16);
  out.append("\\").append(1, kind).append("{").append(digits.data(), end).append("}");
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  const bool is_text = is_utf8(text);
  while (!text.empty()) {
    const std::string_view rest = text;
    if (!is_text && static_cast<unsigned char>(text.front()) > 0x7F) {
      append_escaped(out, 'x', static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    const char32_t point = take_code_point(text);
    if (is_unseen(point)) {
      append_escaped(out, 'u', point);
      continue;
    }
    if (point == '"' || point == '\\') out += '\\';
    out += rest.substr(0, rest.size() - text.size());
  }
  return out + "\"";
}

}  // namespace chatsdk::server
