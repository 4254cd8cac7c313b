/* SPDX-License-Identifier: Apache-2.0
 *
 * What the layer below said stands in the error object: of a call that fails at once, and of a request that fails
 * later. Usage: causes_test SERVER_URL, in an empty directory.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "online.h"

static const uint8_t key[32] = {9};

static chatsdk_client* client_of(const char* url) {
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  return client;
}

static void files_tell_what_the_system_said(const char* url) {
  chatsdk_client* client = client_of(url);
  chatsdk_error* error = NULL;

  CHECK_STATUS(CHATSDK_STORAGE, chatsdk_client_open_store(client, "no/such/place.db", CHATSDK_STRLEN, key, 32, &error));
  CHECK(chatsdk_error_cause_domain(error) == CHATSDK_CAUSE_SYSTEM);
  CHECK(chatsdk_error_cause_code(error) == ENOENT);
  chatsdk_error_release(error);

  CHECK(mkdir("directory.db", 0700) == 0);
  CHECK_STATUS(CHATSDK_STORAGE, chatsdk_client_open_store(client, "directory.db", CHATSDK_STRLEN, key, 32, &error));
  CHECK(chatsdk_error_cause_domain(error) == CHATSDK_CAUSE_SYSTEM);
  CHECK(chatsdk_error_cause_code(error) == EISDIR);
  chatsdk_error_release(error);
  chatsdk_client_destroy(client);
}

static void the_store_tells_what_sqlite_said(const char* url) {
  enum { kCannotOpen = 14 }; /* SQLITE_CANTOPEN */
  chatsdk_client* client = client_of(url);
  chatsdk_error* error = NULL;

  CHECK(symlink("blocked.db", "blocked.db") == 0); /* leads to itself */
  CHECK_STATUS(CHATSDK_STORAGE, chatsdk_client_open_store(client, "blocked.db", CHATSDK_STRLEN, key, 32, &error));
  CHECK(chatsdk_error_cause_domain(error) == CHATSDK_CAUSE_SQLITE);
  CHECK((chatsdk_error_cause_code(error) & 0xFF) == kCannotOpen);
  chatsdk_error_release(error);
  chatsdk_client_destroy(client);
}

static void the_callers_own_mistakes_have_no_cause(const char* url) {
  chatsdk_client* client = client_of(url);
  chatsdk_error* error = NULL;

  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_open_store(client, "x.db", CHATSDK_STRLEN, key, 31, &error));
  CHECK(chatsdk_error_cause_domain(error) == CHATSDK_CAUSE_NONE);
  CHECK(chatsdk_error_cause_code(error) == 0);
  chatsdk_error_release(error);
  CHECK(chatsdk_error_cause_domain(NULL) == CHATSDK_CAUSE_NONE);
  CHECK(chatsdk_error_cause_code(NULL) == 0);
  chatsdk_client_destroy(client);
}

/* Logs in where that must fail, and holds the completion's error against this. */
static void log_in_fails(chatsdk_client* client, int32_t status, int32_t domain, int32_t code) {
  uint64_t request = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(client, "causes", 6, "a wrong password", 16, &request, NULL));
  chatsdk_event* event = await_completion(client, request);
  const chatsdk_error* error = chatsdk_event_error(event);
  CHECK_STATUS(status, chatsdk_event_status(event));
  CHECK(chatsdk_error_status(error) == status);
  CHECK(chatsdk_error_cause_domain(error) == domain);
  CHECK(chatsdk_error_cause_code(error) == code);
  chatsdk_event_release(event);
}

static void requests_tell_what_the_network_and_the_server_said(const char* url) {
  enum { kCouldNotConnect = 7, kUnauthorized = 401 }; /* CURLE_COULDNT_CONNECT, RFC 9110 section 15.5.2 */
  chatsdk_client* one = online_client(url, "one.db", "phone");
  chatsdk_client* two = online_client(url, "two.db", "tablet");
  chatsdk_client* nowhere = online_client("http://127.0.0.1:1", "nowhere.db", "island");

  register_user(one, "causes");
  log_in_fails(two, CHATSDK_UNAUTHENTICATED, CHATSDK_CAUSE_HTTP, kUnauthorized);
  log_in_fails(nowhere, CHATSDK_NETWORK, CHATSDK_CAUSE_CURL, kCouldNotConnect);

  chatsdk_client_destroy(nowhere);
  chatsdk_client_destroy(two);
  chatsdk_client_destroy(one);
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  files_tell_what_the_system_said(argv[1]);
  the_store_tells_what_sqlite_said(argv[1]);
  the_callers_own_mistakes_have_no_cause(argv[1]);
  requests_tell_what_the_network_and_the_server_said(argv[1]);
  return 0;
}
