#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

// Which trials of a sweep go on: asynchronous successive halving (Li et al., "A System for Massively Parallel
// Hyperparameter Tuning", MLSys 2020), in its stopping variant: a trial trains on without waiting for others and is
// stopped when it is not among the best of those that came as far. Pure functions of the validation metrics reported so
// far; never of the holdout.
namespace ratchet::pipeline {

struct AshaSettings {
  int min_epochs = 1;  // ≥ 1: the first rung; no trial is stopped before it
  int reduction = 3;   // 3 or 4 (≥ 2): of the trials at a rung the best 1/reduction go on
  int max_epochs = 1;  // ≥ 1: of the trial that trains longest
  enum class Better { kHigher, kLower } better = Better::kHigher;
};

struct TrialProgress {
  enum class State { kWaiting, kRunning, kSucceeded, kStopped, kFailed };
  State state = State::kWaiting;
  // The validation metric after epoch 1, 2, …, as far as reported; NaN for an epoch that reported none.
  std::vector<double> metrics = {};
  int epochs = 0;  // how many this trial trains for, where `epochs` is swept; 0 = max_epochs
};

struct TrialVerdict {
  size_t trial = 0;  // index into the trials given
  bool stop = false;
  std::string reason;  // one sentence for people: rung, rank, and how many went on
};

// The epochs at which trials are compared: min_epochs, times reduction, times reduction², …, all below max_epochs.
std::vector<int> Rungs(const AshaSettings& settings);

// One verdict for each running trial, in their order. A trial is judged at the highest rung that it has reached,
// against all trials that have reached that rung, running, succeeded or stopped; failed ones cannot win and do not
// count.
// - Its result there is the best metric of the epochs up to the rung: a recipe keeps the weights of its best epoch.
// - With n results at the rung, the best n / reduction (rounded down) go on. With fewer results than `reduction` all go
//   on. So the best of a rung is never stopped at it.
// - A trial whose metric at the rung's own epoch is not a finite number has diverged: it is the worst, and is stopped
//   as soon as one other trial has a number there, however few the results.
// - Of equal results that of the lower index ranks first.
// - A trial that has trained for all its epochs is not stopped any more.
// A trial that was let go on early, among few, may be stopped between two rungs when better ones come to the rung that
// it passed last. A stop is to be written down when it is heard: with more results the same rank may go on.
std::vector<TrialVerdict> JudgeTrials(const AshaSettings& settings, const std::vector<TrialProgress>& trials);

// The succeeded trial with the best validation metric of any of its epochs; of equal ones the lower index; nothing
// where no trial has succeeded. One without any finite metric comes last. A trainer that reports a metric only at its
// end gives it as the only one.
std::optional<size_t> BestTrial(AshaSettings::Better better, const std::vector<TrialProgress>& trials);

}  // namespace ratchet::pipeline
