// SPDX-License-Identifier: Apache-2.0
//
// How the console asks for a password. Knows the terminal, not the SDK.
//
// Threads: the main one, before any other exists.
#pragma once

#include <string>

namespace console {

// At a terminal: asks without showing what is typed, and once more when it is a new password. Else the first line of
// standard input, and not a byte more. Throws failure.
std::string read_password(bool is_new);

}  // namespace console
