// SPDX-License-Identifier: Apache-2.0
//
// What end-to-end encryption costs, each operation beside its floor: the bare calls of libsodium that nobody can do
// without, on the same bytes, in the same run. A floor has its keys at hand and keeps no state. The KEM of a floor is
// the one that the operation uses, since libsodium has none before 1.0.22.
//
//   set-up       an initiator checks a bundle, makes the session and its first message; a responder opens that
//   one way      messages in one direction, each state written to the rows of docs/e2ee.md section 20
//   ping-pong    a message and its answer in turn, a ratchet step each, both ends
//   group        one message under a sender chain
//   backlog      501 messages of which the last comes first
//
// At the end a table of shares: floor divided by ours, and the least that is asked for. With --figures=FILE the same
// figures go to a file too, as one JSON object. Messages with their durable commit: e2ee_receive.cpp.
//
// Threads: one.
#include <benchmark/benchmark.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "base/random.h"
#include "e2ee/envelope.h"
#include "e2ee/padding.h"
#include "e2ee/pqxdh.h"
#include "e2ee/ratchet.h"
#include "e2ee/sender_chains.h"
#include "e2ee/session_rows.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kTextBytes = 256;
constexpr std::uint32_t kJump = limits::e2ee::kJumpMax;

template <typename T>
T must(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "e2ee: code %d: %s\n", static_cast<int>(result.code()), result.error().detail.c_str());
  std::exit(1);
}

void must(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "e2ee: %s\n", what);
  std::exit(1);
}

Bytes padded_envelope(Binding binding) {
  Envelope envelope;
  envelope.client_message_id = ClientMessageId::from_bytes(repeated(0x51, 16)).value();
  envelope.binding = std::move(binding);
  envelope.sender_time_ms = kThen;
  envelope.body = Bytes(kTextBytes, 'x');
  return padded(serialize(envelope));
}

// ---- Floors -------------------------------------------------------------------------------------------------------

using Bytes32 = std::array<unsigned char, 32>;
using Bytes64 = std::array<unsigned char, 64>;

