#include "bench/gate/tables.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>

namespace ratchet::bench {

std::string NullTable(const NullPlan& plan, const std::vector<NullResult>& results) {
  std::string text = fmt::format(
      "{} looks at {} rows, {} sequences, alpha {}\n\n"
      "| candidates, none better | gate | P(any false promotion) | upper 95 % bound | false promotions | imaginary gain |\n"
      "| --- | --- | ---: | ---: | ---: | ---: |\n",
      plan.looks, plan.rows, plan.sequences, plan.alpha);
  for (const NullResult& r : results)
    text += fmt::format("| {} | {} | {:.4f} | {:.4f} | {:.2f} | {:+.4f} |\n", r.scenario, GateName(r.gate), r.any.share,
                        r.any.upper, r.promotions, r.imaginary_gain);
  return text;
}

std::string PowerTable(const std::vector<PowerCell>& cells) {
  std::string text =
      "| true gain | rows differing | rows | look | level | found by ours | by fixed alpha | found with 80 % power from |\n"
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const PowerCell& c : cells)
    text += fmt::format("| {:+.1f} points | {:.0f} % | {} | {} | {:.2g} | {:.3f} | {:.3f} | {:+.2f} points |\n", 100 * c.gain,
                        100 * c.differing, c.rows, c.look, c.level, c.ours, c.fixed, 100 * c.least_gain);
  return text;
}

std::string SliceNullTable(const std::vector<SliceCell>& cells) {
  std::string text =
      "| slices, none worse than its margin | margin | rows a slice | P(any blamed) | upper 95 % bound |\n"
      "| --- | ---: | ---: | ---: | ---: |\n";
  for (const SliceCell& c : cells)
    text += fmt::format("| {}{} | {:.2f} | {} | {:.4f} | {:.4f} |\n", c.slices,
                        c.crossed ? ", and as many across them" : c.loss > 0 ? ", one of them at its margin" : "", c.margin,
                        c.rows, c.blocked.share, c.blocked.upper);
  return text;
}

std::string SlicePowerTable(double alpha, const std::vector<SliceCell>& cells) {
  std::string text =
      "| slices | rows a slice | rows differing | true loss in one | caught | at most possible | rows a slice for 80 % |\n"
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const SliceCell& c : cells)
    text += fmt::format("| {} | {} | {:.0f} % | {:.0f} points | {:.3f} | {:.3f} | {} |\n", c.slices, c.rows, 100 * c.differing,
                        100 * c.loss, c.caught.share, BestSlicePower(alpha, c),
                        SliceRowsNeeded(alpha, c.slices, c.differing, c.loss));
  return text;
}

std::string CoverageTable(const std::vector<CoverageRow>& rows) {
  std::string text =
      "| gains | 95 % interval by | holds the truth | ± (two errors) | lies below it | lower bound at 5 % holds |\n"
      "| --- | --- | ---: | ---: | ---: | ---: |\n";
  for (const CoverageRow& r : rows)
    text += fmt::format("| {} | {} | {:.4f} | {:.4f} | {:.3f} | {:.3f} |\n", r.data, r.method, r.shown,
                        2 * std::sqrt(r.shown * (1 - r.shown) / r.trials), r.too_low, r.bound);
  return text;
}

}  // namespace ratchet::bench
