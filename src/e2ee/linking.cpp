// SPDX-License-Identifier: Apache-2.0
#include "e2ee/linking.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/outcome.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::string_view kLinkPrefix = "csdk-link:";
constexpr std::uint8_t kLinkVersion = 1;
constexpr std::size_t kIdentityBytes = 139;
constexpr std::size_t kLinkHeadBytes = 2 + LinkId::size();
// A list of section 5.2.
constexpr std::size_t list_bytes(std::size_t user_id_bytes, std::size_t devices) {
  return 1 + 4 + user_id_bytes + 33 + 8 + 32 + 8 + 1 + 40 * devices + 64;
}
constexpr std::size_t grant_bytes(std::size_t list_bytes) {
  return kLinkHeadBytes + kSealOverheadBytes + 32 + 4 + list_bytes;
}
constexpr std::size_t kGrantBytesMin = grant_bytes(list_bytes(1, 1));
static_assert(limits::e2ee::kLinkOfferBytes == kLinkHeadBytes + 8 + 32 + 32);
static_assert(limits::e2ee::kLinkRevealBytes == kLinkHeadBytes + 32 + kIdentityBytes + kSealOverheadBytes);
static_assert(limits::e2ee::kLinkGrantBytesMax ==
              grant_bytes(list_bytes(limits::kUserIdBytesMax, limits::e2ee::kDevicesMax)));
constexpr std::uint64_t kCodes = 100'000'000;
constexpr std::size_t kCodeDigits = 8;

Error out_of_order() { return error(Code::kWrongState, "a step of a linking out of its order"); }

Bytes identity_of(const DeviceKeys& keys, std::string_view name) {
  Writer writer(kIdentityBytes);
  writer.u8(kLinkVersion).u32(keys.registration_id).key(signing_key_of(keys.signing_seed));
  writer.key(public_of(keys.agreement_secret)).u32(kSuitesSpoken).raw(name_field(name));
  return writer.take();
}

std::optional<LinkIdentity> parse_identity(BytesView bytes) {
  Reader reader(bytes);
  LinkIdentity identity;
  reader.expect_u8(kLinkVersion);
  identity.registration_id = reader.u32();
  identity.signing_key = reader.signing_key();
  identity.agreement_key = reader.agreement_key();
  identity.suites = reader.u32();
  auto name = parse_name_field(reader.raw(kNameFieldBytes));
  reader.require(identity.registration_id != 0 && (identity.suites & 1) != 0 && name.has_value());
  if (!reader.finished()) return std::nullopt;
  identity.name = std::move(*name);
  return identity;
}

// What the commitment is made of.
struct Committed {
  const LinkId& link_id;
  const UserId& user_id;
  DeviceId device_id;
  const AgreementKey& key;
  const LinkNonce& nonce;
  BytesView identity;
};
Hash commitment_to(const Committed& committed) {
  Writer writer;
  writer.raw(committed.link_id).user(committed.user_id).u64(committed.device_id.value).raw(committed.key);
  writer.raw(committed.nonce).lp(committed.identity);
  return hash(label::kLinkCommit, {writer.view()});
}

struct LinkOffer {
  LinkId link_id;
  DeviceId device_id;
  AgreementKey key;  // EO
};
std::optional<LinkOffer> parse_offer(BytesView bytes) {
  Reader reader(bytes);
  LinkOffer offer;
  reader.expect_u8(kLinkVersion);
  reader.expect_u8(static_cast<std::uint8_t>(LinkStep::kOffer));
  offer.link_id = reader.fixed<LinkId>();
  offer.device_id = DeviceId{reader.id()};
  offer.key = reader.fixed<AgreementKey>();
  reader.raw(LinkNonce::size());
  if (!reader.finished() || !is_valid(offer.key)) return std::nullopt;
  return offer;
}

Hash early_transcript(BytesView body, BytesView offer) {
  Writer writer;
  writer.lp(body).lp(offer);
  return hash(label::kLinkEarly, {writer.view()});
}

