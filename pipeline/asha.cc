#include "pipeline/asha.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ratchet::pipeline {
namespace {

constexpr double kWorst = -std::numeric_limits<double>::infinity();

// The larger the better; what is not a finite number is the worst.
double Score(AshaSettings::Better better, double metric) {
  if (!std::isfinite(metric)) return kWorst;
  return better == AshaSettings::Better::kHigher ? metric : -metric;
}

// The best score of the first `epochs` epochs.
double BestScore(AshaSettings::Better better, const TrialProgress& trial, size_t epochs) {
  double best = kWorst;
  for (size_t i = 0; i < std::min(epochs, trial.metrics.size()); ++i)
    best = std::max(best, Score(better, trial.metrics[i]));
  return best;
}

bool HasReached(const TrialProgress& trial, int rung) { return trial.metrics.size() >= static_cast<size_t>(rung); }

double ScoreAtRung(AshaSettings::Better better, const TrialProgress& trial, int rung) {
  size_t epochs = static_cast<size_t>(rung);
  bool diverged = !std::isfinite(trial.metrics[epochs - 1]);
  return diverged ? kWorst : BestScore(better, trial, epochs);
}

// How the trials stand at one rung.
struct Standing {
  size_t results = 0;
  size_t rank = 1;       // of the trial asked about
  bool numbers = false;  // another trial has a finite result there
};

Standing StandingOf(const AshaSettings& settings, const std::vector<TrialProgress>& trials, size_t asked, int rung) {
  Standing standing;
  double own = ScoreAtRung(settings.better, trials[asked], rung);
  for (size_t i = 0; i < trials.size(); ++i) {
    if (!HasReached(trials[i], rung) || trials[i].state == TrialProgress::State::kFailed) continue;
    ++standing.results;
    if (i == asked) continue;
    double score = ScoreAtRung(settings.better, trials[i], rung);
    standing.numbers = standing.numbers || score > kWorst;
    if (score > own || (score == own && i < asked)) ++standing.rank;
  }
  return standing;
}

std::string Epochs(int count) { return count == 1 ? "1 epoch" : fmt::format("{} epochs", count); }

TrialVerdict JudgeAtRung(const AshaSettings& settings, const std::vector<TrialProgress>& trials, size_t asked,
                         int rung) {
  Standing standing = StandingOf(settings, trials, asked, rung);
  std::string after = fmt::format("after {} ", Epochs(rung));
  if (ScoreAtRung(settings.better, trials[asked], rung) == kWorst && standing.numbers)
    return {asked, true, after + "the validation metric was not a finite number, and other trials have one"};
  size_t reduction = static_cast<size_t>(std::max(settings.reduction, 2));
  if (standing.results < reduction)
    return {asked, false,
            fmt::format("{}only {} of the {} results that a comparison takes are there", after, standing.results,
                        reduction)};
  size_t kept = standing.results / reduction;
  return {asked, standing.rank > kept,
          fmt::format("{}it was number {} of {}, and the best {} {} on", after, standing.rank, standing.results, kept,
                      kept == 1 ? "goes" : "go")};
}

}  // namespace

std::vector<int> Rungs(const AshaSettings& settings) {
  std::vector<int> rungs;
  for (std::int64_t rung = std::max(settings.min_epochs, 1); rung < settings.max_epochs;
       rung *= std::max(settings.reduction, 2))
    rungs.push_back(static_cast<int>(rung));
  return rungs;
}

std::vector<TrialVerdict> JudgeTrials(const AshaSettings& settings, const std::vector<TrialProgress>& trials) {
  std::vector<TrialVerdict> verdicts;
  const std::vector<int> rungs = Rungs(settings);
  for (size_t i = 0; i < trials.size(); ++i) {
    const TrialProgress& trial = trials[i];
    if (trial.state != TrialProgress::State::kRunning) continue;
    auto reached =
        std::ranges::find_if(rungs.rbegin(), rungs.rend(), [&](int rung) { return HasReached(trial, rung); });
    if (HasReached(trial, trial.epochs > 0 ? trial.epochs : settings.max_epochs))
      verdicts.push_back({i, false, "it has trained for all its epochs"});
    else if (reached == rungs.rend())
      verdicts.push_back({i, false, "it has not come to the first comparison yet"});
    else
      verdicts.push_back(JudgeAtRung(settings, trials, i, *reached));
  }
  return verdicts;
}

std::optional<size_t> BestTrial(AshaSettings::Better better, const std::vector<TrialProgress>& trials) {
  std::optional<size_t> best;
  double best_score = kWorst;
  for (size_t i = 0; i < trials.size(); ++i) {
    if (trials[i].state != TrialProgress::State::kSucceeded) continue;
    double score = BestScore(better, trials[i], trials[i].metrics.size());
    if (best && score <= best_score) continue;
    best = i;
    best_score = score;
  }
  return best;
}

}  // namespace ratchet::pipeline
