// SPDX-License-Identifier: Apache-2.0
#include "store/crypt_file.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "store/sqlite.h"

namespace chatsdk {

namespace {

constexpr std::int64_t kPrelude = static_cast<std::int64_t>(kPreludeBytes);
constexpr std::int64_t kPage = static_cast<std::int64_t>(kStorePageBytes);
constexpr char kPlainMagic[16] = {'S', 'Q', 'L', 'i', 't', 'e', ' ', 'f', 'o', 'r', 'm', 'a', 't', ' ', '3', 0};

}  // namespace

// ---- FailureNote ---------------------------------------------------------------------------------------------------

void FailureNote::set(Code code, const char* what, std::int64_t where) {
  if (code == Code::kTampered) note_damage();
  const std::lock_guard lock(mutex_);
  try {
    failure_ = error(code, std::string(what) + " " + std::to_string(where));
  } catch (const std::bad_alloc&) {
    failure_.reset();
  }
}

std::optional<Error> FailureNote::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failure_, std::nullopt);
}

// ---- BaseFile ------------------------------------------------------------------------------------------------------

int BaseFile::open(sqlite3_vfs& vfs, const char* name, int flags, int* out_flags) {
  const std::size_t units = static_cast<std::size_t>(vfs.szOsFile) / sizeof(std::max_align_t) + 1;
  storage_.reset(new (std::nothrow) std::max_align_t[units]());
  if (storage_ == nullptr) return SQLITE_NOMEM;
  const int result = vfs.xOpen(&vfs, name, handle(), flags, out_flags);
  // A VFS that fails may or may not ask to be closed; it says so by setting its methods.
  if (result != SQLITE_OK) close();
  return result;
}

int BaseFile::close() {
  if (storage_ == nullptr) return SQLITE_OK;
  const int result = handle()->pMethods != nullptr ? methods().xClose(handle()) : SQLITE_OK;
  storage_.reset();
  return result;
}

// ---- BackedFile ----------------------------------------------------------------------------------------------------

int BackedFile::noted(int result, std::int64_t offset) {
  if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ) {
    context_.failure.set(Code::kStorage, "the file cannot be read at byte", offset);
  }
  return result;
}

int BackedFile::control(int operation, void* argument) {
  switch (operation) {
    case sqlite::kFileControlDamaged:
      context_.failure.note_damage();
      return SQLITE_OK;
    case sqlite::kFileControlFileBelow:
      *static_cast<sqlite3_file**>(argument) = base_.handle();
      return SQLITE_OK;
    // These speak of offsets, sizes or mappings in the base file, which are not the ones that SQLite sees, or promise
    // an atomicity that a file with a prelude does not have.
    case SQLITE_FCNTL_SIZE_HINT:
    case SQLITE_FCNTL_CHUNK_SIZE:
    case SQLITE_FCNTL_MMAP_SIZE:
    case SQLITE_FCNTL_BEGIN_ATOMIC_WRITE:
    case SQLITE_FCNTL_COMMIT_ATOMIC_WRITE:
    case SQLITE_FCNTL_ROLLBACK_ATOMIC_WRITE:
      return SQLITE_NOTFOUND;
    default:
      return base_.control(operation, argument);
  }
}

