// SPDX-License-Identifier: Apache-2.0
//
// Device lists and records of a peer, as the server gives them to a device that knows an older list. The input is a
// list of pieces, each a byte that says what it is, a length (2 bytes, little-endian) and bytes:
//
//   0   a device list                1   the same without its signature: the account key's is put behind it
//   2   a device record              3   the same without its signature: the device's own is put behind it
//   4   a device list without its signature: that of an account key which is not the pinned one is put behind it
//
// What is refused leaves everything as it was, sessions included. Lists that nobody signed here change nothing.
//
// Threads: one.
#include "base/limits.h"
#include "e2ee/upkeep.h"
#include "fuzz/e2ee_world.h"
#include "fuzz/fuzz.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

constexpr std::size_t kPiecesMax = 16;
const Peer kPeer{"alice", DeviceId{1}};

struct Shown {
  std::vector<Bytes> lists;
  std::vector<Bytes> records;
  bool signed_here = false;
};

void add_piece(fuzz::Reader& input, Shown& shown) {
  const int what = input.byte() % 5;
  const std::size_t size = input.number(2);
  Bytes bytes(input.bytes(size));
  const Person& alice = e2ee_world().alices_person();
  if (what == 1) bytes.append(sign(alice.account_seed, label::kSigList, bytes).view());
  if (what == 3) bytes.append(sign(alice.keys.signing_seed, label::kSigDevice, bytes).view());
  if (what == 4) bytes.append(sign(secret_of<32>(0x77), label::kSigList, bytes).view());
  shown.signed_here = shown.signed_here || what == 1 || what == 4;
  (what == 2 || what == 3 ? shown.records : shown.lists).push_back(std::move(bytes));
}

void parse_alone(const Shown& shown) {
  for (const Bytes& bytes : shown.lists) {
    const auto list = parse_device_list(bytes);
    CHATSDK_ASSERT(!list || (list->bytes == bytes && !list->devices.empty()));
    CHATSDK_ASSERT(!list || list->devices.size() <= limits::e2ee::kDevicesMax);
  }
  for (const Bytes& bytes : shown.records) {
    const auto record = parse_device_record(bytes);
    CHATSDK_ASSERT(!record || (record->bytes == bytes && record->hash == device_record_hash(bytes)));
  }
}

// Invariant 1 of e2ee/directory.h.
void assert_whole(const KnownUser& user) {
  for (std::size_t i = 0; i < user.lists.size(); ++i) {
    const DeviceList& list = user.lists[i];
    CHATSDK_ASSERT(valid_device_list(list.bytes, user.user_id).has_value());
    CHATSDK_ASSERT(list.account_key == user.account_key);
    CHATSDK_ASSERT(i == 0 ||
                   (list.version == user.lists[i - 1].version + 1 && list.previous == user.lists[i - 1].hash));
    for (const ListedDevice& device : list.devices) CHATSDK_ASSERT(user.records.contains(device.record_hash));
  }
}

// A device that is not in the newest list sends in no session, and nobody in one of the identity before.
void assert_sessions_followed(MemoryState& state, const KnownUser& user, Learning result) {
  const auto sessions = state.sessions(kPeer).value();
  const DeviceRecord* record = listed(user, kPeer.device_id);
  for (const SessionSummary& session : sessions) {
    CHATSDK_ASSERT(session.status == SessionStatus::kArchived ||
                   (result != Learning::kIdentityChanged && record != nullptr && session.peer_record == record->hash));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  Shown shown;
  for (std::size_t i = 0; i < kPiecesMax && !input.empty(); ++i) add_piece(input, shown);
  parse_alone(shown);

  E2eeWorld& world = e2ee_world();
  Guard guard(world, world.bob());
  const auto learned = learn_lists(world.bob(), kPeer.user_id, shown.lists, shown.records, kFuzzNow);
  CHATSDK_ASSERT(learned.ok());
  if (learned->result == Learning::kRefused || learned->result == Learning::kIgnored ||
      learned->result == Learning::kSame) {
    guard.assert_untouched();
    return 0;
  }
  CHATSDK_ASSERT(shown.signed_here);
  const KnownUser* user = world.bob().user(kPeer.user_id).value();
  CHATSDK_ASSERT(user != nullptr);
  assert_whole(*user);
  assert_sessions_followed(world.bob(), *user, learned->result);
  return 0;
}
