// SPDX-License-Identifier: Apache-2.0
#include "protocol/frames.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"

namespace chatsdk {
namespace {

using std::chrono::milliseconds;

// A client frame of each kind, its fields at their largest where they have an end.
std::vector<wire::ClientFrame> client_frames() {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  std::vector<wire::ClientFrame> frames(9);
  auto& hello = *frames[0].mutable_hello();
  hello.set_protocol_min(1);
  hello.set_protocol_max(std::numeric_limits<std::uint32_t>::max());
  hello.add_features("one");
  hello.set_access_token("token");
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, kMost}) {
    hello.add_stream_ids(value);
    hello.add_seqs(value);
    hello.add_marks_revisions(value);
  }
  frames[1].mutable_authenticate()->set_access_token("token");
  frames[2].mutable_send()->set_peer_user_id("ann");
  frames[2].mutable_send()->set_client_message_id(std::string(16, '\xff'));
  frames[2].mutable_send()->set_send_number(kMost);
  frames[2].mutable_send()->set_content(encode_text_content("hello"));
  frames[3].mutable_void_()->set_conversation_id(kMost);
  frames[4].mutable_ack();
  frames[5].mutable_read()->set_up_to(kMost);
  frames[6].mutable_pull()->set_stream_id(kMost);
  frames[7].mutable_ping()->set_token(kMost);
  frames[8].mutable_pong()->set_token(1);
  return frames;
}

// ---- Frames --------------------------------------------------------------------------------------------------------

TEST(ClientFrames, OfEachKindComeBackAsTheyWent) {
  std::set<int> kinds;
  for (const wire::ClientFrame& frame : client_frames()) {
    const Bytes bytes = encode(frame);
    const auto back = decode_client_frame(bytes);
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back->body_case(), frame.body_case());
    EXPECT_EQ(encode(*back), bytes);
    kinds.insert(frame.body_case());
  }
  EXPECT_EQ(kinds.size(), 9U);
}

TEST(ClientFrames, KeepTheLargestNumbers) {
  const auto hello = decode_client_frame(encode(client_frames()[0]));
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello->hello().stream_ids(2), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(hello->hello().seqs(2), std::numeric_limits<std::uint64_t>::max());
}

TEST(ServerFrames, ComeBackAsTheyWent) {
  wire::ServerFrame frame;
  *frame.mutable_failure()->mutable_error() = to_wire(Error{Code::kReplaced, "a newer connection", {}});
  const auto back = decode_server_frame(encode(frame));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(from_wire(back->failure().error()).code, Code::kReplaced);
  EXPECT_EQ(back->failure().error().name(), "replaced");
}

TEST(Frames, WithoutBytesHaveNoBody) {
  const auto client = decode_client_frame({});
  const auto server = decode_server_frame({});
  ASSERT_TRUE(client.ok() && server.ok());
  EXPECT_EQ(client->body_case(), wire::ClientFrame::BODY_NOT_SET);
  EXPECT_EQ(server->body_case(), wire::ServerFrame::BODY_NOT_SET);
}

TEST(Frames, OfAnUnknownTypeHaveNoBodyAndKeepTheirBytes) {
  const Bytes unknown(
      "\xfa\x3e\x03"
      "abc",
      6);  // field 1007, length-delimited
  const auto frame = decode_client_frame(unknown);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->body_case(), wire::ClientFrame::BODY_NOT_SET);
  EXPECT_EQ(encode(*frame), unknown);
}

TEST(Frames, KeepUnknownFieldsOfKnownTypes) {
  wire::Ping ping;
  ping.set_token(7);
  const Bytes body = ping.SerializeAsString() + Bytes("\xc2\x3e\x01z", 4);    // field 1000
  const Bytes bytes = Bytes("\x42") + static_cast<char>(body.size()) + body;  // field 8: a ping
  const auto frame = decode_client_frame(bytes);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->ping().token(), 7U);
  EXPECT_EQ(encode(*frame), bytes);
}

TEST(Frames, CutAtAnyByteAreMalformed) {
  const Bytes whole = encode(client_frames()[2]);
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const auto frame = decode_client_frame(BytesView(whole).substr(0, size));
    EXPECT_EQ(frame.ok() ? Code::kOk : frame.code(), Code::kMalformed) << size;
  }
}

TEST(Frames, OfBytesThatAreNoProtobufAreMalformed) {
  for (const Bytes& bytes : {Bytes("\x0a", 1), Bytes("\x0a\xff\xff\xff\xff\x0f", 6), Bytes(11, '\xff'),
                             Bytes("\x00\x01", 2), Bytes("\x0c", 1), Bytes("{\"hello\":{}}")}) {
    EXPECT_EQ(decode_client_frame(bytes).code(), Code::kMalformed);
    EXPECT_EQ(decode_server_frame(bytes).code(), Code::kMalformed);
  }
}

