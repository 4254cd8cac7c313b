// SPDX-License-Identifier: Apache-2.0
//
// Groups over REST: every endpoint, what each refuses and in which words, limits below, at and above, rates, and
// answers that are lost.
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>

#include "base/limits.h"
#include "protocol/frames.h"
#include "unit/server/rest_world.h"

namespace chatsdk::server {
namespace {

using nlohmann::json;
using testing::json_of;
using testing::RestWorld;
using testing::RestWorldOptions;
using testing::verdict_of;

const std::string kGroup(32, 'a');
const std::string kToken(32, 'b');

std::string base64_16(char letter) {
  // Sixteen bytes 0xAA or 0xBB.
  return letter == 'a' ? "qqqqqqqqqqqqqqqqqqqqqg==" : "u7u7u7u7u7u7u7u7u7u7uw==";
}

std::string base64_of(BytesView bytes) {
  std::string text = to_base64url(bytes);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  while (text.size() % 4 != 0) text += '=';
  return text;
}

// Ann, bob, cid and dan, each with a token.
struct GroupWorld : RestWorld {
  explicit GroupWorld(RestWorldOptions options = {}) : RestWorld(std::move(options)) {
    for (const char* user : {"ann", "bob", "cid", "dan"}) tokens[user] = registered(user).at("accessToken");
  }
  HttpResponse ask(const std::string& user, const std::string& method, const std::string& url, const json& body = {},
                   const std::string& operation = {}) {
    Headers headers = {{"authorization", "Bearer " + tokens.at(user)}};
    headers["operation-id"] = operation.empty() ? next_operation() : operation;
    Bytes bytes;
    if (!body.is_null()) {
      headers["content-type"] = "application/json";
      bytes = body.dump();
    }
    return call(method, url, std::move(headers), std::move(bytes));
  }
  std::string verdict(const std::string& user, const std::string& method, const std::string& url,
                      const json& body = {}) {
    return verdict_of(ask(user, method, url, body));
  }
  std::string next_operation() {
    char text[33];
    std::snprintf(text, sizeof text, "%032x", ++operations);
    return text;
  }
  static json creation(std::vector<std::string> users = {"bob", "cid"}) {
    return {{"groupId", base64_16('a')}, {"name", "name"}, {"userIds", std::move(users)}};
  }
  json make_group() {
    const HttpResponse response = ask("ann", "POST", "/v1/groups", creation());
    EXPECT_EQ(response.status, 200) << response.body;
    return json_of(response);
  }
  std::string members() {
    std::string text;
    const json page = json_of(ask("ann", "GET", group("/members")));
    for (const json& member : page.at("members")) {
      text += member.at("userId").get<std::string>() + " " + member.at("role").get<std::string>() + "\n";
    }
    return text;
  }
  // Every byte of the store's files.
  Bytes stored() const {
    Bytes bytes;
    for (const auto& file : std::filesystem::recursive_directory_iterator(directory())) {
      std::ifstream in(file.path(), std::ios::binary);
      bytes.append(std::istreambuf_iterator<char>(in), {});
    }
    return bytes;
  }
  static std::string group(const std::string& rest = {}) { return "/v1/groups/" + kGroup + rest; }

