// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/rest_service.h"

#include <sodium.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/limits.h"
#include "server-reference/services/problem.h"

namespace chatsdk::server {

namespace {

constexpr std::string_view kBearerRealm = "Bearer realm=\"chatsdk\"";

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What stands before the separator; text keeps what stands after it.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view head = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return trim(head);
}

// A media type without its parameters; those of JSON may only name UTF-8.
bool is_json_type(std::string_view value) {
  if (!equals_ignoring_case(take_until(value, ';'), kJsonType)) return false;
  while (!value.empty()) {
    std::string_view parameter = take_until(value, ';');
    const std::string_view name = take_until(parameter, '=');
    if (equals_ignoring_case(name, "charset") && !equals_ignoring_case(parameter, "utf-8") &&
        !equals_ignoring_case(parameter, "\"utf-8\"")) {
      return false;
    }
  }
  return true;
}

bool is_protobuf_type(std::string_view value) { return equals_ignoring_case(take_until(value, ';'), kProtobufType); }

// The q of a media range in thousandths, 1000 when absent or unreadable.
int weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view parameter = take_until(parameters, ';');
    if (!equals_ignoring_case(take_until(parameter, '='), "q") || parameter.empty()) continue;
    if (parameter.front() != '0') return 1000;
    int weight = 0;
    int unit = 100;
    for (const char c : parameter.substr(std::min<std::size_t>(2, parameter.size()))) {
      if (c < '0' || c > '9') break;
      weight += (c - '0') * unit;
      unit /= 10;
    }
    return weight;
  }
  return 1000;
}

// nullopt: a % that no two hexadecimal digits follow.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    if (text.front() != '%') {
      decoded.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    const auto byte = from_hex(text.substr(1, 2));
    if (text.size() < 3 || !byte) return std::nullopt;
    decoded.append(*byte);
    text.remove_prefix(3);
  }
  return decoded;
}

// The first value of this name, as it was written; empty: there is none.
std::string_view query_value(std::string_view url, std::string_view name) {
  const std::size_t begin = url.find('?');
  std::string_view query = begin == url.npos ? std::string_view() : url.substr(begin + 1);
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    if (take_until(value, '=') == name) return value;
  }
  return {};
}

}  // namespace

// One request on its way to its answer.
struct RestService::Exchange {
  HttpRequest request;
  std::string client_address;
  Respond respond;
  Form form = Form::kJson;  // of the answer
  const Route* route = nullptr;
  Parameters parameters;  // what the path has in the place of each name in braces

  std::string parameter(std::string_view name) const {
    const auto found = std::find_if(parameters.begin(), parameters.end(),
                                    [name](const auto& parameter) { return parameter.first == name; });
    return found == parameters.end() ? std::string() : found->second;
  }
};

struct RestService::Route {
  std::string_view method;
  std::string_view path;  // a name in braces takes one segment, which is not empty
  void (RestService::*handler)(Exchange);

  std::optional<Parameters> match(std::string_view requested) const {
    Parameters parameters;
    std::string_view pattern = path;
    for (;;) {
      const std::size_t end = pattern.find('/');
      const std::size_t requested_end = requested.find('/');
      const std::string_view segment = pattern.substr(0, end);
      const std::string_view value = requested.substr(0, requested_end);
      if (segment.starts_with('{')) {
        if (value.empty()) return std::nullopt;
        parameters.emplace_back(segment.substr(1, segment.size() - 2), value);
      } else if (segment != value) {
        return std::nullopt;
      }
      if ((end == pattern.npos) != (requested_end == requested.npos)) return std::nullopt;
      if (end == pattern.npos) return parameters;
      pattern.remove_prefix(end + 1);
      requested.remove_prefix(requested_end + 1);
    }
  }
};

