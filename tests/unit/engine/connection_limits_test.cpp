// SPDX-License-Identifier: Apache-2.0
//
// What a server may ask of a connection, and an app of its account: at its limits, and beyond.
#include <limits>

#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();

class ConnectionLimits : public EngineWorld {
 protected:
  // How long the device is silent before it says that it is there.
  std::chrono::milliseconds silence(std::uint32_t heartbeat_ms) {
    heartbeat_ms_ = heartbeat_ms;
    go_online();
    EXPECT_TRUE(pings().empty());
    std::chrono::milliseconds passed{0};
    for (; pings().empty() && passed < 20min; passed += 500ms) advance(500ms);
    client_->stop();
    run();
    return passed;
  }
  // How long after a drain and its end the device comes back.
  std::chrono::seconds absence(std::uint32_t reconnect_after_ms) {
    go_online();
    const std::size_t before = transport_.attempts();
    wire::ServerFrame drain;
    drain.mutable_drain()->set_reconnect_after_ms(reconnect_after_ms);
    deliver_and_run(drain);
    drop(1001);
    std::chrono::seconds passed{0};
    for (; transport_.attempts() == before && passed < 1h; passed += 1s) advance(1s);
    client_->stop();
    run();
    return passed;
  }
};

TEST_F(ConnectionLimits, TheServersHeartbeatStaysWithinBounds) {
  EXPECT_EQ(silence(1), limits::kHeartbeatMin);
  EXPECT_EQ(silence(1'000), limits::kHeartbeatMin);
  EXPECT_EQ(silence(2'000), 2s);
  EXPECT_EQ(silence(600'000), limits::kHeartbeatMax);
  EXPECT_EQ(silence(600'001), limits::kHeartbeatMax);
  EXPECT_EQ(silence(kMost), limits::kHeartbeatMax);
}

// Half of the pause that a server names comes on top of it, drawn.
TEST_F(ConnectionLimits, ADrainsPauseStaysWithinItsBound) {
  for (const std::uint32_t ms : {600'000u, 600'001u, kMost}) {
    const auto passed = absence(ms);
    EXPECT_GE(passed, 10min) << ms;
    EXPECT_LE(passed, 16min) << ms;
  }
}

TEST_F(ConnectionLimits, AGatewayIsKeptForADayAtMost) {
  for (const std::uint32_t ttl_s : {86'399u, 86'400u, 86'401u, kMost}) {
    SCOPED_TRACE(ttl_s);
    have_session(std::chrono::hours(100));
    make_client();
    http_.respond = [ttl_s](const HttpRequest&) -> std::optional<Result<HttpResponse>> {
      wire::Connect connect;
      connect.add_gateways()->set_url("ws://gateway.test");
      connect.set_ttl_s(ttl_s);
      return protobuf_response(connect);
    };
    go_online();
    const std::size_t before = http_.requests("GET /v1/connect").size();
    const auto kept = std::min<std::chrono::seconds>(limits::kGatewayTtlMax, std::chrono::seconds(ttl_s));

    client_->stop();
    run();
    clock_.advance(kept - 1s);
    executor_.post([] {});
    run();
    client_->start();
    run();
    EXPECT_EQ(http_.requests("GET /v1/connect").size(), before) << "a second before";
    client_->stop();
    run();
    clock_.advance(1s);
    executor_.post([] {});
    run();
    client_->start();
    run();
    EXPECT_EQ(http_.requests("GET /v1/connect").size(), before + 1);
    destroy_client();
    run();
    ASSERT_TRUE(store_->save_gateway({}).ok());
  }
}

TEST_F(ConnectionLimits, AnAppHasSoManyRequestsOpenAndNoMore) {
  go_online();
  for (RequestId request = 1; request <= limits::kOpenRequestsMax; ++request) client_->list_devices(request);
  run();
  EXPECT_TRUE(sink_.completed.empty());

  client_->list_devices(limits::kOpenRequestsMax + 1);
  run();

  EXPECT_EQ(sink_.code_of(limits::kOpenRequestsMax + 1), Code::kBusy);
  EXPECT_EQ(sink_.completed.size(), 1u);
}

}  // namespace
}  // namespace chatsdk::test
