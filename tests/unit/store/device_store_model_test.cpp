// SPDX-License-Identifier: Apache-2.0
//
// Random operations on the device store beside a simple model in memory: a server that allots sequences, and what the
// device must show of it. After every few operations, and after each reopening, both must agree on history, unread
// counts, outbox, marks and the order of the conversation list.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>

#include "device_store_fixture.h"

namespace chatsdk {
namespace {

using ::testing::ElementsAreArray;

struct ModelMessage {
  std::uint64_t id = 0;  // number of its client_message_id; 0: a placeholder
  UserId sender;
  DeviceId device;
  std::string words;
};

// One item of the server's stream.
struct ServerItem {
  wire::ItemKind kind = wire::ITEM_KIND_MESSAGE;
  ModelMessage message;
};

struct ModelOutboxRow {
  std::uint64_t id = 0;
  std::uint64_t number = 0;
  std::string words;
  std::int64_t queued_ms = 0;
  bool is_void = false;
  bool on_wire = false;
  bool failed = false;
};

struct ModelConversation {
  ConversationId id;
  UserId peer;
  ConversationKey key;
  std::vector<ServerItem> stream;              // the server's truth; index 0 is seq 1
  Seq cursor = 0;                              // the device's
  std::map<Seq, ModelMessage> accepted_ahead;  // own messages whose answer overtook their item
  std::vector<ModelOutboxRow> outbox;          // in order
  std::uint64_t last_number = 0;
  Seq read_up_to = 0;
  Seq read_confirmed = 0;
  std::map<UserId, DeviceReader::MarkRow> marks;
  std::uint64_t marks_revision = 0;
};

class StoreModel : public DeviceStoreTest {
 protected:
  static std::int64_t time_of(Seq seq) { return 1'000'000 + static_cast<std::int64_t>(seq) * 1'000; }

  void start(std::uint64_t seed) {
    choose_.emplace(seed);
    open_as_ann();
    for (std::uint64_t i = 0; i < 3; ++i) {
      ModelConversation made;
      made.id = ConversationId{900 + i};
      made.peer = "peer" + std::to_string(i);
      made.key = must(store_->ensure_direct(made.peer));
      ServerItem roster;
      roster.kind = wire::ITEM_KIND_ROSTER;
      made.stream.push_back(roster);
      conversations_.push_back(made);
    }
  }

  std::uint64_t pick(std::uint64_t bound) { return choose_->below(bound); }
  ModelConversation& any() { return conversations_[pick(conversations_.size())]; }
  bool linked(const ModelConversation& c) const { return c.cursor > 0 || !c.accepted_ahead.empty() || linked_[c.id]; }
  ModelOutboxRow* any_row(ModelConversation& c) {
    return c.outbox.empty() ? nullptr : &c.outbox[pick(c.outbox.size())];
  }

  void step() {
    ModelConversation& c = any();
    switch (pick(16)) {
      case 0:
      case 1:
      case 2:
        return enqueue(c);
      case 3:
      case 4:
        return others_write(c);
      case 5:
      case 6:
        return server_accepts(c);
      case 7:
      case 8:
      case 9:
        return apply(c);
      case 10:
        return answer(c);
      case 11:
        return fail_or_retry(c);
      case 12:
        return discard_or_void(c);
      case 13:
        return mark_read(c);
      case 14:
        return server_marks(c);
      default:
        if (pick(8) == 0) reopen();
        return on_wire(c);
    }
  }

  void enqueue(ModelConversation& c) {
    const bool repeat = pick(8) == 0 && !c.outbox.empty();
    if (repeat) {
      const ModelOutboxRow& row = *any_row(c);
      const auto again =
          store_->enqueue(c.key, client_id(row.id), text(row.words), at(row.queued_ms), at(9'000'000), false);
      EXPECT_EQ(again.code(), row.is_void ? Code::kConflict : Code::kOk);
      if (again.ok()) {
        EXPECT_TRUE(again->repeated);
      }
      return;
    }
    ModelOutboxRow row;
    row.id = ++last_id_;
    row.number = ++c.last_number;
    row.words = "own" + std::to_string(row.id);
    row.queued_ms = 2'000'000 + static_cast<std::int64_t>(row.id);
    row.on_wire = pick(2) == 0;
    const auto queued =
        must(store_->enqueue(c.key, client_id(row.id), text(row.words), at(row.queued_ms), at(9'000'000), row.on_wire));
    EXPECT_EQ(queued.send_number, row.number);
    c.outbox.push_back(row);
  }

  void others_write(ModelConversation& c) {
    for (std::uint64_t i = 0, count = 1 + pick(6); i < count; ++i) {
      ServerItem item;
      const std::uint64_t kind = pick(12);
      if (kind == 0) {
        item.kind = wire::ITEM_KIND_SKIP;
      } else {
        const bool own = kind == 1;
        item.message = {++last_id_, own ? kAnn : c.peer, own ? kLaptop : kBobs, "m" + std::to_string(last_id_)};
      }
      c.stream.push_back(item);
    }
  }

  // The server takes the head of the outbox; the device does not know it yet.
  void server_accepts(ModelConversation& c) {
    for (const ModelOutboxRow& row : c.outbox) {
      if (row.failed) return;
      if (row.is_void || on_server(c, row.id)) continue;
      if (!row.on_wire) return;
      ServerItem item;
      item.message = {row.id, kAnn, kPhone, row.words};
      c.stream.push_back(item);
      return;
    }
  }

  static std::optional<Seq> on_server(const ModelConversation& c, std::uint64_t id) {
    for (std::size_t i = 0; i < c.stream.size(); ++i) {
      if (c.stream[i].message.id == id) return i + 1;
    }
    return std::nullopt;
  }

  // A range of items: what follows the cursor, something that overlaps it, or something beyond.
  void apply(ModelConversation& c) {
    Seq after = c.cursor;
    const std::uint64_t shape = pick(4);
    if (shape == 0) after = pick(c.cursor + 1);
    if (shape == 1 && pick(3) == 0) after = std::min<Seq>(c.cursor + 1 + pick(3), c.stream.size());
    const Seq last = std::min<Seq>(after + pick(10), c.stream.size());
    ItemsOf items(c.id, after);
    for (Seq seq = after + 1; seq <= last; ++seq) {
      const ServerItem& item = c.stream[seq - 1];
      if (item.kind == wire::ITEM_KIND_ROSTER) {
        items.roster({kAnn, c.peer});
      } else if (item.kind == wire::ITEM_KIND_SKIP) {
        items.skip(seq, wire::SKIP_REASON_TRIMMED);
      } else {
        items.message(item.message.sender, item.message.id, item.message.words, item.message.device);
      }
    }
    const auto applied = must(store_->apply(items));
    EXPECT_EQ(applied.gap, after > c.cursor);
    if (!applied.gap) {
      for (Seq seq = c.cursor + 1; seq <= last; ++seq) {
        linked_[c.id] = true;
        c.accepted_ahead.erase(seq);
        const std::uint64_t id = c.stream[seq - 1].message.id;
        std::erase_if(c.outbox, [&](const ModelOutboxRow& row) { return id != 0 && row.id == id; });
      }
      c.cursor = std::max(c.cursor, last);
    }
    EXPECT_EQ(applied.cursor, c.cursor);
  }

  // The answer to a send that the server took: before its item, or after it.
  void answer(ModelConversation& c) {
    std::vector<DeviceStore::AcceptedSend> answers;
    for (std::size_t i = 0; i < c.stream.size(); ++i) {
      const ModelMessage& message = c.stream[i].message;
      if (message.sender != kAnn || message.device != kPhone) continue;
      const Seq seq = i + 1;
      const bool waits =
          std::any_of(c.outbox.begin(), c.outbox.end(), [&](const auto& row) { return row.id == message.id; });
      if (!waits && pick(10) != 0) continue;
      answers.push_back({client_id(message.id), c.id, MessageId{1'000 + seq}, seq, at(time_of(seq))});
      if (waits) {
        linked_[c.id] = true;
        const auto row =
            std::find_if(c.outbox.begin(), c.outbox.end(), [&](const auto& r) { return r.id == message.id; });
        if (!row->is_void) c.accepted_ahead[seq] = message;
        c.outbox.erase(row);
      }
    }
    must(store_->accept(answers));
  }

  void fail_or_retry(ModelConversation& c) {
    ModelOutboxRow* row = any_row(c);
    if (row == nullptr) return;
    if (pick(2) == 0) {
      const auto retried = store_->retry(client_id(row->id), client_id(9000), at(9'500'000));
      EXPECT_EQ(retried.code(), row->is_void ? Code::kNotFound : row->failed ? Code::kOk : Code::kWrongState);
      row->failed = row->failed && row->is_void;
    } else if (!on_server(c, row->id)) {
      const auto failed = store_->fail(client_id(row->id), error(Code::kForbidden, "no"));
      EXPECT_EQ(failed.code(), row->is_void ? Code::kWrongState : Code::kOk);
      row->failed = !row->is_void;
    }
  }

  void discard_or_void(ModelConversation& c) {
    ModelOutboxRow* row = any_row(c);
    if (row == nullptr) return;
    if (row->is_void) {
      if (on_server(c, row->id)) return;
      must(store_->voided(client_id(row->id), kTooLate));
      std::erase_if(c.outbox, [id = row->id](const ModelOutboxRow& other) { return other.id == id; });
      return;
    }
    const auto discarded = store_->discard(client_id(row->id));
    const bool allowed = row->failed || !row->on_wire;
    EXPECT_EQ(discarded.code(), allowed ? Code::kOk : Code::kWrongState);
    if (allowed) {
      row->is_void = true;
      row->failed = row->on_wire = false;
    }
  }

  void mark_read(ModelConversation& c) {
    const Seq up_to = pick(c.stream.size() + 3);
    must(store_->mark_read(c.key, up_to));
    if (linked(c)) c.read_up_to = std::max(c.read_up_to, std::min(up_to, c.cursor));
  }

  void server_marks(ModelConversation& c) {
    if (!linked(c)) return;
    auto marks = marks_of(c.id, ++c.marks_revision);
    for (std::uint64_t i = 0, count = 1 + pick(2); i < count; ++i) {
      const UserId user = pick(2) == 0 ? kAnn : c.peer;
      const bool read = pick(2) == 0;
      const Seq up_to = pick(c.stream.size() + 1);
      add_advance(marks, user, read ? wire::Marks::KIND_READ : wire::Marks::KIND_DELIVERED, up_to, 7);
      if (up_to == 0) continue;
      auto& mark = c.marks[user];
      Seq& value = read ? mark.read_up_to : mark.delivered_up_to;
      value = std::max(value, up_to);
      if (read && user == kAnn) {
        c.read_confirmed = std::max(c.read_confirmed, up_to);
        c.read_up_to = std::max(c.read_up_to, up_to);
      }
    }
    must(store_->apply_marks(marks));
  }

  void on_wire(ModelConversation& c) {
    std::vector<ClientMessageId> ids;
    for (ModelOutboxRow& row : c.outbox) {
      if (row.is_void || row.failed || pick(2) == 0) continue;
      ids.push_back(client_id(row.id));
      row.on_wire = true;
    }
    must(store_->mark_on_wire(ids));
  }

  // ---- Comparison --------------------------------------------------------------------------------------------------

  static std::string state_name(MessageState state) {
    constexpr const char* kNames[] = {"received", "queued", "sending", "sent", "delivered", "read", "failed"};
    return kNames[static_cast<int>(state)];
  }
  std::string own_state(const ModelConversation& c, Seq seq) const {
    const auto found = c.marks.find(c.peer);
    if (found == c.marks.end()) return "sent";
    return found->second.read_up_to >= seq ? "read" : found->second.delivered_up_to >= seq ? "delivered" : "sent";
  }

  std::vector<std::string> expected_history(const ModelConversation& c) const {
    std::vector<std::string> lines;
    const auto line = [&](Seq seq, const ModelMessage& message) {
      lines.push_back(std::to_string(seq) + ":" + message.words + " " +
                      (message.sender == kAnn ? own_state(c, seq) : "received"));
    };
    for (Seq seq = 1; seq <= c.cursor; ++seq) {
      const ServerItem& item = c.stream[seq - 1];
      if (item.kind == wire::ITEM_KIND_SKIP) lines.push_back(std::to_string(seq) + ":(placeholder) received");
      if (item.kind == wire::ITEM_KIND_MESSAGE) line(seq, item.message);
    }
    for (const auto& [seq, message] : c.accepted_ahead) line(seq, message);
    for (const ModelOutboxRow& row : c.outbox) {
      if (!row.is_void)
        lines.push_back("-:" + row.words + " " + (row.failed ? "failed" : row.on_wire ? "sending" : "queued"));
    }
    return lines;
  }

  std::vector<std::string> shown_history(const ModelConversation& c) {
    std::vector<std::string> lines;
    const std::size_t page_size = 1 + pick(20);
    auto page = must(reader_->history_after(c.key, Seq{0}, page_size));
    while (true) {
      for (const MessageRow& row : page.rows) lines.push_back(show(row) + " " + state_name(row.state));
      if (!page.more) return lines;
      page = must(reader_->history_after(c.key, page.rows.back().key, page_size));
    }
  }

  static std::vector<std::string> without_states(std::vector<std::string> lines) {
    for (std::string& line : lines) line.resize(line.rfind(' '));
    return lines;
  }

  void compare() {
    std::uint64_t total = 0;
    std::uint64_t waiting = 0;
    std::size_t pending_reads = 0;
    for (const ModelConversation& c : conversations_) {
      ASSERT_THAT(shown_history(c), ElementsAreArray(expected_history(c)));
      ASSERT_THAT(history(c.key, 7), ElementsAreArray(without_states(expected_history(c))));

      std::uint64_t unread = 0;
      for (Seq seq = c.read_up_to + 1; seq <= c.cursor; ++seq) {
        const ServerItem& item = c.stream[seq - 1];
        if (item.kind == wire::ITEM_KIND_MESSAGE && item.message.sender != kAnn) ++unread;
      }
      const auto row = must(reader_->conversation(c.key));
      ASSERT_EQ(row.unread_count, unread);
      ASSERT_EQ(row.read_up_to, c.read_up_to);
      ASSERT_EQ(row.head, std::max(c.cursor, c.accepted_ahead.empty() ? 0 : c.accepted_ahead.rbegin()->first));
      ASSERT_EQ(static_cast<bool>(row.conversation_id), linked(c));
      total += unread;
      if (row.last_message) {
        ASSERT_EQ(row.last_activity, row.last_message->time);
      }

      const auto rows = must(store_->outbox(c.key, 0, 10'000));
      std::size_t index = 0;
      for (const ModelOutboxRow& expected : c.outbox) {
        if (!expected.is_void) ++waiting;
        if (expected.failed) break;
        ASSERT_LT(index, rows.size());
        const OutboxRow& found = rows[index++];
        ASSERT_EQ(found.client_message_id, client_id(expected.id));
        ASSERT_EQ(found.send_number, expected.number);
        ASSERT_EQ(found.kind == OutboxRow::Kind::kVoid, expected.is_void);
        ASSERT_EQ(found.content, expected.is_void ? Bytes() : text(expected.words));
        if (!expected.is_void) {
          ASSERT_EQ(found.on_wire, expected.on_wire);
        }
      }
      ASSERT_EQ(index, rows.size());
      bool blocked = false;
      for (const ModelOutboxRow& expected : c.outbox) {
        if (blocked && !expected.is_void) ++waiting;
        blocked = blocked || expected.failed;
      }

      for (const auto& mark : must(reader_->marks(c.key))) {
        const auto expected = c.marks.find(mark.user_id);
        ASSERT_NE(expected, c.marks.end());
        ASSERT_EQ(mark.delivered_up_to, std::max(expected->second.delivered_up_to, expected->second.read_up_to));
        ASSERT_EQ(mark.read_up_to, expected->second.read_up_to);
      }
      if (c.read_up_to > c.read_confirmed) ++pending_reads;
    }
    ASSERT_EQ(must(reader_->unread_total()), total);
    ASSERT_EQ(must(reader_->outbox_count()), waiting);
    ASSERT_EQ(must(store_->pending_reads()).size(), pending_reads);
    const auto listed = must(reader_->conversations({}, 10)).rows;
    ASSERT_EQ(listed.size(), conversations_.size());
    for (std::size_t i = 1; i < listed.size(); ++i) ASSERT_GE(listed[i - 1].last_activity, listed[i].last_activity);
  }

  void run(std::uint64_t seed, int steps) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    start(seed);
    for (int i = 0; i < steps; ++i) {
      step();
      if (i % 10 == 0) compare();
      if (HasFailure()) {
        ADD_FAILURE() << "at step " << i;
        return;
      }
    }
    reopen();
    compare();
  }

  std::optional<SeededRandom> choose_;
  std::vector<ModelConversation> conversations_;
  mutable std::map<ConversationId, bool> linked_;
  std::uint64_t last_id_ = 0;
};

// CHATSDK_TEST_SEED repeats one seed.
TEST_F(StoreModel, AgreesWithASimpleModelOverRandomOperations) {
  const char* chosen = std::getenv("CHATSDK_TEST_SEED");
  const std::uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
  const std::uint64_t count = chosen != nullptr ? 1 : 4;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    close();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    conversations_.clear();
    linked_.clear();
    last_id_ = 0;
    run(seed, 600);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace chatsdk
