// SPDX-License-Identifier: Apache-2.0
#include "sim/device_node.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "sim/canary.h"

namespace chatsdk::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr const char* kPassword = "correct horse battery";

std::uint64_t content_hash(BytesView content) { return hash_of(content); }

StoreKey make_key(Random& random) {
  StoreKey key;
  random.fill({key.data(), key.size()});
  return key;
}

constexpr char kNamePrefix[] = "device ";

// A token that occurs nowhere else behind the marker that canary.h looks for, and filler.
std::string make_text(std::string_view marker, Random& random, std::size_t bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(marker);
  for (int i = 0; i < 16; ++i) text += kDigits[random.below(16)];
  text.resize(std::max<std::size_t>(bytes, text.size()), '.');
  return text;
}

}  // namespace

DeviceNode::DeviceNode(Scheduler& scheduler, Network& network, Observer& observer, Log& log, std::uint64_t seed,
                       const DeviceNodeOptions& options)
    : scheduler_(scheduler),
      network_(network),
      observer_(observer),
      log_(log),
      options_(options),
      clock_(scheduler.now(), options.wall_start, options.drift),
      sqlite_random_(seed * 7 + 1),
      keys_(seed * 7 + 2),
      ids_(seed * 7 + 3),
      jitter_(seed * 7 + 4),
      app_(seed * 7 + 5),
      store_key_(options.copy ? options.copy->key.clone() : make_key(keys_)),
      disk_({.vfs_name = "sim-device-" + std::to_string(options.number),
             .seed = seed * 7 + 6,
             .clock = clock_,
             .random = sqlite_random_}),
      account_made_(!options.makes_account) {
  if (options_.copy) disk_.restore(options_.copy->disk);
  observer_.add_device(options.number, options.user);
}

DeviceNode::~DeviceNode() {
  disk_.power_off();
  process_.reset();
}

// ---- The process ---------------------------------------------------------------------------------------------------

std::optional<NodeId> DeviceNode::number_in(std::string_view device_name) {
  const std::string_view prefix = kNamePrefix;
  if (device_name.substr(0, prefix.size()) != prefix) return std::nullopt;
  NodeId number = 0;
  const char* const end = device_name.data() + device_name.size();
  const auto [last, failed] = std::from_chars(device_name.data() + prefix.size(), end, number);
  return failed == std::errc() && last == end ? std::optional(number) : std::nullopt;
}

Status DeviceNode::open_process(bool must_exist) {
  CHATSDK_ASSERT(process_ == nullptr);
  disk_at_start_ = disk_.counters();
  ++processes_;
  auto process = std::make_unique<Process>(scheduler_, network_, options_.number, clock_, disk_);
  DeviceStoreOptions store;
  store.path = kStorePath;
  store.key = &store_key_;
  store.base_vfs = disk_.vfs_name();
  store.outbox_max = options_.outbox_max;
  store.must_exist = must_exist;
  CHATSDK_ASSIGN(process->store, DeviceStore::open(store, keys_, clock_));
  CHATSDK_ASSIGN(process->reader, process->store->open_reader());
  if (options_.encrypted) CHATSDK_TRY(process->open_encryption());

  ClientOptions client;
  client.server_url = "http://server";
  client.device_name = kNamePrefix + std::to_string(options_.number);
  client.client_name = "sim";
  client.send_time_limit = options_.send_time_limit;
  client.backoff_cap = options_.backoff_cap;
  client.lifetimes = options_.lifetimes;
  EventSink& sink = *this;
  process->client = std::make_unique<Client>(
      client, ClientSeams{process->lane, RandomStreams{keys_, ids_, jitter_}, process->network, process->network, log_},
      *process->store, sink, process->encryption.get());
  process_ = std::move(process);
  state_ = ConnectionState::kStopped;
  log_in_request_ = 0;
  log_in_waits_ = false;
  suspended_ = false;
  look_is_posted_ = false;
  encryption_state_ = process_->client->encryption_state();
  return {};
}

