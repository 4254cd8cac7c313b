// SPDX-License-Identifier: Apache-2.0
//
// What is shown of messages that were edited, deleted, reacted to or pinned, whatever came first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "protocol/content.h"
#include "store/device_store_impl.h"
#include "unit/store/device_store_fixture.h"

namespace chatsdk {
namespace {

using content::Annotation;
using content::Target;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <typename Kind>
Bytes annotation(Kind kind) {
  Annotation made;
  made.kind = std::move(kind);
  return content::write(made);
}

Bytes edit(std::uint64_t id, const std::string& words) {
  content::Edit made;
  made.target.id = client_id(id);
  made.post.kind = content::Text{words};
  return annotation(std::move(made));
}
// An empty author is who says it.
Bytes deletion(std::uint64_t id, const UserId& author = {}) {
  return annotation(content::Delete{{author, client_id(id)}});
}
Bytes reaction(const UserId& author, std::uint64_t id, const std::vector<std::string>& keys) {
  return annotation(content::Reaction{{author, client_id(id)}, keys});
}
Bytes pin(const UserId& author, std::uint64_t id, bool pinned) {
  return annotation(content::Pin{{author, client_id(id)}, pinned});
}

std::string told(const MessageRow& row) {
  if (row.deleted) return "deleted";
  std::string words = content::text_of(row.content).value_or("(unknown)");
  if (!row.edit.empty()) {
    const content::Content read = content::read(row.edit);
    const auto& post = std::get<content::Edit>(std::get<Annotation>(read).kind).post;
    words = std::get<content::Text>(post.kind).text;
  }
  if (row.edits > 0) words += " edits=" + std::to_string(row.edits);
  for (const MessageRow::Reaction& one : row.reactions) {
    words += " " + one.user_id + ":";
    for (const std::string& key : one.keys) words += key + ",";
  }
  return words + (row.pinned ? " pinned" : "") + (row.failed_annotation ? " failed" : "");
}

class Annotations : public DeviceStoreTest {
 protected:
  std::vector<std::string> shown(ConversationKey chat) {
    std::vector<std::string> lines;
    for (const MessageRow& row : must(reader_->history_before(chat, Seq{0}, 50)).rows) lines.push_back(told(row));
    return lines;
  }
  Result<DeviceStore::Enqueued> send(ConversationKey chat, std::uint64_t id, const Bytes& content) {
    return store_->enqueue(chat, client_id(id), content, at(2'000'000), at(9'000'000), false);
  }
  Changes apply(ItemsOf& items) { return must(store_->apply(items)).changes; }
  // As where the contents were encrypted, and have been opened.
  Changes apply_opened(ItemsOf& items) {
    return must(store_->inside().write([&](Changes& changes) {
      DeviceStore::Applied applied;
      return store_->inside().apply(items, applied, changes, DeviceStore::Impl::Contents::kOpened);
    }));
  }
};

// In an encrypted conversation nobody else has for this device what it has discarded.
TEST_F(Annotations, ThatWereDiscardedAndTakenAllTheSameCount) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob, nullptr, true));
  apply_opened(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 1, "hello"));
  for (const std::uint64_t id : {10U, 11U}) {
    must(send(chat, id, reaction(kBob, 1, {id == 10 ? "+1" : "ha"})));
    must(store_->mark_on_wire({client_id(id)}));
    must(store_->fail(client_id(id), error(Code::kConflict, "other bytes")));
    must(store_->discard(client_id(id)));
  }
  EXPECT_THAT(shown(chat), ElementsAre("hello"));

  const Changes accepted = must(store_->accept({{client_id(10), kChat, MessageId{1'003}, 3, at(3'000'000)}}));
  EXPECT_THAT(accepted.added, IsEmpty());
  EXPECT_THAT(shown(chat), ElementsAre("hello ann:+1,"));
  apply(ItemsOf(kChat, 2).carry(kAnn, 10, "", kPhone).carry(kAnn, 11, "", kPhone));
  EXPECT_THAT(shown(chat), ElementsAre("hello ann:ha,"));
}

// ---- What comes ----------------------------------------------------------------------------------------------------

TEST_F(Annotations, ChangeWhatIsShownAndAreNotShown) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1)
            .message(kBob, 1, "hello")
            .carry(kBob, 2, edit(1, "hello ann"))
            .carry(kAnn, 3, reaction(kBob, 1, {"+1", "ha"}), kLaptop)
            .carry(kBob, 4, pin("", 1, true))
            .message(kBob, 5, "bye"));

  EXPECT_THAT(shown(chat), ElementsAre("hello ann edits=1 ann:+1,ha, pinned", "bye"));
  EXPECT_EQ(unread(chat), 2u);
  const ConversationRow row = must(reader_->conversation(chat));
  EXPECT_EQ(row.head, 6u);
  EXPECT_EQ(told(*row.last_message), "bye");
}

TEST_F(Annotations, AreToldOfAsChangesOfWhatTheyName) {
  const auto chat = open_chat();
  const Changes first = apply(ItemsOf(kChat, 1).message(kBob, 1, "hello"));
  ASSERT_EQ(first.added.size(), 1u);

  const Changes second = apply(ItemsOf(kChat, 2).carry(kBob, 2, edit(1, "hi")));
  EXPECT_THAT(second.added, IsEmpty());
  EXPECT_THAT(second.updated, ElementsAre(first.added[0]));
  const Changes nothing = apply(ItemsOf(kChat, 3).carry(kBob, 3, pin("", 1, false)));
  EXPECT_THAT(nothing.updated, IsEmpty());
  EXPECT_THAT(shown(chat), ElementsAre("hi edits=1"));
}

TEST_F(Annotations, OfTheTailAreNotTheConversationsLastMessage) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kBob, 1, "hello").carry(kBob, 2, reaction("", 1, {"+1"})));

  const ConversationRow row = must(reader_->conversation(chat));
  EXPECT_EQ(told(*row.last_message), "hello bob:+1,");
  EXPECT_EQ(row.last_activity, row.last_message->time);
}

