/* SPDX-License-Identifier: Apache-2.0
 *
 * The client: configuration, life, account and devices.
 */
#ifndef CHATSDK_CLIENT_H
#define CHATSDK_CLIENT_H

#include "chatsdk/status.h"

CHATSDK_BEGIN_DECLS

/* ---- Configuration ---------------------------------------------------------------------------------------------- */

/* What a client is made with. One thread at a time; a client copies what it needs. */
typedef struct chatsdk_config chatsdk_config;

/* Who runs the work.
 * THREADS: the library's own threads: one for the engine, one for the WebSocket, one for HTTP while it is in use.
 * TICK: none; everything happens inside chatsdk_client_tick and the calls themselves. Only to look the server's name up
 * a thread exists while the system does so, in both; a server given by its address needs none. */
#define CHATSDK_THREADING_THREADS 0
#define CHATSDK_THREADING_TICK 1

#define CHATSDK_LOG_TRACE 0
#define CHATSDK_LOG_DEBUG 1
#define CHATSDK_LOG_INFO 2
#define CHATSDK_LOG_WARNING 3
#define CHATSDK_LOG_ERROR 4

/* Receives a log line: ids, sizes and codes, never content. May be called from any thread of the library and must not
 * call chatsdk. area and message are terminated by NUL and live for the call. */
typedef void(CHATSDK_CALL* chatsdk_log_hook)(int32_t level, const char* area, const char* message, void* user);

/* Called exactly once when the library needs a user pointer no more. */
typedef void(CHATSDK_CALL* chatsdk_destroy_hook)(void* user);

/* Makes an empty configuration.
 * Ownership: free with chatsdk_config_destroy.     Errors: INVALID_ARGUMENT, NO_MEMORY.     Threads: any.     Since:
 * 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_create(chatsdk_config** out_config);

/* Frees a configuration; NULL is ignored.     Threads: any.     Since: 0.1 */
CHATSDK_API void CHATSDK_CALL chatsdk_config_destroy(chatsdk_config* config);

/* Where the server is: http:// or https://, host, optional port; no path, query, fragment or user. Required.
 * Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE (above 2048 bytes), NO_MEMORY.     Threads: one at a time. Since:
 * 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_server_url(chatsdk_config* config, const char* url,
                                                               size_t url_length);

/* The name under which the user finds this device in the list of devices; at most 128 bytes.
 * Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NO_MEMORY.     Threads: one at a time.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_device_name(chatsdk_config* config, const char* name,
                                                                size_t name_length);

/* A PEM file of certificate authorities to trust instead of the platform's. Verification cannot be turned off.
 * Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE (above 4096 bytes), NO_MEMORY.     Threads: one at a time. Since:
 * 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_ca_file(chatsdk_config* config, const char* path,
                                                            size_t path_length);

/* CHATSDK_THREADING_THREADS (the default) or CHATSDK_THREADING_TICK.
 * Errors: INVALID_ARGUMENT.     Threads: one at a time.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_threading(chatsdk_config* config, int32_t threading);

/* How long a queued message may wait before it fails, unless a send says otherwise.
 * Units: milliseconds, 1 to 31,536,000,000 (365 days); the default is seven days.
 * Errors: INVALID_ARGUMENT.     Threads: one at a time.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_send_time_limit_ms(chatsdk_config* config, int64_t limit_ms);

/* Bounds of the reconnect delay: a wait is drawn between 0 and base doubled per failure, never above cap (full jitter).
 * Units: milliseconds, 1 <= base <= cap <= 3,600,000; the defaults are 500 and 60,000.
 * Errors: INVALID_ARGUMENT.     Threads: one at a time.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_backoff_ms(chatsdk_config* config, int64_t base_ms, int64_t cap_ms);

/* Where log lines of at least this level go. destroy (or NULL) is called once, when the last user of hook has ended:
 * the configuration and every client made with it. On failure it is not called. Ownership: user stays the caller's
 * until destroy.     Errors: INVALID_ARGUMENT, NO_MEMORY.     Threads: one at a time. Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_log(chatsdk_config* config, int32_t level, chatsdk_log_hook hook,
                                                        void* user, chatsdk_destroy_hook destroy);

/* ---- Life --------------------------------------------------------------------------------------------------------
 *
 * create -> open_store -> register or login (once) -> start -> suspend / resume -> stop -> close -> destroy
 *
 * Any function may be called from any thread unless its comment says otherwise. One process at a time holds a store.
 * A wait of more than ten years, as INT64_MAX, is as good as for ever. After chatsdk_client_close every function of a
 * client gives CLOSED.
 */
typedef struct chatsdk_client chatsdk_client;

