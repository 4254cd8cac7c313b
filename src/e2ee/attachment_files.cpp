// SPDX-License-Identifier: Apache-2.0
#include "e2ee/attachment_files.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {

AttachmentSealer::AttachmentSealer(Random& random, ByteSink ciphertext)
    : key_(draw_secret<FileKey::size()>(random)),
      header_(draw<StreamHeader>(random)),
      file_(key_, header_, label::kHashAttachment, limits::e2ee::kAttachmentMax, std::move(ciphertext)) {}

Result<AttachmentKey> AttachmentSealer::finish() {
  CHATSDK_ASSIGN(const FileSealer::Sealed sealed, file_.finish());
  AttachmentKey key;
  key.key = std::move(key_);
  key.header = header_;
  key.hash = sealed.hash;
  key.padded_bytes = sealed.padded_bytes;
  key.true_bytes = sealed.true_bytes;
  return key;
}

CheckedAttachment::CheckedAttachment(const AttachmentKey& key)
    : key_(key.key.clone()), header_(key.header), padded_bytes_(key.padded_bytes), true_bytes_(key.true_bytes) {
  CHATSDK_ASSERT(padded_bytes_ == padded_size(true_bytes_));
}

AttachmentCheck::AttachmentCheck(const AttachmentKey& key)
    : file_(label::kHashAttachment, key.padded_bytes, key.hash), checked_(key) {}

Result<CheckedAttachment> AttachmentCheck::finish() {
  CHATSDK_TRY(file_.finish());
  return std::move(checked_);
}

AttachmentOpener::AttachmentOpener(const CheckedAttachment& attachment, ByteSink plain)
    : plain_(std::move(plain)),
      true_left_(attachment.true_bytes_),
      file_(attachment.key_, attachment.header_, attachment.padded_bytes_,
            [this](BytesView padded) { return take(padded); }) {}

Status AttachmentOpener::take(BytesView padded) {
  const auto true_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(true_left_, padded.size()));
  unsigned char seen = 0;
  for (const char byte : padded.substr(true_bytes))
    seen = static_cast<unsigned char>(seen | static_cast<unsigned char>(byte));
  if (seen != 0) return bad_message();
  true_left_ -= true_bytes;
  return true_bytes == 0 ? Status() : plain_(padded.substr(0, true_bytes));
}

}  // namespace chatsdk::e2ee
