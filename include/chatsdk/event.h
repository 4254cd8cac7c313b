/* SPDX-License-Identifier: Apache-2.0
 *
 * Events: how the app learns that something happened. They are pulled, on a thread of the app's own, by
 * chatsdk_client_poll or chatsdk_client_tick. Nothing else ever calls the app, except the log hook and the ready hook,
 * which may only signal.
 *
 * The queue is bounded: when it overflows, state events fold into one CHATSDK_EVENT_RESYNC and the app reads the store
 * anew; completions, ends of operations and what a linking says are never dropped. The store is the truth: an event
 * says where to look and which revision to expect.
 *
 * CHATSDK_EVENT_IDENTITY_CHANGED, VERIFIED_CHANGED, DEVICE_ADDED, DEVICE_REMOVED and LIST_REFUSED are kept in the store
 * until they are pulled, and never folded: an app that ends before it has pulled them is told when it opens the store
 * again, and where it ends right after, once more. The ends of operations are kept likewise. What waits is told of
 * once, of a user's devices the last 64; while the client is suspended they wait.
 */
#ifndef CHATSDK_EVENT_H
#define CHATSDK_EVENT_H

#include "chatsdk/client.h"

CHATSDK_BEGIN_DECLS

/** What has happened. An immutable snapshot; events outlive the client. */
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
#define CHATSDK_EVENT_RESYNC 9               /* nothing: events were folded or memory ran out; read anew */
#define CHATSDK_EVENT_MESSAGE_REMOVED 10     /* message, conversation: the key names nothing any more */
/* Of end-to-end encryption, see encryption.h: */
#define CHATSDK_EVENT_UNDECRYPTABLE 11     /* message, conversation: it came, is added, and could not be decrypted */
#define CHATSDK_EVENT_ENCRYPTION 12        /* encryption_state: this device's */
#define CHATSDK_EVENT_IDENTITY_CHANGED 13  /* user: another account key, or the first since it was forgotten */
#define CHATSDK_EVENT_VERIFIED_CHANGED 14  /* user: the mark was set, taken back or has fallen */
#define CHATSDK_EVENT_DEVICE_ADDED 15      /* user, device_id: others encrypt for it from now on */
#define CHATSDK_EVENT_DEVICE_REMOVED 16    /* user, device_id: nobody encrypts for it any more */
#define CHATSDK_EVENT_LIST_REFUSED 17      /* user: lists the server shows do not verify, go back or are withheld */
#define CHATSDK_EVENT_PEER_WITHOUT_KEYS 18 /* user: messages wait until a device of theirs has been online, if ever */
#define CHATSDK_EVENT_LINK_CODE 19         /* link_code, link_name: to compare, see chatsdk_client_confirm_link */
#define CHATSDK_EVENT_LINK_ENDED 20        /* status, error: CHATSDK_OK when the keys went over, see encryption.h */
#define CHATSDK_EVENT_IDENTITY_REPLACED 21 /* status, error: CHATSDK_OK when the new account key is in force */
/* Of groups, see group.h: */
#define CHATSDK_EVENT_MEMBERS_CHANGED 22 /* conversation: somebody came, went or got another role */
#define CHATSDK_EVENT_OPERATION_ENDED 23 /* operation, conversation, status, error: CHATSDK_OK when it was done */

/**
 * Waits for events and hands out at most max of them, oldest first.
 *
 * @param client the client
 * @param timeout_ms milliseconds; 0: do not wait, -1: without limit
 * @param[out] out_events room for max pointers
 * @param max how many events at most, at least 1
 * @param[out] out_count how many were handed out
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, TIMED_OUT (none came), CANCELLED (chatsdk_client_wake), BUSY (another thread polls or
 *   ticks, or called from a handler), WRONG_STATE (tick mode), CLOSED, NO_MEMORY.
 * - Ownership: each event is the caller's, released with chatsdk_event_release.
 * - Thread: one at a time for a client.
 * - Blocks: up to timeout_ms.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_poll(chatsdk_client* client, int64_t timeout_ms,
                                                     chatsdk_event** out_events, size_t max, size_t* out_count,
                                                     chatsdk_error** out_error);

/**
 * Makes a poll that waits, or else the next one, return CANCELLED.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, CLOSED.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_wake(chatsdk_client* client, chatsdk_error** out_error);

/**
 * Receives one event inside chatsdk_client_tick; the event is borrowed for the call (retain it to keep it). May call
 * any function of chatsdk.
 */
typedef void(CHATSDK_CALL* chatsdk_event_handler)(const chatsdk_event* event, void* user);

