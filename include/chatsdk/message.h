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

/**
 * The direct conversation with a user. If it is new it is made on this device, end-to-end encrypted. One that is known
 * stays what it is, encrypted or plain: chatsdk_conversation_is_encrypted. One that is plain by somebody else's doing
 * takes no text before chatsdk_client_direct_conversation_plain has accepted that. Works offline; messages wait until a
 * device of the user has been online once (CHATSDK_EVENT_PEER_WITHOUT_KEYS), which the server does not tell from a
 * user_id that nobody has.
 *
 * @param client the client
 * @param peer the user's name, UTF-8
 * @param peer_length bytes of peer, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_conversation the conversation's number
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT (also: peer is this store's own user), INVALID_UTF8, TOO_LARGE, WRONG_STATE (no store),
 *   NOT_LOGGED_IN (nobody has logged in to this store yet: wait for the completion of the first log-in), STORAGE,
 *   STORAGE_FULL, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: peer is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_direct_conversation(chatsdk_client* client, const char* peer,
                                                                    size_t peer_length, uint64_t* out_conversation,
                                                                    chatsdk_error** out_error);

/**
 * As chatsdk_client_direct_conversation, but a new one is plain: the server can read what is written in it. Of one that
 * is known and plain it says that the app accepts that, for good: from then on text may be sent in it. A message to a
 * user_id that nobody has fails with NOT_FOUND. Where the other user has begun the conversation the other way, the
 * messages of whoever came second fail with FORBIDDEN, or are encrypted once that is known here.
 *
 * @param client the client
 * @param peer the user's name, UTF-8
 * @param peer_length bytes of peer, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_conversation the conversation's number
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_direct_conversation.
 * - Ownership: peer is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_direct_conversation_plain(chatsdk_client* client, const char* peer,
                                                                          size_t peer_length,
                                                                          uint64_t* out_conversation,
                                                                          chatsdk_error** out_error);

/** Append only; set struct_size, or begin with CHATSDK_SEND_OPTIONS_INIT. */
typedef struct chatsdk_send_options {
  uint32_t struct_size;
  uint32_t reserved;
  const uint8_t* client_message_id; /* 16 bytes, the caller's idempotency key; NULL: made and given back */
  int64_t time_limit_ms;            /* 0: the client's; at most 31,536,000,000 */
} chatsdk_send_options;

#define CHATSDK_SEND_OPTIONS_INIT \
  { sizeof(chatsdk_send_options), 0, NULL, 0 }

