// SPDX-License-Identifier: Apache-2.0
#include "sim/observer.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/assert.h"
#include "sim/fault_kinds.h"

namespace chatsdk::sim {

namespace {

constexpr std::string_view kRefreshPath = "/v1/sessions/refresh";
constexpr int kTooMany = 429;  // which says nothing of what was asked

// What a device may do within this time, whatever befalls it. The shortest pause between two attempts is, in the mean,
// half of the base of its backoff, and an attempt has its way to the server and back: thirty in ten seconds. An attempt
// asks for a token and a gateway at most. Who logs in is the app, which waits a fifth of a second or more.
constexpr std::chrono::microseconds kRateWindow{10'000'000};
constexpr std::uint64_t kConnectsMax = 60;
constexpr std::uint64_t kRequestsMax = 120;
constexpr std::uint64_t kLogInsMax = 50;
// What the server takes of one connection. Frames are told when there are many, and each time that they have doubled.
constexpr std::chrono::microseconds kFramesWindow{1'000'000};
constexpr std::uint64_t kFramesMax = limits::kFramesBurst + limits::kFramesPerSecond;
constexpr std::uint64_t kFramesTold = kFramesMax / 64 + 1;
// No token lives so shortly that it is renewed twice; a session that begins anew may need one too.
constexpr std::uint64_t kRefreshesInQuiet = 2;
// Nor does a pair of prekeys, or the time between two looks at what the server has of it.
constexpr std::uint64_t kKeyUpkeepsInQuiet = 2;
constexpr const char* kKeyUpkeep[] = {"/v1/keys/prekeys", "/v1/keys/digest"};

}  // namespace

void Observer::record(NodeId node, Event event) {
  if (const auto* called = std::get_if<event::SendCalled>(&event)) contents_[called->k] = called->h;
  if (const auto* again = std::get_if<event::Retried>(&event)) contents_[again->k_new] = contents_[again->k_old];
  if (const auto* left = std::get_if<event::Unlinked>(&event)) left_.insert(left->device);
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(scheduler_.now().time_since_epoch());
  const Record& record = history_.record(static_cast<std::uint64_t>(time.count()), node, std::move(event));
  if (on_record) on_record(record);
}

void Observer::on_fault(const char* kind) {
  CHATSDK_ASSERT(is_fault_kind(kind));
  ++faults_[kind];
  record(0, event::Fault{kind});
}

UserNumber Observer::user_named(std::string_view name) {
  UserNumber number = 0;
  constexpr std::string_view kPrefix = "user-";
  if (name.substr(0, kPrefix.size()) == kPrefix) {
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number);
  }
  return number;
}

ConversationNumber Observer::conversation(UserNumber one, UserNumber other) {
  const auto pair = std::minmax(one, other);
  const auto next = static_cast<ConversationNumber>(conversations_.size() + 1);
  return conversations_.try_emplace({pair.first, pair.second}, next).first->second;
}

std::vector<UserNumber> Observer::members(ConversationNumber conversation) const {
  for (const auto& [pair, number] : conversations_) {
    if (number == conversation) return {pair.first, pair.second};
  }
  return {};
}

ConversationNumber Observer::conversation_of(StreamId stream) const {
  const auto found = conversation_of_.find(stream);
  return found == conversation_of_.end() ? kNoConversation : found->second;
}

// Without what only one device is given of it.
std::uint64_t Observer::hash_of_item(const wire::Item& item) {
  if (item.slice().empty()) return hash_of(item.SerializeAsString());
  wire::Item shared = item;
  shared.clear_slice();
  return hash_of(shared.SerializeAsString());
}

// What an encrypted message says is known by whoever sent it.
std::uint64_t Observer::content_of(const wire::Item& item) const {
  if (!item.content().empty()) return hash_of(item.content());
  const auto k = ClientMessageId::from_bytes(item.client_message_id());
  const auto sent = k ? contents_.find(*k) : contents_.end();
  return sent == contents_.end() ? 0 : sent->second;
}

void Observer::learn_from(NodeId device, StreamId stream, const wire::Item& item) {
  if (item.has_conversation()) {
    learn(StreamId{item.conversation().conversation_id()},
          conversation(user_of(device), user_named(item.conversation().peer_user_id())));
  }
  if (item.has_roster() && item.roster().changes_size() == 2) {
    learn(stream,
          conversation(user_named(item.roster().changes(0).user_id()), user_named(item.roster().changes(1).user_id())));
  }
}

void Observer::note_sender(StreamId stream, const wire::Item& item) {
  if (item.kind() != wire::ITEM_KIND_ROSTER && item.content().empty() && item.sender_device_id() != 0) {
    senders_[stream].insert(DeviceId{item.sender_device_id()});
  }
}

