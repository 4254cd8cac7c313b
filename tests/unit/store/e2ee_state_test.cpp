// SPDX-License-Identifier: Apache-2.0
//
// The state's tables at each limit that a store decides by itself, with rows that nobody wrote so, and what is left of
// what was deleted. What whole runs keep is in e2ee_transcript_test.cpp.
#include "store/e2ee_state.h"

#include <gtest/gtest.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/limits.h"
#include "unit/e2ee/devices.h"
#include "unit/store/e2ee_keeper.h"

namespace chatsdk::e2ee {
namespace {

std::filesystem::path directory_for_tests() {
  const std::filesystem::path memory = "/dev/shm";
  static int serial = 0;
  return (::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path()) /
         ("chatsdk-e2ee-state-" + std::to_string(::getpid()) + "-" + std::to_string(++serial));
}

// Alice's state, in memory and in a store.
class E2eeState : public ::testing::Test, protected Two {
 protected:
  E2eeState() { EXPECT_GE(sodium_init(), 0); }

  MemoryState& memory() { return alice.state; }
  // The same on both, in a transaction; they end with the same hash.
  template <typename Body>
  void both(Body body) {
    ASSERT_TRUE(body(memory()).ok());
    const Status done = kept.run([&] { return body(kept.state()); });
    ASSERT_TRUE(done.ok()) << done.error().detail;
    ASSERT_EQ(kept.hash(), memory().hash());
  }
  // What alice has so far goes into the store.
  void store_all() {
    const Status done = kept.run([&]() -> Status {
      State& to = kept.state();
      CHATSDK_TRY(to.put_self(memory().self().value()->clone()));
      for (const UserId user_id : {"alice", "bob"}) CHATSDK_TRY(to.put_user(*memory().user(user_id).value()));
      CHATSDK_TRY(store_prekeys());
      CHATSDK_ASSIGN(const auto sessions, memory().sessions(bob.peer()));
      for (const SessionSummary& summary : sessions) {
        CHATSDK_ASSIGN(const auto session, memory().session(bob.peer(), summary.session_id));
        CHATSDK_TRY(to.put_session(bob.peer(), *session));
      }
      return {};
    });
    ASSERT_TRUE(done.ok()) << done.error().detail;
    ASSERT_EQ(kept.hash(), memory().hash());
  }
  Status store_prekeys() {
    CHATSDK_ASSIGN(const auto prekeys, memory().prekeys());
    for (const PrekeySummary& summary : prekeys) {
      CHATSDK_ASSIGN(auto prekey, memory().prekey(summary.key_id));
      CHATSDK_TRY(kept.state().put_prekey(std::move(*prekey)));
    }
    return {};
  }
  std::int64_t count(const std::string& what) {
    auto query = kept.db().prepare("SELECT count(*) FROM " + what);
    EXPECT_TRUE(query->step().value());
    return query->integer(0);
  }

  StoreKeeper kept{directory_for_tests(), false};
};

// A session with one current chain and as many skipped keys, whose times are 1, 2, 3, ... from `first_ms`.
Session session_with_skipped(unsigned char id, std::uint32_t keys, std::uint64_t first_ms) {
  Session session;
  session.session_id = fixed_of<SessionId>(id);
  session.peer_record = fixed_of<Hash>(1);
  session.root = secret_of<32>(2);
  session.chains_begun = 1;
  session.created_ms = kThen;
  ReceivingChain chain;
  chain.number = 1;
  chain.ratchet_key = fixed_of<AgreementKey>(id);
  chain.chain_key = secret_of<32>(4);
  chain.next = keys;
  chain.end = limits::e2ee::kCountMax;
  session.chains.push_back(std::move(chain));
  for (std::uint32_t n = 0; n < keys; ++n) session.skipped.add(1, n, secret_of<32>(5), first_ms + n);
  return session;
}

// ---- Limits --------------------------------------------------------------------------------------------------------

TEST_F(E2eeState, DropsTheOldestSkippedKeysAboveTheDevicesLimitAndNoOthers) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  // Times that overlap, and times that are the same: then the session's id decides, then the number.
  constexpr std::uint32_t kEach = limits::e2ee::kSkippedSessionMax;
  const auto sessions = static_cast<unsigned char>(limits::e2ee::kSkippedTotalMax / kEach);
  both([&](State& state) -> Status {
    for (unsigned char i = 0; i < sessions; ++i) {
      const auto id = static_cast<unsigned char>(0x40 + sessions - i);
      CHATSDK_TRY(state.put_session({"bob", DeviceId{i % 3U + 1U}}, session_with_skipped(id, kEach, kThen + i / 2U)));
    }
    return state.drop_skipped(limits::e2ee::kSkippedTotalMax);
  });
  EXPECT_EQ(count("e2ee_skipped"), static_cast<std::int64_t>(limits::e2ee::kSkippedTotalMax));

