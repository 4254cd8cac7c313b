// SPDX-License-Identifier: Apache-2.0
//
// What the world judges by itself at the moment at which it sees it, because no record of the history says it. Each
// judge is told what was seen and answers what is wrong with that; it knows neither client nor server, so that anything
// can be told to it by hand (judges_test.cpp).
//
//   tokens    a refresh token that was used is not taken again                 CopiedToken
//   rotations the same request for a session's next token has the same answer  Rotations
//   epoch     a server whose store is as it was keeps its epoch                judge_epoch
//   store     what fails has a disk that failed; nothing fails after the heal  judge_failure
//   calls     no call and no connection ends for a fault of the library's own  judge_end
//   told      what an app was told of is what its store holds                  judge_told
//   paging    a history is the same by pages of any size, both ways            judge_pages
//   unread    a conversation counts as unread what its rows say                judge_unread
//   receipts  who got a message is known once it has a place, and not before   judge_receipt
//
// The rest of what it judges is said where it is seen: connections (Network), removals (WatchedStore), what does not
// come to rest (World::unrest).
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "sim/history.h"

namespace chatsdk::sim {

// A whole sentence, or what is put into one, and the conversation that it is about, if it is about one.
struct Finding {
  explicit Finding(std::string text, ConversationNumber number = kNoConversation)
      : what(std::move(text)), conversation(number) {}
  std::string what;
  ConversationNumber conversation;
};
using Verdict = std::optional<Finding>;

// ---- tokens --------------------------------------------------------------------------------------------------------

// Somebody copies the refresh token of a device, and uses it once the device has another one.
class CopiedToken {
 public:
  struct Held {
    std::string token;
    std::string installation;
    std::uint64_t restores = 0;  // how often the server's store was put back, by now
  };

  // What the device holds now. The answer is a token that was used, for somebody to use it: once only.
  std::optional<std::string> copy_or_use(const Held& now);
  // The server answered who used it.
  static Verdict judge(bool taken, std::uint64_t restores_when_used, std::uint64_t restores_now);

 private:
  Held copied_;
};

// ---- rotations -----------------------------------------------------------------------------------------------------

// The last rotation of each session. Until its successor is used, the session ends or its time is up, the same request
// gets the same answer (S15), also from a server that has started anew.
class Rotations {
 public:
  struct Request {
    std::uint64_t session = 0;
    std::uint32_t generation = 0;  // of the token that is shown
    Bytes id;
    WallTime at{};
  };
  enum class Outcome { kRotated, kRepeated, kReused, kEnded };
  struct Answer {
    Outcome outcome = Outcome::kEnded;
    DeviceId device;
    std::uint32_t generation = 0;  // that the session has now
    WallTime expires{};
  };

  // The server's store answered so, and is in the state that it says.
  Verdict judge(const Request& request, const Answer& answer);
  // Whoever sent this request was answered that it is refused, whatever the store has of it.
  Verdict judge_refusal(BytesView id, WallTime at, int status) const;
  void session_ended(DeviceId device);
  // Nobody knows what the store has: it is older, or a commit with sessions in it failed.
  void forget_all() { held_.clear(); }

 private:
  struct Held {
    Request request;
    Answer answer;
  };

  std::map<std::uint64_t, Held> held_;  // by session
};

// ---- epoch, store --------------------------------------------------------------------------------------------------

struct ServerStart {
  std::uint64_t epoch_before = 0;  // 0: it is the first
  std::uint64_t epoch = 0;
  bool put_back = false;  // its store is an older state
  bool in_doubt = false;  // there was no room to note the epoch
};
Verdict judge_epoch(const ServerStart& start);

// A store that did not open, or under which a process could not go on.
struct StoreFailure {
  std::string what;  // the beginning of a sentence
  Code code = Code::kStorage;
  std::string detail;
  bool power_lost = false;
  bool disk_failed = false;      // an operation of its disk, since the process began
  bool disk_deceived = false;    // and it was a read of other bytes than are there
  bool plays_full_disk = false;  // a fault point may say that there is no room for a commit
  bool healed = false;
};
Verdict judge_failure(const StoreFailure& failure);
// The store's own codes. What a server says of its own comes with the status of its answer.
bool is_of_store(const Error& failure);

// ---- calls ---------------------------------------------------------------------------------------------------------

// How a call, a request or a connection of a device ended, where nobody alters what is sent: a peer that breaks the
// protocol, an item that cannot be read and a state that cannot be are defects.
Verdict judge_end(const std::string& what, const Error& end);

// ---- told ----------------------------------------------------------------------------------------------------------

// A message as an app knows it. Delivered and read count as sent: they follow from the marks, which are told of the
// conversation.
struct ToldMessage {
  Seq seq = 0;
  std::int32_t state = 0;  // the store's number
  Code failure = Code::kOk;
  ClientMessageId k;
  bool is_placeholder = false;
  ConversationNumber conversation = kNoConversation;
  bool operator==(const ToldMessage&) const = default;
};
using MessageNumber = std::uint64_t;  // the store's key of a message
// The finding is "never told of …", "told of …".
Verdict judge_told(const std::map<MessageNumber, ToldMessage>& told,
                   const std::vector<std::pair<MessageNumber, ToldMessage>>& stored);

// ---- paging --------------------------------------------------------------------------------------------------------

struct PagedMessage {
  MessageNumber key = 0;
  Seq seq = 0;
  std::int32_t state = 0;
  ContentHash content = 0;
  ClientMessageId k;
  bool operator==(const PagedMessage&) const = default;
};
struct ReadPage {
  std::vector<PagedMessage> rows;
  bool more = false;
};
// A history as it was read with nothing in between. Whoever reads it stops at an empty page, and at one with no more.
struct PagedHistory {
  ConversationNumber conversation = kNoConversation;
  std::size_t up = 0;  // rows asked for
  std::size_t down = 0;
  std::vector<ReadPage> forwards;      // the oldest first
  std::vector<ReadPage> backwards;     // the newest first, each page in the order of the history
  MessageNumber asked = 0;             // one of them
  std::optional<PagedMessage> alone;   // what was read for it alone
  std::vector<PagedMessage> before;    // a page of what stands before its seq
  std::uint64_t unread_in_all = 0;     // as the store sums it up
  std::uint64_t unread_each_once = 0;  // as its conversations say, each of which judge_unread holds against its rows
};
Verdict judge_pages(const PagedHistory& history);

// ---- unread --------------------------------------------------------------------------------------------------------

// A conversation with all of its rows, of one state of the store.
struct UnreadCount {
  struct Row {
    Seq seq = 0;    // 0: not on the server, or not there any more
    UserId sender;  // nobody's: a placeholder
  };

  ConversationNumber conversation = kNoConversation;
  UserId user;  // whose device it is
  Seq read_up_to = 0;
  std::uint64_t counted = 0;  // as the conversation says
  std::vector<Row> rows;
};
Verdict judge_unread(const UnreadCount& count);

// ---- receipts ------------------------------------------------------------------------------------------------------

struct AskedReceipt {
  DeviceNumber device = 0;
  ConversationNumber conversation = kNoConversation;
  ClientMessageId k;
  Seq seq = 0;
  Code answer = Code::kOk;
};
Verdict judge_receipt(const AskedReceipt& asked);

}  // namespace chatsdk::sim
