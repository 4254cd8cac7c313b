/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-in with a token that the app's own backend signed. Usage: assertion_test GOOD FORGED SERVER_URL; both tokens name
 * the user "backend-user".
 */
#include "online.h"

static int32_t log_in_with(chatsdk_client* client, const char* assertion) {
  uint64_t request = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_login_with_assertion(client, assertion, CHATSDK_STRLEN, &request, NULL));
  return completed(client, request);
}

int main(int argc, char** argv) {
  char user[64];
  char large[8193];
  size_t length = 0;
  uint64_t request = 77;
  CHECK(argc == 4);
  chatsdk_client* client = online_client(argv[3], "assertion.db", "phone");
  memset(large, 'a', sizeof large);
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_client_login_with_assertion(client, large, sizeof large, &request, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_login_with_assertion(client, "", 0, &request, NULL));
  CHECK(request == 77);

  CHECK(log_in_with(client, argv[2]) == CHATSDK_UNAUTHENTICATED);
  CHECK_STATUS(CHATSDK_NOT_LOGGED_IN, chatsdk_client_user_id(client, user, sizeof user, &length, NULL));

  /* The account is made on first sight, and the store is its user's from here on. */
  CHECK(log_in_with(client, argv[1]) == CHATSDK_OK);
  CHECK_STATUS(CHATSDK_TOO_SMALL, chatsdk_client_user_id(client, NULL, 0, &length, NULL));
  CHECK(length == strlen("backend-user"));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_user_id(client, user, sizeof user, &length, NULL));
  CHECK(length == strlen("backend-user") && memcmp(user, "backend-user", length) == 0);

  /* What the exchange gave is a session like any other. */
  chatsdk_client* peer = online_client(argv[3], "assertion-peer.db", "peer");
  register_user(peer, "assertion-peer");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  await_state(client, send_text(client, conversation_with(client, "assertion-peer"), "hello"), CHATSDK_MESSAGE_SENT);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_logout(client, &request, NULL));
  CHECK(completed(client, request) == CHATSDK_OK);
  CHECK(log_in_with(client, argv[1]) == CHATSDK_OK);
  chatsdk_client_destroy(client);
  chatsdk_client_destroy(peer);
  return 0;
}
