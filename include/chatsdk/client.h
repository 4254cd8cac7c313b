/* SPDX-License-Identifier: Apache-2.0
 *
 * The client: configuration, life, account and devices.
 */
#ifndef CHATSDK_CLIENT_H
#define CHATSDK_CLIENT_H

#include "chatsdk/status.h"

CHATSDK_BEGIN_DECLS

/* ---- Configuration ---------------------------------------------------------------------------------------------- */

/** What a client is made with. One thread at a time; a client copies what it needs. */
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

/**
 * Receives a log line: ids, sizes and codes, never content. May be called from any thread of the library and must not
 * call chatsdk. area and message are terminated by NUL and live for the call.
 */
typedef void(CHATSDK_CALL* chatsdk_log_hook)(int32_t level, const char* area, const char* message, void* user);

/** Called exactly once when the library needs a user pointer no more. */
typedef void(CHATSDK_CALL* chatsdk_destroy_hook)(void* user);

/**
 * Makes an empty configuration.
 *
 * @param[out] out_config the configuration
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NO_MEMORY.
 * - Ownership: *out_config is the caller's, freed with chatsdk_config_destroy.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: constructor chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_create(chatsdk_config** out_config, chatsdk_error** out_error);

/**
 * Frees a configuration. The clients made with it stay.
 *
 * @param config the configuration; NULL is ignored
 *
 * - Errors: none.
 * - Ownership: config is freed.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: destructor chatsdk_config
 */
CHATSDK_API void CHATSDK_CALL chatsdk_config_destroy(chatsdk_config* config);

