/* SPDX-License-Identifier: Apache-2.0
 *
 * End-to-end encryption: this device's part in it, whom the user talks to, and linking a further device.
 *
 * Keys are made, uploaded and replaced by the library; none is ever shown. A direct conversation is encrypted unless
 * the app asks for a plain one (chatsdk_client_direct_conversation_plain), and chatsdk_conversation_is_encrypted says
 * of each what it is. No text goes into a plain one that the app has not asked for or accepted. docs/e2ee.md is the
 * specification, and says what is claimed.
 */
#ifndef CHATSDK_ENCRYPTION_H
#define CHATSDK_ENCRYPTION_H

#include "chatsdk/message.h"

CHATSDK_BEGIN_DECLS

/* This device in end-to-end encryption. Open list: tolerate unknown values. */
#define CHATSDK_ENCRYPTION_PREPARING 1   /* its keys are not all on the server yet */
#define CHATSDK_ENCRYPTION_READY 2       /* it is one of the user's devices that others encrypt for */
#define CHATSDK_ENCRYPTION_LINK_NEEDED 3 /* the user has another device, which has to link this one */

/**
 * This device in end-to-end encryption, which CHATSDK_EVENT_ENCRYPTION reports when it changes. After a start it is
 * PREPARING until the server was asked.
 *
 * @param client the client
 * @param[out] out_state one of CHATSDK_ENCRYPTION_
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store), CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_encryption_state(chatsdk_client* client, int32_t* out_state,
                                                                 chatsdk_error** out_error);

/* ---- Identities --------------------------------------------------------------------------------------------------
 *
 * The identity of a user is an account key, which stays the same as devices come and go. That the key is the user's is
 * certain when both have compared their safety number: read to each other, or scanned from the other's display.
 */

/** The account keys of this store's user and of another one, as they are known here. An immutable snapshot. */
typedef struct chatsdk_identity chatsdk_identity;

/**
 * The identity of a user to whom this one has written, or who has written.
 *
 * @param client the client
 * @param peer the user's name, UTF-8
 * @param peer_length bytes of peer, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_identity the identity
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT (also: peer is this store's own user), INVALID_UTF8, TOO_LARGE, NOT_FOUND (no device of
 *   the user is known yet), WRONG_STATE (no store, or the account key is not known here yet, or the server names
 *   another: chatsdk_client_encryption_state is ready before), NOT_LOGGED_IN (nobody has logged in to this store yet),
 *   STORAGE, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: *out_identity is the caller's, freed with chatsdk_identity_release; peer is copied.
 * - Thread: any.
 * - Blocks: for the engine and, some milliseconds, for the safety number.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_identity(chatsdk_client* client, const char* peer, size_t peer_length,
                                                         chatsdk_identity** out_identity, chatsdk_error** out_error);

/**
 * Notes that the user has compared the safety number of this identity, or takes that back. The mark falls by itself
 * when the user's account key is another one; CHATSDK_EVENT_VERIFIED_CHANGED tells of both. Verifying accepts the
 * identity, as chatsdk_client_accept_identity does.
 *
 * @param client the client
 * @param identity what was compared
 * @param is_verified 1, or 0 to take the mark back
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, CONFLICT (the user's account key is another one by now: look and compare again),
 *   NOT_FOUND (nothing is known of the user any more), WRONG_STATE (no store), STORAGE, STORAGE_FULL, CORRUPT,
 *   TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_set_verified(chatsdk_client* client, const chatsdk_identity* identity,
                                                             int32_t is_verified, chatsdk_error** out_error);

/**
 * Notes that the user has seen that the account key has changed: chatsdk_identity_has_changed is 0 from then on, and
 * messages that waited for this go out (chatsdk_config_set_block_changed_identities).
 *
 * @param client the client
 * @param identity what was shown
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: as chatsdk_client_set_verified.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_accept_identity(chatsdk_client* client,
                                                                const chatsdk_identity* identity,
                                                                chatsdk_error** out_error);

/**
 * Begins anew with a user whose account key, as it is known here, is not the user's: the safety numbers of the two were
 * compared and differ. What is known of the user's devices goes, with the mark and every session, and what a server
 * shows next is taken as at the first message. CHATSDK_EVENT_IDENTITY_CHANGED tells that it is there: compare again. It
 * counts as changed until it is accepted (chatsdk_identity_has_changed). Messages stay as they are, and those that wait
 * go to the devices that are learned.
 *
 * Without this the real account key is passed over for as long as the other one is known: whoever shows it again may
 * have found an old one.
 *
 * @param client the client
 * @param identity what was compared
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_LOGGED_IN, CONFLICT (the user's account key is another one by now: look and compare
 *   again), NOT_FOUND (nothing is known of the user any more), WRONG_STATE (no store), STORAGE, STORAGE_FULL, CORRUPT,
 *   TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the disk.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_forget_identity(chatsdk_client* client,
                                                                const chatsdk_identity* identity,
                                                                chatsdk_error** out_error);

/**
 * Begins anew with another account key for this store's user: for one whose other devices are all lost, and who can
 * therefore link this one nowhere (CHATSDK_ENCRYPTION_LINK_NEEDED), or who fears that somebody has read the key. Every
 * other device of the user is taken out of the list, is logged out, and has to be linked anew. Everybody who writes
 * with the user is told that the identity has changed, and every mark for it falls.
 *
 * It is noted in the store, and done as soon as this device is connected and has read all that waits for it, which it
 * could not read afterwards: what others send meanwhile is read first. It takes effect when the server has taken the
 * new key: CHATSDK_EVENT_IDENTITY_REPLACED says so, or why it was given up. Then everything stays as it was, and
 * nothing of the new key is kept. Until then this device goes on under the old one. Asked for twice it is done once;
 * linking this device gives it up (CANCELLED). An app that ends before it has pulled that event is not told again:
 * where the new key is in force, each safety number (chatsdk_client_identity) is another one.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, NOT_LOGGED_IN (nobody has logged in to this store yet), WRONG_STATE (no store, or the
 *   user's present account key is not known here yet), STORAGE, STORAGE_FULL, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_replace_identity(chatsdk_client* client, chatsdk_error** out_error);

/** The devices of a user that others encrypt for: a signed list, as it is known here. An immutable snapshot. */
typedef struct chatsdk_signed_devices chatsdk_signed_devices;

