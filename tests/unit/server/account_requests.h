// SPDX-License-Identifier: Apache-2.0
//
// The bodies of requests about accounts and sessions.
//
// Threads: any.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace chatsdk::server::testing {

// An installation of 16 bytes, and a request id, other than those of the requests below.
inline constexpr const char* kOtherInstallation = "AgICAgICAgICAgICAgICAg==";
inline constexpr const char* kOtherRequest = "AgICAgICAgICAgICAgICAg==";

inline nlohmann::json login_request(const std::string& user_id, const std::string& password = "correct horse") {
  return {{"userId", user_id}, {"password", password}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}};
}
inline nlohmann::json refresh_request(const nlohmann::json& session,
                                      const std::string& request_id = "AQEBAQEBAQEBAQEBAQEBAQ==") {
  return {{"refreshToken", session["refreshToken"]}, {"requestId", request_id}};
}
inline nlohmann::json assertion_request(const std::string& token) {
  return {{"assertion", token}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}, {"deviceName", "tablet"}};
}

}  // namespace chatsdk::server::testing
