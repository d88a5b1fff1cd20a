#include "pipeline/feedback.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "pipeline/feedback_lines.h"
#include "registry/models.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;

constexpr std::int64_t kMostVersionsTold = 50;
constexpr std::int64_t kMostRowsInSeries = 100'000;
constexpr size_t kMostFactsKept = 10'000;
constexpr std::int64_t kMostDeletedAtOnce = 1'000;     // keeps the writer free for those who wait
constexpr std::int64_t kDeletionShareUs = 5'000'000;  // at a time

std::int64_t SequenceIn(std::string_view line) {
  const auto object = nlohmann::json::parse(line, nullptr, false);
  const auto sequence = object.is_object() ? object.value("sequence", nlohmann::json()) : nlohmann::json();
  return sequence.is_number_integer() ? std::max<std::int64_t>(sequence.get<std::int64_t>(), 0) : 0;
}

}  // namespace

// A version is never changed, so what is known of it stays.
std::shared_ptr<const ScoringFacts> Feedback::Facts(const std::string& model, std::int64_t version) {
  const Key key{model, version};
  {
    std::lock_guard lock(mutex_);
    if (const auto known = facts_.find(key); known != facts_.end()) return known->second;
  }
  auto found = registry_.Read([&](Db& db) { return registry::GetVersion(db, model, version); });
  if (!found) return std::make_shared<const ScoringFacts>();
  auto facts = std::make_shared<const ScoringFacts>(FactsOf(found->metric, found->manifest));
  std::lock_guard lock(mutex_);
  if (facts_.size() >= kMostFactsKept) facts_.clear();
  return facts_[key] = std::move(facts);
}

// Rows of one prediction mostly come together, so its outputs are read once.
registry::RowScore Feedback::Scorer() {
  struct Known {
    std::string id;
    nlohmann::json outputs;
  };
  return [this, known = std::make_shared<Known>()](const registry::LoggedPrediction& prediction, std::int64_t row,
                                                   const std::string& outcome) {
    if (known->id != prediction.id) *known = {prediction.id, nlohmann::json::parse(prediction.outputs, nullptr, false)};
    return ScoreOf(*Facts(prediction.model, prediction.version), known->outputs, row, outcome);
  };
}

Result<Feedback::TakenLines> Feedback::TakeBatch(const ShippedLines& shipped) {
  TakenLines taken;
  registry::PredictionBatch batch{.replica = shipped.replica, .spool = shipped.spool, .started_at = shipped.started_at,
                                  .dropped = shipped.dropped, .predictions = {}};
  for (std::string_view rest = shipped.lines; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.empty()) continue;
    auto one = ParsePredictionLine(line);
    batch.last_sequence = std::max(batch.last_sequence, one ? one->sequence : SequenceIn(line));
    if (one) {
      batch.predictions.push_back(std::move(*one));
      continue;
    }
    batch.refused.push_back(SequenceIn(line));
    if (++taken.refused == 1) taken.first_fault = one.error().Message();
  }
  if (taken.refused > 0)
    spdlog::warn("{} predictions of replica {} are refused: {}", taken.refused, shipped.replica, taken.first_fault);
  RATCHET_ASSIGN(taken.batch, events_.Write([&](Db& db) -> Result<registry::TakenBatch> {
    return registry::TakePredictions(db, clock_.WallUs(), batch, Scorer());
  }));
  {
    std::lock_guard lock(mutex_);
    counts_.predictions += taken.batch.taken;
    counts_.repeated += taken.batch.repeated;
    counts_.refused += taken.refused;
    counts_.joined += taken.batch.joined;
  }
  if (taken.batch.joined > 0) listener_();
  return taken;
}

Result<registry::TakenOutcomes> Feedback::TakeOutcomes(const std::string& model,
                                                       const std::vector<registry::OutcomeInput>& outcomes) {
  RATCHET_TRY(registry_.Read([&](Db& db) { return registry::GetModel(db, model); }));
  RATCHET_ASSIGN(const registry::TakenOutcomes taken, events_.Write([&](Db& db) -> Result<registry::TakenOutcomes> {
    return registry::TakeOutcomes(db, clock_.WallUs(), model, outcomes, Scorer());
  }));
  {
    std::lock_guard lock(mutex_);
    counts_.outcomes += taken.taken;
    counts_.outcomes_repeated += taken.repeated;
    counts_.outcomes_replaced += taken.replaced;
    counts_.joined += taken.joined;
  }
  if (taken.joined + taken.replaced > 0) listener_();
  return taken;
}

