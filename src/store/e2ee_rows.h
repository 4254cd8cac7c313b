// SPDX-License-Identifier: Apache-2.0
//
// Reading the rows of e2ee_schema.h: columns of a fixed length, and what is said of a row that does not fit.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "e2ee/wire.h"
#include "store/rows.h"

namespace chatsdk::e2ee {

inline Error corrupt_row(const char* table, std::string_view what) {
  return error(Code::kCorrupt, std::string(table) + ": " + std::string(what));
}

template <typename Tag, std::size_t kSize>
rows::Blob blob(const Fixed<Tag, kSize>& fixed) {
  return {fixed.view()};
}
inline rows::Blob blob(const GroupId& group) { return {group.view()}; }
template <std::size_t kSize>
rows::Blob blob(const Secret<kSize>& secret) {
  return {{reinterpret_cast<const char*>(secret.data()), kSize}};
}
template <typename T>
std::optional<rows::Blob> blob(const std::optional<T>& optional) {
  return optional ? std::optional(blob(*optional)) : std::nullopt;
}

// The columns of one row, one after the other, from the first. Once one did not fit, all have failed, and what they
// give is zeros: a reader takes all of them and asks once.
class Columns {
 public:
  Columns(const char* table, const sqlite::Statement& row) : table_(table), row_(row) {}

  std::uint64_t u64() { return static_cast<std::uint64_t>(row_.integer(next_++)); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  // A number of least to most.
  std::uint8_t u8(std::uint8_t least, std::uint8_t most) {
    const std::int64_t value = row_.integer(next_++);
    return require(value >= least && value <= most, "a number out of its range") ? static_cast<std::uint8_t>(value) : 0;
  }
  bool flag() { return u8(0, 1) != 0; }
  std::string_view text() { return row_.text(next_++); }
  std::string_view blob() { return row_.blob(next_++); }
  template <typename T>
  T fixed() {
    return T::from(sized(T::size()));
  }
  template <std::size_t kSize>
  Secret<kSize> secret() {
    return Secret<kSize>::copy_of(sized(kSize));
  }
  template <std::size_t kSize>
  std::optional<Secret<kSize>> secret_or_none() {
    if (row_.is_null(next_)) return skip();
    return secret<kSize>();
  }
  template <typename T>
  std::optional<T> fixed_or_none() {
    if (row_.is_null(next_)) return skip();
    return fixed<T>();
  }

  bool require(bool condition, const char* what) {
    if (!condition && error_.empty()) error_ = what;
    return condition;
  }
  Status status() const { return error_.empty() ? Status() : Status(corrupt_row(table_, error_)); }

 private:
  std::nullopt_t skip() {
    ++next_;
    return std::nullopt;
  }
  template <typename T>
  T number() {
    const std::int64_t value = row_.integer(next_++);
    return require(value >= 0 && value <= std::int64_t{std::numeric_limits<T>::max()}, "a number out of its range")
               ? static_cast<T>(value)
               : T{};
  }
  std::string_view sized(std::size_t size) {
    const std::string_view bytes = row_.blob(next_++);
    if (bytes.size() == size) return bytes;
    if (error_.empty()) error_ = std::to_string(bytes.size()) + " B instead of " + std::to_string(size);
    return {};
  }

  const char* table_;
  const sqlite::Statement& row_;
  int next_ = 0;
  std::string error_;
};

// Calls body(Query&) -> Status for each row.
template <typename Body, typename... Args>
Status for_each_row(rows::Query query, Body&& body, const Args&... args) {
  for (auto more = query.first(args...);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return {};
    CHATSDK_TRY(body(query.row()));
  }
}

}  // namespace chatsdk::e2ee
