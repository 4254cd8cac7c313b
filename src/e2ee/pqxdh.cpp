// SPDX-License-Identifier: Apache-2.0
#include "e2ee/pqxdh.h"

#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/outcome.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kSetUpVersion = 1;
constexpr std::uint8_t kTypeSetUp = 1;
constexpr std::uint8_t kTypeInner = 2;
constexpr std::uint8_t kKemAlgorithm = static_cast<std::uint8_t>(KeyKind::kMlKem768);
constexpr std::size_t kPrefixBytesWithoutRecord = 1'148;

// The results of the agreements in their order, one of zero among them or not.
class Agreements {
 public:
  void add(const AgreementSecret& secret, const AgreementKey& key) {
    auto shared = x25519(secret, key);
    all_valid_ = all_valid_ && shared;
    if (shared) results_.push_back(std::move(*shared));
  }
  bool all_valid() const { return all_valid_; }
  const std::vector<Secret<32>>& results() const { return results_; }

 private:
  std::vector<Secret<32>> results_;
  bool all_valid_ = true;
};

SetUpKeys derive(const Hash& transcript, const Agreements& agreements, const Secret<32>& shared_secret) {
  Writer input(6 * 32);
  input.raw(Bytes(32, '\xFF'));
  for (const Secret<32>& result : agreements.results()) input.raw(view(result));
  input.raw(view(shared_secret));
  const auto derived = hkdf<64>(no_salt(), input.view(), {label::kPqxdhKeys.bytes(), transcript.view()});
  auto [root, associated] = halves(derived);
  const Hash named = hash(label::kSessionId, {transcript.view()});
  return {std::move(root), Associated::from(view(associated)), SessionId::from(named.view())};
}

Bytes prefix_of(const TranscriptParts& parts, const Bundle& bundle) {
  Writer writer(kPrefixBytesWithoutRecord + parts.initiators_record.size());
  writer.u8(kSetUpVersion)
      .u8(kTypeSetUp)
      .u8(parts.suite)
      .lp(parts.initiators_record)
      .u64(parts.initiators_list_version);
  writer.raw(parts.ephemeral).u32(bundle.signed_prekey.key_id);
  writer.u32(bundle.one_time_prekey ? bundle.one_time_prekey->key_id : 0);
  writer.u8(kKemAlgorithm).u32(bundle.kem_prekey.key_id).raw(parts.ciphertext);
  return writer.take();
}

bool is_of_kind(const OwnPrekey* prekey, std::uint32_t key_id, PrekeyKind kind) {
  return prekey != nullptr && prekey->key_id == key_id && prekey->kind == kind;
}

bool has_its_prekeys(const SetUpMessage& message, const Responder& responder) {
  if (!is_of_kind(responder.signed_prekey, message.signed_id, PrekeyKind::kSigned)) return false;
  const bool needs_one_time = message.one_time_id != 0;
  if (needs_one_time && !is_of_kind(responder.one_time_prekey, message.one_time_id, PrekeyKind::kOneTime)) return false;
  return is_of_kind(responder.kem_prekey, message.kem_id, PrekeyKind::kOneTimeKem) ||
         is_of_kind(responder.kem_prekey, message.kem_id, PrekeyKind::kLastResort);
}

const AgreementSecret& agreement_secret_of(const OwnPrekey& prekey) { return std::get<AgreementSecret>(prekey.secret); }

}  // namespace

