// SPDX-License-Identifier: Apache-2.0
#include "e2ee/backup_files.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "unit/e2ee/backups.h"
#include "unit/e2ee/files.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kBackupChunk = limits::e2ee::kStreamChunkBytes;

SealedBackup written_backup(const std::vector<Bytes>& frames) {
  GivenRandom given(repeated(0x94, 32) + repeated(0x95, 24));
  const UserId user_id = "alice";
  const RecoveryKey key = recovery_key();
  const BackupPlace place{user_id, DeviceId{3}, 5, fixed_of<Hash>(0x44), kThen};
  Kept ciphertext;
  BackupWriter writer(key, place, given, ciphertext.sink());
  for (const Bytes& frame : frames) EXPECT_TRUE(writer.add_frame(frame).ok());
  const auto manifest = writer.finish();
  return {ciphertext.bytes(), manifest.value()};
}

// What the two passes say, and the frames that they gave.
struct BackupReading {
  Code check = Code::kOk;
  Code read = Code::kOk;
  Frames frames;
};
BackupReading read_backup(const SealedBackup& sealed, std::size_t piece_bytes = 10'000) {
  const Manifest manifest = parse_manifest(sealed.manifest, recovery_key(), "alice").value();
  BackupCheck check(manifest);
  for (BytesView rest = sealed.ciphertext; !rest.empty(); rest.remove_prefix(std::min(piece_bytes, rest.size()))) {
    const Status added = check.add(rest.substr(0, piece_bytes));
    if (!added) return {added.code(), Code::kOk, {}};
  }
  const auto checked = check.finish();
  if (!checked) return {checked.code(), Code::kOk, {}};
  BackupReading reading;
  BackupReader reader(recovery_key(), *checked, [&reading](BytesView frame) {
    reading.frames.emplace_back(frame);
    return Status();
  });
  reading.read = hand_over(reader, sealed.ciphertext, piece_bytes);
  return reading;
}

