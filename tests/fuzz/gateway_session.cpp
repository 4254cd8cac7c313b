// SPDX-License-Identifier: Apache-2.0
//
// A server's sessions between two devices that say anything in any order, and a third that behaves. The first two are
// in their users' device lists and have agreed on encrypted conversations. The input is a list of steps, each a byte
// that says what and what it needs:
//
//   0, 1  a frame from device 0 or 1:  length (2 bytes, little-endian), bytes
//   2     time passes:                 tenths of a second (1 byte)
//   3, 4  device 0 or 1 connects anew
//   5     commits are held back, or released
//
// Whatever the two say, the server sends only frames that decode and none after it closed, and the third device's
// message is accepted.
//
// Threads: one.
#include "fuzz/fuzz.h"
#include "unit/server/gateway_world.h"
#include "unit/server/key_rows.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::server;

constexpr std::size_t kStepsMax = 64;

class Play {
 public:
  Play() {
    for (const char* user : {"ann", "bob", "eve"}) world_.add_user(user);
    devices_ = {world_.add_device("ann"), world_.add_device("bob"), world_.add_device("eve")};
    for (std::size_t i = 0; i < 2; ++i) {
      list(devices_[i]);
      talkers_[i] = &world_.open(world_.token(devices_[i]), i);
      talkers_[i]->auto_ack = true;
      wire::ClientFrame hello = world_.hello();
      hello.mutable_hello()->add_features(std::string(kFeatureEncryption));
      talkers_[i]->say(hello);
      world_.run();
    }
  }

  void step(fuzz::Reader& input) {
    const std::uint8_t what = static_cast<std::uint8_t>(input.byte() % 6);
    if (what < 2) {
      const std::size_t count = input.number(2);
      say(*talkers_[what], input.bytes(count));
    } else if (what == 2) {
      world_.advance(std::chrono::milliseconds(100) * input.byte());
    } else if (what < 5) {
      const std::size_t i = what - 3U;
      if (!talkers_[i]->closed) talkers_[i]->hang_up();
      talkers_[i] = &world_.open(world_.token(devices_[i]), i);
    } else if (world_.hold_commits) {
      world_.release_commits();
    } else {
      world_.hold_commits = true;
    }
    world_.run();
  }

  void end() {
    world_.release_commits();
    TestClient& eve = world_.connect(devices_[2]);
    CHATSDK_ASSERT(eve.of(wire::ServerFrame::kWelcome).size() == 1);
    eve.say(world_.text_to("ann", "hello", 1));
    world_.run();
    const auto results = eve.of(wire::ServerFrame::kSendResult);
    CHATSDK_ASSERT(results.size() == 1 && results[0].send_result().has_accepted());
  }

 private:
  void list(const World::Device& device) {
    const DeviceRecordRow record = record_of(device.id);
    PublishLists op;
    op.user_id = device.user;
    op.uploader = device.id;
    op.account_key = hash_named(device.user);
    op.lists = {list_of(1, {record})};
    op.records = {record};
    CHATSDK_ASSERT(world_.commit_now(op).ok());
  }
  void say(TestClient& client, BytesView frame) {
    if (client.closed) return;
    // As the listener hands it over: only for the call.
    const Bytes copy(frame);
    client.say_bytes(copy);
  }

  World world_;
  std::array<World::Device, 3> devices_;
  std::array<TestClient*, 2> talkers_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  Play play;
  for (std::size_t i = 0; i < kStepsMax && !input.empty(); ++i) play.step(input);
  play.end();
  return 0;
}
