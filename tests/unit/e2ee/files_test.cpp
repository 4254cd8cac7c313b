// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/limits.h"
#include "e2ee/attachments.h"
#include "e2ee/backup.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kChunk = limits::e2ee::kStreamChunkBytes;

Bytes turned(Bytes bytes, std::size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  return bytes;
}

// ---- Streams -------------------------------------------------------------------------------------------------------

class Stream : public ::testing::Test {
 protected:
  std::optional<Bytes> opened(BytesView sealed) const { return open_file(key_, header_, sealed); }

  FileKey key_ = secret_of<32>(0xa1);
  StreamHeader header_ = fixed_of<StreamHeader>(0xa2);
};

TEST_F(Stream, GivesBackEverySizeAroundAChunk) {
  for (const std::size_t size : {std::size_t{1}, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk}) {
    const Bytes plain(size, 'p');
    const Bytes sealed = seal_file(key_, header_, plain);
    EXPECT_EQ(sealed.size(), sealed_file_bytes(size));
    EXPECT_EQ(opened(sealed), plain);
  }
}

TEST_F(Stream, HasOneFormOfItsEnd) {
  const Bytes sealed = seal_file(key_, header_, Bytes(2 * kChunk, 'p'));
  EXPECT_FALSE(opened({}));
  EXPECT_FALSE(opened(BytesView(sealed).substr(0, kSealedChunkBytes)));  // without its last chunk
  EXPECT_FALSE(opened(BytesView(sealed).substr(kSealedChunkBytes)));     // without its first
  EXPECT_FALSE(opened(sealed.substr(kSealedChunkBytes) + sealed.substr(0, kSealedChunkBytes)));
  EXPECT_FALSE(opened(sealed + 'x'));
  EXPECT_FALSE(opened(sealed + sealed.substr(kSealedChunkBytes)));
  EXPECT_FALSE(opened(BytesView(sealed).substr(0, sealed.size() - 1)));
}

TEST_F(Stream, RefusesEverythingBehindARefusal) {
  const Bytes sealed = seal_file(key_, header_, Bytes(kChunk + 5, 'p'));
  StreamOpener opener(key_, header_);
  EXPECT_FALSE(opener.open(turned(sealed, 7).substr(0, kSealedChunkBytes), false));
  EXPECT_FALSE(opener.open(BytesView(sealed).substr(0, kSealedChunkBytes), false));
}

// ---- Attachments ---------------------------------------------------------------------------------------------------

