#include "gate/sampling.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

namespace ratchet::gate {
namespace {

std::unexpected<Error> Refuse(std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "decide", "between candidate and opponent", std::move(cause), std::move(hint));
}

Status CheckLength(size_t found, size_t rows, std::string_view what) {
  if (found == 0 || found == rows) return {};
  return Refuse(fmt::format("there are {} {} for {} rows", found, what, rows), "Each row needs one");
}

Status CheckNumbers(std::span<const double> values, std::string_view what, bool may_be_negative) {
  auto bad = std::ranges::find_if(
      values, [&](double value) { return !std::isfinite(value) || (!may_be_negative && value < 0); });
  if (bad == values.end()) return {};
  return Refuse(fmt::format("row {} has {} as its {}", bad - values.begin() + 1, *bad, what));
}

Status CheckRows(std::span<const double> gain, const Sampling& sampling) {
  if (gain.empty()) return Refuse("there are no rows", "Push rows that fall into the holdout");
  RATCHET_TRY(CheckLength(sampling.group.size(), gain.size(), "groups"));
  RATCHET_TRY(CheckLength(sampling.weight.size(), gain.size(), "weights"));
  RATCHET_TRY(CheckLength(sampling.time.size(), gain.size(), "times"));
  RATCHET_TRY(CheckNumbers(gain, "gain", true));
  RATCHET_TRY(CheckNumbers(sampling.weight, "weight", false));
  if (!sampling.group.empty() && !sampling.time.empty())
    return Refuse("rows have both a group and a time", "Group by one of them");
  if (sampling.horizon < 1) return Refuse(fmt::format("the horizon is {}, not at least 1", sampling.horizon));
  if (!sampling.weight.empty() && std::ranges::none_of(sampling.weight, [](double w) { return w > 0; }))
    return Refuse("all weights are 0");
  if (std::string fault = FaultOfWeights(sampling.weight); !fault.empty()) return Refuse(std::move(fault));
  return {};
}

bool AllEqual(std::span<const double> values) {
  return std::ranges::all_of(values, [&](double value) { return value == values.front(); });
}

// One observation a row, without groups or times; sorted.
std::vector<Unit> RowUnits(std::span<const double> gain, std::span<const double> weight) {
  std::vector<Unit> units;
  units.reserve(gain.size());
  if (weight.empty()) {  // plain numbers sort faster
    std::vector<double> sorted(gain.begin(), gain.end());
    std::ranges::sort(sorted);
    for (double g : sorted) units.push_back({1, g});
    return units;
  }
  for (size_t i = 0; i < gain.size(); ++i)
    if (weight[i] > 0) units.push_back({weight[i], weight[i] * gain[i]});
  std::sort(units.begin(), units.end());
  return units;
}

// Rows of weight above 0, those of one key next to each other, by the first appearance of the key.
template <typename Key>
struct Gathered {
  std::vector<Key> keys;
  std::vector<size_t> ends;  // of each key's rows
  std::vector<Unit> rows;
};

template <typename Key>
Gathered<Key> Gather(std::span<const Key> key, std::span<const double> gain, std::span<const double> weight) {
  Gathered<Key> gathered;
  std::unordered_map<Key, std::uint32_t> slots;
  std::vector<std::uint32_t> slot_of(gain.size());
  std::vector<size_t> next;  // place of the next row of each key
  auto weight_of = [&](size_t i) { return weight.empty() ? 1 : weight[i]; };
  for (size_t i = 0; i < gain.size(); ++i) {
    if (weight_of(i) == 0) continue;
    auto [slot, is_new] = slots.try_emplace(key[i], static_cast<std::uint32_t>(gathered.keys.size()));
    slot_of[i] = slot->second;
    if (is_new) {
      gathered.keys.push_back(key[i]);
      next.push_back(0);
    }
    ++next[slot_of[i]];
  }
  std::exclusive_scan(next.begin(), next.end(), next.begin(), size_t{0});
  gathered.rows.resize(gain.size());
  for (size_t i = 0; i < gain.size(); ++i)
    if (double w = weight_of(i); w > 0) gathered.rows[next[slot_of[i]]++] = {w, w * gain[i]};
  gathered.ends = std::move(next);
  return gathered;
}

// By the order of the keys. Each key's rows are summed in sorted order, so that sums do not depend on the order of the
// rows.
template <typename Key>
std::vector<Unit> KeyUnits(std::span<const Key> key, std::span<const double> gain, std::span<const double> weight) {
  Gathered<Key> gathered = Gather(key, gain, weight);
  std::vector<std::pair<Key, Unit>> keyed;
  size_t first = 0;
  for (size_t slot = 0; slot < gathered.keys.size(); ++slot) {
    std::span<Unit> rows(gathered.rows.begin() + first, gathered.rows.begin() + gathered.ends[slot]);
    std::sort(rows.begin(), rows.end());
    long double w = 0, sum = 0;
    for (const Unit& row : rows) {
      w += row.weight;
      sum += row.sum;
    }
    keyed.push_back({gathered.keys[slot], {static_cast<double>(w), static_cast<double>(sum)}});
    first = gathered.ends[slot];
  }
  std::ranges::sort(keyed, {}, &std::pair<Key, Unit>::first);
  std::vector<Unit> units;
  for (const auto& [_, unit] : keyed) units.push_back(unit);
  return units;
}

std::int64_t CountRows(std::span<const double> gain, std::span<const double> weight) {
  if (weight.empty()) return static_cast<std::int64_t>(gain.size());
  return std::ranges::count_if(weight, [](double w) { return w > 0; });
}

}  // namespace

