// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the device store share: a directory of its own, a store of user "ann" on device 7 in it, and short
// ways to say what the server sends.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>
#include <sodium.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "protocol/content.h"
#include "store/device_store.h"

namespace chatsdk {

inline const UserId kAnn = "ann";
inline const UserId kBob = "bob";
inline constexpr DeviceId kPhone{7};   // this device
inline constexpr DeviceId kLaptop{8};  // another of the owner
inline constexpr DeviceId kBobs{70};
inline constexpr StreamId kAccount{500};
inline constexpr ConversationId kChat{900};

// What later versions of the schema changed in the second one, taken back.
inline constexpr char kToVersion2[] =
    "DROP TABLE member; DROP TABLE operation; DROP TABLE group_info; ALTER TABLE outbox DROP COLUMN discarded; DROP "
    "TABLE reaction; DROP TABLE shown; DROP TABLE annotation; DROP "
    "INDEX message_by_place; ALTER TABLE message "
    "DROP "
    "COLUMN unshown; CREATE INDEX message_by_place ON message(conversation, place); DROP INDEX message_by_client_id; "
    "CREATE INDEX message_by_client_id ON message(client_message_id) WHERE sender IS NULL OR lost > 0; "
    "ALTER TABLE conversation DROP COLUMN plain; ALTER TABLE stream DROP COLUMN others_from; "
    "DROP INDEX outbox_task; ALTER TABLE conversation DROP COLUMN encrypted; DROP INDEX outbox_waiting; UPDATE message "
    "SET place = place / "
    "32768 WHERE place < 4611686018427387904; "
    "ALTER TABLE meta DROP COLUMN gateway_expires; ALTER TABLE meta DROP COLUMN gateway_server; "
    "ALTER TABLE meta DROP COLUMN gateway_url; ALTER TABLE meta DROP COLUMN text_bytes_max; PRAGMA user_version = 2;";

inline ClientMessageId client_id(std::uint64_t number) {
  ClientMessageId id;
  for (int i = 0; i < 8; ++i)
    id.bytes[static_cast<std::size_t>(15 - i)] = static_cast<unsigned char>(number >> (8 * i));
  return id;
}

inline Bytes text(std::string_view words) { return encode_text_content(words); }
inline const Error kTooLate = error(Code::kTimedOut, "too late");
inline WallTime at(std::int64_t ms) { return from_unix_ms(ms); }

template <typename T>
T must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : std::string(code_name(result.code())) + ": " + result.error().detail);
  if (!result.ok()) std::abort();
  return std::move(result).value();
}
inline void must(Status status) { EXPECT_TRUE(status.ok()) << status.error().detail; }

// Items of one stream, built in the order given.
class ItemsOf {
 public:
  explicit ItemsOf(StreamId stream, Seq after, wire::StreamKind kind = wire::STREAM_KIND_CONVERSATION) : last_(after) {
    items_.set_stream_id(stream.value);
    items_.set_stream_kind(kind);
    items_.set_after_seq(after);
  }
  static ItemsOf account(Seq after) { return ItemsOf(kAccount, after, wire::STREAM_KIND_ACCOUNT); }