int BackedFile::characteristics() {
  // Atomic writes are promised of base offsets and of whole requests, neither of which SQLite sees; a journal's size
  // says nothing of its last record. Power-safe overwrite is what the record layouts stand on.
  constexpr int kNotPassedOn = SQLITE_IOCAP_ATOMIC | SQLITE_IOCAP_ATOMIC512 | SQLITE_IOCAP_ATOMIC1K |
                               SQLITE_IOCAP_ATOMIC2K | SQLITE_IOCAP_ATOMIC4K | SQLITE_IOCAP_ATOMIC8K |
                               SQLITE_IOCAP_ATOMIC16K | SQLITE_IOCAP_ATOMIC32K | SQLITE_IOCAP_ATOMIC64K |
                               SQLITE_IOCAP_SAFE_APPEND | SQLITE_IOCAP_BATCH_ATOMIC;
  return (base_.characteristics() & ~kNotPassedOn) | SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

// ---- MainFile ------------------------------------------------------------------------------------------------------

MainFile::MainFile(CryptContext& context, std::shared_ptr<SharedStore> store, BaseFile base)
    : BackedFile(context, std::move(store), std::move(base)),
      pages_(context.keys, RecordKind::kPage, store_->identity, context.random),
      headers_(context.keys, RecordKind::kHeader, store_->identity, context.random) {}

MainFile::~MainFile() {
  store_->wal_index.leave(index_user_);
  sodium_memzero(scratch_.data(), scratch_.size());
}

int MainFile::prepare(CryptContext& context, SharedStore& store, const BaseFile& base, bool writable) {
  if (store.ready) return SQLITE_OK;
  std::int64_t physical = 0;
  if (const int result = base.size(&physical); result != SQLITE_OK) return result;
  PreludeBytes bytes{};
  if (physical > 0) {
    const int result = base.read(bytes.data(), bytes.size(), 0);
    if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ) return result;
  }

  const PreludeFinding finding = inspect_prelude(bytes, context.keys);
  const bool plain = std::memcmp(bytes.data(), kPlainMagic, sizeof kPlainMagic) == 0;
  switch (finding.state) {
    case PreludeState::kWhole:
      store.identity = finding.identity;
      store.header =
          read_header_record(bytes, Sealer(context.keys, RecordKind::kHeader, store.identity, context.random));
      store.ready = true;
      return SQLITE_OK;
    case PreludeState::kWrongKey:
      context.failure.set(Code::kWrongKey, "the key is not the store's; file bytes", physical);
      return SQLITE_IOERR_AUTH;
    case PreludeState::kUnknownVersion:
      context.failure.set(Code::kSchemaTooNew, "the store's file format is not known; file bytes", physical);
      return SQLITE_NOTADB;
    case PreludeState::kDamaged:
    case PreludeState::kForeign:
      break;
  }
  if (physical > kPrelude || plain) {
    const bool damaged = finding.state == PreludeState::kDamaged;
    context.failure.set(
        damaged ? Code::kTampered : Code::kCorrupt,
        damaged ? "both descriptions of the store are changed; file bytes" : "the file is not a store; file bytes",
        physical);
    return damaged ? SQLITE_IOERR_DATA : SQLITE_NOTADB;
  }

  // No page was ever written: the file is new, or a power cut came before its prelude was synced.
  if (!writable) return SQLITE_CANTOPEN;
  context.random.fill(store.identity);
  bytes = make_prelude(context.keys, store.identity, context.random);
  if (const int result = base.write(bytes.data(), bytes.size(), 0); result != SQLITE_OK) return result;
  if (const int result = base.sync(SQLITE_SYNC_NORMAL); result != SQLITE_OK) return result;
  store.header = HeaderRecord{};
  store.ready = true;
  return SQLITE_OK;
}

int MainFile::close() {
  store_->wal_index.leave(index_user_);
  return base_.close();
}

int MainFile::read(unsigned char* out, int bytes, std::int64_t offset) {
  if (offset == 0 && bytes == static_cast<int>(kHeaderBytes)) return read_opening_header(out);
  if (bytes == kPage && offset % kPage == 0) return read_page(offset / kPage + 1, out);
  return read_part(out, bytes, offset);
}

int MainFile::read_page(std::int64_t page, unsigned char* out) {
  const int result = read_base(sealed_.data(), kStorePageBytes, kPrelude + (page - 1) * kPage);
  if (result == SQLITE_IOERR_SHORT_READ) {
    std::int64_t physical = 0;
    if (const int sized = noted(base_.size(&physical), kPrelude); sized != SQLITE_OK) return sized;
    std::memset(out, 0, kStorePageBytes);
    // SQLite takes a short read for zeros, which is right for an empty file alone: it asks for no page that was not
    // written, for with secure_delete on it writes every page that it allots.
    if (physical <= kPrelude) return SQLITE_IOERR_SHORT_READ;
    context_.failure.set(Code::kTampered, "the file ends before page", page);
    return SQLITE_IOERR_DATA;
  }
  if (result != SQLITE_OK) return result;
  std::memset(out + kPagePlainBytes, 0, kSealBytes);
  const auto number = static_cast<std::uint32_t>(page);
  if (store_->known_frames.recall_page(number, sealed_.data(), out)) return SQLITE_OK;
  if (!pages_.open(number, sealed_.data(), kPagePlainBytes, out)) {
    context_.failure.set(Code::kTampered, "does not authenticate: page", page);
    return SQLITE_IOERR_DATA;
  }
  store_->known_frames.remember_page(number, sealed_.data(), out);
  return SQLITE_OK;
}

int MainFile::read_opening_header(unsigned char* out) {
  {
    const std::lock_guard lock(store_->mutex);
    std::memcpy(out, store_->header.header.data(), kHeaderBytes);
  }
  // Page 1 is read here before any lock and before recovery: it may be torn, or half written by another connection.
  const int result = read_base(scratch_.data(), kStorePageBytes, kPrelude);
  if (result == SQLITE_IOERR_SHORT_READ) return SQLITE_OK;
  if (result != SQLITE_OK) return result;
  if (pages_.open(1, scratch_.data(), kPagePlainBytes, scratch_.data())) {
    std::memcpy(out, scratch_.data(), kHeaderBytes);
  }
  return SQLITE_OK;
}

