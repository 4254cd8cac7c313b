// SPDX-License-Identifier: Apache-2.0
//
// The open files of the encrypting VFS: the main file in pages, a rollback journal in blocks, and temporary files in
// memory; the log is in wal_file.h. They see SQLite's file methods one to one and reach the disk only through the base
// VFS's files. Which file is opened how is decided in crypt_vfs.cpp.
//
// Threads: one file, one thread at a time; several files of one store at once share a SharedStore.
// Invariants:
//   1. Nothing but the prelude's description reaches the base VFS in the clear.
//   2. No method throws, and reading and writing allocate nothing (memory files grow).
#pragma once

#include <sodium.h>
#include <sqlite3.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/crypt_layout.h"
#include "store/crypt_page.h"
#include "store/crypt_prelude.h"
#include "store/known_frames.h"
#include "store/wal_index.h"

namespace chatsdk {

// The latest failure that SQLite's result code cannot tell in full.
class FailureNote {
 public:
  void set(Code code, const char* what, std::int64_t where);
  std::optional<Error> take();

  // Stays when the failure is taken.
  void note_damage() { damage_seen_ = true; }
  bool damage_seen() const { return damage_seen_; }

 private:
  std::atomic<bool> damage_seen_ = false;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

// What every file of one VFS uses. Outlives them.
struct CryptContext {
  CryptContext(const StoreKey& key, Random& source) : keys(key), random(source) {}

  StoreKeys keys;
  SharedRandom random;
  FailureNote failure;
};

// What the connections of one process to one store share. Kept by shared_ptr because its connections close in any
// order, and each main file, log and journal of it needs it to its end.
struct SharedStore {
  SharedStore() = default;
  ~SharedStore() { sodium_memzero(copied.plain.data(), copied.plain.size()); }
  SharedStore(const SharedStore&) = delete;
  SharedStore& operator=(const SharedStore&) = delete;

  // Guards all below except known_frames and wal_index, which have their own. `identity` does not change once `ready`
  // is set, and main, log and journal files are made only after that.
  std::mutex mutex;
  bool ready = false;
  FileIdentity identity{};
  HeaderRecord header;
  // The page that a checkpoint last read from the log, as plaintext and as it lies there: a page is sealed alike in log
  // and main file, so the checkpoint need not seal it anew.
  struct Copied {
    std::uint32_t page = 0;  // 0: none
    std::array<unsigned char, kPagePlainBytes> plain{};
    std::array<unsigned char, kStorePageBytes> sealed{};
  } copied;

  KnownFrames known_frames;
  WalIndex wal_index;
};

// SQLite's file methods, with result codes. The defaults are those of a file that nobody else can see.
class StoreFile {
 public:
  virtual ~StoreFile() = default;
  virtual int close() = 0;
  virtual int read(unsigned char* out, int bytes, std::int64_t offset) = 0;
  virtual int write(const unsigned char* in, int bytes, std::int64_t offset) = 0;
  virtual int truncate(std::int64_t size) = 0;
  virtual int size(std::int64_t* out) = 0;
  virtual int sync(int) { return SQLITE_OK; }
  virtual int lock(int) { return SQLITE_OK; }
  virtual int unlock(int) { return SQLITE_OK; }
  virtual int check_reserved_lock(int* out) { return *out = 0, SQLITE_OK; }
  virtual int control(int, void*) { return SQLITE_NOTFOUND; }
  virtual int characteristics() { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }
  virtual int shm_map(int, int, bool, void volatile** out) { return *out = nullptr, SQLITE_IOERR_SHMMAP; }
  virtual int shm_lock(int, int, int) { return SQLITE_IOERR_SHMLOCK; }
  virtual void shm_barrier() {}
  virtual void shm_unmap() {}
};

// A file of the base VFS, or none. The methods need an open one.
class BaseFile {
 public:
  BaseFile() = default;
  ~BaseFile() { close(); }
  BaseFile(const BaseFile&) = delete;
  BaseFile& operator=(const BaseFile&) = delete;
  BaseFile(BaseFile&& other) noexcept : storage_(std::move(other.storage_)) {}

  int open(sqlite3_vfs& vfs, const char* name, int flags, int* out_flags);
  int close();

  int read(void* out, std::size_t bytes, std::int64_t offset) const {
    return methods().xRead(handle(), out, static_cast<int>(bytes), offset);
  }
  int write(const void* in, std::size_t bytes, std::int64_t offset) const {
    return methods().xWrite(handle(), in, static_cast<int>(bytes), offset);
  }
  int truncate(std::int64_t size) const { return methods().xTruncate(handle(), size); }
  int size(std::int64_t* out) const {
    sqlite3_int64 bytes = 0;
    const int result = methods().xFileSize(handle(), &bytes);
    *out = bytes;
    return result;
  }
  int sync(int flags) const { return methods().xSync(handle(), flags); }
  int lock(int level) const { return methods().xLock(handle(), level); }
  int unlock(int level) const { return methods().xUnlock(handle(), level); }
  int check_reserved_lock(int* out) const { return methods().xCheckReservedLock(handle(), out); }
  int control(int operation, void* argument) const { return methods().xFileControl(handle(), operation, argument); }
  int characteristics() const { return methods().xDeviceCharacteristics(handle()); }
  sqlite3_file* handle() const { return reinterpret_cast<sqlite3_file*>(storage_.get()); }

