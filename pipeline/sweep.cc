#include "pipeline/sweep.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace ratchet::pipeline {
namespace {

using nlohmann::json;
using Kind = SearchSpace::Kind;

struct KindName {
  Kind kind;
  std::string_view name;
};
constexpr KindName kRanges[] = {
    {Kind::kUniform, "uniform"}, {Kind::kLog, "log"}, {Kind::kInt, "int"}, {Kind::kLogInt, "log_int"}};
const std::vector<std::string> kSettings = {"trials", "parallel", "search", "prune", "seed"};
const std::vector<std::string> kSpaceKeys = {"uniform", "log", "int", "log_int", "points"};
constexpr std::string_view kAllowedSpaces =
    "a list of values, or one of {log: [a, b]}, {uniform: [a, b]}, {int: [a, b]}, {log_int: [a, b]}";

bool IsWholeKind(Kind kind) { return kind == Kind::kInt || kind == Kind::kLogInt; }

std::string_view NameOf(Kind kind) {
  for (const KindName& range : kRanges)
    if (range.kind == kind) return range.name;
  return "list";
}

// Reads one sweep, noting faults by path and line.
class SweepReader {
 public:
  SweepReader(Faults& faults, const std::string& path) : faults_(faults), path_(path) {}

  std::optional<Sweep> Read(const YamlNode& node);

 private:
  void Fault(const std::string& key, int line, std::string detail) {
    faults_.Add(path_.empty() || key.empty() ? path_ + key : path_ + "." + key, line, std::move(detail));
    good_ = false;
  }
  std::optional<SearchSpace> ReadSpace(const std::string& name, const YamlEntry& entry);
  std::optional<SearchSpace> ReadList(const std::string& name, const YamlNode& node);
  std::optional<SearchSpace> ReadRange(const std::string& name, const YamlEntry& entry);
  bool ReadBounds(const std::string& name, const YamlEntry& entry, SearchSpace& space);
  void ReadSettings(const YamlNode& node, Sweep& sweep);
  void SettleTrials(const YamlNode& node, Sweep& sweep);
  void SettleGrid(const YamlNode& node, bool trials_given, Sweep& sweep);
  // The number under the key; nothing where there is no key, or a fault.
  std::optional<int> Whole(const YamlNode& node, const std::string& key, const std::string& path, int least, int most);
  std::optional<std::string> OneOf(const YamlNode& node, const std::string& key,
                                   const std::vector<std::string>& allowed);

  Faults& faults_;
  const std::string& path_;
  bool good_ = true;
};

const YamlEntry* FindGiven(const YamlNode& node, std::string_view key) {
  const YamlEntry* entry = node.Find(key);
  return entry && entry->node.kind != YamlNode::Kind::kNull ? entry : nullptr;
}

bool IsScalar(const json& value) {
  return value.is_boolean() || value.is_string() || (value.is_number() && std::isfinite(value.get<double>()));
}

json ValueOf(const YamlNode& node) {
  bool scalar = node.kind == YamlNode::Kind::kPlain || node.kind == YamlNode::Kind::kQuoted;
  return scalar ? JsonFromTree(node) : json();
}

std::optional<int> SweepReader::Whole(const YamlNode& node, const std::string& key, const std::string& path, int least,
                                      int most) {
  const YamlEntry* entry = FindGiven(node, key);
  if (!entry) return std::nullopt;
  json value = ValueOf(entry->node);
  if (value.is_number_integer() && value >= least && value <= most) return value.get<int>();
  Fault(path, entry->line,
        fmt::format("must be a whole number from {} to {}, not {}", least, most, Describe(entry->node)));
  return std::nullopt;
}

std::optional<std::string> SweepReader::OneOf(const YamlNode& node, const std::string& key,
                                              const std::vector<std::string>& allowed) {
  const YamlEntry* entry = FindGiven(node, key);
  if (!entry) return std::nullopt;
  json value = ValueOf(entry->node);
  if (value.is_string() && std::ranges::count(allowed, value.get<std::string>())) return value.get<std::string>();
  std::string near = value.is_string() ? Suggestion(value.get<std::string>(), allowed) : "";
  Fault(key, entry->line, fmt::format("must be {}, not {}{}", fmt::join(allowed, " or "), Describe(entry->node), near));
  return std::nullopt;
}

std::optional<SearchSpace> SweepReader::ReadList(const std::string& name, const YamlNode& node) {
  SearchSpace space;
  if (node.items.empty() || node.items.size() > kMaxSweepValues) {
    Fault(name, node.line, fmt::format("must have 1 to {} values, not {}", kMaxSweepValues, node.items.size()));
    return std::nullopt;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    std::string place = fmt::format("{}[{}]", name, i);
    json value = ValueOf(item);
    if (!IsScalar(value))
      Fault(place, item.line, fmt::format("must be a number, text, true or false, not {}", Describe(item)));
    else if (std::ranges::count(space.list, value))
      Fault(place, item.line, fmt::format("{} stands there twice", Describe(item)));
    else
      space.list.push_back(std::move(value));
  }
  return space;
}

// What is wrong with the bounds, or nothing.
std::string FaultOf(Kind kind, const json& low, const json& high) {
  auto good = [&](const json& value) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return false;
    return !IsWholeKind(kind) || (value.is_number_integer() && std::abs(value.get<double>()) <= kMaxSweepInteger);
  };
  std::string_view what = IsWholeKind(kind) ? "two whole numbers of at most 2^53" : "two numbers";
  if (!good(low) || !good(high)) return fmt::format("must be {}, [lowest, highest]", what);
  if (!(low.get<double>() < high.get<double>())) return "must be [lowest, highest], the first below the second";
  if (kind == Kind::kLog && low.get<double>() <= 0) return "must begin above 0, for it is drawn in the logarithm";
  if (kind == Kind::kLogInt && low.get<double>() < 1)
    return "must begin at 1 or above, for it is drawn in the logarithm";
  if (!std::isfinite(high.get<double>() - low.get<double>())) return "spans more than a number can hold";
  return "";
}

