#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "registry/bundle_manifest.h"
#include "worker/infer_rows.h"
#include "worker/scoring.h"

// Whether one model says the same of one row in three places: among others in the test's batches, alone in the same
// process, and alone over HTTP. Pure; what is returned says in words how two of them differ.
namespace ratchet::worker {

// Alone and served, the same sums are made in the same order.
inline constexpr double kServedTolerance = 1e-6;
// Among others and alone, FP32 sums are made in another order, and the rounding of a deep network adds up.
inline constexpr double kBatchTolerance = 1e-4;

// |a − b|, of numbers beyond 1 as a share of a; 0 where neither is finite, infinite where one of them is.
double Apart(double a, double b);

// `scored` holds the test's answers and `at` is the row's place among them; `alone` are the values of output 0 for the
// row by itself, `target` the row's class. Where two classes are as likely as each other to within the tolerance,
// either may come first.
std::optional<std::string> ClassSkew(const Answers& scored, size_t at, std::span<const double> alone,
                                     const ClassMap& map, std::int32_t target);
std::optional<std::string> NumberSkew(const Answers& scored, size_t at, std::span<const double> alone);

// Output 0 value by value, and the label that the server derives. `largest` grows to the largest distance seen.
std::optional<std::string> ServedSkew(const registry::Signature& signature, std::span<const double> alone,
                                      const ServedRow& served, double& largest);

}  // namespace ratchet::worker
