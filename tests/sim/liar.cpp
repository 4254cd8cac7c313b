// SPDX-License-Identifier: Apache-2.0
#include "sim/liar.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>

#include "base/limits.h"
#include "e2ee/envelope.h"

namespace chatsdk::sim {

using std::chrono::seconds;

namespace {

constexpr std::size_t kHeardMax = 400;
constexpr std::size_t kSentMax = 400;
constexpr std::uint64_t kImpostorsFrom = 0x6C69'6172'0000'0000;  // device ids: no server draws such
constexpr std::string_view kMadeUp = "made up by the server";

constexpr std::string_view kListsPath = "/v1/keys/lists";
constexpr std::string_view kQueryPath = "/v1/keys/lists/query";
constexpr std::string_view kBundlesPath = "/v1/keys/bundles";
constexpr std::string_view kPrekeysPath = "/v1/keys/prekeys";
constexpr std::string_view kDigestPath = "/v1/keys/digest";

// A send that is refused for its roster is encrypted anew so often, and then waits for a second or longer: from the
// fourth pause on there are few in these seconds. The same again where a process starts anew, and for each connection.
constexpr seconds kAttemptsWindow{10};
constexpr std::size_t kAttemptsMax = 12 * (limits::e2ee::kRefusalsMax + 1);

// How often a device can have asked another for what it could not open: the rate, and a burst for each process. A clock
// that jumps ahead fills a burst up, no more.
std::uint64_t retry_requests_by(std::chrono::microseconds time, std::uint64_t processes) {
  return 2 * processes * limits::e2ee::kRetryBurst + static_cast<std::uint64_t>(time / limits::e2ee::kRetryRegain) + 1;
}

Bytes flipped(Bytes bytes, SeededRandom& random) {
  if (!bytes.empty()) bytes[random.below(bytes.size())] ^= static_cast<char>(1u << random.below(8));
  return bytes;
}

// kind, key id, kind of key, key, time (docs/e2ee.md section 6).
Bytes low_order_prekey(std::uint32_t key_id) {
  e2ee::Writer writer;
  writer.u8(static_cast<std::uint8_t>(e2ee::PrekeyKind::kOneTime)).u32(key_id);
  return writer.u8(static_cast<std::uint8_t>(e2ee::KeyKind::kX25519)).zeros(32).u64(1).take();
}

std::shared_ptr<const Bytes> to_frame(const wire::ServerFrame& frame) {
  return std::make_shared<const Bytes>(frame.SerializeAsString());
}

void take_author(const wire::Item& from, wire::Item& item) {
  item.set_sender_user_id(from.sender_user_id());
  item.set_sender_device_id(from.sender_device_id());
}

}  // namespace

void Liar::tell(Lie lie, std::uint32_t one_in, NodeId victim, std::uint32_t times) {
  const auto i = static_cast<std::size_t>(lie);
  lies_[i] = one_in;
  victims_[i] = victim;
  last_[i] = times == 0 ? 0 : told_[i] + times;
}

bool Liar::lies(Lie lie, NodeId device) {
  const auto i = static_cast<std::size_t>(lie);
  if (lies_[i] == 0 || (victims_[i] != 0 && victims_[i] != device)) return false;
  if (last_[i] != 0 && told_[i] >= last_[i]) return false;
  return random_.below(lies_[i]) == 0;
}

void Liar::did(Lie lie) {
  ++told_[static_cast<std::size_t>(lie)];
  observer_.on_fault(to_text(lie));
}

void Liar::finding(const char* property, std::string what) {
  if (observer_.on_broken) observer_.on_broken(property, Finding(std::move(what)));
}

std::uint64_t Liar::now_ms() const {
  return 1'750'000'000'000 +
         static_cast<std::uint64_t>(std::chrono::milliseconds(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                                  scheduler_.now().time_since_epoch()))
                                        .count());
}

Impostor& Liar::impostor(const UserId& user_id) {
  const auto known = impostors_.find(user_id);
  return known == impostors_.end() ? another_impostor(user_id) : *known->second;
}

Impostor& Liar::another_impostor(const UserId& user_id) {
  const DeviceId id{kImpostorsFrom + impostors_.size() + 1};
  return *impostors_.emplace(user_id, std::make_unique<Impostor>(user_id, id, now_ms(), random_))->second;
}