Hash transcript_hash(const TranscriptParts& parts) {
  Writer writer(4'096);
  writer.u8(parts.suite).u64(parts.initiators_list_version);
  writer.lp(parts.initiators_record).lp(parts.responders_record).key(parts.ephemeral);
  writer.lp(parts.signed_body).lp(parts.one_time_body).lp(parts.kem_body).lp(parts.ciphertext);
  return hash(label::kPqxdhTranscript, {writer.view()});
}

Result<BegunSetUp> begin_set_up(const Initiator& initiator, const Bundle& bundle, AgreementSecret ephemeral,
                                Kem::Message kem_random, const Kem& kem) {
  const AgreementKey& signed_key = bundle.signed_prekey.agreement_key;
  Agreements agreements;
  agreements.add(initiator.agreement_secret, signed_key);
  agreements.add(ephemeral, bundle.record.agreement_key);
  agreements.add(ephemeral, signed_key);
  if (bundle.one_time_prekey) agreements.add(ephemeral, bundle.one_time_prekey->agreement_key);
  if (!agreements.all_valid()) return untrusted();
  CHATSDK_ASSIGN(const Kem::Encapsulation encapsulated,
                 kem.encapsulate(bundle.kem_prekey.encapsulation_key(), std::move(kem_random)));

  TranscriptParts parts;
  parts.suite = common_suite(initiator.record, bundle.record);
  parts.initiators_list_version = initiator.list_version;
  parts.initiators_record = initiator.record.bytes;
  parts.responders_record = bundle.record.bytes;
  parts.ephemeral = public_of(ephemeral);
  parts.signed_body = bundle.signed_prekey.body();
  if (bundle.one_time_prekey) parts.one_time_body = bundle.one_time_prekey->body();
  parts.kem_body = bundle.kem_prekey.body();
  parts.ciphertext = {reinterpret_cast<const char*>(encapsulated.ciphertext.data()), encapsulated.ciphertext.size()};

  BegunSetUp begun;
  begun.keys = derive(transcript_hash(parts), agreements, encapsulated.shared_secret);
  begun.suite = parts.suite;
  begun.peer_ratchet_key = signed_key;
  begun.prefix = prefix_of(parts, bundle);
  return begun;
}

// The key of EK is checked by check_set_up(), behind what else is asked there: the order decides the outcome.
std::optional<SetUpMessage> parse_set_up_message(BytesView bytes) {
  Reader reader(bytes);
  SetUpMessage message;
  reader.expect_u8(kSetUpVersion);
  reader.expect_u8(kTypeSetUp);
  message.suite = reader.u8();
  message.initiators_record = reader.lp(0, bytes.size());
  message.list_version = reader.u64();
  message.ephemeral = reader.fixed<AgreementKey>();
  message.signed_id = reader.u32();
  message.one_time_id = reader.u32();
  message.kem_algorithm = reader.u8();
  message.kem_id = reader.u32();
  message.ciphertext = reader.raw(mlkem768::kCiphertextBytes);
  message.prefix = reader.seen();

  message.inner = bytes.substr(reader.position());
  reader.expect_u8(kSetUpVersion);
  reader.expect_u8(kTypeInner);
  message.session_id = reader.fixed<SessionId>();
  reader.require(message.list_version <= limits::e2ee::kListVersionMax);
  if (reader.failed() || bytes.size() > limits::e2ee::kMessageMax) return std::nullopt;
  return message;
}

Status check_set_up(const SetUpMessage& message, const DeviceRecord& sender, const DeviceRecord& own) {
  if (message.initiators_record != sender.bytes) return untrusted();
  if (message.suite != common_suite(sender, own) || message.kem_algorithm != kKemAlgorithm ||
      !is_valid(message.ephemeral)) {
    return bad_message();
  }
  return {};
}

Result<AcceptedSetUp> accept_set_up(const SetUpMessage& message, const DeviceRecord& sender, const Responder& responder,
                                    const Kem& kem) {
  if (!has_its_prekeys(message, responder)) return no_session();
  const OwnPrekey& signed_prekey = *responder.signed_prekey;
  const OwnPrekey* one_time = message.one_time_id != 0 ? responder.one_time_prekey : nullptr;
  const OwnPrekey& kem_prekey = *responder.kem_prekey;
  const bool last_resort = kem_prekey.kind == PrekeyKind::kLastResort;
  if (last_resort && (responder.was_seen || responder.seen_count >= limits::e2ee::kSeenMax)) return no_session();

  Agreements agreements;
  agreements.add(agreement_secret_of(signed_prekey), sender.agreement_key);
  agreements.add(responder.agreement_secret, message.ephemeral);
  agreements.add(agreement_secret_of(signed_prekey), message.ephemeral);
  if (one_time != nullptr) agreements.add(agreement_secret_of(*one_time), message.ephemeral);
  if (!agreements.all_valid()) return bad_message();
  const auto opened = kem.decapsulate(std::get<Kem::Seed>(kem_prekey.secret), message.ciphertext);
  if (!opened) return bad_message();

  const AgreementKey signed_key = public_of(agreement_secret_of(signed_prekey));
  const Bytes signed_body = prekey_body(signed_prekey, signed_key);
  const Bytes kem_body = prekey_body(kem_prekey, opened->public_key);
  Bytes one_time_body;
  if (one_time != nullptr) one_time_body = prekey_body(*one_time, public_of(agreement_secret_of(*one_time)));
  TranscriptParts parts;
  parts.suite = message.suite;
  parts.initiators_list_version = message.list_version;
  parts.initiators_record = message.initiators_record;
  parts.responders_record = responder.record.bytes;
  parts.ephemeral = message.ephemeral;
  parts.signed_body = signed_body;
  parts.one_time_body = one_time_body;
  parts.kem_body = kem_body;
  parts.ciphertext = message.ciphertext;

  AcceptedSetUp accepted;
  accepted.keys = derive(transcript_hash(parts), agreements, opened->shared_secret);
  if (accepted.keys.session_id != message.session_id) return bad_message();
  accepted.suite = message.suite;
  accepted.ratchet_secret = agreement_secret_of(signed_prekey).clone();
  accepted.ratchet_public = signed_key;
  if (one_time != nullptr) accepted.used_up.push_back(one_time->key_id);
  if (!last_resort) accepted.used_up.push_back(kem_prekey.key_id);
  accepted.note_seen = last_resort;
  return accepted;
}

}  // namespace chatsdk::e2ee
