/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a client without any server: stores and their errors, suspension, events, ticks, hooks and the end at
 * every step. Run in an empty directory.
 */
#define _POSIX_C_SOURCE 200809L
#include <chatsdk/chatsdk.h>
#include <dirent.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static const uint8_t key[32] = {1};
static const uint8_t other_key[32] = {2};

static chatsdk_client* make_client(int32_t threading) {
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  /* Nobody listens on port 1. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, "http://127.0.0.1:1", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_threading(config, threading, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  return client;
}

static chatsdk_client* make_open_client(int32_t threading, const char* store) {
  chatsdk_client* client = make_client(threading);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL));
  return client;
}

/* How many descriptors of this process name a file whose name contains text. */
static int open_files(const char* text) {
  int count = 0;
  DIR* dir = opendir("/proc/self/fd");
  CHECK(dir != NULL);
  for (struct dirent* entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    char link[300], target[512];
    ssize_t size;
    snprintf(link, sizeof link, "/proc/self/fd/%.250s", entry->d_name);
    size = readlink(link, target, sizeof target - 1);
    if (size <= 0) continue;
    target[size] = 0;
    if (strstr(target, text) != NULL) ++count;
  }
  closedir(dir);
  return count;
}

static void a_store_that_is_gone_is_made_anew_only_when_asked(void) {
  chatsdk_error* error = NULL;
  chatsdk_client* client = make_open_client(CHATSDK_THREADING_THREADS, "gone.db");
  CHECK_STATUS(CHATSDK_WRONG_STATE,
               chatsdk_client_recreate_store(client, "gone.db", CHATSDK_STRLEN, key, sizeof key, NULL));
  chatsdk_client_destroy(client);
  CHECK(truncate("gone.db", 4096) == 0);

  client = make_client(CHATSDK_THREADING_THREADS);
  CHECK_STATUS(CHATSDK_CORRUPT, chatsdk_client_open_store(client, "gone.db", CHATSDK_STRLEN, key, sizeof key, &error));
  CHECK(strstr(chatsdk_error_message(error, NULL), "gone.db.corrupt-1") != NULL);
  chatsdk_error_release(error);
  CHECK_STATUS(CHATSDK_CORRUPT, chatsdk_client_open_store(client, "gone.db", CHATSDK_STRLEN, key, sizeof key, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_recreate_store(client, "gone.db", CHATSDK_STRLEN, key, sizeof key, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  chatsdk_client_destroy(client);

  client = make_client(CHATSDK_THREADING_THREADS);
  CHECK_STATUS(CHATSDK_ALREADY_EXISTS,
               chatsdk_client_recreate_store(client, "gone.db", CHATSDK_STRLEN, key, sizeof key, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, "gone.db", CHATSDK_STRLEN, key, sizeof key, NULL));
  chatsdk_client_destroy(client);
}

static void a_store_opens_only_with_its_key(void) {
  chatsdk_error* error = NULL;
  chatsdk_client* client = make_client(CHATSDK_THREADING_THREADS);
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_start(client, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_open_store(client, "key.db", CHATSDK_STRLEN, key, 31, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_open_store(client, "key.db", CHATSDK_STRLEN, NULL, 32, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, "key.db", CHATSDK_STRLEN, key, 32, &error));
  CHECK(error == NULL);
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_open_store(client, "other.db", CHATSDK_STRLEN, key, 32, NULL));
  chatsdk_client_destroy(client);
  CHECK(open_files("key.db") == 0);

  client = make_client(CHATSDK_THREADING_THREADS);
  CHECK_STATUS(CHATSDK_WRONG_KEY, chatsdk_client_open_store(client, "key.db", CHATSDK_STRLEN, other_key, 32, &error));
  CHECK(chatsdk_error_status(error) == CHATSDK_WRONG_KEY);
  chatsdk_error_release(error);
  /* The same client may try again. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, "key.db", CHATSDK_STRLEN, key, 32, NULL));
  chatsdk_client_destroy(client);

  client = make_client(CHATSDK_THREADING_THREADS);
  CHECK_STATUS(CHATSDK_STORAGE, chatsdk_client_open_store(client, "no/such/dir/x.db", CHATSDK_STRLEN, key, 32, NULL));
  chatsdk_client_destroy(client);
}

static void nothing_is_sent_before_anybody_logged_in(void) {
  uint64_t conversation = 0, count = 77;
  char name[64];
  size_t length = 0;
  chatsdk_message_list* messages = NULL;
  chatsdk_conversation_list* list = NULL;
  chatsdk_client* client = make_open_client(CHATSDK_THREADING_THREADS, "empty.db");

  CHECK_STATUS(CHATSDK_NOT_LOGGED_IN, chatsdk_client_user_id(client, name, sizeof name, &length, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_unread_total(client, &count, NULL));
  CHECK(count == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_outbox_count(client, &count, NULL));
  CHECK(count == 0);
  if (chatsdk_client_direct_conversation(client, "peer", CHATSDK_STRLEN, &conversation, NULL) == CHATSDK_OK) {
    CHECK_STATUS(CHATSDK_NOT_LOGGED_IN,
                 chatsdk_client_send_text(client, conversation, "hello", CHATSDK_STRLEN, NULL, NULL, NULL, NULL));
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_before(client, conversation, 0, 1, &messages, NULL));
    CHECK(chatsdk_message_list_size(messages) == 0 && chatsdk_message_list_has_more(messages) == 0);
    chatsdk_message_list_release(messages);
  }
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_history_before(client, 999, 0, 1, &messages, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_message(client, 999, (chatsdk_message**)(void*)&messages, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_retry_message(client, 999, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_discard_message(client, 999, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_conversations(client, 0, 0, &list, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_conversations(client, 0, 201, &list, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversations(client, 0, 200, &list, NULL));
  chatsdk_conversation_list_release(list);
  chatsdk_client_destroy(client);
}

static void after_suspend_no_file_is_open(void) {
  uint64_t count = 0;
  chatsdk_client* client = make_open_client(CHATSDK_THREADING_THREADS, "suspend.db");
  CHECK(open_files("suspend.db") > 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(client, 5000, NULL));
  CHECK(open_files("suspend.db") == 0);
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_unread_total(client, &count, NULL));
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_suspend(client, 5000, NULL));

  /* Meanwhile another client of this process may hold it. */
  chatsdk_client* other = make_open_client(CHATSDK_THREADING_TICK, "suspend.db");
  chatsdk_client_destroy(other);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(client, NULL));
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_resume(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_unread_total(client, &count, NULL));
  chatsdk_client_destroy(client);
}

static uint64_t await_completion(chatsdk_client* client, uint64_t request, int32_t* out_status) {
  for (;;) {
    chatsdk_event* event = NULL;
    size_t count = 0;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_poll(client, 20000, &event, 1, &count, NULL));
    CHECK(count == 1);
    if (chatsdk_event_type(event) == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(event) == request) {
      *out_status = chatsdk_event_status(event);
      CHECK((*out_status == CHATSDK_OK) == (chatsdk_event_error(event) == NULL));
      chatsdk_event_release(event);
      return request;
    }
    chatsdk_event_release(event);
  }
}

static void a_request_without_a_server_completes_with_network(void) {
  uint64_t request = 0;
  int32_t status = CHATSDK_OK;
  chatsdk_client* client = make_open_client(CHATSDK_THREADING_THREADS, "request.db");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(client, "ann", 3, "password", 8, &request, NULL));
  CHECK(request != 0);
  await_completion(client, request, &status);
  CHECK(status == CHATSDK_NETWORK);
  chatsdk_client_destroy(client);
}

static void count_call(void* user) { ++*(int*)user; }
static void signal_ready(void* user) {
  const char byte = 1;
  CHECK(write(*(int*)user, &byte, 1) == 1);
}

static void the_ready_hook_signals_and_is_destroyed_once(void) {
  int pipe_ends[2];
  char byte;
  uint64_t request = 0;
  int destroyed = 0;
  chatsdk_client* client = make_open_client(CHATSDK_THREADING_THREADS, "hook.db");
  CHECK(pipe(pipe_ends) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_ready_hook(client, NULL, signal_ready, &pipe_ends[1], NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(client, "ann", 3, "password", 8, &request, NULL));
  CHECK(read(pipe_ends[0], &byte, 1) == 1);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_ready_hook(client, NULL, count_call, &destroyed, count_call));
  destroyed = 0; /* the hook itself may have signalled what waits */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_ready_hook(client, NULL, NULL, NULL, NULL));
  CHECK(destroyed == 1);
  chatsdk_client_destroy(client);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

static void* poll_without_limit(void* user) {
  chatsdk_event* event = NULL;
  size_t count = 0;
  int32_t status;
  do {
    status = chatsdk_client_poll((chatsdk_client*)user, -1, &event, 1, &count, NULL);
    if (status == CHATSDK_OK) chatsdk_event_release(event);
  } while (status == CHATSDK_OK);
  CHECK(status == CHATSDK_CANCELLED);
  return NULL;
}

static void wake_ends_a_poll(void) {
  pthread_t thread;
  chatsdk_event* event = NULL;
  size_t count = 0;
  chatsdk_client* client = make_open_client(CHATSDK_THREADING_THREADS, "wake.db");
  CHECK(pthread_create(&thread, NULL, poll_without_limit, client) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_wake(client, NULL));
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_poll(client, 0, NULL, 1, &count, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_poll(client, 0, &event, 0, &count, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_poll(client, -2, &event, 1, &count, NULL));
  chatsdk_client_destroy(client);
}

struct tick_state {
  chatsdk_client* client;
  uint64_t request;
  int completed;
  int destroy_inside;
};

static void on_event(const chatsdk_event* event, void* user) {
  struct tick_state* state = (struct tick_state*)user;
  if (chatsdk_event_request(event) == state->request && chatsdk_event_type(event) == CHATSDK_EVENT_COMPLETED) {
    uint64_t count = 0;
    state->completed = 1;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_unread_total(state->client, &count, NULL));
    CHECK_STATUS(CHATSDK_BUSY, chatsdk_client_tick(state->client, 0, NULL, NULL, on_event, user));
    if (state->destroy_inside) chatsdk_client_destroy(state->client);
  }
}

static void ticks_do_all_the_work_without_threads(int destroy_inside) {
  struct tick_state state = {NULL, 0, 0, 0};
  chatsdk_event* event = NULL;
  size_t count = 0;
  state.destroy_inside = destroy_inside;
  state.client = make_open_client(CHATSDK_THREADING_TICK, "tick.db");
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_poll(state.client, 0, &event, 1, &count, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(state.client, "ann", 3, "password", 8, &state.request, NULL));
  while (!state.completed)
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick(state.client, 5, &count, NULL, on_event, &state));
  if (!destroy_inside) chatsdk_client_destroy(state.client);
  CHECK(open_files("tick.db") == 0);
}