TEST(Frames, TellTheirSizeAndNotTheirContentWhenMalformed) {
  const auto frame = decode_client_frame(Bytes("secret\xff", 7));
  ASSERT_FALSE(frame.ok());
  EXPECT_NE(frame.error().detail.find("7 B"), std::string::npos);
  EXPECT_EQ(frame.error().detail.find("secret"), std::string::npos);
}

// ---- Errors --------------------------------------------------------------------------------------------------------

TEST(WireErrors, AnExpectedSendNumberBelongsToOutOfOrderAndHasALimit) {
  const auto passed = [](Code code, std::uint64_t number) {
    return from_wire(to_wire(Error{code, "", {}, number})).expected_number;
  };
  EXPECT_EQ(passed(Code::kOutOfOrder, 7), 7u);
  EXPECT_EQ(passed(Code::kOutOfOrder, limits::kSendNumberMax), limits::kSendNumberMax);
  EXPECT_EQ(passed(Code::kOutOfOrder, limits::kSendNumberMax + 1), 0u);
  EXPECT_EQ(passed(Code::kRateLimited, 7), 0u);
}

TEST(WireErrors, ComeBackAsTheyWent) {
  const Error back = from_wire(to_wire(Error{Code::kRateLimited, "too many", milliseconds(24'500)}));
  EXPECT_EQ(back.code, Code::kRateLimited);
  EXPECT_EQ(back.detail, "too many");
  EXPECT_EQ(back.retry_after, milliseconds(24'500));
}

TEST(WireErrors, APauseIsNeverLongerThanTheLongest) {
  const milliseconds most = limits::kRetryAfterMax;
  for (const milliseconds named : {most - milliseconds(1), most, most + milliseconds(1), milliseconds(4'294'967'295)}) {
    wire::Error error = to_wire(Error{Code::kUnavailable, "", {}});
    error.set_retry_after_ms(static_cast<std::uint32_t>(named.count()));
    EXPECT_EQ(from_wire(error).retry_after, std::min(named, most));
  }
}

TEST(WireErrors, OfCodesThatAreNoRefusalReadAsServer) {
  for (const std::int32_t code : {0, 1, 200, std::numeric_limits<std::int32_t>::max(), -1, -99, -9'999,
                                  std::numeric_limits<std::int32_t>::min()}) {
    wire::Error error;
    error.set_code(code);
    EXPECT_EQ(from_wire(error).code, Code::kServer) << code;
  }
}

TEST(WireErrors, HaveACloseCodeThatMayBeSent) {
  for (std::int32_t number = -1'000; number < 0; ++number) {
    const Code code = static_cast<Code>(number);
    if (code_name(code) == "unknown") continue;
    const CloseCode close = close_code_for(code);
    EXPECT_NE(close, CloseCode::kNone);
    EXPECT_NE(close, CloseCode::kAbnormal);
    EXPECT_NE(close, CloseCode::kNormal);
  }
  EXPECT_EQ(close_code_for(Code::kMalformed), CloseCode::kInvalidPayload);
  EXPECT_EQ(close_code_for(Code::kTooLarge), CloseCode::kTooBig);
  EXPECT_EQ(close_code_for(Code::kUnauthenticated), CloseCode::kUnauthenticated);
  EXPECT_EQ(close_code_for(Code::kRolledBack), CloseCode::kRolledBack);
  EXPECT_EQ(close_code_for(Code::kUnavailable), CloseCode::kTryAgainLater);
}

// ---- Sizes ----------------------------------------------------------------------------------------------------------

TEST(TextContent, StaysWithinWhatAFrameAllowsForIt) {
  for (const std::size_t size : {std::size_t{1}, limits::kTextBytesDefault, limits::kTextBytesMax}) {
    const Bytes content = encode_text_content(std::string(size, 'x'));
    EXPECT_LE(content.size(), limits::content_bytes_max(size));
    wire::ClientFrame frame;
    frame.mutable_send()->set_peer_user_id(std::string(limits::kUserIdBytesMax, 'u'));
    frame.mutable_send()->set_client_message_id(std::string(limits::kClientMessageIdBytes, 'i'));
    frame.mutable_send()->set_send_number(std::numeric_limits<std::uint64_t>::max());
    frame.mutable_send()->set_content(content);
    EXPECT_LE(encode(frame).size(), limits::client_frame_bytes_max(size));
  }
}

TEST(Frames, OfAHelloWithEveryCursorFitTheLimit) {
  wire::ClientFrame frame;
  auto& hello = *frame.mutable_hello();
  hello.set_access_token(std::string(limits::kTokenBytesMax, 't'));
  hello.set_encryption_counter(std::numeric_limits<std::uint64_t>::max());
  for (std::size_t i = 0; i < limits::kHelloCursorsMax; ++i) {
    hello.add_stream_ids(std::numeric_limits<std::uint64_t>::max());
    hello.add_seqs(std::numeric_limits<std::uint64_t>::max());
    hello.add_marks_revisions(std::numeric_limits<std::uint64_t>::max());
  }
  EXPECT_LE(encode(frame).size(), limits::kFirstFrameBytesMax);
}

TEST(Frames, OfSlicesFitTheLimit) {
  const auto filled = [](auto& slices, std::size_t count, std::size_t bytes) {
    for (std::size_t i = 0; i < count; ++i) {
      wire::Slice& slice = *slices.Add();
      slice.set_device_id(std::numeric_limits<std::uint64_t>::max());
      slice.set_message(std::string(bytes, 's'));
    }
  };
  for (const std::size_t text_bytes_max : {std::size_t{1}, limits::kTextBytesDefault, limits::kTextBytesMax}) {
    for (const auto& [count, bytes] :
         {std::pair{limits::kSlicesChunk, limits::kSlicesChunkBytes / limits::kSlicesChunk},
          std::pair{std::size_t{1}, limits::slice_bytes_max(text_bytes_max)}}) {
      wire::ClientFrame frame;
      wire::Send& send = *frame.mutable_send();
      send.set_peer_user_id(std::string(limits::kUserIdBytesMax, 'u'));
      send.set_client_message_id(std::string(limits::kClientMessageIdBytes, 'i'));
      for (const auto set : {&wire::Send::set_send_number, &wire::Send::set_target_seq,
                             &wire::Send::set_roster_revision, &wire::Send::set_own_list_version,
                             &wire::Send::set_peer_list_version, &wire::Send::set_encryption_counter}) {
        (send.*set)(std::numeric_limits<std::uint64_t>::max());
      }
      send.set_slices_staged(std::numeric_limits<std::uint32_t>::max());
      filled(*send.mutable_slices(), count, bytes);
      EXPECT_LE(encode(frame).size(), limits::client_frame_bytes_max(text_bytes_max));
      wire::ClientFrame chunk;
      chunk.mutable_stage_slices()->set_client_message_id(std::string(limits::kClientMessageIdBytes, 'i'));
      filled(*chunk.mutable_stage_slices()->mutable_slices(), count, bytes);
      EXPECT_LE(encode(chunk).size(), limits::client_frame_bytes_max(text_bytes_max));
    }
  }
  // As an item it fits what a client takes, whatever limit was in force when it was sent.
  EXPECT_LE(limits::e2ee::kMessageMax + 1'024, limits::item_bytes_max(limits::kTextBytesMax) + 20'480);
  EXPECT_LE(limits::e2ee::kMessageMax + 1'024 + 4'096, limits::server_frame_bytes_max(limits::kTextBytesMax));
}

TEST(Frames, ASliceHasRoomForTheLargestContent) {
  // Names of two users and the fields around them, padded by less than a sixteenth; a set-up message around that.
  EXPECT_EQ(limits::slice_bytes_max(limits::kTextBytesMax), limits::e2ee::kMessageMax);
  for (const std::size_t text_bytes_max : {std::size_t{1}, std::size_t{1'000}, limits::kTextBytesDefault}) {
    const std::size_t envelope = limits::content_bytes_max(text_bytes_max) + 256;
    std::size_t step = 64;
    while (step * 16 <= envelope) step *= 2;  // at least what section 9 rounds up to
    EXPECT_GE(limits::slice_bytes_max(text_bytes_max), (envelope + step / 2 - 1) / (step / 2) * (step / 2) + 1'648);
  }
}

// ---- Payload hash --------------------------------------------------------------------------------------------------

TEST(PayloadHash, IsBlake2b256OfTheContent) {
  ASSERT_GE(sodium_init(), 0);
  const Bytes hash = payload_hash("abc");
  char hex[65];
  sodium_bin2hex(hex, sizeof hex, reinterpret_cast<const unsigned char*>(hash.data()), hash.size());
  EXPECT_STREQ(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST(PayloadHash, OfSlicesIsThatOfTheirEncoding) {
  const Bytes encoding(
      "\2\0\0\0gm"
      "\7\0\0\0\0\0\0\1"
      "\3\0\0\0one"
      "\10\0\0\0\0\0\0\1"
      "\0\0\0\0",
      33);
  const std::vector<SliceView> slices = {{DeviceId{0x0100'0000'0000'0007}, "one"},
                                         {DeviceId{0x0100'0000'0000'0008}, ""}};
  EXPECT_EQ(payload_hash("gm", slices), payload_hash(encoding));
  EXPECT_EQ(payload_hash({}, {}), payload_hash(Bytes(4, '\0')));
}

TEST(PayloadHash, TellsContentsApart) {
  std::set<Bytes> hashes;
  for (const std::string& text : {std::string(), std::string("a"), std::string("b"), std::string("a\0", 2)}) {
    hashes.insert(payload_hash(text));
  }
  EXPECT_EQ(hashes.size(), 4U);
  EXPECT_EQ(payload_hash("a"), payload_hash("a"));
}

}  // namespace
}  // namespace chatsdk
