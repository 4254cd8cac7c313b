// SPDX-License-Identifier: Apache-2.0
//
// The program under what an operator does to it: a stop while it works, texts of the largest size, and a store that
// cannot be written.
//
// Threads: one.
#include <linux/capability.h>
#include <sqlite3.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdint>

#include "base/limits.h"
#include "protocol/content.h"
#include "unit/server/program_client.h"
#include "unit/server/server_program.h"

namespace chatsdk::test {
namespace {

// Holds the store's write lock, so that what the server is to write waits.
class WriteLock {
 public:
  explicit WriteLock(const std::string& path) {
    EXPECT_EQ(sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
    sqlite3_busy_timeout(db_, 10'000);
    EXPECT_EQ(sqlite3_exec(db_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  }
  ~WriteLock() { release(); }
  void release() {
    if (db_ == nullptr) return;
    EXPECT_EQ(sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db_);
    db_ = nullptr;
  }

 private:
  sqlite3* db_ = nullptr;
};

class ProgramFlow : public ServerProgram {
 protected:
  std::string database() const { return directory_ + "/chatsdk-server.db"; }
  static std::string registration(const std::string& user) {
    return R"({"userId":")" + user +
           R"(","password":"a-long-password","deviceName":"d","installationId":"AAAAAAAAAAAAAAAAAAAAAA=="})";
  }
  // The access token of a new user.
  static std::string register_user(std::uint16_t port, const std::string& user) {
    const RawClient::Response made = post(port, "/v1/accounts", registration(user));
    EXPECT_EQ(made.status, 201) << made.body;
    const std::size_t begin = made.body.find("\"accessToken\":\"") + 15;
    return made.body.substr(begin, made.body.find('"', begin) - begin);
  }
  static Bytes message_id(char last) { return Bytes(limits::kClientMessageIdBytes - 1, 'm') + last; }
};

// Logs in and waits until everything was sent.
void catch_up(ProgramClient& client) {
  client.hello();
  while (const auto frame = client.read(wire::ServerFrame::kCaughtUp)) {
    if (frame->caught_up().stream_id() == 0) return;
  }
  ADD_FAILURE() << "the connection ended before it was caught up";
}

TEST_F(ProgramFlow, ARequestInFlightAtSigtermGetsItsAnswer) {
  Program program(arguments({"--drain-seconds", "60"}), error_file());
  const std::uint16_t port = program.read_port();
  ProgramClient witness(port, register_user(port, "ada"));
  catch_up(witness);
  const std::string body = registration("bob");
  RawClient client(port);
  client.send(
      "POST /v1/accounts HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  ASSERT_EQ(client.read_response().status, 100);

  program.signal(SIGTERM);
  ASSERT_TRUE(witness.read(wire::ServerFrame::kDrain));
  EXPECT_EQ(witness.close_code(), 1001);
  client.send(body);
  const RawClient::Response answer = client.read_response();

  EXPECT_EQ(answer.status, 201) << answer.body;
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(client.read_to_end());
  client.reset();
  EXPECT_EQ(program.wait(), 0) << errors();
  EXPECT_EQ(errors().find("before every connection was drained"), std::string::npos) << errors();
}

TEST_F(ProgramFlow, ASendInFlightAtSigtermGetsItsAnswerAfterTheDrainFrame) {
  Program program(arguments({"--drain-seconds", "60"}), error_file());
  const std::uint16_t port = program.read_port();
  const std::string ada = register_user(port, "ada");
  register_user(port, "bob");
  ProgramClient client(port, ada);
  catch_up(client);
  WriteLock lock(database());
  client.send_text("bob", "before the stop", message_id('1'), 1);
  client.ping(7);
  ASSERT_TRUE(client.read(wire::ServerFrame::kPong)) << "the send has been heard";

  program.signal(SIGTERM);
  ASSERT_TRUE(client.read(wire::ServerFrame::kDrain));
  lock.release();
  const auto result = client.read(wire::ServerFrame::kSendResult);

  ASSERT_TRUE(result);
  EXPECT_TRUE(result->send_result().has_accepted()) << result->ShortDebugString();
  EXPECT_EQ(client.close_code(), 1001);
  EXPECT_EQ(program.wait(), 0) << errors();
}

// The text of the next message; what comes is acknowledged, so that there is room for an item larger than the window.
std::string read_and_acknowledge(ProgramClient& client) {
  while (const auto frame = client.read(wire::ServerFrame::kItems)) {
    const wire::Item& last = *frame->items().items().rbegin();
    wire::ClientFrame ack;
    ack.mutable_ack()->add_streams()->set_stream_id(frame->items().stream_id());
    ack.mutable_ack()->mutable_streams(0)->set_seq(last.seq());
    client.say(ack);
    if (last.kind() == wire::ITEM_KIND_MESSAGE) return content::text_of(last.content()).value_or("");
  }
  return {};
}

TEST_F(ProgramFlow, TheLargestTextPassesAndOneByteMoreIsRefused) {
  Program program(arguments({"--text-bytes-max", std::to_string(limits::kTextBytesMax)}), error_file());
  const std::uint16_t port = program.read_port();
  ProgramClient ada(port, register_user(port, "ada"));
  ProgramClient bob(port, register_user(port, "bob"));
  catch_up(ada);
  catch_up(bob);
  std::string text;
  while (text.size() + 5 <= limits::kTextBytesMax) text += "x\xF0\x9F\x98\x80";
  text.resize(limits::kTextBytesMax, 'y');

  ada.send_text("bob", text + "z", message_id('1'), 1);
  const auto refused = ada.read(wire::ServerFrame::kSendResult);
  ada.send_text("bob", text, message_id('2'), 1);
  const auto accepted = ada.read(wire::ServerFrame::kSendResult);

  ASSERT_TRUE(refused);
  EXPECT_EQ(static_cast<Code>(refused->send_result().refused().code()), Code::kTooLarge);
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(accepted->send_result().has_accepted()) << accepted->ShortDebugString();
  EXPECT_TRUE(read_and_acknowledge(bob) == text);
}

TEST_F(ProgramFlow, ARepeatGetsTheFirstAnswerAfterTheLimitWasLowered) {
  const std::string text(60'000, 'x');
  std::string ada;
  wire::SendResult first;
  {
    Program program(arguments(), error_file());
    const std::uint16_t port = program.read_port();
    ada = register_user(port, "ada");
    register_user(port, "bob");
    ProgramClient client(port, ada);
    catch_up(client);
    client.send_text("bob", text, message_id('1'), 1);
    const auto accepted = client.read(wire::ServerFrame::kSendResult);
    ASSERT_TRUE(accepted && accepted->send_result().has_accepted());
    first = accepted->send_result();
    program.signal(SIGTERM);
    ASSERT_EQ(program.wait(), 0) << errors();
  }
  Program lowered(arguments({"--text-bytes-max", "1000"}), error_file());
  ProgramClient client(lowered.read_port(), ada);
  catch_up(client);

  client.send_text("bob", text, message_id('1'), 1);
  const auto repeated = client.read(wire::ServerFrame::kSendResult);
  client.send_text("bob", text, message_id('2'), 2);
  const auto refused = client.read(wire::ServerFrame::kSendResult);
  client.send_text("bob", "short", message_id('2'), 2);
  const auto accepted = client.read(wire::ServerFrame::kSendResult);

  ASSERT_TRUE(repeated && refused && accepted);
  EXPECT_EQ(repeated->send_result().SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(static_cast<Code>(refused->send_result().refused().code()), Code::kTooLarge);
  EXPECT_TRUE(accepted->send_result().has_accepted()) << accepted->ShortDebugString();
}

TEST_F(ProgramFlow, AStoreThatMayOnlyBeReadIsARunTimeErrorThatNamesIt) {
  {
    Program program(arguments(), error_file());
    ASSERT_NE(program.read_port(), 0);
    program.signal(SIGTERM);
    ASSERT_EQ(program.wait(), 0);
  }
  ASSERT_EQ(::chmod(database().c_str(), 0400), 0);

  // The superuser may write everything, unless that is taken away for good.
  Program program(arguments(), error_file(), {}, [superuser = ::geteuid() == 0] {
    if (superuser &&
        (::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) != 0 || ::prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH) != 0)) {
      ::_exit(126);
    }
  });

  EXPECT_EQ(program.wait(), 1);
  EXPECT_NE(errors().find("--data-dir"), std::string::npos) << errors();
  EXPECT_NE(errors().find("chatsdk-server.db can only be read"), std::string::npos) << errors();
}

// As when its file system is mounted anew for reading: no file of the process may grow any more.
TEST_F(ProgramFlow, AStoreThatCannotBeWrittenAnyMoreEndsTheProgramAndNothingIsLost) {
  std::string ada;
  wire::SendResult first;
  {
    Program program(arguments(), error_file());
    const std::uint16_t port = program.read_port();
    ada = register_user(port, "ada");
    register_user(port, "bob");
    ProgramClient client(port, ada);
    catch_up(client);
    client.send_text("bob", "stored", message_id('1'), 1);
    const auto accepted = client.read(wire::ServerFrame::kSendResult);
    ASSERT_TRUE(accepted);
    first = accepted->send_result();
    ASSERT_TRUE(first.has_accepted());
    const rlimit none{1, RLIM_INFINITY};
    ASSERT_EQ(::prlimit(program.id(), RLIMIT_FSIZE, &none, nullptr), 0);

    client.send_text("bob", "not stored", message_id('2'), 2);
    if (const auto answer = client.read(wire::ServerFrame::kSendResult)) {
      ASSERT_TRUE(answer->send_result().has_refused());
      EXPECT_EQ(static_cast<Code>(answer->send_result().refused().code()), Code::kUnavailable);
    }

    EXPECT_EQ(program.wait(), 1) << "its own end, not a signal's";
  }
  Program again(arguments(), error_file());
  const std::uint16_t port = again.read_port();
  ASSERT_NE(port, 0) << errors();
  ProgramClient client(port, ada);
  catch_up(client);

  client.send_text("bob", "stored", message_id('1'), 1);
  const auto repeated = client.read(wire::ServerFrame::kSendResult);
  client.send_text("bob", "not stored", message_id('2'), 2);
  const auto accepted = client.read(wire::ServerFrame::kSendResult);

  ASSERT_TRUE(repeated);
  EXPECT_EQ(repeated->send_result().accepted().message_id(), first.accepted().message_id());
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(accepted->send_result().has_accepted()) << accepted->ShortDebugString();
}

TEST_F(ProgramFlow, OneAddressHasItsConnectionsAndNoMore) {
  Program program(arguments({"--connections-per-address-max", "2"}), error_file());
  const std::uint16_t port = program.read_port();
  RawClient first(port);
  RawClient second(port);
  ASSERT_EQ(first.upgrade().status, 101);
  ASSERT_EQ(second.upgrade().status, 101);

  EXPECT_TRUE(RawClient(port).read_to_end_or_reset());
}

}  // namespace
}  // namespace chatsdk::test
