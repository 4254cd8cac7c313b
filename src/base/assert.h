// SPDX-License-Identifier: Apache-2.0
//
// Assertions of what must hold in every build. A failed one is a defect of chatsdk: the process stops where the truth
// is still near, instead of storing something wrong.
//
// Threads: any.
#pragma once

namespace chatsdk {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace chatsdk

#define CHATSDK_ASSERT(expression) \
  (static_cast<bool>(expression) ? static_cast<void>(0) : ::chatsdk::assertion_failed(#expression, __FILE__, __LINE__))
