// SPDX-License-Identifier: Apache-2.0
//
// The REST interface as a contract: every endpoint against every kind of bad input, each with its exact status and
// code; limits below, at and above; both forms of every body.
#include "server-reference/services/rest_service.h"

#include <gtest/gtest.h>

#include "server-reference/services/problem.h"
#include "server-reference/services/validation.h"
#include "unit/server/rest_world.h"

namespace chatsdk::server {
namespace {

using nlohmann::json;
using testing::json_of;
using testing::RestWorld;
using testing::verdict_of;

constexpr const char* kInstallation = "AAAAAAAAAAAAAAAAAAAAAA==";

RestWorld::Headers json_headers() { return {{"content-type", "application/json"}}; }
RestWorld::Headers protobuf_headers() { return {{"content-type", "application/x-protobuf"}}; }

// ---- Paths and methods ---------------------------------------------------------------------------------------------

TEST(RestPaths, UnknownOnesAreNotFound) {
  RestWorld world;
  for (const char* url : {"/",
                          "",
                          "*",
                          "/v1",
                          "/v1/",
                          "/v1/accounts/",
                          "/v1/accounts/alice",
                          "//v1/accounts",
                          "/V1/accounts",
                          "/v1/../healthz",
                          "/v1/%61ccounts",
                          "/v1/sessions/current/",
                          "/v1/devices/",
                          "/v1/devices/1/2",
                          "/v1/devices//",
                          "/v1/keys",
                          "/v1/keys/lists/",
                          "/v1/keys/prekeys/7",
                          "/v1/keys/links",
                          "/v1/keys/links/",
                          "/v1/keys/links/7",
                          "/v1/keys/links/7/",
                          "/v1/keys/links/7/offers",
                          "/v1/keys/links/7/offer/",
                          "/v1/keys/links/7/8/offer",
                          "/v1/keys/links//offer",
                          "/v1/keys/links/offer",
                          "/v1/keys/links/grant/",
                          "/v1/groups/",
                          "/v1/groups/7/",
                          "/v1/groups/7/members/",
                          "/v1/groups/7/members/bob/",
                          "/v1/groups/7/members/bob/roles",
                          "/v1/groups//members",
                          "/v1/groups/7/owner/bob",
                          "/v1/groups/7/requests/",
                          "/v1/invitations",
                          "/v1/invitations/",
                          "/v1/invitations/7/8",
                          "/v2/accounts",
                          "/healthz/",
                          "/v1/accounts\n",
                          "/v1/connect;x",
                          "http://host/v1/connect",
                          "/.%00"}) {
    for (const char* method : {"GET", "POST", "DELETE", "PUT", "HEAD", "", "get"}) {
      EXPECT_EQ(verdict_of(world.call(method, url)), "404 not_found") << method << " " << url;
    }
  }
}

TEST(RestPaths, WrongMethodsNameTheRightOnes) {
  RestWorld world;
  const std::vector<std::pair<std::string, std::string>> paths = {{"/v1/accounts", "POST"},
                                                                  {"/v1/sessions", "POST"},
                                                                  {"/v1/sessions/refresh", "POST"},
                                                                  {"/v1/sessions/current", "DELETE"},
                                                                  {"/v1/devices", "GET, HEAD"},
                                                                  {"/v1/devices/7", "DELETE"},
                                                                  {"/v1/keys/lists", "POST"},
                                                                  {"/v1/keys/lists/query", "POST"},
                                                                  {"/v1/keys/prekeys", "POST"},
                                                                  {"/v1/keys/counts", "GET, HEAD"},
                                                                  {"/v1/keys/digest", "GET, HEAD"},
                                                                  {"/v1/keys/bundles", "POST"},
                                                                  {"/v1/keys/links/7/offer", "PUT, GET, HEAD"},
                                                                  {"/v1/keys/links/7/reveal", "PUT, GET, HEAD"},
                                                                  {"/v1/keys/links/grant/grant", "PUT, GET, HEAD"},
                                                                  {"/v1/groups", "POST"},
                                                                  {"/v1/groups/7", "GET, HEAD, PATCH, DELETE"},
                                                                  {"/v1/groups/7/members", "GET, HEAD, POST"},
                                                                  {"/v1/groups/7/members/bob", "DELETE"},
                                                                  {"/v1/groups/7/members/bob/role", "PUT"},
                                                                  {"/v1/groups/7/owner", "PUT"},
                                                                  {"/v1/groups/7/invitations", "GET, HEAD, POST"},
                                                                  {"/v1/groups/7/invitations/8", "DELETE"},
                                                                  {"/v1/groups/7/requests", "GET, HEAD"},
                                                                  {"/v1/groups/7/requests/bob", "PUT"},
                                                                  {"/v1/invitations/8", "GET, HEAD, POST"},
                                                                  {"/v1/connect", "GET, HEAD"},
                                                                  {"/healthz", "GET, HEAD"},
                                                                  {"/readyz", "GET, HEAD"}};
  for (const auto& [path, allowed] : paths) {
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "X", ""}) {
      if ((", " + allowed + ",").find(", " + std::string(method) + ",") != std::string::npos) continue;
      const auto response = world.call(method, path);
      EXPECT_EQ(verdict_of(response), "405 unsupported") << method << " " << path;
      EXPECT_EQ(response.headers.at("allow"), allowed);
    }
  }
}

