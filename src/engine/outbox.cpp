// SPDX-License-Identifier: Apache-2.0
#include "engine/outbox.h"

#include <algorithm>
#include <set>

#include "base/fault.h"
#include "protocol/content.h"

namespace chatsdk {

namespace {

Error timed_out() { return error(Code::kTimedOut, "the sender's time limit passed"); }

Error too_long(std::size_t text_bytes_max) {
  return error(Code::kTooLarge, "the server takes texts of at most " + std::to_string(text_bytes_max) + " B now");
}

std::size_t window_of(std::uint32_t named, std::size_t ours) {
  return named == 0 ? ours : std::min<std::size_t>(named, limits::kSendsInFlightMax);
}

bool is_longer(const OutboxRow& row, std::size_t text_bytes_max) {
  if (row.kind != OutboxRow::Kind::kSend || text_bytes_max == 0 || row.content.size() <= text_bytes_max) return false;
  return content::text_of(row.content).value_or("").size() > text_bytes_max;
}

template <typename Frame>
void address(Frame& frame, const OutboxRow& row) {
  if (row.conversation_id) {
    frame.set_conversation_id(row.conversation_id.value);
  } else if (row.group) {
    frame.set_group_id(Bytes(row.group.view()));
  } else {
    frame.set_peer_user_id(row.peer);
  }
  frame.set_client_message_id(std::string(row.client_message_id.view()));
  frame.set_send_number(row.send_number);
}

wire::ClientFrame send_frame(OutboxRow& row, Random& ids) {
  wire::ClientFrame frame;
  if (CHATSDK_PLANTED(Bug::kP2ResendWithNewId) && row.on_wire) {
    row.client_message_id = ClientMessageId::make(row.deadline, ids);
  }
  address(*frame.mutable_send(), row);
  frame.mutable_send()->set_content(std::move(row.content));
  return frame;
}

// A chunk closes at so many slices or bytes, or holds one that is larger alone.
std::vector<wire::StageSlices> chunks_of(const std::vector<e2ee::Slice>& slices) {
  std::vector<wire::StageSlices> chunks;
  std::size_t bytes = 0;
  for (const e2ee::Slice& slice : slices) {
    const bool full = chunks.empty() || bytes + slice.message.size() > limits::kSlicesChunkBytes ||
                      chunks.back().slices_size() >= static_cast<int>(limits::kSlicesChunk);
    if (full) {
      chunks.emplace_back().set_chunk(static_cast<std::uint32_t>(chunks.size() - 1));
      bytes = 0;
    }
    wire::Slice& added = *chunks.back().add_slices();
    added.set_device_id(slice.to.device_id.value);
    added.set_message(slice.message);
    bytes += slice.message.size();
  }
  return chunks;
}

wire::ClientFrame encrypted_frame(const OutboxRow& row, const Encryption::Sealed& sealed) {
  const e2ee::Encrypted& encrypted = *sealed.encrypted;
  wire::ClientFrame frame;
  wire::Send& send = *frame.mutable_send();
  address(send, row);
  send.set_roster_revision(encrypted.roster_revision);
  send.set_own_list_version(encrypted.own_list_version);
  send.set_peer_list_version(encrypted.peer_list_version);
  send.set_encryption_counter(encrypted.counter);
  if (sealed.kind != wire::ITEM_KIND_MESSAGE) send.set_kind(sealed.kind);
  send.set_target_seq(sealed.target_seq);
  return frame;
}

wire::ClientFrame void_frame(const OutboxRow& row) {
  wire::ClientFrame frame;
  address(*frame.mutable_void_(), row);
  return frame;
}

}  // namespace

Outbox::Outbox(const EngineContext& context, Connection& connection, Encryption* encryption)
    : context_(context),
      connection_(connection),
      encryption_(encryption),
      lane_timer_(context.executor),
      deadline_timer_(context.executor) {}

// ---- Life ----------------------------------------------------------------------------------------------------------

void Outbox::start() {
  running_ = true;
  on_deadline();
}

void Outbox::stop() {
  running_ = false;
  deadline_timer_.cancel();
}

void Outbox::on_welcome(const wire::Welcome& welcome) {
  window_ = window_of(welcome.send_window(), limits::kSendWindow);
  in_flight_max_ = window_of(welcome.sends_in_flight(), limits::kSendsInFlightMax);
  if (auto loaded = load_lanes(); !loaded.ok()) return store_failed(loaded.error());
}

void Outbox::on_lost() {
  // Answers that came are true also without the connection; what cannot be saved is answered again after a resend.
  if (auto settled = settle(); !settled.ok()) context_.debug("outbox", "answers could not be saved");
  accepted_.clear();
  decisions_.clear();
  lanes_.clear();
  ready_.clear();
  lane_of_.clear();
  to_hand_over_.clear();
  work_guard_.renew();
  scheduled_ = false;
  lane_timer_.cancel();
}

Status Outbox::load_lanes() {
  CHATSDK_ASSIGN(const auto conversations, context_.store.sending_conversations());
  for (const ConversationKey key : conversations) {
    Lane& lane = lanes_[key];
    read_again(lane);
    make_ready(key, lane);
  }
  schedule();
  return {};
}

void Outbox::changed_by_app() {
  if (running_) on_deadline();
  if (!connection_.live()) return;
  if (auto loaded = load_lanes(); !loaded.ok()) store_failed(loaded.error());
}

void Outbox::keys_changed() {
  for (auto& [key, lane] : lanes_) {
    if (!std::exchange(lane.waits_for_keys, false)) continue;
    make_ready(key, lane);
  }
  schedule();
}

// It cannot be taken back from the transport one by one. What the server has taken all the same comes as an item.
void Outbox::unsealed(const std::optional<UserId>& peer) {
  for (const auto& [key, lane] : lanes_) {
    const bool any = std::any_of(lane.in_flight.begin(), lane.in_flight.end(), [&peer](const Unanswered& entry) {
      return entry.send && entry.row.encrypted && (!peer || entry.row.peer == *peer);
    });
    if (!any) continue;
    return connection_.abandon(error(Code::kCancelled, "what was under way was encrypted for another identity"));
  }
}

void Outbox::on_applied(const Changes& changes) {
  for (const auto* changed : {&changes.updated, &changes.annotations}) {
    for (const MessageRef& ref : *changed) {
      const auto found = lanes_.find(ref.conversation);
      if (found == lanes_.end() || !found->second.blocked) continue;
      read_again(found->second);
      make_ready(ref.conversation, found->second);
      schedule();
    }
  }
}

// ---- Lanes ---------------------------------------------------------------------------------------------------------

bool Outbox::can_send(const Lane& lane) const {
  return lane.more && !lane.reread && !lane.blocked && !lane.waits_for_keys && lane.in_flight.size() < window_ &&
         lane.not_before <= context_.now();
}

void Outbox::read_again(Lane& lane) {
  lane.reread = !lane.in_flight.empty();
  if (lane.reread) return;
  lane.next_after = 0;
  lane.more = true;
  lane.blocked = false;
}

// What was read and may not go yet is read again, with what the store says of the rows behind it.
void Outbox::wait_for_keys(Lane& lane) {
  lane.waits_for_keys = lane.more = true;
  lane.blocked = false;
}

void Outbox::make_ready(ConversationKey key, Lane& lane) {
  if (lane.queued || !can_send(lane)) return;
  lane.queued = true;
  ready_.push_back(key);
}

void Outbox::drop_if_idle(ConversationKey key) {
  const auto found = lanes_.find(key);
  if (found == lanes_.end()) return;
  const Lane& lane = found->second;
  if (lane.in_flight.empty() && !lane.more && !lane.reread && !lane.blocked && !lane.queued) lanes_.erase(found);
}

bool Outbox::may_send_now(ConversationKey conversation) const {
  if (!connection_.may_send() || !to_hand_over_.empty() || lane_of_.size() >= in_flight_max_) return false;
  const auto found = lanes_.find(conversation);
  if (found == lanes_.end()) return true;
  const Lane& lane = found->second;
  return !lane.more && !lane.reread && !lane.blocked && lane.in_flight.size() < window_ &&
         lane.not_before <= context_.now();
}

void Outbox::enqueued(ConversationKey conversation, std::uint64_t send_number, WallTime deadline, bool on_wire) {
  if (running_) note_deadline(deadline);
  if (!connection_.live()) return;
  Lane& lane = lanes_[conversation];
  if (on_wire) {
    // The row is read back, so that what leaves is what every resend will carry.
    auto rows = context_.store.outbox(conversation, send_number - 1, 1);
    if (!rows.ok()) return store_failed(rows.error());
    lane.more = false;
    lane.next_after = send_number;
    if (!rows->empty()) claim_row(conversation, lane, std::move(rows->front()), false);
    return hand_over();
  }
  lane.more = true;
  make_ready(conversation, lane);
  schedule();
}

// ---- Turns ---------------------------------------------------------------------------------------------------------

void Outbox::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  context_.executor.post(work_guard_.wrap([this] { work(); }));
}

