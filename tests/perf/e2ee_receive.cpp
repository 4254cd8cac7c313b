// SPDX-License-Identifier: Apache-2.0
//
// What a device with a real store makes of encrypted messages: its end of a direct conversation in an encrypted file,
// each message through DirectConversations::receive(), applied and committed with synchronous=FULL, as the engine does.
// Prints one JSON object:
//
//   e2ee_batch1_per_s, e2ee_batch64_per_s   messages of one sender in a row, 1 and 64 in a transaction
//   e2ee_session_bytes, e2ee_skipped_bytes  what the file grows by with a session of the longest user_id, and with a
//                                           skipped key
//
// The floor of the first two is `chatsdk_floors DIRECTORY received`.
//
// Usage: e2ee_receive DIRECTORY
// Threads: one.
#include <sodium.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/limits.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kTextBytes = 256;
constexpr int kSingly = 2'000;
constexpr int kInBatches = 12'800;
constexpr int kBatch = 64;
constexpr std::int64_t kSessions = 2'000;
constexpr int kSkipped = 2'000;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "e2ee_receive: %s\n", what.c_str());
  std::exit(1);
}
template <typename T>
void must(const Result<T>& result) {
  if (!result.ok()) die(result.error().detail);
}

class Conversation {
 public:
  explicit Conversation(const std::filesystem::path& directory)
      : alice_(server_, "alice", 1, directory), bob_(server_, "bob", 2, directory) {
    alice_.begin();
    bob_.begin();
    say(alice_, bob_);
    say(bob_, alice_);
    say(alice_, bob_);
  }

  // Messages of Alice that wait for Bob.
  void write(int messages) {
    must(alice_.kept.e2ee().write([&](E2eeTransaction& transaction) -> Status {
      for (int i = 0; i < messages; ++i) {
        Envelope envelope;
        envelope.client_message_id = ClientMessageId::make(from_unix_ms(kThen), alice_.random);
        envelope.binding = DirectBinding::of("alice", "bob");
        envelope.sender_time_ms = kThen;
        envelope.body = encode_text_content(std::string(kTextBytes, 'x'));
        ChatServer::StreamItem item;
        CHATSDK_ASSIGN(item.slices[bob_.self],
                       encrypt_for(transaction.state(), bob_.self, serialize(envelope), alice_.random));
        item.sent = {alice_.self, SliceKind::kMessage, envelope.client_message_id, {}};
        server_.add(std::move(item));
      }
      return {};
    }));
  }
  // Bob takes all that wait, so many in a transaction.
  double receive(int batch) {
    const Seq first = bob_.cursor() + 1;
    const auto began = std::chrono::steady_clock::now();
    for (Seq seq = first; seq <= server_.stream.size();) {
      must(bob_.kept.e2ee().write([&](E2eeTransaction& transaction) -> Status {
        for (int i = 0; i < batch && seq <= server_.stream.size(); ++i, ++seq) {
          ItemResult result;
          CHATSDK_TRY(bob_.take(transaction, server_.stream[seq - 1], result));
          if (result.outcome != ItemResult::Outcome::kContent) return error(Code::kInternal, "a message did not open");
        }
        return {};
      }));
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    return static_cast<double>(server_.stream.size() - first + 1) / took.count();
  }

  std::int64_t bytes_of_a_session() {
    const UserId longest(limits::kUserIdBytesMax, 'u');
    const auto sessions = alice_.sessions(bob_);
    const auto known = alice_.kept.state().session(bob_.self, sessions.at(0).session_id);
    must(known);
    const std::int64_t before = bytes(bob_);
    must(bob_.kept.e2ee().write([&](E2eeTransaction& transaction) -> Status {
      for (std::int64_t i = 0; i < kSessions; ++i) {
        Session session = (*known)->clone();
        session.chains.clear();
        const DeviceId device{0x1122'3344'5566'0000U + static_cast<std::uint64_t>(i)};
        CHATSDK_TRY(transaction.state().put_session({longest, device}, session));
      }
      return {};
    }));
    return (bytes(bob_) - before) / kSessions;
  }
  std::int64_t bytes_of_a_skipped_key() {
    const Seq after = server_.stream.size();
    write(kSkipped + 1);
    server_.stream.erase(server_.stream.begin() + static_cast<std::ptrdiff_t>(after), server_.stream.end() - 1);
    server_.stream.back().seq = after + 1;
    const std::int64_t before = bytes(bob_);
    receive(1);
    return (bytes(bob_) - before) / kSkipped;
  }

 private:
  static std::int64_t bytes(ChatDevice& device) {
    auto pages = device.kept.db().prepare("PRAGMA page_count");
    must(pages->step());
    return pages->integer(0) * 4'096;
  }
  static void say(ChatDevice& from, ChatDevice& to) {
    from.sync();
    from.queue("hello");
    if (from.flush() != 1) die("nothing was sent");
    from.sync();
    to.sync();
    if (to.history().back() != "hello") die("nothing came");
  }

  ChatServer server_;
  ChatDevice alice_;
  ChatDevice bob_;
};

}  // namespace
}  // namespace chatsdk::e2ee

int main(int argc, char** argv) {
  using chatsdk::e2ee::Conversation;
  if (argc != 2 || sodium_init() < 0) return 2;
  Conversation conversation(std::filesystem::path(argv[1]) / "e2ee-receive");
  conversation.write(chatsdk::e2ee::kSingly);
  const double singly = conversation.receive(1);
  conversation.write(chatsdk::e2ee::kInBatches);
  const double in_batches = conversation.receive(chatsdk::e2ee::kBatch);
  const long long session = conversation.bytes_of_a_session();
  const long long skipped = conversation.bytes_of_a_skipped_key();
  std::printf(
      "{\"e2ee_batch1_per_s\": %.2f, \"e2ee_batch64_per_s\": %.2f, \"e2ee_session_bytes\": %lld, "
      "\"e2ee_skipped_bytes\": %lld}\n",
      singly, in_batches, session, skipped);
  return 0;
}
