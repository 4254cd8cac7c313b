// SPDX-License-Identifier: Apache-2.0
//
// The disk of one simulated node: files in memory behind an SQLite VFS of its own, with what a power cut makes of them.
// Every file has two images: what the process sees, and what is durable. A write or truncation changes the first at
// once and the second when the file is synced; a name that was made or removed is durable after a sync of its
// directory. The disk survives the node: crash() decides what is left of the rest. It knows SQLite's methods, not what
// is stored.
//
// It does what SQLite's VFS for Unix does, as far as that matters for durability:
//   - the first sync of a journal, super-journal or log that was opened with CREATE syncs its directory as well,
//   whether
//     or not the file was new; a main database never does; xDelete does when asked to;
//   - a file of no bytes does not "exist" for SQLITE_ACCESS_EXISTS;
//   - overwriting is power-safe: a write that is cut short damages no byte outside its range;
//   - after a failed sync the data may be gone although the process still sees it.
// The index of a write-ahead log is heap memory, shared by the connections, and no file.
//
// Threads: one.
// Invariants:
//   1. The same calls with the same seed have the same results: no address, clock or hash order decides anything.
//   2. While the power is off, and for a handle that was opened before it was, every operation fails and changes
//      nothing.
//   3. A flipped bit is in what one read returned, never in an image.
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"

namespace chatsdk::sim {

enum class DiskOp { kOpen, kRead, kWrite, kTruncate, kSync, kDelete, kLock };
inline constexpr std::size_t kDiskOps = 7;

// What a failing operation does. Where the platform never answers so (a full disk for a lock), it is the I/O error of
// the operation. A failing write may have written a part; a failing sync may have lost writes for good (both drawn).
enum class DiskFailure {
  kIoError,     // the operation's own SQLITE_IOERR_...; SQLITE_CANTOPEN for an opening
  kFull,        // SQLITE_FULL for a write
  kBusy,        // SQLITE_BUSY for a lock
  kShortRead,   // SQLITE_IOERR_SHORT_READ for a read, the rest zero
  kFlippedBit,  // a read succeeds with one bit changed
};
inline constexpr std::size_t kDiskFailures = 5;

struct DiskFault {
  std::optional<DiskOp> op;  // none: operations of every kind count
  std::uint64_t nth = 1;     // 1: the next
  DiskFailure failure = DiskFailure::kIoError;
  bool from_then_on = false;
  std::string suffix;  // only files whose path ends so
};

// What is left of unsynced changes.
enum class CrashMode {
  kProcessOnly,   // the process dies, the machine does not: all is seen, and still not durable
  kDropUnsynced,  // nothing
  kKeepPrefix,    // those before a moment, over all files and names
  kEachWrite,     // each has its own fate: kept, dropped, some of its sectors only, or with garbage in some
};

enum class CrashMoment { kBefore, kAfter, kDrawn };

// What a crash did. All zero: it had no effect beyond ending the process.
struct CrashReport {
  std::uint64_t kept = 0;
  std::uint64_t dropped = 0;
  std::uint64_t torn = 0;
  std::uint64_t garbage = 0;
  std::uint64_t names_kept = 0;
  std::uint64_t names_dropped = 0;  // files that vanished, or came back
  bool had_effect() const { return dropped + torn + garbage + names_dropped != 0; }
};

struct DiskOperation {
  DiskOp op;
  std::string_view path;  // empty: a temporary file
  std::int64_t offset = 0;
  std::string_view bytes;  // of a write, before it is done
};

struct DiskCounters {
  std::array<std::uint64_t, kDiskOps> operations{};
  std::array<std::uint64_t, kDiskFailures> failures{};  // injected
  std::uint64_t failed_syncs = 0;                       // among them
  std::uint64_t failed_deletes = 0;                     // likewise
  std::uint64_t directory_syncs = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t crash_points = 0;  // writes, truncations, syncs and deletions that began

  std::uint64_t of(DiskOp op) const { return operations[static_cast<std::size_t>(op)]; }
  std::uint64_t of(DiskFailure failure) const { return failures[static_cast<std::size_t>(failure)]; }
  std::uint64_t failed() const { return std::accumulate(failures.begin(), failures.end(), std::uint64_t{0}); }
  // Reads that gave other bytes than are there.
  std::uint64_t deceived() const { return of(DiskFailure::kFlippedBit) + of(DiskFailure::kShortRead); }
};

enum class DiskView { kVisible, kDurable };

using DiskImage = std::map<std::string, Bytes>;  // files by path

struct SimDiskOptions {
  std::string vfs_name;    // unique among the VFSes that live
  std::uint64_t seed = 0;  // of every choice that the disk makes
  const Clock& clock;      // outlives the disk
  Random& random;          // what xRandomness gives; outlives the disk
};

class SimDisk {
 public:
  explicit SimDisk(SimDiskOptions options);
  ~SimDisk();  // after the last handle
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  const std::string& vfs_name() const { return name_; }

  // SQLite draws salts and checksums from one generator of the process: this makes it start anew from a seed. 0: from
  // the system again.
  static void seed_sqlite(std::uint32_t seed);

  // -- Power --
  // The node may be destroyed after this in its own turn: nothing that it still does reaches the disk.
  void power_off();
  bool powered() const { return powered_; }
  // Ends what runs on the disk (if power_off did not), decides what is left, and puts the power on.
  CrashReport crash(CrashMode mode);