void Outbox::work() {
  scheduled_ = false;
  if (auto settled = settle(); !settled.ok()) return store_failed(settled.error());
  hand_over();
  while (connection_.may_send() && to_hand_over_.empty() && !ready_.empty() && lane_of_.size() < in_flight_max_) {
    if (auto claimed = claim(); !claimed.ok()) return store_failed(claimed.error());
    hand_over();
  }
}

Status Outbox::settle() {
  if (!accepted_.empty()) {
    CHATSDK_FAULT("outbox.before_accept");
    CHATSDK_ASSIGN(auto changes, context_.store.accept(accepted_));
    CHATSDK_FAULT("outbox.after_accept");
    accepted_.clear();
    context_.events.changes(std::move(changes));
    connection_.progress();
  }
  for (const Decision& decision : decisions_) {
    if (decision.kind == Decision::Kind::kVoidRefused) {
      CHATSDK_TRY(context_.store.void_refused(decision.id));
      continue;
    }
    if (decision.kind == Decision::Kind::kTaskRefused) {
      CHATSDK_TRY(encryption_->task_refused(decision.id));
      continue;
    }
    auto changes = decision.kind == Decision::Kind::kFail ? context_.store.fail(decision.id, decision.reason)
                                                          : context_.store.voided(decision.id, decision.reason);
    // Its item may have settled the row first.
    if (changes.code() == Code::kNotFound) continue;
    if (!changes.ok()) return std::move(changes).error();
    context_.events.changes(std::move(*changes));
  }
  if (decisions_.empty()) return {};
  decisions_.clear();
  context_.events.decided();
  return {};
}