const std::vector<RestService::Route>& RestService::routes() {
  static const std::vector<Route> kRoutes = {
      {"POST", "/v1/accounts", &RestService::post_account},
      {"POST", "/v1/sessions", &RestService::post_session},
      {"POST", "/v1/sessions/refresh", &RestService::post_refresh},
      {"DELETE", "/v1/sessions/current", &RestService::delete_session},
      {"GET", "/v1/devices", &RestService::get_devices},
      {"DELETE", "/v1/devices/{device_id}", &RestService::delete_device},
      {"POST", "/v1/keys/lists", &RestService::post_lists},
      {"POST", "/v1/keys/lists/query", &RestService::post_lists_query},
      {"POST", "/v1/keys/prekeys", &RestService::post_prekeys},
      {"GET", "/v1/keys/counts", &RestService::get_key_counts},
      {"GET", "/v1/keys/digest", &RestService::get_key_digest},
      {"POST", "/v1/keys/bundles", &RestService::post_bundles},
      {"PUT", "/v1/keys/links/{link_id}/offer", &RestService::put_link<LinkStep::kOffer>},
      {"GET", "/v1/keys/links/{link_id}/offer", &RestService::get_link<LinkStep::kOffer>},
      {"PUT", "/v1/keys/links/{link_id}/reveal", &RestService::put_link<LinkStep::kReveal>},
      {"GET", "/v1/keys/links/{link_id}/reveal", &RestService::get_link<LinkStep::kReveal>},
      {"PUT", "/v1/keys/links/{link_id}/grant", &RestService::put_link<LinkStep::kGrant>},
      {"GET", "/v1/keys/links/{link_id}/grant", &RestService::get_link<LinkStep::kGrant>},
      {"POST", "/v1/groups", &RestService::change_group<wire::CreateGroupRequest, &GroupService::create>},
      {"GET", "/v1/groups/{group_id}", &RestService::get_group},
      {"PATCH", "/v1/groups/{group_id}", &RestService::change_group<wire::ChangeGroupRequest, &GroupService::change>},
      {"DELETE", "/v1/groups/{group_id}", &RestService::change_group<void, &GroupService::remove>},
      {"GET", "/v1/groups/{group_id}/members", &RestService::get_members},
      {"POST", "/v1/groups/{group_id}/members",
       &RestService::change_group<wire::MembersRequest, &GroupService::add_members>},
      {"DELETE", "/v1/groups/{group_id}/members/{user_id}",
       &RestService::change_group<void, &GroupService::remove_member>},
      {"PUT", "/v1/groups/{group_id}/members/{user_id}/role",
       &RestService::change_group<wire::RoleRequest, &GroupService::set_role>},
      {"PUT", "/v1/groups/{group_id}/owner", &RestService::change_group<wire::OwnerRequest, &GroupService::set_owner>},
      {"GET", "/v1/groups/{group_id}/invitations", &RestService::get_invitations},
      {"POST", "/v1/groups/{group_id}/invitations",
       &RestService::change_group<wire::InvitationRequest, &GroupService::invite>},
      {"DELETE", "/v1/groups/{group_id}/invitations/{token}", &RestService::change_group<void, &GroupService::revoke>},
      {"GET", "/v1/groups/{group_id}/requests", &RestService::get_join_requests},
      {"PUT", "/v1/groups/{group_id}/requests/{user_id}",
       &RestService::change_group<wire::RequestAnswer, &GroupService::answer_request>},
      {"GET", "/v1/invitations/{token}", &RestService::get_invitation},
      {"POST", "/v1/invitations/{token}", &RestService::change_group<void, &GroupService::join>},
      {"GET", "/v1/connect", &RestService::get_connect},
      {"GET", "/healthz", &RestService::get_health},
      {"GET", "/readyz", &RestService::get_ready},
  };
  return kRoutes;
}

RestService::RestService(Executor& executor, Services services, RestOptions options, Log& log)
    : executor_(executor),
      accounts_(services.accounts),
      keys_(services.keys),
      links_(services.links),
      groups_(services.groups),
      options_(std::move(options)),
      log_(log),
      refusals_(executor.clock(), log, {"rest", limits::kRefusedRequestsLogged}) {}

RestService::~RestService() = default;

const RestService::Route* RestService::find(std::string_view path, std::string_view method, std::string& allow,
                                            Parameters& parameters) {
  for (const Route& route : routes()) {
    auto values = route.match(path);
    if (!values) continue;
    // HEAD is answered as GET; whoever carries the answer leaves its body out.
    const bool is_get = route.method == "GET";
    if (route.method == method || (is_get && method == "HEAD")) {
      parameters = *std::move(values);
      return &route;
    }
    allow += (allow.empty() ? "" : ", ") + std::string(route.method) + (is_get ? ", HEAD" : "");
  }
  return nullptr;
}