  std::map<std::string, std::string> tokens;
  unsigned operations = 0;
};

TEST(GroupRest, AGroupIsMadeReadAndDeleted) {
  GroupWorld world;
  const json made = world.make_group();
  EXPECT_EQ(made.at("seq"), "1");
  const json info = json_of(world.ask("bob", "GET", world.group()));
  EXPECT_EQ(info.at("conversationId"), made.at("conversationId"));
  EXPECT_EQ(info.at("group").at("groupId"), base64_16('a'));
  EXPECT_EQ(info.at("group").at("name"), "name");
  EXPECT_EQ(info.at("group").at("permissions").at("send"), "GROUP_ROLE_MEMBER");
  EXPECT_EQ(info.at("group").at("permissions").at("invite"), "GROUP_ROLE_ADMIN");
  EXPECT_EQ(info.at("group").at("permissions").at("permissions"), "GROUP_ROLE_OWNER");
  EXPECT_EQ(info.at("members"), 3);
  EXPECT_EQ(info.at("role"), "GROUP_ROLE_MEMBER");
  EXPECT_EQ(info.at("ownerUserId"), "ann");
  EXPECT_EQ(world.members(), "ann GROUP_ROLE_OWNER\nbob GROUP_ROLE_MEMBER\ncid GROUP_ROLE_MEMBER\n");
  EXPECT_EQ(world.verdict("dan", "GET", world.group()), "404 not_found");
  EXPECT_EQ(world.verdict("bob", "DELETE", world.group()), "403 forbidden");
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group()), "200");
  EXPECT_EQ(world.verdict("ann", "GET", world.group()), "403 forbidden");
  EXPECT_EQ(world.verdict("ann", "POST", "/v1/groups", GroupWorld::creation()), "409 already_exists");
}

TEST(GroupRest, EveryChangeIsThere) {
  GroupWorld world;
  world.make_group();
  EXPECT_EQ(
      world.verdict("ann", "PATCH", world.group(), {{"name", "new"}, {"permissions", {{"add", "GROUP_ROLE_MEMBER"}}}}),
      "200");
  EXPECT_EQ(world.verdict("bob", "POST", world.group("/members"), {{"userIds", {"dan"}}}), "200");
  EXPECT_EQ(world.verdict("bob", "DELETE", world.group("/members/dan")), "403 forbidden");
  EXPECT_EQ(world.verdict("ann", "PUT", world.group("/members/bob/role"), {{"role", "GROUP_ROLE_ADMIN"}}), "200");
  EXPECT_EQ(world.verdict("bob", "DELETE", world.group("/members/dan")), "200");
  EXPECT_EQ(world.verdict("cid", "DELETE", world.group("/members/cid")), "200");
  EXPECT_EQ(world.verdict("ann", "PUT", world.group("/owner"), {{"userId", "bob"}}), "200");
  EXPECT_EQ(world.members(), "ann GROUP_ROLE_ADMIN\nbob GROUP_ROLE_OWNER\n");
  const json info = json_of(world.ask("ann", "GET", world.group()));
  EXPECT_EQ(info.at("group").at("name"), "new");
  EXPECT_EQ(info.at("group").at("permissions").at("add"), "GROUP_ROLE_MEMBER");
  EXPECT_EQ(info.at("group").at("permissions").at("info"), "GROUP_ROLE_ADMIN");
}

TEST(GroupRest, InvitationsAndRequestsAreThere) {
  GroupWorld world;
  world.make_group();
  const json asked = {{"token", base64_16('b')}, {"uses", 2}, {"approval", true}};
  EXPECT_EQ(world.verdict("ann", "POST", world.group("/invitations"), asked), "200");
  const json listed = json_of(world.ask("ann", "GET", world.group("/invitations"))).at("invitations");
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_FALSE(listed[0].contains("token"));
  EXPECT_EQ(listed[0].at("userId"), "ann");
  EXPECT_EQ(listed[0].at("usesLeft"), 2);
  const json preview = json_of(world.ask("dan", "GET", "/v1/invitations/" + kToken));
  EXPECT_EQ(preview.at("name"), "name");
  EXPECT_EQ(preview.at("members"), 3);
  EXPECT_EQ(preview.at("approval"), true);
  EXPECT_EQ(preview.at("inviterUserId"), "ann");
  EXPECT_EQ(preview.at("member"), false);
  EXPECT_EQ(json_of(world.ask("dan", "POST", "/v1/invitations/" + kToken)).at("requested"), true);
  const json requests = json_of(world.ask("ann", "GET", world.group("/requests"))).at("requests");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].at("userId"), "dan");
  EXPECT_EQ(world.verdict("ann", "PUT", world.group("/requests/dan"), {{"accept", true}}), "200");
  EXPECT_EQ(json_of(world.ask("dan", "GET", "/v1/invitations/" + kToken)).at("member"), true);
  EXPECT_EQ(world.verdict("dan", "GET", world.group("/invitations")), "403 forbidden");
  EXPECT_EQ(world.verdict("dan", "GET", world.group("/requests")), "403 forbidden");
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group("/invitations/" + kToken)), "200");
  EXPECT_EQ(world.verdict("dan", "GET", "/v1/invitations/" + kToken), "404 not_found");
}

