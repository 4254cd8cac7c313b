// SPDX-License-Identifier: Apache-2.0
//
// The simulated disk as SQLite sees it: the methods of the VFS and of its files, the locks between connections of the
// process, and the index memory of write-ahead logs.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

#include "base/assert.h"
#include "sim/sim_disk_impl.h"

namespace chatsdk::sim {

// What SQLite allots for an open file.
struct SimDisk::Vfs {
  struct File {
    sqlite3_file head;
    Handle* handle;
  };
  static Handle& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file)->handle; }
  static SimDisk& disk(sqlite3_vfs* vfs) { return *static_cast<SimDisk*>(vfs->pAppData); }
  static SimDisk& disk(sqlite3_file* file) { return *of(file).disk; }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags) {
    auto* file = reinterpret_cast<File*>(out);
    *file = File{};
    auto handle = std::make_unique<Handle>();
    const int result = disk(vfs).open(path, *handle, flags, out_flags);
    if (result != SQLITE_OK) return result;
    file->handle = handle.release();
    file->head.pMethods = &kMethods;
    return SQLITE_OK;
  }
  static int close(sqlite3_file* file) {
    const std::unique_ptr<Handle> handle(std::exchange(reinterpret_cast<File*>(file)->handle, nullptr));
    file->pMethods = nullptr;
    return handle->disk->close(*handle);
  }
  static int full_pathname(sqlite3_vfs*, const char* path, int size, char* out) {
    const std::size_t bytes = std::strlen(path) + 1;
    if (bytes > static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
    std::memcpy(out, path, bytes);
    return SQLITE_OK;
  }
  static int current_time(sqlite3_vfs* vfs, sqlite3_int64* out) {
    // The Julian day of 1970-01-01T00:00:00Z in milliseconds.
    constexpr std::int64_t kUnixEpoch = 210'866'760'000'000;
    *out = kUnixEpoch + to_unix_ms(disk(vfs).clock_.wall_now());
    return SQLITE_OK;
  }

  static const sqlite3_io_methods kMethods;
};

