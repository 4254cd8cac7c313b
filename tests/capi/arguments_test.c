/* SPDX-License-Identifier: Apache-2.0
 *
 * Every exported function with NULL, zero and foreign arguments: a precise status, and nothing happens.
 */
#include <chatsdk/chatsdk.h>
#include <string.h>

#include "check.h"

/* A handle of the wrong kind: memory that was never a client. */
static uint64_t foreign[64];

static void statuses_and_versions(void) {
  CHECK(strcmp(chatsdk_status_name(CHATSDK_OK), "ok") == 0);
  CHECK(strcmp(chatsdk_status_name(CHATSDK_STORAGE_FULL), "storage_full") == 0);
  CHECK(strcmp(chatsdk_status_name(12345), "unknown") == 0);
  CHECK(chatsdk_status_is_retryable(CHATSDK_NETWORK) == 1);
  CHECK(chatsdk_status_is_retryable(CHATSDK_CONFLICT) == 0);
  CHECK(chatsdk_version_number() == CHATSDK_VERSION_NUMBER);
  CHECK(strcmp(chatsdk_version_string(), CHATSDK_VERSION_STRING) == 0);
  CHECK(chatsdk_abi_version() == CHATSDK_ABI_VERSION);
  CHECK(chatsdk_has_feature("direct_text", CHATSDK_STRLEN) == 1);
  CHECK(chatsdk_has_feature("direct_textual", 11) == 1);
  CHECK(chatsdk_has_feature("teleport", CHATSDK_STRLEN) == 0);
  CHECK(chatsdk_has_feature("e2ee", CHATSDK_STRLEN) == 1);
  CHECK(chatsdk_has_feature("ml_kem_768:chatsdk", CHATSDK_STRLEN) == 1);
  CHECK(chatsdk_has_feature("ml_kem_768:", CHATSDK_STRLEN) == 0);
  CHECK(chatsdk_has_feature(NULL, 5) == 0);
}

static void constants_are_known_by_name(void) {
  int64_t value = 77;
  CHECK_STATUS(CHATSDK_OK, chatsdk_constant("CHATSDK_EVENT_RESYNC", CHATSDK_STRLEN, &value));
  CHECK(value == CHATSDK_EVENT_RESYNC);
  CHECK_STATUS(CHATSDK_OK, chatsdk_constant("CHATSDK_STORAGE_FULL", 20, &value));
  CHECK(value == CHATSDK_STORAGE_FULL);
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_constant("CHATSDK_EVENT_NOTHING", CHATSDK_STRLEN, &value));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_constant("CHATSDK_STORAGE_FULL", 19, &value));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_constant(NULL, 5, &value));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_constant("", 0, &value));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_constant("CHATSDK_OK", CHATSDK_STRLEN, NULL));
  CHECK(value == CHATSDK_STORAGE_FULL);
}