bool SweepReader::ReadBounds(const std::string& name, const YamlEntry& entry, SearchSpace& space) {
  std::string fault = "must be two numbers, [lowest, highest]";
  if (entry.node.kind == YamlNode::Kind::kList && entry.node.items.size() == 2) {
    json low = ValueOf(entry.node.items[0]), high = ValueOf(entry.node.items[1]);
    fault = FaultOf(space.kind, low, high);
    if (fault.empty()) {
      space.low = low.get<double>();
      space.high = high.get<double>();
    }
  }
  if (!fault.empty()) Fault(fmt::format("{}.{}", name, NameOf(space.kind)), entry.line, fault);
  return fault.empty();
}

std::optional<SearchSpace> SweepReader::ReadRange(const std::string& name, const YamlEntry& entry) {
  for (const YamlEntry& key : entry.node.entries)
    if (!std::ranges::count(kSpaceKeys, key.key))
      Fault(fmt::format("{}.{}", name, key.key), key.line,
            fmt::format("is not a key that is known here{} (allowed: {})", Suggestion(key.key, kSpaceKeys),
                        fmt::join(kSpaceKeys, ", ")));
  SearchSpace space;
  const YamlEntry* bounds = nullptr;
  int kinds = 0;
  for (const KindName& range : kRanges) {
    const YamlEntry* found = FindGiven(entry.node, range.name);
    if (!found) continue;
    bounds = found;
    space.kind = range.kind;
    ++kinds;
  }
  if (kinds != 1) {
    Fault(name, entry.line, fmt::format("must be {}{}", kAllowedSpaces, kinds > 1 ? "; not two of them" : ""));
    return std::nullopt;
  }
  space.points = Whole(entry.node, "points", name + ".points", 2, kMaxSweepValues);
  return ReadBounds(name, *bounds, space) ? std::optional(space) : std::nullopt;
}

std::optional<SearchSpace> SweepReader::ReadSpace(const std::string& name, const YamlEntry& entry) {
  if (entry.node.kind == YamlNode::Kind::kList) return ReadList(name, entry.node);
  if (entry.node.kind == YamlNode::Kind::kMap) return ReadRange(name, entry);
  Fault(name, entry.line,
        fmt::format("must be {}, not {}{}", kAllowedSpaces, Describe(entry.node), Suggestion(name, kSettings)));
  return std::nullopt;
}

void SweepReader::ReadSettings(const YamlNode& node, Sweep& sweep) {
  sweep.parallel = Whole(node, "parallel", "parallel", 1, kMaxParallelTrials).value_or(1);
  if (OneOf(node, "prune", {"asha", "none"}) == "asha") sweep.prune = Sweep::Prune::kAsha;
  if (const YamlEntry* seed = FindGiven(node, "seed")) {
    json value = ValueOf(seed->node);
    if (value.is_number_unsigned())
      sweep.seed = value.get<std::uint64_t>();
    else
      Fault("seed", seed->line,
            fmt::format("must be a whole number from 0 to 18446744073709551615, not {}", Describe(seed->node)));
  }
}

