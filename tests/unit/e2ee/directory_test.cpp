// SPDX-License-Identifier: Apache-2.0
#include "e2ee/directory.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

// A user who changes the list of devices; all versions and all records are kept as the server would.
class Account {
 public:
  explicit Account(unsigned char seed_byte = 0x11) : seed_(secret_of<32>(seed_byte)) { change({1}, {}); }
  // Takes the place of another one, after its last version.
  Account(unsigned char seed_byte, const Account& before)
      : seed_(secret_of<32>(seed_byte)), lists_(before.lists_), records_(before.records_) {
    std::vector<std::uint64_t> gone;
    for (const ListedDevice& device : lists_.back().devices) gone.push_back(device.device_id.value);
    change({10}, gone);
  }

  // The devices get new keys each time that they are added.
  void change(const std::vector<std::uint64_t>& add, const std::vector<std::uint64_t>& remove) {
    std::vector<DeviceRecord> added;
    for (const std::uint64_t id : add) {
      added.push_back(make_device_record({"alice", DeviceId{id}, kSuitesSpoken, kThen, {}}, DeviceKeys::draw(random_)));
      records_.push_back(added.back().bytes);
    }
    std::vector<DeviceId> removed;
    for (const std::uint64_t id : remove) removed.push_back(DeviceId{id});
    lists_.push_back(lists_.empty() ? first_device_list("alice", seed_, added, kThen).value()
                                    : next_device_list(lists_.back(), seed_, added, removed, kThen).value());
  }
  // Versions without any other change.
  void reach(std::uint64_t version) {
    while (lists_.back().version < version) change({}, {});
  }
  // The newest has that version and time from now on, as if all between were there.
  void jump(std::uint64_t version, std::uint64_t time_ms) {
    lists_.back() = next_device_list(lists_.back(), seed_, {}, {}, time_ms, version - 1).value();
  }
  const DeviceList& newest() const { return lists_.back(); }
  // Another next version in place of the newest.
  void fork(std::uint64_t time_ms) {
    lists_.back() = next_device_list(lists_[lists_.size() - 2], seed_, {}, {}, time_ms).value();
  }

  std::vector<Bytes> lists(std::uint64_t first, std::uint64_t last) const {
    std::vector<Bytes> some;
    for (std::uint64_t version = first; version <= last; ++version) some.push_back(lists_[version - 1].bytes);
    return some;
  }
  const std::vector<Bytes>& records() const { return records_; }
  const DeviceList& list(std::uint64_t version) const { return lists_[version - 1]; }
  const SigningSeed& seed() const { return seed_; }

 private:
  SigningSeed seed_;
  SeededRandom random_{7};
  std::vector<DeviceList> lists_;
  std::vector<Bytes> records_;
};

// Of whatever version and time, as no device of the library makes it.
Bytes list_with(const Person& owner, std::uint64_t version, std::uint64_t time_ms) {
  Writer writer;
  writer.u8(1).user(owner.user_id).key(signing_key_of(owner.account_seed)).u64(version);
  writer.raw(version == 1 ? Hash{} : fixed_of<Hash>(0x01)).u64(time_ms).u8(1);
  writer.u64(owner.record.device_id.value).raw(owner.record.hash);
  writer.raw(sign(owner.account_seed, label::kSigList, writer.view()));
  return writer.take();
}

class Directory : public testing::Test {
 protected:
  Learned learn(const Account& account, std::uint64_t first, std::uint64_t last) {
    return learn(account.lists(first, last), account.records());
  }
  Learned learn(const std::vector<Bytes>& lists, const std::vector<Bytes>& records) {
    Learned learned = e2ee::learn(known_ ? &*known_ : nullptr, "alice", lists, records);
    if (learned.user) known_ = learned.user;
    return learned;
  }
  // Versions that are kept, as text.
  std::string kept() const {
    return known_ ? std::to_string(known_->oldest().version) + ".." + std::to_string(known_->newest().version) : "none";
  }
  void expect_refused(const std::vector<Bytes>& lists, const std::vector<Bytes>& records) {
    const auto before = known_;
    const Learned learned = learn(lists, records);
    EXPECT_EQ(learned.result, Learning::kRefused);
    EXPECT_FALSE(learned.user.has_value());
    EXPECT_EQ(known_, before);
  }

