// SPDX-License-Identifier: Apache-2.0
//
// What single steps cost, without network and processes: frames, pages, the device store and the server's store. The
// stores commit with a sync, as they do in use: their figures are the disk's as much as ours.
//
// Threads: one.
#include <benchmark/benchmark.h>
#include <sodium.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "protocol/frames.h"
#include "server-reference/store/sqlite_store.h"
#include "store/crypt_page.h"
#include "store/device_store.h"

namespace chatsdk::perf {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kTextBytes = 256;

template <typename T>
T must(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "micro: %s\n", result.error().detail.c_str());
  std::exit(1);
}

void must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "micro: %s\n", status.error().detail.c_str());
  std::exit(1);
}

// A directory that goes with its owner, where the benchmark was started.
class Directory {
 public:
  Directory() : path_("micro-" + to_hex(random_.bytes(8))) { std::filesystem::create_directory(path_); }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  static std::string to_hex(const Bytes& bytes) {
    std::string text(bytes.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    text.pop_back();
    return text;
  }
  SodiumRandom random_;
  std::string path_;
};

ClientMessageId numbered_id(std::uint64_t number) {
  std::string bytes(limits::kClientMessageIdBytes, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  return *ClientMessageId::from_bytes(bytes);
}

wire::ClientFrame send_frame(std::uint64_t number) {
  wire::ClientFrame frame;
  wire::Send& send = *frame.mutable_send();
  send.set_conversation_id(std::uint64_t{1} << 56);
  const ClientMessageId id = numbered_id(number);
  send.set_client_message_id(id.view().data(), id.view().size());
  send.set_send_number(number);
  send.set_content(encode_text_content(std::string(kTextBytes, 'x')));
  return frame;
}

// ---- Frames --------------------------------------------------------------------------------------------------------

void encode_send_frame(benchmark::State& state) {
  const wire::ClientFrame frame = send_frame(1);
  for (auto _ : state) benchmark::DoNotOptimize(encode(frame));
}
BENCHMARK(encode_send_frame);

void decode_send_frame(benchmark::State& state) {
  const Bytes bytes = encode(send_frame(1));
  for (auto _ : state) benchmark::DoNotOptimize(decode_client_frame(bytes));
}
BENCHMARK(decode_send_frame);

void hash_payload(benchmark::State& state) {
  const Bytes content = encode_text_content(std::string(kTextBytes, 'x'));
  for (auto _ : state) benchmark::DoNotOptimize(payload_hash(content));
}
BENCHMARK(hash_payload);

// ---- Pages ---------------------------------------------------------------------------------------------------------

struct Page {
  SodiumRandom source;
  SharedRandom random{source};
  StoreKeys keys{StoreKey{}};
  Sealer sealer{keys, RecordKind::kPage, FileIdentity{}, random};
  std::vector<unsigned char> plain = std::vector<unsigned char>(4'096 - kSealBytes, 'x');
  std::vector<unsigned char> sealed = std::vector<unsigned char>(4'096);
};

void seal_page(benchmark::State& state) {
  Page page;
  for (auto _ : state) page.sealer.seal(7, page.plain, page.sealed.data());
  state.SetBytesProcessed(state.iterations() * 4'096);
}
BENCHMARK(seal_page);

void open_page(benchmark::State& state) {
  Page page;
  page.sealer.seal(7, page.plain, page.sealed.data());
  for (auto _ : state) {
    if (!page.sealer.open(7, page.sealed.data(), page.plain.size(), page.plain.data())) std::abort();
  }
  state.SetBytesProcessed(state.iterations() * 4'096);
}
BENCHMARK(open_page);

// ---- The device store ----------------------------------------------------------------------------------------------

struct Device {
  Directory directory;
  SodiumRandom random;
  SystemClock clock;
  StoreKey key;
  std::unique_ptr<DeviceStore> store;
  Seq seq = 0;

  Device() {
    DeviceStoreOptions options;
    options.path = directory.file("device.db");
    options.key = &key;
    store = must(DeviceStore::open(options, random, clock));
    StoredSession session;
    session.user_id = "owner";
    session.device_id = DeviceId{1};
    must(store->save_session(session));
    must(store->begin_epoch(1, StreamId{1}));
  }

  void apply_batch() {
    wire::Items items;
    items.set_stream_id(2);
    items.set_stream_kind(wire::STREAM_KIND_CONVERSATION);
    items.set_after_seq(seq);
    for (std::size_t i = 0; i < kBatch; ++i) {
      wire::Item& item = *items.add_items();
      item.set_seq(++seq);
      item.set_kind(wire::ITEM_KIND_MESSAGE);
      item.set_message_id((std::uint64_t{1} << 56) + seq);
      item.set_sender_user_id("peer");
      item.set_sender_device_id(2);
      const ClientMessageId id = numbered_id(seq);
      item.set_client_message_id(id.view().data(), id.view().size());
      item.set_time_ms(1'700'000'000'000 + static_cast<std::int64_t>(seq));
      item.set_content(encode_text_content(std::string(kTextBytes, 'x')));
    }
    must(store->apply(items));
  }
};

void apply_64_items(benchmark::State& state) {
  Device device;
  for (auto _ : state) device.apply_batch();
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(apply_64_items)->UseRealTime();

void enqueue_message(benchmark::State& state) {
  Device device;
  const ConversationKey conversation = must(device.store->ensure_direct("peer"));
  std::uint64_t number = 0;
  for (auto _ : state) {
    must(device.store->enqueue(conversation, numbered_id(++number), encode_text_content(std::string(kTextBytes, 'x')),
                               device.clock.wall_now(), device.clock.wall_now() + std::chrono::hours(1), false));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(enqueue_message)->UseRealTime();

void history_page_of_50(benchmark::State& state) {
  Device device;
  for (int i = 0; i < 32; ++i) device.apply_batch();
  const auto reader = must(device.store->open_reader());
  const ConversationKey conversation = must(reader->conversation_by_id(ConversationId{2}));
  for (auto _ : state) benchmark::DoNotOptimize(must(reader->history_before(conversation, Seq{0}, 50)));
}
BENCHMARK(history_page_of_50);

// ---- The server's store --------------------------------------------------------------------------------------------

void commit_64_messages(benchmark::State& state) {
  constexpr std::uint64_t kPairs = 16;
  const Directory directory;
  SodiumRandom random;
  const SystemClock clock;
  server::SqliteStoreOptions options;
  options.path = directory.file("server.db");
  const auto store = must(server::SqliteStore::open(options, random));
  std::vector<server::WriteOp> ops;
  for (std::uint64_t user = 0; user < 2 * kPairs; ++user) {
    server::CreateAccount create;
    create.account.user_id = "user-" + std::to_string(user);
    create.account.created = clock.wall_now();
    ops.emplace_back(std::move(create));
  }
  must(store->commit(ops));
  std::uint64_t sent = 0;
  for (auto _ : state) {
    ops.clear();
    for (std::size_t i = 0; i < kBatch; ++i, ++sent) {
      server::AppendMessage append;
      append.sender = "user-" + std::to_string(2 * (sent % kPairs));
      append.sender_device = DeviceId{1 + sent % kPairs};
      append.target.peer = "user-" + std::to_string(2 * (sent % kPairs) + 1);
      append.client_message_id = numbered_id(sent);
      append.send_number = sent / kPairs + 1;
      append.content = encode_text_content(std::string(kTextBytes, 'x'));
      append.payload_hash = payload_hash(append.content);
      append.now = clock.wall_now();
      ops.emplace_back(std::move(append));
    }
    const server::CommitResult result = must(store->commit(ops));
    for (const auto& answer : result.answers) {
      if (!answer.ok()) must(Status(answer.error()));
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(commit_64_messages)->UseRealTime();

}  // namespace
}  // namespace chatsdk::perf

int main(int argc, char** argv) {
  if (sodium_init() < 0) return 1;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