Status DeviceNode::start() {
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  CHATSDK_TRY(open_process(false));
  told_.clear();
  conversations_.clear();
  shown_up_to_.clear();
  failed_.clear();
  lost_.clear();
  last_send_.reset();
  cleanup_ = {};
  syncs_.clear();
  cannot_read_ = false;
  record(event::Restart{options_.number});
  read_store();
  if (!cannot_read_) {
    open_discards_.clear();  // what is still there stays
    open_retries_.clear();   // what has failed still has
  }
  begin();
  return {};
}

void DeviceNode::suspend() {
  if (process_ == nullptr) return;
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  process_->client->finish();
  network_.device_crashed(options_.number, false);
  process_.reset();
  state_ = ConnectionState::kStopped;
  suspended_ = true;
}

Status DeviceNode::resume() {
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  CHATSDK_TRY(open_process(true));
  begin();
  return {};
}

void DeviceNode::begin() {
  act([this] {
    const auto session = process_->store->session();
    // The process may have ended between the session's saving and the log-in's end.
    const bool has_session = session.ok() && session->has_value();
    if (has_session && !std::exchange(linked_, true)) record(event::Linked{options_.number, options_.user});
    if (has_session) on_logged_in((*session)->device_id);
    process_->client->start();
    if (session.ok() && !session->has_value()) log_in();
  });
}

CrashReport DeviceNode::crash(CrashMode mode) {
  disk_.power_off();
  network_.device_crashed(options_.number, mode != CrashMode::kProcessOnly);
  process_.reset();
  state_ = ConnectionState::kStopped;
  suspended_ = false;
  return disk_.crash(mode);
}

void DeviceNode::close() {
  if (process_ == nullptr) return;
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  process_->client->stop();
  network_.device_crashed(options_.number, false);
  process_.reset();
  state_ = ConnectionState::kStopped;
}

void DeviceNode::stall(microseconds time) {
  if (process_ != nullptr) process_->lane.stall_until(scheduler_.now() + time);
}

void DeviceNode::record(Event event) {
  if (alive()) observer_.record(options_.number, std::move(event));
}

// The world judges it: an app that is dead was told nothing.
void DeviceNode::ended_with(const char* what, const Error& end) {
  if (alive() && end.code != Code::kOk) on_ended_with(what, end);
}

template <typename Act>
void DeviceNode::act(Act act) {
  if (process_ == nullptr) return;
  process_->lane.post([this, act = std::move(act)]() mutable {
    if (alive()) act();
  });
}

// Until then they are told again after each start.
void DeviceNode::take_events(const std::vector<e2ee::Event>& events) {
  const std::uint64_t last = events.empty() ? 0 : events.back().number;
  if (last == 0) return;
  act([this, last] { ended_with("encryption_events_taken", process_->client->encryption_events_taken(last)); });
}

// ---- What the user does --------------------------------------------------------------------------------------------

void DeviceNode::send(UserNumber peer, std::size_t text_bytes, std::optional<milliseconds> time_limit,
                      std::function<void(const SendOutcome&)> returned) {
  act([this, peer, text_bytes, time_limit, returned = std::move(returned)] {
    const ConversationNumber number = observer_.conversation(options_.user, peer);
    const bool encrypted = options_.encrypted && peer <= options_.users;
    const Result<ConversationKey> key = process_->client->direct_conversation(Observer::name_of(peer), encrypted);
    if (!key.ok()) {  // not logged in yet, or the disk failed
      ended_with("direct_conversation", key.error());
      if (returned) returned({number, key.error()});
      return;
    }
    conversations_[*key] = number;
    Client::SendOptions options;
    options.id = ClientMessageId::make(clock_.wall_now(), ids_);
    options.time_limit = time_limit;
    const std::string text =
        make_text(options_.encrypted && !encrypted ? kPlainMarker : kSecretMarker, app_, text_bytes);
    sent_here_.insert(*options.id);
    record(event::SendCalled{options_.number, number, *options.id, content_hash(encode_text_content(text)), peer,
                             to_unix_ms(clock_.wall_now() + time_limit.value_or(options_.send_time_limit))});
    const Result<Client::Sent> sent = process_->client->send_text(*key, text, options);
    record(event::SendReturned{options_.number, *options.id, sent.ok() ? Code::kOk : sent.code()});
    ended_with("send_text", sent);
    if (returned) returned({number, sent.ok() ? Result<ClientMessageId>(sent->id) : sent.error()});
    if (!alive() || !sent.ok()) return;
    if (const auto queued = process_->reader->outbox_count(); queued.ok()) {
      record(event::Bound{"outbox", *queued, options_.outbox_max});
    }
    ++sends_;
    last_send_ = LastSend{*key, *options.id, sent->message, text};
  });
}