/**
 * Does pending work of the library (all of it in tick mode), then hands events to handler on this thread, until nothing
 * is left or the budget is spent: no work and no handler begins after that. For game loops: call once a frame.
 *
 * @param client the client
 * @param budget_ms milliseconds; 0: one round, which is what is ready to be done, then all the events that wait after
 *     it
 * @param[out] out_dispatched how many events were handled; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 * @param handler receives each event
 * @param user handed to handler, and not kept
 *
 * - Errors: INVALID_ARGUMENT, BUSY (another thread polls or ticks, or called from a handler), CLOSED, NO_MEMORY (a
 *   later tick begins anew what was under way).
 * - Ownership: none.
 * - Thread: one at a time for a client.
 * - Blocks: for the work of its budget, in tick mode for the disk too, and for the handlers.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_tick(chatsdk_client* client, int64_t budget_ms, size_t* out_dispatched,
                                                     chatsdk_error** out_error, chatsdk_event_handler handler,
                                                     void* user);

/**
 * Signals that there is something to pull. Called from any thread of the library, at most once until the app pulls; it
 * may only signal (an eventfd, a condition, a posted message) and must not call chatsdk. The library holds no lock
 * meanwhile, but its engine waits: the hook must not take a lock that the app holds while it calls chatsdk.
 */
typedef void(CHATSDK_CALL* chatsdk_ready_hook)(void* user);

/**
 * Sets or, with NULL, removes the ready hook. When this returns OK the former hook is not running and will not run
 * again, and its destroy was called once.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 * @param hook signals; NULL: nobody
 * @param user handed to hook
 * @param destroy called once with user when hook is replaced or the client closed; on failure it is not called. NULL
 *     allowed
 *
 * - Errors: INVALID_ARGUMENT, CLOSED, NO_MEMORY.
 * - Ownership: user stays the caller's until destroy.
 * - Thread: any, not from a hook.
 * - Blocks: for the former hook to return.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_ready_hook(chatsdk_client* client, chatsdk_error** out_error,
                                                               chatsdk_ready_hook hook, void* user,
                                                               chatsdk_destroy_hook destroy);

/**
 * @name Getters of an event
 * Each is valid for every event and gives 0 or NULL where the event has no such thing.
 *
 * @param event the event, or NULL
 *
 * - Errors: none.
 * - Ownership: pointers are borrowed until the event is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_event
 * @{
 */
/** @return what has happened, one of CHATSDK_EVENT_ */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_type(const chatsdk_event* event);
/** @return the store's revision that holds what the event tells of */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_store_revision(const chatsdk_event* event);
/** @return the id of the request that has completed */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_request(const chatsdk_event* event);
/** @return the status with which a request has completed, a connection or a session has ended */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_status(const chatsdk_event* event);
/** @return the error that belongs to the status; NULL when it is CHATSDK_OK */
CHATSDK_API const chatsdk_error* CHATSDK_CALL chatsdk_event_error(const chatsdk_event* event);
/** @return the conversation's number, as chatsdk_conversation_key */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_conversation(const chatsdk_event* event);
/** @return the message's number, as chatsdk_message_key */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_message(const chatsdk_event* event);
/** @return one of CHATSDK_CONNECTION_ */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_connection_state(const chatsdk_event* event);
/** @return one of CHATSDK_ENCRYPTION_ */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_encryption_state(const chatsdk_event* event);
/**
 * Whom the event is about.
 *
 * @param[out] out_length bytes of the text; NULL allowed
 * @return the user_id, UTF-8, terminated by NUL; "" where the event is about nobody
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_event_user(const chatsdk_event* event, size_t* out_length);
/** @return the device's number on the server */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_device_id(const chatsdk_event* event);
/**
 * The code of a linking.
 *
 * @param[out] out_length bytes of the text; NULL allowed
 * @return eight digits in two groups, terminated by NUL; "" where the event has none
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_event_link_code(const chatsdk_event* event, size_t* out_length);
/**
 * The name of the new device of a linking, as it gave it.
 *
 * @param[out] out_length bytes of the text; NULL allowed
 * @return UTF-8, terminated by NUL; "" where it gave none
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_event_link_name(const chatsdk_event* event, size_t* out_length);
/** @return the operation's number, as the call that began it gave it */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_event_operation(const chatsdk_event* event);
/** @return milliseconds until the next attempt to connect */
CHATSDK_API int64_t CHATSDK_CALL chatsdk_event_retry_in_ms(const chatsdk_event* event);
/** @return how many devices chatsdk_event_device gives */
CHATSDK_API size_t CHATSDK_CALL chatsdk_event_device_count(const chatsdk_event* event);
/** @} */

/** One device of a list. */
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

/**
 * One device of the list that an event carries.
 *
 * @param event the event
 * @param index 0 to chatsdk_event_device_count - 1
 * @param[out] out_device filled as far as its struct_size, which the caller has set, lets it
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND (index).
 * - Ownership: the name is borrowed until the event is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_event
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_event_device(const chatsdk_event* event, size_t index,
                                                      chatsdk_device_info* out_device);

/**
 * Adds a reference.
 *
 * @param event the event, or NULL
 * @return event
 *
 * - Errors: none.
 * - Ownership: the reference is the caller's, dropped with chatsdk_event_release.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: retain chatsdk_event
 */
CHATSDK_API chatsdk_event* CHATSDK_CALL chatsdk_event_retain(const chatsdk_event* event);

/**
 * Drops a reference; the last drop frees.
 *
 * @param event the event; NULL is ignored
 *
 * - Errors: none.
 * - Ownership: the caller's reference is gone.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: destructor chatsdk_event
 */
CHATSDK_API void CHATSDK_CALL chatsdk_event_release(const chatsdk_event* event);

CHATSDK_END_DECLS

#endif