Status Outbox::claim() {
  Claims claims;
  while (!ready_.empty() && lane_of_.size() + claims.to_seal.size() < in_flight_max_ &&
         claims.bytes < limits::kClaimBytesMax) {
    const ConversationKey key = ready_.front();
    ready_.pop_front();
    const auto found = lanes_.find(key);
    if (found == lanes_.end()) continue;
    Lane& lane = found->second;
    lane.queued = false;
    if (!can_send(lane)) continue;
    const std::size_t sealed_before = claims.to_seal.size();
    CHATSDK_TRY(claim_from(key, lane, claims));
    if (claims.to_seal.size() != sealed_before) continue;  // looked at again once they are sealed
    make_ready(key, lane);
    drop_if_idle(key);
  }
  return finish(claims);
}

Status Outbox::finish(Claims& claims) {
  if (!claims.to_seal.empty()) return seal(claims);
  if (claims.to_mark.empty()) return {};
  CHATSDK_ASSIGN(auto changes, context_.store.mark_on_wire(claims.to_mark));
  CHATSDK_FAULT("outbox.between_mark_and_send");
  context_.events.changes(std::move(changes));
  return {};
}

// Rows of a lane stand together, in order.
Status Outbox::seal(Claims& claims) {
  CHATSDK_ASSIGN(const auto sealed, encryption_->seal(claims.to_seal, claims.to_mark));
  std::set<ConversationKey> begun_again;
  for (std::size_t i = 0; i < claims.to_seal.size(); ++i) {
    OutboxRow& row = claims.to_seal[i];
    const ConversationKey key = row.conversation;
    Lane& lane = lanes_.at(key);
    if (begun_again.count(key) != 0) continue;
    if (sealed[i].gone) {
      read_again(lane);
      begun_again.insert(key);
      continue;
    }
    if (sealed[i].waits) {
      wait_for_keys(lane);
      continue;
    }
    lane.next_after = row.send_number;
    note_deadline(row.deadline);
    if (sealed[i].encrypted) {
      claim_sealed(lane, std::move(row), sealed[i]);
    } else {
      claim_row(key, lane, std::move(row), true);
    }
  }
  for (const OutboxRow& row : claims.to_seal) {
    const auto found = lanes_.find(row.conversation);
    if (found == lanes_.end()) continue;
    // What is to be given up behind rows that wait for keys: no answer comes that would begin again at the head.
    if (Lane& lane = found->second; lane.reread && lane.in_flight.empty()) read_again(lane);
    make_ready(row.conversation, found->second);
    drop_if_idle(row.conversation);
  }
  return {};
}

