#include "worker/skew.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ratchet::worker {
namespace {

constexpr size_t kMostShown = 5;

std::string Shown(double value) { return fmt::format("{:.9g}", value); }

std::string Shown(std::span<const double> values) {
  std::string text;
  for (size_t i = 0; i < std::min(values.size(), kMostShown); ++i) text += (i > 0 ? ", " : "") + Shown(values[i]);
  return "[" + text + (values.size() > kMostShown ? ", …]" : "]");
}

std::string Shown(const lake::Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? "\"" + text->substr(0, 80) + "\"" : "nothing";
}

// Whether the value is among the largest, ties to within the tolerance included.
bool IsLikeliest(std::span<const double> values, size_t at, double tolerance) {
  return at < values.size() && !(std::ranges::max(values) - values[at] > tolerance);
}

bool AreFinite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

}  // namespace

double Apart(double a, double b) {
  if (!std::isfinite(a) && !std::isfinite(b)) return 0;
  if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
  return std::abs(a - b) / std::max(1.0, std::abs(a));
}

std::optional<std::string> ClassSkew(const Answers& scored, size_t at, std::span<const double> alone,
                                     const ClassMap& map, std::int32_t target) {
  Answers own;
  AddClassAnswers(alone, map, std::span(&target, 1), own);
  double apart = 0;
  for (const auto column : {&Answers::target_probability, &Answers::predicted_probability, &Answers::square_sum})
    apart = std::max(apart, Apart((scored.*column)[at], (own.*column)[0]));
  if (!own.positive_probability.empty())
    apart = std::max(apart, Apart(scored.positive_probability[at], own.positive_probability[0]));
  bool same_class = scored.predicted[at] == own.predicted[0];
  if (!same_class && AreFinite(alone)) {
    const std::int32_t index = map.own[static_cast<size_t>(scored.predicted[at])];
    same_class = index >= 0 && IsLikeliest(alone, static_cast<size_t>(index), 2 * kBatchTolerance);
  }
  if (same_class && apart <= kBatchTolerance) return std::nullopt;
  return fmt::format("among other rows the likeliest class had the probability {} and the true one {}, alone {} and {}",
                     Shown(scored.predicted_probability[at]), Shown(scored.target_probability[at]),
                     Shown(own.predicted_probability[0]), Shown(own.target_probability[0]));
}

std::optional<std::string> NumberSkew(const Answers& scored, size_t at, std::span<const double> alone) {
  const double among = scored.prediction[at].value_or(std::nan(""));
  if (alone.size() == 1 && Apart(among, alone[0]) <= kBatchTolerance) return std::nullopt;
  return fmt::format("among other rows it is {}, alone {}", Shown(among), Shown(alone));
}

std::optional<std::string> ServedSkew(const registry::Signature& signature, std::span<const double> alone,
                                      const ServedRow& served, double& largest) {
  const auto differ = [&] { return fmt::format("the test scored {}, served it is {}", Shown(alone), Shown(served.values)); };
  if (served.values.size() != alone.size()) return differ();
  for (size_t i = 0; i < alone.size(); ++i) {
    const double apart = Apart(alone[i], served.values[i]);
    largest = std::max(largest, apart);
    if (apart > kServedTolerance) return differ();
  }
  if (!served.label || !AreFinite(alone)) return std::nullopt;
  const auto classes = ClassValues(signature.classes);
  const auto named = static_cast<size_t>(std::ranges::find(classes, *served.label) - classes.begin());
  if (IsLikeliest(alone, named, kServedTolerance)) return std::nullopt;
  const auto likeliest = static_cast<size_t>(std::ranges::max_element(alone) - alone.begin());
  return fmt::format("the test scored class {}, served it is {} ({})", Shown(classes.at(likeliest)), Shown(*served.label),
                     Shown(served.values));
}

}  // namespace ratchet::worker
