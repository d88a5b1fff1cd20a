#include "gate/step_down.h"

#include <algorithm>
#include <numeric>

#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

double SizeAt(const TestedP& test, double p) { return test.differing < 0 ? p : McnemarSize(test.differing, p); }

// By p, the least first.
std::vector<size_t> OrderOf(std::span<const TestedP> tests) {
  std::vector<size_t> order(tests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return tests[i].p; });
  return order;
}

}  // namespace

std::vector<double> AdjustStepDown(std::span<const TestedP> tests) {
  const std::vector<size_t> order = OrderOf(tests);
  std::vector<double> adjusted(tests.size(), 1);
  double greatest = 0;
  for (size_t step = 0; step < order.size(); ++step) {
    const double p = tests[order[step]].p;
    double chance = 0;
    for (size_t left = step; left < order.size() && chance < 1; ++left) chance += SizeAt(tests[order[left]], p);
    greatest = std::max(greatest, chance);
    if (greatest >= 1) break;  // and so are all that follow
    adjusted[order[step]] = greatest;
  }
  return adjusted;
}

std::vector<double> AdjustByHolm(std::span<const TestedP> tests) {
  const std::vector<size_t> order = OrderOf(tests);
  std::vector<double> adjusted(tests.size(), 1);
  double greatest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    greatest = std::max(greatest, std::min(1.0, tests[order[i]].p * static_cast<double>(order.size() - i)));
    adjusted[order[i]] = greatest;
  }
  return adjusted;
}

}  // namespace ratchet::gate