Status Outbox::claim_from(ConversationKey key, Lane& lane, Claims& claims) {
  const std::size_t taken = lane_of_.size() + claims.to_seal.size();
  std::size_t room = std::min(window_ - lane.in_flight.size(), in_flight_max_ - taken);
  if (CHATSDK_FAULT_BRANCH("outbox.room_for_one")) room = std::min<std::size_t>(room, 1);
  CHATSDK_ASSIGN(auto rows, read_rows(key, lane, room));
  const bool encrypted = !rows.empty() && rows.front().encrypted;
  const bool undecided = encryption_ != nullptr && !rows.empty() && rows.front().undecided;
  const bool unmade = !rows.empty() && rows.front().unmade;
  if (undecided || unmade || (encrypted && encryption_ == nullptr)) {
    wait_for_keys(lane);
    return {};
  }
  for (OutboxRow& row : rows) {
    const bool is_new = row.kind == OutboxRow::Kind::kSend && !row.on_wire;
    if (encryption_ != nullptr && is_new && !encrypted && !row.accepted) {
      return give_up(lane, row, not_accepted_as_plain());
    }
    const bool at_head = lane.in_flight.empty() && &row == &rows.front();
    // The server may take less than it did when the message was queued: it would end the connection for the frame.
    const std::size_t text_bytes_max = context_.store.text_bytes_max();
    const bool longer = is_longer(row, text_bytes_max);
    if (row.kind == OutboxRow::Kind::kSend && (row.void_asked || longer || row.deadline <= context_.wall_now())) {
      const Error reason = longer ? too_long(text_bytes_max) : timed_out();
      if (!row.on_wire) return give_up(lane, row, reason);
      // Only the head is voided: what stands behind it is looked at again when everything before is decided.
      lane.reread = true;
      if (!at_head) return {};
      if (!row.void_asked) CHATSDK_TRY(context_.store.mark_void_asked(row.client_message_id));
      claim_row(key, lane, std::move(row), true);
      lane.in_flight.back().reason = reason;
      return {};
    }
    claims.bytes += row.content.size() + 64;
    if (encrypted) {
      claims.to_seal.push_back(std::move(row));
      continue;
    }
    if (is_new) claims.to_mark.push_back(row.client_message_id);
    lane.next_after = row.send_number;
    note_deadline(row.deadline);
    const bool as_void = row.kind == OutboxRow::Kind::kVoid;
    claim_row(key, lane, std::move(row), as_void);
  }
  return {};
}

Result<std::vector<OutboxRow>> Outbox::read_rows(ConversationKey key, Lane& lane, std::size_t max) {
  const bool at_head = lane.next_after == 0;
  CHATSDK_ASSIGN(auto rows, context_.store.outbox(key, lane.next_after, max, &lane.blocked));
  if (at_head) {
    lane.refused = false;
    const auto expected = std::exchange(lane.expected, std::nullopt);
    if (expected && !rows.empty() && rows.front().client_message_id == expected->id &&
        rows.front().send_number != expected->number) {
      context_.debug("outbox", "send number " + std::to_string(rows.front().send_number) + " is now " +
                                   std::to_string(expected->number));
      CHATSDK_TRY(context_.store.number_from(key, expected->number));
      CHATSDK_ASSIGN(rows, context_.store.outbox(key, 0, max, &lane.blocked));
    }
  }
  if (rows.size() < max) lane.more = false;
  return rows;
}

void Outbox::claim_row(ConversationKey key, Lane& lane, OutboxRow row, bool as_void) {
  to_hand_over_.push_back(as_void ? void_frame(row) : send_frame(row, context_.random.ids));
  await(key, lane, std::move(row), as_void);
}

