/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator that fails at call N, for each N until the call passes: once alone, and from N on. The call gives
 * NO_MEMORY, or OK where it could do without; nothing has changed, nothing leaks, and ending a client never fails.
 * This program brings the process's malloc, over glibc's own; only allocations of the thread that calls fail. In tick
 * mode that thread does all the work.
 * Usage: allocation_test SERVER_URL, in an empty directory.
 */
#define _GNU_SOURCE
#include "failing_allocator.h"
#include "online.h"

/* ---- The world -------------------------------------------------------------------------------------------------- */

/* The roster stands before the texts: they have the sequences from 2. */
enum { kReceived = 60, kHead = kReceived + 1, kAllocationsMax = 40000, kEachUpTo = 150, kStepBeyond = 11 };
/* A retry may pass though an allocation fails: SQLite can do without some. */
enum { kRefused = 8 };
static const uint8_t key[32] = {9};
static const char* const store = "ann.db";
static const char* const text = "a text that is longer than what a string of C++ keeps inside of itself";

typedef struct world {
  const char* url;
  int32_t threading;
  chatsdk_config* config;
  chatsdk_client* client;
  uint64_t conversation; /* with ben, who has sent kReceived texts */
  uint64_t read_up_to;
  uint64_t outbox;
  uint64_t conversations;
  uint64_t message;
  uint8_t id[CHATSDK_CLIENT_MESSAGE_ID_SIZE];
  uint64_t first;             /* of ben's texts */
  uint64_t encrypted;         /* the conversation with eve */
  int verified;               /* she is */
  uint64_t sent;              /* ben has it */
  uint64_t refused[kRefused]; /* the server has said no */
  int retried;
  int told; /* events of messages that a tick has brought */
  int destroyed;
  int failed;      /* an allocation, within the last call */
  int compares;    /* the store is open, with nothing at work */
  uint64_t digest; /* before the call */
  uint64_t request;
  int32_t completed; /* with this status; -1: not yet */
  int32_t expected;  /* of a completion */
} world;

static int complete; /* CHATSDK_LONG: each allocation fails, and all are compared */

static uint64_t unread_of(const world* w) { return w->read_up_to == 0 ? kReceived : kHead - w->read_up_to; }

static void must(int32_t status) { CHECK_STATUS(CHATSDK_OK, status); }

static void make_client(world* w) {
  chatsdk_config* config = NULL;
  must(chatsdk_config_create(&config, NULL));
  must(chatsdk_config_set_server_url(config, w->url, CHATSDK_STRLEN, NULL));
  must(chatsdk_config_set_threading(config, w->threading, NULL));
  must(chatsdk_client_create(config, &w->client, NULL));
  chatsdk_config_destroy(config);
}
static void open_client(world* w) {
  make_client(w);
  must(chatsdk_client_open_store(w->client, store, CHATSDK_STRLEN, key, sizeof key, NULL));
}
static void end_client(world* w) {
  chatsdk_client_destroy(w->client);
  w->client = NULL;
}

/* All that an app can read of the store, in one number. */
static uint64_t mix(uint64_t sum, uint64_t value) { return (sum ^ value) * 0x100000001b3u; }
static uint64_t mix_text(uint64_t sum, const char* value) {
  for (; *value != 0; ++value) sum = mix(sum, (unsigned char)*value);
  return sum;
}
static uint64_t digest_of_conversation(world* w, uint64_t conversation) {
  uint64_t sum = 0;
  uint64_t after = 0;
  for (int more = 1; more;) {
    chatsdk_message_list* list = NULL;
    must(after == 0 ? chatsdk_client_history_after(w->client, conversation, 0, 200, &list, NULL)
                    : chatsdk_client_history_after_message(w->client, conversation, after, 200, &list, NULL));
    const size_t size = chatsdk_message_list_size(list);
    for (size_t i = 0; i < size; ++i) {
      const chatsdk_message* row = chatsdk_message_list_at(list, i);
      after = chatsdk_message_key(row);
      sum = mix(mix(sum, after), chatsdk_message_seq(row));
      sum = mix(sum, (uint64_t)chatsdk_message_state(row) << 32 | (uint32_t)chatsdk_message_failure(row));
      sum = mix_text(sum, chatsdk_message_text(row, NULL));
    }
    more = size > 0 && chatsdk_message_list_has_more(list);
    chatsdk_message_list_release(list);
  }
  return sum;
}
static uint64_t digest(world* w) {
  uint64_t count = 0;
  must(chatsdk_client_outbox_count(w->client, &count, NULL));
  uint64_t sum = mix(0, count);
  must(chatsdk_client_unread_total(w->client, &count, NULL));
  sum = mix(sum, count);
  uint64_t after = 0;
  for (int more = 1; more;) {
    chatsdk_conversation_list* list = NULL;
    must(chatsdk_client_conversations(w->client, after, 200, &list, NULL));
    const size_t size = chatsdk_conversation_list_size(list);
    for (size_t i = 0; i < size; ++i) {
      const chatsdk_conversation* row = chatsdk_conversation_list_at(list, i);
      after = chatsdk_conversation_key(row);
      sum = mix(mix(sum, after), chatsdk_conversation_read_up_to(row));
      sum = mix_text(sum, chatsdk_conversation_peer(row, NULL));
      sum = mix(sum, digest_of_conversation(w, after));
    }
    more = size > 0 && chatsdk_conversation_list_has_more(list);
    chatsdk_conversation_list_release(list);
  }
  return sum;
}

