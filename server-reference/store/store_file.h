// SPDX-License-Identifier: Apache-2.0
//
// What stands at the place of the store, found out without locking, making or changing anything: whoever names the
// wrong file must find it as it was.
//
// Threads: any. No other part of the process has the file open, for closing it gives up the process's locks on it.
#pragma once

#include <string>

#include "base/result.h"

namespace chatsdk::server {

// True: the store's file, or an empty one, which becomes the store's. False: there is none, or what can be read of it
// does not tell, as after a crash or damage. INVALID_ARGUMENT: it or a file beside it is no regular file. CORRUPT:
// another program's.
Result<bool> recognise_store_file(const std::string& path);

}  // namespace chatsdk::server
