// SPDX-License-Identifier: Apache-2.0
//
// Linking a device (docs/e2ee.md section 12): the new device's side and the old one's, as two values that take the
// steps in their order, and the QR text between them. How messages get from one to the other, and what the user is
// shown and asks, is known above.
//
// Threads: one owner.
// Invariants:
//   1. Each step is taken once and in its order; what does not hold ends the linking for good.
//   2. The account key leaves a device only behind confirm(), which the caller calls when its user has compared the
//      code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/link_step.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/device_list.h"
#include "e2ee/device_record.h"
#include "e2ee/directory.h"

namespace chatsdk::e2ee {

using LinkId = Fixed<struct LinkIdTag, 16>;
using LinkNonce = Fixed<struct LinkNonceTag, 32>;

// What the QR text says.
struct LinkText {
  Bytes body;
  LinkId link_id;
  UserId user_id;
  DeviceId device_id;  // of the new device
  AgreementKey key;    // EN
  Hash commitment;
  std::uint64_t expires_ms = 0;
};
std::optional<LinkText> parse_link_text(std::string_view text);

// What somebody without a key sees of a message: its size, version, step and link_id. For a server, which keeps
// nonsense out of its mailboxes.
bool is_link_message(LinkStep step, const LinkId& link_id, BytesView bytes);

// The keys of a new device as they travel: what the list will name.
struct LinkIdentity {
  std::uint32_t registration_id = 0;
  SigningKey signing_key;
  AgreementKey agreement_key;
  std::uint32_t suites = 0;
  std::string name;  // empty: none
};

// What the grant hands over.
struct Granted {
  SigningSeed account_seed;
  DeviceList list;  // the newest; its records are asked of the server
  DeviceKeys keys;
};

// A device that this one has let in, as its user has confirmed it, until a list names it.
struct LetIn {
  DeviceId device_id;
  std::uint32_t registration_id = 0;
  SigningKey signing_key;
  AgreementKey agreement_key;
  std::uint64_t list_version = 0;  // of the list in the grant

  bool is(const DeviceRecord& record) const;
  friend bool operator==(const LetIn&, const LetIn&) = default;
};
// As a store keeps it.
inline constexpr std::size_t kLetInBytes = 86;
Bytes serialize(const LetIn& device);
std::optional<LetIn> parse_let_in(BytesView bytes);
// Of the own lists behind the grant: whether the first that names the device that was confirmed names it as it was, and
// nothing else that the list before it does not. nullopt: none names it yet.
std::optional<bool> came_alone(const LetIn& device, const KnownUser& own);

// The new device. Every failure is BAD_MESSAGE, and WRONG_STATE for a step out of order.
class LinkNew {
 public:
  // The name has at most limits::e2ee::kDeviceNameBytesMax bytes of UTF-8; empty: none. INVALID_ARGUMENT.
  static Result<LinkNew> start(const UserId& user_id, DeviceId device_id, std::string_view name, std::uint64_t now_ms,
                               Random& random);

  const std::string& text() const { return text_; }
  const UserId& user_id() const { return user_id_; }
  DeviceId device_id() const { return device_id_; }
  const std::string& name() const { return name_; }

  // The first offer that comes: a mailbox holds those of one linking. `known` is what this device keeps of its own
  // user, or nullptr.
  Result<Bytes> reveal(BytesView offer, const KnownUser* known, Random& random);
  // Eight digits, four and four, behind reveal().
  const std::string& code() const { return code_; }
  // Behind the user's confirmation.
  Result<Granted> finish(BytesView grant);

  LinkNew clone() const;

 private:
  LinkNew() = default;
  Result<Granted> open_grant(BytesView grant) const;

  enum class Step { kOffer, kGrant, kDone };  // what is awaited
  Step step_ = Step::kOffer;
  UserId user_id_;
  DeviceId device_id_;
  std::string name_;
  DeviceKeys keys_;
  LinkId link_id_;
  AgreementSecret secret_;
  LinkNonce nonce_;
  Bytes identity_;
  Bytes body_;
  std::string text_;
  DeviceId offered_by_;
  Secret<32> shared_;
  Hash transcript_;
  std::string code_;
};

// A listed device of the user.
class LinkOld {
 public:
  struct Device {
    const UserId& user_id;
    DeviceId device_id;
    const KnownUser* own;  // what is kept of the own user
  };
  // The text that was scanned. BAD_MESSAGE for one of another user, one that has expired, or of a device that is
  // listed.
  static Result<LinkOld> scan(std::string_view text, const Device& device, std::uint64_t now_ms, Random& random);

  const Bytes& offer() const { return offer_; }
  Status check(BytesView reveal);
  // What the user compares and is asked about, behind check().
  const std::string& code() const { return code_; }
  const std::string& name() const { return identity_.name; }
  // The user compared and agreed: the grant, with the newest own list.
  Result<Bytes> confirm(const SigningSeed& account_seed, const DeviceList& newest, Random& random);
  DeviceId device_id() const { return text_.device_id; }
  // Behind check(): who is let in by a grant with that list.
  LetIn let_in(const DeviceList& newest) const;

  LinkOld clone() const;

 private:
  LinkOld() = default;
  std::optional<Bytes> open_reveal(BytesView reveal, LinkNonce& nonce) const;

  enum class Step { kReveal, kConfirmation, kDone };  // what is awaited
  Step step_ = Step::kReveal;
  LinkText text_;
  Bytes offer_;
  Secret<32> shared_;
  Hash early_;
  LinkIdentity identity_;
  Hash transcript_;
  std::string code_;
};

}  // namespace chatsdk::e2ee