TEST_F(Annotations, DoOnlyWhatTheirSenderMay) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1)
            .message(kAnn, 1, "mine", kLaptop)
            .carry(kBob, 2, deletion(1, kAnn))
            .carry(kBob, 3, edit(1, "forged"))
            .carry(kBob, 4, annotation(content::Delete{{kBob, client_id(1)}})));
  EXPECT_THAT(shown(chat), ElementsAre("mine"));
}

TEST_F(Annotations, OfAnUnknownKindAreKeptAndShowNothing) {
  const auto chat = open_chat();
  const Changes changes =
      apply(ItemsOf(kChat, 1).message(kBob, 1, "hello").carry(kBob, 2, std::string("\xAA\x01\x00", 3)));
  EXPECT_EQ(changes.added.size(), 1u);
  EXPECT_THAT(shown(chat), ElementsAre("hello"));
  EXPECT_EQ(unread(chat), 1u);
}

TEST_F(Annotations, WaitForWhatTheyName) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).carry(kBob, 2, edit(1, "later")).carry(kBob, 3, deletion(4)));
  EXPECT_THAT(shown(chat), IsEmpty());

  apply(ItemsOf(kChat, 3).message(kBob, 1, "first").message(kBob, 4, "never seen"));
  EXPECT_THAT(shown(chat), ElementsAre("later edits=1", "deleted"));
  EXPECT_EQ(unread(chat), 1u);
}

TEST_F(Annotations, OfOnePageAreReadBackwardsAndForwards) {
  const auto chat = open_chat();
  ItemsOf items(kChat, 1);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    items.message(kBob, i, std::to_string(i));
    items.carry(kBob, 100 + i, reaction("", i, {"+1"}));
  }
  apply(items);
  const auto before = must(reader_->history_before(chat, Seq{0}, 5));
  ASSERT_EQ(before.rows.size(), 5u);
  EXPECT_TRUE(before.more);
  EXPECT_EQ(told(before.rows.front()), "16 bob:+1,");
  const auto after = must(reader_->history_after(chat, before.rows.front().key, 10));
  ASSERT_EQ(after.rows.size(), 4u);
  EXPECT_FALSE(after.more);
}

// ---- Deleting ------------------------------------------------------------------------------------------------------

