/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends, pauses and waits, with other threads in the middle of them. Run in an empty directory.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <chatsdk/chatsdk.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static const uint8_t key[32] = {1};
static char silent_url[64]; /* of a server that takes connections and says nothing */

static void listen_silently(void) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(listener >= 0 && bind(listener, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK(listen(listener, 128) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&address, &size) == 0);
  snprintf(silent_url, sizeof silent_url, "http://127.0.0.1:%d", ntohs(address.sin_port));
}

static chatsdk_client* make_client(int32_t threading, const char* store) {
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, silent_url, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_threading(config, threading, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL));
  return client;
}

/* ---- Suspension ---------------------------------------------------------------------------------------------------
 */

static void a_request_completes_once_over_a_suspension(void) {
  chatsdk_client* client = make_client(CHATSDK_THREADING_THREADS, "suspended.db");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  for (int cycle = 0; cycle < 20; ++cycle) {
    uint64_t request = 0;
    int completions = 0;
    int32_t state = -1;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(client, "ann", 3, "password", 8, &request, NULL));
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(client, 10000, NULL));
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_connection_state(client, &state, NULL));
    CHECK(state == CHATSDK_CONNECTION_STOPPED);
    state = -1;
    for (;;) {
      chatsdk_event* event = NULL;
      size_t count = 0;
      const int32_t status = chatsdk_client_poll(client, 0, &event, 1, &count, NULL);
      if (status == CHATSDK_TIMED_OUT) break;
      CHECK_STATUS(CHATSDK_OK, status);
      if (chatsdk_event_type(event) == CHATSDK_EVENT_CONNECTION) state = chatsdk_event_connection_state(event);
      if (chatsdk_event_type(event) == CHATSDK_EVENT_COMPLETED) {
        CHECK(chatsdk_event_request(event) == request);
        CHECK(chatsdk_event_status(event) == CHATSDK_CANCELLED);
        ++completions;
      }
      chatsdk_event_release(event);
    }
    CHECK(completions == 1);
    CHECK(state == CHATSDK_CONNECTION_STOPPED);
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(client, NULL));
  }
  chatsdk_client_destroy(client);
}

static void a_store_that_is_gone_is_not_made_anew(void) {
  chatsdk_client* client = make_client(CHATSDK_THREADING_THREADS, "gone.db");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(client, 10000, NULL));
  CHECK(unlink("gone.db") == 0);
  unlink("gone.db-wal");
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_resume(client, NULL));
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_resume(client, NULL));
  chatsdk_client_destroy(client);
}

/* ---- Waits --------------------------------------------------------------------------------------------------------
 */

struct waiter {
  chatsdk_client* client;
  int64_t timeout_ms;
  int32_t status;
  atomic_int begun;
};

static void* poll_once(void* user) {
  struct waiter* waiter = (struct waiter*)user;
  chatsdk_event* event = NULL;
  size_t count = 0;
  atomic_store(&waiter->begun, 1);
  waiter->status = chatsdk_client_poll(waiter->client, waiter->timeout_ms, &event, 1, &count, NULL);
  if (waiter->status == CHATSDK_OK) chatsdk_event_release(event);
  return NULL;
}

/* Polls until the poll was this thread's to make. */
static void* poll_alone(void* user) {
  struct waiter* waiter = (struct waiter*)user;
  do {
    poll_once(waiter);
  } while (waiter->status == CHATSDK_BUSY);
  return NULL;
}

static void* sync_once(void* user) {
  struct waiter* waiter = (struct waiter*)user;
  atomic_store(&waiter->begun, 1);
  waiter->status = chatsdk_client_sync(waiter->client, waiter->timeout_ms, NULL);
  return NULL;
}

static void ignore(const chatsdk_event* event, void* user) {
  (void)event;
  if (user != NULL) ++*(int*)user;
}

