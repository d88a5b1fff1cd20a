#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/live_metrics.h"
#include "pipeline/live_score.h"
#include "pipeline/live_slices.h"
#include "registry/feedback.h"
#include "registry/predictions.h"
#include "registry/store.h"

namespace ratchet::pipeline {

// How a version has done by the outcomes that are known.
struct LiveReport {
  registry::VersionTotals totals;
  std::string metric;                   // of the version; empty where the registry does not know it
  std::optional<bool> higher_is_better; // none: the metric is not one of single rows
  std::optional<double> value;          // over the latest window_rows rows
  std::int64_t window_rows = 0;
  std::vector<registry::ScoreSpan> series;  // `mean` is the metric's figure here
  std::vector<LiveSlice> slices;            // where they were asked for, over the latest kMostRowsInSlices rows
};

// A batch as it came from a replica.
struct ShippedLines {
  std::string replica, spool;
  std::int64_t started_at = 0, dropped = 0;
  std::string_view lines;  // JSON Lines, docs/formats.md "Predictions"
};

// The way from answered predictions and their outcomes to the live metric. Keeps its rows in events.db and asks the
// registry what a version's metric and classes are. Any thread.
class Feedback final : public LiveMetrics {
 public:
  Feedback(registry::Store& registry, registry::Store& events, const Clock& clock, registry::Retention retention)
      : registry_(registry), events_(events), clock_(clock), retention_(retention) {}

  // Called, by the thread that brought them, when rows were joined. Set before use.
  void OnJoined(std::function<void()> listener) { listener_ = std::move(listener); }

  struct TakenLines {
    registry::TakenBatch batch;
    std::int64_t refused = 0;  // lines that are no predictions; they are not asked for again
    std::string first_fault;
  };
  Result<TakenLines> TakeBatch(const ShippedLines& shipped);

  // The model must be there: kNotFound.
  Result<registry::TakenOutcomes> TakeOutcomes(const std::string& model, const std::vector<registry::OutcomeInput>& outcomes);

  static constexpr std::int64_t kMostRowsInSlices = 10'000;
  static constexpr size_t kMostVersionsSliced = 5;
  // The latest versions with predictions, newest first; kNotFound where there is no such model. With `slice`, a column,
  // the newest kMostVersionsSliced also by that column's values.
  Result<std::vector<LiveReport>> Report(const std::string& model, std::int64_t span_us,
                                         const std::optional<std::string>& slice = {});

  std::optional<LiveFigure> FigureOf(const std::string& model, std::int64_t version, const std::string& metric,
                                     std::int64_t after_us) override;
  std::vector<double> ScoresSince(const std::string& model, std::int64_t version, std::int64_t since_us) override;

  Result<std::int64_t> Dropped();

  // Deletes what is past its retention, in small batches between which others write; returns when there is no more, it
  // was stopped, or it has had its share of the time.
  Status DeleteWhatIsPast(const std::stop_token& stop = {});

  registry::Store& events() { return events_; }

  // Since this process began, for /metrics.
  struct Counts {
    std::int64_t predictions = 0, repeated = 0, refused = 0, outcomes = 0, outcomes_repeated = 0, outcomes_replaced = 0,
                 joined = 0, deleted = 0;
  };
  Counts counts() const;

 private:
  using Key = std::pair<std::string, std::int64_t>;
  struct Figure {
    std::int64_t commits = -1, after_us = 0;
    std::optional<LiveFigure> figure;
  };
  std::shared_ptr<const ScoringFacts> Facts(const std::string& model, std::int64_t version);
  registry::RowScore Scorer();
  Status CompleteReport(const std::string& model, std::int64_t span_us, const std::optional<std::string>& slice,
                        LiveReport& report);

  registry::Store& registry_;
  registry::Store& events_;
  const Clock& clock_;
  const registry::Retention retention_;
  std::function<void()> listener_ = [] {};
  struct Scores {
    std::int64_t since_us = -1, last = 0;  // last: number of the newest
    std::vector<double> values;
  };
  static constexpr size_t kMostWatchedVersions = 32;  // whose scores are kept at hand
  std::mutex scores_mutex_;
  std::map<Key, Scores> scores_;
  mutable std::mutex mutex_;
  std::map<Key, std::shared_ptr<const ScoringFacts>> facts_;
  std::map<Key, Figure> figures_;
  Counts counts_;
};

}  // namespace ratchet::pipeline
