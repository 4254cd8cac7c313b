// SPDX-License-Identifier: Apache-2.0
//
// What a message says of an attachment, and the file. The first byte says what follows:
//
//   0   an attachment key
//   1   a file as it is fetched, for a key whose hash is that file's
//   2   what such a file holds, padding included: it is encrypted as the page says
//
// A file that is opened whole and one that passes by in pieces are the same, and what does not open gives nothing when
// its hash is wrong.
//
// Threads: one.
#include "e2ee/attachment_files.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "fuzz/fuzz.h"
#include "unit/e2ee/people.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

constexpr std::size_t kPieceBytes = 10'007;

void read_key(BytesView bytes) {
  const auto key = parse_attachment_key(bytes);
  if (!key) return;
  CHATSDK_ASSERT(serialize(*key) == bytes);
  CHATSDK_ASSERT(key->true_bytes <= limits::e2ee::kAttachmentMax && key->padded_bytes == padded_size(key->true_bytes));
  const Bytes part = serialize_key_part(*key);
  CHATSDK_ASSERT(bytes.substr(0, part.size()) == part && parse_key_part(part).has_value());
}

std::optional<Bytes> open_in_pieces(BytesView ciphertext, const AttachmentKey& key) {
  AttachmentCheck check(key);
  if (!check.add(ciphertext)) return std::nullopt;
  const auto checked = check.finish();
  if (!checked) return std::nullopt;
  Bytes plain;
  AttachmentOpener opener(*checked, [&plain](BytesView piece) {
    plain.append(piece);
    return Status();
  });
  for (BytesView rest = ciphertext; !rest.empty(); rest.remove_prefix(std::min(kPieceBytes, rest.size()))) {
    const Status added = opener.add(rest.substr(0, kPieceBytes));
    if (!added) {
      CHATSDK_ASSERT(added.code() == kBadMessage && opener.finish().code() == kBadMessage);
      return std::nullopt;
    }
  }
  if (!opener.finish()) return std::nullopt;
  return plain;
}

void read_file(BytesView ciphertext, std::uint64_t true_bytes) {
  AttachmentKey key;
  key.key = secret_of<32>(0xA1);
  key.header = fixed_of<StreamHeader>(0xA2);
  key.hash = attachment_hash(ciphertext);
  key.true_bytes = true_bytes;
  key.padded_bytes = padded_size(true_bytes);
  const auto plain = open_attachment(ciphertext, key);
  CHATSDK_ASSERT(plain == open_in_pieces(ciphertext, key));
  if (!plain) return;
  CHATSDK_ASSERT(seal_file(key.key, key.header, padded(*plain)) == ciphertext);
  key.hash.bytes[0] ^= 1;
  CHATSDK_ASSERT(!open_attachment(ciphertext, key) && !open_in_pieces(ciphertext, key));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const int what = input.byte() % 3;
  if (what == 0) {
    const Bytes key(input.rest());
    read_key(key);
    return 0;
  }
  const std::uint64_t true_bytes = input.number(3);
  const Bytes rest(input.rest());
  if (what == 1) {
    read_file(rest, true_bytes);
  } else if (!rest.empty()) {
    read_file(seal_file(secret_of<32>(0xA1), fixed_of<StreamHeader>(0xA2), rest), true_bytes);
  }
  return 0;
}