  std::optional<KnownUser> known_;
};

std::vector<DeviceId> ids(const std::vector<std::uint64_t>& values) {
  std::vector<DeviceId> ids;
  for (const std::uint64_t value : values) ids.push_back(DeviceId{value});
  return ids;
}

TEST_F(Directory, PinsTheFirstAccountKey) {
  Account account;
  account.change({2}, {});

  const Learned learned = learn(account, 1, 2);

  EXPECT_EQ(learned.result, Learning::kFirstContact);
  EXPECT_TRUE(learned.added.empty());
  EXPECT_EQ(kept(), "1..2");
  EXPECT_EQ(known_->account_key, signing_key_of(account.seed()));
  EXPECT_FALSE(known_->verified);
  EXPECT_TRUE(known_->replaced.empty());
}

TEST_F(Directory, BeginsAnywhere) {
  Account account;
  account.reach(9);
  EXPECT_EQ(learn(account, 5, 6).result, Learning::kFirstContact);
  EXPECT_EQ(kept(), "5..6");
}

TEST_F(Directory, KeepsTheRecordsThatTheListsName) {
  Account account;
  account.change({2}, {});
  account.change({3}, {1});

  learn(account, 3, 3);

  EXPECT_EQ(known_->records.size(), 2U);
  EXPECT_EQ(listed(*known_, DeviceId{1}), nullptr);
  ASSERT_NE(listed(*known_, DeviceId{3}), nullptr);
  EXPECT_EQ(listed(*known_, DeviceId{3})->bytes, account.records()[2]);
}

TEST_F(Directory, ListsByVersion) {
  Account account;
  account.change({2}, {1});
  learn(account, 1, 2);

  EXPECT_NE(listed(*known_, 1, DeviceId{1}), nullptr);
  EXPECT_EQ(listed(*known_, 1, DeviceId{2}), nullptr);
  EXPECT_EQ(listed(*known_, 2, DeviceId{1}), nullptr);
  EXPECT_NE(listed(*known_, 2, DeviceId{2}), nullptr);
  EXPECT_EQ(listed(*known_, 0, DeviceId{1}), nullptr);
  EXPECT_EQ(listed(*known_, 3, DeviceId{2}), nullptr);
  EXPECT_EQ(listed(*known_, DeviceId{2}), listed(*known_, 2, DeviceId{2}));
}

TEST_F(Directory, KnowsWhatItKnows) {
  Account account;
  account.reach(3);
  learn(account, 1, 3);

  const Learned learned = learn(account, 2, 3);

  EXPECT_EQ(learned.result, Learning::kSame);
  EXPECT_FALSE(learned.user.has_value());
}

TEST_F(Directory, LearnsWhatFollows) {
  Account account;
  account.change({2}, {});
  account.change({3}, {1});
  learn(account, 1, 1);

  const Learned learned = learn(account, 2, 3);

  EXPECT_EQ(learned.result, Learning::kChanged);
  EXPECT_EQ(learned.added, ids({2, 3}));
  EXPECT_EQ(learned.removed, ids({1}));
  EXPECT_EQ(kept(), "1..3");
}

TEST_F(Directory, TellsOfADeviceThatCameAndWentBetweenTwoLooks) {
  Account account;
  account.change({2}, {});
  account.change({}, {2});
  learn(account, 1, 1);

  const Learned learned = learn(account, 2, 3);

  EXPECT_EQ(learned.added, ids({2}));
  EXPECT_EQ(learned.removed, ids({2}));
}

TEST_F(Directory, TakesADeviceWithAnotherRecordForOneRemovedAndOneAdded) {
  Account account;
  account.change({1}, {1});
  learn(account, 1, 1);

  const Learned learned = learn(account, 2, 2);

  EXPECT_EQ(learned.added, ids({1}));
  EXPECT_EQ(learned.removed, ids({1}));
}

TEST_F(Directory, LearnsWhatWasBefore) {
  Account account;
  account.change({2}, {});
  account.reach(6);
  learn(account, 5, 6);

  const Learned learned = learn(account, 1, 4);

  EXPECT_EQ(learned.result, Learning::kChanged);
  EXPECT_TRUE(learned.added.empty());
  EXPECT_TRUE(learned.removed.empty());
  EXPECT_EQ(kept(), "1..6");
}

