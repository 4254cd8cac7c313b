// SPDX-License-Identifier: Apache-2.0
//
// The expected values were computed by other programs: Python's hashlib and hmac, and OpenSSL.
#include "e2ee/primitives.h"

#include <gtest/gtest.h>

#include <string>

#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

template <std::size_t kSize>
std::string hex(const Secret<kSize>& secret) {
  return to_hex(view(secret));
}

constexpr std::string_view kSeal =
    "03030303030303030303030303030303030303030303030302020202020202020202020202020202020202020202020202020202020202023e"
    "6c"
    "6e189e30bc4fd523147020c275b837ae991a39";

SealKey seal_key() { return SealKey::copy_of(repeated(0x01, 32) + repeated(0x02, 32)); }

TEST(PrimitiveH, IsTheFirstHalfOfSha512) {
  EXPECT_EQ(to_hex(hash({"abc"}).view()), "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a");
}

TEST(PrimitiveH, TakesItsPartsOneAfterTheOther) {
  EXPECT_EQ(hash({"a", "", "bc"}), hash({"abc"}));
  EXPECT_EQ(hash(label::kMessage, {"x"}), hash({BytesView("csdk1/msg\0x", 11)}));
}

TEST(PrimitiveHm, IsHmacWithSha512) {
  EXPECT_EQ(hex(hmac(repeated(0x11, 32), {label::kRatchetChain.bytes()})),
            "e497eb2468e8aa19a4d949daa54488e160385516a0411b361165c6ef3a1e1666"
            "5a8ca6258858bf0c91350cdcfbbbd800cace3999a287d5e5f9d7929efe818371");
}

TEST(PrimitiveHkdf, GivesLessThanABlock) {
  const Bytes info = bytes_of_hex("f0f1f2f3f4f5f6f7f8f9");
  EXPECT_EQ(hex(hkdf<32>(no_salt(), repeated(0x0b, 22), {info})),
            "5381877f912df8257626c548528eff28829b76d7d528e9590d68c8b17a0086d7");
}

TEST(PrimitiveHkdf, GivesABlock) {
  EXPECT_EQ(hex(hkdf<64>(repeated(0x11, 32), repeated(0x22, 32), {label::kRatchetRoot.bytes()})),
            "0cd7b02ed36e84fc5da4c28571acc179fb7f3e2ce69b4cef0f9db6143df827ce"
            "96ffd07eae17be2ad0d32316731896e4b06c64c940bfe979e84b58ea4a65e82f");
}

TEST(PrimitiveHkdf, ChainsItsBlocks) {
  const auto out = hkdf<130>(bytes_of_hex("000102030405060708090a0b0c"), repeated(0x0b, 22), {});
  EXPECT_EQ(hex_hash(view(out)), "6793cd9d0ade9871ec5d34102a603c27322086414bf69cb0010e3b614ca5a509");
}

TEST(PrimitiveX25519, AgreesWithOpenssl) {
  const auto a = secret_of<32>(0x13);
  const auto b = secret_of<32>(0x23);

  EXPECT_EQ(to_hex(public_of(a).view()), "197fc2c567dc03ee2aadf0ed86681dac24daa76e83ca555875dd3be7376e5306");
  EXPECT_EQ(to_hex(public_of(b).view()), "9a4503a98ab10fe8d354c9c42cbd0c9d7944f52e7d14d8ea59775e7dc9e3bf4b");
  const std::string shared = "10875b6cef238b9d36c0d47d5df49d48c446ef04c24b9fc0e37e40e59322f854";
  EXPECT_EQ(hex(x25519(a, public_of(b)).value()), shared);
  EXPECT_EQ(hex(x25519(b, public_of(a)).value()), shared);
}

