// SPDX-License-Identifier: Apache-2.0
//
// Records: protobuf 3's encoding in the one form of docs/content.md section 2, read field by field and written in
// ascending order. Which fields a record has, and which values of them are allowed, is known by whoever reads it.
//
// Threads: one owner.
// Invariants:
//   1. A RecordReader never reads past the end. Once something was not of the form, or a value was asked for that the
//      field does not have, it has failed for good, gives zeros and empty strings, and next() is false.
#pragma once

#include <cstdint>
#include <utility>

#include "base/bytes.h"

namespace chatsdk {

class RecordReader {
 public:
  // Borrows the bytes; what it gives points into them.
  explicit RecordReader(BytesView bytes) : rest_(bytes) {}

  // Steps to the next field; false at the end and once it has failed.
  bool next();
  // Of the field that next() came to.
  std::uint32_t number() const { return number_; }

  // Its value. Fails for a field of another type, one that does not fit, and one that came before.
  std::uint64_t u64();
  std::uint32_t u32();
  std::int32_t sint32();
  std::uint64_t fixed64();
  bool boolean();
  BytesView bytes();
  // As bytes(), of a field that may come again.
  BytesView repeated_bytes();

  void fail() { failed_ = true; }
  bool failed() const { return failed_; }

 private:
  enum class Type : std::uint8_t { kNumber = 0, kEightBytes = 1, kBytes = 2, kFourBytes = 5 };

  std::uint64_t varint();
  BytesView take(std::uint64_t count);
  bool is_once(Type type);

  BytesView rest_;
  BytesView value_;
  std::uint64_t value_number_ = 0;
  std::uint32_t number_ = 0;
  Type type_ = Type::kNumber;
  bool again_ = false;
  bool failed_ = false;
};

// Fields are appended in ascending order; 0 and what is empty is left out, but by record() and each().
class RecordWriter {
 public:
  RecordWriter& u64(std::uint32_t number, std::uint64_t value);
  RecordWriter& sint32(std::uint32_t number, std::int32_t value);
  RecordWriter& bytes(std::uint32_t number, BytesView value);
  // Also where it is empty.
  RecordWriter& each(std::uint32_t number, BytesView value);
  RecordWriter& record(std::uint32_t number, const RecordWriter& inner) { return each(number, inner.bytes_); }

  Bytes take() { return std::move(bytes_); }

 private:
  void varint(std::uint64_t value);

  Bytes bytes_;
};

}  // namespace chatsdk
