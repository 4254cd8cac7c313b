/* SPDX-License-Identifier: Apache-2.0
 *
 * Edits, deletions, reactions and pins, through C and a real server: between two users, in a plain and in an encrypted
 * conversation, offline and on a second device. Usage: annotations_test SERVER_URL
 */
#include "online.h"

static const char* const thumb = "\xF0\x9F\x91\x8D";

static chatsdk_client* online_user(const char* url, const char* store, const char* user) {
  chatsdk_client* client = online_client(url, store, user);
  register_user(client, user);
  go_online(client);
  return client;
}

static void react(chatsdk_client* client, uint64_t message, const char* key) {
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_reactions(client, message, &key, key == NULL ? 0 : 1, NULL));
}

/* "text", "(deleted)", and what was added: " edits=1", " <key>:<members, * for the own one>", " pinned". */
static void tell(const chatsdk_message* message, char* words, size_t size) {
  int length = chatsdk_message_is_deleted(message) ? snprintf(words, size, "(deleted)")
                                                   : snprintf(words, size, "%s", chatsdk_message_text(message, NULL));
  if (chatsdk_message_edit_count(message) > 0) {
    length += snprintf(words + length, size - (size_t)length, " edits=%d", (int)chatsdk_message_edit_count(message));
  }
  for (size_t i = 0; i < chatsdk_message_reaction_count(message); ++i) {
    length += snprintf(
        words + length, size - (size_t)length, " %s:%d%s", chatsdk_message_reaction_key(message, i, NULL),
        (int)chatsdk_message_reaction_member_count(message, i), chatsdk_message_reaction_is_own(message, i) ? "*" : "");
  }
  if (chatsdk_message_is_pinned(message)) snprintf(words + length, size - (size_t)length, " pinned");
}

/* Until a message is shown like this; any event makes the test look again. */
static void await_shown(chatsdk_client* client, uint64_t key, const char* wanted) {
  for (;;) {
    char words[512];
    chatsdk_event* event = NULL;
    size_t count = 0;
    chatsdk_message* message = message_of(client, key);
    tell(message, words, sizeof words);
    chatsdk_message_release(message);
    if (strcmp(words, wanted) == 0) return;
    if (chatsdk_client_poll(client, kWaitMs, &event, 1, &count, NULL) != CHATSDK_OK) {
      fprintf(stderr, "shown as \"%s\", not as \"%s\"\n", words, wanted);
      CHECK(0);
    }
    chatsdk_event_release(event);
  }
}

/* The message of a conversation that stands first, and how many there are. */
static uint64_t first_message(chatsdk_client* client, uint64_t conversation, size_t count) {
  chatsdk_message_list* page = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_after(client, conversation, 0, 50, &page, NULL));
  CHECK(chatsdk_message_list_size(page) == count);
  const uint64_t key = chatsdk_message_key(chatsdk_message_list_at(page, 0));
  chatsdk_message_list_release(page);
  return key;
}

static uint64_t unread(chatsdk_client* client, uint64_t conversation) {
  chatsdk_conversation* row = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversation(client, conversation, &row, NULL));
  const uint64_t count = chatsdk_conversation_unread_count(row);
  chatsdk_conversation_release(row);
  return count;
}

/* ---- Between two users ---- */

