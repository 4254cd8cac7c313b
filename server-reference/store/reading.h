// SPDX-License-Identifier: Apache-2.0
//
// A statement that ends its read however its user returns: an open one would hold the snapshot and the log with it.
//
// Threads: one owner.
#pragma once

#include "store/sqlite.h"

namespace chatsdk::server {

class Reading {
 public:
  explicit Reading(sqlite::Statement& statement) : statement_(statement) {}
  ~Reading() { statement_.reset(); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  sqlite::Statement& statement_;
};

}  // namespace chatsdk::server