typedef int32_t (*call_with_error)(world* w, chatsdk_error** out_error);
typedef void (*judge_of_call)(world* w, int32_t status); /* may be NULL */

static int scenarios; /* of a round */

static int fail_at(const char* name, world* w, long n, int all_after, call_with_error call, judge_of_call judge) {
  chatsdk_error* error = NULL;
  arm(kThisThread, n, all_after ? kAllAfter : 1);
  const int32_t status = call(w, &error);
  const int failed = w->failed = disarm();
  if (status != CHATSDK_OK && !(failed && status == CHATSDK_NO_MEMORY)) {
    fprintf(stderr, "%s, allocation %ld%s: %s, %s\n", name, n, all_after ? " and all after it" : "",
            chatsdk_status_name(status), chatsdk_error_message(error, NULL));
    exit(1);
  }
  CHECK(status != CHATSDK_OK || error == NULL);
  CHECK(error == NULL || chatsdk_error_status(error) == CHATSDK_NO_MEMORY);
  chatsdk_error_release(error);
  /* A store is open: the failure has changed nothing in it. Every tenth time, as it takes longer than the call. */
  if (status != CHATSDK_OK && w->compares && n % (complete ? 1 : 10) == 0 && digest(w) != w->digest) {
    fprintf(stderr, "%s, allocation %ld%s: the store has changed\n", name, n, all_after ? " and all after it" : "");
    exit(1);
  }
  if (judge != NULL) judge(w, status);
  if (status == CHATSDK_OK && w->compares) w->digest = digest(w);
  return failed;
}

static void fail_each(const char* name, world* w, call_with_error call, judge_of_call judge) {
  ++scenarios;
  if (w->compares) w->digest = digest(w);
  for (int all_after = 0; all_after < 2; ++all_after) {
    long n = 0;
    int failed = 1;
    for (; failed; n += complete || n < kEachUpTo ? 1 : kStepBeyond) {
      CHECK(n < kAllocationsMax);
      failed = fail_at(name, w, n, all_after, call, judge);
    }
    if (!all_after) printf("%s: passes with about %ld allocations\n", name, n - 1);
  }
}

/* ---- Configuration ---------------------------------------------------------------------------------------------- */

static int32_t create_config(world* w, chatsdk_error** e) { return chatsdk_config_create(&w->config, e); }
static void drop_config(world* w, int32_t status) {
  CHECK((status == CHATSDK_OK) == (w->config != NULL));
  chatsdk_config_destroy(w->config);
  w->config = NULL;
}
static int32_t set_url(world* w, chatsdk_error** e) {
  static const char* const url = "http://a-name-of-a-host-that-is-long-enough.example:12345";
  return chatsdk_config_set_server_url(w->config, url, CHATSDK_STRLEN, e);
}
static int32_t set_name(world* w, chatsdk_error** e) {
  return chatsdk_config_set_device_name(w->config, text, CHATSDK_STRLEN, e);
}
static int32_t set_ca(world* w, chatsdk_error** e) {
  return chatsdk_config_set_ca_file(w->config, text, CHATSDK_STRLEN, e);
}
static int32_t set_thread(world* w, chatsdk_error** e) {
  return chatsdk_config_set_thread_name(w->config, "0123456789", CHATSDK_STRLEN, e);
}
static int32_t set_numbers(world* w, chatsdk_error** e) {
  int32_t status = chatsdk_config_set_threading(w->config, w->threading, e);
  if (status == CHATSDK_OK) status = chatsdk_config_set_send_time_limit_ms(w->config, 1000, e);
  if (status == CHATSDK_OK) status = chatsdk_config_set_backoff_ms(w->config, 1, 2, e);
  return status;
}
static void CHATSDK_CALL no_line(int32_t level, const char* area, const char* message, void* user) {
  (void)level, (void)area, (void)message, (void)user;
}
static void CHATSDK_CALL count_destroyed(void* user) { ++((world*)user)->destroyed; }
static int32_t set_log(world* w, chatsdk_error** e) {
  w->destroyed = 0;
  return chatsdk_config_set_log(w->config, CHATSDK_LOG_ERROR, e, no_line, w, count_destroyed);
}
/* A failure calls no destroy, neither of the new hook nor of the one that stays. */
static void check_log(world* w, int32_t status) { CHECK(status == CHATSDK_OK || w->destroyed == 0); }
static int32_t create_client(world* w, chatsdk_error** e) { return chatsdk_client_create(w->config, &w->client, e); }
static void drop_client(world* w, int32_t status) {
  CHECK((status == CHATSDK_OK) == (w->client != NULL));
  end_client(w);
}