  // One key more, and one goes: the lowest of the oldest time.
  both([&](State& state) -> Status {
    CHATSDK_TRY(state.put_session({"bob", DeviceId{9}}, session_with_skipped(0x10, 1, kThen + 5'000)));
    return state.drop_skipped(limits::e2ee::kSkippedTotalMax);
  });
  EXPECT_EQ(count("e2ee_skipped"), static_cast<std::int64_t>(limits::e2ee::kSkippedTotalMax));
  EXPECT_EQ(count("e2ee_skipped k JOIN e2ee_session s ON s.id = k.session WHERE s.session_id = x'4949494949494949'"),
            std::int64_t{kEach} - 1);

  for (const std::size_t most : {limits::e2ee::kSkippedTotalMax - 7, std::size_t{1}, std::size_t{0}}) {
    both([most](State& state) { return state.drop_skipped(most); });
    EXPECT_EQ(count("e2ee_skipped"), static_cast<std::int64_t>(most));
  }
}

TEST_F(E2eeState, CountsSkippedKeysAcrossDeletionsAndRefusals) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  const Peer peer{"bob", DeviceId{1}};
  both([&](State& state) { return state.put_session(peer, session_with_skipped(0x41, 10, kThen)); });
  both([&](State& state) { return state.drop_skipped(10); });
  const Status undone = kept.run([&]() -> Status {
    CHATSDK_TRY(kept.state().put_session(peer, session_with_skipped(0x42, 10, kThen)));
    CHATSDK_TRY(kept.state().drop_skipped(15));
    return bad_message();
  });
  EXPECT_EQ(undone.code(), kBadMessage);
  both([&](State& state) { return state.drop_skipped(10); });
  EXPECT_EQ(count("e2ee_skipped"), 10);
  both([&](State& state) -> Status {
    CHATSDK_TRY(state.put_session(peer, session_with_skipped(0x43, 3, kThen)));
    CHATSDK_TRY(state.drop_session(peer, fixed_of<SessionId>(0x41)));
    return state.drop_skipped(2);
  });
  EXPECT_EQ(count("e2ee_skipped"), 2);
}

// What is 1 ms younger than its limit stays.
TEST_F(E2eeState, AgesAtTheLimitAndNotBefore) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  const Peer peer{"bob", DeviceId{2}};
  const std::uint64_t kept_ms = ms(limits::e2ee::kSkippedKept);
  ASSERT_EQ(kept_ms, ms(limits::e2ee::kArchivedKept));
  both([&](State& state) -> Status {
    Session archived = session_with_skipped(0x41, 2, kThen + 5);
    archived.status = SessionStatus::kArchived;
    archived.archived_ms = kThen;
    CHATSDK_TRY(state.put_session(peer, archived));
    Session active = session_with_skipped(0x42, 3, kThen + 10);
    ReceivingChain current;
    current.number = active.chains_begun = 2;
    current.ratchet_key = fixed_of<AgreementKey>(0x77);
    current.next = 4;
    current.end = limits::e2ee::kCountMax;
    active.chains.front().superseded_ms = kThen + 11;
    active.chains.push_back(std::move(current));
    active.skipped.add(2, 3, secret_of<32>(6), kThen + 20);
    return state.put_session(peer, active);
  });
  struct Moment {
    std::uint64_t after_ms;
    std::int64_t sessions, chains, keys;
  };
  const Moment moments[] = {
      {kept_ms - 1, 2, 3, 6},   // nothing is old
      {kept_ms, 1, 2, 4},       // the archived session goes, with its chain and keys
      {kept_ms + 9, 1, 2, 4},   //
      {kept_ms + 10, 1, 2, 3},  // a skipped key
      {kept_ms + 11, 1, 1, 1},  // the earlier chain, with the keys that are younger than it
      {kept_ms + 19, 1, 1, 1},  //
      {kept_ms + 20, 1, 1, 0},  // the current chain stays whatever its age
      {10 * kept_ms, 1, 1, 0},
  };
  for (const Moment& moment : moments) {
    both([&](State& state) { return state.age_sessions(kThen + moment.after_ms, kLifetimes); });
    EXPECT_EQ(count("e2ee_session"), moment.sessions) << moment.after_ms;
    EXPECT_EQ(count("e2ee_chain"), moment.chains) << moment.after_ms;
    EXPECT_EQ(count("e2ee_skipped"), moment.keys) << moment.after_ms;
  }
  // A clock that was set back ages nothing.
  both([&](State& state) { return state.put_session(peer, session_with_skipped(0x43, 5, kThen)); });
  both([&](State& state) { return state.age_sessions(1, kLifetimes); });
  EXPECT_EQ(count("e2ee_skipped"), 5);
}

TEST_F(E2eeState, AgesPrekeysWithWhatWasSeenUnderThem) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  const auto put = [](State& state, PrekeyKind kind, std::uint32_t key_id, std::uint64_t created, std::uint64_t next) {
    SeededRandom random(key_id);
    OwnPrekey prekey = OwnPrekey::draw(kind, key_id, created, random);
    prekey.successor_ms = next;
    return state.put_prekey(std::move(prekey));
  };
  const auto stored = static_cast<std::uint32_t>(limits::e2ee::kOneTimeStored);
  both([&](State& state) -> Status {
    CHATSDK_TRY(put(state, PrekeyKind::kSigned, 1, kThen, kThen + 7));
    CHATSDK_TRY(put(state, PrekeyKind::kLastResort, 2, kThen, kThen + 7));
    CHATSDK_TRY(put(state, PrekeyKind::kSigned, 3, kThen + 7, 0));
    CHATSDK_TRY(put(state, PrekeyKind::kLastResort, 4, kThen + 7, 0));
    for (std::uint32_t i = 0; i <= stored; ++i) CHATSDK_TRY(put(state, PrekeyKind::kOneTime, 10 + i, kThen, 0));
    CHATSDK_TRY(state.note_seen(2, fixed_of<AgreementKey>(1)));
    CHATSDK_TRY(state.note_seen(2, fixed_of<AgreementKey>(2)));
    return state.note_seen(4, fixed_of<AgreementKey>(1));
  });
  const std::uint64_t signed_kept = ms(limits::e2ee::kSignedKept);
  both([&](State& state) { return age_all(state, kThen + 7 + signed_kept - 1); });
  EXPECT_EQ(count("e2ee_seen"), 3);
  both([&](State& state) { return age_all(state, kThen + 7 + signed_kept); });
  EXPECT_EQ(count("e2ee_seen"), 1);
  EXPECT_EQ(count("e2ee_prekey WHERE kind IN (1, 4)"), 2);
  both([&](State& state) { return age_all(state, kThen + ms(limits::e2ee::kOneTimeKept) - 1); });
  EXPECT_EQ(count("e2ee_prekey WHERE kind = 2"), std::int64_t{stored} + 1);
  both([&](State& state) { return age_all(state, kThen + ms(limits::e2ee::kOneTimeKept)); });
  EXPECT_EQ(count("e2ee_prekey WHERE kind = 2"), std::int64_t{stored});
  EXPECT_EQ(count("e2ee_prekey WHERE key_id = 10"), 0);
  EXPECT_EQ(count("e2ee_prekey WHERE kind IN (1, 4)"), 2) << "the newest stay however old they are";
}

TEST_F(E2eeState, CountsWhatWasSeenUnderALastResortPrekeyUpToItsLimit) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  // Bob begins with alice's last-resort prekey, three times anew.
  std::vector<Bytes> first;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(bob.begin(alice, false), Code::kOk);
    first.push_back(bob.write(alice));
  }
  const auto receive = [this](State& state, const Bytes& message) {
    return receive_slice(state, alice.item(bob, message), kThen, own_kem(), nullptr).code();
  };
  // Alice's prekeys came after the store had hers: the pair of the last bundle too.
  const Status stored = kept.run([&]() -> Status {
    CHATSDK_TRY(kept.state().put_self(memory().self().value()->clone()));
    return store_prekeys();
  });
  ASSERT_TRUE(stored.ok()) << stored.error().detail;
  const std::uint32_t last_resort = parse_set_up_message(first.back())->kem_id;
  const auto note = [&](std::size_t from, std::size_t to) {
    both([&](State& state) -> Status {
      for (std::size_t i = from; i < to; ++i) {
        Writer ephemeral(32);
        ephemeral.u64(i + 1).zeros(24);
        CHATSDK_TRY(state.note_seen(last_resort, AgreementKey::from(ephemeral.view())));
      }
      return {};
    });
  };
  ASSERT_NO_FATAL_FAILURE(note(0, limits::e2ee::kSeenMax - 1));
  EXPECT_EQ(receive(kept.state(), first.back()), Code::kOk);  // one below the limit; it is rolled back here
  EXPECT_EQ(kept.state().seen(last_resort, {})->count, limits::e2ee::kSeenMax);
  ASSERT_EQ(receive(memory(), first.back()), Code::kOk);
  EXPECT_EQ(kept.hash(), memory().hash());
  const auto due = [&](State& state) { return prekeys_due(state, {100, 100}, {}, kThen)->signed_pair; };
  EXPECT_TRUE(due(kept.state())) << "at the limit the pair is replaced at once";

  // Another set-up with the same key is turned away, in both.
  bob.now_ms += 1;
  const auto publish = [this](std::uint32_t key_id) {
    const auto prekey = memory().prekey(key_id).value();
    return published(*prekey, {"alice", DeviceId{1}}, alice.person.keys.signing_seed, own_kem()).value();
  };
  const BundleBytes again{alice.person.record.bytes, publish(last_resort - 1), publish(last_resort), {}};
  ASSERT_TRUE(begin_session(bob.state, alice.peer(), again, bob.now_ms, bob.random, own_kem()).ok());
  const Bytes late = bob.write(alice);
  const std::string before = all_tables(kept.db());
  EXPECT_EQ(receive(kept.state(), late), kNoSession);
  EXPECT_EQ(all_tables(kept.db()), before);
  EXPECT_EQ(receive(memory(), late), kNoSession);
}

