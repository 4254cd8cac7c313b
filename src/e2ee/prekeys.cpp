// SPDX-License-Identifier: Apache-2.0
#include "e2ee/prekeys.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/fault.h"
#include "base/limits.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kKeyAt = 5;  // behind kind and key_id
constexpr std::size_t kAgreementBodyBytes = kKeyAt + 1 + AgreementKey::size() + 8;
constexpr std::size_t kKemBodyBytes = kKeyAt + 1 + mlkem768::kEncapsulationKeyBytes + 8;
static_assert(kAgreementBodyBytes == 46 && kKemBodyBytes == 1'198);

constexpr std::size_t body_bytes(PrekeyKind kind) { return is_kem(kind) ? kKemBodyBytes : kAgreementBodyBytes; }

// nullptr for the kind that is not signed.
const Label* signature_label(PrekeyKind kind) {
  switch (kind) {
    case PrekeyKind::kSigned:
      return &label::kSigSignedPrekey;
    case PrekeyKind::kOneTime:
      return nullptr;
    case PrekeyKind::kOneTimeKem:
      return &label::kSigKemPrekey;
    case PrekeyKind::kLastResort:
      return &label::kSigLastResort;
  }
  return nullptr;
}

Bytes signed_bytes(const PrekeyOwner& owner, BytesView body) {
  Writer writer(16 + limits::kUserIdBytesMax + body.size());
  writer.user(owner.user_id).u64(owner.device_id.value).raw(body);
  return writer.take();
}

PrekeyKind read_kind(Reader& reader) {
  const std::uint8_t value = reader.u8();
  reader.require(value >= static_cast<std::uint8_t>(PrekeyKind::kSigned) &&
                 value <= static_cast<std::uint8_t>(PrekeyKind::kLastResort));
  return static_cast<PrekeyKind>(reader.failed() ? std::uint8_t{1} : value);
}

bool differ(const Prekey& a, const Prekey& b) { return a.key_id != b.key_id; }

// Step 2 and 3 of section 6: kinds, lengths, key ids, algorithms, X25519 keys.
std::optional<Bundle> parse_bundle(const BundleBytes& bytes, const DeviceRecord& listed) {
  auto signed_prekey = parse_prekey(bytes.signed_prekey);
  if (!signed_prekey || signed_prekey->kind != PrekeyKind::kSigned) return std::nullopt;
  auto kem_prekey = parse_prekey(bytes.kem_prekey);
  if (!kem_prekey || !is_kem(kem_prekey->kind) || !differ(*signed_prekey, *kem_prekey)) return std::nullopt;
  Bundle bundle{listed, std::move(*signed_prekey), std::move(*kem_prekey), std::nullopt};
  if (bytes.one_time_prekey.empty()) return bundle;
  bundle.one_time_prekey = parse_prekey(bytes.one_time_prekey);
  const auto& one_time = bundle.one_time_prekey;
  if (!one_time || one_time->kind != PrekeyKind::kOneTime || !differ(*one_time, bundle.signed_prekey) ||
      !differ(*one_time, bundle.kem_prekey)) {
    return std::nullopt;
  }
  return bundle;
}

bool is_aged(const PrekeySummary& prekey, std::size_t newer_of_its_kind, std::uint64_t now_ms,
             const Lifetimes& lifetimes) {
  if (prekey.kind == PrekeyKind::kSigned || prekey.kind == PrekeyKind::kLastResort) {
    return prekey.successor_ms != 0 && is_old(now_ms, prekey.successor_ms, lifetimes.signed_kept);
  }
  return newer_of_its_kind >= limits::e2ee::kOneTimeStored &&
         is_old(now_ms, prekey.created_ms, lifetimes.one_time_kept);
}

}  // namespace

BytesView Prekey::body() const { return BytesView(bytes).substr(0, body_bytes(kind)); }

BytesView Prekey::encapsulation_key() const {
  CHATSDK_ASSERT(is_kem(kind));
  return BytesView(bytes).substr(kKeyAt + 1, mlkem768::kEncapsulationKeyBytes);
}

std::optional<Prekey> parse_prekey(BytesView bytes) {
  Reader reader(bytes);
  Prekey prekey;
  prekey.kind = read_kind(reader);
  prekey.key_id = reader.u32();
  reader.require(prekey.key_id != 0);
  if (is_kem(prekey.kind)) {
    reader.expect_u8(static_cast<std::uint8_t>(KeyKind::kMlKem768));
    reader.raw(mlkem768::kEncapsulationKeyBytes);
  } else {
    prekey.agreement_key = reader.agreement_key();
  }
  prekey.created_ms = reader.u64();
  if (signature_label(prekey.kind) != nullptr) reader.raw(Signature::size());
  if (!reader.finished()) return std::nullopt;
  prekey.bytes = bytes;
  return prekey;
}

bool has_valid_signature(const Prekey& prekey, const PrekeyOwner& owner, const SigningKey& signing_key) {
  const Label* label = signature_label(prekey.kind);
  if (label == nullptr) return true;
  const auto signature = Signature::from(BytesView(prekey.bytes).substr(body_bytes(prekey.kind)));
  return verify(signing_key, *label, signed_bytes(owner, prekey.body()), signature);
}

