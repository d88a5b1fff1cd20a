#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pipeline/spec_reader.h"
#include "pipeline/yaml_tree.h"

// train.sweep: which values of the recipe's parameters to try, and the trials that follow from it.
//
//   learning_rate: {log: [1e-4, 1e-2]}       # evenly in the logarithm
//   dropout: {uniform: [0, 0.5]}             # evenly
//   width: {int: [16, 256]}                  # whole numbers, evenly
//   layers: {log_int: [1, 64]}               # whole numbers, in the logarithm
//   epochs: [3, 5, 8]                        # one of these
//   decay: {log: [1e-6, 1e-2], points: 5}    # one of so many, evenly spaced
//   trials: 8
//   parallel: 2
//   search: grid|random
//   prune: asha|none
//   seed: 1
//
// Every other key than the last five names a parameter. `search` is grid where each parameter is a list or has `points`
// and no `trials` are given, else random. A grid's trials are all combinations; `trials` may be left out there, or must
// say how many these are.
namespace ratchet::pipeline {

inline constexpr int kMaxTrials = 256;
inline constexpr int kMaxParallelTrials = 16;
inline constexpr size_t kMaxSweptParams = 32;
inline constexpr size_t kMaxSweepValues = 256;  // of one list, and of `points`
inline constexpr std::int64_t kMaxSweepInteger = std::int64_t{1} << 53;

// Where the values of one parameter come from. Bounds are inclusive.
struct SearchSpace {
  enum class Kind { kList, kUniform, kLog, kInt, kLogInt };
  Kind kind = Kind::kList;
  std::vector<nlohmann::json> list = {};  // kList: 1 to kMaxSweepValues scalars, distinct
  double low = 0, high = 0;  // the others: low < high; kLog: low > 0; kInt and kLogInt: whole numbers; kLogInt: low ≥ 1
  std::optional<int> points = {};  // the others: only so many values, evenly spaced, ≥ 2

  bool operator==(const SearchSpace&) const = default;
};

struct Sweep {
  enum class Search { kGrid, kRandom };
  enum class Prune { kNone, kAsha };
  std::map<std::string, SearchSpace> params = {};
  int trials = 0;  // 1 to kMaxTrials
  int parallel = 1;
  Search search = Search::kRandom;
  Prune prune = Prune::kNone;
  std::optional<std::uint64_t> seed = {};  // none = the training's

  bool operator==(const Sweep&) const = default;
};

// The sweep that stands at `path` ("train.sweep") of a spec; nothing, and every fault noted, where it is not as said
// above.
std::optional<Sweep> ReadSweep(Faults& faults, const YamlNode& node, const std::string& path);

// Typed values ↔ JSON, in the form above and with all defaults written out; ToJson then FromJson is the identity.
// FromJson gives kInvalid with one FieldError for each fault, the fields relative to the sweep ("learning_rate.log").
nlohmann::json SweepToJson(const Sweep& sweep);
Result<Sweep> SweepFromJson(const nlohmann::json& json);

// The values of a list or of a space with points, in order; nothing for any other.
std::optional<std::vector<nlohmann::json>> FiniteValues(const SearchSpace& space);

// One object of parameters a trial ({"epochs":5,"learning_rate":0.00123}), to be laid over train.params. No two are
// equal; a random search of a space with fewer points than `trials` gives only those. The same sweep and seed (the
// sweep's own, where it has one) always give the same trials, in the same order:
// - grid: the parameters in the order of the alphabet, the last one changing fastest.
// - random: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) from the
//   seed; each trial takes one number a parameter, in the order of the alphabet. Real values are rounded to 9
//   significant digits, so that the last bits of the C library's exp and log do not show.
std::vector<nlohmann::json> Trials(const Sweep& sweep, std::uint64_t seed);

}  // namespace ratchet::pipeline