static void null_snapshots_give_nothing(void) {
  size_t length = 99;
  CHECK(chatsdk_error_status(NULL) == CHATSDK_OK);
  CHECK(strcmp(chatsdk_error_message(NULL, &length), "") == 0 && length == 0);
  CHECK(chatsdk_error_is_retryable(NULL) == 0);
  CHECK(chatsdk_error_retry_after_ms(NULL) == 0);
  CHECK(chatsdk_error_retain(NULL) == NULL);
  chatsdk_error_release(NULL);

  CHECK(chatsdk_event_type(NULL) == 0);
  CHECK(chatsdk_event_store_revision(NULL) == 0);
  CHECK(chatsdk_event_request(NULL) == 0);
  CHECK(chatsdk_event_status(NULL) == CHATSDK_OK);
  CHECK(chatsdk_event_error(NULL) == NULL);
  CHECK(chatsdk_event_conversation(NULL) == 0);
  CHECK(chatsdk_event_message(NULL) == 0);
  CHECK(chatsdk_event_connection_state(NULL) == 0);
  CHECK(chatsdk_event_retry_in_ms(NULL) == 0);
  CHECK(chatsdk_event_device_count(NULL) == 0);
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_event_device(NULL, 0, NULL));
  CHECK(chatsdk_event_encryption_state(NULL) == 0);
  CHECK(strcmp(chatsdk_event_user(NULL, &length), "") == 0 && length == 0);
  CHECK(chatsdk_event_device_id(NULL) == 0);
  CHECK(chatsdk_event_operation(NULL) == 0);
  CHECK(strcmp(chatsdk_event_link_code(NULL, NULL), "") == 0);
  CHECK(strcmp(chatsdk_event_link_name(NULL, NULL), "") == 0);
  CHECK(chatsdk_event_retain(NULL) == NULL);
  chatsdk_event_release(NULL);

  CHECK(chatsdk_message_key(NULL) == 0);
  CHECK(chatsdk_message_conversation(NULL) == 0);
  CHECK(chatsdk_message_seq(NULL) == 0);
  CHECK(chatsdk_message_id(NULL) == 0);
  CHECK(chatsdk_message_client_id(NULL) == NULL);
  CHECK(strcmp(chatsdk_message_sender(NULL, NULL), "") == 0);
  CHECK(chatsdk_message_sender_device(NULL) == 0);
  CHECK(chatsdk_message_is_own(NULL) == 0);
  CHECK(chatsdk_message_time_ms(NULL) == 0);
  CHECK(chatsdk_message_state(NULL) == 0);
  CHECK(chatsdk_message_failure(NULL) == CHATSDK_OK);
  CHECK(chatsdk_message_is_undecryptable(NULL) == 0);
  CHECK(strcmp(chatsdk_message_content_type(NULL, &length), "") == 0 && length == 0);
  CHECK(strcmp(chatsdk_message_text(NULL, NULL), "") == 0);
  CHECK(chatsdk_message_is_deleted(NULL) == 0);
  CHECK(chatsdk_message_edit_count(NULL) == 0);
  CHECK(chatsdk_message_is_pinned(NULL) == 0);
  CHECK(chatsdk_message_failed_change(NULL) == 0);
  CHECK(chatsdk_message_reaction_count(NULL) == 0);
  CHECK(strcmp(chatsdk_message_reaction_key(NULL, 0, &length), "") == 0 && length == 0);
  CHECK(chatsdk_message_reaction_is_own(NULL, 0) == 0);
  CHECK(chatsdk_message_reaction_member_count(NULL, 0) == 0);
  CHECK(strcmp(chatsdk_message_reaction_member(NULL, 0, 0, NULL), "") == 0);
  CHECK(chatsdk_message_retain(NULL) == NULL);
  chatsdk_message_release(NULL);
  CHECK(chatsdk_message_list_size(NULL) == 0);
  CHECK(chatsdk_message_list_at(NULL, 0) == NULL);
  CHECK(chatsdk_message_list_has_more(NULL) == 0);
  chatsdk_message_list_release(NULL);

  CHECK(chatsdk_conversation_key(NULL) == 0);
  CHECK(chatsdk_conversation_id(NULL) == 0);
  CHECK(chatsdk_conversation_kind(NULL) == 0);
  CHECK(chatsdk_conversation_is_encrypted(NULL) == 0);
  CHECK(chatsdk_conversation_is_accepted_plain(NULL) == 0);
  CHECK(strcmp(chatsdk_conversation_peer(NULL, NULL), "") == 0);
  CHECK(chatsdk_conversation_head(NULL) == 0);
  CHECK(chatsdk_conversation_read_up_to(NULL) == 0);
  CHECK(chatsdk_conversation_unread_count(NULL) == 0);
  CHECK(chatsdk_conversation_last_activity_ms(NULL) == 0);
  CHECK(chatsdk_conversation_last_message(NULL) == NULL);
  CHECK(chatsdk_conversation_retain(NULL) == NULL);
  chatsdk_conversation_release(NULL);
  CHECK(chatsdk_conversation_list_size(NULL) == 0);
  CHECK(chatsdk_conversation_list_at(NULL, 0) == NULL);
  CHECK(chatsdk_conversation_list_has_more(NULL) == 0);
  chatsdk_conversation_list_release(NULL);

  CHECK(chatsdk_conversation_group_id(NULL) == NULL);
  length = 99;
  CHECK(strcmp(chatsdk_conversation_name(NULL, &length), "") == 0 && length == 0);
  CHECK(strcmp(chatsdk_conversation_description(NULL, NULL), "") == 0);
  length = 99;
  CHECK(chatsdk_conversation_picture(NULL, &length) == NULL && length == 0);
  CHECK(chatsdk_conversation_role(NULL) == CHATSDK_ROLE_NONE);
  CHECK(chatsdk_conversation_standing(NULL) == 0);
  CHECK(chatsdk_conversation_least_role(NULL, CHATSDK_RIGHT_SEND) == CHATSDK_ROLE_NONE);
  CHECK(chatsdk_conversation_member_count(NULL) == 0);
  CHECK(chatsdk_conversation_has_history(NULL) == 0);
  CHECK(chatsdk_member_list_size(NULL) == 0);
  length = 99;
  CHECK(strcmp(chatsdk_member_list_user(NULL, 0, &length), "") == 0 && length == 0);
  CHECK(chatsdk_member_list_role(NULL, 0) == CHATSDK_ROLE_NONE);
  CHECK(chatsdk_member_list_has_more(NULL) == 0);
  CHECK(chatsdk_member_list_is_complete(NULL) == 0);
  chatsdk_member_list_release(NULL);

  CHECK(strcmp(chatsdk_identity_user(NULL, &length), "") == 0 && length == 0);
  CHECK(strcmp(chatsdk_identity_safety_number(NULL, NULL), "") == 0);
  CHECK(strcmp(chatsdk_identity_scannable(NULL, NULL), "") == 0);
  CHECK(chatsdk_identity_is_verified(NULL) == 0);
  CHECK(chatsdk_identity_has_changed(NULL) == 0);
  CHECK(chatsdk_identity_compare(NULL, "csdk-safety:AQ", CHATSDK_STRLEN) == CHATSDK_SCAN_DIFFERENT);
  CHECK(chatsdk_identity_retain(NULL) == NULL);
  chatsdk_identity_release(NULL);
}