TEST_F(Directory, LearnsAcrossBothEnds) {
  Account account;
  account.change({2}, {});
  account.reach(8);
  learn(account, 4, 5);

  EXPECT_EQ(learn(account, 2, 7).result, Learning::kChanged);
  EXPECT_EQ(kept(), "2..7");
}

TEST_F(Directory, NeedsTheRecordsOfNewDevicesOnly) {
  Account account;
  account.change({2}, {});
  learn(account.lists(1, 1), {account.records()[0]});

  EXPECT_EQ(learn(account.lists(2, 2), {account.records()[1]}).result, Learning::kChanged);
}

TEST_F(Directory, AsksForVersionsBetween) {
  Account account;
  account.reach(9);
  learn(account, 4, 5);

  const Learned above = learn(account, 8, 9);
  const Learned below = learn(account, 1, 1);

  EXPECT_EQ(above.result, Learning::kRefused);
  EXPECT_EQ(above.missing, (Learned::Versions{6, 7}));
  EXPECT_EQ(below.result, Learning::kRefused);
  EXPECT_EQ(below.missing, (Learned::Versions{2, 3}));
  EXPECT_EQ(kept(), "4..5");
}

// Whoever shows a list shows the records that are new in it: those of devices that came between are behind the gap.
TEST_F(Directory, AsksForVersionsBetweenAlsoWithoutTheirRecords) {
  Account account;
  account.change({2}, {});
  account.change({3}, {});
  learn(account.lists(1, 1), {account.records()[0]});

  const Learned above = learn(account.lists(3, 3), {account.records()[2]});

  EXPECT_EQ(above.result, Learning::kRefused);
  EXPECT_EQ(above.missing, (Learned::Versions{2, 2}));
  EXPECT_FALSE(above.user.has_value());
  expect_refused(account.lists(2, 3), {account.records()[2]});
  EXPECT_EQ(learn(account.lists(2, 3), account.records()).result, Learning::kChanged);
}

// A list of a key that was replaced is not kept, and so needs no records, which went with that key.
TEST_F(Directory, IgnoresAnAccountKeyThatWasReplacedAlsoWithoutItsRecords) {
  Account account;
  const Account anew(0x22, account);
  learn(account, 1, 1);
  expect_refused(anew.lists(2, 2), {});
  learn(anew, 2, 2);

  EXPECT_EQ(learn(account.lists(1, 1), {}).result, Learning::kIgnored);
}

TEST_F(Directory, KeepsTheNewestVersions) {
  const std::uint64_t most = limits::e2ee::kListVersionsMax;
  Account account;
  account.change({2}, {1});
  account.reach(most + 2);

  learn(account, 1, most);
  EXPECT_EQ(kept(), "1..64");
  EXPECT_EQ(known_->records.size(), 2U);
  learn(account, most + 1, most + 1);
  EXPECT_EQ(kept(), "2..65");
  EXPECT_EQ(known_->records.size(), 1U);
  EXPECT_EQ(learn(account, 1, most + 2).result, Learning::kChanged);
  EXPECT_EQ(kept(), "3..66");
}

TEST_F(Directory, RefusesListsThatDoNotHold) {
  Account account;
  account.change({2}, {});
  account.reach(4);
  Account other_identity(0x61);
  other_identity.reach(4);
  Account forked;
  forked.change({2}, {});
  forked.change({}, {});
  forked.fork(kThen + 1);

  for (const bool known : {false, true}) {
    if (known) learn(account, 1, 2);
    Bytes unsigned_list = account.list(3).bytes;
    unsigned_list.back() = static_cast<char>(unsigned_list.back() ^ 1);
    expect_refused({}, account.records());
    expect_refused({unsigned_list}, account.records());
    expect_refused({account.list(3).bytes, unsigned_list}, account.records());
    expect_refused({bob().list.bytes}, {bob().record.bytes});                                  // of another user
    expect_refused({account.list(4).bytes, account.list(3).bytes}, account.records());         // not ascending
    expect_refused({account.list(3).bytes, account.list(3).bytes}, account.records());         // twice
    expect_refused({account.list(2).bytes, account.list(4).bytes}, account.records());         // a gap
    expect_refused({forked.list(3).bytes, account.list(4).bytes}, account.records());          // no successor
    expect_refused({account.list(3).bytes, other_identity.list(4).bytes}, account.records());  // two account keys
  }
}

