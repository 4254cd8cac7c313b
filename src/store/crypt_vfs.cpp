// SPDX-License-Identifier: Apache-2.0
#include "store/crypt_vfs.h"

#include <sodium.h>
#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "store/crypt_file.h"
#include "store/sqlite.h"
#include "store/wal_file.h"

namespace chatsdk {

namespace {

// What SQLite allots for an open file. `head` comes first: SQLite sees only that.
struct OpenFile {
  sqlite3_file head;
  StoreFile* file;
  std::atomic<int>* open_files;
};

StoreFile& file_of(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file)->file; }

int close_file(sqlite3_file* head) {
  auto* open_file = reinterpret_cast<OpenFile*>(head);
  const int result = open_file->file->close();
  delete open_file->file;
  --*open_file->open_files;
  head->pMethods = nullptr;
  return result;
}

const sqlite3_io_methods kFileMethods = {
    2,  // shared memory, no memory mapping of pages: they are ciphertext
    close_file,
    [](sqlite3_file* f, void* out, int bytes, sqlite3_int64 offset) {
      return file_of(f).read(static_cast<unsigned char*>(out), bytes, offset);
    },
    [](sqlite3_file* f, const void* in, int bytes, sqlite3_int64 offset) {
      return file_of(f).write(static_cast<const unsigned char*>(in), bytes, offset);
    },
    [](sqlite3_file* f, sqlite3_int64 size) { return file_of(f).truncate(size); },
    [](sqlite3_file* f, int flags) { return file_of(f).sync(flags); },
    [](sqlite3_file* f, sqlite3_int64* out) {
      std::int64_t size = 0;
      const int result = file_of(f).size(&size);
      *out = size;
      return result;
    },
    [](sqlite3_file* f, int level) { return file_of(f).lock(level); },
    [](sqlite3_file* f, int level) { return file_of(f).unlock(level); },
    [](sqlite3_file* f, int* out) { return file_of(f).check_reserved_lock(out); },
    [](sqlite3_file* f, int operation, void* argument) { return file_of(f).control(operation, argument); },
    // With power-safe overwrite SQLite reckons in sectors of 512 bytes, as the journal's blocks do.
    [](sqlite3_file*) { return static_cast<int>(JournalLayout::kBlock); },
    [](sqlite3_file* f) { return file_of(f).characteristics(); },
    [](sqlite3_file* f, int region, int bytes, int extend, void volatile** out) {
      return file_of(f).shm_map(region, bytes, extend != 0, out);
    },
    [](sqlite3_file* f, int first, int count, int flags) { return file_of(f).shm_lock(first, count, flags); },
    [](sqlite3_file* f) { file_of(f).shm_barrier(); },
    [](sqlite3_file* f, int) {
      file_of(f).shm_unmap();
      return SQLITE_OK;
    },
    nullptr,
    nullptr,
};

// The file name in the form that VFS methods want: SQLite keeps parameters and the names of the log and the journal
// behind it.
class FileName {
 public:
  explicit FileName(const char* path) : name_(sqlite3_create_filename(path, "", "", 0, nullptr)) {}
  ~FileName() { sqlite3_free_filename(name_); }
  FileName(const FileName&) = delete;
  FileName& operator=(const FileName&) = delete;
  const char* get() const { return name_; }

 private:
  const char* name_;
};

}  // namespace

class CryptVfs::Impl {
 public:
  Impl(sqlite3_vfs& base, const StoreKey& key, Random& random);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  int register_vfs() { return sqlite3_vfs_register(&vfs_, 0); }
  int open(const char* name, sqlite3_file* out, int flags, int* out_flags);
  Status check_file(const std::string& path);
  Result<std::optional<std::int64_t>> file_bytes(const std::string& path);

  sqlite3_vfs& base() { return base_; }
  CryptContext& context() { return context_; }
  const std::string& name() const { return name_; }

 private:
  Result<std::string> full_path(const std::string& path);
  // NOT_FOUND: there is no such file.
  Status open_to_look(const std::string& full_path, const FileName& name, BaseFile& base);
  int open_main(const char* name, int flags, int* out_flags, StoreFile** out);
  int open_records(const char* name, RecordKind kind, int flags, int* out_flags, StoreFile** out);

  sqlite3_vfs& base_;
  CryptContext context_;
  std::string name_;
  sqlite3_vfs vfs_{};
  std::atomic<int> open_files_{0};

  // By the full path that SQLite opened. The open files of a store own it; an entry without any is dropped at the next
  // open.
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<SharedStore>, std::less<>> stores_;
};