Hash late_transcript(const Hash& early, const LinkNonce& nonce, BytesView identity) {
  Writer writer;
  writer.raw(early).raw(nonce).lp(identity);
  return hash(label::kLinkTranscript, {writer.view()});
}

SealKey link_key(const Label& label, const Secret<32>& shared, const Hash& transcript) {
  return hkdf<64>(no_salt(), view(shared), {label.bytes(), transcript.view()});
}

std::string code_of(const Hash& transcript) {
  const Hash whole = hash(label::kLinkCode, {transcript.view()});
  const std::uint64_t number = Reader(whole.view()).u64() % kCodes;
  std::string digits = std::to_string(number);
  digits.insert(0, kCodeDigits - digits.size(), '0');
  return digits.insert(kCodeDigits / 2, " ");
}

// All of a message before its sealed part.
Bytes link_head(LinkStep step, const LinkId& link_id) {
  Writer writer;
  writer.u8(kLinkVersion).u8(static_cast<std::uint8_t>(step)).raw(link_id);
  return writer.take();
}

}  // namespace

std::optional<LinkText> parse_link_text(std::string_view text) {
  if (!text.starts_with(kLinkPrefix)) return std::nullopt;
  auto body = from_base64url(text.substr(kLinkPrefix.size()));
  if (!body) return std::nullopt;
  Reader reader(*body);
  LinkText link;
  reader.expect_u8(kLinkVersion);
  link.link_id = reader.fixed<LinkId>();
  link.user_id = reader.user();
  link.device_id = DeviceId{reader.id()};
  link.key = reader.fixed<AgreementKey>();
  link.commitment = reader.fixed<Hash>();
  link.expires_ms = reader.u64();
  if (!reader.finished() || !is_valid(link.key)) return std::nullopt;
  link.body = std::move(*body);
  return link;
}

bool is_link_message(LinkStep step, const LinkId& link_id, BytesView bytes) {
  if (!bytes.starts_with(link_head(step, link_id))) return false;
  if (step == LinkStep::kOffer) return bytes.size() == limits::e2ee::kLinkOfferBytes;
  if (step == LinkStep::kReveal) return bytes.size() == limits::e2ee::kLinkRevealBytes;
  return bytes.size() >= kGrantBytesMin && bytes.size() <= limits::e2ee::kLinkGrantBytesMax;
}

// ---- The new device ------------------------------------------------------------------------------------------------

Result<LinkNew> LinkNew::start(const UserId& user_id, DeviceId device_id, std::string_view name, std::uint64_t now_ms,
                               Random& random) {
  if (name.size() > limits::e2ee::kDeviceNameBytesMax || !is_utf8(name)) {
    return error(Code::kInvalidArgument, "device name of " + std::to_string(name.size()) + " B, limit " +
                                             std::to_string(limits::e2ee::kDeviceNameBytesMax) + " B of UTF-8");
  }
  LinkNew link;
  link.user_id_ = user_id;
  link.device_id_ = device_id;
  link.name_ = name;
  link.keys_ = DeviceKeys::draw(random);
  link.link_id_ = draw<LinkId>(random);
  link.secret_ = draw_secret<32>(random);
  link.nonce_ = draw<LinkNonce>(random);
  link.identity_ = identity_of(link.keys_, name);
  const AgreementKey key = public_of(link.secret_);
  const Hash commitment = commitment_to({link.link_id_, user_id, device_id, key, link.nonce_, link.identity_});
  Writer writer;
  writer.u8(kLinkVersion).raw(link.link_id_).user(user_id).u64(device_id.value).raw(key).raw(commitment);
  writer.u64(now_ms + static_cast<std::uint64_t>(std::chrono::milliseconds(limits::e2ee::kLinkValid).count()));
  link.body_ = writer.take();
  link.text_ = std::string(kLinkPrefix) + to_base64url(link.body_);
  return link;
}

