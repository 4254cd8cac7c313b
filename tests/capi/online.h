/* SPDX-License-Identifier: Apache-2.0
 *
 * What the C tests with a real server share: clients, requests and waits. A wait ends by an event, not by sleeping, and
 * fails after kWaitMs without one. Every program is run in an empty directory with the server's URL as an argument.
 */
#ifndef CHATSDK_TESTS_CAPI_ONLINE_H
#define CHATSDK_TESTS_CAPI_ONLINE_H

#include <chatsdk/chatsdk.h>
#include <string.h>

#include "check.h"

enum { kWaitMs = 60000 };

static inline chatsdk_client* online_client(const char* url, const char* store, const char* device) {
  static const uint8_t key[32] = {9};
  chatsdk_config* config = NULL;
  chatsdk_client* client = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_device_name(config, device, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_backoff_ms(config, 20, 200, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &client, NULL));
  chatsdk_config_destroy(config);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL));
  return client;
}

/* The next event of this type, which the caller releases; what comes before it is dropped. */
static inline chatsdk_event* await_event(chatsdk_client* client, int32_t type) {
  for (;;) {
    chatsdk_event* event = NULL;
    size_t count = 0;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_poll(client, kWaitMs, &event, 1, &count, NULL));
    if (chatsdk_event_type(event) == type) return event;
    chatsdk_event_release(event);
  }
}

/* The completion of a request, which the caller releases. */
static inline chatsdk_event* await_completion(chatsdk_client* client, uint64_t request) {
  for (;;) {
    chatsdk_event* event = await_event(client, CHATSDK_EVENT_COMPLETED);
    if (chatsdk_event_request(event) == request) return event;
    chatsdk_event_release(event);
  }
}

static inline int32_t completed(chatsdk_client* client, uint64_t request) {
  chatsdk_event* event = await_completion(client, request);
  const int32_t status = chatsdk_event_status(event);
  CHECK((status == CHATSDK_OK) == (chatsdk_event_error(event) == NULL));
  chatsdk_event_release(event);
  return status;
}

/* Starts and waits until the device has caught up. */
static inline void go_online(chatsdk_client* client) {
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_start(client, NULL));
  for (int32_t state = -1; state != CHATSDK_CONNECTION_ONLINE;) {
    chatsdk_event* event = await_event(client, CHATSDK_EVENT_CONNECTION);
    state = chatsdk_event_connection_state(event);
    chatsdk_event_release(event);
  }
}

static inline void register_user(chatsdk_client* client, const char* user) {
  chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
  uint64_t request = 0;
  me.user_id = user, me.user_id_length = CHATSDK_STRLEN;
  me.password = "a good password", me.password_length = CHATSDK_STRLEN;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_register(client, &me, &request, NULL));
  CHECK_STATUS(CHATSDK_OK, completed(client, request));
}

static inline int32_t log_in(chatsdk_client* client, const char* user) {
  uint64_t request = 0;
  CHECK_STATUS(CHATSDK_OK,
               chatsdk_client_login(client, user, CHATSDK_STRLEN, "a good password", CHATSDK_STRLEN, &request, NULL));
  return completed(client, request);
}

/* Until others can encrypt for this device. */
static inline void await_encryption(chatsdk_client* client, int32_t wanted) {
  int32_t state = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_encryption_state(client, &state, NULL));
  while (state != wanted) {
    chatsdk_event* event = await_event(client, CHATSDK_EVENT_ENCRYPTION);
    state = chatsdk_event_encryption_state(event);
    chatsdk_event_release(event);
  }
}

static inline uint64_t encrypted_with(chatsdk_client* client, const char* peer) {
  uint64_t conversation = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_direct_conversation(client, peer, CHATSDK_STRLEN, &conversation, NULL));
  return conversation;
}

/* Plain: the peer need not be there, or need not have been online. */
static inline uint64_t conversation_with(chatsdk_client* client, const char* peer) {
  uint64_t conversation = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_direct_conversation_plain(client, peer, CHATSDK_STRLEN, &conversation, NULL));
  return conversation;
}

static inline uint64_t send_text(chatsdk_client* client, uint64_t conversation, const char* text) {
  uint64_t message = 0;
  CHECK_STATUS(CHATSDK_OK,
               chatsdk_client_send_text(client, conversation, text, CHATSDK_STRLEN, NULL, NULL, &message, NULL));
  CHECK(message != 0);
  return message;
}

static inline chatsdk_message* message_of(chatsdk_client* client, uint64_t key) {
  chatsdk_message* message = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_message(client, key, &message, NULL));
  return message;
}

static inline int32_t state_of(chatsdk_client* client, uint64_t key) {
  chatsdk_message* message = message_of(client, key);
  const int32_t state = chatsdk_message_state(message);
  chatsdk_message_release(message);
  return state;
}

/* Until an own message has got at least this far; any event makes the test look again. */
static inline void await_state(chatsdk_client* client, uint64_t key, int32_t state) {
  while (state_of(client, key) < state) {
    chatsdk_event* event = NULL;
    size_t count = 0;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_poll(client, kWaitMs, &event, 1, &count, NULL));
    chatsdk_event_release(event);
  }
}

/* Until a message of somebody else has come; the caller releases it. */
static inline chatsdk_message* await_message(chatsdk_client* client) {
  for (;;) {
    chatsdk_event* event = await_event(client, CHATSDK_EVENT_MESSAGE_ADDED);
    chatsdk_message* message = message_of(client, chatsdk_event_message(event));
    chatsdk_event_release(event);
    if (!chatsdk_message_is_own(message)) return message;
    chatsdk_message_release(message);
  }
}

#endif