int MainFile::read_part(unsigned char* out, int bytes, std::int64_t offset) {
  std::int64_t at = offset;
  const std::int64_t end = offset + bytes;
  while (at < end) {
    const std::int64_t within = at % kPage;
    const std::int64_t count = std::min(end - at, kPage - within);
    const int result = read_page(at / kPage + 1, scratch_.data());
    if (result == SQLITE_IOERR_SHORT_READ) {
      std::memset(out + (at - offset), 0, static_cast<std::size_t>(end - at));
      return result;
    }
    if (result != SQLITE_OK) return result;
    std::memcpy(out + (at - offset), scratch_.data() + within, static_cast<std::size_t>(count));
    at += count;
  }
  return SQLITE_OK;
}

int MainFile::write(const unsigned char* in, int bytes, std::int64_t offset) {
  // SQLite writes the main file in whole pages of the size that the header names.
  if (offset % kPage != 0 || bytes % kPage != 0) return SQLITE_IOERR_WRITE;
  for (std::int64_t done = 0; done < bytes; done += kPage) {
    if (const int result = write_page((offset + done) / kPage + 1, in + done); result != SQLITE_OK) return result;
  }
  return SQLITE_OK;
}

int MainFile::write_page(std::int64_t page, const unsigned char* in) {
  if (page == 1) {
    if (const int result = keep_opening_header(in); result != SQLITE_OK) return result;
  }
  if (!take_from_log(page, in)) {
    pages_.seal(static_cast<std::uint64_t>(page), {in, kPagePlainBytes}, scratch_.data());
  }
  return base_.write(scratch_.data(), kStorePageBytes, kPrelude + (page - 1) * kPage);
}

bool MainFile::take_from_log(std::int64_t page, const unsigned char* in) {
  const std::lock_guard lock(store_->mutex);
  if (store_->copied.page != page) return false;
  store_->copied.page = 0;
  if (std::memcmp(store_->copied.plain.data(), in, kPagePlainBytes) != 0) return false;
  std::memcpy(scratch_.data(), store_->copied.sealed.data(), kStorePageBytes);
  return true;
}

int MainFile::keep_opening_header(const unsigned char* page_one) {
  HeaderRecord next;
  std::memcpy(next.header.data(), page_one, kHeaderBytes);
  const std::lock_guard lock(store_->mutex);
  if (same_opening_fields(next.header, store_->header.header)) return SQLITE_OK;
  next.generation = store_->header.generation + 1;
  const SealedHeaderRecord sealed = seal_header_record(next, headers_);
  const std::int64_t offset = header_record_offset(next.generation);
  if (const int result = base_.write(sealed.data(), sealed.size(), offset); result != SQLITE_OK) return result;
  if (const int result = base_.sync(SQLITE_SYNC_NORMAL); result != SQLITE_OK) return result;
  store_->header = next;
  return SQLITE_OK;
}

int MainFile::truncate(std::int64_t size) { return base_.truncate(kPrelude + size); }

int MainFile::size(std::int64_t* out) {
  std::int64_t physical = 0;
  const int result = base_.size(&physical);
  *out = std::max<std::int64_t>(0, physical - kPrelude);
  return result;
}

int MainFile::shm_map(int region, int region_bytes, bool extend, void volatile** out) {
  return store_->wal_index.map(index_user_, region, region_bytes, extend, out);
}
int MainFile::shm_lock(int first, int count, int flags) {
  return store_->wal_index.lock(index_user_, first, count, flags);
}
void MainFile::shm_barrier() { store_->wal_index.barrier(); }
void MainFile::shm_unmap() { store_->wal_index.leave(index_user_); }

// ---- JournalFile ---------------------------------------------------------------------------------------------------

JournalFile::JournalFile(CryptContext& context, std::shared_ptr<SharedStore> store, BaseFile base)
    : BackedFile(context, std::move(store), std::move(base)),
      blocks_(context.keys, RecordKind::kJournal, store_->identity, context.random) {}

JournalFile::~JournalFile() { sodium_memzero(plain_.data(), plain_.size()); }

int JournalFile::load_block(std::int64_t block, Opened* opened) {
  *opened = Opened::kAbsent;
  plain_.fill(0);
  const int result = read_base(sealed_.data(), sealed_.size(), block * JournalLayout::kBlockOnDisk);
  if (result == SQLITE_IOERR_SHORT_READ) return SQLITE_OK;
  if (result != SQLITE_OK) return result;
  const bool whole = blocks_.open(static_cast<std::uint64_t>(block), sealed_.data(), kBlockBytes, plain_.data());
  *opened = whole ? Opened::kWhole : Opened::kDamaged;
  return SQLITE_OK;
}

