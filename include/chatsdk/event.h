/* SPDX-License-Identifier: Apache-2.0
 *
 * Events: how the app learns that something happened. They are pulled, on a thread of the app's own, by
 * chatsdk_client_poll or chatsdk_client_tick. Nothing else ever calls the app, except the log hook and the ready hook,
 * which may only signal.
 *
 * The queue is bounded: when it overflows, state events fold into one CHATSDK_EVENT_RESYNC and the app reads the store
 * anew; completions are never dropped. The store is the truth: an event says where to look and which revision to
 * expect.
 */
#ifndef CHATSDK_EVENT_H
#define CHATSDK_EVENT_H

#include "chatsdk/client.h"

CHATSDK_BEGIN_DECLS

/* An immutable snapshot. */
typedef struct chatsdk_event chatsdk_event;

/* Open list: tolerate unknown values. What an event of each type carries: */
#define CHATSDK_EVENT_COMPLETED 1            /* request, status, error; devices after chatsdk_client_list_devices */
#define CHATSDK_EVENT_CONNECTION 2           /* connection_state, error (why), retry_in_ms */
#define CHATSDK_EVENT_MESSAGE_ADDED 3        /* message, conversation */
#define CHATSDK_EVENT_MESSAGE_UPDATED 4      /* message, conversation: its state, sequence or content */
#define CHATSDK_EVENT_CONVERSATION_CHANGED 5 /* conversation: new, last message, unread count, read mark */
#define CHATSDK_EVENT_RECEIPTS_CHANGED 6     /* conversation: delivered or read marks advanced */
#define CHATSDK_EVENT_DEVICES_CHANGED 7      /* nothing: the account's devices changed */
#define CHATSDK_EVENT_SESSION_ENDED 8        /* error: log in again (ROLLED_BACK: an older store was restored) */
#define CHATSDK_EVENT_RESYNC 9               /* nothing: events were folded, read what is shown anew */
#define CHATSDK_EVENT_MESSAGE_REMOVED 10     /* message, conversation: the key names nothing any more */

/* Waits for events and hands out at most max of them, oldest first.
 * Units: timeout_ms, 0 = do not wait, -1 = without limit.
 * Ownership: out_events has room for max pointers; each event is released with chatsdk_event_release.
 * Errors: INVALID_ARGUMENT, TIMED_OUT (none came), CANCELLED (chatsdk_client_wake), BUSY (another thread polls or
 * ticks, or called from a handler), WRONG_STATE (tick mode), CLOSED. Blocks: up to timeout_ms.     Threads: one at a
 * time.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_poll(chatsdk_client* client, int64_t timeout_ms,
                                                     chatsdk_event** out_events, size_t max, size_t* out_count);

/* Makes a poll that waits, or else the next one, return CANCELLED.
 * Errors: INVALID_ARGUMENT.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_wake(chatsdk_client* client);

/* Receives one event inside chatsdk_client_tick; the event is borrowed for the call (retain it to keep it). May call
 * any function of chatsdk. */
typedef void(CHATSDK_CALL* chatsdk_event_handler)(const chatsdk_event* event, void* user);

/* Does pending work of the library (all of it in tick mode), then hands events to handler on this thread, until nothing
 * is left or the budget is spent: no work and no handler begins after that. For game loops: call once a frame.
 * Units: budget_ms, 0 = one round: what is ready to be done, then all the events that wait after it.     Sizes:
 * *out_dispatched, NULL allowed: how many events were handled. Errors: INVALID_ARGUMENT, BUSY (another thread polls or
 * ticks, or called from a handler), CLOSED. Threads: one at a time.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_tick(chatsdk_client* client, int64_t budget_ms,
                                                     chatsdk_event_handler handler, void* user, size_t* out_dispatched);

/* Signals that there is something to pull. Called from any thread of the library, at most once until the app pulls; it
 * may only signal (an eventfd, a condition, a posted message) and must not call chatsdk. The library holds no lock
 * meanwhile, but its engine waits: the hook must not take a lock that the app holds while it calls chatsdk. */
typedef void(CHATSDK_CALL* chatsdk_ready_hook)(void* user);

/* Sets or, with NULL, removes the ready hook. When this returns the former hook is not running and will not run again,
 * and its destroy was called once.
 * Errors: INVALID_ARGUMENT, NO_MEMORY.     Threads: any, not from a hook.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_ready_hook(chatsdk_client* client, chatsdk_ready_hook hook,
                                                               void* user, chatsdk_destroy_hook destroy);

/* Getters. Each is valid for every event and gives 0 or NULL where the event has no such thing.
 * Ownership: pointers are borrowed until the event is released.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_type(const chatsdk_event* event);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_store_revision(const chatsdk_event* event);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_request(const chatsdk_event* event);
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_status(const chatsdk_event* event);
CHATSDK_API const chatsdk_error* CHATSDK_CALL chatsdk_event_error(const chatsdk_event* event);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_conversation(const chatsdk_event* event);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_message(const chatsdk_event* event);
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_connection_state(const chatsdk_event* event);
CHATSDK_API int64_t CHATSDK_CALL chatsdk_event_retry_in_ms(const chatsdk_event* event);
CHATSDK_API size_t CHATSDK_CALL chatsdk_event_device_count(const chatsdk_event* event);

/* One device of a list. */
typedef struct chatsdk_device_info {
  uint32_t struct_size;
  uint32_t is_current; /* 1: the device that asks */
  uint64_t device_id;
  int64_t created_ms;   /* Unix time in milliseconds, the server's clock */
  int64_t last_seen_ms; /* likewise */
  const char* name;     /* UTF-8, terminated by NUL, borrowed until the event is released */
  size_t name_length;
} chatsdk_device_info;

#define CHATSDK_DEVICE_INFO_INIT \
  { sizeof(chatsdk_device_info), 0, 0, 0, 0, NULL, 0 }

/* Fills *out_device, whose struct_size the caller has set, with the device at index.
 * Errors: INVALID_ARGUMENT, NOT_FOUND (index).     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_device(const chatsdk_event* event, size_t index,
                                                      chatsdk_device_info* out_device);

/* Adds a reference, or drops one; the last drop frees. NULL is ignored; retain returns its argument. Events outlive the
 * client.     Threads: any.     Since: 0.1 */
CHATSDK_API chatsdk_event* CHATSDK_CALL chatsdk_event_retain(const chatsdk_event* event);
CHATSDK_API void CHATSDK_CALL chatsdk_event_release(const chatsdk_event* event);

CHATSDK_END_DECLS

#endif
