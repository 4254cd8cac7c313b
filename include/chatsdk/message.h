/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations and messages: send, list, page, mark read, receipts.
 *
 * A conversation is named by a number of this device's own that never changes; it exists before the server has given a
 * conversation_id, so that a first message can be queued offline. A message likewise. Reads use a connection of their
 * own and may run on any thread, also while the client is offline or stopped.
 */
#ifndef CHATSDK_MESSAGE_H
#define CHATSDK_MESSAGE_H

#include "chatsdk/event.h"

CHATSDK_BEGIN_DECLS

#define CHATSDK_CLIENT_MESSAGE_ID_SIZE 16

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

/* The direct conversation with a user, made on this device if it is new. Works offline; whether the user exists is
 * found out when a message is sent.
 * Sizes: peer is 1 to 64 bytes of UTF-8.
 * Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, WRONG_STATE (no store), NOT_LOGGED_IN (nobody has logged in to
 * this store yet: wait for the completion of the first log-in), STORAGE, STORAGE_FULL, NO_MEMORY. Blocks: for the disk.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_direct_conversation(chatsdk_client* client, const char* peer,
                                                                    size_t peer_length, uint64_t* out_conversation,
                                                                    chatsdk_error** out_error);

/* Append only; set struct_size, or begin with CHATSDK_SEND_OPTIONS_INIT. */
typedef struct chatsdk_send_options {
  uint32_t struct_size;
  uint32_t reserved;
  const uint8_t* client_message_id; /* 16 bytes, the caller's idempotency key; NULL: made and given back */
  int64_t time_limit_ms;            /* 0: the client's; at most 31,536,000,000 */
} chatsdk_send_options;

#define CHATSDK_SEND_OPTIONS_INIT \
  { sizeof(chatsdk_send_options), 0, NULL, 0 }

/* Fills options with CHATSDK_SEND_OPTIONS_INIT's values for callers that have no macros. size is the caller's sizeof.
 * Errors: INVALID_ARGUMENT, UNSUPPORTED (larger than this library's).     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_send_options_init(chatsdk_send_options* options, size_t size);

/* Queues a text message. When this returns OK the message is durable on this device and will reach the server exactly
 * once, across restarts, unless it fails visibly. The same id with the same text again changes nothing and gives the
 * same answer.
 * Sizes: text is UTF-8, 1 to 65,536 bytes, or to the server's limit, which is never above 524,288 and is known once the
 *        client has been online; TOO_LARGE above it. options may be NULL. out_id (16 bytes) and out_message may be
 * NULL. Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, UNSUPPORTED, WRONG_STATE (no store), NOT_LOGGED_IN (no owner
 * yet), NOT_FOUND (conversation), CONFLICT (the id names another message), LIMIT_REACHED (100,000 queued), STORAGE,
 * STORAGE_FULL, NO_MEMORY. Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_send_text(chatsdk_client* client, uint64_t conversation,
                                                          const char* text, size_t text_length,
                                                          const chatsdk_send_options* options, uint8_t* out_id,
                                                          uint64_t* out_message, chatsdk_error** out_error);

/* Queues a failed message again. Its key stays. Its id stays when the server refused it; a message that failed with
 * TIMED_OUT after it had been on the wire, or with VOIDED, is voided on the server for ever and goes on under a new id,
 * which chatsdk_message_id reports from then on.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (has not failed; no store), STORAGE, STORAGE_FULL, NO_MEMORY.
 * Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_retry_message(chatsdk_client* client, uint64_t message,
                                                              chatsdk_error** out_error);

/* Takes a failed or still unsent message away; the later ones of its conversation go on.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (on its way or sent; no store), STORAGE, STORAGE_FULL, NO_MEMORY.
 * Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_discard_message(chatsdk_client* client, uint64_t message,
                                                                chatsdk_error** out_error);

/* Marks a conversation read up to and including conversation_seq, on all of the user's devices. Lower values than
 * today's change nothing; higher than the last message's mean the last message. Errors: INVALID_ARGUMENT, NOT_FOUND,
 * WRONG_STATE (no store), STORAGE, STORAGE_FULL, NO_MEMORY. Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_mark_read(chatsdk_client* client, uint64_t conversation,
                                                          uint64_t conversation_seq, chatsdk_error** out_error);

/* ---- Conversations ---------------------------------------------------------------------------------------------- */

/* Immutable snapshots. A list owns its rows: they are borrowed until the list is released, or retained by themselves.
 */
typedef struct chatsdk_conversation chatsdk_conversation;
typedef struct chatsdk_conversation_list chatsdk_conversation_list;
typedef struct chatsdk_message chatsdk_message;
typedef struct chatsdk_message_list chatsdk_message_list;

