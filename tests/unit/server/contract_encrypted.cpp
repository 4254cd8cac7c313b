// SPDX-License-Identifier: Apache-2.0
//
// The rules of encrypted conversations: rosters, which slices an item needs, who is shown which, what is staged, and
// the count of a device's items. The store looks into no slice, so they are names here.
//
// Threads: one.
#include <functional>

#include "base/limits.h"
#include "tests/unit/server/key_rows.h"
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {
namespace {

// Ann's list names her phone and her tablet, bob's his phone; her laptop is in no list.
class EncryptedContract : public StoreContract {
 protected:
  void SetUp() override {
    ann_account_ = register_user("ann");
    register_user("bob");
    phone_ = log_in("ann", "installation-001").session.device_id;
    tablet_ = log_in("ann", "installation-002").session.device_id;
    laptop_ = log_in("ann", "installation-003").session.device_id;
    bob_ = log_in("bob").session.device_id;
    publish("ann", phone_, 1, {phone_, tablet_});
    publish("bob", bob_, 1, {bob_});
  }

  static std::string list_name(const UserId& user, std::uint64_t version) {
    return "list " + std::to_string(version) + " of " + user;
  }
  ListsPublished publish(const UserId& user, DeviceId uploader, std::uint64_t version,
                         const std::vector<DeviceId>& devices, bool with_prekeys = true) {
    PublishLists op;
    op.user_id = user;
    op.uploader = uploader;
    op.account_key = hash_named("key of " + user);
    for (const DeviceId device : devices) op.records.push_back(record_of(device));
    op.lists = {list_of(version, op.records, " of " + user)};
    op.now = now();
    const auto published = write<ListsPublished>(op);
    for (const DeviceId device : devices) {
      if (with_prekeys) upload_prekeys(user, device);
    }
    return published;
  }
  void upload_prekeys(const UserId& user, DeviceId device) {
    UploadPrekeys prekeys;
    prekeys.user_id = user;
    prekeys.device_id = device;
    prekeys.record_hash = record_of(device).hash;
    prekeys.signed_prekey = {1, "signed"};
    prekeys.last_resort = {2, "last resort"};
    prekeys.now = now();
    write<KeyCounts>(prekeys);
  }

  static std::string slice_name(std::uint64_t number, DeviceId device) {
    return "slice " + std::to_string(number) + " for " + std::to_string(device.value);
  }
  // What ann's phone sends to bob; edit changes what stands beside the slices.
  AppendMessage sealed(std::uint64_t number, const std::vector<DeviceId>& devices,
                       const std::function<void(EncryptedParts&)>& edit = {}) {
    EncryptedParts parts;
    parts.own_list_version = 1;
    parts.peer_list_version = 1;
    parts.counter = number;
    for (const DeviceId device : devices) parts.slices.push_back({device, slice_name(number, device)});
    if (edit) edit(parts);
    AppendMessage op = message("ann", phone_, to_peer("bob"), number);
    op.content.clear();
    op.payload_hash = hash_of(parts.slices);
    op.encrypted = std::make_shared<const EncryptedParts>(std::move(parts));
    return op;
  }
  static Bytes hash_of(std::vector<SliceRow> slices) {
    std::sort(slices.begin(), slices.end(), [](const auto& a, const auto& b) { return a.device_id < b.device_id; });
    std::vector<SliceView> views;
    for (const SliceRow& slice : slices) views.push_back({slice.device_id, slice.message});
    return payload_hash({}, views);
  }
  AppendMessage good(std::uint64_t number) { return sealed(number, {tablet_, bob_}); }
  // Ann's phone begins the conversation.
  ConversationId begin() { return write<Appended>(good(1)).conversation_id; }
  StageSlices chunk(std::uint64_t number, std::uint32_t index, const std::vector<DeviceId>& devices) {
    StageSlices op;
    op.device_id = phone_;
    op.client_message_id = message("ann", phone_, {}, number).client_message_id;
    op.chunk = index;
    for (const DeviceId device : devices) op.slices.push_back({device, slice_name(number, device)});
    op.now = now();
    return op;
  }
  // Lists of ann under another account key, with this device alone.
  PublishLists another_key(DeviceId uploader, std::uint64_t first, std::size_t count, const DeviceRecordRow& record) {
    PublishLists op;
    op.user_id = "ann";
    op.uploader = uploader;
    op.account_key = hash_named("another key of ann");
    op.replaces_account_key = true;
    op.records = {record};
    for (std::size_t i = 0; i < count; ++i) op.lists.push_back(list_of(first + i, op.records, " of another key"));
    op.now = now();
    return op;
  }
  std::vector<wire::Item> shown(const UserId& user, DeviceId device, StreamId stream, Seq after = 0) {
    return read(user, stream, after, 1'000, 1 << 20, device);
  }
  Seq head(StreamId stream) { return reader().items("ann", {}, stream, 0, 1, 1 << 20)->head; }
  void acknowledge(DeviceId device, StreamId stream, Seq seq) { write<Done>(AdvanceCursor{device, stream, seq}); }
  RostersExtended extend(std::size_t max = 100) { return write<RostersExtended>(ExtendRosters{max, now()}); }

  Account ann_account_;
  DeviceId phone_;
  DeviceId tablet_;
  DeviceId laptop_;
  DeviceId bob_;
};

// ---- The first message ---------------------------------------------------------------------------------------------

TEST_F(EncryptedContract, TheFirstMessageBringsBothListsWithTheirRecords) {
  const ConversationId conversation = begin();
  const auto items = shown("bob", bob_, conversation);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].kind(), wire::ITEM_KIND_ROSTER);
  const wire::Roster& roster = items[0].roster();
  EXPECT_TRUE(roster.encrypted());
  EXPECT_EQ(roster.revision(), 1u);
  EXPECT_EQ(roster.conversation_kind(), wire::CONVERSATION_KIND_DIRECT);
  EXPECT_EQ(roster.changes_size(), 2);
  ASSERT_EQ(roster.lists_size(), 2);
  EXPECT_EQ(roster.lists(0).list(), list_name("ann", 1));
  ASSERT_EQ(roster.lists(0).records_size(), 2);
  EXPECT_EQ(roster.lists(0).records(0), record_of(phone_).record);
  EXPECT_EQ(roster.lists(0).records(1), record_of(tablet_).record);
  EXPECT_EQ(roster.lists(1).list(), list_name("bob", 1));
  EXPECT_EQ(roster.lists(1).records(0), record_of(bob_).record);
}

// It may have had no answer to it. Its installation is another one, and what it was is still a device of its user's.
TEST_F(EncryptedContract, WhatADeviceSentUnderAnotherIdIsShownToIt) {
  const ConversationId conversation = write<Appended>(sealed(1, {tablet_, bob_})).conversation_id;
  const auto kind_for = [&](const UserId& user, DeviceId device) {
    return read(user, conversation, 1, 10, 1 << 20, device).at(0).kind();
  };
  const auto again = [&](const UserId& user, const std::string& installation, DeviceId former) {
    OpenSession op = opening(user, installation);
    op.former_device = former;
    return write<SessionOpened>(op).session.device_id;
  };
  const DeviceId second = again("ann", "installation-004", phone_);
  EXPECT_EQ(kind_for("ann", second), wire::ITEM_KIND_MESSAGE);
  EXPECT_TRUE(read("ann", conversation, 1, 10, 1 << 20, second).at(0).slice().empty());
  const DeviceId third = again("ann", "installation-005", second);
  EXPECT_EQ(kind_for("ann", third), wire::ITEM_KIND_MESSAGE) << "also what it was before that";
  EXPECT_EQ(kind_for("ann", again("ann", "installation-006", tablet_)), wire::ITEM_KIND_SKIP) << "not that device";
  EXPECT_EQ(kind_for("ann", again("ann", "installation-003", phone_)), wire::ITEM_KIND_SKIP) << "known, and not new";
  EXPECT_EQ(kind_for("ann", again("ann", "installation-007", DeviceId{77})), wire::ITEM_KIND_SKIP) << "nobody's";
  EXPECT_EQ(kind_for("bob", again("bob", "installation-008", phone_)), wire::ITEM_KIND_SKIP) << "another user's";
  EXPECT_EQ(kind_for("ann", laptop_), wire::ITEM_KIND_SKIP);
}

TEST_F(EncryptedContract, EachDeviceIsShownItsOwnSliceOnly) {
  const ConversationId conversation = begin();
  for (const auto& [user, device] : {std::pair{"ann", tablet_}, std::pair{"bob", bob_}}) {
    const auto items = shown(user, device, conversation, 1);
    ASSERT_EQ(items.size(), 1u);
    EXPECT_EQ(items[0].kind(), wire::ITEM_KIND_MESSAGE);
    EXPECT_EQ(items[0].slice(), slice_name(1, device));
    EXPECT_EQ(items[0].sender_user_id(), "ann");
    EXPECT_EQ(items[0].sender_device_id(), phone_.value);
    EXPECT_EQ(items[0].client_message_id(), good(1).client_message_id.view());
    EXPECT_TRUE(items[0].content().empty());
  }
  const auto own = shown("ann", phone_, conversation, 1);
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].kind(), wire::ITEM_KIND_MESSAGE);
  EXPECT_EQ(own[0].client_message_id(), good(1).client_message_id.view());
  EXPECT_TRUE(own[0].slice().empty());
  const auto unlisted = shown("ann", laptop_, conversation, 1);
  ASSERT_EQ(unlisted.size(), 1u);
  EXPECT_EQ(unlisted[0].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(unlisted[0].skip_reason(), wire::SKIP_REASON_NOT_LISTED);
  EXPECT_EQ(unlisted[0].seq(), 2u);
}