Result<Bytes> LinkNew::reveal(BytesView bytes, const KnownUser* known, Random& random) {
  if (step_ != Step::kOffer) return out_of_order();
  step_ = Step::kDone;
  const auto offer = parse_offer(bytes);
  if (!offer || offer->link_id != link_id_) return bad_message();
  if (known != nullptr && listed(*known, offer->device_id) == nullptr) return bad_message();
  auto shared = x25519(secret_, offer->key);
  if (!shared) return bad_message();
  const Hash early = early_transcript(body_, bytes);
  offered_by_ = offer->device_id;
  shared_ = std::move(*shared);
  transcript_ = late_transcript(early, nonce_, identity_);
  code_ = code_of(transcript_);
  step_ = Step::kGrant;

  Bytes message = link_head(LinkStep::kReveal, link_id_).append(nonce_.view());
  const Bytes head = message;
  message.append(seal(link_key(label::kLinkReveal, shared_, early), draw<Nonce>(random), identity_, head));
  return message;
}

Result<Granted> LinkNew::open_grant(BytesView bytes) const {
  const Bytes head = link_head(LinkStep::kGrant, link_id_);
  if (!bytes.starts_with(head)) return bad_message();
  auto inside = unseal(link_key(label::kLinkGrant, shared_, transcript_), bytes.substr(head.size()), head);
  if (!inside) return bad_message();
  const WipeAtEnd wiped(*inside);
  Reader reader(*inside);
  Granted granted;
  granted.account_seed = SigningSeed::copy_of(reader.raw(SigningSeed::size()));
  const BytesView list_bytes = reader.lp(0, inside->size());
  if (!reader.finished()) return bad_message();
  auto list = valid_device_list(list_bytes, user_id_);
  if (!list || signing_key_of(granted.account_seed) != list->account_key) return bad_message();
  if (list->find(offered_by_) == nullptr) return bad_message();
  granted.list = std::move(*list);
  return granted;
}

Result<Granted> LinkNew::finish(BytesView bytes) {
  if (step_ != Step::kGrant) return out_of_order();
  step_ = Step::kDone;
  CHATSDK_ASSIGN(Granted granted, open_grant(bytes));
  granted.keys = std::move(keys_);
  secret_.wipe();
  shared_.wipe();
  return granted;
}

LinkNew LinkNew::clone() const {
  LinkNew copy;
  copy.step_ = step_;
  copy.user_id_ = user_id_;
  copy.device_id_ = device_id_;
  copy.name_ = name_;
  copy.keys_ = {keys_.registration_id, keys_.signing_seed.clone(), keys_.agreement_secret.clone()};
  copy.link_id_ = link_id_;
  copy.secret_ = secret_.clone();
  copy.nonce_ = nonce_;
  copy.identity_ = identity_;
  copy.body_ = body_;
  copy.text_ = text_;
  copy.offered_by_ = offered_by_;
  copy.shared_ = shared_.clone();
  copy.transcript_ = transcript_;
  copy.code_ = code_;
  return copy;
}

// ---- The old device ------------------------------------------------------------------------------------------------

Result<LinkOld> LinkOld::scan(std::string_view text, const Device& device, std::uint64_t now_ms, Random& random) {
  auto link_text = parse_link_text(text);
  if (!link_text || link_text->user_id != device.user_id || now_ms >= link_text->expires_ms) return bad_message();
  if (device.own != nullptr && listed(*device.own, link_text->device_id) != nullptr) return bad_message();
  const AgreementSecret secret = draw_secret<32>(random);
  const auto nonce = draw<LinkNonce>(random);
  auto shared = x25519(secret, link_text->key);
  if (!shared) return bad_message();
  LinkOld link;
  link.offer_ = link_head(LinkStep::kOffer, link_text->link_id);
  Writer writer;
  writer.u64(device.device_id.value).raw(public_of(secret)).raw(nonce);
  link.offer_.append(writer.view());
  link.shared_ = std::move(*shared);
  link.early_ = early_transcript(link_text->body, link.offer_);
  link.text_ = std::move(*link_text);
  return link;
}