  ItemsOf& message(const UserId& sender, std::uint64_t id, std::string_view words, DeviceId device = kBobs) {
    return carry(sender, id, text(words), device);
  }
  ItemsOf& carry(const UserId& sender, std::uint64_t id, const Bytes& content, DeviceId device = kBobs) {
    wire::Item& item = add(wire::ITEM_KIND_MESSAGE);
    item.set_message_id(1'000 + last_);
    item.set_sender_user_id(sender);
    item.set_sender_device_id(device.value);
    item.set_client_message_id(Bytes(client_id(id).view()));
    item.set_content(content);
    return *this;
  }
  ItemsOf& roster(const std::vector<UserId>& joined) {
    wire::Roster& roster = *add(wire::ITEM_KIND_ROSTER).mutable_roster();
    roster.set_conversation_kind(wire::CONVERSATION_KIND_DIRECT);
    for (const UserId& user : joined) {
      auto& change = *roster.add_changes();
      change.set_user_id(user);
      change.set_joined(true);
    }
    return *this;
  }
  ItemsOf& skip(Seq up_to, wire::SkipReason reason) {
    last_ = up_to - 1;
    add(wire::ITEM_KIND_SKIP).set_skip_reason(reason);
    return *this;
  }
  ItemsOf& conversation_added(ConversationId id, const UserId& peer, bool encrypted = false) {
    auto& added = *add(wire::ITEM_KIND_CONVERSATION_ADDED).mutable_conversation();
    added.set_conversation_id(id.value);
    added.set_kind(wire::CONVERSATION_KIND_DIRECT);
    added.set_peer_user_id(peer);
    added.set_encrypted(encrypted);
    return *this;
  }
  wire::Item& add(wire::ItemKind kind) {
    wire::Item& item = *items_.add_items();
    item.set_seq(++last_);
    item.set_kind(kind);
    item.set_time_ms(1'000'000 + static_cast<std::int64_t>(last_) * 1'000);
    return item;
  }
  operator const wire::Items&() const { return items_; }  // NOLINT(google-explicit-constructor)
  wire::Items& get() { return items_; }

 private:
  wire::Items items_;
  Seq last_;
};

inline wire::Marks marks_of(ConversationId conversation, std::uint64_t revision) {
  wire::Marks marks;
  marks.set_conversation_id(conversation.value);
  marks.set_revision(revision);
  return marks;
}
inline void add_advance(wire::Marks& marks, const UserId& user, wire::Marks::Kind kind, Seq up_to, std::int64_t ms) {
  auto& advance = *marks.add_advances();
  advance.set_user_id(user);
  advance.set_kind(kind);
  advance.set_up_to(up_to);
  advance.set_time_ms(ms);
}

class DeviceStoreTest : public ::testing::Test {
 protected:
  DeviceStoreTest() : random_(4711) {
    EXPECT_GE(sodium_init(), 0);
    static int serial = 0;
    // Memory where there is such a file system: the tests sync often, and no rule here is about a real disk.
    const std::filesystem::path memory = "/dev/shm";
    directory_ = (::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path()) /
                 ("chatsdk-device-" + std::to_string(::getpid()) + "-" + std::to_string(++serial));
    std::filesystem::create_directories(directory_);
  }
  ~DeviceStoreTest() override {
    reader_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string path() const { return (directory_ / "store.db").string(); }
  DeviceStoreOptions options() {
    DeviceStoreOptions made;
    made.path = path();
    made.key = &key_;
    made.base_vfs = base_vfs_;
    made.outbox_max = outbox_max_;
    return made;
  }
  Result<std::unique_ptr<DeviceStore>> try_open() { return DeviceStore::open(options(), random_, clock_); }

  void close() {
    reader_.reset();
    store_.reset();
  }
  // Opens anew, with a reader.
  void reopen() {
    close();
    store_ = must(try_open());
    reader_ = must(store_->open_reader());
  }
  StoredSession session() const { return {kAnn, kPhone, "access-token", at(5'000), "refresh-token", Bytes(16, 'r')}; }
  // A store with an owner and an epoch.
  void open_as_ann() {
    reopen();
    must(store_->save_session(session()));
    must(store_->begin_epoch(1, kAccount));
  }
  // The chat with bob, known to both sides: its roster is item 1.
  ConversationKey open_chat() {
    open_as_ann();
    must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));
    return must(reader_->direct_conversation(kBob));
  }
  Result<DeviceStore::Enqueued> queue(ConversationKey conversation, std::uint64_t id, std::string_view words,
                                      bool on_wire = false) {
    return store_->enqueue(conversation, client_id(id), text(words), at(2'000'000), at(9'000'000), on_wire);
  }
  Result<Changes> accept(std::uint64_t id, Seq seq, ConversationId conversation = kChat) {
    return store_->accept({{client_id(id), conversation, MessageId{1'000 + seq}, seq,
                            at(1'000'000 + static_cast<std::int64_t>(seq) * 1'000)}});
  }
  // "seq:words" of a conversation's whole history, "-" without seq; fetched in pages of the size given, backwards.
  std::vector<std::string> history(ConversationKey conversation, std::size_t page_size = 3) {
    std::vector<std::string> shown;
    auto page = must(reader_->history_before(conversation, Seq{0}, page_size));
    while (true) {
      std::vector<std::string> lines;
      for (const MessageRow& row : page.rows) lines.push_back(show(row));
      shown.insert(shown.begin(), lines.begin(), lines.end());
      if (!page.more) return shown;
      page = must(reader_->history_before(conversation, page.rows.front().key, page_size));
    }
  }
  static std::string show(const MessageRow& row) {
    const std::string words =
        row.content.empty() ? "(placeholder)" : content::text_of(row.content).value_or("(unsupported)");
    return (row.seq == 0 ? "-" : std::to_string(row.seq)) + ":" + words;
  }
  MessageState state_of(std::uint64_t id) { return must(reader_->message_by_client_id(client_id(id))).state; }
  std::uint64_t unread(ConversationKey conversation) { return must(reader_->conversation(conversation)).unread_count; }

  std::filesystem::path directory_;
  StoreKey key_ = StoreKey::copy_of(std::string(32, 'k'));
  std::string base_vfs_;
  std::size_t outbox_max_ = limits::kOutboxMax;
  SeededRandom random_;
  ManualClock clock_{at(1'500'000)};
  std::unique_ptr<DeviceStore> store_;
  std::unique_ptr<DeviceReader> reader_;
};

}  // namespace chatsdk
