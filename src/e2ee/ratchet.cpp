// SPDX-License-Identifier: Apache-2.0
#include "e2ee/ratchet.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/fault.h"
#include "base/limits.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kPairwiseVersion = 1;
constexpr std::uint8_t kTypePairwise = 2;
constexpr std::size_t kHeaderBytes = 52;
static_assert(kHeaderBytes + kSealOverheadBytes == kPairwiseOverheadBytes);

struct Step {
  Secret<32> next;
  Secret<32> key;
};

// root' and the key of the chain that begins.
Step root_step(const Secret<32>& root, const Secret<32>& shared) {
  auto [next, key] = halves(hkdf<64>(view(root), view(shared), {label::kRatchetRoot.bytes()}));
  return {std::move(next), std::move(key)};
}

// ck' and the message key of the number that ck stood for.
Step chain_step(const Secret<32>& chain_key) {
  const Label& named = CHATSDK_PLANTED(Bug::kLabelsSwapped) ? label::kMessage : label::kRatchetChain;
  auto [next, key] = halves(hmac(view(chain_key), {named.bytes()}));
  return {std::move(next), std::move(key)};
}

SealKey message_keys(const Secret<32>& message_key) {
  const Label& named = CHATSDK_PLANTED(Bug::kLabelsSwapped) ? label::kRatchetChain : label::kMessage;
  return hmac(view(message_key), {named.bytes()});
}

Bytes associated_data(const Session& session, BytesView prefix, BytesView header) {
  if (CHATSDK_PLANTED(Bug::kAssociatedDataDropped)) return {};
  Bytes bytes;
  bytes.reserve(Associated::size() + prefix.size() + header.size());
  return bytes.append(session.associated.view()).append(prefix).append(header);
}

ReceivingChain* chain_of(Session& session, const AgreementKey& ratchet_key) {
  const auto at =
      std::find_if(session.chains.begin(), session.chains.end(),
                   [&ratchet_key](const ReceivingChain& chain) { return chain.ratchet_key == ratchet_key; });
  return at == session.chains.end() ? nullptr : &*at;
}

ReceivingChain* current_chain(Session& session) {
  if (session.chains.empty() || session.chains.back().number != session.chains_begun) return nullptr;
  return &session.chains.back();
}

// The key of the message, with those before it put among the skipped ones; of a long jump only as many as are kept.
Secret<32> advance(Session& session, ReceivingChain& chain, std::uint32_t number, std::uint64_t now_ms) {
  while (chain.next < number) {
    Step step = chain_step(chain.chain_key);
    chain.chain_key = std::move(step.next);
    if (number - chain.next <= limits::e2ee::kSkippedSessionMax) {
      session.skipped.add(chain.number, chain.next, step.key, now_ms);
    }
    ++chain.next;
  }
  Step step = chain_step(chain.chain_key);
  chain.chain_key = std::move(step.next);
  ++chain.next;
  return std::move(step.key);
}

// Of a chain that is there.
Result<Secret<32>> key_in_chain(Session& session, ReceivingChain& chain, std::uint32_t number, std::uint32_t jump_max,
                                std::uint64_t now_ms) {
  if (number < chain.next) {
    auto key = session.skipped.take(chain.number, number);
    if (!key) return duplicate();
    return std::move(*key);
  }
  if (number >= chain.end || number - chain.next > jump_max) return bad_message();
  return advance(session, chain, number, now_ms);
}

// What was announced of the chain that ends now must be within reach.
bool is_end_within_reach(const ReceivingChain* current, std::uint32_t previous_count, std::uint32_t jump_max) {
  if (current == nullptr) return previous_count == 0;
  return previous_count >= current->next && previous_count - current->next <= jump_max;
}

