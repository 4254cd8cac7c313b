// SPDX-License-Identifier: Apache-2.0
//
// engine: the client's brain. Client owns the life of one device: session, connection, outbox, inbox and receipts,
// each in a state machine of its own behind this face. It has no socket, clock, thread or randomness of its own, and it
// never waits: every answer comes as a task or as an event.
//
// Threads: everything here runs on the executor handed in. EventSink's functions are called there.
// Invariants:
//   1. A send answers ok only after the store has committed message and outbox row.
//   2. An acknowledgement leaves only after the store has committed what it speaks of.
//   3. Every request completes exactly once; what is open at stop() completes with CANCELLED.
//   4. The store is the truth: an event only says where to look.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/direct.h"
#include "e2ee/lifetimes.h"
#include "e2ee/safety_number.h"
#include "store/device_store.h"
#include "transport/transport.h"

namespace chatsdk {

class E2eeStore;

enum class ConnectionState : std::int32_t {
  kStopped = 0,      // start() has not been called, or stop() was
  kNotLoggedIn = 1,  // no session: register or log in
  kWaiting = 2,      // a reconnect is scheduled
  kConnecting = 3,   // discovery, upgrade, hello
  kSyncing = 4,      // connected; what lies ahead is being applied
  kOnline = 5,       // caught up, live
};

// This device in end-to-end encryption.
enum class EncryptionState : std::int32_t {
  kOff = 0,         // not part of this client
  kPreparing = 1,   // its keys are not all on the server yet
  kReady = 2,       // it is in its user's device list, and its prekeys are on the server
  kLinkNeeded = 3,  // the user has other devices, and one of them has to link this one
};

using RequestId = std::uint64_t;  // never 0, given by the caller, never used twice

struct DeviceInfo {
  DeviceId device_id;
  std::string name;
  WallTime created;
  WallTime last_seen;
  bool current = false;
};

// What the engine tells. Only facts that the store has committed.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_changes(const Changes& changes) = 0;
  virtual void on_connection(ConnectionState state, const Error& cause, std::chrono::milliseconds retry_in) = 0;
  // The session ended: refresh refused, revoked elsewhere, or this device must register anew (ROLLED_BACK).
  virtual void on_session_ended(const Error& cause) = 0;
  virtual void on_completed(RequestId request, const Status& status) = 0;
  virtual void on_devices(RequestId request, const std::vector<DeviceInfo>& devices) = 0;  // then on_completed
  // The server has decided what it was asked. What the app can see of it came in on_changes, and may be nothing.
  virtual void on_decided() {}
  virtual void on_encryption_state(EncryptionState) {}
  // Of a linking: what the user compares on both devices, with the new one's name; and its end.
  virtual void on_link_code(const std::string&, const std::string&) {}
  virtual void on_link_ended(const Status&) {}
  // The account key that was asked for is in force, or was given up.
  virtual void on_identity_replaced(const Status&) {}
  // The server has answered what the user did to a group. Told again by the next client of the store, until
  // Client::operations_taken() has heard that the app has it.
  virtual void on_operation_ended(const DeviceStore::EndedOperation&) {}
  // What happened to device lists and identities, in order. Those with a number are told again by the next client of
  // the store, until Client::encryption_events_taken() has heard that the app has them.
  virtual void on_encryption_events(const std::vector<e2ee::Event>&) {}
};

// A user and the owner of the store, by their account keys as they are known here.
struct PeerIdentity {
  e2ee::Identity own;
  e2ee::Identity peer;
  bool verified = false;
  bool changed = false;  // it was another one before, and the app has not accepted that
};

// A device of a user's signed list, as it is known here.
struct SignedDevice {
  DeviceId device_id;
  e2ee::Hash record;                // of its keys: what the list signs
  std::optional<std::string> name;  // of the own user's: others' are sealed
  std::uint64_t since_ms = 0;  // by the clock of whoever signed the list that let it in, or the oldest that is known
  bool current = false;        // this device
};

