// SPDX-License-Identifier: Apache-2.0
//
// A connection before its user is known, over a carrier of the test's: how long it may take, and how much it may hold.
//
// Threads: one.
#include "server-reference/gateway/served_connection.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "unit/server/recording_log.h"

namespace chatsdk::server {
namespace {

using std::chrono::milliseconds;

constexpr UnprovenBudget::Key kHere = 1;
constexpr UnprovenBudget::Key kThere = 2;
constexpr std::size_t kFirstShare = 100;

class FakeCarrier final : public ServedConnection::Carrier {
 public:
  void write(std::span<char> bytes) override { written.append(bytes.data(), bytes.size()); }
  bool choked() const override { return full; }
  std::size_t unsent_bytes() const override { return 0; }
  void flush_later() override {}
  void pause_reading(bool on) override { paused = on; }
  void end_writing() override { ended_writing = true; }
  void set_deadline(std::optional<milliseconds> after) override { deadlines.push_back(after); }
  void abort() override { aborted = true; }
  HttpService::Respond responder(std::uint32_t) override { return {}; }  // the test answers itself

  std::string written;
  std::vector<std::optional<milliseconds>> deadlines;
  bool full = false;
  bool paused = false;
  bool ended_writing = false;
  bool aborted = false;
};

class Handlers final : public ConnectionHandler, public HttpService {
 public:
  void on_open(const ConnectionInfo&, FrameSink&) override { ++opened; }
  void on_frame(ConnectionId, BytesView) override { ++frames; }
  void on_closed(ConnectionId) override { ++closed; }
  void handle(HttpRequest request, std::string, Respond) override { requests.push_back(std::move(request)); }

  int opened = 0;
  int frames = 0;
  int closed = 0;
  std::vector<HttpRequest> requests;
};

class UnprovenConnection : public ::testing::Test {
 protected:
  struct Peer {
    Peer(Serving& serving, UnprovenBudget& budget, const UnprovenLimits& limits, UnprovenBudget::Key address)
        : served(serving, carrier, address, "192.0.2.1", share(budget, limits, address)) {}
    static UnprovenShare share(UnprovenBudget& budget, const UnprovenLimits& limits, UnprovenBudget::Key address) {
      UnprovenShare share(budget, limits, address);
      EXPECT_TRUE(share.hold(kFirstShare));
      return share;
    }
    ~Peer() { served.on_ended(); }
    void say(std::string bytes) {
      served.on_bytes(bytes);
      if (!carrier.full) served.flush();
    }
    void answer(std::uint32_t request_number, std::string body = {}) {
      HttpResponse response;
      response.status = 200;
      response.body = std::move(body);
      served.answer(request_number, std::move(response));
      if (!carrier.full) served.flush();
    }

    FakeCarrier carrier;
    ServedConnection served;
  };

