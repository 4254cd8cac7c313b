/* SPDX-License-Identifier: Apache-2.0
 *
 * Each struct of the C ABI in the sizes of older and of later versions of the header, passed to the call that takes it.
 * Usage: struct_sizes_test SERVER_URL
 */
#include <stddef.h>

#include "online.h"

/* What a later header would have: today's struct and 16 bytes more. */
struct later_registration {
  chatsdk_registration now;
  unsigned char tail[16];
};
struct later_options {
  chatsdk_send_options now;
  unsigned char tail[16];
};
struct later_group {
  chatsdk_group_options now;
  unsigned char tail[16];
};
struct later_device {
  chatsdk_device_info now;
  unsigned char tail[16];
};

static chatsdk_registration registration_of(const char* user, size_t size) {
  chatsdk_registration in = CHATSDK_REGISTRATION_INIT;
  in.struct_size = (uint32_t)size;
  in.user_id = user, in.user_id_length = CHATSDK_STRLEN;
  in.password = "a good password", in.password_length = CHATSDK_STRLEN;
  return in;
}

static void an_older_registration_is_read_as_far_as_it_goes(chatsdk_client* client) {
  uint64_t request = 77;
  /* Ends before display_name; what stands behind it must not be read: neither it nor its length is valid. */
  chatsdk_registration in = registration_of("sizes-old", offsetof(chatsdk_registration, display_name));
  in.display_name = NULL, in.display_name_length = 1000;
  in.email = NULL, in.email_length = 1000;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_register(client, &in, &request, NULL));
  CHECK_STATUS(CHATSDK_OK, completed(client, request));

  /* Too old to hold what is required, or no size at all. */
  request = 77;
  in = registration_of("sizes-none", offsetof(chatsdk_registration, user_id));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_register(client, &in, &request, NULL));
  in = registration_of("sizes-none", 0);
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_register(client, &in, &request, NULL));
  CHECK(request == 77);
}

static void a_later_registration_is_read_while_its_tail_is_zero(chatsdk_client* client) {
  uint64_t request = 77;
  struct later_registration in;
  chatsdk_registration reserved = registration_of("sizes-reserved", sizeof reserved);
  reserved.reserved = 1;
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_client_register(client, &reserved, &request, NULL));
  memset(&in, 0, sizeof in);
  in.now = registration_of("sizes-new", sizeof in);
  in.tail[15] = 1;
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_client_register(client, &in.now, &request, NULL));
  CHECK(request == 77);
  in.tail[15] = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_register(client, &in.now, &request, NULL));
  CHECK_STATUS(CHATSDK_OK, completed(client, request));
}

static void an_older_send_options_is_read_as_far_as_it_goes(chatsdk_client* client, uint64_t conversation) {
  static const uint8_t id[CHATSDK_CLIENT_MESSAGE_ID_SIZE] = {1, 2, 3};
  uint8_t used[CHATSDK_CLIENT_MESSAGE_ID_SIZE];
  chatsdk_send_options in = CHATSDK_SEND_OPTIONS_INIT;
  in.reserved = 1;
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_client_send_text(client, conversation, "no", 2, &in, used, NULL, NULL));
  in.reserved = 0;
  in.struct_size = offsetof(chatsdk_send_options, time_limit_ms);
  in.client_message_id = id;
  in.time_limit_ms = -1; /* beyond the older struct's end */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_send_text(client, conversation, "old", 3, &in, used, NULL, NULL));
  CHECK(memcmp(id, used, sizeof id) == 0);

  in.struct_size = offsetof(chatsdk_send_options, client_message_id);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_send_text(client, conversation, "older", 5, &in, used, NULL, NULL));
  CHECK(memcmp(id, used, sizeof id) != 0);

  in.struct_size = 0;
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT,
               chatsdk_client_send_text(client, conversation, "none", 4, &in, used, NULL, NULL));
}

static void a_later_send_options_is_read_while_its_tail_is_zero(chatsdk_client* client, uint64_t conversation) {
  static const uint8_t id[CHATSDK_CLIENT_MESSAGE_ID_SIZE] = {4, 5, 6};
  uint8_t used[CHATSDK_CLIENT_MESSAGE_ID_SIZE];
  uint64_t before = 0, after = 0;
  struct later_options in;
  memset(&in, 0, sizeof in);
  in.now.struct_size = sizeof in;
  in.now.client_message_id = id;
  in.tail[0] = 1;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_outbox_count(client, &before, NULL));
  CHECK_STATUS(CHATSDK_UNSUPPORTED,
               chatsdk_client_send_text(client, conversation, "new", 3, &in.now, used, NULL, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_outbox_count(client, &after, NULL));
  CHECK(before == after);
  in.tail[0] = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_send_text(client, conversation, "new", 3, &in.now, used, NULL, NULL));
  CHECK(memcmp(id, used, sizeof id) == 0);
}

