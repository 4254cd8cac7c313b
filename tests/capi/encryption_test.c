/* SPDX-License-Identifier: Apache-2.0
 *
 * End-to-end encryption as an app meets it, through C, with a real server: encrypted conversations and plain ones,
 * safety numbers and the mark, linking a second device, and anew once it was removed, another identity. Usage:
 * encryption_test SERVER_URL SECRET PLAIN, in an empty directory; SECRET stands in every encrypted text, PLAIN in plain
 * ones, for encryption.py to look for.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "online.h"

static const char* url;
static const char* secret;
static const char* plain;

static chatsdk_client* online_user(const char* store, const char* user) {
  chatsdk_client* client = online_client(url, store, store);
  register_user(client, user);
  go_online(client);
  return client;
}

static chatsdk_client* encrypted_user(const char* store, const char* user) {
  chatsdk_client* client = online_user(store, user);
  await_encryption(client, CHATSDK_ENCRYPTION_READY);
  return client;
}

static int32_t is_encrypted(chatsdk_client* client, uint64_t key) {
  chatsdk_conversation* conversation = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversation(client, key, &conversation, NULL));
  const int32_t encrypted = chatsdk_conversation_is_encrypted(conversation);
  chatsdk_conversation_release(conversation);
  return encrypted;
}

static int32_t is_accepted_plain(chatsdk_client* client, uint64_t key) {
  chatsdk_conversation* conversation = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversation(client, key, &conversation, NULL));
  const int32_t accepted = chatsdk_conversation_is_accepted_plain(conversation);
  chatsdk_conversation_release(conversation);
  return accepted;
}

static chatsdk_identity* identity_of(chatsdk_client* client, const char* peer) {
  chatsdk_identity* identity = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_identity(client, peer, CHATSDK_STRLEN, &identity, NULL));
  CHECK(strcmp(chatsdk_identity_user(identity, NULL), peer) == 0);
  return identity;
}

/* The next event about a user of this type. */
static uint64_t await_about(chatsdk_client* client, int32_t type, const char* user) {
  for (;;) {
    chatsdk_event* event = await_event(client, type);
    const uint64_t device = chatsdk_event_device_id(event);
    const int found = strcmp(chatsdk_event_user(event, NULL), user) == 0;
    chatsdk_event_release(event);
    if (found) return device;
  }
}

/* Its place in the conversation, by which two devices agree on which message it is. */
static uint64_t expect_text(chatsdk_client* client, const char* sender) {
  chatsdk_message* message = await_message(client);
  const uint64_t seq = chatsdk_message_seq(message);
  CHECK(strcmp(chatsdk_message_text(message, NULL), secret) == 0);
  CHECK(strcmp(chatsdk_message_sender(message, NULL), sender) == 0);
  CHECK(chatsdk_message_is_undecryptable(message) == 0);
  CHECK(is_encrypted(client, chatsdk_message_conversation(message)) == 1);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_mark_read(client, chatsdk_message_conversation(message), seq, NULL));
  chatsdk_message_release(message);
  return seq;
}

/* A device of ann's and ben's. */
static void write_both_ways(chatsdk_client* ann, chatsdk_client* ben) {
  const uint64_t key = send_text(ann, encrypted_with(ann, "ben"), secret);
  expect_text(ben, "ann");
  await_state(ann, key, CHATSDK_MESSAGE_READ);
  const uint64_t answer = send_text(ben, encrypted_with(ben, "ann"), secret);
  expect_text(ann, "ben");
  await_state(ben, answer, CHATSDK_MESSAGE_READ);
}

/* ---- Conversations ---------------------------------------------------------------------------------------------- */