// Of a ratchet key that is new: a chain begins, and the own ratchet key is answered.
Result<Secret<32>> key_in_new_chain(Session& session, const PairwiseMessage& message, std::uint32_t jump_max,
                                    std::uint64_t now_ms) {
  if (!session.ratchet_secret) return bad_message();
  ReceivingChain* current = current_chain(session);
  if (!is_end_within_reach(current, message.previous_count, jump_max)) return bad_message();
  if (message.number > jump_max) return bad_message();
  const auto shared = x25519(*session.ratchet_secret, message.ratchet_key);
  if (!shared) return bad_message();

  Step step = root_step(session.root, *shared);
  session.root = std::move(step.next);
  if (current != nullptr) {
    current->end = message.previous_count;
    current->superseded_ms = now_ms;
  }
  ++session.chains_begun;
  ReceivingChain chain;
  chain.number = session.chains_begun;
  chain.ratchet_key = message.ratchet_key;
  chain.chain_key = std::move(step.key);
  chain.end = limits::e2ee::kCountMax;
  session.chains.push_back(std::move(chain));

  session.previous_count = session.sending_key ? session.send_count : 0;
  session.send_count = 0;
  session.ratchet_secret.reset();
  session.ratchet_public = {};
  session.sending_key.reset();
  session.peer_ratchet_key = message.ratchet_key;
  return advance(session, session.chains.back(), message.number, now_ms);
}

void drop_surplus(Session& session) {
  std::erase_if(session.chains, [&session](const ReceivingChain& chain) {
    return chain.number != session.chains_begun && chain.next >= chain.end && !session.skipped.has_chain(chain.number);
  });
  while (session.chains.size() > limits::e2ee::kChainsMax) {
    session.skipped.drop_chain(session.chains.front().number);
    session.chains.erase(session.chains.begin());
  }
  session.skipped.drop_lowest(limits::e2ee::kSkippedSessionMax);
}

// A sending chain for a session that has none: its pair and key, and the root behind it.
struct SendingChain {
  AgreementSecret secret;
  AgreementKey public_key;
  Step step;
};
Result<SendingChain> begin_sending_chain(const Session& session, Random& random) {
  if (!session.peer_ratchet_key) return error(Code::kWrongState, "session without a ratchet key of the peer");
  SendingChain chain;
  chain.secret = draw_secret<32>(random);
  chain.public_key = public_of(chain.secret);
  const auto shared = x25519(chain.secret, *session.peer_ratchet_key);
  if (!shared) return bad_message();
  chain.step = root_step(session.root, *shared);
  return chain;
}

std::optional<Secret<32>> cloned(const std::optional<Secret<32>>& secret) {
  if (!secret) return std::nullopt;
  return secret->clone();
}

}  // namespace

ReceivingChain ReceivingChain::clone() const {
  return {number, ratchet_key, chain_key.clone(), next, end, superseded_ms};
}

Session Session::clone() const {
  Session copy;
  copy.peer_record = peer_record;
  copy.session_id = session_id;
  copy.suite = suite;
  copy.role = role;
  copy.status = status;
  copy.associated = associated;
  copy.root = root.clone();
  copy.ratchet_secret = cloned(ratchet_secret);
  copy.ratchet_public = ratchet_public;
  copy.sending_key = cloned(sending_key);
  copy.send_count = send_count;
  copy.previous_count = previous_count;
  copy.peer_ratchet_key = peer_ratchet_key;
  copy.chains_begun = chains_begun;
  copy.created_ms = created_ms;
  copy.archived_ms = archived_ms;
  copy.prefix = prefix;
  copy.chains.reserve(chains.size() + 1);
  for (const ReceivingChain& chain : chains) copy.chains.push_back(chain.clone());
  copy.skipped = skipped.clone();
  return copy;
}

Session begun_session(BegunSetUp begun, const Hash& peer_record, std::uint64_t now_ms) {
  Session session;
  session.peer_record = peer_record;
  session.session_id = begun.keys.session_id;
  session.suite = begun.suite;
  session.role = Role::kBegan;
  session.associated = begun.keys.associated;
  session.root = std::move(begun.keys.root);
  session.peer_ratchet_key = begun.peer_ratchet_key;
  session.created_ms = now_ms;
  session.prefix = std::move(begun.prefix);
  return session;
}

Session accepted_session(AcceptedSetUp accepted, const Hash& peer_record, std::uint64_t now_ms) {
  Session session;
  session.peer_record = peer_record;
  session.session_id = accepted.keys.session_id;
  session.suite = accepted.suite;
  session.role = Role::kAccepted;
  session.associated = accepted.keys.associated;
  session.root = std::move(accepted.keys.root);
  session.ratchet_secret = std::move(accepted.ratchet_secret);
  session.ratchet_public = accepted.ratchet_public;
  session.created_ms = now_ms;
  return session;
}

