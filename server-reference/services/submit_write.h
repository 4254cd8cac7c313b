// SPDX-License-Identifier: Apache-2.0
//
// How services hand a write to the committer without knowing it.
//
// Threads: any.
#pragma once

#include <functional>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

using OnWritten = UniqueFunction<void(Result<WriteAnswer>)>;
// on_written becomes a task on reply_on, exactly once, after the batch that holds the op was committed or refused. Ops
// of one caller are committed in the order submitted.
using SubmitWrite = std::function<void(WriteOp op, OnWritten on_written, Executor& reply_on)>;

}  // namespace chatsdk::server