TEST(GroupRest, AnInvitationIsRevokedByItsIdToo) {
  GroupWorld world;
  world.make_group();
  EXPECT_EQ(world.verdict("ann", "POST", world.group("/invitations"), {{"token", base64_16('b')}}), "200");
  const json listed = json_of(world.ask("ann", "GET", world.group("/invitations"))).at("invitations");
  const Bytes id = payload_hash(*from_hex(kToken));
  EXPECT_EQ(listed.at(0).at("invitationId"), base64_of(id));
  EXPECT_EQ(world.verdict("dan", "POST", "/v1/invitations/" + to_hex(id)), "400 invalid_argument")
      << "it opens nothing";
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group("/invitations/" + to_hex(id).substr(1))),
            "400 invalid_argument");
  std::string loud = to_hex(id);
  std::transform(loud.begin(), loud.end(), loud.begin(), [](unsigned char letter) { return std::toupper(letter); });
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group("/invitations/" + loud)), "400 invalid_argument");
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group("/invitations/" + to_hex(id))), "200");
  EXPECT_EQ(world.verdict("dan", "POST", "/v1/invitations/" + kToken), "404 not_found");
}

TEST(GroupRest, NoTokenIsKept) {
  GroupWorld world;
  world.make_group();
  const std::string secret = "sixteen secrets!";
  const json asked = {{"token", base64_of(secret)}, {"approval", true}};
  const std::string path = "/v1/invitations/" + to_hex(secret);
  EXPECT_EQ(world.verdict("ann", "POST", world.group("/invitations"), asked), "200");
  EXPECT_EQ(world.verdict("ann", "POST", world.group("/invitations"), asked), "409 already_exists");
  EXPECT_EQ(world.verdict("dan", "GET", path), "200");
  EXPECT_EQ(world.verdict("dan", "POST", path), "200");
  EXPECT_NE(world.stored().find(payload_hash(secret)), Bytes::npos) << "where the token would be";
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group("/invitations/" + to_hex(secret))), "200");
  EXPECT_EQ(world.verdict("dan", "POST", path), "404 not_found");
  EXPECT_EQ(world.verdict("dan", "GET", path), "404 not_found");
  const Bytes stored = world.stored();
  for (const std::string& shape : {secret, to_hex(secret), base64_of(secret)}) {
    EXPECT_EQ(stored.find(shape), stored.npos) << shape;
    EXPECT_TRUE(world.log.with(shape).empty()) << world.log.with(shape).front();
  }
}

TEST(GroupRest, TheLogNamesNobodyAndNoGroup) {
  GroupWorld world;
  world.make_group();
  world.verdict("bob", "DELETE", world.group("/members/cid"));
  world.verdict("dan", "GET", world.group());
  world.verdict("ann", "DELETE", world.group("/members/dan"));
  world.verdict("ann", "POST", world.group("/members"), {{"userIds", {"cid", "nobody"}}});
  world.verdict("ann", "PATCH", world.group(), {{"name", "a\nname"}});
  world.verdict("dan", "POST", "/v1/invitations/" + kToken);
  EXPECT_GE(world.log.with("refused").size(), 6u);
  EXPECT_EQ(world.log.with("rest: refused DELETE /v1/groups/{group_id}/members/{user_id} from ").size(), 2u);
  for (const std::string& name : {std::string("bob"), std::string("cid"), std::string("nobody"), std::string("a\nname"),
                                  kGroup.substr(0, 8), kToken.substr(0, 8)}) {
    EXPECT_TRUE(world.log.with(name).empty()) << world.log.with(name).front();
  }
}

