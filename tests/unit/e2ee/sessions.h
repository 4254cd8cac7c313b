// SPDX-License-Identifier: Apache-2.0
//
// Two ends of a session for tests: Alice's and Bob's of docs/e2ee.md section 26, with the random bytes that are written
// there.
//
// Threads: one owner.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/limits.h"
#include "e2ee/envelope.h"
#include "e2ee/padding.h"
#include "e2ee/pqxdh.h"
#include "e2ee/ratchet.h"
#include "e2ee/session_rows.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {

// Gives the bytes that it was given, and no others.
class GivenRandom final : public Random {
 public:
  explicit GivenRandom(Bytes bytes) : bytes_(std::move(bytes)) {}
  ~GivenRandom() override { EXPECT_EQ(used_, bytes_.size()) << "random bytes that nobody drew"; }
  void fill(std::span<unsigned char> out) override {
    ASSERT_LE(out.size(), bytes_.size() - used_) << "more random bytes were drawn than given";
    for (auto& byte : out) byte = static_cast<unsigned char>(bytes_[used_++]);
  }

 private:
  Bytes bytes_;
  std::size_t used_ = 0;
};

// An envelope between the two, padded.
inline Bytes padded_text(unsigned char id, std::string_view text) {
  Envelope envelope;
  envelope.client_message_id = ClientMessageId::from_bytes(repeated(id, 16)).value();
  envelope.binding = DirectBinding::of("alice", "bob");
  envelope.sender_time_ms = kThen;
  Writer content;  // a Content with a text of fewer than 128 bytes
  content.u8(0x0a).u8(static_cast<std::uint8_t>(text.size() + 2)).u8(0x0a).u8(static_cast<std::uint8_t>(text.size()));
  content.raw(text);
  envelope.body = content.take();
  return padded(serialize(envelope));
}

// One device's end.
struct End {
  Session session;
  Peer peer;

  Bytes encrypt(BytesView padded, Bytes drawn) {
    GivenRandom given(std::move(drawn));
    return e2ee::encrypt(session, padded, given).value();
  }
  // With random bytes that matter to nobody.
  Bytes encrypt(std::string_view text = "text") { return e2ee::encrypt(session, padded_text(1, text), random).value(); }
  Result<Opened> look_into(BytesView message, std::uint64_t now_ms = kThen,
                           std::uint32_t jump_max = limits::e2ee::kJumpMax) const {
    const auto set_up = parse_set_up_message(message);
    return set_up ? e2ee::open(session, set_up->prefix, set_up->inner, jump_max, now_ms)
                  : e2ee::open(session, {}, message, jump_max, now_ms);
  }
  Code open(BytesView message, std::uint64_t now_ms = kThen) {
    auto opened = look_into(message, now_ms);
    if (!opened) return opened.code();
    session = std::move(opened->session);
    last = std::move(opened->padded);
    return Code::kOk;
  }
  std::string state() const {
    const SecretRows rows = session_rows(session, peer);
    return to_hex(state_hash(rows.view()).view());
  }

  Bytes last;  // what was opened last
  SeededRandom random{1};
};

inline End alices_end() {
  const Person alice = e2ee::alice();
  const Person bob = e2ee::bob();
  const Bundle bundle = check_bundle(bobs_bundle(true), bob.record, own_kem()).value();
  auto begun = begin_set_up({alice.record, alice.keys.agreement_secret, 1}, bundle, secret_of<32>(0x41),
                            secret_of<32>(0x42), own_kem());
  return {begun_session(std::move(*begun), bob.record.hash, kThen), {"bob", DeviceId{2}}, {}, SeededRandom(1)};
}

// Accepts the message's set-up, and has not opened it yet.
inline End bobs_end(BytesView first_message, std::uint64_t now_ms) {
  const Person alice = e2ee::alice();
  const Person bob = e2ee::bob();
  const OwnPrekey signed_prekey = bobs_prekey(1);
  const OwnPrekey one_time = bobs_prekey(3);
  const OwnPrekey kem = bobs_prekey(4);
  auto accepted =
      accept_set_up(parse_set_up_message(first_message).value(), alice.record,
                    {bob.record, bob.keys.agreement_secret, &signed_prekey, &one_time, &kem, false, 0}, own_kem());
  return {
      accepted_session(std::move(*accepted), alice.record.hash, now_ms), {"alice", DeviceId{1}}, {}, SeededRandom(2)};
}

}  // namespace chatsdk::e2ee