void Outbox::claim_sealed(Lane& lane, OutboxRow row, const Encryption::Sealed& sealed) {
  std::vector<wire::StageSlices> chunks = chunks_of(sealed.encrypted->slices);
  wire::ClientFrame frame = encrypted_frame(row, sealed);
  if (chunks.size() == 1) {
    frame.mutable_send()->mutable_slices()->Swap(chunks.front().mutable_slices());
  } else {
    frame.mutable_send()->set_slices_staged(static_cast<std::uint32_t>(chunks.size()));
    for (wire::StageSlices& chunk : chunks) {
      wire::ClientFrame& staged = to_hand_over_.emplace_back();
      chunk.set_client_message_id(std::string(row.client_message_id.view()));
      staged.mutable_stage_slices()->Swap(&chunk);
    }
  }
  to_hand_over_.push_back(std::move(frame));
  const ConversationKey key = row.conversation;
  await(key, lane, std::move(row), false);
  lane.in_flight.back().counter = sealed.encrypted->counter;
}

void Outbox::await(ConversationKey key, Lane& lane, OutboxRow row, bool as_void) {
  row.content.clear();
  lane_of_.emplace(row.client_message_id, key);
  Unanswered entry;
  entry.row = std::move(row);
  entry.send = !as_void;
  entry.voiding = as_void;
  lane.in_flight.push_back(std::move(entry));
}

Status Outbox::give_up(Lane& lane, const OutboxRow& row, const Error& reason) {
  CHATSDK_ASSIGN(auto changes, context_.store.fail(row.client_message_id, reason));
  context_.events.changes(std::move(changes));
  read_again(lane);
  return {};
}

void Outbox::hand_over() {
  while (!to_hand_over_.empty() && connection_.may_send()) {
    const wire::ClientFrame frame = std::move(to_hand_over_.front());
    to_hand_over_.pop_front();
    connection_.send(frame);
  }
}

void Outbox::store_failed(const Error& cause) { connection_.fail(cause, CloseCode::kGoingAway); }

// ---- Answers -------------------------------------------------------------------------------------------------------

Outbox::Unanswered* Outbox::find(BytesView id, ConversationKey* key) {
  const auto parsed = ClientMessageId::from_bytes(id);
  if (!parsed.has_value()) {
    connection_.fail(error(Code::kMalformed, "an answer names an id of " + std::to_string(id.size()) + " B"),
                     CloseCode::kInvalidPayload);
    return nullptr;
  }
  const auto found = lane_of_.find(*parsed);
  if (found == lane_of_.end()) return nullptr;
  *key = found->second;
  for (Unanswered& entry : lanes_.at(*key).in_flight) {
    if (entry.row.client_message_id == *parsed) return &entry;
  }
  return nullptr;
}

void Outbox::on_result(const wire::SendResult& result) {
  ConversationKey key;
  Unanswered* entry = find(result.client_message_id(), &key);
  if (entry == nullptr || !entry->send) return;  // not of this connection's asking
  Lane& lane = lanes_.at(key);
  // What a middle repeated refuses bytes that are gone: those under way may be accepted.
  const bool is_stale = result.has_roster_changed() && result.roster_changed().encryption_counter() != entry->counter;
  if (is_stale) return;
  entry->send = false;
  if (entry->decided) {
    // The void's answer was final.
  } else if (result.has_accepted()) {
    accepted(lane, *entry, result.accepted());
  } else if (result.has_roster_changed() && encryption_ != nullptr && !entry->voiding) {
    if (!roster_changed(lane, *entry, result.roster_changed())) return;
  } else if (!entry->voiding) {  // else the void, whose answer is to come, decides
    const Error reason =
        result.has_refused() ? from_wire(result.refused()) : error(Code::kServer, "an unknown outcome");
    if (code_is_retryable(reason.code) || is_to_come(lane, *entry, reason)) {
      refused_for_now(lane, *entry, reason);
    } else {
      failed(lane, *entry, reason);
    }
  }
  answered(key, lane);
}

void Outbox::on_result(const wire::VoidResult& result) {
  ConversationKey key;
  Unanswered* entry = find(result.client_message_id(), &key);
  if (entry == nullptr || !entry->voiding) return;
  Lane& lane = lanes_.at(key);
  entry->voiding = false;
  const bool is_discard = entry->row.kind == OutboxRow::Kind::kVoid;
  if (entry->decided) {
    // The acceptance came first, in the send's own answer.
  } else if (result.has_accepted()) {
    accepted(lane, *entry, result.accepted());
  } else if (result.outcome_case() == wire::VoidResult::kVoided && result.voided()) {
    entry->decided = true;
    decisions_.push_back({Decision::Kind::kVoided, entry->row.client_message_id, entry->reason});
    lane.reread = lane.reread || !is_discard;
    lane.backoff.reset();
  } else {
    const Error reason =
        result.has_refused() ? from_wire(result.refused()) : error(Code::kServer, "an unknown outcome");
    if (code_is_retryable(reason.code)) {
      refused_for_now(lane, *entry, reason);
    } else if (is_discard) {
      entry->decided = true;
      decisions_.push_back({Decision::Kind::kVoidRefused, entry->row.client_message_id, {}});
      lane.reread = true;  // the rows behind have other numbers now
    } else {
      failed(lane, *entry, reason);
    }
  }
  answered(key, lane);
}

