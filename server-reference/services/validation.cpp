// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/validation.h"

#include <algorithm>
#include <string>

#include "base/limits.h"
#include "server-reference/services/code_points.h"

namespace chatsdk::server {

namespace {

Error invalid(std::string detail) { return error(Code::kInvalidArgument, std::move(detail)); }

std::string sized(std::string_view field, std::size_t size) {
  return std::string(field) + " of " + std::to_string(size) + " B";
}

Status check_size(std::string_view field, std::string_view value, std::size_t min, std::size_t max) {
  if (value.size() < min) return invalid(sized(field, value.size()) + ", at least " + std::to_string(min) + " B");
  if (value.size() > max) return invalid(sized(field, value.size()) + ", limit " + std::to_string(max) + " B");
  return {};
}

Status check_exact_size(std::string_view field, BytesView value, std::size_t size) {
  if (value.size() != size) return invalid(sized(field, value.size()) + ", must be " + std::to_string(size) + " B");
  return {};
}

Status check_no_controls(std::string_view field, std::string_view value) {
  if (!is_utf8(value)) return invalid(std::string(field) + " is not valid UTF-8");
  while (!value.empty()) {
    if (is_control(take_code_point(value))) return invalid(std::string(field) + " has a control character");
  }
  return {};
}

Status check_ends(std::string_view field, std::string_view value) {
  bool first = true;
  bool space_last = false;
  while (!value.empty()) {
    space_last = is_white_space(take_code_point(value));
    if (first && space_last) return invalid(std::string(field) + " begins with white space");
    first = false;
  }
  if (space_last) return invalid(std::string(field) + " ends with white space");
  return {};
}

bool has_white_space(std::string_view value) {
  while (!value.empty()) {
    if (is_white_space(take_code_point(value))) return true;
  }
  return false;
}

Status check_password(std::string_view password, std::size_t bytes_min) {
  CHATSDK_TRY(check_size("password", password, bytes_min, limits::kPasswordBytesMax));
  if (!is_utf8(password)) return invalid("password is not valid UTF-8");
  return {};
}

bool is_domain(std::string_view domain) {
  return !domain.empty() && domain.front() != '.' && domain.back() != '.' &&
         domain.find("..") == std::string_view::npos;
}

}  // namespace

Status check_user_id(std::string_view user_id) {
  CHATSDK_TRY(check_size("user_id", user_id, 1, limits::kUserIdBytesMax));
  CHATSDK_TRY(check_no_controls("user_id", user_id));
  return check_ends("user_id", user_id);
}

Status check_new_password(std::string_view password) { return check_password(password, limits::kPasswordBytesMin); }
Status check_tried_password(std::string_view password) { return check_password(password, 1); }

Status check_display_name(std::string_view name) {
  CHATSDK_TRY(check_size("display_name", name, 0, limits::kDisplayNameBytesMax));
  return check_no_controls("display_name", name);
}

Status check_device_name(std::string_view name) {
  CHATSDK_TRY(check_size("device_name", name, 0, limits::kDeviceNameBytesMax));
  return check_no_controls("device_name", name);
}

Status check_email(std::string_view email) {
  if (email.empty()) return {};
  CHATSDK_TRY(check_size("email", email, 3, limits::kEmailBytesMax));
  CHATSDK_TRY(check_no_controls("email", email));
  if (has_white_space(email)) return invalid("email has white space");
  const std::size_t at = email.find('@');
  if (at == std::string_view::npos || email.find('@', at + 1) != std::string_view::npos) {
    return invalid("email has not exactly one @");
  }
  CHATSDK_TRY(check_size("email before the @", email.substr(0, at), 1, limits::kEmailLocalBytesMax));
  if (!is_domain(email.substr(at + 1))) return invalid("email has no domain after the @");
  return {};
}

Status check_phone(std::string_view phone) {
  if (phone.empty()) return {};
  CHATSDK_TRY(check_size("phone", phone, 3, limits::kPhoneBytesMax));
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (phone[0] != '+' || phone[1] == '0' || !std::all_of(phone.begin() + 1, phone.end(), is_digit)) {
    return invalid("phone is not in E.164 form: + and up to 15 digits, the first not 0");
  }
  return {};
}

Status check_installation_id(BytesView id) {
  return check_exact_size("installation_id", id, limits::kInstallationIdBytes);
}
Status check_request_id(BytesView id) { return check_exact_size("request_id", id, limits::kRequestIdBytes); }

}  // namespace chatsdk::server