/**
 * Fills options with CHATSDK_SEND_OPTIONS_INIT's values for callers that have no macros.
 *
 * @param options the caller's struct
 * @param size the caller's sizeof of it, in bytes
 *
 * - Errors: INVALID_ARGUMENT, UNSUPPORTED (larger than this library's).
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: initializer chatsdk_send_options
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_send_options_init(chatsdk_send_options* options, size_t size);

/**
 * Queues a text message. When this returns OK the message is durable on this device and will reach the server exactly
 * once, across restarts, unless it fails visibly. The same id with the same text again changes nothing and gives the
 * same answer.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param text the text, UTF-8
 * @param text_length bytes of text, or CHATSDK_STRLEN: 1 to 65,536, or to the server's limit, which is never above
 *     524,288 and is known once the client has been online; TOO_LARGE above it
 * @param options how to send; NULL: the defaults
 * @param[out] out_id 16 bytes, the message's id; NULL allowed
 * @param[out] out_message the message's number; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, UNSUPPORTED (a later struct with fields set), WRONG_STATE (no
 *   store; the members of the conversation are not known yet, and the server will tell them; or it is plain and the app
 *   has not accepted that with chatsdk_client_direct_conversation_plain, for which what was queued before it was known
 *   to be plain fails too), NOT_LOGGED_IN (no owner yet), NOT_FOUND (conversation), FORBIDDEN (the user is in this
 *   group no more), CONFLICT (the id names another message), LIMIT_REACHED (100,000 queued), STORAGE, STORAGE_FULL,
 *   CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: text and options are copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_send_text(chatsdk_client* client, uint64_t conversation,
                                                          const char* text, size_t text_length,
                                                          const chatsdk_send_options* options, uint8_t* out_id,
                                                          uint64_t* out_message, chatsdk_error** out_error);

/**
 * Queues a failed message again. Its key stays. Its id stays when the server refused it; a message that failed with
 * TIMED_OUT after it had been on the wire, or with VOIDED, is voided on the server for ever and goes on under a new id,
 * which chatsdk_message_client_id reports from then on. One that failed with ROLLED_BACK, which the server had and has
 * lost, goes under its old id to the end of what waits in its conversation; devices that show the lost one show it at
 * its new place then, not twice. It blocks nothing while it waits to be retried or discarded.
 *
 * @param client the client
 * @param message the message's number
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (has not failed; another own device's that could not be decrypted;
 *   no store), LIMIT_REACHED (too many wait), STORAGE, STORAGE_FULL, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_retry_message(chatsdk_client* client, uint64_t message,
                                                              chatsdk_error** out_error);

/**
 * Takes a failed or still unsent message, or a change of one, away; the later ones of its conversation go on. One that
 * the server turns out to have all the same comes back, as a new entry: others read it.
 *
 * @param client the client
 * @param message the message's number
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (on its way or sent; no store), STORAGE, STORAGE_FULL, CORRUPT,
 *   TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_discard_message(chatsdk_client* client, uint64_t message,
                                                                chatsdk_error** out_error);

/**
 * Says in place of a text of this user's another one, to all who have it. Durable when this returns OK, and sent as
 * messages are: offline it waits, in order with them. On every device the last edit that the server took is shown, and
 * chatsdk_message_edit_count says that there were any. While the message itself waits to be sent it is edited likewise.
 *
 * @param client the client
 * @param message the message's number
 * @param text the text, UTF-8
 * @param text_length bytes of text, or CHATSDK_STRLEN; limits as for chatsdk_client_send_text
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_send_text, but CONFLICT; NOT_FOUND (message), FORBIDDEN (also: another's), WRONG_STATE
 *   (also: it is deleted, or could not be had).
 * - Ownership: text is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_edit_text(chatsdk_client* client, uint64_t message, const char* text,
                                                          size_t text_length, chatsdk_error** out_error);

/**
 * Deletes a message of this user's on every device that has it, for ever: chatsdk_message_is_deleted, and what it said
 * is erased. Otherwise as chatsdk_client_edit_text. A message that was never on its way is discarded instead. Whoever
 * has read it has read it, and a device that does not keep to chatsdk's rules may keep it.
 *
 * @param client the client
 * @param message the message's number
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_edit_text, but of the text.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_delete_for_all(chatsdk_client* client, uint64_t message,
                                                               chatsdk_error** out_error);

/**
 * Sets this user's reactions to a message, of whomever: these and no others. Otherwise as chatsdk_client_edit_text.
 *
 * @param client the client
 * @param message the message's number
 * @param keys emoji, or names that the app gives a meaning: UTF-8 of 1 to 64 bytes, terminated by NUL, no two the same;
 *     NULL allowed when count is 0
 * @param count 0 to 8; 0 takes all back
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_edit_text, but FORBIDDEN for another's.
 * - Ownership: keys are copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_reactions(chatsdk_client* client, uint64_t message,
                                                              const char* const* keys, size_t count,
                                                              chatsdk_error** out_error);

/**
 * Pins a message for all members of its conversation, or takes that back; the last word of any of them counts.
 * Otherwise as chatsdk_client_edit_text.
 *
 * @param client the client
 * @param message the message's number
 * @param pinned 1 or 0
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_edit_text, but of the text and FORBIDDEN for another's.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_pinned(chatsdk_client* client, uint64_t message, int32_t pinned,
                                                           chatsdk_error** out_error);

/**
 * Marks a conversation read on all of the user's devices. Lower values than today's change nothing; higher than the
 * last message's mean the last message.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param conversation_seq up to and including this one
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (no store), STORAGE, STORAGE_FULL, CORRUPT, TAMPERED, CLOSED,
 *   NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
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

/**
 * A page of conversations by last activity, newest first.
 *
 * @param client the client
 * @param after the last conversation of the page before; 0: the first page
 * @param max how many rows at most, 1 to 200
 * @param[out] out_list the page
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND (after), WRONG_STATE (no store), STORAGE, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: *out_list is the caller's, freed with chatsdk_conversation_list_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_conversations(chatsdk_client* client, uint64_t after, size_t max,
                                                              chatsdk_conversation_list** out_list,
                                                              chatsdk_error** out_error);

/**
 * One conversation.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param[out] out_conversation the conversation
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (no store), STORAGE, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: *out_conversation is the caller's, freed with chatsdk_conversation_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_conversation(chatsdk_client* client, uint64_t conversation,
                                                             chatsdk_conversation** out_conversation,
                                                             chatsdk_error** out_error);

/**
 * Unread messages of all conversations.
 *
 * @param client the client
 * @param[out] out_count how many
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_conversation, but NOT_FOUND.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_unread_total(chatsdk_client* client, uint64_t* out_count,
                                                             chatsdk_error** out_error);

/**
 * Messages that wait to be sent or have failed.
 *
 * @param client the client
 * @param[out] out_count how many
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_conversation, but NOT_FOUND.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_outbox_count(chatsdk_client* client, uint64_t* out_count,
                                                             chatsdk_error** out_error);

/**
 * @name A page of conversations
 *
 * @param list the page, or NULL, which is as good as an empty one
 *
 * - Errors: none.
 * - Ownership: rows are borrowed until the list is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_conversation_list
 * @{
 */