TEST_F(E2eeState, KeepsNoMoreListsThanItShould) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  DeviceList newest = bob.person.list;
  std::vector<Bytes> lists;
  Person other = person("bob", 3, 0x31, 7, {});
  for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax; ++i) {
    const bool adds = i % 2 == 0;
    const DeviceId removed[] = {DeviceId{3}};
    newest = next_device_list(newest, bob.person.account_seed,
                              adds ? std::span<const DeviceRecord>(&other.record, 1) : std::span<const DeviceRecord>(),
                              adds ? std::span<const DeviceId>() : std::span<const DeviceId>(removed), kThen + i)
                 .value();
    lists.push_back(newest.bytes);
  }
  const Bytes last = lists.back();
  lists.pop_back();
  const std::vector<Bytes> records = {other.record.bytes};
  const auto learn = [&](const std::vector<Bytes>& which) {
    both([&](State& state) -> Status {
      CHATSDK_ASSIGN(const Learned learned, learn_lists(state, "bob", which, records, kThen));
      EXPECT_EQ(learned.result, Learning::kChanged);
      return {};
    });
  };
  ASSERT_NO_FATAL_FAILURE(learn(lists));
  EXPECT_EQ(count("e2ee_list WHERE user = 'bob'"), static_cast<std::int64_t>(limits::e2ee::kListVersionsMax));
  ASSERT_NO_FATAL_FAILURE(learn({last}));
  EXPECT_EQ(count("e2ee_list WHERE user = 'bob'"), static_cast<std::int64_t>(limits::e2ee::kListVersionsMax));
  EXPECT_EQ(count("e2ee_list WHERE user = 'bob' AND version = 1"), 0);
  both([](State& state) { return forget_user(state, "bob"); });
  EXPECT_EQ(count("e2ee_list WHERE user = 'bob'"), 0);
  EXPECT_EQ(count("e2ee_record WHERE user = 'bob'"), 0);
}