void Outbox::accepted(Lane& lane, Unanswered& entry, const wire::Accepted& answer) {
  if (answer.conversation_id() == 0 || answer.message_id() == 0 || answer.conversation_seq() == 0) {
    return refused_for_now(lane, entry, error(Code::kServer, "an acceptance without ids"));
  }
  DeviceStore::AcceptedSend settled;
  settled.id = entry.row.client_message_id;
  settled.conversation_id = ConversationId{answer.conversation_id()};
  settled.message_id = MessageId{answer.message_id()};
  settled.seq = answer.conversation_seq();
  settled.time = from_unix_ms(answer.time_ms());
  accepted_.push_back(settled);
  entry.decided = true;
  lane.roster_refusals = 0;
  lane.backoff.reset();
}

void Outbox::failed(Lane& lane, Unanswered& entry, const Error& reason) {
  entry.decided = true;
  const bool is_task = entry.row.kind == OutboxRow::Kind::kTask;
  const auto kind = is_task ? Decision::Kind::kTaskRefused : Decision::Kind::kFail;
  decisions_.push_back({kind, entry.row.client_message_id, reason});
  lane.reread = true;
}

void Outbox::refused_for_now(Lane& lane, const Unanswered& entry, const Error& reason) {
  if (reason.code == Code::kOutOfOrder && reason.expected_number != 0 && !lane.expected) {
    lane.expected = Expected{entry.row.client_message_id, reason.expected_number};
  }
  // The rows behind are refused as well, for being out of order: that is one refusal, not many.
  std::chrono::milliseconds pause = reason.retry_after;
  if (!lane.refused) {
    if (!lane.backoff.has_value()) {
      lane.backoff.emplace(context_.random.jitter, context_.options.backoff_base, context_.options.backoff_cap);
    }
    pause = lane.backoff->next(reason.retry_after);
  }
  lane.refused = true;
  lane.reread = true;
  lane.not_before = std::max(lane.not_before, context_.now() + pause);
  if (!lane_timer_.pending() || lane.not_before < lane_timer_.time()) {
    lane_timer_.start_at(lane.not_before, [this] { on_lane_timer(); });
  }
}

// A message that was encrypted anew may have been taken as what it was before: then its item settles it, which comes
// before all is caught up, or just now.
bool Outbox::is_to_come(Lane& lane, const Unanswered& entry, const Error& reason) const {
  const bool is_encrypted = entry.row.encrypted && entry.row.kind == OutboxRow::Kind::kSend;
  if (reason.code != Code::kConflict || !is_encrypted) return false;
  const bool is_news = std::exchange(lane.conflict, entry.row.client_message_id) != entry.row.client_message_id;
  return is_news || connection_.state() != ConnectionState::kOnline;
}

// What stands behind was encrypted for the same lists, and cannot have been accepted before this one.
bool Outbox::roster_changed(Lane& lane, const Unanswered& entry, const wire::RosterChanged& answer) {
  std::vector<OutboxRow> refused;
  bool behind = false;
  for (const Unanswered& one : lane.in_flight) {
    behind = behind || &one == &entry;
    if (behind && one.row.kind != OutboxRow::Kind::kVoid) refused.push_back(one.row);
  }
  if (auto learned = encryption_->roster_changed(refused, answer); !learned.ok()) {
    store_failed(learned.error());
    return false;
  }
  // The rows behind are refused likewise: that is one refusal, not many.
  const bool pauses = !CHATSDK_PLANTED(Bug::kRefusedWithoutPause);
  if (!lane.refused && ++lane.roster_refusals > limits::e2ee::kRefusalsMax && pauses) {
    lane.roster_refusals = 0;
    refused_for_now(lane, entry, error(Code::kUnavailable, "the lists changed again and again"));
    return true;
  }
  lane.refused = true;
  lane.reread = true;
  return true;
}