TEST(GroupRest, ALostAnswerIsGivenAgain) {
  GroupWorld world;
  const std::string operation(32, 'c');
  const HttpResponse first = world.ask("ann", "POST", "/v1/groups", GroupWorld::creation(), operation);
  world.restart();
  const HttpResponse again = world.ask("ann", "POST", "/v1/groups", GroupWorld::creation(), operation);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(verdict_of(world.ask("ann", "POST", "/v1/groups", GroupWorld::creation({"bob"}), operation)),
            "409 conflict");
  EXPECT_EQ(verdict_of(world.ask("ann", "DELETE", world.group("/members/bob"), {}, operation)), "409 conflict");
}

TEST(GroupRest, AnotherRequestIsOneThatDiffersAnywhere) {
  GroupWorld world;
  world.make_group();
  const std::string operation(32, 'c');
  EXPECT_EQ(verdict_of(world.ask("ann", "DELETE", world.group("/members/bob"), {}, operation)), "200");
  EXPECT_EQ(verdict_of(world.ask("ann", "DELETE", world.group("/members/cid"), {}, operation)), "409 conflict");
  const std::string second(32, 'd');
  EXPECT_EQ(verdict_of(world.ask("ann", "PATCH", world.group(), json::object(), second)), "200");
  EXPECT_EQ(verdict_of(world.ask("ann", "DELETE", world.group(), {}, second)), "409 conflict");
  EXPECT_EQ(world.members(), "ann GROUP_ROLE_OWNER\ncid GROUP_ROLE_MEMBER\n");
}

TEST(GroupRest, ATokenOfAnEndedSessionChangesNothing) {
  GroupWorld world;
  world.make_group();
  EXPECT_EQ(world.verdict("ann", "DELETE", "/v1/sessions/current"), "204");
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group("/members/bob")), "401 unauthenticated");
  EXPECT_EQ(json_of(world.ask("bob", "GET", world.group())).at("members"), 3);
}

TEST(GroupRest, ARequestIsTheSameInWhateverForm) {
  GroupWorld world;
  const std::string operation(32, 'c');
  const HttpResponse first = world.ask("ann", "POST", "/v1/groups", GroupWorld::creation(), operation);
  wire::CreateGroupRequest request;
  request.set_group_id(Bytes(16, '\xAA'));
  request.set_name("name");
  request.add_user_ids("bob");
  request.add_user_ids("cid");
  const HttpResponse again = world.call("POST", "/v1/groups",
                                        {{"authorization", "Bearer " + world.tokens.at("ann")},
                                         {"content-type", "application/x-protobuf"},
                                         {"accept", "application/json"},
                                         {"operation-id", operation}},
                                        request.SerializeAsString());
  EXPECT_EQ(again.body, first.body);
}

TEST(GroupRest, WithoutATokenNothingIsThere) {
  GroupWorld world;
  world.make_group();
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"POST", "/v1/groups"},
                                                        {"GET", world.group()},
                                                        {"PATCH", world.group()},
                                                        {"DELETE", world.group()},
                                                        {"GET", world.group("/members")},
                                                        {"POST", world.group("/members")},
                                                        {"DELETE", world.group("/members/bob")},
                                                        {"PUT", world.group("/members/bob/role")},
                                                        {"PUT", world.group("/owner")},
                                                        {"GET", world.group("/invitations")},
                                                        {"POST", world.group("/invitations")},
                                                        {"DELETE", world.group("/invitations/" + kToken)},
                                                        {"GET", world.group("/requests")},
                                                        {"PUT", world.group("/requests/bob")},
                                                        {"GET", "/v1/invitations/" + kToken},
                                                        {"POST", "/v1/invitations/" + kToken}}) {
    EXPECT_EQ(verdict_of(world.call(method, path)), "401 unauthenticated") << method << " " << path;
  }
}