std::optional<Bytes> LinkOld::open_reveal(BytesView bytes, LinkNonce& nonce) const {
  Reader reader(bytes);
  reader.expect_u8(kLinkVersion);
  reader.expect_u8(static_cast<std::uint8_t>(LinkStep::kReveal));
  reader.require(reader.fixed<LinkId>() == text_.link_id);
  nonce = reader.fixed<LinkNonce>();
  const BytesView head = reader.seen();
  const BytesView sealed = reader.raw(kIdentityBytes + kSealOverheadBytes);
  if (!reader.finished()) return std::nullopt;
  return unseal(link_key(label::kLinkReveal, shared_, early_), sealed, head);
}

Status LinkOld::check(BytesView bytes) {
  if (step_ != Step::kReveal) return out_of_order();
  step_ = Step::kDone;
  LinkNonce nonce;
  const auto identity = open_reveal(bytes, nonce);
  if (!identity) return bad_message();
  const Committed committed{text_.link_id, text_.user_id, text_.device_id, text_.key, nonce, *identity};
  if (!equal_secrets(commitment_to(committed).view(), text_.commitment.view())) return bad_message();
  auto parsed = parse_identity(*identity);
  if (!parsed) return bad_message();
  identity_ = std::move(*parsed);
  transcript_ = late_transcript(early_, nonce, *identity);
  code_ = code_of(transcript_);
  step_ = Step::kConfirmation;
  return {};
}

Result<Bytes> LinkOld::confirm(const SigningSeed& account_seed, const DeviceList& newest, Random& random) {
  if (step_ != Step::kConfirmation) return out_of_order();
  step_ = Step::kDone;
  Writer inside(SigningSeed::size() + 4 + newest.bytes.size());
  inside.raw(view(account_seed)).lp(newest.bytes);
  const Bytes head = link_head(LinkStep::kGrant, text_.link_id);
  Bytes message = head;
  message.append(seal(link_key(label::kLinkGrant, shared_, transcript_), draw<Nonce>(random), inside.view(), head));
  shared_.wipe();
  return message;
}

LetIn LinkOld::let_in(const DeviceList& newest) const {
  return {text_.device_id, identity_.registration_id, identity_.signing_key, identity_.agreement_key, newest.version};
}

LinkOld LinkOld::clone() const {
  LinkOld copy;
  copy.step_ = step_;
  copy.text_ = text_;
  copy.offer_ = offer_;
  copy.shared_ = shared_.clone();
  copy.early_ = early_;
  copy.identity_ = identity_;
  copy.transcript_ = transcript_;
  copy.code_ = code_;
  return copy;
}

// ---- Who was let in ------------------------------------------------------------------------------------------------

bool LetIn::is(const DeviceRecord& record) const {
  return record.device_id == device_id && record.registration_id == registration_id &&
         record.signing_key == signing_key && record.agreement_key == agreement_key;
}

Bytes serialize(const LetIn& device) {
  Writer writer;
  writer.u64(device.device_id.value).u32(device.registration_id).key(device.signing_key).key(device.agreement_key);
  writer.u64(device.list_version);
  return writer.take();
}

std::optional<LetIn> parse_let_in(BytesView bytes) {
  Reader reader(bytes);
  LetIn device;
  device.device_id = DeviceId{reader.id()};
  device.registration_id = reader.u32();
  device.signing_key = reader.signing_key();
  device.agreement_key = reader.agreement_key();
  device.list_version = reader.u64();
  if (!reader.finished()) return std::nullopt;
  return device;
}

std::optional<bool> came_alone(const LetIn& device, const KnownUser& own) {
  for (const DeviceList& list : own.lists) {
    if (list.version <= device.list_version || list.find(device.device_id) == nullptr) continue;
    const DeviceRecord* record = listed(own, list.version, device.device_id);
    const DeviceList* before = own.list(list.version - 1);
    if (record == nullptr || before == nullptr || !device.is(*record)) return false;
    return std::all_of(list.devices.begin(), list.devices.end(), [&](const ListedDevice& entry) {
      const ListedDevice* known = before->find(entry.device_id);
      return entry.device_id == device.device_id || (known != nullptr && known->record_hash == entry.record_hash);
    });
  }
  return std::nullopt;
}

}  // namespace chatsdk::e2ee
