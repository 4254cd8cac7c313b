/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory fails while a client is at work: not in a call of the app's, but in the engine's turns, in libcurl and in
 * libwebsockets. Allocation N of an allocator fails, or a few from N on, in the one thread of a client in tick mode and
 * in the library's own threads; a tick may say NO_MEMORY. Then memory is there again, and the client goes on by itself:
 * it comes online, what was sent arrives once, what was sent to it arrives, every request completes, and whatever the
 * app was not told of it was told to read anew. What they write is end-to-end encrypted, and nothing comes that could
 * not be decrypted; with "plain" it is not encrypted. Usage: live_memory_test SERVER_URL [plain], in an empty
 * directory.
 */
#define _GNU_SOURCE
#include <time.h>

#include "failing_allocator.h"
#include "online.h"

enum { kAllocationsMax = 20000, kPatienceS = 20 };

static const uint8_t key[32] = {9};
static const char* url;
static int complete; /* CHATSDK_LONG: each allocation fails */
static int plain;

typedef struct side {
  chatsdk_client* client;
  uint64_t peer; /* the conversation */
  int added;     /* messages that it was told of, own ones apart */
  int resyncs;
  int32_t connection; /* as it was told */
  uint64_t request;
  int completed;
} side;

static chatsdk_client* client_of(const char* store, int32_t threading) {
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_threading(config, threading, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_backoff_ms(config, 1, 20, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL));
  return client;
}

static void CHATSDK_CALL take(const chatsdk_event* event, void* user) {
  side* s = user;
  const int32_t type = chatsdk_event_type(event);
  if (type == CHATSDK_EVENT_RESYNC) ++s->resyncs;
  if (type == CHATSDK_EVENT_CONNECTION) s->connection = chatsdk_event_connection_state(event);
  if (type == CHATSDK_EVENT_MESSAGE_ADDED) ++s->added;
  if (type == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(event) == s->request) ++s->completed;
}
static int32_t tick(side* s) { return chatsdk_client_tick(s->client, 0, NULL, NULL, take, s); }

static uint64_t unread(side* s) {
  uint64_t count = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_unread_total(s->client, &count, NULL));
  return count;
}
static uint64_t conversation_of(chatsdk_client* client, const char* peer) {
  return plain ? conversation_with(client, peer) : encrypted_with(client, peer);
}
static int32_t connection_of(side* s) {
  int32_t state = -1;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_connection_state(s->client, &state, NULL));
  return state;
}

/* ben is driven from this thread, whose allocations pass while ann's are failing. */
static side ann;
static side ben;
static uint64_t sent_by_ann;
static uint64_t sent_by_ben;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int32_t list_devices(void) { return chatsdk_client_list_devices(ann.client, &ann.request, NULL); }
static int32_t start(void) { return chatsdk_client_start(ann.client, NULL); }
/* The engine's thread may find no memory for a call: then it has not begun. */
static void until_ok(int32_t (*call)(void)) {
  int32_t status = call();
  while (status == CHATSDK_NO_MEMORY) status = call();
  CHECK_STATUS(CHATSDK_OK, status);
}

/* Whether allocation n was reached. */
static int live(int32_t threading, unsigned which, long n, long failures) {
  memset(&ann, 0, sizeof ann);
  ann.client = client_of("ann.db", threading);
  ann.peer = conversation_of(ann.client, "ben");
  const uint64_t unread_before = unread(&ann);
  send_text(ben.client, ben.peer, "from ben");
  ++sent_by_ben;

  const uint64_t message = send_text(ann.client, ann.peer, "from ann");
  ++sent_by_ann;
  const int ticks = threading == CHATSDK_THREADING_TICK;
  const double late = now() + kPatienceS;
  if (!ticks) arm_only(which, kOtherThreads, n, failures);
  until_ok(list_devices);
  until_ok(start);
  if (ticks) arm_only(which, kThisThread, n, failures);
  int at_work = 1;
  while (at_work && atomic_load(&passes) > -failures) {
    if (ticks) atomic_store(&armed, kThisThread);
    const int32_t status = tick(&ann);
    if (ticks) atomic_store(&armed, kNobody);
    if (status != CHATSDK_OK) CHECK_STATUS(CHATSDK_NO_MEMORY, status);
    CHECK_STATUS(CHATSDK_OK, tick(&ben));
    at_work = ann.connection != CHATSDK_CONNECTION_ONLINE || ann.completed == 0 || ann.added + ann.resyncs == 0;
    if (now() > late) at_work = 0;
  }
  const int failed = disarm();
  for (;;) {
    CHECK_STATUS(CHATSDK_OK, tick(&ann));
    CHECK_STATUS(CHATSDK_OK, tick(&ben));
    const int32_t state = state_of(ann.client, message);
    if (connection_of(&ann) == CHATSDK_CONNECTION_ONLINE && state >= CHATSDK_MESSAGE_SENT &&
        state < CHATSDK_MESSAGE_FAILED && unread(&ann) == unread_before + 1 && ann.completed == 1) {
      break;
    }
    if (now() > late) {
      fprintf(stderr, "%s, %x, allocation %ld, %ld failures: connection %d, message %d, unread %d, completed %d\n",
              ticks ? "ticks" : "threads", which, n, failures, connection_of(&ann), state,
              (int)(unread(&ann) - unread_before), ann.completed);
      exit(1);
    }
  }
  CHECK(ann.added > 0 || ann.resyncs > 0);
  chatsdk_client_destroy(ann.client);
  return failed;
}

