// `predictions` and `feedback`. Declared in pipeline/spec_sections.h.

#include <algorithm>

#include "base/names.h"
#include "pipeline/spec_sections.h"

namespace ratchet::pipeline {
namespace {

constexpr std::int64_t kMostRows = 1'000'000;
constexpr std::int64_t kLeastWithinS = 60, kMostWithinS = 3650LL * 86'400;
constexpr size_t kMostRedacted = 1'000;
constexpr char kSame[] = "same";

}  // namespace

void ReadPredictions(Section predictions, PredictionSpec& into) {
  into.sample = predictions.Number("sample", "a share from 0 to 1, such as 0.1", [](double v) { return v >= 0 && v <= 1; });
  Take(into.redact, predictions.Texts("redact", false, "[name, address]"));
  if (into.redact.size() > kMostRedacted) predictions.Fault("redact", "must have at most 1000 columns");
  std::ranges::sort(into.redact);
  into.redact.erase(std::ranges::unique(into.redact).begin(), into.redact.end());
}

void ReadFeedback(Section feedback, const DataSpec& data, FeedbackSpec& into) {
  feedback.Require("dataset", "the dataset that rows go to; `same` is that of data.dataset");
  into.dataset = feedback.Text("dataset", [](const std::string& name) { return CheckName("dataset", name); });
  if (into.dataset == kSame) into.dataset = data.dataset;
  Take(into.every, feedback.Whole("every", 1, kMostRows));
  Take(into.within_s, feedback.Quantity("within", kLeastWithinS, kMostWithinS, "a time from 1m to 3650d such as 7d", ParseSeconds));
}

nlohmann::json PredictionsToJson(const PredictionSpec& predictions) {
  nlohmann::json json = nlohmann::json::object();
  if (!predictions.redact.empty()) json["redact"] = predictions.redact;
  if (predictions.sample) json["sample"] = *predictions.sample;
  return json;
}

nlohmann::json FeedbackToJson(const FeedbackSpec& feedback) {
  if (!feedback.dataset) return nlohmann::json::object();
  return {{"dataset", *feedback.dataset}, {"every", feedback.every}, {"within", feedback.within_s}};
}

}  // namespace ratchet::pipeline
