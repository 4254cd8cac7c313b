// SPDX-License-Identifier: Apache-2.0
//
// encryption: the engine's side of encrypted direct conversations (docs/e2ee.md sections 5, 6, 10 and 11). It encrypts
// what the outbox is about to send, opens what the inbox has got, and fetches the device lists and bundles that either
// wants. What a message does to sessions is decided by e2ee/direct.h, inside the store's transactions.
//
//   outbox ──seal()──► encrypted and stored, or: waits ──► lists and bundles fetched ──► on_keys_changed() ──► outbox
//   inbox ──apply_together()──► items opened one by one, stored, cursor moved: one transaction
//
// Threads: the executor's.
// Invariants:
//   1. Bytes leave only after the transaction that advanced their sessions and stored them.
//   2. A user's lists are asked for again at the earliest a pause later, unless the last answer brought something under
//      the account key that is known, limits::e2ee::kListsAtOnce times, or named others that were asked for with them.
//      The pause doubles, from kListsPauseFirst to kListsPause; it ends where something is held for a list that the
//      last question was not about. A question for lists or bundles that failed is put again at the earliest a pause
//      later, whoever wants it.
//   3. The store's log is cleared of keys that were used, or of an earlier process, once all is caught up, and at most
//      limits::e2ee::kUpkeepLook after they were used.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/doubling_pauses.h"
#include "e2ee/direct.h"
#include "engine/failed_questions.h"
#include "engine/key_upkeep.h"
#include "engine/linking.h"

namespace chatsdk {

// Of text for a conversation that is plain by somebody else's doing.
Error not_accepted_as_plain();

class Encryption final : private KeyUpkeep::Observer {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // What kept messages waiting may be here now.
    virtual void on_keys_changed() = 0;
    // Nothing leaves any more that was encrypted for this peer's devices before now; none: for anybody's. Who is told
    // may be in the middle of its own work.
    virtual void on_unsealed(const std::optional<UserId>& peer) = 0;
    // There are new rows in the outbox.
    virtual void on_rows_added() = 0;
    // Something was repaired, or nobody is asked for it any more: what is delivered and read may be told anew.
    virtual void on_fewer_missing() = 0;
    // The server has answered for lists: what was held for them can be judged, one way or the other.
    virtual void on_lists_answered() = 0;
    // Nothing that has arrived waits to be applied.
    virtual bool all_is_read() const = 0;
  };

  Encryption(const EngineContext& context, E2eeStore& store, Session& session, RestApi& rest, Observer& observer);

  EncryptionState state() const { return upkeep_.state(); }
  Linking& linking() { return linking_; }
  // What is under way for the app ends.
  void cancel(const Error& cause) {
    linking_.cancel(cause);
    upkeep_.cancel(cause);
  }

  // -- For the app --
  // What is kept for it and was not told yet, by this object.
  void tell_kept_events();
  // It has what was told up to this number.
  Status events_taken(std::uint64_t up_to);
  // What a transaction that has committed leaves to tell: of what is kept, that it is there.
  void tell(std::vector<e2ee::Event> events);
  Result<std::vector<SignedDevice>> signed_devices(const UserId& user_id);
  Result<PeerIdentity> identity(const UserId& peer);
  // What a device of the own user is called, as it has told the others alone. nullopt: it is not linked, or has told no
  // name.
  Result<std::optional<std::string>> device_name(DeviceId device);
  Status set_verified(const e2ee::Identity& peer, bool verified, std::vector<e2ee::Event>& events);
  Status accept_identity(const e2ee::Identity& peer);
  Status forget_identity(const e2ee::Identity& peer, std::vector<e2ee::Event>& events);
  void unlink(DeviceId device, Session::StatusCallback done) { upkeep_.unlink(device, std::move(done)); }
  Status replace_account() { return upkeep_.replace_account(); }
  // Its lists are asked for at once.
  void identity_forgotten(const UserId& peer);
  // What waited for that goes on.
  void identity_accepted() {
    if (live_) keys_changed();
  }

  // -- For the connection --
  // The number of the device's last encrypted item, which Hello names.
  Result<std::uint64_t> counter() { return store_.notes().counter(); }
  Status before_epoch() { return upkeep_.before_epoch(); }
  // Somebody has logged in.
  void on_session_started() {
    lists_failed_.clear();
    bundles_failed_.clear();
    upkeep_.on_session_started();
  }
  void on_welcome(const wire::Welcome& welcome);
  void on_key_counts(const wire::KeyCounts& counts) { upkeep_.on_key_counts(counts); }
  void on_caught_up();
  void on_lost();

  // -- For the outbox --
  struct Sealed {
    bool waits = false;                        // for keys, or for the app
    bool gone = false;                         // nobody wants it any more: its row went, and the lane is read again
    std::optional<e2ee::Encrypted> encrypted;  // none: a void
    wire::ItemKind kind = wire::ITEM_KIND_MESSAGE;
    Seq target_seq = 0;  // of a repair
  };
  // In one transaction: encrypts what is not yet, and marks all that may go as on the wire, `also_mark` included. In
  // each conversation what stands behind a row that waits or is gone, waits too. All of them wait while the server may
  // have lost the own list.
  Result<std::vector<Sealed>> seal(std::span<const OutboxRow> rows, std::span<const ClientMessageId> also_mark);
  // The server has other lists than the send was made for. `refused`: the rows that were sent for them, which are
  // encrypted anew.
  Status roster_changed(std::span<const OutboxRow> refused, const wire::RosterChanged& answer);
  // The server will never take the request or the repair of that id.
  Status task_refused(const ClientMessageId& id);

