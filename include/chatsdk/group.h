/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups: conversations of up to 1,000 members, with roles and rights.
 *
 * A group is a conversation like any other: it is listed, paged, read and written in with the functions of message.h.
 * What is known of it is on the device and is read offline; CHATSDK_EVENT_CONVERSATION_CHANGED says that something of
 * the group is another than before, CHATSDK_EVENT_MEMBERS_CHANGED that somebody has come, gone or got another role.
 *
 * What this user does to a group is an operation: see below.
 *
 * Groups are plain: the server can read what is written in them. A group that somebody else has made takes no text
 * before the app has accepted that: chatsdk_client_accept_plain.
 */
#ifndef CHATSDK_GROUP_H
#define CHATSDK_GROUP_H

#include "chatsdk/message.h"

CHATSDK_BEGIN_DECLS

#define CHATSDK_CONVERSATION_GROUP 2 /* of chatsdk_conversation_kind */

#define CHATSDK_GROUP_ID_SIZE 16

/* Roles, each with what the ones before it may do. */
#define CHATSDK_ROLE_NONE 0
#define CHATSDK_ROLE_MEMBER 1
#define CHATSDK_ROLE_ADMIN 2
#define CHATSDK_ROLE_OWNER 3 /* one in each group */

/* Rights: a group has a table of the least role that has each. Open list. */
#define CHATSDK_RIGHT_SEND 1        /* messages and edits of them */
#define CHATSDK_RIGHT_PIN 2         /* pins */
#define CHATSDK_RIGHT_ADD 3         /* adds members, sees and answers requests to join */
#define CHATSDK_RIGHT_INVITE 4      /* makes, sees and revokes invitations */
#define CHATSDK_RIGHT_REMOVE 5      /* removes members of a lower role; never below ADMIN */
#define CHATSDK_RIGHT_INFO 6        /* changes name, description and picture */
#define CHATSDK_RIGHT_ROLES 7       /* makes members admins, or the reverse; never below ADMIN */
#define CHATSDK_RIGHT_PERMISSIONS 8 /* changes this table; never below ADMIN */

/* How this store's user stands to a group. Open list. */
#define CHATSDK_GROUP_IN 0
#define CHATSDK_GROUP_LEFT 1     /* by the user's own doing, on whichever device */
#define CHATSDK_GROUP_REMOVED 2  /* by somebody else's */
#define CHATSDK_GROUP_ENDED 3    /* there is no such group any more */
#define CHATSDK_GROUP_NOT_MADE 4 /* this device has asked the server to make it, and was refused */

/**
 * Says that the app accepts that a conversation is plain, so that text may be sent in it; of a group that somebody else
 * has made, or of any other conversation that is plain. For good, on this device.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_FOUND, WRONG_STATE (it is encrypted; no store), NOT_LOGGED_IN (no owner yet),
 *   STORAGE, STORAGE_FULL, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_accept_plain(chatsdk_client* client, uint64_t conversation,
                                                             chatsdk_error** out_error);

/**
 * @name A group, as its conversation shows it
 * Each getter gives 0, NULL or "" for NULL and for a conversation that is no group; texts are UTF-8 and terminated by
 * NUL.
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
/** @return CHATSDK_GROUP_ID_SIZE bytes, the group's id for ever; NULL: no group, or nobody has told it yet */
CHATSDK_API const uint8_t* CHATSDK_CALL chatsdk_conversation_group_id(const chatsdk_conversation* conversation);
/**
 * The group's name.
 *
 * @param[out] out_length bytes of the text; NULL allowed
 * @return at most 256 bytes
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_conversation_name(const chatsdk_conversation* conversation,
                                                               size_t* out_length);
/**
 * The group's description, which may have several lines.
 *
 * @param[out] out_length bytes of the text; NULL allowed
 * @return at most 4,096 bytes
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_conversation_description(const chatsdk_conversation* conversation,
                                                                      size_t* out_length);
/**
 * The group's picture: a reference that the app has given it.
 *
 * @param[out] out_length how many bytes, at most 1,024; NULL allowed
 * @return the bytes; NULL where there are none
 */
CHATSDK_API const uint8_t* CHATSDK_CALL chatsdk_conversation_picture(const chatsdk_conversation* conversation,
                                                                     size_t* out_length);
/** @return the role of this store's user, one of CHATSDK_ROLE_; NONE also once they are in the group no more */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_role(const chatsdk_conversation* conversation);
/** @return how this store's user stands to the group, one of CHATSDK_GROUP_ */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_standing(const chatsdk_conversation* conversation);
/**
 * A line of the group's table of rights.
 *
 * @param right one of CHATSDK_RIGHT_
 * @return the least role that has the right, one of CHATSDK_ROLE_; NONE for a right that this library does not know
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_least_role(const chatsdk_conversation* conversation,
                                                                 int32_t right);
/** @return how many members this device knows: all of them, but for a moment after the user has joined */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_conversation_member_count(const chatsdk_conversation* conversation);
/** @return 1 when who joins reads what was written before, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_conversation_has_history(const chatsdk_conversation* conversation);
/** @} */