int JournalFile::read(unsigned char* out, int bytes, std::int64_t offset) {
  std::int64_t at = offset;
  const std::int64_t end = offset + bytes;
  while (at < end) {
    const std::int64_t block = at / JournalLayout::kBlock;
    const std::int64_t skip = at % JournalLayout::kBlock;
    const std::int64_t count = std::min(end - at, JournalLayout::kBlock - skip);
    Opened opened = Opened::kWhole;
    if (const int result = load_block(block, &opened); result != SQLITE_OK) return result;
    if (opened == Opened::kAbsent) {
      std::memset(out + (at - offset), 0, static_cast<std::size_t>(end - at));
      return SQLITE_IOERR_SHORT_READ;
    }
    // After a crash the last blocks may be torn, and the journal ends there: zeros are no valid record. What this
    // process wrote itself has to come back, else a rollback would stop half-way.
    if (opened == Opened::kDamaged && written_) {
      context_.failure.set(Code::kStorage, "the journal changed while it was in use: block", block);
      return SQLITE_IOERR_READ;
    }
    std::memcpy(out + (at - offset), plain_.data() + skip, static_cast<std::size_t>(count));
    at += count;
  }
  return SQLITE_OK;
}

int JournalFile::write(const unsigned char* in, int bytes, std::int64_t offset) {
  written_ = true;
  std::int64_t at = offset;
  const std::int64_t end = offset + bytes;
  while (at < end) {
    const std::int64_t block = at / JournalLayout::kBlock;
    const std::int64_t skip = at % JournalLayout::kBlock;
    const std::int64_t count = std::min(end - at, JournalLayout::kBlock - skip);
    const int result =
        write_block(block, in + (at - offset), static_cast<std::size_t>(skip), static_cast<std::size_t>(count));
    if (result != SQLITE_OK) return result;
    at += count;
  }
  return SQLITE_OK;
}

int JournalFile::write_block(std::int64_t block, const unsigned char* in, std::size_t skip, std::size_t count) {
  const unsigned char* plain = in;
  if (count != kBlockBytes) {
    // The rest of the block stays. Where there is none yet, or a torn one, it is zero until it is written.
    Opened opened = Opened::kWhole;
    if (const int result = load_block(block, &opened); result != SQLITE_OK) return result;
    std::memcpy(plain_.data() + skip, in, count);
    plain = plain_.data();
  }
  blocks_.seal(static_cast<std::uint64_t>(block), {plain, kBlockBytes}, sealed_.data());
  return base_.write(sealed_.data(), sealed_.size(), block * JournalLayout::kBlockOnDisk);
}

int JournalFile::truncate(std::int64_t size) { return base_.truncate(JournalLayout::physical_size(size)); }

int JournalFile::size(std::int64_t* out) {
  std::int64_t physical = 0;
  const int result = base_.size(&physical);
  *out = JournalLayout::logical_size(physical);
  return result;
}

// ---- MemoryFile ----------------------------------------------------------------------------------------------------

MemoryFile::~MemoryFile() { sodium_memzero(bytes_.data(), bytes_.size()); }

int MemoryFile::read(unsigned char* out, int bytes, std::int64_t offset) {
  const auto length = static_cast<std::int64_t>(bytes_.size());
  const std::int64_t count = std::clamp<std::int64_t>(length - offset, 0, bytes);
  if (count > 0) std::memcpy(out, bytes_.data() + offset, static_cast<std::size_t>(count));
  std::memset(out + count, 0, static_cast<std::size_t>(bytes - count));
  return count == bytes ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int MemoryFile::write(const unsigned char* in, int bytes, std::int64_t offset) {
  const auto end = static_cast<std::size_t>(offset + bytes);
  try {
    if (bytes_.size() < end) bytes_.resize(end);
  } catch (const std::bad_alloc&) {
    return SQLITE_IOERR_NOMEM;
  }
  std::memcpy(bytes_.data() + offset, in, static_cast<std::size_t>(bytes));
  return SQLITE_OK;
}

int MemoryFile::truncate(std::int64_t size) {
  if (size < static_cast<std::int64_t>(bytes_.size())) bytes_.resize(static_cast<std::size_t>(size));
  return SQLITE_OK;
}

int MemoryFile::size(std::int64_t* out) {
  *out = static_cast<std::int64_t>(bytes_.size());
  return SQLITE_OK;
}

}  // namespace chatsdk
