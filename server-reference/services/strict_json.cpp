// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/strict_json.h"

#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace chatsdk::server {

namespace {

using Json = nlohmann::json;

// lower_snake_case to lowerCamelCase, as the mapping names fields; what is that already stays as it is.
std::string name_of_field(std::string_view name) {
  std::string field;
  bool raise = false;
  for (const char c : name) {
    if (c == '_') {
      raise = true;
      continue;
    }
    field += raise && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    raise = false;
  }
  return field;
}

// Follows the parser's events and remembers the names of each open object.
class StrictChecker final : public nlohmann::json_sax<Json> {
 public:
  StrictChecker(std::size_t depth_max, JsonNames same) : depth_max_(depth_max), same_(same) {}
  const char* reason() const { return reason_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return refuse("JSON holds a binary value"); }

  bool start_object(std::size_t) override { return open(); }
  bool key(string_t& name) override {
    const bool is_new = names_.back().insert(same_ == JsonNames::kOfFields ? name_of_field(name) : name).second;
    return is_new || refuse("JSON object has a duplicate name");
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& failure) override {
    constexpr int kNumberOverflow = 406;  // of the library's exceptions
    return refuse(failure.id == kNumberOverflow ? "JSON holds a number that does not fit a double"
                                                : "not well-formed JSON");
  }

 private:
  bool refuse(const char* reason) {
    reason_ = reason;
    return false;
  }
  bool open() {
    if (names_.size() >= depth_max_) return refuse("JSON is nested too deeply");
    names_.emplace_back();
    return true;
  }
  bool close() {
    names_.pop_back();
    return true;
  }

  std::size_t depth_max_;
  JsonNames same_;
  std::vector<std::set<std::string>> names_;  // of each open object; empty for an array
  const char* reason_ = "not well-formed JSON";
};

}  // namespace

Status check_strict_json(std::string_view text, std::size_t depth_max, JsonNames names) {
  if (!is_utf8(text)) return error(Code::kInvalidUtf8, "JSON is not UTF-8");
  // The parser would skip a byte order mark, which RFC 8259 section 8.1 forbids to send.
  if (text.starts_with("\xEF\xBB\xBF")) return error(Code::kMalformed, "JSON begins with a byte order mark");
  // It would take a zero byte for the end of the text, and what follows for nothing.
  if (text.find('\0') != text.npos) return error(Code::kMalformed, "JSON holds a zero byte");
  StrictChecker checker(depth_max, names);
  if (!Json::sax_parse(text.begin(), text.end(), &checker, Json::input_format_t::json, /*strict=*/true)) {
    return error(Code::kMalformed, checker.reason());
  }
  return {};
}

Result<Json> parse_strict_object(std::string_view text, std::size_t depth_max) {
  CHATSDK_TRY(check_strict_json(text, depth_max));
  Json value = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) return error(Code::kMalformed, "not a JSON object");
  return value;
}

const std::string* string_member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

}  // namespace chatsdk::server