TEST_F(Annotations, ThatDeleteEraseWhatWasSaidAndItsEdits) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kBob, 1, "canary-post").carry(kBob, 2, edit(1, "canary-edit")).message(kBob, 3, "x"));
  EXPECT_EQ(unread(chat), 2u);

  apply(ItemsOf(kChat, 4).carry(kBob, 4, deletion(1)).carry(kBob, 5, edit(1, "canary-late")));

  EXPECT_THAT(shown(chat), ElementsAre("deleted", "x"));
  EXPECT_EQ(unread(chat), 1u);
  const auto rows = must(reader_->history_after(chat, Seq{0}, 10)).rows;
  EXPECT_EQ(rows[0].content, content::erased());
  EXPECT_EQ(rows[0].sender, kBob);
  // Every message that is kept, shown or not.
  for (std::uint64_t key = 1; key <= 6; ++key) {
    const auto row = reader_->message(MessageKey{key});
    EXPECT_TRUE(!row.ok() || row->content.find("canary") == std::string::npos);
  }
  reopen();
  EXPECT_THAT(shown(chat), ElementsAre("deleted", "x"));
}

TEST_F(Annotations, ThatDeleteAreCountedOnceInWhatIsUnread) {
  const auto chat = open_chat();
  apply(
      ItemsOf(kChat, 1).message(kBob, 1, "a").message(kBob, 2, "b").message(kBob, 3, "c").carry(kBob, 4, deletion(1)));
  apply(ItemsOf(kChat, 5).carry(kBob, 5, deletion(1)));
  EXPECT_EQ(unread(chat), 2u);
  must(store_->mark_read(chat, 3));
  EXPECT_EQ(unread(chat), 1u);
  apply(ItemsOf(kChat, 6).carry(kBob, 6, deletion(2)));  // read already
  EXPECT_EQ(unread(chat), 1u);
  must(store_->mark_read(chat, 7));
  EXPECT_EQ(unread(chat), 0u);
}

TEST_F(Annotations, AreNotUnreadWhenReadMarksMoveOverThem) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kBob, 1, "a").carry(kBob, 2, pin("", 1, true)).message(kBob, 3, "b"));
  must(store_->mark_read(chat, 3));
  EXPECT_EQ(unread(chat), 1u);
}

// ---- Own ones ------------------------------------------------------------------------------------------------------

TEST_F(Annotations, ThatWaitToBeSentCountAtOnceAndLast) {
  const auto chat = open_chat();
  must(queue(chat, 1, "mine"));
  const auto queued = must(send(chat, 2, edit(1, "mine, edited")));
  EXPECT_THAT(queued.changes.added, IsEmpty());
  EXPECT_THAT(shown(chat), ElementsAre("mine, edited edits=1"));
  EXPECT_EQ(must(reader_->outbox_count()), 2u);

  must(accept(1, 2));
  // Another device's edit is accepted before this one's: this one's comes after it all the same.
  apply(ItemsOf(kChat, 1).message(kAnn, 1, "mine", kPhone).carry(kAnn, 7, edit(1, "from the laptop"), kLaptop));
  EXPECT_THAT(shown(chat), ElementsAre("mine, edited edits=2"));
  must(accept(2, 4));
  EXPECT_THAT(shown(chat), ElementsAre("mine, edited edits=2"));
}

TEST_F(Annotations, GiveWayToOnesThatTheServerTookLater) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kAnn, 1, "mine", kLaptop));
  must(send(chat, 2, edit(1, "phone")));
  must(accept(2, 3));
  apply(ItemsOf(kChat, 2).carry(kAnn, 2, edit(1, "phone"), kPhone).carry(kAnn, 7, edit(1, "laptop"), kLaptop));
  EXPECT_THAT(shown(chat), ElementsAre("laptop edits=2"));
}