TEST_F(EncryptedContract, WhatIsAppendedIsWhatIsRead) {
  const CommitResult result = commit({good(1)});
  const auto conversation = std::get<Appended>(*result.answers.at(0)).conversation_id;
  ASSERT_EQ(result.appended.size(), 4u);
  EXPECT_FALSE(result.appended[0].only_for) << "the roster is everybody's";
  for (const std::size_t word : {1u, 2u}) EXPECT_TRUE(parse(result.appended[word].item).conversation().encrypted());
  const AppendedItem& item = result.appended[3];
  EXPECT_EQ(item.only_for, phone_);
  ASSERT_EQ(item.slices.size(), 2u);
  const auto raw = [&](const UserId& user, DeviceId device) {
    return *reader().items(user, device, conversation, 1, 10, 1 << 20)->items.at(0);
  };
  EXPECT_EQ(*item.item, raw("ann", phone_));
  EXPECT_EQ(item.slices[0].device_id, tablet_);
  EXPECT_EQ(*item.slices[0].item, raw("ann", tablet_));
  EXPECT_EQ(item.slices[1].device_id, bob_);
  EXPECT_EQ(*item.slices[1].item, raw("bob", bob_));
  EXPECT_EQ(parse(item.slices[1].item).SerializeAsString(), *item.slices[1].item) << "canonical, no unknown field";
}

TEST_F(EncryptedContract, MessagesThatWereEncryptedBeforeThereWasARosterFollowTheFirst) {
  const CommitResult result = commit({good(1), good(2), good(3)});
  for (const auto& answer : result.answers) EXPECT_TRUE(std::holds_alternative<Appended>(*answer));
  EXPECT_EQ(head(std::get<Appended>(*result.answers[0]).conversation_id), 4u);
}

TEST_F(EncryptedContract, AConversationThatWasOnlyVoidedInMayBecomeEitherKind) {
  write<Voided>(void_of(good(1)));
  AppendMessage next = good(2);
  EXPECT_EQ(write<Appended>(next).seq, 2u);
  EXPECT_EQ(shown("bob", bob_, write<Appended>(next).conversation_id)[0].roster().revision(), 1u);
}