const std::vector<Bytes>& many_frames() {
  static const std::vector<Bytes> kFrames = {seed_frame(),          history_frame(1),
                                             history_frame(70'000), Bytes(1, '\x07'),
                                             history_frame(3),      history_frame(limits::e2ee::kBackupFrameMax - 1),
                                             history_frame(100)};
  return kFrames;
}

TEST(BackupFiles, AreTheSameAsAWholeOne) {
  for (const std::vector<Bytes>& frames : {std::vector<Bytes>{seed_frame()}, many_frames()}) {
    const SealedBackup whole = sealed_backup(frames);
    const SealedBackup file = written_backup(frames);
    EXPECT_EQ(file.ciphertext, whole.ciphertext);
    EXPECT_EQ(file.manifest, whole.manifest);
  }
}

TEST(BackupFiles, GiveBackTheirFramesHoweverTheyAreCut) {
  const SealedBackup file = written_backup(many_frames());
  for (const std::size_t piece : {std::size_t{4'001}, kBackupChunk, kSealedChunkBytes, file.ciphertext.size()}) {
    const BackupReading reading = read_backup(file, piece);
    EXPECT_EQ(reading.check, Code::kOk);
    EXPECT_EQ(reading.read, Code::kOk);
    EXPECT_EQ(reading.frames, many_frames());
  }
  const BackupReading bytewise = read_backup(written_backup({seed_frame(), history_frame(1)}), 1);
  EXPECT_EQ(bytewise.read, Code::kOk);
  EXPECT_EQ(bytewise.frames.size(), 2U);
}

// A frame's length may lie across the end of a chunk.
TEST(BackupFiles, GiveBackFramesOfEveryLengthAtTheEndOfAChunk) {
  const std::size_t before = 2 * (4 + seed_frame().size()) - 4;
  for (std::size_t bytes = kBackupChunk - before - 8; bytes <= kBackupChunk - before; ++bytes) {
    const std::vector<Bytes> frames = {seed_frame(), history_frame(bytes), history_frame(32), history_frame(5)};
    EXPECT_EQ(read_backup(written_backup(frames)).frames, frames) << bytes;
  }
}

TEST(BackupFiles, AreNotReadBeforeTheirHashHolds) {
  const SealedBackup file = written_backup({seed_frame()});
  with_each_byte_flipped(file.ciphertext, [&file](const Bytes& flipped, std::size_t at) {
    EXPECT_EQ(read_backup({flipped, file.manifest}).check, kBadMessage) << at;
  });
  for (std::size_t size = 0; size < file.ciphertext.size(); ++size) {
    EXPECT_EQ(read_backup({file.ciphertext.substr(0, size), file.manifest}).check, kBadMessage) << size;
  }
  EXPECT_EQ(read_backup({file.ciphertext + "x", file.manifest}).check, kBadMessage);
}

TEST(BackupFiles, AreNotReadWithAnotherKey) {
  const SealedBackup file = written_backup({seed_frame()});
  const Manifest manifest = parse_manifest(file.manifest, recovery_key(), "alice").value();
  BackupCheck check(manifest);
  EXPECT_EQ(check.file_bytes(), file.ciphertext.size());
  ASSERT_TRUE(check.add(file.ciphertext).ok());
  const auto checked = check.finish();
  ASSERT_TRUE(checked.ok());
  Kept frames;
  BackupReader reader(secret_of<32>(0x92), *checked, frames.sink());
  EXPECT_EQ(hand_over(reader, file.ciphertext, 1'000), kBadMessage);
  EXPECT_EQ(frames.calls(), 0U);
}

// Of a writer that holds the key: the frames are judged all the same.
TEST(BackupFiles, HoldOnlyWhatThePageAllows) {
  for (const auto& [name, file] : wrong_files()) {
    const BackupReading reading = read_backup(with_plaintext(file));
    EXPECT_EQ(reading.check, Code::kOk) << name;
    EXPECT_EQ(reading.read, kBadMessage) << name;
  }
}

TEST(BackupFiles, BeginWithTheSeedAndHoldFramesUpToTheirLimit) {
  SeededRandom random(1);
  const UserId user_id = "alice";
  const RecoveryKey key = recovery_key();
  const BackupPlace place{user_id, DeviceId{3}, 1, Hash{}, kThen};
  Kept ciphertext;
  BackupWriter writer(key, place, random, ciphertext.sink());
  EXPECT_EQ(writer.finish().code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_frame(history_frame(32)).code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_frame(seed_frame()).code(), Code::kOk);
  EXPECT_EQ(writer.add_frame(Bytes()).code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_frame(Bytes(limits::e2ee::kBackupFrameMax + 1, '\x02')).code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_frame(Bytes(limits::e2ee::kBackupFrameMax, '\x02')).code(), Code::kOk);
  EXPECT_TRUE(writer.finish().ok());
}

TEST(BackupFiles, StopWhereASinkFails) {
  const SealedBackup file = written_backup(many_frames());
  const Manifest manifest = parse_manifest(file.manifest, recovery_key(), "alice").value();
  BackupCheck check(manifest);
  ASSERT_TRUE(check.add(file.ciphertext).ok());
  const auto checked = check.finish();
  int calls = 0;
  BackupReader reader(recovery_key(), *checked, [&calls](BytesView) {
    return ++calls == 2 ? Status(error(Code::kStorageFull, "disk full")) : Status();
  });
  EXPECT_EQ(hand_over(reader, file.ciphertext, 1'000), Code::kStorageFull);
  EXPECT_EQ(reader.finish().code(), Code::kStorageFull);
  EXPECT_EQ(calls, 2);
}

// ---- As one string ------------------------------------------------------------------------------------------------

// Of a writer that holds the key: what its MAC vouches for is judged all the same.
TEST(Manifests, HoldOnlyWhatThePageAllows) {
  constexpr std::size_t kSequenceAt = 17;
  constexpr std::size_t kCompressionAt = 73;
  constexpr std::size_t kPaddedAt = 130;
  const auto parses = [](std::size_t at, BytesView value) {
    return parse_manifest(resigned(sealed_backup({seed_frame()}).manifest, at, value), recovery_key(), "alice")
        .has_value();
  };
  const auto number = [](std::uint64_t value) {
    Writer writer;
    writer.u64(value);
    return writer.take();
  };
  EXPECT_TRUE(parses(kSequenceAt, number(5)));
  EXPECT_TRUE(parses(kSequenceAt, number(UINT64_MAX)));
  EXPECT_FALSE(parses(kSequenceAt, number(0)));
  EXPECT_TRUE(parses(kCompressionAt, Bytes(1, '\0')));
  EXPECT_FALSE(parses(kCompressionAt, "\x01"));
  EXPECT_FALSE(parses(0, "\x02"));
  const std::uint64_t most = padded_size(limits::e2ee::kBackupMax);
  EXPECT_TRUE(parses(kPaddedAt, number(most - 64)));
  EXPECT_TRUE(parses(kPaddedAt, number(most)));
  EXPECT_FALSE(parses(kPaddedAt, number(most + 64)));
  EXPECT_FALSE(parses(kPaddedAt, number(0)));
}

// Of a writer that holds the key: the frames are judged all the same.
TEST(BackupStrings, HoldOnlyWhatThePageAllows) {
  for (const auto& [name, file] : wrong_files()) {
    EXPECT_FALSE(opened(with_plaintext(file)).has_value()) << name;
  }
  EXPECT_EQ(opened(with_plaintext(padded(framed(seed_frame()) + Bytes(4, '\0')))), Frames{seed_frame()});
}

}  // namespace
}  // namespace chatsdk::e2ee