#define CHATSDK_CONVERSATION_DIRECT 1 /* open list: tolerate unknown kinds */

/* A page of conversations by last activity, newest first.
 * Sizes: after is the last conversation of the page before, 0 for the first page; max is 1 to 200.
 * Ownership: free *out_list with chatsdk_conversation_list_release.
 * Errors: INVALID_ARGUMENT, NOT_FOUND (after), WRONG_STATE (no store), STORAGE, CORRUPT, TAMPERED, NO_MEMORY.
 * Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_conversations(chatsdk_client* client, uint64_t after, size_t max,
                                                              chatsdk_conversation_list** out_list,
                                                              chatsdk_error** out_error);

/* One conversation.     Ownership: free with chatsdk_conversation_release.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (no store), STORAGE, CORRUPT, TAMPERED, NO_MEMORY.     Threads: any.
 * Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_conversation(chatsdk_client* client, uint64_t conversation,
                                                             chatsdk_conversation** out_conversation,
                                                             chatsdk_error** out_error);

/* Unread messages of all conversations.     Errors: as chatsdk_client_conversation.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_unread_total(chatsdk_client* client, uint64_t* out_count,
                                                             chatsdk_error** out_error);

/* Messages that wait to be sent or have failed.     Errors: as chatsdk_client_conversation.     Threads: any. Since:
 * 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_outbox_count(chatsdk_client* client, uint64_t* out_count,
                                                             chatsdk_error** out_error);

CHATSDK_API size_t CHATSDK_CALL chatsdk_conversation_list_size(const chatsdk_conversation_list* list);
/* NULL beyond the end. */
CHATSDK_API const chatsdk_conversation* CHATSDK_CALL chatsdk_conversation_list_at(const chatsdk_conversation_list* list,
                                                                                  size_t index);
/* 1 when more pages follow. */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_list_has_more(const chatsdk_conversation_list* list);
CHATSDK_API void CHATSDK_CALL chatsdk_conversation_list_release(const chatsdk_conversation_list* list);

/* Getters.     Ownership: pointers are borrowed until the conversation is released; texts are UTF-8 and terminated by
 * NUL, out_length may be NULL.     Threads: any.     Since: 0.1 */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_key(const chatsdk_conversation* conversation);
/* The server's conversation_id; 0 before the first message was accepted. */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_id(const chatsdk_conversation* conversation);
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_kind(const chatsdk_conversation* conversation);
CHATSDK_API const char* CHATSDK_CALL chatsdk_conversation_peer(const chatsdk_conversation* conversation,
                                                               size_t* out_length);
/* The highest conversation_seq that this device holds. */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_head(const chatsdk_conversation* conversation);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_read_up_to(const chatsdk_conversation* conversation);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_unread_count(const chatsdk_conversation* conversation);
CHATSDK_API int64_t CHATSDK_CALL chatsdk_conversation_last_activity_ms(const chatsdk_conversation* conversation);
/* NULL when there is none. */
CHATSDK_API const chatsdk_message* CHATSDK_CALL
chatsdk_conversation_last_message(const chatsdk_conversation* conversation);
CHATSDK_API chatsdk_conversation* CHATSDK_CALL chatsdk_conversation_retain(const chatsdk_conversation* conversation);
CHATSDK_API void CHATSDK_CALL chatsdk_conversation_release(const chatsdk_conversation* conversation);

/* ---- Messages --------------------------------------------------------------------------------------------------- */

/* The state of a message; open list. Own messages go from QUEUED to READ; FAILED comes only before SENT. */
#define CHATSDK_MESSAGE_RECEIVED 0
#define CHATSDK_MESSAGE_QUEUED 1    /* durable here, never on the wire */
#define CHATSDK_MESSAGE_SENDING 2   /* was on the wire, no answer yet */
#define CHATSDK_MESSAGE_SENT 3      /* durable on the server */
#define CHATSDK_MESSAGE_DELIVERED 4 /* stored by a device of the other member */
#define CHATSDK_MESSAGE_READ 5
#define CHATSDK_MESSAGE_FAILED 6 /* chatsdk_message_failure says why; retry or discard it */