// The form that Accept weighs highest; what it does not decide follows the request's own body, and JSON comes last.
RestService::Form RestService::answer_form(const HttpRequest& request) {
  const bool protobuf_body = is_protobuf_type(header(request.headers, "content-type"));
  int json = -1;
  int protobuf = -1;
  int any = -1;
  std::string_view accept = header(request.headers, "accept");
  while (!accept.empty()) {
    std::string_view range = take_until(accept, ',');
    const std::string_view type = take_until(range, ';');
    const int weight = weight_of(range);
    if (equals_ignoring_case(type, kJsonType) || equals_ignoring_case(type, kProblemType))
      json = std::max(json, weight);
    if (equals_ignoring_case(type, kProtobufType)) protobuf = std::max(protobuf, weight);
    if (type == "*/*" || equals_ignoring_case(type, "application/*")) any = std::max(any, weight);
  }
  if (json < 0) json = any;
  if (protobuf < 0) protobuf = any;
  if (json == protobuf) return protobuf_body ? Form::kProtobuf : Form::kJson;
  return protobuf > json ? Form::kProtobuf : Form::kJson;
}

void RestService::handle(HttpRequest request, std::string remote_address, Respond respond) {
  Exchange exchange{std::move(request), {}, std::move(respond), Form::kJson, nullptr, {}};
  exchange.client_address = client_address(exchange.request.headers, remote_address, options_.trusted_proxies);
  exchange.form = answer_form(exchange.request);
  const std::string_view url = exchange.request.url;
  const std::string_view path = url.substr(0, url.find('?'));
  std::string allow;
  exchange.route = find(path, exchange.request.method, allow, exchange.parameters);
  if (exchange.route != nullptr && exchange.route->handler == &RestService::get_health &&
      exchange.request.body.size() <= limits::kRequestBodyBytesMax) {
    return get_health(std::move(exchange));  // the process lives, whatever its executors are busy with
  }
  executor_.post([this, exchange = std::move(exchange), allow = std::move(allow)]() mutable {
    dispatch(std::move(exchange), std::move(allow));
  });
}

void RestService::dispatch(Exchange exchange, std::string allow) {
  refusals_.look();
  if (exchange.route == nullptr && allow.empty()) {
    return answer_error(exchange, error(Code::kNotFound, "no such path"));
  }
  if (exchange.route == nullptr) {
    const Error failure = error(Code::kUnsupported, "this path does not have this method");
    log_refusal(exchange, failure);
    HttpResponse response = problem_response(exchange.form, failure, 405);
    response.headers["allow"] = std::move(allow);
    return answer(exchange, std::move(response));
  }
  if (const std::size_t bytes = exchange.request.body.size(); bytes > limits::kRequestBodyBytesMax) {
    return answer_error(exchange, error(Code::kTooLarge, "body of " + std::to_string(bytes) + " B, limit " +
                                                             std::to_string(limits::kRequestBodyBytesMax) + " B"));
  }
  const auto handler = exchange.route->handler;
  (this->*handler)(std::move(exchange));
}

// ---- Bodies and answers --------------------------------------------------------------------------------------------

template <typename Message>
Result<Message> RestService::read_body(Exchange& exchange) const {
  const std::string_view encoding = header(exchange.request.headers, "content-encoding");
  if (!encoding.empty() && !equals_ignoring_case(encoding, "identity")) {
    return error(Code::kUnsupported, "a body must not be encoded");
  }
  const std::string_view type = header(exchange.request.headers, "content-type");
  const bool json = is_json_type(type);
  if (!json && !is_protobuf_type(type)) {
    return error(Code::kUnsupported, "content type must be application/json or application/x-protobuf");
  }
  // It may hold a password or a token.
  const auto wipe = [](Bytes& bytes) { sodium_memzero(bytes.data(), bytes.size()); };
  Message message;
  Bytes& body = exchange.request.body;
  if (json) {
    auto binary = codec_.to_binary(message.GetTypeName(), body);
    wipe(body);
    if (!binary.ok()) return std::move(binary).error();
    body.swap(*binary);
  }
  std::optional<Error> refused;
  if (!message.ParseFromString(body)) refused = codec_.why_not(message.GetTypeName(), body);
  wipe(body);
  if (refused) return *std::move(refused);
  return message;
}

