// SPDX-License-Identifier: Apache-2.0
//
// How a refusal looks on HTTP: the one table from codes to statuses, and the problem document (RFC 9457).
//
// Threads: pure functions.
#pragma once

#include "base/result.h"
#include "protocol/frames.h"

namespace chatsdk::server {

int http_status(Code code);
// The document for a refusal; status is http_status(error.code), or the more precise one that HTTP has.
wire::Problem problem_of(const Error& error, int status);
// What may be told to a client: details of storage and of internal failures stay in the log.
Error public_error(const Error& error);

}  // namespace chatsdk::server