TEST_F(Annotations, ThatWereRefusedCountForNothingUntilTheyAreSentAgain) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kBob, 1, "hello"));
  const auto queued = must(send(chat, 2, reaction(kBob, 1, {"+1"})));
  EXPECT_THAT(shown(chat), ElementsAre("hello ann:+1,"));

  const Changes failed = must(store_->fail(client_id(2), error(Code::kForbidden, "no")));
  EXPECT_THAT(shown(chat), ElementsAre("hello failed"));
  EXPECT_EQ(must(reader_->history_after(chat, Seq{0}, 10)).rows[0].failed_annotation, queued.message);
  EXPECT_EQ(failed.updated.size(), 1u);
  EXPECT_THAT(failed.annotations, ElementsAre(MessageRef{chat, queued.message}));

  must(store_->retry(client_id(2), client_id(3), at(9'000'000)));
  EXPECT_THAT(shown(chat), ElementsAre("hello ann:+1,"));
  must(store_->fail(client_id(2), error(Code::kForbidden, "no")));
  const Changes discarded = must(store_->discard(client_id(2)));
  EXPECT_THAT(discarded.removed, IsEmpty());
  EXPECT_THAT(shown(chat), ElementsAre("hello"));
}

TEST_F(Annotations, ThatDeleteEraseNothingBeforeTheServerHasThem) {
  const auto chat = open_chat();
  must(queue(chat, 1, "mine"));
  must(accept(1, 2));
  must(send(chat, 2, deletion(1)));
  EXPECT_THAT(shown(chat), ElementsAre("deleted"));
  EXPECT_TRUE(must(store_->named(MessageKey{1})).deleted);

  must(store_->fail(client_id(2), error(Code::kForbidden, "no")));
  EXPECT_THAT(shown(chat), ElementsAre("mine failed"));
  must(store_->retry(client_id(2), client_id(3), at(9'000'000)));
  EXPECT_THAT(shown(chat), ElementsAre("deleted"));
  EXPECT_EQ(must(reader_->message(MessageKey{1})).content, text("mine"));
  must(accept(2, 3));
  EXPECT_THAT(shown(chat), ElementsAre("deleted"));
  EXPECT_EQ(must(reader_->message(MessageKey{1})).content, content::erased());
}

TEST_F(Annotations, AreSentAsTheyWereQueuedWhateverIsDeletedMeanwhile) {
  const auto chat = open_chat();
  must(queue(chat, 1, "mine"));
  must(send(chat, 2, edit(1, "edited")));
  must(send(chat, 3, deletion(1)));
  EXPECT_THAT(shown(chat), ElementsAre("deleted"));
  std::vector<Bytes> waiting;
  for (const OutboxRow& row : must(store_->outbox(chat, 0, 10))) waiting.push_back(row.content);
  EXPECT_THAT(waiting, ElementsAre(text("mine"), edit(1, "edited"), deletion(1)));

  // A deletion that comes from elsewhere first.
  apply(ItemsOf(kChat, 1).message(kAnn, 1, "mine", kPhone).carry(kAnn, 7, deletion(1), kLaptop));
  EXPECT_EQ(must(reader_->message(MessageKey{1})).content, content::erased());
  waiting.clear();
  for (const OutboxRow& row : must(store_->outbox(chat, 0, 10))) waiting.push_back(row.content);
  EXPECT_THAT(waiting, ElementsAre(edit(1, "edited"), deletion(1)));
  must(accept(2, 4));
  must(accept(3, 5));
  EXPECT_EQ(must(reader_->message(MessageKey{2})).content, content::erased_annotation());
  EXPECT_THAT(shown(chat), ElementsAre("deleted"));
}

TEST_F(Annotations, OfAMessageThatIsDiscardedGoWithIt) {
  const auto chat = open_chat();
  must(queue(chat, 1, "mine"));
  must(send(chat, 2, pin("", 1, true)));
  must(store_->discard(client_id(1)));
  EXPECT_THAT(shown(chat), IsEmpty());
  apply(ItemsOf(kChat, 1).message(kBob, 9, "other"));
  EXPECT_THAT(shown(chat), ElementsAre("other"));
}

TEST_F(Annotations, AreTheSameWhenTheyAreQueuedAgain) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kBob, 1, "hello"));
  const auto first = must(send(chat, 2, reaction(kBob, 1, {"+1"})));
  const auto again = must(send(chat, 2, reaction(kBob, 1, {"+1"})));
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.message, first.message);
  EXPECT_EQ(send(chat, 2, reaction(kBob, 1, {"no"})).code(), Code::kConflict);
}

// ---- Epochs --------------------------------------------------------------------------------------------------------