/* A page of history that ends before conversation_seq `before`; 0: the tail, with own messages that wait after it.
 * A page may hold no message with a seq: chatsdk_client_history_before_message goes on from any row.
 * Sizes: max is 1 to 200.     Ownership: free *out_list with chatsdk_message_list_release; rows are oldest first.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (no store), STORAGE, CORRUPT, TAMPERED, NO_MEMORY.
 * Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_before(chatsdk_client* client, uint64_t conversation,
                                                               uint64_t before, size_t max,
                                                               chatsdk_message_list** out_list,
                                                               chatsdk_error** out_error);

/* A page of history that begins after conversation_seq `after`; otherwise as chatsdk_client_history_before.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_after(chatsdk_client* client, uint64_t conversation,
                                                              uint64_t after, size_t max,
                                                              chatsdk_message_list** out_list,
                                                              chatsdk_error** out_error);

/* The page of history that ends just before a message, in the order of chatsdk_client_history_before. Any message of
 * the conversation serves, also one without a conversation_seq: it waits, has failed, or is no longer on the server. To
 * read a whole conversation: chatsdk_client_history_before with 0, then this with the first row's chatsdk_message_key,
 * while chatsdk_message_list_has_more. Sizes: max is 1 to 200.     Ownership: free *out_list with
 * chatsdk_message_list_release; rows are oldest first. Errors: as chatsdk_client_history_before; NOT_FOUND also when
 * the message is gone or of another conversation. Blocks: for the disk.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_before_message(chatsdk_client* client, uint64_t conversation,
                                                                       uint64_t message, size_t max,
                                                                       chatsdk_message_list** out_list,
                                                                       chatsdk_error** out_error);

/* The page of history that begins just after a message; otherwise as chatsdk_client_history_before_message. To read a
 * whole conversation: chatsdk_client_history_after with 0, then this with the last row's chatsdk_message_key.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_after_message(chatsdk_client* client, uint64_t conversation,
                                                                      uint64_t message, size_t max,
                                                                      chatsdk_message_list** out_list,
                                                                      chatsdk_error** out_error);

/* One message, by the number that an event or a send gave.     Ownership: free with chatsdk_message_release.
 * Errors: as chatsdk_client_history_before.     Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_message(chatsdk_client* client, uint64_t message,
                                                        chatsdk_message** out_message, chatsdk_error** out_error);

/* One message, by its client_message_id of 16 bytes.     Ownership and errors: as chatsdk_client_message.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_message_by_id(chatsdk_client* client, const uint8_t* id,
                                                              chatsdk_message** out_message, chatsdk_error** out_error);

/* When a member got and read a message, by the server's clock: Unix time in milliseconds, 0 for not yet. Either output
 * may be NULL.     Errors: as chatsdk_client_history_before; NOT_FOUND also for a message that is not sent yet.
 * Threads: any.     Since: 0.1 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_receipt(chatsdk_client* client, uint64_t message, const char* member,
                                                        size_t member_length, int64_t* out_delivered_ms,
                                                        int64_t* out_read_ms, chatsdk_error** out_error);

CHATSDK_API size_t CHATSDK_CALL chatsdk_message_list_size(const chatsdk_message_list* list);
/* NULL beyond the end. */
CHATSDK_API const chatsdk_message* CHATSDK_CALL chatsdk_message_list_at(const chatsdk_message_list* list, size_t index);
/* 1 when more rows follow in the direction asked. */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_list_has_more(const chatsdk_message_list* list);
CHATSDK_API void CHATSDK_CALL chatsdk_message_list_release(const chatsdk_message_list* list);

/* Getters.     Ownership: pointers are borrowed until the message is released; texts are UTF-8 and terminated by NUL,
 * out_length may be NULL.     Threads: any.     Since: 0.1 */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_key(const chatsdk_message* message);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_conversation(const chatsdk_message* message);
/* conversation_seq: the order that every device shows; 0 until the server has accepted the message. */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_seq(const chatsdk_message* message);
/* The server's message_id, sortable by time; 0 until accepted. */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_id(const chatsdk_message* message);
/* 16 bytes. */
CHATSDK_API const uint8_t* CHATSDK_CALL chatsdk_message_client_id(const chatsdk_message* message);
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_sender(const chatsdk_message* message, size_t* out_length);
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_sender_device(const chatsdk_message* message);
/* 1 when this user sent it, from whichever device. */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_is_own(const chatsdk_message* message);
/* Unix time in milliseconds: the server's once accepted, this device's before. */
CHATSDK_API int64_t CHATSDK_CALL chatsdk_message_time_ms(const chatsdk_message* message);
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_state(const chatsdk_message* message);
/* CHATSDK_MESSAGE_FAILED: the status that says why; CHATSDK_OK otherwise. */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_failure(const chatsdk_message* message);
/* "text/plain", or "" for a kind that this version cannot show. */
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_content_type(const chatsdk_message* message, size_t* out_length);
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_text(const chatsdk_message* message, size_t* out_length);
CHATSDK_API chatsdk_message* CHATSDK_CALL chatsdk_message_retain(const chatsdk_message* message);
CHATSDK_API void CHATSDK_CALL chatsdk_message_release(const chatsdk_message* message);

CHATSDK_END_DECLS

#endif