CryptVfs::Impl::Impl(sqlite3_vfs& base, const StoreKey& key, Random& random) : base_(base), context_(key, random) {
  // The address is unique among the VFSes that live, and says nothing that lasts.
  char text[40];
  std::snprintf(text, sizeof text, "chatsdk-crypt-%llx",
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(this)));
  name_ = text;

  vfs_.iVersion = 2;
  vfs_.szOsFile = sizeof(OpenFile);
  vfs_.mxPathname = base.mxPathname;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = [](sqlite3_vfs* vfs, const char* name, sqlite3_file* out, int flags, int* out_flags) {
    return static_cast<Impl*>(vfs->pAppData)->open(name, out, flags, out_flags);
  };
  vfs_.xDelete = [](sqlite3_vfs* vfs, const char* name, int sync_directory) {
    sqlite3_vfs& below = static_cast<Impl*>(vfs->pAppData)->base_;
    return below.xDelete(&below, name, sync_directory);
  };
  vfs_.xAccess = [](sqlite3_vfs* vfs, const char* name, int flags, int* out) {
    sqlite3_vfs& below = static_cast<Impl*>(vfs->pAppData)->base_;
    return below.xAccess(&below, name, flags, out);
  };
  vfs_.xFullPathname = [](sqlite3_vfs* vfs, const char* name, int bytes, char* out) {
    sqlite3_vfs& below = static_cast<Impl*>(vfs->pAppData)->base_;
    return below.xFullPathname(&below, name, bytes, out);
  };
  vfs_.xRandomness = [](sqlite3_vfs* vfs, int bytes, char* out) {
    static_cast<Impl*>(vfs->pAppData)
        ->context_.random.fill({reinterpret_cast<unsigned char*>(out), static_cast<std::size_t>(bytes)});
    return bytes;
  };
  vfs_.xSleep = [](sqlite3_vfs* vfs, int microseconds) {
    sqlite3_vfs& below = static_cast<Impl*>(vfs->pAppData)->base_;
    return below.xSleep(&below, microseconds);
  };
  vfs_.xCurrentTime = [](sqlite3_vfs* vfs, double* out) {
    sqlite3_vfs& below = static_cast<Impl*>(vfs->pAppData)->base_;
    return below.xCurrentTime(&below, out);
  };
  vfs_.xGetLastError = [](sqlite3_vfs* vfs, int bytes, char* out) {
    sqlite3_vfs& below = static_cast<Impl*>(vfs->pAppData)->base_;
    return below.xGetLastError != nullptr ? below.xGetLastError(&below, bytes, out) : 0;
  };
  vfs_.xCurrentTimeInt64 = [](sqlite3_vfs* vfs, sqlite3_int64* out) {
    sqlite3_vfs& below = static_cast<Impl*>(vfs->pAppData)->base_;
    if (below.iVersion >= 2 && below.xCurrentTimeInt64 != nullptr) return below.xCurrentTimeInt64(&below, out);
    double days = 0;
    const int result = below.xCurrentTime(&below, &days);
    *out = static_cast<sqlite3_int64>(days * 86'400'000.0);
    return result;
  };
}

CryptVfs::Impl::~Impl() {
  CHATSDK_ASSERT(open_files_ == 0);
  sqlite3_vfs_unregister(&vfs_);
}

int CryptVfs::Impl::open(const char* name, sqlite3_file* out, int flags, int* out_flags) {
  constexpr int kTypes = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
  auto* open_file = reinterpret_cast<OpenFile*>(out);
  *open_file = OpenFile{};
  int result = SQLITE_OK;
  try {
    if (name == nullptr || (flags & kTypes) == 0) {
      open_file->file = new MemoryFile();
      if (out_flags != nullptr) *out_flags = flags;
    } else if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
      result = open_main(name, flags, out_flags, &open_file->file);
    } else if ((flags & SQLITE_OPEN_WAL) != 0) {
      result = open_records(name, RecordKind::kWal, flags, out_flags, &open_file->file);
    } else if ((flags & SQLITE_OPEN_MAIN_JOURNAL) != 0) {
      result = open_records(name, RecordKind::kJournal, flags, out_flags, &open_file->file);
    } else {
      result = SQLITE_CANTOPEN;
    }
  } catch (const std::bad_alloc&) {
    result = SQLITE_NOMEM;
  }
  if (result != SQLITE_OK) return result;
  open_file->open_files = &open_files_;
  ++open_files_;
  open_file->head.pMethods = &kFileMethods;
  return SQLITE_OK;
}

int CryptVfs::Impl::open_main(const char* name, int flags, int* out_flags, StoreFile** out) {
  BaseFile base;
  int granted = flags;
  if (const int result = base.open(base_, name, flags, &granted); result != SQLITE_OK) return result;

  std::shared_ptr<SharedStore> store;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(stores_, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<SharedStore>& known = stores_[name];
    store = known.lock();
    if (store == nullptr) {
      store = std::make_shared<SharedStore>();
      known = store;
    }
  }
  {
    const std::lock_guard lock(store->mutex);
    const bool writable = (granted & SQLITE_OPEN_READWRITE) != 0;
    if (const int result = MainFile::prepare(context_, *store, base, writable); result != SQLITE_OK) return result;
  }
  *out = new MainFile(context_, std::move(store), std::move(base));
  if (out_flags != nullptr) *out_flags = granted;
  return SQLITE_OK;
}

