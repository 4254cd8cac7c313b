/* SPDX-License-Identifier: Apache-2.0
 *
 * Status codes, the error object, and which library is running.
 *
 * Every function that can fail returns an int32_t status: CHATSDK_OK or a negative number of this list. Numbers are
 * never changed and never used again; a caller must tolerate ones that it does not know. docs/glossary.md explains
 * each.
 */
#ifndef CHATSDK_STATUS_H
#define CHATSDK_STATUS_H

#include "chatsdk/export.h"

CHATSDK_BEGIN_DECLS

#define CHATSDK_OK 0

/* The caller's arguments. */
#define CHATSDK_INVALID_ARGUMENT (-100)
#define CHATSDK_TOO_SMALL (-101)
#define CHATSDK_TOO_LARGE (-102)
#define CHATSDK_INVALID_UTF8 (-103)
#define CHATSDK_UNSUPPORTED (-104)

/* The state of the object called. */
#define CHATSDK_CLOSED (-200)
#define CHATSDK_BUSY (-201)
#define CHATSDK_NOT_FOUND (-202)
#define CHATSDK_ALREADY_EXISTS (-203)
#define CHATSDK_CANCELLED (-204)
#define CHATSDK_WRONG_STATE (-205)
#define CHATSDK_TIMED_OUT (-206)
#define CHATSDK_NOT_LOGGED_IN (-207)
#define CHATSDK_LIMIT_REACHED (-208)

/* The network. */
#define CHATSDK_NETWORK (-300)
#define CHATSDK_TLS (-301)
#define CHATSDK_PROTOCOL (-302)

/* The server's answers. */
#define CHATSDK_UNAUTHENTICATED (-400)
#define CHATSDK_FORBIDDEN (-401)
#define CHATSDK_RATE_LIMITED (-402)
#define CHATSDK_SERVER (-403)
#define CHATSDK_CONFLICT (-404)
#define CHATSDK_OUT_OF_ORDER (-405)
#define CHATSDK_UNAVAILABLE (-406)
#define CHATSDK_VOIDED (-407)
#define CHATSDK_REPLACED (-408)
#define CHATSDK_ROLLED_BACK (-409)
#define CHATSDK_MALFORMED (-410)

/* Storage. */
#define CHATSDK_STORAGE (-500)
#define CHATSDK_STORAGE_FULL (-501)
#define CHATSDK_CORRUPT (-502)
#define CHATSDK_WRONG_KEY (-503)
#define CHATSDK_TAMPERED (-504)
#define CHATSDK_READ_ONLY (-505)
#define CHATSDK_STORE_IN_USE (-506)
#define CHATSDK_SCHEMA_TOO_NEW (-507)

/* Cryptography. */
#define CHATSDK_CRYPTO (-600)

/* The library itself. */
#define CHATSDK_INTERNAL (-900)
#define CHATSDK_NO_MEMORY (-901)

/* The stable name of a status in lower_snake_case, "unknown" for other numbers.
 * Ownership: static.     Threads: any.     Since: 0.1 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_status_name(int32_t status);

/* 1 when the same call may succeed later without any change by the caller, 0 otherwise.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_status_is_retryable(int32_t status);

/* What went wrong, in detail: an immutable snapshot. Functions that take a chatsdk_error** write one there when they
 * fail, and NULL when they succeed; the pointer itself may be NULL. */
typedef struct chatsdk_error chatsdk_error;

/* The status that the failing function returned. NULL gives CHATSDK_OK.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_error_status(const chatsdk_error* error);

/* A sentence for a log or a developer: limits and values seen, never content, keys or tokens. Not translated.
 * Ownership: borrowed until the error is released; UTF-8, also terminated by NUL. out_length may be NULL.
 * Threads: any.     Since: 0.1 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_error_message(const chatsdk_error* error, size_t* out_length);

/* 1 when the same call may succeed later without any change by the caller; NULL gives 0.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_error_is_retryable(const chatsdk_error* error);

/* How long the server asks to wait before a retry, in milliseconds; 0 when it named no time.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int64_t CHATSDK_CALL chatsdk_error_retry_after_ms(const chatsdk_error* error);

/* Adds a reference, or drops one; the last drop frees. NULL is ignored; retain returns its argument.
 * Threads: any.     Since: 0.1 */
CHATSDK_API chatsdk_error* CHATSDK_CALL chatsdk_error_retain(chatsdk_error* error);
CHATSDK_API void CHATSDK_CALL chatsdk_error_release(chatsdk_error* error);

/* The version that this header describes, and the version that is running: (major << 16) | (minor << 8) | patch. */
#define CHATSDK_VERSION_NUMBER 0x000100
#define CHATSDK_VERSION_STRING "0.1.0"
#define CHATSDK_ABI_VERSION 0

/* The running library's version, in the form of CHATSDK_VERSION_NUMBER.     Threads: any.     Since: 0.1 */
CHATSDK_API uint32_t CHATSDK_CALL chatsdk_version_number(void);

/* The running library's version as text.     Ownership: static.     Threads: any.     Since: 0.1 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_version_string(void);

/* The running library's ABI number: the major of its SONAME.     Threads: any.     Since: 0.1 */
CHATSDK_API uint32_t CHATSDK_CALL chatsdk_abi_version(void);

/* 1 when the running library has the feature of this name, 0 otherwise. Names today: "direct_text", "encrypted_store",
 * "tick".
 * Sizes:   name is UTF-8 of name_length bytes, or CHATSDK_STRLEN.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_has_feature(const char* name, size_t name_length);

/* The value of a number that these headers define, by its whole name ("CHATSDK_EVENT_RESYNC"): for bindings that read
 * no header. Sizes:   name is UTF-8 of name_length bytes, or CHATSDK_STRLEN. Errors:  INVALID_ARGUMENT, INVALID_UTF8,
 * TOO_LARGE (above 64 bytes), NOT_FOUND.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_constant(const char* name, size_t name_length, int64_t* out_value);

CHATSDK_END_DECLS

#endif