struct ClientOptions {
  std::string server_url;  // http:// or https://, without a path
  std::string device_name;
  std::string client_name;  // for the server's log: "chatsdk/0.1.0 linux"
  std::chrono::milliseconds send_time_limit = limits::kSendTimeLimitDefault;
  std::chrono::milliseconds backoff_base = limits::kBackoffBase;
  std::chrono::milliseconds backoff_cap = limits::kBackoffCap;
  e2ee::Lifetimes lifetimes;  // of keys; an app has no say in them
  // Messages for a user with another account key wait until the app accepts it.
  bool block_changed_identities = false;
};

struct ClientSeams {
  Executor& executor;
  RandomStreams random;
  Transport& transport;
  HttpClient& http;
  Log& log;
};

struct Registration {
  std::string user_id;
  std::string password;
  std::string display_name;
  std::string email;
  std::string phone;
};

class Client final {
 public:
  // store, seams and sink outlive the client, and so does `encryption`, of that store: without it the client takes no
  // part in encrypted conversations.
  Client(ClientOptions options, ClientSeams seams, DeviceStore& store, EventSink& sink,
         E2eeStore* encryption = nullptr);
  ~Client();  // stops at once

  // -- Life --
  void start();
  // Closes the connection and completes open requests with CANCELLED. start() may follow.
  void stop();
  // Stops and tells everything that has been raised, at once: the sink is called inside this function. For an owner
  // that destroys the client next; without it, what was raised in the last turns would end with the client.
  void finish();
  // Tells the encryption events that wait in the store and were not told by this client yet; start() does, too.
  void tell_kept_events();
  // The app has them up to this number, and need not be told again.
  Status encryption_events_taken(std::uint64_t up_to);
  // Tells what found no memory in its own turn. For an owner that runs the turns itself: after a round of them.
  void tell_overdue();
  // A turn has ended for want of memory, and nobody knows what it would have done: what is in the store is true, all
  // else is begun anew. Open requests complete with NO_MEMORY; where the client is to run it connects after a pause.
  // Found no memory either: may be called again.
  void recover(bool runs);
  // The app was told that the request could not be begun: it completes no more.
  void forget(RequestId request);
  // The network changed: a waiting reconnect starts now, a live connection is probed at once.
  void network_changed();
  ConnectionState connection_state() const;
  // How full its queues and counters are, each beside its limit.
  struct Level {
    const char* name;
    std::size_t size;
    std::size_t limit;
  };
  std::array<Level, 5> levels() const;

  // -- Account. Completion through on_completed; also usable without start(). --
  void register_account(RequestId request, Registration registration);
  void login(RequestId request, std::string user_id, std::string password);
  void login_with_assertion(RequestId request, std::string assertion);
  void logout(RequestId request);
  void list_devices(RequestId request);
  void revoke_device(RequestId request, DeviceId device);

  EncryptionState encryption_state() const;
  // -- Linking: docs/e2ee.md section 12. WRONG_STATE where this client takes no part in encryption, and as below. --
  // A device of kLinkNeeded: the text for a listed device of the user. BUSY, NOT_LOGGED_IN; WRONG_STATE: it is linked.
  Result<std::string> begin_link();
  // A listed device. CRYPTO: no text of a new device of this user, or too old.
  Status scan_link(std::string_view text);
  // The user found the codes of both devices equal. WRONG_STATE: none was shown.
  Status confirm_link();
  void cancel_link();

  // -- Identities: docs/e2ee.md section 13 --
  // NOT_FOUND: nothing is known of the user; WRONG_STATE: this device has no account key yet.
  Result<PeerIdentity> identity(const UserId& peer);
  // The user has compared this account key, or takes that back. NOT_FOUND; CONFLICT: it is another one by now.
  Status set_verified(const e2ee::Identity& peer, bool verified);
  // The user has seen that it is another one than before. NOT_FOUND, CONFLICT.
  Status accept_identity(const e2ee::Identity& peer);
  // The user has found that this account key is another's: the peer is learned anew. NOT_FOUND, CONFLICT.
  Status forget_identity(const e2ee::Identity& peer);

