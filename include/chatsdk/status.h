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

/**
 * The stable name of a status in lower_snake_case.
 *
 * @param status a status
 * @return its name, "unknown" for other numbers; terminated by NUL
 *
 * - Errors: none.
 * - Ownership: static.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: function
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_status_name(int32_t status);

/**
 * Whether the same call may succeed later without any change by the caller.
 *
 * @param status a status
 * @return 1 or 0
 *
 * - Errors: none.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: function
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_status_is_retryable(int32_t status);

/**
 * What went wrong, in detail: an immutable snapshot. A function with a chatsdk_error** writes one there when it fails
 * (NULL when there is no memory for it), and NULL when it succeeds; the pointer itself may be NULL.
 */
typedef struct chatsdk_error chatsdk_error;

/* Whose number chatsdk_error_cause_code is. Open list: tolerate unknown values. */
#define CHATSDK_CAUSE_NONE 0      /* no layer below has failed */
#define CHATSDK_CAUSE_SYSTEM 1    /* errno */
#define CHATSDK_CAUSE_SQLITE 2    /* SQLite's extended result code */
#define CHATSDK_CAUSE_HTTP 3      /* the status of an HTTP answer, the refusal of a WebSocket's upgrade included */
#define CHATSDK_CAUSE_CURL 4      /* libcurl's CURLcode */
#define CHATSDK_CAUSE_TLS 5       /* why the server's certificate was refused, OpenSSL's X509_V_ERR_ */
#define CHATSDK_CAUSE_WEBSOCKET 6 /* the close code of the WebSocket */
#define CHATSDK_CAUSE_RESOLVER 7  /* what getaddrinfo said of the server's name, EAI_ */

/**
 * @name Getters of an error
 * Each gives 0 or "" for NULL.
 *
 * @param error the error, or NULL
 *
 * - Errors: none.
 * - Ownership: pointers are borrowed until the error is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_error
 * @{
 */
/** @return the status that the failing function returned; CHATSDK_OK for NULL */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_error_status(const chatsdk_error* error);
/**
 * A sentence for a log or a developer: limits and values seen, never content, keys or tokens. Not translated.
 *
 * @param[out] out_length bytes of the text; NULL allowed
 * @return UTF-8, also terminated by NUL
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_error_message(const chatsdk_error* error, size_t* out_length);
/** @return 1 when the same call may succeed later without any change by the caller, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_error_is_retryable(const chatsdk_error* error);
/** @return milliseconds that the server asks to wait before a retry; 0 when it named no time */
CHATSDK_API int64_t CHATSDK_CALL chatsdk_error_retry_after_ms(const chatsdk_error* error);
/**
 * Which layer below the library failed, for a log or a developer. What a program does is decided by the status: causes
 * are those of this build and of this moment.
 *
 * @return one of CHATSDK_CAUSE_
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_error_cause_domain(const chatsdk_error* error);
/** @return that layer's own number; 0 for CHATSDK_CAUSE_NONE */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_error_cause_code(const chatsdk_error* error);
/** @} */

/**
 * Adds a reference.
 *
 * @param error the error, or NULL
 * @return error
 *
 * - Errors: none.
 * - Ownership: the reference is the caller's, dropped with chatsdk_error_release.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: retain chatsdk_error
 */
CHATSDK_API chatsdk_error* CHATSDK_CALL chatsdk_error_retain(const chatsdk_error* error);

/**
 * Drops a reference; the last drop frees.
 *
 * @param error the error; NULL is ignored
 *
 * - Errors: none.
 * - Ownership: the caller's reference is gone.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: destructor chatsdk_error
 */
CHATSDK_API void CHATSDK_CALL chatsdk_error_release(const chatsdk_error* error);

/* The version that this header describes, and the version that is running: (major << 16) | (minor << 8) | patch. */
#define CHATSDK_VERSION_NUMBER 0x000100
#define CHATSDK_VERSION_STRING "0.1.0"
#define CHATSDK_ABI_VERSION 0

/**
 * @name The running library
 *
 * - Errors: none.
 * - Ownership: texts are static.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: function
 * @{
 */
/** @return its version, in the form of CHATSDK_VERSION_NUMBER */
CHATSDK_API uint32_t CHATSDK_CALL chatsdk_version_number(void);
/** @return its version as text, terminated by NUL */
CHATSDK_API const char* CHATSDK_CALL chatsdk_version_string(void);
/** @return its ABI number: the major of its SONAME */
CHATSDK_API uint32_t CHATSDK_CALL chatsdk_abi_version(void);
/**
 * Whether it has a feature. Names today: "direct_text", "encrypted_store", "tick", "e2ee" (end-to-end encryption) and
 * "ml_kem_768:chatsdk" (by whose code ML-KEM-768 is computed: the library's own).
 *
 * @param name the feature's name, UTF-8
 * @param name_length bytes of name, or CHATSDK_STRLEN
 * @return 1 or 0
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_has_feature(const char* name, size_t name_length);
/** @} */

/**
 * The value of a number that these headers define, by its whole name ("CHATSDK_EVENT_RESYNC"): for bindings that read
 * no header.
 *
 * @param name the constant's name, UTF-8
 * @param name_length bytes of name, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_value the number
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NOT_FOUND.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: function
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_constant(const char* name, size_t name_length, int64_t* out_value);

CHATSDK_END_DECLS

#endif
