// sim --seed S | --seeds N [--first S]: the orchestrator on a real registry in a simulated world full of faults.

#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "base/log.h"
#include "tests/faults/simulation.h"

namespace {

using ratchet::faults::Simulation;
using ratchet::faults::SimulationCounts;

constexpr const char* kUsage = "Usage: sim --seed S | --seeds N [--first S] [--verbose]\n";

struct Options {
  std::uint64_t first = 1, seeds = 0;
  bool verbose = false;
};

bool ReadNumber(const char* text, std::uint64_t& into) {
  auto [end, error] = std::from_chars(text, text + std::strlen(text), into);
  return error == std::errc() && *end == '\0';
}

bool ReadOptions(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--verbose") {
      options.verbose = true;
      continue;
    }
    std::uint64_t value = 0;
    if (++i >= argc || !ReadNumber(argv[i], value)) return false;
    if (name == "--seed") options = {.first = value, .seeds = 1, .verbose = options.verbose};
    else if (name == "--seeds") options.seeds = value;
    else if (name == "--first") options.first = value;
    else return false;
  }
  return options.seeds > 0;
}

void Add(SimulationCounts& sum, const SimulationCounts& one) {
  sum.ticks += one.ticks;
  sum.crashes += one.crashes;
  sum.power_cuts += one.power_cuts;
  sum.runs += one.runs;
  sum.attempts += one.attempts;
  sum.releases += one.releases;
  sum.stale += one.stale;
  sum.shared += one.shared;
  sum.rolled_back += one.rolled_back;
  sum.acknowledged += one.acknowledged;
  sum.refused += one.refused;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ReadOptions(argc, argv, options)) return std::fputs(kUsage, stderr), 2;
  spdlog::set_level(options.verbose ? spdlog::level::info : spdlog::level::off);
  SimulationCounts sum;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    Simulation simulation(seed);
    const auto violation = simulation.Run();
    Add(sum, simulation.counts());
    if (!violation) continue;
    std::fputs(fmt::format("sim: seed {} FAILED: {}; repeat with: sim --seed {}\n", seed, *violation, seed).c_str(), stdout);
    return 1;
  }
  const double took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::fputs(fmt::format("{} ticks, {} crashes ({} with the power), {} attempts, {} user's runs, {} user's releases, {} releases that shared traffic ({} harmful), {} decisions overtaken, {} writes of users"
                         " acknowledged, {} refused; {:.1f} ms a seed\n",
                         sum.ticks, sum.crashes, sum.power_cuts, sum.attempts, sum.runs, sum.releases, sum.shared, sum.rolled_back, sum.stale, sum.acknowledged, sum.refused,
                         took_s * 1000 / static_cast<double>(options.seeds)).c_str(), stdout);
  std::fputs(fmt::format("sim: seeds {} to {}: every invariant held\n", options.first, options.first + options.seeds - 1).c_str(), stdout);
  return 0;
}
