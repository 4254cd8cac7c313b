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
//   2. What is uploaded is in the store before; what a lost answer leaves in doubt is found out by asking. A list
//      without a device is made of what is known then: who asked for one, and was not answered, asks again.
#pragma once

#include <deque>
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
// As many versions as an answer has at most: the rest comes with the next. Of another account key the newest come
// first.
bool is_page(e2ee::Learning result, const wire::DeviceLists::OfUser& user);

class KeyUpkeep {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // The own list is another one, or this device is in it now.
    virtual void on_own_keys_changed() = 0;
    // The server was asked for the own lists, and has shown all that it shows.
    virtual void on_own_lists_answered() = 0;
    // What was old went.
    virtual void on_keys_deleted() = 0;
    // Nothing that has arrived waits to be applied.
    virtual bool all_is_read() const = 0;
    virtual void on_encryption_state(EncryptionState state) = 0;
    virtual void on_encryption_events(std::vector<e2ee::Event> events) = 0;
  };

  KeyUpkeep(const EngineContext& context, E2eeStore& store, e2ee::DirectConversations& conversations, Session& session,
            RestApi& rest, Observer& observer);

  void on_welcome(const wire::Welcome& welcome);
  void on_key_counts(const wire::KeyCounts& counts);
  void on_caught_up();
  // Something was opened, and may have been a set-up.
  void on_keys_used();
  EncryptionState state() const { return state_; }
  void on_lost();
  // Nothing is under way any more, neither for the app.
  void cancel(const Error& cause);
  // The server's store is another than before: before anything of it is used.
  Status before_epoch();
  // Somebody has logged in, maybe as another device.
  void on_session_started();
  // The user's own devices changed, or somebody named a newer list of the own user.
  void ask_own_lists();
  // The server has still to say which there are.
  bool asks_own_lists() const { return !lists_known_ || branch_; }

  // -- For linking --
  Result<e2ee::Standing> standing();
  // The own lists that the server has, as far as they are known; nullptr: none. Where they part from those that this
  // device goes by, nobody is let in before they are joined; those of another account key count once a grant says so.
  Result<const e2ee::KnownUser*> own_lists();
  bool is_apart() const { return branch_.has_value(); }
  // At most as many bytes of UTF-8 as a record takes.
  std::string device_name() const;
  // Another device of the user has handed over the account: taken once the list that it names is learned. NETWORK and
  // its like are waited out; BAD_MESSAGE: the server does not show that list.
  void adopt(e2ee::Granted granted, Session::StatusCallback done);
  void forget_adoption() { adopting_.reset(); }

  // The device leaves the user's list, and the server ends its log-in with the list that is without it; this device
  // may be meant, too. At once where the list does not name it or names nobody else, where this device is in no list
  // and has nothing to sign with, and where nobody has logged in. It needs no connection, but one that is lost ends it:
  // NETWORK, and the list may have been taken.
  void unlink(DeviceId device, Session::StatusCallback done);

  // Another account key, with this device alone: noted, and made and uploaded as soon as there is a connection and all
  // that waits for this device is read. Ends with one Events::identity_replaced. WRONG_STATE: the user has no account
  // key that could be replaced.
  Status replace_account();

 private:
  // What is to be asked or uploaded next; one of them at most.
  struct Work {
    // Versions that the server has lost and a new one behind them, with the records that they name.
    std::vector<Bytes> lists;
    std::vector<Bytes> records;
    std::optional<e2ee::SigningKey> replaces;  // the account key that the list takes the place of
    bool replacing = false;                    // one is to be replaced, now or later
    bool replaced = false;                     // it was
    std::optional<Error> cannot_replace;       // it cannot be: there is no version any more
    bool replaces_earlier_key = false;         // that of before, which a server that went back has again, or none
    std::vector<e2ee::Event> events;           // for the app
    bool takes_shown = false;                  // shown_ is what is known now
    bool own_changed = false;                  // what encrypting waits for may be there now
    std::size_t unlinked = 0;                  // so many of unlinks_ are done,
    Status unlinked_as;                        // and how
    bool ask_digest = false;
    std::optional<e2ee::PrekeyUpload> prekeys;
    std::optional<std::uint64_t> look_again_ms;
  };

  void schedule();
  void run();
  void query_own_lists();
  // What the server has said, or is about to say, may be of before.
  void doubt_own_lists() { lists_known_ = asked_since_ = false; }
  // awaited: the version that was when they were asked for.
  void on_own_lists(std::uint64_t awaited, Result<wire::DeviceLists> answer);
  Status decide(E2eeTransaction& transaction, Work& work);
  Status decide_replacing(E2eeTransaction& transaction, const std::optional<e2ee::SigningKey>& place, Work& work);
  bool may_replace() const { return live_ && caught_up_ && !replaces_later_ && observer_.all_is_read(); }
  // True: one was asked for.
  static Result<bool> forget_replacing(E2eeTransaction& transaction);
  void give_up_replacing(const Error& cause);
  // No list can come behind what is known: what needs one is left, and everything else goes on.
  Result<bool> is_at_last_version(E2eeTransaction& transaction);
  void give_up_unlinks(Work& work);
  Status make_room_to_replace(E2eeTransaction& transaction, Work& work);
  static void add_list(e2ee::ListUpload upload, Work& work);
  Status collect_lost(E2eeTransaction& transaction, Work& work);
  Status leave_list(E2eeTransaction& transaction, Work& work);
  Status outgrow(E2eeTransaction& transaction, Work& work);
  Result<bool> part_from_known(const e2ee::UserLists& given);
  Status learn_uploaded(const Work& work, std::vector<e2ee::Event>& events);
  const e2ee::KnownUser* branch() const { return branch_ ? &*branch_ : nullptr; }
  Status take_out_gone(E2eeTransaction& transaction, Work& work);
  void end_unlinks(std::size_t count, const Status& status);
  void adopt_now();
  bool is_wanted() const { return live_ || adopting_ || !unlinks_.empty(); }
  Status decide_listed(E2eeTransaction& transaction, Work& work);
  void upload_list(Work work);
  void on_list_uploaded(const Work& work, Status answer);
  void query_digest();
  void upload_prekeys(e2ee::PrekeyUpload upload);
  void give_up_one_time(const e2ee::PrekeyUpload& upload);
  void age();
  void wait_until(std::uint64_t wall_ms);
  void pause(std::chrono::milliseconds pause);
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
  bool caught_up_ = false;
  bool scheduled_ = false;
  bool pauses_ = false;  // what is due was tried, and is again when the timer says so
  bool busy_ = false;
  bool lists_known_ = false;  // the server was asked since somebody said that they changed
  bool asked_since_ = false;  // the same of the question that is on its way
  // Of the newest own list that the server named, as far as one is known, or was shown and verifies; 0: none.
  std::uint64_t server_version_ = 0;
  bool server_names_list_ = false;
  bool server_has_newest_ = false;  // of the own lists that are known here
  bool server_holds_earlier_key_ = false;
  // The server's own lists, which part from those that are known and do not count by themselves: joined with these by
  // one that is longer than either, where this device may sign it.
  std::optional<e2ee::KnownUser> branch_;
  // Lists of the server's under another account key than the pinned one, that hold and were not learned.
  std::optional<e2ee::KnownUser> shown_;
  e2ee::Hash told_branch_;  // the app was told of a branch that ends with it
  e2ee::ServerHolds holds_;
  std::optional<MonotonicTime> digest_asked_;
  std::uint32_t drop_below_ = 0;  // of the next upload of prekeys
  bool replaces_later_ = false;   // another account key was refused just now: what else is due goes first
  struct Unlink {
    DeviceId device;
    Session::StatusCallback done;
  };
  struct Adopting {
    e2ee::Granted granted;
    Session::StatusCallback done;
  };
  std::optional<Adopting> adopting_;
  std::deque<Unlink> unlinks_;       // in the order asked; the account's open requests bound them
  int conflicts_ = 0;                // of lists, since one was taken
  std::vector<DeviceId> forgotten_;  // listed when the server was asked last, and no device of the user any more
  EncryptionState state_ = EncryptionState::kPreparing;
  Backoff backoff_;
  int replace_conflicts_ = 0;
  Backoff replace_backoff_;  // no answer to anything else ends its pauses
  e2ee::DeviceRates lists_at_once_{limits::e2ee::kListsAtOnce, limits::e2ee::kListsRegain};
  Timer timer_;
  Guard guard_;  // of what belongs to a connection
};

}  // namespace chatsdk
