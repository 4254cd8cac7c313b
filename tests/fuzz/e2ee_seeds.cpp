// SPDX-License-Identifier: Apache-2.0
//
// Writes the corpora of the targets of end-to-end encryption: right inputs of every form, and some that are nearly
// right. Mutation alone finds none of them, since nearly every byte is hashed, signed or encrypted. To be run when a
// form changes:
//
//   fuzz_e2ee_seeds tests/fuzz/corpus
//
// Threads: one.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "e2ee/attachments.h"
#include "e2ee/group_invitation.h"
#include "e2ee/linking.h"
#include "e2ee/padding.h"
#include "fuzz/e2ee_world.h"
#include "unit/e2ee/backups.h"
#include "unit/e2ee/groups.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

class Corpus {
 public:
  Corpus(const std::filesystem::path& root, const char* target) : folder_(root / target) {
    std::filesystem::create_directories(folder_);
  }
  // `what` is the byte that says what follows.
  void add(const char* name, int what, BytesView bytes) const {
    add(name, Bytes(1, static_cast<char>(what)).append(bytes));
  }
  void add(const char* name, const Bytes& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::filesystem::path folder_;
};

Bytes without_signature(BytesView bytes) { return Bytes(bytes.substr(0, bytes.size() - Signature::size())); }

Bytes piece(int what, BytesView bytes) {
  Writer writer;
  writer.u8(static_cast<std::uint8_t>(what)).u16(static_cast<std::uint16_t>(bytes.size())).raw(bytes);
  return writer.take();
}

Bytes envelope_of(const Binding& binding, BodyType body_type, Bytes body) {
  Envelope envelope;
  envelope.body_type = body_type;
  envelope.client_message_id = ClientMessageId::from_bytes(repeated(0x51, 16)).value();
  envelope.binding = binding;
  envelope.body = std::move(body);
  return padded(serialize(envelope));
}

constexpr int kSealed = 4;  // bits of e2ee_message
constexpr int kInGroup = 8;

void write_messages(const std::filesystem::path& root) {
  E2eeWorld& world = e2ee_world();
  const Corpus corpus(root, "e2ee_message");
  corpus.add("passed_over", 0, world.messages()[0]);
  corpus.add("next", 0, world.messages()[1]);
  corpus.add("further_on", 0, world.messages()[2]);
  corpus.add("keys", static_cast<int>(SliceKind::kKeys), world.messages()[1]);
  corpus.add("cut", 0, BytesView(world.messages()[1]).substr(0, 100));
  corpus.add("text", kSealed, world.direct_text("hello"));
  corpus.add("of_the_group", kSealed, world.group_text("hello"));
  corpus.add("long_text", kSealed, world.direct_text(Bytes(2'000, 'x')));
  corpus.add("no_envelope", kSealed, {});
  const Binding direct = DirectBinding::of("alice", "bob");
  const auto id = ClientMessageId::from_bytes(repeated(0x52, 16)).value();
  corpus.add("repair", kSealed + static_cast<int>(SliceKind::kRepair),
             envelope_of(direct, BodyType::kRepair, serialize(RepairBody{Seq{7}, id, "content"})));
  corpus.add("retry", kSealed + static_cast<int>(SliceKind::kRetry),
             envelope_of(direct, BodyType::kRetryRequest, serialize(RetryBody{Seq{7}, id, SessionId{}})));
  const Bytes chain = distribution_of(world.alices_chain(), DeviceId{1}, world.roster(), nullptr);
  corpus.add("chain", kSealed + kInGroup, envelope_of(kGroup, BodyType::kSenderChain, chain));
  corpus.add("chain_alone", kSealed + kInGroup + static_cast<int>(SliceKind::kKeys),
             envelope_of(kGroup, BodyType::kSenderChain, chain));
}

void write_set_ups(const std::filesystem::path& root) {
  const E2eeWorld& world = e2ee_world();
  const Corpus corpus(root, "e2ee_set_up");
  corpus.add("last_resort", 0, world.messages()[3]);
  corpus.add("one_time", 0, world.messages()[4]);
  corpus.add("prefix", 0, BytesView(world.messages()[4]).substr(0, 1'452));
  corpus.add("steady", 0, world.messages()[1]);
  corpus.add("text", 1, world.direct_text("hello"));
  corpus.add("text_one_time", 2, world.direct_text("hello"));
  corpus.add("no_envelope", 2, {});
}

void write_groups(const std::filesystem::path& root) {
  E2eeWorld& world = e2ee_world();
  const Corpus corpus(root, "e2ee_group_message");
  corpus.add("next", 0, world.group_messages()[0]);
  corpus.add("further_on", 0, world.group_messages()[1]);
  corpus.add("unsigned", 1, without_signature(world.group_messages()[0]));
  corpus.add("text", 2, world.group_text("hello"));
  corpus.add("of_two_users", 2, world.direct_text("hello"));
  corpus.add("chain_again", 3, distribution_of(world.alices_chain(), DeviceId{1}, world.roster(), nullptr));
  SeededRandom random(3);
  corpus.add("new_chain", 3,
             distribution_of(OwnChain::draw(kGroup, 3, kThen, random), DeviceId{1}, world.roster(), nullptr));
}

void write_entries(const std::filesystem::path& root) {
  const Corpus corpus(root, "e2ee_group_entry");
  const GroupPeople people;
  GroupPermissions permissions;
  permissions[GroupRight::kRoles] = GroupRole::kAdmin;
  const MadeEntry first = people.created(permissions);
  const MadeEntry second =
      make_entry(first.head, Invite{invitation_id(1), kThen + 1'000, 2}, people.maker("ann")).value();
  const AddMembers by_link{AddSource::kInvitation, invitation_id(1), fixed_of<Hash>(9), {people.member("dan")}};
  const std::pair<const char*, GroupChange> changes[] = {
      {"add", AddMembers{AddSource::kByHand, {}, {}, {people.member("dan", GroupRole::kAdmin), people.member("erin")}}},
      {"renew", AddMembers{AddSource::kByHand, {}, {}, {people.member("alice", GroupRole::kOwner)}}},
      {"add_by_request", AddMembers{AddSource::kRequest, {}, fixed_of<Hash>(9), {people.member("dan")}}},
      {"remove", RemoveMember{"carol"}},
      {"leave", LeaveGroup{}},
      {"role", SetRole{"bob", GroupRole::kAdmin}},
      {"owner", SetOwner{"bob"}},
      {"info", SetInfo{fixed_of<Hash>(1)}},
      {"permissions", SetPermissions{permissions}},
      {"invite", Invite{invitation_id(2), 0, kUsesUnlimited}},
      {"revoke", RevokeInvitation{invitation_id(1)}},
      {"add_by_link", by_link},
  };
  corpus.add("create", 0, first.entry);
  corpus.add("newest", 0, second.entry);
  corpus.add("state", 2, second.state);
  for (const auto& [name, change] : changes) {
    GroupEntry entry{first.head.state.group_id, 3, second.head.entry_hash, change, "alice", DeviceId{1}, kThen, {}};
    if (const auto after = change_group(second.head.state, "alice", change, kThen)) {
      entry.state_hash = group_state_hash(serialize(*after));
    }
    const Bytes bytes = sign_group_entry(entry, secret_of<32>(0x12));
    corpus.add(name, 1, without_signature(bytes));
    // Behind what is in every entry of Alice's, its length; then the state's hash and the signature.
    const Bytes value = bytes.substr(87, bytes.size() - 87 - Hash::size() - Signature::size());
    const int actor = name == std::string("add_by_link") || name == std::string("remove") ? 1 : 0;
    corpus.add((std::string(name) + "_value").c_str(), 3,
               Bytes(1, static_cast<char>(actor)) + Bytes(1, static_cast<char>(change.index() + 1)) + value);
  }
  const GroupId group = first.head.state.group_id;
  const InvitationSecret secret = invitation_secret(secret_of<32>(0x41), group, invitation_id(1));
  const InvitationLink link{group, invitation_id(1), "ann", signing_key_of(secret_of<32>(0x41)), secret.clone()};
  corpus.add("link", 4, to_text(link));
  JoinRequest request{group, invitation_id(1), "dan", people.member("dan").account_key, DeviceId{4}, kThen};
  const SigningSeed& seed = people.of("dan").keys.signing_seed;
  corpus.add("request", 5, without_signature(sign_join_request(request, &secret, seed)));
  request.invitation = {};
  corpus.add("request_without_link", 5, without_signature(sign_join_request(request, nullptr, seed)));
}

void write_lists(const std::filesystem::path& root) {
  const Corpus corpus(root, "e2ee_device_list");
  const Person& alice = e2ee_world().alices_person();
  const Person tablet = person("alice", 3, 0x11, 0x0A, {});  // of the same keys: a record may not share them
  Person laptop = person("alice", 3, 0x61, 0x0B, "laptop");
  const DeviceList added = next_device_list(alice.list, alice.account_seed, {&laptop.record, 1}, {}, kThen).value();
  const DeviceId phone{1};
  const DeviceList removed = next_device_list(added, alice.account_seed, {}, {&phone, 1}, kThen).value();
  const DeviceList shared = next_device_list(alice.list, alice.account_seed, {&tablet.record, 1}, {}, kThen).value();
  const DeviceList replaced = first_device_list("alice", secret_of<32>(0x77), {&alice.record, 1}, kThen).value();
  const Bytes laptops_record = piece(2, laptop.record.bytes);
  corpus.add("known", piece(0, alice.list.bytes) + piece(2, alice.record.bytes));
  corpus.add("record_alone", piece(3, without_signature(alice.record.bytes)));
  corpus.add("added", piece(1, without_signature(added.bytes)) + laptops_record);
  corpus.add("added_unsigned", piece(0, without_signature(added.bytes)) + laptops_record);
  corpus.add("added_without_record", piece(1, without_signature(added.bytes)));
  corpus.add("added_and_removed",
             piece(1, without_signature(added.bytes)) + piece(1, without_signature(removed.bytes)) + laptops_record);
  corpus.add("gap", piece(1, without_signature(removed.bytes)) + laptops_record);
  corpus.add("keys_twice", piece(1, without_signature(shared.bytes)) + piece(2, tablet.record.bytes));
  corpus.add("replaced", piece(4, without_signature(replaced.bytes)) + piece(2, alice.record.bytes));
  corpus.add("of_another_user", piece(0, e2ee_world().bobs_person().list.bytes));
}

void write_bundles(const std::filesystem::path& root) {
  const Corpus corpus(root, "e2ee_bundle");
  const auto part = [](BytesView bytes) {
    Writer writer;
    writer.u16(static_cast<std::uint16_t>(bytes.size())).raw(bytes);
    return writer.take();
  };
  const BundleBytes right = bobs_bundle(true);
  const Bytes signed_body = part(without_signature(right.signed_prekey));
  const Bytes kem_body = part(without_signature(right.kem_prekey));
  const Bytes last_resort_body = part(without_signature(bobs_published(2)));
  corpus.add("as_published", 0x07, part(right.signed_prekey) + part(right.kem_prekey) + part(right.one_time_prekey));
  corpus.add(
      "whole", 0x0F,
      part(right.signed_prekey) + part(right.kem_prekey) + part(right.one_time_prekey) + part(right.device_record));
  corpus.add("bodies", 0x17, signed_body + kem_body + part(right.one_time_prekey));
  corpus.add("last_resort", 0x13, signed_body + last_resort_body);
  corpus.add("kinds_swapped", 0x13, kem_body + signed_body);
  Bytes bad_kem = without_signature(right.kem_prekey);
  bad_kem[6] = '\xFF';
  bad_kem[7] = '\xFF';
  corpus.add("kem_key_too_large", 0x12, part(bad_kem));
  Bytes weak = without_signature(right.signed_prekey);
  weak.replace(6, 32, repeated(0, 32));
  corpus.add("weak_key", 0x11, part(weak));
}

void write_backups(const std::filesystem::path& root) {
  const Corpus corpus(root, "e2ee_backup");
  const SealedBackup sealed = sealed_backup({seed_frame(), history_frame(100)});
  corpus.add("manifest", 0, sealed.manifest);
  corpus.add("manifest_without_mac", 1, BytesView(sealed.manifest).substr(0, 170));
  const Bytes end(4, '\0');
  corpus.add("seed", 2, framed(seed_frame()) + end);
  corpus.add("history", 2, framed(seed_frame()) + framed(history_frame(100)) + framed(Bytes(1, '\x09')) + end);
  corpus.add("no_end", 2, framed(seed_frame()));
  corpus.add("no_padding", 3, framed(seed_frame()) + end);
  corpus.add("padded", 3, padded(framed(seed_frame()) + end));
  corpus.add("beyond_the_end", 3, padded(framed(seed_frame()) + "\xFF"));
  SeededRandom random(1);
  corpus.add("wrapped", 4,
             wrap_recovery_key(recovery_key(), "alice", "a passphrase",
                               {limits::e2ee::kPassesMin, limits::e2ee::kMemoryKibMin}, random)
                 .value());
  corpus.add("typed", 5, shown_recovery_key(recovery_key()));
  corpus.add("typed_with_blanks", 5, "j68s 34ch j68s 34ch j68s 34ch j68s 34ch j68s 34ch j68s 34ch j68z gsf2");
}

void write_attachments(const std::filesystem::path& root) {
  const Corpus corpus(root, "e2ee_attachment");
  SeededRandom random(1);
  auto sealed = seal_attachment("picture", random).value();
  corpus.add("bare_key", 0, serialize(sealed.key));
  sealed.key.location = "media-7";
  sealed.key.media_type = "image/png";
  corpus.add("key", 0, serialize(sealed.key));
  const auto file = [](std::size_t true_bytes, BytesView bytes) {
    Writer writer;
    writer.u8(static_cast<std::uint8_t>(true_bytes)).u8(static_cast<std::uint8_t>(true_bytes >> 8));
    writer.u8(static_cast<std::uint8_t>(true_bytes >> 16)).raw(bytes);
    return writer.take();
  };
  const FileKey key = secret_of<32>(0xA1);
  const auto header = fixed_of<StreamHeader>(0xA2);
  corpus.add("file", 1, file(7, seal_file(key, header, padded("picture"))));
  corpus.add("file_cut", 1, file(7, BytesView(seal_file(key, header, padded("picture"))).substr(0, 70)));
  corpus.add("plain", 2, file(7, padded("picture")));
  corpus.add("plain_empty", 2, file(0, padded("")));
  corpus.add("plain_hidden", 2, file(3, padded("picture")));
  corpus.add("plain_chunks", 2, file(70'000, padded(Bytes(70'000, 'p'))));
}

void write_links(const std::filesystem::path& root) {
  const Corpus corpus(root, "e2ee_link_text");
  const Person alice = e2ee::alice();
  KnownUser known;
  known.user_id = "alice";
  known.account_key = alice.list.account_key;
  known.lists.push_back(alice.list);
  known.records.emplace(alice.record.hash, alice.record);
  SeededRandom random(12);
  LinkNew link = LinkNew::start("alice", DeviceId{3}, "laptop", kThen, random).value();
  SeededRandom offering(13);
  LinkOld old = LinkOld::scan(link.text(), {alice.user_id, DeviceId{1}, &known}, kThen, offering).value();
  corpus.add("text", 0, link.text());
  corpus.add("body", 1, from_base64url(std::string_view(link.text()).substr(10)).value());
  corpus.add("of_another_scheme", 0, "csdk-safety:AA");
  corpus.add("offer", 2, old.offer());
  const Bytes reveal = link.reveal(old.offer(), &known, random).value();
  corpus.add("reveal", 3, reveal);
  if (!old.check(reveal)) return;
  corpus.add("grant", 4, old.confirm(alice.account_seed, alice.list, random).value());
  Writer identity;
  identity.u8(1).u32(0x0A).key(alice.record.signing_key).key(alice.record.agreement_key).u32(1);
  identity.raw(name_field("laptop"));
  corpus.add("identity", 5, identity.view());
  Writer nameless;
  nameless.u8(1).u32(0x0A).key(alice.record.signing_key).key(alice.record.agreement_key).u32(3).raw(name_field(""));
  corpus.add("identity_without_name", 5, nameless.view());
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz_e2ee_seeds <folder of the corpora>\n");
    return 2;
  }
  const std::filesystem::path root = arguments[1];
  write_messages(root);
  write_set_ups(root);
  write_groups(root);
  write_entries(root);
  write_lists(root);
  write_bundles(root);
  write_backups(root);
  write_attachments(root);
  write_links(root);
  return 0;
}