static void both_ways_with_receipts(chatsdk_client* ann, chatsdk_client* ben) {
  const uint64_t with_ben = encrypted_with(ann, "ben");
  CHECK(is_encrypted(ann, with_ben) == 1 && is_accepted_plain(ann, with_ben) == 0);
  write_both_ways(ann, ben);

  /* What is known stays what it is, whichever is asked for. */
  CHECK(conversation_with(ann, "ben") == with_ben && is_encrypted(ann, with_ben) == 1);

  /* Also across a suspension, and with a store that is opened anew. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(ben, kWaitMs, NULL));
  const uint64_t second = send_text(ann, with_ben, secret);
  await_state(ann, second, CHATSDK_MESSAGE_SENT);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(ben, NULL));
  expect_text(ben, "ann");
  await_state(ann, second, CHATSDK_MESSAGE_READ);
}

static void plain_ones_are_marked(chatsdk_client* ann) {
  chatsdk_conversation_list* list = NULL;
  chatsdk_client* cat = online_user("cat.db", "cat");
  const uint64_t with_cat = conversation_with(ann, "cat");
  CHECK(is_encrypted(ann, with_cat) == 0);
  const uint64_t key = send_text(ann, with_cat, plain);
  chatsdk_message* message = await_message(cat);
  CHECK(strcmp(chatsdk_message_text(message, NULL), plain) == 0);
  CHECK(is_encrypted(cat, chatsdk_message_conversation(message)) == 0);
  CHECK(is_accepted_plain(ann, with_cat) == 1);
  CHECK(is_accepted_plain(cat, chatsdk_message_conversation(message)) == 0);
  CHECK(conversation_with(cat, "ann") == chatsdk_message_conversation(message));
  CHECK(is_accepted_plain(cat, chatsdk_message_conversation(message)) == 1);
  chatsdk_message_release(message);
  await_state(ann, key, CHATSDK_MESSAGE_DELIVERED);
  CHECK(encrypted_with(ann, "cat") == with_cat && is_encrypted(ann, with_cat) == 0);

  CHECK_STATUS(CHATSDK_OK, chatsdk_client_conversations(ann, 0, 10, &list, NULL));
  CHECK(chatsdk_conversation_list_size(list) == 2);
  for (size_t i = 0; i < 2; ++i) {
    const chatsdk_conversation* row = chatsdk_conversation_list_at(list, i);
    const int with_ben = strcmp(chatsdk_conversation_peer(row, NULL), "ben") == 0;
    CHECK(chatsdk_conversation_is_encrypted(row) == with_ben);
  }
  chatsdk_conversation_list_release(list);
  chatsdk_client_destroy(cat);
}

/* Whoever has no device yet is waited for. */
static void a_message_waits_for_the_peers_first_device(chatsdk_client* ann) {
  const uint64_t key = send_text(ann, encrypted_with(ann, "dan"), secret);
  await_about(ann, CHATSDK_EVENT_PEER_WITHOUT_KEYS, "dan");
  CHECK(state_of(ann, key) == CHATSDK_MESSAGE_QUEUED);
  chatsdk_client* dan = encrypted_user("dan.db", "dan");
  expect_text(dan, "ann");
  await_state(ann, key, CHATSDK_MESSAGE_READ);
  chatsdk_client_destroy(dan);
}

/* ---- Identities ------------------------------------------------------------------------------------------------- */

static void safety_numbers_are_equal_and_marked(chatsdk_client* ann, chatsdk_client* ben) {
  chatsdk_identity* none = NULL;
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_identity(ann, "nobody", CHATSDK_STRLEN, &none, NULL));
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_identity(ann, "ann", CHATSDK_STRLEN, &none, NULL));
  CHECK(none == NULL);

  chatsdk_identity* of_ben = identity_of(ann, "ben");
  chatsdk_identity* of_ann = identity_of(ben, "ann");
  size_t length = 0;
  const char* number = chatsdk_identity_safety_number(of_ben, &length);
  CHECK(length == 71 && strcmp(number, chatsdk_identity_safety_number(of_ann, NULL)) == 0);
  for (size_t i = 0; i < length; ++i) CHECK(i % 6 == 5 ? number[i] == ' ' : number[i] >= '0' && number[i] <= '9');
  const char* scannable = chatsdk_identity_scannable(of_ann, &length);
  CHECK(strcmp(scannable, chatsdk_identity_scannable(of_ben, NULL)) == 0);
  CHECK(chatsdk_identity_compare(of_ben, scannable, length) == CHATSDK_SCAN_EQUAL);
  CHECK(chatsdk_identity_compare(of_ben, scannable, length - 1) == CHATSDK_SCAN_DIFFERENT);
  CHECK(chatsdk_identity_compare(of_ben, "csdk-safety:Ag", CHATSDK_STRLEN) == CHATSDK_SCAN_OTHER_VERSION);
  CHECK(chatsdk_identity_compare(of_ben, "", 0) == CHATSDK_SCAN_DIFFERENT);
  CHECK(chatsdk_identity_compare(of_ben, NULL, CHATSDK_STRLEN) == CHATSDK_SCAN_DIFFERENT);

  CHECK(chatsdk_identity_is_verified(of_ben) == 0 && chatsdk_identity_has_changed(of_ben) == 0);
  CHECK_STATUS(CHATSDK_INVALID_ARGUMENT, chatsdk_client_set_verified(ann, of_ben, 2, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_verified(ann, of_ben, 1, NULL));
  await_about(ann, CHATSDK_EVENT_VERIFIED_CHANGED, "ben");
  chatsdk_identity* verified = identity_of(ann, "ben");
  CHECK(chatsdk_identity_is_verified(verified) == 1 && chatsdk_identity_is_verified(of_ben) == 0);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_verified(ann, verified, 0, NULL));
  await_about(ann, CHATSDK_EVENT_VERIFIED_CHANGED, "ben");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_verified(ann, verified, 1, NULL));
  /* It is the device's, and stays. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(ann, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(ann, NULL));
  chatsdk_identity_release(verified);
  verified = identity_of(ann, "ben");
  CHECK(chatsdk_identity_is_verified(verified) == 1);
  CHECK(chatsdk_identity_retain(verified) == verified);
  chatsdk_identity_release(verified);
  chatsdk_identity_release(verified);
  chatsdk_identity_release(of_ben);
  chatsdk_identity_release(of_ann);
}

/* ---- Linking ---------------------------------------------------------------------------------------------------- */

