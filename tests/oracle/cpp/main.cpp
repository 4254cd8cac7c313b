// SPDX-License-Identifier: Apache-2.0
//
// The library's side of the oracle's comparisons (tests/oracle/README.md):
//
//   e2ee_transcript generate SEED STEPS   makes a transcript on the standard output
//   e2ee_transcript replay [FILE]         exit 1, with a line for each difference, when the library does not say the
//   same e2ee_transcript serve SEED            does lines of inputs as they come, each answered by the whole line
//
// Threads: one.
#include <sodium.h>

#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include "oracle/cpp/transcript.h"
#include "oracle/cpp/world.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee::oracle;

const Json kFormat = {{"format", "chatsdk-e2ee"}, {"version", 1}};

int generate(std::uint64_t seed, std::uint64_t steps) {
  std::cout << kFormat.dump() << '\n';
  World world(seed, [](const Json& line) { std::cout << line.dump() << '\n'; });
  world.start();
  world.go_to_the_limits();
  for (std::uint64_t i = 0; i < steps; ++i) world.step();
  world.tour();
  std::cout << Json{{"states", world.states()}}.dump() << '\n';
  for (const auto& [name, count] : world.outcomes()) std::cerr << count << '\t' << name << '\n';
  return world.defects() == 0 ? 0 : 1;
}

int replay(std::istream& in) {
  std::string text;
  if (!std::getline(in, text) || Json::parse(text) != kFormat) {
    std::cerr << "line 1: not a transcript of version 1\n";
    return 1;
  }
  Run run;
  int wrong = 0;
  for (int number = 2; std::getline(in, text); ++number) {
    const Json line = Json::parse(text);
    const bool end = line.contains("states");
    const Json wanted = end ? Json{{"states", run.states()}} : run.perform(line, nullptr);
    for (const std::string& name : differences(line, wanted)) {
      ++wrong;
      std::cerr << "line " << number << ": " << line.value("op", "") << " of " << line.value("device", "") << ": "
                << name << " is " << wanted.value(name, Json()).dump() << ", not " << line.value(name, Json()).dump()
                << '\n';
    }
  }
  return wrong == 0 ? 0 : 1;
}

int serve(std::uint64_t seed) {
  SeededRandom random(seed);
  Run run;
  for (std::string text; std::getline(std::cin, text);) {
    const Json line = Json::parse(text);
    const Json done = line.contains("states") ? Json{{"states", run.states()}} : run.perform(line, &random);
    std::cout << done.dump() << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (sodium_init() < 0) return 2;
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "generate" && argc == 4) return generate(std::stoull(argv[2]), std::stoull(argv[3]));
  if (command == "replay" && argc == 2) return replay(std::cin);
  if (command == "replay" && argc == 3) {
    std::ifstream file(argv[2]);
    return replay(file);
  }
  if (command == "serve" && argc == 3) return serve(std::stoull(argv[2]));
  std::cerr << "usage: e2ee_transcript generate SEED STEPS | replay [FILE] | serve SEED\n";
  return 2;
}
