// SPDX-License-Identifier: Apache-2.0
//
// JSON as a security boundary reads it: one value, valid UTF-8, no duplicate names at any depth, bounded depth, nothing
// beyond RFC 8259. Two parsers that disagree on a duplicate name are two opinions on who is logged in.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"

namespace chatsdk::server {

// MALFORMED with a reason that quotes nothing of the text.
Status check_strict_json(std::string_view text, std::size_t depth_max = limits::kJsonDepthMax);
// The value, when it is an object; MALFORMED otherwise.
Result<nlohmann::json> parse_strict_object(std::string_view text, std::size_t depth_max = limits::kJsonDepthMax);

// The member's text, or nullptr when it is absent or not a string.
const std::string* string_member(const nlohmann::json& object, const char* name);

}  // namespace chatsdk::server