// An app that did not see the first call's answer asks again: it gets the same message.
void DeviceNode::repeat_last_send() {
  act([this] {
    if (!last_send_) return;
    const LastSend last = *last_send_;
    Client::SendOptions options;
    options.id = last.k;
    const Result<Client::Sent> sent = process_->client->send_text(last.conversation, last.text, options);
    ended_with("send_text", sent);
    record(event::SendRepeated{options_.number, last.k, sent.ok() ? Code::kOk : sent.code(),
                               sent.ok() ? sent->id : ClientMessageId{}, sent.ok() && sent->message == last.message});
  });
}

void DeviceNode::contradict_last_send() {
  act([this] {
    // The store forgets the id of a message that is gone.
    if (!last_send_ || !process_->reader->message_by_client_id(last_send_->k).ok()) return;
    const LastSend last = *last_send_;
    Client::SendOptions options;
    options.id = last.k;
    const Result<Client::Sent> sent = process_->client->send_text(last.conversation, last.text + "!", options);
    ended_with("send_text", sent);
    record(event::SendContradicted{options_.number, last.k, sent.ok() ? Code::kOk : sent.code()});
  });
}

void DeviceNode::read(std::uint64_t draw) {
  act([this, draw] {
    if (shown_up_to_.empty()) return;
    auto entry = shown_up_to_.begin();
    std::advance(entry, static_cast<std::ptrdiff_t>(draw % shown_up_to_.size()));
    const auto number = conversation(entry->first);
    if (!number || entry->second == 0) return;
    const Seq up_to = draw % 3 == 0 ? 1 + (draw / 7) % entry->second : entry->second;
    record(event::MarkedRead{options_.number, *number, up_to});
    const Status status = process_->client->mark_read(entry->first, up_to);
    record(event::MarkReadReturned{options_.number, *number, up_to, status.code()});
    ended_with("mark_read", status);
  });
}

void DeviceNode::retry_failed(std::uint64_t draw) {
  act([this, draw] {
    if (failed_.empty()) return;
    auto key = failed_.begin();
    std::advance(key, static_cast<std::ptrdiff_t>(draw % failed_.size()));
    retry(*key);
  });
}

void DeviceNode::retry(MessageKey key) {
  const auto row = process_->reader->message(key);
  if (!row.ok() || row->state != MessageState::kFailed) return;
  open_retries_[key] = {row->client_message_id, row->failure == Code::kRolledBack,
                        to_unix_ms(clock_.wall_now() + options_.send_time_limit)};
  const Status retried = process_->client->retry(row->client_message_id);
  ended_with("retry", retried);
  if (retried.ok()) {
    failed_.erase(key);
    lost_.erase(key);
  }
  if (!alive()) return;  // the next read of the store tells what came of it
  const auto after = process_->reader->message(key);
  cannot_read_ = cannot_read_ || !after.ok();
  if (after.ok()) settle_retry(*after);
  // What could not be read is seen later; and a commit that failed may yet be found done by the next process.
  if (after.ok() && (retried.ok() || !is_of_store(retried.error()))) open_retries_.erase(key);
}

void DeviceNode::settle_lost(std::uint64_t draw) {
  act([this, draw] {
    if (lost_.empty()) return;
    auto key = lost_.begin();
    std::advance(key, static_cast<std::ptrdiff_t>(draw / 4 % lost_.size()));
    if (draw % 4 == 0) {
      give_up(*key);
    } else {
      retry(*key);
    }
  });
}

void DeviceNode::retry_lost() {
  act([this] {
    const std::set<MessageKey> lost = lost_;
    for (const MessageKey key : lost) {
      if (alive()) retry(key);
    }
  });
}

