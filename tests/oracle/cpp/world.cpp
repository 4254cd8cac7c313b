// SPDX-License-Identifier: Apache-2.0
#include "oracle/cpp/world.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "e2ee/group_entry.h"

namespace chatsdk::e2ee::oracle {
namespace {

constexpr std::uint64_t kDayMs = 86'400'000;
const char* const kGroup = "07070707070707070707070707070707";
const char* const kOtherGroup = "08080808080808080808080808080808";
const GroupId kGroupId = GroupId::from(Bytes(16, 7));
const GroupId kOtherGroupId = GroupId::from(Bytes(16, 8));

}  // namespace

World::World(std::uint64_t seed, std::function<void(const Json&)> emit)
    : dice_(2 * seed), random_(2 * seed + 1), emit_(std::move(emit)) {}

Json World::perform(const std::string& op, Member& member, Json inputs) {
  inputs["op"] = op;
  inputs["device"] = member.name;
  inputs["now_ms"] = std::to_string(now_ms_);
  Json done = run_.perform(inputs, &random_);
  ++outcomes_[op + " " + done.value("error", "ok")];
  if (done.contains("defect")) ++defects_;
  emit_(done);
  return done;
}

Json World::names(const Member& member) { return {{"user_id", member.user_id}, {"device_id", member.device_id}}; }

World::Member& World::other_than(const Member& member) {
  Member* other = &any();
  while (other == &member) other = &any();
  return *other;
}

void World::start() {
  members_ = {{"alice-1", "alice", "1", {}, {}},
              {"alice-2", "alice", "2", {}, {}},
              {"bob-3", "bob", "3", {}, {}},
              {"bob-4", "bob", "4", {}, {}},
              {"carol-5", "carol", "5", {}, {}}};
  std::vector<RosterMember> roster;
  for (const char* user_id : {"alice", "bob", "carol"}) {
    std::vector<Member*> own;
    for (Member& member : members_) {
      if (member.user_id == user_id) own.push_back(&member);
    }
    perform("account", *own.front());
    const std::string seed = to_hex(view(run_.device(own.front()->name)->account_seed));
    Json records = Json::array();
    for (Member* member : own) {
      if (member != own.front()) perform("adopt", *member, {{"account_seed", seed}});
      Json inputs = names(*member);
      if (member == own.front()) inputs["name"] = "phone of " + member->user_id;
      member->record = perform("device", *member, inputs)["record"];
      records.push_back(member->record);
    }
    const Json list = perform("list", *own.front(), {{"add", records}, {"remove", Json::array()}})["list"];
    lists_[user_id] = {{"lists", Json::array({list})}, {"records", records}};
  }
  for (Member& member : members_) {
    for (const auto& [user_id, learnt] : lists_) {
      Json inputs = learnt;
      inputs["user_id"] = user_id;
      perform("learn", member, inputs);
    }
    upload(member, true, 3, 3);
  }
  for (const auto& [user_id, learnt] : lists_) {
    const auto list = parse_device_list(from_hex(learnt["lists"][0].get<std::string>()).value());
    roster.push_back({user_id, 1, list->hash});
  }
  const auto hash = roster_hash({kGroupId, 2, Hash::from(Bytes(32, 0x5c))}, roster);
  roster_ = {{"number", "2"}, {"roster_hash", to_hex(hash->view())}};
}

void World::upload(Member& member, bool signed_pair, int one_time, int kem) {
  const Json done = perform("prekeys", member, {{"signed", signed_pair}, {"one_time", one_time}, {"kem", kem}});
  for (const Json& made : done["prekeys"]) {
    const std::string bytes = made;
    const auto kind = parse_prekey(from_hex(bytes).value())->kind;
    if (kind == PrekeyKind::kSigned || kind == PrekeyKind::kLastResort) {
      std::erase_if(member.stock, [kind](const Stocked& stocked) { return stocked.kind == kind; });
    }
    member.stock.push_back({kind, bytes});
  }
}

Json World::bundle_of(Member& member) {
  const auto find = [&member](PrekeyKind kind) {
    return std::find_if(member.stock.begin(), member.stock.end(),
                        [kind](const Stocked& stocked) { return stocked.kind == kind; });
  };
  const auto once = [&](PrekeyKind kind) {
    std::string bytes;
    if (const auto at = find(kind); at != member.stock.end()) {
      bytes = at->bytes;
      member.stock.erase(at);
    }
    return bytes;
  };
  Json bundle{{"device_id", member.device_id},
              {"device_record", member.record},
              {"signed_prekey", find(PrekeyKind::kSigned)->bytes}};
  const std::string one_time = once(PrekeyKind::kOneTime);
  if (!one_time.empty()) bundle["one_time_prekey"] = one_time;
  const std::string kem = once(PrekeyKind::kOneTimeKem);
  bundle["kem_prekey"] = kem.empty() ? find(PrekeyKind::kLastResort)->bytes : kem;
  return bundle;
}

Json World::direct(const std::string& one, const std::string& other) const {
  return {{"users", {std::min(one, other), std::max(one, other)}}};
}

std::pair<std::string, std::string> World::envelope(const Binding& binding) {
  ++sent_;
  Envelope envelope;
  Writer id(16);
  id.u32(sent_).zeros(12);
  envelope.client_message_id = ClientMessageId::from_bytes(id.view()).value();
  envelope.binding = binding;
  envelope.sender_time_ms = now_ms_;
  Bytes text;
  for (std::uint64_t i = 0; i <= below(40); ++i) text.append(std::to_string(sent_));
  envelope.body = std::move(text);
  return {to_hex(serialize(envelope)), to_hex(id.view())};
}

Json World::item(const Member& from, const std::string& message, const std::string& id, const Json& binding) const {
  Json item = names(from);
  item["list_version"] = "1";
  item["message"] = message;
  item["kind"] = "MESSAGE";
  item["client_message_id"] = id;
  item["binding"] = binding;
  return item;
}

Json World::written(Member& from, Member& to) {
  // Devices of one user write in that user's conversation with bob, or with alice.
  const std::string other =
      from.user_id != to.user_id ? to.user_id : std::string(from.user_id == "bob" ? "alice" : "bob");
  const auto [bytes, id] = envelope(DirectBinding::of(from.user_id, other));
  Json inputs = names(to);
  inputs["envelope"] = bytes;
  const Json done = perform("encrypt", from, inputs);
  if (!done.contains("message")) return Json();
  return item(from, done["message"], id, direct(from.user_id, other));
}

void World::send() {
  Member& from = any();
  Member& to = other_than(from);
  const auto sessions =
      run_.device(from.name)->kept->state().sessions({to.user_id, DeviceId{std::stoull(to.device_id)}}).value();
  const bool sends = std::any_of(sessions.begin(), sessions.end(), [](const SessionSummary& session) {
    return session.status == SessionStatus::kActive;
  });
  if (!sends || below(40) == 0) {
    Json inputs = names(to);
    inputs["bundle"] = bundle_of(to);
    perform("begin", from, inputs);
  }
  const std::uint64_t lost = below(12) == 0 ? below(30) : 0;
  for (std::uint64_t i = 0; i < lost; ++i) written(from, to);
  const Json message = written(from, to);
  if (!message.is_null()) under_way_.push_back({"decrypt", &to, message});
}

void World::send_group() {
  Member& from = any();
  const Json where{{"group_id", kGroup}};
  const auto chain = run_.device(from.name)->kept->state().own_chain(kGroupId).value();
  if (!chain || is_used_up(*chain, {}, now_ms_) || below(10) == 0) {
    perform("chain", from, {{"group_id", kGroup}, {"roster_revision", "3"}});
    Json handed = where;
    handed.update(roster_);
    const Json distribution = perform("distribute", from, handed)["distribution"];
    for (Member& to : members_) {
      if (&to == &from) continue;
      Json inputs = names(from);
      inputs.update(handed);
      inputs["distribution"] = distribution;
      perform("chain_receive", to, inputs);
    }
  }
  const auto [bytes, id] = envelope(kGroupId);
  Json inputs = roster_;
  inputs["group_id"] = kGroup;
  inputs["roster_revision"] = "3";
  inputs["envelope"] = bytes;
  const Json done = perform("group_encrypt", from, inputs);
  if (!done.contains("message")) return;
  Json sent = item(from, done["message"], id, where);
  sent.update(roster_);
  under_way_.push_back({"group_decrypt", &other_than(from), sent});
}

// A value of the operation that says something about the members, mostly.
Bytes World::random_change(std::uint8_t operation) {
  const char* const kUsers[] = {"alice", "bob", "carol", "dan", "zoe"};
  const auto user = [&] { return UserId(kUsers[below(5)]); };
  const auto role = [&] { return static_cast<std::uint8_t>(1 + below(3)); };
  const auto key = [&] {
    const bool other = below(6) == 0 || lists_.empty();
    return signing_key_of(Secret<32>::copy_of(Bytes(32, other ? 'o' : 'k')));
  };
  const auto invitation = [&] { return InvitationId::from(Bytes(16, static_cast<char>('0' + below(4)))); };
  Writer value;
  switch (operation) {
    case 2: {
      const auto source = static_cast<std::uint8_t>(below(4) == 0 ? below(3) : 0);
      value.u8(source);
      if (source == 1) value.raw(invitation());
      if (source != 0) value.raw(Hash::from(Bytes(32, 'r')));
      value.u8(1).user(user()).u8(source == 0 ? role() : std::uint8_t{1}).key(key());
      break;
    }
    case 3:
    case 6:
      value.user(user());
      break;
    case 5:
      value.user(user()).u8(role());
      break;
    case 7:
      value.raw(Hash::from(Bytes(32, below(3) == 0 ? '\0' : 'i')));
      break;
    case 8:
      for (int i = 0; i < 8; ++i) value.u8(i == 4 || i >= 6 ? static_cast<std::uint8_t>(2 + below(2)) : role());
      break;
    case 9:
      value.raw(invitation()).u64(below(2) * (now_ms_ + below(kDayMs))).u32(below(3) == 0 ? kUsesUnlimited : 2);
      break;
    case 10:
      value.raw(invitation());
      break;
    default:
      break;
  }
  if (below(40) == 0) value.u8(0);
  return value.take();
}

void World::change_group() {
  if (group_state_.empty() || below(60) == 0) {
    Json members = Json::array();
    for (const char* user : {"alice", "bob"}) {
      const SigningSeed& seed =
          run_.device(members_[user == std::string("alice") ? 0 : 2].name)->kept->state().self().value()->account_seed;
      members.push_back({{"user_id", user},
                         {"role", user == std::string("alice") ? 3 : 1},
                         {"account_key", to_hex(signing_key_of(seed).view())}});
    }
    const Json made =
        perform("group_create", members_[0],
                {{"salt", to_hex(Bytes(16, 's'))}, {"permissions", "0101010102010202"}, {"members", members}});
    group_state_ = made["state_after"];
    group_entry_ = from_hex(made["entry"].get<std::string>()).value();
  }
  const auto operation = static_cast<std::uint8_t>(below(12));
  const Json made = perform("group_entry", below(3) == 0 ? any() : members_[0],
                            {{"group_state", group_state_},
                             {"entry_hash", to_hex(group_entry_hash(group_entry_).view())},
                             {"operation", operation},
                             {"value", to_hex(random_change(operation))}});
  if (!made.contains("entry")) return;
  group_state_ = made["state_after"];
  group_entry_ = from_hex(made["entry"].get<std::string>()).value();
}

void World::deliver() {
  if (under_way_.empty()) return;
  const std::size_t at = below(3) == 0 ? below(under_way_.size()) : 0;
  const UnderWay arriving = under_way_[at];
  const std::uint64_t chance = below(20);
  if (chance != 0) under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(at));
  if (chance == 1) return;
  if (chance == 2) {
    Bytes bytes = from_hex(arriving.item["message"].get<std::string>()).value();
    char& byte = bytes[below(bytes.size())];
    byte = static_cast<char>(byte ^ (1 << below(8)));
    Json damaged = arriving.item;
    damaged["message"] = to_hex(bytes);
    perform(arriving.op, *arriving.to, damaged);
  }
  perform(arriving.op, *arriving.to, arriving.item);
}