TEST(GroupRest, AnOperationHasAnId) {
  GroupWorld world;
  for (const std::string& operation :
       {std::string("x"), std::string(31, 'a'), std::string(33, 'a'), std::string(32, 'A'), std::string(32, 'g')}) {
    EXPECT_EQ(verdict_of(world.ask("ann", "POST", "/v1/groups", GroupWorld::creation(), operation)),
              "400 invalid_argument");
  }
  EXPECT_EQ(verdict_of(world.call("DELETE", world.group(), {{"authorization", "Bearer " + world.tokens.at("ann")}})),
            "400 invalid_argument");
}

TEST(GroupRest, WhatARequestMayHold) {
  struct Case {
    const char* name;
    json changed;
    const char* verdict;
  };
  const auto text = [](std::size_t bytes) { return std::string(bytes, 'x'); };
  const Case cases[] = {
      {"encrypted", {{"encrypted", true}}, "400 unsupported"},
      {"no group_id", {{"groupId", ""}}, "400 invalid_argument"},
      {"group_id of zeros", {{"groupId", "AAAAAAAAAAAAAAAAAAAAAA=="}}, "400 invalid_argument"},
      {"group_id of 17 B", {{"groupId", "qqqqqqqqqqqqqqqqqqqqqqo="}}, "400 invalid_argument"},
      {"name at the limit", {{"name", text(limits::groups::kNameBytesMax)}}, "200"},
      {"name above", {{"name", text(limits::groups::kNameBytesMax + 1)}}, "400 invalid_argument"},
      {"name of two lines", {{"name", "a\nb"}}, "400 invalid_argument"},
      {"description of two lines", {{"description", "a\n\tb"}}, "200"},
      {"description with a bell", {{"description", "a\ab"}}, "400 invalid_argument"},
      {"description at the limit", {{"description", text(limits::groups::kDescriptionBytesMax)}}, "200"},
      {"description above", {{"description", text(limits::groups::kDescriptionBytesMax + 1)}}, "400 invalid_argument"},
      {"picture at the limit", {{"picture", text(limits::groups::kPictureBytesMax / 3 * 4) + "xw=="}}, "200"},
      {"picture above", {{"picture", text(limits::groups::kPictureBytesMax / 3 * 4) + "xxxx"}}, "400 invalid_argument"},
      {"who asks among the users", {{"userIds", {"ann"}}}, "400 invalid_argument"},
      {"a user twice", {{"userIds", {"bob", "bob"}}}, "400 invalid_argument"},
      {"a user without a name", {{"userIds", {""}}}, "400 invalid_argument"},
      {"nobody who is there", {{"userIds", {"nobody"}}}, "404 not_found"},
      {"a role that is none", {{"permissions", {{"send", 4}}}}, "400 invalid_argument"},
      {"members who remove", {{"permissions", {{"remove", "GROUP_ROLE_MEMBER"}}}}, "400 invalid_argument"},
      {"members who give roles", {{"permissions", {{"roles", 1}}}}, "400 invalid_argument"},
      {"owners who alone write", {{"permissions", {{"send", "GROUP_ROLE_OWNER"}}}}, "200"}};
  for (const Case& one : cases) {
    GroupWorld world;
    json body = GroupWorld::creation();
    body.update(one.changed);
    EXPECT_EQ(world.verdict("ann", "POST", "/v1/groups", body), one.verdict) << one.name;
  }
}

