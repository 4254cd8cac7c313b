// SPDX-License-Identifier: Apache-2.0
//
// The REST interface: paths, methods, content types, problem documents. It turns requests into messages, asks the
// account service, the key directory and its mailboxes and the groups, and turns answers back. docs/protocol-rest.md is
// its contract.
//
// Threads: handle() and set_draining() from any thread; the rest happens on the executor, which is that of the services
// that it asks. The owner stops the executor before it destroys the service.
// Invariants:
//   1. Every request gets exactly one answer; every refusal is a problem document with a stable code.
//   2. Nothing of a body, a token or a raw path reaches the log.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "protocol/frames.h"
#include "server-reference/services/account_service.h"
#include "server-reference/services/client_address.h"
#include "server-reference/services/group_service.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/json_codec.h"
#include "server-reference/services/key_directory.h"
#include "server-reference/services/link_mailboxes.h"
#include "server-reference/services/refusal_log.h"

namespace chatsdk::server {

struct GatewayAddress {
  std::string url;  // ws:// or wss://
  std::string region;
  std::uint32_t priority = 0;
};

struct RestOptions {
  std::vector<GatewayAddress> gateways;
  std::chrono::seconds connect_ttl{300};  // how long a client may keep the answer of GET /v1/connect
  AddressRanges trusted_proxies;          // whose X-Forwarded-For names the client
};

class RestService final : public HttpService {
 public:
  // They outlive it.
  struct Services {
    AccountService& accounts;
    KeyDirectory& keys;
    LinkMailboxes& links;
    GroupService& groups;
  };

  RestService(Executor& executor, Services services, RestOptions options, Log& log);
  ~RestService() override;

  void handle(HttpRequest request, std::string remote_address, Respond respond) override;
  // From now on /readyz answers 503, so that a load balancer sends nobody here.
  void set_draining() { draining_.store(true); }

 private:
  enum class Form { kJson, kProtobuf };
  struct Route;
  struct Exchange;
  using Parameters = std::vector<std::pair<std::string_view, std::string>>;

  static const std::vector<Route>& routes();
  // The route of a path and method, or the answer that there is none.
  static const Route* find(std::string_view path, std::string_view method, std::string& allow, Parameters& parameters);
  static Form answer_form(const HttpRequest& request);

  // allow: the methods of the path, when it has not the one that was asked for.
  void dispatch(Exchange exchange, std::string allow);
  template <typename Message>
  Result<Message> read_body(Exchange& exchange) const;
  template <typename Message>
  HttpResponse message_response(const Exchange& exchange, int status, const Message& message) const;
  template <typename Message>
  void answer_result(Exchange& exchange, const Result<Message>& result);
  // Who asks, and what; whatever is wrong with either is answered.
  std::optional<Identity> authenticated(Exchange& exchange);
  template <typename Message>
  std::optional<std::pair<Identity, Message>> authenticated_body(Exchange& exchange);
  HttpResponse problem_response(Form form, const Error& error, int status) const;
  void answer(Exchange& exchange, HttpResponse response);
  void answer_error(Exchange& exchange, const Error& error, int status = 0);
  static std::string name_of(const Route* route);
  void log_refusal(const Exchange& exchange, const Error& error);
  AccountService::OnOpened session_answer(Exchange exchange);
  AccountService::OnDone empty_answer(Exchange exchange);

  void post_account(Exchange exchange);
  void post_session(Exchange exchange);
  void post_refresh(Exchange exchange);
  void delete_session(Exchange exchange);
  void get_devices(Exchange exchange);
  void delete_device(Exchange exchange);
  void post_lists(Exchange exchange);
  void post_lists_query(Exchange exchange);
  void post_prekeys(Exchange exchange);
  void get_key_counts(Exchange exchange);
  void get_key_digest(Exchange exchange);
  void post_bundles(Exchange exchange);
  template <LinkStep kStep>
  void put_link(Exchange exchange);
  template <LinkStep kStep>
  void get_link(Exchange exchange);
  std::optional<GroupService::Asked> asked(Exchange& exchange, const Identity& identity);
  GroupService::OnChanged changed_answer(Exchange exchange);
  // Message: void of a change without a body.
  template <typename Message, auto kChange>
  void change_group(Exchange exchange);
  void get_group(Exchange exchange);
  void get_members(Exchange exchange);
  void get_invitations(Exchange exchange);
  void get_join_requests(Exchange exchange);
  void get_invitation(Exchange exchange);
  void get_connect(Exchange exchange);
  void get_health(Exchange exchange);
  void get_ready(Exchange exchange);

  Executor& executor_;
  AccountService& accounts_;
  KeyDirectory& keys_;
  LinkMailboxes& links_;
  GroupService& groups_;
  RestOptions options_;
  Log& log_;
  RefusalLog refusals_;  // the executor's
  JsonCodec codec_;
  std::atomic<bool> draining_ = false;
};

}  // namespace chatsdk::server
