// SPDX-License-Identifier: Apache-2.0
//
// One message key, one message: what says so, and what does not.
#include "sim/key_use.h"

#include <gtest/gtest.h>

#include <string>

#include "e2ee/wire.h"

namespace chatsdk::sim {
namespace {

struct Slice {
  char session = 's';
  char ratchet_key = 'k';
  std::uint32_t previous_count = 0;
  std::uint32_t number = 0;
  char sealed = 'x';

  Bytes bytes() const {
    e2ee::Writer writer(1'000);
    writer.u8(1).u8(2).raw(Bytes(e2ee::SessionId::size(), session)).raw(Bytes(e2ee::AgreementKey::size(), ratchet_key));
    writer.u32(previous_count).u32(number).u16(0).raw(Bytes(200, sealed));
    return writer.take();
  }
};

TEST(KeyUse, WhatIsSentAgainIsTheSameBytes) {
  KeyUse use;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(use.on_slice(Slice{}.bytes()));
}

TEST(KeyUse, EachSessionChainAndNumberHasAKeyOfItsOwn) {
  KeyUse use;
  EXPECT_FALSE(use.on_slice(Slice{}.bytes()));
  EXPECT_FALSE(use.on_slice(Slice{.session = 't', .sealed = 'y'}.bytes()));
  EXPECT_FALSE(use.on_slice(Slice{.ratchet_key = 'l', .sealed = 'y'}.bytes()));
  EXPECT_FALSE(use.on_slice(Slice{.number = 1, .sealed = 'y'}.bytes()));
  EXPECT_FALSE(use.on_slice(Slice{.number = 10, .sealed = 'z'}.bytes()));
}

TEST(KeyUse, AnotherMessageUnderTheSameKeyIsFound) {
  KeyUse use;
  EXPECT_FALSE(use.on_slice(Slice{.number = 7}.bytes()));
  EXPECT_TRUE(use.on_slice(Slice{.number = 7, .sealed = 'y'}.bytes()));
  EXPECT_TRUE(use.on_slice(Slice{.previous_count = 3, .number = 7}.bytes()));
}

TEST(KeyUse, WhatIsNoMessageIsFound) {
  KeyUse use;
  EXPECT_TRUE(use.on_slice("canary-0123456789abcdef"));
  EXPECT_TRUE(use.on_slice(""));
}

}  // namespace
}  // namespace chatsdk::sim