/** @return the number of rows */
CHATSDK_API size_t CHATSDK_CALL chatsdk_conversation_list_size(const chatsdk_conversation_list* list);
/**
 * One row.
 *
 * @param index 0 to chatsdk_conversation_list_size - 1
 * @return the conversation; NULL beyond the end
 */
CHATSDK_API const chatsdk_conversation* CHATSDK_CALL chatsdk_conversation_list_at(const chatsdk_conversation_list* list,
                                                                                  size_t index);
/** @return 1 when more rows follow the last one, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_list_has_more(const chatsdk_conversation_list* list);
/**
 * Frees the page.
 *
 * - Ownership: list is freed; rows that were retained stay.
 * - Binding: destructor chatsdk_conversation_list
 */
CHATSDK_API void CHATSDK_CALL chatsdk_conversation_list_release(const chatsdk_conversation_list* list);
/** @} */

/**
 * @name A conversation
 * Each getter gives 0, NULL or "" for NULL; texts are UTF-8 and terminated by NUL.
 *
 * @param conversation the conversation, or NULL
 *
 * - Errors: none.
 * - Ownership: pointers are borrowed until the conversation is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_conversation
 * @{
 */
/** @return the number of this device's own that names it */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_key(const chatsdk_conversation* conversation);
/** @return the server's conversation_id; 0 before the first message was accepted */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_id(const chatsdk_conversation* conversation);
/** @return CHATSDK_CONVERSATION_DIRECT, CHATSDK_CONVERSATION_GROUP (group.h), or a kind that this header does not know;
 *  0 as long as the server has not said it */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_kind(const chatsdk_conversation* conversation);
/** @return 1 when it is end-to-end encrypted, 0 when the server can read it */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_is_encrypted(const chatsdk_conversation* conversation);
/** @return 1 when it is plain and this app has asked for that (chatsdk_client_direct_conversation_plain); 0 when it is
 *  encrypted, or plain by somebody else's doing: then a client with encryption sends no text in it */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_is_accepted_plain(const chatsdk_conversation* conversation);