TEST_F(Directory, RefusesAListWithoutItsRecords) {
  Account account;
  account.change({2}, {});
  Bytes changed = account.records()[1];
  changed.back() = static_cast<char>(changed.back() ^ 1);
  expect_refused(account.lists(1, 2), {account.records()[0]});
  expect_refused(account.lists(1, 2), {account.records()[0], changed});
}

// A list that its user signed all the same.
Bytes list_of(const std::vector<ListedDevice>& devices) {
  const SigningSeed seed = secret_of<32>(0x11);
  Writer writer;
  writer.u8(1).user("alice").key(signing_key_of(seed)).u64(1).zeros(32).u64(kThen);
  writer.u8(static_cast<std::uint8_t>(devices.size()));
  for (const ListedDevice& device : devices) writer.u64(device.device_id.value).raw(device.record_hash);
  writer.raw(sign(seed, label::kSigList, writer.view()));
  return writer.take();
}

TEST_F(Directory, RefusesRecordsThatAreNotValidForTheirDevice) {
  const DeviceRecord mine = person("alice", 1, 0x11, 5, {}).record;
  const DeviceRecord of_bob = person("bob", 1, 0x11, 5, {}).record;
  Bytes badly_signed = mine.bytes;
  badly_signed.back() = static_cast<char>(badly_signed.back() ^ 1);

  expect_refused({list_of({{DeviceId{2}, mine.hash}})}, {mine.bytes});
  expect_refused({list_of({{DeviceId{1}, of_bob.hash}})}, {of_bob.bytes});
  expect_refused({list_of({{DeviceId{1}, device_record_hash(badly_signed)}})}, {badly_signed});
  expect_refused({list_of({{DeviceId{1}, mine.hash}, {DeviceId{2}, mine.hash}})}, {mine.bytes});
  EXPECT_EQ(learn({list_of({{DeviceId{1}, mine.hash}})}, {mine.bytes}).result, Learning::kFirstContact);
}

TEST_F(Directory, RefusesTwoDevicesWithOneKey) {
  const auto record = [](std::uint64_t device_id, unsigned char signing, unsigned char agreement) {
    DeviceKeys keys;
    keys.registration_id = 1;
    keys.signing_seed = secret_of<32>(signing);
    keys.agreement_secret = secret_of<32>(agreement);
    return make_device_record({"alice", DeviceId{device_id}, kSuitesSpoken, kThen, {}}, keys);
  };
  const DeviceRecord first = record(1, 0x31, 0x32);
  for (const DeviceRecord& second : {record(2, 0x31, 0x34), record(2, 0x33, 0x32)}) {
    expect_refused({list_of({{DeviceId{1}, first.hash}, {DeviceId{2}, second.hash}})}, {first.bytes, second.bytes});
  }
}

TEST_F(Directory, RefusesAnotherListOfAVersionThatIsKept) {
  Account account;
  account.reach(3);
  Account forked;
  forked.reach(3);
  forked.fork(kThen + 1);
  forked.reach(4);
  learn(account, 1, 3);

  expect_refused(forked.lists(3, 3), forked.records());
  expect_refused(forked.lists(1, 3), forked.records());
  expect_refused(forked.lists(4, 4), forked.records());  // follows the other version 3
}

// ---- Branches ------------------------------------------------------------------------------------------------------

// Devices 1 and 2; then one device goes on from there, and another, which did not hear of that, too.
class DirectoryBranches : public Directory {
 protected:
  DirectoryBranches() {
    for (Account* account : {&here_, &there_}) {
      account->change({2}, {});
      account->reach(3);
    }
    there_.fork(kThen + 1);  // of version 3
  }
  Learned learn_there(std::uint64_t first, std::uint64_t last) { return learn(there_, first, last); }

  Account here_;
  Account there_;
};

