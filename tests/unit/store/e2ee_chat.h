// SPDX-License-Identifier: Apache-2.0
//
// One encrypted direct conversation of Alice and Bob: a server in memory that keeps lists, bundles and the stream as
// docs/e2ee.md sections 10 and 17 say, and devices of both users, each with a device store, that send and receive
// through DirectConversations as the engine does.
//
// Threads: one owner.
#pragma once

#include <gtest/gtest.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "e2ee/direct.h"
#include "e2ee/own_keys.h"
#include "protocol/content.h"
#include "unit/e2ee/people.h"
#include "unit/store/e2ee_keeper.h"

namespace chatsdk::e2ee {

inline constexpr ConversationId kChatId{900};

// What a device sends, as the server sees it.
struct Sending {
  Peer from;
  SliceKind kind = SliceKind::kMessage;
  ClientMessageId client_message_id;
  Encrypted encrypted;
};

class ChatServer {
 public:
  struct StreamItem {
    Seq seq = 0;
    bool is_roster = false;
    bool encrypted = true;
    std::uint64_t revision = 0;
    std::vector<UserLists> lists;  // of a roster item
    Sending sent;
    std::map<Peer, Bytes> slices;
    Bytes plain;
  };
  struct User {
    std::vector<Bytes> lists;
    std::vector<Bytes> records;
    std::uint64_t in_roster = 0;  // version
  };
  struct Stock {
    Bytes record, signed_prekey, last_resort;
    std::vector<Bytes> one_time, one_time_kem;
  };
  struct Answer {
    Seq seq = 0;  // 0: refused
    std::uint64_t revision = 0;
    std::vector<UserLists> members;
  };

  void put_list(const UserId& user_id, const ListUpload& upload) {
    User& user = users[user_id];
    user.lists.push_back(upload.list);
    user.records.insert(user.records.end(), upload.records.begin(), upload.records.end());
    if (user.in_roster != 0) put_roster({user_id});
  }
  UserLists lists_of(const UserId& user_id) const {
    const auto at = users.find(user_id);
    return at == users.end() ? UserLists{user_id, {}, {}} : UserLists{user_id, at->second.lists, at->second.records};
  }
  void begin_conversation() { put_roster({"alice", "bob"}); }
  void put_roster(const std::vector<UserId>& changed) {
    StreamItem item;
    item.is_roster = true;
    item.revision = ++revision;
    for (const UserId& user_id : changed) {
      item.lists.push_back(lists_of(user_id));
      users[user_id].in_roster = users[user_id].lists.size();
    }
    add(std::move(item));
  }
  void put_keys(const Peer& peer, const Bytes& record, const PrekeyUpload& upload) {
    Stock& stock = stocks[peer];
    stock.record = record;
    if (!upload.signed_prekey.empty()) {
      stock.signed_prekey = upload.signed_prekey;
      stock.last_resort = upload.last_resort;
    }
    if (upload.drop_below != 0) stock.one_time.clear(), stock.one_time_kem.clear();
    stock.one_time.insert(stock.one_time.end(), upload.one_time.begin(), upload.one_time.end());
    stock.one_time_kem.insert(stock.one_time_kem.end(), upload.one_time_kem.begin(), upload.one_time_kem.end());
  }
  std::optional<BundleBytes> bundle(const Peer& peer) {
    const auto at = stocks.find(peer);
    if (at == stocks.end()) return std::nullopt;
    Stock& stock = at->second;
    BundleBytes bundle{stock.record, stock.signed_prekey, stock.last_resort, {}};
    if (!stock.one_time_kem.empty()) {
      bundle.kem_prekey = stock.one_time_kem.front();
      stock.one_time_kem.erase(stock.one_time_kem.begin());
    }
    if (!stock.one_time.empty()) {
      bundle.one_time_prekey = stock.one_time.front();
      stock.one_time.erase(stock.one_time.begin());
    }
    return bundle;
  }
  // All or nothing, as section 10 says.
  Answer send(const Sending& sending) {
    if (stream.empty()) begin_conversation();
    std::set<Peer> wanted;
    for (const auto& [user_id, user] : users) {
      const auto list = parse_device_list(user.lists.at(user.in_roster - 1));
      for (const ListedDevice& device : list->devices) wanted.insert({user_id, device.device_id});
    }
    wanted.erase(sending.from);
    std::set<Peer> given;
    for (const Slice& slice : sending.encrypted.slices) given.insert(slice.to);
    // Nobody can begin a session with a device that has no keys here.
    std::set<Peer> left_out;
    std::erase_if(wanted, [&](const Peer& peer) {
      const bool without = !stocks.contains(peer) && !given.contains(peer);
      if (without) left_out.insert(peer);
      return without;
    });
    const bool fits = sending.kind == SliceKind::kMessage ? given == wanted : given.size() == 1;
    const bool first = sending.encrypted.roster_revision == 0 && revision == 1 &&
                       sending.encrypted.own_list_version == users[sending.from.user_id].in_roster;
    if (!fits || (sending.encrypted.roster_revision != revision && !first)) {
      return {0, revision, {lists_of("alice"), lists_of("bob")}};
    }
    StreamItem item;
    item.sent = sending;
    for (const Slice& slice : sending.encrypted.slices) item.slices[slice.to] = slice.message;
    if (sending.kind == SliceKind::kMessage) {
      for (const Peer& peer : left_out) item.slices[peer] = Bytes(1, '\0');
    }
    counters[sending.from].push_back(sending.encrypted.counter);
    return {add(std::move(item)), revision, {}};
  }
  Seq add(StreamItem item) {
    item.seq = stream.size() + 1;
    stream.push_back(std::move(item));
    return stream.back().seq;
  }