static void await_link_code(chatsdk_client* client, char* code, size_t capacity) {
  chatsdk_event* event = await_event(client, CHATSDK_EVENT_LINK_CODE);
  size_t length = 0;
  const char* text = chatsdk_event_link_code(event, &length);
  CHECK(length == 9 && text[4] == ' ' && length < capacity);
  memcpy(code, text, length + 1);
  CHECK(strcmp(chatsdk_event_link_name(event, NULL), "ann-laptop.db") == 0);
  chatsdk_event_release(event);
}

static int32_t link_ended(chatsdk_client* client) {
  chatsdk_event* event = await_event(client, CHATSDK_EVENT_LINK_ENDED);
  const int32_t status = chatsdk_event_status(event);
  CHECK((status == CHATSDK_OK) == (chatsdk_event_error(event) == NULL));
  chatsdk_event_release(event);
  return status;
}

/* The codes of both sides are equal, and neither has confirmed. */
static void begin_linking(chatsdk_client* phone, chatsdk_client* laptop) {
  char text[CHATSDK_LINK_TEXT_SIZE];
  char codes[2][16];
  size_t length = 0;
  CHECK_STATUS(CHATSDK_TOO_SMALL, chatsdk_client_begin_link(laptop, text, sizeof text - 1, &length, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_begin_link(laptop, text, sizeof text, &length, NULL));
  CHECK_STATUS(CHATSDK_BUSY, chatsdk_client_begin_link(laptop, text, sizeof text, &length, NULL));
  CHECK_STATUS(CHATSDK_CRYPTO, chatsdk_client_scan_link(phone, text, length - 1, NULL));
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_confirm_link(phone, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_scan_link(phone, text, length, NULL));
  await_link_code(phone, codes[0], sizeof codes[0]);
  await_link_code(laptop, codes[1], sizeof codes[1]);
  CHECK(strcmp(codes[0], codes[1]) == 0);
}

static void confirm_linking(chatsdk_client* phone, chatsdk_client* laptop) {
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_confirm_link(phone, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_confirm_link(laptop, NULL));
  CHECK(link_ended(laptop) == CHATSDK_OK);
  CHECK(link_ended(phone) == CHATSDK_OK);
  await_encryption(laptop, CHATSDK_ENCRYPTION_READY);
}

/* What waited on the laptop goes to ben, and ben's answer comes to both of ann's devices. */
static void speaks_for_ann(chatsdk_client* laptop, uint64_t waits, chatsdk_client* ann, chatsdk_client* ben) {
  expect_text(ben, "ann");
  await_state(laptop, waits, CHATSDK_MESSAGE_READ);
  send_text(ben, encrypted_with(ben, "ann"), secret);
  CHECK(expect_text(laptop, "ben") == expect_text(ann, "ben"));
}

static chatsdk_client* a_second_device_is_linked(chatsdk_client* ann, chatsdk_client* ben) {
  chatsdk_client* laptop = online_client(url, "ann-laptop.db", "ann-laptop.db");
  CHECK_STATUS(CHATSDK_OK, log_in(laptop, "ann"));
  go_online(laptop);
  await_encryption(laptop, CHATSDK_ENCRYPTION_LINK_NEEDED);
  const uint64_t waits = send_text(laptop, encrypted_with(laptop, "ben"), secret);

  begin_linking(ann, laptop);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_cancel_link(ann, NULL));
  CHECK(link_ended(ann) == CHATSDK_CANCELLED);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_cancel_link(laptop, NULL));
  CHECK(link_ended(laptop) == CHATSDK_CANCELLED);
  CHECK(state_of(laptop, waits) == CHATSDK_MESSAGE_QUEUED);

  begin_linking(ann, laptop);
  confirm_linking(ann, laptop);
  const uint64_t device = await_about(ann, CHATSDK_EVENT_DEVICE_ADDED, "ann");
  CHECK(device != 0 && await_about(ben, CHATSDK_EVENT_DEVICE_ADDED, "ann") == device);

  /* All see the same safety number. */
  speaks_for_ann(laptop, waits, ann, ben);
  chatsdk_identity* on_phone = identity_of(ann, "ben");
  chatsdk_identity* on_laptop = identity_of(laptop, "ben");
  CHECK(strcmp(chatsdk_identity_safety_number(on_phone, NULL), chatsdk_identity_safety_number(on_laptop, NULL)) == 0);
  chatsdk_identity_release(on_phone);
  chatsdk_identity_release(on_laptop);

  /* Removed again: nobody encrypts for it any more. */
  uint64_t request = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_revoke_device(ann, device, &request, NULL));
  CHECK(await_about(ann, CHATSDK_EVENT_DEVICE_REMOVED, "ann") == device);
  CHECK_STATUS(CHATSDK_OK, completed(ann, request));
  CHECK(await_about(ben, CHATSDK_EVENT_DEVICE_REMOVED, "ann") == device);
  send_text(ben, encrypted_with(ben, "ann"), secret);
  expect_text(ann, "ben");
  return laptop;
}

