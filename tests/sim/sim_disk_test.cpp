// SPDX-License-Identifier: Apache-2.0
//
// The rules of the simulated disk itself, on files opened through its VFS: the two images, what each kind of crash
// leaves, which sync makes which name durable, faults, crash points, locks and index memory.
#include <algorithm>
#include <set>

#include "sim/sim_disk_fixture.h"

namespace chatsdk::sim {
namespace {

using View = DiskView;

class SimDiskTest : public ::testing::Test {
 protected:
  // A durable file with these bytes and no handle left.
  void make(const std::string& path, const std::string& bytes) { disk.put(path, bytes); }
  std::string visible(const std::string& path) { return disk.contents(path, View::kVisible); }
  std::string durable(const std::string& path) { return disk.contents(path, View::kDurable); }

  DiskRig rig;
  SimDisk& disk = rig.disk;
};

// ---- The two images ------------------------------------------------------------------------------------------------

TEST_F(SimDiskTest, AWriteIsSeenAtOnceAndDurableAfterTheSync) {
  RawFile file("/a");
  ASSERT_EQ(file.write(0, "hello"), SQLITE_OK);
  EXPECT_EQ(visible("/a"), "hello");
  EXPECT_EQ(durable("/a"), "");
  EXPECT_EQ(disk.unsynced_changes(), 2u);  // the name and the write

  ASSERT_EQ(file.sync(), SQLITE_OK);
  EXPECT_EQ(durable("/a"), "hello");
  EXPECT_EQ(disk.unsynced_changes(), 0u);
}

TEST_F(SimDiskTest, ATruncationIsDurableAfterTheSync) {
  make("/a", "hello");
  RawFile file("/a");
  ASSERT_EQ(file.truncate(2), SQLITE_OK);
  EXPECT_EQ(visible("/a"), "he");
  EXPECT_EQ(durable("/a"), "hello");
  ASSERT_EQ(file.sync(), SQLITE_OK);
  EXPECT_EQ(durable("/a"), "he");
}

TEST_F(SimDiskTest, ASyncOfOneFileLeavesAnother) {
  make("/a", "");
  make("/b", "");
  RawFile a("/a"), b("/b");
  ASSERT_EQ(a.write(0, "a"), SQLITE_OK);
  ASSERT_EQ(b.write(0, "b"), SQLITE_OK);
  ASSERT_EQ(a.sync(), SQLITE_OK);
  EXPECT_EQ(durable("/a"), "a");
  EXPECT_EQ(durable("/b"), "");
}

TEST_F(SimDiskTest, WhatLiesBeyondTheEndReadsAsZeros) {
  make("/a", "ab");
  RawFile file("/a");
  std::string out;
  EXPECT_EQ(file.read(1, 3, &out), SQLITE_IOERR_SHORT_READ);
  EXPECT_EQ(out, std::string("b\0\0", 3));
  ASSERT_EQ(file.write(4, "e"), SQLITE_OK);
  EXPECT_EQ(file.read(0, 5, &out), SQLITE_OK);
  EXPECT_EQ(out, std::string("ab\0\0e", 5));
}

TEST_F(SimDiskTest, AnEmptyFileDoesNotExistForAnAccessCheck) {
  RawFile file("/a");
  EXPECT_FALSE(accessible("/a"));
  ASSERT_EQ(file.write(0, "x"), SQLITE_OK);
  EXPECT_TRUE(accessible("/a"));
}

TEST_F(SimDiskTest, ASnapshotIsTheDurableImageAndRestoreBringsItBack) {
  RawFile file("/a");
  ASSERT_EQ(file.write(0, "old"), SQLITE_OK);
  ASSERT_EQ(file.sync(), SQLITE_OK);
  ASSERT_EQ(file.write(0, "new"), SQLITE_OK);
  const DiskImage image = disk.snapshot();
  ASSERT_EQ(file.sync(), SQLITE_OK);
  make("/b", "later");

  disk.restore(image);

  EXPECT_EQ(visible("/a"), "old");
  EXPECT_EQ(disk.files(View::kVisible), std::vector<std::string>{"/a"});
  EXPECT_EQ(disk.total_bytes(View::kDurable), 3u);
  EXPECT_EQ(file.write(0, "dead"), SQLITE_IOERR_WRITE);
}

// ---- Power ---------------------------------------------------------------------------------------------------------

TEST_F(SimDiskTest, WithoutPowerEveryOperationFailsAndChangesNothing) {
  make("/a", "hello");
  RawFile file("/a");
  void volatile* region = nullptr;
  ASSERT_EQ(file.map(0, true, &region), SQLITE_OK);
  disk.power_off();

  std::string out;
  int found = 0;
  sqlite3_vfs* vfs = sqlite3_vfs_find(kVfs);
  EXPECT_EQ(file.write(0, "xxxxx"), SQLITE_IOERR_WRITE);
  EXPECT_EQ(file.read(0, 5, &out), SQLITE_IOERR_READ);
  EXPECT_EQ(file.truncate(0), SQLITE_IOERR_TRUNCATE);
  EXPECT_EQ(file.sync(), SQLITE_IOERR_FSYNC);
  EXPECT_EQ(file.lock(SQLITE_LOCK_SHARED), SQLITE_IOERR_LOCK);
  EXPECT_EQ(file.index_lock(0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_SHARED), SQLITE_IOERR_SHMLOCK);
  EXPECT_EQ(file.map(1, true, &region), SQLITE_IOERR_SHMMAP);
  EXPECT_EQ(remove_file("/a", true), SQLITE_IOERR_DELETE);
  EXPECT_EQ(vfs->xAccess(vfs, "/a", SQLITE_ACCESS_EXISTS, &found), SQLITE_IOERR_ACCESS);
  EXPECT_EQ(RawFile("/b").opened, SQLITE_CANTOPEN);
  EXPECT_EQ(visible("/a"), "hello");
  EXPECT_EQ(disk.files(View::kVisible), std::vector<std::string>{"/a"});
}

TEST_F(SimDiskTest, AHandleOfTheDeadProcessStaysDeadAfterThePowerIsBack) {
  make("/a", "hello");
  RawFile old("/a");
  ASSERT_EQ(old.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  ASSERT_EQ(old.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
  disk.power_off();
  disk.crash(CrashMode::kDropUnsynced);

  RawFile now("/a");
  EXPECT_EQ(now.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  EXPECT_EQ(now.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
  EXPECT_EQ(old.write(0, "xxxxx"), SQLITE_IOERR_WRITE);
  old.close();
  EXPECT_TRUE(now.reserved());
  EXPECT_EQ(visible("/a"), "hello");
  EXPECT_EQ(disk.open_handles(), 1u);
}

// ---- What a crash leaves -------------------------------------------------------------------------------------------

TEST_F(SimDiskTest, DroppingLeavesWhatWasSynced) {
  make("/a", "hello");
  RawFile file("/a");
  ASSERT_EQ(file.write(0, "H"), SQLITE_OK);
  ASSERT_EQ(file.sync(), SQLITE_OK);
  ASSERT_EQ(file.write(1, "E"), SQLITE_OK);
  ASSERT_EQ(file.truncate(2), SQLITE_OK);

  const CrashReport report = disk.crash(CrashMode::kDropUnsynced);

  EXPECT_EQ(visible("/a"), "Hello");
  EXPECT_EQ(durable("/a"), "Hello");
  EXPECT_EQ(report.dropped, 2u);
  EXPECT_TRUE(report.had_effect());
  EXPECT_TRUE(disk.powered());
}

TEST_F(SimDiskTest, TheEndOfTheProcessAloneLosesNothingYet) {
  make("/a", "");
  RawFile file("/a");
  ASSERT_EQ(file.write(0, "x"), SQLITE_OK);
  const CrashReport report = disk.crash(CrashMode::kProcessOnly);
  EXPECT_FALSE(report.had_effect());
  EXPECT_EQ(visible("/a"), "x");
  EXPECT_EQ(durable("/a"), "");
  EXPECT_EQ(file.write(0, "y"), SQLITE_IOERR_WRITE);
  disk.crash(CrashMode::kDropUnsynced);
  EXPECT_EQ(visible("/a"), "");
}

TEST_F(SimDiskTest, APrefixReachesOverAllFilesAndEveryLengthOccurs) {
  std::set<std::string> seen;
  for (int round = 0; round < 200; ++round) {
    disk.restore({{"/a", "--"}, {"/b", "--"}});
    RawFile a("/a"), b("/b");
    a.write(0, "1");
    b.write(0, "2");
    a.write(1, "3");
    b.write(1, "4");
    disk.crash(CrashMode::kKeepPrefix);
    seen.insert(visible("/a") + visible("/b"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"----", "1---", "1-2-", "132-", "1324"}));
}

TEST_F(SimDiskTest, ThePrefixOrdersNamesAmongWrites) {
  std::set<std::string> seen;
  for (int round = 0; round < 200; ++round) {
    disk.restore({{"/a", "-"}});
    RawFile a("/a"), b("/b", RawFile::kMake | SQLITE_OPEN_MAIN_DB);
    b.write(0, "2");
    a.write(0, "1");
    disk.crash(CrashMode::kKeepPrefix);
    seen.insert(visible("/a") + (disk.exists("/b", View::kVisible) ? "b" : "") + visible("/b"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"-", "-b", "-b2", "1b2"}));
}

TEST_F(SimDiskTest, EachWriteHasItsOwnFate) {
  CrashReport sum;
  std::set<std::string> seen;
  for (int round = 0; round < 400; ++round) {
    disk.restore({{"/a", std::string(4, '-')}});
    RawFile file("/a");
    file.write(0, "1");
    file.write(1, "2");
    const CrashReport report = disk.crash(CrashMode::kEachWrite);
    sum.kept += report.kept;
    sum.dropped += report.dropped;
    sum.torn += report.torn;
    sum.garbage += report.garbage;
    seen.insert(visible("/a").substr(0, 2));
  }
  for (const char* each : {"--", "1-", "-2", "12"}) EXPECT_TRUE(seen.contains(each)) << each;
  for (const std::uint64_t count : {sum.kept, sum.dropped, sum.torn, sum.garbage}) EXPECT_GT(count, 50u);
}

// A write of sectors 1 to 3 in part: each sector of the file holds old or new bytes or garbage of the write's range.
TEST_F(SimDiskTest, ATornWriteDamagesNothingOutsideItsRange) {
  constexpr std::size_t kBegin = 700, kSize = 1'000, kEnd = kBegin + kSize;
  bool kept_first_only = false, kept_last_only = false, garbage = false;
  for (int round = 0; round < 400; ++round) {
    disk.restore({{"/a", std::string(4'096, 'o')}});
    RawFile file("/a");
    file.write(kBegin, std::string(kSize, 'n'));
    disk.crash(CrashMode::kEachWrite);
    const std::string bytes = visible("/a");
    ASSERT_EQ(bytes.size(), 4'096u);
    ASSERT_EQ(bytes.substr(0, kBegin), std::string(kBegin, 'o'));
    ASSERT_EQ(bytes.substr(kEnd), std::string(4'096 - kEnd, 'o'));
    const bool first = bytes[kBegin] == 'n', last = bytes[kEnd - 1] == 'n';
    kept_first_only |= first && bytes[1'024] == 'o';
    kept_last_only |= last && bytes[kBegin] == 'o';
    garbage |= bytes.substr(kBegin, kSize).find_first_not_of("on") != std::string::npos;
  }
  EXPECT_TRUE(kept_first_only);
  EXPECT_TRUE(kept_last_only);
  EXPECT_TRUE(garbage);
}

TEST_F(SimDiskTest, TheSameSeedHasTheSameFates) {
  const auto run = [&] {
    std::string all;
    SimDisk other({"sim-disk-other", 99, rig.clock, rig.random});
    sqlite3_vfs* vfs = sqlite3_vfs_find("sim-disk-other");
    for (int round = 0; round < 20; ++round) {
      std::vector<std::max_align_t> memory(static_cast<std::size_t>(vfs->szOsFile) / sizeof(std::max_align_t) + 1);
      auto* file = reinterpret_cast<sqlite3_file*>(memory.data());
      vfs->xOpen(vfs, "/a", file, RawFile::kMake | SQLITE_OPEN_WAL, nullptr);
      const std::string bytes(2'000, static_cast<char>('a' + round));
      for (int i = 0; i < 5; ++i) {
        file->pMethods->xWrite(file, bytes.data(), 2'000, i * 1'500);
        if (i == round % 5) file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
      }
      other.power_off();
      file->pMethods->xClose(file);
      other.crash(CrashMode::kEachWrite);
      all += other.contents("/a", View::kVisible);
    }
    return all;
  };
  EXPECT_EQ(run(), run());
}

// ---- Names ---------------------------------------------------------------------------------------------------------

TEST_F(SimDiskTest, AMadeFileVanishesUnlessItsDirectoryWasSynced) {
  RawFile database("/d/a", RawFile::kMake | SQLITE_OPEN_MAIN_DB);
  ASSERT_EQ(database.write(0, "x"), SQLITE_OK);
  ASSERT_EQ(database.sync(), SQLITE_OK);
  EXPECT_EQ(disk.files(View::kDurable), std::vector<std::string>{});
  disk.crash(CrashMode::kDropUnsynced);
  EXPECT_FALSE(disk.exists("/d/a", View::kVisible));
}

TEST_F(SimDiskTest, TheFirstSyncOfAJournalSyncsItsDirectory) {
  for (const int kind : {SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_SUPER_JOURNAL, SQLITE_OPEN_WAL}) {
    disk.restore({});
    RawFile database("/d/a", RawFile::kMake | SQLITE_OPEN_MAIN_DB);
    RawFile elsewhere("/e/a", RawFile::kMake | SQLITE_OPEN_MAIN_DB);
    RawFile journal("/d/j", RawFile::kMake | kind);
    ASSERT_EQ(journal.sync(), SQLITE_OK);
    EXPECT_EQ(disk.files(View::kDurable), (std::vector<std::string>{"/d/a", "/d/j"}));

    ASSERT_EQ(remove_file("/d/a", false), SQLITE_OK);
    ASSERT_EQ(journal.sync(), SQLITE_OK);
    EXPECT_TRUE(disk.exists("/d/a", View::kDurable)) << "a second sync is of the file alone";
  }
}

TEST_F(SimDiskTest, AJournalOpenedAnewSyncsItsDirectoryAgain) {
  make("/d/j", "x");
  RawFile database("/d/a", RawFile::kMake | SQLITE_OPEN_MAIN_DB);
  RawFile journal("/d/j", RawFile::kMake | SQLITE_OPEN_WAL);
  ASSERT_EQ(journal.sync(), SQLITE_OK);
  EXPECT_TRUE(disk.exists("/d/a", View::kDurable));
}

TEST_F(SimDiskTest, ADeletedFileComesBackUnlessItsDirectoryWasSynced) {
  make("/a", "x");
  make("/b", "y");
  ASSERT_EQ(remove_file("/a", false), SQLITE_OK);
  EXPECT_FALSE(disk.exists("/a", View::kVisible));
  EXPECT_FALSE(accessible("/a"));
  disk.crash(CrashMode::kDropUnsynced);
  EXPECT_EQ(visible("/a"), "x");

  ASSERT_EQ(remove_file("/b", true), SQLITE_OK);
  disk.crash(CrashMode::kDropUnsynced);
  EXPECT_FALSE(disk.exists("/b", View::kVisible));
}

TEST_F(SimDiskTest, AFileMadeInPlaceOfADeletedOneIsAnother) {
  make("/a", "old");
  RawFile before("/a");
  ASSERT_EQ(remove_file("/a", false), SQLITE_OK);
  RawFile after("/a", RawFile::kMake | SQLITE_OPEN_MAIN_DB);
  ASSERT_EQ(after.write(0, "new"), SQLITE_OK);
  std::string out;
  EXPECT_EQ(before.read(0, 3, &out), SQLITE_OK);
  EXPECT_EQ(out, "old");

  std::set<std::string> seen;
  disk.crash(CrashMode::kDropUnsynced);
  EXPECT_EQ(visible("/a"), "old");
}

TEST_F(SimDiskTest, UnsyncedNamesMayStayOrGo) {
  std::set<std::string> seen;
  for (int round = 0; round < 100; ++round) {
    disk.restore({{"/a", "x"}});
    RawFile made("/b", RawFile::kMake | SQLITE_OPEN_MAIN_DB);
    remove_file("/a", false);
    disk.crash(CrashMode::kEachWrite);
    std::string all;
    for (const std::string& path : disk.files(View::kVisible)) all += path;
    seen.insert(all);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"", "/a", "/b", "/a/b"}));
}

TEST_F(SimDiskTest, DeletingWhatIsNotThereSaysSo) { EXPECT_EQ(remove_file("/a", true), SQLITE_IOERR_DELETE_NOENT); }

TEST_F(SimDiskTest, AFileIsMadeOnlyWhenAskedFor) {
  EXPECT_EQ(RawFile("/a", SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB).opened, SQLITE_CANTOPEN);
  EXPECT_FALSE(disk.exists("/a", View::kVisible));
}

// ---- Faults --------------------------------------------------------------------------------------------------------

TEST_F(SimDiskTest, TheNthOperationOfAKindFailsOnce) {
  make("/a", "hello");
  RawFile file("/a");
  std::string out;
  disk.arm({DiskOp::kRead, 2, DiskFailure::kIoError, false, {}});
  EXPECT_EQ(file.read(0, 5, &out), SQLITE_OK);
  EXPECT_EQ(file.write(0, "H"), SQLITE_OK);
  EXPECT_EQ(file.read(0, 5, &out), SQLITE_IOERR_READ);
  EXPECT_EQ(file.read(0, 5, &out), SQLITE_OK);
  EXPECT_EQ(disk.counters().of(DiskFailure::kIoError), 1u);
}

TEST_F(SimDiskTest, FromTheNthOnEveryOperationOfAKindFails) {
  make("/a", "");
  RawFile file("/a");
  disk.arm({DiskOp::kWrite, 2, DiskFailure::kFull, true, {}});
  EXPECT_EQ(file.write(0, "1"), SQLITE_OK);
  EXPECT_EQ(file.write(1, "2"), SQLITE_FULL);
  EXPECT_EQ(file.write(1, "2"), SQLITE_FULL);
  EXPECT_EQ(file.sync(), SQLITE_OK);
  disk.clear_faults();
  EXPECT_EQ(file.write(1, "2"), SQLITE_OK);
}

TEST_F(SimDiskTest, WithoutAKindEveryOperationCounts) {
  make("/a", "x");
  disk.arm({{}, 3, DiskFailure::kIoError, false, {}});
  RawFile file("/a");
  std::string out;
  EXPECT_EQ(file.read(0, 1, &out), SQLITE_OK);
  EXPECT_EQ(file.truncate(0), SQLITE_IOERR_TRUNCATE);
  EXPECT_EQ(visible("/a"), "x");
}

TEST_F(SimDiskTest, AFaultMayBeForSomeFilesOnly) {
  make("/a", "");
  make("/a-wal", "");
  RawFile database("/a"), log("/a-wal");
  disk.arm({DiskOp::kSync, 1, DiskFailure::kIoError, false, "-wal"});
  EXPECT_EQ(database.sync(), SQLITE_OK);
  EXPECT_EQ(log.sync(), SQLITE_IOERR_FSYNC);
}

TEST_F(SimDiskTest, EachKindFailsWithItsOwnCode) {
  make("/a", "x");
  RawFile file("/a");
  std::string out;
  const auto once = [&](DiskFailure failure) { disk.arm({{}, 1, failure, false, {}}); };
  once(DiskFailure::kIoError);
  EXPECT_EQ(RawFile("/b").opened, SQLITE_CANTOPEN);
  once(DiskFailure::kIoError);
  EXPECT_EQ(file.write(0, "y"), SQLITE_IOERR_WRITE);
  once(DiskFailure::kIoError);
  EXPECT_EQ(file.sync(), SQLITE_IOERR_FSYNC);
  once(DiskFailure::kIoError);
  EXPECT_EQ(file.lock(SQLITE_LOCK_SHARED), SQLITE_IOERR_LOCK);
  once(DiskFailure::kIoError);
  EXPECT_EQ(remove_file("/a", true), SQLITE_IOERR_DELETE);
  once(DiskFailure::kBusy);
  EXPECT_EQ(file.lock(SQLITE_LOCK_SHARED), SQLITE_BUSY);
  once(DiskFailure::kFull);
  EXPECT_EQ(file.sync(), SQLITE_IOERR_FSYNC);
  EXPECT_TRUE(disk.exists("/a", View::kVisible));
  EXPECT_FALSE(disk.exists("/b", View::kVisible));
}

TEST_F(SimDiskTest, AShortReadIsFilledWithZeros) {
  make("/a", std::string(100, 'x'));
  RawFile file("/a");
  disk.arm({DiskOp::kRead, 1, DiskFailure::kShortRead, false, {}});
  std::string out;
  EXPECT_EQ(file.read(0, 100, &out), SQLITE_IOERR_SHORT_READ);
  const std::size_t count = std::min(out.find('\0'), out.size());
  EXPECT_LT(count, 100u);
  EXPECT_EQ(out, std::string(count, 'x') + std::string(100 - count, '\0'));
}

TEST_F(SimDiskTest, AFailedSyncMayLoseWhatTheProcessStillSees) {
  bool lost = false, waiting = false;
  for (int round = 0; round < 60; ++round) {
    disk.restore({{"/a", "--"}});
    RawFile file("/a");
    file.write(0, "1");
    file.write(1, "2");
    disk.arm({DiskOp::kSync, 1, DiskFailure::kIoError, false, {}});
    ASSERT_EQ(file.sync(), SQLITE_IOERR_FSYNC);
    EXPECT_EQ(visible("/a"), "12");
    ASSERT_EQ(file.sync(), SQLITE_OK);
    (durable("/a") == "12" ? waiting : lost) = true;
  }
  EXPECT_TRUE(lost);
  EXPECT_TRUE(waiting);
}

TEST_F(SimDiskTest, AFlippedBitIsInOneReadOnly) {
  make("/a", std::string(64, '\0'));
  RawFile file("/a");
  disk.set_flip_rate(1'000'000);
  std::string out;
  ASSERT_EQ(file.read(0, 64, &out), SQLITE_OK);
  int bits = 0;
  for (const char c : out) bits += __builtin_popcount(static_cast<unsigned char>(c));
  EXPECT_EQ(bits, 1);
  EXPECT_EQ(visible("/a"), std::string(64, '\0'));
  EXPECT_EQ(disk.counters().of(DiskFailure::kFlippedBit), 1u);
}

TEST_F(SimDiskTest, ARateStrikesAboutAsOftenAsItSays) {
  make("/a", "x");
  RawFile file("/a");
  disk.set_failure_rate(DiskOp::kRead, DiskFailure::kIoError, 100'000);
  std::string out;
  int failed = 0;
  for (int i = 0; i < 2'000; ++i) failed += file.read(0, 1, &out) == SQLITE_OK ? 0 : 1;
  EXPECT_GT(failed, 140);
  EXPECT_LT(failed, 260);
  EXPECT_EQ(disk.counters().of(DiskFailure::kIoError), static_cast<std::uint64_t>(failed));
}

// ---- Crash points --------------------------------------------------------------------------------------------------

TEST_F(SimDiskTest, TheDiskGoesOffAtTheNthChangeBeforeOrAfterItsEffect) {
  for (const bool after : {false, true}) {
    for (std::uint64_t point = 1; point <= 5; ++point) {
      disk.restore({{"/a", "--"}, {"/b", "x"}});
      RawFile file("/a");
      int called = 0;
      disk.crash_after(point, after ? CrashMoment::kAfter : CrashMoment::kBefore, [&] {
        ++called;
        EXPECT_FALSE(disk.powered());
      });
      std::uint64_t done = 0;
      for (const int result :
           {file.write(0, "1"), file.sync(), file.write(1, "2"), file.truncate(1), remove_file("/b", true)}) {
        if (result == SQLITE_OK) ++done;
      }
      EXPECT_EQ(called, 1);
      EXPECT_EQ(done, point - 1) << "the operation fails also when it had its effect";
      const std::uint64_t effects = point - (after ? 0 : 1);
      const char* const seen[] = {"--", "1-", "1-", "12", "1", "1"};
      EXPECT_EQ(visible("/a"), seen[effects]);
      EXPECT_EQ(durable("/a"), effects >= 2 ? "1-" : "--");
      EXPECT_EQ(disk.exists("/b", View::kDurable), effects < 5);
      disk.crash(CrashMode::kDropUnsynced);
    }
  }
}

TEST_F(SimDiskTest, CountersTellWhatWasDone) {
  make("/a", "x");
  std::vector<std::string> seen;
  disk.on_operation(
      [&](const DiskOperation& op) { seen.push_back(std::string(op.path) + ":" + std::string(op.bytes)); });
  RawFile file("/a");
  std::string out;
  file.read(0, 1, &out);
  file.write(0, "yz");
  file.sync();
  file.truncate(0);
  remove_file("/a", true);
  file.lock(SQLITE_LOCK_SHARED);

  const DiskCounters& counters = disk.counters();
  for (const DiskOp op : {DiskOp::kOpen, DiskOp::kRead, DiskOp::kWrite, DiskOp::kTruncate, DiskOp::kSync,
                          DiskOp::kDelete, DiskOp::kLock}) {
    EXPECT_EQ(counters.of(op), 1u);
  }
  EXPECT_EQ(counters.crash_points, 4u);
  EXPECT_EQ(counters.bytes_read, 1u);
  EXPECT_EQ(counters.bytes_written, 2u);
  EXPECT_EQ(seen, (std::vector<std::string>{"/a:", "/a:", "/a:yz", "/a:", "/a:", "/a:", "/a:"}));
}

// ---- Locks and index memory ----------------------------------------------------------------------------------------

TEST_F(SimDiskTest, OneReservesWhileOthersRead) {
  RawFile a("/a"), b("/a"), c("/a");
  ASSERT_EQ(a.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  ASSERT_EQ(b.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  EXPECT_FALSE(b.reserved());
  ASSERT_EQ(a.lock(SQLITE_LOCK_RESERVED), SQLITE_OK);
  EXPECT_TRUE(b.reserved());
  EXPECT_EQ(b.lock(SQLITE_LOCK_RESERVED), SQLITE_BUSY);
  EXPECT_EQ(b.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
  EXPECT_EQ(c.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
}

TEST_F(SimDiskTest, WhoWaitsForExclusiveKeepsNewReadersOut) {
  RawFile a("/a"), b("/a"), c("/a");
  ASSERT_EQ(a.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  ASSERT_EQ(b.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  ASSERT_EQ(a.lock(SQLITE_LOCK_RESERVED), SQLITE_OK);
  EXPECT_EQ(a.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
  EXPECT_EQ(c.lock(SQLITE_LOCK_SHARED), SQLITE_BUSY);
  ASSERT_EQ(b.unlock(SQLITE_LOCK_NONE), SQLITE_OK);
  EXPECT_EQ(a.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
  EXPECT_EQ(c.lock(SQLITE_LOCK_SHARED), SQLITE_BUSY);
  ASSERT_EQ(a.unlock(SQLITE_LOCK_SHARED), SQLITE_OK);
  EXPECT_EQ(c.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  a.close();
  EXPECT_EQ(c.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
}

TEST_F(SimDiskTest, ConnectionsShareTheIndexUntilTheLastLeaves) {
  RawFile a("/a"), b("/a");
  void volatile* first = nullptr;
  void volatile* second = nullptr;
  EXPECT_EQ(a.map(0, false, &first), SQLITE_OK);
  EXPECT_EQ(first, nullptr);
  ASSERT_EQ(a.map(0, true, &first), SQLITE_OK);
  *static_cast<volatile char*>(first) = 'x';
  ASSERT_EQ(b.map(0, false, &second), SQLITE_OK);
  EXPECT_EQ(first, second);
  a.unmap();
  ASSERT_EQ(b.map(0, false, &second), SQLITE_OK);
  EXPECT_EQ(*static_cast<volatile char*>(second), 'x');
  b.unmap();
  ASSERT_EQ(a.map(0, false, &first), SQLITE_OK);
  EXPECT_EQ(first, nullptr);
}

TEST_F(SimDiskTest, IndexLocksAreSharedOrExclusiveForEachSlot) {
  constexpr int kShare = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED, kOwn = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
  RawFile a("/a"), b("/a");
  void volatile* region = nullptr;
  ASSERT_EQ(a.map(0, true, &region), SQLITE_OK);
  ASSERT_EQ(b.map(0, true, &region), SQLITE_OK);
  EXPECT_EQ(a.index_lock(3, 1, kShare), SQLITE_OK);
  EXPECT_EQ(b.index_lock(3, 1, kShare), SQLITE_OK);
  EXPECT_EQ(b.index_lock(3, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED), SQLITE_OK);
  EXPECT_EQ(b.index_lock(2, 3, kOwn), SQLITE_BUSY);
  EXPECT_EQ(b.index_lock(4, 3, kOwn), SQLITE_OK);
  EXPECT_EQ(a.index_lock(5, 1, kShare), SQLITE_BUSY);
  b.unmap();
  EXPECT_EQ(a.index_lock(5, 1, kShare), SQLITE_OK);
}

TEST_F(SimDiskTest, TimeAndRandomnessAreTheOnesGiven) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(kVfs);
  sqlite3_int64 before = 0, after = 0;
  vfs->xCurrentTimeInt64(vfs, &before);
  EXPECT_EQ(vfs->xSleep(vfs, 5'000), 5'000);
  rig.clock.advance(std::chrono::milliseconds(1'234));
  vfs->xCurrentTimeInt64(vfs, &after);
  EXPECT_EQ(after - before, 1'234);
  EXPECT_EQ(before, 210'866'760'000'000 + to_unix_ms(rig.clock.wall_now()) - 1'234);

  SeededRandom same(77);
  char drawn[16];
  vfs->xRandomness(vfs, 16, drawn);
  EXPECT_EQ(std::string(drawn, 16), same.bytes(16));
}

}  // namespace
}  // namespace chatsdk::sim
