// SPDX-License-Identifier: Apache-2.0
//
// Attachments (docs/e2ee.md section 15): the key that travels inside an envelope, and files sealed and opened under it.
// A file is larger than memory: what goes through file_stream.h in chunks is described by an AttachmentKey all the
// same; the functions here take a whole one. Where ciphertexts are kept is known above.
//
// Threads: values and pure functions.
// Invariants:
//   1. A key is drawn for one file. An edited file is another file.
//   2. Nothing of a file is returned before the hash of all of its ciphertext was compared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/file_stream.h"

namespace chatsdk::e2ee {

struct AttachmentKey {
  FileKey key;
  StreamHeader header;
  Hash hash;  // of the ciphertext
  std::uint64_t padded_bytes = 0;
  std::uint64_t true_bytes = 0;
  std::string location;  // the server's media id
  std::string media_type;
};
Hash attachment_hash(BytesView ciphertext);

// They hold a key: who is done with the bytes wipes them. Location and media type are not longer than
// limits::e2ee::kLocationBytesMax and kMediaTypeBytesMax.
Bytes serialize(const AttachmentKey& key);
std::optional<AttachmentKey> parse_attachment_key(BytesView bytes);
// The same without location and media type, as transcripts have it (section 21).
Bytes serialize_key_part(const AttachmentKey& key);
std::optional<AttachmentKey> parse_key_part(BytesView bytes);

struct SealedAttachment {
  Bytes ciphertext;
  AttachmentKey key;  // without location and media type
};
// TOO_LARGE above limits::e2ee::kAttachmentMax.
Result<SealedAttachment> seal_attachment(BytesView plain, Random& random);
// nullopt for anything but the ciphertext that the key was made for.
std::optional<Bytes> open_attachment(BytesView ciphertext, const AttachmentKey& key);

}  // namespace chatsdk::e2ee
