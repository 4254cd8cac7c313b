// SPDX-License-Identifier: Apache-2.0
//
// Mistakes in the cryptography that no run among honest devices shows, because both ends make them or nobody tries what
// they let through: each is planted (base/fault.h) and seen by an attack, or by an answer of docs/e2ee.md section 26,
// that goes the other way without it.
//
// Threads: one.
#include <gtest/gtest.h>

#include <functional>

#include "base/fault.h"
#include "e2ee/outcome.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

void expect_seen(Bug bug, const std::function<bool()>& is_seen) {
  EXPECT_FALSE(is_seen());
  const FaultScope planted(nullptr, bug);
  EXPECT_TRUE(is_seen());
}

Bytes changed_at(BytesView bytes, std::size_t at) {
  Bytes changed(bytes);
  changed[at] = static_cast<char>(changed[at] ^ 1);
  return changed;
}

// A session in which both have written, so that nothing of a set-up is in its messages any more.
struct Talk {
  Talk() : alice(alices_end()), bob(begin()) {
    EXPECT_EQ(alice.open(bob.encrypt()), Code::kOk);
    EXPECT_EQ(bob.open(alice.encrypt()), Code::kOk);
  }
  End alice;
  End bob;

 private:
  End begin() {
    const Bytes first = alice.encrypt();
    End end = bobs_end(first, kThen);
    EXPECT_EQ(end.open(first), Code::kOk);
    return end;
  }
};

// The length of the chain before means nothing in a chain that is known: only the associated data holds it.
TEST(PlantedInEncryption, AssociatedDataDropped) {
  constexpr std::size_t kPreviousCountAt = 2 + SessionId::size() + AgreementKey::size();
  expect_seen(Bug::kAssociatedDataDropped, [] {
    Talk talk;
    return talk.bob.open(changed_at(talk.alice.encrypt(), kPreviousCountAt)) == Code::kOk;
  });
}

TEST(PlantedInEncryption, LabelsSwapped) {
  expect_seen(Bug::kLabelsSwapped, [] {
    Talk talk;
    EXPECT_EQ(talk.bob.open(talk.alice.encrypt()), Code::kOk) << "both ends agree, whatever the labels";
    End alice = alices_end();
    const Bytes m0 = alice.encrypt(padded_text(0x51, "hello"), repeated(0x61, 32) + repeated(0x62, 24));
    return hex_hash(m0) != "23894d008f1560620a1c1ca526de0459062ee52aa7682d66e50ad46bcd4f7aba";
  });
}

TEST(PlantedInEncryption, UsedKeyKept) {
  expect_seen(Bug::kUsedKeyKept, [] {
    Talk talk;
    const Bytes earlier = talk.alice.encrypt();
    EXPECT_EQ(talk.bob.open(talk.alice.encrypt()), Code::kOk);
    EXPECT_EQ(talk.bob.open(earlier), Code::kOk);
    return talk.bob.open(earlier) == Code::kOk;
  });
}

// Of a message that was sealed under the key with another commitment: the cipher's own tag is right for it.
TEST(PlantedInEncryption, CommitmentSkipped) {
  const SealKey key = SealKey::copy_of(repeated(0x01, 32) + repeated(0x02, 32));
  const Bytes sealed = bytes_of_hex(
      "0303030303030303030303030303030303030303030303030404040404040404040404040404040404040404040404040404040404040404"
      "3e6c6e189ee3715940218989239d67e7494233a359");
  expect_seen(Bug::kCommitmentSkipped, [&] { return unseal(key, sealed, "bound").has_value(); });
}

TEST(PlantedInEncryption, ListSignatureUnchecked) {
  const Person alice = e2ee::alice();
  const Bytes forged = changed_at(alice.list.bytes, alice.list.bytes.size() - 1);
  expect_seen(Bug::kListSignatureUnchecked, [&] { return valid_device_list(forged, alice.user_id).has_value(); });
}

}  // namespace
}  // namespace chatsdk::e2ee