template <typename Message>
HttpResponse RestService::message_response(const Exchange& exchange, int status, const Message& message) const {
  HttpResponse response{status, {}, message.SerializeAsString()};
  response.headers["content-type"] = kProtobufType;
  if (exchange.form == Form::kJson) {
    auto json = codec_.to_json(message.GetTypeName(), response.body, JsonCodec::Defaults::kPrint);
    if (!json.ok()) return problem_response(exchange.form, json.error(), http_status(json.code()));
    response.body = *std::move(json);
    response.headers["content-type"] = kJsonType;
  }
  return response;
}

template <typename Message>
void RestService::answer_result(Exchange& exchange, const Result<Message>& result) {
  if (!result.ok()) return answer_error(exchange, result.error());
  answer(exchange, message_response(exchange, 200, *result));
}

HttpResponse RestService::problem_response(Form form, const Error& error, int status) const {
  const wire::Problem problem = problem_of(error, status);
  HttpResponse response{status, {}, problem.SerializeAsString()};
  response.headers["content-type"] = kProtobufType;
  if (form == Form::kJson) {
    auto json = codec_.to_json(problem.GetTypeName(), response.body, JsonCodec::Defaults::kOmit);
    CHATSDK_ASSERT(json.ok());
    response.body = *std::move(json);
    response.headers["content-type"] = kProblemType;
  }
  if (error.retry_after.count() > 0) {
    response.headers["retry-after"] =
        std::to_string(std::chrono::ceil<std::chrono::seconds>(error.retry_after).count());
  }
  if (status == 401) response.headers["www-authenticate"] = kBearerRealm;
  return response;
}

std::string RestService::name_of(const Route* route) {
  return route == nullptr ? "unknown route" : std::string(route->method) + " " + std::string(route->path);
}

void RestService::answer(Exchange& exchange, HttpResponse response) {
  response.headers["cache-control"] = "no-store";
  response.headers["x-content-type-options"] = "nosniff";
  if (log_.enabled(LogLevel::kDebug)) {
    log_.write(LogLevel::kDebug, "rest", name_of(exchange.route) + ": " + std::to_string(response.status));
  }
  exchange.respond(std::move(response));
}

void RestService::answer_error(Exchange& exchange, const Error& failure, int status) {
  const Error shown = public_error(failure);
  if (status == 0) status = http_status(shown.code);
  if (shown.code == Code::kStorage || shown.code == Code::kInternal) {
    log_.write(LogLevel::kError, "rest", std::string(code_name(failure.code)) + ": " + failure.detail);
  } else {
    log_refusal(exchange, failure);
  }
  answer(exchange, problem_response(exchange.form, shown, status));
}

void RestService::log_refusal(const Exchange& exchange, const Error& failure) {
  if (!log_.enabled(LogLevel::kInfo)) return;
  const std::string kind =
      name_of(exchange.route) + " from " + exchange.client_address + ": " + std::string(code_name(failure.code));
  if (refusals_.note(kind)) log_.write(LogLevel::kInfo, "rest", "refused " + kind + ": " + failure.detail);
}

AccountService::OnOpened RestService::session_answer(Exchange exchange) {
  return [this, exchange = std::move(exchange)](Result<AccountService::Opened> opened) mutable {
    if (!opened.ok()) {
      answer_error(exchange, opened.error());
      return;
    }
    answer(exchange, message_response(exchange, opened->new_account ? 201 : 200, opened->session));
  };
}

AccountService::OnDone RestService::empty_answer(Exchange exchange) {
  return [this, exchange = std::move(exchange)](Status done) mutable {
    if (!done.ok()) {
      answer_error(exchange, done.error());
      return;
    }
    answer(exchange, HttpResponse{204, {}, {}});
  };
}

std::optional<Identity> RestService::authenticated(Exchange& exchange) {
  auto identity = accounts_.authenticate(bearer_token(exchange.request.headers));
  if (identity.ok()) return *std::move(identity);
  answer_error(exchange, identity.error());
  return std::nullopt;
}

template <typename Message>
std::optional<std::pair<Identity, Message>> RestService::authenticated_body(Exchange& exchange) {
  auto identity = authenticated(exchange);
  if (!identity) return std::nullopt;
  auto message = read_body<Message>(exchange);
  if (message.ok()) return std::pair(*std::move(identity), *std::move(message));
  answer_error(exchange, message.error());
  return std::nullopt;
}

// ---- Handlers ------------------------------------------------------------------------------------------------------

