// SPDX-License-Identifier: Apache-2.0
//
// What comes in an encrypted group. The first byte says what follows:
//
//   0   a group message as it comes
//   1   a group message without its signature: the sender's is put behind it
//   2   a padded envelope, or what is taken for one: it is encrypted in the sender's chain
//   3   a distribution, as a pairwise session brought it
//   4   a membership entry as it comes
//   5   a membership entry without its signature: the actor's is put behind it
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
  const auto received = receive_group(world.bob(), item, world.roster());
  if (!received) {
    guard.assert_refused(received.error());
    return;
  }
  CHATSDK_ASSERT(encrypted_here || world.is_alices(message));
  CHATSDK_ASSERT(received->envelope.body_type == BodyType::kContent);
  CHATSDK_ASSERT(received->envelope.binding == item.binding);
  const Hash after = world.bob().hash();
  const auto again = receive_group(world.bob(), item, world.roster());
  CHATSDK_ASSERT(again.code() == kDuplicate && world.bob().hash() == after);
}

void read_distribution(BytesView bytes) {
  E2eeWorld& world = e2ee_world();
  Guard guard(world, world.bob());
  const auto distribution = parse_distribution(bytes);
  const Status received = receive_chain(world.bob(), kSender, bytes);
  if (!received) {
    guard.assert_refused(received.error());
    return;
  }
  CHATSDK_ASSERT(distribution && distribution->device_id == kSender.device_id);
}

void read_entry(BytesView bytes, bool signed_here) {
  const SigningKey& key = e2ee_world().alices_person().record.signing_key;
  const auto peeked = peek_group_entry(bytes);
  const auto entry = parse_group_entry(bytes, key, peeked ? peeked->previous : Hash{});
  if (!entry) {
    CHATSDK_ASSERT(!signed_here || !peeked);
    return;
  }
  CHATSDK_ASSERT(entry == peeked);
  CHATSDK_ASSERT(entry->operation != Operation::kLeave || entry->actor == entry->subject);
  CHATSDK_ASSERT(sign_group_entry(*entry, e2ee_world().alices_person().keys.signing_seed) == bytes);
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
  const int what = input.byte() % 6;
  const Bytes rest(input.rest());
  const SigningSeed& actor = e2ee_world().alices_person().keys.signing_seed;
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
    case 3:
      read_distribution(rest);
      break;
    case 4:
      read_entry(rest, false);
      break;
    default:
      read_entry(rest + Bytes(sign(actor, label::kSigGroupEntry, rest).view()), true);
  }
  return 0;
}
