#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// From rows to independent observations.
namespace ratchet::gate {

// Weights above 0 lie between these, and the greatest is at most so many times the least: beyond that the sums that
// everything rests on would lose the rows that weigh little, or run over.
inline constexpr double kLeastWeight = 1e-100, kMostWeight = 1e100, kMostWeightRatio = 1e12;

// What is wrong with the size of these weights, in words; empty where nothing is. None is below 0 or not finite.
std::string FaultOfWeights(std::span<const double> weight);

// How the rows of a comparison came about; each span is empty or has one value a row, in the order of the gains, and
// outlives the call.
struct Sampling {
  // Rows of one group (user, session, clip, series) are not independent: their sum is one observation. Any codes;
  // only equality counts.
  std::span<const std::uint64_t> group;
  // ≥ 0, not all 0, and of the sizes above. The gain is the weighted mean; rows of weight 0 count for nothing. The figures of a
  // comparison are as its maker weighted them.
  std::span<const double> weight;
  // For forecasts: when each row's target lies; rows of one time are one observation, and times that follow each other
  // may be correlated. Not together with `group`.
  std::span<const std::int64_t> time;
  int horizon = 1;  // steps ahead of a forecast, ≥ 1; errors overlap over horizon − 1 steps
};

// One independent observation.
struct Unit {
  double weight = 0;  // of its rows together, > 0
  double sum = 0;     // of weight · gain over its rows
  bool operator==(const Unit&) const = default;
  bool operator<(const Unit& other) const { return sum != other.sum ? sum < other.sum : weight < other.weight; }
};

// The observations and what they are.
struct Units {
  std::vector<Unit> units;  // by time where there is one, sorted otherwise: the order of the rows does not matter
  std::int64_t rows = 0;    // of weight above 0
  bool plain = false;       // one row each, all weights equal (and then 1): Student's t and McNemar hold
  bool timed = false;
};

// kInvalid, in words for people: no rows, a gain, weight or horizon that is not allowed, another number of groups,
// weights or times than of gains, all weights 0, group and time together.
Result<Units> SumUnits(std::span<const double> gain, const Sampling& sampling);

// Σ sum / Σ weight.
double WeightedMean(std::span<const Unit> units);

}  // namespace ratchet::gate