std::string FaultOfWeights(std::span<const double> weight) {
  size_t least = weight.size(), most = weight.size();
  for (size_t i = 0; i < weight.size(); ++i) {
    if (weight[i] == 0) continue;
    if (weight[i] < kLeastWeight || weight[i] > kMostWeight)
      return fmt::format("row {} has {:g} as its weight, which is not from {:g} to {:g}", i + 1, weight[i], kLeastWeight,
                         kMostWeight);
    if (least == weight.size() || weight[i] < weight[least]) least = i;
    if (most == weight.size() || weight[i] > weight[most]) most = i;
  }
  if (least == weight.size() || weight[most] / weight[least] <= kMostWeightRatio) return {};
  return fmt::format("row {} weighs {:g} and row {} {:g}, more than {:g} times as much", least + 1, weight[least], most + 1,
                     weight[most], kMostWeightRatio);
}

Result<Units> SumUnits(std::span<const double> gain, const Sampling& sampling) {
  RATCHET_TRY(CheckRows(gain, sampling));
  // Equal weights are none.
  std::span<const double> weight = AllEqual(sampling.weight) ? std::span<const double>() : sampling.weight;
  Units result{.rows = CountRows(gain, weight), .timed = !sampling.time.empty()};
  if (result.timed) {
    result.units = KeyUnits(sampling.time, gain, weight);
  } else if (!sampling.group.empty()) {
    result.units = KeyUnits(sampling.group, gain, weight);
    std::sort(result.units.begin(), result.units.end());
  } else {
    result.units = RowUnits(gain, weight);
  }
  bool single = static_cast<std::int64_t>(result.units.size()) == result.rows;
  result.plain = weight.empty() && single && !result.timed;
  double mean = WeightedMean(result.units);
  if (!std::isfinite(mean)) return Refuse("the scores are too large for their mean to be a number");
  return result;
}

double WeightedMean(std::span<const Unit> units) {
  long double weight = 0, sum = 0;
  for (const Unit& unit : units) {
    weight += unit.weight;
    sum += unit.sum;
  }
  return static_cast<double>(sum / weight);
}

}  // namespace ratchet::gate