TEST_F(E2eeState, KeepsNoMoreReplacedAccountKeysThanItShould) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  const auto learn = [&](std::size_t number, Learning expected) {
    const Person other = person("bob", 2, static_cast<unsigned char>(0x40 + 3 * number), 9, {});
    both([&](State& state) -> Status {
      CHATSDK_ASSIGN(const Learned learned, learn_lists(state, "bob", std::vector<Bytes>{other.list.bytes},
                                                        std::vector<Bytes>{other.record.bytes}, kThen));
      EXPECT_EQ(learned.result, expected) << number;
      return {};
    });
  };
  constexpr std::size_t kLast = limits::e2ee::kReplacedMax + 2;
  for (std::size_t i = 0; i <= kLast; ++i) {
    ASSERT_NO_FATAL_FAILURE(learn(i, Learning::kIdentityChanged));
    EXPECT_EQ(count("e2ee_replaced"), static_cast<std::int64_t>(std::min(i + 1, limits::e2ee::kReplacedMax)));
  }
  for (std::size_t i = kLast - limits::e2ee::kReplacedMax; i < kLast; ++i) {
    ASSERT_NO_FATAL_FAILURE(learn(i, Learning::kIgnored));
  }
  both([](State& state) { return forget_user(state, "bob"); });
  EXPECT_EQ(count("e2ee_replaced"), 0);
}