/**
 * The other member.
 *
 * @param[out] out_length bytes of the text; NULL allowed
 * @return the other member's user_id
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_conversation_peer(const chatsdk_conversation* conversation,
                                                               size_t* out_length);
/** @return the highest conversation_seq that this device holds */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_head(const chatsdk_conversation* conversation);
/** @return the conversation_seq up to which the user has read */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_read_up_to(const chatsdk_conversation* conversation);
/** @return how many messages of the other member are unread */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_unread_count(const chatsdk_conversation* conversation);
/** @return Unix time in milliseconds of what it is sorted by */
CHATSDK_API int64_t CHATSDK_CALL chatsdk_conversation_last_activity_ms(const chatsdk_conversation* conversation);
/** @return its last message; NULL when there is none */
CHATSDK_API const chatsdk_message* CHATSDK_CALL
chatsdk_conversation_last_message(const chatsdk_conversation* conversation);
/**
 * Adds a reference.
 *
 * @return conversation
 *
 * - Ownership: the reference is the caller's, dropped with chatsdk_conversation_release.
 * - Binding: retain chatsdk_conversation
 */
CHATSDK_API chatsdk_conversation* CHATSDK_CALL chatsdk_conversation_retain(const chatsdk_conversation* conversation);
/**
 * Drops a reference; the last drop frees.
 *
 * - Ownership: the caller's reference is gone.
 * - Binding: destructor chatsdk_conversation
 */
CHATSDK_API void CHATSDK_CALL chatsdk_conversation_release(const chatsdk_conversation* conversation);
/** @} */

/* ---- Messages --------------------------------------------------------------------------------------------------- */

/* The state of a message; open list. Own messages go from QUEUED to READ; FAILED comes before SENT, or when the server
 * lost the message. */
#define CHATSDK_MESSAGE_RECEIVED 0
#define CHATSDK_MESSAGE_QUEUED 1    /* durable here, never on the wire */
#define CHATSDK_MESSAGE_SENDING 2   /* was on the wire, no answer yet */
#define CHATSDK_MESSAGE_SENT 3      /* durable on the server */
#define CHATSDK_MESSAGE_DELIVERED 4 /* stored by a device of the other member; of a group, of each who was in it */
#define CHATSDK_MESSAGE_READ 5
#define CHATSDK_MESSAGE_FAILED 6 /* chatsdk_message_failure says why; retry or discard it */