Status Feedback::DeleteWhatIsPast(const std::stop_token& stop) {
  const std::int64_t until_us = clock_.MonotonicUs() + kDeletionShareUs;
  while (!stop.stop_requested()) {
    RATCHET_ASSIGN(const std::int64_t gone, events_.Write([&](Db& db) -> Result<std::int64_t> {
      return registry::DeletePast(db, clock_.WallUs(), retention_, kMostDeletedAtOnce);
    }));
    {
      std::lock_guard lock(mutex_);
      counts_.deleted += gone;
    }
    if (gone < kMostDeletedAtOnce || clock_.MonotonicUs() >= until_us) return {};
  }
  return {};
}

Result<std::vector<LiveReport>> Feedback::Report(const std::string& model, std::int64_t span_us,
                                                 const std::optional<std::string>& slice) {
  RATCHET_TRY(registry_.Read([&](Db& db) { return registry::GetModel(db, model); }));
  RATCHET_ASSIGN(const auto totals, events_.Read([&](Db& db) -> Result<std::vector<registry::VersionTotals>> {
    return registry::TotalsOf(db, model, kMostVersionsTold);
  }));
  std::vector<LiveReport> reports;
  for (const registry::VersionTotals& of_version : totals) {
    LiveReport report{.totals = of_version, .metric = {}, .higher_is_better = {}, .value = {}, .series = {}, .slices = {}};
    RATCHET_TRY(CompleteReport(model, span_us, reports.size() < kMostVersionsSliced ? slice : std::nullopt, report));
    reports.push_back(std::move(report));
  }
  return reports;
}

Status Feedback::CompleteReport(const std::string& model, std::int64_t span_us, const std::optional<std::string>& slice,
                                LiveReport& report) {
  const std::int64_t version = report.totals.version;
  auto known = registry_.Read([&](Db& db) { return registry::GetVersion(db, model, version); });
  if (!known) return {};  // predictions may outlive what the registry knows, as after a restore
  report.metric = known->metric;
  const auto metric = gate::FindLiveMetric(known->metric);
  if (!metric) return {};
  report.higher_is_better = metric->higher_is_better;
  return events_.Read([&](Db& db) -> Status {
    const auto window = registry::LatestScores(db, model, version, gate::kLiveWindowRows);
    report.window_rows = window.rows;
    if (window.rows > 0) report.value = gate::LiveFigureOfMean(*metric, window.mean);
    report.series = registry::ScoresOverTime(db, model, version, span_us, kMostRowsInSeries);
    for (registry::ScoreSpan& span : report.series) span.mean = gate::LiveFigureOfMean(*metric, span.mean);
    if (!slice) return {};
    LiveSlices slices(*slice, known->manifest, *metric, span_us);
    registry::ForLatestScored(db, model, version, kMostRowsInSlices, [&](const registry::ScoredRow& row) { slices.Add(row); });
    report.slices = slices.Told();
    return {};
  });
}

std::optional<LiveFigure> Feedback::FigureOf(const std::string& model, std::int64_t version, const std::string& metric,
                                             std::int64_t after_us) {
  const auto live_metric = gate::FindLiveMetric(metric);
  if (!live_metric) return std::nullopt;
  const Key key{model, version};
  const std::int64_t commits = events_.stats().commits;
  {
    std::lock_guard lock(mutex_);
    const auto known = figures_.find(key);
    if (known != figures_.end() && known->second.commits == commits && known->second.after_us == after_us)
      return known->second.figure;
  }
  auto figure = events_.Read([&](Db& db) -> Result<LiveFigure> {
    const auto window = registry::LatestScores(db, model, version, gate::kLiveWindowRows);
    return LiveFigure{.value = gate::LiveFigureOfMean(*live_metric, window.mean), .rows = window.rows,
                      .fresh_rows = registry::JoinedAfter(db, model, version, after_us, gate::kLiveWindowRows)};
  });
  if (!figure) return spdlog::error("{}", figure.error().Message()), std::nullopt;
  const std::optional<LiveFigure> told = figure->rows > 0 ? std::optional(*figure) : std::nullopt;
  std::lock_guard lock(mutex_);
  figures_.erase(figures_.lower_bound({model, 0}), figures_.upper_bound({model, version}));  // only the live one is asked for
  figures_[key] = {commits, after_us, told};
  return told;
}

Result<std::int64_t> Feedback::Dropped() {
  return events_.Read([](Db& db) -> Result<std::int64_t> { return registry::DroppedPredictions(db); });
}

Feedback::Counts Feedback::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace ratchet::pipeline
