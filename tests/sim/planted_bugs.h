// SPDX-License-Identifier: Apache-2.0
//
// The bugs that can be planted (base/fault.h), by the names that chatsdk-sim takes.
//
// Threads: any; constant.
#pragma once

#include <string_view>
#include <vector>

#include "base/fault.h"

namespace chatsdk::sim {

struct PlantedBug {
  Bug bug = Bug::kNone;
  const char* name = "";
};

const std::vector<PlantedBug>& planted_bugs();
Bug planted_bug(std::string_view name);  // kNone: no such bug
const char* to_text(Bug bug);

}  // namespace chatsdk::sim
