// SPDX-License-Identifier: Apache-2.0
#include "protocol/record.h"

#include <limits>

namespace chatsdk {

namespace {

constexpr std::uint32_t kNumberMax = (std::uint32_t{1} << 29) - 1;
constexpr int kVarintBytesMax = 10;

}  // namespace

bool RecordReader::next() {
  if (failed_ || rest_.empty()) return false;
  const std::uint64_t tag = varint();
  const std::uint64_t number = tag >> 3;
  if (failed_ || number == 0 || number > kNumberMax || number < number_) {
    fail();
    return false;
  }
  again_ = number == number_;
  number_ = static_cast<std::uint32_t>(number);
  type_ = static_cast<Type>(tag & 7);
  switch (type_) {
    case Type::kNumber:
      value_number_ = varint();
      break;
    case Type::kEightBytes:
      value_ = take(8);
      break;
    case Type::kBytes:
      value_ = take(varint());
      break;
    case Type::kFourBytes:
      value_ = take(4);
      break;
    default:
      fail();
  }
  return !failed_;
}

std::uint64_t RecordReader::u64() { return is_once(Type::kNumber) ? value_number_ : 0; }

std::uint32_t RecordReader::u32() {
  const std::uint64_t value = u64();
  if (value > std::numeric_limits<std::uint32_t>::max()) {
    fail();
    return 0;
  }
  return static_cast<std::uint32_t>(value);
}

std::int32_t RecordReader::sint32() {
  const std::uint32_t zigzag = u32();
  return static_cast<std::int32_t>((zigzag >> 1) ^ (~(zigzag & 1) + 1));
}

std::uint64_t RecordReader::fixed64() {
  if (!is_once(Type::kEightBytes)) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = (value << 8) | static_cast<unsigned char>(value_[i]);
  return value;
}

bool RecordReader::boolean() {
  const std::uint64_t value = u64();
  if (value > 1) fail();
  return value == 1;
}

BytesView RecordReader::bytes() { return is_once(Type::kBytes) ? value_ : BytesView(); }

BytesView RecordReader::repeated_bytes() {
  if (type_ != Type::kBytes) fail();
  return failed_ ? BytesView() : value_;
}

bool RecordReader::is_once(Type type) {
  if (again_ || type_ != type) fail();
  return !failed_;
}

std::uint64_t RecordReader::varint() {
  std::uint64_t value = 0;
  for (int i = 0; i < kVarintBytesMax && !rest_.empty(); ++i) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    // The tenth byte has room for one bit; a last byte of 0 adds nothing.
    if (i == kVarintBytesMax - 1 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      if (byte == 0 && i > 0) break;
      return value;
    }
  }
  fail();
  return 0;
}

BytesView RecordReader::take(std::uint64_t count) {
  if (failed_ || count > rest_.size()) {
    fail();
    return {};
  }
  const BytesView taken = rest_.substr(0, static_cast<std::size_t>(count));
  rest_.remove_prefix(taken.size());
  return taken;
}

RecordWriter& RecordWriter::u64(std::uint32_t number, std::uint64_t value) {
  if (value == 0) return *this;
  varint(std::uint64_t{number} << 3);
  varint(value);
  return *this;
}

RecordWriter& RecordWriter::sint32(std::uint32_t number, std::int32_t value) {
  const auto bits = static_cast<std::uint32_t>(value);
  return u64(number, (bits << 1) ^ (value < 0 ? ~std::uint32_t{0} : 0));
}

RecordWriter& RecordWriter::bytes(std::uint32_t number, BytesView value) {
  return value.empty() ? *this : each(number, value);
}

RecordWriter& RecordWriter::each(std::uint32_t number, BytesView value) {
  varint((std::uint64_t{number} << 3) | 2);
  varint(value.size());
  bytes_.append(value);
  return *this;
}

void RecordWriter::varint(std::uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

}  // namespace chatsdk
