#include "gate/sampling.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

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
  return {};
}

bool AllEqual(std::span<const double> values) {
  return std::ranges::all_of(values, [&](double value) { return value == values.front(); });
}

// One observation a row, without groups or times.
std::vector<Unit> RowUnits(std::span<const double> gain, std::span<const double> weight) {
  std::vector<Unit> units;
  units.reserve(gain.size());
  for (size_t i = 0; i < gain.size(); ++i) {
    double w = weight.empty() ? 1 : weight[i];
    if (w > 0) units.push_back({w, w * gain[i]});
  }
  return units;
}

template <typename Key>
struct KeyedRow {
  Key key;
  Unit unit;
  auto operator<=>(const KeyedRow&) const = default;
};

// Summed in sorted order, so that sums do not depend on the order of the rows; in the order of the keys.
template <typename Key>
std::vector<Unit> KeyUnits(std::span<const Key> key, std::span<const double> gain, std::span<const double> weight) {
  std::vector<KeyedRow<Key>> rows;
  rows.reserve(gain.size());
  for (size_t i = 0; i < gain.size(); ++i) {
    double w = weight.empty() ? 1 : weight[i];
    if (w > 0) rows.push_back({key[i], {w, w * gain[i]}});
  }
  std::ranges::sort(rows);
  std::vector<Unit> units;
  for (size_t at = 0; at < rows.size();) {
    long double w = 0, sum = 0;
    size_t first = at;
    for (; at < rows.size() && rows[at].key == rows[first].key; ++at) {
      w += rows[at].unit.weight;
      sum += rows[at].unit.sum;
    }
    units.push_back({static_cast<double>(w), static_cast<double>(sum)});
  }
  return units;
}

std::int64_t CountRows(std::span<const double> gain, std::span<const double> weight) {
  if (weight.empty()) return static_cast<std::int64_t>(gain.size());
  return std::ranges::count_if(weight, [](double w) { return w > 0; });
}

}  // namespace

Result<Units> SumUnits(std::span<const double> gain, const Sampling& sampling) {
  RATCHET_TRY(CheckRows(gain, sampling));
  // Equal weights are none.
  std::span<const double> weight = AllEqual(sampling.weight) ? std::span<const double>() : sampling.weight;
  Units result{.rows = CountRows(gain, weight), .timed = !sampling.time.empty()};
  if (result.timed) {
    result.units = KeyUnits(sampling.time, gain, weight);
  } else if (!sampling.group.empty()) {
    result.units = KeyUnits(sampling.group, gain, weight);
    std::ranges::sort(result.units);
  } else {
    result.units = RowUnits(gain, weight);
    std::ranges::sort(result.units);
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
