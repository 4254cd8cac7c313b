// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/account_writer.h"

#include <string>

#include "base/limits.h"
#include "server-reference/store/account_rows.h"

namespace chatsdk::server {

namespace {

// Two accounts without an e-mail address do not share one.
std::optional<std::string> or_null(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

Status AccountWriter::prepare() {
  CHATSDK_ASSIGN(select_account_, db_.prepare(kSelectAccount));
  CHATSDK_ASSIGN(select_contact_, db_.prepare("SELECT EXISTS (SELECT 1 FROM account WHERE email = ?1), "
                                              "EXISTS (SELECT 1 FROM account WHERE phone = ?2)"));
  CHATSDK_ASSIGN(insert_account_,
                 db_.prepare("INSERT INTO account(user_id, account_stream, password_hash, display_name, email, phone, "
                             "created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  CHATSDK_ASSIGN(update_password_, db_.prepare("UPDATE account SET password_hash = ?2 WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_device_,
                 db_.prepare("SELECT device_id FROM device WHERE user_id = ?1 AND installation_id = ?2"));
  CHATSDK_ASSIGN(select_device_owner_, db_.prepare("SELECT user_id FROM device WHERE device_id = ?1"));
  CHATSDK_ASSIGN(count_devices_, db_.prepare("SELECT count(*) FROM device WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_idle_device_,
                 db_.prepare("SELECT device_id FROM device AS d WHERE user_id = ?1 AND NOT EXISTS (SELECT 1 FROM "
                             "session AS s WHERE s.device_id = d.device_id AND s.expires_ms > ?2) "
                             "ORDER BY last_seen_ms, device_id LIMIT 1"));
  CHATSDK_ASSIGN(insert_device_, db_.prepare("INSERT INTO device(device_id, user_id, installation_id, name, "
                                             "created_ms, last_seen_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?5)"));
  CHATSDK_ASSIGN(update_device_, db_.prepare("UPDATE device SET name = CASE ?2 WHEN '' THEN name ELSE ?2 END, "
                                             "last_seen_ms = max(last_seen_ms, ?3) WHERE device_id = ?1"));
  CHATSDK_ASSIGN(touch_device_,
                 db_.prepare("UPDATE device SET last_seen_ms = ?2 WHERE device_id = ?1 AND last_seen_ms < ?2"));
  CHATSDK_ASSIGN(delete_device_, db_.prepare("DELETE FROM device WHERE device_id = ?1"));
  CHATSDK_ASSIGN(
      insert_formers_,
      db_.prepare("INSERT INTO former_device(device_id, former_id) SELECT ?1, d.device_id FROM device d WHERE "
                  "d.user_id = ?3 AND d.device_id <> ?1 AND (d.device_id = ?2 OR EXISTS (SELECT 1 FROM "
                  "former_device f JOIN device b ON b.device_id = f.device_id WHERE f.device_id = ?2 AND "
                  "b.user_id = ?3 AND f.former_id = d.device_id))"));
  CHATSDK_ASSIGN(delete_formers_, db_.prepare("DELETE FROM former_device WHERE device_id = ?1"));
  CHATSDK_ASSIGN(delete_cursors_, db_.prepare("DELETE FROM cursor WHERE device_id = ?1"));
  CHATSDK_ASSIGN(delete_send_numbers_, db_.prepare("DELETE FROM send_number WHERE device_id = ?1"));
  CHATSDK_ASSIGN(select_session_, db_.prepare(kSelectSession));
  CHATSDK_ASSIGN(insert_session_, db_.prepare("INSERT INTO session(session_id, device_id, user_id, generation, "
                                              "last_request_id, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  CHATSDK_ASSIGN(update_session_, db_.prepare("UPDATE session SET generation = ?2, last_request_id = ?3, "
                                              "expires_ms = ?4 WHERE session_id = ?1"));
  CHATSDK_ASSIGN(delete_session_, db_.prepare("DELETE FROM session WHERE session_id = ?1"));
  CHATSDK_ASSIGN(delete_sessions_of_, db_.prepare("DELETE FROM session WHERE device_id = ?1"));
  CHATSDK_ASSIGN(probe_, db_.prepare("INSERT INTO meta(name, value) VALUES ('probe', x'') "
                                     "ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
  return {};
}

// ---- Accounts ------------------------------------------------------------------------------------------------------

Status AccountWriter::apply(const CreateAccount& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(const auto existing, find_account(op.account.user_id));
  if (existing) {
    answer = error(Code::kAlreadyExists, "the user_id is taken");
    return {};
  }
  return insert_account(op.account, answer);
}

Status AccountWriter::apply(const EnsureAccount& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(auto existing, find_account(op.account.user_id));
  if (existing && !existing->password_hash.empty()) {
    answer = error(Code::kConflict, "this user_id belongs to an account with a password");
    return {};
  }
  if (existing) {
    answer = WriteAnswer(*std::move(existing));
    return {};
  }
  return insert_account(op.account, answer);
}

Result<std::optional<Account>> AccountWriter::find_account(const UserId& user_id) {
  CHATSDK_ASSIGN(const bool found, select_account_.bind_text(1, user_id).step());
  if (!found) return std::optional<Account>();
  Account account = account_of(select_account_);
  select_account_.reset();
  return std::optional(std::move(account));
}

Result<std::optional<Error>> AccountWriter::name_taken(const Account& account) {
  CHATSDK_TRY(select_contact_.bind_text_or_null(1, or_null(account.email))
                  .bind_text_or_null(2, or_null(account.phone))
                  .step_row());
  const bool email = select_contact_.integer(0) != 0;
  const bool phone = select_contact_.integer(1) != 0;
  select_contact_.reset();
  if (email) return std::optional(error(Code::kAlreadyExists, "the e-mail address is taken"));
  if (phone) return std::optional(error(Code::kAlreadyExists, "the phone number is taken"));
  return std::optional<Error>();
}

Status AccountWriter::insert_account(const Account& account, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(auto taken, name_taken(account));
  if (taken) {
    answer = *std::move(taken);
    return {};
  }
  Account made = account;
  made.created = from_unix_ms(to_unix_ms(account.created));
  CHATSDK_ASSIGN(
      const StreamState* stream,
      streams_.create(wire::STREAM_KIND_ACCOUNT, wire::CONVERSATION_KIND_UNSPECIFIED, {made.user_id}, made.created));
  made.account_stream = stream->stream_id;
  CHATSDK_TRY(insert_account_.bind_text(1, made.user_id)
                  .bind(2, to_column(made.account_stream.value))
                  .bind_text(3, made.password_hash)
                  .bind_text(4, made.display_name)
                  .bind_text_or_null(5, or_null(made.email))
                  .bind_text_or_null(6, or_null(made.phone))
                  .bind(7, to_unix_ms(made.created))
                  .run());
  answer = WriteAnswer(std::move(made));
  return {};
}

// ---- Sessions ------------------------------------------------------------------------------------------------------

Status AccountWriter::apply(const OpenSession& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(const auto account, find_account(op.user_id));
  if (!account) {
    answer = error(Code::kNotFound, "no such user");
    return {};
  }
  CHATSDK_ASSIGN(auto device_id, find_device(op));
  SessionOpened opened;
  opened.new_device = !device_id.has_value();
  if (device_id) {
    CHATSDK_TRY(update_device_.bind(1, to_column(device_id->value))
                    .bind_text(2, op.device_name)
                    .bind(3, to_unix_ms(op.now))
                    .run());
    CHATSDK_TRY(end_sessions_of(*device_id));
  } else {
    CHATSDK_ASSIGN(const std::size_t devices, count_devices(op.user_id));
    std::optional<DeviceId> idle;
    if (devices >= limits::kDevicesPerUserMax) {
      CHATSDK_ASSIGN(idle, find_idle_device(op));
      if (!idle) {
        answer = error(Code::kLimitReached, std::to_string(devices) + " devices with an open session, limit " +
                                                std::to_string(limits::kDevicesPerUserMax));
        return {};
      }
    }
    if (idle) CHATSDK_TRY(forget_device(op.user_id, *idle));
    CHATSDK_ASSIGN(device_id, insert_device(op));
    CHATSDK_TRY(insert_formers(*device_id, op));
    CHATSDK_TRY(streams_.append_devices_changed(account->account_stream, op.now));
  }
  if (!op.new_password_hash.empty()) {
    CHATSDK_TRY(update_password_.bind_text(1, op.user_id).bind_text(2, op.new_password_hash).run());
  }
  Session& session = opened.session;
  session.session_id = SessionId{random_.next_u64() | 1};  // never 0, which means none
  session.device_id = *device_id;
  session.user_id = op.user_id;
  session.expires = from_unix_ms(to_unix_ms(op.expires));
  CHATSDK_TRY(insert_session_.bind(1, to_column(session.session_id.value))
                  .bind(2, to_column(session.device_id.value))
                  .bind_text(3, session.user_id)
                  .bind(4, session.generation)
                  .bind_blob(5, session.last_request_id)
                  .bind(6, to_unix_ms(session.expires))
                  .run());
  answer = WriteAnswer(std::move(opened));
  return {};
}

Result<std::optional<DeviceId>> AccountWriter::find_device(const OpenSession& op) {
  CHATSDK_ASSIGN(const bool found, select_device_.bind_text(1, op.user_id).bind_blob(2, op.installation_id).step());
  if (!found) return std::optional<DeviceId>();
  const DeviceId device_id{from_column(select_device_.integer(0))};
  select_device_.reset();
  return std::optional(device_id);
}

Result<std::size_t> AccountWriter::count_devices(const UserId& user_id) {
  CHATSDK_TRY(count_devices_.bind_text(1, user_id).step_row());
  const auto count = static_cast<std::size_t>(count_devices_.integer(0));
  count_devices_.reset();
  return count;
}

Result<std::optional<DeviceId>> AccountWriter::find_idle_device(const OpenSession& op) {
  CHATSDK_ASSIGN(const bool found, select_idle_device_.bind_text(1, op.user_id).bind(2, to_unix_ms(op.now)).step());
  if (!found) return std::optional<DeviceId>();
  const DeviceId device_id{from_column(select_idle_device_.integer(0))};
  select_idle_device_.reset();
  return std::optional(device_id);
}

Status AccountWriter::end_sessions_of(DeviceId device) {
  sessions_.forget(device);
  return delete_sessions_of_.bind(1, to_column(device.value)).run();
}

Status AccountWriter::forget_device(const UserId& user_id, DeviceId device) {
  const std::int64_t device_id = to_column(device.value);
  CHATSDK_TRY(end_sessions_of(device));
  streams_.forget_send_numbers(device);
  CHATSDK_TRY(keys_.forget(user_id, device));
  CHATSDK_TRY(delete_device_.bind(1, device_id).run());
  CHATSDK_TRY(delete_formers_.bind(1, device_id).run());
  CHATSDK_TRY(delete_cursors_.bind(1, device_id).run());
  return delete_send_numbers_.bind(1, device_id).run();
}

Result<DeviceId> AccountWriter::insert_device(const OpenSession& op) {
  const DeviceId device_id{ids_.make(op.now).value};
  CHATSDK_TRY(insert_device_.bind(1, to_column(device_id.value))
                  .bind_text(2, op.user_id)
                  .bind_blob(3, op.installation_id)
                  .bind_text(4, op.device_name)
                  .bind(5, to_unix_ms(op.now))
                  .run());
  return device_id;
}

Status AccountWriter::insert_formers(DeviceId device, const OpenSession& op) {
  if (!op.former_device) return {};
  return insert_formers_.bind(1, to_column(device.value))
      .bind(2, to_column(op.former_device.value))
      .bind_text(3, op.user_id)
      .run();
}

Status AccountWriter::apply(const RotateSession& op, Result<WriteAnswer>& answer) {
  SessionRotated rotated;
  CHATSDK_ASSIGN(auto session, find_session(op.session_id));
  if (session) {
    const bool open = op.now < session->expires;
    const bool current = op.generation == session->generation;
    const bool previous = op.generation + 1 == session->generation;
    if (open && current) {
      rotated.outcome = SessionRotated::Outcome::kRotated;
      ++session->generation;
      session->last_request_id = op.request_id;
      session->expires = from_unix_ms(to_unix_ms(op.expires));
      CHATSDK_TRY(update_session_.bind(1, to_column(session->session_id.value))
                      .bind(2, session->generation)
                      .bind_blob(3, session->last_request_id)
                      .bind(4, to_unix_ms(session->expires))
                      .run());
    } else if (open && previous && !op.request_id.empty() && op.request_id == session->last_request_id) {
      rotated.outcome = SessionRotated::Outcome::kRepeated;
    } else {
      // An old token with another request is a copy in someone's hands. A generation not yet made comes from before a
      // restore; its session cannot be told from a copy either, but it is nobody's fault.
      if (open && op.generation < session->generation) rotated.outcome = SessionRotated::Outcome::kReused;
      sessions_.forget(session->device_id);
      CHATSDK_TRY(delete_session_.bind(1, to_column(session->session_id.value)).run());
    }
    rotated.session = *std::move(session);
  }
  answer = WriteAnswer(std::move(rotated));
  return {};
}

Result<std::optional<Session>> AccountWriter::find_session(SessionId session_id) {
  CHATSDK_ASSIGN(const bool found, select_session_.bind(1, to_column(session_id.value)).step());
  if (!found) return std::optional<Session>();
  Session session = session_of(select_session_);
  select_session_.reset();
  return std::optional(std::move(session));
}

Status AccountWriter::apply(const EndSessions& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(const bool found, select_device_owner_.bind(1, to_column(op.device_id.value)).step());
  const bool own = found && select_device_owner_.text(0) == op.user_id;
  select_device_owner_.reset();
  if (!own) {
    answer = error(Code::kNotFound, "no such device");
    return {};
  }
  if (!op.remove_device) {
    CHATSDK_TRY(end_sessions_of(op.device_id));
  } else {
    CHATSDK_TRY(forget_device(op.user_id, op.device_id));
    CHATSDK_ASSIGN(const auto account, find_account(op.user_id));
    if (!account) return error(Code::kCorrupt, "a device has no account");
    CHATSDK_TRY(streams_.append_devices_changed(account->account_stream, op.now));
  }
  answer = WriteAnswer(Done{});
  return {};
}

Status AccountWriter::apply(const TouchDevice& op, Result<WriteAnswer>& answer) {
  answer = WriteAnswer(Done{});
  return touch_device_.bind(1, to_column(op.device_id.value)).bind(2, to_unix_ms(op.last_seen)).run();
}

Status AccountWriter::apply(const ProbeWrite&, Result<WriteAnswer>& answer) {
  answer = WriteAnswer(Done{});
  return probe_.run();
}

}  // namespace chatsdk::server