TEST_F(E2eeState, ArchivesEverySessionAndDropsThoseThatAreTooMany) {
  ASSERT_NO_FATAL_FAILURE(store_all());
  const auto put = [](State& state, const Peer& peer, unsigned char id, bool active, std::uint64_t archived_ms) {
    Session session = session_with_skipped(id, 1, kThen);
    session.status = active ? SessionStatus::kActive : SessionStatus::kArchived;
    session.archived_ms = active ? 0 : archived_ms;
    return state.put_session(peer, session);
  };
  const Peer full{"bob", DeviceId{1}};
  const Peer one_below{"bob", DeviceId{2}};
  const Peer namesake{"carol", DeviceId{1}};  // the same device_id under another user
  both([&](State& state) -> Status {
    for (unsigned char i = 0; i < limits::e2ee::kArchivedMax; ++i) {
      // The same time for some: the lowest session_id goes first.
      CHATSDK_TRY(put(state, full, static_cast<unsigned char>(0x60 - i), false, kThen + i / 2U));
      if (i > 0) CHATSDK_TRY(put(state, one_below, static_cast<unsigned char>(0x70 + i), false, kThen));
    }
    CHATSDK_TRY(put(state, full, 0x10, true, 0));
    CHATSDK_TRY(put(state, one_below, 0x11, true, 0));
    return put(state, namesake, 0x12, true, 0);
  });
  both([&](State& state) { return state.archive_all(kThen + 100); });
  EXPECT_EQ(count("e2ee_session WHERE status = 1"), 0);
  EXPECT_EQ(count("e2ee_session WHERE user = 'bob' AND device = 1"),
            static_cast<std::int64_t>(limits::e2ee::kArchivedMax));
  EXPECT_EQ(count("e2ee_session WHERE session_id = x'5f5f5f5f5f5f5f5f'"), 0);
  EXPECT_EQ(count("e2ee_session WHERE session_id = x'6060606060606060'"), 1);
  EXPECT_EQ(count("e2ee_session WHERE user = 'bob' AND device = 2"),
            static_cast<std::int64_t>(limits::e2ee::kArchivedMax));
  EXPECT_EQ(count("e2ee_skipped"), count("e2ee_session"));
}

