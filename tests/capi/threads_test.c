/* SPDX-License-Identifier: Apache-2.0
 *
 * The library's threads have the names that the app asked for: the kernel's list of this process says so.
 * Usage: threads_test SERVER_URL, in an empty directory.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>

#include "online.h"

/* How many threads of this process have a name that begins so. */
static int threads_named(const char* beginning) {
  int count = 0;
  DIR* tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  for (const struct dirent* task = readdir(tasks); task != NULL; task = readdir(tasks)) {
    char path[300];
    char name[64] = {0};
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
    FILE* file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
    if (file == NULL) continue; /* no thread, or one that has just ended */
    if (fgets(name, sizeof name, file) != NULL && strncmp(name, beginning, strlen(beginning)) == 0) ++count;
    fclose(file);
  }
  closedir(tasks);
  return count;
}

static chatsdk_client* client_named(const char* url, const char* store, const char* prefix) {
  static const uint8_t key[32] = {9};
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL));
  if (prefix != NULL) {
    CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_thread_name(config, prefix, CHATSDK_STRLEN, NULL));
  }
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL));
  return client;
}

/* Ten bytes, the most: what is added still fits into the fifteen that Linux keeps. */
static void threads_begin_with_the_apps_name(const char* url) {
  chatsdk_client* client = client_named(url, "named.db", "mygame1234");
  register_user(client, "named");
  CHECK(threads_named("mygame1234-http\n") == 1);
  go_online(client);
  CHECK(threads_named("mygame1234-eng\n") == 1);
  CHECK(threads_named("mygame1234-ws\n") == 1);
  CHECK(threads_named("chatsdk-") == 0);
  chatsdk_client_destroy(client);
  CHECK(threads_named("mygame1234") == 0);
}

static void threads_begin_with_chatsdk_by_default(const char* url) {
  chatsdk_client* client = client_named(url, "unnamed.db", NULL);
  register_user(client, "unnamed");
  CHECK(threads_named("chatsdk-http\n") == 1);
  go_online(client);
  CHECK(threads_named("chatsdk-eng\n") == 1);
  CHECK(threads_named("chatsdk-ws\n") == 1);
  chatsdk_client_destroy(client);
  CHECK(threads_named("chatsdk-") == 0);
}

static void names_that_do_not_fit_are_refused(void) {
  chatsdk_config* config = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_thread_name(config, "a", 1, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_thread_name(config, "0123456789", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_TOO_LARGE, chatsdk_config_set_thread_name(config, "0123456789a", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_thread_name(config, "", 0, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_thread_name(config, "a\nb", 3, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_thread_name(config, "a\0b", 3, NULL));
  CHECK_STATUS(CHATSDK_INVALID_UTF8, chatsdk_config_set_thread_name(config, "\xFF", 1, NULL));
  chatsdk_config_destroy(config);
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  names_that_do_not_fit_are_refused();
  threads_begin_with_the_apps_name(argv[1]);
  threads_begin_with_chatsdk_by_default(argv[1]);
  return 0;
}