static void both_show_what_either_says(chatsdk_client* ann, uint64_t with_ben, chatsdk_client* ben) {
  const uint64_t hers = send_text(ann, with_ben, "hello");
  chatsdk_message* came = await_message(ben);
  const uint64_t his = chatsdk_message_key(came);
  const uint64_t with_ann = chatsdk_message_conversation(came);
  chatsdk_message_release(came);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_edit_text(ann, hers, "hello ben", CHATSDK_STRLEN, NULL));
  react(ben, his, thumb);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_pinned(ben, his, 1, NULL));
  await_shown(ann, hers, "hello ben edits=1 \xF0\x9F\x91\x8D:1 pinned");
  await_shown(ben, his, "hello ben edits=1 \xF0\x9F\x91\x8D:1* pinned");
  CHECK(unread(ben, with_ann) == 1);
  CHECK(first_message(ben, with_ann, 1) == his);

  react(ann, hers, thumb);
  await_shown(ben, his, "hello ben edits=1 \xF0\x9F\x91\x8D:2* pinned");
  chatsdk_message* message = message_of(ben, his);
  CHECK(strstr(chatsdk_message_reaction_member(message, 0, 0, NULL), "ben") != NULL);
  CHECK(strcmp(chatsdk_message_reaction_member(message, 0, 1, NULL), chatsdk_message_sender(message, NULL)) == 0);
  CHECK(strcmp(chatsdk_message_reaction_member(message, 0, 2, NULL), "") == 0);
  CHECK(strcmp(chatsdk_message_reaction_key(message, 1, NULL), "") == 0);
  CHECK(chatsdk_message_failed_change(message) == 0);
  chatsdk_message_release(message);
  react(ben, his, NULL);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_pinned(ann, hers, 0, NULL));
  await_shown(ann, hers, "hello ben edits=1 \xF0\x9F\x91\x8D:1*");
  await_shown(ben, his, "hello ben edits=1 \xF0\x9F\x91\x8D:1");

  /* Who may do what, before anything is queued. */
  CHECK_STATUS(CHATSDK_FORBIDDEN, chatsdk_client_edit_text(ben, his, "forged", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_FORBIDDEN, chatsdk_client_delete_for_all(ben, his, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_set_pinned(ben, 999999, 1, NULL));

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_delete_for_all(ann, hers, NULL));
  await_shown(ann, hers, "(deleted)");
  await_shown(ben, his, "(deleted)");
  CHECK(unread(ben, with_ann) == 0);
  message = message_of(ben, his);
  CHECK(strcmp(chatsdk_message_text(message, NULL), "") == 0);
  CHECK(strcmp(chatsdk_message_content_type(message, NULL), "") == 0);
  CHECK(chatsdk_message_is_undecryptable(message) == 0);
  chatsdk_message_release(message);
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_edit_text(ann, hers, "again", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_set_pinned(ben, his, 1, NULL));
  CHECK(first_message(ben, with_ann, 1) == his);
}

/* ---- Offline ---- */

static void what_is_said_offline_goes_out_in_order(chatsdk_client* ann, uint64_t with_ben, chatsdk_client* ben) {
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(ann, NULL));
  const uint64_t hers = send_text(ann, with_ben, "one");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_edit_text(ann, hers, "two", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_edit_text(ann, hers, "three", CHATSDK_STRLEN, NULL));
  react(ann, hers, "ok");
  await_shown(ann, hers, "three edits=2 ok:1*");
  const uint64_t gone = send_text(ann, with_ben, "never sent");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_delete_for_all(ann, gone, NULL));
  chatsdk_message* message = NULL;
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_message(ann, gone, &message, NULL));

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(ann, NULL));
  message = await_message(ben);
  await_shown(ben, chatsdk_message_key(message), "three edits=2 ok:1");
  await_shown(ann, hers, "three edits=2 ok:1*");
  chatsdk_message_release(message);
}

/* ---- Another device ---- */