Result<Bundle> check_bundle(const BundleBytes& bytes, const DeviceRecord& listed, const Kem& kem) {
  const bool is_checked = !CHATSDK_PLANTED(Bug::kBundleUnchecked);
  if (is_checked && device_record_hash(bytes.device_record) != listed.hash) return untrusted();
  auto bundle = parse_bundle(bytes, listed);
  if (!bundle) return untrusted();
  const PrekeyOwner owner{listed.user_id, listed.device_id};
  if (is_checked && !has_valid_signature(bundle->signed_prekey, owner, listed.signing_key)) return untrusted();
  if (is_checked && !has_valid_signature(bundle->kem_prekey, owner, listed.signing_key)) return untrusted();
  if (!kem.check_ek(bundle->kem_prekey.encapsulation_key())) return untrusted();
  return std::move(*bundle);
}

OwnPrekey OwnPrekey::draw(PrekeyKind kind, std::uint32_t key_id, std::uint64_t now_ms, Random& random) {
  OwnPrekey prekey;
  prekey.kind = kind;
  prekey.key_id = key_id;
  prekey.created_ms = now_ms;
  if (is_kem(kind)) {
    prekey.secret = draw_secret<64>(random);
  } else {
    prekey.secret = draw_secret<32>(random);
  }
  return prekey;
}

PrekeySummary summary_of(const OwnPrekey& prekey) {
  return {prekey.kind, prekey.key_id, prekey.created_ms, prekey.successor_ms};
}

Bytes prekey_body(const OwnPrekey& prekey, const AgreementKey& public_key) {
  Writer writer(body_bytes(prekey.kind) + Signature::size());
  writer.u8(static_cast<std::uint8_t>(prekey.kind)).u32(prekey.key_id).key(public_key).u64(prekey.created_ms);
  return writer.take();
}

Bytes prekey_body(const OwnPrekey& prekey, const Kem::EncapsulationKey& public_key) {
  Writer writer(body_bytes(prekey.kind) + Signature::size());
  writer.u8(static_cast<std::uint8_t>(prekey.kind)).u32(prekey.key_id);
  writer.u8(static_cast<std::uint8_t>(KeyKind::kMlKem768));
  writer.raw({reinterpret_cast<const char*>(public_key.data()), public_key.size()}).u64(prekey.created_ms);
  return writer.take();
}

Result<Bytes> prekey_body(const OwnPrekey& prekey, const Kem& kem) {
  if (!is_kem(prekey.kind)) return prekey_body(prekey, public_of(std::get<AgreementSecret>(prekey.secret)));
  CHATSDK_ASSIGN(const auto key, kem.public_key(std::get<Kem::Seed>(prekey.secret)));
  return prekey_body(prekey, key);
}

Result<Bytes> published(const OwnPrekey& prekey, const PrekeyOwner& owner, const SigningSeed& signing_seed,
                        const Kem& kem) {
  CHATSDK_ASSIGN(Bytes bytes, prekey_body(prekey, kem));
  if (const Label* label = signature_label(prekey.kind)) {
    bytes.append(sign(signing_seed, *label, signed_bytes(owner, bytes)).view());
  }
  return bytes;
}

std::chrono::milliseconds draw_rotation_share(Random& random, const Lifetimes& lifetimes) {
  const auto most = static_cast<std::uint64_t>(lifetimes.signed_rotation_share.count());
  return std::chrono::milliseconds(random.below(most + 1));
}

bool is_rotation_due(const PrekeySummary& newest, std::size_t seen_under_last_resort, std::chrono::milliseconds share,
                     std::uint64_t now_ms, const Lifetimes& lifetimes) {
  // Made by a clock that was ahead, it would stay until that time comes.
  const bool of_the_future = newest.created_ms > now_ms + static_cast<std::uint64_t>(lifetimes.signed_rotation.count());
  return of_the_future || seen_under_last_resort >= limits::e2ee::kSeenMax ||
         is_old(now_ms, newest.created_ms, lifetimes.signed_rotation - share);
}

std::size_t refill_count(std::size_t stored) {
  return stored < limits::e2ee::kOneTimeLow ? limits::e2ee::kOneTimeBatch : 0;
}

std::vector<std::uint32_t> aged_prekeys(std::span<const PrekeySummary> prekeys, std::uint64_t now_ms,
                                        const Lifetimes& lifetimes) {
  std::vector<std::uint32_t> aged;
  // Newest first, so that those counted of a kind are the newer ones.
  std::vector<const PrekeySummary*> newest_first;
  for (const PrekeySummary& prekey : prekeys) newest_first.push_back(&prekey);
  std::sort(newest_first.begin(), newest_first.end(),
            [](const PrekeySummary* a, const PrekeySummary* b) { return a->key_id > b->key_id; });
  std::array<std::size_t, 5> newer{};
  for (const PrekeySummary* prekey : newest_first) {
    const std::size_t of_its_kind = newer[static_cast<std::size_t>(prekey->kind)]++;
    if (is_aged(*prekey, of_its_kind, now_ms, lifetimes)) aged.push_back(prekey->key_id);
  }
  std::reverse(aged.begin(), aged.end());
  return aged;
}

Hash keys_digest(BytesView device_record, BytesView signed_prekey, BytesView last_resort_prekey) {
  Writer writer(16 + device_record.size() + signed_prekey.size() + last_resort_prekey.size());
  writer.lp(device_record).lp(signed_prekey).lp(last_resort_prekey);
  return hash(label::kKeysDigest, {writer.view()});
}

}  // namespace chatsdk::e2ee