/**
 * A page of history that ends before a conversation_seq. A page may hold no message with a seq:
 * chatsdk_client_history_before_message goes on from any row.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param before a conversation_seq; 0: the tail, with own messages that wait after it
 * @param max how many rows at most, 1 to 200
 * @param[out] out_list the page, oldest first
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (no store), STORAGE, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: *out_list is the caller's, freed with chatsdk_message_list_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_before(chatsdk_client* client, uint64_t conversation,
                                                               uint64_t before, size_t max,
                                                               chatsdk_message_list** out_list,
                                                               chatsdk_error** out_error);

/**
 * A page of history that begins after a conversation_seq; otherwise as chatsdk_client_history_before.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param after a conversation_seq; 0: the beginning
 * @param max how many rows at most, 1 to 200
 * @param[out] out_list the page, oldest first
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_history_before.
 * - Ownership: *out_list is the caller's, freed with chatsdk_message_list_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_after(chatsdk_client* client, uint64_t conversation,
                                                              uint64_t after, size_t max,
                                                              chatsdk_message_list** out_list,
                                                              chatsdk_error** out_error);

/**
 * The page of history that ends just before a message, in the order of chatsdk_client_history_before. Any message of
 * the conversation serves, also one without a conversation_seq: it waits, has failed, or is no longer on the server. To
 * read a whole conversation: chatsdk_client_history_before with 0, then this with the first row's chatsdk_message_key,
 * while chatsdk_message_list_has_more.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param message the message's number
 * @param max how many rows at most, 1 to 200
 * @param[out] out_list the page, oldest first
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_history_before; NOT_FOUND also when the message is gone or of another conversation.
 * - Ownership: *out_list is the caller's, freed with chatsdk_message_list_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_before_message(chatsdk_client* client, uint64_t conversation,
                                                                       uint64_t message, size_t max,
                                                                       chatsdk_message_list** out_list,
                                                                       chatsdk_error** out_error);

/**
 * The page of history that begins just after a message; otherwise as chatsdk_client_history_before_message. To read a
 * whole conversation: chatsdk_client_history_after with 0, then this with the last row's chatsdk_message_key.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param message the message's number
 * @param max how many rows at most, 1 to 200
 * @param[out] out_list the page, oldest first
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_history_before_message.
 * - Ownership: *out_list is the caller's, freed with chatsdk_message_list_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_history_after_message(chatsdk_client* client, uint64_t conversation,
                                                                      uint64_t message, size_t max,
                                                                      chatsdk_message_list** out_list,
                                                                      chatsdk_error** out_error);

/**
 * One message, by the number that an event or a send gave.
 *
 * @param client the client
 * @param message the message's number
 * @param[out] out_message the message
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_history_before.
 * - Ownership: *out_message is the caller's, freed with chatsdk_message_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_message(chatsdk_client* client, uint64_t message,
                                                        chatsdk_message** out_message, chatsdk_error** out_error);

/**
 * One message, by its client_message_id.
 *
 * @param client the client
 * @param id 16 bytes
 * @param[out] out_message the message
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_message.
 * - Ownership: *out_message is the caller's, freed with chatsdk_message_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_message_by_id(chatsdk_client* client, const uint8_t* id,
                                                              chatsdk_message** out_message, chatsdk_error** out_error);

/**
 * When a member got and read a message, by the server's clock: Unix time in milliseconds, 0 for not yet.
 *
 * @param client the client
 * @param message the message's number
 * @param member the member's user_id, UTF-8
 * @param member_length bytes of member, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_delivered_ms when a device of the member stored it; NULL allowed
 * @param[out] out_read_ms when the member read it; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_history_before, INVALID_UTF8, TOO_LARGE; NOT_FOUND also for a message not sent yet.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_receipt(chatsdk_client* client, uint64_t message, const char* member,
                                                        size_t member_length, int64_t* out_delivered_ms,
                                                        int64_t* out_read_ms, chatsdk_error** out_error);

/**
 * @name A page of messages
 *
 * @param list the page, or NULL, which is as good as an empty one
 *
 * - Errors: none.
 * - Ownership: rows are borrowed until the list is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_message_list
 * @{
 */
/** @return the number of rows */
CHATSDK_API size_t CHATSDK_CALL chatsdk_message_list_size(const chatsdk_message_list* list);
/**
 * One row.
 *
 * @param index 0 to chatsdk_message_list_size - 1
 * @return the message; NULL beyond the end
 */
CHATSDK_API const chatsdk_message* CHATSDK_CALL chatsdk_message_list_at(const chatsdk_message_list* list, size_t index);
/** @return 1 when more rows follow in the direction asked, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_list_has_more(const chatsdk_message_list* list);
/**
 * Frees the page.
 *
 * - Ownership: list is freed; rows that were retained stay.
 * - Binding: destructor chatsdk_message_list
 */
CHATSDK_API void CHATSDK_CALL chatsdk_message_list_release(const chatsdk_message_list* list);
/** @} */

/**
 * @name A message
 * Each getter gives 0, NULL or "" for NULL; texts are UTF-8 and terminated by NUL.
 *
 * @param message the message, or NULL
 * @param[out] out_length bytes of the text; NULL allowed
 *
 * - Errors: none.
 * - Ownership: pointers are borrowed until the message is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_message
 * @{
 */