Impostor* Liar::impostor_with(DeviceId device_id) {
  for (const auto& [user_id, known] : impostors_) {
    if (known && known->device_id() == device_id) return known.get();
  }
  return nullptr;
}

// ---- Items ---------------------------------------------------------------------------------------------------------

ServerFront::Frames Liar::to_device(NodeId device, std::shared_ptr<const Bytes> frame) {
  wire::ServerFrame parsed;
  if (!parsed.ParseFromString(*frame)) return {std::move(frame)};
  Frames frames;
  bool changed = false;
  if (parsed.has_items() && parsed.items().stream_kind() == wire::STREAM_KIND_CONVERSATION) {
    const auto before = told_;
    lie_in(device, *parsed.mutable_items());
    changed = before != told_;
  }
  if (parsed.has_welcome() && parsed.welcome().has_key_counts() && lies(Lie::kNoPrekeysLeft, device)) {
    did(Lie::kNoPrekeysLeft);
    parsed.mutable_welcome()->mutable_key_counts()->Clear();
    changed = true;
  }
  if (parsed.has_send_result() && parsed.send_result().has_roster_changed()) {
    const auto sent = sent_.find(parsed.send_result().client_message_id());
    if (sent != sent_.end()) {
      wire::RosterChanged& refusal = *parsed.mutable_send_result()->mutable_roster_changed();
      std::uint64_t& revision = revisions_[sent->second.conversation];
      revision = std::max(revision, refusal.revision());
      const auto before = told_;
      falsify(device, sent->second.peer, refusal);
      changed = before != told_;
    }
  }
  frames.push_back(changed ? to_frame(parsed) : std::move(frame));
  if (parsed.has_items() && lies(Lie::kNoPrekeysLeft, device)) {
    did(Lie::kNoPrekeysLeft);
    wire::ServerFrame counts;
    counts.mutable_key_counts();
    frames.push_back(to_frame(counts));
  }
  return frames;
}

void Liar::lie_in(NodeId device, wire::Items& items) {
  const StreamId stream{items.stream_id()};
  for (wire::Item& item : *items.mutable_items()) {
    if (item.has_roster()) {
      const wire::Roster& roster = item.roster();
      if (!roster.encrypted()) continue;
      revisions_[stream] = std::max(revisions_[stream], roster.revision());
      if (roster.changes_size() == 2) members_[stream] = {roster.changes(0).user_id(), roster.changes(1).user_id()};
      // Whom the device does not know yet it would believe: the first list that it learns.
      if (roster.revision() > 1 && lies(Lie::kForgedRoster, device)) lie_in_roster(device, *item.mutable_roster());
    }
    if (item.slice().empty()) continue;
    remember(device, stream, item);
    lie_of(device, stream, item);
  }
}

void Liar::remember(NodeId device, StreamId stream, const wire::Item& item) {
  heard_.push_back({device, stream, item});
  if (heard_.size() > kHeardMax) heard_.pop_front();
}

const Liar::Heard* Liar::draw_heard(const std::function<bool(const Heard&)>& which) {
  std::vector<const Heard*> fitting;
  for (const Heard& heard : heard_) {
    if (which(heard)) fitting.push_back(&heard);
  }
  return fitting.empty() ? nullptr : fitting[random_.below(fitting.size())];
}