static void every_call_refuses_what_is_no_client(chatsdk_client* client) {
  static const uint8_t key[32] = {0};
  uint64_t number = 77;
  size_t length = 0;
  int32_t state = 0;
  chatsdk_event* event = NULL;
  chatsdk_conversation* conversation = NULL;
  chatsdk_conversation_list* conversations = NULL;
  chatsdk_message* message = NULL;
  chatsdk_message_list* messages = NULL;
  chatsdk_identity* identity = NULL;
  chatsdk_signed_devices* devices = NULL;
  chatsdk_member_list* members = NULL;
  char text[CHATSDK_LINK_TEXT_SIZE];
  chatsdk_error* error = NULL;
  chatsdk_registration registration = CHATSDK_REGISTRATION_INIT;
  registration.user_id = "user", registration.user_id_length = 4;
  registration.password = "password", registration.password_length = 8;

  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_open_store(client, "x", 1, key, 32, &error));
  CHECK(chatsdk_error_status(error) == CHATSDK_INVALID_ARGUMENT);
  CHECK(strlen(chatsdk_error_message(error, NULL)) > 0);
  CHECK(chatsdk_error_is_retryable(error) == 0);
  CHECK(chatsdk_error_retain(error) == error);
  chatsdk_error_release(error);
  chatsdk_error_release(error);
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_recreate_store(client, "x", 1, key, 32, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_start(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_stop(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_close(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_suspend(client, 1000, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_resume(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_network_changed(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_sync(client, 0, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_connection_state(client, &state, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_register(client, &registration, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_login(client, "user", 4, "password", 8, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_login_with_assertion(client, "a.b.c", 5, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_logout(client, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_list_devices(client, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_revoke_device(client, 1, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_user_id(client, NULL, 0, &length, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_poll(client, 0, &event, 1, &length, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_wake(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_tick(client, 0, NULL, NULL, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_ready_hook(client, NULL, NULL, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_direct_conversation(client, "peer", 4, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_direct_conversation_plain(client, "peer", 4, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_encryption_state(client, &state, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_identity(client, "peer", 4, &identity, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_verified(client, NULL, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_accept_identity(client, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_forget_identity(client, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_signed_devices(client, "user", 4, &devices, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_replace_identity(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_begin_link(client, text, sizeof text, &length, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_scan_link(client, "text", 4, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_confirm_link(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_cancel_link(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_send_text(client, 1, "hi", 2, NULL, NULL, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_retry_message(client, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_discard_message(client, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_edit_text(client, 1, "hi", 2, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_delete_for_all(client, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_reactions(client, 1, NULL, 0, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_pinned(client, 1, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_mark_read(client, 1, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_conversations(client, 0, 10, &conversations, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_conversation(client, 1, &conversation, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_unread_total(client, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_outbox_count(client, &number, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_history_before(client, 1, 0, 10, &messages, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_history_after(client, 1, 0, 10, &messages, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_history_before_message(client, 1, 1, 10, &messages, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_history_after_message(client, 1, 1, 10, &messages, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_message(client, 1, &message, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_message_by_id(client, key, &message, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_receipt(client, 1, "peer", 4, NULL, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_accept_plain(client, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(client, NULL, NULL, 0, &number, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_name(client, 1, "name", 4, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_description(client, 1, "text", 4, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_picture(client, 1, key, 4, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_right(client, 1, 1, 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_add_members(client, 1, NULL, 0, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_remove_member(client, 1, "user", 4, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_leave_group(client, 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_member_role(client, 1, "user", 4, 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_transfer_group(client, 1, "user", 4, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_end_group(client, 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_members(client, 1, NULL, 0, 10, &members, NULL));
  chatsdk_client_destroy(client);
  CHECK(number == 77);
}

/* A call whose out_error is &error fails with this status, and its error object says these words. */
#define CHECK_ERROR(wanted, words, call)                                \
  do {                                                                  \
    chatsdk_error* error = NULL;                                        \
    CHECK_STATUS(wanted, call);                                         \
    CHECK(chatsdk_error_status(error) == (wanted));                     \
    CHECK(strstr(chatsdk_error_message(error, NULL), (words)) != NULL); \
    chatsdk_error_release(error);                                       \
  } while (0)

static void ignore(const chatsdk_event* event, void* user) {
  (void)event;
  (void)user;
}

static void every_failure_has_an_error_object(void) {
  static const uint8_t key[32] = {0};
  static const char* const what = "client is no client";
  uint64_t number = 0;
  size_t length = 0;
  int32_t state = 0;
  chatsdk_event* event = NULL;
  chatsdk_conversation* conversation = NULL;
  chatsdk_conversation_list* conversations = NULL;
  chatsdk_message* message = NULL;
  chatsdk_message_list* messages = NULL;
  chatsdk_identity* identity = NULL;
  chatsdk_signed_devices* devices = NULL;
  char text[CHATSDK_LINK_TEXT_SIZE];
  chatsdk_registration me = CHATSDK_REGISTRATION_INIT;

  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_open_store(NULL, "x", 1, key, 32, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_recreate_store(NULL, "x", 1, key, 32, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_start(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_stop(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_close(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_suspend(NULL, 1000, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_resume(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_network_changed(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_sync(NULL, 0, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_connection_state(NULL, &state, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_register(NULL, &me, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_login(NULL, "user", 4, "password", 8, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_login_with_assertion(NULL, "a.b.c", 5, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_logout(NULL, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_list_devices(NULL, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_revoke_device(NULL, 1, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_user_id(NULL, NULL, 0, &length, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_poll(NULL, 0, &event, 1, &length, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_wake(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_tick(NULL, 0, NULL, &error, ignore, NULL));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_set_ready_hook(NULL, &error, NULL, NULL, NULL));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_direct_conversation(NULL, "peer", 4, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what,
              chatsdk_client_direct_conversation_plain(NULL, "peer", 4, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_encryption_state(NULL, &state, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_identity(NULL, "peer", 4, &identity, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_set_verified(NULL, NULL, 1, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_accept_identity(NULL, NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_forget_identity(NULL, NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_signed_devices(NULL, "user", 4, &devices, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_replace_identity(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_begin_link(NULL, text, sizeof text, &length, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_scan_link(NULL, "text", 4, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_confirm_link(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_cancel_link(NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_send_text(NULL, 1, "hi", 2, NULL, NULL, NULL, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_retry_message(NULL, 1, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_discard_message(NULL, 1, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_edit_text(NULL, 1, "hi", 2, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_delete_for_all(NULL, 1, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_set_reactions(NULL, 1, NULL, 0, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_set_pinned(NULL, 1, 1, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_mark_read(NULL, 1, 1, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_conversations(NULL, 0, 10, &conversations, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_conversation(NULL, 1, &conversation, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_unread_total(NULL, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_outbox_count(NULL, &number, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_history_before(NULL, 1, 0, 10, &messages, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_history_after(NULL, 1, 0, 10, &messages, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_history_before_message(NULL, 1, 1, 10, &messages, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_history_after_message(NULL, 1, 1, 10, &messages, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_message(NULL, 1, &message, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_message_by_id(NULL, key, &message, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, what, chatsdk_client_receipt(NULL, 1, "peer", 4, NULL, NULL, &error));
}

static void refused_settings_name_limit_and_value(void) {
  static const uint8_t some_key[32] = {1};
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  chatsdk_error* written = (chatsdk_error*)(void*)foreign;
  char long_text[5000];
  memset(long_text, 'a', sizeof long_text);

  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "out_config is NULL", chatsdk_config_create(NULL, &error));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, &written));
  CHECK(written == NULL);
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "server", chatsdk_client_create(config, &client, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "config is no", chatsdk_config_set_server_url(NULL, "http://x", 8, &error));
  CHECK_ERROR(CHATSDK_TOO_LARGE, "url 2049 B, limit 2048 B",
              chatsdk_config_set_server_url(config, long_text, 2049, &error));
  CHECK_ERROR(CHATSDK_TOO_LARGE, "name 129 B, limit 128 B",
              chatsdk_config_set_device_name(config, long_text, 129, &error));
  CHECK_ERROR(CHATSDK_TOO_LARGE, "path 4097 B, limit 4096 B",
              chatsdk_config_set_ca_file(config, long_text, 4097, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "path holds a NUL", chatsdk_config_set_ca_file(config, "a.pem\0b", 7, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "name has a control character",
              chatsdk_config_set_device_name(config, "a\tb", 3, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "name has a control character",
              chatsdk_config_set_device_name(config, "a\0b", 3, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "name has a control character",
              chatsdk_config_set_device_name(config, "a\xC2\x9F", 3, &error));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_device_name(config, "a \xC2\xA0", 4, NULL));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "threading 2", chatsdk_config_set_threading(config, 2, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "limit_ms 0", chatsdk_config_set_send_time_limit_ms(config, 0, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "cap_ms 3600001", chatsdk_config_set_backoff_ms(config, 1, 3600001, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "blocks", chatsdk_config_set_block_changed_identities(config, 2, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "level 5", chatsdk_config_set_log(config, 5, &error, NULL, NULL, NULL));
  written = (chatsdk_error*)(void*)foreign;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, "http://127.0.0.1:1", CHATSDK_STRLEN, &written));
  CHECK(written == NULL);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  CHECK_ERROR(CHATSDK_WRONG_STATE, "no store is open", chatsdk_client_start(client, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "path holds a NUL",
              chatsdk_client_open_store(client, "a.db\0b", 6, some_key, sizeof some_key, &error));
  CHECK_ERROR(CHATSDK_TOO_LARGE, "path 4097 B, limit 4096 B",
              chatsdk_client_open_store(client, long_text, 4097, some_key, sizeof some_key, &error));
  CHECK_ERROR(CHATSDK_TOO_LARGE, "limit 500 B",
              chatsdk_client_open_store(client, long_text, 4096, some_key, sizeof some_key, &error));
  CHECK_ERROR(CHATSDK_TOO_LARGE, "name of the file 241 B, limit 240 B",
              chatsdk_client_open_store(client, long_text, 241, some_key, sizeof some_key, &error));
  CHECK_ERROR(CHATSDK_INVALID_ARGUMENT, "deadline_ms", chatsdk_client_suspend(client, -1, &error));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_close(client, NULL));
  CHECK_ERROR(CHATSDK_CLOSED, "closed", chatsdk_client_stop(client, &error));
  chatsdk_client_destroy(client);
}

static void configuration_refuses_bad_values(void) {
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  char long_text[5000];
  memset(long_text, 'a', sizeof long_text);

  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_create(NULL, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create(config, &client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_server_url(NULL, "http://x", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_server_url(config, NULL, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_server_url(config, NULL, 10, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_server_url(config, "ftp://host", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_config_set_server_url(config, long_text, 2049, NULL));
  CHECK_STATUS(CHATSDK_INVALID_UTF8, chatsdk_config_set_server_url(config, "http://\xFF", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_device_name(config, long_text, 128, NULL));
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_config_set_device_name(config, long_text, 129, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_ca_file(config, "", 0, NULL));
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_config_set_ca_file(config, long_text, 4097, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_threading(config, 2, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_threading(config, CHATSDK_THREADING_TICK, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_send_time_limit_ms(config, 0, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_send_time_limit_ms(config, 1, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_send_time_limit_ms(config, 31536000000, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_send_time_limit_ms(config, 31536000001, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_backoff_ms(config, 0, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_backoff_ms(config, 2, 1, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_backoff_ms(config, 1, 3600000, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_backoff_ms(config, 1, 3600001, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_block_changed_identities(config, -1, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_block_changed_identities(config, 1, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_block_changed_identities(config, 0, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_log(config, 5, NULL, NULL, NULL, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_ca_file(config, long_text, 4096, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create(config, NULL, NULL));
  chatsdk_config_destroy(config);
  chatsdk_config_destroy(NULL);
}

static void struct_initialisers_know_their_size(void) {
  union {
    chatsdk_send_options options;
    unsigned char bytes[64];
  } larger;
  chatsdk_registration registration;
  chatsdk_group_options group;

  CHECK_STATUS(CHATSDK_OK, chatsdk_group_options_init(&group, sizeof group));
  CHECK(group.struct_size == sizeof group && group.name == NULL && group.has_history == 0);
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_group_options_init(&group, sizeof group + 1));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_group_options_init(NULL, sizeof group));
  CHECK_STATUS(CHATSDK_OK, chatsdk_send_options_init(&larger.options, sizeof(chatsdk_send_options)));
  CHECK(larger.options.struct_size == sizeof(chatsdk_send_options));
  CHECK_STATUS(CHATSDK_OK, chatsdk_send_options_init(&larger.options, 8));
  CHECK(larger.options.struct_size == 8);
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_send_options_init(&larger.options, 64));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_send_options_init(&larger.options, 3));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_send_options_init(NULL, 24));
  CHECK_STATUS(CHATSDK_OK, chatsdk_registration_init(&registration, sizeof registration));
  CHECK(registration.struct_size == sizeof registration && registration.user_id == NULL);
}

int main(void) {
  statuses_and_versions();
  constants_are_known_by_name();
  null_snapshots_give_nothing();
  every_call_refuses_what_is_no_client(NULL);
  every_call_refuses_what_is_no_client((chatsdk_client*)(void*)foreign);
  every_failure_has_an_error_object();
  refused_settings_name_limit_and_value();
  configuration_refuses_bad_values();
  struct_initialisers_know_their_size();
  return 0;
}
