// SPDX-License-Identifier: Apache-2.0
#include "oracle/cpp/transcript.h"

#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "e2ee/attachments.h"
#include "e2ee/backup.h"
#include "e2ee/device_list.h"
#include "e2ee/group_rules.h"
#include "e2ee/outcome.h"
#include "e2ee/safety_number.h"
#include "e2ee/session_manager.h"
#include "e2ee/upkeep.h"

namespace chatsdk::e2ee::oracle {
namespace {

// ---- Reading lines -------------------------------------------------------------------------------------------------

Bytes hex_of(const Json& line, const char* name) { return from_hex(line.at(name).get<std::string>()).value(); }
std::uint64_t number_of(const Json& line, const char* name) { return std::stoull(line.at(name).get<std::string>()); }
std::string text_of(const Json& line, const char* name) {
  return line.contains(name) && line[name].is_string() ? line[name].get<std::string>() : std::string();
}
template <typename T>
T fixed_hex(const Json& line, const char* name) {
  return T::from(hex_of(line, name));
}
template <std::size_t kSize>
Secret<kSize> secret_hex(const Json& line, const char* name) {
  return Secret<kSize>::copy_of(hex_of(line, name));
}
std::vector<Bytes> all_hex(const Json& line, const char* name) {
  std::vector<Bytes> all;
  if (!line.contains(name)) return all;
  for (const Json& one : line[name]) all.push_back(from_hex(one.get<std::string>()).value());
  return all;
}
Json hexes(const std::vector<Bytes>& all) {
  Json out = Json::array();
  for (const Bytes& one : all) out.push_back(to_hex(one));
  return out;
}
Json ids(const std::vector<DeviceId>& all) {
  Json out = Json::array();
  for (const DeviceId id : all) out.push_back(std::to_string(id.value));
  return out;
}

Peer peer_of(const Json& line) { return {text_of(line, "user_id"), DeviceId{number_of(line, "device_id")}}; }
GroupId group_of(const Json& line) { return GroupId::from(hex_of(line, "group_id")); }
RosterPoint roster_of(const Json& line) {
  RosterPoint roster;
  roster.revision = line.contains("roster_revision") ? number_of(line, "roster_revision") : 0;
  roster.number = line.contains("number") ? number_of(line, "number") : 0;
  if (line.contains("roster_hash")) roster.hash = fixed_hex<RosterHash>(line, "roster_hash");
  return roster;
}
std::optional<InfoKey> info_key_of(const Json& line) {
  if (!line.contains("info_key")) return std::nullopt;
  return InfoKey{number_of(line, "info_number"), secret_hex<32>(line, "info_key")};
}
Binding binding_of(const Json& json) {
  if (json.contains("users")) {
    return DirectBinding{json["users"].at(0).get<std::string>(), json["users"].at(1).get<std::string>()};
  }
  return group_of(json);
}
SliceKind kind_of(const std::string& name) {
  static const std::map<std::string, SliceKind> kKinds = {{"MESSAGE", SliceKind::kMessage},
                                                          {"KEYS", SliceKind::kKeys},
                                                          {"RETRY", SliceKind::kRetry},
                                                          {"REPAIR", SliceKind::kRepair}};
  return kKinds.at(name);
}
// `message` outlives it.
Incoming incoming_of(const Json& line, BytesView message) {
  Incoming item;
  item.sender = peer_of(line);
  item.list_version = number_of(line, "list_version");
  item.kind = kind_of(text_of(line, "kind"));
  item.client_message_id = ClientMessageId::from_bytes(hex_of(line, "client_message_id")).value();
  item.binding = binding_of(line.at("binding"));
  item.message = message;
  item.roster = roster_of(line);
  return item;
}
BundleBytes bundle_of(const Json& json) {
  BundleBytes bundle;
  bundle.device_record = hex_of(json, "device_record");
  bundle.signed_prekey = hex_of(json, "signed_prekey");
  bundle.kem_prekey = hex_of(json, "kem_prekey");
  bundle.one_time_prekey = from_hex(text_of(json, "one_time_prekey")).value();
  return bundle;
}

// ---- What operations get and give ----------------------------------------------------------------------------------

struct Op {
  Device& device;
  const Json& line;
  std::uint64_t now_ms;
  Random& random;