unsigned char* raw(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
const unsigned char* raw(const Bytes& bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// What the bare calls work on.
struct Bare {
  Bytes32 secret{};
  Bytes32 other{};
  Bytes32 peer{};
  Bytes32 shared{};
  Bytes64 wide{};
  std::array<unsigned char, 64> signature{};
  std::array<unsigned char, 64> signing_secret{};
  Bytes32 signing_public{};
  std::array<unsigned char, 24> nonce{};
  Bytes plain;
  Bytes sealed;
  Bytes bound;

  explicit Bare(std::size_t plain_bytes) : plain(plain_bytes, 'x'), sealed(plain_bytes + 16, '\0'), bound(140, 'b') {
    secret.fill(7);
    other.fill(9);
    crypto_scalarmult_base(peer.data(), other.data());
    crypto_sign_seed_keypair(signing_public.data(), signing_secret.data(), secret.data());
    sign(bound);
    seal();
  }

  void pair() { crypto_scalarmult_base(shared.data(), secret.data()); }
  void agree() {
    if (crypto_scalarmult(shared.data(), secret.data(), peer.data()) != 0) std::abort();
  }
  void mac(std::size_t bytes = 16) {
    crypto_auth_hmacsha512(wide.data(), raw(bound), std::min(bytes, bound.size()), secret.data());
  }
  // Extract and one block of expand.
  void derive() {
    mac(64);
    mac(64);
  }
  void hash(const Bytes& bytes) { crypto_hash_sha512(wide.data(), raw(bytes), bytes.size()); }
  void sign(const Bytes& bytes) {
    crypto_sign_detached(signature.data(), nullptr, raw(bytes), bytes.size(), signing_secret.data());
  }
  void verify(const Bytes& bytes) {
    if (crypto_sign_verify_detached(signature.data(), raw(bytes), bytes.size(), signing_public.data()) != 0)
      std::abort();
  }
  void seal() {
    randombytes_buf(nonce.data(), nonce.size());
    seal_with_nonce();
  }
  void seal_with_nonce() {
    crypto_aead_xchacha20poly1305_ietf_encrypt(raw(sealed), nullptr, raw(plain), plain.size(), raw(bound), bound.size(),
                                               nullptr, nonce.data(), secret.data());
  }
  void open() {
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(raw(plain), nullptr, nullptr, raw(sealed), sealed.size(), raw(bound),
                                                   bound.size(), nonce.data(), secret.data()) != 0) {
      std::abort();
    }
  }
};

// A chain step, the message's keys, and the cipher.
void bare_encrypt(Bare& bare) {
  bare.mac();
  bare.mac();
  bare.seal();
}
void bare_decrypt(Bare& bare) {
  bare.mac();
  bare.mac();
  bare.open();
}

// ---- Two devices --------------------------------------------------------------------------------------------------

const Peer kAlice{"alice", DeviceId{1}};
const Peer kBob{"bob", DeviceId{2}};

// Everything that a set-up needs, made once.
struct SetUps {
  Person alice = e2ee::alice();
  Person bob = e2ee::bob();
  BundleBytes bundle = bobs_bundle(true);
  OwnPrekey signed_prekey = bobs_prekey(1);
  OwnPrekey one_time = bobs_prekey(3);
  OwnPrekey kem_prekey = bobs_prekey(4);
  Bytes plain = padded_envelope(DirectBinding::of("alice", "bob"));
  SodiumRandom random;

  Session begin() {
    const Bundle checked = must(check_bundle(bundle, bob.record, own_kem()));
    AgreementSecret ephemeral = draw_secret<32>(random);
    Kem::Message kem_random = draw_secret<32>(random);
    auto begun = must(begin_set_up({alice.record, alice.keys.agreement_secret, 1}, checked, std::move(ephemeral),
                                   std::move(kem_random), own_kem()));
    return begun_session(std::move(begun), bob.record.hash, kThen);
  }
  Opened accept(const Bytes& message) {
    const auto set_up = parse_set_up_message(message);
    must(set_up && check_set_up(*set_up, alice.record, bob.record).ok(), "a set-up is refused");
    auto accepted = must(accept_set_up(
        *set_up, alice.record,
        {bob.record, bob.keys.agreement_secret, &signed_prekey, &one_time, &kem_prekey, false, 0}, own_kem()));
    const Session session = accepted_session(std::move(accepted), alice.record.hash, kThen);
    return must(e2ee::open(session, set_up->prefix, set_up->inner, kJump, kThen));
  }
};

// Both ends of a session that both have spoken in.
struct Ends {
  SetUps set_ups;
  Session alice;
  Session bob;
  SodiumRandom random;

  Ends() : alice(set_ups.begin()) {
    const Bytes first = must(encrypt(alice, set_ups.plain, random));
    bob = std::move(set_ups.accept(first).session);
    say(bob, alice);
    say(alice, bob);
  }
  void say(Session& from, Session& to) {
    const Bytes message = must(encrypt(from, set_ups.plain, random));
    Opened opened = must(e2ee::open(to, {}, message, kJump, kThen));
    to = std::move(opened.session);
  }
};

void set_up_begin(benchmark::State& state) {
  SetUps set_ups;
  for (auto _ : state) {
    Session session = set_ups.begin();
    benchmark::DoNotOptimize(must(encrypt(session, set_ups.plain, set_ups.random)));
  }
}
BENCHMARK(set_up_begin);

// Two signatures, EK and a ratchet pair, four agreements and the first step's, the KEM, the transcript.
void set_up_begin_floor(benchmark::State& state) {
  SetUps set_ups;
  Bare bare(set_ups.plain.size());
  const Bytes transcript(2'900, 't');
  const Bytes key = set_ups.bundle.kem_prekey.substr(6, mlkem768::kEncapsulationKeyBytes);
  for (auto _ : state) {
    for (int i = 0; i < 2; ++i) bare.verify(bare.bound);
    for (int i = 0; i < 2; ++i) bare.pair();
    for (int i = 0; i < 5; ++i) bare.agree();
    benchmark::DoNotOptimize(must(own_kem().encapsulate(key, draw_secret<32>(set_ups.random))));
    bare.hash(transcript);
    for (int i = 0; i < 2; ++i) bare.derive();
    bare_encrypt(bare);
  }
}
BENCHMARK(set_up_begin_floor);

void set_up_accept(benchmark::State& state) {
  SetUps set_ups;
  Session session = set_ups.begin();
  const Bytes message = must(encrypt(session, set_ups.plain, set_ups.random));
  for (auto _ : state) benchmark::DoNotOptimize(set_ups.accept(message));
}
BENCHMARK(set_up_accept);

void set_up_accept_floor(benchmark::State& state) {
  SetUps set_ups;
  Bare bare(set_ups.plain.size());
  const Bytes transcript(2'900, 't');
  const Bytes ciphertext(mlkem768::kCiphertextBytes, 'c');
  const auto& seed = std::get<Kem::Seed>(set_ups.kem_prekey.secret);
  for (auto _ : state) {
    for (int i = 0; i < 5; ++i) bare.agree();
    benchmark::DoNotOptimize(must(own_kem().decapsulate(seed, ciphertext)));
    bare.hash(transcript);
    for (int i = 0; i < 2; ++i) bare.derive();
    bare_decrypt(bare);
  }
}
BENCHMARK(set_up_accept_floor);

// ---- Messages -----------------------------------------------------------------------------------------------------

void one_way_encrypt(benchmark::State& state) {
  Ends ends;
  for (auto _ : state) {
    benchmark::DoNotOptimize(must(encrypt(ends.alice, ends.set_ups.plain, ends.random)));
    benchmark::DoNotOptimize(session_rows(ends.alice, kBob));
  }
}
BENCHMARK(one_way_encrypt);

void one_way_encrypt_floor(benchmark::State& state) {
  const SetUps set_ups;
  Bare bare(set_ups.plain.size());
  for (auto _ : state) bare_encrypt(bare);
}
BENCHMARK(one_way_encrypt_floor);

void one_way_decrypt(benchmark::State& state) {
  constexpr std::size_t kMessages = 4'096;
  Ends ends;
  std::vector<Bytes> messages;
  Session bob = ends.bob.clone();
  std::size_t next = 0;
  for (std::size_t i = 0; i < kMessages; ++i) {
    messages.push_back(must(encrypt(ends.alice, ends.set_ups.plain, ends.random)));
  }
  for (auto _ : state) {
    if (next == kMessages) {
      state.PauseTiming();
      bob = ends.bob.clone();
      next = 0;
      state.ResumeTiming();
    }
    Opened opened = must(e2ee::open(bob, {}, messages[next++], kJump, kThen));
    bob = std::move(opened.session);
    benchmark::DoNotOptimize(session_rows(bob, kAlice));
  }
}
BENCHMARK(one_way_decrypt);

void one_way_decrypt_floor(benchmark::State& state) {
  const SetUps set_ups;
  Bare bare(set_ups.plain.size());
  for (auto _ : state) bare_decrypt(bare);
}
BENCHMARK(one_way_decrypt_floor);

// One turn: a message and its answer, encrypted and decrypted.
void ping_pong(benchmark::State& state) {
  Ends ends;
  for (auto _ : state) {
    ends.say(ends.alice, ends.bob);
    ends.say(ends.bob, ends.alice);
  }
}
BENCHMARK(ping_pong);

// Each message: a new pair, an agreement and a step at either end, and the cipher at either end.
void ping_pong_floor(benchmark::State& state) {
  const SetUps set_ups;
  Bare bare(set_ups.plain.size());
  for (auto _ : state) {
    for (int i = 0; i < 2; ++i) {
      bare.pair();
      for (int end = 0; end < 2; ++end) {
        bare.agree();
        bare.derive();
      }
      bare_encrypt(bare);
      bare_decrypt(bare);
    }
  }
}
BENCHMARK(ping_pong_floor);

// ---- Groups -------------------------------------------------------------------------------------------------------

const GroupId kGroup = GroupId::from(std::string(16, '\7'));

struct Group {
  UserId alice = "alice";
  SodiumRandom random;
  RosterPoint roster{3, 1, {}, 0};
  Bytes plain = padded_envelope(kGroup);
  OwnChain chain = OwnChain::draw(kGroup, 3, kThen, random);

  Bytes encrypt() {
    if (is_used_up(chain, roster, kThen)) chain = OwnChain::draw(kGroup, 3, kThen, random);
    return must(encrypt_group(chain, {alice, DeviceId{1}, roster}, plain, kThen, random));
  }
  ReceivedChain received() const {
    const Bytes bytes = distribution_of(chain, DeviceId{1}, roster, nullptr);
    auto distribution = parse_distribution(bytes).value();
    return {kGroup,
            kAlice,
            distribution.chain_id,
            std::move(distribution.chain_key),
            distribution.next,
            distribution.signing_key,
            1};
  }
};

void group_encrypt(benchmark::State& state) {
  Group group;
  for (auto _ : state) benchmark::DoNotOptimize(group.encrypt());
}
BENCHMARK(group_encrypt);

void group_encrypt_floor(benchmark::State& state) {
  const Group group;
  Bare bare(group.plain.size());
  const Bytes message(group.plain.size() + kGroupOverheadBytes - 64, 'm');
  for (auto _ : state) {
    bare_encrypt(bare);
    bare.sign(message);
  }
}
BENCHMARK(group_encrypt_floor);

void group_decrypt(benchmark::State& state) {
  Group group;
  const ReceivedChain first = group.received();
  std::vector<Bytes> messages;
  while (!is_used_up(group.chain, group.roster, kThen)) messages.push_back(group.encrypt());
  ReceivedChain chain = first.clone();
  std::size_t next = 0;
  for (auto _ : state) {
    if (next == messages.size()) {
      state.PauseTiming();
      chain = first.clone();
      next = 0;
      state.ResumeTiming();
    }
    const auto message = parse_group_message(messages[next++]);
    OpenedGroup opened = must(open_group(chain, *message, kJump));
    chain = std::move(opened.chain);
  }
}
BENCHMARK(group_decrypt);

void group_decrypt_floor(benchmark::State& state) {
  const Group group;
  Bare bare(group.plain.size());
  const Bytes message(group.plain.size() + kGroupOverheadBytes - 64, 'm');
  bare.sign(message);
  for (auto _ : state) {
    bare.verify(message);
    bare_decrypt(bare);
  }
}
BENCHMARK(group_decrypt_floor);

// ---- A backlog ----------------------------------------------------------------------------------------------------

constexpr std::size_t kBacklog = 501;

void backlog_last_first(benchmark::State& state) {
  Ends ends;
  std::vector<Bytes> messages;
  for (std::size_t i = 0; i < kBacklog; ++i) {
    messages.push_back(must(encrypt(ends.alice, ends.set_ups.plain, ends.random)));
  }
  for (auto _ : state) {
    state.PauseTiming();
    Session bob = ends.bob.clone();
    state.ResumeTiming();
    for (std::size_t i = 0; i < kBacklog; ++i) {
      const Bytes& message = i == 0 ? messages.back() : messages[i - 1];
      Opened opened = must(e2ee::open(bob, {}, message, kJump, kThen));
      bob = std::move(opened.session);
    }
    must(bob.skipped.size() == 0, "messages of a backlog are missing");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBacklog));
}
BENCHMARK(backlog_last_first);

// ---- Shares -------------------------------------------------------------------------------------------------------

struct Bar {
  const char* name;
  double least;
};
constexpr std::array kBars = {Bar{"set_up_begin", 0.60},    Bar{"set_up_accept", 0.60}, Bar{"one_way_encrypt", 0.70},
                              Bar{"one_way_decrypt", 0.70}, Bar{"ping_pong", 0.75},     Bar{"group_encrypt", 0.70},
                              Bar{"group_decrypt", 0.70}};
constexpr const char* kBacklogName = "backlog_last_first";
constexpr double kBacklogLeast = 15'000;

struct Sizes {
  std::size_t over_a_padded_envelope = 0;
  std::size_t session_row = 0;  // of section 20
};
Sizes sizes() {
  const Ends ends;
  Session alice = ends.alice.clone();
  SodiumRandom random;
  const Bytes message = must(encrypt(alice, ends.set_ups.plain, random));
  return {message.size() - ends.set_ups.plain.size(), session_rows(ends.bob, kAlice).view()[0].size()};
}

// The console's table, and what it says of each benchmark.
class Shares final : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Iteration) times_[run.benchmark_name()].push_back(run.GetAdjustedCPUTime());
    }
  }
  void print() {
    std::printf("\n%-20s %12s %12s %8s %8s\n", "operation", "ours ns", "floor ns", "share", "least");
    for (const Bar& bar : kBars) {
      const Pair pair = pair_of(bar);
      if (pair.ours > 0 && pair.floor > 0) {
        std::printf("%-20s %12.0f %12.0f %8.2f %8.2f\n", bar.name, pair.ours, pair.floor, pair.floor / pair.ours,
                    bar.least);
      }
    }
    const double backlog = backlog_per_s();
    if (backlog > 0) std::printf("%-20s %.0f messages/s, at least %.0f\n", kBacklogName, backlog, kBacklogLeast);
    const Sizes bytes = sizes();
    std::printf("bytes over a padded envelope: %zu; of a session's row: %zu\n", bytes.over_a_padded_envelope,
                bytes.session_row);
  }
  // Of a run of all benchmarks.
  void write(const char* path) {
    std::FILE* file = std::fopen(path, "w");
    must(file != nullptr, path);
    const char* separator = "{\"shares\": {";
    for (const Bar& bar : kBars) {
      const Pair pair = pair_of(bar);
      must(pair.ours > 0 && pair.floor > 0, bar.name);
      std::fprintf(file, "%s\"%s\": {\"ours_ns\": %.0f, \"floor_ns\": %.0f, \"least\": %.2f}", separator, bar.name,
                   pair.ours, pair.floor, bar.least);
      separator = ", ";
    }
    const Sizes bytes = sizes();
    std::fprintf(file, "}, \"backlog_per_s\": %.0f, \"backlog_least\": %.0f, \"overhead_bytes\": %zu}\n",
                 backlog_per_s(), kBacklogLeast, bytes.over_a_padded_envelope);
    must(std::fclose(file) == 0, path);
  }

 private:
  struct Pair {
    double ours = 0;
    double floor = 0;
  };
  Pair pair_of(const Bar& bar) { return {median(bar.name), median(std::string(bar.name) + "_floor")}; }
  double backlog_per_s() {
    const double backlog = median(kBacklogName);
    return backlog > 0 ? static_cast<double>(kBacklog) * 1e9 / backlog : 0;
  }
  // Of the repetitions; 0 where it was not run.
  double median(const std::string& name) {
    for (auto& [full_name, times] : times_) {
      // Repetitions and the time that was asked for stand after the name.
      if (full_name != name && !full_name.starts_with(name + "/")) continue;
      std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
      return times[times.size() / 2];
    }
    return 0;
  }

  std::map<std::string, std::vector<double>> times_;
};

}  // namespace
}  // namespace chatsdk::e2ee

int main(int argc, char** argv) {
  if (sodium_init() < 0) return 1;
  constexpr std::string_view kFigures = "--figures=";
  benchmark::Initialize(&argc, argv);
  const char* figures = nullptr;
  if (argc > 1 && std::string_view(argv[argc - 1]).starts_with(kFigures)) {
    figures = argv[--argc] + kFigures.size();
  }
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  chatsdk::e2ee::Shares shares;
  benchmark::RunSpecifiedBenchmarks(&shares);
  benchmark::Shutdown();
  shares.print();
  if (figures != nullptr) shares.write(figures);
  return 0;
}
