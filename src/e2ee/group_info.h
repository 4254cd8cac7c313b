// SPDX-License-Identifier: Apache-2.0
//
// The sealed name, description and picture of an encrypted group (docs/e2ee.md section 14.7). What stands in an info is
// known by whoever shows it.
//
// Threads: pure functions.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

// The key is used for one info only. TOO_LARGE above limits::e2ee::kGroupInfoMax.
Result<Bytes> seal_group_info(BytesView info, const Secret<32>& info_key, const Nonce& nonce, const GroupId& group);
// nullopt for everything that seal_group_info() did not make with this key for this group.
std::optional<Bytes> open_group_info(BytesView sealed, const Secret<32>& info_key, const GroupId& group);
Hash group_info_hash(BytesView sealed);

}  // namespace chatsdk::e2ee