void RestService::post_account(Exchange exchange) {
  auto request = read_body<wire::RegisterRequest>(exchange);
  if (!request.ok()) return answer_error(exchange, request.error());
  const std::string address = exchange.client_address;
  accounts_.register_account(*std::move(request), address, session_answer(std::move(exchange)));
}

void RestService::post_session(Exchange exchange) {
  auto request = read_body<wire::LoginRequest>(exchange);
  if (!request.ok()) return answer_error(exchange, request.error());
  const std::string address = exchange.client_address;
  accounts_.log_in(*std::move(request), address, session_answer(std::move(exchange)));
}

void RestService::post_refresh(Exchange exchange) {
  const auto request = read_body<wire::RefreshRequest>(exchange);
  if (!request.ok()) return answer_error(exchange, request.error());
  accounts_.refresh(*request, session_answer(std::move(exchange)));
}

void RestService::delete_session(Exchange exchange) {
  const auto identity = accounts_.authenticate(bearer_token(exchange.request.headers));
  if (!identity.ok()) return answer_error(exchange, identity.error());
  accounts_.log_out(*identity, empty_answer(std::move(exchange)));
}

void RestService::get_devices(Exchange exchange) {
  const auto identity = accounts_.authenticate(bearer_token(exchange.request.headers));
  if (!identity.ok()) return answer_error(exchange, identity.error());
  const auto devices = accounts_.devices(*identity);
  if (!devices.ok()) return answer_error(exchange, devices.error());
  answer(exchange, message_response(exchange, 200, *devices));
}

void RestService::delete_device(Exchange exchange) {
  const auto identity = accounts_.authenticate(bearer_token(exchange.request.headers));
  if (!identity.ok()) return answer_error(exchange, identity.error());
  DeviceId device;
  const std::string text = exchange.parameter("device_id");
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), device.value);
  if (failure != std::errc() || end != text.data() + text.size() || text.front() == '0') {
    return answer_error(exchange, error(Code::kInvalidArgument, "device_id in the path is no decimal number above 0"));
  }
  accounts_.remove_device(*identity, device, empty_answer(std::move(exchange)));
}

void RestService::post_lists(Exchange exchange) {
  auto upload = authenticated_body<wire::DeviceListUpload>(exchange);
  if (!upload) return;
  keys_.publish_lists(upload->first, std::move(upload->second), empty_answer(std::move(exchange)));
}

void RestService::post_lists_query(Exchange exchange) {
  const auto request = authenticated_body<wire::DeviceListsRequest>(exchange);
  if (!request) return;
  answer_result(exchange, keys_.lists(request->first, request->second));
}

void RestService::post_prekeys(Exchange exchange) {
  auto upload = authenticated_body<wire::PrekeyUpload>(exchange);
  if (!upload) return;
  keys_.upload_prekeys(upload->first, std::move(upload->second),
                       [this, exchange = std::move(exchange)](Result<wire::KeyCounts> counts) mutable {
                         answer_result(exchange, counts);
                       });
}

void RestService::get_key_counts(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (identity) answer_result(exchange, keys_.counts(*identity));
}

void RestService::get_key_digest(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (identity) answer_result(exchange, keys_.digest(*identity));
}

void RestService::post_bundles(Exchange exchange) {
  const auto request = authenticated_body<wire::BundlesRequest>(exchange);
  if (!request) return;
  keys_.take_bundles(request->first, request->second,
                     [this, exchange = std::move(exchange)](Result<wire::Bundles> bundles) mutable {
                       answer_result(exchange, bundles);
                     });
}

template <LinkStep kStep>
void RestService::put_link(Exchange exchange) {
  const auto message = authenticated_body<wire::LinkMessage>(exchange);
  if (!message) return;
  const std::string link_id = exchange.parameter("link_id");
  links_.put(message->first, link_id, kStep, message->second, empty_answer(std::move(exchange)));
}

template <LinkStep kStep>
void RestService::get_link(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (!identity) return;
  const auto message = links_.get(*identity, exchange.parameter("link_id"), kStep);
  // Whoever waits for a step asks again and again: that it is not there yet is no line of the log.
  if (message.code() == Code::kNotFound) {
    return answer(exchange, problem_response(exchange.form, message.error(), http_status(message.code())));
  }
  answer_result(exchange, message);
}

// ---- Groups --------------------------------------------------------------------------------------------------------

