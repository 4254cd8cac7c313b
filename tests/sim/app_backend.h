// SPDX-License-Identifier: Apache-2.0
//
// The app's own backend, as far as chatsdk meets it: it signs short-lived tokens for users whom it knows, and the
// server is configured with its public key.
//
// Threads: one.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "server-reference/services/app_keys.h"

namespace chatsdk::sim {

class AppBackend {
 public:
  // clock: the backend's own, which does not jump; it outlives the backend.
  explicit AppBackend(const Clock& clock);

  std::string vouch_for(const UserId& user) const;
  std::shared_ptr<const server::AppKeys> keys() const { return keys_; }

 private:
  const Clock& clock_;
  std::array<unsigned char, 64> secret_{};  // as libsodium keeps an Ed25519 key
  std::shared_ptr<const server::AppKeys> keys_;
};

}  // namespace chatsdk::sim
