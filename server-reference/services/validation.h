// SPDX-License-Identifier: Apache-2.0
//
// What each text field of a request may hold. Every refusal is INVALID_ARGUMENT and names the field, the limit and the
// size seen; it never quotes the value.
//
// Threads: pure functions.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace chatsdk::server {

// 1 to limits::kUserIdBytesMax bytes of UTF-8, no control character, no white space at either end.
Status check_user_id(std::string_view user_id);
// Of a new account: limits::kPasswordBytesMin to kPasswordBytesMax bytes of UTF-8.
Status check_new_password(std::string_view password);
// What somebody tries to log in with: 1 to kPasswordBytesMax bytes of UTF-8. One that no account can have is a wrong
// one.
Status check_tried_password(std::string_view password);
// The optional ones accept "".
Status check_display_name(std::string_view name);
Status check_device_name(std::string_view name);
// local@domain, shape only: that mail arrives there is another question.
Status check_email(std::string_view email);
// E.164: '+', a digit from 1 to 9, at most 14 more digits.
Status check_phone(std::string_view phone);
Status check_installation_id(BytesView id);
Status check_request_id(BytesView id);

}  // namespace chatsdk::server