void Observer::on_committed(const server::AppendedItem& appended) {
  wire::Item item;
  if (!item.ParseFromString(*appended.item)) return;
  if (item.has_roster() && item.roster().changes_size() == 2) {
    learn(appended.stream_id,
          conversation(user_named(item.roster().changes(0).user_id()), user_named(item.roster().changes(1).user_id())));
  }
  note_sender(appended.stream_id, item);
  const ConversationNumber number = conversation_of(appended.stream_id);
  record(0, event::ItemCommitted{appended.stream_id.value, number, {appended.seq, hash_of_item(item)}});
  for (const wire::Roster::Change& change : item.roster().changes()) {
    if (number == kNoConversation) break;
    record(0, event::Member{number, user_named(change.user_id()), change.joined(), appended.seq});
  }
}

// A rotation that was answered is answered so again: the same request id, the same successor. What is refused is held
// against what the server's store has.
void Observer::on_answer(const HttpRequest& request, const HttpResponse& response) {
  wire::RefreshRequest asked;
  if (request.url != kRefreshPath || !asked.ParseFromString(request.body)) return;
  const bool refused = response.status >= 400 && response.status < 500 && response.status != kTooMany;
  if (refused && on_rotation_refused) on_rotation_refused(asked.request_id(), response.status);
  wire::Session session;
  if (response.status != 200 || !session.ParseFromString(response.body)) return;
  record(0, event::RequestAnswered{hash_of(asked.request_id()), hash_of(session.refresh_token())});
}

void Observer::on_replaced_served(NodeId device) {
  if (!on_broken) return;
  on_broken("connections", Finding("The server took a frame of device " + std::to_string(device) +
                                   " from a connection that a newer replaced."));
}

// The quiet of the end: what a node still sends then, it would send for ever.
std::vector<FinalState::Activity> Observer::activity() const {
  std::vector<FinalState::Activity> all;
  for (const auto& [device, kinds] : sent_) {
    for (const auto& [what, times] : kinds) all.push_back({device, what, times});
  }
  return all;
}

void Observer::count(NodeId device, std::string what) {
  if (!began_anew_.contains(device) && !left_.contains(device)) ++sent_[device][std::move(what)];
}

void Observer::begins_anew(NodeId device) {
  if (began_anew_.insert(device).second) {
    sent_.erase(device);
  } else {
    ++sent_[device]["greets again"];
  }
}

Observer::Unanswered& Observer::unanswered_on(NodeId device, std::uint64_t connection) {
  Unanswered& unanswered = unanswered_[device];
  if (connection > unanswered.connection) {
    unanswered = {};
    unanswered.connection = connection;
  }
  return unanswered;
}

void Observer::on_device_frame(NodeId device, std::uint64_t connection, BytesView frame) {
  count_frame(device);
  wire::ClientFrame parsed;
  if (!parsed.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) return;
  judge_slices(device, parsed.send().slices());
  judge_slices(device, parsed.stage_slices().slices());
  if (parsed.has_send()) {
    const bool is_task =
        parsed.send().kind() == wire::ITEM_KIND_RETRY || parsed.send().kind() == wire::ITEM_KIND_REPAIR;
    const auto k = ClientMessageId::from_bytes(parsed.send().client_message_id());
    if (is_task && k) tasks_.insert(*k);
    const wire::Send& send = parsed.send();
    const std::string target =
        send.has_conversation_id() ? std::to_string(send.conversation_id()) : send.peer_user_id();
    Unanswered& unanswered = unanswered_on(device, connection);
    unanswered.of_target[target].insert(send.client_message_id());
    unanswered.target_of[send.client_message_id()] = target;
    on_level(device, "unanswered sends of a conversation", unanswered.of_target[target].size(),
             unanswered.in_conversation_max);
    on_level(device, "unanswered sends", unanswered.target_of.size(), unanswered.in_all_max);
  }
  if (!watches_) return;
  if (parsed.has_ping() || parsed.has_pong() || parsed.has_authenticate()) return;
  if (parsed.has_hello()) return begins_anew(device);
  count(device, "sends frames of kind " + std::to_string(static_cast<int>(parsed.body_case())));
}

void Observer::judge_slices(NodeId device, const google::protobuf::RepeatedPtrField<wire::Slice>& slices) {
  for (const wire::Slice& slice : slices) {
    const Verdict found = key_use_.on_slice(slice.message());
    if (found && on_broken) on_broken("S13", Finding("Device " + std::to_string(device) + ": " + found->what));
  }
}

void Observer::on_device_hears(NodeId device, std::uint64_t connection, BytesView frame) {
  wire::ServerFrame parsed;
  if (!parsed.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) return;
  Unanswered& unanswered = unanswered_on(device, connection);
  if (connection != unanswered.connection) return;
  if (parsed.has_welcome()) {
    const auto at_most = [](std::size_t named, std::size_t ours) {
      return named == 0 ? ours : std::min(named, limits::kSendsInFlightMax);
    };
    unanswered.in_conversation_max = at_most(parsed.welcome().send_window(), limits::kSendWindow);
    unanswered.in_all_max = at_most(parsed.welcome().sends_in_flight(), limits::kSendsInFlightMax);
  }
  const std::string& id = parsed.has_send_result()   ? parsed.send_result().client_message_id()
                          : parsed.has_void_result() ? parsed.void_result().client_message_id()
                                                     : std::string();
  const auto found = unanswered.target_of.find(id);
  if (found == unanswered.target_of.end()) return;
  unanswered.of_target[found->second].erase(id);
  unanswered.target_of.erase(found);
}

