// SPDX-License-Identifier: Apache-2.0
//
// A run in a process of its own: every run begins from the same state of the process, several go on at once, and one
// that dies or does not end is a result like any other. The result comes back through a pipe; a child that dies of an
// assertion, a bad address or its time limit sends what is known of the run before it does.
//
// Threads: one.
// Invariants:
//   1. The child ends when its work does; it never returns into the caller's code.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "sim/run.h"

namespace chatsdk::sim {

std::string encode(const RunResult& result);
// False: the bytes are not a whole result.
bool decode(std::string_view bytes, RunResult& result);

class Child {
 public:
  // Forks. What the caller wrote to stdio and did not flush is flushed first.
  explicit Child(const std::function<RunResult()>& work);
  ~Child();  // a child that still runs is killed
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Readable when there is something to take in.
  int fd() const { return fd_; }
  // Takes in what is there; true when the child has said all.
  bool take();
  // Waits for its end. A process that died has the violation "process".
  RunResult result();

 private:
  pid_t pid_ = -1;
  int fd_ = -1;
  std::string bytes_;
};

// Start to end.
RunResult run_in_child(const std::function<RunResult()>& work);

}  // namespace chatsdk::sim
