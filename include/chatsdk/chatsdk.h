/* SPDX-License-Identifier: Apache-2.0
 *
 * chatsdk: an embeddable chat SDK. This header brings in all others.
 *
 * The whole of a program that makes an account, says hello when that is done, and prints what comes until somebody
 * answers; url, store, key, user, password and peer are the app's (examples/minimal.c is all of it):
 *
 *   chatsdk_config* config = NULL;
 *   chatsdk_client* client = NULL;
 *   if (chatsdk_config_create(&config, NULL) != CHATSDK_OK) return 1;
 *   if (chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL) != CHATSDK_OK) return 1;
 *   if (chatsdk_client_create(config, &client, NULL) != CHATSDK_OK) return 1;
 *   chatsdk_config_destroy(config);
 *   if (chatsdk_client_open_store(client, store, CHATSDK_STRLEN, key, sizeof key, NULL) != CHATSDK_OK) return 1;
 *
 *   uint64_t request = 0, to = 0;
 *   chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
 *   me.user_id = user, me.user_id_length = CHATSDK_STRLEN;
 *   me.password = password, me.password_length = CHATSDK_STRLEN;
 *   if (chatsdk_client_register(client, &me, &request, NULL) != CHATSDK_OK) return 1;
 *   if (chatsdk_client_start(client, NULL) != CHATSDK_OK) return 1;
 *
 *   chatsdk_event* event = NULL;
 *   size_t count = 0;
 *   int done = 0, answered = 0;
 *   while (!done && chatsdk_client_poll(client, 30000, &event, 1, &count, NULL) == CHATSDK_OK) {
 *     const int32_t type = chatsdk_event_type(event);
 *     chatsdk_message* message = NULL;
 *     if (type == CHATSDK_EVENT_COMPLETED && chatsdk_event_request(event) == request) {
 *       done = chatsdk_event_status(event) != CHATSDK_OK ||
 *              chatsdk_client_direct_conversation(client, peer, CHATSDK_STRLEN, &to, NULL) != CHATSDK_OK ||
 *              chatsdk_client_send_text(client, to, "hello", CHATSDK_STRLEN, NULL, NULL, NULL, NULL) != CHATSDK_OK;
 *       if (done) fprintf(stderr, "register: %s\n", chatsdk_status_name(chatsdk_event_status(event)));
 *     } else if (type == CHATSDK_EVENT_PEER_WITHOUT_KEYS) {
 *       fprintf(stderr, "%s was never online, so nothing can be encrypted yet\n", chatsdk_event_user(event, NULL));
 *       done = 1;
 *     } else if (chatsdk_client_message(client, chatsdk_event_message(event), &message, NULL) == CHATSDK_OK) {
 *       if (type == CHATSDK_EVENT_MESSAGE_ADDED) {
 *         printf("%s: %s\n", chatsdk_message_sender(message, NULL), chatsdk_message_text(message, NULL));
 *         done = answered = !chatsdk_message_is_own(message);
 *       } else if (chatsdk_message_state(message) == CHATSDK_MESSAGE_FAILED) {
 *         fprintf(stderr, "send: %s\n", chatsdk_status_name(chatsdk_message_failure(message)));
 *         done = chatsdk_client_discard_message(client, chatsdk_event_message(event), NULL) == CHATSDK_OK;
 *       }
 *       chatsdk_message_release(message);
 *     }
 *     chatsdk_event_release(event);
 *   }
 *   chatsdk_client_destroy(client);
 *
 * Conventions, valid for every function:
 *   1. Parameters stand in this order: the object, inputs, outputs with out_error as the last of them, then a callback
 *      with its user pointer and its destroy hook.
 *   2. Texts come in as pointer and length, UTF-8; the length may be CHATSDK_STRLEN. The library copies all inputs
 *      before it returns.
 *   3. Outputs are written on success only, unless a comment says otherwise; out pointers may be NULL where their
 *      comment allows it.
 *   4. Every function of a configuration or a client that returns a status has a chatsdk_error** out_error, which may
 *      be NULL. On failure it gets an error object, which the caller releases, or NULL when there was no memory for it;
 *      on success it gets NULL. The few other functions that return a status (structs, devices of an event, constants)
 *      fail by their arguments alone, and the status says all. A request that fails later has it in its event.
 *   5. After a failure nothing has changed, unless a comment says otherwise. With too little memory that is NO_MEMORY.
 *   6. Snapshots are immutable, may be used from any thread, and are released by their _release function; NULL is
 *      accepted by every _release and gives 0 or NULL from every getter.
 *   7. No function throws, prints or ends the process.
 *
 * Each function's comment ends with the same lines. Errors: the statuses that it may return apart from OK and INTERNAL.
 * Completion, for requests: the statuses that its event may bring. Ownership: who frees what. Thread: who may call it.
 * Blocks: what it waits for; "for the engine" is until the client's turn of work under way is done, which may write to
 * the disk. Since: the version that brought it. Binding: its part in its type, for generators (docs/ABI.md). What a
 * group of functions has in common stands at its head.
 */
#ifndef CHATSDK_CHATSDK_H
#define CHATSDK_CHATSDK_H

#include "chatsdk/client.h"
#include "chatsdk/encryption.h"
#include "chatsdk/event.h"
#include "chatsdk/group.h"
#include "chatsdk/message.h"
#include "chatsdk/status.h"

#endif
