// SPDX-License-Identifier: Apache-2.0
//
// A slice from a device with which there is a live session. The first byte: its two low bits are the kind of the item.
// With bit 4, a padded envelope follows, or what is taken for one, which is encrypted in the session, so that it opens;
// else a message as it comes. With bit 8, the item is one of a group.
//
// What is refused leaves the state as it was. What is not encrypted here opens only if Alice sent it.
//
// Threads: one.
#include "fuzz/e2ee_world.h"
#include "fuzz/fuzz.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

constexpr std::size_t kPlainMin = 64;  // shorter ones are filled up with zeros

void read(std::uint8_t what, BytesView message, bool encrypted_here) {
  E2eeWorld& world = e2ee_world();
  Guard guard(world, world.bob());
  const auto kind = static_cast<SliceKind>(what & 3);
  const Incoming item = (what & 8) != 0 ? world.in_group(kind, message) : world.direct(kind, message);
  const auto received = receive_slice(world.bob(), item, kFuzzNow, own_kem(), nullptr);
  if (!received) {
    guard.assert_refused(received.error());
    return;
  }
  CHATSDK_ASSERT(encrypted_here || world.is_alices(message));
  CHATSDK_ASSERT(received->envelope.client_message_id == item.client_message_id);
  CHATSDK_ASSERT(received->envelope.binding == item.binding);
  // Once only.
  const Hash after = world.bob().hash();
  const auto again = receive_slice(world.bob(), item, kFuzzNow, own_kem(), nullptr);
  CHATSDK_ASSERT(!again.ok() && world.bob().hash() == after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const std::uint8_t what = input.byte();
  if ((what & 4) == 0) {
    read(what, input.rest(), false);
    return 0;
  }
  Bytes plain(input.rest());
  plain.resize(std::max(plain.size(), kPlainMin), '\0');
  Session session = e2ee_world().alices_session();
  SeededRandom random(1);
  const auto message = encrypt(session, plain, random);
  if (message) read(what, *message, true);
  return 0;
}
