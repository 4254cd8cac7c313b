// SPDX-License-Identifier: Apache-2.0
//
// Unicode's code points, as far as a server has to tell them apart: to judge names, and to show them in its log.
//
// Threads: pure functions.
#pragma once

#include <string_view>

namespace chatsdk::server {

// The code point at the front of well-formed UTF-8, which is then shortened by it.
char32_t take_code_point(std::string_view& text);

bool is_control(char32_t point);
// Unicode's White_Space property.
bool is_white_space(char32_t point);
// What leaves no mark of its own where it is shown, or changes what stands around it: controls, ends of lines, changes
// of direction, what has no width, and every white space but the space.
bool is_unseen(char32_t point);

}  // namespace chatsdk::server
