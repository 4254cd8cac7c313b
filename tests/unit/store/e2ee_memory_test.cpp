// SPDX-License-Identifier: Apache-2.0
//
// Keys in memory: what was used stands nowhere in the process any more, and once its store is closed nothing does. Each
// key is looked for while it is in use first, and found. SQLite is made to overwrite what it frees, as an app can; by
// itself it does not (docs/e2ee.md, section 23).
//
// Threads: one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sodium.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "e2ee/labels.h"
#include "support/memory_scan.h"
#include "support/wiping_sqlite.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

using test::Needle;
using ::testing::IsEmpty;
using ::testing::Not;

class KeysInMemory : public ::testing::Test {
 protected:
  KeysInMemory() {
    EXPECT_GE(sodium_init(), 0);
    static const bool wipes = test::make_sqlite_wipe();
    EXPECT_TRUE(wipes);
    for (auto* each : {&alice, &bob}) {
      *each = std::make_unique<ChatDevice>(server, each == &alice ? "alice" : "bob", each == &alice ? 1 : 2, directory);
      (*each)->begin();
    }
  }
  ~KeysInMemory() override {
    alice.reset();
    bob.reset();
    std::filesystem::remove_all(directory);
  }

  void say(ChatDevice& from, ChatDevice& to) {
    from.sync();
    from.queue("text");
    ASSERT_EQ(from.flush(), 1);
    from.sync();
    to.sync();
    ASSERT_EQ(to.history().back(), "text");
  }
  Session active(ChatDevice& of, ChatDevice& with) {
    for (const SessionSummary& session : of.sessions(with)) {
      if (session.status == SessionStatus::kActive) {
        return std::move(**of.kept.state().session(with.self, session.session_id));
      }
    }
    ADD_FAILURE() << "no session";
    return {};
  }
  template <std::size_t kSize>
  static Needle needle_of(const Secret<kSize>& secret) {
    return Needle(view(secret));
  }

  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("chatsdk-e2ee-memory-" + std::to_string(::getpid()));
  ChatServer server;
  std::unique_ptr<ChatDevice> alice;
  std::unique_ptr<ChatDevice> bob;
};

TEST_F(KeysInMemory, AreGoneOnceTheyWereUsed) {
  say(*alice, *bob);
  say(*bob, *alice);
  say(*alice, *bob);
  const Needle chain_key = needle_of(*active(*alice, *bob).sending_key);
  const Needle message_key = [this] {
    const Session session = active(*alice, *bob);
    return needle_of(halves(hmac(view(*session.sending_key), {label::kRatchetChain.bytes()})).second);
  }();
  const Needle ratchet_secret = needle_of(*active(*alice, *bob).ratchet_secret);
  const Needle root = needle_of(active(*alice, *bob).root);
  EXPECT_THAT(chain_key.places(), Not(IsEmpty()));
  EXPECT_THAT(ratchet_secret.places(), Not(IsEmpty()));
  EXPECT_THAT(root.places(), Not(IsEmpty()));
  for (auto* each : {&alice, &bob}) {  // whose pages pass through what the files keep at hand
    EXPECT_TRUE((*each)->kept.db().checkpoint(sqlite::CheckpointMode::kTruncate).ok());
  }

  say(*alice, *bob);
  EXPECT_THAT(chain_key.places(), IsEmpty());
  EXPECT_THAT(message_key.places(), IsEmpty());

  say(*bob, *alice);
  say(*alice, *bob);
  say(*bob, *alice);
  EXPECT_THAT(ratchet_secret.places(), IsEmpty());
  EXPECT_THAT(root.places(), IsEmpty());
}

TEST_F(KeysInMemory, AreGoneOnceTheirStoreIsClosed) {
  say(*alice, *bob);
  say(*bob, *alice);
  const Self* const self = *alice->kept.state().self();
  const std::pair<const char*, Needle> needles[] = {
      {"account seed", needle_of(self->account_seed)},
      {"signing seed", needle_of(self->keys.signing_seed)},
      {"agreement secret", needle_of(self->keys.agreement_secret)},
      {"root", needle_of(active(*alice, *bob).root)},
  };
  for (const auto& [name, needle] : needles) EXPECT_THAT(needle.places(), Not(IsEmpty())) << name;
  alice.reset();
  bob.reset();
  for (const auto& [name, needle] : needles) EXPECT_THAT(needle.places(), IsEmpty()) << name;
}

}  // namespace
}  // namespace chatsdk::e2ee