TEST(GroupRest, WhatAChangeMayHold) {
  GroupWorld world;
  world.make_group();
  const auto verdict = [&](const std::string& method, const std::string& path, const json& body) {
    return world.verdict("ann", method, world.group(path), body);
  };
  EXPECT_EQ(verdict("PATCH", "", {{"name", std::string(limits::groups::kNameBytesMax + 1, 'x')}}),
            "400 invalid_argument");
  EXPECT_EQ(verdict("PATCH", "", {{"permissions", {{"permissions", 1}}}}), "400 invalid_argument");
  EXPECT_EQ(verdict("PATCH", "", json::object()), "200");
  EXPECT_EQ(verdict("POST", "/members", {{"userIds", json::array()}}), "400 invalid_argument");
  EXPECT_EQ(verdict("PUT", "/members/bob/role", {{"role", "GROUP_ROLE_OWNER"}}), "400 invalid_argument");
  EXPECT_EQ(verdict("PUT", "/members/bob/role", json::object()), "400 invalid_argument");
  EXPECT_EQ(verdict("PUT", "/owner", json::object()), "400 invalid_argument");
  EXPECT_EQ(verdict("POST", "/invitations", {{"token", "AAAA"}}), "400 invalid_argument");
  EXPECT_EQ(verdict("POST", "/invitations", {{"token", base64_16('b')}, {"expiresAtMs", "-1"}}),
            "400 invalid_argument");
  EXPECT_EQ(world.verdict("ann", "GET", "/v1/groups/" + std::string(32, 'A')), "400 invalid_argument");
  EXPECT_EQ(world.verdict("ann", "GET", "/v1/groups/" + std::string(31, 'a')), "400 invalid_argument");
  EXPECT_EQ(world.verdict("ann", "GET", "/v1/groups/" + std::string(32, 'd')), "404 not_found");
  EXPECT_EQ(world.verdict("ann", "GET", "/v1/invitations/zz"), "400 invalid_argument");
}

TEST(GroupRest, AUserIdInAPathMayHoldAnything) {
  GroupWorld world;
  const std::string odd = "a/b %?\xC3\xA9";
  world.registered(odd);
  json body = GroupWorld::creation({odd});
  EXPECT_EQ(world.verdict("ann", "POST", "/v1/groups", body), "200");
  const std::string path = "/members/a%2Fb%20%25%3f%C3%A9";
  EXPECT_EQ(world.verdict("ann", "PUT", world.group(path + "/role"), {{"role", 2}}), "200");
  EXPECT_EQ(world.members(), odd + " GROUP_ROLE_ADMIN\nann GROUP_ROLE_OWNER\n");
  for (const char* spoilt : {"/members/a%2", "/members/%", "/members/%zz", "/members/a%2G"}) {
    EXPECT_EQ(world.verdict("ann", "DELETE", world.group(spoilt)), "400 invalid_argument") << spoilt;
  }
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group("/members/%C3")), "400 invalid_argument") << "no UTF-8";
  EXPECT_EQ(world.verdict("ann", "DELETE", world.group(path)), "200");
}

TEST(GroupRest, MembersComeInPages) {
  GroupWorld world;
  world.make_group();
  const auto page = [&](const std::string& query) {
    return json_of(world.ask("bob", "GET", world.group("/members" + query)));
  };
  const json first = page("?max=2");
  EXPECT_EQ(first.at("members").size(), 2u);
  EXPECT_EQ(first.at("more"), true);
  EXPECT_EQ(first.at("seq"), "1");
  const json second = page("?max=2&after=bob");
  ASSERT_EQ(second.at("members").size(), 1u);
  EXPECT_EQ(second.at("members")[0].at("userId"), "cid");
  EXPECT_EQ(second.at("more"), false);
  EXPECT_EQ(page("?after=%63id").at("members").size(), 0u);
  const std::string most = std::to_string(limits::groups::kMemberPageMax);
  EXPECT_EQ(world.verdict("bob", "GET", world.group("/members?max=" + most)), "200");
  for (const std::string& query : {std::string("?max=0"), std::string("?max=x"), std::string("?max=-1"),
                                   "?max=" + std::to_string(limits::groups::kMemberPageMax + 1),
                                   std::string("?after=%"), std::string("?max=99999999999999999999")}) {
    EXPECT_EQ(world.verdict("bob", "GET", world.group("/members" + query)), "400 invalid_argument") << query;
  }
}