// Whatever is wrong with the path is answered.
std::optional<GroupService::Asked> RestService::asked(Exchange& exchange, const Identity& identity) {
  GroupService::Asked asked{identity,
                            std::string(header(exchange.request.headers, "operation-id")),
                            exchange.parameter("group_id"),
                            exchange.parameter("token"),
                            {}};
  const auto user_id = percent_decoded(exchange.parameter("user_id"));
  if (user_id) {
    asked.user_id = *user_id;
    return asked;
  }
  answer_error(exchange, error(Code::kInvalidArgument, "user_id in the path: a % without two hexadecimal digits"));
  return std::nullopt;
}

GroupService::OnChanged RestService::changed_answer(Exchange exchange) {
  return [this, exchange = std::move(exchange)](Result<wire::GroupChanged> changed) mutable {
    // Of the request, not of its body's form.
    if (changed.code() == Code::kUnsupported) return answer_error(exchange, changed.error(), 400);
    answer_result(exchange, changed);
  };
}

template <typename Message, auto kChange>
void RestService::change_group(Exchange exchange) {
  if constexpr (std::is_void_v<Message>) {
    const auto identity = authenticated(exchange);
    if (!identity) return;
    const auto about = asked(exchange, *identity);
    if (about) (groups_.*kChange)(*about, changed_answer(std::move(exchange)));
  } else {
    const auto request = authenticated_body<Message>(exchange);
    if (!request) return;
    const auto about = asked(exchange, request->first);
    if (about) (groups_.*kChange)(*about, request->second, changed_answer(std::move(exchange)));
  }
}

void RestService::get_group(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (identity) answer_result(exchange, groups_.info(*identity, exchange.parameter("group_id")));
}

void RestService::get_members(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (!identity) return;
  const auto after = percent_decoded(query_value(exchange.request.url, "after"));
  const std::string_view max = query_value(exchange.request.url, "max");
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(max.data(), max.data() + max.size(), number);
  const bool is_number = max.empty() || (failure == std::errc() && end == max.data() + max.size() && number != 0);
  if (!after || !is_number) {
    return answer_error(exchange, error(Code::kInvalidArgument, !after ? "after: a % without two hexadecimal digits"
                                                                       : "max is no decimal number above 0"));
  }
  answer_result(exchange, groups_.members(*identity, exchange.parameter("group_id"), *after, number));
}

void RestService::get_invitations(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (identity) answer_result(exchange, groups_.invitations(*identity, exchange.parameter("group_id")));
}

void RestService::get_join_requests(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (identity) answer_result(exchange, groups_.requests(*identity, exchange.parameter("group_id")));
}

void RestService::get_invitation(Exchange exchange) {
  const auto identity = authenticated(exchange);
  if (identity) answer_result(exchange, groups_.preview(*identity, exchange.parameter("token")));
}

// ---- What a client looks for ---------------------------------------------------------------------------------------

// Where a user's gateway stands may depend on the user, so the question is asked with a token.
void RestService::get_connect(Exchange exchange) {
  const auto identity = accounts_.authenticate(bearer_token(exchange.request.headers));
  if (!identity.ok()) return answer_error(exchange, identity.error());
  wire::Connect connect;
  for (const GatewayAddress& gateway : options_.gateways) {
    wire::Connect::Gateway& entry = *connect.add_gateways();
    entry.set_url(gateway.url);
    entry.set_region(gateway.region);
    entry.set_priority(gateway.priority);
  }
  connect.add_subprotocols(std::string(kSubprotocol));
  connect.set_ttl_s(static_cast<std::uint32_t>(options_.connect_ttl.count()));
  answer(exchange, message_response(exchange, 200, connect));
}

void RestService::get_health(Exchange exchange) {
  answer(exchange, HttpResponse{200, {{"content-type", std::string(kJsonType)}}, "{\"status\":\"ok\"}"});
}

void RestService::get_ready(Exchange exchange) {
  if (draining_.load()) return answer_error(exchange, error(Code::kUnavailable, "the server is draining"));
  accounts_.check_ready([this, exchange = std::move(exchange)](Status ready) mutable {
    if (ready.ok()) {
      return answer(exchange, HttpResponse{200, {{"content-type", std::string(kJsonType)}}, "{\"status\":\"ready\"}"});
    }
    // Whatever the reason is, to who asks for readiness it is 503.
    answer_error(exchange, ready.error(), 503);
  });
}

}  // namespace chatsdk::server