static void a_second_device_shows_the_same(const char* url, chatsdk_client* ann, uint64_t with_ben) {
  const uint64_t on_phone = send_text(ann, with_ben, "from the phone");
  react(ann, on_phone, "ok");
  await_state(ann, on_phone, CHATSDK_MESSAGE_SENT);
  const uint64_t deleted = send_text(ann, with_ben, "soon gone");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_edit_text(ann, deleted, "soon gone, edited", CHATSDK_STRLEN, NULL));
  await_state(ann, deleted, CHATSDK_MESSAGE_SENT);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_delete_for_all(ann, deleted, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(ann, kWaitMs, NULL));

  chatsdk_client* laptop = online_client(url, "ann-laptop.db", "laptop");
  CHECK(log_in(laptop, "plain-ann") == CHATSDK_OK);
  go_online(laptop);
  chatsdk_message_list* page = NULL;
  char words[512];
  const uint64_t there = conversation_with(laptop, "plain-ben");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_before(laptop, there, 0, 2, &page, NULL));
  CHECK(chatsdk_message_list_size(page) == 2);
  tell(chatsdk_message_list_at(page, 0), words, sizeof words);
  CHECK(strcmp(words, "from the phone ok:1*") == 0);
  tell(chatsdk_message_list_at(page, 1), words, sizeof words);
  CHECK(strcmp(words, "(deleted)") == 0);

  /* Either device speaks for the user. */
  const uint64_t on_laptop = chatsdk_message_key(chatsdk_message_list_at(page, 0));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_edit_text(laptop, on_laptop, "from the laptop", CHATSDK_STRLEN, NULL));
  await_shown(ann, on_phone, "from the laptop edits=1 ok:1*");
  react(laptop, on_laptop, "no");
  await_shown(ann, on_phone, "from the laptop edits=1 no:1*");
  chatsdk_message_list_release(page);
  chatsdk_client_destroy(laptop);
}

/* ---- Arguments ---- */

static void arguments_are_checked(chatsdk_client* ann, uint64_t with_ben) {
  const char* nine[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9"};
  const char* twice[] = {"ok", "ok"};
  char long_key[66];
  const char* key = long_key;
  const uint64_t message = send_text(ann, with_ben, "to be reacted to");
  memset(long_key, 'x', sizeof long_key);
  long_key[64] = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_reactions(ann, message, &key, 1, NULL));
  long_key[64] = 'x', long_key[65] = 0;
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_client_set_reactions(ann, message, &key, 1, NULL));
  key = "";
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_reactions(ann, message, &key, 1, NULL));
  key = "\xFF";
  CHECK_STATUS(CHATSDK_INVALID_UTF8, chatsdk_client_set_reactions(ann, message, &key, 1, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_reactions(ann, message, nine, 8, NULL));
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_client_set_reactions(ann, message, nine, 9, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_reactions(ann, message, twice, 2, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_reactions(ann, message, NULL, 1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_pinned(ann, message, 2, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_edit_text(ann, message, "", 0, NULL));
  CHECK_STATUS(CHATSDK_INVALID_UTF8, chatsdk_client_edit_text(ann, message, "\xFF", 1, NULL));
  await_shown(ann, message, "to be reacted to 1:1* 2:1* 3:1* 4:1* 5:1* 6:1* 7:1* 8:1*");
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  chatsdk_client* ann = online_user(argv[1], "plain-ann.db", "plain-ann");
  chatsdk_client* ben = online_user(argv[1], "plain-ben.db", "plain-ben");
  const uint64_t plain = conversation_with(ann, "plain-ben");
  (void)conversation_with(ben, "plain-ann");
  both_show_what_either_says(ann, plain, ben);
  what_is_said_offline_goes_out_in_order(ann, plain, ben);
  a_second_device_shows_the_same(argv[1], ann, plain);
  arguments_are_checked(ann, plain);
  chatsdk_client_destroy(ann);
  chatsdk_client_destroy(ben);

  ann = online_user(argv[1], "ann.db", "ann");
  ben = online_user(argv[1], "ben.db", "ben");
  await_encryption(ann, CHATSDK_ENCRYPTION_READY);
  await_encryption(ben, CHATSDK_ENCRYPTION_READY);
  const uint64_t encrypted = encrypted_with(ann, "ben");
  both_show_what_either_says(ann, encrypted, ben);
  what_is_said_offline_goes_out_in_order(ann, encrypted, ben);
  chatsdk_client_destroy(ann);
  chatsdk_client_destroy(ben);
  return 0;
}
