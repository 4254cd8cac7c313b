// SPDX-License-Identifier: Apache-2.0
//
// The device store against power cuts, from its first creation on. One life of a store runs over a recording base VFS;
// then, for a cut behind every single change that it made to a file, the store must open: as one that was not made yet
// before its creation was answered, with every queued message after that.
#include "device_store_fixture.h"
#include "recording_vfs.h"

#include <fstream>

namespace chatsdk {
namespace {

class StorePower : public DeviceStoreTest {
 protected:
  void put(const std::map<std::string, std::string>& wanted) {
    close();
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) std::filesystem::remove(entry.path());
    for (const auto& [name, bytes] : wanted) std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  // How much was promised after so many changes.
  struct Promise {
    std::size_t changes = 0;
    bool made = false;
    std::uint64_t queued = 0;
  };
  void promise(bool made, std::uint64_t queued) { promises_.push_back({recorder_.changes().size(), made, queued}); }
  Promise promised_after(std::size_t changes) const {
    Promise found;
    for (const Promise& each : promises_) {
      if (each.changes <= changes) found = each;
    }
    return found;
  }
  void check_every_cut() {
    base_vfs_.clear();
    for (std::size_t count = 0; count <= recorder_.changes().size(); ++count) {
      for (const auto cut : {RecordingVfs::Cut::kNothingLost, RecordingVfs::Cut::kAnyLost}) {
        SeededRandom fate(count);
        put(count == 0 ? std::map<std::string, std::string>() : recorder_.files_after(count, cut, fate));
        const Promise least = promised_after(count);

        auto opened = try_open();
        ASSERT_TRUE(opened.ok()) << "cut behind change " << count << ": " << opened.error().detail;
        auto reader = must((*opened)->open_reader());
        const std::uint64_t queued = must(reader->outbox_count());
        ASSERT_TRUE(queued == least.queued || queued == least.queued + 1) << "cut behind change " << count;
        ASSERT_TRUE(least.queued == 0 || must((*opened)->owner()).has_value()) << count;
        reader.reset();
        opened->reset();
        ASSERT_TRUE(try_open().ok()) << "once more, cut behind change " << count;
      }
    }
  }

  RecordingVfs recorder_;
  std::vector<Promise> promises_;
};

TEST_F(StorePower, ACutInTheFirstCreationLeavesAStoreYetToBeMade) {
  base_vfs_ = recorder_.name();
  reopen();
  promise(true, 0);
  must(store_->save_session(session()));
  must(store_->begin_epoch(1, kAccount));
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "first"));
  promise(true, 1);
  close();

  check_every_cut();
}

TEST_F(StorePower, ACutInAnyLaterLifeKeepsWhatWasQueued) {
  base_vfs_ = recorder_.name();
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  for (std::uint64_t id = 1; id <= 6; ++id) {
    must(queue(chat, id, std::string(3'000, 'm')));
    promise(true, id);
    if (id % 2 == 0) reopen();
  }
  close();

  check_every_cut();
}

TEST_F(StorePower, ACutWhileStartingAfreshLeavesTheOldTroubleOrANewStore) {
  open_as_ann();
  close();
  std::filesystem::resize_file(path(), 4'096);
  ASSERT_EQ(try_open().code(), Code::kCorrupt);
  base_vfs_ = recorder_.name();
  const std::string kMade(16, 'x');  // the length counts
  auto afresh = options();
  afresh.start_afresh = true;
  ASSERT_TRUE(DeviceStore::open(afresh, random_, clock_).ok());

  base_vfs_.clear();
  for (std::size_t count = 1; count <= recorder_.changes().size(); ++count) {
    SeededRandom fate(count);
    auto files = recorder_.files_after(count, RecordingVfs::Cut::kAnyLost, fate);
    // What was there before the recording, and its length since.
    std::string lock = kMade;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& change = recorder_.changes()[i];
      if (change.file != "store.db-lock") continue;
      if (change.kind == RecordingVfs::Change::Kind::kTruncate) lock.resize(static_cast<std::size_t>(change.offset));
      if (change.kind == RecordingVfs::Change::Kind::kWrite) lock = change.bytes;
    }
    files["store.db-lock"] = lock;
    put(files);
    const Code code = try_open().code();
    ASSERT_TRUE(code == Code::kOk || (code == Code::kCorrupt && lock == kMade && files.count("store.db") == 0))
        << "cut behind change " << count << " " << code_name(code);
  }
}

}  // namespace
}  // namespace chatsdk
