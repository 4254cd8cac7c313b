// SPDX-License-Identifier: Apache-2.0
#include "sim/history.h"

#include <algorithm>
#include <cinttypes>
#include <concepts>
#include <cstdio>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "base/assert.h"

namespace chatsdk::sim {

using namespace event;

namespace {

// ---- Hash ----------------------------------------------------------------------------------------------------------

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  hash ^= hash >> 32;
  return hash * 0xD6E8FEB86659FD93u;
}

std::uint64_t word_at(const unsigned char* bytes, std::size_t count) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < count; ++i) word |= std::uint64_t{bytes[i]} << (8 * i);
  return word;
}

std::uint64_t mix_bytes(std::uint64_t hash, std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  hash = mix(hash, text.size());
  for (std::size_t at = 0; at < text.size(); at += 8) {
    hash = mix(hash, word_at(bytes + at, text.size() - at < 8 ? text.size() - at : 8));
  }
  return hash;
}

template <typename T>
concept Number = std::integral<T> || std::is_enum_v<T>;

struct Hasher {
  std::uint64_t hash;

  template <Number T>
  void operator()(std::string_view, T value) {
    hash = mix(hash, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
  }
  void operator()(std::string_view, const ClientMessageId& k) { hash = mix_bytes(hash, k.view()); }
  void operator()(std::string_view, const std::string& text) { hash = mix_bytes(hash, text); }

  template <typename T>
  void operator()(std::string_view, const std::vector<T>& rows) {
    hash = mix(hash, rows.size());
    for (const T& row : rows) add(row);
  }

 private:
  template <typename... Ts>
  void add_all(const Ts&... values) {
    ((*this)({}, values), ...);
  }
  void add(const StoredRow& row) { add_all(row.seq, row.k, row.sender, row.h, row.placeholder, row.rolled_back); }
  void add(const PendingRow& row) { add_all(row.k, row.h, row.state); }
  void add(const StreamItem& item) { add_all(item.seq, item.hash); }
  void add(const EpochBegun::Head& head) { add_all(head.stream, head.conversation, head.head); }
};

// ---- Differences ---------------------------------------------------------------------------------------------------

struct FieldHash {
  std::string_view name;
  std::uint64_t hash = 0;
  friend bool operator==(const FieldHash&, const FieldHash&) = default;
};

struct FieldHasher {
  std::vector<FieldHash>& hashes;
  template <typename T>
  void operator()(std::string_view name, const T& value) {
    Hasher hasher{0};
    hasher(name, value);
    hashes.push_back({name, hasher.hash});
  }
};

std::vector<FieldHash> field_hashes(const Event& event) {
  std::vector<FieldHash> hashes;
  std::visit([&](const auto& e) { e.fields(FieldHasher{hashes}); }, event);
  return hashes;
}

// In what the records differ; empty: in nothing.
std::string_view difference_of(const Record& one, const Record& other) {
  if (one.time_us != other.time_us) return "time";
  if (one.node != other.node) return "node";
  if (one.event.index() != other.event.index()) return "event";
  const std::vector<FieldHash> ours = field_hashes(one.event);
  const std::vector<FieldHash> theirs = field_hashes(other.event);
  const auto [at, ignored] = std::mismatch(ours.begin(), ours.end(), theirs.begin());
  return at == ours.end() ? std::string_view() : at->name;
}

// ---- Lines ---------------------------------------------------------------------------------------------------------

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

// Hashes in hexadecimal, all other numbers in decimal.
bool is_hash(std::string_view name) { return name == "h" || name == "hash" || name == "answer" || name == "epoch"; }

constexpr std::size_t kRowsPrintedMax = 40;  // of a full read: the newest are what a reader needs

struct Printer {
  std::string& line;

  template <Number T>
  void operator()(std::string_view name, T value) {
    begin(name);
    if constexpr (std::is_same_v<T, bool>) {
      line += value ? "yes" : "no";
    } else if constexpr (std::is_same_v<T, Code>) {
      line += code_name(value);
    } else if constexpr (std::is_same_v<T, SeenState> || std::is_same_v<T, MarkKind>) {
      line += to_text(value);
    } else if constexpr (std::is_same_v<T, AnswerSeen::Kind>) {
      line += value == T::kAccepted ? "accepted" : value == T::kVoided ? "voided" : "refused";
    } else if (is_hash(name)) {
      line += hex(static_cast<std::uint64_t>(value));
    } else {
      line += std::to_string(value);
    }
  }
  void operator()(std::string_view name, const ClientMessageId& k) {
    begin(name);
    line += to_text(k);
  }
  void operator()(std::string_view name, const std::string& text) {
    begin(name);
    line += text;
  }
  template <typename T>
  void operator()(std::string_view name, const std::vector<T>& rows) {
    begin(name);
    line += std::to_string(rows.size()) + "[";
    const std::size_t skipped = rows.size() > kRowsPrintedMax ? rows.size() - kRowsPrintedMax : 0;
    if (skipped > 0) line += "..., ";
    for (std::size_t i = skipped; i < rows.size(); ++i) {
      if (i > skipped) line += ", ";
      add(rows[i]);
    }
    line += "]";
  }

