// SPDX-License-Identifier: Apache-2.0
#include "e2ee/large_files.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kPlainChunkBytes = limits::e2ee::kStreamChunkBytes;

Error file_is_closed() { return error(Code::kWrongState, "a file that is finished"); }

}  // namespace

// ---- Hash ---------------------------------------------------------------------------------------------------------

RunningHash::RunningHash(const Label& label) {
  crypto_hash_sha512_init(&state_);
  add(label.bytes());
}

void RunningHash::add(BytesView bytes) {
  crypto_hash_sha512_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

Hash RunningHash::finish() {
  Secret<crypto_hash_sha512_BYTES> whole;
  crypto_hash_sha512_final(&state_, whole.data());
  return Hash::from(view(whole));
}

// ---- Sealing ------------------------------------------------------------------------------------------------------

FileSealer::FileSealer(const FileKey& key, const StreamHeader& header, const Label& hash_label,
                       std::uint64_t most_bytes, ByteSink ciphertext)
    : stream_(key, header), hash_(hash_label), most_bytes_(most_bytes), ciphertext_(std::move(ciphertext)) {
  chunk_.reserve(kPlainChunkBytes);  // it never grows, and so leaves no copy behind
}

FileSealer::~FileSealer() { wipe(chunk_); }

Status FileSealer::seal_chunk(bool last) {
  const Bytes sealed = stream_.seal(chunk_, last);
  wipe(chunk_);
  chunk_.clear();
  hash_.add(sealed);
  return ciphertext_(sealed);
}

Status FileSealer::append(BytesView plain) {
  while (!plain.empty()) {
    if (chunk_.size() == kPlainChunkBytes) CHATSDK_TRY(seal_chunk(false));
    const BytesView part = plain.substr(0, kPlainChunkBytes - chunk_.size());
    chunk_.append(part);
    plain.remove_prefix(part.size());
  }
  return {};
}

Status FileSealer::add(BytesView plain) {
  if (!standing_) return standing_;
  if (plain.size() > most_bytes_ - true_bytes_) {
    standing_ = error(Code::kTooLarge, "file of more than " + std::to_string(most_bytes_) + " B");
    return standing_;
  }
  true_bytes_ += plain.size();
  standing_ = append(plain);
  return standing_;
}

Result<FileSealer::Sealed> FileSealer::finish() {
  static constexpr std::array<char, 4'096> kZeros{};
  if (!standing_) return standing_.error();
  const std::uint64_t padded_bytes = padded_size(true_bytes_);
  for (std::uint64_t zeros = padded_bytes - true_bytes_; zeros > 0 && standing_.ok();) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(zeros, kZeros.size()));
    standing_ = append({kZeros.data(), part});
    zeros -= part;
  }
  if (standing_.ok()) standing_ = seal_chunk(true);
  if (!standing_) return standing_.error();
  standing_ = file_is_closed();
  return Sealed{hash_.finish(), true_bytes_, padded_bytes};
}

// ---- Checking -----------------------------------------------------------------------------------------------------

FileCheck::FileCheck(const Label& hash_label, std::uint64_t padded_bytes, const Hash& hash)
    : running_(hash_label), file_bytes_(sealed_file_bytes(padded_bytes)), hash_(hash) {}

Status FileCheck::add(BytesView ciphertext) {
  if (!standing_) return standing_;
  if (ciphertext.size() > file_bytes_ - seen_bytes_) {
    standing_ = bad_message();
    return standing_;
  }
  seen_bytes_ += ciphertext.size();
  running_.add(ciphertext);
  return {};
}

Status FileCheck::finish() {
  if (!standing_) return standing_;
  const bool holds = seen_bytes_ == file_bytes_ && equal_secrets(running_.finish().view(), hash_.view());
  standing_ = holds ? file_is_closed() : bad_message();
  return holds ? Status() : standing_;
}

// ---- Opening ------------------------------------------------------------------------------------------------------

FileOpener::FileOpener(const FileKey& key, const StreamHeader& header, std::uint64_t padded_bytes, ByteSink plain)
    : stream_(key, header), plain_(std::move(plain)), left_bytes_(sealed_file_bytes(padded_bytes)) {}

std::size_t FileOpener::next_chunk_bytes() const {
  return static_cast<std::size_t>(std::min<std::uint64_t>(left_bytes_, kSealedChunkBytes));
}

Status FileOpener::open_chunk(BytesView chunk) {
  auto plain = stream_.open(chunk, chunk.size() == left_bytes_);
  if (!plain) return bad_message();
  const WipeAtEnd wiped(*plain);
  left_bytes_ -= chunk.size();
  return plain_(*plain);
}

Status FileOpener::take(BytesView ciphertext) {
  while (!ciphertext.empty()) {
    const std::size_t whole = next_chunk_bytes();
    if (whole == 0) return bad_message();  // a byte behind the file
    const BytesView part = ciphertext.substr(0, whole - chunk_.size());
    ciphertext.remove_prefix(part.size());
    if (part.size() == whole) {
      CHATSDK_TRY(open_chunk(part));
      continue;
    }
    chunk_.append(part);
    if (chunk_.size() < whole) continue;
    CHATSDK_TRY(open_chunk(chunk_));
    chunk_.clear();
  }
  return {};
}

Status FileOpener::add(BytesView ciphertext) {
  if (!standing_) return standing_;
  standing_ = take(ciphertext);
  return standing_;
}

Status FileOpener::finish() {
  if (!standing_) return standing_;
  const bool whole = left_bytes_ == 0;
  standing_ = whole ? file_is_closed() : bad_message();
  return whole ? Status() : standing_;
}

}  // namespace chatsdk::e2ee