/* Makes a client. No file, socket or thread exists yet.
 * Ownership: *out_client is freed with chatsdk_client_destroy; config stays the caller's.
 * Errors: INVALID_ARGUMENT (no server URL), NO_MEMORY.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_create(const chatsdk_config* config, chatsdk_client** out_client,
                                                       chatsdk_error** out_error);

/* Opens the encrypted store at path, or makes it. The app keeps the key, typically in the platform's key store: without
 * it the store cannot be read.
 * Sizes: path is UTF-8, at most 4,096 bytes; key is exactly 32 bytes, from a good random source.
 * Errors: INVALID_ARGUMENT, TOO_LARGE, WRONG_STATE (already open), STORE_IN_USE (another process or client), WRONG_KEY,
 * TAMPERED, CORRUPT (damaged, or gone although it was made here; what was there is set aside and the message names it),
 * SCHEMA_TOO_NEW, READ_ONLY, STORAGE, STORAGE_FULL, NO_MEMORY. After CORRUPT no new store is made until
 * chatsdk_client_recreate_store asks for it. Damage inside the file may also be found when it is first used.
 * Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_open_store(chatsdk_client* client, const char* path, size_t path_length,
                                                           const uint8_t* key, size_t key_length,
                                                           chatsdk_error** out_error);

/* Opens a new, empty store where chatsdk_client_open_store gave CORRUPT, TAMPERED or WRONG_KEY: this device starts
 * afresh, and messages that were never sent stay behind. What is there is renamed to <path>.corrupt-<n>, never removed.
 * Where no store ever was, it does what chatsdk_client_open_store does.
 * Sizes: as chatsdk_client_open_store.
 * Errors: those of chatsdk_client_open_store, and ALREADY_EXISTS (a store is there and opens). Blocks: for the disk.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_recreate_store(chatsdk_client* client, const char* path,
                                                               size_t path_length, const uint8_t* key,
                                                               size_t key_length, chatsdk_error** out_error);

/* Starts to connect, and to stay connected, whenever a session exists. Starting twice is no error.
 * Errors: INVALID_ARGUMENT, WRONG_STATE (no store).     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_start(chatsdk_client* client);

/* Disconnects; open requests complete with CANCELLED. The store stays open. chatsdk_client_start may follow. Does not
 * wait for the network.
 * Errors: INVALID_ARGUMENT.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_stop(chatsdk_client* client);

/* Before the system may freeze the process: disconnects, finishes what is being written and closes every file. When it
 * returns OK no file is open or locked and no socket is open, whatever the network does; a look-up of the server's name
 * that the system has not answered is left to itself. Open requests complete with CANCELLED; those completions and
 * every change so far can be pulled also while suspended. Until chatsdk_client_resume all calls that need the store
 * give WRONG_STATE. Units: deadline_ms, how long to wait for other calls of the app and for the commit under way; what
 * is then left is closing files. TIMED_OUT: nothing has changed and the client goes on; call again. 0 waits for
 * nothing, and is not enough when anything is at work. Errors: INVALID_ARGUMENT, WRONG_STATE (no store, or suspended),
 * TIMED_OUT, CLOSED. Blocks: up to deadline_ms, and for the disk.     Threads: any, also from a tick handler. Since:
 * 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_suspend(chatsdk_client* client, int64_t deadline_ms);

/* Opens the store again and goes on as before chatsdk_client_suspend.
 * Errors: INVALID_ARGUMENT, WRONG_STATE (not suspended), NOT_FOUND (the store's file is gone; none is made in its
 * place), and those of chatsdk_client_open_store: the client stays suspended, and resuming may be tried again.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_resume(chatsdk_client* client, chatsdk_error** out_error);

/* Tells that the device's network has changed: a waiting reconnect starts now and a live connection is probed at once.
 * Errors: INVALID_ARGUMENT.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_network_changed(chatsdk_client* client);

/* Waits until this device and the server agree: connected and caught up, nothing waiting to be sent (failed messages
 * apart), every read mark known to the server. For background fetch, and before a program ends.
 * Units: timeout_ms, 0 = only look.
 * Errors: INVALID_ARGUMENT, WRONG_STATE (no store, or tick mode), TIMED_OUT, CANCELLED (the client was stopped),
 * CLOSED, STORAGE. Blocks: up to timeout_ms.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_sync(chatsdk_client* client, int64_t timeout_ms);

/* Ends all work at any moment: polls and syncs that wait return CLOSED, and so does every later call of any function
 * but this one and chatsdk_client_destroy. No file is open and nothing of the client calls the app after this returns,
 * as after chatsdk_client_suspend. Events that were not pulled are dropped; to see open requests complete, stop and
 * pull first. Closing twice is no error. For apps with several threads: close, join the threads that use the client,
 * destroy. Errors: INVALID_ARGUMENT. Blocks: for calls under way and for the disk, not for the network.     Threads:
 * any, also from a tick handler.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_close(chatsdk_client* client);

/* Closes the client at any moment and frees it, once calls under way on other threads have returned: polls and syncs
 * that wait return CLOSED. No call may begin on any thread after this one has; a thread that could is told by
 * chatsdk_client_close, and joined, before. Nothing of the client calls the app after this returns. Called from inside
 * a tick handler it takes effect when that tick ends. Events and snapshots that the app holds stay valid. NULL is
 * ignored. Blocks: as chatsdk_client_close; with no lock held for which a call under way or an event handler waits.
 * Threads: any.     Since: 0.1 */
