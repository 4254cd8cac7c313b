// SPDX-License-Identifier: Apache-2.0
#include "store/crypt_prelude.h"

#include <sodium.h>

#include <cstring>

#include "base/assert.h"

namespace chatsdk {

namespace {

constexpr unsigned char kMagic[16] = {'c', 'h', 'a', 't', 's', 'd', 'k', ' ', 's', 't', 'o', 'r', 'e', '\r', '\n', 0};
constexpr std::uint32_t kVersion = 1;

constexpr std::size_t kVersionAt = 16;
constexpr std::size_t kPageBytesAt = 20;
constexpr std::size_t kIdentityAt = 24;
constexpr std::size_t kZeroBytes = 32;
constexpr std::size_t kCheckAt = kIdentityAt + kFileIdentityBytes + kZeroBytes;
constexpr std::size_t kChecksumAt = kCheckAt + 32;
constexpr std::size_t kDescriptionBytes = kChecksumAt + 32;
static_assert(kDescriptionBytes == 136);

constexpr std::size_t kDescriptionAt[2] = {0, 2048};
constexpr std::size_t kSlotAt[2] = {1024, 3072};
static_assert(kDescriptionBytes <= 512 && kHeaderRecordBytes <= 512, "each lies within one disk sector");

void put_u32(unsigned char* out, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<unsigned char>((value >> (8 * i)) & 0xFF);
}

std::uint32_t get_u32(const unsigned char* in) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = (value << 8) | in[i];
  return value;
}

std::array<unsigned char, 32> checksum_of(const unsigned char* description) {
  std::array<unsigned char, 32> sum{};
  const int result = crypto_generichash(sum.data(), sum.size(), description, kChecksumAt, nullptr, 0);
  CHATSDK_ASSERT(result == 0);
  return sum;
}

PreludeFinding inspect_description(const unsigned char* description, const StoreKeys& keys) {
  PreludeFinding finding;
  const bool magic = std::memcmp(description, kMagic, sizeof kMagic) == 0;
  if (sodium_memcmp(checksum_of(description).data(), description + kChecksumAt, 32) != 0 || !magic) {
    finding.state = magic ? PreludeState::kDamaged : PreludeState::kForeign;
    return finding;
  }
  if (get_u32(description + kVersionAt) != kVersion || get_u32(description + kPageBytesAt) != kStorePageBytes) {
    finding.state = PreludeState::kUnknownVersion;
    return finding;
  }
  const auto check = keys.check_value({description, kCheckAt});
  if (sodium_memcmp(check.data(), description + kCheckAt, check.size()) != 0) {
    finding.state = PreludeState::kWrongKey;
    return finding;
  }
  finding.state = PreludeState::kWhole;
  std::memcpy(finding.identity.data(), description + kIdentityAt, kFileIdentityBytes);
  return finding;
}

}  // namespace

PageHeader default_page_header() {
  PageHeader header{};
  header[16] = static_cast<unsigned char>(kStorePageBytes >> 8);
  header[17] = static_cast<unsigned char>(kStorePageBytes & 0xFF);
  header[20] = static_cast<unsigned char>(kSealBytes);
  return header;
}

bool same_opening_fields(const PageHeader& left, const PageHeader& right) {
  const auto same = [&](std::size_t at, std::size_t count) {
    return std::memcmp(left.data() + at, right.data() + at, count) == 0;
  };
  // Page size, reserved bytes, largest root page (automatic vacuum when not 0), incremental vacuum.
  return same(16, 2) && same(20, 1) && same(52, 4) && same(64, 4);
}

PreludeBytes make_prelude(const StoreKeys& keys, const FileIdentity& identity, SharedRandom& random) {
  PreludeBytes bytes{};
  for (const std::size_t at : kDescriptionAt) {
    unsigned char* const description = bytes.data() + at;
    std::memcpy(description, kMagic, sizeof kMagic);
    put_u32(description + kVersionAt, kVersion);
    put_u32(description + kPageBytesAt, static_cast<std::uint32_t>(kStorePageBytes));
    std::memcpy(description + kIdentityAt, identity.data(), identity.size());
    const auto check = keys.check_value({description, kCheckAt});
    std::memcpy(description + kCheckAt, check.data(), check.size());
    const auto sum = checksum_of(description);
    std::memcpy(description + kChecksumAt, sum.data(), sum.size());
  }
  const Sealer sealer(keys, RecordKind::kHeader, identity, random);
  const auto record = seal_header_record(HeaderRecord{}, sealer);
  std::memcpy(bytes.data() + header_record_offset(0), record.data(), record.size());
  return bytes;
}

PreludeFinding inspect_prelude(const PreludeBytes& bytes, const StoreKeys& keys) {
  const PreludeFinding first = inspect_description(bytes.data() + kDescriptionAt[0], keys);
  const PreludeFinding second = inspect_description(bytes.data() + kDescriptionAt[1], keys);
  // The states are in order: what is nearer to whole speaks for the file.
  return first.state <= second.state ? first : second;
}

HeaderRecord read_header_record(const PreludeBytes& bytes, const Sealer& sealer) {
  HeaderRecord newest;
  for (std::uint64_t slot = 0; slot < 2; ++slot) {
    std::array<unsigned char, 8 + kHeaderBytes> plain{};
    if (!sealer.open(slot, bytes.data() + kSlotAt[slot], plain.size(), plain.data())) continue;
    HeaderRecord record;
    for (std::size_t i = 8; i-- > 0;) record.generation = (record.generation << 8) | plain[i];
    std::memcpy(record.header.data(), plain.data() + 8, kHeaderBytes);
    if (record.generation >= newest.generation) newest = record;
  }
  return newest;
}

SealedHeaderRecord seal_header_record(const HeaderRecord& record, const Sealer& sealer) {
  std::array<unsigned char, 8 + kHeaderBytes> plain{};
  for (std::size_t i = 0; i < 8; ++i) plain[i] = static_cast<unsigned char>((record.generation >> (8 * i)) & 0xFF);
  std::memcpy(plain.data() + 8, record.header.data(), kHeaderBytes);
  SealedHeaderRecord sealed{};
  sealer.seal(record.generation % 2, plain, sealed.data());
  return sealed;
}

std::int64_t header_record_offset(std::uint64_t generation) {
  return static_cast<std::int64_t>(kSlotAt[generation % 2]);
}

}  // namespace chatsdk