TEST_F(DirectoryBranches, TheLongerOneCounts) {
  here_.change({4}, {});
  there_.change({5}, {});
  there_.change({}, {1});
  learn(here_, 1, 4);
  const SigningKey pinned = known_->account_key;
  known_->verified = true;

  const Learned learned = learn_there(1, 5);

  EXPECT_EQ(learned.result, Learning::kChanged);
  EXPECT_TRUE(learned.against);
  EXPECT_EQ(learned.added, ids({5}));
  EXPECT_EQ(learned.removed, ids({1, 4}));
  EXPECT_EQ(kept(), "1..5");
  EXPECT_EQ(known_->list(2)->bytes, here_.list(2).bytes);
  EXPECT_EQ(known_->list(3)->bytes, there_.list(3).bytes);
  EXPECT_EQ(known_->records.size(), 3U) << "of the other branch none is kept";
  EXPECT_EQ(known_->account_key, pinned);
  EXPECT_TRUE(known_->verified);
  expect_refused(here_.lists(1, 4), here_.records());
}

TEST_F(DirectoryBranches, TheOneThatIsNoLongerIsRefused) {
  learn(here_, 1, 3);
  const Learned learned = learn_there(1, 3);
  EXPECT_EQ(learned.result, Learning::kRefused);
  EXPECT_TRUE(learned.against);
  EXPECT_FALSE(learned.missing);
  EXPECT_EQ(known_->newest(), here_.list(3));
}

TEST_F(DirectoryBranches, WhoWasTakenOutDoesNotComeBack) {
  here_.change({}, {2});
  there_.reach(6);
  learn(here_, 1, 4);
  EXPECT_EQ(taken_out_of(*known_, there_.list(6)), ids({2}));
  const Learned refused = learn_there(1, 6);
  EXPECT_EQ(refused.result, Learning::kRefused);
  EXPECT_TRUE(refused.against);

  there_.change({7}, {2});
  const Learned learned = learn_there(1, 7);
  EXPECT_EQ(learned.result, Learning::kChanged);
  EXPECT_EQ(learned.added, ids({2, 7})) << "it stood in the other branch";
  EXPECT_EQ(learned.removed, ids({2}));
}

// Under other keys it is another device.
TEST_F(DirectoryBranches, WhoWasTakenOutMayHaveComeBackWithOtherKeys) {
  here_.change({}, {2});
  there_.change({}, {2});
  there_.change({2}, {});
  learn(here_, 1, 4);
  EXPECT_EQ(learn_there(1, 5).result, Learning::kChanged);
}

TEST_F(DirectoryBranches, IsTakenFromWhereItConnects) {
  there_.reach(5);
  learn(here_, 1, 3);
  for (const std::uint64_t first : {4U, 5U}) {
    const Learned learned = learn_there(first, 5);
    EXPECT_EQ(learned.result, Learning::kRefused);
    EXPECT_EQ(learned.missing, (Learned::Versions{first == 4 ? 3U : 4U, first == 4 ? 3U : 4U})) << "asked for";
  }
  EXPECT_EQ(learn_there(3, 5).result, Learning::kChanged);
  EXPECT_EQ(kept(), "1..5");
}

// What is kept begins above the place where they part.
TEST_F(DirectoryBranches, IsTakenWholeWhereNothingConnects) {
  here_.reach(4);
  there_.reach(5);
  learn(here_, 4, 4);
  EXPECT_EQ(learn_there(2, 5).result, Learning::kChanged);
  EXPECT_EQ(kept(), "2..5");
}

TEST_F(DirectoryBranches, AreKeptWithTheirRecordsOnly) {
  there_.change({5}, {});
  learn(here_, 1, 3);
  const std::vector<Bytes> without = {there_.records()[0], there_.records()[1]};

  const Learned learned = learn(there_.lists(3, 4), without);

  EXPECT_EQ(learned.result, Learning::kRefused);
  EXPECT_TRUE(learned.against);
  EXPECT_FALSE(learned.user.has_value());
  EXPECT_FALSE(branch_against(*known_, there_.lists(3, 4), without).has_value());
  EXPECT_EQ(learn_there(3, 4).result, Learning::kChanged);
}