int CryptVfs::Impl::open_records(const char* name, RecordKind kind, int flags, int* out_flags, StoreFile** out) {
  std::shared_ptr<SharedStore> store;
  {
    const std::lock_guard lock(mutex_);
    const auto found = stores_.find(std::string_view(sqlite3_filename_database(name)));
    if (found != stores_.end()) store = found->second.lock();
  }
  // SQLite opens a log or journal only beside an open main file.
  if (store == nullptr) return SQLITE_CANTOPEN;
  BaseFile base;
  if (const int result = base.open(base_, name, flags, out_flags); result != SQLITE_OK) return result;
  if (kind == RecordKind::kWal) {
    *out = new WalFile(context_, std::move(store), std::move(base));
  } else {
    *out = new JournalFile(context_, std::move(store), std::move(base));
  }
  return SQLITE_OK;
}

Result<std::string> CryptVfs::Impl::full_path(const std::string& path) {
  std::vector<char> full(static_cast<std::size_t>(base_.mxPathname) + 1);
  const int named = base_.xFullPathname(&base_, path.c_str(), base_.mxPathname, full.data());
  if ((named & 0xFF) != SQLITE_OK) return sqlite::error_of(named, "name the store");
  return std::string(full.data());
}

Status CryptVfs::Impl::open_to_look(const std::string& full_path, const FileName& name, BaseFile& base) {
  int exists = 0;
  const int accessed = base_.xAccess(&base_, full_path.c_str(), SQLITE_ACCESS_EXISTS, &exists);
  if (accessed != SQLITE_OK) return sqlite::error_of(accessed, "look for the store");
  if (exists == 0) return error(Code::kNotFound, "no such store");
  if (name.get() == nullptr) return error(Code::kNoMemory, "name the store");
  const int opened = base.open(base_, name.get(), SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, nullptr);
  if (opened != SQLITE_OK) return sqlite::error_of(opened, "open the store");
  return {};
}

Status CryptVfs::Impl::check_file(const std::string& path) {
  CHATSDK_ASSIGN(const std::string full, full_path(path));
  const FileName name(full.c_str());
  BaseFile base;
  CHATSDK_TRY(open_to_look(full, name, base));
  SharedStore store;
  const int prepared = MainFile::prepare(context_, store, base, false);
  if (prepared == SQLITE_OK) return {};
  if (prepared == SQLITE_CANTOPEN) return error(Code::kNotFound, "the store is empty");
  if (auto failure = context_.failure.take()) return std::move(*failure);
  return sqlite::error_of(prepared, "read the store");
}

Result<std::optional<std::int64_t>> CryptVfs::Impl::file_bytes(const std::string& path) {
  CHATSDK_ASSIGN(const std::string full, full_path(path));
  // An empty file may count as absent: xAccess of SQLite's own VFS says so of one.
  const FileName name(full.c_str());
  BaseFile base;
  const Status opened = open_to_look(full, name, base);
  if (opened.code() == Code::kNotFound) return std::optional<std::int64_t>();
  CHATSDK_TRY(opened);
  std::int64_t bytes = 0;
  const int sized = base.size(&bytes);
  if (sized != SQLITE_OK) return sqlite::error_of(sized, "measure a file");
  return std::optional(bytes);
}

CryptVfs::CryptVfs(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CryptVfs::~CryptVfs() = default;

Result<std::unique_ptr<CryptVfs>> CryptVfs::create(const CryptVfsOptions& options) {
  if (sodium_init() < 0) return error(Code::kCrypto, "libsodium does not start");
  if (const int result = sqlite3_initialize(); result != SQLITE_OK) return sqlite::error_of(result, "start SQLite");
  sqlite3_vfs* base = sqlite3_vfs_find(options.base_vfs_name.empty() ? nullptr : options.base_vfs_name.c_str());
  if (base == nullptr) return error(Code::kInvalidArgument, "no such VFS");
  auto impl = std::make_unique<Impl>(*base, options.key, options.keys);
  if (const int result = impl->register_vfs(); result != SQLITE_OK) return sqlite::error_of(result, "register the VFS");
  return std::unique_ptr<CryptVfs>(new CryptVfs(std::move(impl)));
}

const std::string& CryptVfs::name() const { return impl_->name(); }
Status CryptVfs::check_file(const std::string& path) { return impl_->check_file(path); }
Result<std::optional<std::int64_t>> CryptVfs::file_bytes(const std::string& path) { return impl_->file_bytes(path); }
bool CryptVfs::damage_seen() const { return impl_->context().failure.damage_seen(); }
std::optional<Error> CryptVfs::take_failure() { return impl_->context().failure.take(); }

}  // namespace chatsdk