const sqlite3_io_methods SimDisk::Vfs::kMethods = {
    2,
    close,
    [](sqlite3_file* f, void* out, int bytes, sqlite3_int64 offset) {
      return disk(f).read(of(f), static_cast<unsigned char*>(out), static_cast<std::size_t>(bytes), offset);
    },
    [](sqlite3_file* f, const void* in, int bytes, sqlite3_int64 offset) {
      return disk(f).write(of(f), static_cast<const unsigned char*>(in), static_cast<std::size_t>(bytes), offset);
    },
    [](sqlite3_file* f, sqlite3_int64 size) { return disk(f).truncate(of(f), size); },
    [](sqlite3_file* f, int) { return disk(f).sync(of(f)); },
    [](sqlite3_file* f, sqlite3_int64* out) {
      if (!disk(f).alive(of(f))) return SQLITE_IOERR_FSTAT;
      *out = static_cast<sqlite3_int64>(of(f).inode->visible.size());
      return SQLITE_OK;
    },
    [](sqlite3_file* f, int level) { return disk(f).lock(of(f), level); },
    [](sqlite3_file* f, int level) { return disk(f).unlock(of(f), level); },
    [](sqlite3_file* f, int* out) { return disk(f).check_reserved(of(f), out); },
    [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; },
    [](sqlite3_file*) { return 4'096; },
    [](sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; },
    [](sqlite3_file* f, int region, int bytes, int extend, void volatile** out) {
      return disk(f).index_map(of(f), region, bytes, extend != 0, out);
    },
    [](sqlite3_file* f, int first, int count, int flags) { return disk(f).index_lock(of(f), first, count, flags); },
    [](sqlite3_file*) {},
    [](sqlite3_file* f, int forget) {
      disk(f).index_unmap(of(f), forget != 0);
      return SQLITE_OK;
    },
    nullptr,
    nullptr,
};

SimDisk::SimDisk(SimDiskOptions options)
    : name_(std::move(options.vfs_name)), clock_(options.clock), sqlite_random_(options.random), fate_(options.seed) {
  sqlite3_initialize();
  CHATSDK_ASSERT(sqlite3_vfs_find(name_.c_str()) == nullptr);
  vfs_.iVersion = 2;
  vfs_.szOsFile = sizeof(Vfs::File);
  vfs_.mxPathname = 512;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = Vfs::open;
  vfs_.xDelete = [](sqlite3_vfs* vfs, const char* path, int sync_directory) {
    return Vfs::disk(vfs).remove(path, sync_directory != 0);
  };
  vfs_.xAccess = [](sqlite3_vfs* vfs, const char* path, int flags, int* out) {
    return Vfs::disk(vfs).access(path, flags, out);
  };
  vfs_.xFullPathname = Vfs::full_pathname;
  vfs_.xRandomness = [](sqlite3_vfs* vfs, int bytes, char* out) {
    Vfs::disk(vfs).sqlite_random_.fill({reinterpret_cast<unsigned char*>(out), static_cast<std::size_t>(bytes)});
    return bytes;
  };
  // Waiting is SQLite's own count of how often it tried; no time passes within a turn.
  vfs_.xSleep = [](sqlite3_vfs*, int microseconds) { return microseconds; };
  vfs_.xCurrentTime = [](sqlite3_vfs* vfs, double* out) {
    sqlite3_int64 ms = 0;
    const int result = Vfs::current_time(vfs, &ms);
    *out = static_cast<double>(ms) / 86'400'000.0;
    return result;
  };
  vfs_.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
  vfs_.xCurrentTimeInt64 = Vfs::current_time;
  const int registered = sqlite3_vfs_register(&vfs_, 0);
  CHATSDK_ASSERT(registered == SQLITE_OK);
}

SimDisk::~SimDisk() {
  CHATSDK_ASSERT(open_handles_ == 0);
  sqlite3_vfs_unregister(&vfs_);
}

void SimDisk::seed_sqlite(std::uint32_t seed) {
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(seed), static_cast<sqlite3*>(nullptr));
}

// ---- Locks ---------------------------------------------------------------------------------------------------------

int SimDisk::lock(Handle& handle, int level) {
  if (!alive(handle)) return SQLITE_IOERR_LOCK;
  if (handle.level >= level) return SQLITE_OK;
  if (const auto failure = begin({DiskOp::kLock, handle.path, 0, {}})) {
    return *failure == DiskFailure::kBusy ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
  }
  if (!alive(handle)) return SQLITE_IOERR_LOCK;
  Inode& inode = *handle.inode;
  const auto another = [&](const Handle* holder) { return holder != nullptr && holder != &handle; };
  if (another(inode.exclusive) || another(inode.pending)) return SQLITE_BUSY;
  switch (level) {
    case SQLITE_LOCK_SHARED:
      ++inode.shared_locks;
      break;
    case SQLITE_LOCK_RESERVED:
      if (another(inode.reserved)) return SQLITE_BUSY;
      inode.reserved = &handle;
      break;
    default:
      if (another(inode.reserved)) return SQLITE_BUSY;
      // Nobody else may begin to read from here on, also when the wait for the readers is given up for now.
      inode.pending = &handle;
      handle.level = SQLITE_LOCK_PENDING;
      if (inode.shared_locks > 1) return SQLITE_BUSY;
      inode.exclusive = &handle;
      break;
  }
  handle.level = level;
  return SQLITE_OK;
}

int SimDisk::unlock(Handle& handle, int level) {
  if (!alive(handle)) return SQLITE_IOERR_UNLOCK;
  if (handle.level <= level) return SQLITE_OK;
  Inode& inode = *handle.inode;
  for (const Handle** holder : {&inode.exclusive, &inode.pending, &inode.reserved}) {
    if (*holder == &handle) *holder = nullptr;
  }
  if (level == SQLITE_LOCK_NONE) --inode.shared_locks;
  handle.level = level;
  return SQLITE_OK;
}