void Observer::sent(NodeId device, const char* what, std::uint64_t limit) {
  record(device, event::Sent{what, 1, limit, static_cast<std::uint64_t>(kRateWindow.count())});
}

void Observer::count_frame(NodeId device) {
  FramesSent& frames = frames_[device];
  const MonotonicTime now = scheduler_.now();
  if (now >= frames.since + kFramesWindow) frames = {now, 0, 0, kFramesTold};
  if (++frames.count < frames.tell_at) return;
  record(device, event::Sent{"frames", frames.count - frames.told, kFramesMax,
                             static_cast<std::uint64_t>(kFramesWindow.count())});
  frames.told = frames.count;
  frames.tell_at = frames.count * 2;
}

void Observer::on_connecting(NodeId device) { sent(device, "connects", kConnectsMax); }

void Observer::on_request(NodeId device, const HttpRequest& request) {
  sent(device, "requests", kRequestsMax);
  if (request.url == "/v1/sessions" || request.url == "/v1/accounts") sent(device, "log-ins", kLogInsMax);
  if (!watches_) return;
  // Discovery and log-in come before a hello.
  const bool leads_to_hello = request.url == "/v1/sessions" || request.url == "/v1/connect";
  std::uint64_t allowed = request.url == kRefreshPath ? kRefreshesInQuiet : 0;
  if (keys_rotate_ && std::count(std::begin(kKeyUpkeep), std::end(kKeyUpkeep), request.url) > 0) {
    allowed = kKeyUpkeepsInQuiet;
  }
  const bool keeps_fresh = allowed > 0 && ++fresh_[{device, request.url}] <= allowed;
  if (!leads_to_hello && !keeps_fresh) count(device, "asks " + request.method + " " + request.url);
}

void Observer::on_waiting(NodeId sender, std::size_t bytes, std::size_t limit) {
  on_level(sender, "bytes waiting on one connection", bytes, limit);
}

void Observer::on_level(NodeId node, const char* name, std::size_t size, std::size_t limit) {
  if (size == 0) return;
  std::size_t& most = levels_[{node, name}];
  if (size <= limit && size < 2 * most) return;
  most = size;
  record(node, event::Bound{name, size, limit});
}

void Observer::on_server_frame(NodeId device, const wire::ServerFrame& frame) {
  // Its hello left before anybody watched.
  if (watches_ && frame.has_welcome() && !began_anew_.contains(device)) begins_anew(device);
  if (watches_ && !frame.has_ping() && !frame.has_pong() && !frame.has_authenticated()) {
    count(device, "is sent frames of kind " + std::to_string(static_cast<int>(frame.body_case())));
  }
  switch (frame.body_case()) {
    case wire::ServerFrame::kItems:
      for (const wire::Item& item : frame.items().items()) {
        const StreamId stream{frame.items().stream_id()};
        learn_from(device, stream, item);
        if (item.skip_reason() == wire::SKIP_REASON_TRIMMED) {
          record(0, event::StreamTrimmed{stream.value, conversation_of(stream), item.seq() + 1});
        }
        if (item.kind() == wire::ITEM_KIND_SKIP) continue;
        record(0, event::PushedLive{stream.value, conversation_of(stream), {item.seq(), hash_of_item(item)}, device});
      }
      break;
    case wire::ServerFrame::kSendResult: {
      const wire::SendResult& result = frame.send_result();
      const auto k = ClientMessageId::from_bytes(result.client_message_id());
      if (!k || tasks_.count(*k) != 0) break;
      if (result.has_accepted()) {
        record(0, event::AnswerSeen{device, *k, event::AnswerSeen::Kind::kAccepted,
                                    result.accepted().conversation_seq(), Code::kOk});
      } else if (result.has_refused()) {
        record(0,
               event::AnswerSeen{device, *k, event::AnswerSeen::Kind::kRefused, 0, from_wire(result.refused()).code});
      }
      break;
    }
    case wire::ServerFrame::kVoidResult: {
      const wire::VoidResult& result = frame.void_result();
      const auto k = ClientMessageId::from_bytes(result.client_message_id());
      if (!k) break;
      if (result.has_accepted()) {
        record(0, event::AnswerSeen{device, *k, event::AnswerSeen::Kind::kAccepted,
                                    result.accepted().conversation_seq(), Code::kOk});
      } else if (result.voided()) {
        record(0, event::AnswerSeen{device, *k, event::AnswerSeen::Kind::kVoided, 0, Code::kOk});
      }
      break;
    }
    default:
      break;
  }
}

}  // namespace chatsdk::sim
