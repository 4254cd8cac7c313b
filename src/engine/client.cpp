// SPDX-License-Identifier: Apache-2.0
#include "engine/client.h"

#include <new>
#include <set>

#include "base/fault.h"
#include "base/wipe.h"
#include "engine/account.h"
#include "engine/connection.h"
#include "engine/context.h"
#include "engine/encryption.h"
#include "engine/events.h"
#include "engine/groups.h"
#include "engine/inbox.h"
#include "engine/operations.h"
#include "engine/outbox.h"
#include "engine/receipts.h"
#include "engine/rest_api.h"
#include "engine/session.h"
#include "protocol/content.h"

namespace chatsdk {

// Puts the parts together and passes on what one tells another. Members stand in the order of who needs whom, so that
// they end in the reverse order.
class Client::Impl final : public Session::Observer, public Connection::Observer, private Encryption::Observer {
 public:
  Impl(ClientOptions client_options, ClientSeams seams, DeviceStore& store, EventSink& sink, E2eeStore* e2ee)
      : options(std::move(client_options)),
        events(seams.executor, sink),
        context{options, seams.executor, seams.random, seams.transport, seams.http, seams.log, store, events},
        rest(seams.http, options.server_url),
        session(context, rest, *this),
        connection(context, session, rest, *this),
        encryption(make_encryption(e2ee)),
        outbox(context, connection, encryption.get()),
        operations(context, connection, session, rest, outbox),
        groups(context, connection, session, rest),
        inbox(context, connection, outbox, groups, encryption.get()),
        receipts(context, connection),
        account(context, session, rest, connection, encryption.get()) {}

  ~Impl() override = default;

  // Session::Observer
  void on_session_started() override {
    if (encryption) encryption->on_session_started();
    connection.session_started();
  }
  void on_token_renewed(const std::string& access_token) override { connection.token_renewed(access_token); }
  void on_session_over(const Error& cause) override { connection.session_over(cause); }

  std::unique_ptr<Encryption> make_encryption(E2eeStore* e2ee) {
    if (e2ee == nullptr) return nullptr;
    return std::make_unique<Encryption>(context, *e2ee, session, rest, static_cast<Encryption::Observer&>(*this));
  }
  void on_keys_changed() override { outbox.keys_changed(); }
  void on_unsealed(const std::optional<UserId>& peer) override { outbox.unsealed(peer); }
  void on_rows_added() override { outbox.changed_by_app(); }
  void on_lists_answered() override { inbox.go_on(); }
  bool all_is_read() const override { return inbox.all_applied(); }
  void on_fewer_missing() override {
    inbox.tell_delivered();
    receipts.on_caught_up();
  }

  // Connection::Observer
  Status complete_hello(wire::Hello& hello) override {
    if (!encryption) return {};
    hello.add_features(std::string(kFeatureEncryption));
    CHATSDK_ASSIGN(const std::uint64_t counter, encryption->counter());
    hello.set_encryption_counter(counter);
    return {};
  }
  Status before_epoch() override { return encryption ? encryption->before_epoch() : Status(); }
  void on_welcome(const wire::Welcome& welcome) override {
    if (welcome.text_bytes_max() > 0) {
      const std::size_t named = std::min<std::size_t>(welcome.text_bytes_max(), limits::kTextBytesMax);
      if (auto saved = context.store.save_text_bytes_max(named); !saved.ok()) {
        return connection.fail(saved.error(), CloseCode::kGoingAway);
      }
    }
    context.store.catching_up(true);
    if (encryption) encryption->on_welcome(welcome);
    outbox.on_welcome(welcome);
  }
  void on_delivery_frame(wire::ServerFrame& frame) override {
    if (frame.has_send_result()) return outbox.on_result(frame.send_result());
    if (frame.has_void_result()) return outbox.on_result(frame.void_result());
    if (frame.has_key_counts()) {
      if (encryption) encryption->on_key_counts(frame.key_counts());
      return;
    }
    inbox.on_frame(frame);
  }
  void on_caught_up() override {
    context.store.catching_up(false);
    if (encryption) encryption->on_caught_up();
    receipts.on_caught_up();
    groups.on_caught_up();
    operations.on_caught_up();
  }
  void on_writable() override {
    inbox.on_writable();
    outbox.on_writable();
    receipts.on_writable();
  }
  void on_lost() override {
    if (encryption) encryption->on_lost();
    outbox.on_lost();
    inbox.on_lost();
    groups.on_lost();
    operations.on_lost();
    receipts.on_lost();
    context.store.catching_up(false);
  }