/* Whoever was taken out logs in again with the store that it had, and is nobody until it is linked again; of what was
 * said meanwhile it is told nothing. */
static void a_removed_device_is_linked_again(chatsdk_client* laptop, chatsdk_client* ann, chatsdk_client* ben) {
  chatsdk_event_release(await_event(laptop, CHATSDK_EVENT_SESSION_ENDED));
  CHECK_STATUS(CHATSDK_OK, log_in(laptop, "ann"));
  go_online(laptop);
  await_encryption(laptop, CHATSDK_ENCRYPTION_LINK_NEEDED);
  const uint64_t waits = send_text(laptop, encrypted_with(laptop, "ben"), secret);
  send_text(ben, encrypted_with(ben, "ann"), secret);
  expect_text(ann, "ben");
  CHECK(state_of(laptop, waits) == CHATSDK_MESSAGE_QUEUED);

  begin_linking(ann, laptop);
  confirm_linking(ann, laptop);
  const uint64_t device = await_about(ann, CHATSDK_EVENT_DEVICE_ADDED, "ann");
  CHECK(await_about(ben, CHATSDK_EVENT_DEVICE_ADDED, "ann") == device);
  speaks_for_ann(laptop, waits, ann, ben);
}

/* ---- Another identity -------------------------------------------------------------------------------------------- */