/* ---- Members ---------------------------------------------------------------------------------------------------- */

/** A page of a group's members. An immutable snapshot. */
typedef struct chatsdk_member_list chatsdk_member_list;

/**
 * A page of a group's members by user_id, ascending byte by byte: this store's user too, as long as they are in it.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param after the last user_id of the page before; NULL or empty: the first page
 * @param after_length bytes of after, at most 64, or CHATSDK_STRLEN
 * @param max how many rows at most, 1 to 200
 * @param[out] out_list the page
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NOT_FOUND, WRONG_STATE (no group; no store), STORAGE, CORRUPT,
 *   TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: after is copied; *out_list is the caller's, freed with chatsdk_member_list_release.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_members(chatsdk_client* client, uint64_t conversation,
                                                        const char* after, size_t after_length, size_t max,
                                                        chatsdk_member_list** out_list, chatsdk_error** out_error);

/**
 * @name A page of members
 *
 * @param list the page, or NULL, which is as good as an empty one
 *
 * - Errors: none.
 * - Ownership: texts are borrowed until the list is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_member_list
 * @{
 */
/** @return the number of rows */
CHATSDK_API size_t CHATSDK_CALL chatsdk_member_list_size(const chatsdk_member_list* list);
/**
 * A member's name.
 *
 * @param index 0 to chatsdk_member_list_size - 1
 * @param[out] out_length bytes of the text; NULL allowed
 * @return the user_id, UTF-8, terminated by NUL; "" beyond the end
 */
CHATSDK_API const char* CHATSDK_CALL chatsdk_member_list_user(const chatsdk_member_list* list, size_t index,
                                                              size_t* out_length);
/**
 * A member's role.
 *
 * @param index 0 to chatsdk_member_list_size - 1
 * @return one of CHATSDK_ROLE_; NONE beyond the end
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_member_list_role(const chatsdk_member_list* list, size_t index);
/** @return 1 when more rows follow the last one, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_member_list_has_more(const chatsdk_member_list* list);
/** @return 1 when this device knows all members of the group; 0 while it has yet to ask for those who were there before
 *  the user came: CHATSDK_EVENT_MEMBERS_CHANGED says when it has */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_member_list_is_complete(const chatsdk_member_list* list);
/**
 * Frees the page.
 *
 * - Ownership: list is freed.
 * - Binding: destructor chatsdk_member_list
 */
CHATSDK_API void CHATSDK_CALL chatsdk_member_list_release(const chatsdk_member_list* list);
/** @} */

/* ---- What is done to groups ------------------------------------------------------------------------------------- */

/* Each of these calls is an operation: durable on this device when it returns OK, shown at once, and brought to the
 * server as soon as there is a connection, exactly once, across restarts. CHATSDK_EVENT_OPERATION_ENDED tells how it
 * ended, again after each start until it was pulled. What the server refuses is shown no more, and nothing of it was
 * done: FORBIDDEN (another role is needed, or the user is in the group no more), NOT_FOUND (no such user or member),
 * LIMIT_REACHED (members of the group, 200 unless the server says otherwise; groups of a user, 1,000). The operations
 * of one group are asked for in their order. */

/** Append only; set struct_size, or begin with CHATSDK_GROUP_OPTIONS_INIT. */
typedef struct chatsdk_group_options {
  uint32_t struct_size;
  uint32_t reserved;
  const char* name; /* UTF-8, at most 256 bytes, no control character */
  size_t name_length;
  const char* description; /* UTF-8, at most 4,096 bytes, no control character but tab and newline */
  size_t description_length;
  const uint8_t* picture; /* at most 1,024 bytes: a reference of the app's */
  size_t picture_length;
  const int32_t* least_roles; /* of each right from CHATSDK_RIGHT_SEND on; CHATSDK_ROLE_NONE: the default */
  size_t least_role_count;    /* 0 to 8 */
  uint32_t has_history;       /* 1: who joins reads what was written before */
  uint32_t is_encrypted;      /* 0; there are no others yet */
} chatsdk_group_options;

#define CHATSDK_GROUP_OPTIONS_INIT \
  { sizeof(chatsdk_group_options), 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, 0, 0 }

