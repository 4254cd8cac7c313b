// SPDX-License-Identifier: Apache-2.0
//
// The three messages of a linking (docs/e2ee.md section 12) in their order, and the names that they have in the paths
// of its mailbox: words that e2ee, the client and the server share.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <string_view>

namespace chatsdk {

enum class LinkStep : std::uint8_t { kOffer = 1, kReveal = 2, kGrant = 3 };  // as on the wire

constexpr std::string_view link_step_name(LinkStep step) {
  return step == LinkStep::kOffer ? "offer" : step == LinkStep::kReveal ? "reveal" : "grant";
}

}  // namespace chatsdk
