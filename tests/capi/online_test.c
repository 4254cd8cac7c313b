/* SPDX-License-Identifier: Apache-2.0
 *
 * What an app does with a server, through C: devices, receipts and their times, more events than the queue holds, and a
 * client without threads. Usage: online_test SERVER_URL
 */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "online.h"

static int64_t now_ms(void) {
  struct timespec time;
  CHECK(clock_gettime(CLOCK_REALTIME, &time) == 0);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* ---- Devices ---- */

static uint64_t device_named(const chatsdk_event* event, const char* name, uint32_t current) {
  for (size_t i = 0; i < chatsdk_event_device_count(event); ++i) {
    chatsdk_device_info device = CHATSDK_DEVICE_INFO_INIT;
    CHECK_STATUS(CHATSDK_OK, chatsdk_event_device(event, i, &device));
    if (strcmp(device.name, name) != 0) continue;
    CHECK(device.is_current == current);
    CHECK(device.created_ms > 0 && device.last_seen_ms >= device.created_ms);
    return device.device_id;
  }
  return 0;
}

static void devices_are_listed_and_revoked(const char* url) {
  uint64_t request = 0;
  chatsdk_client* phone = online_client(url, "devices-phone.db", "phone");
  chatsdk_client* tablet = online_client(url, "devices-tablet.db", "tablet");
  register_user(phone, "devices");
  CHECK(log_in(tablet, "devices") == CHATSDK_OK);
  go_online(tablet);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_list_devices(phone, &request, NULL));
  chatsdk_event* event = await_completion(phone, request);
  CHECK(chatsdk_event_device_count(event) == 2);
  const uint64_t own = device_named(event, "phone", 1);
  const uint64_t other = device_named(event, "tablet", 0);
  CHECK(own != 0 && other != 0 && own != other);
  chatsdk_event_release(event);

  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_revoke_device(phone, 0, &request, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_revoke_device(phone, own + other, &request, NULL));
  CHECK(completed(phone, request) == CHATSDK_NOT_FOUND);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_revoke_device(phone, other, &request, NULL));
  CHECK(completed(phone, request) == CHATSDK_OK);

  /* The device that is gone learns it on its live connection, and from every request. */
  event = await_event(tablet, CHATSDK_EVENT_SESSION_ENDED);
  CHECK(chatsdk_event_error(event) != NULL);
  chatsdk_event_release(event);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_list_devices(tablet, &request, NULL));
  CHECK(completed(tablet, request) == CHATSDK_NOT_LOGGED_IN);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_list_devices(phone, &request, NULL));
  event = await_completion(phone, request);
  CHECK(chatsdk_event_device_count(event) == 1 && device_named(event, "phone", 1) == own);
  chatsdk_event_release(event);
  chatsdk_client_destroy(tablet);
  chatsdk_client_destroy(phone);
}

/* ---- Receipts ---- */

static void receipts_have_the_servers_times(const char* url) {
  int64_t delivered = 7, read = 7;
  const int64_t begin = now_ms();
  chatsdk_client* ann = online_client(url, "receipts-ann.db", "ann");
  chatsdk_client* ben = online_client(url, "receipts-ben.db", "ben");
  register_user(ann, "receipts-ann");
  register_user(ben, "receipts-ben");
  const uint64_t key = send_text(ann, conversation_with(ann, "receipts-ben"), "hello");
  CHECK_STATUS(CHATSDK_NOT_FOUND,
               chatsdk_client_receipt(ann, key, "receipts-ben", CHATSDK_STRLEN, &delivered, &read, NULL));
  CHECK(delivered == 7 && read == 7);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(ann, NULL));
  await_state(ann, key, CHATSDK_MESSAGE_SENT);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_receipt(ann, key, "receipts-ben", CHATSDK_STRLEN, &delivered, &read, NULL));
  CHECK(delivered == 0 && read == 0);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(ben, NULL));
  chatsdk_message* message = await_message(ben);
  await_state(ann, key, CHATSDK_MESSAGE_DELIVERED);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_receipt(ann, key, "receipts-ben", CHATSDK_STRLEN, &delivered, &read, NULL));
  CHECK(delivered >= begin - 1000 && delivered <= now_ms() + 1000 && read == 0);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_mark_read(ben, chatsdk_message_conversation(message),
                                                    chatsdk_message_seq(message), NULL));
  await_state(ann, key, CHATSDK_MESSAGE_READ);
  const int64_t first_delivered = delivered;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_receipt(ann, key, "receipts-ben", CHATSDK_STRLEN, &delivered, &read, NULL));
  CHECK(delivered == first_delivered && read >= delivered && read <= now_ms() + 1000);
  /* Each output may be left out. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_receipt(ann, key, "receipts-ben", CHATSDK_STRLEN, NULL, NULL, NULL));
  chatsdk_message_release(message);
  chatsdk_client_destroy(ann);
  chatsdk_client_destroy(ben);
}

/* ---- More events than the queue holds ---- */