static void configuration(world* w) {
  fail_each("config_create", w, create_config, drop_config);
  must(chatsdk_config_create(&w->config, NULL));
  fail_each("set_server_url", w, set_url, NULL);
  fail_each("set_device_name", w, set_name, NULL);
  fail_each("set_ca_file", w, set_ca, NULL);
  fail_each("set_thread_name", w, set_thread, NULL);
  fail_each("set numbers", w, set_numbers, NULL);
  fail_each("set_log", w, set_log, check_log);
  fail_each("client_create", w, create_client, drop_client);
  chatsdk_config_destroy(w->config);
  w->config = NULL;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static int32_t open_store(world* w, chatsdk_error** e) {
  return chatsdk_client_open_store(w->client, store, CHATSDK_STRLEN, key, sizeof key, e);
}
static void close_when_open(world* w, int32_t status) {
  if (status != CHATSDK_OK) return;
  end_client(w);
  make_client(w);
}
static int32_t suspend(world* w, chatsdk_error** e) { return chatsdk_client_suspend(w->client, 60000, e); }
static int32_t resume(world* w, chatsdk_error** e) { return chatsdk_client_resume(w->client, e); }
static void resume_when_suspended(world* w, int32_t status) {
  if (status == CHATSDK_OK) must(chatsdk_client_resume(w->client, NULL));
}
static void suspend_when_resumed(world* w, int32_t status) {
  if (status == CHATSDK_OK) must(chatsdk_client_suspend(w->client, 60000, NULL));
}

/* A call that failed late may have left the new store whole: then the next one finds it. */
static int32_t recreate_store(world* w, chatsdk_error** e) {
  const int32_t status = chatsdk_client_recreate_store(w->client, "new.db", CHATSDK_STRLEN, key, sizeof key, e);
  if (status != CHATSDK_ALREADY_EXISTS) return status;
  chatsdk_error_release(*e);
  return chatsdk_client_open_store(w->client, "new.db", CHATSDK_STRLEN, key, sizeof key, e);
}
static void drop_store(world* w, int32_t status) {
  if (status != CHATSDK_OK) return;
  end_client(w);
  CHECK(remove("new.db") == 0);
  make_client(w);
}

static void life(world* w) {
  make_client(w);
  fail_each("recreate_store", w, recreate_store, drop_store);
  fail_each("open_store", w, open_store, close_when_open);
  must(open_store(w, NULL));
  fail_each("suspend", w, suspend, resume_when_suspended);
  must(suspend(w, NULL));
  fail_each("resume", w, resume, suspend_when_resumed);
  end_client(w);
}

/* Closing and destroying take no memory that they could not do without, whatever is under way. */
static void ends(world* w) {
  for (int how = 0; how < 4; ++how) {
    for (long n = 0, failed = 1; failed; ++n) {
      open_client(w);
      if (n % 2 == 0) {
        uint64_t message = 0;
        must(chatsdk_client_send_text(w->client, w->conversation, text, CHATSDK_STRLEN, NULL, NULL, &message, NULL));
        must(chatsdk_client_discard_message(w->client, message, NULL));
      }
      arm(kThisThread, n, how % 2 ? kAllAfter : 1);
      if (how < 2) {
        const int32_t status = chatsdk_client_close(w->client, NULL);
        if (status != CHATSDK_OK) fprintf(stderr, "close, allocation %ld\n", n);
        CHECK_STATUS(CHATSDK_OK, status);
      }
      end_client(w);
      failed = disarm();
    }
  }
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static uint64_t outbox_count(world* w) {
  uint64_t count = 0;
  must(chatsdk_client_outbox_count(w->client, &count, NULL));
  return count;
}
static int32_t open_conversation(world* w, chatsdk_error** e) {
  char peer[64];
  uint64_t number = 0;
  snprintf(peer, sizeof peer, "a-peer-with-a-name-of-some-length-%llu", (unsigned long long)w->conversations);
  return chatsdk_client_direct_conversation(w->client, peer, CHATSDK_STRLEN, &number, e);
}
static void count_conversations(world* w, int32_t status) {
  if (status == CHATSDK_OK) ++w->conversations;
  uint64_t after = 0;
  uint64_t seen = 0;
  for (int more = 1; more;) {
    chatsdk_conversation_list* list = NULL;
    must(chatsdk_client_conversations(w->client, after, 200, &list, NULL));
    const size_t size = chatsdk_conversation_list_size(list);
    seen += size;
    more = chatsdk_conversation_list_has_more(list);
    if (size > 0) after = chatsdk_conversation_key(chatsdk_conversation_list_at(list, size - 1));
    chatsdk_conversation_list_release(list);
  }
  CHECK(seen == w->conversations);
}
static int32_t send_one(world* w, chatsdk_error** e) {
  return chatsdk_client_send_text(w->client, w->conversation, text, CHATSDK_STRLEN, NULL, w->id, &w->message, e);
}
static void count_sent(world* w, int32_t status) {
  if (status == CHATSDK_OK) ++w->outbox;
  CHECK(outbox_count(w) == w->outbox);
}
static int32_t edit_one(world* w, chatsdk_error** e) {
  return chatsdk_client_edit_text(w->client, w->message, text, CHATSDK_STRLEN, e);
}
static int32_t react_to_one(world* w, chatsdk_error** e) {
  const char* keys[] = {"a reaction with a name of some length", "another reaction with a name like that"};
  return chatsdk_client_set_reactions(w->client, w->message, keys, 2, e);
}
static int32_t pin_one(world* w, chatsdk_error** e) { return chatsdk_client_set_pinned(w->client, w->message, 1, e); }
static int32_t discard_one(world* w, chatsdk_error** e) {
  return chatsdk_client_discard_message(w->client, w->message, e);
}
static void count_discarded(world* w, int32_t status) {
  if (status == CHATSDK_OK) --w->outbox;
  CHECK(outbox_count(w) == w->outbox);
  if (status == CHATSDK_OK) must(send_one(w, NULL)), ++w->outbox;
}
static int32_t mark_one_more(world* w, chatsdk_error** e) {
  return chatsdk_client_mark_read(w->client, w->conversation, w->read_up_to + 1, e);
}
static void check_mark(world* w, int32_t status) {
  chatsdk_conversation* conversation = NULL;
  if (status == CHATSDK_OK && w->read_up_to < kHead) ++w->read_up_to;
  must(chatsdk_client_conversation(w->client, w->conversation, &conversation, NULL));
  CHECK(chatsdk_conversation_read_up_to(conversation) == w->read_up_to);
  CHECK(chatsdk_conversation_unread_count(conversation) == unread_of(w));
  chatsdk_conversation_release(conversation);
}

static int32_t retry_one(world* w, chatsdk_error** e) {
  return chatsdk_client_retry_message(w->client, w->refused[w->retried], e);
}
static void check_retried(world* w, int32_t status) {
  CHECK(w->retried < kRefused);
  const int32_t state = state_of(w->client, w->refused[w->retried]);
  CHECK((state == CHATSDK_MESSAGE_FAILED) == (status != CHATSDK_OK));
  if (status == CHATSDK_OK) ++w->retried;
}

static int32_t send_encrypted(world* w, chatsdk_error** e) {
  return chatsdk_client_send_text(w->client, w->encrypted, text, CHATSDK_STRLEN, NULL, NULL, NULL, e);
}
static chatsdk_identity* eve(world* w) {
  chatsdk_identity* identity = NULL;
  must(chatsdk_client_identity(w->client, "eve", CHATSDK_STRLEN, &identity, NULL));
  return identity;
}
static int32_t read_identity(world* w, chatsdk_error** e) {
  chatsdk_identity* identity = NULL;
  const int32_t status = chatsdk_client_identity(w->client, "eve", CHATSDK_STRLEN, &identity, e);
  CHECK((status == CHATSDK_OK) == (identity != NULL));
  CHECK(identity == NULL || strlen(chatsdk_identity_safety_number(identity, NULL)) == 71);
  CHECK(chatsdk_identity_is_verified(identity) == (identity != NULL && w->verified));
  chatsdk_identity_release(identity);
  return status;
}
static int32_t read_signed_devices(world* w, chatsdk_error** e) {
  chatsdk_signed_devices* devices = NULL;
  const int32_t status = chatsdk_client_signed_devices(w->client, "eve", CHATSDK_STRLEN, &devices, e);
  CHECK((status == CHATSDK_OK) == (devices != NULL));
  CHECK(chatsdk_signed_devices_size(devices) == (devices == NULL ? 0 : 1));
  chatsdk_signed_devices_release(devices);
  return status;
}
static chatsdk_identity* shown; /* what is marked */
static int32_t mark_eve(world* w, chatsdk_error** e) {
  return chatsdk_client_set_verified(w->client, shown, !w->verified, e);
}
static void check_eve(world* w, int32_t status) {
  if (status == CHATSDK_OK) w->verified = !w->verified;
  chatsdk_identity* identity = eve(w);
  CHECK(chatsdk_identity_is_verified(identity) == w->verified);
  chatsdk_identity_release(identity);
}
static int32_t accept_eve(world* w, chatsdk_error** e) { return chatsdk_client_accept_identity(w->client, shown, e); }
static int32_t read_encryption(world* w, chatsdk_error** e) {
  int32_t state = 0;
  const int32_t status = chatsdk_client_encryption_state(w->client, &state, e);
  CHECK(status != CHATSDK_OK || state == CHATSDK_ENCRYPTION_PREPARING); /* it is not connected */
  return status;
}
/* It is done with a connection. */
static int32_t replace_identity(world* w, chatsdk_error** e) { return chatsdk_client_replace_identity(w->client, e); }
static int32_t cancel_link(world* w, chatsdk_error** e) { return chatsdk_client_cancel_link(w->client, e); }

static void encryption(world* w) {
  fail_each("send_text, encrypted", w, send_encrypted, count_sent);
  fail_each("identity", w, read_identity, NULL);
  fail_each("signed_devices", w, read_signed_devices, NULL);
  shown = eve(w);
  w->verified = chatsdk_identity_is_verified(shown);
  fail_each("set_verified", w, mark_eve, check_eve);
  fail_each("accept_identity", w, accept_eve, NULL);
  chatsdk_identity_release(shown);
  fail_each("encryption_state", w, read_encryption, NULL);
  fail_each("cancel_link", w, cancel_link, NULL);
  fail_each("replace_identity", w, replace_identity, NULL);
}

static void writing(world* w) {
  fail_each("direct_conversation", w, open_conversation, count_conversations);
  fail_each("send_text", w, send_one, count_sent);
  fail_each("edit_text", w, edit_one, count_sent);
  fail_each("set_reactions", w, react_to_one, count_sent);
  fail_each("set_pinned", w, pin_one, count_sent);
  fail_each("discard_message", w, discard_one, count_discarded);
  fail_each("mark_read", w, mark_one_more, check_mark);
  fail_each("retry_message", w, retry_one, check_retried);
}

/* ---- Reading: an answer is whole, or there is none -------------------------------------------------------------- */

static int32_t read_conversations(world* w, chatsdk_error** e) {
  chatsdk_conversation_list* list = NULL;
  const int32_t status = chatsdk_client_conversations(w->client, 0, 20, &list, e);
  CHECK((status == CHATSDK_OK) == (list != NULL));
  for (size_t i = 0; i < chatsdk_conversation_list_size(list); ++i) {
    const chatsdk_conversation* row = chatsdk_conversation_list_at(list, i);
    CHECK(chatsdk_conversation_peer(row, NULL)[0] != 0);
  }
  chatsdk_conversation_list_release(list);
  return status;
}
static int32_t read_conversation(world* w, chatsdk_error** e) {
  chatsdk_conversation* conversation = NULL;
  const int32_t status = chatsdk_client_conversation(w->client, w->conversation, &conversation, e);
  CHECK((status == CHATSDK_OK) == (conversation != NULL));
  if (status == CHATSDK_OK) {
    CHECK(strcmp(chatsdk_conversation_peer(conversation, NULL), "ben") == 0);
    CHECK(strcmp(chatsdk_message_text(chatsdk_conversation_last_message(conversation), NULL), text) == 0);
  }
  chatsdk_conversation_release(conversation);
  return status;
}
static void check_page(chatsdk_message_list* list, int32_t status) {
  CHECK((status == CHATSDK_OK) == (list != NULL));
  CHECK(status != CHATSDK_OK || chatsdk_message_list_size(list) == 20);
  for (size_t i = 0; i < chatsdk_message_list_size(list); ++i) {
    const chatsdk_message* row = chatsdk_message_list_at(list, i);
    CHECK(strcmp(chatsdk_message_text(row, NULL), text) == 0);
    CHECK(strcmp(chatsdk_message_sender(row, NULL), chatsdk_message_is_own(row) ? "ann" : "ben") == 0);
  }
  chatsdk_message_list_release(list);
}
static int32_t read_tail(world* w, chatsdk_error** e) {
  chatsdk_message_list* list = NULL;
  const int32_t status = chatsdk_client_history_before(w->client, w->conversation, 0, 20, &list, e);
  check_page(list, status);
  return status;
}
static int32_t read_from_message(world* w, chatsdk_error** e) {
  chatsdk_message_list* list = NULL;
  const int32_t status = chatsdk_client_history_before_message(w->client, w->conversation, w->message, 20, &list, e);
  check_page(list, status);
  return status;
}
static int32_t read_on(world* w, chatsdk_error** e) {
  chatsdk_message_list* list = NULL;
  const int32_t status = chatsdk_client_history_after(w->client, w->conversation, 0, 20, &list, e);
  check_page(list, status);
  return status;
}
static int32_t read_on_from_message(world* w, chatsdk_error** e) {
  chatsdk_message_list* list = NULL;
  const int32_t status = chatsdk_client_history_after_message(w->client, w->conversation, w->first, 20, &list, e);
  check_page(list, status);
  return status;
}
static int32_t read_receipt(world* w, chatsdk_error** e) {
  int64_t delivered = -1;
  int64_t read = -1;
  const int32_t status = chatsdk_client_receipt(w->client, w->sent, "ben", CHATSDK_STRLEN, &delivered, &read, e);
  CHECK(status != CHATSDK_OK || (delivered >= 0 && read >= 0));
  return status;
}
static int32_t read_message(world* w, chatsdk_error** e) {
  chatsdk_message* message = NULL;
  const int32_t status = chatsdk_client_message(w->client, w->message, &message, e);
  CHECK((status == CHATSDK_OK) == (message != NULL));
  CHECK(message == NULL || strcmp(chatsdk_message_text(message, NULL), text) == 0);
  chatsdk_message_release(message);
  return status;
}
static int32_t read_message_by_id(world* w, chatsdk_error** e) {
  chatsdk_message* message = NULL;
  const int32_t status = chatsdk_client_message_by_id(w->client, w->id, &message, e);
  CHECK(message == NULL || chatsdk_message_key(message) == w->message);
  chatsdk_message_release(message);
  return status;
}
static int32_t read_counts(world* w, chatsdk_error** e) {
  uint64_t count = 0;
  int32_t status = chatsdk_client_outbox_count(w->client, &count, e);
  CHECK(status != CHATSDK_OK || count == w->outbox);
  if (status == CHATSDK_OK) status = chatsdk_client_unread_total(w->client, &count, e);
  CHECK(status != CHATSDK_OK || count == unread_of(w));
  return status;
}
static int32_t read_user(world* w, chatsdk_error** e) {
  char user[64];
  size_t length = 0;
  const int32_t status = chatsdk_client_user_id(w->client, user, sizeof user, &length, e);
  CHECK(status != CHATSDK_OK || (length == 3 && memcmp(user, "ann", 3) == 0));
  return status;
}

static void reading(world* w) {
  fail_each("conversations", w, read_conversations, NULL);
  fail_each("conversation", w, read_conversation, NULL);
  fail_each("history_before", w, read_tail, NULL);
  fail_each("history_before_message", w, read_from_message, NULL);
  fail_each("history_after", w, read_on, NULL);
  fail_each("history_after_message", w, read_on_from_message, NULL);
  fail_each("receipt", w, read_receipt, NULL);
  fail_each("message", w, read_message, NULL);
  fail_each("message_by_id", w, read_message_by_id, NULL);
  fail_each("counts", w, read_counts, NULL);
  fail_each("user_id", w, read_user, NULL);
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

static void CHATSDK_CALL count_told(const chatsdk_event* event, void* user) {
  if (chatsdk_event_type(event) == CHATSDK_EVENT_MESSAGE_ADDED) ++((world*)user)->told;
}
static int32_t tick(world* w, chatsdk_error** e) { return chatsdk_client_tick(w->client, 0, NULL, e, count_told, w); }
/* Until a tick has told of the message, more than once if need be; then there is another. */
static void send_when_told(world* w, int32_t status) {
  if (status != CHATSDK_OK) return;
  must(tick(w, NULL));
  CHECK(w->told > 0);
  w->told = 0;
  must(send_one(w, NULL));
  ++w->outbox;
}
static int32_t poll_one(world* w, chatsdk_error** e) {
  chatsdk_event* events[8];
  size_t count = 0;
  const int32_t status = chatsdk_client_poll(w->client, kWaitMs, events, 8, &count, e);
  for (size_t i = 0; i < count; ++i) {
    w->told += chatsdk_event_type(events[i]) == CHATSDK_EVENT_MESSAGE_ADDED;
    chatsdk_event_release(events[i]);
  }
  return status;
}
/* What a poll had no memory for is there for the next one. */
static void send_when_polled(world* w, int32_t status) {
  if (status != CHATSDK_OK) return;
  while (w->told == 0) must(poll_one(w, NULL));
  w->told = 0;
  must(send_one(w, NULL));
  ++w->outbox;
}

static void CHATSDK_CALL no_signal(void* user) { (void)user; }
static int32_t set_hook(world* w, chatsdk_error** e) {
  w->destroyed = 0;
  return chatsdk_client_set_ready_hook(w->client, e, no_signal, w, count_destroyed);
}
static int32_t wake(world* w, chatsdk_error** e) { return chatsdk_client_wake(w->client, e); }
/* It makes one poll return. */
static void poll_woken(world* w, int32_t status) {
  chatsdk_event* event = NULL;
  size_t count = 0;
  if (status != CHATSDK_OK || w->threading == CHATSDK_THREADING_TICK) return;
  CHECK_STATUS(CHATSDK_CANCELLED, chatsdk_client_poll(w->client, kWaitMs, &event, 1, &count, NULL));
}

static void events(world* w) {
  fail_each("set_ready_hook", w, set_hook, check_log);
  must(chatsdk_client_set_ready_hook(w->client, NULL, NULL, NULL, NULL));
  fail_each("wake", w, wake, poll_woken);
  must(send_one(w, NULL));
  ++w->outbox;
  w->told = 0;
  if (w->threading == CHATSDK_THREADING_TICK) {
    fail_each("tick", w, tick, send_when_told);
  } else {
    fail_each("poll", w, poll_one, send_when_polled);
  }
}

/* ---- Requests and the connection: nothing is begun by half ---------------------------------------------------------
 */

static void CHATSDK_CALL note_event(const chatsdk_event* event, void* user) {
  world* w = user;
  if (chatsdk_event_type(event) != CHATSDK_EVENT_COMPLETED) return;
  CHECK(chatsdk_event_request(event) == w->request && w->completed == -1);
  w->completed = chatsdk_event_status(event);
}
/* Lets the client work and takes what it says; a request that no call has begun is told nowhere. */
static void work(world* w) {
  if (w->threading == CHATSDK_THREADING_TICK) {
    must(chatsdk_client_tick(w->client, 0, NULL, NULL, note_event, w));
    return;
  }
  chatsdk_event* event = NULL;
  size_t count = 0;
  must(chatsdk_client_poll(w->client, kWaitMs, &event, 1, &count, NULL));
  note_event(event, w);
  chatsdk_event_release(event);
}
static void await_request(world* w, int32_t status) {
  if (status != CHATSDK_OK) return;
  w->completed = -1;
  while (w->completed == -1) work(w);
  if (!w->failed || w->completed != CHATSDK_NO_MEMORY) CHECK_STATUS(w->expected, w->completed);
}
static int32_t log_in_again(world* w, chatsdk_error** e) {
  return chatsdk_client_login(w->client, "ann", CHATSDK_STRLEN, "a good password", CHATSDK_STRLEN, &w->request, e);
}
static int32_t log_in_by_assertion(world* w, chatsdk_error** e) {
  return chatsdk_client_login_with_assertion(w->client, "not.a.token", CHATSDK_STRLEN, &w->request, e);
}
static int32_t register_again(world* w, chatsdk_error** e) {
  chatsdk_registration me = CHATSDK_REGISTRATION_INIT;
  me.user_id = "ann", me.user_id_length = CHATSDK_STRLEN;
  me.password = "a good password", me.password_length = CHATSDK_STRLEN;
  return chatsdk_client_register(w->client, &me, &w->request, e);
}
static int32_t list_devices(world* w, chatsdk_error** e) {
  return chatsdk_client_list_devices(w->client, &w->request, e);
}
static int32_t revoke_device(world* w, chatsdk_error** e) {
  return chatsdk_client_revoke_device(w->client, 1, &w->request, e);
}
static int32_t log_out(world* w, chatsdk_error** e) { return chatsdk_client_logout(w->client, &w->request, e); }
static void log_in_when_out(world* w, int32_t status) {
  await_request(w, status);
  if (status != CHATSDK_OK) return;
  must(log_in_again(w, NULL));
  w->failed = 0;
  await_request(w, CHATSDK_OK);
}
static void request(const char* name, world* w, int32_t expected, call_with_error call, judge_of_call judge) {
  w->expected = expected;
  fail_each(name, w, call, judge);
}

static int32_t connection_of(world* w) {
  int32_t state = -1;
  must(chatsdk_client_connection_state(w->client, &state, NULL));
  return state;
}
static void await_online(world* w) {
  while (connection_of(w) != CHATSDK_CONNECTION_ONLINE) work(w);
}
static int32_t start(world* w, chatsdk_error** e) { return chatsdk_client_start(w->client, e); }
static int32_t stop(world* w, chatsdk_error** e) { return chatsdk_client_stop(w->client, e); }
static void stop_when_online(world* w, int32_t status) {
  if (status != CHATSDK_OK) return;
  await_online(w);
  must(stop(w, NULL));
  CHECK(connection_of(w) == CHATSDK_CONNECTION_STOPPED);
}
static void start_when_stopped(world* w, int32_t status) {
  if (status != CHATSDK_OK) return;
  CHECK(connection_of(w) == CHATSDK_CONNECTION_STOPPED);
  must(start(w, NULL));
  await_online(w);
}
static int32_t network_changed(world* w, chatsdk_error** e) { return chatsdk_client_network_changed(w->client, e); }
static void online_again(world* w, int32_t status) {
  if (status == CHATSDK_OK) await_online(w);
}
static int32_t sync_now(world* w, chatsdk_error** e) { return chatsdk_client_sync(w->client, kWaitMs, e); }

static void requests(world* w) {
  request("login", w, CHATSDK_OK, log_in_again, await_request);
  request("list_devices", w, CHATSDK_OK, list_devices, await_request);
  request("revoke_device", w, CHATSDK_NOT_FOUND, revoke_device, await_request);
  request("register", w, CHATSDK_OK, register_again, await_request);
  request("login_with_assertion", w, CHATSDK_UNAUTHENTICATED, log_in_by_assertion, await_request);
  request("logout", w, CHATSDK_OK, log_out, log_in_when_out);
  w->compares = 0; /* from here on the server is at work in the store too */
  fail_each("start", w, start, stop_when_online);
  must(start(w, NULL));
  await_online(w);
  fail_each("stop", w, stop, start_when_stopped);
  fail_each("network_changed", w, network_changed, online_again);
  if (w->threading == CHATSDK_THREADING_THREADS) fail_each("sync", w, sync_now, NULL);
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

static void copy_file(const char* from, const char* to) {
  char buffer[65536];
  FILE* in = fopen(from, "rb");
  FILE* out = fopen(to, "wb");
  if (in == NULL) {
    if (out != NULL) fclose(out);
    return;
  }
  CHECK(out != NULL);
  for (size_t got = fread(buffer, 1, sizeof buffer, in); got > 0; got = fread(buffer, 1, sizeof buffer, in)) {
    CHECK(fwrite(buffer, 1, got, out) == got);
  }
  CHECK(fclose(out) == 0);
  fclose(in);
}

/* The same each time: it begins with the store as it was when ann had just received ben's texts. */
static void round_of(world* w, int32_t threading) {
  remove("ann.db-wal");
  copy_file("first.db", "ann.db");
  w->threading = threading;
  w->conversations = 2 + kRefused;
  w->verified = 0;
  w->retried = 0;
  w->read_up_to = 0;
  w->compares = 0;
  scenarios = 0;
  if (threading == CHATSDK_THREADING_TICK) configuration(w);
  life(w);
  open_client(w);
  w->outbox = outbox_count(w);
  w->compares = 1;
  writing(w);
  encryption(w);
  w->compares = 0;
  end_client(w);
  open_client(w); /* whose statements are still to be prepared */
  reading(w);
  events(w);
  end_client(w);
  remove("ann.db-wal");
  copy_file("first.db", "ann.db");
  open_client(w);
  w->compares = 1;
  requests(w);
  w->compares = 0;
  end_client(w);
  ends(w);
  printf("%d scenarios\n", scenarios);
}

/* ann has kReceived texts of ben. */
static void prepare(world* w) {
  chatsdk_client* ann = online_client(w->url, "ann.db", "phone");
  chatsdk_client* ben = online_client(w->url, "ben.db", "phone");
  register_user(ann, "ann");
  register_user(ben, "ben");
  const uint64_t with_ann = conversation_with(ben, "ann");
  must(chatsdk_client_start(ben, NULL));
  for (int i = 0; i < kReceived; ++i) send_text(ben, with_ann, text);
  must(chatsdk_client_sync(ben, kWaitMs, NULL));
  must(chatsdk_client_start(ann, NULL));
  uint64_t unread = 0;
  while (unread < kReceived) {
    chatsdk_event* event = NULL;
    size_t count = 0;
    must(chatsdk_client_poll(ann, kWaitMs, &event, 1, &count, NULL));
    chatsdk_event_release(event);
    must(chatsdk_client_unread_total(ann, &unread, NULL));
  }
  w->conversation = conversation_with(ann, "ben");
  w->sent = send_text(ann, w->conversation, text);
  await_state(ann, w->sent, CHATSDK_MESSAGE_SENT);
  for (int i = 0; i < kRefused; ++i) {
    char nobody[] = "nobody.0";
    nobody[sizeof nobody - 2] = (char)('0' + i);
    w->refused[i] = send_text(ann, conversation_with(ann, nobody), text);
    await_state(ann, w->refused[i], CHATSDK_MESSAGE_FAILED);
  }
  chatsdk_client* eve = online_client(w->url, "eve.db", "phone");
  register_user(eve, "eve");
  must(chatsdk_client_start(eve, NULL));
  await_encryption(eve, CHATSDK_ENCRYPTION_READY);
  w->encrypted = encrypted_with(ann, "eve");
  await_state(ann, send_text(ann, w->encrypted, text), CHATSDK_MESSAGE_DELIVERED);
  chatsdk_client_destroy(eve);
  chatsdk_message_list* list = NULL;
  must(chatsdk_client_history_after(ann, w->conversation, 0, 1, &list, NULL));
  w->first = chatsdk_message_key(chatsdk_message_list_at(list, 0));
  chatsdk_message_list_release(list);
  must(chatsdk_client_sync(ann, kWaitMs, NULL));
  chatsdk_client_destroy(ben);
  chatsdk_client_destroy(ann);
  copy_file("ann.db", "first.db");
}

/* libsodium has no allocator to be replaced, and the library asks it for none; it takes sodium_malloc's pages by mmap.
 */
static void sodium_is_reached(void) {
  void* (*take)(size_t) = NULL;
  *(void**)&take = dlsym(RTLD_DEFAULT, "sodium_malloc");
  CHECK(take != NULL);
  arm(kThisThread, 0, 1);
  CHECK(take(32) == NULL);
  CHECK(disarm());
}

int main(int argc, char** argv) {
  CHECK(argc == 2);
  world w;
  memset(&w, 0, sizeof w);
  w.url = argv[1];
  complete = getenv("CHATSDK_LONG") != NULL;
  prepare(&w);

  long alive[3];
  for (int i = 0; i < 3; ++i) {
    round_of(&w, CHATSDK_THREADING_TICK);
    round_of(&w, CHATSDK_THREADING_THREADS);
    alive[i] = atomic_load(&blocks_alive);
  }
  /* The first round fills what the libraries below keep for the life of the process. */
  printf("blocks alive after each round: %ld, %ld, %ld\n", alive[0], alive[1], alive[2]);
  CHECK(alive[2] == alive[1]);
  sodium_is_reached();
  CHECK(print_failures(kOperatorNew | kSqlite | kSodium));
  return 0;
}
