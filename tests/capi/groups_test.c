/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups, through C and a real server: made offline and online, renamed, written in, with members who come, go and get
 * other roles, and refusals that are told. Usage: groups_test SERVER_URL
 */
#include "online.h"

static chatsdk_client* online_user(const char* url, const char* store, const char* user) {
  chatsdk_client* client = online_client(url, store, user);
  register_user(client, user);
  go_online(client);
  return client;
}

static chatsdk_conversation* row_of(chatsdk_client* client, uint64_t conversation) {
  chatsdk_conversation* row = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversation(client, conversation, &row, NULL));
  return row;
}

/* "name role standing: ann=3 ben=1", with "?" behind it while not all members are known. */
static void tell(chatsdk_client* client, uint64_t conversation, char* words, size_t size) {
  chatsdk_conversation* row = row_of(client, conversation);
  chatsdk_member_list* list = NULL;
  int length = snprintf(words, size, "%s %d %d:", chatsdk_conversation_name(row, NULL),
                        (int)chatsdk_conversation_role(row), (int)chatsdk_conversation_standing(row));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_members(client, conversation, NULL, 0, 50, &list, NULL));
  for (size_t i = 0; i < chatsdk_member_list_size(list); ++i) {
    length += snprintf(words + length, size - (size_t)length, " %s=%d", chatsdk_member_list_user(list, i, NULL),
                       (int)chatsdk_member_list_role(list, i));
  }
  if (!chatsdk_member_list_is_complete(list)) snprintf(words + length, size - (size_t)length, "?");
  CHECK(chatsdk_member_list_has_more(list) == 0);
  chatsdk_member_list_release(list);
  chatsdk_conversation_release(row);
}

/* Until a group is shown like this; any event makes the test look again. */
static void await_group(chatsdk_client* client, uint64_t conversation, const char* wanted) {
  for (;;) {
    char words[512];
    chatsdk_event* event = NULL;
    size_t count = 0;
    tell(client, conversation, words, sizeof words);
    if (strcmp(words, wanted) == 0) return;
    if (chatsdk_client_poll(client, kWaitMs, &event, 1, &count, NULL) != CHATSDK_OK) {
      fprintf(stderr, "shown as \"%s\", not as \"%s\"\n", words, wanted);
      CHECK(0);
    }
    chatsdk_event_release(event);
  }
}

/* The number of a group that somebody else has made, once it is here under its name. */
static uint64_t await_group_named(chatsdk_client* client, const char* name) {
  for (;;) {
    chatsdk_conversation_list* list = NULL;
    chatsdk_event* event = NULL;
    size_t count = 0;
    uint64_t found = 0;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversations(client, 0, 50, &list, NULL));
    for (size_t i = 0; i < chatsdk_conversation_list_size(list); ++i) {
      const chatsdk_conversation* row = chatsdk_conversation_list_at(list, i);
      if (strcmp(chatsdk_conversation_name(row, NULL), name) == 0) found = chatsdk_conversation_key(row);
    }
    chatsdk_conversation_list_release(list);
    if (found != 0) return found;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_poll(client, kWaitMs, &event, 1, &count, NULL));
    chatsdk_event_release(event);
  }
}

/* How an operation has ended. */
static int32_t ended(chatsdk_client* client, uint64_t operation) {
  for (;;) {
    chatsdk_event* event = await_event(client, CHATSDK_EVENT_OPERATION_ENDED);
    const uint64_t number = chatsdk_event_operation(event);
    const int32_t status = chatsdk_event_status(event);
    CHECK((status == CHATSDK_OK) == (chatsdk_event_error(event) == NULL));
    CHECK(chatsdk_event_conversation(event) != 0);
    chatsdk_event_release(event);
    if (number == operation) return status;
  }
}

static uint64_t create(chatsdk_client* client, const char* name, const char* const* members, size_t count,
                       uint64_t* operation) {
  chatsdk_group_options options = CHATSDK_GROUP_OPTIONS_INIT;
  uint64_t conversation = 0;
  options.name = name, options.name_length = CHATSDK_STRLEN;
  CHECK_STATUS(CHATSDK_OK,
               chatsdk_client_create_group(client, &options, members, count, &conversation, operation, NULL));
  CHECK(conversation != 0 && *operation != 0);
  return conversation;
}