// What came of a retry: the message has failed as before, or it waits again, perhaps under another id.
void DeviceNode::settle_retry(const MessageRow& row) {
  const auto open = open_retries_.find(row.key);
  if (open == open_retries_.end()) return;
  const OpenRetry asked = open->second;
  const ClientMessageId before = asked.k;
  if (row.client_message_id == before && row.state == MessageState::kFailed) return;
  open_retries_.erase(open);
  if (!sent_here_.contains(row.client_message_id)) {
    if (last_send_ && last_send_->k == before) last_send_->k = row.client_message_id;
    const auto number = conversation(row.conversation);
    sent_here_.insert(row.client_message_id);
    record(event::SendCalled{options_.number, number.value_or(kNoConversation), row.client_message_id,
                             content_hash(row.content), 0, asked.latest_ms});
    record(event::SendReturned{options_.number, row.client_message_id, Code::kOk});
  }
  record(event::Retried{options_.number, before, row.client_message_id, asked.lost, asked.latest_ms});
}

void DeviceNode::discard_failed(std::uint64_t draw) {
  act([this, draw] {
    if (failed_.empty()) return;
    auto key = failed_.begin();
    std::advance(key, static_cast<std::ptrdiff_t>(draw % failed_.size()));
    give_up(*key);
  });
}

// One that never was on its way: offline, mostly.
void DeviceNode::discard_queued(std::uint64_t draw) {
  act([this, draw] {
    std::vector<MessageKey> queued;
    for (const auto& [key, told] : told_) {
      if (told.state == static_cast<std::int32_t>(MessageState::kQueued)) queued.push_back(key);
    }
    if (!queued.empty()) give_up(queued[draw % queued.size()]);
  });
}

void DeviceNode::give_up(MessageKey key) {
  const auto row = process_->reader->message(key);
  if (!row.ok() || (row->state != MessageState::kFailed && row->state != MessageState::kQueued)) return;
  const Status discarded = process_->client->discard(row->client_message_id);
  ended_with("discard", discarded);
  // Also when the disk failed in the middle: the app asks no more for what it has given up.
  if (last_send_ && last_send_->k == row->client_message_id) last_send_.reset();
  const event::Discarded gone{options_.number, row->client_message_id, row->failure == Code::kRolledBack};
  if (!discarded.ok()) {
    // The disk failed or lost its power in the middle: the transaction may be on it.
    const bool is_open = !alive() || discarded.code() == Code::kStorage;
    if (is_open) open_discards_.insert_or_assign(gone.k, OpenDiscard{row->conversation, gone});
    return;
  }
  failed_.erase(key);
  lost_.erase(key);
  // Durable, also when the process ended right behind it.
  observer_.record(options_.number, gone);
}

// What came of discards that did not return ok, as a full read of their conversation shows it.
void DeviceNode::settle_discards(ConversationKey read, const std::vector<MessageRow>& rows) {
  std::erase_if(open_discards_, [&](const auto& open) {
    if (open.second.conversation != read) return false;
    const auto is_it = [&](const MessageRow& row) { return row.client_message_id == open.first; };
    if (std::any_of(rows.begin(), rows.end(), is_it)) return false;
    record(open.second.event);
    return true;
  });
}

bool DeviceNode::settle_failed() {
  if (failed_.empty()) return false;
  act([this] {
    const std::set<MessageKey> failed = failed_;
    for (const MessageKey key : failed) give_up(key);
  });
  return true;
}

void DeviceNode::read_all() {
  act([this] {
    for (const auto& [key, up_to] : shown_up_to_) {
      const auto number = conversation(key);
      if (!number || up_to == 0) continue;
      record(event::MarkedRead{options_.number, *number, up_to});
      const Status status = process_->client->mark_read(key, up_to);
      record(event::MarkReadReturned{options_.number, *number, up_to, status.code()});
      ended_with("mark_read", status);
    }
  });
}

void DeviceNode::see_levels() {
  if (!alive()) return;
  for (const Client::Level& level : process_->client->levels()) {
    observer_.on_level(options_.number, level.name, level.size, level.limit);
  }
}

bool DeviceNode::has(const ClientMessageId& k) const {
  for (const auto& [key, told] : told_) {
    if (told.k == k && told.seq != 0) return true;
  }
  return false;
}

bool DeviceNode::sees_read(const ClientMessageId& k) {
  const Scheduler::ActingFor turn(scheduler_, options_.number);
  const auto row = process_->reader->message_by_client_id(k);
  return row.ok() && row->state == MessageState::kRead;
}