std::optional<PairwiseMessage> parse_pairwise_message(BytesView bytes) {
  Reader reader(bytes);
  PairwiseMessage message;
  reader.expect_u8(kPairwiseVersion);
  reader.expect_u8(kTypePairwise);
  message.session_id = reader.fixed<SessionId>();
  message.ratchet_key = reader.fixed<AgreementKey>();
  message.previous_count = reader.u32();
  message.number = reader.u32();
  reader.require(reader.u16() == 0);
  reader.require(message.previous_count < limits::e2ee::kCountMax && message.number < limits::e2ee::kCountMax);
  message.header = reader.seen();
  message.sealed = bytes.substr(reader.position());
  reader.require(message.sealed.size() >= kPaddedMin + kSealOverheadBytes &&
                 message.sealed.size() <= limits::e2ee::kPaddedMax + kSealOverheadBytes);
  if (reader.failed() || !is_valid(message.ratchet_key)) return std::nullopt;
  return message;
}

Result<Bytes> encrypt(Session& session, BytesView padded, Random& random) {
  if (padded.size() < kPaddedMin || padded.size() > limits::e2ee::kPaddedMax) {
    return error(Code::kTooLarge, "padded envelope of " + std::to_string(padded.size()) + " B, limit " +
                                      std::to_string(limits::e2ee::kPaddedMax) + " B");
  }
  if (session.sending_key && session.send_count >= limits::e2ee::kCountMax - 1) {
    return error(Code::kLimitReached, "messages of a sending chain");
  }
  if (!session.sending_key) {
    CHATSDK_ASSIGN(SendingChain chain, begin_sending_chain(session, random));
    session.ratchet_secret = std::move(chain.secret);
    session.ratchet_public = chain.public_key;
    session.root = std::move(chain.step.next);
    session.sending_key = std::move(chain.step.key);
    session.send_count = 0;
  }
  const auto nonce = draw<Nonce>(random);
  Step step = chain_step(*session.sending_key);
  session.sending_key = std::move(step.next);

  Writer header(kHeaderBytes);
  header.u8(kPairwiseVersion).u8(kTypePairwise).raw(session.session_id).raw(session.ratchet_public);
  header.u32(session.previous_count).u32(session.send_count).u16(0);
  ++session.send_count;
  const Bytes bound = associated_data(session, session.prefix, header.view());
  Bytes message = session.prefix;
  message.append(header.view());
  message.append(seal(message_keys(step.key), nonce, padded, bound));
  return message;
}

Result<Opened> open(const Session& session, BytesView prefix, BytesView bytes, std::uint32_t jump_max,
                    std::uint64_t now_ms) {
  const auto message = parse_pairwise_message(bytes);
  if (!message || message->session_id != session.session_id) return bad_message();
  Session next = session.clone();
  ReceivingChain* chain = chain_of(next, message->ratchet_key);
  auto key = chain != nullptr ? key_in_chain(next, *chain, message->number, jump_max, now_ms)
                              : key_in_new_chain(next, *message, jump_max, now_ms);
  if (!key) return std::move(key).error();
  auto padded = unseal(message_keys(*key), message->sealed, associated_data(session, prefix, message->header));
  if (!padded) return bad_message();
  next.prefix.clear();
  drop_surplus(next);
  return Opened{std::move(*padded), std::move(next)};
}

bool age(Session& session, std::uint64_t now_ms, const Lifetimes& lifetimes) {
  const std::size_t skipped_before = session.skipped.size();
  session.skipped.drop_if([now_ms, &lifetimes](const SkippedKeys::Entry& entry) {
    return is_old(now_ms, entry.created_ms, lifetimes.skipped_kept);
  });
  const auto old_chains = std::erase_if(session.chains, [&session, now_ms, &lifetimes](const ReceivingChain& chain) {
    const bool goes =
        chain.number != session.chains_begun && is_old(now_ms, chain.superseded_ms, lifetimes.skipped_kept);
    if (goes) session.skipped.drop_chain(chain.number);
    return goes;
  });
  return old_chains > 0 || session.skipped.size() != skipped_before;
}

}  // namespace chatsdk::e2ee
