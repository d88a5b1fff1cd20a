#include "gate/step_down.h"

#include <algorithm>
#include <numeric>

#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

double SizeAt(const TestedP& test, double p) { return test.differing < 0 ? p : McnemarSize(test.differing, p); }

}  // namespace

std::vector<double> AdjustStepDown(std::span<const TestedP> tests) {
  std::vector<size_t> order(tests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return tests[i].p; });
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

}  // namespace ratchet::gate
