#include "gate/auto_slices.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

namespace ratchet::gate {
namespace {

constexpr int kBins = 16;
// A split must explain this many times the variance of a row: a t of 3, so that few splits follow noise.
constexpr double kLeastImprovement = 9;
using Rows = std::vector<std::uint32_t>;

// The values that part the numbers of these rows into `parts` of about equal size; ascending, all different.
std::vector<double> Quantiles(std::span<const double> numbers, const Rows& rows, int parts) {
  std::vector<double> sorted, cuts;
  for (std::uint32_t row : rows)
    if (!std::isnan(numbers[row])) sorted.push_back(numbers[row]);
  std::ranges::sort(sorted);
  if (sorted.empty()) return cuts;
  for (int part = 1; part < parts; ++part) {
    double cut = sorted[(sorted.size() - 1) * static_cast<size_t>(part) / static_cast<size_t>(parts)];
    if (cut < sorted.back() && (cuts.empty() || cut > cuts.back())) cuts.push_back(cut);
  }
  return cuts;
}

// The bin of each row: codes as they are; for numbers the count of cuts below, and one more for missing.
struct Binned {
  std::vector<double> cuts;
  std::vector<std::string> categories;  // empty: numbers
  std::span<const std::uint32_t> code;
  std::span<const double> number;
  std::string name;
  size_t bins = 0;

  bool IsNumber() const { return !number.empty(); }
  size_t BinOf(std::uint32_t row) const {
    if (!IsNumber()) return code[row];
    double x = number[row];
    if (std::isnan(x)) return cuts.size() + 1;
    return static_cast<size_t>(std::ranges::lower_bound(cuts, x) - cuts.begin());
  }
};

Binned Bin(const Feature& feature, const Rows& rows, int parts) {
  Binned binned{.code = feature.code, .number = feature.number, .name = feature.name};
  if (binned.IsNumber()) {
    binned.cuts = Quantiles(feature.number, rows, parts);
    binned.bins = binned.cuts.size() + 2;
  } else {
    binned.categories = feature.categories;
    binned.bins = feature.categories.size();
  }
  return binned;
}

std::string RangeName(const Binned& binned, size_t bin) {
  const auto& cuts = binned.cuts;
  if (bin == cuts.size() + 1) return binned.name + " is missing";
  if (cuts.empty()) return binned.name + " is there";
  if (bin == 0) return fmt::format("{} <= {:.6g}", binned.name, cuts.front());
  if (bin == cuts.size()) return fmt::format("{} > {:.6g}", binned.name, cuts.back());
  return fmt::format("{:.6g} < {} <= {:.6g}", cuts[bin - 1], binned.name, cuts[bin]);
}

Rows AllRows(size_t count) {
  Rows rows(count);
  std::iota(rows.begin(), rows.end(), 0U);
  return rows;
}

// One test on the way to a segment.
struct Split {
  const Binned* feature = nullptr;
  size_t bin = 0;
  bool upto = false;    // bin ≤ this one; otherwise bin = this one
  bool inside = false;  // the side taken

  bool Takes(std::uint32_t row) const {
    size_t at = feature->BinOf(row);
    return (upto ? at <= bin : at == bin) == inside;
  }
  std::string Name() const {
    if (!feature->IsNumber())
      return fmt::format("{} {} {}", feature->name, inside ? "=" : "is not", feature->categories[bin]);
    if (!upto) return feature->name + (inside ? " is missing" : " is there");
    return fmt::format("{} {} {:.6g}", feature->name, inside ? "<=" : ">", feature->cuts[bin]);
  }
};

struct Tally {
  double weight = 0, sum = 0, squares = 0;
  std::int64_t rows = 0;
  void Add(const Tally& other) {
    weight += other.weight;
    sum += other.sum;
    squares += other.squares;
    rows += other.rows;
  }
  Tally Less(const Tally& other) const {
    return {weight - other.weight, sum - other.sum, squares - other.squares, rows - other.rows};
  }
  double Fit() const { return weight > 0 ? sum * sum / weight : 0; }  // squares that the mean explains
};

class Grower {
 public:
  Grower(std::span<const double> gain, std::span<const double> weight, std::span<const Binned> features,
         const SegmentOptions& options)
      : gain_(gain), weight_(weight), features_(features), options_(options) {}

  // Leaves as the splits that lead to them, with the mean gain of the rows they were grown on.
  struct Leaf {
    std::vector<Split> path;
    double mean = 0;
  };
  std::vector<Leaf> Grow(const Rows& rows) {
    GrowFrom(rows, {});
    return std::move(leaves_);
  }

 private:
  void GrowFrom(const Rows& rows, std::vector<Split> path) {
    std::optional<Split> split;
    if (static_cast<int>(path.size()) < options_.depth) split = BestSplit(rows);
    if (!split) {
      Tally all = TallyOf(rows);
      leaves_.push_back({std::move(path), all.weight > 0 ? all.sum / all.weight : 0});
      return;
    }
    for (bool inside : {true, false}) {
      split->inside = inside;
      Rows side;
      std::ranges::copy_if(rows, std::back_inserter(side), [&](std::uint32_t row) { return split->Takes(row); });
      std::vector<Split> further = path;
      further.push_back(*split);
      GrowFrom(side, std::move(further));
    }
  }

  Tally TallyOf(const Rows& rows) const {
    Tally all;
    for (std::uint32_t row : rows) all.Add(One(row));
    return all;
  }