static void events_that_overflow_fold_into_a_resync(const char* url) {
  enum { kMessages = 3000, kQueueMax = 8192 };
  uint64_t request = 0, revision = 0, last = 0;
  int resyncs = 0, completions = 0;
  size_t count = 0, state_events = 0;
  chatsdk_event* events[256];
  chatsdk_client* peer = online_client(url, "overflow-peer.db", "peer");
  chatsdk_client* client = online_client(url, "overflow.db", "overflow");
  register_user(peer, "overflow-peer");
  chatsdk_client_destroy(peer);
  register_user(client, "overflow");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_list_devices(client, &request, NULL));
  const uint64_t conversation = conversation_with(client, "overflow-peer");
  for (int i = 0; i < kMessages; ++i) last = send_text(client, conversation, "one of many");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
  CHECK(state_of(client, last) >= CHATSDK_MESSAGE_SENT);

  while (chatsdk_client_poll(client, 0, events, 256, &count, NULL) == CHATSDK_OK) {
    for (size_t i = 0; i < count; ++i) {
      const int32_t type = chatsdk_event_type(events[i]);
      CHECK(type == CHATSDK_EVENT_CONNECTION || type == CHATSDK_EVENT_COMPLETED ||
            chatsdk_event_store_revision(events[i]) >= revision);
      if (chatsdk_event_store_revision(events[i]) > revision) revision = chatsdk_event_store_revision(events[i]);
      if (type == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(events[i]) == request) ++completions;
      if (type == CHATSDK_EVENT_RESYNC) ++resyncs;
      if (type != CHATSDK_EVENT_COMPLETED) ++state_events;
      chatsdk_event_release(events[i]);
    }
  }
  CHECK(resyncs == 1);
  CHECK(completions == 1);
  CHECK(state_events <= kQueueMax);
  chatsdk_client_destroy(client);
}

/* ---- Sync ---- */

/* How many updates of a message can be pulled now; other events are dropped. */
static int pull_updates_of(chatsdk_client* client, uint64_t message) {
  chatsdk_event* event = NULL;
  size_t count = 0;
  int updates = 0;
  while (chatsdk_client_poll(client, 0, &event, 1, &count, NULL) == CHATSDK_OK) {
    if (chatsdk_event_type(event) == CHATSDK_EVENT_MESSAGE_UPDATED && chatsdk_event_message(event) == message)
      ++updates;
    chatsdk_event_release(event);
  }
  return updates;
}

static void after_a_sync_its_events_are_there(const char* url) {
  enum { kRounds = 30 };
  chatsdk_client* client = online_client(url, "synced.db", "synced");
  register_user(client, "synced");
  go_online(client);
  const uint64_t conversation = conversation_with(client, "synced-with-nobody");
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t key = send_text(client, conversation, "for nobody");
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
    CHECK(pull_updates_of(client, key) >= 1); /* it has failed */
    CHECK(state_of(client, key) == CHATSDK_MESSAGE_FAILED);
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(client, kWaitMs, NULL));
    CHECK(pull_updates_of(client, key) == 0); /* nothing was still to be told */
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_discard_message(client, key, NULL));
  }
  chatsdk_client_destroy(client);
}

