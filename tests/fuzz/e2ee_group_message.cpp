// SPDX-License-Identifier: Apache-2.0
//
// What comes in an encrypted group. The first byte says what follows:
//
//   0   a group message as it comes
//   1   a group message without its signature: the sender's is put behind it
//   2   a padded envelope, or what is taken for one: it is encrypted in the sender's chain
//   3   a distribution, as a pairwise session brought it
//
// What is refused leaves the chains as they were. What is not encrypted here opens only if Alice sent it.
//
// Threads: one.
#include "fuzz/e2ee_world.h"
#include "fuzz/fuzz.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

constexpr std::size_t kPlainMin = 64;
const Peer kSender{"alice", DeviceId{1}};

void read(BytesView message, bool encrypted_here) {
  E2eeWorld& world = e2ee_world();
  Guard guard(world, world.bob());
  const Incoming item = world.in_group(SliceKind::kMessage, message);
  const auto received = receive_group(world.bob(), item);
  if (!received) {
    guard.assert_refused(received.error());
    return;
  }
  CHATSDK_ASSERT(encrypted_here || world.is_alices(message));
  CHATSDK_ASSERT(received->envelope.body_type == BodyType::kContent);
  CHATSDK_ASSERT(received->envelope.binding == item.binding);
  const Hash after = world.bob().hash();
  const auto again = receive_group(world.bob(), item);
  CHATSDK_ASSERT(again.code() == kDuplicate && world.bob().hash() == after);
}

void read_distribution(BytesView bytes) {
  E2eeWorld& world = e2ee_world();
  Guard guard(world, world.bob());
  const auto distribution = parse_distribution(bytes);
  const Status received = receive_chain(world.bob(), kSender, kGroup, world.roster(), bytes);
  if (!received) {
    guard.assert_refused(received.error());
    return;
  }
  CHATSDK_ASSERT(distribution && distribution->device_id == kSender.device_id);
}

void encrypt_and_read(BytesView rest) {
  Bytes plain(rest);
  plain.resize(std::max(plain.size(), kPlainMin), '\0');
  OwnChain chain = e2ee_world().alices_chain();
  SeededRandom random(1);
  const Person& alice = e2ee_world().alices_person();
  const auto message = encrypt_group(chain, {alice.user_id, DeviceId{1}, e2ee_world().roster()}, plain, kThen, random);
  if (message) read(*message, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const int what = input.byte() % 4;
  const Bytes rest(input.rest());
  switch (what) {
    case 0:
      read(rest, false);
      break;
    case 1:
      // Whoever signs has the chain: what lies within the signature fails all the same, unless Alice encrypted it.
      read(rest + Bytes(sign(e2ee_world().alices_chain().signing, label::kSigGroupMessage, rest).view()), false);
      break;
    case 2:
      encrypt_and_read(rest);
      break;
    default:
      read_distribution(rest);
  }
  return 0;
}
