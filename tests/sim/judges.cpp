// SPDX-License-Identifier: Apache-2.0
#include "sim/judges.h"

#include <algorithm>

namespace chatsdk::sim {

// ---- tokens --------------------------------------------------------------------------------------------------------

std::optional<std::string> CopiedToken::copy_or_use(const Held& now) {
  // A device that had to register anew leaves the old one's session behind, whose last token nobody has used; and in
  // the state that a server went back to, one that was used may be the newest.
  if (copied_.installation != now.installation || copied_.restores != now.restores) copied_ = {};
  if (copied_.token.empty()) copied_ = now;
  if (copied_.token == now.token) return std::nullopt;
  return std::exchange(copied_, {}).token;
}

Verdict CopiedToken::judge(bool taken, std::uint64_t restores_when_used, std::uint64_t restores_now) {
  if (!taken || restores_when_used != restores_now) return std::nullopt;
  return Finding("A refresh token that had been used was taken again.");
}

// ---- rotations -----------------------------------------------------------------------------------------------------

namespace {

std::string describe(const Rotations::Answer& answer) {
  const std::string generation = std::to_string(answer.generation);
  switch (answer.outcome) {
    case Rotations::Outcome::kRotated:
      return "with a new token, generation " + generation;
    case Rotations::Outcome::kRepeated:
      return "with the token of generation " + generation + " again";
    case Rotations::Outcome::kReused:
      return "that an old token was used again";
    case Rotations::Outcome::kEnded:
      break;
  }
  return "that the session has ended";
}

}  // namespace

Verdict Rotations::judge(const Request& request, const Answer& answer) {
  const auto held = held_.find(request.session);
  Verdict found;
  if (held != held_.end()) {
    const auto& [asked, answered] = held->second;
    const bool same = request.generation == asked.generation && request.id == asked.id;
    const bool repeated = answer.outcome == Outcome::kRepeated && answer.generation == answered.generation;
    if (same && request.at < answered.expires && !repeated) {
      found = Finding("The rotation of generation " + std::to_string(asked.generation) + " of session " +
                      std::to_string(asked.session) + " was answered " + describe(answered) +
                      ", and the same request is answered " + describe(answer) + ".");
    }
  }
  if (answer.outcome == Outcome::kRotated || answer.outcome == Outcome::kRepeated) {
    held_[request.session] = {request, answer};
  } else {
    held_.erase(request.session);
  }
  return found;
}

Verdict Rotations::judge_refusal(BytesView id, WallTime at, int status) const {
  for (const auto& [session, held] : held_) {
    if (held.request.id != id || at >= held.answer.expires) continue;
    return Finding("The rotation of generation " + std::to_string(held.request.generation) + " of session " +
                   std::to_string(session) + " was answered " + describe(held.answer) +
                   ", and the same request is refused with status " + std::to_string(status) + ".");
  }
  return std::nullopt;
}

void Rotations::session_ended(DeviceId device) {
  std::erase_if(held_, [device](const auto& held) { return held.second.answer.device == device; });
}

// ---- epoch, store --------------------------------------------------------------------------------------------------

// Also of a store that was put back the same epoch says that nothing is lost.
Verdict judge_epoch(const ServerStart& start) {
  const bool is_another = start.epoch_before != 0 && start.epoch != start.epoch_before;
  if (!is_another || start.put_back || start.in_doubt) return std::nullopt;
  return Finding("The server has another epoch, although its store is as it was.");
}

Verdict judge_failure(const StoreFailure& failure) {
  const bool damaged =
      failure.code == Code::kCorrupt || failure.code == Code::kTampered || failure.code == Code::kWrongKey;
  const bool no_room = failure.plays_full_disk && failure.code == Code::kStorageFull;
  // Where the disk gave other bytes than are there, saying so is right.
  const bool let_down = damaged ? failure.disk_deceived : failure.power_lost || failure.disk_failed || no_room;
  if (let_down && !failure.healed) return std::nullopt;
  const char* const why = failure.healed ? "although faults have ended"
                          : damaged      ? "although its disk gave nothing but what is there"
                                         : "although its disk did not fail";
  return Finding(failure.what + ", " + why + ": " + std::string(code_name(failure.code)) +
                 (failure.detail.empty() ? "" : ", ") + failure.detail);
}

bool is_of_store(const Error& failure) {
  const bool local = failure.cause.domain != CauseDomain::kHttp && failure.cause.domain != CauseDomain::kWebSocket;
  return local && failure.code <= Code::kStorage && failure.code > Code::kCrypto;
}

// ---- calls ---------------------------------------------------------------------------------------------------------

Verdict judge_end(const std::string& what, const Error& end) {
  switch (end.code) {
    case Code::kProtocol:
    case Code::kMalformed:
    case Code::kInternal:
    case Code::kCrypto:
    case Code::kNoMemory:
      return Finding(what + " ended with " + std::string(code_name(end.code)) + (end.detail.empty() ? "" : ", ") +
                     end.detail + ".");
    default:
      return std::nullopt;
  }
}

// ---- told ----------------------------------------------------------------------------------------------------------

Verdict judge_told(const std::map<MessageNumber, ToldMessage>& told,
                   const std::vector<std::pair<MessageNumber, ToldMessage>>& stored) {
  for (const auto& [key, now] : stored) {
    const auto known = told.find(key);
    if (known != told.end() && known->second == now) continue;
    return Finding((known == told.end() ? "never told of " : "last told otherwise of ") + to_text(now.k) + " seq " +
                       std::to_string(now.seq) + " state " + std::to_string(now.state),
                   now.conversation);
  }
  if (stored.size() == told.size()) return std::nullopt;
  return Finding("told of " + std::to_string(told.size()) + " messages, " + std::to_string(stored.size()) +
                 " are stored");
}

// ---- paging --------------------------------------------------------------------------------------------------------

namespace {

std::optional<std::string> page_error(const std::vector<ReadPage>& pages, std::size_t rows_max) {
  for (const ReadPage& page : pages) {
    if (page.rows.size() > rows_max) return "a page has " + std::to_string(page.rows.size()) + " rows";
    if (page.rows.empty() && page.more) return std::string("an empty page says that there is more");
  }
  return std::nullopt;
}

std::optional<std::string> history_error(const PagedHistory& history) {
  if (auto wrong = page_error(history.forwards, history.up)) return wrong;
  if (auto wrong = page_error(history.backwards, history.down)) return wrong;
  std::vector<PagedMessage> forwards;
  for (const ReadPage& page : history.forwards) forwards.insert(forwards.end(), page.rows.begin(), page.rows.end());
  std::vector<PagedMessage> backwards;
  for (auto page = history.backwards.rbegin(); page != history.backwards.rend(); ++page) {
    backwards.insert(backwards.end(), page->rows.begin(), page->rows.end());
  }
  if (forwards != backwards) {
    return std::to_string(forwards.size()) + " rows forwards by " + std::to_string(history.up) + ", " +
           std::to_string(backwards.size()) + " backwards by " + std::to_string(history.down) + ", and not the same";
  }
  if (history.alone) {
    const PagedMessage& alone = *history.alone;
    if (alone.key != history.asked || std::find(forwards.begin(), forwards.end(), alone) == forwards.end()) {
      return "message " + to_text(alone.k) + " is not the one that was to be read alone";
    }
    const auto lower = [&](const PagedMessage& row) { return row.seq < alone.seq; };
    if (!std::all_of(history.before.begin(), history.before.end(), lower)) {
      return "a page before seq " + std::to_string(alone.seq) + " has it or what is behind it";
    }
  }
  if (history.unread_in_all == history.unread_each_once) return std::nullopt;
  return std::to_string(history.unread_in_all) + " unread messages in all, and " +
         std::to_string(history.unread_each_once) + " in the conversations";
}

}  // namespace

Verdict judge_pages(const PagedHistory& history) {
  const auto wrong = history_error(history);
  return wrong ? Verdict(Finding(*wrong, history.conversation)) : std::nullopt;
}

// ---- unread --------------------------------------------------------------------------------------------------------

Verdict judge_unread(const UnreadCount& count) {
  const auto unread = [&count](const UnreadCount::Row& row) {
    return row.seq > count.read_up_to && !row.sender.empty() && row.sender != count.user;
  };
  const auto rows = static_cast<std::uint64_t>(std::count_if(count.rows.begin(), count.rows.end(), unread));
  if (rows == count.counted) return std::nullopt;
  return Finding(std::to_string(count.counted) + " unread messages counted, and " + std::to_string(rows) +
                     " of others stand behind the read mark " + std::to_string(count.read_up_to),
                 count.conversation);
}

// ---- receipts ------------------------------------------------------------------------------------------------------

Verdict judge_receipt(const AskedReceipt& asked) {
  const bool has_place = asked.seq != 0;
  if (asked.answer != (has_place ? Code::kNotFound : Code::kOk)) return std::nullopt;
  return Finding("Device " + std::to_string(asked.device) + " answers of " + to_text(asked.k) + " at seq " +
                     std::to_string(asked.seq) + (has_place ? " that it is not there." : " who has it."),
                 asked.conversation);
}

}  // namespace chatsdk::sim
