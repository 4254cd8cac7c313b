// SPDX-License-Identifier: Apache-2.0
#include "e2ee/attachment_files.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "unit/e2ee/files.h"
#include "unit/e2ee/people.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kAttachmentChunk = limits::e2ee::kStreamChunkBytes;

// Key, hash and sizes.
Bytes copy_of(const AttachmentKey& key) { return serialize_key_part(key); }
AttachmentKey key_of(const Bytes& bytes) { return parse_key_part(bytes).value(); }

struct File {
  Bytes ciphertext;
  Bytes key;
};
File sealed(const Bytes& plain, std::size_t piece_bytes = 1'000) {
  GivenRandom given(repeated(0xA1, 32) + repeated(0xA2, 24));
  Kept ciphertext;
  AttachmentSealer sealer(given, ciphertext.sink());
  for (BytesView rest = plain; !rest.empty(); rest.remove_prefix(std::min(piece_bytes, rest.size()))) {
    EXPECT_TRUE(sealer.add(rest.substr(0, piece_bytes)).ok());
  }
  const auto key = sealer.finish();
  return {ciphertext.bytes(), copy_of(key.value())};
}

// What the two passes say, and what they gave.
struct AttachmentReading {
  Code check = Code::kOk;
  Code open = Code::kOk;
  Bytes plain;
};
AttachmentReading read_attachment(const Bytes& ciphertext, const AttachmentKey& key, std::size_t piece_bytes = 10'000) {
  AttachmentCheck check(key);
  for (BytesView rest = ciphertext; !rest.empty(); rest.remove_prefix(std::min(piece_bytes, rest.size()))) {
    const Status added = check.add(rest.substr(0, piece_bytes));
    if (!added) return {added.code(), Code::kOk, {}};
  }
  const auto checked = check.finish();
  if (!checked) return {checked.code(), Code::kOk, {}};
  Kept plain;
  AttachmentOpener opener(*checked, plain.sink());
  const Code code = hand_over(opener, ciphertext, piece_bytes);
  return {Code::kOk, code, plain.bytes()};
}