static void group_options_of_other_sizes_are_read(chatsdk_client* client) {
  struct later_group in;
  uint64_t group = 77;
  chatsdk_conversation* row = NULL;
  memset(&in, 0, sizeof in);
  in.now.struct_size = offsetof(chatsdk_group_options, description);
  in.now.name = "sizes", in.now.name_length = CHATSDK_STRLEN;
  in.now.description_length = 5; /* beyond the older struct's end */
  in.now.has_history = 1;
  in.now.reserved = 1;
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_client_create_group(client, &in.now, NULL, 0, &group, NULL, NULL));
  in.now.reserved = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create_group(client, &in.now, NULL, 0, &group, NULL, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversation(client, group, &row, NULL));
  CHECK(strcmp(chatsdk_conversation_name(row, NULL), "sizes") == 0 && !chatsdk_conversation_has_history(row));
  chatsdk_conversation_release(row);

  in.now.struct_size = sizeof in;
  in.now.description_length = 0;
  in.tail[15] = 1;
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_client_create_group(client, &in.now, NULL, 0, &group, NULL, NULL));
  in.tail[15] = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create_group(client, &in.now, NULL, 0, &group, NULL, NULL));
  in.now.struct_size = 0;
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(client, &in.now, NULL, 0, &group, NULL, NULL));
}

static void a_device_info_is_written_as_far_as_the_caller_has_room(chatsdk_client* client) {
  uint64_t request = 0;
  struct later_device out;
  chatsdk_device_info whole = CHATSDK_DEVICE_INFO_INIT;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_list_devices(client, &request, NULL));
  chatsdk_event* event = await_completion(client, request);
  CHECK(chatsdk_event_device_count(event) == 1);
  CHECK_STATUS(CHATSDK_OK, chatsdk_event_device(event, 0, &whole));
  CHECK(whole.struct_size == sizeof whole && whole.device_id != 0 && strcmp(whole.name, "sizes") == 0);
  CHECK(whole.name_length == 5 && whole.is_current == 1);

  /* An older caller's ends before the name: nothing is written behind it. */
  memset(&out, 0x5A, sizeof out);
  out.now.struct_size = offsetof(chatsdk_device_info, name);
  CHECK_STATUS(CHATSDK_OK, chatsdk_event_device(event, 0, &out.now));
  CHECK(out.now.device_id == whole.device_id && out.now.last_seen_ms == whole.last_seen_ms);
  CHECK(out.now.struct_size == offsetof(chatsdk_device_info, name));
  for (size_t i = offsetof(chatsdk_device_info, name); i < sizeof out; ++i) CHECK(((unsigned char*)&out)[i] == 0x5A);

  /* A later caller's has fields that this library does not know: they stay as they were. */
  memset(&out, 0, sizeof out);
  out.now.struct_size = sizeof out;
  CHECK_STATUS(CHATSDK_OK, chatsdk_event_device(event, 0, &out.now));
  CHECK(out.now.device_id == whole.device_id && out.now.name_length == 5);
  for (size_t i = 0; i < sizeof out.tail; ++i) CHECK(out.tail[i] == 0);

  out.now.struct_size = 3;
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_event_device(event, 0, &out.now));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_event_device(event, 1, &whole));
  chatsdk_event_release(event);
}

int main(int argc, char** argv) {
  chatsdk_client *client, *other;
  CHECK(argc == 2);
  client = online_client(argv[1], "sizes-old.db", "sizes");
  other = online_client(argv[1], "sizes-new.db", "sizes");
  an_older_registration_is_read_as_far_as_it_goes(client);
  a_later_registration_is_read_while_its_tail_is_zero(other);
  const uint64_t conversation = conversation_with(client, "sizes-new");
  an_older_send_options_is_read_as_far_as_it_goes(client, conversation);
  a_later_send_options_is_read_while_its_tail_is_zero(client, conversation);
  a_device_info_is_written_as_far_as_the_caller_has_room(client);
  group_options_of_other_sizes_are_read(client);
  chatsdk_client_destroy(client);
  chatsdk_client_destroy(other);
  return 0;
}
