// SPDX-License-Identifier: Apache-2.0
#include "protocol/http.h"

#include <gtest/gtest.h>

namespace chatsdk {
namespace {

using Headers = std::map<std::string, std::string>;

TEST(HttpHeader, IsFoundByItsLowerCaseName) {
  EXPECT_EQ(header(Headers{{"content-type", "text/plain"}}, "content-type"), "text/plain");
}

TEST(HttpHeader, IsEmptyWhenAbsent) { EXPECT_EQ(header(Headers{{"a", "b"}}, "content-type"), ""); }

TEST(HttpHeader, IsEmptyWhenItsValueIs) { EXPECT_EQ(header(Headers{{"a", ""}}, "a"), ""); }

TEST(BearerToken, FollowsTheSchemeInAnyCase) {
  for (const char* value : {"Bearer t.o.k", "bearer t.o.k", "BEARER t.o.k", "bEaReR t.o.k"}) {
    EXPECT_EQ(bearer_token(Headers{{"authorization", value}}), "t.o.k") << value;
  }
}

TEST(BearerToken, MayBeOneByte) { EXPECT_EQ(bearer_token(Headers{{"authorization", "Bearer t"}}), "t"); }

TEST(BearerToken, IsEmptyWithoutTokenSchemeOrHeader) {
  for (const char* value :
       {"", "B", "Bearer", "Bearer ", "Bearer\tt", "Basic dGVzdA==", "Bearers t", " Bearer t", "token"}) {
    EXPECT_EQ(bearer_token(Headers{{"authorization", value}}), "") << value;
  }
  EXPECT_EQ(bearer_token({}), "");
}

TEST(BearerToken, IsNotReadFromAnotherHeader) {
  EXPECT_EQ(bearer_token(Headers{{"proxy-authorization", "Bearer t"}}), "");
}

}  // namespace
}  // namespace chatsdk
