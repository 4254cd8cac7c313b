// SPDX-License-Identifier: Apache-2.0
//
// What the observer makes of the wire, with frames written by hand: who is not quiet (L4), which answers it records.
#include "sim/observer.h"

#include <string>
#include <vector>

#include "sim/checker_story.h"

namespace chatsdk::sim {
namespace {

// Device 1 of user 1, in the quiet of the end.
class QuietDevice {
 public:
  explicit QuietDevice(bool keys_rotate = false) {
    observer_.add_device(1, 1);
    observer_.watch_activity(keys_rotate);
  }
  void sends(const wire::ClientFrame& frame, int times = 1) {
    for (int i = 0; i < times; ++i) observer_.on_device_frame(1, 1, frame.SerializeAsString());
  }
  void leaves() { observer_.record(1, event::Unlinked{1}); }
  void is_sent(const wire::ServerFrame& frame) { observer_.on_server_frame(1, frame); }
  void asks(const char* url, int times = 1) {
    HttpRequest request;
    request.method = "POST";
    request.url = url;
    for (int i = 0; i < times; ++i) observer_.on_request(1, request);
  }
  // The property that the end of a run finds broken by it; empty: none.
  std::string broken() const {
    FinalState end;
    end.activity = observer_.activity();
    Story story;
    story.ends(end);
    return story.broken();
  }

 private:
  Scheduler scheduler_{1};
  Observer observer_{scheduler_};
};

wire::ClientFrame hello() {
  wire::ClientFrame frame;
  frame.mutable_hello();
  return frame;
}

TEST(Activity, IsWhatADeviceGoesOnSending) {
  QuietDevice device;
  wire::ClientFrame frame;
  frame.mutable_read()->set_up_to(3);
  device.sends(frame);
  EXPECT_EQ(device.broken(), "L4");
}

// Seed 34001840: the server gave up on a connection whose device had been replaced by another.
TEST(Activity, IsNotWhatTheServerSaysToADeviceThatLeft) {
  for (const bool left : {false, true}) {
    QuietDevice device;
    if (left) device.leaves();
    wire::ServerFrame frame;
    frame.mutable_failure();
    device.is_sent(frame);
    EXPECT_EQ(device.broken(), left ? "" : "L4");
  }
}

TEST(Activity, IsKeysThatAreReplacedAgainAndAgain) {
  for (const char* url : {"/v1/keys/prekeys", "/v1/keys/digest"}) {
    QuietDevice rotates(true);
    rotates.asks(url, 2);
    EXPECT_EQ(rotates.broken(), "") << url;
    rotates.asks(url);
    EXPECT_EQ(rotates.broken(), "L4") << url;
    QuietDevice keeps;
    keeps.asks(url);
    EXPECT_EQ(keeps.broken(), "L4") << url;
  }
  QuietDevice rotates(true);
  rotates.asks("/v1/keys/bundles");
  EXPECT_EQ(rotates.broken(), "L4");
}

TEST(Activity, IsASessionThatBeginsAnewAgainAndAgain) {
  QuietDevice device;
  device.sends(hello(), 2);
  EXPECT_EQ(device.broken(), "L4");
}

TEST(Activity, IsATokenThatIsRenewedAgainAndAgain) {
  QuietDevice device;
  device.asks("/v1/sessions/refresh", 3);
  EXPECT_EQ(device.broken(), "L4");
}

TEST(Activity, IsARequestOfAnotherKind) {
  QuietDevice device;
  device.asks("/v1/devices");
  EXPECT_EQ(device.broken(), "L4");
}

TEST(Activity, IsNotWhatKeepsAConnectionAliveNorASessionThatBeginsAnewOnce) {
  QuietDevice device;
  wire::ClientFrame ping;
  ping.mutable_ping();
  wire::ClientFrame pong;
  pong.mutable_pong();
  wire::ClientFrame renewal;
  renewal.mutable_authenticate();
  for (const auto& frame : {ping, pong, renewal}) device.sends(frame, 5);
  device.asks("/v1/sessions/refresh", 2);
  device.asks("/v1/sessions");
  device.asks("/v1/connect");
  device.sends(hello());
  EXPECT_EQ(device.broken(), "");
}

wire::ServerFrame welcome() {
  wire::ServerFrame frame;
  frame.mutable_welcome();
  return frame;
}

// Seed 22001382: the hello left right before anybody watched.
TEST(Activity, IsNotASessionThatWasAboutToBegin) {
  wire::ServerFrame marks;
  marks.mutable_marks();
  QuietDevice device;
  device.is_sent(welcome());
  device.is_sent(marks);
  EXPECT_EQ(device.broken(), "");
  device.sends(hello());
  EXPECT_EQ(device.broken(), "L4");

  QuietDevice another;
  another.is_sent(marks);
  EXPECT_EQ(another.broken(), "L4");
}

TEST(Answers, AreRecordedWhateverTheServerRefusesASendFor) {
  Scheduler scheduler{1};
  Observer observer{scheduler};
  std::vector<Code> recorded;
  observer.on_record = [&recorded](const Record& record) {
    const auto* answer = std::get_if<AnswerSeen>(&record.event);
    if (answer != nullptr && answer->kind == AnswerSeen::Kind::kRefused) recorded.push_back(answer->code);
  };
  const std::vector<Code> refused = {Code::kNotFound, Code::kForbidden, Code::kRateLimited, Code::kOutOfOrder};
  for (const Code code : refused) {
    wire::ServerFrame frame;
    frame.mutable_send_result()->set_client_message_id(std::string(k(1).view()));
    *frame.mutable_send_result()->mutable_refused() = to_wire(error(code, "no"));
    observer.on_server_frame(1, frame);
  }
  wire::ServerFrame later;
  later.mutable_send_result()->set_client_message_id(std::string(k(1).view()));
  later.mutable_send_result()->mutable_roster_changed();
  observer.on_server_frame(1, later);  // to be encrypted anew, and no refusal
  EXPECT_EQ(recorded, refused);
}

// A rotation's request, answered with this status, and whether it is told as refused.
std::vector<std::string> refused_with(int status, const char* url = "/v1/sessions/refresh") {
  Scheduler scheduler{1};
  Observer observer{scheduler};
  std::vector<std::string> refused;
  observer.on_rotation_refused = [&refused](BytesView request_id, int told) {
    refused.push_back(std::string(request_id) + " " + std::to_string(told));
  };
  wire::RefreshRequest asked;
  asked.set_request_id("one");
  HttpRequest request;
  request.url = url;
  request.body = asked.SerializeAsString();
  HttpResponse response;
  response.status = status;
  observer.on_answer(request, response);
  return refused;
}

TEST(Answers, OfARotationAreToldWhereTheyRefuseIt) {
  EXPECT_EQ(refused_with(401), std::vector<std::string>{"one 401"});
  EXPECT_EQ(refused_with(404), std::vector<std::string>{"one 404"});
}

TEST(Answers, OfARotationSayNothingWhereTheServerIsInNoStateToAnswer) {
  for (const int status : {200, 429, 500, 503, 507}) EXPECT_TRUE(refused_with(status).empty()) << status;
  EXPECT_TRUE(refused_with(401, "/v1/sessions").empty());
}

}  // namespace
}  // namespace chatsdk::sim
