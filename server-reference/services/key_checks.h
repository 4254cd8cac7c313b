// SPDX-License-Identifier: Apache-2.0
//
// What an upload to the key directory must hold by itself (docs/e2ee.md sections 5, 6 and 17): layouts, keys,
// signatures, and what belongs together. Whether it follows what is stored is the store's business. Nothing passes but
// the bytes of structures that were parsed whole, so nothing but public parts can be stored.
//
// Every refusal is MALFORMED (the bytes are no such structure) or INVALID_ARGUMENT, and names the field and its place.
//
// Threads: pure functions; they verify up to hundreds of signatures, so they run on the workers.
#pragma once

#include <span>

#include "base/result.h"
#include "protocol/frames.h"
#include "protocol/keys.pb.h"
#include "server-reference/services/http_service.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

// The op that stores the upload, its `now` left to the caller. stored: the records of the user's newest list, which an
// upload need not repeat.
Result<PublishLists> check_list_upload(const wire::DeviceListUpload& upload, const Identity& uploader,
                                       std::span<const DeviceRecordRow> stored);

// listed: the record under whose key the prekeys are signed.
Result<UploadPrekeys> check_prekey_upload(const wire::PrekeyUpload& upload, const Identity& uploader,
                                          const DeviceRecordRow& listed);

}  // namespace chatsdk::server
