/* SPDX-License-Identifier: Apache-2.0
 *
 * A client that waits long before it reconnects does so at once when told that the network changed. Usage:
 * network_changed_test SERVER_URL; prints "online", then "waiting" when the server is gone, and reads a line when the
 * server is back (network_changed.py does the rest).
 */
#include "online.h"

static void await_connection(chatsdk_client* client, int32_t state) {
  for (int32_t seen = -1; seen != state;) {
    chatsdk_event* event = await_event(client, CHATSDK_EVENT_CONNECTION);
    seen = chatsdk_event_connection_state(event);
    if (seen == CHATSDK_CONNECTION_WAITING) {
      CHECK(chatsdk_event_error(event) != NULL);
      CHECK(chatsdk_event_retry_in_ms(event) >= 0 && chatsdk_event_retry_in_ms(event) <= 3600000);
    }
    chatsdk_event_release(event);
  }
}

int main(int argc, char** argv) {
  static const uint8_t key[32] = {9};
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  int32_t state = 0;
  char line[16];
  CHECK(argc == 2);
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, argv[1], CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_backoff_ms(config, 3600000, 3600000, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_network_changed(client, NULL)); /* nothing is open yet: nothing to do */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, "network.db", CHATSDK_STRLEN, key, sizeof key, NULL));
  register_user(client, "network");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  await_connection(client, CHATSDK_CONNECTION_ONLINE);

  /* On a connection that lives it only asks whether it does. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_network_changed(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_connection_state(client, &state, NULL));
  CHECK(state == CHATSDK_CONNECTION_ONLINE);

  puts("online");
  fflush(stdout);
  await_connection(client, CHATSDK_CONNECTION_WAITING);
  puts("waiting");
  fflush(stdout);
  CHECK(fgets(line, sizeof line, stdin) != NULL);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_network_changed(client, NULL));
  await_connection(client, CHATSDK_CONNECTION_ONLINE);
  chatsdk_client_destroy(client);
  return 0;
}
