// SPDX-License-Identifier: Apache-2.0
//
// A set-up message from a listed device. The first byte says what follows:
//
//   0      a message as it comes
//   1, 2   a padded envelope, or what is taken for one: it is encrypted in a session that is begun for it, with the
//          last-resort prekey or with one-time keys
//
// What is refused leaves the state as it was: no session, and no prekey less. What is not encrypted here is accepted
// only if Alice sent it.
//
// Threads: one.
#include "e2ee/pqxdh.h"
#include "fuzz/e2ee_world.h"
#include "fuzz/fuzz.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

constexpr std::size_t kPlainMin = 64;

void take_apart(BytesView bytes) {
  const auto message = parse_set_up_message(bytes);
  if (!message) return;
  CHATSDK_ASSERT(Bytes(message->prefix).append(message->inner) == bytes);
  CHATSDK_ASSERT(message->prefix.find(message->ciphertext) != message->prefix.npos);
}

void read(BytesView message, bool encrypted_here) {
  E2eeWorld& world = e2ee_world();
  Guard guard(world, world.bob());
  const Incoming item = world.direct(SliceKind::kMessage, message);
  const auto received = receive_slice(world.bob(), item, kFuzzNow, own_kem(), nullptr);
  if (!received) {
    guard.assert_refused(received.error());
    return;
  }
  CHATSDK_ASSERT(encrypted_here || world.is_alices(message));
  const Hash after = world.bob().hash();
  const auto again = receive_slice(world.bob(), item, kFuzzNow, own_kem(), nullptr);
  CHATSDK_ASSERT(!again.ok() && world.bob().hash() == after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const std::uint8_t what = static_cast<std::uint8_t>(input.byte() % 3);
  if (what == 0) {
    const Bytes message(input.rest());
    take_apart(message);
    read(message, false);
    return 0;
  }
  Bytes plain(input.rest());
  plain.resize(std::max(plain.size(), kPlainMin), '\0');
  Session session = e2ee_world().alices_new_session(what == 2);
  SeededRandom random(1);
  const auto message = encrypt(session, plain, random);
  if (message) read(*message, true);
  return 0;
}