/**
 * The devices of a user, this store's own one included, as the newest list that is known here has them. The list is
 * signed with the user's account key: nobody who has not got that adds a device, and CHATSDK_EVENT_DEVICE_ADDED tells
 * when one has come. chatsdk_client_list_devices shows what the server says.
 *
 * @param client the client
 * @param user the user's name, UTF-8
 * @param user_length bytes of user, 1 to 64, or CHATSDK_STRLEN
 * @param[out] out_devices the devices
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NOT_FOUND (no device of the user is known yet), WRONG_STATE (no
 *   store), NOT_LOGGED_IN (nobody has logged in to this store yet), STORAGE, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: *out_devices is the caller's, freed with chatsdk_signed_devices_release; user is copied.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_signed_devices(chatsdk_client* client, const char* user,
                                                               size_t user_length, chatsdk_signed_devices** out_devices,
                                                               chatsdk_error** out_error);

/**
 * @name Signed devices
 * Ascending by device_id. Each getter gives 0 or "" for NULL and for an index that names none; texts are UTF-8 and
 * terminated by NUL.
 *
 * @param devices the devices, or NULL
 * @param index 0 to chatsdk_signed_devices_size - 1
 * @param[out] out_length bytes of the text; NULL allowed
 *
 * - Errors: none.
 * - Ownership: pointers are borrowed until the devices are released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_signed_devices
 * @{
 */
/** @return how many there are */
CHATSDK_API size_t CHATSDK_CALL chatsdk_signed_devices_size(const chatsdk_signed_devices* devices);
/** @return the device's number on the server */
CHATSDK_API uint64_t CHATSDK_CALL chatsdk_signed_devices_id(const chatsdk_signed_devices* devices, size_t index);
/** @return its name; "" where it has none, and of other users, whose devices' names nobody else can read */
CHATSDK_API const char* CHATSDK_CALL chatsdk_signed_devices_name(const chatsdk_signed_devices* devices, size_t index,
                                                                 size_t* out_length);
/** @return of its keys, the same on every device: sixteen groups of four hexadecimal digits */
CHATSDK_API const char* CHATSDK_CALL chatsdk_signed_devices_fingerprint(const chatsdk_signed_devices* devices,
                                                                        size_t index, size_t* out_length);
/** @return since when, Unix time in milliseconds by the clock of the device that let it in; or, where lists of that
 *     time are not known, since then at the latest */
CHATSDK_API int64_t CHATSDK_CALL chatsdk_signed_devices_since_ms(const chatsdk_signed_devices* devices, size_t index);
/** @return 1 for this device, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_signed_devices_is_current(const chatsdk_signed_devices* devices, size_t index);
/**
 * Drops a reference; the last drop frees.
 *
 * - Ownership: the caller's reference is gone.
 * - Binding: destructor chatsdk_signed_devices
 */
CHATSDK_API void CHATSDK_CALL chatsdk_signed_devices_release(const chatsdk_signed_devices* devices);
/** @} */

/* What a scanned text says. Open list: tolerate unknown values. */
#define CHATSDK_SCAN_DIFFERENT 0     /* another identity, or no safety number at all */
#define CHATSDK_SCAN_EQUAL 1         /* the two see the same: mark the identity as verified */
#define CHATSDK_SCAN_OTHER_VERSION 2 /* cannot be compared: one of the two apps is too old */

/**
 * @name An identity
 * Each getter gives 0 or "" for NULL; texts are UTF-8 and terminated by NUL.
 *
 * @param identity the identity, or NULL
 * @param[out] out_length bytes of the text; NULL allowed
 *
 * - Errors: none.
 * - Ownership: pointers are borrowed until the identity is released.
 * - Thread: any.
 * - Blocks: no.
 * - Since: 0.1
 * - Binding: method chatsdk_identity
 * @{
 */