TEST(GroupRest, TheServersLimitOfMembersHolds) {
  RestWorldOptions options;
  options.groups.members_max = 3;
  GroupWorld world(options);
  EXPECT_EQ(world.verdict("ann", "POST", "/v1/groups", GroupWorld::creation({"bob", "cid", "dan"})),
            "409 limit_reached");
  EXPECT_EQ(world.verdict("ann", "POST", "/v1/groups", GroupWorld::creation({"bob"})), "200");
  EXPECT_EQ(world.verdict("ann", "POST", world.group("/members"), {{"userIds", {"cid"}}}), "200");
  const HttpResponse refused = world.ask("ann", "POST", world.group("/members"), {{"userIds", {"dan"}}});
  EXPECT_EQ(verdict_of(refused), "409 limit_reached");
  EXPECT_EQ(json_of(refused).at("detail"), "4 members, limit 3");
}

TEST(GroupRest, RatesNameWhenToComeAgain) {
  RestWorldOptions options;
  options.groups.changes_per_user = {3, std::chrono::seconds(2)};
  options.groups.reads_per_user = {2, std::chrono::seconds(1)};
  options.groups.joins_per_user = {1, std::chrono::seconds(5)};
  options.groups.added_per_user = {4, std::chrono::seconds(10)};
  GroupWorld world(options);
  world.make_group();  // a change, and two who are added
  const auto rename = [&] { return world.ask("ann", "PATCH", world.group(), {{"name", "x"}}); };
  rename();
  rename();
  HttpResponse refused = rename();
  EXPECT_EQ(verdict_of(refused), "429 rate_limited");
  EXPECT_EQ(refused.headers.at("retry-after"), "2");
  EXPECT_EQ(json_of(refused).at("retryAfterMs"), 2'000);
  world.clock.advance(std::chrono::milliseconds(2'000));
  EXPECT_EQ(rename().status, 200);
  world.clock.advance(std::chrono::milliseconds(6'000));

  EXPECT_EQ(world.verdict("ann", "POST", world.group("/members"), {{"userIds", {"dan", "eve", "fay"}}}),
            "429 rate_limited");
  EXPECT_EQ(world.verdict("bob", "GET", world.group()), "200");
  EXPECT_EQ(world.verdict("bob", "GET", world.group("/members")), "200");
  EXPECT_EQ(world.verdict("bob", "GET", world.group()), "429 rate_limited");
  EXPECT_EQ(world.verdict("cid", "GET", world.group()), "200") << "each user by themself";
  EXPECT_EQ(world.verdict("dan", "GET", "/v1/invitations/" + kToken), "404 not_found");
  EXPECT_EQ(world.verdict("dan", "POST", "/v1/invitations/" + kToken), "429 rate_limited");
}

TEST(GroupRest, AStoreThatFailsIsNoAnswerOfAGroup) {
  GroupWorld world;
  world.make_group();
  const std::string operation(32, 'c');
  world.write_failure = Error{Code::kUnavailable, "full", std::chrono::milliseconds(500)};
  EXPECT_EQ(verdict_of(world.ask("ann", "DELETE", world.group("/members/bob"), {}, operation)), "503 unavailable");
  world.write_failure.reset();
  EXPECT_EQ(verdict_of(world.ask("ann", "DELETE", world.group("/members/bob"), {}, operation)), "200");
  EXPECT_EQ(world.members(), "ann GROUP_ROLE_OWNER\ncid GROUP_ROLE_MEMBER\n");
}

}  // namespace
}  // namespace chatsdk::server