 private:
  void begin(std::string_view name) {
    line += ' ';
    line += name;
    line += '=';
  }
  void add(const StoredRow& row) {
    line += std::to_string(row.seq) + ":";
    line += row.placeholder ? std::string("placeholder") : to_text(row.k) + " by " + std::to_string(row.sender);
    if (row.rolled_back) line += " rolled_back";
  }
  void add(const PendingRow& row) { line += to_text(row.k) + " " + std::string(to_text(row.state)); }
  void add(const StreamItem& item) { line += std::to_string(item.seq) + ":" + hex(item.hash).substr(0, 8); }
  void add(const EpochBegun::Head& head) {
    line += "stream " + std::to_string(head.stream) + " (" + std::to_string(head.conversation) + ") at " +
            std::to_string(head.head);
  }
};

// ---- Which conversation an event concerns --------------------------------------------------------------------------

template <typename T>
concept NamesConversation = requires(const T& event) {
  event.conversation;
};
template <typename T>
concept NamesMessage = requires(const T& event) {
  event.k;
};

using Conversations = std::unordered_map<ClientMessageId, ConversationNumber>;

struct Concern {
  enum class Kind { kNone, kOne, kAll };
  Kind kind = Kind::kNone;
  ConversationNumber conversation = kNoConversation;
};

Concern concern_of(const Event& event, const Conversations& conversation_of) {
  return std::visit(
      [&](const auto& e) -> Concern {
        using T = std::decay_t<decltype(e)>;
        const auto message = [&](const ClientMessageId& k) -> Concern {
          const auto found = conversation_of.find(k);
          if (found == conversation_of.end()) return {};
          return {Concern::Kind::kOne, found->second};
        };
        if constexpr (NamesConversation<T>) {
          return {Concern::Kind::kOne, e.conversation};
        } else if constexpr (NamesMessage<T>) {
          return message(e.k);
        } else if constexpr (std::is_same_v<T, Retried>) {
          return message(e.k_old);
        } else if constexpr (std::is_same_v<T, Bound> || std::is_same_v<T, Sent> ||
                             std::is_same_v<T, RequestAnswered> || std::is_same_v<T, StoreReadInFull>) {
          return {};
        } else {
          return {Concern::Kind::kAll, kNoConversation};
        }
      },
      event);
}

}  // namespace

std::uint64_t hash_of(std::string_view bytes) { return mix_bytes(0, bytes); }

std::string to_text(const ClientMessageId& k) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  const auto add = [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      text += kDigits[k.bytes[i] >> 4];
      text += kDigits[k.bytes[i] & 15];
    }
  };
  add(0, 4);
  text += "..";
  add(14, 16);
  return text;
}

std::string_view to_text(SeenState state) {
  switch (state) {
    case SeenState::kQueued:
      return "queued";
    case SeenState::kSending:
      return "sending";
    case SeenState::kSent:
      return "sent";
    case SeenState::kDelivered:
      return "delivered";
    case SeenState::kRead:
      return "read";
    case SeenState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string_view to_text(MarkKind kind) { return kind == MarkKind::kDelivered ? "delivered" : "read"; }

std::string to_line(const Record& record) {
  char head[64];
  std::snprintf(head, sizeof head, "#%" PRIu64 " %" PRIu64 ".%06" PRIu64 "s n%" PRIu32 " ", record.number,
                record.time_us / 1'000'000, record.time_us % 1'000'000, record.node);
  std::string line = head;
  std::visit(
      [&](const auto& event) {
        line += event.kName;
        event.fields(Printer{line});
      },
      record.event);
  return line;
}

const Record& History::record(std::uint64_t time_us, NodeNumber node, Event event) {
  CHATSDK_ASSERT(records_.empty() || records_.back().time_us <= time_us);
  records_.push_back(Record{records_.size() + 1, time_us, node, std::move(event)});
  const Record& record = records_.back();
  Hasher hasher{mix(mix(mix(hash_, record.time_us), record.node), record.event.index())};
  std::visit([&](const auto& e) { e.fields(hasher); }, record.event);
  hash_ = hasher.hash;
  return record;
}

std::vector<std::string> History::tail(ConversationNumber conversation, std::size_t count) const {
  Conversations conversation_of;
  for (const Record& record : records_) {
    if (const auto* sent = std::get_if<SendCalled>(&record.event)) conversation_of.emplace(sent->k, sent->conversation);
    if (const auto* shown = std::get_if<Shown>(&record.event)) conversation_of.emplace(shown->k, shown->conversation);
  }
  std::deque<const Record*> chosen;
  for (auto record = records_.rbegin(); record != records_.rend() && chosen.size() < count; ++record) {
    const Concern concern = concern_of(record->event, conversation_of);
    const bool wanted = conversation == kNoConversation || concern.kind == Concern::Kind::kAll ||
                        (concern.kind == Concern::Kind::kOne && concern.conversation == conversation);
    if (wanted) chosen.push_front(&*record);
  }
  std::vector<std::string> lines;
  lines.reserve(chosen.size());
  for (const Record* record : chosen) lines.push_back(to_line(*record));
  return lines;
}

std::optional<Difference> first_difference(const History& one, const History& other, std::size_t lines_before) {
  const std::deque<Record>& ours = one.records();
  const std::deque<Record>& theirs = other.records();
  const std::size_t both = std::min(ours.size(), theirs.size());
  std::size_t at = 0;
  std::string_view what;
  while (at < both && (what = difference_of(ours[at], theirs[at])).empty()) ++at;
  if (at == ours.size() && at == theirs.size()) return std::nullopt;
  Difference found{at + 1, std::string(at < both ? what : "end"), {}, {}, {}};
  for (std::size_t i = at - std::min(at, lines_before); i < at; ++i) found.before.push_back(to_line(ours[i]));
  if (at < ours.size()) found.one = to_line(ours[at]);
  if (at < theirs.size()) found.other = to_line(theirs[at]);
  return found;
}

}  // namespace chatsdk::sim
