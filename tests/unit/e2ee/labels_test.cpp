// SPDX-License-Identifier: Apache-2.0
#include "e2ee/labels.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>

namespace chatsdk::e2ee {
namespace {

std::string text_of_file(const char* name) {
  std::ifstream file(std::string(CHATSDK_SOURCE_DIR "/") + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Each string that begins with `opening` and the protocol's name, up to `closing`.
std::set<std::string> labels_in(std::string_view text, std::string_view opening, char closing) {
  const std::string begin = std::string(opening) + "csdk1/";
  std::set<std::string> labels;
  for (std::size_t at = text.find(begin); at != std::string_view::npos; at = text.find(begin, at + 1)) {
    const std::size_t from = at + opening.size();
    labels.emplace(text.substr(from, text.find(closing, from) - from));
  }
  return labels;
}

// The table of docs/e2ee.md section 3, the list that the other tests go by, and what the header defines.
TEST(Labels, AreThoseOfTheSpecification) {
  std::set<std::string> all;
  for (const Label& label : label::kAll) all.emplace(label.bytes().substr(0, label.bytes().size() - 1));
  const std::string page = text_of_file("docs/e2ee.md");
  const std::size_t table = page.find("\n## 3. Labels\n");
  ASSERT_NE(table, std::string::npos);
  const std::string section = page.substr(table, page.find("\n## 4. ", table) - table);
  EXPECT_EQ(labels_in(section, "\n| `", '`'), all);
  EXPECT_EQ(labels_in(text_of_file("src/e2ee/labels.h"), "= \"", '"'), all);
}

TEST(Labels, AreDistinct) {
  std::set<BytesView> seen;
  for (const Label& label : label::kAll) EXPECT_TRUE(seen.insert(label.bytes()).second) << label.bytes();
}

TEST(Labels, AreNoPrefixOfEachOther) {
  for (const Label& a : label::kAll) {
    for (const Label& b : label::kAll) {
      EXPECT_TRUE(a.bytes() == b.bytes() || !b.bytes().starts_with(a.bytes())) << a.bytes() << b.bytes();
    }
  }
}

TEST(Labels, EndWithTheirOnlyZero) {
  for (const Label& label : label::kAll) EXPECT_EQ(label.bytes().find('\0'), label.bytes().size() - 1) << label.bytes();
}

TEST(Labels, BeginWithTheProtocolsName) {
  for (const Label& label : label::kAll) EXPECT_TRUE(label.bytes().starts_with("csdk1/")) << label.bytes();
}

}  // namespace
}  // namespace chatsdk::e2ee
