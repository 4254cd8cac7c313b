/* SPDX-License-Identifier: Apache-2.0
 *
 * The largest text there is goes from client to client, and again after both were restarted. The server is set to allow
 * it. Usage: large_text_test SERVER_URL
 */
#include "online.h"

enum { kBytes = 524288 };

/* Characters of three bytes, with the number at the beginning and filled up to the last byte. */
static char* large_text(int number, size_t bytes) {
  char* text = malloc(bytes + 1);
  CHECK(text != NULL);
  size_t at = (size_t)snprintf(text, bytes, "%d ", number);
  for (; at + 3 <= bytes; at += 3) memcpy(text + at, "\xE2\x82\xAC", 3);
  for (; at < bytes; ++at) text[at] = '.';
  text[bytes] = 0;
  return text;
}

static void goes_over(chatsdk_client* from, chatsdk_client* to, int number) {
  size_t length = 0;
  char* text = large_text(number, kBytes);
  const uint64_t conversation = conversation_with(from, "large-to");
  uint64_t key = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_send_text(from, conversation, text, kBytes, NULL, NULL, &key, NULL));
  chatsdk_message* message = await_message(to);
  CHECK(strcmp(chatsdk_message_text(message, &length), text) == 0 && length == kBytes);
  chatsdk_message_release(message);
  await_state(from, key, CHATSDK_MESSAGE_DELIVERED);
  free(text);
}

static void holds_both(chatsdk_client* client, const char* peer, int count) {
  chatsdk_message_list* page = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_before(client, conversation_with(client, peer), 0, 200, &page, NULL));
  CHECK(chatsdk_message_list_size(page) == (size_t)count);
  for (int i = 0; i < count; ++i) {
    char* text = large_text(i + 1, kBytes);
    CHECK(strcmp(chatsdk_message_text(chatsdk_message_list_at(page, (size_t)i), NULL), text) == 0);
    free(text);
  }
  chatsdk_message_list_release(page);
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  for (int run = 1; run <= 2; ++run) {
    chatsdk_error* error = NULL;
    chatsdk_client* from = online_client(argv[1], "large-from.db", "from");
    chatsdk_client* to = online_client(argv[1], "large-to.db", "to");
    if (run == 1) {
      register_user(from, "large-from");
      register_user(to, "large-to");
    } else {
      holds_both(from, "large-to", 1);
      holds_both(to, "large-from", 1);
    }
    go_online(from);
    go_online(to);
    goes_over(from, to, run);

    char* text = large_text(3, kBytes + 1);
    const uint64_t conversation = conversation_with(from, "large-to");
    CHECK_STATUS(CHATSDK_TOO_LARGE,
                 chatsdk_client_send_text(from, conversation, text, kBytes + 1, NULL, NULL, NULL, &error));
    CHECK(strstr(chatsdk_error_message(error, NULL), "524289") != NULL);
    chatsdk_error_release(error);
    free(text);
    holds_both(to, "large-from", run);
    chatsdk_client_destroy(from);
    chatsdk_client_destroy(to);
  }
  return 0;
}