/* With sessions under the old one; its other device is logged out, and linked again. */
static void a_device_that_has_spoken_replaces_its_identity(chatsdk_client* ann, chatsdk_client* laptop,
                                                           chatsdk_client* ben) {
  chatsdk_identity* before = identity_of(ben, "ann");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_verified(ben, before, 1, NULL));
  await_about(ben, CHATSDK_EVENT_VERIFIED_CHANGED, "ann");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_replace_identity(ann, NULL));
  await_encryption(ann, CHATSDK_ENCRYPTION_READY);
  await_about(ben, CHATSDK_EVENT_IDENTITY_CHANGED, "ann");
  await_about(ben, CHATSDK_EVENT_VERIFIED_CHANGED, "ann");
  chatsdk_identity* after = identity_of(ben, "ann");
  CHECK(chatsdk_identity_has_changed(after) == 1 && chatsdk_identity_is_verified(after) == 0);
  CHECK(strcmp(chatsdk_identity_safety_number(after, NULL), chatsdk_identity_safety_number(before, NULL)) != 0);
  chatsdk_identity* of_ben = identity_of(ann, "ben");
  CHECK(strcmp(chatsdk_identity_safety_number(after, NULL), chatsdk_identity_safety_number(of_ben, NULL)) == 0);
  chatsdk_identity_release(of_ben);
  chatsdk_identity_release(before);
  chatsdk_identity_release(after);
  write_both_ways(ann, ben);

  /* The server has seen this device encrypt before: it takes it for the same one at its next connection. */
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_suspend(ann, kWaitMs, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_resume(ann, NULL));
  write_both_ways(ann, ben);
  a_removed_device_is_linked_again(laptop, ann, ben);
}

/* Until it has come, or, here, until it is certain that it waits: what was sent after it has gone. */
static void waits_while_others_go(chatsdk_client* client, uint64_t waits, uint64_t goes) {
  await_state(client, goes, CHATSDK_MESSAGE_SENT);
  CHECK(state_of(client, waits) == CHATSDK_MESSAGE_QUEUED);
}

