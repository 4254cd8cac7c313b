// SPDX-License-Identifier: Apache-2.0
//
// The rules of the mailboxes for linking: whose a message may be, what it follows, that it stays as it is, and how long
// it is there. The store looks into no message, so they are names here.
//
// Threads: one.
#include "base/limits.h"
#include "tests/unit/server/key_rows.h"
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {
namespace {

constexpr std::int64_t kValidMs = std::chrono::milliseconds(limits::e2ee::kLinkValid).count();
constexpr LinkStep kSteps[] = {LinkStep::kOffer, LinkStep::kReveal, LinkStep::kGrant};

// Ann's list names her phone and her tablet; her laptop is to be linked. Bob's names his phone.
class LinkContract : public StoreContract {
 protected:
  void SetUp() override {
    register_user("ann");
    register_user("bob");
    phone_ = log_in("ann", "installation-001").session;
    tablet_ = log_in("ann", "installation-002").session;
    laptop_ = log_in("ann", "installation-003").session;
    bob_ = log_in("bob").session;
    publish(phone_, 1, {phone_, tablet_});
    publish(bob_, 1, {bob_});
  }
  void publish(const Session& uploader, std::uint64_t version, const std::vector<Session>& devices) {
    PublishLists op;
    op.user_id = uploader.user_id;
    op.uploader = uploader.device_id;
    op.account_key = hash_named("key of " + uploader.user_id);
    for (const Session& device : devices) op.records.push_back(record_of(device.device_id));
    op.lists = {list_of(version, op.records, " of " + uploader.user_id)};
    op.now = now();
    write<ListsPublished>(op);
  }

  static Bytes link(char name = 'l') { return Bytes(16, name); }
  // A message of this step, as the device sends it.
  PutLinkMessage put(LinkStep step, const Session& by, Bytes link_id = link(), const std::string& flavour = "") {
    return {
        by.user_id, by.device_id, by.session_id, std::move(link_id), step, std::string(link_step_name(step)) + flavour,
        now()};
  }
  PutLinkMessage offer() { return put(LinkStep::kOffer, phone_); }
  PutLinkMessage reveal() { return put(LinkStep::kReveal, laptop_); }
  PutLinkMessage grant() { return put(LinkStep::kGrant, phone_); }
  std::vector<PutLinkMessage> whole() { return {offer(), reveal(), grant()}; }
  void link_whole() {
    for (PutLinkMessage& op : whole()) write<Done>(std::move(op));
  }
  // What the mailbox shows of a step; "-" for nothing.
  std::string shown(LinkStep step, const UserId& user = "ann", const Bytes& link_id = link()) {
    const auto message = reader().link_message(user, link_id, step, now());
    EXPECT_TRUE(message.ok());
    return message->value_or("-");
  }
  std::string all_shown(const UserId& user = "ann", const Bytes& link_id = link()) {
    std::string all;
    for (const LinkStep step : kSteps) all += shown(step, user, link_id) + " ";
    return all;
  }

  Session phone_;
  Session tablet_;
  Session laptop_;
  Session bob_;
};

TEST_F(LinkContract, EachStepIsReadAsItWasLeft) {
  EXPECT_EQ(all_shown(), "- - - ");
  write<Done>(offer());
  EXPECT_EQ(all_shown(), "offer - - ");
  write<Done>(reveal());
  EXPECT_EQ(all_shown(), "offer reveal - ");
  write<Done>(grant());
  EXPECT_EQ(all_shown(), "offer reveal grant ");
}

TEST_F(LinkContract, ARestartKeepsAMailboxAndItsTime) {
  write<Done>(offer());
  harness_->reopen();
  write<Done>(reveal());
  harness_->reopen();
  EXPECT_EQ(all_shown(), "offer reveal - ");
  EXPECT_EQ(code(offer()), Code::kOk) << "a repeat";
  EXPECT_EQ(code(put(LinkStep::kOffer, phone_, link(), "2")), Code::kConflict);
  pass(kValidMs);
  harness_->reopen();
  EXPECT_EQ(all_shown(), "- - - ");
}

TEST_F(LinkContract, ARepeatChangesNothing) {
  link_whole();
  pass(kValidMs - 1);
  for (const PutLinkMessage& op : whole()) {
    const CommitResult result = commit({op, op});
    EXPECT_TRUE(result.answers.at(0).ok() && result.answers.at(1).ok());
  }
  EXPECT_EQ(all_shown(), "offer reveal grant ");
  pass(1);
  EXPECT_EQ(all_shown(), "- - - ") << "the time is that of the first offer";
}

TEST_F(LinkContract, ARepeatIsAnsweredWhateverHasChangedSince) {
  link_whole();
  publish(laptop_, 2, {phone_, tablet_, laptop_});
  EXPECT_EQ(code(reveal()), Code::kOk) << "the device is listed now";
  EXPECT_EQ(code(put(LinkStep::kReveal, laptop_, link(), "2")), Code::kForbidden);
}

TEST_F(LinkContract, WhatIsThereIsNotReplaced) {
  link_whole();
  EXPECT_EQ(code(put(LinkStep::kOffer, phone_, link(), "2")), Code::kConflict);
  EXPECT_EQ(code(put(LinkStep::kReveal, laptop_, link(), "2")), Code::kConflict);
  EXPECT_EQ(code(put(LinkStep::kGrant, phone_, link(), "2")), Code::kConflict);
  EXPECT_EQ(code(put(LinkStep::kOffer, tablet_)), Code::kConflict) << "the same bytes of another device";
  EXPECT_EQ(code(put(LinkStep::kReveal, log_in("ann", "installation-004").session)), Code::kConflict);
  EXPECT_EQ(all_shown(), "offer reveal grant ");
}

TEST_F(LinkContract, OfTwoOffersInABatchTheFirstIsTaken) {
  const CommitResult result = commit({offer(), put(LinkStep::kOffer, tablet_, link(), "2"), reveal()});
  EXPECT_TRUE(result.answers.at(0).ok());
  EXPECT_EQ(result.answers.at(1).code(), Code::kConflict);
  EXPECT_TRUE(result.answers.at(2).ok());
  EXPECT_EQ(shown(LinkStep::kOffer), "offer");
}

TEST_F(LinkContract, StepsComeInTheirOrder) {
  EXPECT_EQ(code(reveal()), Code::kConflict);
  EXPECT_EQ(code(grant()), Code::kConflict);
  write<Done>(offer());
  EXPECT_EQ(code(grant()), Code::kConflict);
  write<Done>(put(LinkStep::kOffer, phone_, link('m')));
  write<Done>(put(LinkStep::kReveal, laptop_, link('m')));
  EXPECT_EQ(code(grant()), Code::kConflict) << "the reveal of another mailbox";
  EXPECT_EQ(all_shown(), "offer - - ");
}

TEST_F(LinkContract, ListedDevicesOfferAndGrantAndOthersReveal) {
  EXPECT_EQ(code(put(LinkStep::kOffer, laptop_)), Code::kForbidden);
  write<Done>(offer());
  EXPECT_EQ(code(put(LinkStep::kReveal, phone_)), Code::kForbidden);
  EXPECT_EQ(code(put(LinkStep::kReveal, tablet_)), Code::kForbidden);
  write<Done>(reveal());
  EXPECT_EQ(code(put(LinkStep::kGrant, laptop_)), Code::kForbidden);
  EXPECT_EQ(all_shown(), "offer reveal - ");
}

TEST_F(LinkContract, WhoHasOfferedGrants) {
  write<Done>(offer());
  write<Done>(reveal());
  EXPECT_EQ(code(put(LinkStep::kGrant, tablet_)), Code::kForbidden);
  write<Done>(grant());
}

TEST_F(LinkContract, TheNewestListCounts) {
  publish(phone_, 2, {phone_});
  tablet_ = log_in("ann", "installation-002").session;
  EXPECT_EQ(code(put(LinkStep::kOffer, tablet_)), Code::kForbidden) << "it has left the list";
  write<Done>(offer());
  write<Done>(put(LinkStep::kReveal, tablet_));
}

TEST_F(LinkContract, AUserWithoutListHasNoLinking) {
  register_user("cid");
  const Session cid = log_in("cid").session;
  EXPECT_EQ(code(put(LinkStep::kOffer, cid)), Code::kForbidden);
  EXPECT_EQ(code(put(LinkStep::kReveal, cid)), Code::kConflict);
}

TEST_F(LinkContract, UsersDoNotMeetInAMailbox) {
  write<Done>(offer());
  EXPECT_EQ(all_shown("bob"), "- - - ");
  EXPECT_EQ(code(put(LinkStep::kOffer, bob_, link(), " of bob")), Code::kOk);
  EXPECT_EQ(all_shown("bob"), "offer of bob - - ");
  EXPECT_EQ(all_shown(), "offer - - ");
  // Bob's second device, which his list does not name, reveals to bob's mailbox alone.
  const Session second = log_in("bob", "installation-002").session;
  EXPECT_EQ(code(put(LinkStep::kReveal, second)), Code::kOk);
  EXPECT_EQ(all_shown(), "offer - - ");
}

TEST_F(LinkContract, NothingIsLeftBehindTheEndOfASession) {
  const CommitResult result = commit({offer(), EndSessions{"ann", laptop_.device_id, false, now()}, reveal()});
  EXPECT_EQ(result.answers.at(2).code(), Code::kUnauthenticated);
  const Session before = phone_;
  phone_ = log_in("ann", "installation-001").session;
  EXPECT_EQ(code(put(LinkStep::kOffer, before, link('m'))), Code::kUnauthenticated);
  EXPECT_EQ(code(put(LinkStep::kOffer, phone_, link('m'))), Code::kOk);
}

// ---- Time ----------------------------------------------------------------------------------------------------------

TEST_F(LinkContract, AMailboxEndsItsTimeAfterTheOffer) {
  write<Done>(offer());
  pass(kValidMs - 1);
  EXPECT_EQ(all_shown(), "offer - - ");
  write<Done>(reveal());
  EXPECT_EQ(all_shown(), "offer reveal - ");
  pass(1);
  EXPECT_EQ(all_shown(), "- - - ") << "the reveal with the offer";
  EXPECT_EQ(code(grant()), Code::kConflict);
  EXPECT_EQ(code(reveal()), Code::kConflict);
}

TEST_F(LinkContract, ANameWhoseTimeIsOverIsNew) {
  link_whole();
  pass(kValidMs);
  write<Done>(put(LinkStep::kOffer, tablet_, link(), "2"));
  EXPECT_EQ(all_shown(), "offer2 - - ") << "nothing of the mailbox before";
  pass(kValidMs - 1);
  EXPECT_EQ(all_shown(), "offer2 - - ");
}

TEST_F(LinkContract, WhatIsOverIsRemoved) {
  link_whole();
  pass(1);
  write<Done>(put(LinkStep::kOffer, phone_, link('m')));
  pass(kValidMs - 1);
  write<Done>(PurgeLinks{now()});
  now_ms_ -= kValidMs - 1;  // what is still a row is shown to an earlier clock
  EXPECT_EQ(all_shown(), "- - - ");
  EXPECT_EQ(all_shown("ann", link('m')), "offer - - ");
}

TEST_F(LinkContract, WhatIsNotOverIsNotRemoved) {
  link_whole();
  pass(kValidMs - 1);
  write<Done>(PurgeLinks{now()});
  EXPECT_EQ(all_shown(), "offer reveal grant ");
}

// ---- How many ------------------------------------------------------------------------------------------------------

TEST_F(LinkContract, OneMailboxMoreThanAUserMayHaveEndsTheOldest) {
  const auto open = [this](std::size_t number, const Session& by) {
    write<Done>(put(LinkStep::kOffer, by, Bytes(16, static_cast<char>('A' + number))));
    pass(1'000);
  };
  const auto shown = [this](std::size_t number) {
    return all_shown("ann", Bytes(16, static_cast<char>('A' + number)));
  };
  constexpr std::size_t kMost = limits::e2ee::kLinkMailboxesMax;
  for (std::size_t i = 0; i < kMost; ++i) open(i, i % 2 == 0 ? phone_ : tablet_);
  write<Done>(put(LinkStep::kReveal, laptop_, Bytes(16, 'A')));
  open(kMost - 1, kMost % 2 == 0 ? tablet_ : phone_);
  EXPECT_EQ(shown(0), "offer reveal - ") << "a repeat opens none";
  write<Done>(put(LinkStep::kOffer, bob_));
  EXPECT_EQ(shown(0), "offer reveal - ") << "another user's ends none";
  open(kMost, phone_);
  EXPECT_EQ(shown(0), "- - - ");
  for (std::size_t i = 1; i <= kMost; ++i) EXPECT_EQ(shown(i), "offer - - ") << i;
  EXPECT_EQ(all_shown("bob"), "offer - - ");
  EXPECT_EQ(code(put(LinkStep::kReveal, laptop_, Bytes(16, 'A'))), Code::kConflict) << "its linking is over";
}

// ---- Devices -------------------------------------------------------------------------------------------------------

TEST_F(LinkContract, ARemovedDeviceTakesItsMailboxesAlong) {
  for (const bool is_new : {false, true}) {
    link_whole();
    write<Done>(put(LinkStep::kOffer, tablet_, link('m')));
    write<Done>(EndSessions{"ann", is_new ? laptop_.device_id : phone_.device_id, true, now()});
    EXPECT_EQ(all_shown(), "- - - ");
    EXPECT_EQ(all_shown("ann", link('m')), "offer - - ") << "another device's";
    if (is_new) break;
    phone_ = log_in("ann", "installation-001").session;
    publish(tablet_, 2, {phone_, tablet_});
  }
}

TEST_F(LinkContract, ADeviceThatLeavesTheListTakesItsMailboxesAlong) {
  link_whole();
  write<Done>(put(LinkStep::kOffer, tablet_, link('m')));
  publish(tablet_, 2, {tablet_});
  EXPECT_EQ(all_shown(), "- - - ");
  EXPECT_EQ(all_shown("ann", link('m')), "offer - - ");
}

TEST_F(LinkContract, ALogOutLeavesThemThere) {
  link_whole();
  write<Done>(EndSessions{"ann", phone_.device_id, false, now()});
  EXPECT_EQ(all_shown(), "offer reveal grant ");
}

TEST_F(LinkContract, TheDeviceThatWasLinkedLeavesThemThere) {
  link_whole();
  publish(laptop_, 2, {phone_, tablet_, laptop_});
  EXPECT_EQ(all_shown(), "offer reveal grant ");
}

}  // namespace
}  // namespace chatsdk::server
