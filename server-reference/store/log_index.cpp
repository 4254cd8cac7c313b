// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/log_index.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace chatsdk::server {

namespace {

// False: the file system has no room for the memory's blocks. What lies there stays, and other connections may be
// writing to it meanwhile.
bool allot(void volatile* memory, int bytes) {
#ifdef MADV_POPULATE_WRITE
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(memory) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(memory) + static_cast<std::uintptr_t>(bytes);
  // The call answers EFAULT where a write would raise SIGBUS.
  return ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE) == 0 || errno != EFAULT;
#else
  static_cast<void>(memory);
  static_cast<void>(bytes);
  return true;
#endif
}

}  // namespace

int LogIndex::map(sqlite3_file* file, int region, int region_bytes, int extend, void volatile** out) {
  static_assert(std::is_standard_layout_v<Methods> && offsetof(Methods, own) == 0);
  auto& methods = const_cast<Methods&>(*reinterpret_cast<const Methods*>(file->pMethods));
  const int mapped = methods.base->xShmMap(file, region, region_bytes, extend, out);
  const bool is_there = mapped == SQLITE_OK && *out != nullptr;
  // SHMSIZE: the file could not be made longer.
  if (mapped != SQLITE_IOERR_SHMSIZE && (!is_there || allot(*out, region_bytes))) return mapped;
  methods.refused = true;
  *out = nullptr;
  return SQLITE_FULL;
}

Status LogIndex::stand_before(sqlite::Database& db) {
  sqlite3_file* file = nullptr;
  const int found = sqlite3_file_control(db.handle(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (found != SQLITE_OK) return sqlite::error_of(found, "find the main file");
  if (file->pMethods->iVersion < 2) return {};  // no log, and so no index of one
  methods_ = {*file->pMethods, file->pMethods, false};
  methods_.own.xShmMap = map;
  file->pMethods = &methods_.own;
  return {};
}

}  // namespace chatsdk::server