/**
 * Where the server is: http:// or https://, host, optional port; no path, query, fragment or user. Required.
 *
 * @param config the configuration
 * @param url the server's URL, UTF-8
 * @param url_length bytes of url, at most 2,048, or CHATSDK_STRLEN
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NO_MEMORY.
 * - Ownership: url is copied.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_server_url(chatsdk_config* config, const char* url,
                                                               size_t url_length, chatsdk_error** out_error);

/**
 * The name under which the user finds this device in the list of devices.
 *
 * @param config the configuration
 * @param name the device's name, UTF-8, without control characters (C0, DEL, C1)
 * @param name_length bytes of name, at most 128, or CHATSDK_STRLEN
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NO_MEMORY.
 * - Ownership: name is copied.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_device_name(chatsdk_config* config, const char* name,
                                                                size_t name_length, chatsdk_error** out_error);

/**
 * A PEM file of certificate authorities to trust instead of the platform's. Verification cannot be turned off.
 *
 * @param config the configuration
 * @param path the file's path, UTF-8, without a NUL; empty: the platform's authorities
 * @param path_length bytes of path, at most 4,096, or CHATSDK_STRLEN
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NO_MEMORY.
 * - Ownership: path is copied.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_ca_file(chatsdk_config* config, const char* path,
                                                            size_t path_length, chatsdk_error** out_error);

/**
 * Who runs the work.
 *
 * @param config the configuration
 * @param threading CHATSDK_THREADING_THREADS (the default) or CHATSDK_THREADING_TICK
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT.
 * - Ownership: none.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_threading(chatsdk_config* config, int32_t threading,
                                                              chatsdk_error** out_error);

/**
 * What the names of the library's threads begin with, for debuggers and profilers: <prefix>-eng is the engine,
 * <prefix>-ws the WebSocket, <prefix>-http the requests, <prefix>-dns the look-up of the server's name. The default is
 * chatsdk. Platforms without names for threads ignore it.
 *
 * @param config the configuration
 * @param prefix the beginning, UTF-8, no control characters
 * @param prefix_length bytes of prefix, 1 to 10, or CHATSDK_STRLEN
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NO_MEMORY.
 * - Ownership: prefix is copied.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_thread_name(chatsdk_config* config, const char* prefix,
                                                                size_t prefix_length, chatsdk_error** out_error);

/**
 * How long a queued message may wait before it fails (TIMED_OUT), unless a send says otherwise.
 *
 * Each message has its own limit, wherever it stands in its conversation and whether there is a network or not. One
 * that may have reached the server fails only on the server's answer. Limits are looked at while the client is started:
 * one that passed before fails at the next chatsdk_client_start().
 *
 * @param config the configuration
 * @param limit_ms milliseconds, 1 to 31,536,000,000 (365 days); the default is seven days
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT.
 * - Ownership: none.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_send_time_limit_ms(chatsdk_config* config, int64_t limit_ms,
                                                                       chatsdk_error** out_error);

/**
 * Bounds of the reconnect delay: a wait is drawn between 0 and base doubled per failure, never above cap (full jitter).
 *
 * @param config the configuration
 * @param base_ms milliseconds, 1 to cap_ms; the default is 500
 * @param cap_ms milliseconds, base_ms to 3,600,000; the default is 60,000
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT.
 * - Ownership: none.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_backoff_ms(chatsdk_config* config, int64_t base_ms, int64_t cap_ms,
                                                               chatsdk_error** out_error);

/**
 * Whether messages wait when the account key of the user that they are for has changed, until
 * chatsdk_client_accept_identity. Otherwise they go out, and CHATSDK_EVENT_IDENTITY_CHANGED is the warning.
 *
 * @param config the configuration
 * @param blocks 1, or 0 (the default)
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT.
 * - Ownership: none.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_block_changed_identities(chatsdk_config* config, int32_t blocks,
                                                                             chatsdk_error** out_error);

/**
 * Where log lines of at least this level go.
 *
 * @param config the configuration
 * @param level one of CHATSDK_LOG_
 * @param[out] out_error why it failed; NULL allowed
 * @param hook receives the lines; NULL: nobody
 * @param user handed to hook
 * @param destroy called once with user when the last user of hook has ended, the configuration and every client made
 *     with it; on failure it is not called. NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NO_MEMORY.
 * - Ownership: user stays the caller's until destroy.
 * - Thread: one at a time for a configuration.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_config
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_config_set_log(chatsdk_config* config, int32_t level,
                                                        chatsdk_error** out_error, chatsdk_log_hook hook, void* user,
                                                        chatsdk_destroy_hook destroy);

/* ---- Life --------------------------------------------------------------------------------------------------------
 *
 * create -> open_store -> register or login (once) -> start -> suspend / resume -> stop -> close -> destroy
 *
 * Any function may be called from any thread unless its comment says otherwise. One process at a time holds a store.
 * A wait of more than ten years, as INT64_MAX, is as good as for ever. After chatsdk_client_close every function of a
 * client gives CLOSED.
 */
typedef struct chatsdk_client chatsdk_client;