TEST_F(DirectoryBranches, AreKnownAsWhatTheyAre) {
  there_.reach(4);
  learn(here_, 1, 3);
  const auto branch = branch_against(*known_, there_.lists(1, 4), there_.records());
  ASSERT_TRUE(branch.has_value());
  EXPECT_EQ(branch->newest(), there_.list(4));
  EXPECT_TRUE(seem_another_branch(*known_, there_.lists(3, 3)));
  EXPECT_TRUE(seem_another_branch(*known_, there_.lists(4, 4)));
  EXPECT_FALSE(seem_another_branch(*known_, there_.lists(1, 2)));
  here_.reach(4);
  EXPECT_FALSE(branch_against(*known_, here_.lists(1, 4), here_.records()).has_value());
  Bytes damaged = there_.list(4).bytes;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  EXPECT_FALSE(branch_against(*known_, std::vector<Bytes>{there_.list(3).bytes, damaged}, there_.records()));
  EXPECT_FALSE(seem_another_branch(*known_, std::vector<Bytes>{damaged})) << "nobody has signed it";
}

// The server has lost more versions than are kept.
TEST_F(DirectoryBranches, FarBelowAreOneToo) {
  here_.reach(limits::e2ee::kListVersionsMax + 9);
  learn(here_, limits::e2ee::kListVersionsMax, limits::e2ee::kListVersionsMax + 9);
  const auto branch = branch_against(*known_, here_.lists(1, 3), here_.records());
  ASSERT_TRUE(branch.has_value());
  EXPECT_EQ(branch->newest().version, 3U);
  EXPECT_FALSE(branch_against(*known_, here_.lists(1, limits::e2ee::kListVersionsMax - 1), here_.records()));
}

TEST_F(Directory, RefusesOlderVersionsThatDoNotLeadHere) {
  Account account;
  account.reach(4);
  Account forked;
  forked.reach(3);
  forked.fork(kThen + 1);
  learn(account, 4, 4);

  expect_refused(forked.lists(3, 3), forked.records());
  expect_refused(forked.lists(1, 3), forked.records());
}

TEST_F(Directory, TakesAnotherAccountKeyForAnotherIdentity) {
  Account account;
  account.reach(3);
  const Account replacement(0x61, account);
  learn(account, 1, 3);
  known_->verified = true;

  const Learned learned = learn(replacement, 4, 4);

  EXPECT_EQ(learned.result, Learning::kIdentityChanged);
  EXPECT_EQ(kept(), "4..4");
  EXPECT_EQ(known_->account_key, signing_key_of(replacement.seed()));
  EXPECT_FALSE(known_->verified);
  EXPECT_EQ(known_->replaced, std::vector<SigningKey>{signing_key_of(account.seed())});
}

TEST_F(Directory, IgnoresAnAccountKeyThatWasReplaced) {
  Account account;
  account.reach(3);
  Account replacement(0x61);
  learn(account, 1, 1);
  learn(replacement, 1, 1);

  const Learned learned = learn(account, 1, 3);

  EXPECT_EQ(learned.result, Learning::kIgnored);
  EXPECT_FALSE(learned.user.has_value());
  EXPECT_EQ(known_->account_key, signing_key_of(replacement.seed()));
}

// A device that comes to know a user late reads the lists of a key that was replaced long ago in old items.
TEST_F(Directory, IgnoresAnAccountKeyThatWasReplacedBeforeTheFirstContact) {
  Account account;
  account.reach(3);
  const Account replacement(0x61, account);
  learn(replacement, 4, 4);
  const auto before = known_;

  for (std::uint64_t version = 1; version <= 3; ++version) {
    EXPECT_EQ(learn(account, version, version).result, Learning::kIgnored) << version;
  }
  EXPECT_EQ(known_, before);
}

// A server that was put back may begin a new key at a version that was there before, or below.
TEST_F(Directory, TakesALowerVersionOfAnotherKeyForAnotherIdentityWhereItIsLater) {
  Account account;
  account.reach(2);
  Account replacement(0x61, account);
  replacement.fork(kThen + 1);
  account.reach(9);
  learn(account, 9, 9);

  EXPECT_EQ(learn(replacement, 3, 3).result, Learning::kIdentityChanged);
  EXPECT_EQ(kept(), "3..3");
}

