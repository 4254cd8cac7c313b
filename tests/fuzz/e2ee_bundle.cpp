// SPDX-License-Identifier: Apache-2.0
//
// The bundle of a listed device, as the server gives it to a device that has a session with it. The first byte says
// which parts follow, as bits: 1 signed prekey, 2 KEM prekey, 4 one-time prekey, 8 record; a part that does not follow
// is the right one, except a one-time prekey, which is none then. Each has a length before it (2 bytes, little-endian).
// With bit 16, signatures are put behind the two prekeys that have one.
//
// A bundle that is refused leaves everything as it was, the active session included; one that is taken makes a session
// that sends.
//
// Threads: one.
#include "fuzz/e2ee_world.h"
#include "fuzz/fuzz.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

const Peer kPeer{"bob", DeviceId{2}};
constexpr std::size_t kSignatureBytes = 64;

// By the device whose prekey it is, with the label of the kind in its first byte.
Bytes with_signature(Bytes body) {
  Writer writer;
  writer.user("bob").u64(2).raw(body);
  const int kind = body.empty() ? 0 : body.front();
  const Label of_kind = kind == 1 ? label::kSigSignedPrekey : kind == 3 ? label::kSigKemPrekey : label::kSigLastResort;
  return body.append(sign(e2ee_world().bobs_person().keys.signing_seed, of_kind, writer.view()).view());
}

BundleBytes read_bundle(fuzz::Reader& input) {
  const unsigned parts = input.byte();
  static const BundleBytes kRight = bobs_bundle(true);
  BundleBytes bundle = kRight;
  const auto part = [&input] {
    const std::size_t size = input.number(2);
    return Bytes(input.bytes(size));
  };
  const auto signed_part = [&part, parts] { return (parts & 16) != 0 ? with_signature(part()) : part(); };
  if ((parts & 1) != 0) bundle.signed_prekey = signed_part();
  if ((parts & 2) != 0) bundle.kem_prekey = signed_part();
  bundle.one_time_prekey = (parts & 4) != 0 ? part() : Bytes();
  if ((parts & 8) != 0) bundle.device_record = part();
  return bundle;
}

void assert_as_it_came(const Bundle& bundle, const BundleBytes& bytes) {
  CHATSDK_ASSERT(bundle.record == e2ee_world().bobs_person().record);
  CHATSDK_ASSERT(bundle.signed_prekey.kind == PrekeyKind::kSigned && bundle.signed_prekey.bytes == bytes.signed_prekey);
  CHATSDK_ASSERT(is_kem(bundle.kem_prekey.kind) && bundle.kem_prekey.bytes == bytes.kem_prekey);
  CHATSDK_ASSERT(own_kem().check_ek(bundle.kem_prekey.encapsulation_key()));
  CHATSDK_ASSERT(bundle.one_time_prekey.has_value() == !bytes.one_time_prekey.empty());
  CHATSDK_ASSERT(is_valid(bundle.signed_prekey.agreement_key));
  CHATSDK_ASSERT(bundle.signed_prekey.body().size() + kSignatureBytes == bytes.signed_prekey.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const BundleBytes bytes = read_bundle(input);
  E2eeWorld& world = e2ee_world();
  const auto bundle = check_bundle(bytes, world.bobs_person().record, own_kem());
  if (bundle) assert_as_it_came(*bundle, bytes);

  Guard guard(world, world.alice());
  SeededRandom random(1);
  const auto begun = begin_session(world.alice(), kPeer, bytes, kFuzzNow, random, own_kem());
  CHATSDK_ASSERT(begun.ok() == bundle.ok());
  if (!begun) {
    guard.assert_refused(begun.error());
    return 0;
  }
  std::size_t active = 0;
  const auto sessions = world.alice().sessions(kPeer).value();
  for (const SessionSummary& session : sessions) {
    const bool sends = session.status == SessionStatus::kActive;
    CHATSDK_ASSERT(sends == (session.session_id == *begun));
    active += sends ? 1 : 0;
  }
  CHATSDK_ASSERT(active == 1);
  CHATSDK_ASSERT(encrypt_for(world.alice(), kPeer, "an envelope", random).ok());
  return 0;
}