TEST(RestPaths, TakeHeadWhereverTheyTakeGet) {
  RestWorld world;
  for (const char* path : {"/healthz", "/readyz", "/v1/devices", "/v1/connect", "/v1/keys/links/7/offer"}) {
    const auto get = world.call("GET", path);
    const auto head = world.call("HEAD", path);
    EXPECT_EQ(head.status, get.status) << path;
    EXPECT_EQ(head.headers, get.headers) << path;
  }
}

TEST(RestPaths, IgnoreTheQuery) {
  RestWorld world;
  EXPECT_EQ(world.call("GET", "/healthz?verbose=1&x").status, 200);
}

// ---- Bodies --------------------------------------------------------------------------------------------------------

struct BodyCase {
  const char* name;
  RestWorld::Headers headers;
  Bytes body;
  const char* verdict;
};

const std::vector<BodyCase>& body_cases() {
  const auto typed = [](const char* type) { return RestWorld::Headers{{"content-type", type}}; };
  static const std::vector<BodyCase> kCases = {
      {"NoContentType", {}, "{}", "415 unsupported"},
      {"EmptyContentType", typed(""), "{}", "415 unsupported"},
      {"TextPlain", typed("text/plain"), "{}", "415 unsupported"},
      {"TextJson", typed("text/json"), "{}", "415 unsupported"},
      {"FormUrlencoded", typed("application/x-www-form-urlencoded"), "userId=alice", "415 unsupported"},
      {"Multipart", typed("multipart/form-data; boundary=x"), "--x--", "415 unsupported"},
      {"OctetStream", typed("application/octet-stream"), "", "415 unsupported"},
      {"JsonSuffix", typed("application/problem+json"), "{}", "415 unsupported"},
      {"JsonPrefix", typed("application/jsonx"), "{}", "415 unsupported"},
      {"TwoTypes", typed("application/json, application/x-protobuf"), "{}", "415 unsupported"},
      {"JsonInLatin1", typed("application/json; charset=iso-8859-1"), "{}", "415 unsupported"},
      {"Gzip", {{"content-type", "application/json"}, {"content-encoding", "gzip"}}, "\x1f\x8b", "415 unsupported"},
      {"Brotli", {{"content-type", "application/json"}, {"content-encoding", "br"}}, "{}", "415 unsupported"},
      {"JsonEmpty", json_headers(), "", "400 malformed"},
      {"JsonSpace", json_headers(), "  ", "400 malformed"},
      {"JsonNull", json_headers(), "null", "400 malformed"},
      {"JsonNumber", json_headers(), "1", "400 malformed"},
      {"JsonText", json_headers(), "\"alice\"", "400 malformed"},
      {"JsonArray", json_headers(), "[]", "400 malformed"},
      {"JsonCut", json_headers(), "{\"userId\":\"al", "400 malformed"},
      {"JsonTrailingComma", json_headers(), "{\"userId\":\"alice\",}", "400 malformed"},
      {"JsonThatEndsAtAZeroByte", json_headers(), std::string(R"({"userId":"alice"})") + std::string("\0{}", 3),
       "400 malformed"},
      {"JsonTrailingText", json_headers(), "{}{}", "400 malformed"},
      {"JsonSingleQuotes", json_headers(), "{'userId':'alice'}", "400 malformed"},
      {"JsonBareName", json_headers(), "{userId:\"alice\"}", "400 malformed"},
      {"JsonComment", json_headers(), "{/* */}", "400 malformed"},
      {"JsonByteOrderMark", json_headers(), "\xEF\xBB\xBF{}", "400 malformed"},
      {"JsonNul", json_headers(), Bytes("{}\0", 3), "400 malformed"},
      {"JsonRawControl", json_headers(), "{\"deviceName\":\"a\nb\"}", "400 malformed"},
      {"JsonDuplicate", json_headers(), "{\"deviceName\":\"a\",\"deviceName\":\"b\"}", "400 malformed"},
      {"JsonBothSpellings", json_headers(), "{\"deviceName\":\"a\",\"device_name\":\"b\"}", "400 malformed"},
      {"JsonBothSpellingsDeep", json_headers(), "{\"x\":[{\"a_b_c\":1,\"aBC\":null}]}", "400 malformed"},
      {"JsonDuplicateUnknown", json_headers(), "{\"x\":{\"y\":1,\"y\":2}}", "400 malformed"},
      {"JsonNumberBeyondADouble", json_headers(), "{\"x\":1e999999}", "400 malformed"},
      {"JsonNegativeBeyondADouble", json_headers(), "{\"x\":[-1e309]}", "400 malformed"},
      {"JsonWrongType", json_headers(), "{\"deviceName\":{},\"refreshToken\":{}}", "400 malformed"},
      {"JsonTextAsList", json_headers(), "{\"deviceName\":[\"a\"],\"refreshToken\":[\"a\"]}", "400 malformed"},
      {"JsonBytesNoBase64", json_headers(), "{\"installationId\":\"!\",\"requestId\":\"!\"}", "400 malformed"},
      {"JsonInvalidUtf8", json_headers(), "{\"deviceName\":\"\xC0\xAF\"}", "400 invalid_utf8"},
      {"JsonInvalidUtf8Name", json_headers(), "{\"\xC0\xAF\":1}", "400 invalid_utf8"},
      {"JsonLoneSurrogate", json_headers(), "{\"deviceName\":\"\\ud800\"}", "400 malformed"},
      {"JsonDeep", json_headers(), "{\"x\":" + std::string(30'000, '[') + std::string(30'000, ']') + "}",
       "400 malformed"},
      {"JsonDeepAtLimit", json_headers(),
       "{\"x\":" + std::string(limits::kJsonDepthMax, '[') + std::string(limits::kJsonDepthMax, ']') + "}",
       "400 malformed"},
      {"JsonProtobuf", json_headers(),
       "\x0a\x05"
       "alice",
       "400 malformed"},
      {"ProtobufGarbage", protobuf_headers(), "\xff\xff\xff\xff", "400 malformed"},
      {"ProtobufCut", protobuf_headers(),
       "\x0a\x7f"
       "a",
       "400 malformed"},
      {"ProtobufJson", protobuf_headers(), "{\"userId\":\"alice\"}", "400 malformed"},
      {"ProtobufGroupEnd", protobuf_headers(), "\x0c", "400 malformed"},
      {"ProtobufOverlongVarint", protobuf_headers(), Bytes(11, '\x80') + "\x01", "400 malformed"},
      {"ProtobufInvalidUtf8", protobuf_headers(), "\x0a\x02\xC0\xAF", "400 invalid_utf8"},
      {"ProtobufInvalidUtf8AndCut", protobuf_headers(), "\x0a\x02\xC0\xAF\x0a\x02", "400 malformed"},
      {"ProtobufEmpty", protobuf_headers(), "", "400 invalid_argument"},
      {"JsonOneSpellingEach", json_headers(), "{\"x_y\":1,\"xZ\":2,\"x\":{\"xY\":3}}", "400 invalid_argument"},
      {"JsonObjectEmpty", json_headers(), "{}", "400 invalid_argument"},
      {"JsonUnknownFieldsOnly", json_headers(), "{\"x\":{\"y\":[1,2.5,null]}}", "400 invalid_argument"},
      {"JsonNullFields", json_headers(), "{\"userId\":null}", "400 invalid_argument"},
      {"BodyAtLimit", json_headers(), "{}" + std::string(limits::kRequestBodyBytesMax - 2, ' '),
       "400 invalid_argument"},
      {"BodyAboveLimit", json_headers(), "{}" + std::string(limits::kRequestBodyBytesMax - 1, ' '), "413 too_large"},
  };
  return kCases;
}

class RestBody : public ::testing::TestWithParam<BodyCase> {};

TEST_P(RestBody, IsRefusedByEveryPathThatTakesOne) {
  RestWorld world;
  for (const char* path : {"/v1/accounts", "/v1/sessions", "/v1/sessions/refresh"}) {
    RestWorld::Headers headers = GetParam().headers;
    headers["accept"] = "application/json";
    const auto response = world.call("POST", path, headers, GetParam().body);
    EXPECT_EQ(verdict_of(response), GetParam().verdict) << path << ": " << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "application/problem+json");
    EXPECT_EQ(response.headers.at("x-content-type-options"), "nosniff");
    EXPECT_EQ(response.headers.at("cache-control"), "no-store");
    EXPECT_EQ(response.body.find("alice"), std::string::npos);
  }
  EXPECT_EQ(world.writes, 0);
}

