// SPDX-License-Identifier: Apache-2.0
#include "engine/rest_api.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>

#include "base/url.h"

namespace chatsdk {

namespace {

std::chrono::milliseconds retry_after_of(const HttpResponse& response) {
  // RFC 9110 section 10.2.3: delay-seconds; the date form is not used by the server.
  const std::string_view text = header(response.headers, "retry-after");
  std::uint64_t seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || parsed.ptr != text.data() + text.size()) return {};
  constexpr std::uint64_t most = std::chrono::seconds(limits::kRetryAfterMax).count();
  if (parsed.ec == std::errc::result_out_of_range || seconds > most) seconds = most;
  return std::chrono::seconds(seconds);
}

bool has_type(const HttpResponse& response, std::string_view type) {
  return header(response.headers, "content-type").substr(0, type.size()) == type;
}

template <typename T>
bool parse(T& message, BytesView bytes) {
  return bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// What a status means when our own server said it without a document in protobuf.
Code code_of_problem_status(int status) {
  switch (status) {
    case 400:
      return Code::kInvalidArgument;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kForbidden;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kConflict;
    case 413:
      return Code::kTooLarge;
    case 415:
      return Code::kUnsupported;
    case 429:
      return Code::kRateLimited;
    case 503:
      return Code::kUnavailable;
    default:
      return status >= 500 ? Code::kServer : Code::kProtocol;
  }
}

Error refusal(const HttpResponse& response) {
  const std::chrono::milliseconds retry_after = retry_after_of(response);
  const Cause cause{CauseDomain::kHttp, response.status};
  if (has_type(response, kProtobufType)) {
    wire::Problem problem;
    if (parse(problem, response.body) && problem.code_number() < 0) {
      wire::Error wire_error;
      wire_error.set_code(problem.code_number());
      wire_error.set_detail(problem.detail());
      wire_error.set_retry_after_ms(problem.retry_after_ms());
      Error error = from_wire(wire_error);
      error.retry_after = std::max(error.retry_after, retry_after);
      error.cause = cause;
      return error;
    }
  }
  const std::string detail = "HTTP status " + std::to_string(response.status);
  if (has_type(response, kProblemType)) return {code_of_problem_status(response.status), detail, retry_after, 0, cause};
  if (response.status == 429) return {Code::kRateLimited, detail, retry_after, 0, cause};
  if (response.status >= 500) return {Code::kUnavailable, detail, retry_after, 0, cause};
  return {Code::kProtocol, detail + " without a problem document", retry_after, 0, cause};
}

Bytes serialise(const google::protobuf::MessageLite& message) {
  Bytes bytes;
  const bool encoded = message.SerializeToString(&bytes);
  CHATSDK_ASSERT(encoded);
  return bytes;
}

template <typename T>
RestApi::Callback<Bytes> decoding(RestApi::Callback<T> callback) {
  return [callback = std::move(callback)](Result<Bytes> answer) mutable {
    if (!answer.ok()) return callback(std::move(answer).error());
    if constexpr (std::is_void_v<T>) {
      callback({});
    } else {
      T message;
      if (!parse(message, *answer)) {
        return callback(error(Code::kProtocol, "answer of " + std::to_string(answer->size()) + " B does not parse"));
      }
      callback(std::move(message));
    }
  };
}

// Of a body that is a record.
template <typename T>
RestApi::Callback<Bytes> reading(Result<T> (*read)(BytesView), RestApi::Callback<T> callback) {
  return [read, callback = std::move(callback)](Result<Bytes> answer) mutable {
    if (!answer.ok()) return callback(std::move(answer).error());
    callback(read(*answer));
  };
}

std::string group_path(const GroupId& group) { return "/v1/groups/" + to_hex(group.view()); }

std::string link_path(BytesView link_id, LinkStep step) {
  return "/v1/keys/links/" + to_hex(link_id) + "/" + std::string(link_step_name(step));
}

}  // namespace

RestApi::RestApi(HttpClient& http, std::string server_url) : http_(http), server_url_(std::move(server_url)) {
  while (!server_url_.empty() && server_url_.back() == '/') server_url_.pop_back();
}

RestApi::~RestApi() { cancel_all(); }

void RestApi::cancel_all() {
  while (!open_.empty()) {
    http_.cancel(*open_.begin());
    open_.erase(open_.begin());
  }
}

RestApi::CallId RestApi::call(std::string method, const std::string& path, const std::string& access_token, Bytes body,
                              Callback<Bytes> callback) {
  HttpRequest request;
  request.method = std::move(method);
  if (!body.empty()) request.headers["content-type"] = std::string(kProtobufType);
  request.body = std::move(body);
  return send(std::move(request), path, access_token, std::move(callback));
}

RestApi::CallId RestApi::send(HttpRequest request, const std::string& path, const std::string& access_token,
                              Callback<Bytes> callback) {
  request.url = server_url_ + path;
  request.headers["accept"] = std::string(kProtobufType);
  if (!access_token.empty()) request.headers["authorization"] = "Bearer " + access_token;
  // The callback runs as a later task, so the id is in place by then.
  auto id = std::make_shared<HttpClient::RequestId>(0);
  // Its place comes first: what is on its way must be known, or nobody could cancel it.
  std::set<HttpClient::RequestId> place{0};
  auto node = place.extract(0);
  *id = http_.request(std::move(request),
                      guard_.wrap([this, id, callback = std::move(callback)](Result<HttpResponse> response) mutable {
                        open_.erase(*id);
                        if (!response.ok()) return callback(std::move(response).error());
                        if (response->status < 200 || response->status > 299) return callback(refusal(*response));
                        callback(std::move(response->body));
                      }));
  node.value() = *id;
  open_.insert(std::move(node));
  return *id;
}

void RestApi::cancel(CallId call) {
  if (open_.erase(call) != 0) http_.cancel(call);
}

RestApi::CallId RestApi::register_account(const wire::RegisterRequest& request, Callback<wire::Session> callback) {
  return call("POST", "/v1/accounts", {}, serialise(request), decoding<wire::Session>(std::move(callback)));
}

RestApi::CallId RestApi::login(const wire::LoginRequest& request, Callback<wire::Session> callback) {
  return call("POST", "/v1/sessions", {}, serialise(request), decoding<wire::Session>(std::move(callback)));
}

RestApi::CallId RestApi::refresh(const wire::RefreshRequest& request, Callback<wire::Session> callback) {
  return call("POST", "/v1/sessions/refresh", {}, serialise(request), decoding<wire::Session>(std::move(callback)));
}

RestApi::CallId RestApi::logout(const std::string& access_token, Callback<void> callback) {
  return call("DELETE", "/v1/sessions/current", access_token, {}, decoding<void>(std::move(callback)));
}

RestApi::CallId RestApi::devices(const std::string& access_token, Callback<wire::Devices> callback) {
  return call("GET", "/v1/devices", access_token, {}, decoding<wire::Devices>(std::move(callback)));
}

RestApi::CallId RestApi::revoke_device(const std::string& access_token, DeviceId device, Callback<void> callback) {
  return call("DELETE", "/v1/devices/" + std::to_string(device.value), access_token, {},
              decoding<void>(std::move(callback)));
}

RestApi::CallId RestApi::connect(const std::string& access_token, Callback<wire::Connect> callback) {
  return call("GET", "/v1/connect", access_token, {}, decoding<wire::Connect>(std::move(callback)));
}

RestApi::CallId RestApi::device_lists(const std::string& access_token, const wire::DeviceListsRequest& request,
                                      Callback<wire::DeviceLists> callback) {
  return call("POST", "/v1/keys/lists/query", access_token, serialise(request),
              decoding<wire::DeviceLists>(std::move(callback)));
}

RestApi::CallId RestApi::upload_lists(const std::string& access_token, const wire::DeviceListUpload& request,
                                      Callback<void> callback) {
  return call("POST", "/v1/keys/lists", access_token, serialise(request), decoding<void>(std::move(callback)));
}

RestApi::CallId RestApi::upload_prekeys(const std::string& access_token, const wire::PrekeyUpload& request,
                                        Callback<wire::KeyCounts> callback) {
  return call("POST", "/v1/keys/prekeys", access_token, serialise(request),
              decoding<wire::KeyCounts>(std::move(callback)));
}

RestApi::CallId RestApi::key_digest(const std::string& access_token, Callback<wire::KeyDigest> callback) {
  return call("GET", "/v1/keys/digest", access_token, {}, decoding<wire::KeyDigest>(std::move(callback)));
}

RestApi::CallId RestApi::bundles(const std::string& access_token, const wire::BundlesRequest& request,
                                 Callback<wire::Bundles> callback) {
  return call("POST", "/v1/keys/bundles", access_token, serialise(request),
              decoding<wire::Bundles>(std::move(callback)));
}

RestApi::CallId RestApi::put_link_message(const std::string& access_token, BytesView link_id, LinkStep step,
                                          BytesView message, Callback<void> callback) {
  wire::LinkMessage body;
  body.set_message(Bytes(message));
  return call("PUT", link_path(link_id, step), access_token, serialise(body), decoding<void>(std::move(callback)));
}

RestApi::CallId RestApi::link_message(const std::string& access_token, BytesView link_id, LinkStep step,
                                      Callback<wire::LinkMessage> callback) {
  return call("GET", link_path(link_id, step), access_token, {}, decoding<wire::LinkMessage>(std::move(callback)));
}

RestApi::CallId RestApi::group(const std::string& access_token, const GroupId& group, Callback<group::State> callback) {
  return call("GET", group_path(group), access_token, {}, reading(group::read_state, std::move(callback)));
}

RestApi::CallId RestApi::group_members(const std::string& access_token, const GroupId& group, const UserId& after,
                                       Callback<group::Members> callback) {
  const std::string query = "?max=" + std::to_string(limits::groups::kMemberPageMax) +
                            (after.empty() ? "" : "&after=" + percent_encoded(after));
  return call("GET", group_path(group) + "/members" + query, access_token, {},
              reading(group::read_members, std::move(callback)));
}

RestApi::CallId RestApi::operate(const std::string& access_token, BytesView operation_id, group::Call operation,
                                 Callback<Bytes> callback) {
  HttpRequest request;
  request.method = std::move(operation.method);
  request.headers["operation-id"] = to_hex(operation_id);
  if (operation.has_body) request.headers["content-type"] = std::string(kProtobufType);
  request.body = std::move(operation.body);
  return send(std::move(request), operation.path, access_token, std::move(callback));
}

}  // namespace chatsdk
