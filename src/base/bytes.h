// SPDX-License-Identifier: Apache-2.0
//
// Byte strings. Owned bytes are std::string (protobuf, SQLite and the standard library all speak it); borrowed bytes
// are std::string_view. Secrets live in base/secret.h instead.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chatsdk {

using Bytes = std::string;
using BytesView = std::string_view;

std::string to_hex(BytesView bytes);
// Lower and upper case are accepted; nullopt for an odd length or any other character.
std::optional<Bytes> from_hex(std::string_view text);

// Base64url without padding (RFC 4648 section 5).
std::string to_base64url(BytesView bytes);
// Strict: no padding, no white space, no other alphabet, no non-zero trailing bits.
std::optional<Bytes> from_base64url(std::string_view text);

// True for well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(BytesView bytes);

}  // namespace chatsdk
