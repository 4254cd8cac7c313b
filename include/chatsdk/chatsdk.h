/* SPDX-License-Identifier: Apache-2.0
 *
 * chatsdk: an embeddable chat SDK. This header brings in all others.
 *
 * The whole of a program that makes an account, says hello when that is done, and prints what comes until somebody
 * answers; url, store, key, user, password and peer are the app's (examples/minimal.c is all of it):
 *
 *   chatsdk_config* config = NULL;
 *   chatsdk_client* client = NULL;
 *   if (chatsdk_config_create(&config) != CHATSDK_OK) return 1;
 *   if (chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN) != CHATSDK_OK) return 1;
 *   if (chatsdk_client_create(config, &client, NULL) != CHATSDK_OK) return 1;
 *   chatsdk_config_destroy(config);
 *   if (chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL) != CHATSDK_OK) return 1;
 *
 *   uint64_t request = 0;
 *   chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
 *   me.user_id = user, me.user_id_length = CHATSDK_STRLEN;
 *   me.password = password, me.password_length = CHATSDK_STRLEN;
 *   if (chatsdk_client_register(client, &me, &request) != CHATSDK_OK) return 1;
 *   if (chatsdk_client_start(client) != CHATSDK_OK) return 1;
 *
 *   chatsdk_event* event = NULL;
 *   size_t count = 0;
 *   while (!done && chatsdk_client_poll(client, 30000, &event, 1, &count) == CHATSDK_OK) {
 *     if (chatsdk_event_type(event) == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(event) == request) {
 *       uint64_t to = 0;
 *       done = chatsdk_event_status(event) != CHATSDK_OK ||
 *              chatsdk_client_direct_conversation(client, peer, CHATSDK_STRLEN, &to, NULL) != CHATSDK_OK ||
 *              chatsdk_client_send_text(client, to, "hello", CHATSDK_STRLEN, NULL, NULL, NULL, NULL) != CHATSDK_OK;
 *     } else if (chatsdk_event_type(event) == CHATSDK_EVENT_MESSAGE_ADDED) {
 *       chatsdk_message* message = NULL;
 *       if (chatsdk_client_message(client, chatsdk_event_message(event), &message, NULL) == CHATSDK_OK) {
 *         printf("%s: %s\n", chatsdk_message_sender(message, NULL), chatsdk_message_text(message, NULL));
 *         done = answered = !chatsdk_message_is_own(message);
 *         chatsdk_message_release(message);
 *       }
 *     }
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