void World::step() {
  now_ms_ += below(60'000);
  const std::uint64_t chance = below(100);
  if (chance < 35)
    send();
  else if (chance < 40)
    send_group();
  else if (chance < 46)
    change_group();
  else if (chance < 94)
    deliver();
  else if (chance < 96)
    perform("reload", any());
  else if (chance < 98)
    upload(any(), below(2) == 0, static_cast<int>(below(4)), static_cast<int>(below(4)));
  else if (chance == 98)
    perform("age", any());
  else
    now_ms_ += below(3) * kDayMs;
}

void World::go_to_the_limits() {
  Member& alice = members_[0];
  Member& bob = members_[2];
  const auto begin = [this](Member& from, Member& to) {
    Json inputs = names(to);
    inputs["bundle"] = bundle_of(to);
    return perform("begin", from, inputs).value("session_id", "");
  };
  const auto open = [this](Member& to, const Json& item) { return perform("decrypt", to, item).value("error", "ok"); };
  // A session whose both ends have spoken: alice to bob.
  begin(alice, bob);
  open(bob, written(alice, bob));
  open(alice, written(bob, alice));

  // One message too far ahead, the furthest one, and what is kept of those between.
  std::vector<Json> items;
  for (std::uint32_t i = 0; i < limits::e2ee::kJumpMax + 2; ++i) items.push_back(written(alice, bob));
  open(bob, items[limits::e2ee::kJumpMax + 1]);
  open(bob, items[limits::e2ee::kJumpMax]);
  open(bob, items[limits::e2ee::kJumpMax - limits::e2ee::kSkippedSessionMax - 1]);
  open(bob, items[limits::e2ee::kJumpMax - limits::e2ee::kSkippedSessionMax]);
  open(bob, items[limits::e2ee::kJumpMax - 1]);
  open(bob, items[limits::e2ee::kJumpMax + 1]);
  perform("reload", bob);

  // More chains than are kept, each with a message that was left out.
  std::vector<Json> left_out;
  for (std::size_t i = 0; i < limits::e2ee::kChainsMax + 2; ++i) {
    open(alice, written(bob, alice));
    left_out.push_back(written(alice, bob));
    open(bob, written(alice, bob));
  }
  for (const Json& item : left_out) open(bob, item);

  // More sessions than are archived: some are gone then.
  std::vector<Json> of_each;
  std::vector<std::string> sessions;
  for (std::size_t i = 0; i < limits::e2ee::kArchivedMax + 3; ++i) {
    sessions.push_back(begin(bob, alice));
    of_each.push_back(written(bob, alice));
    now_ms_ += 1;
  }
  for (const Json& item : of_each) open(alice, item);
  for (const Json& item : of_each) open(alice, item);
  for (const std::string& session : sessions) {
    Json inputs = names(bob);
    inputs["session_id"] = session;
    perform("activate", alice, inputs);
  }

  // More chains of a group than are kept.
  std::vector<Json> distributions;
  for (std::size_t i = 0; i < limits::e2ee::kSenderChainsMax + 2; ++i) {
    perform("chain", bob, {{"group_id", kOtherGroup}, {"roster_revision", "1"}});
    Json other = roster_;
    other["group_id"] = kOtherGroup;
    Json inputs = names(bob);
    inputs.update(other);
    inputs["distribution"] = perform("distribute", bob, other)["distribution"];
    perform("chain_receive", alice, inputs);
  }
  // A chain that is too old, and what ageing leaves of everything.
  now_ms_ += 8 * kDayMs;
  Json late = roster_;
  late["group_id"] = kOtherGroup;
  late["roster_revision"] = "1";
  late["envelope"] = envelope(kOtherGroupId).first;
  perform("group_encrypt", bob, late);
  now_ms_ += 32 * kDayMs;
  for (Member& member : members_) perform("age", member);
  for (Member& member : members_) upload(member, true, 2, 2);
}

void World::tour() {
  Member& alice = members_[0];
  Member& bob = members_[2];
  Member fresh{"alice-9", "alice", "9", {}, {}};
  Json learnt = lists_["alice"];
  learnt["user_id"] = "alice";
  perform("learn", fresh, learnt);
  Json start = names(fresh);
  start["name"] = "tablet";
  const std::string qr = perform("link_start", fresh, start)["qr"];
  perform("link_offer", bob, {{"qr", qr}});
  const std::string offer = perform("link_offer", alice, {{"qr", qr}})["offer"];
  const std::string reveal = perform("link_reveal", fresh, {{"offer", offer}})["reveal"];
  std::string damaged = reveal;
  damaged.back() = damaged.back() == '0' ? '1' : '0';
  perform("link_check", alice, {{"reveal", damaged}});
  perform("link_check", alice, {{"reveal", reveal}});
  const std::string grant = perform("link_grant", alice)["grant"];
  fresh.record = perform("link_finish", fresh, {{"grant", grant}})["record"];
  const std::string linked = perform("list", fresh, {{"add", {fresh.record}}, {"remove", Json::array()}})["list"];
  const Json both{{"user_id", "alice"}, {"lists", {linked}}, {"records", {fresh.record}}};
  perform("learn", alice, both);
  perform("learn", fresh, both);
  // Bob learns of the new device and of its end at once.
  const std::string unlinked = perform("list", alice, {{"add", Json::array()}, {"remove", {"9"}}})["list"];
  perform("learn", bob, {{"user_id", "alice"}, {"lists", {unlinked}}, {"records", Json::array()}});
  perform("learn", bob, {{"user_id", "alice"}, {"lists", {linked, unlinked}}, {"records", {fresh.record}}});
  perform("learn", bob, {{"user_id", "alice"}, {"lists", {linked}}, {"records", Json::array()}});
  // The new device has not heard of its end, and goes on from the list before.
  const Json nobody = Json::array();
  const std::string branch = perform("list", fresh, {{"add", nobody}, {"remove", nobody}})["list"];
  perform("learn", fresh, {{"user_id", "alice"}, {"lists", {branch}}, {"records", nobody}});
  const std::string longer = perform("list", fresh, {{"add", nobody}, {"remove", nobody}})["list"];
  const std::string joined = perform("list", fresh, {{"add", nobody}, {"remove", {"9"}}})["list"];
  for (const Json& lists : {Json{branch}, Json{branch, longer}, Json{joined}, Json{branch, joined}}) {
    perform("learn", bob, {{"user_id", "alice"}, {"lists", lists}, {"records", nobody}});
  }
  perform("verify", bob, {{"user_id", "alice"}, {"verified", true}});
  perform("safety", bob, {{"user_id", "alice"}});
  perform("safety", alice, {{"user_id", "bob"}});

  // A new account key, and the way back from it.
  Member anew{"alice-10", "alice", "10", {}, {}};
  perform("account", anew);
  anew.record = perform("device", anew, names(anew))["record"];
  const std::string first = perform("list", anew, {{"add", {anew.record}}, {"remove", Json::array()}})["list"];
  Member& carol = members_[4];
  perform("learn", carol, {{"user_id", "alice"}, {"lists", {first}}, {"records", {anew.record}}});
  perform("learn", carol, learnt);
  perform("forget", carol, {{"user_id", "alice"}});
  perform("learn", carol, learnt);

  // Files.
  Bytes plain(70'000, 'x');
  const Json file = perform("attachment_seal", alice, {{"plain", to_hex(plain)}});
  perform("attachment_open", bob, {{"ciphertext", file["ciphertext"]}, {"attachment_key", file["attachment_key"]}});
  const std::string key(64, '9');
  const Json frames = Json::array({"01" + std::string(64, '7'), "02aabb", "63"});
  const Json backup =
      perform("backup_seal", alice,
              {{"recovery_key", key}, {"frames", frames}, {"sequence", "1"}, {"previous", std::string(64, '0')}});
  perform("backup_open", alice,
          {{"recovery_key", key}, {"ciphertext", backup["ciphertext"]}, {"manifest", backup["manifest"]}});
}

}  // namespace chatsdk::e2ee::oracle