void SweepReader::SettleGrid(const YamlNode& node, bool trials_given, Sweep& sweep) {
  size_t size = 1;
  for (const auto& [name, space] : sweep.params) {
    auto values = FiniteValues(space);
    if (!values) {
      const YamlEntry* entry = node.Find(name);
      Fault(name, entry->line,
            fmt::format("must be a list for a grid, or have points: {{{}: […], points: 5}}", NameOf(space.kind)));
      return;
    }
    size = std::min<size_t>(size * values->size(), kMaxTrials + 1);
  }
  if (size > kMaxTrials)
    Fault("", node.line,
          fmt::format("has a grid of more than {} trials; take out values, or use search: random", kMaxTrials));
  else if (trials_given && static_cast<size_t>(sweep.trials) != size)
    Fault("trials", node.Find("trials")->line, fmt::format("must be {}, the size of the grid, or be left out", size));
  sweep.trials = static_cast<int>(size);
}

void SweepReader::SettleTrials(const YamlNode& node, Sweep& sweep) {
  bool given = FindGiven(node, "trials") != nullptr;
  sweep.trials = Whole(node, "trials", "trials", 1, kMaxTrials).value_or(0);
  auto search = OneOf(node, "search", {"grid", "random"});
  if (!good_) return;
  bool finite =
      std::ranges::all_of(sweep.params, [](const auto& param) { return FiniteValues(param.second).has_value(); });
  bool grid = search ? *search == "grid" : finite && !given;
  sweep.search = grid ? Sweep::Search::kGrid : Sweep::Search::kRandom;
  if (grid)
    SettleGrid(node, given, sweep);
  else if (!given)
    Fault("trials", node.line,
          fmt::format("is missing; it is how many trials a random search makes, 1 to {}", kMaxTrials));
}

std::optional<Sweep> SweepReader::Read(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kMap) {
    Fault("", node.line, fmt::format("must be a map from parameters to what to try, not {}", Describe(node)));
    return std::nullopt;
  }
  Sweep sweep;
  for (const YamlEntry& entry : node.entries) {
    if (std::ranges::count(kSettings, entry.key)) continue;
    if (auto space = ReadSpace(entry.key, entry)) sweep.params.emplace(entry.key, std::move(*space));
  }
  if (good_ && (sweep.params.empty() || sweep.params.size() > kMaxSweptParams))
    Fault("", node.line,
          fmt::format("must name 1 to {} parameters to try values of, not {}", kMaxSweptParams, sweep.params.size()));
  ReadSettings(node, sweep);
  SettleTrials(node, sweep);
  return good_ ? std::optional(std::move(sweep)) : std::nullopt;
}

json BoundOf(const SearchSpace& space, double bound) {
  return IsWholeKind(space.kind) ? json(static_cast<std::int64_t>(bound)) : json(bound);
}

json SpaceToJson(const SearchSpace& space) {
  if (space.kind == Kind::kList) return space.list;
  json out = {{NameOf(space.kind), {BoundOf(space, space.low), BoundOf(space, space.high)}}};
  if (space.points) out["points"] = *space.points;
  return out;
}

}  // namespace

std::optional<Sweep> ReadSweep(Faults& faults, const YamlNode& node, const std::string& path) {
  return SweepReader(faults, path).Read(node);
}

json SweepToJson(const Sweep& sweep) {
  json out = {{"trials", sweep.trials},
              {"parallel", sweep.parallel},
              {"search", sweep.search == Sweep::Search::kGrid ? "grid" : "random"},
              {"prune", sweep.prune == Sweep::Prune::kAsha ? "asha" : "none"}};
  if (sweep.seed) out["seed"] = *sweep.seed;
  for (const auto& [name, space] : sweep.params) out[name] = SpaceToJson(space);
  return out;
}

Result<Sweep> SweepFromJson(const json& value) {
  RATCHET_ASSIGN(YamlNode tree, TreeFromJson(value));
  Faults faults;
  auto sweep = ReadSweep(faults, tree, "");
  if (!sweep) return std::unexpected(faults.ToError());
  return std::move(*sweep);
}

}  // namespace ratchet::pipeline
