// gate_simulation: false promotions, power, slices and intervals of the gate and of its rivals, on made-up candidates
// whose truth is known. `--json` prints the figures that matter within a minute, `--full` all tables as Markdown.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "bench/gate/tables.h"
#include "gate/alpha_ledger.h"

namespace ratchet::bench {
namespace {

struct Settings {
  Run run;
  double alpha = 0.05;
  bool json = false, full = false;
  std::string part = "all";  // of the full answer
  int trials = 4'000;        // of each row of the tables of intervals
};

constexpr Kin kKins[] = {Kin::kIndependent, Kin::kChildren, Kin::kChain, Kin::kSweeps};
constexpr Gate kRivals[] = {Gate::kNaive, Gate::kFixed, Gate::kLadder, Gate::kOurs};
// The cell that stands for the power in the short answer.
constexpr PowerCell kHeadline{.gain = 0.01, .differing = 0.1, .rows = 10'000, .look = 1};

std::vector<NullResult> ShareResults(const Settings& settings, const NullPlan& plan) {
  std::vector<NullResult> results;
  for (Kin kin : kKins) {
    for (Gate gate : kRivals) results.push_back(SimulateShares(settings.run, plan, kin, gate));
    if (kin == Kin::kSweeps) results.push_back(SimulateShares(settings.run, plan, kin, Gate::kOursUncharged));
  }
  return results;
}

std::vector<NullResult> ErrorResults(const Settings& settings, const NullPlan& plan) {
  std::vector<NullResult> results;
  for (int groups : {0, 100}) {
    for (Gate gate : {Gate::kNaive, Gate::kFixed, Gate::kOurs})
      results.push_back(SimulateErrors(settings.run, plan, groups, gate));
    if (groups > 0) results.push_back(SimulateErrors(settings.run, plan, groups, Gate::kOursUngrouped));
  }
  return results;
}

std::vector<PowerCell> PowerCells(const Settings& settings, int trials) {
  std::vector<PowerCell> cells;
  for (double differing : {0.1, 0.32})
    for (double gain : {0.005, 0.01, 0.02})
      for (std::int64_t rows : {2'000, 10'000, 50'000})
        for (std::int64_t look : {1, 10, 100})
          cells.push_back(SimulatePower(settings.run, settings.alpha,
                                        {.gain = gain, .differing = differing, .rows = rows, .look = look}, trials));
  return cells;
}

std::vector<SliceCell> SliceNulls(const Settings& settings, int trials) {
  std::vector<SliceCell> cells;
  for (SliceCell cell : {SliceCell{.slices = 1}, SliceCell{.slices = 10}, SliceCell{.slices = 50},
                         SliceCell{.slices = 10, .crossed = true}, SliceCell{.slices = 1, .loss = 0.02, .margin = 0.02}})
    cells.push_back(SimulateSlices(settings.run, settings.alpha, cell, trials));
  return cells;
}

std::vector<SliceCell> SlicePower(const Settings& settings, int trials) {
  std::vector<SliceCell> cells;
  for (double differing : {0.06, 0.1, 0.15, 0.32})
    for (int slices : {1, 5, 10, 50})
      cells.push_back(SimulateSlices(settings.run, settings.alpha,
                                     {.slices = slices, .differing = differing, .loss = 0.05}, trials));
  return cells;
}

nlohmann::json JsonOf(const NullResult& result) {
  return {{"p_any_false_promotion", result.any.share}, {"p_any_upper_95", result.any.upper},
          {"false_promotions", result.promotions}, {"imaginary_gain", result.imaginary_gain}};
}

std::string Key(Gate gate) {
  switch (gate) {
    case Gate::kNaive:
      return "naive";
    case Gate::kFixed:
      return "fixed_alpha";
    case Gate::kLadder:
      return "ladder";
    case Gate::kOurs:
      return "ours";
    case Gate::kOursUncharged:
      return "ours_sweep_charged_once";
    case Gate::kOursUngrouped:
      return "ours_without_group_by";
  }
  return "";
}

// Each gate's worst figure over the kinds of candidates stands on top, and each kind below.
nlohmann::json ShortAnswer(const Settings& settings) {
  NullPlan plan{.alpha = settings.alpha};
  nlohmann::json answer = {{"alpha", settings.alpha}, {"seed", settings.run.seed}, {"looks", plan.looks},
                           {"rows", plan.rows}, {"sequences", plan.sequences}};
  for (const NullResult& result : ShareResults(settings, plan)) {
    auto& of_gate = answer[Key(result.gate)];
    nlohmann::json figures = JsonOf(result);
    of_gate["by_candidates"][result.scenario] = figures;
    bool worst = !of_gate.contains("p_any_false_promotion") || of_gate["p_any_false_promotion"] < result.any.share;
    if (worst) of_gate.update(figures);
  }
  PowerCell power = SimulatePower(settings.run, settings.alpha, kHeadline, 10'000);
  answer["ours"]["power"] = power.ours;
  answer["fixed_alpha"]["power"] = power.fixed;
  answer["power_is_of"] = "a true gain of 1 point, 10,000 rows of which 10 % differ, look 1";
  for (const PowerCell& cell : PowerCells(settings, 2'000))
    answer["ours"]["power_table"].push_back({{"gain", cell.gain}, {"rows", cell.rows}, {"look", cell.look},
                                             {"differing", cell.differing}, {"power", cell.ours},
                                             {"power_fixed_alpha", cell.fixed}});
  for (const SliceCell& cell : SliceNulls(settings, 1'000))
    answer["slices"]["false_blocks"].push_back({{"slices", cell.slices}, {"margin", cell.margin},
                                                {"crossed", cell.crossed}, {"p_any", cell.blocked.share}});
  for (const SliceCell& cell : SlicePower(settings, 500))
    answer["slices"]["caught"].push_back({{"slices", cell.slices}, {"rows", cell.rows}, {"differing", cell.differing},
                                          {"loss", cell.loss}, {"share", cell.caught.share}});
  return answer;
}

void PrintPromotions(const Settings& settings) {
  NullPlan shares{.alpha = settings.alpha, .sequences = 20'000};
  std::printf("### False promotions\n\n%s\n", NullTable(shares, ShareResults(settings, shares)).c_str());
  NullPlan errors{.alpha = settings.alpha, .rows = 1'000, .looks = 200, .sequences = 1'000};
  std::printf("%s\n", NullTable(errors, ErrorResults(settings, errors)).c_str());
}

void PrintFull(const Settings& settings) {
  auto wanted = [&](const char* part) { return settings.part == "all" || settings.part == part; };
  if (wanted("promotions")) PrintPromotions(settings);
  if (wanted("power")) std::printf("### Power\n\n%s\n", PowerTable(PowerCells(settings, 10'000)).c_str());
  if (wanted("slices"))
    std::printf("### Slices\n\n%s\n%s\n", SliceNullTable(SliceNulls(settings, 10'000)).c_str(),
                SlicePowerTable(settings.alpha, SlicePower(settings, 4'000)).c_str());
  if (wanted("intervals"))
    std::printf("### Intervals\n\n%s\n", CoverageTable(SimulateCoverage(settings.run, settings.trials)).c_str());
  if (wanted("metrics"))
    std::printf("### Intervals by metric\n\n%s", CoverageTable(SimulateMetricCoverage(settings.run, settings.trials)).c_str());
}

void PrintBrief(const Settings& settings) {
  NullPlan plan{.alpha = settings.alpha};
  std::printf("%s\n%s", NullTable(plan, ShareResults(settings, plan)).c_str(),
              PowerTable(PowerCells(settings, 2'000)).c_str());
}

}  // namespace
}  // namespace ratchet::bench

int main(int argc, char** argv) {
  ratchet::bench::Settings settings;
  settings.run.threads = std::max(1U, std::thread::hardware_concurrency());
  CLI::App app{"False promotions, power, slices and intervals of the gate, on candidates whose truth is known."};
  app.add_option("--seed", settings.run.seed, "Of all that is drawn; the answer depends on nothing else")
      ->capture_default_str();
  app.add_option("--alpha", settings.alpha, "For all looks together")
      ->check(CLI::Range(1e-6, 0.5))
      ->capture_default_str();
  app.add_option("--threads", settings.run.threads, "At once")->check(CLI::Range(1U, 1024U));
  app.add_flag("--json", settings.json, "The figures that matter, as JSON");
  app.add_flag("--full", settings.full, "All tables, with more sequences: takes ten minutes and more")->excludes("--json");
  app.add_option("--part", settings.part, "Of --full")
      ->check(CLI::IsMember({"all", "promotions", "power", "slices", "intervals", "metrics"}))
      ->needs("--full")
      ->capture_default_str();
  app.add_option("--trials", settings.trials, "Samples of each row of the tables of intervals")
      ->check(CLI::Range(10, 1'000'000))
      ->needs("--full")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (settings.json) {
    std::printf("%s\n", ratchet::bench::ShortAnswer(settings).dump(2).c_str());
  } else if (settings.full) {
    ratchet::bench::PrintFull(settings);
  } else {
    ratchet::bench::PrintBrief(settings);
  }
  return 0;
}