CHATSDK_API void CHATSDK_CALL chatsdk_client_destroy(chatsdk_client* client);

/* The state of the connection. Open list: tolerate unknown values. */
#define CHATSDK_CONNECTION_STOPPED 0
#define CHATSDK_CONNECTION_NOT_LOGGED_IN 1
#define CHATSDK_CONNECTION_WAITING 2
#define CHATSDK_CONNECTION_CONNECTING 3
#define CHATSDK_CONNECTION_SYNCING 4
#define CHATSDK_CONNECTION_ONLINE 5

/* Errors: INVALID_ARGUMENT.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_connection_state(const chatsdk_client* client, int32_t* out_state);

/* ---- Account and devices ------------------------------------------------------------------------------------------
 *
 * Each of these returns at once with a request id; the answer is a CHATSDK_EVENT_COMPLETED with that id. They need an
 * open store, not a started client.
 */

/* Append only; set struct_size, or begin with CHATSDK_REGISTRATION_INIT. Lengths may be CHATSDK_STRLEN. */
typedef struct chatsdk_registration {
  uint32_t struct_size;
  uint32_t reserved;
  const char* user_id; /* 1 to 64 bytes, required */
  size_t user_id_length;
  const char* password; /* 8 to 1,024 bytes, required */
  size_t password_length;
  const char* display_name; /* at most 256 bytes; NULL: none */
  size_t display_name_length;
  const char* email; /* NULL: none */
  size_t email_length;
  const char* phone; /* E.164, NULL: none */
  size_t phone_length;
} chatsdk_registration;

#define CHATSDK_REGISTRATION_INIT \
  { sizeof(chatsdk_registration), 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0 }

/* Fills a registration with CHATSDK_REGISTRATION_INIT's values for callers that have no macros. size is the caller's
 * sizeof.     Errors: INVALID_ARGUMENT, UNSUPPORTED (larger than this library's).     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_registration_init(chatsdk_registration* registration, size_t size);

/* Makes an account on the server and logs this device in.
 * Errors at once: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, UNSUPPORTED (a later struct with fields set), WRONG_STATE
 * (no store, or another user's), NO_MEMORY. Completion: OK, ALREADY_EXISTS, INVALID_ARGUMENT, RATE_LIMITED, NETWORK,
 * TLS, TIMED_OUT, UNAVAILABLE, SERVER, CANCELLED, STORAGE. Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_register(chatsdk_client* client,
                                                         const chatsdk_registration* registration,
                                                         uint64_t* out_request);

/* Logs this device in to an account. A store belongs to the first user who logs in: another gives WRONG_STATE.
 * Completion: OK, UNAUTHENTICATED, RATE_LIMITED, LIMIT_REACHED (devices), and the others of chatsdk_client_register.
 * Errors at once: as chatsdk_client_register.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_login(chatsdk_client* client, const char* user_id,
                                                      size_t user_id_length, const char* password,
                                                      size_t password_length, uint64_t* out_request);

/* Logs in with a JWT that the app's own backend has signed; its sub claim is the user_id. The account is made on first
 * sight.
 * Sizes: assertion is 1 to 8,192 bytes.     Completion and errors: as chatsdk_client_login.     Threads: any. Since:
 * 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_login_with_assertion(chatsdk_client* client, const char* assertion,
                                                                     size_t assertion_length, uint64_t* out_request);

/* Ends this device's session on the server and forgets its tokens. The history stays in the store.
 * Completion: OK, NOT_LOGGED_IN, NETWORK and the like (then nothing has changed).
 * Errors at once: INVALID_ARGUMENT, WRONG_STATE, NO_MEMORY.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_logout(chatsdk_client* client, uint64_t* out_request);

/* Asks for the account's devices. The completion event carries them: chatsdk_event_device_count.
 * Completion: OK, NOT_LOGGED_IN, UNAUTHENTICATED, NETWORK and the like.
 * Errors at once: INVALID_ARGUMENT, WRONG_STATE, NO_MEMORY.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_list_devices(chatsdk_client* client, uint64_t* out_request);

/* Removes a device of this account: its session ends at once.
 * Completion: OK, NOT_FOUND, NOT_LOGGED_IN, UNAUTHENTICATED, NETWORK and the like.
 * Errors at once: INVALID_ARGUMENT, WRONG_STATE, NO_MEMORY.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_revoke_device(chatsdk_client* client, uint64_t device_id,
                                                              uint64_t* out_request);

/* Copies the user_id that this store belongs to.
 * Sizes: *out_length is set also on TOO_SMALL; buffer NULL with capacity 0 asks for the size. No NUL is written.
 * Errors: INVALID_ARGUMENT, WRONG_STATE (no store), NOT_LOGGED_IN (nobody yet), TOO_SMALL.     Threads: any.     Since:
 * 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_user_id(chatsdk_client* client, char* buffer, size_t capacity,
                                                        size_t* out_length);

CHATSDK_END_DECLS

#endif
