// SPDX-License-Identifier: Apache-2.0
#include "e2ee/large_files.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "unit/e2ee/files.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kLargeChunk = limits::e2ee::kStreamChunkBytes;
constexpr std::uint64_t kMuch = 1U << 30;

FileKey file_key() { return secret_of<32>(0xA1); }
StreamHeader file_header() { return fixed_of<StreamHeader>(0xA2); }

struct SealedFile {
  Bytes ciphertext;
  FileSealer::Sealed made;
};
SealedFile sealed_file(const Bytes& plain, std::size_t piece_bytes = 1'000) {
  Kept ciphertext;
  FileSealer sealer(file_key(), file_header(), label::kHashAttachment, kMuch, ciphertext.sink());
  for (BytesView rest = plain; !rest.empty(); rest.remove_prefix(std::min(piece_bytes, rest.size()))) {
    EXPECT_TRUE(sealer.add(rest.substr(0, piece_bytes)).ok());
  }
  auto made = sealer.finish();
  return {ciphertext.bytes(), made.value()};
}

// What opening says, and what it gave.
struct LargeReading {
  Code code = Code::kOk;
  Bytes plain;
};
LargeReading read_file(const Bytes& ciphertext, std::uint64_t padded_bytes, std::size_t piece_bytes = 10'000) {
  Kept plain;
  FileOpener opener(file_key(), file_header(), padded_bytes, plain.sink());
  const Code code = hand_over(opener, ciphertext, piece_bytes);
  return {code, plain.bytes()};
}
Code checked(const Bytes& ciphertext, const FileSealer::Sealed& made) {
  FileCheck check(label::kHashAttachment, made.padded_bytes, made.hash);
  return hand_over(check, ciphertext, 10'000);
}

const std::vector<std::size_t>& sizes() {
  static const std::vector<std::size_t> kSizes = {
      0, 1, 64, 1'025, kLargeChunk - 1, kLargeChunk, kLargeChunk + 1, 2 * kLargeChunk, 2 * kLargeChunk + 1, 200'000};
  return kSizes;
}

TEST(LargeFiles, GiveBackWhatWasSealedWithItsPadding) {
  for (const std::size_t size : sizes()) {
    const Bytes plain = counting_bytes(size);
    const SealedFile file = sealed_file(plain);
    EXPECT_EQ(file.made.true_bytes, size);
    EXPECT_EQ(file.made.padded_bytes, padded_size(size));
    EXPECT_EQ(file.ciphertext.size(), sealed_file_bytes(padded_size(size)));
    EXPECT_EQ(file.made.hash, hash(label::kHashAttachment, {file.ciphertext}));
    EXPECT_EQ(checked(file.ciphertext, file.made), Code::kOk);
    const LargeReading reading = read_file(file.ciphertext, file.made.padded_bytes);
    EXPECT_EQ(reading.code, Code::kOk) << size;
    EXPECT_EQ(reading.plain, padded(plain)) << size;
  }
}

TEST(LargeFiles, AreTheSameHoweverTheyAreCutIntoPieces) {
  const Bytes plain = counting_bytes(200'000);
  const SealedFile file = sealed_file(plain);
  EXPECT_EQ(file.ciphertext, seal_file(file_key(), file_header(), padded(plain)));
  for (const std::size_t piece :
       {std::size_t{7}, kLargeChunk - 1, kLargeChunk, kLargeChunk + 1, kSealedChunkBytes, 3 * kLargeChunk}) {
    EXPECT_EQ(sealed_file(plain, piece).ciphertext, file.ciphertext) << piece;
    EXPECT_EQ(read_file(file.ciphertext, file.made.padded_bytes, piece).plain, padded(plain)) << piece;
  }
}

TEST(LargeFiles, HoldNoMoreThanAChunk) {
  Kept ciphertext;
  FileSealer sealer(file_key(), file_header(), label::kHashAttachment, kMuch, ciphertext.sink());
  for (std::size_t chunks = 1; chunks <= 8; ++chunks) {
    ASSERT_TRUE(sealer.add(Bytes(kLargeChunk, 'x')).ok());
    EXPECT_EQ(ciphertext.calls(), chunks - 1);
  }
  const auto made = sealer.finish();
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(ciphertext.largest(), kSealedChunkBytes);

  Kept plain;
  FileOpener opener(file_key(), file_header(), made->padded_bytes, plain.sink());
  for (std::size_t chunks = 1; chunks <= 8; ++chunks) {
    ASSERT_TRUE(opener.add(ciphertext.bytes().substr((chunks - 1) * kSealedChunkBytes, kSealedChunkBytes)).ok());
    EXPECT_EQ(plain.bytes().size(), chunks * kLargeChunk);
  }
  EXPECT_TRUE(opener.finish().ok());
  EXPECT_EQ(plain.largest(), kLargeChunk);
}

TEST(LargeFiles, OpenNothingOfAChunkThatWasTouched) {
  const SealedFile file = sealed_file(Bytes(100, 'x'));
  with_each_byte_flipped(file.ciphertext, [&file](const Bytes& flipped, std::size_t at) {
    const LargeReading reading = read_file(flipped, file.made.padded_bytes);
    EXPECT_EQ(reading.code, kBadMessage) << at;
    EXPECT_TRUE(reading.plain.empty()) << at;
    EXPECT_EQ(checked(flipped, file.made), kBadMessage) << at;
  });
}

TEST(LargeFiles, GiveTheChunksBeforeATouchedOneAndNoneBehindIt) {
  const Bytes plain = counting_bytes(3 * kLargeChunk + 5);
  const SealedFile file = sealed_file(plain);
  Bytes flipped = file.ciphertext;
  flipped[kSealedChunkBytes + 100] = static_cast<char>(flipped[kSealedChunkBytes + 100] ^ 1);
  const LargeReading reading = read_file(flipped, file.made.padded_bytes);
  EXPECT_EQ(reading.code, kBadMessage);
  EXPECT_EQ(reading.plain, plain.substr(0, kLargeChunk));
}

TEST(LargeFiles, MissNoByteAtTheirEnd) {
  const SealedFile file = sealed_file(Bytes(100, 'x'));
  for (std::size_t size = 0; size < file.ciphertext.size(); ++size) {
    const LargeReading reading = read_file(file.ciphertext.substr(0, size), file.made.padded_bytes);
    EXPECT_EQ(reading.code, kBadMessage) << size;
    EXPECT_TRUE(reading.plain.empty()) << size;
    EXPECT_EQ(checked(file.ciphertext.substr(0, size), file.made), kBadMessage) << size;
  }
  EXPECT_EQ(read_file(file.ciphertext + "x", file.made.padded_bytes).code, kBadMessage);
  EXPECT_EQ(checked(file.ciphertext + "x", file.made), kBadMessage);
}

TEST(LargeFiles, KeepTheirChunksInOrder) {
  const SealedFile file = sealed_file(counting_bytes(4 * kLargeChunk));
  const BytesView all = file.ciphertext;
  const auto chunk = [all](std::size_t i) { return Bytes(all.substr(i * kSealedChunkBytes, kSealedChunkBytes)); };
  EXPECT_EQ(read_file(chunk(1) + chunk(0) + chunk(2) + chunk(3), 4 * kLargeChunk).code, kBadMessage);
  EXPECT_EQ(read_file(chunk(0) + chunk(0) + chunk(2) + chunk(3), 4 * kLargeChunk).code, kBadMessage);
  EXPECT_EQ(read_file(chunk(0) + chunk(2) + chunk(3), 3 * kLargeChunk).code, kBadMessage);
  EXPECT_EQ(read_file(chunk(0) + chunk(1) + chunk(2) + chunk(3), 4 * kLargeChunk).code, Code::kOk);
}

TEST(LargeFiles, EndWithTheChunkThatSaysSo) {
  const SealedFile two = sealed_file(counting_bytes(2 * kLargeChunk));
  EXPECT_EQ(read_file(two.ciphertext.substr(0, kSealedChunkBytes), kLargeChunk).code, kBadMessage);

  const SealedFile one = sealed_file(counting_bytes(kLargeChunk));
  const Bytes behind = two.ciphertext.substr(kSealedChunkBytes);
  const LargeReading reading = read_file(one.ciphertext + behind, 2 * kLargeChunk);
  EXPECT_EQ(reading.code, kBadMessage);
  EXPECT_TRUE(reading.plain.empty());
}

TEST(LargeFiles, RefuseForGood) {
  const SealedFile file = sealed_file(Bytes(100, 'x'));
  Kept plain;
  FileOpener opener(file_key(), file_header(), file.made.padded_bytes, plain.sink());
  EXPECT_EQ(opener.add(Bytes(file.ciphertext.size(), 'x')).code(), kBadMessage);
  EXPECT_EQ(opener.add(file.ciphertext).code(), kBadMessage);
  EXPECT_EQ(opener.finish().code(), kBadMessage);
  EXPECT_TRUE(plain.bytes().empty());

  FileCheck check(label::kHashAttachment, file.made.padded_bytes, file.made.hash);
  EXPECT_EQ(check.add(file.ciphertext + "x").code(), kBadMessage);
  EXPECT_EQ(check.add(file.ciphertext).code(), kBadMessage);
  EXPECT_EQ(check.finish().code(), kBadMessage);
}

TEST(LargeFiles, AreDoneOnceTheyAreFinished) {
  const SealedFile file = sealed_file(Bytes(100, 'x'));
  Kept kept;
  FileSealer sealer(file_key(), file_header(), label::kHashAttachment, kMuch, kept.sink());
  FileCheck check(label::kHashAttachment, file.made.padded_bytes, file.made.hash);
  FileOpener opener(file_key(), file_header(), file.made.padded_bytes, kept.sink());
  EXPECT_TRUE(sealer.finish().ok());
  EXPECT_EQ(hand_over(check, file.ciphertext, 10), Code::kOk);
  EXPECT_EQ(hand_over(opener, file.ciphertext, 10), Code::kOk);

  EXPECT_EQ(sealer.add("x").code(), Code::kWrongState);
  EXPECT_EQ(sealer.finish().code(), Code::kWrongState);
  EXPECT_EQ(check.add("x").code(), Code::kWrongState);
  EXPECT_EQ(check.finish().code(), Code::kWrongState);
  EXPECT_EQ(opener.add("x").code(), Code::kWrongState);
  EXPECT_EQ(opener.finish().code(), Code::kWrongState);
}

TEST(LargeFiles, TakeUpToTheirLimit) {
  for (const std::size_t size : {std::size_t{999}, std::size_t{1'000}, std::size_t{1'001}}) {
    Kept ciphertext;
    FileSealer sealer(file_key(), file_header(), label::kHashAttachment, 1'000, ciphertext.sink());
    ASSERT_TRUE(sealer.add(Bytes(900, 'x')).ok());
    const Status added = sealer.add(Bytes(size - 900, 'x'));
    EXPECT_EQ(added.code(), size > 1'000 ? Code::kTooLarge : Code::kOk) << size;
    EXPECT_EQ(sealer.finish().code(), added.code()) << size;
    EXPECT_EQ(ciphertext.bytes().empty(), !added.ok()) << size;
  }
}

TEST(LargeFiles, StopWhereASinkFails) {
  const SealedFile file = sealed_file(counting_bytes(3 * kLargeChunk));
  int calls = 0;
  const ByteSink full = [&calls](BytesView) {
    return ++calls == 2 ? Status(error(Code::kStorageFull, "disk full")) : Status();
  };
  FileSealer sealer(file_key(), file_header(), label::kHashAttachment, kMuch, full);
  EXPECT_EQ(sealer.add(counting_bytes(4 * kLargeChunk)).code(), Code::kStorageFull);
  EXPECT_EQ(sealer.add("x").code(), Code::kStorageFull);
  EXPECT_EQ(sealer.finish().code(), Code::kStorageFull);
  EXPECT_EQ(calls, 2);

  calls = 0;
  FileOpener opener(file_key(), file_header(), file.made.padded_bytes, full);
  EXPECT_EQ(hand_over(opener, file.ciphertext, 1'000), Code::kStorageFull);
  EXPECT_EQ(opener.finish().code(), Code::kStorageFull);
  EXPECT_EQ(calls, 2);
}

TEST(LargeFiles, HashLikeTheWholeAtOnce) {
  RunningHash running(label::kHashBackup);
  for (const std::string_view part : {"a", "", "bcd"}) running.add(part);
  EXPECT_EQ(running.finish(), hash(label::kHashBackup, {"abcd"}));
}

}  // namespace
}  // namespace chatsdk::e2ee