 private:
  const sqlite3_io_methods& methods() const { return *handle()->pMethods; }

  std::unique_ptr<std::max_align_t[]> storage_;
};

// What is the same for every file that lies on the base VFS.
class BackedFile : public StoreFile {
 public:
  BackedFile(CryptContext& context, std::shared_ptr<SharedStore> store, BaseFile base)
      : context_(context), store_(std::move(store)), base_(std::move(base)) {}

  int close() override { return base_.close(); }
  int sync(int flags) override { return base_.sync(flags); }
  int lock(int level) override { return base_.lock(level); }
  int unlock(int level) override { return base_.unlock(level); }
  int check_reserved_lock(int* out) override { return base_.check_reserved_lock(out); }
  int control(int operation, void* argument) override;
  int characteristics() override;

 protected:
  // A failure of the disk is noted: an integrity check would take it for damage, and so would its caller.
  int read_base(void* out, std::size_t bytes, std::int64_t offset) {
    return noted(base_.read(out, bytes, offset), offset);
  }
  int noted(int result, std::int64_t offset);

  CryptContext& context_;
  std::shared_ptr<SharedStore> store_;
  BaseFile base_;
};

// The database itself. Page n lies at kPreludeBytes + (n-1) * kStorePageBytes; its last kSealBytes bytes, which SQLite
// leaves to the VFS, hold tag and nonce.
class MainFile final : public BackedFile {
 public:
  MainFile(CryptContext& context, std::shared_ptr<SharedStore> store, BaseFile base);
  ~MainFile() override;

  // Learns who the store is, or makes the prelude of a new one when the file may be written; SQLITE_CANTOPEN for an
  // empty file that may only be read. Call with the store's mutex held, before a MainFile is made.
  static int prepare(CryptContext& context, SharedStore& store, const BaseFile& base, bool writable);

  int close() override;
  int read(unsigned char* out, int bytes, std::int64_t offset) override;
  int write(const unsigned char* in, int bytes, std::int64_t offset) override;
  int truncate(std::int64_t size) override;
  int size(std::int64_t* out) override;
  int shm_map(int region, int region_bytes, bool extend, void volatile** out) override;
  int shm_lock(int first, int count, int flags) override;
  void shm_barrier() override;
  void shm_unmap() override;

 private:
  int read_page(std::int64_t page, unsigned char* out);
  int read_opening_header(unsigned char* out);
  int read_part(unsigned char* out, int bytes, std::int64_t offset);
  int write_page(std::int64_t page, const unsigned char* in);
  bool take_from_log(std::int64_t page, const unsigned char* in);
  int keep_opening_header(const unsigned char* page_one);

  Sealer pages_;
  Sealer headers_;
  WalIndex::User index_user_;
  std::array<unsigned char, kStorePageBytes> scratch_{};
  std::array<unsigned char, kStorePageBytes> sealed_{};  // as read
};

// A rollback journal.
class JournalFile final : public BackedFile {
 public:
  JournalFile(CryptContext& context, std::shared_ptr<SharedStore> store, BaseFile base);
  ~JournalFile() override;

  int read(unsigned char* out, int bytes, std::int64_t offset) override;
  int write(const unsigned char* in, int bytes, std::int64_t offset) override;
  int truncate(std::int64_t size) override;
  int size(std::int64_t* out) override;

 private:
  static constexpr std::size_t kBlockBytes = static_cast<std::size_t>(JournalLayout::kBlock);
  enum class Opened { kWhole, kAbsent, kDamaged };

  // Reads into plain_; zeros unless the block is whole.
  int load_block(std::int64_t block, Opened* opened);
  int write_block(std::int64_t block, const unsigned char* in, std::size_t skip, std::size_t count);

  Sealer blocks_;
  bool written_ = false;
  std::array<unsigned char, kBlockBytes> plain_{};
  std::array<unsigned char, kBlockBytes + kSealBytes> sealed_{};
};

// A temporary database or journal: never on disk.
class MemoryFile final : public StoreFile {
 public:
  ~MemoryFile() override;
  int close() override { return SQLITE_OK; }
  int read(unsigned char* out, int bytes, std::int64_t offset) override;
  int write(const unsigned char* in, int bytes, std::int64_t offset) override;
  int truncate(std::int64_t size) override;
  int size(std::int64_t* out) override;

 private:
  std::vector<unsigned char> bytes_;
};

}  // namespace chatsdk
