// SPDX-License-Identifier: Apache-2.0
//
// The one error value and the one result type of chatsdk, on both sides of the wire.
//
// Code is the single list of status numbers: the C ABI, error frames and problem documents all speak it, so a number
// is never renumbered and never reused. docs/glossary.md lists every one.
//
// Detail text names limits and values seen; it never holds user content, keys or tokens.
//
// Threads: values; no sharing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace chatsdk {

enum class Code : std::int32_t {
  kOk = 0,

  // The caller's arguments.
  kInvalidArgument = -100,
  kTooSmall = -101,
  kTooLarge = -102,
  kInvalidUtf8 = -103,
  kUnsupported = -104,

  // The state of the object called.
  kClosed = -200,
  kBusy = -201,
  kNotFound = -202,
  kAlreadyExists = -203,
  kCancelled = -204,
  kWrongState = -205,
  kTimedOut = -206,
  kNotLoggedIn = -207,
  kLimitReached = -208,

  // The network.
  kNetwork = -300,
  kTls = -301,
  kProtocol = -302,

  // The server's answers.
  kUnauthenticated = -400,
  kForbidden = -401,
  kRateLimited = -402,
  kServer = -403,
  kConflict = -404,
  kOutOfOrder = -405,
  kUnavailable = -406,
  kVoided = -407,
  kReplaced = -408,
  kRolledBack = -409,
  kMalformed = -410,

  // Storage.
  kStorage = -500,
  kStorageFull = -501,
  kCorrupt = -502,
  kWrongKey = -503,
  kTampered = -504,
  kReadOnly = -505,
  kStoreInUse = -506,
  kSchemaTooNew = -507,

  // Cryptography.
  kCrypto = -600,

  // The library itself.
  kInternal = -900,
  kNoMemory = -901,
};

// The code's stable name in lower_snake_case, as problem documents and logs write it; "unknown" for other numbers.
std::string_view code_name(Code code);

// True when the same request may succeed later without any change by the caller.
bool code_is_retryable(Code code);

// Whose number a cause is. The C ABI has the same values (CHATSDK_CAUSE_): never renumbered, never reused.
enum class CauseDomain : std::int32_t {
  kNone = 0,
  kSystem = 1,     // errno
  kSqlite = 2,     // SQLite's extended result code
  kHttp = 3,       // status of an HTTP answer
  kCurl = 4,       // CURLcode
  kTls = 5,        // OpenSSL's verdict on a certificate, X509_V_ERR_
  kWebSocket = 6,  // close code
  kResolver = 7,   // getaddrinfo's answer, EAI_
};

// What the layer below said, as it said it: for logs and for people, not for decisions.
struct Cause {
  CauseDomain domain = CauseDomain::kNone;
  std::int32_t code = 0;

  friend bool operator==(const Cause&, const Cause&) = default;
};

struct [[nodiscard]] Error {
  Code code = Code::kInternal;
  std::string detail;
  std::chrono::milliseconds retry_after{0};  // 0: the server named none
  std::uint64_t expected_number = 0;         // OUT_OF_ORDER: the send number that the server takes next; 0: not named
  Cause cause{};                             // stays on this device

  friend bool operator==(const Error&, const Error&) = default;
};

inline Error error(Code code, std::string detail, Cause cause = {}) {
  return Error{code, std::move(detail), {}, 0, cause};
}

// Either a T or an Error; Result<void> is Status.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CHATSDK_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    CHATSDK_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CHATSDK_ASSERT(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & {
    CHATSDK_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }
  const Error& error() const& {
    CHATSDK_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    CHATSDK_ASSERT(!ok());
    return std::move(*std::get_if<1>(&state_));
  }
  Code code() const { return ok() ? Code::kOk : error().code; }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return error_.code == Code::kOk; }
  explicit operator bool() const { return ok(); }
  Error& error() & {
    CHATSDK_ASSERT(!ok());
    return error_;
  }
  const Error& error() const& {
    CHATSDK_ASSERT(!ok());
    return error_;
  }
  Error&& error() && {
    CHATSDK_ASSERT(!ok());
    return std::move(error_);
  }
  Code code() const { return error_.code; }

 private:
  Error error_{Code::kOk, {}, {}};
};

using Status = Result<void>;

}  // namespace chatsdk

// Returns the error of an expression that yields a Status or Result from the enclosing function.
#define CHATSDK_TRY(expression)                                           \
  do {                                                                    \
    if (auto chatsdk_try_result = (expression); !chatsdk_try_result.ok()) \
      return std::move(chatsdk_try_result).error();                       \
  } while (false)

#define CHATSDK_CONCAT_INNER(a, b) a##b
#define CHATSDK_CONCAT(a, b) CHATSDK_CONCAT_INNER(a, b)

// CHATSDK_ASSIGN(auto page, read_page()): declares page from a Result, or returns its error.
#define CHATSDK_ASSIGN(declaration, expression)                          \
  auto CHATSDK_CONCAT(chatsdk_result_, __LINE__) = (expression);         \
  if (!CHATSDK_CONCAT(chatsdk_result_, __LINE__).ok())                   \
    return std::move(CHATSDK_CONCAT(chatsdk_result_, __LINE__)).error(); \
  declaration = std::move(CHATSDK_CONCAT(chatsdk_result_, __LINE__)).value()
