// SPDX-License-Identifier: Apache-2.0
//
// What passes between two devices that are being linked. The first byte says what follows:
//
//   0   the text of a QR code, which the listed device scans
//   1   what such a text holds, before base64url
//   2   an offer, which the new device gets
//   3   a reveal, which the listed device gets
//   4   a grant, which the new device gets
//   5   an identity: the whole linking is done with it, as somebody would who keeps to the page in everything else
//
// A step that refuses ends the linking. Only the right bytes lead to a code, and only the right grant gives an account
// key.
//
// Threads: one.
#include "base/limits.h"
#include "e2ee/linking.h"
#include "e2ee/outcome.h"
#include "fuzz/fuzz.h"
#include "unit/e2ee/people.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

constexpr std::string_view kPrefix = "csdk-link:";
constexpr std::size_t kIdentityBytes = 139;

// A linking of Alice's that came as far as it goes, and its parts.
class Linking {
 public:
  Linking() {
    known_.user_id = "alice";
    known_.account_key = alice_.list.account_key;
    known_.lists.push_back(alice_.list);
    known_.records.emplace(alice_.record.hash, alice_.record);
    SeededRandom random(12);
    started_ = LinkNew::start("alice", DeviceId{3}, "laptop", kThen, random).value();
    scanned_ = scan(started_->text()).value();
    revealing_ = started_->clone();
    reveal_ = revealing_->reveal(scanned_->offer(), &known_, random).value();
    LinkOld confirmed = scanned_->clone();
    CHATSDK_ASSERT(confirmed.check(reveal_).ok() && confirmed.code() == revealing_->code());
    grant_ = confirmed.confirm(alice_.account_seed, alice_.list, random).value();
  }

  Result<LinkOld> scan(std::string_view text) const {
    SeededRandom random(13);
    return LinkOld::scan(text, {alice_.user_id, DeviceId{1}, &known_}, kThen, random);
  }

  void read_text(std::string_view text) const {
    const auto parsed = parse_link_text(text);
    CHATSDK_ASSERT(!parsed || std::string(kPrefix) + to_base64url(parsed->body) == text);
    auto old = scan(text);
    if (!old) {
      CHATSDK_ASSERT(old.code() == kBadMessage);
      return;
    }
    CHATSDK_ASSERT(parsed && parsed->user_id == "alice" && parsed->expires_ms > kThen);
    // What the new device reveals opens for its own text alone.
    CHATSDK_ASSERT(old->check(reveal_).ok() == (text == started_->text()));
  }

  void read_offer(BytesView offer) const {
    LinkNew link = started_->clone();
    SeededRandom random(14);
    const auto revealed = link.reveal(offer, &known_, random);
    if (!revealed) {
      CHATSDK_ASSERT(revealed.code() == kBadMessage && link.code().empty());
      CHATSDK_ASSERT(link.reveal(scanned_->offer(), &known_, random).code() == Code::kWrongState);
      return;
    }
    CHATSDK_ASSERT(scanned_->clone().check(*revealed).ok() == (offer == scanned_->offer()));
  }

  void read_reveal(BytesView reveal) const {
    LinkOld old = scanned_->clone();
    const Status checked = old.check(reveal);
    CHATSDK_ASSERT(checked.ok() == (reveal == reveal_));
    CHATSDK_ASSERT(checked.ok() != old.code().empty());
    if (!checked) CHATSDK_ASSERT(checked.code() == kBadMessage && old.check(reveal_).code() == Code::kWrongState);
  }

  void read_grant(BytesView grant) const {
    LinkNew link = revealing_->clone();
    const auto granted = link.finish(grant);
    CHATSDK_ASSERT(granted.ok() == (grant == grant_));
    if (!granted) CHATSDK_ASSERT(granted.code() == kBadMessage && link.finish(grant_).code() == Code::kWrongState);
  }

  void link_with(BytesView identity) const;

 private:
  Person alice_ = alice();
  KnownUser known_;
  std::optional<LinkNew> started_;
  std::optional<LinkOld> scanned_;
  std::optional<LinkNew> revealing_;  // waits for the grant
  Bytes reveal_;
  Bytes grant_;
};

// The new device's side as section 12 has it, whatever the identity is.
void Linking::link_with(BytesView identity) const {
  const AgreementSecret secret = secret_of<32>(0x72);
  const Bytes link_id = repeated(0x71, 16);
  const Bytes nonce = repeated(0x73, 32);
  Writer committed;
  committed.raw(link_id).user("alice").u64(3).raw(public_of(secret)).raw(nonce).lp(identity);
  Writer body;
  body.u8(1).raw(link_id).user("alice").u64(3).raw(public_of(secret));
  body.raw(hash(label::kLinkCommit, {committed.view()})).u64(kThen + 1);
  auto old = scan(std::string(kPrefix) + to_base64url(body.view()));
  CHATSDK_ASSERT(old.ok());

  Writer early;
  early.lp(body.view()).lp(old->offer());
  const Hash transcript = hash(label::kLinkEarly, {early.view()});
  const auto shared = x25519(secret, AgreementKey::from(BytesView(old->offer()).substr(26, 32)));
  CHATSDK_ASSERT(shared.has_value());
  Writer reveal;
  reveal.u8(1).u8(2).raw(link_id).raw(nonce);
  SealKey key = hkdf<64>(no_salt(), view(*shared), {label::kLinkReveal.bytes(), transcript.view()});
  const Bytes sealed = seal(std::move(key), fixed_of<Nonce>(0x78), identity, reveal.view());
  const Status checked = old->check(Bytes(reveal.view()) + sealed);
  CHATSDK_ASSERT(checked.ok() == !old->code().empty());
  if (checked) {
    CHATSDK_ASSERT(identity.size() == kIdentityBytes && is_utf8(old->name()));
    CHATSDK_ASSERT(old->name().size() <= limits::e2ee::kDeviceNameBytesMax);
  } else {
    CHATSDK_ASSERT(checked.code() == kBadMessage);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Linking kLinking;
  fuzz::Reader input(fuzz::view(data, size));
  const int what = input.byte() % 6;
  const Bytes rest(input.rest());
  switch (what) {
    case 0:
      kLinking.read_text(rest);
      break;
    case 1:
      kLinking.read_text(std::string(kPrefix) + to_base64url(rest));
      break;
    case 2:
      kLinking.read_offer(rest);
      break;
    case 3:
      kLinking.read_reveal(rest);
      break;
    case 4:
      kLinking.read_grant(rest);
      break;
    default:
      kLinking.link_with(rest);
  }
  return 0;
}
