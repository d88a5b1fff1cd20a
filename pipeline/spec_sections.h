#pragma once

#include "pipeline/spec.h"
#include "pipeline/spec_reader.h"

// Readers of single sections of a spec that several sources of the room share; nobody else includes it.
namespace ratchet::pipeline {

template <typename Value>
void Take(Value& into, auto&& read) {
  if (read) into = std::move(*read);
}

// The keys of a WorkSpec.
inline const std::vector<std::string> kWorkKeys{"recipe", "command", "params", "seed", "inputs", "limits", "retry", "cache"};
void ReadWork(Section& section, Faults& faults, WorkSpec& into);

// The keys of test.budgets.
inline const std::vector<std::string> kBudgetKeys{"p50_latency", "p99_latency", "bundle_size", "memory"};
void ReadBudgets(Section budgets, BudgetSpec& into);
// A time with its unit, in microseconds; a bare number is refused: nobody could tell whether 20 means milliseconds or seconds.
std::optional<std::int64_t> ReadLatency(Section& section, std::string_view key);
std::string LatencyText(std::int64_t us);
nlohmann::json BudgetsToJson(const BudgetSpec& budgets);

// The keys of release.
inline const std::vector<std::string> kReleaseKeys{"strategy", "steps", "share", "shares", "watch", "approval"};
void ReadRelease(Section& release, ReleaseSpec& into);
// What feedback can bound depends on the metric, as far as the spec names one.
void CheckWatchedMetric(Section& release, const Spec& spec);
// The keys of `predictions` and of `feedback`; the latter needs the spec's `data`.
inline const std::vector<std::string> kPredictionKeys{"sample", "redact"};
inline const std::vector<std::string> kFeedbackKeys{"dataset", "every", "within"};
void ReadPredictions(Section predictions, PredictionSpec& into);
void ReadFeedback(Section feedback, const DataSpec& data, FeedbackSpec& into);
nlohmann::json PredictionsToJson(const PredictionSpec& predictions);
nlohmann::json FeedbackToJson(const FeedbackSpec& feedback);

// The faults that CheckRecipe tells (pipeline/spec_recipe.h), with the lines of `tree` where it is not null.
void AddRecipeFaults(const Spec& spec, const nlohmann::json& recipes, const YamlNode* tree, Faults& faults);

// Columns that the target or an expectation names and the dataset does not have.
void AddColumnFaults(const Spec& spec, const lake::Schema& schema, const YamlNode& tree, Faults& faults);

// `steps` of the spec `root`, which has `train` read already, and whether needs, inputs and outputs fit together.
void ReadSteps(Section& root, Faults& faults, Spec& into);

}  // namespace ratchet::pipeline