static void await_text(chatsdk_client* client, uint64_t conversation, const char* text) {
  for (;;) {
    chatsdk_message* message = await_message(client);
    const int is_it =
        chatsdk_message_conversation(message) == conversation && strcmp(chatsdk_message_text(message, NULL), text) == 0;
    chatsdk_message_release(message);
    if (is_it) return;
  }
}

/* ---- What a group is ---- */

static uint64_t a_group_is_made_and_written_in(chatsdk_client* ann, chatsdk_client* ben) {
  const char* members[] = {"ben"};
  uint64_t operation = 0;
  const uint64_t group = create(ann, "Climbing", members, 1, &operation);
  /* At once, and written in before the server knows it. */
  char words[512];
  tell(ann, group, words, sizeof words);
  CHECK(strcmp(words, "Climbing 3 0: ann=3 ben=1") == 0);
  const uint64_t hers = send_text(ann, group, "hello all");
  CHECK_STATUS(CHATSDK_OK, ended(ann, operation));
  await_state(ann, hers, CHATSDK_MESSAGE_SENT);

  const uint64_t bens = await_group_named(ben, "Climbing");
  await_group(ben, bens, "Climbing 1 0: ann=3 ben=1");
  chatsdk_conversation* row = row_of(ben, bens);
  chatsdk_conversation* of_ann = row_of(ann, group);
  CHECK(chatsdk_conversation_kind(row) == CHATSDK_CONVERSATION_GROUP);
  CHECK(chatsdk_conversation_is_encrypted(row) == 0);
  CHECK(chatsdk_conversation_id(row) == chatsdk_conversation_id(of_ann));
  CHECK(memcmp(chatsdk_conversation_group_id(row), chatsdk_conversation_group_id(of_ann), CHATSDK_GROUP_ID_SIZE) == 0);
  CHECK(chatsdk_conversation_least_role(row, CHATSDK_RIGHT_SEND) == CHATSDK_ROLE_MEMBER);
  CHECK(chatsdk_conversation_least_role(row, CHATSDK_RIGHT_PERMISSIONS) == CHATSDK_ROLE_OWNER);
  CHECK(chatsdk_conversation_least_role(row, 9) == CHATSDK_ROLE_NONE);
  CHECK(chatsdk_conversation_member_count(row) == 2);
  CHECK(chatsdk_conversation_has_history(row) == 0);
  CHECK(chatsdk_conversation_picture(row, NULL) == NULL);
  chatsdk_conversation_release(of_ann);
  chatsdk_conversation_release(row);

  /* Who has not made it says first that plain is what they want. */
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_send_text(ben, bens, "hi", 2, NULL, NULL, NULL, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_accept_plain(ben, bens, NULL));
  const uint64_t his = send_text(ben, bens, "hi ann");
  await_text(ann, group, "hi ann");
  await_state(ben, his, CHATSDK_MESSAGE_DELIVERED);
  return group;
}

static void what_is_changed_is_the_same_everywhere(chatsdk_client* ann, uint64_t group, chatsdk_client* ben,
                                                   uint64_t bens) {
  static const uint8_t picture[3] = {0, 255, 7};
  uint64_t operation = 0;
  size_t length = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_group_name(ann, group, "Bouldering", CHATSDK_STRLEN, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK,
               chatsdk_client_set_group_description(ann, group, "on\tMondays\n", CHATSDK_STRLEN, NULL, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_group_picture(ann, group, picture, sizeof picture, NULL, NULL));
  CHECK_STATUS(CHATSDK_OK,
               chatsdk_client_set_group_right(ann, group, CHATSDK_RIGHT_SEND, CHATSDK_ROLE_ADMIN, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ann, operation));
  for (;;) {
    chatsdk_conversation* row = row_of(ben, bens);
    const int is_all = chatsdk_conversation_least_role(row, CHATSDK_RIGHT_SEND) == CHATSDK_ROLE_ADMIN;
    if (is_all) {
      CHECK(strcmp(chatsdk_conversation_name(row, NULL), "Bouldering") == 0);
      CHECK(strcmp(chatsdk_conversation_description(row, &length), "on\tMondays\n") == 0 && length == 11);
      CHECK(memcmp(chatsdk_conversation_picture(row, &length), picture, 3) == 0 && length == 3);
    }
    chatsdk_conversation_release(row);
    if (is_all) break;
    chatsdk_event_release(await_event(ben, CHATSDK_EVENT_CONVERSATION_CHANGED));
  }

  /* The server judges who may: nothing of what it refuses stays. */
  uint64_t refused = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_group_name(ben, bens, "Ben's", CHATSDK_STRLEN, &refused, NULL));
  CHECK_STATUS(CHATSDK_FORBIDDEN, ended(ben, refused));
  await_group(ben, bens, "Bouldering 1 0: ann=3 ben=1");
  const uint64_t unwanted = send_text(ben, bens, "not to be sent");
  await_state(ben, unwanted, CHATSDK_MESSAGE_FAILED);
  chatsdk_message* message = message_of(ben, unwanted);
  CHECK(chatsdk_message_failure(message) == CHATSDK_FORBIDDEN);
  chatsdk_message_release(message);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_discard_message(ben, unwanted, NULL));
}