void Liar::lie_of(NodeId device, StreamId stream, wire::Item& item) {
  const bool is_message = item.kind() == wire::ITEM_KIND_MESSAGE;
  const Bytes id = item.client_message_id();
  if (is_message && give_out_refused(stream, item)) return did(Lie::kRefusedAndGivenOut);
  if (lies(Lie::kAlteredSlice, device)) {
    item.set_slice(flipped(item.slice(), random_));
    return did(Lie::kAlteredSlice);
  }
  if (lies(Lie::kAnotherDevicesSlice, device)) {
    const auto sent = sent_.find(id);
    if (sent == sent_.end()) return;
    for (const auto& [to, slice] : sent->second.slices) {
      if (slice == item.slice()) continue;
      item.set_slice(slice);
      return did(Lie::kAnotherDevicesSlice);
    }
  }
  if (is_message && lies(Lie::kAnotherConversation, device)) {
    const Heard* other =
        draw_heard([&](const Heard& heard) { return heard.device == device && heard.stream != stream; });
    if (other == nullptr) return;
    item.set_slice(other->item.slice());
    item.set_client_message_id(other->item.client_message_id());
    take_author(other->item, item);
    return did(Lie::kAnotherConversation);
  }
  if (lies(Lie::kAnotherAuthor, device)) {
    const Heard* other =
        draw_heard([&](const Heard& heard) { return heard.item.sender_device_id() != item.sender_device_id(); });
    if (other == nullptr) return;
    take_author(other->item, item);
    return did(Lie::kAnotherAuthor);
  }
  if (is_message && lies(Lie::kOlderItem, device)) {
    const Heard* older = draw_heard([&](const Heard& heard) {
      return heard.device == device && heard.stream == stream && heard.item.client_message_id() != id;
    });
    if (older == nullptr) return;
    item.set_slice(older->item.slice());
    take_author(older->item, item);
    // Under the id that it has, or under the one that it takes the place of.
    if (random_.below(2) == 0) item.set_client_message_id(older->item.client_message_id());
    return did(Lie::kOlderItem);
  }
  if (is_message && lies(Lie::kPlainText, device)) {
    item.clear_slice();
    item.set_content(encode_text_content(kMadeUp));
    return did(Lie::kPlainText);
  }
  if (is_message && lies(Lie::kMessageAsTask, device)) {
    item.set_kind(random_.below(2) == 0 ? wire::ITEM_KIND_RETRY : wire::ITEM_KIND_REPAIR);
    return did(Lie::kMessageAsTask);
  }
  if (!is_message && lies(Lie::kTaskAsMessage, device)) {
    item.set_kind(wire::ITEM_KIND_MESSAGE);
    did(Lie::kTaskAsMessage);
  }
}

bool Liar::give_out_refused(StreamId stream, wire::Item& item) {
  const auto sent = sent_.find(item.client_message_id());
  if (sent == sent_.end()) return false;
  ids_[sent->second.from] = item.sender_device_id();
  const auto& slices = sent->second.slices;
  const auto reader =
      std::find_if(slices.begin(), slices.end(), [&item](const auto& one) { return one.second == item.slice(); });
  if (reader == slices.end()) return false;
  for (Refused& refused : refused_) {
    const auto author = ids_.find(refused.message.from);
    if (refused.message.conversation != stream || refused.id == item.client_message_id() || author == ids_.end()) {
      continue;
    }
    const auto slice = refused.message.slices.extract(reader->first);
    if (slice.empty()) continue;
    item.set_client_message_id(refused.id);
    item.set_sender_user_id(Observer::name_of(observer_.user_of(refused.message.from)));
    item.set_sender_device_id(author->second);
    item.set_slice(slice.mapped());
    return true;
  }
  return false;
}

void Liar::lie_in_roster(NodeId device, wire::Roster& roster) {
  wire::Roster forged = roster;
  forged.clear_lists();
  for (const wire::SignedList& signed_list : roster.lists()) {
    *forged.add_lists() = signed_list;
    const auto list = e2ee::parse_device_list(signed_list.list());
    Given given;
    if (!list || observer_.user_of(device) == Observer::user_named(list->user_id) ||
        !falsify_as(Lie::kForgedLists, list->user_id, list->version, given)) {
      continue;
    }
    did(Lie::kForgedRoster);
    for (Bytes& one : given.lists) {
      wire::SignedList& out = *forged.add_lists();
      out.set_list(std::move(one));
      for (const Bytes& record : given.records) out.add_records(record);
    }
  }
  roster = std::move(forged);
}

// ---- Lists ---------------------------------------------------------------------------------------------------------

void Liar::learn_from(const wire::DeviceListUpload& upload) {
  for (const std::string& bytes : upload.lists()) {
    const auto list = e2ee::parse_device_list(bytes);
    if (!list) continue;
    Made& made = made_[list->user_id];
    made.lists[list->version] = bytes;
    made.all.insert(bytes);
    made.account_keys.insert(list->account_key);
    for (const std::string& record : upload.records()) made.records[e2ee::device_record_hash(record)] = record;
  }
}

void Liar::add_records(const UserId& user_id, Given& given) {
  for (const auto& [hash, record] : made_[user_id].records) given.records.push_back(record);
  if (const auto known = impostors_.find(user_id); known != impostors_.end() && known->second) {
    given.records.push_back(known->second->record());
  }
}

