// SPDX-License-Identifier: Apache-2.0
//
// Looks for bytes in the writable memory of this process: heap, stacks, data, whatever is mapped. What is looked for is
// kept masked, so that it is not found where it is kept; nor is it where the search has read it.
//
// For Linux, and not under sanitizers, which keep what was freed.
//
// Threads: one that searches. What others write meanwhile may be missed.
#pragma once

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace chatsdk::test {

class Needle {
 public:
  // The caller wipes what it hands in.
  explicit Needle(std::string_view secret) : masked_(secret.size(), '\0') {
    for (std::size_t i = 0; i < secret.size(); ++i) masked_[i] = masked(secret[i]);
  }
  static Needle of_masked(std::string masked) {
    Needle needle{std::string_view()};
    needle.masked_ = std::move(masked);
    return needle;
  }
  const std::string& masked() const { return masked_; }

  // Where it stands, as "7f12a3b4c5d0 [heap]"; empty: nowhere.
  std::vector<std::string> places() const {
    static std::array<char, 1 << 20> window;
    const auto own_begin = reinterpret_cast<std::uintptr_t>(window.data());
    const std::uintptr_t own_end = own_begin + window.size();
    std::vector<std::string> found;
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      unsigned long begin = 0, end = 0;
      std::array<char, 5> mode{};
      if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, mode.data()) != 3 || mode[0] != 'r' ||
          mode[1] != 'w') {
        continue;
      }
      const std::size_t name = line.find_first_of("/[");
      const std::string of = name == std::string::npos ? "" : " " + line.substr(name);
      // Around the window.
      if (begin < own_begin && own_begin < end) search(memory, {begin, own_begin}, of, window, found);
      if (begin < own_end && own_end < end) search(memory, {own_end, end}, of, window, found);
      if (end <= own_begin || own_end <= begin) search(memory, {begin, end}, of, window, found);
    }
    ::close(memory);
    sodium_memzero(window.data(), window.size());
    return found;
  }

 private:
  struct Range {
    std::uintptr_t begin;
    std::uintptr_t end;
  };

  static char masked(char byte) { return static_cast<char>(byte ^ 0x5A); }

  void search(int memory, Range range, const std::string& name, std::array<char, 1 << 20>& window,
              std::vector<std::string>& found) const {
    for (std::uintptr_t at = range.begin; at + masked_.size() <= range.end;) {
      const std::size_t wanted = std::min<std::size_t>(window.size(), range.end - at);
      const ssize_t read = ::pread(memory, window.data(), wanted, static_cast<off_t>(at));
      if (read < static_cast<ssize_t>(masked_.size())) return;  // it is mapped no more
      const auto size = static_cast<std::size_t>(read);
      const std::size_t last = size - masked_.size();
      for (std::size_t i = 0; i <= last; ++i) {
        const void* const next = std::memchr(window.data() + i, masked(masked_[0]), last - i + 1);
        if (next == nullptr) break;
        i = static_cast<std::size_t>(static_cast<const char*>(next) - window.data());
        if (!stands_at(window.data() + i)) continue;
        std::ostringstream place;
        place << std::hex << at + i << name;
        found.push_back(place.str());
      }
      at += last + 1;
    }
  }
  bool stands_at(const char* bytes) const {
    for (std::size_t i = 0; i < masked_.size(); ++i) {
      if (masked(bytes[i]) != masked_[i]) return false;
    }
    return true;
  }

  std::string masked_;
};

}  // namespace chatsdk::test
