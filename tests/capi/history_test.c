/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversation of several pages, its first half accepted by the server and its second half waiting, is read back
 * whole in both directions by what an app has at hand: the rows themselves. Usage: history_test SERVER_URL
 */
#include "online.h"

enum { kAccepted = 250, kWaiting = 450, kAll = kAccepted + kWaiting, kPage = 200 };

static void name_of(int number, char* out, size_t size) { snprintf(out, size, "number %d", number); }

/* The rows of the page are the messages from `first` on, in the order in which they were sent. */
static void check_rows(const chatsdk_message_list* page, int first, size_t count) {
  CHECK(chatsdk_message_list_size(page) == count);
  for (size_t i = 0; i < count; ++i) {
    const chatsdk_message* row = chatsdk_message_list_at(page, i);
    const int number = first + (int)i;
    char text[32];
    name_of(number, text, sizeof text);
    CHECK(strcmp(chatsdk_message_text(row, NULL), text) == 0);
    CHECK((chatsdk_message_seq(row) != 0) == (number < kAccepted));
  }
  CHECK(chatsdk_message_list_at(page, count) == NULL);
}

static void from_the_tail_to_the_beginning(chatsdk_client* client, uint64_t conversation) {
  chatsdk_message_list* page = NULL;
  int end = kAll;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_before(client, conversation, 0, kPage, &page, NULL));
  for (;;) {
    const int more = chatsdk_message_list_has_more(page);
    const int size = end < kPage ? end : kPage;
    const uint64_t anchor = chatsdk_message_key(chatsdk_message_list_at(page, 0));
    check_rows(page, end - size, (size_t)size);
    chatsdk_message_list_release(page);
    end -= size;
    CHECK(more == (end > 0));
    if (!more) break;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_before_message(client, conversation, anchor, kPage, &page, NULL));
  }
}

static void from_the_beginning_to_the_tail(chatsdk_client* client, uint64_t conversation) {
  chatsdk_message_list* page = NULL;
  int begin = 0;
  /* The first item of a conversation is its roster, which is no message. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_after(client, conversation, 0, kPage, &page, NULL));
  for (;;) {
    const int more = chatsdk_message_list_has_more(page);
    const int left = kAll - begin;
    const size_t size = (size_t)(left < kPage ? left : kPage);
    const uint64_t anchor = chatsdk_message_key(chatsdk_message_list_at(page, size - 1));
    check_rows(page, begin, size);
    chatsdk_message_list_release(page);
    begin += (int)size;
    CHECK(more == (begin < kAll));
    if (!more) break;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_after_message(client, conversation, anchor, kPage, &page, NULL));
  }
}

static void a_wrong_anchor_is_not_found(chatsdk_client* client, uint64_t conversation, uint64_t message) {
  chatsdk_message_list* page = NULL;
  chatsdk_error* error = NULL;
  const uint64_t other = conversation_with(client, "history-three");
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_history_before_message(client, other, message, 10, &page, &error));
  CHECK(chatsdk_error_status(error) == CHATSDK_NOT_FOUND);
  chatsdk_error_release(error);
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_history_after_message(client, conversation, 999999, 10, &page, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_history_before_message(client, 999, message, 10, &page, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT,
               chatsdk_client_history_after_message(client, conversation, message, 0, &page, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT,
               chatsdk_client_history_after_message(client, conversation, message, 201, &page, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_after_message(client, conversation, message, 1, &page, NULL));
  CHECK(chatsdk_message_list_size(page) == 0 && !chatsdk_message_list_has_more(page));
  chatsdk_message_list_release(page);
}

int main(int argc, char** argv) {
  uint64_t conversation, last = 0;
  char text[32];
  chatsdk_client *client, *peer;
  CHECK(argc == 2);
  peer = online_client(argv[1], "history-two.db", "peer");
  register_user(peer, "history-two");
  chatsdk_client_destroy(peer);

  client = online_client(argv[1], "history-one.db", "test");
  register_user(client, "history-one");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  conversation = conversation_with(client, "history-two");
  for (int i = 0; i < kAccepted; ++i) {
    name_of(i, text, sizeof text);
    last = send_text(client, conversation, text);
  }
  await_state(client, last, CHATSDK_MESSAGE_SENT);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(client, NULL));
  for (int i = kAccepted; i < kAll; ++i) {
    name_of(i, text, sizeof text);
    last = send_text(client, conversation, text);
  }

  from_the_tail_to_the_beginning(client, conversation);
  from_the_beginning_to_the_tail(client, conversation);
  a_wrong_anchor_is_not_found(client, conversation, last);
  chatsdk_client_destroy(client);
  return 0;
}