static void a_client_may_end_at_every_step(void) {
  static const int32_t threadings[2] = {CHATSDK_THREADING_THREADS, CHATSDK_THREADING_TICK};
  for (int t = 0; t < 2; ++t) {
    for (int step = 0; step < 7; ++step) {
      uint64_t request = 0;
      chatsdk_client* client = make_client(threadings[t]);
      if (step >= 1)
        CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, "end.db", CHATSDK_STRLEN, key, 32, NULL));
      if (step >= 2) CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
      if (step >= 3) CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(client, "ann", 3, "password", 8, &request, NULL));
      if (step >= 4) CHECK_STATUS(CHATSDK_OK, chatsdk_client_network_changed(client, NULL));
      if (step >= 5) CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(client, NULL));
      if (step >= 6) CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(client, 5000, NULL));
      chatsdk_client_destroy(client);
      CHECK(open_files("end.db") == 0);
    }
  }
}

static void two_clients_live_in_one_process(void) {
  chatsdk_client* one = make_open_client(CHATSDK_THREADING_THREADS, "one.db");
  chatsdk_client* two = make_open_client(CHATSDK_THREADING_TICK, "two.db");
  chatsdk_client* third = make_client(CHATSDK_THREADING_THREADS);
  CHECK_STATUS(CHATSDK_STORE_IN_USE, chatsdk_client_open_store(third, "one.db", CHATSDK_STRLEN, key, 32, NULL));
  chatsdk_client_destroy(third);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(one, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(two, NULL));
  chatsdk_client_destroy(one);
  chatsdk_client_destroy(two);
}

static void a_log_hook_is_destroyed_with_its_last_user(void) {
  int destroyed = 0;
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, "http://127.0.0.1:1", CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_log(config, CHATSDK_LOG_ERROR, NULL, NULL, &destroyed, count_call));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  CHECK(destroyed == 0);
  chatsdk_client_destroy(client);
  CHECK(destroyed == 1);
}

int main(void) {
  a_store_opens_only_with_its_key();
  a_store_that_is_gone_is_made_anew_only_when_asked();
  nothing_is_sent_before_anybody_logged_in();
  after_suspend_no_file_is_open();
  a_request_without_a_server_completes_with_network();
  the_ready_hook_signals_and_is_destroyed_once();
  wake_ends_a_poll();
  ticks_do_all_the_work_without_threads(0);
  ticks_do_all_the_work_without_threads(1);
  a_client_may_end_at_every_step();
  two_clients_live_in_one_process();
  a_log_hook_is_destroyed_with_its_last_user();
  return 0;
}
