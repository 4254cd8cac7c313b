// SPDX-License-Identifier: Apache-2.0
//
// What chatsdk-server can be told: by options, by CHATSDK_* in the environment, and by a configuration file, in this
// order of precedence. It checks what can be checked without starting anything, and knows how nothing of it is used.
//
// Threads: pure functions, but for the environment and the files named.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "server-reference/server.h"
#include "server-reference/spdlog_log.h"

namespace chatsdk::server {

struct ProgramOptions {
  ServerOptions server;
  std::string database;         // the SQLite file
  std::string database_option;  // which option named its place
  std::chrono::seconds drain_time{10};
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  std::vector<std::string> unknown_environment;  // names with our prefix that no option has
};

struct ParsedOptions {
  std::optional<ProgramOptions> options;  // none: the program ends with the text as its output
  std::string text;                       // of --help and --version
};

// INVALID_ARGUMENT names the option and the value.
Result<ParsedOptions> parse_options(int argc, const char* const* argv);

}  // namespace chatsdk::server