void Outbox::answered(ConversationKey key, Lane& lane) {
  const auto done = std::find_if(lane.in_flight.begin(), lane.in_flight.end(),
                                 [](const Unanswered& entry) { return !entry.send && !entry.voiding; });
  if (done != lane.in_flight.end()) {
    lane_of_.erase(done->row.client_message_id);
    lane.in_flight.erase(done);
  }
  if (lane.in_flight.empty()) {
    if (lane.reread) read_again(lane);
  } else {
    // The next one is the head now; its time may have passed while it was not.
    Unanswered& head = lane.in_flight.front();
    const bool late = head.row.kind == OutboxRow::Kind::kSend && head.row.deadline <= context_.wall_now();
    if (late && !head.voiding && !head.decided && !lane.refused) {
      if (auto voiding = start_voiding(lane, head); !voiding.ok()) return store_failed(voiding.error());
    }
  }
  make_ready(key, lane);
  drop_if_idle(key);
  // A full window's lanes stand in ready_ already: room for one is room for the next.
  schedule();
}

Status Outbox::start_voiding(Lane& lane, Unanswered& entry) {
  CHATSDK_TRY(context_.store.mark_void_asked(entry.row.client_message_id));
  entry.voiding = true;
  entry.reason = timed_out();
  lane.reread = true;
  to_hand_over_.push_back(void_frame(entry.row));
  return {};
}

void Outbox::on_lane_timer() {
  std::optional<MonotonicTime> next;
  for (auto& [key, lane] : lanes_) {
    if (lane.not_before > context_.now()) {
      next = std::min(next.value_or(lane.not_before), lane.not_before);
    } else {
      make_ready(key, lane);
    }
  }
  if (next.has_value()) lane_timer_.start_at(*next, [this] { on_lane_timer(); });
  schedule();
}

// ---- Time limits ---------------------------------------------------------------------------------------------------

void Outbox::note_deadline(WallTime deadline) {
  const auto left = deadline - context_.wall_now();
  if (!running_ || left <= left.zero()) return;
  const MonotonicTime at = context_.now() + std::min<std::chrono::microseconds>(left, limits::kDeadlineCheckMax);
  if (deadline_timer_.pending() && deadline_timer_.time() <= at) return;
  deadline_timer_.start_at(at, [this] { on_deadline(); });
}

void Outbox::arm_deadline_timer() {
  deadline_timer_.cancel();
  auto earliest = context_.store.earliest_deadline();
  if (earliest.ok() && !earliest->has_value()) return;
  if (earliest.ok()) note_deadline(**earliest);
  if (!deadline_timer_.pending()) deadline_timer_.start_after(limits::kOverdueCheck, [this] { on_deadline(); });
}

void Outbox::on_deadline() {
  auto more = give_up_overdue();
  if (!more.ok()) store_failed(more.error());
  arm_deadline_timer();
  if (more.ok() && *more) deadline_timer_.start_after(std::chrono::microseconds(0), [this] { on_deadline(); });
  if (connection_.live()) schedule();
}

Result<bool> Outbox::give_up_overdue() {
  const WallTime now = context_.wall_now();
  CHATSDK_ASSIGN(auto failed, context_.store.fail_overdue(now, timed_out(), limits::kOverdueBatch));
  const bool more = failed.updated.size() == limits::kOverdueBatch;
  for (const ConversationKey conversation : failed.conversations) {
    const auto found = lanes_.find(conversation);
    if (found == lanes_.end()) continue;
    read_again(found->second);
    make_ready(conversation, found->second);
  }
  if (!failed.updated.empty()) context_.events.changes(std::move(failed));

  CHATSDK_ASSIGN(const auto overdue, context_.store.overdue(now));
  for (const OutboxRow& row : overdue) {
    const auto found = lanes_.find(row.conversation);
    if (found == lanes_.end()) continue;  // asked after the next welcome
    for (Unanswered& entry : found->second.in_flight) {
      if (entry.row.client_message_id != row.client_message_id) continue;
      if (!entry.voiding && !entry.decided) CHATSDK_TRY(start_voiding(found->second, entry));
      break;
    }
  }
  return more;
}

}  // namespace chatsdk