/** @return the user_id of the other one */
CHATSDK_API const char* CHATSDK_CALL chatsdk_identity_user(const chatsdk_identity* identity, size_t* out_length);
/** @return the safety number as people read it: 60 digits in twelve groups of five, the same for both users */
CHATSDK_API const char* CHATSDK_CALL chatsdk_identity_safety_number(const chatsdk_identity* identity,
                                                                    size_t* out_length);
/** @return the safety number as a text for a QR code, the same for both users */
CHATSDK_API const char* CHATSDK_CALL chatsdk_identity_scannable(const chatsdk_identity* identity, size_t* out_length);
/** @return 1 when this account key was marked as verified, 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_identity_is_verified(const chatsdk_identity* identity);
/** @return 1 when the account key was another one before, and the user has not accepted that yet; 0 otherwise */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_identity_has_changed(const chatsdk_identity* identity);
/**
 * Compares with what was scanned from the other one's display. Nothing is marked by it.
 *
 * @param scanned the text that was scanned
 * @param scanned_length bytes of scanned, or CHATSDK_STRLEN
 * @return one of CHATSDK_SCAN_
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_identity_compare(const chatsdk_identity* identity, const char* scanned,
                                                          size_t scanned_length);
/**
 * Adds a reference.
 *
 * @return identity
 *
 * - Ownership: the reference is the caller's, dropped with chatsdk_identity_release.
 * - Binding: retain chatsdk_identity
 */
CHATSDK_API chatsdk_identity* CHATSDK_CALL chatsdk_identity_retain(const chatsdk_identity* identity);
/**
 * Drops a reference; the last drop frees.
 *
 * - Ownership: the caller's reference is gone.
 * - Binding: destructor chatsdk_identity
 */
CHATSDK_API void CHATSDK_CALL chatsdk_identity_release(const chatsdk_identity* identity);
/** @} */

/* ---- Linking -----------------------------------------------------------------------------------------------------
 *
 * A device of CHATSDK_ENCRYPTION_LINK_NEEDED shows a text, as a QR code, and a device that is READY scans it. Both then
 * show a short code (CHATSDK_EVENT_LINK_CODE); the user compares the two and confirms on both. A linking that was begun
 * ends with one CHATSDK_EVENT_LINK_ENDED on each device, ten minutes later at the latest, unless the client ends
 * before. CHATSDK_OK says on the listed device that it has handed the keys over, and on the new one that it has taken
 * them. The new device is linked once it is READY, of which the others hear by CHATSDK_EVENT_DEVICE_ADDED.
 */

/* Room enough for the text of chatsdk_client_begin_link. */
#define CHATSDK_LINK_TEXT_SIZE 256

/**
 * Begins a linking on the new device.
 *
 * @param client the client
 * @param buffer where the text for the other device goes, without NUL
 * @param capacity bytes of buffer, at least CHATSDK_LINK_TEXT_SIZE
 * @param[out] out_length bytes of the text
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, TOO_SMALL, BUSY (a linking is under way), NOT_LOGGED_IN, WRONG_STATE (no store, or this
 *   device needs no link), STORAGE, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_begin_link(chatsdk_client* client, char* buffer, size_t capacity,
                                                           size_t* out_length, chatsdk_error** out_error);

/**
 * Takes the text of a new device, on one that is READY.
 *
 * @param client the client
 * @param text what was scanned, UTF-8
 * @param text_length bytes of text, 1 to 256, or CHATSDK_STRLEN
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, CRYPTO (no text of a new device of this user, or too old), BUSY
 *   (a linking is under way), NOT_LOGGED_IN, WRONG_STATE (no store, or this device is not linked itself), LIMIT_REACHED
 *   (8 devices are linked: one that is not used any more has to go first, chatsdk_client_revoke_device), STORAGE,
 *   CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: text is copied.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_scan_link(chatsdk_client* client, const char* text, size_t text_length,
                                                          chatsdk_error** out_error);

/**
 * The user has found the codes of both devices equal. Needed on both.
 *
 * @param client the client
 * @param[out] out_error why it failed; NULL allowed
 *
 * - Errors: INVALID_ARGUMENT, WRONG_STATE (no store, or no code was shown), LIMIT_REACHED (8 devices are linked by now:
 *   confirmed again once one of them is gone), STORAGE, STORAGE_FULL, CORRUPT, TAMPERED, CLOSED, NO_MEMORY.
 * - Ownership: none.
 * - Thread: any.
 * - Blocks: for the engine.
 * - Since: 0.1
 * - Binding: method chatsdk_client
 */
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_confirm_link(chatsdk_client* client, chatsdk_error** out_error);

/**
 * Gives up the linking that is under way, as where the codes differ: it ends with CANCELLED. Without one nothing
 * happens.
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
CHATSDK_API int32_t CHATSDK_CALL chatsdk_client_cancel_link(chatsdk_client* client, chatsdk_error** out_error);

CHATSDK_END_DECLS

#endif