static void another_identity_is_told_and_may_block(chatsdk_client* ben) {
  chatsdk_config* config = NULL;
  chatsdk_client* hal = NULL;
  static const uint8_t key[32] = {9};
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_create(&config, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_server_url(config, url, CHATSDK_STRLEN, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_config_set_block_changed_identities(config, 1, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_create(config, &hal, NULL));
  chatsdk_config_destroy(config);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_open_store(hal, "hal.db", CHATSDK_STRLEN, key, sizeof key, NULL));
  CHECK_STATUS(CHATSDK_NOT_LOGGED_IN, chatsdk_client_replace_identity(hal, NULL));
  register_user(hal, "hal");
  CHECK_STATUS(CHATSDK_WRONG_STATE, chatsdk_client_replace_identity(hal, NULL));
  go_online(hal);
  await_encryption(hal, CHATSDK_ENCRYPTION_READY);

  chatsdk_client* lost = encrypted_user("gus-lost.db", "gus");
  const uint64_t with_gus = encrypted_with(hal, "gus");
  await_state(hal, send_text(hal, with_gus, secret), CHATSDK_MESSAGE_SENT);
  expect_text(lost, "hal");
  await_state(ben, send_text(ben, encrypted_with(ben, "gus"), secret), CHATSDK_MESSAGE_SENT);
  expect_text(lost, "ben");
  chatsdk_identity* before = identity_of(hal, "gus");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_verified(hal, before, 1, NULL));
  await_about(hal, CHATSDK_EVENT_VERIFIED_CHANGED, "gus");
  chatsdk_client_destroy(lost);

  chatsdk_client* gus = online_client(url, "gus.db", "gus.db");
  CHECK_STATUS(CHATSDK_OK, log_in(gus, "gus"));
  go_online(gus);
  await_encryption(gus, CHATSDK_ENCRYPTION_LINK_NEEDED);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_replace_identity(gus, NULL));
  await_encryption(gus, CHATSDK_ENCRYPTION_READY);

  /* hal is told, the mark has fallen, and what is written waits until the change is accepted. */
  await_about(hal, CHATSDK_EVENT_IDENTITY_CHANGED, "gus");
  await_about(hal, CHATSDK_EVENT_VERIFIED_CHANGED, "gus");
  chatsdk_identity* after = identity_of(hal, "gus");
  CHECK(chatsdk_identity_has_changed(after) == 1 && chatsdk_identity_is_verified(after) == 0);
  CHECK(strcmp(chatsdk_identity_safety_number(after, NULL), chatsdk_identity_safety_number(before, NULL)) != 0);
  CHECK(chatsdk_identity_compare(after, chatsdk_identity_scannable(before, NULL), CHATSDK_STRLEN) ==
        CHATSDK_SCAN_DIFFERENT);
  const uint64_t waits = send_text(hal, with_gus, secret);
  waits_while_others_go(hal, waits, send_text(hal, encrypted_with(hal, "ben"), secret));
  expect_text(ben, "hal");
  CHECK_STATUS(CHATSDK_CONFLICT, chatsdk_client_set_verified(hal, before, 1, NULL));
  CHECK_STATUS(CHATSDK_CONFLICT, chatsdk_client_accept_identity(hal, before, NULL));
  waits_while_others_go(hal, waits, send_text(hal, encrypted_with(hal, "ben"), secret));
  expect_text(ben, "hal");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_accept_identity(hal, after, NULL));
  expect_text(gus, "hal");
  await_state(hal, waits, CHATSDK_MESSAGE_READ);
  chatsdk_identity_release(after);
  after = identity_of(hal, "gus");
  CHECK(chatsdk_identity_has_changed(after) == 0 && chatsdk_identity_is_verified(after) == 0);
  chatsdk_identity_release(before);
  chatsdk_identity_release(after);

  /* Where the app does not ask for that, the warning is all. */
  await_state(ben, send_text(ben, encrypted_with(ben, "gus"), secret), CHATSDK_MESSAGE_SENT);
  expect_text(gus, "ben");
  chatsdk_identity* of_gus = identity_of(ben, "gus");
  CHECK(chatsdk_identity_has_changed(of_gus) == 1);
  chatsdk_identity_release(of_gus);

  /* Who turns out to be another's is learned anew: what is written waits until that is accepted. */
  after = identity_of(hal, "gus");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_set_verified(hal, after, 1, NULL));
  await_about(hal, CHATSDK_EVENT_VERIFIED_CHANGED, "gus");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_forget_identity(hal, after, NULL));
  await_about(hal, CHATSDK_EVENT_VERIFIED_CHANGED, "gus");
  await_about(hal, CHATSDK_EVENT_IDENTITY_CHANGED, "gus");
  chatsdk_identity* anew = identity_of(hal, "gus");
  CHECK(chatsdk_identity_has_changed(anew) == 1 && chatsdk_identity_is_verified(anew) == 0);
  CHECK(chatsdk_identity_compare(anew, chatsdk_identity_scannable(after, NULL), CHATSDK_STRLEN) == CHATSDK_SCAN_EQUAL);
  const uint64_t again = send_text(hal, with_gus, secret);
  waits_while_others_go(hal, again, send_text(hal, encrypted_with(hal, "ben"), secret));
  expect_text(ben, "hal");
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_accept_identity(hal, anew, NULL));
  expect_text(gus, "hal");
  send_text(gus, encrypted_with(gus, "hal"), secret);
  expect_text(hal, "gus");
  chatsdk_identity_release(after);
  chatsdk_identity_release(anew);
  chatsdk_client_destroy(gus);
  chatsdk_client_destroy(hal);
}

/* ---- What is told of keys --------------------------------------------------------------------------------------- */

/* kim's program is killed when it has learned that lou has another identity, and before it has pulled any of that. */
static void kim_is_killed_before_it_pulls(void) {
  chatsdk_client* kim = encrypted_user("kim.db", "kim");
  chatsdk_client* lou = encrypted_user("lou-lost.db", "lou");
  send_text(kim, encrypted_with(kim, "lou"), secret);
  expect_text(lou, "kim");
  chatsdk_client_destroy(lou);
  lou = online_client(url, "lou.db", "lou.db");
  CHECK_STATUS(CHATSDK_OK, log_in(lou, "lou"));
  go_online(lou);
  await_encryption(lou, CHATSDK_ENCRYPTION_LINK_NEEDED);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_replace_identity(lou, NULL));
  await_encryption(lou, CHATSDK_ENCRYPTION_READY);
  for (int32_t has_changed = 0; !has_changed;) {
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_sync(kim, kWaitMs, NULL));
    chatsdk_identity* identity = identity_of(kim, "lou");
    has_changed = chatsdk_identity_has_changed(identity);
    chatsdk_identity_release(identity);
  }
  raise(SIGKILL);
}

