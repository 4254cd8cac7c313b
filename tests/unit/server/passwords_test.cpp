// SPDX-License-Identifier: Apache-2.0
//
// Password hashes and what they may cost.
#include "server-reference/services/passwords.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace chatsdk::server {
namespace {

TEST(Passwords, HashIsReadByTheLibrary) {
  const std::string hash = hash_password("correct horse", Bytes(16, 's'), PasswordCost::minimum()).value();
  const auto good = verify_password("correct horse", hash, Bytes(16, 't'), PasswordCost::minimum());
  const auto bad = verify_password("correct horsf", hash, Bytes(16, 't'), PasswordCost::minimum());
  EXPECT_TRUE(good->matches);
  EXPECT_TRUE(good->new_hash.empty());
  EXPECT_FALSE(bad->matches);
}

TEST(Passwords, NoStoredHashMatchesNothing) {
  for (const std::string& stored : {std::string(), std::string("$argon2id$"), std::string(200, '$')}) {
    const auto verdict = verify_password("", stored, Bytes(16, 't'), PasswordCost::minimum());
    ASSERT_TRUE(verdict.ok());
    EXPECT_FALSE(verdict->matches);
  }
}

TEST(Passwords, CostHasBounds) {
  EXPECT_TRUE(check_password_cost({}).ok());
  EXPECT_TRUE(check_password_cost(PasswordCost::minimum()).ok());
  EXPECT_TRUE(check_password_cost({limits::kPasswordOperationsMax, 8'192}).ok());
  EXPECT_TRUE(check_password_cost({1, limits::kPasswordMemoryBytesMax}).ok());
  EXPECT_EQ(check_password_cost({0, 8'192}).code(), Code::kInvalidArgument);
  EXPECT_EQ(check_password_cost({65, 8'192}).code(), Code::kInvalidArgument);
  EXPECT_EQ(check_password_cost({1, 8'191}).code(), Code::kInvalidArgument);
  EXPECT_EQ(check_password_cost({1, (1UL << 30U) + 1}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace chatsdk::server
