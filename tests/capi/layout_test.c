/* SPDX-License-Identifier: Apache-2.0
 *
 * Size and offset of every public struct on the 64-bit platforms. A line here changes only by being added.
 */
#include <chatsdk/chatsdk.h>

#include "check.h"

#define CHECK_OFFSET(type, field, offset) CHECK(offsetof(type, field) == (offset))

int main(void) {
  if (sizeof(void*) != 8) return 0;
  CHECK(sizeof(chatsdk_registration) == 88);
  CHECK_OFFSET(chatsdk_registration, struct_size, 0);
  CHECK_OFFSET(chatsdk_registration, reserved, 4);
  CHECK_OFFSET(chatsdk_registration, user_id, 8);
  CHECK_OFFSET(chatsdk_registration, user_id_length, 16);
  CHECK_OFFSET(chatsdk_registration, password, 24);
  CHECK_OFFSET(chatsdk_registration, password_length, 32);
  CHECK_OFFSET(chatsdk_registration, display_name, 40);
  CHECK_OFFSET(chatsdk_registration, display_name_length, 48);
  CHECK_OFFSET(chatsdk_registration, email, 56);
  CHECK_OFFSET(chatsdk_registration, email_length, 64);
  CHECK_OFFSET(chatsdk_registration, phone, 72);
  CHECK_OFFSET(chatsdk_registration, phone_length, 80);

  CHECK(sizeof(chatsdk_send_options) == 24);
  CHECK_OFFSET(chatsdk_send_options, struct_size, 0);
  CHECK_OFFSET(chatsdk_send_options, client_message_id, 8);
  CHECK_OFFSET(chatsdk_send_options, time_limit_ms, 16);

  CHECK(sizeof(chatsdk_device_info) == 48);
  CHECK_OFFSET(chatsdk_device_info, struct_size, 0);
  CHECK_OFFSET(chatsdk_device_info, is_current, 4);
  CHECK_OFFSET(chatsdk_device_info, device_id, 8);
  CHECK_OFFSET(chatsdk_device_info, created_ms, 16);
  CHECK_OFFSET(chatsdk_device_info, last_seen_ms, 24);
  CHECK_OFFSET(chatsdk_device_info, name, 32);
  CHECK_OFFSET(chatsdk_device_info, name_length, 40);

  CHECK(sizeof(chatsdk_group_options) == 80);
  CHECK_OFFSET(chatsdk_group_options, struct_size, 0);
  CHECK_OFFSET(chatsdk_group_options, reserved, 4);
  CHECK_OFFSET(chatsdk_group_options, name, 8);
  CHECK_OFFSET(chatsdk_group_options, name_length, 16);
  CHECK_OFFSET(chatsdk_group_options, description, 24);
  CHECK_OFFSET(chatsdk_group_options, description_length, 32);
  CHECK_OFFSET(chatsdk_group_options, picture, 40);
  CHECK_OFFSET(chatsdk_group_options, picture_length, 48);
  CHECK_OFFSET(chatsdk_group_options, least_roles, 56);
  CHECK_OFFSET(chatsdk_group_options, least_role_count, 64);
  CHECK_OFFSET(chatsdk_group_options, has_history, 72);
  CHECK_OFFSET(chatsdk_group_options, is_encrypted, 76);
  return 0;
}
