// SPDX-License-Identifier: Apache-2.0
//
// Runs ML-KEM-768 with its secrets marked as undefined memory. Under valgrind's memcheck every branch and every address
// that depends on one is then an error. The results are compared with those of the same calls on the same bytes, not
// marked. run.sh builds and runs it; CHATSDK_CONSTANT_TIME_CHECK is defined.
//
//   secrets          the calls of the KEM: memcheck finds nothing
//   secrets branch   a branch on a secret: memcheck finds it
//   secrets index    an index by a secret: memcheck finds it
//
// Threads: one.
#include <valgrind/memcheck.h>

#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include "e2ee/constant_time.h"
#include "e2ee/mlkem768.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::mlkem768;

enum class Marked { kNo, kYes };

struct Run {
  EncapsulationKey encapsulation_key;
  DecapsulationKey decapsulation_key;
  Ciphertext ciphertext;
  SharedSecret sent;
  SharedSecret received;
  SharedSecret rejected;
};

void mark(Marked marked, std::span<unsigned char> secret) {
  if (marked == Marked::kYes) static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(secret.data(), secret.size()));
}

// What leaves the device is public from here on; nothing else is.
void run(unsigned char first, Marked marked, Run& results) {
  Seed seed;
  Message message;
  std::memset(seed.data(), first, seed.size());
  std::memset(message.data(), first ^ 0x5A, message.size());
  mark(marked, {seed.data(), seed.size()});
  mark(marked, {message.data(), message.size()});

  generate(seed, results.encapsulation_key, results.decapsulation_key);
  declassify(results.encapsulation_key);
  encapsulate(results.encapsulation_key, message, results.ciphertext, results.sent);
  declassify(results.ciphertext);
  decapsulate(results.decapsulation_key, results.ciphertext, results.received);

  Ciphertext modified = results.ciphertext;
  modified[first] ^= 1U;
  decapsulate(results.decapsulation_key, modified, results.rejected);
}

template <typename T>
bool same(T& a, T& b) {
  declassify({a.data(), a.size()});
  declassify({b.data(), b.size()});
  return std::memcmp(a.data(), b.data(), a.size()) == 0;
}

bool keeps_secrets() {
  for (const unsigned char first : {0, 1, 77, 255}) {
    Run plain;
    Run marked;
    run(first, Marked::kNo, plain);
    run(first, Marked::kYes, marked);
    if (!same(plain.encapsulation_key, marked.encapsulation_key) || !same(plain.ciphertext, marked.ciphertext) ||
        !same(plain.decapsulation_key, marked.decapsulation_key) || !same(plain.sent, marked.sent) ||
        !same(plain.received, marked.received) || !same(plain.rejected, marked.rejected) ||
        !same(marked.sent, marked.received) || same(marked.sent, marked.rejected)) {
      return false;
    }
  }
  return true;
}

// Two that do not keep them, so that a silent check is known to be awake.
int leaks(bool by_branch) {
  static volatile unsigned char table[256];
  Secret<1> secret;
  mark(Marked::kYes, {secret.data(), 1});
  const std::uint32_t value = hidden(*secret.data());
  if (!by_branch) return table[value];
  if (value > 3) std::puts("above three");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view leak = argc > 1 ? argv[1] : "";
  if (leak == "branch" || leak == "index") return leaks(leak == "branch");
  if (keeps_secrets()) return 0;
  std::puts("the results of marked and unmarked secrets differ");
  return 1;
}