/* How often the type came about the user in all that can be pulled. */
static int pull_all(chatsdk_client* client, int32_t type, const char* user, int* resyncs) {
  chatsdk_event* events[256];
  size_t count = 0;
  int found = 0;
  while (chatsdk_client_poll(client, 0, events, 256, &count, NULL) == CHATSDK_OK) {
    for (size_t i = 0; i < count; ++i) {
      if (chatsdk_event_type(events[i]) == CHATSDK_EVENT_RESYNC) ++*resyncs;
      if (chatsdk_event_type(events[i]) == type && strcmp(chatsdk_event_user(events[i], NULL), user) == 0) ++found;
      chatsdk_event_release(events[i]);
    }
  }
  return found;
}

static void what_is_told_of_keys_outlives_the_program_and_other_events(void) {
  enum { kMessages = 3000 };
  int resyncs = 0;
  for (int life = 0; life < 2; ++life) {
    chatsdk_client* kim = online_client(url, "kim.db", "kim.db");
    if (life == 0) chatsdk_client_destroy(kim); /* unpulled */
    if (life == 0) kim = online_client(url, "kim.db", "kim.db");
    uint64_t other = 0;
    CHECK_STATUS(CHATSDK_OK, chatsdk_client_direct_conversation_plain(kim, "max", CHATSDK_STRLEN, &other, NULL));
    for (int i = 0; life == 0 && i < kMessages; ++i) {
      CHECK_STATUS(CHATSDK_OK, chatsdk_client_discard_message(kim, send_text(kim, other, plain), NULL));
    }
    const int told = pull_all(kim, CHATSDK_EVENT_IDENTITY_CHANGED, "lou", &resyncs);
    CHECK(told == (life == 0 ? 1 : 0)); /* what was pulled is told no more */
    CHECK(resyncs == 1);
    chatsdk_client_destroy(kim);
  }
}

/* The devices of a user as two others see them. */
static void signed_devices_are_the_same_for_all(chatsdk_client* one, chatsdk_client* other, const char* user,
                                                size_t count) {
  chatsdk_signed_devices* here = NULL;
  chatsdk_signed_devices* there = NULL;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_signed_devices(one, user, CHATSDK_STRLEN, &here, NULL));
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_signed_devices(other, user, CHATSDK_STRLEN, &there, NULL));
  CHECK(chatsdk_signed_devices_size(here) == count && chatsdk_signed_devices_size(there) == count);
  for (size_t i = 0; i < count; ++i) {
    size_t length = 0;
    const char* fingerprint = chatsdk_signed_devices_fingerprint(here, i, &length);
    CHECK(length == 79 && strlen(fingerprint) == length);
    CHECK(strcmp(fingerprint, chatsdk_signed_devices_fingerprint(there, i, NULL)) == 0);
    CHECK(chatsdk_signed_devices_id(here, i) == chatsdk_signed_devices_id(there, i));
    CHECK(i == 0 || chatsdk_signed_devices_id(here, i) > chatsdk_signed_devices_id(here, i - 1));
    CHECK(chatsdk_signed_devices_since_ms(here, i) == chatsdk_signed_devices_since_ms(there, i));
    CHECK(chatsdk_signed_devices_since_ms(here, i) > 0);
  }
  CHECK(strcmp(chatsdk_signed_devices_fingerprint(here, count, NULL), "") == 0);
  CHECK(chatsdk_signed_devices_id(here, count) == 0 && chatsdk_signed_devices_since_ms(here, count) == 0);
  CHECK(chatsdk_signed_devices_is_current(here, count) == 0);
  chatsdk_signed_devices_release(here);
  chatsdk_signed_devices_release(there);
}

