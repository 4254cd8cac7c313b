// SPDX-License-Identifier: Apache-2.0
//
// The keys of the app's backend as an operator configures them: a JWK set, and one public key in PEM.
//
// Threads: one.
#include "fuzz/fuzz.h"
#include "server-reference/services/app_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace chatsdk;
  using namespace chatsdk::server;
  const BytesView text = fuzz::view(data, size);
  AppKeys keys({.issuer = "backend", .audience = "chat"});
  const Status added = keys.add_jwk_set(text);
  CHATSDK_ASSERT(keys.size() <= limits::kAppKeysMax && added.ok() == (keys.size() > 0));
  CHATSDK_ASSERT(text.find("PRIVATE KEY") == text.npos || !VerificationKey::from_pem(text).ok());
  const std::size_t before = keys.size();
  const Status pem = keys.add_pem("pem", text);
  CHATSDK_ASSERT(keys.size() == before + (pem.ok() ? 1 : 0));
  return 0;
}