static void the_longest_wait_is_for_ever(void) {
  struct waiter polls = {NULL, INT64_MAX, 0, 0};
  struct waiter syncs = {NULL, INT64_MAX, 0, 0};
  pthread_t poller, syncer;
  chatsdk_client* client = make_client(CHATSDK_THREADING_THREADS, "wait.db");
  polls.client = syncs.client = client;
  CHECK(pthread_create(&poller, NULL, poll_alone, &polls) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_wake(client, NULL));
  CHECK(pthread_join(poller, NULL) == 0);
  CHECK_STATUS(CHATSDK_CANCELLED, polls.status);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  CHECK(pthread_create(&syncer, NULL, sync_once, &syncs) == 0);
  while (!atomic_load(&syncs.begun)) sched_yield();
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(client, NULL));
  CHECK(pthread_join(syncer, NULL) == 0);
  CHECK_STATUS(CHATSDK_CANCELLED, syncs.status);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(client, INT64_MAX, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick(client, INT64_MAX, NULL, NULL, ignore, NULL));

  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_suspend(client, -1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_suspend(client, INT64_MIN, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_sync(client, -1, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_sync(client, INT64_MIN, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_tick(client, -1, NULL, NULL, ignore, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_tick(client, INT64_MIN, NULL, NULL, ignore, NULL));
  polls.timeout_ms = -2;
  poll_once(&polls);
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, polls.status);
  polls.timeout_ms = INT64_MIN;
  poll_once(&polls);
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, polls.status);
  chatsdk_client_destroy(client);
}

static void sync_knows_at_once_that_the_client_has_started(void) {
  chatsdk_client* client = make_client(CHATSDK_THREADING_THREADS, "sync.db");
  for (int i = 0; i < 500; ++i) {
    CHECK_STATUS(CHATSDK_CANCELLED, chatsdk_client_sync(client, 0, NULL));
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
    CHECK_STATUS(CHATSDK_TIMED_OUT, chatsdk_client_sync(client, 0, NULL));
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(client, NULL));
  }
  chatsdk_client_destroy(client);
}

/* ---- Pulling ------------------------------------------------------------------------------------------------------
 */

static void one_thread_pulls_at_a_time(void) {
  struct waiter polls = {NULL, -1, 0, 0};
  pthread_t poller;
  int32_t status;
  chatsdk_client* client = make_client(CHATSDK_THREADING_THREADS, "pull.db");
  polls.client = client;
  CHECK(pthread_create(&poller, NULL, poll_alone, &polls) == 0);
  do {
    status = chatsdk_client_tick(client, 0, NULL, NULL, ignore, NULL);
  } while (status == CHATSDK_OK);
  CHECK_STATUS(CHATSDK_BUSY, status);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_wake(client, NULL));
  CHECK(pthread_join(poller, NULL) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick(client, 0, NULL, NULL, ignore, NULL));
  chatsdk_client_destroy(client);
}

static void pull_inside(const chatsdk_event* event, void* user) {
  struct waiter polls = {(chatsdk_client*)user, 0, 0, 0};
  (void)event;
  poll_once(&polls);
  CHECK_STATUS(CHATSDK_BUSY, polls.status);
  CHECK_STATUS(CHATSDK_BUSY, chatsdk_client_tick((chatsdk_client*)user, 0, NULL, NULL, ignore, NULL));
}

/* Each start and stop leaves two events. */
static void leave_events(chatsdk_client* client, int pairs) {
  for (int i = 0; i < pairs; ++i) {
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(client, NULL));
  }
}

static void a_tick_without_budget_is_one_whole_round(void) {
  int handled = 0;
  size_t count = 0;
  chatsdk_client* client = make_client(CHATSDK_THREADING_TICK, "round.db");
  leave_events(client, 50);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick(client, 0, &count, NULL, ignore, &handled));
  CHECK(handled == 100 && count == 100);
  chatsdk_client_destroy(client);

  client = make_client(CHATSDK_THREADING_THREADS, "inside.db");
  leave_events(client, 1);
  do {
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick(client, 0, &count, NULL, pull_inside, client));
  } while (count == 0);
  chatsdk_client_destroy(client);
}

struct hook_state {
  int entered[2], go_on[2];
};