TEST_F(E2eeState, TakesNoMoreRoomThanItMay) {
  const UserId longest(limits::kUserIdBytesMax, 'u');
  const auto pages = [this] {
    auto query = kept.db().prepare("PRAGMA page_count");
    EXPECT_TRUE(query->step().value());
    return query->integer(0) * 4'096;
  };
  const std::int64_t before = pages();
  constexpr std::int64_t kSessions = 2'000;
  const Status sessions = kept.run([&]() -> Status {
    for (std::int64_t i = 0; i < kSessions; ++i) {
      Session session = session_with_skipped(1, 0, kThen);
      session.chains.clear();
      session.ratchet_secret = secret_of<32>(1);
      session.ratchet_public = fixed_of<AgreementKey>(2);
      session.sending_key = secret_of<32>(3);
      session.peer_ratchet_key = fixed_of<AgreementKey>(4);
      session.send_count = session.previous_count = 100'000;
      const Peer peer{longest, DeviceId{0x1122'3344'5566'0000U + static_cast<std::uint64_t>(i)}};
      CHATSDK_TRY(kept.state().put_session(peer, session));
    }
    return {};
  });
  ASSERT_TRUE(sessions.ok());
  const std::int64_t with_sessions = pages();
  EXPECT_LE((with_sessions - before) / kSessions, 400);
  constexpr std::uint32_t kKeys = 2'000;
  const Status keys = kept.run([&] {
    return kept.state().put_session({longest, DeviceId{5}}, session_with_skipped(0x41, kKeys, kThen));
  });
  ASSERT_TRUE(keys.ok());
  EXPECT_LE((pages() - with_sessions) / kKeys, 80);
}

// ---- Refusals and damage -------------------------------------------------------------------------------------------

TEST_F(E2eeState, AnOperationThatFailsChangesNoByteOfAnyTable) {
  talk();
  ASSERT_NO_FATAL_FAILURE(store_all());
  const Bytes message = bob.write(alice, "next");
  const std::string before = all_tables(kept.db());
  const auto receive = [&](const Bytes& bytes) {
    return kept.run([&] {
      const auto received = receive_slice(kept.state(), alice.item(bob, bytes), kThen, own_kem(), nullptr);
      return received.ok() ? Status() : Status(received.error());
    });
  };
  for (std::size_t at = 0; at < message.size(); ++at) {
    Bytes damaged = message;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const std::size_t writes = kept.writes();
    ASSERT_FALSE(receive(damaged).ok()) << "byte " << at;
    ASSERT_EQ(kept.writes(), writes) << "byte " << at;
  }
  EXPECT_EQ(all_tables(kept.db()), before);
  ASSERT_TRUE(receive(message).ok());
  EXPECT_NE(all_tables(kept.db()), before);
  ASSERT_EQ(alice.receive(bob, message), Code::kOk);
  EXPECT_EQ(kept.hash(), memory().hash());
}

TEST_F(E2eeState, ARowThatNobodyWroteSoIsNamedAndChangesNothing) {
  talk();
  // A session that waits for its answer, one with a skipped key, and a chain of a group each way.
  ASSERT_EQ(bob.begin(alice), Code::kOk);
  ASSERT_EQ(alice.begin(bob, false), Code::kOk);
  const Bytes left_out = bob.write(alice);
  ASSERT_EQ(alice.receive(bob, bob.write(alice)), Code::kOk);
  ASSERT_NO_FATAL_FAILURE(store_all());
  both([](State& state) -> Status {
    SeededRandom random(5);
    CHATSDK_TRY(begin_chain(state, fixed_of<GroupId>(7), 1, kThen, random));
    ReceivedChain chain;
    chain.group = fixed_of<GroupId>(7);
    chain.sender = {"bob", DeviceId{2}};
    chain.order = 1;
    return state.put_received_chain(std::move(chain));
  });
  ASSERT_EQ(count("e2ee_skipped"), 1);
  ASSERT_EQ(count("e2ee_prefix"), 1);

  struct Damage {
    const char* table;
    const char* sql;
  };
  const Damage damages[] = {
      {"e2ee_self", "UPDATE e2ee_self SET account_seed = x'11'"},
      {"e2ee_self", "UPDATE e2ee_self SET registration_id = registration_id + 1"},
      {"e2ee_self", "UPDATE e2ee_self SET signing_seed = zeroblob(32)"},
      {"e2ee_self", "UPDATE e2ee_self SET agreement_secret = zeroblob(33)"},
      {"e2ee_self", "UPDATE e2ee_self SET next_key_id = -1"},
      {"e2ee_self", "UPDATE e2ee_self SET record = substr(record, 1, 100)"},
      {"e2ee_next_self",
       "INSERT INTO e2ee_next_self SELECT * FROM e2ee_self; "
       "UPDATE e2ee_next_self SET signing_seed = zeroblob(32)"},
      {"e2ee_prekey", "UPDATE e2ee_prekey SET kind = 5"},
      {"e2ee_prekey", "UPDATE e2ee_prekey SET kind = 2 WHERE kind = 4"},
      {"e2ee_prekey", "UPDATE e2ee_prekey SET secret = zeroblob(63)"},
      {"e2ee_user", "UPDATE e2ee_user SET account_key = zeroblob(31)"},
      {"e2ee_user", "UPDATE e2ee_user SET verified = 2"},
      {"e2ee_replaced", "INSERT INTO e2ee_replaced VALUES ('bob', 0, x'')"},
      {"e2ee_list", "DELETE FROM e2ee_list"},
      {"e2ee_list", "UPDATE e2ee_list SET list = list || x'00'"},
      {"e2ee_list", "UPDATE e2ee_user SET account_key = zeroblob(32)"},
      {"e2ee_record", "DELETE FROM e2ee_record"},
      {"e2ee_record", "UPDATE e2ee_record SET record = x'01'"},
      {"e2ee_record",
       "INSERT INTO e2ee_record SELECT 'bob', zeroblob(32), record FROM e2ee_record WHERE user = 'alice'"},
      {"e2ee_session", "UPDATE e2ee_session SET peer_record = zeroblob(31)"},
      {"e2ee_session", "UPDATE e2ee_session SET suite = 0"},
      {"e2ee_session", "UPDATE e2ee_session SET role = 3"},
      {"e2ee_session", "UPDATE e2ee_session SET status = 0"},
      {"e2ee_session", "UPDATE e2ee_session SET associated = NULL WHERE 0; UPDATE e2ee_session SET associated = x''"},
      {"e2ee_session", "UPDATE e2ee_session SET root = zeroblob(64)"},
      {"e2ee_session", "UPDATE e2ee_session SET ratchet_secret = x'00'"},
      {"e2ee_session", "UPDATE e2ee_session SET ratchet_secret = zeroblob(32), ratchet_public = NULL"},
      {"e2ee_session", "UPDATE e2ee_session SET sending_key = x'00'"},
      {"e2ee_session", "UPDATE e2ee_session SET send_count = 4294967296"},
      {"e2ee_session", "UPDATE e2ee_session SET peer_ratchet_key = x'00'"},
      {"e2ee_chain", "UPDATE e2ee_session SET chains_begun = 0"},
      {"e2ee_prefix", "UPDATE e2ee_prefix SET prefix = x''"},
      {"e2ee_chain", "UPDATE e2ee_chain SET ratchet_key = zeroblob(31)"},
      {"e2ee_chain", "UPDATE e2ee_chain SET chain_key = 'text'"},
      {"e2ee_chain", "UPDATE e2ee_chain SET next = -1"},
      {"e2ee_skipped", "DELETE FROM e2ee_chain"},
      {"e2ee_skipped", "UPDATE e2ee_skipped SET key = zeroblob(33)"},
      {"e2ee_skipped", "UPDATE e2ee_skipped SET number = 4000"},
      {"e2ee_skipped",
       "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT OR IGNORE INTO "
       "e2ee_skipped SELECT k.session, k.chain, i, k.key, 0 FROM n, (SELECT * FROM e2ee_skipped LIMIT 1) k; UPDATE "
       "e2ee_chain SET next = 5000"},
      {"e2ee_own_chain", "UPDATE e2ee_own_chain SET chain_id = zeroblob(15)"},
      {"e2ee_own_chain", "UPDATE e2ee_own_chain SET signing_seed = zeroblob(31)"},
      {"e2ee_received_chain", "UPDATE e2ee_received_chain SET signing_key = zeroblob(31)"},
      {"e2ee_received_chain", "UPDATE e2ee_received_chain SET chain_key = zeroblob(31)"},
  };
  sqlite::Database& db = kept.db();
  for (const Damage& damage : damages) {
    ASSERT_TRUE(db.execute("SAVEPOINT damage").ok());
    ASSERT_TRUE(db.execute(damage.sql).ok()) << damage.sql;
    const std::string damaged = all_tables(db);
    rows::Statements sql(db);
    SqlState state(db, sql);
    // Everything that reads, and what writes after reading.
    const auto read_all = [&]() -> Status {
      MemoryState copy;
      return copy_state(db, copy);
    };
    const Status read = read_all();
    EXPECT_EQ(read.code(), Code::kCorrupt) << damage.sql;
    EXPECT_EQ(read.error().detail.rfind(std::string(damage.table) + ": ", 0), 0U)
        << damage.sql << ": " << read.error().detail;
    const Code received = receive_slice(state, alice.item(bob, left_out), kThen, own_kem(), nullptr).code();
    EXPECT_TRUE(received == Code::kOk || received == Code::kCorrupt) << damage.sql << ": " << code_name(received);
    EXPECT_TRUE(received == Code::kOk || all_tables(db) == damaged) << damage.sql;
    ASSERT_TRUE(db.execute("ROLLBACK TO damage; RELEASE damage").ok());
  }
  EXPECT_EQ(kept.hash(), memory().hash());
}

// ---- What is deleted -----------------------------------------------------------------------------------------------

// A plain file, in which keys can be looked for.
TEST(E2eeStateErased, LeavesNoKeyInTheFile) {
  ASSERT_GE(sodium_init(), 0);
  const std::filesystem::path path = directory_for_tests();
  const auto holds = [&path](int byte, const char* log = "") {
    std::ifstream file(path.string() + log, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return bytes.find(repeated(static_cast<unsigned char>(byte), 32)) != std::string::npos;
  };
  {
    auto db = sqlite::Database::open(path.string()).value();
    ASSERT_TRUE(sqlite::apply_standard_pragmas(db).ok());
    ASSERT_TRUE(db.execute("CREATE TABLE message(key INTEGER PRIMARY KEY, place INTEGER, lost INTEGER); CREATE TABLE "
                           "stream(stream_id INTEGER PRIMARY KEY, delivered_from INTEGER); CREATE TABLE outbox(id "
                           "INTEGER PRIMARY KEY, kind INTEGER, client_message_id BLOB); CREATE TABLE meta(store_epoch "
                           "INTEGER)")
                    .ok());
    ASSERT_TRUE(e2ee_schema::migrate(db).ok());
    rows::Statements sql(db);
    SqlState state(db, sql);
    const Peer peer{"bob", DeviceId{2}};
    Session session = session_with_skipped(0x41, 3, kThen);
    session.root = secret_of<32>(0xA1);
    session.skipped.add(1, 7, secret_of<32>(0xA2), kThen);
    session.chains.front().chain_key = secret_of<32>(0xA3);
    session.chains.front().next = 8;
    ASSERT_TRUE(state.put_session(peer, session).ok());
    OwnPrekey prekey;
    prekey.kind = PrekeyKind::kOneTime;
    prekey.key_id = 1;
    prekey.secret = secret_of<32>(0xA4);
    ASSERT_TRUE(state.put_prekey(std::move(prekey)).ok());
    ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());
    for (const int key : {0xA1, 0xA2, 0xA3, 0xA4}) ASSERT_TRUE(holds(key)) << key;

    session.root = secret_of<32>(0xB1);
    session.skipped.take(1, 7);
    session.chains.front().chain_key = secret_of<32>(0xB3);
    ASSERT_TRUE(state.put_session(peer, session).ok());
    ASSERT_TRUE(state.drop_prekey(1).ok());
    // Until it is cleared the log has what it was told, which section 23 says.
    EXPECT_TRUE(holds(0xB1, "-wal"));
    ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());
    for (const int key : {0xA1, 0xA2, 0xA3, 0xA4}) EXPECT_FALSE(holds(key) || holds(key, "-wal")) << key;
    EXPECT_TRUE(holds(0xB1));
    session.root = secret_of<32>(0xC1);
    ASSERT_TRUE(state.put_session(peer, session).ok());
    session.root = secret_of<32>(0xB1);
    ASSERT_TRUE(state.put_session(peer, session).ok());
    EXPECT_TRUE(holds(0xC1, "-wal")) << "replaced, and in the log still";
    ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());
    EXPECT_FALSE(holds(0xC1) || holds(0xC1, "-wal"));
    ASSERT_TRUE(state.drop_session(peer, session.session_id).ok());
    ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());
    for (const int key : {0xB1, 0xB3, 0x05}) EXPECT_FALSE(holds(key)) << key;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace chatsdk::e2ee