/**
 * Fills options with CHATSDK_GROUP_OPTIONS_INIT's values for callers that have no macros.
 *
 * @param options the caller's struct
 * @param size the caller's sizeof of it, in bytes
 *
 * - Errors: INVALID_ARGUMENT, UNSUPPORTED (larger than this library's).
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: initializer chatsdk_group_options
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_group_options_init(chatsdk_group_options* options, size_t size);

/**
 * Makes a group, whose owner this store's user is. It may be written in at once; what is written waits until the server
 * has made it. Where the server refuses that, chatsdk_conversation_standing is CHATSDK_GROUP_NOT_MADE, and what waits
 * has failed.
 *
 * @param client the client
 * @param options what the group is; NULL: the defaults, without a name
 * @param members the other members' user_ids, UTF-8 of 1 to 64 bytes, terminated by NUL, no two the same; NULL allowed
 *     when count is 0
 * @param count 0 to 999
 * @param[out] out_conversation the conversation's number
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT (also: a member is this store's own user), INVALID_UTF8, TOO_LARGE, UNSUPPORTED
 *   (encrypted, or a later struct with fields set), WRONG_STATE (no store), NOT_LOGGED_IN (no owner yet), LIMIT_REACHED
 *   (1,000 operations are not answered or not pulled yet), STORAGE, STORAGE_FULL, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: options and members are copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_create_group(chatsdk_client* client,
                                                             const chatsdk_group_options* options,
                                                             const char* const* members, size_t count,
                                                             uint64_t* out_conversation, uint64_t* out_operation,
                                                             chatsdk_error** out_error);

/**
 * Gives a group another name.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param name the name, UTF-8, no control character
 * @param name_length bytes of name, at most 256, or CHATSDK_STRLEN
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_UTF8, TOO_LARGE, INVALID_ARGUMENT, NOT_FOUND (conversation), WRONG_STATE (no group; no store),
 *   NOT_LOGGED_IN (no owner yet), FORBIDDEN (the user is in this group no more), LIMIT_REACHED (1,000 operations are
 *   not answered or not pulled yet), STORAGE, STORAGE_FULL, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: name is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_group_name(chatsdk_client* client, uint64_t conversation,
                                                               const char* name, size_t name_length,
                                                               uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Gives a group another description.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param description the description, UTF-8, no control character but tab and newline
 * @param description_length bytes of description, at most 4,096, or CHATSDK_STRLEN
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_group_name.
 * - Ownership: description is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_group_description(chatsdk_client* client, uint64_t conversation,
                                                                      const char* description,
                                                                      size_t description_length,
                                                                      uint64_t* out_operation,
                                                                      chatsdk_error** out_error);

/**
 * Gives a group another picture: a reference that means something to the app.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param picture the bytes; NULL allowed when picture_length is 0
 * @param picture_length how many, at most 1,024; 0: no picture
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_group_name, but INVALID_UTF8.
 * - Ownership: picture is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_group_picture(chatsdk_client* client, uint64_t conversation,
                                                                  const uint8_t* picture, size_t picture_length,
                                                                  uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Changes a line of a group's table of rights.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param right one of CHATSDK_RIGHT_
 * @param least_role the least role that has it from now on, CHATSDK_ROLE_MEMBER, ADMIN or OWNER
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_group_name, but of the name; INVALID_ARGUMENT (also: a right that never goes
 *   below that role).
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_group_right(chatsdk_client* client, uint64_t conversation,
                                                                int32_t right, int32_t least_role,
                                                                uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Adds members, who are asked nothing: all of them or, where one cannot be added, nobody. Those who are members already
 * are passed over.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param users their user_ids, UTF-8 of 1 to 64 bytes, terminated by NUL, no two the same
 * @param count 1 to 999
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_group_name, of the users.
 * - Ownership: users are copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_add_members(chatsdk_client* client, uint64_t conversation,
                                                            const char* const* users, size_t count,
                                                            uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Removes somebody else of a lower role. Nothing that is written afterwards reaches them.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param user the member's user_id, UTF-8
 * @param user_length bytes of user, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_group_name, of the user; INVALID_ARGUMENT (also: this store's own user).
 * - Ownership: user is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_remove_member(chatsdk_client* client, uint64_t conversation,
                                                              const char* user, size_t user_length,
                                                              uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Leaves a group, on all of the user's devices; its history stays. The owner hands it over first
 * (chatsdk_client_transfer_group), unless they are alone in it, which ends it.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_group_name, but of the name.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_leave_group(chatsdk_client* client, uint64_t conversation,
                                                            uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Makes a member an admin, or an admin a member. An admin may step down, and does not unmake another one.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param user the member's user_id, UTF-8
 * @param user_length bytes of user, 1 to 64, or CHATSDK_STRLEN
 * @param role CHATSDK_ROLE_MEMBER or CHATSDK_ROLE_ADMIN
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_group_name, of the user.
 * - Ownership: user is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_member_role(chatsdk_client* client, uint64_t conversation,
                                                                const char* user, size_t user_length, int32_t role,
                                                                uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Hands a group over to another member. Its owner becomes an admin.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param user the new owner's user_id, UTF-8
 * @param user_length bytes of user, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_remove_member.
 * - Ownership: user is copied.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_transfer_group(chatsdk_client* client, uint64_t conversation,
                                                               const char* user, size_t user_length,
                                                               uint64_t* out_operation, chatsdk_error** out_error);

/**
 * Ends a group for all its members, for ever; each keeps the history. The owner's alone.
 *
 * @param client the client
 * @param conversation the conversation's number
 * @param[out] out_operation the operation's number, which CHATSDK_EVENT_OPERATION_ENDED names; NULL allowed
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_leave_group.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_end_group(chatsdk_client* client, uint64_t conversation,
                                                          uint64_t* out_operation, chatsdk_error** out_error);

CHATSDK_END_DECLS

#endif
