// SPDX-License-Identifier: Apache-2.0
//
// Prekeys (docs/e2ee.md section 6): making them, when they are replaced, refilled and deleted, what a bundle of them
// must hold before anything is computed with it, and the digest of what the server has. It does not know where they are
// kept, nor what a session makes of them.
//
// Threads: values and pure functions.
// Invariants:
//   1. A Prekey was parsed from `bytes` and keeps them: they are what is signed and what goes into a transcript.
//   2. The X25519 key of a Prekey is valid as section 2.1 says. Its encapsulation key is, once a Bundle holds it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/device_record.h"
#include "e2ee/kem.h"
#include "e2ee/lifetimes.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

enum class PrekeyKind : std::uint8_t { kSigned = 1, kOneTime = 2, kOneTimeKem = 3, kLastResort = 4 };

// Of X25519 in the kinds 1 and 2, else of ML-KEM-768.
constexpr bool is_kem(PrekeyKind kind) { return kind == PrekeyKind::kOneTimeKem || kind == PrekeyKind::kLastResort; }

// ---- Of others ------------------------------------------------------------------------------------------------------

struct Prekey {
  Bytes bytes;
  PrekeyKind kind = PrekeyKind::kSigned;
  std::uint32_t key_id = 0;
  AgreementKey agreement_key;  // of the kinds 1 and 2
  std::uint64_t created_ms = 0;

  // All but the signature.
  BytesView body() const;
  // Of the kinds 3 and 4.
  BytesView encapsulation_key() const;
};

// Whose prekey it is: part of what is signed.
struct PrekeyOwner {
  UserId user_id;
  DeviceId device_id;
};

// The layout and an X25519 key, but no signature and no encapsulation key.
std::optional<Prekey> parse_prekey(BytesView bytes);
// True for a one-time prekey, which has no signature.
bool has_valid_signature(const Prekey& prekey, const PrekeyOwner& owner, const SigningKey& signing_key);

// As the server gives it; an empty string stands for no one-time prekey.
struct BundleBytes {
  Bytes device_record;
  Bytes signed_prekey;
  Bytes kem_prekey;
  Bytes one_time_prekey;
};
struct Bundle {
  DeviceRecord record;
  Prekey signed_prekey;
  Prekey kem_prekey;
  std::optional<Prekey> one_time_prekey;
};
// The checks of section 6 in their order, for the device whose record is listed. UNTRUSTED.
Result<Bundle> check_bundle(const BundleBytes& bundle, const DeviceRecord& listed, const Kem& kem);

// ---- Of this device -------------------------------------------------------------------------------------------------

struct OwnPrekey {
  PrekeyKind kind = PrekeyKind::kSigned;
  std::uint32_t key_id = 0;
  std::variant<AgreementSecret, Kem::Seed> secret;  // the first for the kinds 1 and 2
  std::uint64_t created_ms = 0;
  std::uint64_t successor_ms = 0;  // when the next of the kinds 1 and 4 was made; 0: this is the newest

  static OwnPrekey draw(PrekeyKind kind, std::uint32_t key_id, std::uint64_t now_ms, Random& random);
};

// An own prekey without its secret.
struct PrekeySummary {
  PrekeyKind kind = PrekeyKind::kSigned;
  std::uint32_t key_id = 0;
  std::uint64_t created_ms = 0;
  std::uint64_t successor_ms = 0;
};
PrekeySummary summary_of(const OwnPrekey& prekey);

// All but the signature: what a transcript has of it. CRYPTO where the provider fails.
Result<Bytes> prekey_body(const OwnPrekey& prekey, const Kem& kem);
// The same with the public key at hand.
Bytes prekey_body(const OwnPrekey& prekey, const AgreementKey& public_key);
Bytes prekey_body(const OwnPrekey& prekey, const Kem::EncapsulationKey& public_key);
// What is uploaded.
Result<Bytes> published(const OwnPrekey& prekey, const PrekeyOwner& owner, const SigningSeed& signing_seed,
                        const Kem& kem);

// How much earlier than signed_rotation a device replaces its signed and last-resort prekey, so that not
// all of them do it at once.
std::chrono::milliseconds draw_rotation_share(Random& random, const Lifetimes& lifetimes = kLifetimes);
// Whether signed and last-resort prekey are replaced now: they are old, or too many set-ups used the last-resort one.
bool is_rotation_due(const PrekeySummary& newest, std::size_t seen_under_last_resort, std::chrono::milliseconds share,
                     std::uint64_t now_ms, const Lifetimes& lifetimes = kLifetimes);
// How many one-time prekeys of a kind are made, where the server holds `stored` of it.
std::size_t refill_count(std::size_t stored);
// The key ids of those whose secret is deleted now (section 11.4), ascending.
std::vector<std::uint32_t> aged_prekeys(std::span<const PrekeySummary> prekeys, std::uint64_t now_ms,
                                        const Lifetimes& lifetimes = kLifetimes);

// Of what the server holds of a device; what it does not hold is an empty string.
Hash keys_digest(BytesView device_record, BytesView signed_prekey, BytesView last_resort_prekey);

}  // namespace chatsdk::e2ee