  std::map<UserId, User> users;
  std::map<Peer, Stock> stocks;
  std::vector<StreamItem> stream;
  std::uint64_t revision = 0;
  std::map<Peer, std::vector<std::uint64_t>> counters;
};

class ChatDevice {
 public:
  ChatDevice(ChatServer& server, UserId user_id, std::uint64_t device_id, const std::filesystem::path& directory)
      : self{std::move(user_id), DeviceId{device_id}},
        peer(self.user_id == "alice" ? "bob" : "alice"),
        random(device_id),
        kept(directory / std::to_string(device_id), false),
        direct(random, random, own_kem()),
        keys(random, own_kem()),
        server_(server) {
    StoredSession session;
    session.user_id = self.user_id;
    session.device_id = self.device_id;
    EXPECT_TRUE(kept.store().save_session(session).ok());
    EXPECT_TRUE(kept.store().begin_epoch(1, StreamId{500}).ok());
  }

  template <typename Body>
  void write(Body body) {
    const auto written = kept.e2ee().write(body);
    EXPECT_TRUE(written.ok()) << (written.ok() ? "" : written.error().detail);
  }

  // The user's first device, or one more that the first has let in.
  void begin() {
    ListUpload list;
    write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(list, keys.begin_account(tx.kept(), self, {}, now_ms));
      return {};
    });
    server_.put_list(self.user_id, list);
    fetch_lists(self.user_id);
    upload_keys();
  }
  void join(ChatDevice& first, bool with_prekeys = true) {
    DeviceRecord record;
    write([&](E2eeTransaction& tx) -> Status {
      Self made;
      CHATSDK_ASSIGN(const Self* granter, first.kept.state().self());
      made.account_seed = granter->account_seed.clone();
      made.keys = DeviceKeys::draw(random);
      made.record = record = make_device_record({self.user_id, self.device_id, kSuitesSpoken, now_ms, {}}, made.keys);
      return tx.state().put_self(std::move(made));
    });
    fetch_lists(self.user_id);
    ListUpload list;
    write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(list, keys.next_list(tx.kept(), {&record, 1}, {}, now_ms));
      return {};
    });
    server_.put_list(self.user_id, list);
    fetch_lists(self.user_id);
    if (with_prekeys) upload_keys();
  }
  void unlink(const ChatDevice& other) {
    ListUpload list;
    write([&](E2eeTransaction& tx) -> Status {
      const DeviceId removed[] = {other.self.device_id};
      CHATSDK_ASSIGN(list, keys.next_list(tx.kept(), {}, removed, now_ms));
      return {};
    });
    server_.put_list(self.user_id, list);
    fetch_lists(self.user_id);
  }

  Learned fetch_lists(const UserId& user_id) {
    Learned learned;
    write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(const std::uint64_t awaited, tx.notes().awaited_list(user_id));
      CHATSDK_ASSIGN(learned, direct.take_lists(tx.kept(), server_.lists_of(user_id), awaited, now_ms, events));
      return {};
    });
    return learned;
  }
  // True: something was uploaded.
  // Request by request, until nothing is due.
  bool upload_keys(std::optional<StoredCounts> counts = StoredCounts{}) {
    bool any = false;
    for (;;) {
      std::optional<PrekeyUpload> upload;
      write([&](E2eeTransaction& tx) -> Status {
        CHATSDK_ASSIGN(upload, keys.due_upload(tx.kept(), {counts, {}}, now_ms));
        return {};
      });
      if (!upload) return any;
      any = true;
      server_.put_keys(self, kept.state().self().value()->record.bytes, *upload);
      write([&](E2eeTransaction& tx) { return keys.taken(tx.kept(), *upload); });
      if (counts) counts = StoredCounts{limits::e2ee::kOneTimeStored, limits::e2ee::kOneTimeStored};
    }
  }

  // Queues a message; it is sent by flush().
  ClientMessageId queue(const std::string& text) { return queue_content(encode_text_content(text)); }
  ClientMessageId queue_content(Bytes content) {
    const ClientMessageId id = ClientMessageId::make(from_unix_ms(static_cast<std::int64_t>(now_ms)), random);
    const auto chat = kept.store().ensure_direct(peer);
    EXPECT_TRUE(chat.ok());
    const auto queued = kept.store().enqueue(
        *chat, id, std::move(content), from_unix_ms(static_cast<std::int64_t>(now_ms)), from_unix_ms(1LL << 50), false);
    EXPECT_TRUE(queued.ok()) << (queued.ok() ? "" : queued.error().detail);
    waiting.push_back(id);
    return id;
  }
  // Fetches what a plan waits for. False: nothing can be fetched now.
  bool fetch(const Plan& plan) {
    for (const UserId& user_id : plan.lists) fetch_lists(user_id);
    for (const Peer& wanted : plan.bundles) {
      const auto bundle = server_.bundle(wanted);
      ++bundles_fetched;
      write([&](E2eeTransaction& tx) {
        return direct.take_bundle(tx.kept(), wanted, bundle ? &*bundle : nullptr, now_ms);
      });
    }
    return !plan.lists.empty() || !plan.bundles.empty();
  }
  DirectTarget target() const { return {peer, server_.stream.empty() ? ConversationId{} : kChatId}; }
  Plan make_plan() {
    Plan plan;
    write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(plan, direct.plan(tx.kept(), target(), now_ms));
      return {};
    });
    return plan;
  }
  // The bytes that a message is sent as, made when it enters the window: one transaction.
  bool encrypt(const ClientMessageId& id) {
    for (int round = 0; round < 4; ++round) {
      Plan plan;
      write([&](E2eeTransaction& tx) -> Status {
        CHATSDK_ASSIGN(plan, direct.plan(tx.kept(), target(), now_ms));
        if (plan.outcome != Plan::Outcome::kReady) return {};
        CHATSDK_ASSIGN(const auto rows, kept.store().inside().own_messages(id));
        Envelope envelope;
        envelope.client_message_id = id;
        envelope.binding = DirectBinding::of(self.user_id, peer);
        envelope.sender_time_ms = now_ms;
        envelope.body = rows.front().content;
        CHATSDK_ASSIGN(const Encrypted encrypted, direct.encrypt(tx.kept(), plan, envelope, now_ms));
        CHATSDK_TRY(tx.notes().put_out(id, encrypted));
        return tx.mark_on_wire(id);
      });
      last_plan = plan;
      if (plan.outcome == Plan::Outcome::kReady) return true;
      if (plan.outcome != Plan::Outcome::kWaits || !fetch(plan)) return false;
    }
    return false;
  }
  // Sends what waits, tasks too. Returns how many items the server took.
  int flush() {
    int taken = 0;
    while (!waiting.empty()) {
      const ClientMessageId id = waiting.front();
      if (!kept.e2ee().notes().out(id)->has_value() && !encrypt(id)) break;
      const Encrypted encrypted = **kept.e2ee().notes().out(id);
      const auto answer = server_.send({self, SliceKind::kMessage, id, encrypted});
      if (answer.seq == 0) {
        ++refused;
        if (refused > 20) break;
        write([&](E2eeTransaction& tx) -> Status {
          CHATSDK_TRY(tx.notes().drop_out(id));
          return direct.roster_refused(tx.kept(), {peer, kChatId}, answer.revision, answer.members, now_ms, events);
        });
        continue;
      }
      EXPECT_TRUE(kept.store()
                      .accept({{id, kChatId, MessageId{1'000 + answer.seq}, answer.seq,
                                from_unix_ms(static_cast<std::int64_t>(now_ms))}})
                      .ok());
      waiting.erase(waiting.begin());
      ++taken;
    }
    return taken + flush_tasks();
  }
  int flush_tasks() {
    int taken = 0;
    const auto tasks = kept.e2ee().notes().tasks().value();
    for (const Task& task : tasks) {
      for (int round = 0; round < 4; ++round) {
        std::optional<Encrypted> encrypted;
        Plan plan;
        bool over = false;
        write([&](E2eeTransaction& tx) -> Status {
          auto planned = direct.plan_task(tx.kept(), task, peer, now_ms);
          over = planned.code() == Code::kNotFound;
          if (over) return {};
          plan = std::move(*planned);
          if (plan.outcome != Plan::Outcome::kReady) return {};
          CHATSDK_ASSIGN(encrypted, direct.encrypt_task(tx.kept(), plan, task, peer, now_ms));
          return tx.notes().put_task_out(task, *encrypted);
        });
        if (over || (!encrypted && !fetch(plan))) break;
        if (!encrypted) continue;
        const SliceKind kind = task.kind == TaskKind::kRetry ? SliceKind::kRetry : SliceKind::kRepair;
        const auto stored = kept.e2ee().notes().task_out(task).value();
        EXPECT_EQ(stored->slices.front().message, encrypted->slices.front().message);
        const auto answer = server_.send({self, kind, task.client_message_id, *stored});
        EXPECT_NE(answer.seq, 0U);
        write([&](E2eeTransaction& tx) { return tx.notes().drop_task(task.id); });
        ++taken;
        break;
      }
    }
    return taken;
  }

  Seq cursor() {
    const auto found = kept.store().cursor(kChatId).value();
    return found ? found->seq : 0;
  }
  Seq delivered_from() { return kept.store().cursor(kChatId).value()->delivered_from; }
  // Each item in the transaction that moves the cursor.
  void sync() {
    for (Seq seq = cursor() + 1; seq <= server_.stream.size(); ++seq) {
      ItemResult result;
      may_wait_ = waits_for_lists;
      write([&](E2eeTransaction& tx) { return take(tx, server_.stream[seq - 1], result); });
      if (result.outcome == ItemResult::Outcome::kHeld) {
        ++held;
        fetch_lists(server_.stream[seq - 1].sent.from.user_id);
        may_wait_ = false;
        write([&](E2eeTransaction& tx) { return take(tx, server_.stream[seq - 1], result); });
      }
      results.push_back(result.outcome);
      if (result.lists_wanted) fetch_lists(server_.stream[seq - 1].sent.from.user_id);
    }
  }
  Status take(E2eeTransaction& tx, const ChatServer::StreamItem& from, ItemResult& result) {
    wire::Items items;
    items.set_stream_id(kChatId.value);
    items.set_stream_kind(wire::STREAM_KIND_CONVERSATION);
    items.set_after_seq(from.seq - 1);
    wire::Item& item = *items.add_items();
    item.set_seq(from.seq);
    item.set_time_ms(static_cast<std::int64_t>(now_ms));
    if (from.is_roster) {
      item.set_kind(wire::ITEM_KIND_ROSTER);
      item.mutable_roster()->set_conversation_kind(wire::CONVERSATION_KIND_DIRECT);
      item.mutable_roster()->set_encrypted(from.encrypted);
      for (const char* user_id : {"alice", "bob"}) {
        auto& change = *item.mutable_roster()->add_changes();
        change.set_user_id(user_id);
        change.set_joined(true);
      }
      const RosterItem roster_item{kChatId, self.user_id, peer, from.encrypted, from.revision, from.lists};
      CHATSDK_ASSIGN(const RosterResult roster, direct.roster_item(tx.kept(), roster_item, now_ms, events));
      rosters_applied += roster.applied ? 1 : 0;
      CHATSDK_TRY(tx.apply(items));
      return {};
    }
    Item incoming{kChatId,        from.seq, peer, from.sent.kind, from.sent.from, from.sent.client_message_id,
                  from.encrypted, {}};
    const auto slice = from.slices.find(self);
    if (slice != from.slices.end()) incoming.slice = slice->second;
    if (may_wait_) incoming.answered_list = 0;
    CHATSDK_ASSIGN(result, direct.receive(tx.kept(), incoming, now_ms));
    if (result.outcome == ItemResult::Outcome::kHeld) return {};
    item.set_kind(from.sent.kind == SliceKind::kMessage ? wire::ITEM_KIND_MESSAGE : wire::ITEM_KIND_UNSPECIFIED);
    item.set_message_id(1'000 + from.seq);
    item.set_sender_user_id(from.sent.from.user_id);
    item.set_sender_device_id(from.sent.from.device_id.value);
    item.set_client_message_id(Bytes(from.sent.client_message_id.view()));
    item.set_content(from.plain);
    CHATSDK_TRY(tx.apply(items, incoming, result));
    return {};
  }

  // The texts of the conversation in order; "?" for a placeholder.
  std::vector<std::string> history() {
    std::vector<std::string> texts;
    auto reader = kept.store().open_reader().value();
    const auto chat = reader->direct_conversation(peer);
    if (!chat.ok()) return texts;
    const auto page = reader->history_before(*chat, Seq{0}, limits::kPageMax);
    for (const MessageRow& row : page->rows) {
      texts.push_back(row.content.empty() ? "?" : content::text_of(row.content).value_or("!"));
    }
    return texts;
  }
  MessageRow last_row() {
    auto reader = kept.store().open_reader().value();
    const auto chat = reader->direct_conversation(peer);
    return reader->history_before(chat.value(), Seq{0}, 1)->rows.back();
  }
  std::uint64_t unread() {
    auto reader = kept.store().open_reader().value();
    return reader->unread_total().value();
  }
  // As the app may have configured it. What is kept in memory alone goes.
  void block_changed_identities() {
    std::destroy_at(&direct);
    std::construct_at(&direct, random, random, own_kem(), true);
  }
  std::vector<SessionSummary> sessions(const ChatDevice& with) { return kept.state().sessions(with.self).value(); }
  std::size_t active(const ChatDevice& with) {
    const auto all = sessions(with);
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [](const SessionSummary& each) { return each.status == SessionStatus::kActive; }));
  }
  bool told(EventKind kind) const {
    return std::any_of(events.begin(), events.end(), [kind](const Event& event) { return event.kind == kind; });
  }

  const Peer self;
  const UserId peer;
  SeededRandom random;
  StoreKeeper kept;
  DirectConversations direct;
  OwnKeys keys;
  std::uint64_t now_ms = kThen;
  std::vector<ClientMessageId> waiting;
  std::vector<Event> events;
  std::vector<ItemResult::Outcome> results;
  Plan last_plan;
  int bundles_fetched = 0;
  int refused = 0;
  int rosters_applied = 0;
  bool waits_for_lists = false;  // items are held, as the engine holds them while lists may come
  int held = 0;

 private:
  ChatServer& server_;
  bool may_wait_ = false;
};

