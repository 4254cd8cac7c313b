/* SPDX-License-Identifier: Apache-2.0
 *
 * chatsdk: an embeddable chat SDK. This header brings in all others.
 *
 * The whole program, without error checks:
 *
 *   chatsdk_config* config;
 *   chatsdk_config_create(&config);
 *   chatsdk_config_set_server_url(config, "http://127.0.0.1:8080", CHATSDK_STRLEN);
 *   chatsdk_client* client;
 *   chatsdk_client_create(config, &client, NULL);
 *   chatsdk_config_destroy(config);
 *   chatsdk_client_open_store(client, "alice.db", CHATSDK_STRLEN, key, 32, NULL);
 *   uint64_t request;
 *   chatsdk_client_login(client, "alice", CHATSDK_STRLEN, "password", CHATSDK_STRLEN, &request);
 *   chatsdk_client_start(client);
 *   uint64_t conversation;
 *   chatsdk_client_direct_conversation(client, "bob", CHATSDK_STRLEN, &conversation, NULL);
 *   chatsdk_client_send_text(client, conversation, "hello", CHATSDK_STRLEN, NULL, NULL, NULL, NULL);
 *   for (;;) {
 *     chatsdk_event* event;
 *     size_t count;
 *     if (chatsdk_client_poll(client, -1, &event, 1, &count) != CHATSDK_OK) break;
 *     ... chatsdk_event_type(event) ...
 *     chatsdk_event_release(event);
 *   }
 *   chatsdk_client_destroy(client);
 *
 * Conventions, valid for every function:
 *   1. Texts come in as pointer and length, UTF-8; the length may be CHATSDK_STRLEN. The library copies all inputs
 *      before it returns.
 *   2. Outputs are written on success only, unless a comment says otherwise; out pointers marked optional may be NULL.
 *   3. Snapshots are immutable, may be used from any thread, and are released by their _release function; NULL is
 *      accepted by every _release and gives 0 or NULL from every getter.
 *   4. No function throws, prints or ends the process.
 */
#ifndef CHATSDK_CHATSDK_H
#define CHATSDK_CHATSDK_H

#include "chatsdk/client.h"
#include "chatsdk/event.h"
#include "chatsdk/message.h"
#include "chatsdk/status.h"

#endif
