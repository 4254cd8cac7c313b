/* SPDX-License-Identifier: Apache-2.0
 *
 * The least that chats: registers a user, says hello to another, and prints what comes until somebody answers.
 * Usage: minimal SERVER_URL USER PASSWORD PEER
 */
#include <chatsdk/chatsdk.h>
#include <stdio.h>

int main(int argc, char** argv) {
  /* A real app makes 32 random bytes once and keeps them in the platform's key store. */
  static const uint8_t key[32] = {1, 2, 3};
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
  uint64_t request = 0, conversation = 0;
  char store[256];
  int answered = 0;
  if (argc != 5 || snprintf(store, sizeof store, "%s.db", argv[2]) >= (int)sizeof store) return 2;

  chatsdk_config_create(&config);
  if (chatsdk_config_set_server_url(config, argv[1], CHATSDK_STRLEN) != CHATSDK_OK) return 2;
  if (chatsdk_client_create(config, &client, NULL) != CHATSDK_OK) return 1;
  chatsdk_config_destroy(config);
  if (chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL) != CHATSDK_OK) return 1;

  me.user_id = argv[2], me.user_id_length = CHATSDK_STRLEN;
  me.password = argv[3], me.password_length = CHATSDK_STRLEN;
  chatsdk_client_register(client, &me, &request);
  chatsdk_client_start(client);

  while (!answered) {
    chatsdk_event* event = NULL;
    size_t count = 0;
    if (chatsdk_client_poll(client, 30000, &event, 1, &count) != CHATSDK_OK) break;
    if (chatsdk_event_type(event) == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(event) == request) {
      if (chatsdk_event_status(event) != CHATSDK_OK) break;
      chatsdk_client_direct_conversation(client, argv[4], CHATSDK_STRLEN, &conversation, NULL);
      chatsdk_client_send_text(client, conversation, "hello", CHATSDK_STRLEN, NULL, NULL, NULL, NULL);
    } else if (chatsdk_event_type(event) == CHATSDK_EVENT_MESSAGE_ADDED) {
      chatsdk_message* message = NULL;
      chatsdk_client_message(client, chatsdk_event_message(event), &message, NULL);
      printf("%s: %s\n", chatsdk_message_sender(message, NULL), chatsdk_message_text(message, NULL));
      answered = !chatsdk_message_is_own(message);
      chatsdk_message_release(message);
    }
    chatsdk_event_release(event);
  }
  chatsdk_client_destroy(client);
  return answered ? 0 : 1;
}