// ---- What a send must be made for ----------------------------------------------------------------------------------

TEST_F(EncryptedContract, WhatDoesNotFitTheRosterIsRefusedWhole) {
  const DeviceId eve = [&] {
    register_user("eve");
    return log_in("eve").session.device_id;
  }();
  struct Case {
    const char* name;
    std::vector<DeviceId> devices;
    std::function<void(EncryptedParts&)> edit;
    std::string detail;
  };
  const auto text = [](DeviceId device) { return "device " + std::to_string(device.value); };
  const std::vector<Case> table = {
      {"none at all", {}, {}, "no slice for " + text(tablet_)},
      {"one is missing", {tablet_}, {}, "no slice for " + text(bob_)},
      {"one for a device in no list", {tablet_, laptop_, bob_}, {}, "a slice for " + text(laptop_)},
      {"one for another user's device", {tablet_, bob_, eve}, {}, "a slice for " + text(eve)},
      {"one for a device that nobody has", {tablet_, bob_, DeviceId{77}}, {}, "a slice for device 77"},
      {"one for the sender's own", {phone_, tablet_, bob_}, {}, "a slice for the sender's own " + text(phone_)},
      {"an old list of the sender's user",
       {tablet_, bob_},
       [](auto& parts) { parts.own_list_version = 9; },
       "list versions 9 and 1"},
      {"an old list of the peer",
       {tablet_, bob_},
       [](auto& parts) { parts.peer_list_version = 9; },
       "list versions 1 and 9"},
      {"a revision that is not there",
       {tablet_, bob_},
       [](auto& parts) { parts.roster_revision = 7; },
       "roster revision 7"},
  };
  for (const bool announced : {false, true}) {
    const std::uint64_t number = announced ? 2 : 1;
    for (const Case& bad : table) {
      SCOPED_TRACE(bad.name);
      const CommitResult result = commit({sealed(number, bad.devices, bad.edit)});
      ASSERT_TRUE(result.answers.at(0).ok()) << result.answers[0].error().detail;
      const auto* changed = std::get_if<RosterChanged>(&*result.answers[0]);
      ASSERT_NE(changed, nullptr);
      EXPECT_EQ(changed->revision, announced ? 1u : 0u);
      EXPECT_TRUE(changed->detail.starts_with(bad.detail)) << changed->detail;
      EXPECT_TRUE(changed->lists.empty()) << "the sender knows them";
      EXPECT_TRUE(result.appended.empty());
    }
    EXPECT_EQ(*reader().encryption_counter(phone_), announced ? 1u : 0u);
    EXPECT_EQ(write<Appended>(good(number)).seq, number + 1) << "the number is still open";
  }
}

TEST_F(EncryptedContract, TheSenderIsToldTheListsThatItLacks) {
  begin();
  publish("bob", bob_, 2, {bob_, log_in("bob", "installation-009").session.device_id});
  const DeviceId second = reader().newest_list("bob")->devices.at(1).device_id;
  const CommitResult result = commit({sealed(2, {tablet_, bob_}, [](auto& parts) { parts.roster_revision = 1; })});
  const auto changed = std::get<RosterChanged>(*result.answers.at(0));
  EXPECT_EQ(changed.revision, 2u);
  ASSERT_EQ(changed.lists.size(), 1u);
  EXPECT_EQ(changed.lists[0].list, list_name("bob", 2));
  EXPECT_EQ(changed.lists[0].records, std::vector<Bytes>{record_of(second).record});

  ASSERT_EQ(result.appended.size(), 1u) << "the conversation is told at once";
  const wire::Item roster = parse(result.appended[0].item);
  EXPECT_EQ(roster.seq(), 3u);
  EXPECT_EQ(roster.roster().revision(), 2u);
  EXPECT_TRUE(roster.roster().encrypted());
  ASSERT_EQ(roster.roster().lists_size(), 1);
  EXPECT_EQ(roster.roster().lists(0).list(), list_name("bob", 2));
  ASSERT_EQ(roster.roster().lists(0).records_size(), 1) << "what is new in it";

  const auto answer = write<Appended>(sealed(2, {tablet_, bob_, second}, [](auto& parts) {
    parts.roster_revision = 2;
    parts.peer_list_version = 2;
  }));
  EXPECT_EQ(answer.seq, 4u);
  EXPECT_EQ(shown("bob", second, answer.conversation_id, 3).at(0).slice(), slice_name(2, second));
}

TEST_F(EncryptedContract, ADeviceThatWasTakenOutIsToldTheListAndThenRefused) {
  begin();
  publish("ann", phone_, 2, {phone_});
  const auto from_tablet = [&](std::uint64_t version) {
    AppendMessage op =
        sealed(7, {phone_, bob_}, [version](EncryptedParts& parts) { parts.own_list_version = version; });
    op.sender_device = tablet_;
    op.send_number = 1;
    return op;
  };

  const auto told = commit({from_tablet(1)}).answers.at(0);
  ASSERT_TRUE(told.ok()) << told.error().detail;
  ASSERT_TRUE(std::holds_alternative<RosterChanged>(*told));
  EXPECT_EQ(code(from_tablet(2)), Code::kForbidden);
}

TEST_F(EncryptedContract, ARevisionOrTheVersionsAreEnough) {
  begin();
  const auto versions = [](std::uint64_t revision, std::uint64_t own) {
    return [=](EncryptedParts& parts) {
      parts.roster_revision = revision;
      parts.own_list_version = own;
    };
  };
  EXPECT_EQ(write<Appended>(sealed(2, {tablet_, bob_}, versions(0, 1))).seq, 3u);
  EXPECT_EQ(write<Appended>(sealed(3, {tablet_, bob_}, versions(1, 9))).seq, 4u)
      << "the version only says what it lacks";
}