class Attachment : public ::testing::Test {
 protected:
  static Bytes example() {
    Bytes plain;
    for (std::size_t i = 0; i < 100'000; ++i) plain.push_back(static_cast<char>(i % 251));
    return plain;
  }
  static SealedAttachment sealed_example() {
    GivenRandom random(repeated(0xa1, 32) + repeated(0xa2, 24));
    return seal_attachment(example(), random).value();
  }
};

TEST_F(Attachment, HasTheValuesOfTheSpecification) {
  const SealedAttachment sealed = sealed_example();
  EXPECT_EQ(sealed.key.padded_bytes, 100'352U);
  EXPECT_EQ(sealed.ciphertext.size(), 100'386U);
  EXPECT_EQ(to_hex(sealed.key.hash.view()), "76b157e0311154c15c4a48257719c77282b6d4d2f1ccbdb1ad5c0c1946c8b312");
  EXPECT_EQ(open_attachment(sealed.ciphertext, sealed.key), example());
}

TEST_F(Attachment, OfNothingIsAFileToo) {
  SeededRandom random(1);
  const SealedAttachment sealed = seal_attachment({}, random).value();
  EXPECT_EQ(sealed.key.padded_bytes, 64U);
  EXPECT_EQ(open_attachment(sealed.ciphertext, sealed.key), Bytes());
}

TEST_F(Attachment, OpensWithItsOwnCiphertextOnly) {
  const SealedAttachment sealed = sealed_example();
  for (const std::size_t at : {std::size_t{0}, std::size_t{70'000}, sealed.ciphertext.size() - 1}) {
    EXPECT_FALSE(open_attachment(turned(sealed.ciphertext, at), sealed.key)) << at;
  }
  EXPECT_FALSE(open_attachment(BytesView(sealed.ciphertext).substr(1), sealed.key));
  EXPECT_FALSE(open_attachment(sealed.ciphertext + 'x', sealed.key));
}

TEST_F(Attachment, HidesNothingInItsPadding) {
  // Whoever has the key makes another file of the same size, with something behind the end.
  SealedAttachment sealed = sealed_example();
  Bytes file = padded(example());
  file.back() = 'x';
  const Bytes other = seal_file(sealed.key.key, sealed.key.header, file);
  sealed.key.hash = attachment_hash(other);
  EXPECT_FALSE(open_attachment(other, sealed.key));
}

TEST_F(Attachment, KeyIsReadWholeOrNotAtAll) {
  SealedAttachment sealed = sealed_example();
  sealed.key.location = "media/7";
  sealed.key.media_type = "image/png";
  const auto parse = [](BytesView bytes) { return parse_attachment_key(bytes); };
  expect_whole_or_nothing(serialize(sealed.key), parse);
  EXPECT_EQ(serialize(parse(serialize(sealed.key)).value()), serialize(sealed.key));
}

TEST_F(Attachment, KeyHasBounds) {
  AttachmentKey key = sealed_example().key;
  key.location.assign(limits::e2ee::kLocationBytesMax, 'l');
  key.media_type.assign(limits::e2ee::kMediaTypeBytesMax, 'm');
  EXPECT_TRUE(parse_attachment_key(serialize(key)).has_value());
  const Bytes part = serialize_key_part(key);
  EXPECT_FALSE(parse_attachment_key(part + Writer().lp(Bytes(257, 'l')).lp("m").take()));
  EXPECT_FALSE(parse_attachment_key(part + Writer().lp("l").lp(Bytes(129, 'm')).take()));
  const auto with_sizes = [&key](std::uint64_t padded_bytes, std::uint64_t true_bytes) {
    AttachmentKey other{key.key.clone(), key.header, key.hash, padded_bytes, true_bytes, {}, {}};
    return parse_key_part(serialize_key_part(other)).has_value();
  };
  const std::uint64_t most = limits::e2ee::kAttachmentMax;
  EXPECT_TRUE(with_sizes(padded_size(most), most));
  EXPECT_FALSE(with_sizes(padded_size(most + 1), most + 1));
  EXPECT_FALSE(with_sizes(padded_size(most) + 1, most));
  EXPECT_FALSE(parse_key_part(turned(part, 0)));
  EXPECT_FALSE(parse_key_part(turned(part, 1)));
}

// ---- Backups -------------------------------------------------------------------------------------------------------

class Backup : public ::testing::Test {
 protected:
  static Frames frames() { return {kFrameAccountSeed + repeated(0x11, 32), "\x02history", "c"}; }
  BackupPlace place(std::uint64_t sequence = 1, Hash previous = {}) const {
    return {user_id_, DeviceId{1}, sequence, previous, kThen};
  }
  SealedBackup seal(std::uint64_t sequence = 1, Hash previous = {}) {
    return seal_backup(key_, place(sequence, previous), frames(), random_).value();
  }
  std::optional<Manifest> manifest(BytesView bytes) const { return parse_manifest(bytes, key_, user_id_); }

  UserId user_id_ = "alice";
  RecoveryKey key_ = secret_of<32>(0x91);
  SeededRandom random_{5};
};

TEST_F(Backup, KeyIsShownAsTheSpecificationSays) {
  EXPECT_EQ(shown_recovery_key(key_), "J68S-34CH-J68S-34CH-J68S-34CH-J68S-34CH-J68S-34CH-J68S-34CH-J68Z-GSF2");
  EXPECT_EQ(to_hex(backup_id(key_, user_id_).view()), "820a61b1f99f206e9daaa08e8ee4d847");
  EXPECT_EQ(to_hex(view(backup_auth(key_, user_id_))),
            "3d16bbbfbfeb4779fb2e86bcfd31a5208ad66dc7ef522c20659b7bd0a72451da");
}

TEST_F(Backup, KeyIsReadAsPeopleTypeIt) {
  const std::string shown = shown_recovery_key(key_);
  const auto reads = [this](const std::string& text) {
    const auto key = read_recovery_key(text);
    return key && view(*key) == view(key_);
  };
  EXPECT_TRUE(reads(shown));
  EXPECT_TRUE(reads("j68s34ch j68s34ch j68s34ch j68s34ch j68s34ch j68s34ch j68zgsf2"));
  for (std::size_t at = 0; at < shown.size(); ++at) {
    if (shown[at] == '-') continue;
    std::string wrong = shown;
    wrong[at] = shown[at] == 'Z' ? 'Y' : 'Z';
    EXPECT_FALSE(reads(wrong)) << at;
  }
  EXPECT_FALSE(read_recovery_key(shown + "0"));
  EXPECT_FALSE(read_recovery_key(shown.substr(1)));
  EXPECT_FALSE(read_recovery_key("U" + shown.substr(1)));
  const RecoveryKey ones = secret_of<32>(0x08);  // its form has the digits 0 and 1
  std::string mistaken = shown_recovery_key(ones);
  for (char& character : mistaken) character = character == '0' ? 'o' : character == '1' ? 'l' : character;
  EXPECT_EQ(to_hex(view(read_recovery_key(mistaken).value())), to_hex(view(ones)));
}

TEST_F(Backup, OfTheSeedAloneIsOneSmallChunk) {
  GivenRandom random(repeated(0x94, 32) + repeated(0x95, 24));
  const Frames seed = {kFrameAccountSeed + repeated(0x11, 32)};
  const SealedBackup sealed = seal_backup(key_, place(), seed, random).value();
  EXPECT_EQ(sealed.ciphertext.size(), 81U);
  EXPECT_EQ(open_backup(key_, manifest(sealed.manifest).value(), sealed.ciphertext), seed);
}

TEST_F(Backup, GivesItsFramesBack) {
  const SealedBackup sealed = seal();
  const auto read = manifest(sealed.manifest);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->sequence, 1U);
  EXPECT_EQ(read->device_id, DeviceId{1});
  EXPECT_EQ(open_backup(key_, *read, sealed.ciphertext), frames());
}

TEST_F(Backup, ManifestIsOfItsKeyAndUserAlone) {
  const SealedBackup sealed = seal();
  for (std::size_t at = 0; at < sealed.manifest.size(); ++at) EXPECT_FALSE(manifest(turned(sealed.manifest, at))) << at;
  EXPECT_FALSE(parse_manifest(sealed.manifest, secret_of<32>(0x92), user_id_));
  EXPECT_FALSE(parse_manifest(sealed.manifest, key_, "bob"));
  expect_whole_or_nothing(sealed.manifest, [this](BytesView bytes) { return manifest(bytes); });
}

TEST_F(Backup, FileIsThatOfItsManifestAlone) {
  const SealedBackup sealed = seal();
  const SealedBackup other = seal(2, manifest_hash(sealed.manifest));
  const Manifest read = manifest(sealed.manifest).value();
  EXPECT_FALSE(open_backup(key_, read, other.ciphertext));
  EXPECT_FALSE(open_backup(key_, read, turned(sealed.ciphertext, 0)));
  EXPECT_FALSE(open_backup(key_, read, BytesView(sealed.ciphertext).substr(1)));
}

TEST_F(Backup, DoesNotGoBack) {
  const Manifest first = manifest(seal(1).manifest).value();
  const Manifest second = manifest(seal(2, manifest_hash(first.bytes)).manifest).value();
  const Manifest other_second = manifest(seal(2, manifest_hash(first.bytes)).manifest).value();
  EXPECT_TRUE(supersedes(second, first));
  EXPECT_TRUE(supersedes(second, second));
  EXPECT_FALSE(supersedes(first, second));
  EXPECT_FALSE(supersedes(other_second, second));
}

TEST_F(Backup, BeginsWithTheSeedAndHasNoEmptyFrames) {
  const auto code = [this](const Frames& frames) { return seal_backup(key_, place(), frames, random_).code(); };
  EXPECT_EQ(code({}), Code::kInvalidArgument);
  EXPECT_EQ(code({"\x02history"}), Code::kInvalidArgument);
  EXPECT_EQ(code({frames()[0], ""}), Code::kInvalidArgument);
  EXPECT_EQ(code({frames()[0], Bytes(limits::e2ee::kBackupFrameMax, 'f')}), Code::kOk);
  EXPECT_EQ(code({frames()[0], Bytes(limits::e2ee::kBackupFrameMax + 1, 'f')}), Code::kInvalidArgument);
  EXPECT_EQ(seal_backup(key_, place(0), frames(), random_).code(), Code::kInvalidArgument);
}

TEST_F(Backup, KeyIsWrappedAsTheSpecificationSays) {
  GivenRandom random(repeated(0x92, 16) + repeated(0x93, 24));
  const auto wrapped = wrap_recovery_key(key_, user_id_, "correct horse battery", {2, 65'536}, random);
  ASSERT_TRUE(wrapped.ok());
  EXPECT_EQ(
      to_hex(*wrapped),
      "010102000000000001009292929292929292929292929292929293939393939393939393939393939393939393939393939310ec0ec8ad"
      "21f3528a693d3b4b9c8d80b089661a05265a21294c6a11e24f59b0d0dbd22006ab928ec3de10afd8ca46e006691d56957318cfb45fef55"
      "1074e18d465faa4fca067a65c3105ac3a9955c27");
  const auto key = unwrap_recovery_key(*wrapped, user_id_, "correct horse battery");
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(to_hex(view(*key)), to_hex(view(key_)));
  EXPECT_EQ(unwrap_recovery_key(*wrapped, user_id_, "correct horse battery!").code(), kBadMessage);
}

TEST_F(Backup, BoundsAreCheckedBeforeArgonRuns) {
  GivenRandom random({});
  const auto code = [&](std::size_t passphrase, WrapCost cost) {
    return wrap_recovery_key(key_, user_id_, Bytes(passphrase, 'p'), cost, random).code();
  };
  EXPECT_EQ(code(7, {2, 65'536}), Code::kInvalidArgument);
  EXPECT_EQ(code(1'025, {2, 65'536}), Code::kInvalidArgument);
  EXPECT_EQ(code(8, {1, 65'536}), Code::kInvalidArgument);
  EXPECT_EQ(code(8, {17, 65'536}), Code::kInvalidArgument);
  EXPECT_EQ(code(8, {2, 65'535}), Code::kInvalidArgument);
  EXPECT_EQ(code(8, {2, 1'048'577}), Code::kInvalidArgument);
  Bytes wrapped = "\x01\x01" + Writer().u32(16).u32(0xFFFF'FFFF).take() + repeated(0x92, 16) + repeated(0, 104);
  EXPECT_EQ(unwrap_recovery_key(wrapped, user_id_, "passphrase").code(), kBadMessage);
}

}  // namespace
}  // namespace chatsdk::e2ee
