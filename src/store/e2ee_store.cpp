// SPDX-License-Identifier: Apache-2.0
#include "store/e2ee_store.h"

#include "store/e2ee_schema.h"

namespace chatsdk {

Result<std::unique_ptr<E2eeStore>> E2eeStore::open(DeviceStore& store) {
  DeviceStore::Impl& inside = store.inside();
  const auto migrated = inside.write([&inside](Changes&) { return e2ee_schema::migrate(inside.db); });
  if (!migrated.ok()) return migrated.error();
  for (const char* table : e2ee_schema::tables()) CHATSDK_TRY(inside.db.quick_check(table));
  return std::unique_ptr<E2eeStore>(new E2eeStore(inside));
}

}  // namespace chatsdk
