// SPDX-License-Identifier: Apache-2.0
//
// A new directory for the files of one test.
//
// Threads: any.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/assert.h"

namespace chatsdk::test {

// Of this test alone, who removes it. name stands in its own name, for whoever finds it left over.
inline std::string make_scratch_directory(const std::string& name) {
  std::string pattern = (std::filesystem::temp_directory_path() / ("chatsdk-" + name + "-XXXXXX")).string();
  CHATSDK_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

}  // namespace chatsdk::test
