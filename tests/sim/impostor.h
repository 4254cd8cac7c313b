// SPDX-License-Identifier: Apache-2.0
//
// A device that an attacker who owns the server pretends a user to have: keys of its own, a record that holds, device
// lists with that record in them under an account key of the attacker's, prekeys, and the honest attempt to open
// whatever was encrypted for it. It knows no secret of anybody else's.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/random.h"
#include "e2ee/device_list.h"
#include "e2ee/prekeys.h"
#include "e2ee/ratchet.h"

namespace chatsdk::sim {

class Impostor {
 public:
  Impostor(UserId user_id, DeviceId device_id, std::uint64_t now_ms, Random& random);

  DeviceId device_id() const { return record_.device_id; }
  const Bytes& record() const { return record_.bytes; }
  const e2ee::SigningKey& account_key() const { return account_key_; }
  // The version behind this one, with the impostor beside the devices that are there: under the attacker's account key.
  // nullopt: no room.
  std::optional<Bytes> list_after(const e2ee::DeviceList& before, std::uint64_t now_ms) const;
  // The same, which names the user's account key and is signed by the attacker's.
  std::optional<Bytes> forged_after(const e2ee::DeviceList& before, std::uint64_t now_ms) const;
  const e2ee::BundleBytes& bundle() const { return bundle_; }
  // The envelope of a slice that was encrypted for it.
  std::optional<Bytes> open(BytesView slice, std::uint64_t now_ms);

 private:
  std::optional<Bytes> open_in(e2ee::Session session, BytesView prefix, BytesView message, std::uint64_t now_ms);

  const e2ee::SigningSeed account_seed_;
  const e2ee::SigningKey account_key_;
  const e2ee::DeviceKeys keys_;
  const e2ee::DeviceRecord record_;
  const e2ee::OwnPrekey signed_prekey_;
  const e2ee::OwnPrekey last_resort_;
  const e2ee::BundleBytes bundle_;
  std::map<e2ee::SessionId, e2ee::Session> sessions_;
};

}  // namespace chatsdk::sim
