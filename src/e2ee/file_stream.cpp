// SPDX-License-Identifier: Apache-2.0
#include "e2ee/file_stream.h"

#include "base/assert.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kChunkBytes = limits::e2ee::kStreamChunkBytes;
static_assert(kChunkOverheadBytes == crypto_secretstream_xchacha20poly1305_ABYTES);
static_assert(StreamHeader::size() == crypto_secretstream_xchacha20poly1305_HEADERBYTES);

// Both directions start alike; the one for sealing would draw a header of its own.
void start(crypto_secretstream_xchacha20poly1305_state& state, const FileKey& key, const StreamHeader& header) {
  crypto_secretstream_xchacha20poly1305_init_pull(&state, header.bytes.data(), key.data());
}

unsigned char tag_of(bool last) {
  return last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
}

}  // namespace

std::uint64_t sealed_file_bytes(std::uint64_t padded_bytes) {
  return padded_bytes + kChunkOverheadBytes * ((padded_bytes + kChunkBytes - 1) / kChunkBytes);
}

StreamSealer::StreamSealer(const FileKey& key, const StreamHeader& header) { start(state_, key, header); }

Bytes StreamSealer::seal(BytesView chunk, bool last) {
  CHATSDK_ASSERT(last ? !chunk.empty() && chunk.size() <= kChunkBytes : chunk.size() == kChunkBytes);
  Bytes sealed(chunk.size() + kChunkOverheadBytes, '\0');
  crypto_secretstream_xchacha20poly1305_push(&state_, reinterpret_cast<unsigned char*>(sealed.data()), nullptr,
                                             reinterpret_cast<const unsigned char*>(chunk.data()), chunk.size(),
                                             nullptr, 0, tag_of(last));
  return sealed;
}

StreamOpener::StreamOpener(const FileKey& key, const StreamHeader& header) { start(state_, key, header); }

std::optional<Bytes> StreamOpener::open(BytesView chunk, bool last) {
  const bool fits = last ? chunk.size() > kChunkOverheadBytes && chunk.size() <= kSealedChunkBytes
                         : chunk.size() == kSealedChunkBytes;
  if (refused_ || !fits) {
    refused_ = true;
    return std::nullopt;
  }
  Bytes plain(chunk.size() - kChunkOverheadBytes, '\0');
  unsigned char tag = 0;
  const bool opened = crypto_secretstream_xchacha20poly1305_pull(
                          &state_, reinterpret_cast<unsigned char*>(plain.data()), nullptr, &tag,
                          reinterpret_cast<const unsigned char*>(chunk.data()), chunk.size(), nullptr, 0) == 0;
  refused_ = !opened || tag != tag_of(last) || last;
  if (!opened || tag != tag_of(last)) return std::nullopt;
  return plain;
}

Bytes seal_file(const FileKey& key, const StreamHeader& header, BytesView plain) {
  StreamSealer sealer(key, header);
  Bytes sealed;
  sealed.reserve(sealed_file_bytes(plain.size()));
  for (std::size_t at = 0; at < plain.size(); at += kChunkBytes) {
    sealed.append(sealer.seal(plain.substr(at, kChunkBytes), at + kChunkBytes >= plain.size()));
  }
  return sealed;
}

std::optional<Bytes> open_file(const FileKey& key, const StreamHeader& header, BytesView sealed) {
  if (sealed.empty()) return std::nullopt;
  StreamOpener opener(key, header);
  Bytes plain;
  plain.reserve(sealed.size());
  for (std::size_t at = 0; at < sealed.size(); at += kSealedChunkBytes) {
    const auto chunk = opener.open(sealed.substr(at, kSealedChunkBytes), at + kSealedChunkBytes >= sealed.size());
    if (!chunk) return std::nullopt;
    plain.append(*chunk);
  }
  return plain;
}

}  // namespace chatsdk::e2ee
