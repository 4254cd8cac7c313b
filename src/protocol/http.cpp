// SPDX-License-Identifier: Apache-2.0
#include "protocol/http.h"

namespace chatsdk {

std::string_view header(const std::map<std::string, std::string>& headers, std::string_view lower_case_name) {
  const auto found = headers.find(std::string(lower_case_name));
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::string_view bearer_token(const std::map<std::string, std::string>& headers) {
  constexpr std::string_view kScheme = "bearer ";
  std::string_view value = header(headers, "authorization");
  if (value.size() <= kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = value[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != kScheme[i]) return {};
  }
  return value.substr(kScheme.size());
}

}  // namespace chatsdk
