// SPDX-License-Identifier: Apache-2.0
//
// A pairwise session and the Double Ratchet that drives it (docs/e2ee.md section 8), as values: encrypting and opening
// compute the next state of a session. It does not know with whom the session is, which of several sessions sends, nor
// where they are kept.
//
// Threads: values and pure functions.
// Invariants:
//   1. open() works on a copy: where it fails, the session that it was given is as before. encrypt() changes its
//      session only when it succeeds.
//   2. A message key exists while it is used, or among the skipped keys; a chain key only for its next number.
//   3. The receiving chains ascend by their numbers; the current one is number chains_begun, where there is one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "e2ee/lifetimes.h"
#include "e2ee/pqxdh.h"
#include "e2ee/primitives.h"
#include "e2ee/skipped_keys.h"

namespace chatsdk::e2ee {

enum class Role : std::uint8_t { kBegan = 1, kAccepted = 2 };
enum class SessionStatus : std::uint8_t { kActive = 1, kArchived = 2 };

struct ReceivingChain {
  std::uint32_t number = 0;
  AgreementKey ratchet_key;
  Secret<32> chain_key;  // for the number `next`
  std::uint32_t next = 0;
  std::uint32_t end = 0;
  std::uint64_t superseded_ms = 0;

  ReceivingChain clone() const;
};

struct Session {
  Hash peer_record;
  SessionId session_id;
  std::uint8_t suite = 1;
  Role role = Role::kBegan;
  SessionStatus status = SessionStatus::kActive;
  Associated associated;  // AD
  Secret<32> root;
  std::optional<AgreementSecret> ratchet_secret;
  AgreementKey ratchet_public;  // zeros where there is no secret
  std::optional<Secret<32>> sending_key;
  std::uint32_t send_count = 0;                  // N of the next message
  std::uint32_t previous_count = 0;              // PN
  std::optional<AgreementKey> peer_ratchet_key;  // none until the first message of a session that was accepted
  std::uint32_t chains_begun = 0;
  std::uint64_t created_ms = 0;
  std::uint64_t archived_ms = 0;
  Bytes prefix;  // of the set-up, until a message was opened; empty: none
  std::vector<ReceivingChain> chains;
  SkippedKeys skipped;

  Session clone() const;
};

// Both for the device whose record this is.
Session begun_session(BegunSetUp begun, const Hash& peer_record, std::uint64_t now_ms);
// The message that came with the set-up is still to be opened in it.
Session accepted_session(AcceptedSetUp accepted, const Hash& peer_record, std::uint64_t now_ms);

// A message of type 2, taken apart; it points into the message.
struct PairwiseMessage {
  BytesView header;  // all before the nonce
  SessionId session_id;
  AgreementKey ratchet_key;
  std::uint32_t previous_count = 0;
  std::uint32_t number = 0;
  BytesView sealed;
};
inline constexpr std::size_t kPairwiseOverheadBytes = 124;
std::optional<PairwiseMessage> parse_pairwise_message(BytesView bytes);

// The whole message, with the set-up prefix while there is one. TOO_LARGE; LIMIT_REACHED when the session's numbers are
// used up: it is archived and another one begun; WRONG_STATE before an accepted session has opened a message.
Result<Bytes> encrypt(Session& session, BytesView padded, Random& random);

struct Opened {
  Bytes padded;
  Session session;  // takes the place of the one before in the transaction that stores what the message held
};
// `prefix` is that of a set-up message, or empty. jump_max: limits::e2ee::kJumpMax, or kJumpMaxOwn for a device of the
// same user. BAD_MESSAGE, DUPLICATE.
Result<Opened> open(const Session& session, BytesView prefix, BytesView message, std::uint32_t jump_max,
                    std::uint64_t now_ms);

// Deletes the skipped keys and the earlier chains that are old (section 11.4); false where nothing was.
bool age(Session& session, std::uint64_t now_ms, const Lifetimes& lifetimes = kLifetimes);

}  // namespace chatsdk::e2ee