TEST_F(Annotations, ThatAServerHasLostCountForNothing) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kBob, 1, "hello").carry(kBob, 2, edit(1, "hi")).carry(kBob, 3, pin("", 1, true)));
  must(store_->begin_epoch(2, kAccount));
  EXPECT_THAT(shown(chat), ElementsAre("hi edits=1 pinned"));

  // The pin comes again, and at another place; the edit does not.
  apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 1, "hello").carry(kBob, 3, pin("", 1, true)));
  must(store_->settle_epoch());
  EXPECT_THAT(shown(chat), ElementsAre("hello pinned"));
  EXPECT_EQ(unread(chat), 1u);
}

TEST_F(Annotations, OfAnEarlierFileAreWhatTheyWere) {
  const auto chat = open_chat();
  apply(ItemsOf(kChat, 1).message(kBob, 1, "hello").carry(kBob, 2, edit(1, "hi")));
  reopen();
  EXPECT_THAT(shown(chat), ElementsAre("hi edits=1"));
  apply(ItemsOf(kChat, 3).carry(kBob, 3, edit(1, "ho")));
  EXPECT_THAT(shown(chat), ElementsAre("ho edits=2"));
}

// ---- Any interleaving ----------------------------------------------------------------------------------------------

// Everything that was said in the chat, and what should be shown of it: the rules once more, over a plain list.
class Said {
 public:
  struct One {
    Seq seq = 0;  // 0: waits
    UserId by;
    std::uint64_t id = 0;
    Bytes content;
    bool failed = false;
  };
  std::vector<One> all;

  std::vector<std::string> shown() const {
    std::vector<One> sorted = all;
    std::stable_sort(sorted.begin(), sorted.end(), [](const One& a, const One& b) {
      return (a.seq == 0 ? ~Seq{0} : a.seq) < (b.seq == 0 ? ~Seq{0} : b.seq);
    });
    std::vector<std::string> lines;
    for (const One& post : sorted) {
      if (!content::is_annotation(post.content)) lines.push_back(shown(post, sorted));
    }
    return lines;
  }

  std::uint64_t unread(Seq read_up_to) const {
    std::uint64_t count = 0;
    for (const One& post : all) {
      const bool countable = post.by == kBob && post.seq > read_up_to && !content::is_annotation(post.content);
      if (countable && shown(post, all) != "deleted") ++count;
    }
    return count;
  }

 private:
  static std::string shown(const One& post, const std::vector<One>& sorted) {
    std::string words = content::text_of(post.content).value();
    std::uint64_t edits = 0;
    bool pinned = false;
    bool failed = false;
    std::map<UserId, std::string> reactions;
    for (const One& one : sorted) {
      const content::Content read = content::read(one.content);
      const auto* what = std::get_if<Annotation>(&read);
      if (what == nullptr) continue;
      const Target& target = *what->target();
      if (target.id != client_id(post.id) || (target.author.empty() ? one.by : target.author) != post.by) continue;
      if (one.failed) {
        failed = true;
        continue;
      }
      if (std::holds_alternative<content::Delete>(what->kind) && one.by == post.by) return "deleted";
      if (const auto* edit = std::get_if<content::Edit>(&what->kind); edit != nullptr && one.by == post.by) {
        words = std::get<content::Text>(edit->post.kind).text;
        ++edits;
      }
      if (const auto* pin = std::get_if<content::Pin>(&what->kind)) pinned = pin->pinned;
      if (const auto* reaction = std::get_if<content::Reaction>(&what->kind)) {
        reactions[one.by].clear();
        for (const std::string& key : reaction->keys) reactions[one.by] += key + ",";
      }
    }
    if (edits > 0) words += " edits=" + std::to_string(edits);
    for (const auto& [user, keys] : reactions) words += keys.empty() ? "" : " " + user + ":" + keys;
    return words + (pinned ? " pinned" : "") + (failed ? " failed" : "");
  }
};

class AnnotationsModel : public Annotations {
 protected:
  std::uint32_t pick(std::uint32_t below) { return static_cast<std::uint32_t>(dice_() % below); }