/** @return the number of this device's own that names it */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_key(const chatsdk_message* message);
/** @return the number of its conversation */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_conversation(const chatsdk_message* message);
/** @return conversation_seq: the order that every device shows; 0 until the server has accepted the message */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_seq(const chatsdk_message* message);
/** @return the server's message_id, sortable by time; 0 until accepted */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_id(const chatsdk_message* message);
/** @return 16 bytes: the client_message_id */
CHATSDK_API const uint8_t* CHATSDK_CALL chatsdk_message_client_id(const chatsdk_message* message);
/** @return the sender's user_id */
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_sender(const chatsdk_message* message, size_t* out_length);
/** @return the device_id of the device that sent it */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_sender_device(const chatsdk_message* message);
/** @return 1 when this user sent it, from whichever device, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_is_own(const chatsdk_message* message);
/** @return Unix time in milliseconds: the server's once accepted, this device's before */
CHATSDK_API int64_t CHATSDK_CALL chatsdk_message_time_ms(const chatsdk_message* message);
/** @return one of CHATSDK_MESSAGE_ */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_state(const chatsdk_message* message);
/**
 * @return the status that says why, of a CHATSDK_MESSAGE_FAILED. CHATSDK_ROLLED_BACK, of it or of a
 *     CHATSDK_MESSAGE_RECEIVED: the server had the message and has it no more, since its store was restored from a
 *     backup. CHATSDK_OK otherwise
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_failure(const chatsdk_message* message);
/**
 * @return 1 when it could not be decrypted: sender and time are what the server says of it, its text is missing. It is
 *     replaced, with CHATSDK_EVENT_MESSAGE_UPDATED, when its sender's device could be asked for it again; where it
 *     turns out to be an edit, a deletion, a reaction or a pin, CHATSDK_EVENT_MESSAGE_REMOVED takes it away. 0
 *     otherwise
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_is_undecryptable(const chatsdk_message* message);
/** @return 1 when its sender has deleted it: nothing of what it said is here. 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_is_deleted(const chatsdk_message* message);
/** @return how often it was edited; its text is that of the last time */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_edit_count(const chatsdk_message* message);
/** @return 1 when it is pinned, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_is_pinned(const chatsdk_message* message);
/**
 * @return the number of a change of it that was refused (an edit, a deletion, a reaction, a pin) and counts for
 * nothing; it holds up the conversation like a failed message, until chatsdk_client_retry_message or
 *     chatsdk_client_discard_message is given that number. 0: none
 */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_message_failed_change(const chatsdk_message* message);
/** @return how many different reactions it has */
CHATSDK_API size_t CHATSDK_CALL chatsdk_message_reaction_count(const chatsdk_message* message);
/**
 * One of them, those that most members chose first.
 *
 * @param index 0 to chatsdk_message_reaction_count - 1
 * @return its key; "" beyond the end
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_reaction_key(const chatsdk_message* message, size_t index,
                                                                  size_t* out_length);
/**
 * Whether this user chose it.
 *
 * @param index 0 to chatsdk_message_reaction_count - 1
 * @return 1 or 0
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_message_reaction_is_own(const chatsdk_message* message, size_t index);
/**
 * How many members chose it.
 *
 * @param index 0 to chatsdk_message_reaction_count - 1
 * @return how many
 */
CHATSDK_API size_t CHATSDK_CALL chatsdk_message_reaction_member_count(const chatsdk_message* message, size_t index);
/**
 * One of the members who chose it, this user first.
 *
 * @param index 0 to chatsdk_message_reaction_count - 1
 * @param member 0 to chatsdk_message_reaction_member_count - 1
 * @return the member's user_id; "" beyond the end
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_reaction_member(const chatsdk_message* message, size_t index,
                                                                     size_t member, size_t* out_length);
/** @return "text/plain", or "" for a kind that this version cannot show, and for a message that is deleted */
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_content_type(const chatsdk_message* message, size_t* out_length);
/** @return the text */
CHATSDK_API const char* CHATSDK_CALL chatsdk_message_text(const chatsdk_message* message, size_t* out_length);
/**
 * Adds a reference.
 *
 * @return message
 *
 * - Ownership: the reference is the caller's, dropped with chatsdk_message_release.
 * - Binding: retain chatsdk_message
 */
CHATSDK_API chatsdk_message* CHATSDK_CALL chatsdk_message_retain(const chatsdk_message* message);
/**
 * Drops a reference; the last drop frees.
 *
 * - Ownership: the caller's reference is gone.
 * - Binding: destructor chatsdk_message
 */
CHATSDK_API void CHATSDK_CALL chatsdk_message_release(const chatsdk_message* message);
/** @} */

CHATSDK_END_DECLS

#endif