void DeviceNode::log_out() {
  act([this] { process_->client->logout(++last_request_); });
}

void DeviceNode::revoke_another_device() {
  act([this] { process_->client->list_devices(++last_request_); });
}

void DeviceNode::replace_identity() {
  act([this] { ended_with("replace_account", process_->client->replace_account()); });
}

void DeviceNode::remove_devices_if(std::function<bool(NodeId)> is_gone) {
  act([this, is_gone = std::move(is_gone)]() mutable {
    process_->client->list_devices(++last_request_);
    cleanup_ = {last_request_, std::move(is_gone)};
  });
}

// How often the server has gone back to an older state.
std::uint64_t DeviceNode::restores() const {
  const auto found = observer_.faults().find("server_restored");
  return found == observer_.faults().end() ? 0 : found->second;
}

// Whoever uses a refresh token that was used ends the session with it: the device logs in again.
void DeviceNode::reuse_refresh_token() {
  act([this] {
    const auto session = process_->store->session();
    if (!session.ok() || !session->has_value() || (*session)->refresh_token.empty()) return;
    const std::uint64_t before = restores();
    const auto used =
        copied_token_.copy_or_use({(*session)->refresh_token, process_->store->installation_id(), before});
    if (!used) return;
    wire::RefreshRequest body;
    body.set_refresh_token(*used);
    body.set_request_id(ids_.bytes(limits::kRequestIdBytes));
    HttpRequest request;
    request.method = "POST";
    request.url = "http://server/v1/sessions/refresh";
    request.headers["content-type"] = std::string(kProtobufType);
    request.headers["accept"] = std::string(kProtobufType);
    request.body = body.SerializeAsString();
    process_->network.request(std::move(request), [this, before](const Result<HttpResponse>& answer) {
      const bool taken = answer.ok() && answer->status == 200;
      if (const Verdict found = CopiedToken::judge(taken, before, restores())) observer_.on_broken("tokens", *found);
    });
  });
}

void DeviceNode::begin_link() {
  act([this] {
    const auto text = process_->client->begin_link();
    if (text.ok() && on_text) on_text(*text);
    if (!text.ok() && on_link_end) on_link_end(text.error());
  });
}

void DeviceNode::scan_link(const std::string& text) {
  act([this, text] {
    if (auto scanned = process_->client->scan_link(text); !scanned.ok() && on_link_end) on_link_end(scanned);
  });
}

void DeviceNode::cancel_link() {
  act([this] { process_->client->cancel_link(); });
}

void DeviceNode::confirm_link() {
  act([this] {
    if (auto confirmed = process_->client->confirm_link(); !confirmed.ok() && on_link_end) on_link_end(confirmed);
  });
}

void DeviceNode::lose_sessions() {
  act([this] {
    if (process_->encryption == nullptr) return;
    (void)process_->encryption->write(
        [](E2eeTransaction& transaction) { return transaction.state().drop_all_sessions(); });
  });
}

// ---- What the user asks --------------------------------------------------------------------------------------------

void DeviceNode::sync(microseconds limit, std::function<void(Code)> returned) {
  act([this, limit, returned = std::move(returned)] {
    const std::uint64_t number = ++last_sync_;
    syncs_[number] = returned ? returned : [](Code) {};
    process_->lane.post_after(limit, [this, number] {
      if (alive()) end_sync(number, Code::kTimedOut);
    });
    look_at_syncs();
  });
}

// In a turn of its own after each that may have changed something; when the answer is yes, what the engine tells of it
// comes in turns that were posted before the one in which the sync returns.
void DeviceNode::look_at_syncs() {
  if (syncs_.empty() || std::exchange(look_is_posted_, true)) return;
  act([this] {
    look_is_posted_ = false;
    const auto told = process_->store->all_told();
    if (told.ok() && (!*told || process_->client->connection_state() != ConnectionState::kOnline)) return;
    ended_with("sync", told);
    const Code code = told.ok() ? Code::kOk : told.code();
    for (const auto& [number, returned] : syncs_) {
      if (code == Code::kOk) record(event::SyncLooked{options_.number, number});
      act([this, number = number, code] { end_sync(number, code); });
    }
  });
}

