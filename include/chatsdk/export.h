/* SPDX-License-Identifier: Apache-2.0
 *
 * How chatsdk's functions are declared: visibility, calling convention, linkage. Included by every other header.
 */
#ifndef CHATSDK_EXPORT_H
#define CHATSDK_EXPORT_H

#include <stddef.h>
#include <stdint.h>

/* Define CHATSDK_STATIC when linking the static library on Windows. */
#if defined(_WIN32)
#define CHATSDK_CALL __cdecl
#if defined(CHATSDK_STATIC)
#define CHATSDK_API
#elif defined(CHATSDK_BUILDING)
#define CHATSDK_API __declspec(dllexport)
#else
#define CHATSDK_API __declspec(dllimport)
#endif
#else
#define CHATSDK_CALL
#define CHATSDK_API __attribute__((visibility("default")))
#endif

#if defined(__cplusplus)
#define CHATSDK_BEGIN_DECLS extern "C" {
#define CHATSDK_END_DECLS }
#else
#define CHATSDK_BEGIN_DECLS
#define CHATSDK_END_DECLS
#endif

/* As a length: the text ends at its first NUL byte. */
#define CHATSDK_STRLEN ((size_t)-1)

#endif