/* ---- Members ---- */

static void members_come_and_go(chatsdk_client* ann, uint64_t group, chatsdk_client* ben, uint64_t bens,
                                chatsdk_client* cid) {
  const char* added[] = {"cid"};
  const char* nobody[] = {"cid", "nobody at all"};
  uint64_t operation = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_add_members(ann, group, nobody, 2, &operation, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, ended(ann, operation));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_add_members(ann, group, added, 1, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ann, operation));
  await_group(ann, group, "Bouldering 3 0: ann=3 ben=1 cid=1");
  await_group(ben, bens, "Bouldering 1 0: ann=3 ben=1 cid=1");
  /* Who comes late asks who else is there, and has nothing of before. */
  const uint64_t cids = await_group_named(cid, "Bouldering");
  await_group(cid, cids, "Bouldering 1 0: ann=3 ben=1 cid=1");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_accept_plain(cid, cids, NULL));
  chatsdk_message_list* page = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_after(cid, cids, 0, 50, &page, NULL));
  CHECK(chatsdk_message_list_size(page) == 0);
  chatsdk_message_list_release(page);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_member_role(ann, group, "ben", 3, CHATSDK_ROLE_ADMIN, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ann, operation));
  await_group(ben, bens, "Bouldering 2 0: ann=3 ben=2 cid=1");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_remove_member(ben, bens, "cid", 3, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ben, operation));
  await_group(cid, cids, "Bouldering 0 2: ann=3 ben=2");
  await_group(ann, group, "Bouldering 3 0: ann=3 ben=2");
  CHECK_STATUS(CHATSDK_FORBIDDEN, chatsdk_client_send_text(cid, cids, "still here", 10, NULL, NULL, NULL, NULL));
  CHECK_STATUS(CHATSDK_FORBIDDEN, chatsdk_client_leave_group(cid, cids, &operation, NULL));

  /* Back again, and out by their own doing. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_add_members(ann, group, added, 1, &operation, NULL));
  await_group(cid, cids, "Bouldering 1 0: ann=3 ben=2 cid=1");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_leave_group(cid, cids, &operation, NULL));
  char words[512];
  tell(cid, cids, words, sizeof words);
  CHECK(strcmp(words, "Bouldering 0 1: ann=3 ben=2") == 0);
  CHECK_STATUS(CHATSDK_OK, ended(cid, operation));
  await_group(ann, group, "Bouldering 3 0: ann=3 ben=2");
}

static void a_group_is_handed_over_and_ended(chatsdk_client* ann, uint64_t group, chatsdk_client* ben, uint64_t bens) {
  uint64_t operation = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_transfer_group(ann, group, "ben", 3, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ann, operation));
  await_group(ann, group, "Bouldering 2 0: ann=2 ben=3");
  await_group(ben, bens, "Bouldering 3 0: ann=2 ben=3");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_end_group(ann, group, &operation, NULL));
  CHECK_STATUS(CHATSDK_FORBIDDEN, ended(ann, operation));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_end_group(ben, bens, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ben, operation));
  await_group(ann, group, "Bouldering 0 3:");
  await_group(ben, bens, "Bouldering 0 3:");
}

/* ---- Offline, and refused ---- */