TEST_F(EncryptedContract, ADeviceWithoutABundleNeedsNoSliceAndMayHaveOne) {
  publish("bob", bob_, 2, {bob_, log_in("bob", "installation-009").session.device_id}, false);
  const DeviceId second = reader().newest_list("bob")->devices.at(1).device_id;
  const auto versions = [](EncryptedParts& parts) { parts.peer_list_version = 2; };
  EXPECT_EQ(write<Appended>(sealed(1, {tablet_, bob_}, versions)).seq, 2u);
  const auto answer = write<Appended>(sealed(2, {tablet_, bob_, second}, versions));
  EXPECT_EQ(shown("bob", second, answer.conversation_id, 2).at(0).slice(), slice_name(2, second));
  // What it had no slice of is there, so that it can ask for it.
  const auto left_out = shown("bob", second, answer.conversation_id, 1);
  EXPECT_EQ(left_out.at(0).kind(), wire::ITEM_KIND_MESSAGE);
  EXPECT_EQ(left_out[0].slice(), std::string(1, '\0'));
  EXPECT_EQ(left_out[0].sender_device_id(), phone_.value);
  EXPECT_EQ(left_out[0].client_message_id(), good(1).client_message_id.view());
  acknowledge(second, answer.conversation_id, 3);
  EXPECT_EQ(shown("bob", second, answer.conversation_id, 1).at(0).kind(), wire::ITEM_KIND_SKIP) << "kept until then";
  upload_prekeys("bob", second);
  EXPECT_TRUE(std::holds_alternative<RosterChanged>(*commit({sealed(3, {tablet_, bob_}, versions)}).answers.at(0)));
}

TEST_F(EncryptedContract, ARemovedDeviceThatIsStillListedIsKeptNothing) {
  begin();
  write<Done>(EndSessions{"ann", tablet_, true, now()});
  const auto answer = commit({good(2), sealed(3, {bob_})});
  ASSERT_TRUE(std::holds_alternative<Appended>(*answer.answers[0])) << "a session of before still encrypts for it";
  ASSERT_TRUE(std::holds_alternative<Appended>(*answer.answers[1])) << "nobody can begin one";
  ASSERT_EQ(answer.appended.at(0).slices.size(), 1u);
  EXPECT_EQ(answer.appended[0].slices[0].device_id, bob_);
  ASSERT_EQ(answer.appended.at(1).slices.size(), 1u);
  EXPECT_EQ(answer.appended[1].slices[0].device_id, bob_);
}

