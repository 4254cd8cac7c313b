// SPDX-License-Identifier: Apache-2.0
//
// Keys in the memory of an app: two clients write to each other, encrypted; the keys of a message stand nowhere once it
// is sent and read, and nothing of a device does once its client is destroyed. Each is looked for while it is in use
// first, and found. SQLite, which is the process's, is made to overwrite what it frees, as an app can.
//
// What to look for a second process reads out of a copy of the store, and hands over masked.
//
// Usage: memory_test SERVER_URL, in an empty directory
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "capi/online.h"
#include "e2ee/labels.h"
#include "store/e2ee_store.h"
#include "support/memory_scan.h"
#include "support/wiping_sqlite.h"

namespace {

namespace fs = std::filesystem;
using chatsdk::test::Needle;

// ---- The second process --------------------------------------------------------------------------------------------

template <typename T>
T must(chatsdk::Result<T> result) {
  if (!result.ok()) std::fprintf(stderr, "%s\n", result.error().detail.c_str());
  CHECK(result.ok());
  return std::move(result).value();
}

void print_masked(const char* name, std::string_view secret) {
  std::printf("%s=%s\n", name, chatsdk::to_hex(Needle(secret).masked()).c_str());
}

int print_secrets(const char* path) {
  namespace e2ee = chatsdk::e2ee;
  const auto key = chatsdk::StoreKey::copy_of(std::string(1, '\x09') + std::string(31, '\0'));
  chatsdk::SodiumRandom random;
  chatsdk::ManualClock clock(chatsdk::from_unix_ms(1'800'000'000'000));
  chatsdk::DeviceStoreOptions options;
  options.path = path;
  options.key = &key;
  options.must_exist = true;
  const auto store = must(chatsdk::DeviceStore::open(options, random, clock));
  const auto encryption = must(chatsdk::E2eeStore::open(*store));
  e2ee::State& state = encryption->state();
  const e2ee::Self* const self = must(state.self());
  print_masked("account seed", e2ee::view(self->account_seed));
  print_masked("signing seed", e2ee::view(self->keys.signing_seed));
  print_masked("agreement secret", e2ee::view(self->keys.agreement_secret));
  const e2ee::KnownUser* const ben = must(state.user("ben"));
  const e2ee::Peer peer{"ben", ben->newest().devices.at(0).device_id};
  for (const e2ee::SessionSummary& summary : must(state.sessions(peer))) {
    const auto session = must(state.session(peer, summary.session_id));
    print_masked("root key", e2ee::view(session->root));
    const chatsdk::Secret<32>& chain_key = *session->sending_key;
    print_masked("chain key", e2ee::view(chain_key));
    const auto step = e2ee::halves(e2ee::hmac(e2ee::view(chain_key), {e2ee::label::kRatchetChain.bytes()}));
    print_masked("message key", e2ee::view(step.second));
  }
  return 0;
}

// ---- The app -------------------------------------------------------------------------------------------------------

const char* program = nullptr;

std::map<std::string, Needle> secrets_in(const char* store) {
  for (const char* part : {"", "-wal"}) {
    fs::copy_file(std::string(store) + part, std::string("copy.db") + part, fs::copy_options::overwrite_existing);
  }
  std::map<std::string, Needle> secrets;
  FILE* const out = ::popen((std::string(program) + " --secrets-of copy.db").c_str(), "r");
  CHECK(out != nullptr);
  char line[256];
  while (std::fgets(line, sizeof line, out) != nullptr) {
    const std::string text(line, std::strcspn(line, "\n"));
    const std::size_t at = text.find('=');
    CHECK(at != std::string::npos);
    secrets.emplace(text.substr(0, at), Needle::of_masked(chatsdk::from_hex(text.substr(at + 1)).value()));
  }
  CHECK(::pclose(out) == 0 && !secrets.empty());
  return secrets;
}

void expect_found(const std::map<std::string, Needle>& secrets, const char* name) {
  if (!secrets.at(name).places().empty()) return;
  std::fprintf(stderr, "the %s is in use, and is not found\n", name);
  std::exit(1);
}

int found = 0;
void expect_gone(const std::map<std::string, Needle>& secrets, const char* name) {
  for (const std::string& place : secrets.at(name).places()) {
    std::fprintf(stderr, "the %s stands at %s\n", name, place.c_str());
    ++found;
  }
}

chatsdk_client* user(const char* url, const char* store, const char* name) {
  chatsdk_client* const client = online_client(url, store, store);
  register_user(client, name);
  go_online(client);
  await_encryption(client, CHATSDK_ENCRYPTION_READY);
  return client;
}

void say(chatsdk_client* from, const char* peer, chatsdk_client* to) {
  const std::uint64_t key = send_text(from, encrypted_with(from, peer), "words");
  chatsdk_message* const message = await_message(to);
  CHECK(chatsdk_message_is_undecryptable(message) == 0);
  chatsdk_message_release(message);
  await_state(from, key, CHATSDK_MESSAGE_DELIVERED);
}

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2 || argc == 3);
  if (argc == 3) return print_secrets(argv[2]);
  program = argv[0];
  CHECK(sodium_init() >= 0 && chatsdk::test::make_sqlite_wipe());
  chatsdk_client* const ann = user(argv[1], "ann.db", "ann");
  chatsdk_client* const ben = user(argv[1], "ben.db", "ben");
  say(ann, "ben", ben);
  say(ben, "ann", ann);
  say(ann, "ben", ben);

  const auto secrets = secrets_in("ann.db");
  for (const char* name : {"account seed", "signing seed", "root key", "chain key"}) expect_found(secrets, name);
  say(ann, "ben", ben);
  for (const char* name : {"chain key", "message key"}) expect_gone(secrets, name);

  const auto last = secrets_in("ann.db");
  for (const char* name : {"account seed", "signing seed", "root key", "chain key"}) expect_found(last, name);
  chatsdk_client_destroy(ann);
  chatsdk_client_destroy(ben);
  for (const auto& [name, needle] : last) expect_gone(last, name.c_str());
  return found == 0 ? 0 : 1;
}
