// SPDX-License-Identifier: Apache-2.0
//
// Log lines: one line each, whatever the message holds; and what a user chose in one.
//
// Threads: one.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "server-reference/services/log_text.h"
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

TEST(InQuotes, ShowsWhatIsSeenAndWritesTheRestAsNumbers) {
  const struct {
    std::string text;
    std::string shown;
  } table[] = {
      {"", R"("")"},
      {"ada", R"("ada")"},
      {"ada device 5", R"("ada device 5")"},
      {"J\xC3\xB6rg \xE6\x9D\x8E \xF0\x9F\x90\x9F", "\"J\xC3\xB6rg \xE6\x9D\x8E \xF0\x9F\x90\x9F\""},
      {R"(a"b\c)", R"("a\"b\\c")"},
      {R"(\u{202e})", R"("\\u{202e}")"},
      {std::string("\0\n\r\t\x1B\x7F", 6), R"("\u{0}\u{a}\u{d}\u{9}\u{1b}\u{7f}")"},
      {"\xC2\x80\xC2\x85\xC2\x9B\xC2\x9F", R"("\u{80}\u{85}\u{9b}\u{9f}")"},
      {"\xE2\x80\xA8\xE2\x80\xA9", R"("\u{2028}\u{2029}")"},
      {"\xE2\x80\xAA\xE2\x80\xAE\xE2\x81\xA6\xE2\x81\xA9", R"("\u{202a}\u{202e}\u{2066}\u{2069}")"},
      {"\xE2\x80\x8E\xE2\x80\x8F\xD8\x9C", R"("\u{200e}\u{200f}\u{61c}")"},
      {"\xE2\x80\x8B\xE2\x80\x8D\xE2\x81\xA0\xEF\xBB\xBF\xC2\xAD", R"("\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}")"},
      {"\xEF\xB8\x8F\xF3\xA0\x80\x81\xE3\x85\xA4", R"("\u{fe0f}\u{e0001}\u{3164}")"},
      {"\xC2\xA0\xE2\x80\x83\xE3\x80\x80", R"("\u{a0}\u{2003}\u{3000}")"},
      {"a\xFF\n\xC3\xB6", R"("a\x{ff}\u{a}\x{c3}\x{b6}")"},
  };
  for (const auto& [text, shown] : table) {
    EXPECT_EQ(in_quotes(text), shown);
    EXPECT_TRUE(is_utf8(in_quotes(text))) << shown;
  }
}

TEST(SpdlogLog, LevelsBelowAreOff) {
  const SpdlogLog log(LogLevel::kWarning, LogFormat::kText);
  EXPECT_FALSE(log.enabled(LogLevel::kInfo));
  EXPECT_TRUE(log.enabled(LogLevel::kWarning));
  EXPECT_TRUE(log.enabled(LogLevel::kError));
}

}  // namespace
}  // namespace chatsdk::server