void DeviceNode::end_sync(std::uint64_t number, Code code) {
  const auto found = syncs_.find(number);
  if (found == syncs_.end()) return;
  const auto returned = std::move(found->second);
  syncs_.erase(found);
  const bool server_read = code == Code::kOk && record_server_marks && record_server_marks();
  record(event::SyncReturned{options_.number, code, server_read, number});
  returned(code);
}

void DeviceNode::ask_receipts(std::uint64_t draw) {
  act([this, draw] {
    if (told_.empty()) return;
    auto told = told_.begin();
    std::advance(told, static_cast<std::ptrdiff_t>(draw % told_.size()));
    const auto row = process_->reader->message(told->first);
    const auto number = row.ok() ? conversation(row->conversation) : std::nullopt;
    if (!number) return;
    observe_marks(row->conversation);
    for (const UserNumber user : observer_.members(*number)) {
      const auto receipt = process_->reader->receipt(row->key, Observer::name_of(user));
      const Code answer = receipt.ok() ? Code::kOk : receipt.code();
      const Verdict found = judge_receipt({options_.number, *number, row->client_message_id, row->seq, answer});
      if (found) observer_.on_broken("receipts", *found);
      if (!receipt.ok()) {
        cannot_read_ = cannot_read_ || answer != Code::kNotFound;
        continue;
      }
      const auto ms = [](const std::optional<WallTime>& time) { return time ? to_unix_ms(*time) : 0; };
      record(event::ReceiptAnswered{options_.number, *number, row->seq, user, ms(receipt->delivered_at),
                                    ms(receipt->read_at)});
    }
  });
}

void DeviceNode::restart_client() {
  act([this] {
    process_->client->stop();
    process_->client->start();
  });
}

void DeviceNode::network_changed() {
  act([this] { process_->client->network_changed(); });
}

// ---- Log-in --------------------------------------------------------------------------------------------------------

void DeviceNode::log_in() {
  log_in_request_ = ++last_request_;
  if (options_.backend != nullptr) {
    const std::string user = Observer::name_of(options_.user);
    process_->client->login_with_assertion(log_in_request_, options_.backend->vouch_for(user));
  } else if (account_made_) {
    process_->client->login(log_in_request_, Observer::name_of(options_.user), kPassword);
  } else {
    Registration registration;
    registration.user_id = Observer::name_of(options_.user);
    registration.password = kPassword;
    process_->client->register_account(log_in_request_, registration);
  }
}