/**
 * Makes a client. No file, socket or thread exists yet.
 *
 * @param config what it is made with
 * @param[out] out_client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT (also: no server is set), CRYPTO, NO_MEMORY.
 * - Ownership: *out_client is the caller's, freed with chatsdk_client_destroy; config stays the caller's.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: constructor chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_create(const chatsdk_config* config, chatsdk_client** out_client,
                                                       chatsdk_error** out_error);

/**
 * Opens the encrypted store at path, or makes it. The app keeps the key, typically in the platform's key store: without
 * it the store cannot be read. A path that is a symbolic link stands for the file that it leads to, beside which the
 * store's other files are. After CORRUPT no new store is made until chatsdk_client_recreate_store asks for it.
 * Damage inside the file may also be found when it is first used.
 *
 * @param client the client
 * @param path the store's path, UTF-8, without a NUL; from the root it has at most 500 bytes, and its last part 240
 * @param path_length bytes of path, at most 4,096, or CHATSDK_STRLEN
 * @param key 32 bytes from a good random source
 * @param key_length 32
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, WRONG_STATE (already open), STORE_IN_USE (another process or
 *   client), WRONG_KEY, TAMPERED, CORRUPT (damaged, or gone although it was made here; what was there is set aside and
 *   the message names it), SCHEMA_TOO_NEW, READ_ONLY, STORAGE, STORAGE_FULL, CLOSED, NO_MEMORY.
 * - Ownership: path and key are copied; the copy of the key is wiped with the client.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_open_store(chatsdk_client* client, const char* path, size_t path_length,
                                                           const uint8_t* key, size_t key_length,
                                                           chatsdk_error** out_error);

/**
 * Opens a new, empty store where chatsdk_client_open_store gave CORRUPT, TAMPERED or WRONG_KEY: this device starts
 * afresh, and messages that were never sent stay behind. What is there is renamed to <path>.corrupt-<n>, never removed.
 * Where no store ever was, it does what chatsdk_client_open_store does.
 *
 * @param client the client
 * @param path the store's path, UTF-8, without a NUL; from the root it has at most 500 bytes, and its last part 240
 * @param path_length bytes of path, at most 4,096, or CHATSDK_STRLEN
 * @param key 32 bytes from a good random source
 * @param key_length 32
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: those of chatsdk_client_open_store, and ALREADY_EXISTS (a store is there and opens).
 * - Ownership: path and key are copied; the copy of the key is wiped with the client.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_recreate_store(chatsdk_client* client, const char* path,
                                                               size_t path_length, const uint8_t* key,
                                                               size_t key_length, chatsdk_error** out_error);

/**
 * Starts to connect, and to stay connected, whenever a session exists. Starting twice is no error.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store), CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_start(chatsdk_client* client, chatsdk_error** out_error);

/**
 * Disconnects; open requests complete with CANCELLED. The store stays open. chatsdk_client_start may follow. Does not
 * wait for the network.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_stop(chatsdk_client* client, chatsdk_error** out_error);

/**
 * Before the system may freeze the process: disconnects, finishes what is being written and closes every file. When it
 * returns OK no file is open or locked and no socket is open, whatever the network does; a look-up of the server's name
 * that the system has not answered is left to itself. Open requests complete with CANCELLED; those completions and
 * every change so far can be pulled also while suspended. Until chatsdk_client_resume all calls that need the store
 * give WRONG_STATE.
 *
 * @param client the client
 * @param deadline_ms milliseconds, how long to wait for other calls of the app and for the commit under way; what is
 *     then left is closing files. 0 waits for nothing, and is not enough when anything is at work
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store, or suspended), TIMED_OUT (nothing has changed and the client goes
 *   on; call again), CLOSED.
 * - Ownership: none.
 * - Thread: any, also from a tick handler.
 * - Blocks: up to deadline_ms, and for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_suspend(chatsdk_client* client, int64_t deadline_ms,
                                                        chatsdk_error** out_error);

/**
 * Opens the store again and goes on as before chatsdk_client_suspend.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (not suspended), NOT_FOUND (the store's file is gone; none is made in its
 *   place), and those of chatsdk_client_open_store: the client stays suspended, and resuming may be tried again.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_resume(chatsdk_client* client, chatsdk_error** out_error);

/**
 * Tells that the device's network has changed: a waiting reconnect starts now and a live connection is probed at once.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_network_changed(chatsdk_client* client, chatsdk_error** out_error);

/**
 * Waits until this device and the server agree: connected and caught up, nothing waiting to be sent (failed messages
 * apart) or to be done to a group, every read mark known to the server. For background fetch, and before a program
 * ends.
 *
 * @param client the client
 * @param timeout_ms milliseconds; 0: only look
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store, or tick mode), TIMED_OUT, CANCELLED (the client was stopped),
 *   CLOSED, STORAGE, CORRUPT, TAMPERED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: up to timeout_ms.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_sync(chatsdk_client* client, int64_t timeout_ms,
                                                     chatsdk_error** out_error);

/**
 * Ends all work at any moment: polls and syncs that wait return CLOSED, and so does every later call of any function
 * but this one and chatsdk_client_destroy. No file is open and nothing of the client calls the app after this returns,
 * as after chatsdk_client_suspend. Events that were not pulled are dropped; to see open requests complete, stop and
 * pull first. Closing twice is no error. For apps with several threads: close, join the threads that use the client,
 * destroy.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT.
 * - Ownership: none.
 * - Thread: any, also from a tick handler.
 * - Blocks: for calls under way and for the disk, not for the network.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_close(chatsdk_client* client, chatsdk_error** out_error);

/**
 * Closes the client at any moment and frees it, once calls under way on other threads have returned: polls and syncs
 * that wait return CLOSED. No call may begin on any thread after this one has; a thread that could is told by
 * chatsdk_client_close, and joined, before. Nothing of the client calls the app after this returns. Called from inside
 * a tick handler it takes effect when that tick ends. Events and snapshots that the app holds stay valid.
 *
 * @param client the client; NULL is ignored
 *
 * - Errors: none.
 * - Ownership: client is freed.
 * - Thread: any.
 * - Blocks: as chatsdk_client_close; with no lock held for which a call under way or an event handler waits.
 * - Since: 0.1
 * - Binding: destructor chatsdk_client
 */
