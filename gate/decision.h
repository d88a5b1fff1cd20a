#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

// The gate: plain values in, a decision out. No I/O, no clock, no randomness.
namespace ratchet::gate {

// What one per-row score means.
enum class PerRow {
  kCorrect,        // 1 right, 0 wrong; higher is better
  kAbsoluteError,  // lower is better
  kSquaredError,   // lower is better
  kLogLoss,        // lower is better
};

enum class Verdict { kBetter, kNotBetter, kInconclusive };

std::string_view VerdictName(Verdict verdict);  // "better", "not_better", "inconclusive"
std::string_view PerRowName(PerRow per_row);    // "correct", "absolute_error", "squared_error", "log_loss"
Result<PerRow> PerRowFromName(std::string_view name);

struct Rule {
  double better_by = 0.0;    // least gain that counts, in the metric's unit, ≥ 0
  double confidence = 0.95;  // 1 − α, one-sided, in [0.5, 1)
};

// Scores of candidate and opponent on the same rows, in the same order.
struct PairedScores {
  PerRow per_row = PerRow::kCorrect;
  std::span<const double> candidate;
  std::span<const double> opponent;
};

// All that the verdict rests on. Differences are oriented so that positive means the candidate is better.
struct Decision {
  Verdict verdict = Verdict::kInconclusive;
  std::string test;             // "mcnemar_exact" or "paired_t"
  std::int64_t rows = 0;
  double candidate = 0, opponent = 0;  // means of the per-row scores
  double difference = 0;        // oriented gain, mean over rows
  double interval_low = 0, interval_high = 0;  // two-sided interval of the difference at `confidence` … see decision.cc for the method
  double confidence = 0.95;
  double alpha = 0.05;
  double p_value = 1;           // one-sided: H0 "the gain is at most better_by"
  std::int64_t wins = 0, losses = 0;  // rows on which the candidate did better, worse
  double better_by = 0;
  std::optional<std::int64_t> rows_needed;  // inconclusive: further rows that would settle it at 80 % power
  std::string reason;           // one sentence for people
};

// kInvalid: no rows, different lengths, non-finite scores, a rule out of range.
Result<Decision> Decide(const PairedScores& scores, const Rule& rule);

}  // namespace ratchet::gate