/* ---- Without threads ---- */

struct ticking {
  chatsdk_client* client;
  uint64_t request;
  int32_t status;
  int completions;
  uint64_t received;
};

static void on_event(const chatsdk_event* event, void* user) {
  struct ticking* self = (struct ticking*)user;
  if (chatsdk_event_type(event) == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(event) == self->request) {
    self->status = chatsdk_event_status(event);
    ++self->completions;
  }
  if (chatsdk_event_type(event) == CHATSDK_EVENT_MESSAGE_ADDED) {
    chatsdk_message* message = message_of(self->client, chatsdk_event_message(event));
    if (!chatsdk_message_is_own(message)) self->received = chatsdk_message_key(message);
    chatsdk_message_release(message);
  }
}

static struct ticking ticking_client(const char* url, const char* store, const char* user) {
  static const uint8_t key[32] = {9};
  struct ticking self = {NULL, 0, 0, 0, 0};
  chatsdk_config* config = NULL;
  chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_threading(config, CHATSDK_THREADING_TICK, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &self.client, NULL));
  chatsdk_config_destroy(config);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(self.client, store, CHATSDK_STRLEN, key, sizeof key, NULL));
  me.user_id = user, me.user_id_length = CHATSDK_STRLEN;
  me.password = "a good password", me.password_length = CHATSDK_STRLEN;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_register(self.client, &me, &self.request, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(self.client, NULL));
  return self;
}

/* Two game loops in one: a frame of each, until `holds` is not zero. */
#define TICK_UNTIL(one, two, holds)                                                             \
  for (const int64_t end = now_ms() + kWaitMs; !(holds);) {                                     \
    CHECK(now_ms() < end);                                                                      \
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick((one)->client, 2, NULL, NULL, on_event, one)); \
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_tick((two)->client, 2, NULL, NULL, on_event, two)); \
  }

static void two_clients_without_threads_talk(const char* url) {
  struct ticking one = ticking_client(url, "tick-one.db", "tick-one");
  struct ticking two = ticking_client(url, "tick-two.db", "tick-two");
  int32_t state = 0;
  TICK_UNTIL(&one, &two, one.completions == 1 && two.completions == 1)
  CHECK(one.status == CHATSDK_OK && two.status == CHATSDK_OK);

  const uint64_t sent = send_text(one.client, conversation_with(one.client, "tick-two"), "a frame's worth");
  TICK_UNTIL(&one, &two, two.received != 0)
  chatsdk_message* message = message_of(two.client, two.received);
  CHECK(strcmp(chatsdk_message_text(message, NULL), "a frame's worth") == 0);
  TICK_UNTIL(&one, &two, state_of(one.client, sent) == CHATSDK_MESSAGE_DELIVERED)
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_mark_read(two.client, chatsdk_message_conversation(message),
                                                    chatsdk_message_seq(message), NULL));
  TICK_UNTIL(&one, &two, state_of(one.client, sent) == CHATSDK_MESSAGE_READ)
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_connection_state(one.client, &state, NULL));
  CHECK(state == CHATSDK_CONNECTION_ONLINE);
  chatsdk_message_release(message);

  /* Stopped and started again, in the same loop. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_stop(one.client, NULL));
  two.received = 0;
  send_text(one.client, conversation_with(one.client, "tick-two"), "written while stopped");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(one.client, NULL));
  TICK_UNTIL(&one, &two, two.received != 0)
  chatsdk_client_destroy(one.client);
  chatsdk_client_destroy(two.client);
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  devices_are_listed_and_revoked(argv[1]);
  receipts_have_the_servers_times(argv[1]);
  events_that_overflow_fold_into_a_resync(argv[1]);
  after_a_sync_its_events_are_there(argv[1]);
  two_clients_without_threads_talk(argv[1]);
  return 0;
}
