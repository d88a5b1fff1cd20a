// bench_gate_decision: what a decision over many rows and slices costs, by the kind of gains. One line each: the seconds
// of processor time of Decide and of cutting and judging the slices.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "gate/decision.h"
#include "gate/slices.h"

namespace ratchet::bench {
namespace {

// Processor time: all is done on one thread, and other programs do not disturb it.
double Seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

gate::Comparison DrawGains(std::uint32_t rows, bool zero_one, std::mt19937_64& random) {
  gate::Comparison comparison{.candidate = 0.81, .opponent = 0.8, .zero_one = zero_one, .gain = std::vector<double>(rows)};
  std::discrete_distribution<int> outcome({0.9, 0.055, 0.045});
  std::student_t_distribution<double> heavy(3);
  for (double& gain : comparison.gain) {
    int drawn = zero_one ? outcome(random) : 0;
    gain = zero_one ? (drawn == 2 ? -1 : drawn) : 0.01 + heavy(random);
  }
  return comparison;
}

void Measure(const std::string& name, const gate::Comparison& comparison, const gate::Sampling& sampling,
             std::uint32_t slices) {
  auto rows = static_cast<std::uint32_t>(comparison.gain.size());
  std::vector<std::vector<std::uint32_t>> of_slice(slices);
  for (std::uint32_t row = 0; row < rows; ++row) of_slice[row * 2'654'435'761U % slices].push_back(row);
  double start = Seconds();
  gate::Decision decision = gate::Decide(comparison, sampling, {}, {}).value();
  double decided = Seconds() - start;
  std::vector<gate::SliceInput> inputs;
  for (std::uint32_t s = 0; s < slices; ++s)
    inputs.push_back(gate::PickSlice("slice " + std::to_string(s), 0, comparison, sampling, of_slice[s]));
  gate::SliceReport report = gate::JudgeSlices(inputs, {}).value();
  double all = Seconds() - start;
  std::printf("%-28s decision %.3f s, %u slices %.3f s, in all %.3f s (%s, p = %.3g)\n", name.c_str(), decided, slices,
              all - decided, all, decision.test.c_str(), decision.p_value);
}

}  // namespace
}  // namespace ratchet::bench

int main(int argc, char** argv) {
  auto rows = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
  auto slices = static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 50);
  if (rows == 0 || slices == 0) return std::fprintf(stderr, "usage: bench_gate_decision [ROWS [SLICES]]\n"), 2;
  std::mt19937_64 random(1);
  auto shares = ratchet::bench::DrawGains(rows, true, random), errors = ratchet::bench::DrawGains(rows, false, random);
  std::vector<std::uint64_t> user(rows);
  std::vector<double> weight(rows);
  for (std::uint32_t i = 0; i < rows; ++i) {
    user[i] = random() % (rows / 20 + 1);
    weight[i] = 0.5 + static_cast<double>(random() % 1'000) / 1'000;
  }
  std::printf("%u rows\n", rows);
  ratchet::bench::Measure("right or wrong", shares, {}, slices);
  ratchet::bench::Measure("right or wrong, by user", shares, {.group = user}, slices);
  ratchet::bench::Measure("errors", errors, {}, slices);
  ratchet::bench::Measure("errors, by user", errors, {.group = user}, slices);
  ratchet::bench::Measure("errors, weighted, by user", errors, {.group = user, .weight = weight}, slices);
  return 0;
}
