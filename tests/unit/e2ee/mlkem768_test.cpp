// SPDX-License-Identifier: Apache-2.0
//
// Known answers are stated as SHA3-256 hashes where they are long.
#include "e2ee/mlkem768.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "e2ee/keccak.h"

namespace chatsdk::mlkem768 {
namespace {

template <typename T>
std::string text(const T& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

ByteSpan span_of(const std::string& bytes) {
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

template <typename T>
std::string hash_of(const T& bytes) {
  std::array<unsigned char, 32> hash;
  sha3_256({span_of(text(bytes))}, hash);
  return to_hex(text(hash));
}

struct Pair {
  EncapsulationKey encapsulation_key;
  DecapsulationKey decapsulation_key;
};

Pair pair_of(const std::string& seed) {
  Pair pair;
  generate(Seed::copy_of(seed), pair.encapsulation_key, pair.decapsulation_key);
  return pair;
}

struct Sent {
  Ciphertext ciphertext;
  std::string secret;
};

Sent send(const EncapsulationKey& key, const std::string& message) {
  Sent sent;
  SharedSecret secret;
  encapsulate(key, Message::copy_of(message), sent.ciphertext, secret);
  sent.secret = text(secret);
  return sent;
}

std::string receive(const DecapsulationKey& key, const Ciphertext& ciphertext) {
  SharedSecret secret;
  decapsulate(key, ciphertext, secret);
  return text(secret);
}

// What FIPS 203 algorithm 18 gives for a ciphertext that nobody encapsulated: J(z ‖ c).
std::string rejection(const std::string& seed, const Ciphertext& ciphertext) {
  std::array<unsigned char, 32> secret;
  shake256({span_of(seed.substr(32)), ciphertext}, secret);
  return text(secret);
}

// The 12-bit number at this place of an encapsulation key becomes `value`.
void set_coefficient(EncapsulationKey& key, std::size_t place, unsigned value) {
  unsigned char* const bytes = key.data() + place / 2 * 3;
  if (place % 2 == 0) {
    bytes[0] = static_cast<unsigned char>(value & 0xFFU);
    bytes[1] = static_cast<unsigned char>((bytes[1] & 0xF0U) | (value >> 8U));
  } else {
    bytes[1] = static_cast<unsigned char>((bytes[1] & 0x0FU) | ((value & 0x0FU) << 4U));
    bytes[2] = static_cast<unsigned char>(value >> 4U);
  }
}

struct KnownAnswer {
  const char* seed;
  const char* message;
  const char* encapsulation_key_hash;
  const char* decapsulation_key_hash;
  const char* ciphertext_hash;
  const char* secret;
};

// The seeds of Kyber's known answers, numbers 0 to 5, and what FIPS 203 makes of them: as in Wycheproof's vectors.
constexpr KnownAnswer kKnownAnswers[] = {
    {"7c9935a0b07694aa0c6d10e4db6b1add2fd81a25ccb148032dcd739936737f2d"
     "8626ed79d451140800e03b59b956f8210e556067407d13dc90fa9e8b872bfb8f",
     "147c03f7a5bebba406c8fae1874d7f13c80efe79a3a9a874cc09fe76f6997615",
     "f57262661358cde8d3ebf990e5fd1d5b896c992ccfaadb5256b68bbf5943b132",
     "7deef44965b03d76de543ad6ef9e74a2772fa5a9fa0e761120dac767cf0152ef",
     "6e777e2cf8054659136a971d9e70252f301226930c19c470ee0688163a63c15b",
     "e7184a0975ee3470878d2d159ec83129c8aec253d4ee17b4810311d198cd0368"},
    {"d60b93492a1d8c1c7ba6fc0b733137f3406cee8110a93f170e7a78658af326d9"
     "003271531cf27285b8721ed5cb46853043b346a66cba6cf765f1b0eaa40bf672",
     "cde797df8ce67231f6c5d15811843e01eb2ab84c7490931240822adbddd72046",
     "7b00751eb9b1253231213f8a14f06f0fe1b7a4fdb7d1cfe44c161e577e5e8f0a",
     "3a8c009e8e648ac572d5592e4a92907fae0c1767be41c544b59dc3ffe61f7ded",
     "bce1bf3450f574130b9561ee11565fa41d599d05d2136f10ad2c013eb5d13ca9",
     "5f0c5d9f39d3e724b5a2bd54e69e360f72ffab5d4d6cc5e572fecba80acd4796"},
    {"4b622de1350119c45a9f2e2ef3dc5df50a759d138cdfbd64c81cc7cc2f513345"
     "e82fcc97ca60ccb27bf6938c975658aeb8b4d37cffbde25d97e561f36c219ade",
     "f43f68fbd694f0a6d307297110ecd4739876489fdf07eb9b03364e2ed0ff96e9",
     "9bda55b63cffa9bf953993918b18cd6595ea6433b479e89b5cd3c9339e4468cb",
     "d5fc96564df6e53622b2db8295a80a44e3bad7147696e2ad1f728639c98791b1",
     "2a8b5d9bdcac1b7ffb6d655368e15148308eee98ae34f4105eaae87f24a008a2",
     "7f3bcc03a35a0030255264914e5d88a0c93611c7ca21f0609678a88ca42ce1c9"},
    {"050d58f9f757edc1e8180e3808b806f5bbb3586db3470b069826d1bb9a4efc2c"
     "de950541fd53a8a47aaa8cdfe80d928262a5ef7f8129ec3ef92f78d7cc32ef60",
     "ea74fbc3c546500ed684bed6fe3c496d3b86d2d6dfaf223969b942e9a8c95e85",
     "647a81f0f1b3e3dacb6e73e900f7c078cdfaa7119a5ede48c7685fdb7e0fe2f5",
     "1cf686cb8732c73a38b35d73b0b28fb120bc89cda1554d9f12adedc057862081",
     "1c51c85ce66d80c1f9bb138e5bce84dd75cee4260c8817e06c6f2bd920601530",
     "c630736985fdb7830d7446e18b6b81fa4a707a6058964b99190120de85e7559c"},
    {"66b79b844e0c2adad694e0478661ac46fe6b6001f6a71ff8e2f034b1fd8833d3"
     "be2d3c64d38269a1ee8660b9a2beaeb9f5ac022e8f0a357feebfd13b06813854",
     "64efa87a12cb96f98b9b81a7e5128a959c74e5332aaab0444fca7b4a5e5e0216",
     "811aea11a24a4b09e428415f82ee836e930c3b77867aafc5e6728149e3f2bd1b",
     "6a1ff1351c538a5661fc3576c29408c19f42da3688fa16f9ec5ead6a84420db5",
     "db4dedc1e4d383acaf974fb50ffbf881bd3938ad196fb9aebeeb1bf1ddc94e10",
     "41e078d0d0c4fe5df5c6683171d5c1c3f1ef152c4945f9cb299f74278ce4cc4f"},
    {"7ec408f52c9aa723d0c41d9987682a5f4ce6c9da7cd0215af60bbaf5484ab353"
     "a08ccf451b049fd51d7a9ad77ae14a81569df8c9bd3a8f1ebea86fdcfb823082",
     "8a95d71228acaa5f9ae6f9d9ca8ae55fde296463b41083a39e833e37c4c90f88",
     "76c64235d8bd63438f13dcd038f286b9f4242070a5bec4d8990075008667aad3",
     "fb19a847c01b5bb4bc607ce0c65e50ca6869946a97625baea129c2ba07e00c01",
     "c8c63c879a7a803db4e5779ca5acb1f16f5c86c38258f583a9f1e43303ff36d0",
     "7da491b5623a43ae17160a54e45e8328453cfe1acc692a1e300906ebd2a1d9b2"},
};

struct KnownKey {
  const char* seed;
  const char* encapsulation_key_hash;
  const char* decapsulation_key_hash;
};

// NIST's ACVP samples for key generation (ML-KEM-keyGen-FIPS203), cases 26 to 29.
constexpr KnownKey kKnownKeys[] = {
    {"e34a701c4c87582f42264ee422d3c684d97611f2523efe0c998af05056d693dc"
     "a85768f3486bd32a01bf9a8f21ea938e648eae4e5448c34c3eb88820b159eedd",
     "e29020839d052fa372585627f8b59ee312ae414c979d825f06a6929a79625718",
     "a4e8ba80bb7a745e936d47784c07ffa6a314caf5a8deb4648c5c2d6ae930ebcd"},
    {"444f032dd19ae7518c4b35b0732a41dc567845aba8bd7b04a9c413a0cf2de0b5"
     "df0f282411f4a071489a8f618e2ae5aef40131cac5233d6d731522720c2feb1c",
     "bba283f4c993a010081e2cc571d97234472cc9858d199cf0d6e6b9bd720c2665",
     "f5fe5588a70ed8bb7e744a3f46aa0200fa333dbe216106d62787141dd5fc42d8"},
    {"092271d05ca63c60880af404d60bc4bb9539e2ea12969581898d56e0ac9a5a68"
     "5aa6dc620a6e9a60cf19a7b4f0ff805bda8219522a548ee5857c3ff6060c7a2f",
     "66e5248cd311286d6dd03e010391d90d76044bf498b53c9d8202a9eb64352739",
     "957943e31099b023af68d0fab9089c08cddf346be9bc6daddd726148eb7c8dc8"},
    {"bbf7574cf5f32be49e1f39ce33870d9d6384056d60d223003b6b0c10d5c42180"
     "7cf50f7237a97072f03f31cfd59fa8e863bca3af7375e0ca698ff665661c24cf",
     "a918b39f71bbb2c10db35639e5fd2ce621868cc02149e029eb47899407d96300",
     "7a6e99a17f7b9a7a7cff34b73f5cd21562a1736673226bf07eb46edbccc69a3e"},
};

TEST(Mlkem768, GivesTheKnownAnswers) {
  for (const KnownAnswer& known : kKnownAnswers) {
    const Pair pair = pair_of(from_hex(known.seed).value());
    EXPECT_EQ(hash_of(pair.encapsulation_key), known.encapsulation_key_hash);
    EXPECT_EQ(hash_of(pair.decapsulation_key), known.decapsulation_key_hash);

    const Sent sent = send(pair.encapsulation_key, from_hex(known.message).value());
    EXPECT_EQ(hash_of(sent.ciphertext), known.ciphertext_hash);
    EXPECT_EQ(to_hex(sent.secret), known.secret);
    EXPECT_EQ(to_hex(receive(pair.decapsulation_key, sent.ciphertext)), known.secret);
  }
}

TEST(Mlkem768, GivesTheKnownKeys) {
  for (const KnownKey& known : kKnownKeys) {
    const Pair pair = pair_of(from_hex(known.seed).value());
    EXPECT_EQ(hash_of(pair.encapsulation_key), known.encapsulation_key_hash);
    EXPECT_EQ(hash_of(pair.decapsulation_key), known.decapsulation_key_hash);
  }
}

// Keys, ciphertexts, secrets and rejections of thousands of seeds, as one hash: C2SP's accumulated vectors, whose
// inputs are drawn from SHAKE128 of nothing. Their hash is of 10,000 rounds; that of 100, for builds in which a round
// is slow, was made with an implementation of its own.
TEST(Mlkem768, GivesTheKnownAnswersOfThousandsOfSeeds) {
#ifdef CHATSDK_SANITIZED
  constexpr int kRounds = 100;
  constexpr const char* kExpected = "8d65b902f28edc683cebee2872962fd165a4d197c9e24ec74caa4470270df0b7";
#else
  constexpr int kRounds = 10'000;
  constexpr const char* kExpected = "f959d18d3d1180121433bf0e05f11e7908cf9d03edc150b2b07cb90bef5bc1c1";
#endif
  Sponge inputs = Sponge::shake128();
  Sponge outputs = Sponge::shake128();
  Seed seed;
  Message message;
  Ciphertext ciphertext;
  Ciphertext nonsense;
  EncapsulationKey encapsulation_key;
  DecapsulationKey decapsulation_key;
  SharedSecret sent;
  SharedSecret received;
  for (int i = 0; i < kRounds; ++i) {
    inputs.squeeze({seed.data(), seed.size()});
    inputs.squeeze({message.data(), message.size()});
    inputs.squeeze(nonsense);

    generate(seed, encapsulation_key, decapsulation_key);
    encapsulate(encapsulation_key, message, ciphertext, sent);
    decapsulate(decapsulation_key, ciphertext, received);
    ASSERT_EQ(text(sent), text(received)) << "round " << i;
    decapsulate(decapsulation_key, nonsense, received);

    outputs.absorb(encapsulation_key);
    outputs.absorb({decapsulation_key.data(), decapsulation_key.size()});
    outputs.absorb(ciphertext);
    outputs.absorb({sent.data(), sent.size()});
    outputs.absorb({received.data(), received.size()});
  }
  std::array<unsigned char, 32> hash;
  outputs.squeeze(hash);
  EXPECT_EQ(to_hex(text(hash)), kExpected);
}

class Mlkem768Pair : public testing::Test {
 protected:
  SeededRandom random_{1};
  std::string seed_ = random_.bytes(64);
  Pair pair_ = pair_of(seed_);
  Sent sent_ = send(pair_.encapsulation_key, random_.bytes(32));
};

TEST_F(Mlkem768Pair, DecapsulationKeyHoldsWhatTheStandardPutsThere) {
  const std::string key = text(pair_.decapsulation_key);

  EXPECT_EQ(key.substr(1152, 1184), text(pair_.encapsulation_key));
  EXPECT_EQ(to_hex(key.substr(2336, 32)), hash_of(pair_.encapsulation_key));
  EXPECT_EQ(key.substr(2368), seed_.substr(32));
}

TEST_F(Mlkem768Pair, EveryModifiedByteOfACiphertextIsRejectedImplicitly) {
  std::set<std::string> secrets{sent_.secret};
  for (std::size_t at = 0; at < kCiphertextBytes; ++at) {
    Ciphertext modified = sent_.ciphertext;
    modified[at] = static_cast<unsigned char>(modified[at] ^ (1U << (at % 8)));

    const std::string secret = receive(pair_.decapsulation_key, modified);

    ASSERT_EQ(secret, rejection(seed_, modified)) << "byte " << at;
    ASSERT_TRUE(secrets.insert(secret).second) << "byte " << at;
  }
}

// A comparison of texts would end at the first zero.
TEST_F(Mlkem768Pair, RejectionLooksBehindZeroBytes) {
  while (sent_.ciphertext[0] != 0) sent_ = send(pair_.encapsulation_key, random_.bytes(32));
  ASSERT_EQ(receive(pair_.decapsulation_key, sent_.ciphertext), sent_.secret);

  sent_.ciphertext[kCiphertextBytes - 1] ^= 0x80U;

  EXPECT_EQ(receive(pair_.decapsulation_key, sent_.ciphertext), rejection(seed_, sent_.ciphertext));
}

TEST_F(Mlkem768Pair, CiphertextForAnotherKeyIsRejectedImplicitly) {
  const Pair other = pair_of(random_.bytes(64));

  EXPECT_EQ(receive(other.decapsulation_key, sent_.ciphertext), receive(other.decapsulation_key, sent_.ciphertext));
  EXPECT_NE(receive(other.decapsulation_key, sent_.ciphertext), sent_.secret);
}

TEST_F(Mlkem768Pair, RejectionDependsOnTheSecretZAlone) {
  std::string seed = seed_;
  seed[63] = static_cast<char>(seed[63] ^ 1);
  const Pair other = pair_of(seed);

  EXPECT_EQ(text(other.encapsulation_key), text(pair_.encapsulation_key));
  EXPECT_EQ(receive(other.decapsulation_key, sent_.ciphertext), sent_.secret);
  sent_.ciphertext[0] ^= 1U;
  EXPECT_NE(receive(other.decapsulation_key, sent_.ciphertext), receive(pair_.decapsulation_key, sent_.ciphertext));
}

TEST_F(Mlkem768Pair, KeysWithACoefficientOfQOrMoreAreInvalid) {
  for (std::size_t place = 0; place < 768; ++place) {
    for (const unsigned value : {3329U, 3330U, 3584U, 4095U}) {
      EncapsulationKey key = pair_.encapsulation_key;
      set_coefficient(key, place, value);
      ASSERT_FALSE(is_valid(key)) << value << " at " << place;
    }
  }
  for (unsigned value = 3329; value < 4096; ++value) {
    EncapsulationKey key = pair_.encapsulation_key;
    set_coefficient(key, value % 768, value);
    ASSERT_FALSE(is_valid(key)) << value;
  }
}

TEST_F(Mlkem768Pair, KeysWithCoefficientsBelowQAreValid) {
  for (std::size_t place = 0; place < 768; ++place) {
    for (const unsigned value : {0U, 1U, 3327U, 3328U}) {
      EncapsulationKey key = pair_.encapsulation_key;
      set_coefficient(key, place, value);
      ASSERT_TRUE(is_valid(key)) << value << " at " << place;
    }
  }
}

TEST_F(Mlkem768Pair, AnySeedOfTheMatrixIsValid) {
  std::memset(pair_.encapsulation_key.data() + 1152, 0xFF, 32);
  EXPECT_TRUE(is_valid(pair_.encapsulation_key));
}

TEST_F(Mlkem768Pair, DecapsulationKeyIsInvalidWhenItsKeyOrItsHashWasChanged) {
  EXPECT_TRUE(is_valid(pair_.decapsulation_key));
  for (const std::size_t at : {1152U, 2000U, 2335U, 2336U, 2367U}) {
    DecapsulationKey key = pair_.decapsulation_key.clone();
    key.data()[at] ^= 1U;
    EXPECT_FALSE(is_valid(key)) << "byte " << at;
  }
}

}  // namespace
}  // namespace chatsdk::mlkem768
