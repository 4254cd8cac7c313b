// SPDX-License-Identifier: Apache-2.0
//
// How rows of the device store's tables become the structs of device_store.h: statements that are prepared once, places
// and the derived state of a message. Shared by the writer and the readers; it decides nothing and writes nothing.
//
// Threads: those of the connection in use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/device_store.h"
#include "store/sqlite.h"

namespace chatsdk::rows {

// ---- Places --------------------------------------------------------------------------------------------------------
//
// A message's place orders it in its conversation; equal places fall back on the key.
//
//   seq * kPlacesPerSeq      on the server at seq
//   seq * kPlacesPerSeq - 1  was at seq when an epoch began, and was not sent again yet
//   between two of those     what a server has lost, in its old order
//   kPendingPlace + key      own, not accepted yet: after everything, in the order they were queued
inline constexpr std::int64_t kPlacesPerSeq = 1 << 16;
inline constexpr std::int64_t kPendingPlace = std::int64_t{1} << 62;
inline constexpr Seq kSeqMax = Seq{1} << 45;

inline std::int64_t place_of(Seq seq) { return static_cast<std::int64_t>(seq) * kPlacesPerSeq; }
inline std::int64_t pending_place(MessageKey key) { return kPendingPlace + static_cast<std::int64_t>(key.value); }
inline bool is_pending(std::int64_t place) { return place >= kPendingPlace; }
inline Seq seq_at(std::int64_t place) { return (static_cast<Seq>(place) + 1) / kPlacesPerSeq; }

// Whether the server is known to hold a message: message.lost.
enum class LostState : std::int64_t {
  kNo = 0,
  kOpen = 1,      // an epoch began; not sent again yet
  kOpenRead = 2,  // the same, of another member and read here
  kLost = 3,      // every stream caught up without it
};

// ---- Statements ----------------------------------------------------------------------------------------------------

// Bytes that are bound as a blob; text otherwise.
struct Blob {
  std::string_view bytes;
};

template <typename T>
void bind(sqlite::Statement& statement, int index, const T& value) {
  if constexpr (std::is_same_v<T, std::nullptr_t>) {
    statement.bind(index, nullptr);
  } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
    statement.bind(index, static_cast<std::int64_t>(value));
  } else if constexpr (std::is_same_v<T, Blob>) {
    statement.bind_blob_borrowed(index, value.bytes);
  } else if constexpr (std::is_same_v<T, ClientMessageId>) {
    statement.bind_blob_borrowed(index, value.view());
  } else if constexpr (std::is_same_v<T, WallTime>) {
    statement.bind(index, clamp_unix_ms(to_unix_ms(value)));
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    statement.bind_text_borrowed(index, std::string_view(value));
  } else {
    statement.bind(index, static_cast<std::int64_t>(value.value));  // an Id64
  }
}
template <typename T>
void bind(sqlite::Statement& statement, int index, const std::optional<T>& value) {
  if (value) {
    bind(statement, index, *value);
  } else {
    statement.bind(index, nullptr);
  }
}

// One use of a prepared statement; ends the read when it goes. Arguments are borrowed until then, or until run() is
// back.
class Query {
 public:
  explicit Query(sqlite::Statement& statement) : statement_(&statement) {}
  explicit Query(Error error) : error_(std::move(error)) {}
  ~Query() {
    if (statement_ != nullptr) statement_->reset();
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  template <typename... Args>
  Status run(const Args&... args) {
    if (statement_ == nullptr) return error_;
    bind_from(1, args...);
    return statement_->run();
  }
  // Binds the arguments from this parameter on, for run() without any.
  template <typename... Args>
  void bind_from(int index, const Args&... args) {
    if (statement_ != nullptr) (bind(*statement_, index++, args), ...);
  }
  // Binds and steps to the first row; false: none.
  template <typename... Args>
  Result<bool> first(const Args&... args) {
    if (statement_ == nullptr) return error_;
    bind_from(1, args...);
    return statement_->step();
  }
  Result<bool> next() { return statement_->step(); }

  const sqlite::Statement& row() const { return *statement_; }
  const sqlite::Statement* operator->() const { return statement_; }

 private:
  sqlite::Statement* statement_ = nullptr;
  Error error_;
};

// A connection's statements, prepared on first use and kept. The SQL texts are constants: their addresses are the keys.
class Statements {
 public:
  explicit Statements(sqlite::Database& db) : db_(db) {}

  Query operator()(const char* sql) {
    const auto found = prepared_.find(sql);
    if (found != prepared_.end()) return Query(found->second);
    auto statement = db_.prepare(sql);
    if (!statement.ok()) return Query(std::move(statement).error());
    return Query(prepared_.emplace(sql, std::move(statement).value()).first->second);
  }
  void clear() { prepared_.clear(); }

 private:
  sqlite::Database& db_;
  std::unordered_map<const char*, sqlite::Statement> prepared_;
};

// ---- Rows ----------------------------------------------------------------------------------------------------------

// The columns that read_message() reads, in its order.
#define CHATSDK_MESSAGE_COLUMNS                                                                                    \
  "m.key, m.conversation, m.place, m.lost, m.sender, m.sender_device, m.message_id, m.client_message_id, m.time, " \
  "m.content"

// Of a message m: it is one that can be unread. erased: the parameter that has what is left of a deleted one.
#define CHATSDK_COUNTS(erased)                               \
  "m.unshown = 0 AND m.sender > '' AND m.content <> " erased \
  " AND NOT EXISTS (SELECT 1 FROM shown s WHERE s.message = m.key AND s.deleted = 1)"

inline std::uint64_t unsigned_at(const sqlite::Statement& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}
inline WallTime time_at(const sqlite::Statement& row, int column) { return from_unix_ms(row.integer(column)); }
inline ClientMessageId client_id_at(const sqlite::Statement& row, int column) {
  return ClientMessageId::from_bytes(row.blob(column)).value_or(ClientMessageId{});
}

// A message with its state as far as the row alone tells: an own one is kSent or kQueued.
MessageRow read_message(const sqlite::Statement& row, const UserId& owner);

// What is left of a post that was deleted.
const Bytes& erased_content();
// The keys of a member's reaction, as their column has them.
Bytes reaction_column(const std::vector<std::string>& keys);

struct MarkPair {
  Seq delivered_up_to = 0;
  Seq read_up_to = 0;
};
// Of another member: what came before `since` is not theirs.
struct MemberMarks {
  Seq since = 0;
  MarkPair marks;
};
// The state of an own message with a seq: as far as all others have come whose it is.
MessageState state_of(Seq seq, const std::vector<MemberMarks>& others);

// Fills what the row alone does not tell of own messages: from the outbox and from the others' marks. One object serves
// the messages of one snapshot.
class StateReader {
 public:
  StateReader(Statements& sql, const UserId& owner) : sql_(sql), owner_(owner) {}
  Status complete(MessageRow& message);

 private:
  Status read_shown(MessageRow& message);
  Status read_marks(ConversationKey conversation);

  Statements& sql_;
  const UserId& owner_;
  ConversationKey conversation_;     // whose others_ are held
  std::vector<MemberMarks> others_;  // none: nobody who is known
};

}  // namespace chatsdk::rows
