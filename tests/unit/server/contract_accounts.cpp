// SPDX-License-Identifier: Apache-2.0
//
// The rules of accounts, devices and sessions.
//
// Threads: one.
#include "base/limits.h"
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {
namespace {

using Outcome = SessionRotated::Outcome;

class AccountContract : public StoreContract {
 protected:
  SessionRotated rotate(const Session& session, std::uint32_t generation, const Bytes& request_id) {
    return write<SessionRotated>(
        RotateSession{session.session_id, generation, request_id, now(), now() + std::chrono::hours(2)});
  }
  std::vector<wire::Item> account_items(const UserId& user_id) {
    return read(user_id, (*reader().account(user_id))->account_stream);
  }
};

// ---- Accounts ------------------------------------------------------------------------------------------------------

TEST_F(AccountContract, AnAccountIsReadAsItWasMade) {
  Account made = account("ann");
  made.email = "ann@example.org";
  made.phone = "+4912345";
  const Account answer = write<Account>(CreateAccount{made});
  EXPECT_TRUE(answer.account_stream);
  const auto stored = reader().account("ann");
  ASSERT_TRUE(stored.ok() && stored->has_value());
  EXPECT_EQ((*stored)->account_stream, answer.account_stream);
  EXPECT_EQ((*stored)->password_hash, made.password_hash);
  EXPECT_EQ((*stored)->display_name, made.display_name);
  EXPECT_EQ((*stored)->email, made.email);
  EXPECT_EQ((*stored)->phone, made.phone);
  EXPECT_EQ((*stored)->created, made.created);
  EXPECT_FALSE(reader().account("Ann")->has_value());
}

TEST_F(AccountContract, TakenNamesAreRefused) {
  Account ann = account("ann");
  ann.email = "ann@example.org";
  ann.phone = "+4912345";
  write<Account>(CreateAccount{ann});
  EXPECT_EQ(code(CreateAccount{account("ann")}), Code::kAlreadyExists);
  Account other = account("bob");
  other.email = ann.email;
  EXPECT_EQ(code(CreateAccount{other}), Code::kAlreadyExists);
  other.email.clear();
  other.phone = ann.phone;
  EXPECT_EQ(code(CreateAccount{other}), Code::kAlreadyExists);
  EXPECT_FALSE(reader().account("bob")->has_value());
}

TEST_F(AccountContract, AccountsWithoutContactsDoNotClash) {
  register_user("ann");
  register_user("bob");
  EXPECT_TRUE(reader().account("bob")->has_value());
}

TEST_F(AccountContract, EnsureMakesTheAccountOnce) {
  Account again = account("ann");
  again.password_hash.clear();
  const auto first = write<Account>(EnsureAccount{again});
  again.display_name = "another";
  const auto second = write<Account>(EnsureAccount{again});
  EXPECT_EQ(second.account_stream, first.account_stream);
  EXPECT_EQ(second.display_name, first.display_name);
}

TEST_F(AccountContract, EnsureNeverJoinsAnAccountWithAPassword) {
  register_user("ann");
  Account vouched_for = account("ann");
  vouched_for.password_hash.clear();
  EXPECT_EQ(code(EnsureAccount{vouched_for}), Code::kConflict);
}

// ---- Log-ins and devices -------------------------------------------------------------------------------------------

TEST_F(AccountContract, ANewDeviceIsToldInTheAccountStream) {
  register_user("ann");
  const CommitResult result = commit({opening("ann")});
  const auto opened = std::get<SessionOpened>(*result.answers.at(0));
  EXPECT_TRUE(opened.new_device);
  EXPECT_TRUE(opened.session.session_id);
  EXPECT_TRUE(opened.session.device_id);
  EXPECT_EQ(opened.session.generation, 1u);
  ASSERT_EQ(result.appended.size(), 1u);
  EXPECT_EQ(result.appended[0].kind, wire::STREAM_KIND_ACCOUNT);
  EXPECT_EQ(result.appended[0].followers, std::vector<UserId>{"ann"});
  EXPECT_EQ(parse(result.appended[0].item).kind(), wire::ITEM_KIND_DEVICES_CHANGED);
  const auto devices = reader().devices("ann");
  ASSERT_EQ(devices->size(), 1u);
  EXPECT_EQ(devices->at(0).device_id, opened.session.device_id);
  EXPECT_EQ(devices->at(0).user_id, "ann");
  EXPECT_EQ(devices->at(0).name, "phone");
  EXPECT_EQ(devices->at(0).installation_id, "installation-000");
  EXPECT_EQ(devices->at(0).created, now());
}

TEST_F(AccountContract, AnotherLogInOfAnInstallationKeepsTheDevice) {
  register_user("ann");
  const auto first = log_in("ann");
  pass(1'000);
  const auto second = log_in("ann");
  EXPECT_FALSE(second.new_device);
  EXPECT_EQ(second.session.device_id, first.session.device_id);
  EXPECT_NE(second.session.session_id, first.session.session_id);
  EXPECT_EQ(rotate(first.session, 1, "request-00000001").outcome, Outcome::kEnded) << "the old session was replaced";
  EXPECT_EQ(reader().devices("ann")->at(0).last_seen, now());
  EXPECT_EQ(account_items("ann").size(), 1u);
}

TEST_F(AccountContract, ALogInMayReplaceThePasswordHash) {
  register_user("ann");
  OpenSession op = opening("ann");
  write<SessionOpened>(op);
  EXPECT_EQ((*reader().account("ann"))->password_hash, account("ann").password_hash);
  op.new_password_hash = "$argon2id$stronger";
  write<SessionOpened>(op);
  EXPECT_EQ((*reader().account("ann"))->password_hash, "$argon2id$stronger");
}

TEST_F(AccountContract, ARefusedLogInKeepsThePasswordHash) {
  register_user("ann");
  for (std::size_t i = 0; i < limits::kDevicesPerUserMax; ++i) log_in("ann", "installation-" + std::to_string(i));
  OpenSession op = opening("ann", "installation-more");
  op.new_password_hash = "$argon2id$stronger";
  EXPECT_EQ(code(op), Code::kLimitReached);
  EXPECT_EQ((*reader().account("ann"))->password_hash, account("ann").password_hash);
}

TEST_F(AccountContract, OneInstallationOfTwoUsersIsTwoDevices) {
  register_user("ann");
  register_user("bob");
  EXPECT_NE(log_in("ann").session.device_id, log_in("bob").session.device_id);
}

TEST_F(AccountContract, AnUnknownUserCannotLogIn) { EXPECT_EQ(code(opening("nobody")), Code::kNotFound); }

TEST_F(AccountContract, TheNumberOfDevicesIsLimited) {
  register_user("ann");
  SessionOpened last;
  for (std::size_t i = 1; i <= limits::kDevicesPerUserMax; ++i) {
    last = log_in("ann", "installation-" + std::to_string(i));
    EXPECT_TRUE(last.new_device) << i;
  }
  const OpenSession one_more = opening("ann", "installation-more");
  EXPECT_EQ(code(one_more), Code::kLimitReached);
  EXPECT_EQ(reader().devices("ann")->size(), limits::kDevicesPerUserMax);
  EXPECT_FALSE(log_in("ann", "installation-1").new_device) << "a device that exists logs in";
  write<Done>(EndSessions{"ann", last.session.device_id, true, now()});
  EXPECT_EQ(code(one_more), Code::kOk);
}

TEST_F(AccountContract, TheDeviceIdleLongestMakesRoomForAnother) {
  register_user("ann");
  register_user("bob");
  std::vector<Session> sessions;
  for (std::size_t i = 1; i <= limits::kDevicesPerUserMax; ++i) {
    sessions.push_back(log_in("ann", "installation-" + std::to_string(i)).session);
    pass(1'000);
  }
  const DeviceId oldest = sessions[4].device_id;  // of those that log out
  const auto appended = write<Appended>(message("ann", oldest, to_peer("bob"), 1));
  write<Done>(AdvanceCursor{oldest, appended.conversation_id, 2});
  for (const std::size_t i : {9u, 4u, 20u}) write<Done>(EndSessions{"ann", sessions[i].device_id, false, now()});

  const auto opened = log_in("ann", "installation-more");

  EXPECT_TRUE(opened.new_device);
  const auto devices = reader().devices("ann");
  EXPECT_EQ(devices->size(), limits::kDevicesPerUserMax);
  for (const Device& device : *devices) EXPECT_NE(device.device_id, oldest);
  const auto followed = reader().followed("ann", oldest);
  for (const FollowedStream& stream : *followed) EXPECT_EQ(stream.acknowledged, 0u);
  EXPECT_TRUE(reader().session_of(sessions[0].device_id)->has_value()) << "an older one with an open session stays";
}

TEST_F(AccountContract, ADeviceWhoseSessionExpiredMakesRoomToo) {
  register_user("ann");
  const DeviceId first = log_in("ann", "installation-0").session.device_id;
  pass(3'600'000);
  for (std::size_t i = 1; i < limits::kDevicesPerUserMax; ++i) log_in("ann", "installation-" + std::to_string(i));

  log_in("ann", "installation-more");

  const auto devices = reader().devices("ann");
  for (const Device& device : *devices) EXPECT_NE(device.device_id, first);
  EXPECT_FALSE(reader().session_of(first)->has_value());
}

TEST_F(AccountContract, LogOutEndsTheSessionAndKeepsTheDevice) {
  register_user("ann");
  const auto opened = log_in("ann");
  write<Done>(EndSessions{"ann", opened.session.device_id, false, now()});
  EXPECT_FALSE(reader().session_of(opened.session.device_id)->has_value());
  EXPECT_EQ(rotate(opened.session, 1, "request-00000001").outcome, Outcome::kEnded);
  EXPECT_EQ(reader().devices("ann")->size(), 1u);
  EXPECT_EQ(account_items("ann").size(), 1u);
}

TEST_F(AccountContract, ARemovedDeviceIsGoneAndTold) {
  register_user("ann");
  register_user("bob");
  const auto opened = log_in("ann");
  const DeviceId device = opened.session.device_id;
  const auto appended = write<Appended>(message("ann", device, to_peer("bob"), 1));
  write<Done>(AdvanceCursor{device, appended.conversation_id, 2});
  const CommitResult result = commit({EndSessions{"ann", device, true, now()}});
  ASSERT_EQ(result.appended.size(), 1u);
  EXPECT_EQ(parse(result.appended[0].item).kind(), wire::ITEM_KIND_DEVICES_CHANGED);
  EXPECT_TRUE(reader().devices("ann")->empty());
  EXPECT_FALSE(reader().session_of(device)->has_value());
  write<Done>(AdvanceCursor{device, appended.conversation_id, 2});
  const auto streams = reader().followed("ann", device);
  for (const FollowedStream& stream : *streams) EXPECT_EQ(stream.acknowledged, 0u);
  const auto again = log_in("ann");
  EXPECT_TRUE(again.new_device);
  EXPECT_NE(again.session.device_id, device);
}

TEST_F(AccountContract, AnothersDeviceIsNotFound) {
  register_user("ann");
  register_user("bob");
  const auto opened = log_in("ann");
  EXPECT_EQ(code(EndSessions{"bob", opened.session.device_id, true, now()}), Code::kNotFound);
  EXPECT_EQ(code(EndSessions{"ann", DeviceId{99}, true, now()}), Code::kNotFound);
  EXPECT_TRUE(reader().session_of(opened.session.device_id)->has_value());
}

TEST_F(AccountContract, LastSeenOnlyGrows) {
  register_user("ann");
  const DeviceId device = log_in("ann").session.device_id;
  pass(10'000);
  write<Done>(TouchDevice{device, now()});
  write<Done>(TouchDevice{device, now() - std::chrono::seconds(5)});
  write<Done>(TouchDevice{DeviceId{1}, now()});
  EXPECT_EQ(reader().devices("ann")->at(0).last_seen, now());
}

// ---- Rotation ------------------------------------------------------------------------------------------------------

TEST_F(AccountContract, ARotationMakesTheNextGeneration) {
  register_user("ann");
  const Session session = log_in("ann").session;
  const auto rotated = rotate(session, 1, "request-00000001");
  EXPECT_EQ(rotated.outcome, Outcome::kRotated);
  EXPECT_EQ(rotated.session.generation, 2u);
  EXPECT_EQ(rotated.session.user_id, "ann");
  EXPECT_EQ(rotated.session.device_id, session.device_id);
  EXPECT_EQ(rotated.session.expires, now() + std::chrono::hours(2));
  EXPECT_EQ(rotate(session, 2, "request-00000002").session.generation, 3u);
  const auto stored = reader().session_of(session.device_id);
  EXPECT_EQ((*stored)->generation, 3u);
  EXPECT_EQ((*stored)->last_request_id, "request-00000002");
}

TEST_F(AccountContract, ARepeatedRotationGetsTheSameSuccessor) {
  register_user("ann");
  const Session session = log_in("ann").session;
  const auto first = rotate(session, 1, "request-00000001");
  pass(1'000);
  harness_->reopen();
  const auto again = rotate(session, 1, "request-00000001");
  EXPECT_EQ(again.outcome, Outcome::kRepeated);
  EXPECT_EQ(again.session.generation, first.session.generation);
  EXPECT_EQ(again.session.expires, first.session.expires);
}

TEST_F(AccountContract, ReuseOfAnOldGenerationEndsTheSession) {
  register_user("ann");
  const Session session = log_in("ann").session;
  rotate(session, 1, "request-00000001");
  EXPECT_EQ(rotate(session, 1, "request-00000009").outcome, Outcome::kReused);
  EXPECT_EQ(rotate(session, 2, "request-00000002").outcome, Outcome::kEnded) << "the newest token too";
  EXPECT_FALSE(reader().session_of(session.device_id)->has_value());
}

TEST_F(AccountContract, AGenerationTwoBackIsReuseWhateverItsRequest) {
  register_user("ann");
  const Session session = log_in("ann").session;
  rotate(session, 1, "request-00000001");
  rotate(session, 2, "request-00000002");
  EXPECT_EQ(rotate(session, 1, "request-00000001").outcome, Outcome::kReused);
}

TEST_F(AccountContract, AnEmptyRequestRepeatsNothing) {
  register_user("ann");
  const Session session = log_in("ann").session;
  EXPECT_EQ(rotate(session, 0, "").outcome, Outcome::kReused);
}

TEST_F(AccountContract, AnExpiredSessionIsEnded) {
  register_user("ann");
  const Session session = log_in("ann").session;
  pass(3'600'000 - 1);
  const auto rotated = rotate(session, 1, "request-00000001");
  EXPECT_EQ(rotated.outcome, Outcome::kRotated) << "a millisecond before";
  pass(2 * 3'600'000);
  EXPECT_EQ(rotate(session, 2, "request-00000002").outcome, Outcome::kEnded) << "at its end";
}

TEST_F(AccountContract, AGenerationNotYetMadeEndsTheSession) {
  register_user("ann");
  const Session session = log_in("ann").session;
  EXPECT_EQ(rotate(session, 5, "request-00000001").outcome, Outcome::kEnded);
}

TEST_F(AccountContract, AnUnknownSessionIsEnded) {
  Session unknown;
  unknown.session_id = SessionId{4711};
  EXPECT_EQ(rotate(unknown, 1, "request-00000001").outcome, Outcome::kEnded);
}

}  // namespace
}  // namespace chatsdk::server