// Between a list with a device and its prekeys, as it is read and as it is passed on.
TEST_F(EncryptedContract, ADeviceThatIsLeftOutIsToldOfMessagesAndOfNothingElse) {
  const ConversationId conversation = begin();
  const DeviceId second = log_in("bob", "installation-009").session.device_id;
  publish("bob", bob_, 2, {bob_, second}, false);
  extend();
  upload_prekeys("bob", bob_);
  const auto today = [](EncryptedParts& parts) {
    parts.roster_revision = 2;
    parts.peer_list_version = 2;
  };
  const CommitResult result = commit({sealed(2, {tablet_, bob_}, today), sealed(3, {bob_}, [&](EncryptedParts& parts) {
                                        today(parts);
                                        parts.kind = wire::ITEM_KIND_RETRY;
                                      })});
  const auto at = std::get<Appended>(*result.answers.at(0)).seq;
  ASSERT_TRUE(std::holds_alternative<Appended>(*result.answers.at(1)));
  ASSERT_EQ(result.appended.at(0).slices.size(), 3u);
  EXPECT_EQ(result.appended[0].slices[2].device_id, second);
  const auto items = shown("bob", second, conversation, at - 1);
  EXPECT_EQ(items.at(0).SerializeAsString(), *result.appended[0].slices[2].item);
  EXPECT_EQ(items.at(1).kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(items[1].skip_reason(), wire::SKIP_REASON_NOT_ADDRESSED);
  const auto of_the_tablet = shown("ann", tablet_, conversation, at - 1);
  EXPECT_EQ(of_the_tablet.at(0).slice(), slice_name(2, tablet_));
}

struct BadSealed {
  const char* name;
  Code refused;
  std::function<AppendMessage()> op;
};

TEST_F(EncryptedContract, EveryOtherBadSendIsRefusedAndLeavesNothing) {
  register_user("cid");  // no list
  const DeviceId cid = log_in("cid").session.device_id;
  const ConversationId conversation = begin();
  const auto as = [](AppendMessage op, const UserId& sender, DeviceId device) {
    op.sender = sender;
    op.sender_device = device;
    return op;
  };
  const auto to = [](AppendMessage op, Target target, std::uint64_t number) {
    op.target = std::move(target);
    op.send_number = number;
    return op;
  };
  const auto kind = [](wire::ItemKind item_kind, Seq target) {
    return [=](EncryptedParts& parts) {
      parts.kind = item_kind;
      parts.target_seq = target;
    };
  };
  const std::vector<BadSealed> table = {
      {"two for one device", Code::kInvalidArgument,
       [&] {
         return sealed(2, {tablet_, bob_, bob_});
       }},
      {"a plain one", Code::kForbidden, [&] { return message("ann", phone_, to_peer("bob"), 2); }},
      {"of a device in no list", Code::kForbidden, [&] { return to(as(good(7), "ann", laptop_), to_peer("bob"), 1); }},
      {"of a user without a list", Code::kForbidden,
       [&] { return to(as(sealed(1, {phone_}), "cid", cid), to_peer("ann"), 1); }},
      {"of somebody else", Code::kNotFound,
       [&] { return to(as(sealed(1, {phone_}), "cid", cid), to_conversation(conversation), 1); }},
      {"for a user without a list", Code::kNotFound, [&] { return to(sealed(7, {tablet_}), to_peer("cid"), 1); }},
      {"for nobody", Code::kNotFound, [&] { return to(sealed(7, {tablet_}), to_peer("nobody"), 1); }},
      {"in a conversation that is not there", Code::kNotFound,
       [&] { return to(good(2), to_conversation(ConversationId{4'242}), 2); }},
      {"in an account stream", Code::kNotFound,
       [&] { return to(good(2), to_conversation(ann_account_.account_stream), 2); }},
      {"the number after the next", Code::kOutOfOrder, [&] { return good(3); }},
      {"a chunk that is not staged", Code::kUnavailable,
       [&] {
         return sealed(2, {tablet_, bob_}, [](auto& parts) { parts.staged_chunks = 1; });
       }},
      {"RETRY of nobody's first item", Code::kInvalidArgument,
       [&] {
         publish("cid", cid, 1, {cid});
         return to(sealed(9, {cid}, kind(wire::ITEM_KIND_RETRY, 0)), to_peer("cid"), 1);
       }},
      {"REPAIR without a target", Code::kInvalidArgument,
       [&] { return sealed(2, {bob_}, kind(wire::ITEM_KIND_REPAIR, 0)); }},
      {"REPAIR of a roster", Code::kInvalidArgument,
       [&] { return sealed(2, {bob_}, kind(wire::ITEM_KIND_REPAIR, 1)); }},
      {"REPAIR beyond the head", Code::kInvalidArgument,
       [&] { return sealed(2, {bob_}, kind(wire::ITEM_KIND_REPAIR, 3)); }},
      {"REPAIR of another device's message", Code::kInvalidArgument,
       [&] { return to(as(sealed(7, {phone_}, kind(wire::ITEM_KIND_REPAIR, 2)), "ann", tablet_), to_peer("bob"), 1); }},
  };
  for (const BadSealed& bad : table) {
    SCOPED_TRACE(bad.name);
    const CommitResult result = commit({bad.op()});
    EXPECT_EQ(result.answers.at(0).code(), bad.refused);
    EXPECT_TRUE(result.appended.empty());
    EXPECT_EQ(head(conversation), 2u);
  }
  EXPECT_EQ(commit({to(sealed(7, {tablet_}), to_peer("nobody"), 1)}).answers[0].error().detail,
            "no such user, or one without a device list");
  EXPECT_EQ(*reader().encryption_counter(phone_), 1u);
  EXPECT_EQ(write<Appended>(good(2)).seq, 3u);
}

TEST_F(EncryptedContract, PlainAndEncryptedNeverMix) {
  const auto plain = write<Appended>(message("ann", phone_, to_peer("bob"), 1));
  EXPECT_EQ(code(good(2)), Code::kForbidden);
  EXPECT_EQ(write<Appended>(message("ann", phone_, to_peer("bob"), 2)).seq, 3u);
  EXPECT_EQ(shown("bob", bob_, plain.conversation_id)[0].roster().revision(), 0u);
  EXPECT_FALSE(shown("bob", bob_, plain.conversation_id)[0].roster().encrypted());
}

// ---- Repeats -------------------------------------------------------------------------------------------------------

TEST_F(EncryptedContract, ARepeatGetsTheFirstAnswerWhateverTheRosterIsNow) {
  const auto first = write<Appended>(good(1));
  publish("bob", bob_, 2, {bob_, log_in("bob", "installation-009").session.device_id});
  AppendMessage again = good(1);
  const CommitResult result = commit({again});
  const auto repeated = std::get<Appended>(*result.answers.at(0));
  EXPECT_TRUE(repeated.repeated);
  EXPECT_EQ(repeated.seq, first.seq);
  EXPECT_TRUE(result.appended.empty());
  again.only_repeat = true;
  EXPECT_TRUE(write<Appended>(again).repeated);
  AppendMessage fresh = good(2);
  fresh.only_repeat = true;
  EXPECT_EQ(code(fresh), Code::kNotFound);
}

TEST_F(EncryptedContract, OtherSlicesUnderTheSameIdAreAConflict) {
  begin();
  EXPECT_EQ(code(sealed(1, {tablet_, bob_}, [](auto& parts) { parts.slices[1].message += "!"; })), Code::kConflict);
  EXPECT_EQ(code(sealed(1, {tablet_})), Code::kConflict);
  EXPECT_EQ(code(message("ann", phone_, to_peer("bob"), 1)), Code::kConflict) << "a plain one";
  write<Voided>(void_of(good(2)));
  EXPECT_EQ(code(good(2)), Code::kVoided);
}

// ---- RETRY and REPAIR ----------------------------------------------------------------------------------------------

TEST_F(EncryptedContract, ARetryAndARepairAreForOneDevice) {
  const ConversationId conversation = begin();
  AppendMessage retry = sealed(1, {phone_}, [](auto& parts) { parts.kind = wire::ITEM_KIND_RETRY; });
  retry.sender = "bob";
  retry.sender_device = bob_;
  retry.target = to_peer("ann");
  EXPECT_EQ(write<Appended>(retry).seq, 3u);
  const auto repair = [](EncryptedParts& parts) {
    parts.kind = wire::ITEM_KIND_REPAIR;
    parts.target_seq = 2;
  };
  EXPECT_EQ(write<Appended>(sealed(2, {bob_}, repair)).seq, 4u);

  const auto phone = shown("ann", phone_, conversation, 2);
  ASSERT_EQ(phone.size(), 2u);
  EXPECT_EQ(phone[0].kind(), wire::ITEM_KIND_RETRY);
  EXPECT_EQ(phone[0].slice(), slice_name(1, phone_));
  EXPECT_EQ(phone[0].target_seq(), 0u);
  EXPECT_EQ(phone[1].kind(), wire::ITEM_KIND_REPAIR);
  EXPECT_TRUE(phone[1].slice().empty()) << "its own";
  const auto bob = shown("bob", bob_, conversation, 2);
  ASSERT_EQ(bob.size(), 2u);
  EXPECT_EQ(bob[1].kind(), wire::ITEM_KIND_REPAIR);
  EXPECT_EQ(bob[1].slice(), slice_name(2, bob_));
  EXPECT_EQ(bob[1].target_seq(), 2u);
  EXPECT_TRUE(bob[1].content().empty());
  const auto tablet = shown("ann", tablet_, conversation, 2);
  ASSERT_EQ(tablet.size(), 1u) << "one skip for both";
  EXPECT_EQ(tablet[0].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(tablet[0].seq(), 4u);

  EXPECT_TRUE(std::holds_alternative<RosterChanged>(*commit({sealed(3, {laptop_}, repair)}).answers.at(0)));
}

// ---- What waits for a device ---------------------------------------------------------------------------------------

TEST_F(EncryptedContract, AnAcknowledgedSliceIsGoneAndTheOthersStay) {
  const ConversationId conversation = begin();
  write<Appended>(good(2));
  write<Appended>(good(3));
  acknowledge(bob_, conversation, 3);
  acknowledge(bob_, conversation, 2);  // never lower
  const auto bob = shown("bob", bob_, conversation, 1);
  ASSERT_EQ(bob.size(), 2u);
  EXPECT_EQ(bob[0].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(bob[0].seq(), 3u);
  EXPECT_EQ(bob[1].slice(), slice_name(3, bob_));
  EXPECT_EQ(shown("ann", tablet_, conversation, 1).size(), 3u);
  acknowledge(bob_, conversation, 4);
  EXPECT_EQ(shown("bob", bob_, conversation, 1).size(), 1u);
}

TEST_F(EncryptedContract, ADeviceThatLeavesItsListIsKeptNothing) {
  const ConversationId conversation = begin();
  publish("ann", phone_, 2, {phone_});
  EXPECT_EQ(shown("ann", tablet_, conversation, 1).at(0).kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(shown("bob", bob_, conversation, 1).at(0).slice(), slice_name(1, bob_));
}

// Nobody could read it any more, and it would count as delivered.
TEST_F(EncryptedContract, ADeviceTakesNoOtherRecordBeforeItHasReadWhatWaits) {
  const ConversationId conversation = begin();
  const PublishLists anew = another_key(tablet_, 2, 1, record_of(tablet_, "b"));
  EXPECT_EQ(code(anew), Code::kUnavailable);
  EXPECT_EQ(reader().newest_list("ann")->version, 1u);
  acknowledge(tablet_, conversation, head(conversation));
  EXPECT_EQ(code(anew), Code::kOk);
}

TEST_F(EncryptedContract, SkipsStandForWholeRunsAndAPageEnds) {
  const ConversationId conversation = begin();
  std::vector<WriteOp> ops;
  const std::uint64_t last = limits::e2ee::kUnaddressedRead + 10;
  for (std::uint64_t number = 2; number <= last; ++number) ops.push_back(good(number));
  commit(std::move(ops));
  const auto page = reader().items("ann", laptop_, conversation, 1, 64, 1 << 20);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->last, 1 + limits::e2ee::kUnaddressedRead);
  EXPECT_EQ(parse(page->items[0]).seq(), page->last);
  const auto rest = reader().items("ann", laptop_, conversation, page->last, 64, 1 << 20);
  EXPECT_EQ(rest->last, last + 1);
  EXPECT_EQ(rest->head, last + 1);
  // A run before an item that has no room any more.
  const auto mixed = reader().items("ann", laptop_, conversation, 0, 1, 1 << 20);
  ASSERT_EQ(mixed->items.size(), 1u);
  EXPECT_EQ(parse(mixed->items[0]).kind(), wire::ITEM_KIND_ROSTER);
}

TEST_F(EncryptedContract, ARunOfSkipsEndsBeforeTheNextItemOfTheDevice) {
  const ConversationId conversation = begin();
  write<Appended>(good(2));
  publish("ann", phone_, 2, {phone_, tablet_, laptop_});
  ASSERT_EQ(extend().appended, 1u);
  write<Appended>(sealed(3, {tablet_, laptop_, bob_}, [](auto& parts) { parts.roster_revision = 2; }));
  const auto items = shown("ann", laptop_, conversation);
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0].kind(), wire::ITEM_KIND_ROSTER);
  EXPECT_EQ(items[1].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(items[1].seq(), 3u);
  EXPECT_EQ(items[2].kind(), wire::ITEM_KIND_ROSTER);
  EXPECT_EQ(items[3].slice(), slice_name(3, laptop_));
  const auto page = reader().items("ann", laptop_, conversation, 1, 1, 1 << 20);
  ASSERT_EQ(page->items.size(), 1u) << "the skip takes the room of the roster behind it";
  EXPECT_EQ(page->last, 3u);
}

// ---- Staged slices -------------------------------------------------------------------------------------------------

TEST_F(EncryptedContract, WhatWasStagedIsCommittedWithItsItem) {
  write<Done>(chunk(1, 0, {bob_}));
  write<Done>(chunk(1, 1, {tablet_}));
  const auto staged = [](std::uint32_t chunks) {
    return [chunks](EncryptedParts& parts) { parts.staged_chunks = chunks; };
  };
  const auto answer = write<Appended>(sealed(1, {}, staged(2)));
  EXPECT_EQ(shown("bob", bob_, answer.conversation_id, 1).at(0).slice(), slice_name(1, bob_));
  EXPECT_EQ(shown("ann", tablet_, answer.conversation_id, 1).at(0).slice(), slice_name(1, tablet_));
  // What comes again in another cut is the same message.
  EXPECT_TRUE(write<Appended>(good(1)).repeated);
  EXPECT_EQ(code(sealed(1, {}, staged(2))), Code::kUnavailable) << "the chunks are gone with the item";
  write<Done>(chunk(1, 0, {tablet_}));
  EXPECT_TRUE(write<Appended>(sealed(1, {bob_}, staged(1))).repeated);
}

TEST_F(EncryptedContract, AChunkThatIsMissingIsNamedAndOneThatComesAgainReplaces) {
  const auto two = [](EncryptedParts& parts) { parts.staged_chunks = 2; };
  write<Done>(chunk(1, 1, {tablet_}));
  const CommitResult missing = commit({sealed(1, {}, two)});
  EXPECT_EQ(missing.answers[0].code(), Code::kUnavailable);
  EXPECT_TRUE(missing.answers[0].error().detail.starts_with("chunk 0 of 2 ")) << missing.answers[0].error().detail;
  EXPECT_GT(missing.answers[0].error().retry_after.count(), 0);
  write<Done>(chunk(1, 0, {tablet_}));
  EXPECT_EQ(code(sealed(1, {}, two)), Code::kInvalidArgument) << "a device in two chunks";
  write<Done>(chunk(1, 0, {bob_}));
  EXPECT_EQ(write<Appended>(sealed(1, {}, two)).seq, 2u);
}

TEST_F(EncryptedContract, WhatDidNotFitTheRosterIsStagedNoMore) {
  const auto one = [](EncryptedParts& parts) { parts.staged_chunks = 1; };
  write<Done>(chunk(1, 0, {bob_}));
  EXPECT_TRUE(std::holds_alternative<RosterChanged>(*commit({sealed(1, {}, one)}).answers.at(0)));
  EXPECT_EQ(code(sealed(1, {tablet_}, one)), Code::kUnavailable);
}

TEST_F(EncryptedContract, ChunksAreBoundedAndGoAfterATime) {
  StageSlices large = chunk(1, 0, {});
  const auto filled = [&](std::uint32_t index, std::size_t bytes) {
    large.chunk = index;
    large.slices = {{bob_, Bytes(bytes - 12, 's')}};
    return large;
  };
  EXPECT_EQ(code(filled(0, limits::e2ee::kStagedBytesMax - 100)), Code::kOk);
  EXPECT_EQ(code(filled(1, 101)), Code::kRateLimited);
  EXPECT_EQ(code(filled(1, 100)), Code::kOk);
  EXPECT_EQ(code(filled(1, 100)), Code::kOk) << "what is replaced does not count";
  StageSlices tablets = chunk(1, 0, {bob_});
  tablets.device_id = tablet_;
  EXPECT_EQ(code(tablets), Code::kOk) << "another device's";
  pass(std::chrono::duration_cast<std::chrono::milliseconds>(limits::e2ee::kStagedKept).count());
  write<Done>(PurgeStaged{now()});
  EXPECT_EQ(code(filled(2, 100)), Code::kRateLimited) << "exactly that old stays";
  pass(1);
  write<Done>(PurgeStaged{now()});
  EXPECT_EQ(code(filled(2, 101)), Code::kOk);
}

TEST_F(EncryptedContract, NothingIsStagedBehindTheEndOfASession) {
  const SessionId session = log_in("ann", "installation-001").session.session_id;
  StageSlices op = chunk(1, 0, {bob_});
  op.session = session;
  EXPECT_EQ(code(op), Code::kOk);
  write<Done>(EndSessions{"ann", phone_, false, now()});
  EXPECT_EQ(code(op), Code::kUnauthenticated);
}

// ---- Changed lists -------------------------------------------------------------------------------------------------

TEST_F(EncryptedContract, AChangedListIsToldToEachEncryptedConversation) {
  std::vector<ConversationId> encrypted = {begin()};
  for (const char* peer : {"cid", "dan", "eve"}) {
    register_user(peer);
    const DeviceId device = log_in(peer).session.device_id;
    publish(peer, device, 1, {device});
    AppendMessage op = sealed(100 + encrypted.size(), {tablet_, device});
    op.target = to_peer(peer);
    op.send_number = 1;
    encrypted.push_back(write<Appended>(op).conversation_id);
  }
  register_user("fay");
  const auto plain = write<Appended>(message("ann", phone_, to_peer("fay"), 1)).conversation_id;

  EXPECT_FALSE(extend().more);
  EXPECT_TRUE(publish("ann", phone_, 2, {phone_, tablet_, laptop_}).rosters_due);
  EXPECT_EQ(extend(2).appended, 2u);
  harness_->reopen();
  const auto rest = extend(2);
  EXPECT_EQ(rest.appended, 2u);
  while (extend(2).more) {
  }
  EXPECT_EQ(extend().appended, 0u);
  for (const ConversationId conversation : encrypted) {
    const auto items = shown("ann", phone_, conversation, 2);
    ASSERT_EQ(items.size(), 1u);
    EXPECT_EQ(items[0].roster().revision(), 2u);
    ASSERT_EQ(items[0].roster().lists_size(), 1);
    EXPECT_EQ(items[0].roster().lists(0).list(), list_name("ann", 2));
    ASSERT_EQ(items[0].roster().lists(0).records_size(), 1);
    EXPECT_EQ(items[0].roster().lists(0).records(0), record_of(laptop_).record);
  }
  EXPECT_EQ(head(plain), 2u);
}

TEST_F(EncryptedContract, SeveralVersionsComeInOneRosterAndNothingIsDueWithoutAConversation) {
  EXPECT_FALSE(publish("bob", bob_, 2, {bob_}).rosters_due);
  const ConversationId conversation =
      write<Appended>(sealed(1, {tablet_, bob_}, [](auto& parts) { parts.peer_list_version = 2; })).conversation_id;
  publish("bob", bob_, 3, {bob_});
  publish("bob", bob_, 4, {bob_});
  publish("ann", phone_, 2, {phone_, tablet_});
  while (extend().more) {
  }
  const auto items = shown("bob", bob_, conversation, 2);
  ASSERT_EQ(items.size(), 1u);
  const wire::Roster& roster = items[0].roster();
  ASSERT_EQ(roster.lists_size(), 3);
  EXPECT_EQ(roster.lists(0).list(), list_name("ann", 2));
  EXPECT_EQ(roster.lists(1).list(), list_name("bob", 3));
  EXPECT_EQ(roster.lists(2).list(), list_name("bob", 4));
  EXPECT_EQ(roster.lists(2).records_size(), 0);
  harness_->reopen();
  EXPECT_EQ(write<Appended>(sealed(2, {tablet_, bob_}, [](auto& parts) { parts.roster_revision = 2; })).seq, 4u);
}

// They begin below what the rosters have of the key before, where the store went back.
class AnotherKeyInRosters : public EncryptedContract {
 protected:
  void expect_all_its_lists(bool reopened) {
    const ConversationId conversation = begin();
    for (const std::uint64_t version : {2U, 3U}) publish("ann", phone_, version, {phone_, tablet_});
    while (extend().more) {
    }
    EXPECT_EQ(code(another_key(phone_, 2, 3, record_of(phone_))), Code::kOk);
    if (reopened) harness_->reopen();
    while (extend().more) {
    }
    const auto items = shown("bob", bob_, conversation, 3);
    ASSERT_EQ(items.size(), 1u);
    const wire::Roster& roster = items[0].roster();
    ASSERT_EQ(roster.lists_size(), 3);
    EXPECT_EQ(roster.lists(0).list(), "list 2 of another key");
    EXPECT_EQ(roster.lists(2).list(), "list 4 of another key");
    ASSERT_EQ(roster.lists(0).records_size(), 1) << "it was named under the key before";
    EXPECT_EQ(roster.lists(1).records_size(), 0);
  }
};

TEST_F(AnotherKeyInRosters, HasAllItsListsThere) { expect_all_its_lists(false); }
TEST_F(AnotherKeyInRosters, HasAllItsListsThereAfterARestart) { expect_all_its_lists(true); }

// ---- The count of a device's items ---------------------------------------------------------------------------------

TEST_F(EncryptedContract, TheHighestCounterStays) {
  EXPECT_EQ(*reader().encryption_counter(phone_), 0u);
  EXPECT_EQ(*reader().encryption_counter(DeviceId{4'242}), 0u);
  write<Appended>(sealed(1, {tablet_, bob_}, [](auto& parts) { parts.counter = 5; }));
  write<Appended>(
      sealed(2, {tablet_, bob_}, [](auto& parts) { parts.counter = 3; }));  // another conversation's passed it
  harness_->reopen();
  EXPECT_EQ(*reader().encryption_counter(phone_), 5u);
  EXPECT_EQ(*reader().encryption_counter(tablet_), 0u);
}

// ---- The delivered mark --------------------------------------------------------------------------------------------

class DeliveredMark : public EncryptedContract {
 protected:
  void SetUp() override {
    EncryptedContract::SetUp();
    conversation_ = begin();
  }
  Seq acknowledged(const UserId& user, Seq from, Seq up_to) {
    write<MarksAdvanced>(AdvanceMarks{user, conversation_, from, up_to, 0, now()});
    Seq delivered = 0;
    const auto advances = reader().marks_after(user, conversation_, 0, 100);
    for (const MarkAdvance& advance : *advances) {
      if (advance.user_id == user && advance.kind == wire::Marks::KIND_DELIVERED) delivered = advance.up_to;
    }
    return delivered;
  }
  // Bob's second device, listed behind the message at seq 2; the next one, at seq 4, is for both.
  void link_second() {
    second_ = log_in("bob", "installation-001").session.device_id;
    publish("bob", bob_, 2, {bob_, second_});
    AppendMessage op = sealed(2, {tablet_, bob_, second_}, [](EncryptedParts& parts) { parts.peer_list_version = 2; });
    ASSERT_EQ(write<Appended>(op).seq, 4u);
  }

  ConversationId conversation_;
  DeviceId second_;
};

TEST_F(DeliveredMark, WaitsForADeviceThatTheMessageIsFor) {
  link_second();
  EXPECT_EQ(acknowledged("bob", 2, 4), 0u);
  acknowledge(bob_, conversation_, 4);
  EXPECT_EQ(acknowledged("bob", 0, 4), 4u);
}

TEST_F(DeliveredMark, PassesOverWhatOnlyDevicesThatAreGoneWereToHave) {
  link_second();
  write<Done>(EndSessions{"bob", bob_, true, now()});
  EXPECT_EQ(acknowledged("bob", 2, 4), 4u);
}

TEST_F(DeliveredMark, WaitsForTheDeviceThatWroteTheMessage) {
  link_second();
  acknowledge(tablet_, conversation_, 4);
  EXPECT_EQ(acknowledged("ann", 4, 4), 0u);
  acknowledge(phone_, conversation_, 4);
  EXPECT_EQ(acknowledged("ann", 2, 4), 4u);
}

TEST_F(DeliveredMark, WaitsForWhatADeviceMisses) {
  link_second();
  write<Done>(AdvanceCursor{bob_, conversation_, 4, 2});
  EXPECT_EQ(acknowledged("bob", 2, 4), 0u);
  write<Done>(AdvanceCursor{bob_, conversation_, 4, 0});
  EXPECT_EQ(acknowledged("bob", 2, 4), 4u);
}

TEST_F(DeliveredMark, PassesOverWhatADeviceMissesThatIsNotListedAnyMore) {
  link_second();
  write<Done>(AdvanceCursor{bob_, conversation_, 4, 2});
  EXPECT_EQ(acknowledged("bob", 2, 4), 0u);
  publish("bob", second_, 3, {second_});
  EXPECT_EQ(acknowledged("bob", 2, 4), 4u) << "it logged out, or was taken out";
}

TEST_F(DeliveredMark, WaitsForWhatADeviceMissesWhoseCursorIsNotWrittenYet) {
  link_second();
  acknowledge(bob_, conversation_, 4);
  AdvanceMarks op{"bob", conversation_, 2, 4, 0, now()};
  op.missing_from = 2;
  EXPECT_TRUE(write<MarksAdvanced>(op).advances.empty());
  op.missing_from = 0;
  EXPECT_EQ(write<MarksAdvanced>(op).advances.size(), 1u);
}

TEST_F(DeliveredMark, WhatIsMissingIsWhatTheLastAcknowledgementSays) {
  link_second();
  write<Done>(AdvanceCursor{bob_, conversation_, 4, 2});
  write<Done>(AdvanceCursor{bob_, conversation_, 3, 0});
  EXPECT_EQ(acknowledged("bob", 2, 4), 0u);
}

}  // namespace
}  // namespace chatsdk::server
