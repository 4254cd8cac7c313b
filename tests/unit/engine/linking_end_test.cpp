// SPDX-License-Identifier: Apache-2.0
//
// The end of a linking that the server does not let go on: limits::e2ee::kLinkValid after its beginning, whatever the
// server says of later.
#include <gmock/gmock.h>

#include "e2ee/linking.h"
#include "unit/engine/encrypted_engine.h"

namespace chatsdk::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LinkingEnd : public EncryptedEngine {
 protected:
  // This device lets another one in, whose text it has scanned; `answer` is what each request to the mailbox gets.
  // None: no answer.
  void scan(std::function<std::optional<HttpResponse>(const HttpRequest&)> answer) {
    begin_account();
    serve_own_keys();
    http_.respond = [answer = std::move(answer),
                     others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
      if (request.url.find("/v1/keys/links/") == std::string::npos) return others(request);
      auto given = answer(request);
      return given ? std::optional(Result<HttpResponse>(std::move(*given))) : std::nullopt;
    };
    go_online();
    const auto now = static_cast<std::uint64_t>(to_unix_ms(clock_.wall_now()));
    const auto laptop = e2ee::LinkNew::start("alice", DeviceId{500}, "laptop", now, random_);
    ASSERT_TRUE(laptop.ok());
    ASSERT_TRUE(client_->scan_link(laptop->text()).ok());
    run();
  }
  void expect_an_end_in_time() {
    advance(limits::e2ee::kLinkValid - std::chrono::milliseconds(1));
    EXPECT_THAT(sink_.links_ended, IsEmpty());
    advance(std::chrono::milliseconds(1));
    EXPECT_THAT(sink_.links_ended, ElementsAre(Code::kTimedOut));
    advance(std::chrono::hours(2));
    EXPECT_THAT(sink_.links_ended, ElementsAre(Code::kTimedOut)) << "once";
  }
};

TEST_F(LinkingEnd, IsNotPutOffByAServerThatAsksForAnHour) {
  scan([](const HttpRequest&) { return problem_response(503, Code::kUnavailable, 3'600'000); });
  EXPECT_EQ(client_->scan_link("x").code(), Code::kBusy);
  expect_an_end_in_time();
  EXPECT_NE(client_->scan_link("x").code(), Code::kBusy);
}

TEST_F(LinkingEnd, IsNotPutOffByAnAnswerThatDoesNotCome) {
  scan([](const HttpRequest&) { return std::nullopt; });
  expect_an_end_in_time();
}

TEST_F(LinkingEnd, ComesWhereNobodyAnswersInTheMailbox) {
  scan([](const HttpRequest& request) {
    if (request.method == "GET") return problem_response(404, Code::kNotFound);
    HttpResponse taken;
    taken.status = 204;
    return taken;
  });
  expect_an_end_in_time();
}

}  // namespace
}  // namespace chatsdk::test