// The two users' first devices.
class ChatOfTwo : public ::testing::Test {
 protected:
  ChatOfTwo() { EXPECT_GE(sodium_init(), 0); }
  ~ChatOfTwo() override { std::filesystem::remove_all(directory); }

  static std::filesystem::path make_directory() {
    const std::filesystem::path memory = "/dev/shm";
    static int serial = 0;
    return (::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path()) /
           ("chatsdk-e2ee-chat-" + std::to_string(::getpid()) + "-" + std::to_string(++serial));
  }
  void begin_both() {
    alice.begin();
    bob.begin();
  }
  // A conversation in which both have written.
  void talk() {
    begin_both();
    say(alice, bob, "hello");
    say(bob, alice, "hi");
  }
  static void say(ChatDevice& from, ChatDevice& to, const std::string& text) {
    from.sync();
    from.queue(text);
    ASSERT_EQ(from.flush(), 1);
    from.sync();
    to.sync();
    ASSERT_EQ(to.history().back(), text);
  }
  // An item with one slice, out of the state of a device that does as it likes.
  void speak(ChatDevice& from, ChatDevice& to, SliceKind kind, BodyType type, const Bytes& body) {
    const ClientMessageId id = ClientMessageId::make(from_unix_ms(9), from.random);
    from.write([&](E2eeTransaction& tx) -> Status {
      const auto bundle = server.bundle(to.self);
      CHATSDK_TRY(from.direct.take_bundle(tx.kept(), to.self, &*bundle, kThen));
      Envelope envelope;
      envelope.body_type = type;
      envelope.client_message_id = id;
      envelope.binding = DirectBinding::of("alice", "bob");
      envelope.body = body;
      CHATSDK_ASSIGN(Bytes slice, encrypt_for(tx.state(), to.self, serialize(envelope), from.random));
      ChatServer::StreamItem item;
      item.sent = {from.self, kind, id, {}};
      item.slices[to.self] = std::move(slice);
      server.add(std::move(item));
      return {};
    });
  }
  void say_to(ChatDevice& from, ChatDevice& to, const std::string& text) {
    speak(from, to, SliceKind::kMessage, BodyType::kContent, encode_text_content(text));
  }
  // The server's item is another one than was sent.
  ChatServer::StreamItem& last() { return server.stream.back(); }

  const std::filesystem::path directory = make_directory();
  ChatServer server;
  ChatDevice alice{server, "alice", 1, directory};
  ChatDevice bob{server, "bob", 2, directory};
};

}  // namespace chatsdk::e2ee
