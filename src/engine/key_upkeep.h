// SPDX-License-Identifier: Apache-2.0
//
// key_upkeep: this device's own keys on the server (docs/e2ee.md sections 5, 6, 11.4, 11.5 and 17): the account is
// begun with the user's first device, this device's place in its user's list found out, prekeys are uploaded, refilled
// and replaced, and what is old goes. What is due is decided by e2ee/own_keys.h; this asks, uploads and waits.
//
//   welcome ──► own lists asked ──► keys and list made ──► list uploaded ──► prekeys ──► what is due, by counts and
//   time
//                                          │
//                                          └──► kLinkNeeded: others are listed, and this device is not; linked, or
//                                               the account begun anew, when the user asks for it
//
// Threads: the executor's.
// Invariants:
//   1. At most one request is on its way.
//   2. What is uploaded is in the store before; what a lost answer leaves in doubt is found out by asking.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "e2ee/direct.h"
#include "e2ee/linking.h"
#include "e2ee/own_keys.h"
#include "engine/context.h"
#include "engine/session.h"
#include "engine/timer.h"
#include "store/e2ee_store.h"
#include "transport/backoff.h"

namespace chatsdk {

// What a message holds as bytes, as the functions of e2ee/ take it.
std::vector<Bytes> to_vector(const google::protobuf::RepeatedPtrField<std::string>& field);
// Asks for what a user's lists have beyond what is known; nullptr: nothing is.
void ask_for(const UserId& user_id, const e2ee::KnownUser* known, wire::DeviceListsRequest& request);
// Something came to what is kept of the user.
bool brought_something(e2ee::Learning result);

class KeyUpkeep {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // The own list is another one, or this device is in it now.
    virtual void on_own_keys_changed() = 0;
    virtual void on_encryption_state(EncryptionState state) = 0;
    virtual void on_encryption_events(std::vector<e2ee::Event> events) = 0;
  };

  KeyUpkeep(const EngineContext& context, E2eeStore& store, e2ee::DirectConversations& conversations, Session& session,
            RestApi& rest, Observer& observer);

  void on_welcome(const wire::Welcome& welcome);
  void on_key_counts(const wire::KeyCounts& counts);
  void on_caught_up();
  EncryptionState state() const { return state_; }
  void on_lost();
  // The server's store is another than before: before anything of it is used.
  Status before_epoch();
  // The user's own devices changed, or somebody named a newer list of the own user.
  void ask_own_lists();

  // -- For linking --
  Result<e2ee::Standing> standing();
  // At most as many bytes of UTF-8 as a record takes.
  std::string device_name() const;
  // Another device of the user has handed over the account.
  Status adopt(e2ee::Granted granted);

  // The user has removed a device of theirs: it leaves the list as soon as there is a connection. Not kept across a
  // restart.
  void device_revoked(DeviceId device);

  // Another account key, with this device alone: made and uploaded as soon as there is a connection. It is not kept
  // across a restart. WRONG_STATE: the user has no account key that could be replaced.
  Status replace_account();

 private:
  // What is to be asked or uploaded next; one of them at most.
  struct Work {
    // Versions that the server has lost and a new one behind them, with the records that they name.
    std::vector<Bytes> lists;
    std::vector<Bytes> records;
    bool replaces = false;  // the account key
    bool ask_digest = false;
    std::optional<e2ee::PrekeyUpload> prekeys;
    std::optional<std::uint64_t> look_again_ms;
  };

  void schedule();
  void run();
  void query_own_lists();
  // awaited: the version that was when they were asked for.
  void on_own_lists(std::uint64_t awaited, Result<wire::DeviceLists> answer);
  Status decide(E2eeTransaction& transaction, Work& work);
  static void add_list(e2ee::ListUpload upload, Work& work);
  Status collect_lost(E2eeTransaction& transaction, Work& work);
  Status take_out_revoked(E2eeTransaction& transaction, Work& work);
  Status decide_listed(E2eeTransaction& transaction, Work& work);
  void upload_list(Work work);
  void on_list_uploaded(const Work& work, Status answer);
  void query_digest();
  void upload_prekeys(e2ee::PrekeyUpload upload);
  void wait_until(std::uint64_t wall_ms);
  void failed(const Error& cause);
  void become(EncryptionState state);
  e2ee::Peer own_device() const { return {session_.owner(), session_.device_id()}; }
  std::uint64_t now_ms() const { return static_cast<std::uint64_t>(to_unix_ms(context_.wall_now())); }

  const EngineContext& context_;
  E2eeStore& store_;
  e2ee::DirectConversations& conversations_;
  Session& session_;
  RestApi& rest_;
  Observer& observer_;
  e2ee::OwnKeys keys_;

  bool live_ = false;
  bool scheduled_ = false;
  bool busy_ = false;
  bool lists_known_ = false;          // the server was asked since somebody said that they changed
  std::uint64_t server_version_ = 0;  // of the newest own list that the server named; 0: none
  e2ee::ServerHolds holds_;
  std::optional<MonotonicTime> digest_asked_;
  std::uint32_t drop_below_ = 0;                // of the next upload of prekeys
  enum class Replacing { kNo, kAsked, kMade };  // kMade: the keys are stored, their list may be on the server
  Replacing replacing_ = Replacing::kNo;
  std::set<DeviceId> revoked_;  // by the app
  EncryptionState state_ = EncryptionState::kPreparing;
  Backoff backoff_;
  Timer timer_;
  Guard guard_;  // of what belongs to a connection
};

}  // namespace chatsdk