  Peer& connect(UnprovenBudget::Key address = kHere) {
    return peers_.emplace_back(serving_, state_.unproven, options_.unproven, address);
  }
  std::size_t held() const { return state_.unproven.held(); }
  // Shares are not made smaller for little.
  ::testing::AssertionResult holds(std::size_t bytes) const {
    if (held() >= bytes && held() < bytes + 1'024) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "holds " << held() << " B for " << bytes << " B";
  }
  static std::string post_of(std::size_t body_bytes) {
    return "POST /v1/accounts HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body_bytes) + "\r\n\r\n";
  }
  static std::string upgrade() {
    return "GET /v1/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
           "13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chatsdk.v1\r\n\r\n";
  }
  // A masked binary frame with a mask of zeros; the first of several fragments unless it is final.
  static std::string frame_of(std::size_t payload_bytes, bool final) {
    std::string frame(1, static_cast<char>(final ? 0x82 : 0x02));
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(payload_bytes >> 8);
    frame += static_cast<char>(payload_bytes & 0xFF);
    return frame + std::string(4, '\0') + std::string(payload_bytes, 'x');
  }

  ServingOptions options_;
  ServingState state_;
  testing::RecordingLog log_;
  ManualClock clock_;
  Handlers handlers_;
  Serving serving_{
      .options = options_, .state = state_, .log = log_, .clock = clock_, .handler = &handlers_, .http = &handlers_};
  std::deque<Peer> peers_;  // goes before what it refers to
};

// ---- The budget itself ---------------------------------------------------------------------------------------------

TEST(UnprovenBudgetTest, TakesUpToTheLimitOfAnAddressAndOfAll) {
  UnprovenBudget budget;
  const UnprovenLimits limits{100, 60};

  EXPECT_TRUE(budget.take(kHere, 59, limits));
  EXPECT_FALSE(budget.take(kHere, 2, limits)) << "above the address's";
  EXPECT_TRUE(budget.take(kHere, 1, limits));
  EXPECT_FALSE(budget.take(kThere, 41, limits)) << "above that of all";
  EXPECT_TRUE(budget.take(kThere, 40, limits));
  EXPECT_EQ(budget.held(), 100U);

  budget.give_back(kHere, 60);
  EXPECT_TRUE(budget.take(kThere, 20, limits));
  EXPECT_FALSE(budget.take(kThere, 1, limits));
  EXPECT_EQ(budget.held(), 60U);
}

TEST(UnprovenBudgetTest, AShareGivesBackWhatItHolds) {
  UnprovenBudget budget;
  const UnprovenLimits limits{100, 60};
  {
    UnprovenShare share(budget, limits, kHere);
    EXPECT_TRUE(share.hold(60));
    EXPECT_FALSE(share.hold(61));
    EXPECT_EQ(share.held(), 60U) << "it holds what it held";
    EXPECT_TRUE(share.hold(10));
    EXPECT_EQ(budget.held(), 10U);
    const UnprovenShare moved = std::move(share);
    EXPECT_EQ(budget.held(), 10U);
  }
  EXPECT_EQ(budget.held(), 0U);
}

// ---- Requests ------------------------------------------------------------------------------------------------------

TEST_F(UnprovenConnection, HoldsItsFirstShareUntilAHeadIsWhole) {
  Peer& peer = connect();
  const std::string request = post_of(0);

  peer.say(request.substr(0, 20));
  EXPECT_TRUE(holds(kFirstShare + 20));
  peer.say(request.substr(20));
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(handlers_.requests.size(), 1U);
}

TEST_F(UnprovenConnection, HoldsABodyUntilItsRequestIsAnswered) {
  Peer& peer = connect();

  peer.say(post_of(30'000));
  peer.say(std::string(20'000, 'b'));
  EXPECT_TRUE(holds(20'000));
  peer.say(std::string(10'000, 'b'));
  EXPECT_TRUE(holds(30'000)) << "the service has it";
  peer.answer(1);
  EXPECT_EQ(held(), 0U);
}

TEST_F(UnprovenConnection, HoldsAnAnswerThatIsNotRead) {
  Peer& peer = connect();
  peer.say(post_of(0));
  peer.carrier.full = true;

  peer.answer(1, std::string(50'000, 'a'));
  EXPECT_GT(held(), 50'000U);
  peer.carrier.full = false;
  peer.served.flush();
  EXPECT_EQ(held(), 0U);
}

TEST_F(UnprovenConnection, ABodyBeyondTheAddresssBudgetIsRefusedAndOthersAreServed) {
  options_.unproven.bytes_per_address_max = 100'000;
  Peer& first = connect();
  Peer& second = connect();
  Peer& elsewhere = connect(kThere);
  for (Peer* peer : {&first, &second, &elsewhere}) peer->say(post_of(65'536));

  first.say(std::string(60'000, 'b'));
  second.say(std::string(60'000, 'b'));
  elsewhere.say(std::string(60'000, 'b'));

  EXPECT_TRUE(second.carrier.written.starts_with("HTTP/1.1 503 ")) << second.carrier.written;
  EXPECT_NE(second.carrier.written.find("\r\nretry-after: 5\r\n"), std::string::npos);
  EXPECT_NE(second.carrier.written.find("\"code\":\"unavailable\""), std::string::npos);
  EXPECT_TRUE(second.carrier.ended_writing);
  EXPECT_TRUE(first.carrier.written.empty());
  first.say(std::string(5'536, 'b'));
  elsewhere.say(std::string(5'536, 'b'));
  EXPECT_EQ(handlers_.requests.size(), 2U);
}

TEST_F(UnprovenConnection, TheBudgetOfAllHoldsForEveryAddress) {
  options_.unproven.bytes_max = 100'000;
  Peer& here = connect(kHere);
  Peer& there = connect(kThere);
  for (Peer* peer : {&here, &there}) peer->say(post_of(65'536));

  here.say(std::string(60'000, 'b'));
  there.say(std::string(60'000, 'b'));

  EXPECT_TRUE(here.carrier.written.empty());
  EXPECT_TRUE(there.carrier.written.starts_with("HTTP/1.1 503 "));
}

TEST_F(UnprovenConnection, ARequestThatIsBeingAnsweredIsNotEndedByWhatComesBehindIt) {
  options_.unproven.bytes_per_address_max = 10'000;
  Peer& peer = connect();
  peer.say(post_of(0));

  peer.say(std::string("GET /") + std::string(20'000, 'x'));
  EXPECT_TRUE(peer.carrier.paused);
  EXPECT_TRUE(peer.carrier.written.empty());
  peer.answer(1);
  EXPECT_TRUE(peer.carrier.written.starts_with("HTTP/1.1 200 ")) << peer.carrier.written;
}

// ---- Limits of one connection --------------------------------------------------------------------------------------

TEST_F(UnprovenConnection, RequestsBehindOneThatIsAnsweredWaitUpToTheirLimit) {
  Peer& peer = connect();
  peer.say(post_of(0));

  peer.say(std::string(limits::kPipelinedBytesMax, 'x'));
  EXPECT_FALSE(peer.carrier.paused);
  peer.say("x");
  EXPECT_TRUE(peer.carrier.paused) << "what comes next stays with the peer";
}

TEST_F(UnprovenConnection, WhatAPeerDoesNotReadIsBoundedAndThenItIsCutOff) {
  Peer& peer = connect();
  peer.say(upgrade() + frame_of(200, true));
  peer.carrier.full = true;
  const auto frame = std::make_shared<const Bytes>(100'000, 'f');

  while (peer.served.queued_bytes() <= limits::kSocketQueueBytesMax) {
    ASSERT_FALSE(peer.carrier.aborted);
    peer.served.send(frame);
  }
  EXPECT_FALSE(peer.carrier.aborted);
  peer.served.send(frame);
  EXPECT_TRUE(peer.carrier.aborted);
  EXPECT_LE(peer.served.queued_bytes(), limits::kSocketQueueBytesMax + frame->size() + kWsServerHeaderBytesMax);
}

// ---- First frames --------------------------------------------------------------------------------------------------

TEST_F(UnprovenConnection, HoldsAFirstFrameThatComesInPiecesAndNothingAfterIt) {
  Peer& peer = connect();
  peer.say(upgrade());
  EXPECT_TRUE(holds(kFirstShare));

  peer.say(frame_of(40'000, false));
  EXPECT_TRUE(holds(kFirstShare + 40'000));
  std::string last = frame_of(200, true);
  last[0] = static_cast<char>(0x80);  // the last fragment
  peer.say(last);
  EXPECT_EQ(handlers_.frames, 1);
  EXPECT_EQ(held(), 0U);
  peer.say(frame_of(60'000, false));
  EXPECT_EQ(held(), 0U) << "its user is known, or its session has ended it";
}

TEST_F(UnprovenConnection, AFirstFrameBeyondTheBudgetIsClosedWith1013) {
  options_.unproven.bytes_per_address_max = 50'000;
  Peer& first = connect();
  Peer& second = connect();
  for (Peer* peer : {&first, &second}) peer->say(upgrade());

  first.say(frame_of(40'000, false));
  second.say(frame_of(40'000, false));

  const std::string close = encode_ws_close(CloseCode::kTryAgainLater);
  EXPECT_TRUE(second.carrier.written.ends_with(close));
  EXPECT_FALSE(first.carrier.written.ends_with(close));
  EXPECT_EQ(handlers_.closed, 1);
}

TEST_F(UnprovenConnection, NothingIsHeldForWhatHasEnded) {
  Peer& request = connect();
  Peer& frame = connect();
  request.say(post_of(1'000).substr(0, 30));
  frame.say(upgrade() + frame_of(500, false));
  EXPECT_GT(held(), 0U);

  peers_.clear();

  EXPECT_EQ(held(), 0U);
}

// ---- Time ----------------------------------------------------------------------------------------------------------

TEST_F(UnprovenConnection, HasOneTimeLimitFromItsAcceptToTheEndOfItsRequest) {
  Peer& peer = connect();
  const std::string request = post_of(10);

  peer.say(request.substr(0, 5));
  peer.say(request.substr(5));
  peer.say("123");
  peer.say("456");

  ASSERT_EQ(peer.carrier.deadlines.size(), 1U) << "no byte of it makes it longer";
  EXPECT_EQ(peer.carrier.deadlines[0], limits::kRequestReadTimeout);
  peer.served.on_deadline();
  peer.served.flush();
  EXPECT_TRUE(peer.carrier.written.starts_with("HTTP/1.1 408 ")) << peer.carrier.written;
}

TEST_F(UnprovenConnection, IsAnsweredWithTheHeadersOfEveryAnswerWhateverIsRefused) {
  const auto answer_to = [this](const std::string& bytes) {
    Peer& peer = connect();
    peer.say(bytes);
    if (peer.carrier.written.empty()) {
      peer.served.on_deadline();
      peer.served.flush();
    }
    return peer.carrier.written;
  };
  class NoToken final : public TokenVerifier {
    Result<Identity> verify_access_token(std::string_view, WallTime) const override {
      return error(Code::kUnauthenticated, "no token");
    }
  } no_token;
  serving_.verifier = &no_token;
  const std::string get = "GET /a HTTP/1.1\r\nHost: h\r\n";
  std::string other_version = upgrade();
  other_version.replace(other_version.find("13\r\n"), 2, "7");
  std::string with_token = upgrade();
  with_token.insert(with_token.size() - 2, "Authorization: Bearer t\r\n");
  const std::pair<int, std::string> cases[] = {
      {400, "GET /\r\n\r\n"},
      {401, with_token},
      {408, get},
      {411, get + "Transfer-Encoding: chunked\r\n\r\n"},
      {413, get + "Content-Length: 65537\r\n\r\n"},
      {414, "GET /" + std::string(limits::kRequestTargetBytesMax, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"},
      {417, get + "Expect: wonders\r\n\r\n"},
      {426, "GET /v1/ws HTTP/1.1\r\nHost: h\r\n\r\n"},
      {426, other_version},
      {431, std::string(limits::kRequestHeadBytesMax + 1, 'G')},
      {505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
  };
  for (const auto& [status, bytes] : cases) {
    const std::string answer = answer_to(bytes);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::to_string(status) + " ")) << answer;
    EXPECT_NE(answer.find("\r\ncache-control: no-store\r\n"), std::string::npos) << answer;
    EXPECT_NE(answer.find("\r\nx-content-type-options: nosniff\r\n"), std::string::npos) << answer;
  }
}

TEST_F(UnprovenConnection, ThatSaysNothingIsCutOffAtItsTimeLimit) {
  Peer& peer = connect();

  peer.served.on_deadline();

  EXPECT_TRUE(peer.carrier.aborted);
  EXPECT_TRUE(peer.carrier.written.empty());
}

// ---- What the log says of refusals ---------------------------------------------------------------------------------

using RefusedHead = UnprovenConnection;

TEST_F(RefusedHead, IsLoggedWithAddressCodeAndReasonOnceAndThenCounted) {
  std::string version_7 = upgrade();
  version_7.replace(version_7.find("13\r\n"), 2, "7");

  for (int i = 0; i < 300; ++i) connect().say(version_7);
  EXPECT_EQ(log_.lines,
            std::vector<std::string>{"listener: refused an upgrade from 192.0.2.1: unsupported: only version 13 "
                                     "of WebSocket is spoken, status 426"});

  clock_.advance(limits::kRefusalWindow);
  connect().say("GET /v1/accounts HTTP/1.1\r\nHost: a b\r\n\r\n");
  ASSERT_EQ(log_.lines.size(), 3U);
  EXPECT_EQ(log_.lines[1], "listener: refused 299 more: an upgrade from 192.0.2.1: unsupported");
  EXPECT_EQ(log_.lines[2],
            "listener: refused a request from 192.0.2.1: malformed: header host names no host, status 400");
}

}  // namespace
}  // namespace chatsdk::server
