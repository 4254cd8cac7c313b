// SPDX-License-Identifier: Apache-2.0
#include "engine/rest_api.h"

#include <gtest/gtest.h>

#include "support/fake_transport.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class RestApiTest : public ::testing::Test {
 protected:
  Result<wire::Connect> connect_with(Result<HttpResponse> response) {
    std::optional<Result<wire::Connect>> answer;
    const auto call = rest_.connect("token", [&](Result<wire::Connect> got) { answer.emplace(std::move(got)); });
    http_.answer(call, std::move(response));
    executor_.run_ready();
    return answer.value();
  }
  static HttpResponse plain(int status, const std::string& type = "text/html", const std::string& retry_after = {}) {
    HttpResponse response;
    response.status = status;
    response.headers["content-type"] = type;
    if (!retry_after.empty()) response.headers["retry-after"] = retry_after;
    return response;
  }

  ManualClock clock_;
  ManualExecutor executor_{clock_};
  FakeHttp http_{executor_};
  RestApi rest_{http_, "https://server.test/"};
};

TEST_F(RestApiTest, AsksForProtobufWithTheBearerToken) {
  rest_.connect("token", [](const Result<wire::Connect>&) {});

  const HttpRequest& request = http_.exchange(1).request;
  EXPECT_EQ(request.url, "https://server.test/v1/connect");
  EXPECT_EQ(request.headers.at("accept"), kProtobufType);
  EXPECT_EQ(request.headers.at("authorization"), "Bearer token");
  EXPECT_EQ(request.headers.count("content-type"), 0u);
}

TEST_F(RestApiTest, NamesAMailboxOfALinkingByItsIdAndStep) {
  const Bytes link_id("\x00\x01\xab\xcd\xef\xff 0123456789", 16);
  std::vector<Code> codes;
  const auto put = rest_.put_link_message("token", link_id, LinkStep::kReveal, "sealed",
                                          [&](Status done) { codes.push_back(done.code()); });
  std::optional<Bytes> read;
  const auto got = rest_.link_message("token", link_id, LinkStep::kGrant, [&](Result<wire::LinkMessage> answer) {
    read = std::move(answer).value().message();
  });
  const auto absent = rest_.link_message("token", link_id, LinkStep::kOffer,
                                         [&](const auto& answer) { codes.push_back(answer.code()); });

  const HttpRequest& sent = http_.exchange(put).request;
  EXPECT_EQ(sent.method, "PUT");
  EXPECT_EQ(sent.url, "https://server.test/v1/keys/links/0001abcdefff20303132333435363738/reveal");
  EXPECT_EQ(sent.headers.at("authorization"), "Bearer token");
  EXPECT_EQ(sent.headers.at("content-type"), kProtobufType);
  wire::LinkMessage body;
  ASSERT_TRUE(body.ParseFromString(sent.body));
  EXPECT_EQ(body.message(), "sealed");
  EXPECT_EQ(http_.exchange(got).request.method, "GET");
  EXPECT_EQ(http_.exchange(got).request.url,
            "https://server.test/v1/keys/links/0001abcdefff20303132333435363738/grant");
  EXPECT_TRUE(http_.exchange(got).request.body.empty());

  http_.answer(put, HttpResponse{204, {}, {}});
  HttpResponse answer = plain(200, std::string(kProtobufType));
  answer.body = body.SerializeAsString();
  http_.answer(got, answer);
  http_.answer(absent, problem_response(404, Code::kNotFound, 0));
  executor_.run_ready();
  EXPECT_EQ(codes, (std::vector{Code::kOk, Code::kNotFound}));
  EXPECT_EQ(read, "sealed");
}

TEST_F(RestApiTest, ReadsAProblemInProtobuf) {
  const auto answer = connect_with(problem_response(429, Code::kRateLimited, 1'500));

  EXPECT_EQ(answer.code(), Code::kRateLimited);
  EXPECT_EQ(answer.error().retry_after, 1'500ms);
}

TEST_F(RestApiTest, ReadsRetryAfterOfTheHeader) {
  EXPECT_EQ(connect_with(plain(503, "text/html", "7")).error().retry_after, 7s);
  EXPECT_EQ(connect_with(plain(503, "text/html", "99999999999999999999")).error().retry_after, limits::kRetryAfterMax);
  EXPECT_EQ(connect_with(plain(503, "text/html", "Wed, 21 Oct 2026 07:28:00 GMT")).error().retry_after, 0ms);
}

TEST_F(RestApiTest, AnswersOfOthersAreNeverARefusal) {
  EXPECT_EQ(connect_with(plain(401)).code(), Code::kProtocol);
  EXPECT_EQ(connect_with(plain(403)).code(), Code::kProtocol);
  EXPECT_EQ(connect_with(plain(302)).code(), Code::kProtocol);
  EXPECT_EQ(connect_with(plain(429)).code(), Code::kRateLimited);
  EXPECT_EQ(connect_with(plain(502)).code(), Code::kUnavailable);
}

TEST_F(RestApiTest, AProblemInJsonCountsByItsStatus) {
  EXPECT_EQ(connect_with(plain(401, "application/problem+json")).code(), Code::kUnauthenticated);
  EXPECT_EQ(connect_with(plain(413, "application/problem+json; charset=utf-8")).code(), Code::kTooLarge);
  EXPECT_EQ(connect_with(plain(500, "application/problem+json")).code(), Code::kServer);
}

TEST_F(RestApiTest, ABodyThatDoesNotParseIsAProtocolError) {
  HttpResponse response = plain(200, std::string(kProtobufType));
  response.body = "\xff\xff";

  EXPECT_EQ(connect_with(response).code(), Code::kProtocol);
}

TEST_F(RestApiTest, NothingIsAnsweredAfterItsEnd) {
  bool called = false;
  {
    RestApi rest(http_, "http://server.test");
    const auto call = rest.connect("token", [&](const Result<wire::Connect>&) { called = true; });
    http_.answer(call, plain(500));
  }
  executor_.run_ready();

  EXPECT_FALSE(called);
  EXPECT_TRUE(http_.exchange(1).cancelled);
}

}  // namespace
}  // namespace chatsdk::test
