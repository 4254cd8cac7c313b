/* SPDX-License-Identifier: Apache-2.0
 *
 * Suspension and ends of a client that is online and has much to do. Usage: live_ending_test SERVER_URL
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "online.h"

/* ---- Suspension ---- */

enum { kDescriptorsMax = 512, kLinkMax = 256 };

/* What each open descriptor of the process is: the name of a file, "socket:[…]", "anon_inode:[…]"; empty: not open. */
struct descriptors {
  char links[kDescriptorsMax][kLinkMax];
};

static void look_at_descriptors(struct descriptors* seen) {
  DIR* directory = opendir("/proc/self/fd");
  CHECK(directory != NULL);
  memset(seen, 0, sizeof *seen);
  for (struct dirent* entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
    const long number = strtol(entry->d_name, NULL, 10);
    char path[64];
    if (entry->d_name[0] == '.' || number == dirfd(directory)) continue;
    CHECK(number < kDescriptorsMax);
    snprintf(path, sizeof path, "/proc/self/fd/%ld", number);
    CHECK(readlink(path, seen->links[number], kLinkMax - 1) > 0);
  }
  closedir(directory);
}

static int open_beyond(const struct descriptors* now, const struct descriptors* before, const char* part) {
  int count = 0;
  for (int i = 0; i < kDescriptorsMax; ++i) {
    if (strcmp(now->links[i], before->links[i]) == 0 || strstr(now->links[i], part) == NULL) continue;
    if (now->links[i][0] != 0) ++count;
  }
  return count;
}

static void nothing_is_open_beyond(const struct descriptors* before) {
  static struct descriptors now;
  look_at_descriptors(&now);
  for (int i = 0; i < kDescriptorsMax; ++i) {
    if (now.links[i][0] == 0 || strcmp(now.links[i], before->links[i]) == 0) continue;
    fprintf(stderr, "descriptor %d is open: %s, was: %s\n", i, now.links[i], before->links[i]);
    exit(1);
  }
}

static void a_connected_client_that_is_suspended_has_nothing_open(const char* url) {
  static struct descriptors before, now;
  uint64_t request = 0;
  chatsdk_client* peer = online_client(url, "suspended-peer.db", "peer");
  register_user(peer, "suspended-peer");
  chatsdk_client_destroy(peer);

  look_at_descriptors(&before);
  chatsdk_client* client = online_client(url, "suspended.db", "phone");
  register_user(client, "suspended");
  go_online(client);
  const uint64_t conversation = conversation_with(client, "suspended-peer");
  for (int round = 0; round < 10; ++round) {
    /* What it is doing: sending, asking over HTTP; the tenth round does nothing. */
    for (int i = 0; i < 10 - round; ++i) send_text(client, conversation, "on its way");
    if (round < 9) CHECK_STATUS(CHATSDK_OK, chatsdk_client_list_devices(client, &request, NULL));
    if (round % 2 == 0) CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
    look_at_descriptors(&now);
    CHECK(open_beyond(&now, &before, "socket:") > 0);
    CHECK(open_beyond(&now, &before, "suspended.db") > 0);

    CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(client, kWaitMs, NULL));
    nothing_is_open_beyond(&before);

    CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(client, NULL));
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
  }
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_close(client, NULL));
  nothing_is_open_beyond(&before);
  chatsdk_client_destroy(client);
  nothing_is_open_beyond(&before);
}

/* ---- Ends ---- */

enum { kMoments = 50, kOutboxOfTalker = 8 };

/* One who writes on and on, but never far ahead of the server. */
struct talker {
  chatsdk_client* client;
  uint64_t conversation;
  uint64_t sent;
  atomic_int stop;
};

static void* talk(void* user) {
  struct talker* self = (struct talker*)user;
  while (!atomic_load(&self->stop)) {
    uint64_t waiting = 0;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_outbox_count(self->client, &waiting, NULL));
    if (waiting < kOutboxOfTalker) {
      send_text(self->client, self->conversation, "and another thing");
      ++self->sent;
    } else {
      chatsdk_event* event = NULL;
      size_t count = 0;
      if (chatsdk_client_poll(self->client, 100, &event, 1, &count, NULL) == CHATSDK_OK) chatsdk_event_release(event);
    }
  }
  return NULL;
}

/* Until it has pulled so many events, or none has come for a while. */
static void pull(chatsdk_client* client, int events) {
  for (int i = 0; i < events; ++i) {
    chatsdk_event* event = NULL;
    size_t count = 0;
    const int32_t status = chatsdk_client_poll(client, 20, &event, 1, &count, NULL);
    if (status == CHATSDK_OK) chatsdk_event_release(event);
    CHECK(status == CHATSDK_OK || status == CHATSDK_TIMED_OUT);
  }
}

static void* pull_until_closed(void* user) {
  for (;;) {
    chatsdk_event* events[8];
    size_t count = 0;
    const int32_t status = chatsdk_client_poll((chatsdk_client*)user, -1, events, 8, &count, NULL);
    if (status == CHATSDK_CLOSED) return NULL;
    if (status == CHATSDK_OK) {
      for (size_t i = 0; i < count; ++i) chatsdk_event_release(events[i]);
    }
    CHECK(status == CHATSDK_OK || status == CHATSDK_BUSY || status == CHATSDK_CANCELLED);
  }
}