bool Liar::falsify(NodeId asker, const UserId& user_id, std::uint64_t known_version, Given& given) {
  for (const Lie lie : {Lie::kOldLists, Lie::kCutLists, Lie::kForgedLists, Lie::kAnotherUser, Lie::kAnotherAccount}) {
    if (!lies(lie, asker)) continue;
    // Of its own user a device believes nobody but the other devices: whoever holds the account key knows which it is.
    const bool is_own = observer_.user_of(asker) == Observer::user_named(user_id);
    if (lie == Lie::kAnotherAccount && is_own) continue;
    if (!falsify_as(lie, user_id, known_version, given)) continue;
    did(lie);
    return true;
  }
  return false;
}

// Behind each one there is another: whoever asks until there is none asks for good.
bool Liar::make_up(NodeId asker, const UserId& user_id, std::uint64_t known_version, Given& given) {
  const bool is_own = observer_.user_of(asker) == Observer::user_named(user_id);
  const Made& made = made_[user_id];
  if (known_version == 0 || is_own || made.lists.empty() || !lies(Lie::kIdentityInEachAnswer, asker)) return false;
  const auto newest = e2ee::parse_device_list(made.lists.rbegin()->second);
  if (!newest || newest->devices.size() == limits::e2ee::kDevicesMax) return false;
  const Impostor& attacker = another_impostor(user_id);
  given = {};
  given.lists.push_back(*attacker.list_after(*newest, now_ms()));
  given.newest = limits::e2ee::kListVersionMax;
  add_records(user_id, given);
  given.records.push_back(attacker.record());
  did(Lie::kIdentityInEachAnswer);
  return true;
}

bool Liar::falsify_as(Lie lie, const UserId& user_id, std::uint64_t known_version, Given& given) {
  Made& made = made_[user_id];
  if (made.lists.empty()) return false;
  const auto newest = e2ee::parse_device_list(made.lists.rbegin()->second);
  if (!newest) return false;
  given = {};
  given.newest = newest->version;
  switch (lie) {
    case Lie::kOldLists:
      if (newest->version == 1) return false;
      given.newest = 1 + random_.below(newest->version - 1);
      for (const auto& [version, list] : made.lists) {
        if (version <= given.newest) given.lists.push_back(list);
      }
      break;
    case Lie::kCutLists: {
      if (made.lists.size() < 3) return false;
      const auto gap =
          std::next(made.lists.begin(), 1 + static_cast<std::ptrdiff_t>(random_.below(made.lists.size() - 2)));
      for (const auto& [version, list] : made.lists) {
        if (version != gap->first) given.lists.push_back(list);
      }
      break;
    }
    case Lie::kForgedLists:
    case Lie::kAnotherAccount: {
      // Whoever knows no list takes the first for true.
      if (known_version == 0) return false;
      Impostor& attacker = impostor(user_id);
      const auto list =
          lie == Lie::kForgedLists ? attacker.forged_after(*newest, now_ms()) : attacker.list_after(*newest, now_ms());
      if (!list) return false;
      given.lists.push_back(*list);
      ++given.newest;
      break;
    }
    case Lie::kAnotherUser: {
      std::vector<const Made*> others;
      for (const auto& [other, theirs] : made_) {
        if (other != user_id && !theirs.lists.empty()) others.push_back(&theirs);
      }
      if (others.empty()) return false;
      const Made& other = *others[random_.below(others.size())];
      given.lists.push_back(other.lists.rbegin()->second);
      for (const auto& [hash, record] : other.records) given.records.push_back(record);
      break;
    }
    default:
      return false;
  }
  add_records(user_id, given);
  return true;
}

// Whoever sends encrypted knows lists of both.
void Liar::falsify(NodeId asker, const UserId& peer, wire::RosterChanged& changed) {
  bool any = false;
  for (const UserId& user_id : {Observer::name_of(observer_.user_of(asker)), peer}) {
    Given given;
    if (user_id.empty() || !falsify(asker, user_id, 1, given)) continue;
    if (!std::exchange(any, true)) changed.clear_lists();
    for (Bytes& list : given.lists) {
      wire::SignedList& out = *changed.add_lists();
      out.set_list(std::move(list));
      for (const Bytes& record : given.records) out.add_records(record);
    }
  }
}

// ---- Requests ------------------------------------------------------------------------------------------------------