// Of a key that is known no more the version says that it was before.
TEST_F(Directory, KnowsTheNewestReplacedKeysAgain) {
  constexpr std::size_t kLast = limits::e2ee::kReplacedMax + 2;
  std::vector<Account> accounts;
  accounts.reserve(kLast + 1);
  accounts.emplace_back(0x61);
  while (accounts.size() <= kLast) {
    accounts.emplace_back(static_cast<unsigned char>(0x61 + accounts.size()), accounts.back());
  }
  const auto show = [&](std::size_t n) { return learn(accounts[n], n + 1, n + 1).result; };
  EXPECT_EQ(show(0), Learning::kFirstContact);
  for (std::size_t n = 1; n <= kLast; ++n) EXPECT_EQ(show(n), Learning::kIdentityChanged) << n;
  ASSERT_EQ(known_->replaced.size(), limits::e2ee::kReplacedMax);
  EXPECT_EQ(known_->replaced.front(), signing_key_of(accounts[2].seed()));
  EXPECT_EQ(known_->replaced.back(), signing_key_of(accounts[kLast - 1].seed()));
  for (std::size_t n = 0; n < kLast; ++n) {
    const Learned learned = learn(accounts[n], n + 1, n + 1);
    EXPECT_EQ(learned.result, Learning::kIgnored) << n;
    // What it was pinned to is known not to come back; of another key nobody can tell.
    EXPECT_EQ(learned.passed_over.has_value(), n < 2) << n;
  }

  // Whoever has the seed of one that was dropped can sign what he likes: that is another identity, as of any key.
  accounts[0].reach(kLast + 2);
  EXPECT_EQ(learn(accounts[0], kLast + 2, kLast + 2).result, Learning::kIdentityChanged);
}

// Behind it there would be no room for a list of the user's own.
TEST_F(Directory, RefusesAListThatNobodyCanHaveComeTo) {
  Account known;
  known.reach(3);
  for (const std::uint64_t base : {0U, 3U}) {
    const auto shown = [&](std::uint64_t version, std::uint64_t time_ms) {
      known_.reset();
      if (base != 0) learn(known, 1, base);
      const auto before = known_;
      const Person other = person("alice", 7, 0x61, 1, {});
      const Learned learned = learn({list_with(other, version, time_ms)}, {other.record.bytes});
      EXPECT_EQ(learned.user.has_value(), known_ != before);
      return learned.result;
    };
    const Learning learned = base == 0 ? Learning::kFirstContact : Learning::kIdentityChanged;
    const std::uint64_t most = base + limits::e2ee::kListVersionsAhead;
    EXPECT_EQ(shown(most - 1, kThen), learned);
    EXPECT_EQ(shown(most, limits::e2ee::kListTimeMax), learned);
    EXPECT_EQ(shown(most + 1, kThen), Learning::kRefused);
    EXPECT_EQ(shown(limits::e2ee::kListVersionMax, kThen), Learning::kRefused);
    EXPECT_EQ(shown(base + 1, limits::e2ee::kListTimeMax - 1), learned);
    EXPECT_EQ(shown(base + 1, limits::e2ee::kListTimeMax + 1), Learning::kRefused);
    EXPECT_EQ(shown(base + 1, UINT64_MAX), Learning::kRefused);
  }
}

// It was judged when it came.
TEST_F(Directory, IgnoresAReplacedKeyHoweverFarItIs) {
  Account account;
  const Account replacement(0x61, account);
  learn(account, 1, 1);
  learn(replacement, 2, 2);
  account.jump(limits::e2ee::kListVersionMax, kThen);
  EXPECT_EQ(learn({account.newest().bytes}, account.records()).result, Learning::kIgnored);
}

TEST_F(Directory, MeetsAUserWhoWasForgottenForTheFirstTime) {
  Account account;
  Account replacement(0x61);
  learn(account, 1, 1);
  learn(replacement, 1, 1);

  known_.reset();

  EXPECT_EQ(learn(account, 1, 1).result, Learning::kFirstContact);
}

}  // namespace
}  // namespace chatsdk::e2ee