struct writer {
  chatsdk_client* client;
  uint64_t conversation;
  atomic_int sent;
};

static void* write_until_closed(void* user) {
  struct writer* self = (struct writer*)user;
  for (;;) {
    uint64_t waiting = 0;
    int32_t status = chatsdk_client_outbox_count(self->client, &waiting, NULL);
    if (status == CHATSDK_OK && waiting < kOutboxOfTalker) {
      status = chatsdk_client_send_text(self->client, self->conversation, "until the end", CHATSDK_STRLEN, NULL, NULL,
                                        NULL, NULL);
      if (status == CHATSDK_OK) atomic_fetch_add(&self->sent, 1);
    } else if (status == CHATSDK_OK) {
      status = chatsdk_client_sync(self->client, 5, NULL);
      if (status == CHATSDK_TIMED_OUT) status = CHATSDK_OK;
    }
    if (status == CHATSDK_CLOSED) return NULL;
    CHECK_STATUS(CHATSDK_OK, status);
  }
}

static chatsdk_client* started_client(const char* url, uint64_t* conversation) {
  chatsdk_client* client = online_client(url, "moments.db", "moments");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  *conversation = encrypted_with(client, "talker");
  return client;
}

/* From this thread, with nobody else in the client. Gives what was sent. */
static uint64_t destroyed_after(const char* url, int events) {
  uint64_t conversation = 0, sent = 0;
  chatsdk_client* client = started_client(url, &conversation);
  for (; sent < (uint64_t)events / 8 + 1; ++sent) send_text(client, conversation, "in between");
  pull(client, events);
  chatsdk_client_destroy(client);
  return sent;
}

/* Closed while one thread pulls and another writes, then destroyed. */
static uint64_t closed_in_use_after(const char* url, int events) {
  pthread_t puller, writing;
  struct writer writer;
  atomic_init(&writer.sent, 0);
  writer.client = started_client(url, &writer.conversation);
  pull(writer.client, events);
  CHECK(pthread_create(&puller, NULL, pull_until_closed, writer.client) == 0);
  CHECK(pthread_create(&writing, NULL, write_until_closed, &writer) == 0);
  while (atomic_load(&writer.sent) < events / 8) sched_yield();
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_close(writer.client, NULL));
  CHECK(pthread_join(puller, NULL) == 0);
  CHECK(pthread_join(writing, NULL) == 0);
  chatsdk_client_destroy(writer.client);
  return (uint64_t)atomic_load(&writer.sent);
}

/* How many messages the conversation has; each has a place, without a hole. */
static uint64_t rows_of(chatsdk_client* client, uint64_t conversation) {
  uint64_t last = 1, rows = 0; /* the roster comes first */
  for (int more = 1; more;) {
    chatsdk_message_list* page = NULL;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_history_after(client, conversation, last, 200, &page, NULL));
    for (size_t i = 0; i < chatsdk_message_list_size(page); ++i) {
      const chatsdk_message* message = chatsdk_message_list_at(page, i);
      CHECK(chatsdk_message_seq(message) == last + 1);
      CHECK(chatsdk_message_is_undecryptable(message) == 0);
      last = chatsdk_message_seq(message);
      ++rows;
    }
    more = chatsdk_message_list_has_more(page);
    chatsdk_message_list_release(page);
  }
  return rows;
}

static void a_client_in_full_traffic_ends_at_any_moment(const char* url) {
  uint64_t conversation = 0, sent = 0, waiting = 1;
  pthread_t talking;
  struct talker talker;
  memset(&talker, 0, sizeof talker);
  atomic_init(&talker.stop, 0);
  chatsdk_client* client = online_client(url, "moments.db", "moments");
  register_user(client, "moments");
  go_online(client);
  await_encryption(client, CHATSDK_ENCRYPTION_READY);
  chatsdk_client_destroy(client);
  talker.client = online_client(url, "talker.db", "talker");
  register_user(talker.client, "talker");
  go_online(talker.client);
  await_encryption(talker.client, CHATSDK_ENCRYPTION_READY);
  talker.conversation = encrypted_with(talker.client, "moments");
  CHECK(pthread_create(&talking, NULL, talk, &talker) == 0);

  for (int moment = 0; moment < kMoments; ++moment) {
    sent += moment % 2 == 0 ? destroyed_after(url, moment) : closed_in_use_after(url, moment);
  }

  /* Nothing was lost by it, and nothing is twice. */
  atomic_store(&talker.stop, 1);
  CHECK(pthread_join(talking, NULL) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(talker.client, kWaitMs, NULL));
  client = started_client(url, &conversation);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_outbox_count(client, &waiting, NULL));
  CHECK(waiting == 0 && sent > 0 && talker.sent > 0);
  CHECK(rows_of(client, conversation) == sent + talker.sent);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(talker.client, kWaitMs, NULL));
  printf("%llu messages of the client that ended %d times, %llu of its peer\n", (unsigned long long)sent, kMoments,
         (unsigned long long)talker.sent);
  chatsdk_client_destroy(client);
  chatsdk_client_destroy(talker.client);
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  a_connected_client_that_is_suspended_has_nothing_open(argv[1]);
  a_client_in_full_traffic_ends_at_any_moment(argv[1]);
  return 0;
}
