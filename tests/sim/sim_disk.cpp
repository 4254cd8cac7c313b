// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "sim/sim_disk_impl.h"

namespace chatsdk::sim {

namespace {

constexpr std::uint32_t kMillion = 1'000'000;
constexpr std::int64_t kSectors[] = {512, 4'096};

std::string_view directory_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

void overwrite(FileImage& image, std::int64_t offset, const unsigned char* bytes, std::size_t size) {
  image.write(static_cast<std::size_t>(offset), bytes, size);
}

int io_error_of(DiskOp op) {
  switch (op) {
    case DiskOp::kOpen:
      return SQLITE_CANTOPEN;
    case DiskOp::kRead:
      return SQLITE_IOERR_READ;
    case DiskOp::kWrite:
      return SQLITE_IOERR_WRITE;
    case DiskOp::kTruncate:
      return SQLITE_IOERR_TRUNCATE;
    case DiskOp::kSync:
      return SQLITE_IOERR_FSYNC;
    case DiskOp::kDelete:
      return SQLITE_IOERR_DELETE;
    case DiskOp::kLock:
      return SQLITE_IOERR_LOCK;
  }
  return SQLITE_IOERR;
}

int code_of(DiskOp op, DiskFailure failure) {
  if (failure == DiskFailure::kFull && op == DiskOp::kWrite) return SQLITE_FULL;
  if (failure == DiskFailure::kBusy && op == DiskOp::kLock) return SQLITE_BUSY;
  if (failure == DiskFailure::kShortRead && op == DiskOp::kRead) return SQLITE_IOERR_SHORT_READ;
  return io_error_of(op);
}

bool is_crash_point(DiskOp op) {
  return op == DiskOp::kWrite || op == DiskOp::kTruncate || op == DiskOp::kSync || op == DiskOp::kDelete;
}

}  // namespace

// ---- Power ---------------------------------------------------------------------------------------------------------

void SimDisk::power_off() {
  powered_ = false;
  crash_point_ = 0;
}

bool SimDisk::alive(const Handle& handle) const { return powered_ && handle.process == process_; }

void SimDisk::end_process() {
  ++process_;
  crash_point_ = 0;
  crash_hook_ = {};
  const auto forget_locks = [](Inode& inode) {
    inode.shared_locks = 0;
    inode.reserved = inode.pending = inode.exclusive = nullptr;
    inode.index.reset();
  };
  for (const auto& [path, inode] : visible_) forget_locks(*inode);
  for (const auto& [path, inode] : durable_) forget_locks(*inode);
  for (const NameChange& change : name_changes_) {
    if (change.inode) forget_locks(*change.inode);
  }
}

CrashReport SimDisk::crash(CrashMode mode) {
  CrashReport report;
  end_process();
  if (mode != CrashMode::kProcessOnly) {
    const std::uint64_t cut = mode == CrashMode::kKeepPrefix ? draw_cut() : 0;
    settle_names(mode, cut, report);
    for (const auto& [path, inode] : durable_) settle(*inode, mode, cut, report);
    visible_ = durable_;
  }
  powered_ = true;
  return report;
}

// The number of a change that may be left or of the one behind the last, each as likely as the other.
std::uint64_t SimDisk::draw_cut() {
  std::vector<std::uint64_t> numbers;
  for (const NameChange& change : name_changes_) numbers.push_back(change.number);
  for (const Directory* directory : {&visible_, &durable_}) {
    for (const auto& [path, inode] : *directory) {
      for (const Change& change : inode->changes) numbers.push_back(change.number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  const auto kept = static_cast<std::size_t>(fate_.below(numbers.size() + 1));
  return kept == numbers.size() ? last_change_ + 1 : numbers[kept];
}

void SimDisk::settle_names(CrashMode mode, std::uint64_t cut, CrashReport& report) {
  for (NameChange& change : name_changes_) {
    const bool keep = mode == CrashMode::kKeepPrefix  ? change.number < cut
                      : mode == CrashMode::kEachWrite ? fate_.below(2) == 0
                                                      : false;
    ++(keep ? report.names_kept : report.names_dropped);
    if (!keep) continue;
    if (change.inode) {
      durable_[change.path] = std::move(change.inode);
    } else {
      durable_.erase(change.path);
    }
  }
  name_changes_.clear();
}

void SimDisk::settle(Inode& inode, CrashMode mode, std::uint64_t cut, CrashReport& report) {
  // Some crashes keep most, some little: with even odds hardly anything behind a lost write would ever be whole.
  static constexpr std::uint64_t kKeepOf8[] = {1, 4, 7};
  const std::uint64_t keep_of_8 =
      mode == CrashMode::kEachWrite && !inode.changes.empty() ? kKeepOf8[fate_.below(3)] : 0;
  for (const Change& change : inode.changes) {
    const bool keep = mode == CrashMode::kKeepPrefix  ? change.number < cut
                      : mode == CrashMode::kEachWrite ? fate_.below(8) < keep_of_8
                                                      : false;
    if (keep) {
      ++report.kept;
      if (change.is_truncation) {
        inode.durable.resize(static_cast<std::size_t>(change.offset));
      } else {
        overwrite(inode.durable, change.offset, inode.change_bytes.data() + change.begin, change.size);
      }
      continue;
    }
    const std::uint64_t fate = mode == CrashMode::kEachWrite && !change.is_truncation ? fate_.below(3) : 0;
    if (fate == 0) {
      ++report.dropped;
    } else {
      ++(fate == 1 ? report.torn : report.garbage);
      tear(inode, change, fate == 2);
    }
  }
  inode.changes.clear();
  inode.change_bytes.clear();
  inode.visible = inode.durable;
}

// Each sector that the write touches is written or not; with garbage, one of them holds zeros or noise instead. Bytes
// outside the write's range stay as they are.
void SimDisk::tear(Inode& inode, const Change& change, bool garbage) {
  const std::int64_t sector = kSectors[fate_.below(2)];
  const std::int64_t end = change.offset + static_cast<std::int64_t>(change.size);
  const std::int64_t first = change.offset / sector;
  const auto count = static_cast<std::uint64_t>((end - 1) / sector - first + 1);
  const std::int64_t spoilt = garbage ? first + static_cast<std::int64_t>(fate_.below(count)) : -1;
  for (std::int64_t at = change.offset; at < end;) {
    const std::int64_t stop = std::min(end, (at / sector + 1) * sector);
    const auto size = static_cast<std::size_t>(stop - at);
    if (at / sector == spoilt) {
      std::vector<unsigned char> noise(size);
      if (fate_.below(4) != 0) fate_.fill(noise);
      overwrite(inode.durable, at, noise.data(), size);
    } else if (fate_.below(2) == 0) {
      const auto skip = static_cast<std::size_t>(at - change.offset);
      overwrite(inode.durable, at, inode.change_bytes.data() + change.begin + skip, size);
    }
    at = stop;
  }
}

// ---- Faults and crash points ---------------------------------------------------------------------------------------

void SimDisk::arm(DiskFault fault) {
  CHATSDK_ASSERT(fault.nth > 0);
  faults_.push_back({std::move(fault), 0});
}

void SimDisk::set_failure_rate(DiskOp op, DiskFailure failure, std::uint32_t per_million) {
  rates_[static_cast<std::size_t>(op)] = {failure, per_million};
}

void SimDisk::set_flip_rate(std::uint32_t per_million, std::string suffix) {
  flip_rate_ = per_million;
  flip_suffix_ = std::move(suffix);
}

void SimDisk::clear_faults() {
  faults_.clear();
  rates_ = {};
  flip_rate_ = 0;
}

void SimDisk::crash_after(std::uint64_t n, CrashMoment moment, std::function<void()> hook) {
  CHATSDK_ASSERT(n > 0);
  const bool before = moment == CrashMoment::kDrawn ? fate_.below(2) == 0 : moment == CrashMoment::kBefore;
  crash_side_ = before ? Point::kBefore : Point::kAfter;
  crash_point_ = points_ + n;
  crash_hook_ = std::move(hook);
}

std::optional<DiskFailure> SimDisk::begin(const DiskOperation& operation) {
  ++counters_.operations[static_cast<std::size_t>(operation.op)];
  if (is_crash_point(operation.op)) ++counters_.crash_points;
  if (operation_hook_) operation_hook_(operation);
  const auto failure = draw_failure(operation);
  if (failure) ++counters_.failures[static_cast<std::size_t>(*failure)];
  if (failure && operation.op == DiskOp::kSync) ++counters_.failed_syncs;
  if (failure && operation.op == DiskOp::kDelete) ++counters_.failed_deletes;
  return failure;
}

std::optional<DiskFailure> SimDisk::draw_failure(const DiskOperation& operation) {
  std::optional<DiskFailure> failure;
  for (std::size_t i = 0; i < faults_.size();) {
    ArmedFault& armed = faults_[i];
    const bool matches =
        (!armed.fault.op || *armed.fault.op == operation.op) && operation.path.ends_with(armed.fault.suffix);
    if (!matches || ++armed.seen < armed.fault.nth) {
      ++i;
      continue;
    }
    if (!failure) failure = armed.fault.failure;
    if (armed.fault.from_then_on) {
      ++i;
    } else {
      faults_.erase(faults_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  const FailureRate& rate = rates_[static_cast<std::size_t>(operation.op)];
  if (!failure && rate.per_million != 0 && fate_.below(kMillion) < rate.per_million) failure = rate.failure;
  return failure;
}

SimDisk::Point SimDisk::reach_point() {
  ++points_;
  if (crash_point_ != points_) return Point::kNone;
  return crash_side_;
}

int SimDisk::die(int result) {
  power_off();
  if (const auto hook = std::exchange(crash_hook_, {})) hook();
  return result;
}

// ---- Files ---------------------------------------------------------------------------------------------------------

int SimDisk::open(const char* path, Handle& handle, int flags, int* out_flags) {
  if (!powered_) return SQLITE_CANTOPEN;
  constexpr int kSyncedDirectory = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  const bool creates = (flags & SQLITE_OPEN_CREATE) != 0;
  handle.disk = this;
  handle.path = path == nullptr ? "" : path;
  const auto failure = begin({DiskOp::kOpen, handle.path, 0, {}});
  if (!powered_ || failure) return failure ? code_of(DiskOp::kOpen, *failure) : SQLITE_CANTOPEN;
  if (const auto found = visible_.find(handle.path); path != nullptr && found != visible_.end()) {
    if (creates && (flags & SQLITE_OPEN_EXCLUSIVE) != 0) return SQLITE_CANTOPEN;
    handle.inode = found->second;
  } else {
    if (path != nullptr && !creates) return SQLITE_CANTOPEN;
    handle.inode = std::make_shared<Inode>();
    if (path != nullptr) change_name(handle.path, handle.inode);
  }
  // A temporary file has lost its name before its first byte.
  if (path != nullptr && (flags & SQLITE_OPEN_DELETEONCLOSE) != 0) change_name(handle.path, nullptr);
  handle.process = process_;
  handle.writable = (flags & SQLITE_OPEN_READWRITE) != 0;
  handle.syncs_directory = creates && (flags & kSyncedDirectory) != 0;
  ++open_handles_;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int SimDisk::close(Handle& handle) {
  index_unmap(handle, false);
  if (handle.process == process_) unlock(handle, SQLITE_LOCK_NONE);
  --open_handles_;
  return SQLITE_OK;
}

int SimDisk::read(Handle& handle, unsigned char* out, std::size_t size, std::int64_t offset) {
  if (!alive(handle)) return SQLITE_IOERR_READ;
  const auto failure = begin({DiskOp::kRead, handle.path, offset, {}});
  if (!alive(handle)) return SQLITE_IOERR_READ;
  const FileImage& image = handle.inode->visible;
  const auto at = static_cast<std::size_t>(offset);
  std::size_t count = at < image.size() ? std::min(size, image.size() - at) : 0;
  bool flip = failure == DiskFailure::kFlippedBit;
  if (failure && !flip) {
    const int result = code_of(DiskOp::kRead, *failure);
    if (result != SQLITE_IOERR_SHORT_READ) return result;
    count = count > 0 ? static_cast<std::size_t>(fate_.below(count)) : 0;
  }
  image.read(at, out, count);
  if (count < size) std::memset(out + count, 0, size - count);
  counters_.bytes_read += count;
  if (!flip && flip_rate_ != 0 && fate_.below(kMillion) < flip_rate_ && handle.path.ends_with(flip_suffix_)) {
    flip = true;
    ++counters_.failures[static_cast<std::size_t>(DiskFailure::kFlippedBit)];
  }
  if (flip && count > 0) {
    const std::uint64_t bit = fate_.below(count * 8);
    out[bit / 8] = static_cast<unsigned char>(out[bit / 8] ^ (1u << (bit % 8)));
  }
  return count == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int SimDisk::write(Handle& handle, const unsigned char* bytes, std::size_t size, std::int64_t offset) {
  if (!alive(handle) || !handle.writable) return SQLITE_IOERR_WRITE;
  const auto failure = begin({DiskOp::kWrite, handle.path, offset, {reinterpret_cast<const char*>(bytes), size}});
  const Point point = reach_point();
  if (!alive(handle)) return SQLITE_IOERR_WRITE;
  if (point == Point::kBefore) return die(SQLITE_IOERR_WRITE);
  if (failure) {
    const auto written = static_cast<std::size_t>(fate_.below(2) == 0 ? 0 : fate_.below(size / 512 + 1) * 512);
    if (written > 0) change(*handle.inode, false, offset, bytes, std::min(written, size));
    return point == Point::kAfter ? die(SQLITE_IOERR_WRITE) : code_of(DiskOp::kWrite, *failure);
  }
  change(*handle.inode, false, offset, bytes, size);
  counters_.bytes_written += size;
  return point == Point::kAfter ? die(SQLITE_IOERR_WRITE) : SQLITE_OK;
}

int SimDisk::truncate(Handle& handle, std::int64_t size) {
  if (!alive(handle) || !handle.writable) return SQLITE_IOERR_TRUNCATE;
  const auto failure = begin({DiskOp::kTruncate, handle.path, size, {}});
  const Point point = reach_point();
  if (!alive(handle)) return SQLITE_IOERR_TRUNCATE;
  if (point == Point::kBefore) return die(SQLITE_IOERR_TRUNCATE);
  if (!failure) change(*handle.inode, true, size, nullptr, 0);
  if (point == Point::kAfter) return die(SQLITE_IOERR_TRUNCATE);
  return failure ? code_of(DiskOp::kTruncate, *failure) : SQLITE_OK;
}

int SimDisk::sync(Handle& handle) {
  if (!alive(handle)) return SQLITE_IOERR_FSYNC;
  const auto failure = begin({DiskOp::kSync, handle.path, 0, {}});
  const Point point = reach_point();
  if (!alive(handle)) return SQLITE_IOERR_FSYNC;
  if (point == Point::kBefore) return die(SQLITE_IOERR_FSYNC);
  if (failure) {
    if (fate_.below(2) == 0) lose_some(*handle.inode);
    return point == Point::kAfter ? die(SQLITE_IOERR_FSYNC) : code_of(DiskOp::kSync, *failure);
  }
  make_durable(*handle.inode);
  if (std::exchange(handle.syncs_directory, false)) sync_directory_of(handle.path);
  return point == Point::kAfter ? die(SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

int SimDisk::remove(const std::string& path, bool sync_directory) {
  if (!powered_) return SQLITE_IOERR_DELETE;
  const auto failure = begin({DiskOp::kDelete, path, 0, {}});
  const Point point = reach_point();
  if (!powered_) return SQLITE_IOERR_DELETE;
  if (point == Point::kBefore) return die(SQLITE_IOERR_DELETE);
  const bool found = visible_.contains(path);
  if (!failure && found) {
    change_name(path, nullptr);
    if (sync_directory) sync_directory_of(path);
  }
  if (point == Point::kAfter) return die(SQLITE_IOERR_DELETE);
  if (failure) return code_of(DiskOp::kDelete, *failure);
  return found ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
}

int SimDisk::access(const std::string& path, int flags, int* out) {
  if (!powered_) return SQLITE_IOERR_ACCESS;
  const auto found = visible_.find(path);
  *out = found != visible_.end() && (flags != SQLITE_ACCESS_EXISTS || !found->second->visible.empty()) ? 1 : 0;
  return SQLITE_OK;
}

// ---- The two images ------------------------------------------------------------------------------------------------

void SimDisk::change(Inode& inode, bool is_truncation, std::int64_t offset, const unsigned char* bytes,
                     std::size_t size) {
  if (is_truncation) {
    inode.visible.resize(static_cast<std::size_t>(offset));
  } else {
    overwrite(inode.visible, offset, bytes, size);
  }
  inode.changes.push_back({++last_change_, is_truncation, offset, inode.change_bytes.size(), size});
  if (size > 0) inode.change_bytes.insert(inode.change_bytes.end(), bytes, bytes + size);
}

void SimDisk::make_durable(Inode& inode) {
  for (const Change& change : inode.changes) {
    if (change.is_truncation) {
      inode.durable.resize(static_cast<std::size_t>(change.offset));
    } else {
      overwrite(inode.durable, change.offset, inode.change_bytes.data() + change.begin, change.size);
    }
  }
  inode.changes.clear();
  inode.change_bytes.clear();
}

// The system has given up on some writes and takes the rest for done: a later sync brings none of them back.
void SimDisk::lose_some(Inode& inode) {
  std::erase_if(inode.changes, [this](const Change&) { return fate_.below(2) == 0; });
  make_durable(inode);
}

void SimDisk::change_name(const std::string& path, InodePtr inode) {
  if (inode) {
    visible_[path] = inode;
  } else {
    visible_.erase(path);
  }
  name_changes_.push_back({++last_change_, path, std::move(inode)});
}

void SimDisk::sync_directory_of(const std::string& path) {
  ++counters_.directory_syncs;
  const std::string_view directory = directory_of(path);
  std::erase_if(name_changes_, [&](NameChange& change) {
    if (directory_of(change.path) != directory) return false;
    if (change.inode) {
      durable_[change.path] = std::move(change.inode);
    } else {
      durable_.erase(change.path);
    }
    return true;
  });
}

// ---- Contents ------------------------------------------------------------------------------------------------------

std::size_t SimDisk::unsynced_changes() const {
  std::size_t count = name_changes_.size();
  for (const auto& [path, inode] : visible_) count += inode->changes.size();
  return count;
}

std::vector<std::string> SimDisk::files(DiskView view) const {
  std::vector<std::string> paths;
  for (const auto& [path, inode] : names(view)) paths.push_back(path);
  return paths;
}

bool SimDisk::exists(const std::string& path, DiskView view) const { return names(view).contains(path); }

Bytes SimDisk::contents(const std::string& path, DiskView view) const {
  const auto found = names(view).find(path);
  if (found == names(view).end()) return {};
  return (view == DiskView::kVisible ? found->second->visible : found->second->durable).bytes();
}

std::uint64_t SimDisk::total_bytes(DiskView view) const {
  std::uint64_t bytes = 0;
  for (const auto& [path, inode] : names(view)) {
    bytes += view == DiskView::kVisible ? inode->visible.size() : inode->durable.size();
  }
  return bytes;
}

DiskImage SimDisk::snapshot(DiskView view) const {
  DiskImage image;
  for (const auto& [path, inode] : names(view)) {
    image.emplace(path, (view == DiskView::kVisible ? inode->visible : inode->durable).bytes());
  }
  return image;
}

void SimDisk::restore(const DiskImage& image) {
  end_process();
  name_changes_.clear();
  visible_.clear();
  durable_.clear();
  for (const auto& [path, bytes] : image) put(path, bytes);
  powered_ = true;
}

void SimDisk::put(const std::string& path, BytesView bytes) {
  std::erase_if(name_changes_, [&](const NameChange& change) { return change.path == path; });
  InodePtr& inode = visible_[path];
  if (!inode) inode = std::make_shared<Inode>();
  durable_[path] = inode;
  inode->changes.clear();
  inode->change_bytes.clear();
  inode->visible.resize(0);
  inode->visible.write(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  inode->durable = inode->visible;
}

}  // namespace chatsdk::sim
