// SPDX-License-Identifier: Apache-2.0
//
// JSON as a security boundary reads it: one value, valid UTF-8, no duplicate names at any depth, bounded depth, nothing
// beyond RFC 8259. Two parsers that disagree on a duplicate name are two opinions on who is logged in; so are two
// spellings of one field.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"

namespace chatsdk::server {

// What makes two names the same: every byte, or also that protobuf's mapping reads user_id and userId as one field.
enum class JsonNames { kAsWritten, kOfFields };

// MALFORMED, or INVALID_UTF8, with a reason that quotes nothing of the text.
Status check_strict_json(std::string_view text, std::size_t depth_max = limits::kJsonDepthMax,
                         JsonNames names = JsonNames::kAsWritten);
// The value, when it is an object; MALFORMED or INVALID_UTF8 otherwise.
Result<nlohmann::json> parse_strict_object(std::string_view text, std::size_t depth_max = limits::kJsonDepthMax);

// The member's text, or nullptr when it is absent or not a string.
const std::string* string_member(const nlohmann::json& object, const char* name);

}  // namespace chatsdk::server
