// SPDX-License-Identifier: Apache-2.0
#include "server-reference/spdlog_log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/bytes.h"

namespace chatsdk::server {

namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

void append_escaped(std::string& out, std::string_view text, bool is_json) {
  // Bytes that are not UTF-8 would make a JSON line unreadable as a whole.
  const bool is_text = is_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || (byte > 0x7F && !is_text)) {
      out += is_json ? "\\u00" : "\\x";
      out += to_hex(std::string_view(&c, 1));
    } else {
      if (is_json && (c == '"' || c == '\\')) out += '\\';
      out += c;
    }
  }
}

}  // namespace

std::string log_payload(LogFormat format, std::string_view area, std::string_view message) {
  const bool is_json = format == LogFormat::kJson;
  std::string out = is_json ? "\"area\":\"" : "";
  append_escaped(out, area, is_json);
  out += is_json ? "\",\"message\":\"" : ": ";
  append_escaped(out, message, is_json);
  if (is_json) out += '"';
  return out;
}

SpdlogLog::SpdlogLog(LogLevel level, LogFormat format)
    : level_(level),
      format_(format),
      logger_(std::make_unique<spdlog::logger>("chatsdk", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_level(spdlog_level(level));
  logger_->flush_on(spdlog::level::trace);
  logger_->set_pattern(format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                                  : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                       spdlog::pattern_time_type::utc);
}

SpdlogLog::~SpdlogLog() = default;

void SpdlogLog::write(LogLevel level, std::string_view area, std::string_view message) {
  if (!enabled(level)) return;
  logger_->log(spdlog_level(level), spdlog::string_view_t(log_payload(format_, area, message)));
}

}  // namespace chatsdk::server
