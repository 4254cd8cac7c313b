// SPDX-License-Identifier: Apache-2.0
#include "e2ee/prekeys.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

TEST(Prekey, HasTheBytesOfTheSpecification) {
  EXPECT_EQ(hex_hash(bobs_published(1)), "2233c267413fff15dcd8c0942e676e50077eac228f525c06245b733414e82fdc");
  EXPECT_EQ(hex_hash(bobs_published(2)), "93c9183ed207586caf65b8d604c77e3e443235b65c01256e6547b46276725ad0");
  EXPECT_EQ(hex_hash(bobs_published(3)), "7e72c1d28a35a6ce391c8ed9539691bb82ab6b696852619a4ad17a1b2be73dd7");
  EXPECT_EQ(hex_hash(bobs_published(4)), "aa338b1f504652c6b7bc75d3f61e11edc484345b55f9aad9c93bd4486ebd9411");
}

TEST(Prekey, IsAsLongAsItsKindSays) {
  EXPECT_EQ(bobs_published(1).size(), 110U);
  EXPECT_EQ(bobs_published(2).size(), 1'262U);
  EXPECT_EQ(bobs_published(3).size(), 46U);
  EXPECT_EQ(bobs_published(4).size(), 1'262U);
}

TEST(Prekey, ReadsWhatWasPublished) {
  const PrekeyOwner owner{"bob", DeviceId{2}};
  for (std::uint32_t key_id = 1; key_id <= 4; ++key_id) {
    const OwnPrekey own = bobs_prekey(key_id);
    const auto prekey = parse_prekey(bobs_published(key_id));
    ASSERT_TRUE(prekey.has_value()) << key_id;
    EXPECT_EQ(prekey->kind, own.kind);
    EXPECT_EQ(prekey->key_id, key_id);
    EXPECT_EQ(prekey->created_ms, kThen);
    EXPECT_EQ(prekey->body(), prekey_body(own, own_kem()).value());
    EXPECT_TRUE(has_valid_signature(*prekey, owner, bob().record.signing_key));
  }
}

TEST(Prekey, IsTakenWholeOrNotAtAll) {
  for (std::uint32_t key_id = 1; key_id <= 4; ++key_id) expect_whole_or_nothing(bobs_published(key_id), parse_prekey);
}

TEST(Prekey, IsSignedForItsOwnerAndItsKind) {
  const SigningKey key = bob().record.signing_key;
  for (const std::uint32_t key_id : {1U, 2U, 4U}) {
    const Prekey prekey = parse_prekey(bobs_published(key_id)).value();
    EXPECT_FALSE(has_valid_signature(prekey, {"bob", DeviceId{3}}, key));
    EXPECT_FALSE(has_valid_signature(prekey, {"bot", DeviceId{2}}, key));
    EXPECT_FALSE(has_valid_signature(prekey, {"bob", DeviceId{2}}, alice().record.signing_key));
  }
  Bytes renamed = bobs_published(4);
  renamed[0] = static_cast<char>(PrekeyKind::kLastResort);
  EXPECT_FALSE(has_valid_signature(parse_prekey(renamed).value(), {"bob", DeviceId{2}}, key));
}

TEST(Prekey, IsDrawnForItsKind) {
  SeededRandom random(1);
  const OwnPrekey signed_prekey = OwnPrekey::draw(PrekeyKind::kSigned, 5, 9, random);
  const OwnPrekey kem_prekey = OwnPrekey::draw(PrekeyKind::kOneTimeKem, 6, 9, random);
  SeededRandom same(1);
  EXPECT_EQ(view(std::get<AgreementSecret>(signed_prekey.secret)), same.bytes(32));
  EXPECT_EQ(view(std::get<Kem::Seed>(kem_prekey.secret)), same.bytes(64));
  EXPECT_EQ(signed_prekey.key_id, 5U);
  EXPECT_EQ(kem_prekey.created_ms, 9U);
}

class PrekeyBundle : public testing::Test {
 protected:
  Code check(const BundleBytes& bundle) const { return check_bundle(bundle, bob_.record, own_kem()).code(); }
  // A prekey of Bob's, changed before it is signed.
  Bytes other(std::uint32_t key_id, const std::function<void(OwnPrekey&)>& change) const {
    OwnPrekey prekey = bobs_prekey(key_id);
    change(prekey);
    return published(prekey, {"bob", DeviceId{2}}, bob_.keys.signing_seed, own_kem()).value();
  }
  // An X25519 prekey with this public key, rightly signed where its kind is.
  Bytes with_key(PrekeyKind kind, BytesView key) const {
    Writer body;
    body.u8(static_cast<std::uint8_t>(kind)).u32(9).u8(2).raw(key).u64(kThen);
    if (kind == PrekeyKind::kOneTime) return body.take();
    Writer bound;
    bound.user("bob").u64(2).raw(body.view());
    body.raw(sign(bob_.keys.signing_seed, label::kSigSignedPrekey, bound.view()));
    return body.take();
  }

  Person bob_ = bob();
};

TEST_F(PrekeyBundle, IsTakenWithAndWithoutOneTimeKeys) {
  const auto with = check_bundle(bobs_bundle(true), bob_.record, own_kem());
  const auto without = check_bundle(bobs_bundle(false), bob_.record, own_kem());

  ASSERT_TRUE(with.ok());
  ASSERT_TRUE(without.ok());
  EXPECT_EQ(with->record, bob_.record);
  EXPECT_EQ(with->signed_prekey.bytes, bobs_published(1));
  EXPECT_EQ(with->kem_prekey.bytes, bobs_published(4));
  EXPECT_EQ(with->one_time_prekey->bytes, bobs_published(3));
  EXPECT_FALSE(without->one_time_prekey.has_value());
}

TEST_F(PrekeyBundle, MayHaveOneKindOfOneTimeKeyOnly) {
  BundleBytes bundle = bobs_bundle(true);
  bundle.kem_prekey = bobs_published(2);
  EXPECT_EQ(check(bundle), Code::kOk);
  bundle.kem_prekey = bobs_published(4);
  bundle.one_time_prekey.clear();
  EXPECT_EQ(check(bundle), Code::kOk);
}

TEST_F(PrekeyBundle, RefusesWhatIsNotAsStated) {
  const Bytes low_order = repeated(0, 32);
  const Bytes not_canonical = repeated(0xFF, 32);
  const struct {
    const char* name;
    std::function<void(BundleBytes&)> spoil;
  } cases[] = {
      {"another record", [](BundleBytes& b) { b.device_record = alice().record.bytes; }},
      {"a changed record", [](BundleBytes& b) { b.device_record.back() ^= 1; }},
      {"no record", [](BundleBytes& b) { b.device_record.clear(); }},
      {"no signed prekey", [](BundleBytes& b) { b.signed_prekey.clear(); }},
      {"no KEM prekey", [](BundleBytes& b) { b.kem_prekey.clear(); }},
      {"a one-time prekey for the signed one", [](BundleBytes& b) { b.signed_prekey = bobs_published(3); }},
      {"a KEM prekey for the signed one", [](BundleBytes& b) { b.signed_prekey = bobs_published(2); }},
      {"a signed prekey for the KEM one", [](BundleBytes& b) { b.kem_prekey = bobs_published(1); }},
      {"a signed prekey for the one-time one", [](BundleBytes& b) { b.one_time_prekey = bobs_published(1); }},
      {"a KEM prekey for the one-time one", [](BundleBytes& b) { b.one_time_prekey = bobs_published(2); }},
      {"key id 0 of the signed prekey",
       [this](BundleBytes& b) { b.signed_prekey = other(1, [](OwnPrekey& p) { p.key_id = 0; }); }},
      {"key id 0 of the KEM prekey",
       [this](BundleBytes& b) { b.kem_prekey = other(4, [](OwnPrekey& p) { p.key_id = 0; }); }},
      {"key id 0 of the one-time prekey",
       [this](BundleBytes& b) { b.one_time_prekey = other(3, [](OwnPrekey& p) { p.key_id = 0; }); }},
      {"signed and KEM prekey of one id",
       [this](BundleBytes& b) { b.kem_prekey = other(4, [](OwnPrekey& p) { p.key_id = 1; }); }},
      {"signed and one-time prekey of one id",
       [this](BundleBytes& b) { b.one_time_prekey = other(3, [](OwnPrekey& p) { p.key_id = 1; }); }},
      {"KEM and one-time prekey of one id",
       [this](BundleBytes& b) { b.one_time_prekey = other(3, [](OwnPrekey& p) { p.key_id = 4; }); }},
      {"another algorithm of the signed prekey", [](BundleBytes& b) { b.signed_prekey[5] = '\x01'; }},
      {"another algorithm of the KEM prekey", [](BundleBytes& b) { b.kem_prekey[5] = '\x04'; }},
      {"another algorithm of the one-time prekey", [](BundleBytes& b) { b.one_time_prekey[5] = '\x03'; }},
      {"a signed prekey of low order",
       [&](BundleBytes& b) { b.signed_prekey = with_key(PrekeyKind::kSigned, low_order); }},
      {"a signed prekey that is not canonical",
       [&](BundleBytes& b) { b.signed_prekey = with_key(PrekeyKind::kSigned, not_canonical); }},
      {"a one-time prekey of low order",
       [&](BundleBytes& b) { b.one_time_prekey = with_key(PrekeyKind::kOneTime, low_order); }},
      {"a one-time prekey that is not canonical",
       [&](BundleBytes& b) { b.one_time_prekey = with_key(PrekeyKind::kOneTime, not_canonical); }},
      {"a signed prekey with a changed signature", [](BundleBytes& b) { b.signed_prekey.back() ^= 1; }},
      {"a signed prekey with another time", [](BundleBytes& b) { b.signed_prekey[38] ^= 1; }},
      {"a KEM prekey with a changed signature", [](BundleBytes& b) { b.kem_prekey.back() ^= 1; }},
      {"a KEM prekey with another key", [](BundleBytes& b) { b.kem_prekey[1'180] ^= 1; }},
  };
  for (const auto& bad : cases) {
    BundleBytes bundle = bobs_bundle(true);
    bad.spoil(bundle);
    EXPECT_EQ(check(bundle), kUntrusted) << bad.name;
  }
}

TEST_F(PrekeyBundle, RefusesAnEncapsulationKeyThatIsNotReduced) {
  Bytes body = prekey_body(bobs_prekey(4), own_kem()).value();
  body[6] = '\x01';  // the first coefficient is now 3329
  body[7] = static_cast<char>((body[7] & 0xF0) | 0x0D);
  Writer bound;
  bound.user("bob").u64(2).raw(body);
  body.append(sign(bob_.keys.signing_seed, label::kSigKemPrekey, bound.view()).view());
  BundleBytes bundle = bobs_bundle(true);
  bundle.kem_prekey = body;

  ASSERT_TRUE(has_valid_signature(parse_prekey(body).value(), {"bob", DeviceId{2}}, bob_.record.signing_key));
  EXPECT_EQ(check(bundle), kUntrusted);
}

TEST(PrekeyRotation, IsDueAtItsAgeLessTheShare) {
  const PrekeySummary newest = summary_of(bobs_prekey(1));
  const std::uint64_t age = ms(limits::e2ee::kSignedRotation);
  EXPECT_FALSE(is_rotation_due(newest, 0, {}, kThen + age - 1));
  EXPECT_TRUE(is_rotation_due(newest, 0, {}, kThen + age));
  EXPECT_TRUE(is_rotation_due(newest, 0, std::chrono::hours(12), kThen + age - ms(std::chrono::hours(12))));
  EXPECT_FALSE(is_rotation_due(newest, 0, std::chrono::hours(12), kThen + age - ms(std::chrono::hours(12)) - 1));
}

// A pair that was made while the clock was ahead would stay until that time comes.
TEST(PrekeyRotation, WaitsWhenTheClockWasSetBackALittle) {
  const PrekeySummary newest = summary_of(bobs_prekey(1));
  const std::uint64_t age = ms(limits::e2ee::kSignedRotation);
  EXPECT_FALSE(is_rotation_due(newest, 0, {}, kThen - age));
  EXPECT_TRUE(is_rotation_due(newest, 0, {}, kThen - age - 1));
  EXPECT_TRUE(is_rotation_due(newest, 0, {}, 5));
}

TEST(PrekeyRotation, IsDueWhenTooManySetUpsWereSeen) {
  EXPECT_FALSE(is_rotation_due(summary_of(bobs_prekey(1)), limits::e2ee::kSeenMax - 1, {}, kThen));
  EXPECT_TRUE(is_rotation_due(summary_of(bobs_prekey(1)), limits::e2ee::kSeenMax, {}, kThen));
}

TEST(PrekeyRotation, SharesUpToHalfADay) {
  SeededRandom random(3);
  for (int i = 0; i < 1'000; ++i) {
    const auto share = draw_rotation_share(random);
    EXPECT_GE(share.count(), 0);
    EXPECT_LE(share, std::chrono::hours(12));
  }
}

TEST(PrekeyRefill, BeginsBelowTheLowMark) {
  EXPECT_EQ(refill_count(0), limits::e2ee::kOneTimeBatch);
  EXPECT_EQ(refill_count(limits::e2ee::kOneTimeLow - 1), limits::e2ee::kOneTimeBatch);
  EXPECT_EQ(refill_count(limits::e2ee::kOneTimeLow), 0U);
  EXPECT_EQ(refill_count(limits::e2ee::kOneTimeStored), 0U);
}

std::vector<std::uint32_t> aged_after(const std::vector<OwnPrekey>& prekeys, std::chrono::milliseconds age) {
  std::vector<PrekeySummary> summaries;
  for (const OwnPrekey& prekey : prekeys) summaries.push_back(summary_of(prekey));
  return aged_prekeys(summaries, kThen + ms(age));
}

TEST(PrekeyAge, KeepsTheNewestSignedOnesHoweverOldTheyAre) {
  std::vector<OwnPrekey> prekeys;
  prekeys.push_back(bobs_prekey(1));
  prekeys.push_back(bobs_prekey(2));
  EXPECT_TRUE(aged_after(prekeys, std::chrono::hours(24 * 3'650)).empty());
}

TEST(PrekeyAge, CountsASignedOneFromItsReplacement) {
  std::vector<OwnPrekey> prekeys;
  prekeys.push_back(bobs_prekey(1));
  prekeys.push_back(bobs_prekey(2));
  for (OwnPrekey& prekey : prekeys) prekey.successor_ms = kThen + 1'000;
  const std::chrono::milliseconds kept = limits::e2ee::kSignedKept;

  EXPECT_TRUE(aged_after(prekeys, kept + std::chrono::milliseconds(999)).empty());
  EXPECT_EQ(aged_after(prekeys, kept + std::chrono::milliseconds(1'000)), (std::vector<std::uint32_t>{1, 2}));
}

TEST(PrekeyAge, KeepsTheNewestOneTimeSecretsOfEachKind) {
  SeededRandom random(1);
  std::vector<OwnPrekey> prekeys;
  const std::uint32_t stored = limits::e2ee::kOneTimeStored;
  for (std::uint32_t id = 1; id <= stored + 2; ++id) {
    prekeys.push_back(OwnPrekey::draw(PrekeyKind::kOneTime, id, kThen, random));
  }
  prekeys.push_back(OwnPrekey::draw(PrekeyKind::kOneTimeKem, stored + 3, kThen, random));
  const std::chrono::milliseconds kept = limits::e2ee::kOneTimeKept;

  EXPECT_TRUE(aged_after(prekeys, kept - std::chrono::milliseconds(1)).empty());
  EXPECT_EQ(aged_after(prekeys, kept), (std::vector<std::uint32_t>{1, 2}));
}

TEST(KeysDigest, IsThatOfTheSpecification) {
  EXPECT_EQ(to_hex(keys_digest(bob().record.bytes, bobs_published(1), bobs_published(2)).view()),
            "4876181d4ee2ea841c963861eed71624bbd144a483e7072772ea7692e419bcdf");
}

TEST(KeysDigest, TellsWhatIsMissing) {
  EXPECT_NE(keys_digest("record", "signed", ""), keys_digest("record", "", "signed"));
  EXPECT_NE(keys_digest("record", "signed", ""), keys_digest("recordsigned", "", ""));
}

}  // namespace
}  // namespace chatsdk::e2ee