/* Whose allocations fail, how many, and how far from one run to the next in a sample. */
static const struct {
  const char* name;
  unsigned which;
  long failures;
  long spacing;
} sweeps[] = {
    {"operator new", kOperatorNew, 1, 7},
    {"SQLite", kSqlite, 1, 31},
    {"libcurl", kCurl, 1, 5},
    {"libwebsockets", kWebsockets, 1, 1},
    {"OpenSSL", kOpenSsl, 1, 101},
    {"all of them, a burst", kEvery & ~kWebsockets, 8, 61},
};

/* Libwebsockets 4.1.6 follows a null pointer of its own when its eighth allocation fails. */
static int ends_the_process(unsigned which, long n) { return which == kWebsockets && n == 7; }

static void sweep(int32_t threading, int i) {
  long n = 0;
  int runs = 0;
  for (int failed = 1; failed && n < kAllocationsMax; n += complete ? 1 : sweeps[i].spacing) {
    if (ends_the_process(sweeps[i].which, n)) continue;
    failed = live(threading, sweeps[i].which, n, sweeps[i].failures);
    ++runs;
  }
  CHECK(runs > 1 && n < kAllocationsMax);
  printf("%s, %s: %d runs\n", threading == CHATSDK_THREADING_TICK ? "ticks" : "threads", sweeps[i].name, runs);
}

/* Every text of both, once. */
static void nothing_is_lost(const char* user, side* s, uint64_t own, uint64_t others) {
  uint64_t seen[2] = {0, 0};
  uint64_t after = 0;
  for (int more = 1; more;) {
    chatsdk_message_list* list = NULL;
    CHECK_STATUS(CHATSDK_OK, after == 0
                                 ? chatsdk_client_history_after(s->client, s->peer, 0, 200, &list, NULL)
                                 : chatsdk_client_history_after_message(s->client, s->peer, after, 200, &list, NULL));
    const size_t size = chatsdk_message_list_size(list);
    for (size_t i = 0; i < size; ++i) {
      const chatsdk_message* row = chatsdk_message_list_at(list, i);
      after = chatsdk_message_key(row);
      ++seen[chatsdk_message_is_own(row) != 0];
      CHECK(chatsdk_message_is_undecryptable(row) == 0);
    }
    more = size > 0 && chatsdk_message_list_has_more(list);
    chatsdk_message_list_release(list);
  }
  printf("%s has %d own texts and %d others\n", user, (int)seen[1], (int)seen[0]);
  CHECK(seen[1] == own && seen[0] == others);
}

int main(int argc, char** argv) {
  CHECK(argc == 2 || argc == 3);
  plain = argc == 3;
  url = argv[argc - 1];
  setvbuf(stdout, NULL, _IOLBF, 0);
  complete = getenv("CHATSDK_LONG") != NULL;
  {
    chatsdk_client* first = online_client(url, "ann.db", "phone");
    register_user(first, "ann");
    chatsdk_client* second = online_client(url, "ben.db", "phone");
    register_user(second, "ben");
    go_online(first); /* what the libraries do once in a process is done */
    go_online(second);
    await_encryption(first, CHATSDK_ENCRYPTION_READY);
    await_encryption(second, CHATSDK_ENCRYPTION_READY);
    chatsdk_client_destroy(second);
    chatsdk_client_destroy(first);
  }
  memset(&ben, 0, sizeof ben);
  ben.client = client_of("ben.db", CHATSDK_THREADING_TICK);
  ben.peer = conversation_of(ben.client, "ann");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(ben.client, NULL));

  for (size_t i = 0; i < sizeof sweeps / sizeof sweeps[0]; ++i) {
    sweep(CHATSDK_THREADING_TICK, (int)i);
    sweep(CHATSDK_THREADING_THREADS, (int)i);
  }

  memset(&ann, 0, sizeof ann);
  ann.client = client_of("ann.db", CHATSDK_THREADING_TICK);
  ann.peer = conversation_of(ann.client, "ben");
  nothing_is_lost("ann", &ann, sent_by_ann, sent_by_ben);
  while (unread(&ben) < sent_by_ann) CHECK_STATUS(CHATSDK_OK, tick(&ben));
  nothing_is_lost("ben", &ben, sent_by_ben, sent_by_ann);
  chatsdk_client_destroy(ann.client);
  chatsdk_client_destroy(ben.client);
  CHECK(print_failures(kOperatorNew | kSqlite | kCurl | kWebsockets | kOpenSsl));
  return 0;
}
