// SPDX-License-Identifier: Apache-2.0
#include "e2ee/safety_number.h"

#include <gtest/gtest.h>

#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

Identity identity_of(const Person& person) { return {person.user_id, person.list.account_key}; }

const SafetyNumber& of_the_two() {
  static const SafetyNumber number = safety_number(identity_of(alice()), identity_of(bob()));
  return number;
}

TEST(SafetyNumber, IsThatOfTheSpecification) {
  EXPECT_EQ(of_the_two().grouped(), "68127 67110 71430 36163 80537 31568 83301 98569 01961 60777 74292 81737");
  EXPECT_EQ(of_the_two().scannable,
            "csdk-safety:AR8nOfTsRioaU0UmXN3BlwOqcS-RmeFMVbJwA02wlq9HReVdDDrJAfDxYEnkNDINyeX8DYQ0Q6J8nWn7WHgcwQc");
}

TEST(SafetyNumber, IsSixtyDigits) {
  EXPECT_EQ(of_the_two().digits.size(), 60U);
  EXPECT_EQ(of_the_two().digits.find_first_not_of("0123456789"), std::string::npos);
}

TEST(SafetyNumber, IsTheSameForBoth) {
  const SafetyNumber other_way_round = safety_number(identity_of(bob()), identity_of(alice()));
  EXPECT_EQ(other_way_round.digits, of_the_two().digits);
  EXPECT_EQ(other_way_round.scannable, of_the_two().scannable);
}

TEST(SafetyNumber, DependsOnKeyAndName) {
  Identity other_key = identity_of(bob());
  other_key.account_key = signing_key_of(secret_of<32>(0x31));
  Identity other_name = identity_of(bob());
  other_name.user_id = "bot";
  EXPECT_NE(safety_number(identity_of(alice()), other_key).digits, of_the_two().digits);
  EXPECT_NE(safety_number(identity_of(alice()), other_name).digits, of_the_two().digits);
}

TEST(SafetyNumber, ComparesWhatWasScanned) {
  const SafetyNumber& own = of_the_two();
  std::string changed = own.scannable;
  changed.back() = changed.back() == 'c' ? 'd' : 'c';
  std::string later = own.scannable;
  later.replace(std::string_view("csdk-safety:").size(), 2, "Ag");  // version 2

  EXPECT_EQ(compare_scanned(own, own.scannable), Scan::kEqual);
  EXPECT_EQ(compare_scanned(own, changed), Scan::kDifferent);
  EXPECT_EQ(compare_scanned(own, later), Scan::kOtherVersion);
  EXPECT_EQ(compare_scanned(own, own.scannable.substr(0, 40)), Scan::kDifferent);
  EXPECT_EQ(compare_scanned(own, "csdk-safety:"), Scan::kDifferent);
  EXPECT_EQ(compare_scanned(own, "csdk-link:AQ"), Scan::kDifferent);
  EXPECT_EQ(compare_scanned(own, ""), Scan::kDifferent);
}

}  // namespace
}  // namespace chatsdk::e2ee
