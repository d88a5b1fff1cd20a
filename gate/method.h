#pragma once

#include <cstdint>
#include <optional>

// How the gate computes is mended now and then, and a decision that was made must come out as it was, years later. Whatever
// changes a figure of a report gets a number here; the way before stays for as long as there are decisions by it.
namespace ratchet::gate {

enum class Method : std::int64_t {
  // A figure of classes spreads its rows about their class's mean; the interval shown is resampled alone; slices are stepped
  // down by Holm's factors.
  kFirst = 1,
  // About 0 (gate/evaluate.h, Compare); no end of the interval nearer than the test's (gate/shown_interval.h); slices weigh
  // by the chance that each test has (gate/step_down.h).
  kSecond = 2,
};
inline constexpr Method kNewestMethod = Method::kSecond;

// Nothing for a number of a later version's.
inline std::optional<Method> MethodOf(std::int64_t number) {
  if (number < 1 || number > static_cast<std::int64_t>(kNewestMethod)) return std::nullopt;
  return static_cast<Method>(number);
}

}  // namespace ratchet::gate
