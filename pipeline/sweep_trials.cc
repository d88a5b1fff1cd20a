#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "pipeline/sweep.h"

namespace ratchet::pipeline {
namespace {

using nlohmann::json;
using Kind = SearchSpace::Kind;

// Draws until the wanted number of distinct trials is there; so many at most for each, for a space may have no more.
constexpr int kDrawsPerTrial = 64;
constexpr int kLeastDraws = 1024;

class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

// 0 ≤ share < 1, a multiple of 2^-53.
double Share(std::uint64_t drawn) { return static_cast<double>(drawn >> 11) * 0x1p-53; }

// 0 ≤ n < count.
std::uint64_t Below(std::uint64_t drawn, std::uint64_t count) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(drawn) * count >> 64);
}

double Rounded(double value) {
  std::string text = fmt::format("{:.8e}", value);
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

double Between(double low, double high, double share) { return low + share * (high - low); }

bool IsWhole(const SearchSpace& space) { return space.kind == Kind::kInt || space.kind == Kind::kLogInt; }

json WithType(const SearchSpace& space, double value) {
  value = std::clamp(value, space.low, space.high);
  return IsWhole(space) ? json(static_cast<std::int64_t>(value)) : json(value);
}

json PointAt(const SearchSpace& space, int index, int points) {
  if (index == 0) return WithType(space, space.low);
  if (index == points - 1) return WithType(space, space.high);
  double share = static_cast<double>(index) / (points - 1);
  bool log = space.kind == Kind::kLog || space.kind == Kind::kLogInt;
  double value =
      log ? std::exp(Between(std::log(space.low), std::log(space.high), share)) : Between(space.low, space.high, share);
  return WithType(space, IsWhole(space) ? std::round(value) : Rounded(value));
}

json Draw(const SearchSpace& space, std::uint64_t drawn) {
  if (auto values = FiniteValues(space)) return (*values)[Below(drawn, values->size())];
  switch (space.kind) {
    case Kind::kList:
      break;  // has finite values
    case Kind::kUniform:
      return WithType(space, Rounded(Between(space.low, space.high, Share(drawn))));
    case Kind::kLog:
      return WithType(space, Rounded(std::exp(Between(std::log(space.low), std::log(space.high), Share(drawn)))));
    case Kind::kInt:
      return static_cast<std::int64_t>(space.low) +
             static_cast<std::int64_t>(Below(drawn, static_cast<std::uint64_t>(space.high - space.low) + 1));
    case Kind::kLogInt:  // each whole number n stands for the stretch from n to n + 1
      return WithType(space,
                      std::floor(std::exp(Between(std::log(space.low), std::log(space.high + 1), Share(drawn)))));
  }
  return nullptr;
}

std::vector<json> GridTrials(const Sweep& sweep) {
  std::vector<json> trials = {json::object()};
  for (const auto& [name, space] : sweep.params) {
    auto values = FiniteValues(space);
    if (!values) return {};  // ReadSweep lets no such grid through
    std::vector<json> longer;
    for (const json& trial : trials) {
      for (const json& value : *values) {
        if (longer.size() == kMaxTrials) break;
        longer.push_back(trial);
        longer.back()[name] = value;
      }
    }
    trials = std::move(longer);
  }
  return trials;
}

std::vector<json> RandomTrials(const Sweep& sweep, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<json> trials;
  std::set<std::string> seen;
  const size_t wanted = static_cast<size_t>(std::clamp(sweep.trials, 0, kMaxTrials));
  const int draws = std::max(kLeastDraws, kDrawsPerTrial * sweep.trials);
  for (int i = 0; i < draws && trials.size() < wanted; ++i) {
    json trial = json::object();
    for (const auto& [name, space] : sweep.params) trial[name] = Draw(space, random.Next());
    if (seen.insert(trial.dump()).second) trials.push_back(std::move(trial));
  }
  return trials;
}

}  // namespace

std::optional<std::vector<json>> FiniteValues(const SearchSpace& space) {
  if (space.kind == Kind::kList) return space.list;
  if (!space.points) return std::nullopt;
  std::vector<json> values;
  for (int i = 0; i < *space.points; ++i) {
    json value = PointAt(space, i, *space.points);
    if (values.empty() || values.back() != value) values.push_back(std::move(value));
  }
  return values;
}

std::vector<json> Trials(const Sweep& sweep, std::uint64_t seed) {
  if (sweep.search == Sweep::Search::kGrid) return GridTrials(sweep);
  return RandomTrials(sweep, sweep.seed.value_or(seed));
}

}  // namespace ratchet::pipeline
