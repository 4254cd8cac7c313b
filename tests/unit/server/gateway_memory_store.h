// SPDX-License-Identifier: Apache-2.0
//
// A store in memory for the gateway's tests: what store.h says of messages, marks, cursors and sessions, without
// durability, and with a direct conversation as the only kind.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/assert.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class MemoryStore final : public Store {
 public:
  Result<CommitResult> commit(std::span<const WriteOp> ops) override {
    CommitResult result;
    for (const WriteOp& op : ops) {
      result.answers.push_back(std::visit([&](const auto& one) { return apply(one, result); }, op));
    }
    return result;
  }
  Result<std::unique_ptr<StoreReader>> open_reader() override {
    return std::unique_ptr<StoreReader>(std::make_unique<Reader>(*this));
  }
  std::uint64_t epoch() const override { return 77; }
  Bytes secret() const override { return Bytes(32, 's'); }

 private:
  struct Member {
    Seq delivered = 0;
    Seq read = 0;
  };
  struct Stream {
    wire::StreamKind kind = wire::STREAM_KIND_CONVERSATION;
    std::vector<std::shared_ptr<const Bytes>> items;
    std::map<UserId, Member> members;
    std::uint64_t revision = 0;
    std::map<std::pair<UserId, wire::Marks::Kind>, MarkAdvance> marks;
    std::map<DeviceId, std::uint64_t> send_numbers;
    Seq head() const { return items.size(); }
  };
  struct First {
    Bytes hash;
    std::optional<Appended> accepted;  // none: voided
  };

  Result<WriteAnswer> apply(const CreateAccount& op, CommitResult&) {
    Account account = op.account;
    account.account_stream = StreamId{++last_id_};
    Stream& stream = streams_[account.account_stream];
    stream.kind = wire::STREAM_KIND_ACCOUNT;
    stream.members[account.user_id];
    accounts_[account.user_id] = account;
    return WriteAnswer(account);
  }
  Result<WriteAnswer> apply(const EnsureAccount& op, CommitResult& result) {
    return apply(CreateAccount{op.account}, result);
  }
  Result<WriteAnswer> apply(const OpenSession& op, CommitResult&) {
    Session session;
    session.session_id = SessionId{++last_id_};
    session.device_id = DeviceId{++last_id_};
    session.user_id = op.user_id;
    session.expires = op.expires;
    sessions_[session.device_id] = session;
    return WriteAnswer(SessionOpened{session, true});
  }
  Result<WriteAnswer> apply(const RotateSession&, CommitResult&) { return WriteAnswer(SessionRotated{}); }
  Result<WriteAnswer> apply(const EndSessions& op, CommitResult&) {
    sessions_.erase(op.device_id);
    return WriteAnswer(Done{});
  }
  Result<WriteAnswer> apply(const TouchDevice&, CommitResult&) { return WriteAnswer(Done{}); }
  Result<WriteAnswer> apply(const AdvanceCursor& op, CommitResult&) {
    Seq& cursor = cursors_[{op.device_id, op.stream_id}];
    cursor = std::max(cursor, op.acknowledged);
    return WriteAnswer(Done{});
  }

  Result<WriteAnswer> apply(const AppendMessage& op, CommitResult& result) {
    Result<StreamId> found = resolve(op.sender, op.target, op.now, result);
    if (!found.ok()) return found.error();
    Stream& stream = streams_[*found];
    const auto key = std::make_pair(*found, std::make_pair(op.sender, op.client_message_id));
    if (const auto first = dedup_.find(key); first != dedup_.end()) {
      if (!first->second.accepted) return error(Code::kVoided, "voided");
      if (first->second.hash != op.payload_hash) return error(Code::kConflict, "another content");
      Appended again = *first->second.accepted;
      again.repeated = true;
      return WriteAnswer(again);
    }
    std::uint64_t& number = stream.send_numbers[op.sender_device];
    if (op.send_number != number + 1) return error(Code::kOutOfOrder, "send_number");
    ++number;
    wire::Item item;
    item.set_kind(wire::ITEM_KIND_MESSAGE);
    item.set_sender_user_id(op.sender);
    item.set_sender_device_id(op.sender_device.value);
    item.set_client_message_id(std::string(op.client_message_id.view()));
    item.set_content(op.content);
    Appended appended{*found, MessageId{++last_id_}, append(*found, item, op.now, result), op.now, false};
    dedup_[key] = First{op.payload_hash, appended};
    return WriteAnswer(appended);
  }

  Result<WriteAnswer> apply(const VoidMessage& op, CommitResult& result) {
    Result<StreamId> found = resolve(op.sender, op.target, op.now, result);
    if (!found.ok()) return found.error();
    const auto key = std::make_pair(*found, std::make_pair(op.sender, op.client_message_id));
    const auto [first, fresh] = dedup_.try_emplace(key);
    if (fresh) ++streams_[*found].send_numbers[op.sender_device];
    return WriteAnswer(Voided{first->second.accepted});
  }

  Result<WriteAnswer> apply(const AdvanceMarks& op, CommitResult& result) {
    const auto found = streams_.find(op.conversation_id);
    if (found == streams_.end() || !found->second.members.contains(op.user_id)) {
      return error(Code::kNotFound, "no such conversation");
    }
    Stream& stream = found->second;
    if (op.delivered_up_to > stream.head()) return error(Code::kInvalidArgument, "above the head");
    Member& member = stream.members[op.user_id];
    MovedMarks moved{op.conversation_id, stream.revision + 1, {}, {}};
    const auto advance = [&](wire::Marks::Kind kind, Seq& mark, Seq to) {
      if (to <= mark) return;
      mark = to;
      const MarkAdvance row{op.user_id, kind, to, op.now, moved.revision};
      stream.marks[{op.user_id, kind}] = row;
      moved.advances.push_back(row);
    };
    if (op.delivered_from <= member.delivered) {
      advance(wire::Marks::KIND_DELIVERED, member.delivered, op.delivered_up_to);
    }
    advance(wire::Marks::KIND_READ, member.read, std::min(op.read_up_to, member.delivered));
    MarksAdvanced answer{moved.advances, stream.revision};
    if (!moved.advances.empty()) {
      answer.revision = stream.revision = moved.revision;
      for (const auto& [user, unused] : stream.members) moved.followers.push_back(user);
      result.moved.push_back(std::move(moved));
    }
    return WriteAnswer(answer);
  }

  Result<StreamId> resolve(const UserId& sender, const Target& target, WallTime now, CommitResult& result) {
    if (target.conversation) {
      const auto found = streams_.find(target.conversation);
      if (found == streams_.end() || found->second.kind != wire::STREAM_KIND_CONVERSATION ||
          !found->second.members.contains(sender)) {
        return error(Code::kNotFound, "no such conversation");
      }
      return target.conversation;
    }
    if (target.peer == sender) return error(Code::kInvalidArgument, "the peer is the sender");
    if (!accounts_.contains(target.peer)) return error(Code::kNotFound, "no such user");
    StreamId& direct = direct_[std::minmax(sender, target.peer)];
    if (direct) return direct;
    direct = StreamId{++last_id_};
    for (const auto& [user, peer] : {std::pair(sender, target.peer), std::pair(target.peer, sender)}) {
      streams_[direct].members[user];
      wire::Item added;
      added.set_kind(wire::ITEM_KIND_CONVERSATION_ADDED);
      added.mutable_conversation()->set_conversation_id(direct.value);
      added.mutable_conversation()->set_peer_user_id(peer);
      append(accounts_[user].account_stream, added, now, result);
    }
    wire::Item roster;
    roster.set_kind(wire::ITEM_KIND_ROSTER);
    append(direct, roster, now, result);
    return direct;
  }

  Seq append(StreamId id, wire::Item item, WallTime now, CommitResult& result) {
    Stream& stream = streams_[id];
    item.set_seq(stream.head() + 1);
    item.set_time_ms(to_unix_ms(now));
    stream.items.push_back(std::make_shared<const Bytes>(item.SerializeAsString()));
    AppendedItem appended{id, stream.kind, stream.head(), stream.items.back(), {}};
    for (const auto& [user, unused] : stream.members) appended.followers.push_back(user);
    result.appended.push_back(std::move(appended));
    return stream.head();
  }

  class Reader final : public StoreReader {
   public:
    explicit Reader(MemoryStore& store) : store_(store) {}
    Result<std::optional<Account>> account(const UserId& user_id) override {
      const auto found = store_.accounts_.find(user_id);
      return found == store_.accounts_.end() ? std::optional<Account>() : found->second;
    }
    Result<std::optional<Session>> session_of(DeviceId device_id) override {
      const auto found = store_.sessions_.find(device_id);
      return found == store_.sessions_.end() ? std::optional<Session>() : found->second;
    }
    Result<std::vector<Device>> devices(const UserId&) override { return std::vector<Device>(); }
    Result<std::vector<FollowedStream>> followed(const UserId& user_id, DeviceId device_id) override {
      std::vector<FollowedStream> out;
      for (const auto& [id, stream] : store_.streams_) {
        if (!stream.members.contains(user_id)) continue;
        const auto cursor = store_.cursors_.find({device_id, id});
        out.push_back(
            {id, stream.kind, stream.head(), cursor == store_.cursors_.end() ? 0 : cursor->second, stream.revision});
      }
      return out;
    }
    Result<ItemPage> items(const UserId& user_id, StreamId stream_id, Seq after, std::size_t max_items,
                           std::size_t max_bytes) override {
      const auto found = store_.streams_.find(stream_id);
      if (found == store_.streams_.end() || !found->second.members.contains(user_id)) {
        return error(Code::kNotFound, "no such stream");
      }
      ItemPage page{{}, after, found->second.head()};
      std::size_t bytes = 0;
      while (page.last < page.head && page.items.size() < max_items) {
        const auto& item = found->second.items[page.last];
        if (!page.items.empty() && bytes + item->size() > max_bytes) break;
        bytes += item->size();
        page.items.push_back(item);
        ++page.last;
      }
      return page;
    }
    Result<std::vector<MarkAdvance>> marks_after(ConversationId conversation_id, std::uint64_t revision,
                                                 std::size_t max) override {
      std::vector<MarkAdvance> out;
      for (const auto& [key, row] : store_.streams_[conversation_id].marks) {
        if (row.revision > revision) out.push_back(row);
      }
      std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.revision < b.revision; });
      if (out.size() > max) out.resize(max);
      return out;
    }
    Status check() override { return {}; }

   private:
    MemoryStore& store_;
  };

  std::uint64_t last_id_ = 1000;
  std::map<UserId, Account> accounts_;
  std::map<DeviceId, Session> sessions_;
  std::map<StreamId, Stream> streams_;
  std::map<std::pair<UserId, UserId>, StreamId> direct_;
  std::map<std::pair<DeviceId, StreamId>, Seq> cursors_;
  std::map<std::pair<StreamId, std::pair<UserId, ClientMessageId>>, First> dedup_;
};

}  // namespace chatsdk::server