  // -- For the inbox --
  Result<DeviceStore::AppliedTogether> apply_together(const std::vector<DeviceStore::Arrival>& arrivals);

 private:
  // What a transaction leaves to do once it has committed.
  struct After {
    std::vector<e2ee::Event> events;
    std::set<UserId> lists;
    std::map<UserId, std::uint64_t> held_for;  // the newest list that an item needs
    std::set<e2ee::Peer> bundles;
    std::uint64_t ask_again_ms = 0;  // 0: no time is named
    bool own_devices = false;
    bool tasks = false;  // some may have been queued
    bool begun = false;  // a conversation's first item came: what waited for it may go
    bool keys_used = false;
  };
  void follow(After after);
  void tell_fewer_missing();
  void tell_unsealed();

  Status seal_one(E2eeTransaction& transaction, const OutboxRow& row, Sealed& sealed, After& after);
  static Status seal_task(E2eeTransaction& transaction, const OutboxRow& row, Sealed& sealed);
  // Requests and repairs that can be encrypted take their places in the outbox; what is missing for others is fetched.
  void prepare_tasks();
  Status prepare_task(E2eeTransaction& transaction, const e2ee::Task& task, After& after, bool& added);
  static void want(const e2ee::Plan& plan, After& after);
  Status apply(E2eeTransaction& transaction, const wire::Items& items, DeviceStore::Applied& applied, After& after);
  Result<DeviceStore::Applied> apply_one(E2eeTransaction& transaction, const wire::Items& one, After& after);
  std::uint64_t answered_list(const UserId& user_id, const After& after) const;
  void need_list(const UserId& user_id, std::uint64_t version);
  // None: they may be asked for.
  std::optional<MonotonicTime> lists_paused_until(const UserId& user_id) const;
  Status apply_roster(E2eeTransaction& transaction, ConversationId conversation, const UserId& peer,
                      const wire::Roster& roster, After& after);

  void want_lists(const UserId& user_id);
  // Of those of whom a newer list is known to be than the server has shown: what a set-up or a roster has named.
  void want_awaited_lists();
  void fetch();
  void fetch_lists();
  // By user, with what was awaited then, and what items needed.
  struct AskedList {
    std::uint64_t awaited = 0;
    std::uint64_t needed = 0;
  };
  using AskedLists = std::map<UserId, AskedList>;
  void lists_shown(const UserId& user_id, const AskedList& asked);
  bool may_ask_at_once(const UserId& user_id, e2ee::Learning result);
  void on_lists(const AskedLists& asked, Result<wire::DeviceLists> answer);
  void on_lists_refused(const AskedLists& asked);
  void pause_lists(const UserId& user_id, After& after);
  void fetch_bundles();
  void on_bundles(const UserId& user_id, const std::vector<DeviceId>& asked, Result<wire::Bundles> answer);
  void look_again_after(std::chrono::milliseconds pause);
  void look_again_at(MonotonicTime at);
  void keys_changed();
  void clear_log();
  void clear_log_later();

  void on_own_keys_changed() override;
  void on_own_lists_answered() override;
  bool all_is_read() const override { return observer_.all_is_read(); }
  void on_keys_deleted() override;
  void on_encryption_state(EncryptionState state) override;
  void on_encryption_events(std::vector<e2ee::Event> events) override;
  std::uint64_t now_ms() const { return static_cast<std::uint64_t>(to_unix_ms(context_.wall_now())); }

  const EngineContext& context_;
  E2eeStore& store_;
  Session& session_;
  RestApi& rest_;
  Observer& observer_;
  e2ee::DirectConversations conversations_;
  KeyUpkeep upkeep_;
  Linking linking_;

  bool live_ = false;
  std::uint64_t events_told_ = 0;  // of those that are kept, up to this number
  std::set<UserId> lists_wanted_;
  std::set<e2ee::Peer> bundles_wanted_;
  FailedQuestions lists_failed_;
  FailedQuestions bundles_failed_;
  // Of whom the last answer had nothing new, and of whom it said nothing, as it named nobody.
  DoublingPauses<UserId, MonotonicTime> lists_pauses_{limits::e2ee::kListsPauseFirst, limits::e2ee::kListsPause};
  DoublingPauses<UserId, MonotonicTime> unnamed_pauses_{limits::e2ee::kListsPauseFirst, limits::e2ee::kListsPause};
  e2ee::DeviceRates lists_at_once_{limits::e2ee::kListsAtOnce, limits::e2ee::kListsRegain};  // of no device
  // Of peers under whose lists items were held, on this connection: the newest version that one needed, and up to which
  // the server has answered a question that was put after it was needed.
  struct HeldFor {
    std::uint64_t needed = 0;
    std::uint64_t answered = 0;
  };
  std::map<UserId, HeldFor> held_for_;
  bool lists_asked_ = false;
  bool one_by_one_ = false;  // lists: a question for several was refused
  bool bundles_asked_ = false;
  Backoff backoff_;
  Timer again_timer_;
  Timer log_timer_;  // pending: keys that were used may stand in the store's log
  Guard guard_;
};

}  // namespace chatsdk
