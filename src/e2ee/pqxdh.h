// SPDX-License-Identifier: Apache-2.0
//
// The set-up of a session (docs/e2ee.md section 7): X25519 and ML-KEM-768 together, bound to both devices by the
// transcript. It yields the first root key; what a session makes of it is in e2ee/ratchet.h. It does not know where
// prekeys are kept, nor which list counts: both are handed in.
//
// Threads: values and pure functions.
// Invariants:
//   1. Every secret that a set-up computes is wiped before its function returns, the result apart.
//   2. A refusal returns nothing; what it looked at is unchanged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "e2ee/device_record.h"
#include "e2ee/kem.h"
#include "e2ee/prekeys.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

using Associated = Fixed<struct AssociatedTag, 32>;  // AD: public to both, to nobody else

// What both sides compute.
struct SetUpKeys {
  Secret<32> root;
  Associated associated;
  SessionId session_id;
};

// Everything that the transcript binds, as it came.
struct TranscriptParts {
  std::uint8_t suite = 1;
  std::uint64_t initiators_list_version = 0;
  BytesView initiators_record;
  BytesView responders_record;
  AgreementKey ephemeral;  // EK
  BytesView signed_body;
  BytesView one_time_body;  // empty: none
  BytesView kem_body;
  BytesView ciphertext;
};
Hash transcript_hash(const TranscriptParts& parts);

// ---- The initiator --------------------------------------------------------------------------------------------------

struct Initiator {
  const DeviceRecord& record;
  const AgreementSecret& agreement_secret;
  std::uint64_t list_version;  // the newest of the own list, which names the record
};
struct BegunSetUp {
  SetUpKeys keys;
  std::uint8_t suite = 1;
  AgreementKey peer_ratchet_key;  // SPK
  Bytes prefix;
};
// With random bytes that are used up. UNTRUSTED for a zero result, which no checked bundle gives; CRYPTO where the
// provider fails.
Result<BegunSetUp> begin_set_up(const Initiator& initiator, const Bundle& bundle, AgreementSecret ephemeral,
                                Kem::Message kem_random, const Kem& kem);

// ---- The responder --------------------------------------------------------------------------------------------------

// A message of type 1, taken apart; it points into the message. Only lengths and types were checked.
struct SetUpMessage {
  BytesView prefix;
  std::uint8_t suite = 0;
  BytesView initiators_record;
  std::uint64_t list_version = 0;
  AgreementKey ephemeral;  // not yet checked
  std::uint32_t signed_id = 0;
  std::uint32_t one_time_id = 0;  // 0: none
  std::uint8_t kem_algorithm = 0;
  std::uint32_t kem_id = 0;
  BytesView ciphertext;
  BytesView inner;       // a message of type 2, of which only the beginning was read
  SessionId session_id;  // of the inner message
};
std::optional<SetUpMessage> parse_set_up_message(BytesView message);

// The refusals that come before the set-up counts against its sender's rate. `sender` is the record that the sender's
// list in the item's roster names for the device. UNTRUSTED, BAD_MESSAGE.
Status check_set_up(const SetUpMessage& message, const DeviceRecord& sender, const DeviceRecord& own);

struct Responder {
  const DeviceRecord& record;
  const AgreementSecret& agreement_secret;
  // Own prekeys of the ids that the message names, nullptr for those that are not kept.
  const OwnPrekey* signed_prekey;
  const OwnPrekey* one_time_prekey;
  const OwnPrekey* kem_prekey;
  // Of a last-resort prekey: whether its id and this EK were noted before, and how many are noted under it.
  bool was_seen;
  std::size_t seen_count;
};
struct AcceptedSetUp {
  SetUpKeys keys;
  std::uint8_t suite = 1;
  AgreementSecret ratchet_secret;  // SPK's pair: the first root step uses it and wipes it
  AgreementKey ratchet_public;
  // In the transaction that keeps the session: prekeys to delete, or the set-up to note as seen under the last-resort
  // one.
  std::vector<std::uint32_t> used_up;
  bool note_seen = false;
};
// Of a message that check_set_up() let through. NO_SESSION, BAD_MESSAGE; CRYPTO (the same code) where the
// provider fails.
Result<AcceptedSetUp> accept_set_up(const SetUpMessage& message, const DeviceRecord& sender, const Responder& responder,
                                    const Kem& kem);

}  // namespace chatsdk::e2ee
