// SPDX-License-Identifier: Apache-2.0
//
// The encrypting VFS under connections on several threads: what a reader sees while a writer goes on.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "unit/store/crypt_fixture.h"

namespace chatsdk {
namespace {

using CryptVfsThreads = CryptStoreTest;

TEST_F(CryptVfsThreads, WriterAndReadersRunAtOnce) {
  make_store("a.db", 1);
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      auto db = open();
      int seen = 1;
      while (!done) {
        const auto rows = count_right_rows(db);
        if (!rows.ok() || *rows < seen) {
          ++wrong;
          return;
        }
        seen = *rows;
      }
    });
  }

  auto writer = open();
  ASSERT_TRUE(writer.execute("PRAGMA wal_autocheckpoint = 20; PRAGMA synchronous = OFF").ok());
  for (int id = 2; id <= 200; ++id) insert(writer, id, id);
  done = true;
  for (auto& thread : readers) thread.join();

  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(count_right_rows(writer).value(), 200);
  EXPECT_TRUE(writer.integrity_check().ok());
}

}  // namespace
}  // namespace chatsdk
