// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/problem.h"

#include "protocol/http.h"

namespace chatsdk::server {

int http_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kTooSmall:
    case Code::kInvalidUtf8:
    case Code::kMalformed:
      return 400;
    case Code::kUnauthenticated:
    case Code::kNotLoggedIn:
      return 401;
    case Code::kForbidden:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kTimedOut:
      return 408;
    case Code::kAlreadyExists:
    case Code::kConflict:
    case Code::kOutOfOrder:
    case Code::kVoided:
    case Code::kReplaced:
    case Code::kRolledBack:
    case Code::kWrongState:
    case Code::kLimitReached:
      return 409;
    case Code::kTooLarge:
      return 413;
    case Code::kUnsupported:
      return 415;
    case Code::kRateLimited:
      return 429;
    case Code::kBusy:
    case Code::kClosed:
    case Code::kReadOnly:
    case Code::kNoMemory:
    case Code::kUnavailable:
      return 503;
    case Code::kStorageFull:
      return 507;
    case Code::kOk:
    case Code::kCancelled:
    case Code::kNetwork:
    case Code::kTls:
    case Code::kProtocol:
    case Code::kServer:
    case Code::kStorage:
    case Code::kCorrupt:
    case Code::kWrongKey:
    case Code::kTampered:
    case Code::kStoreInUse:
    case Code::kSchemaTooNew:
    case Code::kCrypto:
    case Code::kInternal:
      return 500;
  }
  return 500;
}

wire::Problem problem_of(const Error& error, int status) {
  wire::Problem problem;
  problem.set_type("about:blank");  // RFC 9457 section 4.2.1: the title is the status's phrase; code tells the rest
  problem.set_title(std::string(http_reason(status)));
  problem.set_status(static_cast<std::uint32_t>(status));
  problem.set_detail(error.detail);
  problem.set_code(std::string(code_name(error.code)));
  problem.set_code_number(static_cast<std::int32_t>(error.code));
  problem.set_retry_after_ms(static_cast<std::uint32_t>(error.retry_after.count()));
  return problem;
}

Error public_error(const Error& error) {
  switch (error.code) {
    case Code::kStorageFull:
      return {error.code, "the server's storage is full", error.retry_after};
    case Code::kReadOnly:
      return {error.code, "the server's storage is read-only", error.retry_after};
    case Code::kNoMemory:
      return {error.code, "the server is short of memory", error.retry_after};
    case Code::kStorage:
    case Code::kCorrupt:
    case Code::kWrongKey:
    case Code::kTampered:
    case Code::kStoreInUse:
    case Code::kSchemaTooNew:
      return {Code::kStorage, "the server's storage failed", error.retry_after};
    case Code::kCrypto:
    case Code::kInternal:
      return {Code::kInternal, "the server failed", error.retry_after};
    default:
      return error;
  }
}

}  // namespace chatsdk::server
