/* SPDX-License-Identifier: Apache-2.0
 *
 * The process's allocators, over glibc's own: malloc and its kin, which C++'s operator new and the allocators of
 * SQLite, libcurl, libwebsockets and OpenSSL come down to, and mmap, where libsodium's sodium_malloc takes its pages.
 * Armed, allocation N fails, of this thread or of all others, and as many behind it as are asked for. Whose an
 * allocation was is told by the library that asked for it.
 *
 * Threads: one arms; any allocate.
 * Linux with glibc; in one source file of a program that is no other allocator's.
 */
#ifndef CHATSDK_TESTS_CAPI_FAILING_ALLOCATOR_H
#define CHATSDK_TESTS_CAPI_FAILING_ALLOCATOR_H

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);

/* By the beginning of a library's file name; the last is for all others. */
static const struct {
  const char* name;
  const char* file;
} allocators[] = {{"operator new", "libstdc++."},
                  {"SQLite", "libsqlite3."},
                  {"libcurl", "libcurl."},
                  {"libwebsockets", "libwebsockets."},
                  {"OpenSSL", "libcrypto."},
                  {"libsodium", "libsodium."},
                  {"others", ""}};
enum { kAllocators = sizeof allocators / sizeof allocators[0], kAllAfter = INT_MAX };
enum {
  kOperatorNew = 1 << 0,
  kSqlite = 1 << 1,
  kCurl = 1 << 2,
  kWebsockets = 1 << 3,
  kOpenSsl = 1 << 4,
  kSodium = 1 << 5,
  kEvery = (1 << 7) - 1
};

enum armed { kNobody, kThisThread, kOtherThreads };
static _Thread_local int arms; /* this thread is the one that armed */
static atomic_int armed;
static atomic_uint allocators_armed; /* a bit for each */
static atomic_long passes;           /* allocations that pass before the next failure; below 0: how many have failed */
static atomic_long failures_wanted;
static atomic_int has_failed;
static atomic_long blocks_alive;
static atomic_long failures_of[kAllocators];

static int allocator_of(const void* caller) {
  Dl_info info;
  const char* file = "";
  if (dladdr(caller, &info) != 0 && info.dli_fname != NULL) {
    const char* slash = strrchr(info.dli_fname, '/');
    file = slash == NULL ? info.dli_fname : slash + 1;
  }
  int i = 0;
  while (strncmp(file, allocators[i].file, strlen(allocators[i].file)) != 0) ++i;
  return i;
}

static int refuses(const void* caller) {
  const int mode = atomic_load(&armed);
  if (mode == kNobody || (mode == kThisThread) != (arms != 0)) return 0;
  const unsigned only = atomic_load(&allocators_armed);
  if (only != kEvery && (only >> allocator_of(caller) & 1u) == 0) return 0;
  const long left = atomic_fetch_sub(&passes, 1);
  if (left > 0 || left <= -atomic_load(&failures_wanted)) return 0;
  atomic_store(&has_failed, 1);
  atomic_fetch_add(&failures_of[allocator_of(caller)], 1);
  errno = ENOMEM;
  return 1;
}

static void* counted(void* block) {
  if (block != NULL) atomic_fetch_add(&blocks_alive, 1);
  return block;
}

#define CALLER __builtin_return_address(0)
void* malloc(size_t size) { return refuses(CALLER) ? NULL : counted(__libc_malloc(size)); }
void* calloc(size_t count, size_t size) { return refuses(CALLER) ? NULL : counted(__libc_calloc(count, size)); }
void* memalign(size_t alignment, size_t size) {
  return refuses(CALLER) ? NULL : counted(__libc_memalign(alignment, size));
}
void* aligned_alloc(size_t alignment, size_t size) {
  return refuses(CALLER) ? NULL : counted(__libc_memalign(alignment, size));
}
int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = refuses(CALLER) ? NULL : counted(__libc_memalign(alignment, size));
  return *block == NULL ? ENOMEM : 0;
}
void* realloc(void* block, size_t size) {
  if (refuses(CALLER)) return NULL;
  void* moved = __libc_realloc(block, size);
  if (block == NULL) return counted(moved);
  if (size == 0) atomic_fetch_sub(&blocks_alive, 1);
  return moved;
}
void free(void* block) {
  if (block != NULL) atomic_fetch_sub(&blocks_alive, 1);
  __libc_free(block);
}
void* mmap(void* address, size_t length, int protection, int flags, int file, off_t offset) {
  if (refuses(CALLER)) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}
void* mmap64(void* address, size_t length, int protection, int flags, int file, off64_t offset) {
  if (refuses(CALLER)) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

/* From now on n allocations of these allocators pass, then so many fail. */
static inline void arm_only(unsigned which, enum armed whose, long n, long failures) {
  arms = 1;
  atomic_store(&allocators_armed, which);
  atomic_store(&failures_wanted, failures);
  atomic_store(&has_failed, 0);
  atomic_store(&passes, n);
  atomic_store(&armed, whose);
}
static inline void arm(enum armed whose, long n, long failures) { arm_only(kEvery, whose, n, failures); }
static inline int disarm(void) {
  atomic_store(&armed, kNobody);
  return atomic_load(&has_failed);
}

/* One line for each allocator; 0 when one of those that the bits of `wanted` name has had no failure. */
static inline int print_failures(unsigned wanted) {
  int all = 1;
  for (int i = 0; i < kAllocators; ++i) {
    const long failures = atomic_load(&failures_of[i]);
    printf("failures of %s: %ld\n", allocators[i].name, failures);
    if ((wanted >> i & 1u) != 0 && failures == 0) all = 0;
  }
  return all;
}

#endif
