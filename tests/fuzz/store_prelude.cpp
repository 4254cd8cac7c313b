// SPDX-License-Identifier: Apache-2.0
//
// The first 4,096 bytes of a device store, damaged. The input is laid over an honest prelude by exclusive or, so that
// an empty one is whole. Nothing that is not the honest description passes as one of this key.
//
// Threads: one.
#include <sodium.h>

#include "base/random.h"
#include "fuzz/fuzz.h"
#include "store/crypt_prelude.h"

namespace {

using namespace chatsdk;

struct Honest {
  Honest() {
    CHATSDK_ASSERT(sodium_init() >= 0);
    prelude = make_prelude(keys, identity, random);
  }
  StoreKeys keys{StoreKey::copy_of(std::string(32, 'k'))};
  StoreKeys other_keys{StoreKey::copy_of(std::string(32, 'o'))};
  FileIdentity identity{1, 2, 3};
  SeededRandom source{1};
  SharedRandom random{source};
  PreludeBytes prelude;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Honest honest;
  PreludeBytes bytes = honest.prelude;
  for (std::size_t i = 0; i < std::min(size, bytes.size()); ++i) bytes[i] ^= data[i];

  const PreludeFinding finding = inspect_prelude(bytes, honest.keys);
  CHATSDK_ASSERT(finding.state != PreludeState::kWhole || finding.identity == honest.identity);
  CHATSDK_ASSERT(inspect_prelude(bytes, honest.other_keys).state != PreludeState::kWhole);

  const Sealer sealer(honest.keys, RecordKind::kHeader, honest.identity, honest.random);
  const HeaderRecord record = read_header_record(bytes, sealer);
  CHATSDK_ASSERT(record.header == default_page_header());
  CHATSDK_ASSERT(record.generation <= 1);

  // The same bytes with nothing honest under them.
  PreludeBytes raw{};
  std::copy_n(data, std::min(size, raw.size()), raw.begin());
  CHATSDK_ASSERT(inspect_prelude(raw, honest.keys).state != PreludeState::kWhole || size >= 136);
  return 0;
}
