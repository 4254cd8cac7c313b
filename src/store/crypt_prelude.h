// SPDX-License-Identifier: Apache-2.0
//
// The prelude: the 4,096 bytes before page 1 of an encrypted store. It says that the file is a store, which one, and
// whether a key is the right one, without any page having to be whole. It does no I/O.
//
//   offset  bytes  content
//        0    136  copy A of the description
//     1024    148  header record in slot 0
//     2048    136  copy B of the description
//     3072    148  header record in slot 1
//   the rest       zero, not read
//
//   description (in the clear):   magic 16 | version u32 | page bytes u32 | identity 16 | zero 32 | key check 32
//                                 | checksum 32, unkeyed, over all before it; integers are little-endian
//   header record (sealed, index = slot):   generation u64 | the first 100 bytes of page 1
//
// The description is written once, whole and synced, before the first page, so a file that has a page has at least one
// whole copy unless somebody changed both. The checksum tells a damaged copy from a wrong key.
//
// SQLite reads the page size, the reserved bytes and the vacuum mode from the first 100 bytes of page 1 before it looks
// at the log. When a power cut tore page 1 in a checkpoint, those bytes come from the newest header record instead: it
// is written anew, into the older slot and synced, before a page 1 that changes any of the three. Other fields of the
// record may be older than page 1; nothing reads them from there.
//
// Threads: values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "store/crypt_page.h"

namespace chatsdk {

inline constexpr std::size_t kPreludeBytes = 4'096;
inline constexpr std::size_t kStorePageBytes = 4'096;
inline constexpr std::size_t kPagePlainBytes = kStorePageBytes - kSealBytes;
inline constexpr std::size_t kHeaderBytes = 100;

using PreludeBytes = std::array<unsigned char, kPreludeBytes>;
using PageHeader = std::array<unsigned char, kHeaderBytes>;

// A header with no other content than what opening needs: page size, reserved bytes, no automatic vacuum.
PageHeader default_page_header();
// True when the fields that SQLite takes from the header before recovery are equal.
bool same_opening_fields(const PageHeader& left, const PageHeader& right);

// A new file's prelude, with the default header in slot 0.
PreludeBytes make_prelude(const StoreKeys& keys, const FileIdentity& identity, SharedRandom& random);

enum class PreludeState {
  kWhole,           // the key is right, identity is set
  kWrongKey,        // a copy is whole, and of another key
  kUnknownVersion,  // a copy is whole, and of a format that this code does not know
  kDamaged,         // recognisably a prelude, no copy is whole
  kForeign,         // not recognisable
};

struct PreludeFinding {
  PreludeState state = PreludeState::kForeign;
  FileIdentity identity{};
};

PreludeFinding inspect_prelude(const PreludeBytes& bytes, const StoreKeys& keys);

// The newest header record and where the next one goes.
struct HeaderRecord {
  std::uint64_t generation = 0;
  PageHeader header = default_page_header();
};

inline constexpr std::size_t kHeaderRecordBytes = 8 + kHeaderBytes + kSealBytes;
using SealedHeaderRecord = std::array<unsigned char, kHeaderRecordBytes>;

// The newest of the slots that authenticate; the default of generation 0 when none does.
HeaderRecord read_header_record(const PreludeBytes& bytes, const Sealer& sealer);
SealedHeaderRecord seal_header_record(const HeaderRecord& record, const Sealer& sealer);
// Where the record of this generation lies in the file.
std::int64_t header_record_offset(std::uint64_t generation);

}  // namespace chatsdk