  Bytes draw(const UserId& by) {
    if (posts_.empty() || pick(3) == 0) {
      posts_.push_back({by, next_id_});
      return text("post " + std::to_string(next_id_));
    }
    const auto& [author, id] =
        posts_[posts_.size() - 1 - pick(static_cast<std::uint32_t>(std::min<std::size_t>(posts_.size(), 4)))];
    switch (pick(6)) {
      case 0:
        return pick(3) == 0 ? deletion(id, author) : pin(author, id, false);
      case 1:
      case 2:
        return edit(id, "edit " + std::to_string(next_id_));
      case 3:
        return pin(author, id, true);
      default:
        return reaction(author, id, pick(3) == 0 ? std::vector<std::string>{} : std::vector<std::string>{"+1", "ha"});
    }
  }

  // The server takes what somebody else says.
  void hear(const UserId& by) {
    const std::uint64_t id = next_id_;
    const Bytes content = draw(by);
    ++next_id_;
    said_.all.push_back({++head_, by, id, content, false});
    stream_.push_back(said_.all.back());
  }
  void say(ConversationKey chat) {
    const std::uint64_t id = next_id_;
    const Bytes content = draw(kAnn);
    ++next_id_;
    must(send(chat, id, content));
    said_.all.push_back({0, kAnn, id, content, false});
  }
  Said::One* first_waiting() {
    const auto found =
        std::find_if(said_.all.begin(), said_.all.end(), [](const Said::One& one) { return one.seq == 0; });
    return found == said_.all.end() ? nullptr : &*found;
  }
  // The server takes the first that waits; the answer comes at once, or its item does later.
  void be_accepted() {
    Said::One* first = first_waiting();
    if (first == nullptr || first->failed) return;
    const Seq seq = ++head_;
    answers_.emplace_back(first->id, seq);
    Said::One item = *first;
    item.seq = seq;
    stream_.push_back(item);
    settle(pick(2) == 0);
  }
  void settle(bool by_answer) {
    for (const auto& [id, seq] : answers_) {
      if (by_answer) must(accept(id, seq));
    }
    if (!by_answer) catch_up();
    for (const auto& [id, seq] : answers_) {
      for (Said::One& one : said_.all) {
        if (one.id == id) one.seq = seq;
      }
    }
    answers_.clear();
  }
  void catch_up() {
    if (stream_.empty()) return;
    ItemsOf items(kChat, stream_.front().seq - 1);
    for (const Said::One& one : stream_) items.carry(one.by, one.id, one.content, one.by == kAnn ? kPhone : kBobs);
    must(store_->apply(items));
    stream_.clear();
  }

  std::mt19937 dice_;
  std::vector<std::pair<UserId, std::uint64_t>> posts_;
  std::uint64_t next_id_ = 1;
  Seq head_ = 1;
  Said said_;
  std::vector<Said::One> stream_;  // not here yet
  std::vector<std::pair<std::uint64_t, Seq>> answers_;
};

TEST_F(AnnotationsModel, AgreesWithTheStoreAfterAnyInterleaving) {
  const auto chat = open_chat();
  dice_.seed(7'042'026);
  for (int step = 0; step < 1'500; ++step) {
    SCOPED_TRACE(step);
    switch (pick(8)) {
      case 0:
      case 1:
        hear(kBob);
        break;
      case 2:
      case 3:
        say(chat);
        break;
      case 4:
      case 5:
        be_accepted();
        break;
      case 6:
        if (Said::One* first = first_waiting(); first != nullptr) {
          if (first->failed) {
            must(store_->retry(client_id(first->id), client_id(first->id + 1'000'000), at(9'000'000)));
          } else {
            must(store_->fail(client_id(first->id), error(Code::kForbidden, "no")));
          }
          first->failed = !first->failed;
        }
        break;
      default:
        if (pick(10) == 0) reopen();
        catch_up();
    }
    if (step % 5 != 0) continue;
    catch_up();
    auto wanted = said_.shown();
    auto found = shown(chat);
    if (wanted.size() > 50) wanted.erase(wanted.begin(), wanted.end() - 50);
    ASSERT_EQ(found, wanted);
    ASSERT_EQ(unread(chat), said_.unread(0));
  }
  EXPECT_GT(posts_.size(), 100u);
}

}  // namespace
}  // namespace chatsdk
