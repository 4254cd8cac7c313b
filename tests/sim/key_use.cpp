// SPDX-License-Identifier: Apache-2.0
#include "sim/key_use.h"

#include "e2ee/pqxdh.h"
#include "e2ee/ratchet.h"

namespace chatsdk::sim {

Verdict KeyUse::on_slice(BytesView slice) {
  const auto set_up = e2ee::parse_set_up_message(slice);
  const auto message = e2ee::parse_pairwise_message(set_up ? set_up->inner : slice);
  if (!message) return Finding("A slice is no message of a session.");
  std::string key(message->session_id.view());
  key.append(message->ratchet_key.view()).append(std::to_string(message->number));
  const std::uint64_t hash = hash_of(slice);
  const auto [known, is_new] = sealed_.try_emplace(std::move(key), hash);
  if (is_new || known->second == hash) return std::nullopt;
  return Finding("Message " + std::to_string(message->number) + " of a chain of session " +
                 to_hex(message->session_id.view()) + " was encrypted twice under one key.");
}

}  // namespace chatsdk::sim