void Liar::on_request(NodeId, HttpRequest& request) {
  if (request.url != kListsPath) return;
  wire::DeviceListUpload upload;
  if (upload.ParseFromString(request.body)) learn_from(upload);
}

void Liar::on_answer(NodeId device, const HttpRequest& request, HttpResponse& response) {
  if (response.status != 200) return;
  if (request.url == kQueryPath) return lie_of_lists(device, request, response);
  if (request.url == kBundlesPath) return lie_of_bundles(device, request, response);
  if (request.url == kPrekeysPath && lies(Lie::kNoPrekeysLeft, device)) {
    did(Lie::kNoPrekeysLeft);
    response.body = wire::KeyCounts().SerializeAsString();
  }
  wire::KeyDigest digest;
  if (request.url == kDigestPath && lies(Lie::kWrongDigest, device) && digest.ParseFromString(response.body)) {
    did(Lie::kWrongDigest);
    digest.set_digest(flipped(digest.digest(), random_));
    response.body = digest.SerializeAsString();
  }
}

void Liar::lie_of_lists(NodeId device, const HttpRequest& request, HttpResponse& response) {
  wire::DeviceListsRequest asked;
  wire::DeviceLists answer;
  if (!asked.ParseFromString(request.body) || !answer.ParseFromString(response.body)) return;
  if (lies(Lie::kNobodysLists, device)) {
    did(Lie::kNobodysLists);
    answer.clear_users();
  }
  for (wire::DeviceLists::OfUser& user : *answer.mutable_users()) {
    const auto known = std::find_if(asked.users().begin(), asked.users().end(),
                                    [&user](const auto& one) { return one.user_id() == user.user_id(); });
    Given given;
    if (known == asked.users().end()) continue;
    const bool is_false = falsify(device, user.user_id(), known->list_version(), given) ||
                          make_up(device, user.user_id(), known->list_version(), given);
    if (!is_false) continue;
    user.clear_lists();
    user.clear_records();
    for (Bytes& list : given.lists) user.add_lists(std::move(list));
    for (Bytes& record : given.records) user.add_records(std::move(record));
    user.set_newest_version(given.newest);
  }
  response.body = answer.SerializeAsString();
}

void Liar::lie_of_bundles(NodeId device, const HttpRequest& request, HttpResponse& response) {
  wire::BundlesRequest asked;
  wire::Bundles answer;
  if (!asked.ParseFromString(request.body) || !answer.ParseFromString(response.body)) return;
  for (wire::Bundle& bundle : *answer.mutable_bundles()) {
    const wire::Bundle honest = bundle;
    lie_of_bundle(device, asked.user_id(), bundle);
    bundles_[DeviceId{honest.device_id()}].push_back(honest);
  }
  for (const std::uint64_t id : asked.device_ids()) {
    const Impostor* const attacker = impostor_with(DeviceId{id});
    if (attacker == nullptr) continue;
    wire::Bundle& bundle = *answer.add_bundles();
    bundle.set_device_id(id);
    bundle.set_device_record(attacker->bundle().device_record);
    bundle.set_signed_prekey(attacker->bundle().signed_prekey);
    bundle.set_kem_prekey(attacker->bundle().kem_prekey);
  }
  response.body = answer.SerializeAsString();
}

