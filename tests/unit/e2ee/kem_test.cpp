// SPDX-License-Identifier: Apache-2.0
#include "e2ee/kem.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace chatsdk {
namespace {

constexpr std::size_t kKeyBytes = mlkem768::kEncapsulationKeyBytes;
constexpr std::size_t kCiphertextBytes = mlkem768::kCiphertextBytes;

template <std::size_t kSize>
Secret<kSize> drawn(Random& random) {
  return Secret<kSize>::copy_of(random.bytes(kSize));
}

template <typename T>
std::string text(const T& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class OwnKem : public testing::Test {
 protected:
  const Kem& kem_ = own_kem();
  SeededRandom random_{1};
  Kem::Seed seed_ = drawn<64>(random_);
  std::string key_ = text(kem_.public_key(seed_).value());
};

TEST_F(OwnKem, SaysWhoseCodeItIs) { EXPECT_EQ(kem_.name(), "chatsdk"); }

TEST_F(OwnKem, BothSidesGetTheSameSecret) {
  const auto sent = kem_.encapsulate(key_, drawn<32>(random_));
  ASSERT_TRUE(sent.ok());

  const auto received = kem_.decapsulate(seed_, text(sent->ciphertext));

  ASSERT_TRUE(received.ok());
  EXPECT_EQ(text(received->shared_secret), text(sent->shared_secret));
  EXPECT_EQ(text(received->public_key), key_);
}

TEST_F(OwnKem, UsesUpTheRandomBytesOfAnEncapsulation) {
  Kem::Message random = drawn<32>(random_);

  ASSERT_TRUE(kem_.encapsulate(key_, std::move(random)).ok());

  EXPECT_EQ(text(random), std::string(32, '\0'));
}

TEST_F(OwnKem, GivesAnotherSecretForAnotherMessage) {
  const auto first = kem_.encapsulate(key_, drawn<32>(random_));
  const auto second = kem_.encapsulate(key_, drawn<32>(random_));

  EXPECT_NE(text(first.value().shared_secret), text(second.value().shared_secret));
  EXPECT_NE(text(first.value().ciphertext), text(second.value().ciphertext));
}

TEST_F(OwnKem, ChecksTheLengthOfAKey) {
  EXPECT_TRUE(kem_.check_ek(key_));
  for (const std::size_t size : {std::size_t{0}, kKeyBytes - 1, kKeyBytes + 1, std::size_t{1568}}) {
    std::string key = key_;
    key.resize(size);
    EXPECT_FALSE(kem_.check_ek(key)) << size << " B";
    EXPECT_EQ(kem_.encapsulate(key, drawn<32>(random_)).code(), Code::kMalformed) << size << " B";
  }
}

TEST_F(OwnKem, RefusesAKeyWithACoefficientThatIsNotReduced) {
  key_[0] = '\x01';  // the first coefficient is now 3329
  key_[1] = static_cast<char>((key_[1] & 0xF0) | 0x0D);

  EXPECT_FALSE(kem_.check_ek(key_));
  EXPECT_EQ(kem_.encapsulate(key_, drawn<32>(random_)).code(), Code::kMalformed);
}

TEST_F(OwnKem, ChecksTheLengthOfACiphertext) {
  for (const std::size_t size : {std::size_t{0}, kCiphertextBytes - 1, kCiphertextBytes + 1}) {
    EXPECT_EQ(kem_.decapsulate(seed_, std::string(size, 'c')).code(), Code::kMalformed) << size << " B";
  }
}

TEST_F(OwnKem, DecapsulatesAnyCiphertextToSomeSecret) {
  const std::string nonsense = random_.bytes(kCiphertextBytes);

  const auto first = kem_.decapsulate(seed_, nonsense);
  const auto again = kem_.decapsulate(seed_, nonsense);

  ASSERT_TRUE(first.ok());
  EXPECT_EQ(text(first->shared_secret), text(again->shared_secret));
}

}  // namespace
}  // namespace chatsdk
