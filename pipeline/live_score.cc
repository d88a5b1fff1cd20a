#include "pipeline/live_score.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ratchet::pipeline {
namespace {

using nlohmann::json;

std::string TextOf(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::optional<double> NumberIn(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// The data of the tensor of this name, or of the first one; null where there is none.
const json* DataOf(const json& outputs, const char* name) {
  if (!outputs.is_array()) return nullptr;
  for (const json& tensor : outputs) {
    if (!tensor.is_object() || (name && tensor.value("name", json()) != name)) continue;
    const auto data = tensor.find("data");
    return data != tensor.end() && data->is_array() ? &*data : nullptr;
  }
  return nullptr;
}

std::optional<double> NumberAt(const json* data, size_t at) {
  if (!data || at >= data->size() || !(*data)[at].is_number()) return std::nullopt;
  return (*data)[at].get<double>();
}

std::optional<double> ScoreLabel(const json& outputs, size_t row, const std::string& outcome) {
  const json* labels = DataOf(outputs, "label");
  if (!labels || row >= labels->size()) return std::nullopt;
  return TextOf((*labels)[row]) == outcome ? 1.0 : 0.0;
}

std::optional<double> ScoreProbability(const ScoringFacts& facts, const json& outputs, size_t row,
                                       const std::string& outcome) {
  const auto found = std::ranges::find(facts.classes, outcome);
  if (found == facts.classes.end()) return gate::LogLossScore(0);
  const size_t column = static_cast<size_t>(found - facts.classes.begin());
  const auto probability = NumberAt(DataOf(outputs, nullptr), row * facts.classes.size() + column);
  if (!probability) return std::nullopt;
  return gate::LogLossScore(*probability);
}

std::optional<double> ScoreNumber(gate::RowScoring scoring, const json& outputs, size_t row, const std::string& outcome) {
  const auto predicted = NumberAt(DataOf(outputs, nullptr), row);
  const auto truth = NumberIn(outcome);
  if (!predicted || !truth) return std::nullopt;
  const double score = gate::ErrorScore(scoring, *predicted, *truth);
  if (!std::isfinite(score)) return std::nullopt;
  return score;
}

}  // namespace

ScoringFacts FactsOf(const std::string& metric, const json& manifest) {
  ScoringFacts facts{.metric = gate::FindLiveMetric(metric), .classes = {}};
  const json classes = manifest.is_object() ? manifest.value("classes", json()) : json();
  if (classes.is_array())
    for (const json& one : classes) facts.classes.push_back(TextOf(one));
  return facts;
}

std::optional<double> ScoreOf(const ScoringFacts& facts, const json& outputs, std::int64_t row, const std::string& outcome) {
  if (!facts.metric || row < 0) return std::nullopt;
  const size_t at = static_cast<size_t>(row);
  switch (facts.metric->scoring) {
    case gate::RowScoring::kCorrect:
      return ScoreLabel(outputs, at, outcome);
    case gate::RowScoring::kLogLoss:
      return ScoreProbability(facts, outputs, at, outcome);
    case gate::RowScoring::kAbsoluteError:
    case gate::RowScoring::kSquaredError:
      return ScoreNumber(facts.metric->scoring, outputs, at, outcome);
  }
  return std::nullopt;
}

}  // namespace ratchet::pipeline