  State& state() const { return device.kept->state(); }
  const Self* self() const { return state().self().value(); }
};
using Outputs = Result<Json>;

Json none() { return Json::object(); }
template <typename T>
Outputs nothing_of(const Result<T>& result) {
  if (!result.ok()) return result.error();
  return none();
}
Outputs one(const char* name, const Result<Bytes>& bytes) {
  if (!bytes.ok()) return bytes.error();
  return Json{{name, to_hex(*bytes)}};
}

Result<DeviceRecord> make_record(const Op& op, const DeviceKeys& keys, const UserId& user_id, DeviceId device_id,
                                 const std::string& name, const SigningSeed& account_seed) {
  DeviceDescription description{user_id, device_id, kSuitesSpoken, op.now_ms, {}};
  if (!name.empty()) {
    CHATSDK_ASSIGN(
        description.sealed_name,
        seal_device_name(name, account_seed, {user_id, device_id, keys.registration_id}, draw<Nonce>(op.random)));
  }
  return make_device_record(description, keys);
}

Outputs set_account(const Op& op, SigningSeed seed) {
  Json out{{"account_key", to_hex(signing_key_of(seed).view())}};
  op.device.account_seed = seed.clone();
  op.device.has_account = true;
  if (const Self* before = op.self()) {
    Self self = before->clone();
    self.account_seed = std::move(seed);
    CHATSDK_TRY(op.state().put_self(std::move(self)));
  }
  return out;
}

Status set_keys(const Op& op, DeviceKeys keys, DeviceRecord record) {
  Self self;
  if (const Self* before = op.self()) self.next_key_id = before->next_key_id;
  self.account_seed = op.device.account_seed.clone();
  self.keys = std::move(keys);
  self.record = std::move(record);
  return op.state().put_self(std::move(self));
}

Outputs device(const Op& op) {
  const std::string name = text_of(op.line, "name");
  if (!name.empty() && !op.device.has_account) return bad_message();
  const Peer own = peer_of(op.line);
  DeviceKeys keys = DeviceKeys::draw(op.random);
  CHATSDK_ASSIGN(DeviceRecord record, make_record(op, keys, own.user_id, own.device_id, name, op.device.account_seed));
  Json out{{"record", to_hex(record.bytes)}};
  CHATSDK_TRY(set_keys(op, std::move(keys), std::move(record)));
  return out;
}

Outputs list(const Op& op) {
  const Self* self = op.self();
  if (self == nullptr || !op.device.has_account) return bad_message();
  std::vector<DeviceRecord> add;
  for (const Bytes& bytes : all_hex(op.line, "add")) {
    auto record = parse_device_record(bytes);
    if (!record) return bad_message();
    add.push_back(std::move(*record));
  }
  std::vector<DeviceId> remove;
  if (op.line.contains("remove")) {
    for (const Json& id : op.line["remove"]) remove.push_back(DeviceId{std::stoull(id.get<std::string>())});
  }
  const KnownUser* own = op.state().user(self->record.user_id).value();
  if (own == nullptr && !remove.empty()) return bad_message();
  const auto made = own == nullptr ? first_device_list(self->record.user_id, op.device.account_seed, add, op.now_ms)
                                   : next_device_list(own->newest(), op.device.account_seed, add, remove, op.now_ms);
  if (!made.ok()) return made.error();
  return Json{{"list", to_hex(made->bytes)}};
}

const char* name_of(Learning result) {
  switch (result) {
    case Learning::kFirstContact:
      return "first";
    case Learning::kSame:
      return "same";
    case Learning::kChanged:
      return "changed";
    case Learning::kIdentityChanged:
      return "identity_changed";
    case Learning::kIgnored:
      return "ignored";
    case Learning::kRefused:
      break;
  }
  return "refused";
}

Outputs learn_op(const Op& op) {
  CHATSDK_ASSIGN(const Learned learned, learn_lists(op.state(), text_of(op.line, "user_id"), all_hex(op.line, "lists"),
                                                    all_hex(op.line, "records"), op.now_ms));
  if (learned.result == Learning::kRefused) return untrusted();
  return Json{{"result", name_of(learned.result)}, {"added", ids(learned.added)}, {"removed", ids(learned.removed)}};
}

Outputs known_or_bad(const Status& status) {
  if (!status.ok()) return bad_message();
  return none();
}

Outputs prekeys(const Op& op) {
  const NewPrekeys wanted{op.line.at("signed").get<bool>(), op.line.at("one_time").get<std::size_t>(),
                          op.line.at("kem").get<std::size_t>()};
  CHATSDK_ASSIGN(const auto made, make_prekeys(op.state(), wanted, op.now_ms, op.random, own_kem()));
  return Json{{"prekeys", hexes(made)}};
}

Outputs begin(const Op& op) {
  CHATSDK_ASSIGN(const SessionId id, begin_session(op.state(), peer_of(op.line), bundle_of(op.line.at("bundle")),
                                                   op.now_ms, op.random, own_kem()));
  return Json{{"session_id", to_hex(id.view())}};
}

Outputs decrypt(const Op& op) {
  const Bytes message = hex_of(op.line, "message");
  CHATSDK_ASSIGN(const Received received,
                 receive_slice(op.state(), incoming_of(op.line, message), op.now_ms, own_kem(), nullptr));
  return Json{{"envelope", to_hex(serialize(received.envelope))}};
}

Result<Bytes> distribute(const Op& op) {
  const auto info_key = info_key_of(op.line);
  return distribute_chain(op.state(), group_of(op.line), roster_of(op.line), info_key ? &*info_key : nullptr);
}

// Section 21 knows one outcome for what asks for something that is not there, or not allowed.
Outputs made_entry(const Result<MadeEntry>& made) {
  if (!made.ok()) return bad_message();
  return Json{{"entry", to_hex(made->entry)}, {"state_after", to_hex(made->state)}};
}

Outputs group_create(const Op& op) {
  const Self* self = op.self();
  if (self == nullptr) return bad_message();
  const auto permissions = parse_group_permissions(hex_of(op.line, "permissions"));
  if (!permissions) return bad_message();
  GroupState first;
  first.origin = {self->record.user_id, signing_key_of(self->account_seed), fixed_hex<GroupSalt>(op.line, "salt")};
  first.permissions = *permissions;
  for (const Json& member : op.line.at("members")) {
    first.members.push_back({text_of(member, "user_id"), static_cast<GroupRole>(member.at("role").get<int>()),
                             fixed_hex<SigningKey>(member, "account_key")});
  }
  return made_entry(create_group(std::move(first),
                                 {{self->record.user_id, self->record.device_id}, self->keys.signing_seed, op.now_ms}));
}

Outputs group_entry(const Op& op) {
  const Self* self = op.self();
  const auto state = parse_group_state(hex_of(op.line, "group_state"));
  if (self == nullptr || !state) return bad_message();
  const auto change =
      parse_group_change(static_cast<std::uint8_t>(op.line.at("operation").get<int>()), hex_of(op.line, "value"));
  if (!change) return bad_message();
  return made_entry(make_entry({*state, fixed_hex<Hash>(op.line, "entry_hash")}, *change,
                               {{self->record.user_id, self->record.device_id}, self->keys.signing_seed, op.now_ms}));
}

Outputs group_decrypt(const Op& op) {
  const Bytes message = hex_of(op.line, "message");
  CHATSDK_ASSIGN(const Received received, receive_group(op.state(), incoming_of(op.line, message)));
  return Json{{"envelope", to_hex(serialize(received.envelope))}};
}

Outputs safety(const Op& op) {
  const KnownUser* known = op.state().user(text_of(op.line, "user_id")).value();
  const Self* self = op.self();
  if (known == nullptr || self == nullptr || !op.device.has_account) return bad_message();
  const SafetyNumber number = safety_number({self->record.user_id, signing_key_of(op.device.account_seed)},
                                            {known->user_id, known->account_key});
  return Json{{"digits", number.grouped()}, {"scannable", number.scannable}};
}

// ---- Linking: a step that fails is taken on a copy, as transcripts want it -----------------------------------------

Outputs link_start(const Op& op) {
  const Peer own = peer_of(op.line);
  CHATSDK_ASSIGN(LinkNew link,
                 LinkNew::start(own.user_id, own.device_id, text_of(op.line, "name"), op.now_ms, op.random));
  Json out{{"qr", link.text()}};
  op.device.link_new = std::move(link);
  op.device.link_old.reset();
  return out;
}

Outputs link_offer(const Op& op) {
  const Self* self = op.self();
  if (self == nullptr) return bad_message();
  const UserId& user_id = self->record.user_id;
  const KnownUser* own = op.state().user(user_id).value();
  CHATSDK_ASSIGN(LinkOld link,
                 LinkOld::scan(text_of(op.line, "qr"), {user_id, self->record.device_id, own}, op.now_ms, op.random));
  Json out{{"offer", to_hex(link.offer())}};
  op.device.link_old = std::move(link);
  op.device.link_new.reset();
  return out;
}

Outputs link_reveal(const Op& op) {
  if (!op.device.link_new) return bad_message();
  LinkNew link = op.device.link_new->clone();
  const KnownUser* known = op.state().user(link.user_id()).value();
  CHATSDK_ASSIGN(const Bytes reveal, link.reveal(hex_of(op.line, "offer"), known, op.random));
  Json out{{"reveal", to_hex(reveal)}, {"code", link.code()}};
  op.device.link_new = std::move(link);
  return out;
}

Outputs link_check(const Op& op) {
  if (!op.device.link_old) return bad_message();
  LinkOld link = op.device.link_old->clone();
  CHATSDK_TRY(link.check(hex_of(op.line, "reveal")));
  Json out{{"code", link.code()}};
  if (!link.name().empty()) out["name"] = link.name();
  op.device.link_old = std::move(link);
  return out;
}

Outputs link_grant(const Op& op) {
  const Self* self = op.self();
  const KnownUser* own = self == nullptr ? nullptr : op.state().user(self->record.user_id).value();
  if (own == nullptr || !op.device.link_old) return bad_message();
  LinkOld link = op.device.link_old->clone();
  CHATSDK_ASSIGN(const Bytes grant, link.confirm(op.device.account_seed, own->newest(), op.random));
  return Json{{"grant", to_hex(grant)}};
}

Outputs link_finish(const Op& op) {
  if (!op.device.link_new) return bad_message();
  LinkNew link = op.device.link_new->clone();
  CHATSDK_ASSIGN(Granted granted, link.finish(hex_of(op.line, "grant")));
  const std::vector<Bytes> lists = {granted.list.bytes};
  const auto learned = learn_lists(op.state(), link.user_id(), lists, all_hex(op.line, "records"), op.now_ms);
  if (!learned.ok() || learned->result == Learning::kRefused) return bad_message();
  CHATSDK_ASSIGN(DeviceRecord record,
                 make_record(op, granted.keys, link.user_id(), link.device_id(), link.name(), granted.account_seed));
  Json out{{"account_key", to_hex(granted.list.account_key.view())}, {"record", to_hex(record.bytes)}};
  op.device.account_seed = std::move(granted.account_seed);
  op.device.has_account = true;
  op.device.link_new.reset();
  CHATSDK_TRY(set_keys(op, std::move(granted.keys), std::move(record)));
  return out;
}

// ---- Files ---------------------------------------------------------------------------------------------------------

Outputs attachment_seal(const Op& op) {
  CHATSDK_ASSIGN(const SealedAttachment sealed, seal_attachment(hex_of(op.line, "plain"), op.random));
  return Json{{"ciphertext", to_hex(sealed.ciphertext)}, {"attachment_key", to_hex(serialize_key_part(sealed.key))}};
}

Outputs attachment_open(const Op& op) {
  const auto key = parse_key_part(hex_of(op.line, "attachment_key"));
  const auto plain = key ? open_attachment(hex_of(op.line, "ciphertext"), *key) : std::nullopt;
  if (!plain) return bad_message();
  return Json{{"plain", to_hex(*plain)}};
}

Outputs backup_seal(const Op& op) {
  const Self* self = op.self();
  if (self == nullptr) return bad_message();
  const BackupPlace place{self->record.user_id, self->record.device_id, number_of(op.line, "sequence"),
                          fixed_hex<Hash>(op.line, "previous"), op.now_ms};
  CHATSDK_ASSIGN(const SealedBackup sealed,
                 seal_backup(secret_hex<32>(op.line, "recovery_key"), place, all_hex(op.line, "frames"), op.random));
  return Json{{"ciphertext", to_hex(sealed.ciphertext)}, {"manifest", to_hex(sealed.manifest)}};
}

Outputs backup_open(const Op& op) {
  const Self* self = op.self();
  if (self == nullptr) return bad_message();
  const auto key = secret_hex<32>(op.line, "recovery_key");
  const auto manifest = parse_manifest(hex_of(op.line, "manifest"), key, self->record.user_id);
  const auto frames = manifest ? open_backup(key, *manifest, hex_of(op.line, "ciphertext")) : std::nullopt;
  if (!frames) return bad_message();
  return Json{{"frames", hexes(*frames)}};
}

Outputs wrap(const Op& op) {
  const Self* self = op.self();
  if (self == nullptr) return bad_message();
  const WrapCost cost{op.line.at("passes").get<std::uint32_t>(), op.line.at("memory_kib").get<std::uint32_t>()};
  return one("wrapped", wrap_recovery_key(secret_hex<32>(op.line, "recovery_key"), self->record.user_id,
                                          text_of(op.line, "passphrase"), cost, op.random));
}

Outputs unwrap(const Op& op) {
  const Self* self = op.self();
  if (self == nullptr) return bad_message();
  const auto key =
      unwrap_recovery_key(hex_of(op.line, "wrapped"), self->record.user_id, text_of(op.line, "passphrase"));
  if (!key.ok()) return key.error();
  return Json{{"recovery_key", to_hex(view(*key))}};
}

struct Operation {
  std::set<std::string> outputs;
  std::function<Outputs(const Op&)> run;
};

const std::map<std::string, Operation>& operations() {
  static const std::map<std::string, Operation> kOperations = {
      {"account", {{"account_key"}, [](const Op& op) { return set_account(op, draw_secret<32>(op.random)); }}},
      {"adopt",
       {{"account_key"}, [](const Op& op) { return set_account(op, secret_hex<32>(op.line, "account_seed")); }}},
      {"device", {{"record"}, device}},
      {"list", {{"list"}, list}},
      {"learn", {{"result", "added", "removed"}, learn_op}},
      {"verify",
       {{},
        [](const Op& op) {
          return known_or_bad(
              mark_verified(op.state(), text_of(op.line, "user_id"), op.line.at("verified").get<bool>()));
        }}},
      {"forget", {{}, [](const Op& op) { return known_or_bad(forget_user(op.state(), text_of(op.line, "user_id"))); }}},
      {"prekeys", {{"prekeys"}, prekeys}},
      {"begin", {{"session_id"}, begin}},
      {"encrypt",
       {{"message"},
        [](const Op& op) {
          return one("message", encrypt_for(op.state(), peer_of(op.line), hex_of(op.line, "envelope"), op.random));
        }}},
      {"decrypt", {{"envelope"}, decrypt}},
      {"archive",
       {{}, [](const Op& op) { return nothing_of(archive_active(op.state(), peer_of(op.line), op.now_ms)); }}},
      {"activate",
       {{},
        [](const Op& op) {
          return nothing_of(
              activate(op.state(), peer_of(op.line), fixed_hex<SessionId>(op.line, "session_id"), op.now_ms));
        }}},
      {"age", {{}, [](const Op& op) { return nothing_of(age_all(op.state(), op.now_ms)); }}},
      {"chain",
       {{},
        [](const Op& op) {
          return nothing_of(
              begin_chain(op.state(), group_of(op.line), number_of(op.line, "roster_revision"), op.now_ms, op.random));
        }}},
      {"distribute", {{"distribution"}, [](const Op& op) { return one("distribution", distribute(op)); }}},
      {"chain_receive",
       {{},
        [](const Op& op) {
          return nothing_of(receive_chain(op.state(), peer_of(op.line), group_of(op.line), roster_of(op.line),
                                          hex_of(op.line, "distribution")));
        }}},
      {"group_encrypt",
       {{"message"},
        [](const Op& op) {
          return one("message", encrypt_for_group(op.state(), group_of(op.line), roster_of(op.line),
                                                  hex_of(op.line, "envelope"), op.now_ms, op.random));
        }}},
      {"group_decrypt", {{"envelope"}, group_decrypt}},
      {"group_create", {{"entry", "state_after"}, group_create}},
      {"group_entry", {{"entry", "state_after"}, group_entry}},
      {"reload", {{}, [](const Op& op) { return nothing_of(op.device.kept->reload()); }}},
      {"safety", {{"digits", "scannable"}, safety}},
      {"link_start", {{"qr"}, link_start}},
      {"link_offer", {{"offer"}, link_offer}},
      {"link_reveal", {{"reveal", "code"}, link_reveal}},
      {"link_check", {{"code", "name"}, link_check}},
      {"link_grant", {{"grant"}, link_grant}},
      {"link_finish", {{"account_key", "record"}, link_finish}},
      {"attachment_seal", {{"ciphertext", "attachment_key"}, attachment_seal}},
      {"attachment_open", {{"plain"}, attachment_open}},
      {"backup_seal", {{"ciphertext", "manifest"}, backup_seal}},
      {"backup_open", {{"frames"}, backup_open}},
      {"wrap", {{"wrapped"}, wrap}},
      {"unwrap", {{"recovery_key"}, unwrap}},
  };
  return kOperations;
}

std::string outcome_name(Code code) {
  if (code == kDuplicate) return "duplicate";
  if (code == kNoSession) return "no_session";
  if (code == kUntrusted) return "untrusted";
  return "bad_message";
}

// No operation of a transcript ends so: the library's own failure, or the store's.
bool is_defect(Code code) { return code == Code::kInternal || code == Code::kCorrupt || code == Code::kStorage; }

bool is_within_transaction(const Json& line) { return text_of(line, "op") != "reload"; }

// The line's inputs alone.
Json inputs_of(const Json& line, const Operation& operation) {
  static const std::set<std::string> kNotInputs = {"random", "state", "error", "defect"};
  Json inputs = Json::object();
  for (const auto& [name, value] : line.items()) {
    if (!kNotInputs.contains(name) && !operation.outputs.contains(name)) inputs[name] = value;
  }
  return inputs;
}

bool is_nothing(const Json& value) {
  return value.is_null() || (value.is_string() && value.get<std::string>().empty());
}

}  // namespace

void TapeRandom::fill(std::span<unsigned char> out) {
  // What is missing is zeros here, and a difference in the line.
  for (auto& byte : out) {
    byte = drawn_.size() < tape_.size() ? static_cast<unsigned char>(tape_[drawn_.size()]) : 0;
    drawn_.push_back(static_cast<char>(byte));
  }
}

void FreshRandom::fill(std::span<unsigned char> out) {
  source_.fill(out);
  drawn_.append(reinterpret_cast<const char*>(out.data()), out.size());
}

Device* Run::device(const std::string& name) {
  auto& slot = devices_[name];
  if (!slot) {
    slot = std::make_unique<Device>();
    slot->kept = make_keeper_(name);
    slot->hash = slot->kept->hash();
  }
  return slot.get();
}

Json Run::perform(const Json& line, Random* fresh) {
  const Operation& operation = operations().at(text_of(line, "op"));
  Device& device = *this->device(text_of(line, "device"));
  const bool draws = fresh != nullptr && !line.contains("random");
  const std::unique_ptr<NotedRandom> random =
      draws ? std::unique_ptr<NotedRandom>(std::make_unique<FreshRandom>(*fresh))
            : std::make_unique<TapeRandom>(from_hex(text_of(line, "random")).value());
  Json done = inputs_of(line, operation);
  const std::size_t writes_before = device.kept->writes();
  Outputs outputs = none();
  const auto run = [&]() -> Status {
    outputs = operation.run({device, line, number_of(line, "now_ms"), *random});
    return outputs.ok() ? Status() : Status(outputs.error());
  };
  const Status stayed = is_within_transaction(line) ? device.kept->run(run) : run();
  if (outputs.ok() && !stayed.ok()) outputs = stayed.error();
  const Hash hash = device.kept->hash();
  if (outputs.ok()) {
    done.update(*outputs);
  } else {
    done["error"] = outcome_name(outputs.code());
    if (is_defect(outputs.code())) done["defect"] = outputs.error().detail;
    if (device.kept->writes() != writes_before || hash != device.hash) done["defect"] = "a failure changed the state";
  }
  device.hash = hash;
  done["random"] = to_hex(random->drawn());
  done["state"] = to_hex(hash.view());
  return done;
}

Json Run::states() const {
  Json states = Json::object();
  for (const auto& [name, device] : devices_) states[name] = to_hex(device->hash.view());
  return states;
}

std::vector<std::string> differences(const Json& line, const Json& wanted) {
  std::set<std::string> names;
  for (const auto& item : line.items()) names.insert(item.key());
  for (const auto& item : wanted.items()) names.insert(item.key());
  std::vector<std::string> different;
  for (const std::string& name : names) {
    const Json is = wanted.contains(name) ? wanted[name] : Json();
    const Json said = line.contains(name) ? line[name] : Json();
    if (is != said && !(is_nothing(is) && is_nothing(said))) different.push_back(name);
  }
  return different;
}

}  // namespace chatsdk::e2ee::oracle