const char* const kLowOrderKeys[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

TEST(PrimitiveX25519, TakesNoKeyOfLowOrder) {
  for (const char* key : kLowOrderKeys) EXPECT_FALSE(is_valid(fixed_of_hex<AgreementKey>(key))) << key;
}

TEST(PrimitiveX25519, RefusesAResultOfZeroWhateverWasChecked) {
  for (const char* key : kLowOrderKeys) {
    EXPECT_FALSE(x25519(secret_of<32>(0x13), fixed_of_hex<AgreementKey>(key)).has_value()) << key;
  }
}

TEST(PrimitiveX25519, TakesCanonicalNumbersOnly) {
  const struct {
    const char* key;
    bool valid;
  } cases[] = {
      {"ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", true},   // p - 2
      {"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},  // p
      {"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},  // p + 1
      {"efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
      {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},  // 2^255 - 1
      {"0900000000000000000000000000000000000000000000000000000000000000", true},
      {"0900000000000000000000000000000000000000000000000000000000000080", false},  // bit 255
      {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", false},
      {"edfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe7f", true},
      {"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7e", true},
      {"edfeffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", true},
  };
  for (const auto& number : cases) {
    EXPECT_EQ(is_valid(fixed_of_hex<AgreementKey>(number.key)), number.valid) << number.key;
  }
}

class Ed25519 : public testing::Test {
 protected:
  bool verifies(std::string_view signature) const {
    return verify(key_, label::kSigList, "what is signed", fixed_of_hex<Signature>(signature));
  }

  SigningSeed seed_ = secret_of<32>(0x12);
  SigningKey key_ = signing_key_of(seed_);
};

constexpr std::string_view kSignature =
    "8fcbf55279956c65a12d890cc27359c0e757ef04f12c333440d6e821471ffb0e"
    "18f27f3401fac248452ab85eb5672cbbf7972e07a5894e2a8b83d31148b18701";

TEST_F(Ed25519, AgreesWithOpenssl) {
  EXPECT_EQ(to_hex(key_.view()), "204040e364c10f2bec9c1fe500a1cd4c247c89d650a01ed7e82caba867877c21");
  EXPECT_EQ(to_hex(sign(seed_, label::kSigList, "what is signed").view()), kSignature);
  EXPECT_TRUE(verifies(kSignature));
}

TEST_F(Ed25519, SignsForOneLabel) {
  const auto signature = sign(seed_, label::kSigList, "what is signed");
  EXPECT_FALSE(verify(key_, label::kSigDevice, "what is signed", signature));
}

TEST_F(Ed25519, RefusesEachChangedBit) {
  const Bytes good = bytes_of_hex(kSignature);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes changed = good;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(verifies(to_hex(changed))) << "bit " << bit;
  }
}

TEST_F(Ed25519, VerifiesStrictly) {
  const struct {
    const char* name;
    const char* signature;
  } cases[] = {
      {"S is not reduced",
       "8fcbf55279956c65a12d890cc27359c0e757ef04f12c333440d6e821471ffb0e"
       "05c675911b5dd5a01bc7af0194610bd0f7972e07a5894e2a8b83d31148b18711"},
      {"the equation holds with the cofactor only",
       "40a4cf5c611d737a2f1c6fcca84d9cabfed80987f186a5a6c57e629bff1af27f"
       "bf7d0de2c6181c413bf168160a90a84ae05a91256ac7bb1a1681b193ef1cff03"},
      {"R is the neutral element",
       "0100000000000000000000000000000000000000000000000000000000000000"
       "33d9d2d9a31412048b7155df923dcc2ce05a51143dcb8cc240e3d8e3867deb09"},
      {"R is the neutral element in another encoding",
       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
       "44e520986126b0be8d96294a70802013f015adba9051059ded7586e2bb96d101"},
  };
  for (const auto& bad : cases) EXPECT_FALSE(verifies(bad.signature)) << bad.name;
}

TEST_F(Ed25519, TakesKeysOfThePrimeOrderSubgroupInTheirOneEncoding) {
  EXPECT_TRUE(is_valid(key_));
  const struct {
    const char* name;
    const char* key;
  } cases[] = {
      {"neutral", "0100000000000000000000000000000000000000000000000000000000000000"},
      {"neutral with a sign", "0100000000000000000000000000000000000000000000000000000000000080"},
      {"order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
      {"order 4", "0000000000000000000000000000000000000000000000000000000000000000"},
      {"order 4, other sign", "0000000000000000000000000000000000000000000000000000000000000080"},
      {"order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"},
      {"order 8, other sign", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"},
      {"order 8, the other", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"},
      {"order 8, the other, other sign", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"},
      {"mixed order", "70c65a5961912f83b5bb628172ae0d2e2431dc6f2a9028735ab26f93d1e41686"},
      {"not on the curve", "0200000000000000000000000000000000000000000000000000000000000000"},
      {"p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
      {"p + 1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
      {"p + 3", "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
      {"p + 18", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
  };
  for (const auto& bad : cases) EXPECT_FALSE(is_valid(fixed_of_hex<SigningKey>(bad.key))) << bad.name;
}

TEST(Seal, AgreesWithOpenssl) {
  EXPECT_EQ(to_hex(seal(seal_key(), fixed_of<Nonce>(0x03), "plain", "bound")), kSeal);
  EXPECT_EQ(unseal(seal_key(), bytes_of_hex(kSeal), "bound"), "plain");
}

TEST(Seal, AddsItsOverhead) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{100'000}}) {
    EXPECT_EQ(seal(seal_key(), Nonce{}, Bytes(size, 'p'), {}).size(), size + 72);
  }
}

TEST(Seal, UsesUpItsKey) {
  SealKey key = seal_key();
  seal(std::move(key), Nonce{}, "plain", {});
  EXPECT_EQ(view(key), Bytes(64, '\0'));
}

TEST(Seal, OpensWholeOrNotAtAll) {
  expect_whole_or_nothing(bytes_of_hex(kSeal), [](BytesView sealed) { return unseal(seal_key(), sealed, "bound"); });
}

TEST(Seal, RefusesEachChangedByte) {
  const Bytes good = bytes_of_hex(kSeal);
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 0x40);
    EXPECT_FALSE(unseal(seal_key(), changed, "bound").has_value()) << "byte " << at;
  }
}

TEST(Seal, IsBoundToItsAssociatedData) {
  for (const char* other : {"", "boun", "bound ", "Bound"}) {
    EXPECT_FALSE(unseal(seal_key(), bytes_of_hex(kSeal), other).has_value()) << other;
  }
}

TEST(Seal, OpensUnderOneKeyOnly) {
  const SealKey other_first = SealKey::copy_of(repeated(0x05, 32) + repeated(0x02, 32));
  const SealKey other_commitment = SealKey::copy_of(repeated(0x01, 32) + repeated(0x04, 32));
  EXPECT_FALSE(unseal(other_first, bytes_of_hex(kSeal), "bound").has_value());
  EXPECT_FALSE(unseal(other_commitment, bytes_of_hex(kSeal), "bound").has_value());
}

// The cipher's own tag is right for it.
TEST(Seal, RefusesAnotherCommitmentThanTheKeysOwn) {
  const Bytes sealed = bytes_of_hex(
      "0303030303030303030303030303030303030303030303030404040404040404040404040404040404040404040404040404040404040404"
      "3e6c6e189ee3715940218989239d67e7494233a359");
  EXPECT_FALSE(unseal(seal_key(), sealed, "bound").has_value());
}

TEST(Argon2id, RefusesCostsThatItDoesNotHave) {
  const Bytes salt = repeated(0x92, 16);
  EXPECT_EQ(argon2id("passphrase", salt, 0, 65'536).code(), Code::kInvalidArgument);
  EXPECT_EQ(argon2id("passphrase", salt, 2, 7).code(), Code::kInvalidArgument);
  EXPECT_EQ(argon2id("passphrase", repeated(0x92, 15), 2, 64).code(), Code::kInvalidArgument);
  EXPECT_TRUE(argon2id("passphrase", salt, 1, 8).ok());
}

TEST(Argon2id, DependsOnEachOfItsArguments) {
  const Bytes salt = repeated(0x92, 16);
  const std::string derived = hex(argon2id("passphrase", salt, 2, 64).value());
  EXPECT_EQ(hex(argon2id("passphrase", salt, 2, 64).value()), derived);
  EXPECT_NE(hex(argon2id("passphrasf", salt, 2, 64).value()), derived);
  EXPECT_NE(hex(argon2id("passphrase", repeated(0x93, 16), 2, 64).value()), derived);
  EXPECT_NE(hex(argon2id("passphrase", salt, 3, 64).value()), derived);
  EXPECT_NE(hex(argon2id("passphrase", salt, 2, 72).value()), derived);
}

// Section 26 of the specification: the wrapped recovery key.
TEST(Argon2id, OpensTheWrappedRecoveryKeyOfTheSpecification) {
  const Bytes wrapped = bytes_of_hex(
      "010102000000000001009292929292929292929292929292929293939393939393939393939393939393939393939393939310ec0ec8ad21"
      "f352"
      "8a693d3b4b9c8d80b089661a05265a21294c6a11e24f59b0d0dbd22006ab928ec3de10afd8ca46e006691d56957318cfb45fef551074e18d"
      "465f"
      "aa4fca067a65c3105ac3a9955c27");
  const BytesView before = BytesView(wrapped).substr(0, 26);
  Writer user;
  user.user("alice");

  const auto derived = argon2id("correct horse battery", before.substr(10), 2, 65'536);
  ASSERT_TRUE(derived.ok());
  const auto key = hkdf<64>(no_salt(), view(*derived), {label::kBackupWrap.bytes(), user.view()});
  user.raw(before);

  EXPECT_EQ(unseal(key, BytesView(wrapped).substr(26), user.view()), repeated(0x91, 32));
}

}  // namespace
}  // namespace chatsdk::e2ee
