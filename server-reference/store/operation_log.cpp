// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/operation_log.h"

#include <utility>

#include "base/limits.h"

namespace chatsdk::server {

Status OperationLog::prepare() {
  CHATSDK_ASSIGN(select_, db_.prepare("SELECT request_hash, code, detail, answer FROM operation WHERE user_id = ?1 AND "
                                      "operation_id = ?2"));
  CHATSDK_ASSIGN(insert_,
                 db_.prepare("INSERT INTO operation(user_id, operation_id, request_hash, code, detail, answer, "
                             "created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  CHATSDK_ASSIGN(
      delete_older_,
      db_.prepare("DELETE FROM operation WHERE (user_id, operation_id) IN (SELECT user_id, operation_id FROM "
                  "operation WHERE created_ms < ?1 ORDER BY created_ms LIMIT ?2)"));
  return {};
}

Result<std::optional<OperationLog::Recorded>> OperationLog::find(const UserId& user_id, BytesView operation_id) {
  CHATSDK_ASSIGN(const bool found, select_.bind_text(1, user_id).bind_blob(2, operation_id).step());
  if (!found) return std::optional<Recorded>();
  Recorded recorded;
  recorded.request_hash = select_.blob(0);
  const auto code = static_cast<Code>(select_.integer(1));
  if (code != Code::kOk) recorded.refused = error(code, std::string(select_.text(2)));
  recorded.answer = select_.blob(3);
  select_.reset();
  return std::optional(std::move(recorded));
}

Status OperationLog::record(const UserId& user_id, BytesView operation_id, const Recorded& recorded, WallTime now) {
  return insert_.bind_text(1, user_id)
      .bind_blob(2, operation_id)
      .bind_blob(3, recorded.request_hash)
      .bind(4, static_cast<std::int64_t>(recorded.refused ? recorded.refused->code : Code::kOk))
      .bind_text(5, recorded.refused ? recorded.refused->detail : std::string())
      .bind_blob(6, recorded.answer)
      .bind(7, to_unix_ms(now))
      .run();
}

Status OperationLog::purge(std::size_t max, WallTime now) {
  return delete_older_.bind(1, to_unix_ms(now - limits::kDedupLifetime)).bind(2, static_cast<std::int64_t>(max)).run();
}

}  // namespace chatsdk::server
