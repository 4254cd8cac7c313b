/* SPDX-License-Identifier: Apache-2.0
 *
 * The least that chats: registers a user, says hello to another, and prints what comes until somebody answers.
 * Usage: minimal SERVER_URL USER PASSWORD PEER
 */
#include <chatsdk/chatsdk.h>
#include <stdio.h>

static int chat(const char* url, const char* store, const char* user, const char* password, const char* peer) {
  /* A real app makes 32 random bytes once and keeps them in the platform's key store. */
  static const uint8_t key[32] = {1, 2, 3};
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  if (chatsdk_config_create(&config, NULL) != CHATSDK_OK) return 1;
  if (chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL) != CHATSDK_OK) return 1;
  if (chatsdk_client_create(config, &client, NULL) != CHATSDK_OK) return 1;
  chatsdk_config_destroy(config);
  if (chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL) != CHATSDK_OK) return 1;

  uint64_t request = 0, to = 0;
  chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
  me.user_id = user, me.user_id_length = CHATSDK_STRLEN;
  me.password = password, me.password_length = CHATSDK_STRLEN;
  if (chatsdk_client_register(client, &me, &request, NULL) != CHATSDK_OK) return 1;
  if (chatsdk_client_start(client, NULL) != CHATSDK_OK) return 1;

  chatsdk_event* event = NULL;
  size_t count = 0;
  int done = 0, answered = 0;
  while (!done && chatsdk_client_poll(client, 30000, &event, 1, &count, NULL) == CHATSDK_OK) {
    const int32_t type = chatsdk_event_type(event);
    chatsdk_message* message = NULL;
    if (type == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(event) == request) {
      done = chatsdk_event_status(event) != CHATSDK_OK ||
             chatsdk_client_direct_conversation(client, peer, CHATSDK_STRLEN, &to, NULL) != CHATSDK_OK ||
             chatsdk_client_send_text(client, to, "hello", CHATSDK_STRLEN, NULL, NULL, NULL, NULL) != CHATSDK_OK;
      if (done) fprintf(stderr, "register: %s\n", chatsdk_status_name(chatsdk_event_status(event)));
    } else if (type == CHATSDK_EVENT_PEER_WITHOUT_KEYS) {
      fprintf(stderr, "%s was never online, so nothing can be encrypted yet\n", chatsdk_event_user(event, NULL));
      done = 1;
    } else if (chatsdk_client_message(client, chatsdk_event_message(event), &message, NULL) == CHATSDK_OK) {
      if (type == CHATSDK_EVENT_MESSAGE_ADDED) {
        printf("%s: %s\n", chatsdk_message_sender(message, NULL), chatsdk_message_text(message, NULL));
        done = answered = !chatsdk_message_is_own(message);
      } else if (chatsdk_message_state(message) == CHATSDK_MESSAGE_FAILED) {
        fprintf(stderr, "send: %s\n", chatsdk_status_name(chatsdk_message_failure(message)));
        done = chatsdk_client_discard_message(client, chatsdk_event_message(event), NULL) == CHATSDK_OK;
      }
      chatsdk_message_release(message);
    }
    chatsdk_event_release(event);
  }
  chatsdk_client_destroy(client);
  if (!answered) fprintf(stderr, "%s has not answered\n", peer);
  return answered ? 0 : 1;
}

int main(int argc, char** argv) {
  char store[256];
  if (argc != 5 || snprintf(store, sizeof store, "%s.db", argv[2]) >= (int)sizeof store) return 2;
  return chat(argv[1], store, argv[2], argv[3], argv[4]);
}