  // The newest list that is known of a user, be it the owner: ascending. NOT_FOUND.
  Result<std::vector<SignedDevice>> signed_devices(const UserId& user_id);

  // Another account key for the owner, with this device alone, as soon as there is a connection. WRONG_STATE: no
  // account key is known that could be replaced.
  Status replace_account();

  // -- Groups: docs/protocol-rest.md. What is done is durable when they return ok, shown at once and brought to the
  // server when there is a connection; it ends by on_operation_ended(), whose number they give. NOT_FOUND: the
  // conversation; WRONG_STATE: no group; FORBIDDEN: the user is in it no more; INVALID_ARGUMENT, INVALID_UTF8,
  // TOO_LARGE: what is asked for; LIMIT_REACHED: limits::groups::kOperationsMax wait. Whether the user may is the
  // server's to judge. --
  struct NewGroup {
    ConversationKey conversation;
    std::uint64_t operation = 0;
  };
  // info.id is made here.
  Result<NewGroup> create_group(group::Info info, const std::vector<UserId>& members);
  Result<std::uint64_t> change_group(ConversationKey group, const group::Changes& changes);
  Result<std::uint64_t> add_members(ConversationKey group, const std::vector<UserId>& users);
  Result<std::uint64_t> remove_member(ConversationKey group, const UserId& user);
  Result<std::uint64_t> leave_group(ConversationKey group);
  Result<std::uint64_t> set_role(ConversationKey group, const UserId& user, group::Role role);
  Result<std::uint64_t> set_owner(ConversationKey group, const UserId& user);
  Result<std::uint64_t> end_group(ConversationKey group);
  // The app has the ends of these operations.
  Status operations_taken(const std::vector<std::uint64_t>& numbers);

  // -- Messages --
  // encrypted: of a conversation that is not there yet; else it is to be plain, and is accepted where it is that
  // already. WRONG_STATE: encrypted, and this client takes no part in that.
  Result<ConversationKey> direct_conversation(const UserId& peer, bool encrypted = false);
  // The app knows that a conversation is plain, whoever made it so, and sends in it. NOT_FOUND; WRONG_STATE: it is
  // encrypted.
  Status accept_plain(ConversationKey conversation);
  struct SendOptions {
    std::optional<ClientMessageId> id;                    // made when absent
    std::optional<std::chrono::milliseconds> time_limit;  // at most limits::kSendTimeLimitMax
  };
  struct Sent {
    ClientMessageId id;
    MessageKey message;
  };
  // Durable when it returns ok. INVALID_ARGUMENT, INVALID_UTF8, TOO_LARGE, NOT_LOGGED_IN (the store has no owner yet),
  // NOT_FOUND, CONFLICT, LIMIT_REACHED, STORAGE…; WRONG_STATE: of a client with encryption, the conversation is plain
  // and was not accepted as that; FORBIDDEN: a group that the user is in no more.
  Result<Sent> send_text(ConversationKey conversation, std::string_view text, const SendOptions& options);
  // What is said of a message that is here: docs/content.md. Durable when they return ok, and sent as messages are.
  // NOT_FOUND; WRONG_STATE: it is deleted, a placeholder, or is not shown; FORBIDDEN: it is another's. And as
  // send_text.
  Result<Sent> edit_text(MessageKey message, std::string_view text);
  // One that was never on its way is discarded instead.
  Status delete_for_all(MessageKey message);
  // All of the user's: none takes back what there was.
  Result<Sent> set_reactions(MessageKey message, std::vector<std::string> keys);
  Result<Sent> set_pinned(MessageKey message, bool pinned);
  // A message that the server has voided goes on under another id; one that it has lost behind what waits. The key
  // stays.
  Status retry(const ClientMessageId& id);
  Status discard(const ClientMessageId& id);
  Status mark_read(ConversationKey conversation, Seq up_to);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chatsdk
