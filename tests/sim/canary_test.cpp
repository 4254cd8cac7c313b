// SPDX-License-Identifier: Apache-2.0
//
// A message is found in every form in which it may lie about, and nothing else is.
#include "sim/canary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "base/random.h"

namespace chatsdk::sim {
namespace {

const std::string kText = "canary-0123456789abcdef.....";

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

std::string utf16(const std::string& text, bool big_endian) {
  std::string out;
  for (const char c : text) out += big_endian ? std::string{'\0', c} : std::string{c, '\0'};
  return out;
}

std::string url_coded(const std::string& text) {
  std::string out;
  for (const char c : text) out += "%" + to_hex({&c, 1});
  return out;
}

std::string noise(SeededRandom& random, std::size_t bytes) {
  std::string out(bytes, '\0');
  random.fill({reinterpret_cast<unsigned char*>(out.data()), out.size()});
  return out;
}

// At the beginning, in the middle wherever it is, and at the end.
void expect_found(const std::string& written, const std::string& form) {
  SeededRandom random(3);
  for (std::size_t before = 0; before < 40; ++before) {
    const std::string bytes = noise(random, before) + written + noise(random, before % 7);
    const auto found = find_canary(bytes);
    ASSERT_TRUE(found) << form << " behind " << before << " bytes";
    EXPECT_EQ(found->form, form);
    EXPECT_GE(found->offset, before);
    EXPECT_LT(found->offset, before + 4);
  }
}

TEST(Canary, IsFoundAsItIs) { expect_found(kText, "raw"); }
TEST(Canary, IsFoundInUtf16OfEitherOrder) {
  expect_found(utf16(kText, false), "UTF-16");
  expect_found(utf16(kText, true), "UTF-16");
}
TEST(Canary, IsFoundInHexadecimalOfEitherCase) {
  expect_found(to_hex(kText), "hexadecimal");
  expect_found(upper(to_hex(kText)), "hexadecimal");
}
TEST(Canary, IsFoundUrlCodedInEitherCase) {
  expect_found(url_coded(kText), "URL-coded");
  expect_found(upper(url_coded(kText)), "URL-coded");
}

TEST(Canary, IsFoundInBase64WhereverItBegins) {
  for (const char* const before : {"", "?", "\xFF\xFE", "{\"t", "\x01\x02\x03\x04", "12345"}) {
    const std::string text = std::string(before) + kText;
    const auto found = find_canary(to_base64url(text));
    ASSERT_TRUE(found) << before;
    EXPECT_EQ(found->form, "base64");
    // Where the text ends with the marker, its last bits are another's.
    EXPECT_TRUE(find_canary(to_base64url(std::string(before) + "canary-0"))) << before;
  }
}

TEST(Canary, IsFoundInWhatIsNoLongerThanIt) {
  EXPECT_TRUE(find_canary("canary-"));
  EXPECT_TRUE(find_canary(to_hex("canary-")));
}

TEST(Canary, OfTwoTheFirstIsFound) {
  const auto found = find_canary("xx" + to_hex(kText) + kText);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->offset, 2U);
  EXPECT_EQ(found->form, "hexadecimal");
}

TEST(Canary, NothingElseIsFound) {
  SeededRandom random(4);
  for (const std::string& bytes :
       {std::string(), std::string("canary"), std::string("Canary-0123"),
        std::string(kPlainMarker) + "0123456789abcdef", to_hex("canary+0123"), to_base64url("canary+0123"),
        std::string(4'096, '\0'), std::string(4'096, 'c'), kText.substr(1), noise(random, 1'000'000),
        to_base64url(noise(random, 1'000'000)), to_hex(noise(random, 1'000'000))}) {
    EXPECT_FALSE(find_canary(bytes)) << bytes.substr(0, 40);
  }
}

TEST(Canary, ALogIsShownLineByLineWhateverItsLevel) {
  std::vector<std::string> lines;
  NullLog quiet;
  WatchedLog log(quiet, [&lines](std::string_view line) { lines.emplace_back(line); });
  ASSERT_TRUE(log.enabled(LogLevel::kTrace));
  log.write(LogLevel::kTrace, "area", "a line");
  EXPECT_EQ(lines, std::vector<std::string>{"a line"});
}

}  // namespace
}  // namespace chatsdk::sim
