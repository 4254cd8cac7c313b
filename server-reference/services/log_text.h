// SPDX-License-Identifier: Apache-2.0
//
// What a user chose, as a log line may show it: nobody can write a part of the line that is not theirs.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace chatsdk::server {

// The text in double quotes; a quote or backslash in it gets a backslash, what is_unseen() is written \u{202e}, and a
// byte of text that is not UTF-8 \x{ff}. What it gives is one line of UTF-8, and different for different texts.
std::string in_quotes(std::string_view text);

}  // namespace chatsdk::server