INSTANTIATE_TEST_SUITE_P(Table, RestBody, ::testing::ValuesIn(body_cases()),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(RestBodies, OverTheLimitNameBothSizes) {
  RestWorld world;
  const auto response = world.call("POST", "/v1/accounts", json_headers(), Bytes(65'537, ' '));
  EXPECT_EQ(json_of(response)["detail"], "body of 65537 B, limit 65536 B");
  EXPECT_EQ(json_of(response)["title"], "Content Too Large");
  EXPECT_EQ(json_of(response)["status"], 413);
  EXPECT_EQ(json_of(response)["codeNumber"], static_cast<int>(Code::kTooLarge));
  EXPECT_EQ(json_of(response)["type"], "about:blank");
}

TEST(RestBodies, OfJsonMayNameUtf8AndUnknownFields) {
  RestWorld world;
  json request = world.register_request("alice");
  request["unknown"] = {{"deep", json::array({1, "two", 1.7e308})}};
  for (const char* type : {"application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""}) {
    const auto response = world.call("POST", "/v1/accounts", {{"content-type", type}}, request.dump());
    EXPECT_LT(response.status, 300) << response.body;
  }
}

TEST(RestBodies, OfJsonMaySpellFieldsAsTheProtoFileDoes) {
  RestWorld world;
  const json request = {{"user_id", "alice"}, {"password", "correct horse"}, {"installation_id", kInstallation}};
  EXPECT_EQ(world.post_json("/v1/accounts", request).status, 201);
}

// ---- Fields --------------------------------------------------------------------------------------------------------

struct FieldCase {
  const char* name;
  const char* field;
  json value;
  const char* detail;  // what the refusal says; empty: accepted
};

std::string repeated(std::size_t count, const std::string& text = "a") {
  std::string result;
  for (std::size_t i = 0; i < count; ++i) result += text;
  return result;
}
std::string base64_zeros(std::size_t bytes) {
  std::string text = repeated((bytes + 2) / 3 * 4, "A");
  for (std::size_t i = 0; i < (3 - bytes % 3) % 3; ++i) text[text.size() - 1 - i] = '=';
  return text;
}

const std::vector<FieldCase>& field_cases() {
  static const std::vector<FieldCase> kCases = {
      {"UserIdEmpty", "userId", "", "user_id of 0 B, at least 1 B"},
      {"UserIdShortest", "userId", "a", ""},
      {"UserIdBelowLimit", "userId", repeated(63), ""},
      {"UserIdAtLimit", "userId", repeated(64), ""},
      {"UserIdAboveLimit", "userId", repeated(65), "user_id of 65 B, limit 64 B"},
      {"UserIdAboveLimitInBytes", "userId", repeated(22, "\xE2\x82\xAC"), "user_id of 66 B, limit 64 B"},
      {"UserIdOtherScript", "userId", "\xD0\x9E\xD0\xBB\xD1\x8F \xF0\x9F\x98\x80", ""},
      {"UserIdSpaceInside", "userId", "a b", ""},
      {"UserIdSpaceBefore", "userId", " a", "user_id begins with white space"},
      {"UserIdSpaceAfter", "userId", "a ", "user_id ends with white space"},
      {"UserIdSpaceOnly", "userId", " ", "user_id begins with white space"},
      {"UserIdNoBreakSpaceAfter", "userId", "a\xC2\xA0", "user_id ends with white space"},
      {"UserIdIdeographicSpaceBefore", "userId", "\xE3\x80\x80z", "user_id begins with white space"},
      {"UserIdLineSeparatorAfter", "userId", "a\xE2\x80\xA8", "user_id ends with white space"},
      {"UserIdNul", "userId", std::string("a\0b", 3), "user_id has a control character"},
      {"UserIdNewline", "userId", "a\nb", "user_id has a control character"},
      {"UserIdDelete", "userId", "a\x7F", "user_id has a control character"},
      {"UserIdC1Control", "userId",
       "a\xC2\x85"
       "b",
       "user_id has a control character"},
      {"PasswordEmpty", "password", "", "password of 0 B, at least 8 B"},
      {"PasswordBelowLeast", "password", repeated(7), "password of 7 B, at least 8 B"},
      {"PasswordLeast", "password", repeated(8), ""},
      {"PasswordAboveLeast", "password", repeated(9), ""},
      {"PasswordWithNulAndControls", "password", std::string("\0\n\r\t       ", 11), ""},
      {"PasswordBelowLimit", "password", repeated(1'023), ""},
      {"PasswordAtLimit", "password", repeated(1'024), ""},
      {"PasswordAboveLimit", "password", repeated(1'025), "password of 1025 B, limit 1024 B"},
      {"DisplayNameAtLimit", "displayName", repeated(256), ""},
      {"DisplayNameAboveLimit", "displayName", repeated(257), "display_name of 257 B, limit 256 B"},
      {"DisplayNameControl", "displayName", "a\tb", "display_name has a control character"},
      {"DeviceNameEmpty", "deviceName", "", ""},
      {"DeviceNameAtLimit", "deviceName", repeated(128), ""},
      {"DeviceNameAboveLimit", "deviceName", repeated(129), "device_name of 129 B, limit 128 B"},
      {"DeviceNameControl", "deviceName", "a\x1B[31m", "device_name has a control character"},
      {"EmailShortest", "email", "a@b", ""},
      {"EmailPlus", "email", "a.b+c@mail.example.org", ""},
      {"EmailQuote", "email", "o'brien@example.org", ""},
      {"EmailOtherScript", "email",
       "\xC3\xBC@b\xC3\xBC"
       "cher.example",
       ""},
      {"EmailAtLimit", "email", repeated(64) + "@" + repeated(189), ""},
      {"EmailAboveLimit", "email", repeated(64) + "@" + repeated(190), "email of 255 B, limit 254 B"},
      {"EmailLocalAboveLimit", "email", repeated(65) + "@b.c", "email before the @ of 65 B, limit 64 B"},
      {"EmailTooShort", "email", "a@", "email of 2 B, at least 3 B"},
      {"EmailNoAt", "email", "example.org", "email has not exactly one @"},
      {"EmailTwoAts", "email", "a@b@c", "email has not exactly one @"},
      {"EmailNoLocal", "email", "@example.org", "email before the @ of 0 B, at least 1 B"},
      {"EmailNoDomain", "email", "alice@", "email has no domain after the @"},
      {"EmailDotFirst", "email", "a@.org", "email has no domain after the @"},
      {"EmailDotLast", "email", "a@org.", "email has no domain after the @"},
      {"EmailTwoDots", "email", "a@b..c", "email has no domain after the @"},
      {"EmailSpace", "email", "a b@c.d", "email has white space"},
      {"EmailHeaderInjection", "email", "a@b.c\r\nBcc: x@y.z", "email has a control character"},
      {"PhoneShortest", "phone", "+12", ""},
      {"PhoneLongest", "phone", "+123456789012345", ""},
      {"PhoneTooLong", "phone", "+1234567890123456", "phone of 17 B, limit 16 B"},
      {"PhoneTooShort", "phone", "+1", "phone of 2 B, at least 3 B"},
      {"PhoneNoPlus", "phone", "4912345", "phone is not in E.164 form: + and up to 15 digits, the first not 0"},
      {"PhoneLeadingZero", "phone", "+0123", "phone is not in E.164 form: + and up to 15 digits, the first not 0"},
      {"PhoneSpaces", "phone", "+49 123", "phone is not in E.164 form: + and up to 15 digits, the first not 0"},
      {"PhoneOtherDigits", "phone", "+\xD9\xA1\xD9\xA2",
       "phone is not in E.164 form: + and up to 15 digits, the first not 0"},
      {"InstallationIdMissing", "installationId", "", "installation_id of 0 B, must be 16 B"},
      {"InstallationIdShort", "installationId", base64_zeros(15), "installation_id of 15 B, must be 16 B"},
      {"InstallationIdExact", "installationId", base64_zeros(16), ""},
      {"InstallationIdLong", "installationId", base64_zeros(17), "installation_id of 17 B, must be 16 B"},
  };
  return kCases;
}

class RestField : public ::testing::TestWithParam<FieldCase> {};

TEST_P(RestField, IsCheckedWithItsLimitNamed) {
  const FieldCase& given = GetParam();
  RestWorld world;
  json request = world.register_request("alice");
  request[given.field] = given.value;
  const auto response = world.post_json("/v1/accounts", request);

  if (std::string_view(given.detail).empty()) {
    EXPECT_EQ(verdict_of(response), "201") << response.body;
  } else {
    EXPECT_EQ(verdict_of(response), "400 invalid_argument");
    EXPECT_EQ(json_of(response)["detail"], given.detail);
    EXPECT_EQ(world.writes, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RestField, ::testing::ValuesIn(field_cases()),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(RestFields, OfLogInAndRefreshAreCheckedToo) {
  RestWorld world;
  const json login = {{"userId", "alice"}, {"password", "correct horse"}, {"installationId", kInstallation}};
  const json refresh = {{"refreshToken", "AAAA"}, {"requestId", kInstallation}};
  const auto changed = [](json request, const char* field, const json& value) {
    request[field] = value;
    return request;
  };
  for (const json& bad :
       {changed(login, "userId", repeated(65)), changed(login, "userId", " a"), changed(login, "password", ""),
        changed(login, "password", repeated(1'025)), changed(login, "deviceName", repeated(129)),
        changed(login, "installationId", base64_zeros(15)), changed(login, "assertion", "a.b.c")}) {
    EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", bad)), "400 invalid_argument") << bad;
  }
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", changed(refresh, "requestId", base64_zeros(15)))),
            "400 invalid_argument");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", changed(refresh, "requestId", base64_zeros(17)))),
            "400 invalid_argument");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh)), "401 unauthenticated");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", changed(refresh, "refreshToken", ""))),
            "401 unauthenticated");
}

// ---- SQL -----------------------------------------------------------------------------------------------------------

TEST(RestSql, IsTextInEveryField) {
  RestWorld world;
  world.registered("witness");
  const std::vector<std::string> payloads = {"' OR '1'='1",
                                             "'; DROP TABLE account; --",
                                             "\" OR 1=1 --",
                                             "') OR ('1'='1",
                                             "1; SELECT * FROM session",
                                             "' UNION SELECT secret FROM meta --",
                                             "%' OR user_id LIKE '%",
                                             "\\'; DELETE FROM device; --",
                                             "?1",
                                             ":user_id",
                                             "$1",
                                             "@p",
                                             "/* */",
                                             "';ATTACH DATABASE 'x' AS y;--",
                                             "`",
                                             "admin'--",
                                             "NULL",
                                             "x' AND randomblob(1e9) --"};
  int number = 0;
  for (const std::string& payload : payloads) {
    const std::string installation = base64_zeros(16);
    json request = world.register_request(payload);
    request["password"] = payload + " padded";
    request["displayName"] = payload;
    request["deviceName"] = payload;
    request["email"] = "x'--" + std::to_string(number++) + "@b');--";
    ASSERT_EQ(verdict_of(world.post_json("/v1/accounts", request)), "201") << payload;

    const json login = {{"userId", payload},
                        {"password", payload + " padded"},
                        {"deviceName", payload},
                        {"installationId", installation}};
    const auto session = world.post_json("/v1/sessions", login);
    ASSERT_EQ(verdict_of(session), "200") << payload;
    EXPECT_EQ(json_of(session)["userId"], payload);
    const json devices = json_of(world.with_token("GET", "/v1/devices", json_of(session)["accessToken"]))["devices"];
    ASSERT_EQ(devices.size(), 1U) << payload;
    EXPECT_EQ(devices[0]["name"], payload);
    const Account account = world.reader->account(payload)->value();
    EXPECT_EQ(account.display_name, payload);

    json guess = login;
    guess["userId"] = "witness";
    EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", guess, "198.51.100." + std::to_string(number))).substr(0, 1),
              "4");
    EXPECT_EQ(verdict_of(world.with_token("DELETE", "/v1/devices/" + std::to_string(number) + "'--",
                                          json_of(session)["accessToken"])),
              "400 invalid_argument");
    json phone = world.register_request("someone");
    phone["phone"] = payload;
    EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", phone)), "400 invalid_argument");
    const json refresh = {{"refreshToken", payload}, {"requestId", installation}};
    EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh)), "401 unauthenticated");
  }
  EXPECT_TRUE(world.reader->account("witness")->has_value());
}

// ---- Authorisation -------------------------------------------------------------------------------------------------

TEST(RestAuthorisation, IsNeededWhereAUserIsMeant) {
  RestWorld world;
  const json session = world.registered("alice");
  const std::string token = session["accessToken"];
  const std::string refresh = session["refreshToken"];
  const std::vector<RestWorld::Headers> bad = {
      {},
      {{"authorization", ""}},
      {{"authorization", "Bearer"}},
      {{"authorization", "Bearer "}},
      {{"authorization", "Bearer  " + token}},
      {{"authorization", "Bearer " + token + " "}},
      {{"authorization", token}},
      {{"authorization", "Basic " + token}},
      {{"authorization", "Bearer " + refresh}},
      {{"authorization", "Bearer null"}},
      {{"authorization", "Bearer " + token + "," + token}},
      {{"authorization",
        "Bearer " + AccessTokens(Bytes(32, 'x'), {}).mint({}, world.clock.wall_now(), world.random).token}},
      {{"authorization", "Bearer " + std::string(1 << 20, 'a')}},
      {{"x-access-token", token}}};
  for (const auto& [method, path] : std::vector<std::pair<std::string, std::string>>{{"DELETE", "/v1/sessions/current"},
                                                                                     {"GET", "/v1/devices"},
                                                                                     {"DELETE", "/v1/devices/7"},
                                                                                     {"GET", "/v1/connect"}}) {
    for (const auto& headers : bad) {
      const auto response = world.call(method, path, headers);
      EXPECT_EQ(verdict_of(response), "401 unauthenticated") << method << " " << path;
      EXPECT_TRUE(response.headers.at("www-authenticate").starts_with("Bearer"));
    }
    EXPECT_EQ(verdict_of(world.call(method, path + "?access_token=" + token)), "401 unauthenticated");
  }
  EXPECT_EQ(world.call("GET", "/v1/devices", {{"authorization", "bEARER " + token}}).status, 200);
}

TEST(RestAuthorisation, EndsWithTheTokensTime) {
  RestWorld world;
  const std::string token = world.registered("alice")["accessToken"];
  world.clock.advance(std::chrono::seconds(899));
  EXPECT_EQ(world.with_token("GET", "/v1/devices", token).status, 200);
  world.clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(verdict_of(world.with_token("GET", "/v1/devices", token)), "401 unauthenticated");
}

TEST(RestDevices, RefuseAnIdThatIsNoNumber) {
  RestWorld world;
  const std::string token = world.registered("alice")["accessToken"];
  for (const char* id : {"0", "-1", "+1", "01", "abc", "1x", "1.5", "0x10", "18446744073709551616", "%31", "current",
                         "' OR 1=1", "99999999999999999999999999"}) {
    EXPECT_EQ(verdict_of(world.with_token("DELETE", std::string("/v1/devices/") + id, token)), "400 invalid_argument")
        << id;
  }
  EXPECT_EQ(verdict_of(world.with_token("DELETE", "/v1/devices/18446744073709551615", token)), "404 not_found");
}

// ---- Forms ---------------------------------------------------------------------------------------------------------

TEST(RestForms, OfARegistrationMeanTheSame) {
  RestWorld world;
  wire::RegisterRequest request;
  request.set_user_id("alice");
  request.set_password("correct horse");
  request.set_installation_id(Bytes(16, '\0'));
  const auto binary = world.call("POST", "/v1/accounts", protobuf_headers(), request.SerializeAsString());
  ASSERT_EQ(binary.status, 201);
  EXPECT_EQ(binary.headers.at("content-type"), "application/x-protobuf");
  wire::Session session;
  ASSERT_TRUE(session.ParseFromString(binary.body));
  EXPECT_EQ(session.user_id(), "alice");

  const auto text = world.post_json("/v1/accounts", world.register_request("alice"));
  EXPECT_EQ(text.status, 200);
  EXPECT_EQ(text.headers.at("content-type"), "application/json");
  EXPECT_EQ(json_of(text)["deviceId"], std::to_string(session.device_id()));
  EXPECT_EQ(json_of(text)["refreshExpiresAtMs"], std::to_string(session.refresh_expires_at_ms()));
}

template <typename Message>
void expect_equal_forms(RestWorld& world, const std::string& path, const std::string& token) {
  const JsonCodec codec;
  const auto text = world.call("GET", path, {{"authorization", "Bearer " + token}, {"accept", "application/json"}});
  const auto binary =
      world.call("GET", path, {{"authorization", "Bearer " + token}, {"accept", "application/x-protobuf"}});
  EXPECT_EQ(text.headers.at("content-type"), "application/json");
  EXPECT_EQ(binary.headers.at("content-type"), "application/x-protobuf");
  Message message;
  ASSERT_TRUE(message.ParseFromString(codec.to_binary(message.GetTypeName(), text.body).value()));
  EXPECT_EQ(message.SerializeAsString(), binary.body);
}

TEST(RestForms, OfEveryReadAreEqual) {
  RestWorld world;
  const std::string token = world.registered("alice")["accessToken"];
  expect_equal_forms<wire::Devices>(world, "/v1/devices", token);
  expect_equal_forms<wire::Connect>(world, "/v1/connect", token);
}

TEST(RestForms, OfAProblemFollowAccept) {
  RestWorld world;
  const auto problem = world.call("GET", "/v1/devices", {{"accept", "application/x-protobuf"}});
  EXPECT_EQ(problem.headers.at("content-type"), "application/x-protobuf");
  wire::Problem message;
  ASSERT_TRUE(message.ParseFromString(problem.body));
  EXPECT_EQ(message.status(), 401U);
  EXPECT_EQ(message.code(), "unauthenticated");
  EXPECT_EQ(message.code_number(), static_cast<int>(Code::kUnauthenticated));
}

TEST(RestForms, FollowTheHeaviestOfAccept) {
  RestWorld world;
  const std::string json_type(kProblemType);
  const std::string protobuf_type(kProtobufType);
  for (const auto& [accept, type] : std::vector<std::pair<std::string, std::string>>{
           {"", json_type},
           {"*/*", json_type},
           {"application/*", json_type},
           {"text/html", json_type},
           {"application/x-protobuf", protobuf_type},
           {"APPLICATION/X-PROTOBUF", protobuf_type},
           {"application/x-protobuf;q=0.5, application/json;q=0.4", protobuf_type},
           {"application/x-protobuf;q=0.5, application/json", json_type},
           {"application/x-protobuf;q=0.5, application/problem+json;q=0.501", json_type},
           {"application/x-protobuf, */*;q=0.1", protobuf_type},
           {"application/json;q=0, */*", protobuf_type},
           {",,;q=;;=,", json_type},
           {std::string(10'000, ','), json_type}}) {
    EXPECT_EQ(world.call("GET", "/nowhere", {{"accept", accept}}).headers.at("content-type"), type) << accept;
  }
}

TEST(RestForms, OfNumbersAreTextInJson) {
  const JsonCodec codec;
  wire::Session session;
  session.set_device_id(0xFFFF'FFFF'FFFF'FFFF);
  session.set_access_expires_at_ms(9'007'199'254'740'993);
  const auto text = codec.to_json("chatsdk.v1.Session", session.SerializeAsString(), JsonCodec::Defaults::kPrint);
  EXPECT_EQ(json::parse(*text)["deviceId"], "18446744073709551615");
  EXPECT_EQ(json::parse(*text)["accessExpiresAtMs"], "9007199254740993");
}

// ---- Service -------------------------------------------------------------------------------------------------------

TEST(RestConnect, NamesTheGateways) {
  RestWorld world;
  const json connect = json_of(world.with_token("GET", "/v1/connect", world.registered("alice")["accessToken"]));
  ASSERT_EQ(connect["gateways"].size(), 2U);
  EXPECT_EQ(connect["gateways"][0], (json{{"url", "wss://chat.example/v1/ws"}, {"region", "eu"}, {"priority", 0}}));
  EXPECT_EQ(connect["subprotocols"], json::array({"chatsdk.v1"}));
  EXPECT_EQ(connect["ttlS"], 300);
}

TEST(RestHealth, IsGoodWhileTheProcessLives) {
  RestWorld world;
  world.rest->set_draining();
  int status = 0;
  world.send("GET", "/healthz", {}, {}, [&](const HttpResponse& response) { status = response.status; });
  EXPECT_EQ(status, 200);
}

TEST(RestReadiness, EndsWhileTheStoreRefusesWritesAndComesBack) {
  RestWorld world;
  EXPECT_EQ(world.call("GET", "/readyz").status, 200);
  world.write_failure = error(Code::kStorageFull, "/var/lib/secret is full");
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", world.register_request("alice"))), "507 storage_full");

  const auto unready = world.call("GET", "/readyz");
  EXPECT_EQ(verdict_of(unready), "503 storage_full");
  EXPECT_EQ(unready.body.find("secret"), std::string::npos);
  const int writes = world.writes;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(verdict_of(world.call("GET", "/readyz")), "503 storage_full");
  EXPECT_EQ(world.writes, writes) << "a flood of questions is no flood of writes";
  EXPECT_EQ(world.call("GET", "/healthz").status, 200);

  world.write_failure.reset();
  world.clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(world.call("GET", "/readyz").status, 200) << "although nobody else wrote";
  EXPECT_EQ(world.call("GET", "/readyz").status, 200);
}

TEST(RestReadiness, EndsWithDraining) {
  RestWorld world;
  EXPECT_EQ(world.call("GET", "/readyz").status, 200);
  world.rest->set_draining();
  EXPECT_EQ(verdict_of(world.call("GET", "/readyz")), "503 unavailable");
}

// ---- Log -----------------------------------------------------------------------------------------------------------

TEST(RestLog, NamesRouteAddressAndCodeOfARefusal) {
  struct Case {
    const char* method;
    const char* url;
    RestWorld::Headers headers;
    const char* line;
  };
  const Case cases[] = {
      {"GET", "/v1/devices", {}, "rest: refused GET /v1/devices from 192.0.2.9: unauthenticated: "},
      {"GET", "/v1/devices?access_token=4711", {}, "rest: refused GET /v1/devices from 192.0.2.9: unauthenticated: "},
      {"DELETE",
       "/v1/devices/4711",
       {{"authorization", "Bearer 4711"}},
       "rest: refused DELETE /v1/devices/{device_id} from 192.0.2.9: unauthenticated: "},
      {"PUT",
       "/v1/keys/links/4711/offer",
       {},
       "rest: refused PUT /v1/keys/links/{link_id}/offer from 192.0.2.9: unauthenticated: "},
      {"GET", "/4711", {}, "rest: refused unknown route from 192.0.2.9: not_found: "},
      {"4711", "/v1/devices", {}, "rest: refused unknown route from 192.0.2.9: unsupported: "},
      {"POST", "/v1/sessions", json_headers(), "rest: refused POST /v1/sessions from 192.0.2.9: malformed: "},
  };
  for (const Case& c : cases) {
    RestWorld world;
    EXPECT_GE(world.call(c.method, c.url, c.headers, "{\"password\":\"4711", "192.0.2.9").status, 400);
    EXPECT_EQ(world.log.with(c.line).size(), 1U) << c.line;
    EXPECT_TRUE(world.log.with("4711").empty()) << world.log.with("4711").front();
  }
}

TEST(RestLog, CountsWhatIsRefusedAgainAndAgain) {
  RestWorld world;
  const auto refused = [&world] { return world.log.with("refused"); };
  for (int i = 0; i < 3'000; ++i) EXPECT_EQ(world.call("GET", "/v1/devices").status, 401);
  EXPECT_EQ(world.call("GET", "/v1/devices", {}, {}, "192.0.2.2").status, 401);
  EXPECT_EQ(refused().size(), 2U) << "one for each address";

  world.clock.advance(std::chrono::milliseconds(500));
  EXPECT_EQ(world.call("GET", "/readyz").status, 200);
  ASSERT_EQ(refused().size(), 3U);
  EXPECT_EQ(refused().back(), "rest: refused 2999 more: GET /v1/devices from 192.0.2.1: unauthenticated");

  world.clock.advance(std::chrono::milliseconds(500));
  EXPECT_EQ(world.call("GET", "/readyz").status, 200);
  EXPECT_EQ(refused().size(), 3U) << "nothing was refused";
  EXPECT_EQ(world.call("GET", "/v1/devices").status, 401);
  EXPECT_EQ(refused().size(), 4U) << "the next one is told again";
}

TEST(RestLog, CountsWhatComesFromManyAddresses) {
  RestWorld world;
  for (std::size_t i = 0; i < limits::kRefusalKindsMax + 7; ++i) {
    EXPECT_EQ(world.call("GET", "/v1/devices", {}, {}, "192.0.2." + std::to_string(i)).status, 401);
  }
  EXPECT_EQ(world.log.with("refused").size(), limits::kRefusalKindsMax);

  world.rest.reset();
  ASSERT_EQ(world.log.with("refused").size(), limits::kRefusalKindsMax + 1) << "what is counted is told at the end";
  EXPECT_EQ(world.log.with("refused").back(), "rest: refused 7 more of other kinds");
}

TEST(RestProblems, HaveAStatusForEveryCode) {
  for (int number = -1'000; number < 0; ++number) {
    const auto code = static_cast<Code>(number);
    if (code_name(code) == "unknown") continue;
    const int status = http_status(code);
    EXPECT_GE(status, 400) << code_name(code);
    EXPECT_NE(http_reason(status), "Unknown") << status;
    EXPECT_EQ(http_reason(status) == "Internal Server Error", status == 500) << status;
  }
}

}  // namespace
}  // namespace chatsdk::server