int SimDisk::check_reserved(Handle& handle, int* out) {
  if (!alive(handle)) return SQLITE_IOERR_CHECKRESERVEDLOCK;
  const Inode& inode = *handle.inode;
  *out = inode.reserved != nullptr || inode.pending != nullptr || inode.exclusive != nullptr ? 1 : 0;
  return SQLITE_OK;
}

// ---- Index memory --------------------------------------------------------------------------------------------------

int SimDisk::index_map(Handle& handle, int region, int bytes, bool extend, void volatile** out) {
  *out = nullptr;
  if (!alive(handle)) return SQLITE_IOERR_SHMMAP;
  if (!handle.index) {
    handle.index = handle.inode->index.lock();
    if (!handle.index) {
      handle.index = std::make_shared<IndexMemory>();
      handle.inode->index = handle.index;
    }
  }
  auto& regions = handle.index->regions;
  const auto wanted = static_cast<std::size_t>(region);
  if (regions.size() <= wanted && !extend) return SQLITE_OK;
  while (regions.size() <= wanted) {
    regions.push_back(std::make_unique<std::uint64_t[]>((static_cast<std::size_t>(bytes) + 7) / 8));
  }
  *out = regions[wanted].get();
  return SQLITE_OK;
}

int SimDisk::index_lock(Handle& handle, int first, int count, int flags) {
  if (!alive(handle) || !handle.index) return SQLITE_IOERR_SHMLOCK;
  IndexMemory& index = *handle.index;
  const auto each = [&](auto&& visit) {
    for (int slot = first; slot < first + count; ++slot) visit(static_cast<std::size_t>(slot), 1u << slot);
  };
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    each([&](std::size_t slot, unsigned bit) {
      if ((handle.index_shared & bit) != 0) --index.shared[slot];
      if ((handle.index_exclusive & bit) != 0) index.exclusive[slot] = nullptr;
      handle.index_shared &= ~bit;
      handle.index_exclusive &= ~bit;
    });
    return SQLITE_OK;
  }
  if (const auto failure = begin({DiskOp::kLock, handle.path, 0, {}})) {
    return *failure == DiskFailure::kBusy ? SQLITE_BUSY : SQLITE_IOERR_SHMLOCK;
  }
  if (!alive(handle)) return SQLITE_IOERR_SHMLOCK;
  const bool shared = (flags & SQLITE_SHM_SHARED) != 0;
  bool free = true;
  each([&](std::size_t slot, unsigned bit) {
    if (index.exclusive[slot] != nullptr && index.exclusive[slot] != &handle) free = false;
    const int others = index.shared[slot] - ((handle.index_shared & bit) != 0 ? 1 : 0);
    if (!shared && others > 0) free = false;
  });
  if (!free) return SQLITE_BUSY;
  each([&](std::size_t slot, unsigned bit) {
    if (shared) {
      if ((handle.index_shared & bit) == 0) ++index.shared[slot];
      handle.index_shared |= bit;
    } else {
      index.exclusive[slot] = &handle;
      handle.index_exclusive |= bit;
    }
  });
  return SQLITE_OK;
}

void SimDisk::index_unmap(Handle& handle, bool forget) {
  if (!handle.index) return;
  if (handle.process == process_) {
    for (std::size_t slot = 0; slot < IndexMemory::kSlots; ++slot) {
      if ((handle.index_shared & (1u << slot)) != 0) --handle.index->shared[slot];
      if ((handle.index_exclusive & (1u << slot)) != 0) handle.index->exclusive[slot] = nullptr;
    }
    if (forget) handle.inode->index.reset();
  }
  handle.index_shared = handle.index_exclusive = 0;
  handle.index.reset();
}

}  // namespace chatsdk::sim
