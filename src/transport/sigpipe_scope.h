// SPDX-License-Identifier: Apache-2.0
//
// Keeps SIGPIPE, which a TLS write to a closed socket raises, from the host's thread while a network library runs on
// it. The host's handling of the signal is not changed.
//
// Threads: the constructing one.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace chatsdk {

class SigpipeScope {
 public:
  SigpipeScope() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    const sigset_t pipe = only_pipe();
    pthread_sigmask(SIG_BLOCK, &pipe, &mask_);
  }
  ~SigpipeScope() {
    const sigset_t pipe = only_pipe();
    const timespec none{};
    while (!was_pending_ && sigtimedwait(&pipe, nullptr, &none) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  SigpipeScope(const SigpipeScope&) = delete;
  SigpipeScope& operator=(const SigpipeScope&) = delete;

 private:
  static sigset_t only_pipe() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
  }

  sigset_t mask_{};
  bool was_pending_ = false;
};

}  // namespace chatsdk
