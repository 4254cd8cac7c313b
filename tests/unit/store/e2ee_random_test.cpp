// SPDX-License-Identifier: Apache-2.0
//
// A random source that fails (docs/e2ee.md section 2): the process ends there, and the store is as the operation before
// left it. Each run is a process of its own, in which libsodium's source fails at one draw, behind which it cannot be
// asked any more.
#include <gtest/gtest.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

// ---- The source ----------------------------------------------------------------------------------------------------

int draws_left = 0;

void draw_or_end(void* const out, const size_t size) {
  if (draws_left-- == 0) {
    std::memset(out, 0xee, size);
    sodium_misuse();  // as libsodium's own sources end when the kernel gives nothing
  }
  auto* bytes = static_cast<unsigned char*>(out);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(std::rand());
}
std::uint32_t draw_word() {
  std::uint32_t word = 0;
  draw_or_end(&word, sizeof word);
  return word;
}
const char* source_name() { return "ends"; }

randombytes_implementation source_that_ends = {source_name, draw_word, nullptr, nullptr, draw_or_end, nullptr};

// What ended the process, or 0 where it came to its end; what it said before is in `said`.
int run_apart(const std::function<void(int out)>& body, std::string& said) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) std::abort();
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    body(ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::array<char, 4'096> part{};
  for (ssize_t got = 0; (got = ::read(ends[0], part.data(), part.size())) > 0;) {
    said.append(part.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

// ---- What a device does --------------------------------------------------------------------------------------------

// What the tables hold, but for what opening and closing write by themselves.
std::string tables_of(StoreKeeper& kept) {
  const std::string all = all_tables(kept.db());
  const std::size_t meta = all.find("\nmeta\n");
  const std::string rest = all.substr(0, meta) + all.substr(all.find('\n', meta + 6));
  return to_hex(hash(label::kState, {rest}).view()) + "\n";
}

// A device whose keys are drawn from libsodium's source begins its account, makes its prekeys and writes to Bob, who
// draws from elsewhere. Each step is a transaction; what the tables hold behind it is said.
class Life {
 public:
  Life(const std::filesystem::path& directory, int out) : out_(out), bob_(server_, "bob", 2, directory) {
    bob_.begin();
    kept_.emplace(server_, "alice", 1, directory);
  }
  void run() {
    say();
    ListUpload list;
    step([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(list, keys_.begin_account(tx.kept(), kept_->self, "phone", kThen));
      return {};
    });
    server_.put_list("alice", list);
    kept_->fetch_lists("alice");
    say();
    std::optional<PrekeyUpload> upload;
    step([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(upload, keys_.due_upload(tx.kept(), {StoredCounts{200, 200}, {}}, kThen));
      return {};
    });
    kept_->fetch_lists("bob");
    const ClientMessageId id = kept_->queue("hello");
    say();
    const auto bundle = server_.bundle(bob_.self);
    step([&](E2eeTransaction& tx) { return direct_.take_bundle(tx.kept(), bob_.self, &*bundle, kThen); });
    step([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(const Plan plan, direct_.plan(tx.kept(), kept_->target(), kThen));
      Envelope envelope;
      envelope.client_message_id = id;
      envelope.binding = DirectBinding::of("alice", "bob");
      envelope.body = encode_text_content("hello");
      CHATSDK_ASSIGN(const Encrypted encrypted, direct_.encrypt(tx.kept(), plan, envelope, kThen));
      CHATSDK_TRY(tx.notes().put_out(id, encrypted));
      return tx.mark_on_wire(id);
    });
  }

 private:
  template <typename Body>
  void step(Body body) {
    if (!kept_->kept.e2ee().write(body).ok()) ::_exit(1);
    say();
  }
  void say() {
    const std::string tables = tables_of(kept_->kept);
    if (::write(out_, tables.data(), tables.size()) != static_cast<ssize_t>(tables.size())) ::_exit(1);
  }

  int out_;
  ChatServer server_;
  ChatDevice bob_;
  std::optional<ChatDevice> kept_;
  SodiumRandom random_;
  DirectConversations direct_{random_, random_, own_kem()};
  OwnKeys keys_{random_, own_kem()};
};

constexpr std::size_t kStateLine = 65;
constexpr std::size_t kStates = 7;  // that a whole life says

class FailingRandom : public ::testing::Test {
 protected:
  FailingRandom() { EXPECT_GE(sodium_init(), 0); }
  ~FailingRandom() override { std::filesystem::remove_all(directory_); }

  int live_with(int draws, std::string& said) {
    std::filesystem::remove_all(directory_);
    return run_apart(
        [this, draws](int out) {
          draws_left = 1'000'000;
          randombytes_set_implementation(&source_that_ends);
          Life life(directory_, out);
          draws_left = draws;
          life.run();
        },
        said);
  }

  const std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("chatsdk-e2ee-random-" + std::to_string(::getpid()));
};

TEST_F(FailingRandom, EndsTheProcessAndNothingOfThatDrawIsStored) {
  bool ended = true;
  int draws = 0;
  for (; ended && draws < 500; ++draws) {
    SCOPED_TRACE("fails at draw " + std::to_string(draws));
    std::string said;
    const int signal = live_with(draws, said);
    ended = signal != 0;
    ASSERT_EQ(said.size() % kStateLine, 0U);
    if (!ended) {
      ASSERT_EQ(said.size(), kStates * kStateLine);
      break;
    }
    EXPECT_EQ(signal, SIGABRT);
    ASSERT_GE(said.size(), kStateLine);
    StoreKeeper kept(directory_ / "1", false);
    EXPECT_EQ(tables_of(kept), said.substr(said.size() - kStateLine));
  }
  EXPECT_FALSE(ended);
  EXPECT_GE(draws, 10) << "an account, a pair, a session and a message";
}

// libsodium's own source, where the kernel's gives nothing any more.
TEST_F(FailingRandom, OfTheKernelEndsTheProcessToo) {
  std::string said;
  const int signal = run_apart(
      [](int out) {
        SodiumRandom random;
        (void)random.bytes(32);
        constexpr std::size_t kCall = offsetof(seccomp_data, nr);
        std::array<sock_filter, 4> refuses = {sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, kCall},
                                              sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getrandom},
                                              sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EIO},
                                              sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
        const sock_fprog program{refuses.size(), refuses.data()};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
          ::_exit(::write(out, "-", 1) == 1 ? 0 : 1);
        }
        std::string drawn = random.bytes(32);
        (void)::write(out, drawn.data(), drawn.size());
      },
      said);
  ASSERT_NE(said, "-") << "no filter of system calls can be set here";
  EXPECT_EQ(signal, SIGABRT);
  EXPECT_EQ(said, "") << "drawn from nothing";
}

}  // namespace
}  // namespace chatsdk::e2ee
