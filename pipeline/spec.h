#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// The pipeline spec: YAML (or JSON, its subset) → typed values, with every fault found in one go.
namespace ratchet::pipeline {

// Limits on the text itself.
inline constexpr size_t kMaxSpecBytes = 256 * 1024;
inline constexpr int kMaxSpecDepth = 32;
inline constexpr size_t kMaxSpecNodes = 20'000;  // counted after aliases are expanded, so that an alias bomb is refused

struct SplitSpec {
  double validation = 0.1;           // share of rows, 0 ≤ v < 1
  double holdout = 0.2;              // share of rows, 0 < h < 1; validation + holdout < 1
  std::optional<std::string> key;    // column whose value decides; none = the whole row
};

struct DataSpec {
  std::string dataset;
  std::string target;
  std::optional<SplitSpec> split;                  // none = the dataset's own, or the defaults
  nlohmann::json expect = nlohmann::json::array(); // checked: [{"column":…,"in":[…],"min":…,"max":…,"missing_at_most":…,"not_null":…,"unique":…,"matches":…}]
};

struct LimitSpec {
  int cpus = 1;                                    // threads of a step
  std::int64_t memory_bytes = 4LL << 30;
  std::int64_t time_s = 30 * 60;                   // of one attempt
  std::int64_t disk_bytes = 10LL << 30;            // of one step folder
  int attempts = 3;
};

struct TrainSpec {
  std::optional<std::string> recipe;               // exactly one of recipe and command
  std::optional<std::vector<std::string>> command;
  nlohmann::json params = nlohmann::json::object();
  std::uint64_t seed = 0;
  LimitSpec limits;
};

struct TestSpec {
  std::optional<std::string> metric;               // none = the recipe's (or accuracy / mae by task)
};

struct GateSpec {
  double better_by = 0.0;                          // in the metric's own unit, ≥ 0
  double confidence = 0.95;                        // 0.5 ≤ c < 1
  std::string baseline = "auto";                   // auto | majority | mean
};

struct ReleaseSpec {
  std::string strategy = "immediate";
  std::string approval = "auto";
};

struct RetrainSpec {
  std::optional<std::int64_t> new_rows;            // rows added since the last run's dataset version, ≥ 1
};

struct Spec {
  std::string model;
  DataSpec data;
  TrainSpec train;
  TestSpec test;
  GateSpec gate;
  ReleaseSpec release;
  RetrainSpec retrain;
};

// Parses and checks a spec. The error carries one FieldError (path, line, what is allowed, "did you mean …?") for every
// fault found. Keys of PRODUCT.md that this version does not act on yet (sweep, by_time, slices, budgets, watch, schedule, …) are refused
// with a sentence that says so: nothing is silently ignored.
Result<Spec> ParseSpec(std::string_view text);

// The spec with `overrides` ("train.params.epochs" → value) applied, checked like a spec of its own. Paths must exist in
// the spec's grammar; only train.params, train.seed, train.limits and gate may be overridden.
Result<Spec> ApplyOverrides(const Spec& spec, const nlohmann::json& overrides);

// Typed values ↔ JSON, all defaults written out (units: bytes and seconds as integers). ToJson then FromJson is the identity.
nlohmann::json SpecToJson(const Spec& spec);
Result<Spec> SpecFromJson(const nlohmann::json& json);

// "2GiB", "500MB", 1048576 → bytes; "30m", "2h", "90s", 90 → seconds.
Result<std::int64_t> ParseBytes(std::string_view text);
Result<std::int64_t> ParseSeconds(std::string_view text);

}  // namespace ratchet::pipeline