CHATSDK_API void CHATSDK_CALL chatsdk_client_destroy(chatsdk_client* client);

/* The state of the connection. Open list: tolerate unknown values. */
#define CHATSDK_CONNECTION_STOPPED 0
#define CHATSDK_CONNECTION_NOT_LOGGED_IN 1
#define CHATSDK_CONNECTION_WAITING 2
#define CHATSDK_CONNECTION_CONNECTING 3
#define CHATSDK_CONNECTION_SYNCING 4
#define CHATSDK_CONNECTION_ONLINE 5

/**
 * The state of the connection, which CHATSDK_EVENT_CONNECTION reports when it changes.
 *
 * @param client the client
 * @param[out] out_state one of CHATSDK_CONNECTION_
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, CLOSED.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_connection_state(const chatsdk_client* client, int32_t* out_state,
                                                                 chatsdk_error** out_error);

/* ---- Account and devices ------------------------------------------------------------------------------------------
 *
 * Each of these returns at once with a request id; the answer is a CHATSDK_EVENT_COMPLETED with that id, whose status
 * the Completion line lists. They need an open store, not a started client.
 */

/** Append only; set struct_size, or begin with CHATSDK_REGISTRATION_INIT. Lengths may be CHATSDK_STRLEN. */
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

/**
 * Fills a registration with CHATSDK_REGISTRATION_INIT's values for callers that have no macros.
 *
 * @param registration the caller's struct
 * @param size the caller's sizeof of it, in bytes
 *
 * - Errors: INVALID_ARGUMENT, UNSUPPORTED (larger than this library's).
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: initializer chatsdk_registration
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_registration_init(chatsdk_registration* registration, size_t size);

/**
 * Makes an account on the server and logs this device in.
 *
 * @param client the client
 * @param registration who registers
 * @param[out] out_request the request's id
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, UNSUPPORTED (a later struct with fields set), WRONG_STATE (no
 *   store), CLOSED, NO_MEMORY.
 * - Completion: OK, ALREADY_EXISTS (the user_id, the e-mail address or the phone number), INVALID_ARGUMENT (the server
 *   does not take a text), FORBIDDEN (the server takes no passwords), WRONG_STATE (the store belongs to another user),
 *   BUSY (a registration, log-in or log-out is under way, or 1,024 requests are open), CANCELLED (stopped or
 *   suspended), RATE_LIMITED, UNAVAILABLE, SERVER, NETWORK, TLS, TIMED_OUT, PROTOCOL or TOO_LARGE (what answers is no
 *   chatsdk server), UNSUPPORTED (libcurl is missing), STORAGE, STORAGE_FULL, READ_ONLY (the server's storage
 *   or this device's), CORRUPT, TAMPERED, INTERNAL, NO_MEMORY.
 * - Ownership: the struct and its texts are copied.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_register(chatsdk_client* client,
                                                         const chatsdk_registration* registration,
                                                         uint64_t* out_request, chatsdk_error** out_error);

/**
 * Logs this device in to an account. A store belongs to the first user who logs in: another gives WRONG_STATE.
 *
 * @param client the client
 * @param user_id the user's name, UTF-8
 * @param user_id_length bytes of user_id, 1 to 64, or CHATSDK_STRLEN
 * @param password the password, UTF-8
 * @param password_length bytes of password, 1 to 1,024, or CHATSDK_STRLEN
 * @param[out] out_request the request's id
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, WRONG_STATE (no store), CLOSED, NO_MEMORY.
 * - Completion: OK, UNAUTHENTICATED (unknown user or wrong password), LIMIT_REACHED (devices), and those of
 *   chatsdk_client_register but ALREADY_EXISTS.
 * - Ownership: the texts are copied.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_login(chatsdk_client* client, const char* user_id,
                                                      size_t user_id_length, const char* password,
                                                      size_t password_length, uint64_t* out_request,
                                                      chatsdk_error** out_error);

/**
 * Logs in with a JWT that the app's own backend has signed; its sub claim is the user_id. The account is made on first
 * sight.
 *
 * @param client the client
 * @param assertion the JWT in its compact form
 * @param assertion_length bytes of assertion, 1 to 8,192, or CHATSDK_STRLEN
 * @param[out] out_request the request's id
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_login.
 * - Completion: OK, UNAUTHENTICATED (the server does not accept the assertion), CONFLICT (the user_id belongs to an
 *   account with a password), LIMIT_REACHED (devices), and those of chatsdk_client_register but ALREADY_EXISTS and
 *   FORBIDDEN.
 * - Ownership: assertion is copied.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_login_with_assertion(chatsdk_client* client, const char* assertion,
                                                                     size_t assertion_length, uint64_t* out_request,
                                                                     chatsdk_error** out_error);

/**
 * Ends this device's session on the server and forgets its tokens. The history stays in the store. The device leaves
 * the list of devices that others encrypt for, unless it is the only one: after the next log-in it is linked again.
 *
 * @param client the client
 * @param[out] out_request the request's id
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store), CLOSED, NO_MEMORY.
 * - Completion: OK (also when the server had ended the session already), NOT_LOGGED_IN, and those of
 *   chatsdk_client_register from BUSY on. After these the tokens are still in the store, and it may be tried again.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_logout(chatsdk_client* client, uint64_t* out_request,
                                                       chatsdk_error** out_error);

/**
 * Asks for the account's devices. The completion event carries them: chatsdk_event_device_count. The name of a linked
 * device is what it has told the user's other devices, encrypted; of any other it is what the server says.
 *
 * @param client the client
 * @param[out] out_request the request's id
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store), CLOSED, NO_MEMORY.
 * - Completion: OK, NOT_LOGGED_IN, UNAUTHENTICATED (the server has ended the session), BUSY (1,024 requests are open),
 *   and those of chatsdk_client_register from CANCELLED on.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_list_devices(chatsdk_client* client, uint64_t* out_request,
                                                             chatsdk_error** out_error);

/**
 * Removes a device of this account: it leaves the list of devices that others encrypt for
 * (CHATSDK_EVENT_DEVICE_REMOVED), its session ends with that, and then the server forgets it. Where the answer is lost
 * it may have been done by half, and may be asked again. From a device that is in no list itself the order is the other
 * way round: another device takes it out.
 *
 * @param client the client
 * @param device_id the device, as chatsdk_device_info names it
 * @param[out] out_request the request's id
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store), CLOSED, NO_MEMORY.
 * - Completion: OK, NOT_FOUND (no such device of this account), and those of chatsdk_client_list_devices.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_revoke_device(chatsdk_client* client, uint64_t device_id,
                                                              uint64_t* out_request, chatsdk_error** out_error);

/**
 * Copies the user_id that this store belongs to.
 *
 * @param client the client
 * @param buffer where the text goes, without NUL; NULL with capacity 0 asks for the size
 * @param capacity bytes of buffer
 * @param[out] out_length bytes of the user_id; set also on TOO_SMALL
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store), NOT_LOGGED_IN (nobody yet), TOO_SMALL, STORAGE, CORRUPT,
 *   TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_user_id(chatsdk_client* client, char* buffer, size_t capacity,
                                                        size_t* out_length, chatsdk_error** out_error);

CHATSDK_END_DECLS

#endif