void Liar::lie_of_bundle(NodeId device, const UserId& user_id, wire::Bundle& bundle) {
  if (lies(Lie::kAlteredBundle, device)) {
    std::string* const parts[] = {bundle.mutable_device_record(), bundle.mutable_signed_prekey(),
                                  bundle.mutable_kem_prekey()};
    std::string& part = *parts[random_.below(std::size(parts))];
    part = flipped(part, random_);
    return did(Lie::kAlteredBundle);
  }
  if (lies(Lie::kAnotherBundle, device)) {
    std::vector<wire::Bundle> others;
    for (const auto& [id, given] : bundles_) {
      if (id.value != bundle.device_id()) others.push_back(given.back());
    }
    if (others.empty() || random_.below(2) == 0) {
      const e2ee::BundleBytes& mine = impostor(user_id).bundle();
      bundle.set_device_record(mine.device_record);
      bundle.set_signed_prekey(mine.signed_prekey);
      bundle.set_kem_prekey(mine.kem_prekey);
      bundle.clear_one_time_prekey();
    } else {
      const std::uint64_t id = bundle.device_id();
      bundle = others[random_.below(others.size())];
      bundle.set_device_id(id);
    }
    return did(Lie::kAnotherBundle);
  }
  if (lies(Lie::kUsedPrekey, device)) {
    const auto before = bundles_.find(DeviceId{bundle.device_id()});
    if (before == bundles_.end()) return;
    bundle.set_one_time_prekey(before->second.front().one_time_prekey());
    bundle.set_kem_prekey(before->second.front().kem_prekey());
    return did(Lie::kUsedPrekey);
  }
  if (lies(Lie::kLowOrderPrekey, device)) {
    const auto prekey = e2ee::parse_prekey(bundle.one_time_prekey());
    bundle.set_one_time_prekey(low_order_prekey(prekey ? prekey->key_id : 0x7000'0003));
    did(Lie::kLowOrderPrekey);
  }
}

// ---- What devices send ---------------------------------------------------------------------------------------------

std::shared_ptr<const Bytes> Liar::to_server(NodeId device, std::shared_ptr<const Bytes> frame, Frames& answers) {
  wire::ClientFrame parsed;
  if (!parsed.ParseFromString(*frame) || !parsed.has_send() || parsed.send().slices_size() == 0) return frame;
  wire::Send& send = *parsed.mutable_send();
  count(device, send);
  const bool is_for_impostor = read_slices(device, send);
  if (DeviceNode* const sender = device_of(device)) judge(*sender);
  const std::uint64_t revision = send.has_conversation_id() ? revisions_[StreamId{send.conversation_id()}] : 0;
  if (lies(Lie::kEndlessRefusal, device)) {
    did(Lie::kEndlessRefusal);
    refuse(device, send, send.has_conversation_id() ? revision + 1 : 0, answers);
    return nullptr;
  }
  const bool is_task = send.kind() == wire::ITEM_KIND_RETRY || send.kind() == wire::ITEM_KIND_REPAIR;
  if (!is_task && send.has_conversation_id() && lies(Lie::kRefusedAndGivenOut, device)) {
    did(Lie::kRefusedAndGivenOut);
    refused_.push_back({send.client_message_id(), sent_[send.client_message_id()]});
    if (refused_.size() > kSentMax) refused_.pop_front();
    refuse(device, send, revision, answers);
    return nullptr;
  }
  if (!is_for_impostor) return frame;
  make_acceptable(device, send);
  return std::make_shared<const Bytes>(parsed.SerializeAsString());
}

void Liar::refuse(NodeId device, const wire::Send& send, std::uint64_t revision, Frames& answers) {
  wire::ServerFrame refusal;
  wire::SendResult& result = *refusal.mutable_send_result();
  result.set_client_message_id(send.client_message_id());
  wire::RosterChanged& changed = *result.mutable_roster_changed();
  changed.set_revision(revision);
  changed.set_encryption_counter(send.encryption_counter());
  falsify(device, peer_of(device, send), changed);
  answers.push_back(to_frame(refusal));
}

// Tries what it has on all that comes by; true where something is for one of its devices.
bool Liar::read_slices(NodeId device, wire::Send& send) {
  const auto [sent, is_new] = sent_.try_emplace(send.client_message_id());
  if (is_new) sent_order_.push_back(send.client_message_id());
  sent->second = {device, StreamId{send.conversation_id()}, peer_of(device, send), {}};
  bool any = false;
  for (const wire::Slice& slice : send.slices()) {
    const DeviceId to{slice.device_id()};
    sent->second.slices[to] = slice.message();
    any = any || impostor_with(to) != nullptr;
    for (const auto& [user_id, attacker] : impostors_) {
      if (!attacker || !attacker->open(slice.message(), now_ms())) continue;
      ++read_;
      if (believes(device, user_id, *attacker)) continue;
      finding("S10", "Device " + std::to_string(device) + " encrypted a message for a device of the attacker's that " +
                         user_id + " never had.");
    }
  }
  if (sent_order_.size() > kSentMax) {
    sent_.erase(sent_order_.front());
    sent_order_.pop_front();
  }
  return any;
}

UserId Liar::peer_of(NodeId device, const wire::Send& send) const {
  if (!send.has_conversation_id()) return send.peer_user_id();
  const auto known = members_.find(StreamId{send.conversation_id()});
  if (known == members_.end()) return {};
  const auto& [one, other] = known->second;
  return Observer::user_named(one) == observer_.user_of(device) ? other : one;
}

// What the honest server behind is to see of a send that was made for false lists.
void Liar::make_acceptable(NodeId device, wire::Send& send) {
  google::protobuf::RepeatedPtrField<wire::Slice> kept;
  for (wire::Slice& slice : *send.mutable_slices()) {
    if (impostor_with(DeviceId{slice.device_id()}) == nullptr) kept.Add()->Swap(&slice);
  }
  send.mutable_slices()->Swap(&kept);
  const std::uint64_t revision = revisions_[StreamId{send.conversation_id()}];
  if (send.roster_revision() > revision) send.set_roster_revision(revision);
  const auto newest = [this](const UserId& user_id) -> std::uint64_t {
    const auto made = made_.find(user_id);
    return made == made_.end() || made->second.lists.empty() ? 0 : made->second.lists.rbegin()->first;
  };
  if (send.peer_user_id().empty()) return;
  const std::uint64_t own = newest(Observer::name_of(observer_.user_of(device)));
  send.set_own_list_version(std::min(send.own_list_version(), own));
  send.set_peer_list_version(std::min(send.peer_list_version(), newest(send.peer_user_id())));
}

// What it provokes has an end, or comes seldom.
void Liar::count(NodeId device, const wire::Send& send) {
  const MonotonicTime now = scheduler_.now();
  std::deque<MonotonicTime>& times = attempts_[{device, send.client_message_id()}];
  times.push_back(now);
  while (times.front() + kAttemptsWindow < now) times.pop_front();
  if (times.size() > kAttemptsMax) {
    finding("S14", "Device " + std::to_string(device) + " sent one message " + std::to_string(times.size()) +
                       " times within " + std::to_string(kAttemptsWindow.count()) + " s.");
  }
  if (send.kind() != wire::ITEM_KIND_RETRY) return;
  auto& requests = requests_[{device, DeviceId{send.slices(0).device_id()}}];
  requests.insert(send.client_message_id());
  const DeviceNode* const sender = device_of(device);
  if (sender == nullptr) return;
  // They come when there is a connection, many at once: what counts is how many there can be by now.
  const std::uint64_t most = retry_requests_by(now.time_since_epoch(), sender->processes());
  if (requests.size() > most) {
    finding("S14", "Device " + std::to_string(device) + " asked one device " + std::to_string(requests.size()) +
                       " times for what it could not open, and may have asked " + std::to_string(most) + " times.");
  }
}

// ---- What devices believe ------------------------------------------------------------------------------------------

// Who is gone says nothing of it any more.
bool Liar::believes(NodeId device, const UserId& user_id, const Impostor& attacker) const {
  DeviceNode* const node = device_of(device);
  const auto belief = node == nullptr ? std::nullopt : node->belief_of(user_id);
  return !belief || (belief->account_key == attacker.account_key() && belief->change_is_shown);
}

void Liar::judge(DeviceNode& device) {
  const std::string name = "Device " + std::to_string(device.number());
  for (const auto& [user_id, made] : made_) {
    const auto belief = device.belief_of(user_id);
    if (!belief) continue;
    if (!made.account_keys.contains(belief->account_key)) {
      if (!belief->change_is_shown) {
        finding("S10", name + " keeps another account key of " + user_id + ", and its app has not been told.");
      }
      continue;
    }
    auto& [account_key, version] = kept_[{device.number(), user_id}];
    const auto newest = e2ee::parse_device_list(belief->lists.back());
    if (newest && account_key == belief->account_key && newest->version < version) {
      finding("S10", name + " has gone back to version " + std::to_string(newest->version) + " of " + user_id +
                         "'s device list, from " + std::to_string(version) + ".");
    }
    if (newest) std::tie(account_key, version) = std::tie(belief->account_key, newest->version);
    for (const Bytes& list : belief->lists) {
      if (made.all.contains(list)) continue;
      finding("S10", name + " keeps a device list of " + user_id + " that no device of theirs has made.");
    }
  }
}

bool Liar::has_misled(DeviceNode& device) const {
  for (const auto& [user_id, made] : made_) {
    const auto belief = device.belief_of(user_id);
    if (belief && !made.account_keys.contains(belief->account_key)) return true;
  }
  return !device.has_sound_rosters();
}

}  // namespace chatsdk::sim
