// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "unit/e2ee/backups.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::string_view kPassphrase = "correct horse battery";
constexpr WrapCost kCheapest{limits::e2ee::kPassesMin, limits::e2ee::kMemoryKibMin};

Bytes wrapped_key() {
  GivenRandom given(repeated(0x92, 16) + repeated(0x93, 24));
  return wrap_recovery_key(recovery_key(), "alice", kPassphrase, kCheapest, given).value();
}
Bytes with_cost(Bytes wrapped, std::uint32_t passes, std::uint32_t memory_kib) {
  Writer writer;
  writer.u32(passes).u32(memory_kib);
  return wrapped.replace(2, 8, writer.view());
}

TEST(WrappedKeys, DoNotOpenWhenTheyWereTouched) {
  const Bytes wrapped = wrapped_key();
  // One byte of each field: version, kdf, salt at both ends, nonce, commitment, ciphertext, tag.
  for (const std::size_t at : {0U, 1U, 10U, 25U, 26U, 50U, 81U, 82U, 129U}) {
    Bytes flipped = wrapped;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_EQ(unwrap_recovery_key(flipped, "alice", kPassphrase).code(), kBadMessage) << at;
  }
  EXPECT_EQ(unwrap_recovery_key(with_cost(wrapped, 3, 65'536), "alice", kPassphrase).code(), kBadMessage);
  EXPECT_EQ(unwrap_recovery_key(with_cost(wrapped, 2, 65'544), "alice", kPassphrase).code(), kBadMessage);
}

TEST(WrappedKeys, AreTakenWholeOrNotAtAll) {
  const Bytes wrapped = wrapped_key();
  for (std::size_t size = 0; size < wrapped.size(); ++size) {
    EXPECT_EQ(unwrap_recovery_key(wrapped.substr(0, size), "alice", kPassphrase).code(), kBadMessage) << size;
  }
  EXPECT_EQ(unwrap_recovery_key(wrapped + "x", "alice", kPassphrase).code(), kBadMessage);
}

// What is out of bounds costs nothing: the clock of a test that would run Argon2id so would show it.
TEST(WrappedKeys, BoundTheirCostBeforeItIsPaid) {
  const Bytes wrapped = wrapped_key();
  for (const auto& [passes, memory_kib] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 65'536},
                                                                                               {1, 65'536},
                                                                                               {17, 65'536},
                                                                                               {UINT32_MAX, 65'536},
                                                                                               {2, 0},
                                                                                               {2, 65'535},
                                                                                               {2, 1'048'577},
                                                                                               {2, UINT32_MAX}}) {
    EXPECT_EQ(unwrap_recovery_key(with_cost(wrapped, passes, memory_kib), "alice", kPassphrase).code(), kBadMessage);
    SeededRandom random(1);
    EXPECT_EQ(wrap_recovery_key(recovery_key(), "alice", kPassphrase, {passes, memory_kib}, random).code(),
              Code::kInvalidArgument);
  }
  SeededRandom random(1);
  const auto longest = wrap_recovery_key(recovery_key(), "alice", kPassphrase, {16, 65'536}, random);
  ASSERT_TRUE(longest.ok());
  EXPECT_TRUE(unwrap_recovery_key(*longest, "alice", kPassphrase).ok());
}

TEST(WrappedKeys, BoundThePassphrase) {
  SeededRandom random(1);
  const auto wraps = [&random](std::size_t size) {
    return wrap_recovery_key(recovery_key(), "alice", Bytes(size, 'p'), kCheapest, random).code();
  };
  EXPECT_EQ(wraps(limits::e2ee::kPassphraseBytesMin - 1), Code::kInvalidArgument);
  EXPECT_EQ(wraps(limits::e2ee::kPassphraseBytesMin), Code::kOk);
  EXPECT_EQ(wraps(limits::e2ee::kPassphraseBytesMax), Code::kOk);
  EXPECT_EQ(wraps(limits::e2ee::kPassphraseBytesMax + 1), Code::kInvalidArgument);
  EXPECT_EQ(unwrap_recovery_key(wrapped_key(), "alice", "correct").code(), kBadMessage);
}

}  // namespace
}  // namespace chatsdk::e2ee