  // Tells the parts what a commit of the app's has changed. The app's answer is the commit's, so a part that finds no
  // memory may not spoil it: the recovery begins anew from the store.
  template <typename Tell>
  void tell_parts(Tell&& tell) {
    try {
      tell();
    } catch (const std::bad_alloc&) {
      context.executor.lose_turn();
    }
  }

  void stop(const Error& cause) {
    if (encryption) encryption->cancel(cause);
    connection.stop();
    outbox.stop();
    session.cancel_all();
    rest.cancel_all();
    account.cancel_all(cause);
  }

  Result<WallTime> deadline(const std::optional<std::chrono::milliseconds>& named) const {
    const std::chrono::milliseconds limit = named.value_or(options.send_time_limit);
    const std::chrono::milliseconds most = limits::kSendTimeLimitMax;
    if (limit <= limit.zero() || limit > most) {
      return error(Code::kInvalidArgument, "time limit " + std::to_string(limit.count()) + " ms, allowed 1 to " +
                                               std::to_string(most.count()) + " ms");
    }
    return context.wall_now() + (CHATSDK_PLANTED(Bug::kTimesOutAtHalf) ? limit / 2 : limit);
  }

  std::size_t text_bytes_max() const {
    const std::size_t named = context.store.text_bytes_max();
    return named == 0 ? limits::kTextBytesDefault : named;
  }

  Status check_owner() {
    CHATSDK_TRY(session.load());
    if (session.owner().empty()) return error(Code::kNotLoggedIn, "nobody has logged in on this store yet");
    return {};
  }

  // Another user than the owner, who is known.
  Status check_peer(const UserId& peer) {
    CHATSDK_TRY(check_owner());
    if (peer.empty()) return error(Code::kInvalidArgument, "user id of 0 B");
    if (peer.size() > limits::kUserIdBytesMax) {
      return error(Code::kTooLarge, "user id " + std::to_string(peer.size()) + " B, limit " +
                                        std::to_string(limits::kUserIdBytesMax) + " B");
    }
    if (!is_utf8(peer)) return error(Code::kInvalidUtf8, "the user id is not valid UTF-8");
    if (peer == session.owner()) return error(Code::kInvalidArgument, "this is the store's own user");
    return {};
  }

  // Brings what is in the store on its way.
  std::uint64_t operate(Events::Place& place, DeviceStore::AddedOperation added);
  // operation: makes it, of the group's id.
  template <typename Operation>
  Result<std::uint64_t> operate(ConversationKey conversation, Operation&& operation);
  // Others than the owner, each once.
  Status check_users(const std::vector<UserId>& users);

  // What passed content::check().
  Result<Sent> send(ConversationKey conversation, Bytes content, const SendOptions& send_options);
  Result<DeviceStore::Named> named(MessageKey message, bool only_own);
  template <typename Kind>
  Result<Sent> annotate(const DeviceStore::Named& target, Kind kind);

