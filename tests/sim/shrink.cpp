// SPDX-License-Identifier: Apache-2.0
#include "sim/shrink.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace chatsdk::sim {

namespace {

using std::chrono::seconds;

class Shrinker {
 public:
  Shrinker(const RunOptions& failed, const RunResult& result, const RunCase& run_case, const ShrinkLimits& limits)
      : property_(result.violations.front().property), run_case_(run_case), limits_(limits), best_{failed, result, 0} {}

  Shrunk execute() {
    bool smaller = true;
    while (smaller && !used_up()) {
      smaller = false;
      smaller = reduce_numbers() || smaller;
      smaller = turn_off_kinds() || smaller;
    }
    return std::move(best_);
  }

 private:
  bool used_up() const { return best_.runs >= limits_.runs || (limits_.may_go_on && !limits_.may_go_on()); }

  bool try_case(const RunOptions& candidate) {
    if (used_up()) return false;
    ++best_.runs;
    RunResult result = run_case_(candidate);
    if (result.ok() || result.violations.front().property != property_) return false;
    best_.options = candidate;
    best_.result = std::move(result);
    return true;
  }

  // Halves a number while that reproduces, then takes a quarter off: few runs for a large part of what can be gained.
  template <typename Get>
  bool reduce(Get number, std::int64_t least) {
    bool smaller = false;
    for (const std::int64_t part : {2, 4}) {
      for (;;) {
        RunOptions candidate = best_.options;
        const std::int64_t now = number(candidate, std::nullopt);
        const std::int64_t less = std::max(least, now - std::max<std::int64_t>(1, now / part));
        if (less >= now) break;
        number(candidate, less);
        if (!try_case(candidate)) break;
        smaller = true;
      }
    }
    return smaller;
  }

  template <typename Member>
  static auto field(Member RunOptions::*member) {
    return [member](RunOptions& options, std::optional<std::int64_t> value) {
      if (value) options.*member = static_cast<Member>(*value);
      return static_cast<std::int64_t>(options.*member);
    };
  }

  bool reduce_numbers() {
    bool smaller = reduce(field(&RunOptions::faults), 0);
    smaller = reduce(field(&RunOptions::actions), 1) || smaller;
    smaller = reduce(field(&RunOptions::users), 2) || smaller;
    smaller = reduce(field(&RunOptions::devices_per_user), 1) || smaller;
    const auto duration = [](RunOptions& options, std::optional<std::int64_t> value) {
      if (value) options.duration = seconds(*value);
      return static_cast<std::int64_t>(options.duration.count());
    };
    return reduce(duration, 10) || smaller;
  }

  // Half of what is on, the other half, then smaller shares down to single kinds: most are innocent and go together.
  bool turn_off_kinds() {
    bool smaller = false;
    for (std::size_t share = std::max<std::size_t>(turned_on(best_.options).size() / 2, 1);; share /= 2) {
      for (std::size_t at = 0;;) {
        const std::vector<std::string> kinds = turned_on(best_.options);
        if (at >= kinds.size() || used_up()) break;
        RunOptions candidate = best_.options;
        bool changed = false;
        for (std::size_t i = at; i < std::min(at + share, kinds.size()); ++i) {
          changed = turn_off(candidate, kinds[i]) || changed;
        }
        if (changed && try_case(candidate)) {
          smaller = true;  // and the next kinds have moved to this place
        } else {
          at += share;
        }
      }
      if (share <= 1) return smaller;
    }
  }

  const std::string property_;
  const RunCase& run_case_;
  const ShrinkLimits& limits_;
  Shrunk best_;
};

}  // namespace

Shrunk shrink(const RunOptions& failed, const RunResult& result, const RunCase& run_case, const ShrinkLimits& limits) {
  return Shrinker(failed, result, run_case, limits).execute();
}

}  // namespace chatsdk::sim