  Tally One(std::uint32_t row) const {
    double weight = weight_.empty() ? 1 : weight_[row];
    return {weight, weight * gain_[row], weight * gain_[row] * gain_[row], 1};
  }

  std::optional<Split> BestSplit(const Rows& rows) const {
    Tally all = TallyOf(rows);
    std::optional<Split> best;
    double most = all.Fit() + 1e-12 * all.squares;  // rounding is no improvement
    auto offer = [&](const Binned& feature, size_t bin, bool upto, const Tally& inside) {
      Tally outside = all.Less(inside);
      double fit = inside.Fit() + outside.Fit();
      if (inside.rows < options_.min_rows || outside.rows < options_.min_rows || fit <= most) return;
      most = fit;
      best = Split{.feature = &feature, .bin = bin, .upto = upto};
    };
    for (const Binned& feature : features_) OfferSplits(feature, rows, offer);
    double variance = all.weight > 0 ? (all.squares - most) / static_cast<double>(all.rows) : 0;
    if (most - all.Fit() < kLeastImprovement * variance) return std::nullopt;
    return best;
  }

  void OfferSplits(const Binned& feature, const Rows& rows, const auto& offer) const {
    std::vector<Tally> tallies(feature.bins);
    for (std::uint32_t row : rows) tallies[feature.BinOf(row)].Add(One(row));
    if (feature.IsNumber()) {
      Tally below;
      for (size_t bin = 0; bin < feature.cuts.size(); ++bin) {
        below.Add(tallies[bin]);
        offer(feature, bin, true, below);
      }
      offer(feature, feature.bins - 1, false, tallies.back());
      return;
    }
    std::vector<size_t> order(feature.bins);
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, std::greater(), [&](size_t bin) { return tallies[bin].rows; });
    order.resize(std::min(order.size(), kMostCategories));
    for (size_t bin : order) offer(feature, bin, false, tallies[bin]);
  }

  std::span<const double> gain_, weight_;
  std::span<const Binned> features_;
  const SegmentOptions& options_;
  std::vector<Leaf> leaves_;
};

// SplitMix64 (Steele, Lea and Flood 2014): one good bit for each key.
bool InGrowingHalf(std::uint64_t key, std::uint64_t seed) {
  std::uint64_t z = key * 0x9e3779b97f4a7c15U + seed * 0xd1342543de82ef95U + 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return ((z ^ (z >> 31)) >> 63) != 0;
}

std::uint64_t KeyOf(const Sampling& sampling, std::uint32_t row) {
  if (!sampling.group.empty()) return sampling.group[row];
  return sampling.time.empty() ? row : static_cast<std::uint64_t>(sampling.time[row]);
}

std::string PathName(const std::vector<Split>& path) {
  std::string name;
  for (const Split& split : path) name += (name.empty() ? "" : " and ") + split.Name();
  return name;
}

}  // namespace

std::vector<RowSlice> CommonSlices(const Feature& feature) {
  size_t count = feature.number.empty() ? feature.code.size() : feature.number.size();
  Binned binned = Bin(feature, AllRows(count), 4);
  std::vector<Rows> rows(binned.bins);
  for (std::uint32_t row = 0; row < count; ++row) rows[binned.BinOf(row)].push_back(row);
  std::vector<size_t> order(binned.bins);
  std::iota(order.begin(), order.end(), size_t{0});
  if (!binned.IsNumber()) std::ranges::stable_sort(order, std::greater(), [&](size_t bin) { return rows[bin].size(); });
  std::vector<RowSlice> slices;
  Rows rest;
  for (size_t i = 0; i < order.size(); ++i) {
    Rows& of_bin = rows[order[i]];
    if (of_bin.empty()) continue;
    if (!binned.IsNumber() && i >= kMostCategories) {
      rest.insert(rest.end(), of_bin.begin(), of_bin.end());
      continue;
    }
    std::string name = binned.IsNumber() ? RangeName(binned, order[i])
                                         : feature.name + " = " + binned.categories[order[i]];
    slices.push_back({std::move(name), std::move(of_bin)});
  }
  std::ranges::sort(rest);
  if (!rest.empty()) slices.push_back({feature.name + " = any other", std::move(rest)});
  return slices;
}

std::vector<RowSlice> WorstSegments(std::span<const double> gain, const Sampling& sampling,
                                    std::span<const Feature> features, const SegmentOptions& options) {
  Rows growing, estimating;
  for (std::uint32_t row = 0; row < gain.size(); ++row)
    (InGrowingHalf(KeyOf(sampling, row), options.seed) ? growing : estimating).push_back(row);
  std::vector<Binned> binned;
  for (const Feature& feature : features) binned.push_back(Bin(feature, growing, kBins));
  auto leaves = Grower(gain, sampling.weight, binned, options).Grow(growing);
  std::ranges::stable_sort(leaves, {}, [](const Grower::Leaf& leaf) { return leaf.mean; });
  std::vector<RowSlice> segments;
  for (const Grower::Leaf& leaf : leaves) {
    if (leaf.mean >= 0 || leaf.path.empty() || segments.size() >= options.most) break;
    Rows rows;
    std::ranges::copy_if(estimating, std::back_inserter(rows), [&](std::uint32_t row) {
      return std::ranges::all_of(leaf.path, [&](const Split& split) { return split.Takes(row); });
    });
    if (static_cast<std::int64_t>(rows.size()) >= options.min_rows)
      segments.push_back({PathName(leaf.path), std::move(rows)});
  }
  return segments;
}

}  // namespace ratchet::gate
