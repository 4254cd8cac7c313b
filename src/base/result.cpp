// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace chatsdk {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kTooSmall:
      return "too_small";
    case Code::kTooLarge:
      return "too_large";
    case Code::kInvalidUtf8:
      return "invalid_utf8";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kClosed:
      return "closed";
    case Code::kBusy:
      return "busy";
    case Code::kNotFound:
      return "not_found";
    case Code::kAlreadyExists:
      return "already_exists";
    case Code::kCancelled:
      return "cancelled";
    case Code::kWrongState:
      return "wrong_state";
    case Code::kTimedOut:
      return "timed_out";
    case Code::kNotLoggedIn:
      return "not_logged_in";
    case Code::kLimitReached:
      return "limit_reached";
    case Code::kNetwork:
      return "network";
    case Code::kTls:
      return "tls";
    case Code::kProtocol:
      return "protocol";
    case Code::kUnauthenticated:
      return "unauthenticated";
    case Code::kForbidden:
      return "forbidden";
    case Code::kRateLimited:
      return "rate_limited";
    case Code::kServer:
      return "server";
    case Code::kConflict:
      return "conflict";
    case Code::kOutOfOrder:
      return "out_of_order";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kVoided:
      return "voided";
    case Code::kReplaced:
      return "replaced";
    case Code::kRolledBack:
      return "rolled_back";
    case Code::kMalformed:
      return "malformed";
    case Code::kStorage:
      return "storage";
    case Code::kStorageFull:
      return "storage_full";
    case Code::kCorrupt:
      return "corrupt";
    case Code::kWrongKey:
      return "wrong_key";
    case Code::kTampered:
      return "tampered";
    case Code::kReadOnly:
      return "read_only";
    case Code::kStoreInUse:
      return "store_in_use";
    case Code::kSchemaTooNew:
      return "schema_too_new";
    case Code::kCrypto:
      return "crypto";
    case Code::kInternal:
      return "internal";
    case Code::kNoMemory:
      return "no_memory";
  }
  return "unknown";
}

bool code_is_retryable(Code code) {
  switch (code) {
    case Code::kBusy:
    case Code::kTimedOut:
    case Code::kNetwork:
    case Code::kRateLimited:
    case Code::kServer:
    case Code::kOutOfOrder:
    case Code::kUnavailable:
    case Code::kStorageFull:
    case Code::kStoreInUse:
      return true;
    default:
      return false;
  }
}

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "chatsdk: assertion failed: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace chatsdk
