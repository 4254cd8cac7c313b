// SPDX-License-Identifier: Apache-2.0
//
// Log lines: one line each, whatever the message holds.
//
// Threads: one.
#include <gtest/gtest.h>

#include "server-reference/spdlog_log.h"

namespace chatsdk::server {
namespace {

TEST(SpdlogLog, AMessageCannotBeginALineOfItsOwn) {
  EXPECT_EQ(log_payload(LogFormat::kText, "rest", "a\nb\x1B[0m"), "rest: a\\x0ab\\x1b[0m");
  EXPECT_EQ(log_payload(LogFormat::kJson, "rest", "a\n\"b\\"), R"("area":"rest","message":"a\u000a\"b\\")");
}

TEST(SpdlogLog, BytesThatAreNotUtf8AreEscaped) {
  EXPECT_EQ(log_payload(LogFormat::kJson, "x", "\xC3\xA4"), "\"area\":\"x\",\"message\":\"\xC3\xA4\"");
  EXPECT_EQ(log_payload(LogFormat::kJson, "x", "\xC3("), R"("area":"x","message":"\u00c3(")");
}

TEST(SpdlogLog, LevelsBelowAreOff) {
  const SpdlogLog log(LogLevel::kWarning, LogFormat::kText);
  EXPECT_FALSE(log.enabled(LogLevel::kInfo));
  EXPECT_TRUE(log.enabled(LogLevel::kWarning));
  EXPECT_TRUE(log.enabled(LogLevel::kError));
}

}  // namespace
}  // namespace chatsdk::server
