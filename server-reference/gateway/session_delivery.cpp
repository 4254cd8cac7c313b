// SPDX-License-Identifier: Apache-2.0
//
// The outgoing half of a session: where the device starts in each stream, what it is sent, and what its
// acknowledgements free.
#include <algorithm>
#include <utility>

#include "base/fault.h"
#include "server-reference/gateway/session.h"

namespace chatsdk::server {

namespace {

// What a frame adds to its items: a key and a length for each, and the envelope.
constexpr std::size_t kFrameOverheadMax = limits::kItemsPerFrameMax * 6 + 64;

// A cursor that the hello names.
struct Named {
  StreamId stream;
  Seq seq = 0;
  std::uint64_t marks_revision = 0;
};

Result<std::vector<Named>> named_cursors(const wire::Hello& hello) {
  std::vector<Named> named;
  named.reserve(static_cast<std::size_t>(hello.stream_ids_size()));
  for (int i = 0; i < hello.stream_ids_size(); ++i) {
    named.push_back({StreamId{hello.stream_ids(i)}, hello.seqs(i), hello.marks_revisions(i)});
  }
  const auto by_stream = [](const Named& a, const Named& b) { return a.stream < b.stream; };
  std::sort(named.begin(), named.end(), by_stream);
  for (std::size_t i = 1; i < named.size(); ++i) {
    if (named[i].stream == named[i - 1].stream) {
      return error(Code::kProtocol, "two cursors for stream " + std::to_string(named[i].stream.value));
    }
  }
  return named;
}

const Named* find_named(const std::vector<Named>& named, StreamId stream) {
  const auto place = std::lower_bound(named.begin(), named.end(), stream,
                                      [](const Named& entry, StreamId wanted) { return entry.stream < wanted; });
  return place != named.end() && place->stream == stream ? &*place : nullptr;
}

}  // namespace

// ---- Resume --------------------------------------------------------------------------------------------------------

// Where the device starts: at the cursor that it names under the store's own epoch, else at 0. A stream that a hello
// with other cursors does not name starts where the device acknowledged last, because a hello has room for so many
// only.
//
// A cursor above what is acknowledged says that the acknowledgement was lost on its way into the store, and with it
// what it claimed of delivery. The item at the cursor is sent once more: the device drops it and acknowledges it again.
//
// The store forgets acknowledgements with their epoch. So whatever epoch the hello names, a start below what is
// acknowledged means that the device has lost what it had stored: it was restored from an older state, or lost all.
Status GatewaySession::place_streams(const wire::Hello& hello, const std::vector<FollowedStream>& followed) {
  CHATSDK_ASSIGN(const std::vector<Named> named, named_cursors(hello));
  const bool counts = hello.store_epoch() == shard_.store_epoch && !named.empty();

  streams_.reserve(followed.size());
  for (const FollowedStream& stream : followed) {
    StreamEntry& entry = streams_.find_or_add(stream.stream_id, stream.kind);
    entry.kind = stream.kind;
    entry.lacks_some = stream.missing_from != 0;
    entry.head = std::max(entry.head, stream.head);  // a hint may have told of more already
    entry.marks_head = std::max(entry.marks_head, stream.marks_revision);
    if (stream.kind == wire::STREAM_KIND_ACCOUNT) {
      account_stream_ = stream.stream_id;
      account_covered_ = stream.head;
    }
    if (counts) {
      const Named* cursor = find_named(named, stream.stream_id);
      entry.sent = cursor == nullptr ? stream.acknowledged : cursor->seq;
      entry.marks_sent = cursor == nullptr ? 0 : cursor->marks_revision;
    }
    if (entry.sent < stream.acknowledged && !CHATSDK_PLANTED(Bug::kDeviceGoesBackUnnoticed)) {
      return error(Code::kRolledBack, "cursor " + std::to_string(entry.sent) + " of stream " +
                                          std::to_string(stream.stream_id.value) + " is below the acknowledged " +
                                          std::to_string(stream.acknowledged));
    }
    if (entry.sent > stream.head) {
      // What a device has seen was stored, so either it lies or an older copy of the store was put back unnoticed.
      shard_.log.write(LogLevel::kWarning, "gateway",
                       "device " + std::to_string(device_.value) + " has seen more of stream " +
                           std::to_string(stream.stream_id.value) +
                           " than the store holds: an older copy of the store needs a new epoch");
      return error(Code::kProtocol, "cursor " + std::to_string(entry.sent) + " of stream " +
                                        std::to_string(stream.stream_id.value) + " is beyond its head " +
                                        std::to_string(stream.head));
    }
    entry.head = std::max(entry.head, entry.sent);
    entry.last_again = entry.sent > stream.acknowledged;
    if (entry.last_again) --entry.sent;
    entry.acknowledged = entry.sent;
  }
  if (!account_stream_) return error(Code::kInternal, "the user has no account stream");
  return {};
}

// ---- What the device says ------------------------------------------------------------------------------------------

void GatewaySession::on_ack(const wire::Ack& ack) {
  if (static_cast<std::size_t>(ack.streams_size()) > limits::kStreamsPerAckMax) {
    return fail(error(Code::kProtocol, "acknowledgement of " + std::to_string(ack.streams_size()) + " streams, limit " +
                                           std::to_string(limits::kStreamsPerAckMax)));
  }
  for (const wire::Ack::Stream& stream : ack.streams()) {
    StreamEntry* entry = streams_.find(StreamId{stream.stream_id()});
    if (entry == nullptr || stream.seq() > entry->known_to_device()) {
      return fail(error(Code::kProtocol, "acknowledgement of " + std::to_string(stream.seq()) + " of stream " +
                                             std::to_string(stream.stream_id()) + ", sent up to " +
                                             std::to_string(entry == nullptr ? 0 : entry->sent)));
    }
    if (stream.seq() > entry->sent) entry->set_sent(stream.seq());  // of itself, before it was sent the item again
    if (stream.delivered_from() > stream.seq()) {
      return fail(error(Code::kProtocol, "delivered_from " + std::to_string(stream.delivered_from()) +
                                             " is above the acknowledged " + std::to_string(stream.seq())));
    }
    if (stream.missing_from() > stream.delivered_from()) {
      return fail(error(Code::kProtocol, "missing_from " + std::to_string(stream.missing_from()) +
                                             " is above delivered_from " + std::to_string(stream.delivered_from())));
    }
    // It may lack less without having got more: what nobody will bring is missing no longer.
    const bool lacks_some = entry->lacks_some || stream.missing_from() != 0;
    if (stream.seq() > entry->acknowledged || (stream.seq() == entry->acknowledged && lacks_some)) {
      entry->acknowledged = stream.seq();
      entry->lacks_some = stream.missing_from() != 0;
      if (window_.acknowledge(entry->id, stream.seq())) blocked_since_ = {};
      shard_.marks.acknowledged(device_, entry->id, stream.seq(), stream.missing_from());
      CHATSDK_FAULT("gateway.between_cursor_and_marks");
    }
    if (entry->kind == wire::STREAM_KIND_CONVERSATION) {
      shard_.marks.delivered(*user_, entry->id, stream.delivered_from(), stream.seq(), stream.missing_from());
    }
  }
  pump();
}

void GatewaySession::on_read(const wire::Read& read) {
  const StreamEntry* entry = streams_.find(StreamId{read.conversation_id()});
  if (entry == nullptr || entry->kind != wire::STREAM_KIND_CONVERSATION) {
    return fail(error(Code::kNotFound, "read of an unknown conversation"));
  }
  if (read.up_to() > entry->known_to_device()) {
    return fail(error(Code::kProtocol,
                      "read up to " + std::to_string(read.up_to()) + ", sent up to " + std::to_string(entry->sent)));
  }
  shard_.marks.read(*user_, entry->id, read.up_to());
}

void GatewaySession::on_pull(const wire::Pull& pull) {
  StreamEntry* entry = streams_.find(StreamId{pull.stream_id()});
  if (entry == nullptr) return fail(error(Code::kNotFound, "pull of an unknown stream"));
  // More than was sent again since the pull before may have come by then.
  if (pull.after_seq() > entry->head) {
    return fail(error(Code::kProtocol, "pull after " + std::to_string(pull.after_seq()) + ", there is no more than " +
                                           std::to_string(entry->head)));
  }
  if (pull.after_seq() < entry->acknowledged) {
    return fail(error(Code::kRolledBack, "pull after " + std::to_string(pull.after_seq()) + ", acknowledged up to " +
                                             std::to_string(entry->acknowledged)));
  }
  entry->set_sent(pull.after_seq());
  window_.forget(entry->id);
  blocked_since_ = {};
  pump();
}

// ---- What the bus says ---------------------------------------------------------------------------------------------

void GatewaySession::on_item_hint(const ItemHint& hint) {
  if (state_ != State::kLive && state_ != State::kLoading) return;
  StreamEntry& entry = streams_.find_or_add(hint.stream_id, hint.kind);
  if (hint.seq <= entry.head) return;  // known, and on its way
  const bool next = state_ == State::kLive && !entry.behind() && hint.seq == entry.sent + 1;
  if (CHATSDK_PLANTED(Bug::kP18NobodyReadsTheStream) && !next) return;
  entry.head = hint.seq;
  if (state_ == State::kLoading) return;
  const SharedFrame& frame = hint.frame_for(device_);
  if (next && room_for_hint(frame->size())) {
    entry.sent = hint.seq;
    window_.add(entry.id, hint.seq - 1, hint.seq, 1, frame->size());
    send(frame);
    if (closed()) return;
    if (entry.id != account_stream_) return;  // nothing else changed
  }
  pump();
}

void GatewaySession::on_marks_hint(const MarksHint& hint) {
  if (state_ != State::kLive && state_ != State::kLoading) return;
  StreamEntry& entry = streams_.find_or_add(hint.conversation_id, wire::STREAM_KIND_CONVERSATION);
  if (hint.revision <= entry.marks_head) return;
  const bool next = state_ == State::kLive && !entry.marks_behind() && hint.revision_before == entry.marks_sent;
  entry.marks_head = hint.revision;
  if (state_ == State::kLoading) return;
  if (next) {
    entry.marks_sent = hint.revision;
    return send(hint.frame);
  }
  pump();
}

void GatewaySession::on_heads(const HeadDigest& digest) {
  if (state_ != State::kLive || CHATSDK_PLANTED(Bug::kP18NobodyReadsTheStream)) return;
  bool behind = false;
  for (StreamEntry& entry : streams_.entries()) {
    const auto head = std::lower_bound(
        digest.heads.begin(), digest.heads.end(), entry.id,
        [](const HeadDigest::Head& candidate, StreamId wanted) { return candidate.stream_id < wanted; });
    if (head == digest.heads.end() || head->stream_id != entry.id) continue;
    if (head->head > entry.head) {
      entry.head = head->head;
      behind = true;
    }
    if (head->marks_revision > entry.marks_head) {
      entry.marks_head = head->marks_revision;
      behind = true;
    }
  }
  if (behind) pump();
}

void GatewaySession::on_digest_missed() {
  if (CHATSDK_PLANTED(Bug::kP18NobodyReadsTheStream)) return;
  look_again_ = true;
  pump();
}

// ---- Delivery ------------------------------------------------------------------------------------------------------

bool GatewaySession::room_for_page() const {
  if (window_.empty()) return true;
  if (await_empty_window_) return false;
  // A page after every few acknowledgements would cost a read each.
  const std::size_t items_wanted =
      std::clamp<std::size_t>(shard_.options.window_items / 2, 1, limits::kItemsPerFrameMax);
  return window_.items() + items_wanted <= shard_.options.window_items &&
         window_.bytes() <= shard_.options.window_bytes / 2;
}

bool GatewaySession::room_for_hint(std::size_t bytes) const {
  if (await_empty_window_ || CHATSDK_FAULT_BRANCH("gateway.no_room_for_hint")) return false;
  if ((window_.empty() && page_items_ == 0) || CHATSDK_PLANTED(Bug::kWindowWithoutLimit)) return true;
  return window_.items() + page_items_ + 1 <= shard_.options.window_items &&
         window_.bytes() + page_bytes_ + bytes <= shard_.options.window_bytes;
}

void GatewaySession::pump() {
  if (state_ != State::kLive || reading_) return;
  // New conversations stand in the account stream: what moved it may have added a stream whose own hint was lost.
  const StreamEntry* account = streams_.find(account_stream_);
  if (look_again_ || (account != nullptr && account->head > account_covered_)) return read_followed();

  const StreamEntry* behind = next_behind();
  if (behind != nullptr && room_for_page()) return read_items(*behind);
  if (behind != nullptr && blocked_since_ == MonotonicTime{}) blocked_since_ = now();

  const StreamEntry* marks =
      streams_.next_after(last_read_, [](const StreamEntry& entry) { return entry.marks_behind(); });
  if (marks != nullptr) return read_marks(*marks);
  if (behind == nullptr && !caught_up_) {
    caught_up_ = true;
    send_caught_up(StreamId{}, 0);
  }
}

StreamEntry* GatewaySession::next_behind() {
  // The account stream first: it says which conversations there are.
  if (StreamEntry* account = streams_.find(account_stream_); account != nullptr && account->behind()) return account;
  return streams_.next_after(last_read_, [](const StreamEntry& entry) { return entry.behind(); });
}

void GatewaySession::read_items(const StreamEntry& entry) {
  reading_ = true;
  last_read_ = entry.id;
  const std::size_t items_max =
      window_.empty() ? shard_.options.window_items : shard_.options.window_items - window_.items();
  const std::size_t bytes_max =
      window_.empty() ? shard_.options.window_bytes : shard_.options.window_bytes - window_.bytes();
  page_items_ = static_cast<std::uint32_t>(std::min(items_max, limits::kItemsPerFrameMax));
  page_bytes_ = static_cast<std::uint32_t>(std::min(bytes_max, limits::kItemsBytesPerFrame + kFrameOverheadMax));
  const std::size_t item_bytes = page_bytes_ > kFrameOverheadMax ? page_bytes_ - kFrameOverheadMax : 1;
  shard_.read(*this,
              [user = *user_, device = device_, stream = entry.id, after = entry.sent, items = page_items_,
               bytes = item_bytes](StoreReader& reader) -> SessionShard::Continuation {
                return [stream, after, page = reader.items(user, device, stream, after, items, bytes)](
                           GatewaySession& session) mutable { session.on_items(stream, after, std::move(page)); };
              });
}

void GatewaySession::on_items(StreamId stream, Seq after, Result<ItemPage> page) {
  reading_ = false;
  const std::size_t bytes_reserved = std::exchange(page_bytes_, 0);
  page_items_ = 0;
  if (state_ != State::kLive) return;
  StreamEntry* entry = streams_.find(stream);
  if (entry == nullptr || entry->sent != after) return pump();  // pulled elsewhere meanwhile
  if (!page.ok() && page.code() == Code::kNotFound) {
    streams_.remove(stream);  // no longer this user's
    window_.forget(stream);
    return pump();
  }
  if (!page.ok()) return fail_to_read("stream " + std::to_string(stream.value), page.error());

  if (page->items.empty()) {
    entry->head = entry->sent;  // what was announced is not this user's to read
    return pump();
  }
  const SharedFrame frame = items_frame(stream, entry->kind, after, page->items);
  if (!window_.empty() && frame->size() > bytes_reserved) {
    await_empty_window_ = true;  // one item larger than the room: it travels alone
    return pump();
  }
  await_empty_window_ = false;
  CHATSDK_FAULT("gateway.between_reading_and_sending");
  entry->set_sent(page->last);
  entry->head = std::max({entry->head, page->head, page->last});
  window_.add(stream, after, page->last, page->items.size(), frame->size());
  const bool at_head = page->last == page->head;
  send(frame);
  if (at_head && !closed()) send_caught_up(stream, page->head);
  pump();
}

void GatewaySession::read_marks(const StreamEntry& entry) {
  reading_ = true;
  last_read_ = entry.id;
  shard_.read(
      *this,
      [user = *user_, conversation = entry.id,
       after = entry.marks_sent](StoreReader& reader) -> SessionShard::Continuation {
        return
            [conversation, after, advances = reader.marks_after(user, conversation, after, limits::kMarksPerFrameMax)](
                GatewaySession& session) mutable { session.on_marks(conversation, after, std::move(advances)); };
      });
}

void GatewaySession::on_marks(ConversationId conversation, std::uint64_t after,
                              Result<std::vector<MarkAdvance>> advances) {
  reading_ = false;
  if (state_ != State::kLive) return;
  StreamEntry* entry = streams_.find(conversation);
  if (entry == nullptr || entry->marks_sent != after) return pump();
  if (!advances.ok()) return fail_to_read("the marks of " + std::to_string(conversation.value), advances.error());

  std::vector<MarkAdvance>& rows = advances.value();
  const bool full = rows.size() >= limits::kMarksPerFrameMax;
  if (full && rows.front().revision != rows.back().revision) {
    // The last revision may go on behind the page: it is sent whole with the next one.
    const std::uint64_t last = rows.back().revision;
    while (rows.back().revision == last) rows.pop_back();
  }
  if (!rows.empty()) {
    entry->marks_sent = rows.back().revision;
    const SharedFrame frame = marks_frame(conversation, after, entry->marks_sent, rows);
    if (!full) entry->marks_head = std::max(entry->marks_head, entry->marks_sent);
    send(frame);
  } else {
    entry->marks_sent = entry->marks_head;  // every row above it was overtaken by one that was sent
  }
  pump();
}

void GatewaySession::read_followed() {
  reading_ = true;
  look_again_ = false;
  shard_.read(*this, [user = *user_, device = device_](StoreReader& reader) -> SessionShard::Continuation {
    return [followed = reader.followed(user, device)](GatewaySession& session) mutable {
      session.on_followed(std::move(followed));
    };
  });
}

void GatewaySession::on_followed(Result<std::vector<FollowedStream>> followed) {
  reading_ = false;
  if (state_ != State::kLive) return;
  if (!followed.ok()) return fail_to_read("the streams of a device", followed.error());
  for (const FollowedStream& stream : followed.value()) follow(stream);
  pump();
}

void GatewaySession::follow(const FollowedStream& stream) {
  const bool known = streams_.find(stream.stream_id) != nullptr;
  StreamEntry& entry = streams_.find_or_add(stream.stream_id, stream.kind);
  if (!known) {
    entry.acknowledged = entry.sent = stream.acknowledged;
    entry.lacks_some = stream.missing_from != 0;
  }
  entry.head = std::max({entry.head, stream.head, entry.sent});
  entry.marks_head = std::max(entry.marks_head, stream.marks_revision);
  if (stream.stream_id == account_stream_) account_covered_ = std::max(account_covered_, stream.head);
}

// The device comes back and asks again, so that whoever runs the server has to hear of what it cannot read.
void GatewaySession::fail_to_read(const std::string& what, const Error& failure) {
  shard_.log.write(LogLevel::kError, "gateway",
                   what + " cannot be read: " + std::string(code_name(failure.code)) + ": " + failure.detail);
  fail(error(Code::kUnavailable, "what is to be delivered cannot be read"));
}

void GatewaySession::send_caught_up(StreamId stream, Seq seq) {
  wire::ServerFrame frame;
  frame.mutable_caught_up()->set_stream_id(stream.value);
  frame.mutable_caught_up()->set_seq(seq);
  send(frame);
}

// ---- The sink ------------------------------------------------------------------------------------------------------

void GatewaySession::send(const wire::ServerFrame& frame) { send(std::make_shared<const Bytes>(encode(frame))); }

void GatewaySession::send(SharedFrame frame) {
  if (closed()) return;
  sink_.send(std::move(frame));
  const std::size_t queued = sink_.queued_bytes();
  const std::size_t limit = shard_.options.write_bytes_max;
  if (queued <= limit || CHATSDK_PLANTED(Bug::kUnreadWithoutLimit)) return;
  // A failure frame would only lengthen the queue.
  log_end(error(Code::kTimedOut,
                std::to_string(queued) + " B are waiting to be sent, limit " + std::to_string(limit) + " B"));
  close(CloseCode::kStalled);
}

}  // namespace chatsdk::server