TEST(AttachmentFiles, HaveTheHashOfTheSpecification) {
  const File file = sealed(counting_bytes(100'000));
  const AttachmentKey key = key_of(file.key);
  EXPECT_EQ(key.padded_bytes, 100'352U);
  EXPECT_EQ(key.true_bytes, 100'000U);
  EXPECT_EQ(file.ciphertext.size(), 100'386U);
  EXPECT_EQ(to_hex(key.hash.view()), "76b157e0311154c15c4a48257719c77282b6d4d2f1ccbdb1ad5c0c1946c8b312");
}

TEST(AttachmentFiles, AreTheSameAsAWholeOne) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kAttachmentChunk, kAttachmentChunk + 1, std::size_t{100'000}}) {
    GivenRandom given(repeated(0xA1, 32) + repeated(0xA2, 24));
    const Bytes plain = counting_bytes(size);
    const auto whole = seal_attachment(plain, given);
    ASSERT_TRUE(whole.ok());
    const File file = sealed(plain);
    EXPECT_EQ(file.ciphertext, whole->ciphertext) << size;
    EXPECT_EQ(file.key, copy_of(whole->key)) << size;
    EXPECT_EQ(open_attachment(file.ciphertext, key_of(file.key)), plain) << size;
  }
}

TEST(AttachmentFiles, GiveTheFileWithoutItsPadding) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{64}, kAttachmentChunk - 1, kAttachmentChunk, kAttachmentChunk + 1,
        2 * kAttachmentChunk, 3 * kAttachmentChunk + 17}) {
    const Bytes plain = counting_bytes(size);
    const File file = sealed(plain);
    for (const std::size_t piece : {std::size_t{999}, kSealedChunkBytes, file.ciphertext.size()}) {
      const AttachmentReading reading = read_attachment(file.ciphertext, key_of(file.key), piece);
      EXPECT_EQ(reading.check, Code::kOk) << size;
      EXPECT_EQ(reading.open, Code::kOk) << size;
      EXPECT_EQ(reading.plain, plain) << size;
    }
  }
}

TEST(AttachmentFiles, AreNotOpenedBeforeTheirHashHolds) {
  const File file = sealed(Bytes(100, 'x'));
  with_each_byte_flipped(file.ciphertext, [&file](const Bytes& flipped, std::size_t at) {
    EXPECT_EQ(read_attachment(flipped, key_of(file.key)).check, kBadMessage) << at;
  });
  EXPECT_EQ(read_attachment(file.ciphertext + "x", key_of(file.key)).check, kBadMessage);
  for (std::size_t size = 0; size < file.ciphertext.size(); ++size) {
    EXPECT_EQ(read_attachment(file.ciphertext.substr(0, size), key_of(file.key)).check, kBadMessage) << size;
  }
}

TEST(AttachmentFiles, TellTheirSizeBeforeTheyAreFetched) {
  const File file = sealed(counting_bytes(100'000));
  EXPECT_EQ(AttachmentCheck(key_of(file.key)).file_bytes(), 100'386U);
}

TEST(AttachmentFiles, DoNotOpenAnotherFileThatTookTheirPlace) {
  const File file = sealed(counting_bytes(2 * kAttachmentChunk));
  AttachmentCheck check(key_of(file.key));
  ASSERT_TRUE(check.add(file.ciphertext).ok());
  const auto checked = check.finish();
  ASSERT_TRUE(checked.ok());

  Bytes other = file.ciphertext;
  other[kSealedChunkBytes + 7] = static_cast<char>(other[kSealedChunkBytes + 7] ^ 4);
  Kept plain;
  AttachmentOpener opener(*checked, plain.sink());
  EXPECT_EQ(hand_over(opener, other, 5'000), kBadMessage);
  EXPECT_EQ(plain.bytes(), counting_bytes(kAttachmentChunk));
}

// A sender who hides something in the padding, with the right hash.
TEST(AttachmentFiles, ArePaddedWithZeros) {
  for (const std::size_t at : {std::size_t{100}, std::size_t{127}}) {
    Bytes padded_file = padded(Bytes(100, 'x'));
    ASSERT_EQ(padded_file.size(), 128U);
    padded_file[at] = '\x01';
    AttachmentKey key = key_of(sealed(Bytes(100, 'x')).key);
    const Bytes ciphertext = seal_file(key.key, key.header, padded_file);
    key.hash = attachment_hash(ciphertext);
    const AttachmentReading reading = read_attachment(ciphertext, key);
    EXPECT_EQ(reading.check, Code::kOk) << at;
    EXPECT_EQ(reading.open, kBadMessage) << at;
    EXPECT_TRUE(reading.plain.empty()) << at;
    EXPECT_FALSE(open_attachment(ciphertext, key).has_value()) << at;
  }
}

// secretstream opens one ciphertext under two keys for who looks for them: the hash in the message decides.
TEST(AttachmentFiles, AreBoundToTheirKeyByTheHash) {
  const File file = sealed(Bytes(100, 'x'));
  AttachmentKey key = key_of(file.key);
  key.hash = fixed_of<Hash>(0);
  EXPECT_EQ(read_attachment(file.ciphertext, key).check, kBadMessage);
  key = key_of(file.key);
  key.key = secret_of<32>(0x77);
  EXPECT_EQ(read_attachment(file.ciphertext, key).open, kBadMessage);
  key = key_of(file.key);
  key.header = fixed_of<StreamHeader>(0x77);
  EXPECT_EQ(read_attachment(file.ciphertext, key).open, kBadMessage);
}

TEST(AttachmentFiles, EachDrawAKeyOfTheirOwn) {
  SeededRandom random(5);
  std::vector<Bytes> keys;
  for (int i = 0; i < 2; ++i) {
    Kept ciphertext;
    AttachmentSealer sealer(random, ciphertext.sink());
    ASSERT_TRUE(sealer.add("one and the same").ok());
    const auto key = sealer.finish();
    ASSERT_TRUE(key.ok());
    keys.push_back(copy_of(*key));
  }
  EXPECT_NE(keys[0], keys[1]);
}

// ---- The key in a message -----------------------------------------------------------------------------------------

AttachmentKey located(const std::string& location, const std::string& media_type) {
  AttachmentKey key = key_of(sealed("picture").key);
  key.location = location;
  key.media_type = media_type;
  return key;
}

TEST(AttachmentKeys, AreTakenWholeOrNotAtAll) {
  const Bytes bytes = serialize(located("media-7", "image/png"));
  EXPECT_EQ(bytes.size(), 106U + 4U + 7U + 4U + 9U);
  expect_whole_or_nothing(bytes, parse_attachment_key);
  expect_whole_or_nothing(copy_of(located("", "")), parse_key_part);
  const auto key = parse_attachment_key(bytes);
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(serialize(*key), bytes);
  EXPECT_EQ(key->location, "media-7");
  EXPECT_EQ(key->media_type, "image/png");
}

TEST(AttachmentKeys, OpenNothingWhenTheyWereTouched) {
  const File file = sealed("picture");
  with_each_byte_flipped(file.key, [&file](const Bytes& flipped, std::size_t at) {
    const auto key = parse_key_part(flipped);
    EXPECT_FALSE(key && open_attachment(file.ciphertext, *key)) << at;
  });
}

TEST(AttachmentKeys, NameSizesThatFitEachOther) {
  const auto with_sizes = [](std::uint64_t padded_bytes, std::uint64_t true_bytes) {
    AttachmentKey key = key_of(sealed("picture").key);
    key.padded_bytes = padded_bytes;
    key.true_bytes = true_bytes;
    return parse_key_part(copy_of(key)).has_value();
  };
  EXPECT_TRUE(with_sizes(64, 0));
  EXPECT_TRUE(with_sizes(128, 65));
  EXPECT_FALSE(with_sizes(64, 65));
  EXPECT_FALSE(with_sizes(192, 65));
  EXPECT_FALSE(with_sizes(0, 0));
  const std::uint64_t most = limits::e2ee::kAttachmentMax;
  EXPECT_TRUE(with_sizes(padded_size(most - 1), most - 1));
  EXPECT_TRUE(with_sizes(padded_size(most), most));
  EXPECT_FALSE(with_sizes(padded_size(most + 1), most + 1));
  EXPECT_FALSE(with_sizes(UINT64_MAX, UINT64_MAX));
}

TEST(AttachmentKeys, BoundLocationAndMediaType) {
  const std::size_t location = limits::e2ee::kLocationBytesMax;
  const std::size_t media_type = limits::e2ee::kMediaTypeBytesMax;
  const auto parses = [](std::size_t location_bytes, std::size_t media_type_bytes) {
    Writer writer;
    writer.raw(copy_of(located("", ""))).lp(Bytes(location_bytes, 'l')).lp(Bytes(media_type_bytes, 'm'));
    return parse_attachment_key(writer.view()).has_value();
  };
  EXPECT_TRUE(parses(0, 0));
  EXPECT_TRUE(parses(location - 1, media_type - 1));
  EXPECT_TRUE(parses(location, media_type));
  EXPECT_FALSE(parses(location + 1, media_type));
  EXPECT_FALSE(parses(location, media_type + 1));
}

}  // namespace
}  // namespace chatsdk::e2ee
