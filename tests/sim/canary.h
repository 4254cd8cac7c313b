// SPDX-License-Identifier: Apache-2.0
//
// The search for what nobody in between may read (S11) and what may not lie readable on a device (S12). Every text of a
// message begins with a marker that occurs nowhere else, and a random token behind it; so whoever meets the marker, in
// any form in which software likes to write bytes down, has met a message. One pass over the bytes finds all forms:
//
//   as it is, UTF-16 in either order, hexadecimal in both cases, base64 and base64url in each of the three alignments,
//   every byte URL-coded in both cases
//
// Nothing here compresses what it writes, so there is no deflated form to look for.
//
// Threads: any.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"

namespace chatsdk::sim {

// What the text of a message begins with; where the conversation of an encrypted run is plain, the other one.
inline constexpr std::string_view kSecretMarker = "canary-";
inline constexpr std::string_view kPlainMarker = "plainly-";

struct CanaryFound {
  std::size_t offset = 0;
  std::string_view form;
};

// The first text of a message in these bytes that is not marked as plain.
std::optional<CanaryFound> find_canary(BytesView bytes);

// A node's log: each line is shown to `on_line`, of every level, and passed on.
class WatchedLog final : public Log {
 public:
  WatchedLog(Log& log, std::function<void(std::string_view line)> on_line) : log_(log), on_line_(std::move(on_line)) {}

  void write(LogLevel level, std::string_view area, std::string_view message) override {
    on_line_(message);
    if (log_.enabled(level)) log_.write(level, area, message);
  }
  bool enabled(LogLevel) const override { return true; }

 private:
  Log& log_;
  const std::function<void(std::string_view line)> on_line_;
};

}  // namespace chatsdk::sim