static void hook_that_waits(void* user) {
  struct hook_state* state = (struct hook_state*)user;
  char byte = 1;
  CHECK(write(state->entered[1], &byte, 1) == 1);
  CHECK(read(state->go_on[0], &byte, 1) == 0); /* until it is closed */
}

static void pulling_does_not_wait_for_the_ready_hook(void) {
  struct hook_state state;
  struct waiter polls = {NULL, -1, 0, 0};
  uint64_t request = 0;
  char byte = 1;
  chatsdk_client* client = polls.client = make_client(CHATSDK_THREADING_THREADS, "hook.db");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_login(client, "ann", 3, "password", 8, &request, NULL));
  CHECK(pipe(state.entered) == 0 && pipe(state.go_on) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_ready_hook(client, NULL, hook_that_waits, &state, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  CHECK(read(state.entered[0], &byte, 1) == 1);
  poll_once(&polls);
  CHECK_STATUS(CHATSDK_OK, polls.status);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_wake(client, NULL));
  close(state.go_on[1]);
  chatsdk_client_destroy(client); /* waits until the hook has returned */
  close(state.go_on[0]);
  close(state.entered[0]);
  close(state.entered[1]);
}

/* ---- Ends ---------------------------------------------------------------------------------------------------------
 */

static void after_close_every_call_gives_closed(int32_t threading) {
  chatsdk_event* event = NULL;
  size_t count = 0;
  uint64_t number = 0;
  int32_t state = 0;
  chatsdk_client* client = make_client(threading, "closed.db");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_close(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_close(client, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_poll(client, -1, &event, 1, &count, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_tick(client, 0, NULL, NULL, ignore, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_sync(client, INT64_MAX, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_start(client, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_stop(client, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_suspend(client, 1000, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_resume(client, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_wake(client, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_unread_total(client, &number, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_connection_state(client, &state, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_login(client, "ann", 3, "password", 8, &number, NULL));
  CHECK_STATUS(CHATSDK_CLOSED, chatsdk_client_open_store(client, "closed.db", CHATSDK_STRLEN, key, 32, NULL));
  chatsdk_client* next = make_client(threading, "closed.db"); /* the store is free */
  chatsdk_client_destroy(next);
  chatsdk_client_destroy(client);
}

struct loop {
  chatsdk_client* client;
  atomic_int calls;
};

static void* poll_until_closed(void* user) {
  struct loop* loop = (struct loop*)user;
  for (;;) {
    chatsdk_event* events[4];
    size_t count = 0;
    const int32_t status = chatsdk_client_poll(loop->client, 5, events, 4, &count, NULL);
    for (size_t i = 0; status == CHATSDK_OK && i < count; ++i) chatsdk_event_release(events[i]);
    atomic_fetch_add(&loop->calls, 1);
    if (status == CHATSDK_CLOSED) return NULL;
    CHECK(status == CHATSDK_OK || status == CHATSDK_TIMED_OUT || status == CHATSDK_CANCELLED || status == CHATSDK_BUSY);
  }
}

static void* use_until_closed(void* user) {
  struct loop* loop = (struct loop*)user;
  for (;;) {
    uint64_t count = 0;
    int32_t status = chatsdk_client_unread_total(loop->client, &count, NULL);
    if (status == CHATSDK_OK) status = chatsdk_client_login(loop->client, "ann", 3, "password", 8, &count, NULL);
    if (status == CHATSDK_OK) status = chatsdk_client_sync(loop->client, 1, NULL);
    atomic_fetch_add(&loop->calls, 1);
    if (status == CHATSDK_CLOSED) return NULL;
    CHECK(status == CHATSDK_TIMED_OUT || status == CHATSDK_CANCELLED);
  }
}

static void a_client_is_closed_under_its_users_and_then_destroyed(void) {
  for (int round = 0; round < 20; ++round) {
    pthread_t threads[4];
    struct loop loop;
    loop.client = make_client(CHATSDK_THREADING_THREADS, "users.db");
    atomic_init(&loop.calls, 0);
    if (round % 2 == 0) CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(loop.client, NULL));
    for (int i = 0; i < 4; ++i) {
      CHECK(pthread_create(&threads[i], NULL, i < 2 ? poll_until_closed : use_until_closed, &loop) == 0);
    }
    while (atomic_load(&loop.calls) < round) sched_yield();
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_close(loop.client, NULL));
    for (int i = 0; i < 4; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
    chatsdk_client_destroy(loop.client);
  }
}

static void a_poll_under_way_ends_when_the_client_is_destroyed(void) {
  for (int round = 0; round < 20; ++round) {
    struct waiter polls = {NULL, round % 2 == 0 ? -1 : INT64_MAX, 0, 0};
    pthread_t poller;
    int32_t status;
    polls.client = make_client(CHATSDK_THREADING_THREADS, "polled.db");
    CHECK(pthread_create(&poller, NULL, poll_alone, &polls) == 0);
    do { /* until the poll has begun */
      status = chatsdk_client_tick(polls.client, 0, NULL, NULL, ignore, NULL);
    } while (status != CHATSDK_BUSY);
    chatsdk_client_destroy(polls.client);
    CHECK(pthread_join(poller, NULL) == 0);
    CHECK_STATUS(CHATSDK_CLOSED, polls.status);
  }
}

static void close_inside(const chatsdk_event* event, void* user) {
  (void)event;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_close((chatsdk_client*)user, NULL));
}

static void a_handler_may_close(void) {
  size_t count = 0;
  chatsdk_client* client = make_client(CHATSDK_THREADING_TICK, "handler.db");
  leave_events(client, 5);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick(client, 0, &count, NULL, close_inside, client));
  CHECK(count == 1);
  chatsdk_client_destroy(client);
}

/* ---- Configuration ------------------------------------------------------------------------------------------------
 */

static void a_server_url_is_checked_whole(void) {
  static const char* const good[] = {"http://h",        "https://h",         "HTTPS://Chat.Example", "http://h/",
                                     "http://h:1",      "https://h:65535",   "http://127.0.0.1:80",  "http://[::1]",
                                     "http://[::1]:81", "https://a-b.c_d.e."};
  static const char* const bad[] = {
      "http://exa mple", "https://h:99999",   "https://h:0",         "https://h:",       "https://h:1x",
      "https://user@h",  "https://u:p@h",     "http://[::1",         "http://[::1]x",    "http://[h]",
      "http://h/path",   "http://h/path?q#f", "http://h?q",          "http://h#f",       "http:///",
      "http://",         "https://:80",       "ftp://host",          "ws://hostname",    "chat.example",
      "http:/h.example", "//chat.example",    "http://h\\x.example", "http://h\r\nx: y", "http://h\x01.example"};
  chatsdk_config* config = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
    CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, good[i], CHATSDK_STRLEN, NULL));
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    if (chatsdk_config_set_server_url(config, bad[i], CHATSDK_STRLEN, NULL) != CHATSDK_INVALID_ARGUMENT) {
      fprintf(stderr, "accepted: %s\n", bad[i]);
      exit(1);
    }
  }
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_config_set_server_url(config, "http://a\0b", 10, NULL));
  chatsdk_config_destroy(config);
}

int main(void) {
  listen_silently();
  a_request_completes_once_over_a_suspension();
  a_store_that_is_gone_is_not_made_anew();
  the_longest_wait_is_for_ever();
  sync_knows_at_once_that_the_client_has_started();
  one_thread_pulls_at_a_time();
  a_tick_without_budget_is_one_whole_round();
  pulling_does_not_wait_for_the_ready_hook();
  after_close_every_call_gives_closed(CHATSDK_THREADING_THREADS);
  after_close_every_call_gives_closed(CHATSDK_THREADING_TICK);
  a_client_is_closed_under_its_users_and_then_destroyed();
  a_poll_under_way_ends_when_the_client_is_destroyed();
  a_handler_may_close();
  a_server_url_is_checked_whole();
  return 0;
}
