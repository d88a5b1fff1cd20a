#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gate/sampling.h"

// Slices nobody asked for: to be shown, not to block. Judge them with JudgeSlices and leave `any_worse` aside.
namespace ratchet::gate {

// One column of the rows. Either codes into `categories` or numbers; what is not a number (NaN) is "missing". The spans
// have one value a row and outlive the call; codes are below categories.size().
struct Feature {
  std::string name;
  std::vector<std::string> categories;
  std::span<const std::uint32_t> code;
  std::span<const double> number;
};

struct RowSlice {
  std::string name;                 // "region = north"; "2.5 < price <= 7"; "price is missing"
  std::vector<std::uint32_t> rows;  // ascending
};

inline constexpr size_t kMostCategories = 50;  // a column's rarer ones are not sliced, nor split on

// Each category of a column of codes, those of most rows first, and the rows of all beyond kMostCategories as one; the
// four quartiles of a column of numbers (fewer where values repeat), and its missing values. Categories without rows
// are left out.
std::vector<RowSlice> CommonSlices(const Feature& feature);

struct SegmentOptions {
  int depth = 3;                // splits on the way to a segment, 1 to 8
  std::int64_t min_rows = 100;  // of a segment, in either half of the rows; ≥ 1
  size_t most = 3;              // segments to answer
  std::uint64_t seed = 1;
};

// Where the candidate does worst: the leaves of lowest mean gain, below 0, of a regression tree on the per-row gain
// (Breiman et al. 1984), worst first. The tree is grown on one half of the observations, drawn by `seed` (groups and times
// whole), and the rows answered are those of the other half: so their gains are no worse than they look for having been
// searched, and their intervals and p-values hold (Athey and Imbens 2016, PNAS 113:7353–7360). Numbers are split at 15
// quantiles; a split that explains less than a t of 3 would is not made.
std::vector<RowSlice> WorstSegments(std::span<const double> gain, const Sampling& sampling,
                                    std::span<const Feature> features, const SegmentOptions& options);

}  // namespace ratchet::gate
