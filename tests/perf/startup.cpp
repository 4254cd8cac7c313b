// SPDX-License-Identifier: Apache-2.0
//
// What it costs to have the library: dlopen, create, open store, first page; and resident memory. Run once with the
// library and once with an empty one that links the same dependencies: the difference is ours. Prints one JSON object.
//
//   startup LIBRARY [STORE]      without STORE: dlopen only
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>

namespace {

double now_ms(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

long resident_kib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stol(line.substr(6));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const double cpu_start = now_ms(CLOCK_PROCESS_CPUTIME_ID);
  const double start = now_ms();
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const double loaded = now_ms();
  if (argc > 2) {
    const auto symbol = [&](const char* name) { return dlsym(library, name); };
    void* config = nullptr;
    void* client = nullptr;
    void* list = nullptr;
    const std::uint8_t key[32] = {5};
    reinterpret_cast<int (*)(void**, void*)>(symbol("chatsdk_config_create"))(&config, nullptr);
    reinterpret_cast<int (*)(void*, const char*, std::size_t, void*)>(symbol("chatsdk_config_set_server_url"))(
        config, "http://127.0.0.1:1", static_cast<std::size_t>(-1), nullptr);
    reinterpret_cast<int (*)(void*, void**, void*)>(symbol("chatsdk_client_create"))(config, &client, nullptr);
    if (reinterpret_cast<int (*)(void*, const char*, std::size_t, const std::uint8_t*, std::size_t, void*)>(
            symbol("chatsdk_client_open_store"))(client, argv[2], std::strlen(argv[2]), key, 32, nullptr) != 0 ||
        reinterpret_cast<int (*)(void*, std::uint64_t, std::size_t, void**, void*)>(
            symbol("chatsdk_client_conversations"))(client, 0, 50, &list, nullptr) != 0) {
      std::fprintf(stderr, "the store did not open\n");
      return 1;
    }
  }
  const double end = now_ms();
  std::printf("{\"dlopen_ms\": %.2f, \"total_ms\": %.2f, \"cpu_ms\": %.2f, \"resident_kib\": %ld}\n", loaded - start,
              end - start, now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_start, resident_kib());
  std::fflush(stdout);
  _Exit(0);  // the end is not measured
}