  // -- Faults --
  void arm(DiskFault fault);
  // Each operation of a kind fails by chance; 0: never.
  void set_failure_rate(DiskOp op, DiskFailure failure, std::uint32_t per_million);
  // Besides that, one bit of a read is flipped by chance, in files whose path ends so. Not every flip in a log that is
  // read after a crash can be told from a torn write: whoever wants each reported names the main file.
  void set_flip_rate(std::uint32_t per_million, std::string suffix = {});
  void clear_faults();  // of all three kinds

  // At the nth crash point from now (1: the next) the power goes off, before or after the effect, and hook is called
  // from within the operation, which then fails. One at a time; a later call replaces it, a crash forgets it.
  void crash_after(std::uint64_t n, CrashMoment moment, std::function<void()> hook = {});
  void cancel_crash() { crash_point_ = 0; }
  bool crash_pending() const { return crash_point_ != 0; }

  // -- Watching --
  // Called as each operation begins; it must not use the disk, except that it may call power_off().
  void on_operation(std::function<void(const DiskOperation&)> hook) { operation_hook_ = std::move(hook); }
  const DiskCounters& counters() const { return counters_; }
  void reset_counters() { counters_ = {}; }
  std::size_t open_handles() const { return open_handles_; }
  std::size_t unsynced_changes() const;  // of files that have a name

  // -- Contents --
  std::vector<std::string> files(DiskView view) const;  // sorted
  bool exists(const std::string& path, DiskView view) const;
  Bytes contents(const std::string& path, DiskView view) const;  // empty when there is no such file
  std::uint64_t total_bytes(DiskView view) const;
  DiskImage snapshot(DiskView view = DiskView::kDurable) const;
  // As a machine that is set back: what ran on the disk has ended, both images are the snapshot's.
  void restore(const DiskImage& image);
  // Replaces or makes one file, durably, behind everybody's back.
  void put(const std::string& path, BytesView bytes);

 private:
  struct Change;
  struct Inode;
  struct IndexMemory;
  struct NameChange;
  struct Handle;
  struct Vfs;  // SQLite's methods, in sim_disk_vfs.cpp
  using InodePtr = std::shared_ptr<Inode>;
  using Directory = std::map<std::string, InodePtr>;

  enum class Point { kNone, kBefore, kAfter };

  // Each returns an SQLite result code.
  int open(const char* path, Handle& handle, int flags, int* out_flags);
  int close(Handle& handle);
  int read(Handle& handle, unsigned char* out, std::size_t size, std::int64_t offset);
  int write(Handle& handle, const unsigned char* bytes, std::size_t size, std::int64_t offset);
  int truncate(Handle& handle, std::int64_t size);
  int sync(Handle& handle);
  int remove(const std::string& path, bool sync_directory);
  int access(const std::string& path, int flags, int* out);
  int lock(Handle& handle, int level);
  int unlock(Handle& handle, int level);
  int check_reserved(Handle& handle, int* out);
  int index_map(Handle& handle, int region, int bytes, bool extend, void volatile** out);
  int index_lock(Handle& handle, int first, int count, int flags);
  void index_unmap(Handle& handle, bool forget);

  bool alive(const Handle& handle) const;
  // Counts and announces an operation; the failure to answer with when a fault strikes it.
  std::optional<DiskFailure> begin(const DiskOperation& operation);
  std::optional<DiskFailure> draw_failure(const DiskOperation& operation);
  Point reach_point();
  int die(int result);

  void change(Inode& inode, bool is_truncation, std::int64_t offset, const unsigned char* bytes, std::size_t size);
  void make_durable(Inode& inode);
  void lose_some(Inode& inode);
  void change_name(const std::string& path, InodePtr inode);
  void sync_directory_of(const std::string& path);
  void settle_names(CrashMode mode, std::uint64_t cut, CrashReport& report);
  void settle(Inode& inode, CrashMode mode, std::uint64_t cut, CrashReport& report);
  void tear(Inode& inode, const Change& change, bool garbage);
  std::uint64_t draw_cut();
  void end_process();
  const Directory& names(DiskView view) const { return view == DiskView::kVisible ? visible_ : durable_; }

  const std::string name_;
  const Clock& clock_;
  Random& sqlite_random_;
  SeededRandom fate_;
  sqlite3_vfs vfs_{};

  Directory visible_;
  Directory durable_;
  std::vector<NameChange> name_changes_;  // in order, not durable yet
  std::uint64_t last_change_ = 0;

  bool powered_ = true;
  std::uint64_t process_ = 1;  // handles of an earlier one are dead
  std::size_t open_handles_ = 0;

  struct ArmedFault {
    DiskFault fault;
    std::uint64_t seen = 0;
  };
  struct FailureRate {
    DiskFailure failure = DiskFailure::kIoError;
    std::uint32_t per_million = 0;
  };
  std::vector<ArmedFault> faults_;
  std::array<FailureRate, kDiskOps> rates_{};
  std::uint32_t flip_rate_ = 0;
  std::string flip_suffix_;
  std::uint64_t crash_point_ = 0;  // in counts of points_; 0: none
  std::uint64_t points_ = 0;
  Point crash_side_ = Point::kNone;
  std::function<void()> crash_hook_;
  std::function<void(const DiskOperation&)> operation_hook_;
  DiskCounters counters_;
};

}  // namespace chatsdk::sim