/* Names are sealed for the user's own devices. */
static void only_the_user_reads_the_names_of_devices(chatsdk_client* own, chatsdk_client* other, const char* user,
                                                     const char* name) {
  chatsdk_signed_devices* devices = NULL;
  size_t named = 0, current = 0;
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_signed_devices(own, user, CHATSDK_STRLEN, &devices, NULL));
  for (size_t i = 0; i < chatsdk_signed_devices_size(devices); ++i) {
    if (strcmp(chatsdk_signed_devices_name(devices, i, NULL), name) == 0) ++named;
    current += (size_t)chatsdk_signed_devices_is_current(devices, i);
  }
  CHECK(named == 1 && current == 1);
  chatsdk_signed_devices_release(devices);
  CHECK_STATUS(CHATSDK_OK, chatsdk_client_signed_devices(other, user, CHATSDK_STRLEN, &devices, NULL));
  for (size_t i = 0; i < chatsdk_signed_devices_size(devices); ++i) {
    CHECK(strcmp(chatsdk_signed_devices_name(devices, i, NULL), "") == 0);
    CHECK(chatsdk_signed_devices_is_current(devices, i) == 0);
  }
  chatsdk_signed_devices_release(devices);
  CHECK_STATUS(CHATSDK_NOT_FOUND, chatsdk_client_signed_devices(other, "nobody", CHATSDK_STRLEN, &devices, NULL));
}

/* ---- What cannot be decrypted ----------------------------------------------------------------------------------- */

/* What ivy has begun encrypted is never taken for plain: what comes plain is shown as what it is, and not its text. */
static void what_cannot_be_decrypted_is_shown_as_that(void) {
  chatsdk_client* ivy = encrypted_user("ivy.db", "ivy");
  chatsdk_client* jon = online_user("jon.db", "jon");
  const uint64_t with_jon = encrypted_with(ivy, "jon");
  send_text(jon, conversation_with(jon, "ivy"), plain);
  chatsdk_event* event = await_event(ivy, CHATSDK_EVENT_MESSAGE_ADDED);
  const uint64_t key = chatsdk_event_message(event);
  chatsdk_event_release(event);
  event = await_event(ivy, CHATSDK_EVENT_UNDECRYPTABLE);
  CHECK(chatsdk_event_message(event) == key && chatsdk_event_conversation(event) == with_jon);
  chatsdk_event_release(event);
  chatsdk_message* message = message_of(ivy, key);
  CHECK(chatsdk_message_is_undecryptable(message) == 1);
  CHECK(strcmp(chatsdk_message_sender(message, NULL), "jon") == 0);
  CHECK(strcmp(chatsdk_message_text(message, NULL), "") == 0 &&
        strcmp(chatsdk_message_content_type(message, NULL), "") == 0);
  CHECK(is_encrypted(ivy, with_jon) == 1);
  chatsdk_message_release(message);
  chatsdk_client_destroy(jon);
  chatsdk_client_destroy(ivy);
}

int main(int argc, char** argv) {
  CHECK(argc == 4);
  url = argv[1];
  secret = argv[2];
  plain = argv[3];
  /* While there is no other thread in this process. */
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) kim_is_killed_before_it_pulls();
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  what_is_told_of_keys_outlives_the_program_and_other_events();

  chatsdk_client* ann = encrypted_user("ann.db", "ann");
  chatsdk_client* ben = encrypted_user("ben.db", "ben");
  both_ways_with_receipts(ann, ben);
  plain_ones_are_marked(ann);
  a_message_waits_for_the_peers_first_device(ann);
  safety_numbers_are_equal_and_marked(ann, ben);
  chatsdk_client* laptop = a_second_device_is_linked(ann, ben);
  a_removed_device_is_linked_again(laptop, ann, ben);
  signed_devices_are_the_same_for_all(ann, ben, "ann", 2);
  signed_devices_are_the_same_for_all(laptop, ben, "ben", 1);
  only_the_user_reads_the_names_of_devices(laptop, ben, "ann", "ann.db");
  a_device_that_has_spoken_replaces_its_identity(ann, laptop, ben);
  chatsdk_client_destroy(laptop);
  another_identity_is_told_and_may_block(ben);
  what_cannot_be_decrypted_is_shown_as_that();
  chatsdk_client_destroy(ann);
  chatsdk_client_destroy(ben);
  return 0;
}
