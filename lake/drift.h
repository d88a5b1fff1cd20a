#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/summary.h"

namespace ratchet::lake {

inline constexpr int kPsiBins = 10;                         // quantile bins of a column of numbers
inline constexpr std::size_t kMostValuesAsCategories = 50;  // integers with no more values than that are categories
inline constexpr std::int64_t kLeastRowsOfIdentifier = 50;  // fewer rows never make a text column an identifier's
inline constexpr std::size_t kCategoriesTold = 20;          // new and vanished ones, each
inline constexpr double kPsiNoiseConfidence = 0.99;

// How a column was compared.
enum class DriftKind {
  kNumeric,  // quantile bins of the reference; where it has at most kPsiBins values, one bin a value and one for others
  kCategorical,  // a bin for each of the reference's kMostValuesAsCategories most frequent values, one for all others
  kIdentifier,   // text of which more than half the rows have a value of their own: not compared
  kEmpty,        // one of the two has no rows: not compared
};
std::string_view DriftKindName(DriftKind kind);  // "numeric", …

// How far a column moved from the reference.
//
// psi: population stability index, the sum over bins of (q − p) ln(q / p), p and q being the shares of the reference
// and of the present rows (Siddiqi, "Credit Risk Scorecards", Wiley 2006; as a divergence: Jeffreys 1946). Missing
// values are a bin of their own where either side has one. Shares are (rows + ½) / (all rows + ½ bins), so that an
// empty bin counts as half a row and the index stays finite. Customary reading: below 0.1 stable, above 0.25 moved.
// psi_noise: what chance alone exceeds once in a hundred times: the 99th percentile of (1/n + 1/m) χ² with bins − 1
// degrees of freedom (Yurdakul & Naranjo, "Statistical properties of the population stability index", J. Risk Model
// Validation 2020), the quantile by Wilson & Hilferty (1931). ks, ks_p: the largest distance of the two samples'
// distribution functions (Smirnov 1939) and its p-value: exact by counting lattice paths (Hodges 1958) where the sizes'
// product is at most kKsExactProduct, else the limiting law with Stephens' correction (1970). With ties, as with
// integers, p errs to the safe side. Numbers only.
struct ColumnDrift {
  std::string column;
  DriftKind kind = DriftKind::kEmpty;
  double psi = 0, psi_noise = 0;
  std::optional<double> ks, ks_p;
  double missing_before = 0, missing_now = 0;  // shares
  // Of categories: values that only one of the two has; at most kCategoriesTold, the most frequent first.
  std::vector<std::string> new_categories, vanished_categories;
  bool operator==(const ColumnDrift&) const = default;
};

struct Drift {
  std::vector<ColumnDrift> columns;             // those that both have with the same type, in the reference's order
  std::vector<std::string> schema_differences;  // sentences: a column is gone, is new, has another type or shape
  // Index of the column with the largest psi among those that exceed their noise; -1: none does.
  int worst = -1;
};

// Compares all columns, or those named. Pure. A named column that neither has is a schema difference.
Drift CompareSummaries(const Summary& reference, const Summary& now, const std::vector<std::string>& columns = {});

// {"worst":"price"|null,"schema_differences":[…],"columns":[{"column","kind","psi","psi_noise","ks","ks_p","missing_before",
// "missing_now","new_categories","vanished_categories"}]}; ks and ks_p are null where they are not there.
std::string DriftToJson(const Drift& drift);
// The array under "columns".
std::string ColumnDriftsToJson(std::span<const ColumnDrift> drifts);

// The formulas, for themselves.
// Σ (q − p) ln(q / p) of two lists of counts of the same length, smoothed as above. 0 where either is all zero.
double PopulationStability(std::span<const double> before, std::span<const double> now);
double PsiNoise(int bins, double before, double now);

inline constexpr std::int64_t kKsExactProduct = 1'000'000;
// Of two sorted samples. 0 where either is empty.
double KsStatistic(std::span<const double> a, std::span<const double> b);
// The chance of a distance of at least `d` between samples of n and m of one continuous distribution.
double KsPValue(double d, std::int64_t n, std::int64_t m);

}  // namespace ratchet::lake
