#include "gate/release_watch.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

namespace ratchet::gate {
namespace {

constexpr double kP99 = 0.99;
constexpr double kMismatchPart = 0.2;  // of alpha, for the shares

using Counting = Hits (*)(const ArmCounts&, std::int64_t limit_us);

Hits ErrorsOf(const ArmCounts& arm, std::int64_t) { return {arm.errors, arm.requests}; }
Hits SlowOf(const ArmCounts& arm, std::int64_t limit_us) { return SlowerThan(arm.latencies, limit_us); }

Hits Sum(Hits a, Hits b) { return {a.hits + b.hits, a.trials + b.trials}; }

double RateOf(Hits hits) {
  return hits.trials == 0 ? 0 : static_cast<double>(hits.hits) / static_cast<double>(hits.trials);
}

// Both arms over all steps, and the evidence that the candidate's hits are more than its share of all hits: that of each
// step for itself, since the shares differ; the product of such processes is another.
struct Compared {
  Hits candidate, live;
  double log_worse = 0;
};

Compared Compare(std::span<const WatchedStep> steps, Counting count, std::int64_t limit_us) {
  Compared compared;
  for (const WatchedStep& step : steps) {
    const Hits candidate = count(step.candidate, limit_us), live = count(step.live, limit_us);
    compared.candidate = Sum(compared.candidate, candidate);
    compared.live = Sum(compared.live, live);
    compared.log_worse += LogEvidenceAbove({candidate.hits, candidate.hits + live.hits}, step.share);
  }
  return compared;
}

// The candidate hits more often than `rate` allows, and more often than live does: both must be proven, so that the chance
// that either is wrong is enough to be kept small.
Signal JudgeRate(std::string_view name, const Compared& compared, double rate, double level, std::int64_t least) {
  Signal signal{.name = name, .candidate = RateOf(compared.candidate), .live = RateOf(compared.live),
                .candidate_bounds = RateBounds(compared.candidate, level), .live_bounds = RateBounds(compared.live, level), .limit = rate,
                .level = level, .candidate_seen = compared.candidate.trials, .live_seen = compared.live.trials};
  const double log_above = rate > 0 ? LogEvidenceAbove(compared.candidate, rate) : compared.log_worse;
  signal.p = AnytimeP(std::min(log_above, compared.log_worse));
  if (signal.p <= level) signal.state = SignalState::kHarm;
  else if (compared.candidate.trials < least) signal.state = SignalState::kQuiet;
  else if (rate > 0 && signal.candidate > rate && signal.candidate > signal.live) signal.state = SignalState::kDoubt;
  else signal.state = SignalState::kHolds;
  return signal;
}

LatencyBuckets Merge(std::span<const WatchedStep> steps, ArmCounts WatchedStep::* arm) {
  LatencyBuckets merged;
  for (const WatchedStep& step : steps)
    for (const auto& [bound_us, count] : (step.*arm).latencies) merged[bound_us] += count;
  return merged;
}

// The 99th percentile is above the limit where more than one request in a hundred takes longer than it.
Signal JudgeLatency(std::span<const WatchedStep> steps, std::int64_t limit_us, double level, std::int64_t least) {
  Signal signal = JudgeRate("p99_latency", Compare(steps, SlowOf, limit_us), 1 - kP99, level, least);
  const LatencyBuckets candidate = Merge(steps, &WatchedStep::candidate), live = Merge(steps, &WatchedStep::live);
  signal.candidate = static_cast<double>(QuantileOf(candidate, kP99));
  signal.live = static_cast<double>(QuantileOf(live, kP99));
  signal.candidate_bounds = QuantileBounds(candidate, kP99, level);
  signal.live_bounds = QuantileBounds(live, kP99, level);
  signal.limit = static_cast<double>(limit_us);
  return signal;
}

struct MeanOf {
  double mean = 0;
  Bounds bounds;
};

MeanOf MeanOfScores(const WatchedScores& scores, const std::vector<double>& values, double level) {
  if (scores.shares) {
    Hits hits{0, static_cast<std::int64_t>(values.size())};
    for (double value : values) hits.hits += value > 0.5 ? 1 : 0;
    return {RateOf(hits), RateBounds(hits, level)};
  }
  MeanSequence sequence(scores.low, scores.high, level);
  for (double value : values) sequence.Add(value);
  return {sequence.mean(), sequence.bounds()};
}

// How much worse the candidate's mean is, in points of the metric; of two sequences of half the level each.
Signal JudgeDrop(const WatchedScores& scores, double limit, double level, std::int64_t least) {
  const MeanOf candidate = MeanOfScores(scores, scores.candidate, level / 2), live = MeanOfScores(scores, scores.live, level / 2);
  Signal signal{.name = "metric_drop", .candidate = candidate.mean, .live = live.mean, .candidate_bounds = candidate.bounds,
                .live_bounds = live.bounds, .limit = limit, .level = level,
                .candidate_seen = static_cast<std::int64_t>(scores.candidate.size()),
                .live_seen = static_cast<std::int64_t>(scores.live.size())};
  const bool up = scores.higher_is_better;
  const double proven = up ? live.bounds.low - candidate.bounds.high : candidate.bounds.low - live.bounds.high;
  const double seen = up ? live.mean - candidate.mean : candidate.mean - live.mean;
  if (proven > limit) signal.state = SignalState::kHarm, signal.p = level;
  else if (std::min(signal.candidate_seen, signal.live_seen) < least) signal.state = SignalState::kQuiet;
  else signal.state = seen > limit && limit > 0 ? SignalState::kDoubt : SignalState::kHolds;
  return signal;
}

double LogMismatch(std::span<const WatchedStep> steps) {
  double log_evidence = 0;
  for (const WatchedStep& step : steps)
    if (!step.paired)
      log_evidence += LogEvidenceAgainst({step.candidate.unkeyed, step.candidate.unkeyed + step.live.unkeyed}, step.share);
  return log_evidence;
}

std::string Shown(const Signal& signal, double value) {
  if (signal.name == "error_rate") return fmt::format("{:.2f} %", 100 * value);
  if (signal.name == "p99_latency") return std::isinf(value) ? "any" : fmt::format("{:.1f} ms", value / 1000);
  return fmt::format("{:.4f}", value);
}

std::string_view Subject(const Signal& signal) {
  if (signal.name == "error_rate") return "error rate";
  return signal.name == "p99_latency" ? "99th percentile of latency" : "live metric";
}

std::string SentenceOf(const Signal& signal) {
  const bool proven = signal.state == SignalState::kHarm;
  const std::string over = signal.limit > 0 ? fmt::format("{} {}", signal.name == "metric_drop" ? "by more than" : "above the limit of",
                                                          Shown(signal, signal.limit)) : "";
  return fmt::format("The candidate's {} is {}, the live version's {}: {} worse{}{} ({} and {} seen)", Subject(signal),
                     Shown(signal, signal.candidate), Shown(signal, signal.live), proven ? "proven to be" : "perhaps",
                     over.empty() ? "" : ", ", over, signal.candidate_seen, signal.live_seen);
}

}  // namespace

std::string_view SignalStateName(SignalState state) {
  switch (state) {
    case SignalState::kQuiet: return "quiet";
    case SignalState::kHolds: return "holds";
    case SignalState::kDoubt: return "doubt";
    case SignalState::kHarm: return "harm";
  }
  return "";
}

bool WatchReport::Harmful() const {
  return std::ranges::any_of(signals, [](const Signal& signal) { return signal.state == SignalState::kHarm; });
}

bool WatchReport::Passes(const WatchLimits& limits) const {
  return !mismatch && requests >= limits.min_requests &&
         std::ranges::all_of(signals, [](const Signal& signal) { return signal.state == SignalState::kHolds; });
}

WatchReport JudgeWatch(const WatchLimits& limits, std::span<const WatchedStep> steps, const std::optional<WatchedScores>& scores) {
  const bool by_metric = limits.metric_drop && scores;
  const double level = limits.alpha / (1.0 + (limits.p99_latency_us ? 1 : 0) + (by_metric ? 1 : 0));
  WatchReport report;
  report.signals.push_back(JudgeRate("error_rate", Compare(steps, ErrorsOf, 0), limits.error_rate, level, limits.min_requests));
  if (limits.p99_latency_us) report.signals.push_back(JudgeLatency(steps, *limits.p99_latency_us, level, limits.min_requests));
  if (by_metric) report.signals.push_back(JudgeDrop(*scores, *limits.metric_drop, level, limits.min_requests));
  if (!steps.empty()) report.requests = steps.back().candidate.requests;
  report.mismatch_p = AnytimeP(LogMismatch(steps));
  report.mismatch = report.mismatch_p <= kMismatchPart * limits.alpha;
  return report;
}

std::string WatchSentence(const WatchReport& report) {
  for (SignalState state : {SignalState::kHarm, SignalState::kDoubt})
    for (const Signal& signal : report.signals)
      if (signal.state == state) return SentenceOf(signal) + ".";
  return "";
}

}  // namespace ratchet::gate