  const ClientOptions options;
  Events events;
  const EngineContext context;
  RestApi rest;
  Session session;
  Connection connection;
  const std::unique_ptr<Encryption> encryption;  // none: this client takes no part in it
  Outbox outbox;
  Operations operations;
  Groups groups;
  Inbox inbox;
  Receipts receipts;
  Account account;
};

Result<Client::Sent> Client::Impl::send(ConversationKey conversation, Bytes content, const SendOptions& send_options) {
  CHATSDK_ASSIGN(const WallTime latest, deadline(send_options.time_limit));
  const ClientMessageId id =
      send_options.id.has_value() ? *send_options.id : ClientMessageId::make(context.wall_now(), context.random.ids);
  CHATSDK_ASSIGN(const DeviceStore::Nature nature, context.store.nature(conversation));
  if (nature.encrypted && !encryption)
    return error(Code::kWrongState, "the conversation is encrypted, and this client is not");
  const bool may_be_encrypted = nature.encrypted || nature.undecided;
  if (encryption && !may_be_encrypted && !nature.accepted) return not_accepted_as_plain();
  // What is encrypted, or may be, goes the way of all rows: its keys may be missing.
  const bool waits = encryption && may_be_encrypted;
  const bool on_wire = !waits && !nature.unmade && outbox.may_send_now(conversation);
  Events::Place place = events.reserve();
  CHATSDK_ASSIGN(auto enqueued,
                 context.store.enqueue(conversation, id, std::move(content), context.wall_now(), latest, on_wire));
  CHATSDK_FAULT("client.between_queued_and_returned");
  place.fill(std::move(enqueued.changes));
  if (!enqueued.repeated) {
    tell_parts([&] { outbox.enqueued(conversation, enqueued.send_number, latest, on_wire); });
  }
  return Sent{id, enqueued.message};
}

Result<DeviceStore::Named> Client::Impl::named(MessageKey message, bool only_own) {
  CHATSDK_TRY(check_owner());
  CHATSDK_ASSIGN(DeviceStore::Named named, context.store.named(message));
  if (named.deleted) return error(Code::kWrongState, "the message was deleted");
  if (!named.shown || named.author.empty() || named.id == ClientMessageId()) {
    return error(Code::kWrongState, "there is nothing to be said of this message");
  }
  if (only_own && !named.own) return error(Code::kForbidden, "the message is another's");
  return named;
}

template <typename Kind>
Result<Client::Sent> Client::Impl::annotate(const DeviceStore::Named& target, Kind kind) {
  kind.target.id = target.id;
  if (!target.own) kind.target.author = target.author;
  content::Annotation annotation;
  annotation.kind = std::move(kind);
  CHATSDK_TRY(content::check(annotation, text_bytes_max()));
  return send(target.conversation, content::write(annotation), {});
}

Client::Client(ClientOptions options, ClientSeams seams, DeviceStore& store, EventSink& sink, E2eeStore* encryption)
    : impl_(std::make_unique<Impl>(std::move(options), seams, store, sink, encryption)) {}

Client::~Client() = default;

// ---- Life ----------------------------------------------------------------------------------------------------------

void Client::start() {
  if (impl_->connection.state() != ConnectionState::kStopped) return;
  tell_kept_events();
  impl_->outbox.start();
  impl_->connection.start();
}

void Client::tell_kept_events() {
  if (impl_->encryption) impl_->encryption->tell_kept_events();
  impl_->operations.tell_ended();
}

Status Client::encryption_events_taken(std::uint64_t up_to) {
  return impl_->encryption ? impl_->encryption->events_taken(up_to) : Status();
}

void Client::stop() { impl_->stop(error(Code::kCancelled, "the client was stopped")); }

void Client::recover(bool runs) {
  const Error cause = error(Code::kNoMemory, "memory ran out");
  impl_->stop(cause);
  impl_->session.forget();
  tell_kept_events();
  if (!runs) return;
  impl_->outbox.start();
  impl_->connection.start_after_loss(cause);
}

void Client::forget(RequestId request) { impl_->account.forget(request); }

void Client::finish() {
  stop();
  impl_->events.flush();
}

void Client::tell_overdue() { impl_->events.tell_overdue(); }

void Client::network_changed() { impl_->connection.network_changed(); }

ConnectionState Client::connection_state() const { return impl_->connection.state(); }

std::array<Client::Level, 5> Client::levels() const {
  const Impl& engine = *impl_;
  return {{{"items that wait to be applied", engine.inbox.waiting_items(), limits::kWaitingItemsMax},
           {"frames that wait to be applied", engine.inbox.waiting_frames(), limits::kWaitingFramesMax},
           {"gaps asked for", engine.inbox.gaps(), limits::kPulledMax},
           {"open requests", engine.account.open_requests(), limits::kOpenRequestsMax},
           {"attempts on a gateway", engine.connection.gateway_attempts(), limits::kGatewayAttemptsMax}}};
}

// ---- Account -------------------------------------------------------------------------------------------------------

void Client::register_account(RequestId request, Registration registration) {
  const WipeAtEnd wiped(registration.password);
  impl_->account.register_account(request, registration);
}

void Client::login(RequestId request, std::string user_id, std::string password) {
  const WipeAtEnd wiped(password);
  impl_->account.login(request, user_id, password);
}

void Client::login_with_assertion(RequestId request, std::string assertion) {
  impl_->account.login_with_assertion(request, assertion);
}

void Client::logout(RequestId request) { impl_->account.logout(request); }

void Client::list_devices(RequestId request) { impl_->account.list_devices(request); }

void Client::revoke_device(RequestId request, DeviceId device) { impl_->account.revoke_device(request, device); }

// ---- Groups --------------------------------------------------------------------------------------------------------

namespace {

Status check_bytes(const char* name, BytesView bytes, std::size_t max) {
  if (bytes.size() <= max) return {};
  return error(Code::kTooLarge,
               std::string(name) + " " + std::to_string(bytes.size()) + " B, limit " + std::to_string(max) + " B");
}

Status check_words(const char* name, const std::string& text, std::size_t max) {
  CHATSDK_TRY(check_bytes(name, text, max));
  return is_utf8(text) ? Status() : Status(error(Code::kInvalidUtf8, std::string(name) + " is not valid UTF-8"));
}

Status check_changes(const group::Changes& changes) {
  if (changes.name) CHATSDK_TRY(check_words("name", *changes.name, limits::groups::kNameBytesMax));
  if (changes.description) {
    CHATSDK_TRY(check_words("description", *changes.description, limits::groups::kDescriptionBytesMax));
  }
  if (changes.picture) CHATSDK_TRY(check_bytes("picture", *changes.picture, limits::groups::kPictureBytesMax));
  return {};
}

}  // namespace

Status Client::Impl::check_users(const std::vector<UserId>& users) {
  if (users.size() >= limits::groups::kMembersMax) {
    return error(Code::kTooLarge,
                 std::to_string(users.size()) + " users, limit " + std::to_string(limits::groups::kMembersMax - 1));
  }
  std::set<UserId> seen;
  for (const UserId& user : users) {
    CHATSDK_TRY(check_peer(user));
    if (!seen.insert(user).second) return error(Code::kInvalidArgument, "a user is named twice");
  }
  return {};
}

std::uint64_t Client::Impl::operate(Events::Place& place, DeviceStore::AddedOperation added) {
  place.fill(std::move(added.changes));
  tell_parts([&] { operations.added(); });
  return added.number;
}

template <typename Operation>
Result<std::uint64_t> Client::Impl::operate(ConversationKey conversation, Operation&& operation) {
  CHATSDK_TRY(check_owner());
  CHATSDK_ASSIGN(const GroupId group, context.store.group_id(conversation));
  Events::Place place = events.reserve();
  CHATSDK_ASSIGN(auto added, context.store.add_operation(
                                 conversation, context.random.ids.bytes(limits::groups::kIdBytes), operation(group)));
  return operate(place, std::move(added));
}

Result<Client::NewGroup> Client::create_group(group::Info info, const std::vector<UserId>& members) {
  CHATSDK_TRY(impl_->check_owner());
  CHATSDK_TRY(check_changes({info.name, info.description, info.picture, info.rights}));
  CHATSDK_TRY(impl_->check_users(members));
  Random& ids = impl_->context.random.ids;
  info.id = GroupId::from(ids.bytes(GroupId::size()));
  Events::Place place = impl_->events.reserve();
  CHATSDK_ASSIGN(auto added, impl_->context.store.create_group(ids.bytes(limits::groups::kIdBytes), info, members));
  const ConversationKey conversation = added.conversation;
  return NewGroup{conversation, impl_->operate(place, std::move(added))};
}

Result<std::uint64_t> Client::change_group(ConversationKey group, const group::Changes& changes) {
  CHATSDK_TRY(check_changes(changes));
  const bool says_nothing =
      !changes.name && !changes.description && !changes.picture && changes.rights == group::Rights();
  if (says_nothing) return error(Code::kInvalidArgument, "nothing is to be changed");
  return impl_->operate(group, [&](const GroupId& id) { return group::change(id, changes); });
}

Result<std::uint64_t> Client::add_members(ConversationKey group, const std::vector<UserId>& users) {
  CHATSDK_TRY(impl_->check_users(users));
  if (users.empty()) return error(Code::kInvalidArgument, "nobody is to be added");
  return impl_->operate(group, [&](const GroupId& id) { return group::add(id, users); });
}

Result<std::uint64_t> Client::remove_member(ConversationKey group, const UserId& user) {
  CHATSDK_TRY(impl_->check_peer(user));
  return impl_->operate(group, [&](const GroupId& id) { return group::remove(id, user); });
}

Result<std::uint64_t> Client::leave_group(ConversationKey group) {
  return impl_->operate(group, [&](const GroupId& id) { return group::remove(id, impl_->session.owner()); });
}

Result<std::uint64_t> Client::set_role(ConversationKey group, const UserId& user, group::Role role) {
  CHATSDK_TRY(impl_->check_owner());
  if (user != impl_->session.owner()) CHATSDK_TRY(impl_->check_peer(user));
  if (role != group::Role::kMember && role != group::Role::kAdmin) {
    return error(Code::kInvalidArgument, "a role that is neither member nor admin");
  }
  return impl_->operate(group, [&](const GroupId& id) { return group::set_role(id, user, role); });
}

Result<std::uint64_t> Client::set_owner(ConversationKey group, const UserId& user) {
  CHATSDK_TRY(impl_->check_peer(user));
  return impl_->operate(group, [&](const GroupId& id) { return group::set_owner(id, user); });
}

Result<std::uint64_t> Client::end_group(ConversationKey group) {
  return impl_->operate(group, [](const GroupId& id) { return group::end(id); });
}

Status Client::operations_taken(const std::vector<std::uint64_t>& numbers) { return impl_->operations.taken(numbers); }

// ---- Messages ------------------------------------------------------------------------------------------------------

EncryptionState Client::encryption_state() const {
  return impl_->encryption ? impl_->encryption->state() : EncryptionState::kOff;
}

namespace {

Error encrypts_nothing() { return error(Code::kWrongState, "this client encrypts nothing"); }

}  // namespace

Result<std::string> Client::begin_link() {
  CHATSDK_TRY(impl_->check_owner());
  return impl_->encryption ? impl_->encryption->linking().begin() : encrypts_nothing();
}

Status Client::scan_link(std::string_view text) {
  CHATSDK_TRY(impl_->check_owner());
  return impl_->encryption ? impl_->encryption->linking().scan(text) : encrypts_nothing();
}

Status Client::confirm_link() {
  return impl_->encryption ? impl_->encryption->linking().confirm() : encrypts_nothing();
}

void Client::cancel_link() {
  if (impl_->encryption) impl_->encryption->linking().cancel(error(Code::kCancelled, "the user gave it up"));
}

Result<PeerIdentity> Client::identity(const UserId& peer) {
  CHATSDK_TRY(impl_->check_peer(peer));
  return impl_->encryption ? impl_->encryption->identity(peer) : encrypts_nothing();
}

Status Client::set_verified(const e2ee::Identity& peer, bool verified) {
  if (!impl_->encryption) return encrypts_nothing();
  std::vector<e2ee::Event> events;
  CHATSDK_TRY(impl_->encryption->set_verified(peer, verified, events));
  impl_->tell_parts([&] {
    impl_->encryption->tell(std::move(events));
    impl_->encryption->identity_accepted();
  });
  return {};
}

Status Client::accept_identity(const e2ee::Identity& peer) {
  if (!impl_->encryption) return encrypts_nothing();
  CHATSDK_TRY(impl_->encryption->accept_identity(peer));
  impl_->tell_parts([&] { impl_->encryption->identity_accepted(); });
  return {};
}

Status Client::forget_identity(const e2ee::Identity& peer) {
  CHATSDK_TRY(impl_->check_peer(peer.user_id));
  if (!impl_->encryption) return encrypts_nothing();
  std::vector<e2ee::Event> events;
  CHATSDK_TRY(impl_->encryption->forget_identity(peer, events));
  impl_->tell_parts([&] {
    impl_->encryption->identity_forgotten(peer.user_id);
    impl_->encryption->tell(std::move(events));
  });
  return {};
}

Result<std::vector<SignedDevice>> Client::signed_devices(const UserId& user_id) {
  CHATSDK_TRY(impl_->check_owner());
  if (user_id != impl_->session.owner()) CHATSDK_TRY(impl_->check_peer(user_id));
  return impl_->encryption ? impl_->encryption->signed_devices(user_id) : encrypts_nothing();
}

Status Client::replace_account() {
  CHATSDK_TRY(impl_->check_owner());
  return impl_->encryption ? impl_->encryption->replace_account() : encrypts_nothing();
}

Result<ConversationKey> Client::direct_conversation(const UserId& peer, bool encrypted) {
  CHATSDK_TRY(impl_->check_peer(peer));
  if (encrypted && !impl_->encryption) return encrypts_nothing();
  Changes changes;
  Events::Place place = impl_->events.reserve();
  CHATSDK_ASSIGN(const ConversationKey key, impl_->context.store.ensure_direct(peer, &changes, encrypted));
  place.fill(std::move(changes));
  return key;
}

Status Client::accept_plain(ConversationKey conversation) {
  CHATSDK_TRY(impl_->check_owner());
  Events::Place place = impl_->events.reserve();
  CHATSDK_ASSIGN(auto changes, impl_->context.store.accept_plain(conversation));
  place.fill(std::move(changes));
  return {};
}

Result<Client::Sent> Client::send_text(ConversationKey conversation, std::string_view text,
                                       const SendOptions& options) {
  CHATSDK_TRY(impl_->check_owner());
  content::Post post;
  post.kind = content::Text{std::string(text)};
  CHATSDK_TRY(content::check(post, impl_->text_bytes_max()));
  return impl_->send(conversation, content::write(post), options);
}

Result<Client::Sent> Client::edit_text(MessageKey message, std::string_view text) {
  CHATSDK_ASSIGN(const DeviceStore::Named target, impl_->named(message, true));
  content::Edit edit;
  edit.post.kind = content::Text{std::string(text)};
  return impl_->annotate(target, std::move(edit));
}

Status Client::delete_for_all(MessageKey message) {
  CHATSDK_ASSIGN(const DeviceStore::Named target, impl_->named(message, true));
  const Status discarded = discard(target.id);
  const bool may_be_there = discarded.code() == Code::kWrongState || discarded.code() == Code::kNotFound;
  if (!may_be_there) return discarded;
  const auto sent = impl_->annotate(target, content::Delete());
  return sent.ok() ? Status() : Status(sent.error());
}

Result<Client::Sent> Client::set_reactions(MessageKey message, std::vector<std::string> keys) {
  CHATSDK_ASSIGN(const DeviceStore::Named target, impl_->named(message, false));
  content::Reaction reaction;
  reaction.keys = std::move(keys);
  return impl_->annotate(target, std::move(reaction));
}

Result<Client::Sent> Client::set_pinned(MessageKey message, bool pinned) {
  CHATSDK_ASSIGN(const DeviceStore::Named target, impl_->named(message, false));
  content::Pin pin;
  pin.pinned = pinned;
  return impl_->annotate(target, std::move(pin));
}

Status Client::retry(const ClientMessageId& id) {
  CHATSDK_ASSIGN(const WallTime latest, impl_->deadline(std::nullopt));
  const EngineContext& context = impl_->context;
  const ClientMessageId another_id = ClientMessageId::make(context.wall_now(), context.random.ids);
  Events::Place place = impl_->events.reserve();
  CHATSDK_ASSIGN(auto changes, context.store.retry(id, another_id, latest));
  place.fill(std::move(changes));
  impl_->tell_parts([&] { impl_->outbox.changed_by_app(); });
  return {};
}

Status Client::discard(const ClientMessageId& id) {
  Events::Place place = impl_->events.reserve();
  CHATSDK_ASSIGN(auto changes, impl_->context.store.discard(id));
  place.fill(std::move(changes));
  impl_->tell_parts([&] { impl_->outbox.changed_by_app(); });
  return {};
}

Status Client::mark_read(ConversationKey conversation, Seq up_to) {
  Events::Place place = impl_->events.reserve();
  CHATSDK_ASSIGN(auto changes, impl_->context.store.mark_read(conversation, up_to));
  place.fill(std::move(changes));
  impl_->tell_parts([&] { impl_->receipts.marked(); });
  return {};
}

}  // namespace chatsdk