void DeviceNode::log_in_later() {
  if (std::exchange(log_in_waits_, true)) return;
  process_->lane.post_after(milliseconds(200 + app_.below(3'000)), [this] {
    log_in_waits_ = false;
    // Not what the store says: tokens that were refused may have stayed there.
    if (alive() && state_ == ConnectionState::kNotLoggedIn) log_in();
  });
}

void DeviceNode::on_completed(RequestId request, const Status& status) {
  if (!alive()) return;
  ended_with("a request", status);
  if (request != log_in_request_) return;
  log_in_request_ = 0;
  if (status.code() == Code::kAlreadyExists) account_made_ = true;
  // A server that was put back may have lost the account, of which its user knows.
  if (status.code() == Code::kUnauthenticated && linked_) account_made_ = false;
  if (!status.ok()) return log_in_later();
  account_made_ = true;
  if (!std::exchange(linked_, true)) record(event::Linked{options_.number, options_.user});
  if (const auto session = process_->store->session(); session.ok() && *session) on_logged_in((*session)->device_id);
  process_->client->start();
}

void DeviceNode::on_session_ended(const Error& cause) {
  ended_with("the session", cause);
  if (alive()) log_in_later();
}

void DeviceNode::on_devices(RequestId request, const std::vector<DeviceInfo>& devices) {
  if (!alive()) return;
  if (cleanup_.is_gone && request == cleanup_.request) {
    const auto is_gone = std::exchange(cleanup_.is_gone, {});
    for (const DeviceInfo& device : devices) {
      const auto number = number_in(device.name);
      const bool gone = !device.current && number && is_gone(*number);
      if (gone) process_->client->revoke_device(++last_request_, device.device_id);
    }
    return;
  }
  for (const DeviceInfo& device : devices) {
    if (device.current) continue;
    return process_->client->revoke_device(++last_request_, device.device_id);
  }
}

void DeviceNode::on_connection(ConnectionState state, const Error& cause, milliseconds) {
  state_ = state;
  ended_with("the connection", cause);
  look_at_syncs();
  // A log-out of one's own ends here too.
  if (alive() && state == ConnectionState::kNotLoggedIn && log_in_request_ == 0) log_in_later();
}

// ---- What the app sees ---------------------------------------------------------------------------------------------

std::optional<ConversationNumber> DeviceNode::conversation(ConversationKey key) {
  const auto known = conversations_.find(key);
  if (known != conversations_.end()) return known->second;
  const auto row = process_->reader->conversation(key);
  cannot_read_ = cannot_read_ || (!row.ok() && row.code() != Code::kNotFound);
  if (!row.ok() || row->peer.empty()) return std::nullopt;
  const ConversationNumber number = observer_.conversation(options_.user, Observer::user_named(row->peer));
  conversations_[key] = number;
  return number;
}

void DeviceNode::on_changes(const Changes& changes) {
  if (!alive()) return;
  observe_epoch();
  for (const auto* list : {&changes.added, &changes.updated}) {
    for (const auto& ref : *list) {
      const auto row = process_->reader->message(ref.message);
      if (row.ok()) {
        observe(*row);
      } else if (row.code() != Code::kNotFound) {
        cannot_read_ = true;
      }
    }
  }
  for (const auto& ref : changes.removed) {
    told_.erase(ref.message);
    failed_.erase(ref.message);
    lost_.erase(ref.message);
  }
  for (const ConversationKey key : changes.marks) observe_marks(key);
  look_at_syncs();
}

ToldMessage DeviceNode::told_of(const MessageRow& row, ConversationNumber number) {
  const bool follows = row.state == MessageState::kDelivered || row.state == MessageState::kRead;
  const MessageState state = follows ? MessageState::kSent : row.state;
  return {row.seq, static_cast<std::int32_t>(state), row.failure, row.client_message_id, row.content.empty(), number};
}

void DeviceNode::observe(const MessageRow& row) {
  const auto number = conversation(row.conversation);
  if (!number) return;
  const ToldMessage now = told_of(row, *number);
  const auto [entry, is_new] = told_.try_emplace(row.key, now);
  const ToldMessage before = is_new ? ToldMessage{} : std::exchange(entry->second, now);
  const UserNumber sender = Observer::user_named(row.sender);
  const bool own = sender == options_.user;

  // What the server has lost blocks nothing, and says so until it comes again. What was to be sent again, and has
  // failed as before by the time the app hears of it, has failed anew. What has no text here is nobody's to send again.
  const bool lost = row.failure == Code::kRolledBack;
  const auto enters = [&row](std::set<MessageKey>& list, bool belongs) {
    if (!belongs) list.erase(row.key);
    return belongs && list.insert(row.key).second;
  };
  const bool lost_anew = enters(lost_, lost && own && !row.content.empty());
  const bool failed_anew = enters(failed_, row.state == MessageState::kFailed && !lost);
  if (!is_new && before == now && !lost_anew && !failed_anew) return;
  if (row.content.empty()) {
    if (row.seq != 0) record(event::PlaceholderShown{options_.number, *number, row.seq, row.seq});
    return;
  }
  if (row.seq != 0) {
    shown_up_to_[row.conversation] = std::max(shown_up_to_[row.conversation], row.seq);
    record(event::Shown{options_.number, *number, row.client_message_id, row.seq, content_hash(row.content), sender});
  }
  if (own) {
    if (row.seq != 0 && before.seq != row.seq && sent_here_.contains(row.client_message_id)) {
      record(event::Acked{options_.number, row.client_message_id, row.seq});
    }
    if (!lost) record(event::StateSeen{options_.number, row.client_message_id, seen(row.state)});
  }
  if (row.state == MessageState::kFailed || lost) {
    record(event::Failed{options_.number, row.client_message_id, row.failure, to_unix_ms(clock_.highest_wall())});
  }
}

void DeviceNode::observe_epoch() {
  const auto epoch = process_->store->store_epoch();
  if (epoch.ok() && *epoch != 0 && *epoch != std::exchange(epoch_, *epoch)) {
    record(event::EpochSeen{options_.number, *epoch});
  }
}

void DeviceNode::observe_marks(ConversationKey key, std::vector<event::ReceiptSeen>* receipts) {
  const auto number = conversation(key);
  if (!number) return;
  const auto marks = process_->reader->marks(key);
  if (!marks.ok()) {
    cannot_read_ = true;
    return;
  }
  for (const auto& mark : *marks) {
    const UserNumber user = Observer::user_named(mark.user_id);
    for (const auto& [kind, up_to] :
         {std::pair(MarkKind::kDelivered, mark.delivered_up_to), std::pair(MarkKind::kRead, mark.read_up_to)}) {
      if (up_to == 0) continue;
      const event::ReceiptSeen seen{options_.number, *number, user, kind, up_to};
      record(seen);
      if (receipts != nullptr) receipts->push_back(seen);
    }
  }
}

// ---- By pages ------------------------------------------------------------------------------------------------------

void DeviceNode::page(std::uint64_t draw) {
  act([this, draw] {
    const std::vector<ConversationRow> all = all_conversations();
    if (all.empty() || cannot_read_) return;
    const auto rows_of = [](std::uint64_t size) { return static_cast<std::size_t>(1 + size % limits::kPageMax); };
    const auto history = by_pages(all[draw % all.size()], rows_of(draw / 7 % 11), rows_of(draw / 77));
    cannot_read_ = cannot_read_ || !history.ok();
    if (!history.ok()) return;
    const Verdict found = judge_pages(*history);
    if (!found) return;
    const std::string name = "Device " + std::to_string(options_.number) + ": ";
    observer_.on_broken("paging", Finding(name + found->what + ".", found->conversation));
  });
}

// A history in both directions, with single reads of one in its middle.
Result<PagedHistory> DeviceNode::by_pages(const ConversationRow& conversation, std::size_t up, std::size_t down) {
  const auto paged = [](const MessageRow& row) {
    return PagedMessage{row.key.value, row.seq, static_cast<std::int32_t>(row.state), content_hash(row.content),
                        row.client_message_id};
  };
  const auto add = [&paged](std::vector<ReadPage>& pages, const auto& page) {
    pages.push_back({{}, page.more});
    for (const MessageRow& row : page.rows) pages.back().rows.push_back(paged(row));
    return page.more && !page.rows.empty();
  };
  DeviceReader& reader = *process_->reader;
  PagedHistory history;
  history.conversation = this->conversation(conversation.key).value_or(kNoConversation);
  history.up = up;
  history.down = down;
  std::vector<MessageRow> forwards;
  CHATSDK_ASSIGN(auto page, reader.history_after(conversation.key, Seq{0}, up));
  for (;;) {
    forwards.insert(forwards.end(), page.rows.begin(), page.rows.end());
    if (!add(history.forwards, page)) break;
    CHATSDK_ASSIGN(page, reader.history_after(conversation.key, page.rows.back().key, up));
  }
  count_unread(conversation, forwards);
  CHATSDK_ASSIGN(page, reader.history_before(conversation.key, Seq{0}, down));
  while (add(history.backwards, page)) {
    CHATSDK_ASSIGN(page, reader.history_before(conversation.key, page.rows.front().key, down));
  }
  if (!forwards.empty()) {
    const MessageKey asked = forwards[forwards.size() / 2].key;
    CHATSDK_ASSIGN(const MessageRow one, reader.message(asked));
    history.asked = asked.value;
    history.alone = paged(one);
    if (one.seq != 0) {
      CHATSDK_ASSIGN(const auto before, reader.history_before(conversation.key, one.seq, limits::kPageMax));
      for (const MessageRow& row : before.rows) history.before.push_back(paged(row));
    }
  }
  const std::vector<ConversationRow> all = all_conversations();
  if (cannot_read_) return error(Code::kStorage, "the conversations cannot be read");
  for (const ConversationRow& row : all) history.unread_each_once += row.unread_count;
  CHATSDK_ASSIGN(history.unread_in_all, reader.unread_total());
  return history;
}

}  // namespace chatsdk::sim
