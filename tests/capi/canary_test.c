/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's whole life, told step by step to whoever looks at its files meanwhile (canary.py). Everything that it is
 * told and tells holds the word CANARY. Usage: canary_test KEY OTHER_KEY CANARY SERVER_URL, the keys as 64 hexadecimal
 * digits; prints each step and reads a line before it goes on.
 */
#include "online.h"

enum { kNameMax = 160, kTextMax = 20000 };

static const char* canary;
static char text[kTextMax]; /* of several pages, full of the word */

static void step(const char* name) {
  char line[16];
  puts(name);
  fflush(stdout);
  CHECK(fgets(line, sizeof line, stdin) != NULL);
}

static const char* named(char* buffer, const char* role) {
  CHECK(snprintf(buffer, kNameMax, "%s-%s", canary, role) < kNameMax);
  return buffer;
}

static void read_key(const char* hex, uint8_t* key) {
  CHECK(strlen(hex) == 64);
  for (size_t i = 0; i < 32; ++i) {
    unsigned byte = 0;
    CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
    key[i] = (uint8_t)byte;
  }
}

static chatsdk_client* make_client(const char* url, const char* role) {
  char name[kNameMax];
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_device_name(config, named(name, role), CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  return client;
}

static void open_with(chatsdk_client* client, const char* store, const uint8_t* key) {
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, 32, NULL));
}

static void join(chatsdk_client* client, const char* role, const char* email) {
  char user[kNameMax], password[kNameMax], display[kNameMax], address[kNameMax + 16];
  uint64_t request = 0;
  chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
  me.user_id = named(user, role), me.user_id_length = CHATSDK_STRLEN;
  me.password = named(password, "password"), me.password_length = CHATSDK_STRLEN;
  me.display_name = named(display, "display name"), me.display_name_length = CHATSDK_STRLEN;
  CHECK(snprintf(address, sizeof address, "%s@%s.example", email, canary) > 0);
  me.email = address, me.email_length = CHATSDK_STRLEN;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_register(client, &me, &request, NULL));
  CHECK_STATUS(CHATSDK_OK, completed(client, request));
}

static void exchange(chatsdk_client* one, chatsdk_client* other) {
  char name[kNameMax];
  const uint64_t sent = send_text(one, conversation_with(one, named(name, "other")), text);
  send_text(other, conversation_with(other, named(name, "one")), text);
  await_state(one, sent, CHATSDK_MESSAGE_DELIVERED);
  chatsdk_message* message = await_message(other);
  CHECK(strcmp(chatsdk_message_text(message, NULL), text) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_mark_read(other, chatsdk_message_conversation(message),
                                                    chatsdk_message_seq(message), NULL));
  chatsdk_message_release(message);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(one, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(other, kWaitMs, NULL));
  /* What waits is kept too. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(other, NULL));
  send_text(other, conversation_with(other, named(name, "one")), text);
}

static uint64_t messages_with(chatsdk_client* client, const char* peer) {
  chatsdk_message_list* page = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_before(client, conversation_with(client, peer), 0, 200, &page, NULL));
  const uint64_t rows = chatsdk_message_list_size(page);
  for (size_t i = 0; i < rows; ++i) {
    CHECK(strcmp(chatsdk_message_text(chatsdk_message_list_at(page, i), NULL), text) == 0);
  }
  chatsdk_message_list_release(page);
  return rows;
}

/* The store that cannot be read is set aside, and the device begins anew. */
static chatsdk_client* begin_anew(const char* url, const uint8_t* key, int32_t refusal) {
  char user[kNameMax], password[kNameMax];
  uint64_t request = 0;
  chatsdk_client* client = make_client(url, "one");
  CHECK_STATUS(refusal, chatsdk_client_open_store(client, "one.db", CHATSDK_STRLEN, key, 32, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_recreate_store(client, "one.db", CHATSDK_STRLEN, key, 32, NULL));
  step("set aside");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(client, named(user, "one"), CHATSDK_STRLEN, named(password, "password"),
                                                CHATSDK_STRLEN, &request, NULL));
  CHECK_STATUS(CHATSDK_OK, completed(client, request));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
  return client;
}

/* The file's own prelude, which is there twice over, and the first pages. */
static void damage(const char* path) {
  static const char zeros[16384];
  FILE* file = fopen(path, "r+b");
  CHECK(file != NULL && fwrite(zeros, sizeof zeros, 1, file) == 1 && fclose(file) == 0);
}

int main(int argc, char** argv) {
  uint8_t key[32], other_key[32];
  char name[kNameMax];
  CHECK(argc == 5);
  read_key(argv[1], key);
  read_key(argv[2], other_key);
  canary = argv[3];
  const char* url = argv[4];
  while (strlen(text) + strlen(canary) + 2 < sizeof text) strcat(strcat(text, canary), " ");

  chatsdk_client* one = make_client(url, "one");
  chatsdk_client* other = make_client(url, "other");
  open_with(one, "one.db", key);
  open_with(other, "other.db", key);
  join(one, "one", "one");
  join(other, "other", "other");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(one, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(other, NULL));
  exchange(one, other);
  step("live");

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(one, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(other, kWaitMs, NULL));
  step("suspended");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(one, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(other, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(other, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(other, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(one, kWaitMs, NULL));
  step("resumed");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_close(one, NULL));
  step("closed");
  chatsdk_client_destroy(one);

  one = begin_anew(url, other_key, CHATSDK_WRONG_KEY);
  CHECK(messages_with(one, named(name, "other")) == 3);
  step("live again");
  chatsdk_client_destroy(one);
  damage("one.db");
  one = begin_anew(url, other_key, CHATSDK_CORRUPT);
  CHECK(messages_with(one, named(name, "other")) == 3);
  step("live once more");
  chatsdk_client_destroy(one);
  chatsdk_client_destroy(other);
  step("closed at last");
  return 0;
}