static void what_is_done_offline_is_done_once_there_is_a_connection(chatsdk_client* ann, chatsdk_client* ben) {
  const char* members[] = {"ben"};
  const char* with_nobody[] = {"nobody at all"};
  uint64_t made = 0;
  uint64_t renamed = 0;
  uint64_t not_made = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(ann, NULL));
  const uint64_t group = create(ann, "Made offline", members, 1, &made);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_group_name(ann, group, "Named offline", CHATSDK_STRLEN, &renamed, NULL));
  const uint64_t hers = send_text(ann, group, "written offline");
  const uint64_t none = create(ann, "Of nobody", with_nobody, 1, &not_made);
  const uint64_t lost = send_text(ann, none, "to nobody");
  /* Another process, so to say. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(ann, 10000, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(ann, NULL));
  char words[512];
  tell(ann, group, words, sizeof words);
  CHECK(strcmp(words, "Named offline 3 0: ann=3 ben=1") == 0);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(ann, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ann, made));
  CHECK_STATUS(CHATSDK_OK, ended(ann, renamed));
  CHECK_STATUS(CHATSDK_NOT_FOUND, ended(ann, not_made));
  await_state(ann, hers, CHATSDK_MESSAGE_SENT);
  await_text(ben, await_group_named(ben, "Named offline"), "written offline");

  chatsdk_conversation* row = row_of(ann, none);
  CHECK(chatsdk_conversation_standing(row) == CHATSDK_GROUP_NOT_MADE);
  chatsdk_conversation_release(row);
  CHECK(state_of(ann, lost) == CHATSDK_MESSAGE_FAILED);
  CHECK_STATUS(CHATSDK_FORBIDDEN, chatsdk_client_send_text(ann, none, "hi", 2, NULL, NULL, NULL, NULL));
}

static void a_sync_waits_for_what_is_done_to_a_group(chatsdk_client* ann) {
  uint64_t last = 0;
  uint64_t number = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(ann, NULL));
  const uint64_t group = create(ann, "Synced", NULL, 0, &last);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_group_name(ann, group, "Synced again", CHATSDK_STRLEN, &last, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(ann, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(ann, kWaitMs, NULL));
  while (number != last) {
    chatsdk_event* event = NULL;
    size_t count = 0;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_poll(ann, 0, &event, 1, &count, NULL));
    number = chatsdk_event_operation(event);
    CHECK(number == 0 || chatsdk_event_status(event) == CHATSDK_OK);
    chatsdk_event_release(event);
  }
}

static void an_end_that_was_not_pulled_is_told_again(chatsdk_client* ann, uint64_t direct) {
  uint64_t operation = 0;
  chatsdk_event* event = NULL;
  size_t count = 0;
  const uint64_t group = create(ann, "Told twice", NULL, 0, &operation);
  const uint64_t message = send_text(ann, group, "to myself");
  /* It has ended once the message is sent, and nothing of it is pulled. */
  while (state_of(ann, message) < CHATSDK_MESSAGE_SENT)
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(ann, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(ann, 10000, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(ann, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ann, operation));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(ann, 10000, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(ann, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(ann, kWaitMs, NULL));
  while (chatsdk_client_poll(ann, 0, &event, 1, &count, NULL) == CHATSDK_OK) {
    CHECK(chatsdk_event_operation(event) != operation);
    chatsdk_event_release(event);
  }
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_leave_group(ann, direct, NULL, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_leave_group(ann, 999999, NULL, NULL));
}

/* ---- Arguments ---- */

static void arguments_are_checked(chatsdk_client* ann, uint64_t direct) {
  chatsdk_group_options options = CHATSDK_GROUP_OPTIONS_INIT;
  char long_text[4100];
  const int32_t roles[] = {CHATSDK_ROLE_NONE, CHATSDK_ROLE_ADMIN};
  const int32_t too_low[] = {0, 0, 0, 0, CHATSDK_ROLE_MEMBER};
  const char* twice[] = {"ben", "ben"};
  const char* herself[] = {"ann"};
  uint64_t group = 0;
  chatsdk_member_list* list = NULL;
  memset(long_text, 'n', sizeof long_text);
  options.name = long_text, options.name_length = 257;
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_client_create_group(ann, &options, NULL, 0, &group, NULL, NULL));
  options.name_length = 256;
  options.description = long_text, options.description_length = 4097;
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_client_create_group(ann, &options, NULL, 0, &group, NULL, NULL));
  options.description_length = 4096;
  options.picture = (const uint8_t*)long_text, options.picture_length = 1025;
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_client_create_group(ann, &options, NULL, 0, &group, NULL, NULL));
  options.picture_length = 1024;
  options.least_roles = too_low, options.least_role_count = 5;
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(ann, &options, NULL, 0, &group, NULL, NULL));
  options.least_roles = roles, options.least_role_count = 2;
  options.is_encrypted = 1;
  CHECK_STATUS(CHATSDK_UNSUPPORTED, chatsdk_client_create_group(ann, &options, NULL, 0, &group, NULL, NULL));
  options.is_encrypted = 0, options.has_history = 2;
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(ann, &options, NULL, 0, &group, NULL, NULL));
  options.has_history = 1;
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(ann, &options, twice, 2, &group, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(ann, &options, herself, 1, &group, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(ann, &options, NULL, 1, &group, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_create_group(ann, &options, NULL, 0, NULL, NULL, NULL));
  CHECK(group == 0);
  uint64_t operation = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create_group(ann, &options, NULL, 0, &group, &operation, NULL));
  CHECK_STATUS(CHATSDK_OK, ended(ann, operation));
  chatsdk_conversation* row = row_of(ann, group);
  CHECK(chatsdk_conversation_least_role(row, CHATSDK_RIGHT_PIN) == CHATSDK_ROLE_ADMIN);
  CHECK(chatsdk_conversation_least_role(row, CHATSDK_RIGHT_SEND) == CHATSDK_ROLE_MEMBER);
  CHECK(chatsdk_conversation_has_history(row) == 1);
  chatsdk_conversation_release(row);

  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_name(ann, group, "a\nb", 3, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_UTF8, chatsdk_client_set_group_name(ann, group, "\xFF", 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_description(ann, group, "a\rb", 3, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_picture(ann, group, NULL, 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_right(ann, group, 0, 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_right(ann, group, 9, 1, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_right(ann, group, 1, 4, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_group_right(ann, group, 1, 0, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_add_members(ann, group, NULL, 0, NULL, NULL));
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_client_add_members(ann, group, twice, 1000, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_remove_member(ann, group, "ann", 3, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_member_role(ann, group, "ben", 3, 3, NULL, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_transfer_group(ann, group, "", 0, NULL, NULL));
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_members(ann, direct, NULL, 0, 10, &list, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_members(ann, 999999, NULL, 0, 10, &list, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_members(ann, group, NULL, 0, 201, &list, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_members(ann, group, NULL, 0, 10, NULL, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_members(ann, group, "ann", 3, 10, &list, NULL));
  CHECK(chatsdk_member_list_size(list) == 0);
  CHECK(strcmp(chatsdk_member_list_user(list, 0, NULL), "") == 0);
  chatsdk_member_list_release(list);
  row = row_of(ann, direct);
  CHECK(chatsdk_conversation_group_id(row) == NULL && chatsdk_conversation_member_count(row) == 0);
  chatsdk_conversation_release(row);
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  chatsdk_client* ann = online_user(argv[1], "ann.db", "ann");
  chatsdk_client* ben = online_user(argv[1], "ben.db", "ben");
  chatsdk_client* cid = online_user(argv[1], "cid.db", "cid");
  const uint64_t direct = conversation_with(ann, "ben");
  const uint64_t group = a_group_is_made_and_written_in(ann, ben);
  const uint64_t bens = await_group_named(ben, "Climbing");
  what_is_changed_is_the_same_everywhere(ann, group, ben, bens);
  members_come_and_go(ann, group, ben, bens, cid);
  a_group_is_handed_over_and_ended(ann, group, ben, bens);
  what_is_done_offline_is_done_once_there_is_a_connection(ann, ben);
  a_sync_waits_for_what_is_done_to_a_group(ann);
  an_end_that_was_not_pulled_is_told_again(ann, direct);
  arguments_are_checked(ann, direct);
  chatsdk_client_destroy(ann);
  chatsdk_client_destroy(ben);
  chatsdk_client_destroy(cid);
  return 0;
}
