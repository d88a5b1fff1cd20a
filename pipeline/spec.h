#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/schema.h"
#include "pipeline/sweep.h"

// The pipeline spec: YAML (or JSON, its subset) → typed values, with every fault found in one go.
namespace ratchet::pipeline {

// Limits on the text itself.
inline constexpr size_t kMaxSpecBytes = 256 * 1024;
inline constexpr int kMaxSpecDepth = 32;
inline constexpr size_t kMaxSpecNodes = 100'000;  // counted after aliases are expanded, so that an alias bomb is refused

struct SplitSpec {
  double validation = 0.1;           // share of rows, 0 ≤ v < 1
  double holdout = 0.2;              // share of rows, 0 < h < 1; validation + holdout < 1
  std::optional<std::string> key;    // column whose value decides; none = the whole row
};

// What is done about sealed rows that stand in training as well, under another key: dropped (judged without them), told of
// (warn), refused where they are more than `at_most` of the sealed rows, or not looked for (off).
struct LeakageSpec {
  std::string equal = "auto";                      // auto | drop | warn | refuse | off: rows with the same inputs; auto: worker/leak_check.h
  std::string near = "warn";                       // drop | warn | refuse | off: photos and texts that look alike
  std::optional<double> at_most;                   // 0 … 1; none = a fifth, where they are refused outright none at all
};

struct DataSpec {
  std::string dataset;
  std::string target;
  std::optional<SplitSpec> split;                  // none = the dataset's own, or the defaults
  LeakageSpec leakage;
  nlohmann::json expect = nlohmann::json::array(); // checked: [{"column":…,"in":[…],"min":…,"max":…,"missing_at_most":…,"not_null":…,"unique":…,"matches":…}]
};

struct LimitSpec {
  int cpus = 1;                                    // threads of a step
  std::int64_t memory_bytes = 4LL << 30;
  std::int64_t time_s = 30 * 60;                   // of one attempt
  std::int64_t disk_bytes = 10LL << 30;            // of one step folder
  int attempts = 3;
};

// When a failed attempt is tried again, and after how long. The user's own errors never are; a lost attempt (its process
// vanished) always is and does not count.
struct RetrySpec {
  std::vector<std::string> on = {"signal"};        // of signal, timeout, out_of_memory, disk_quota, internal
  double delay_s = 0.5;                            // before the second attempt …
  double factor = 2;                               // … times this for each further one, ≥ 1 …
  double max_delay_s = 60;                         // … up to this
  double jitter = 0.1;                             // a seeded share of the delay, either way, 0 ≤ j ≤ 1
};

// What the training and a step of the user's own have in common.
struct WorkSpec {
  std::optional<std::string> recipe;               // exactly one of recipe and command
  std::optional<std::vector<std::string>> command;
  nlohmann::json params = nlohmann::json::object();
  std::uint64_t seed = 0;
  std::vector<std::string> inputs;                 // outputs of steps, "STEP.OUTPUT"; for a step also "data.train", "data.validation"
  LimitSpec limits;
  RetrySpec retry;
  bool cache = true;                               // equal work is not done again
};

struct TrainSpec : WorkSpec {
  std::optional<Sweep> sweep;                      // several trials instead of one training
};

// A step of the user's own, before training.
struct StepSpec : WorkSpec {
  std::string name;                                // a–z 0–9 _ -, not that of a built-in step
  std::vector<std::string> needs;                  // other steps; an input from a step is a need, too
  std::vector<std::string> outputs;                // names of files that it makes
};

struct RunSpec {
  std::optional<std::int64_t> deadline_s;          // of the whole run, from its begin
  std::int64_t priority = 0;                       // -100 … 100; higher first in the queue
};

// A column whose groups must not get worse.
struct SliceSpec {
  std::string column;
  double margin = 0.0;                             // loss that does not count, in the metric's own unit, ≥ 0
};

// What a candidate may take when it serves; each as measured by the test step in a ratchet-serve of its own. None: no limit.
struct BudgetSpec {
  std::optional<std::int64_t> p50_latency_us;      // of one row over HTTP, one request at a time
  std::optional<std::int64_t> p99_latency_us;
  std::optional<std::int64_t> bundle_bytes;        // model.pt and manifest.json
  std::optional<std::int64_t> memory_bytes;        // most that the serving process has resident
};

struct TestSpec {
  std::optional<std::string> metric;               // none = the recipe's default
  std::vector<SliceSpec> slices;
  std::int64_t min_rows = 100;                     // a smaller slice is too small to tell, ≥ 2
  std::optional<std::string> group_by;             // column: rows of equal value are one observation (user, session, clip)
  BudgetSpec budgets;
};

struct GateSpec {
  std::string rule = "better";                     // better | not_worse
  double better_by = 0.0;                          // in the metric's own unit, ≥ 0; of the rule better
  double margin = 0.0;                             // likewise, of the rule not_worse: > 0
  double confidence = 0.95;                        // 0.5 ≤ c < 1; over all looks at the same sealed rows
  std::int64_t fresh_rows = 1'000;                 // unseen holdout rows that open a new epoch, ≥ 1
  // What the first version must beat: auto (the recipe's own) | majority | mean | median. reset: auto, and a live version
  // that cannot be scored any more does not stand in the way (docs/gate.md); where it can be, it is the opponent as ever.
  std::string baseline = "auto";
};

// What traffic may say of a candidate before it goes live (gate/release_watch.h).
struct WatchSpec {
  double error_rate = 0;                           // 0 ≤ r < 1; 0 = no more failures than the live version
  std::optional<std::int64_t> p99_latency_us;
  std::optional<double> metric_drop;               // of the metric by feedback, in its own unit, ≥ 0
  std::int64_t for_s = 5 * 60;                     // time with traffic, in each step
  std::int64_t min_requests = 100;                 // of the candidate, in each step
  double confidence = 0.95;                        // that a rollback is right, over all looks of a release
};

struct ReleaseSpec {
  std::string strategy = "immediate";              // immediate | shadow | canary | ab
  std::vector<double> steps;                       // of canary: shares of traffic, growing, the last one 1
  double share = 1;                                // of shadow: of the traffic that is copied, 0 < s ≤ 1
  std::map<std::string, double> shares;            // of ab: "candidate", and "previous" if wanted; together below 1
  WatchSpec watch;                                 // of all but immediate
  std::string approval = "auto";                   // auto | manual: someone lets it go live
};

// How the model's answers are logged.
struct PredictionSpec {
  std::optional<double> sample;                    // share of the answers, 0 … 1; none = each replica's own setting
  std::vector<std::string> redact;                 // columns whose values are left out
};

// What becomes of predictions whose outcome is known: they are pushed as rows.
struct FeedbackSpec {
  std::optional<std::string> dataset;              // where to; none = nowhere. "same" is written out as data.dataset
  std::int64_t every = 1'000;                      // as soon as so many wait, ≥ 1 …
  std::int64_t within_s = 7 * 86'400;              // … or one has waited so long
};

struct RetrainSpec {
  std::optional<std::int64_t> new_rows;            // rows added since the last run's dataset version, ≥ 1
  std::optional<std::string> schedule;             // five cron fields …
  std::string zone = "UTC";                        // … in the local time of this IANA zone
  std::optional<double> drift;                     // population stability index of any input, > 0
  std::optional<double> live_metric_below;         // the live version's metric by feedback; where lower is better, above it
};

struct Spec {
  std::string model;
  DataSpec data;
  std::vector<StepSpec> steps;                     // each after those that it needs
  TrainSpec train;
  TestSpec test;
  GateSpec gate;
  ReleaseSpec release;
  RetrainSpec retrain;
  PredictionSpec predictions;
  FeedbackSpec feedback;
  RunSpec run;
};

// What a spec may refer to.
struct Known {
  nlohmann::json recipes = nlohmann::json::array();  // what the workers can run, as pipeline/spec_recipe.h describes it; empty = unknown
  // The columns of a dataset; nothing where it has no rows yet. May be empty.
  std::function<std::optional<lake::Schema>(const std::string& dataset)> schema_of = {};
};

// Where an input comes from: "data.train" → {"data", "train"}, "join.rows.csv" → {"join", "rows.csv"}.
struct InputName {
  std::string step, output;
};
InputName SplitInput(const std::string& input);

// Parses and checks a spec. The error carries one FieldError (path, line, what is allowed, "did you mean …?") for every
// fault found. Keys of PRODUCT.md that this version does not act on yet (by_time, …) are refused
// with a sentence that says so: nothing is silently ignored. What the spec refers to is checked as far as it is `known`.
Result<Spec> ParseSpec(std::string_view text, const Known& known = {});

// The spec with `overrides` ("train.params.epochs" → value) applied, checked like a spec of its own. Paths must exist in
// the spec's grammar; only train.params, train.seed, train.limits, a step's params, gate and run may be overridden.
Result<Spec> ApplyOverrides(const Spec& spec, const nlohmann::json& overrides);

nlohmann::json LeakageToJson(const LeakageSpec& leakage);
nlohmann::json TestToJson(const TestSpec& test);
nlohmann::json GateToJson(const GateSpec& gate);
nlohmann::json ReleaseToJson(const ReleaseSpec& release);
Result<ReleaseSpec> ReleaseFromJson(const nlohmann::json& json);
// Typed values ↔ JSON, all defaults written out (units: bytes and seconds as integers). ToJson then FromJson is the identity.
nlohmann::json SpecToJson(const Spec& spec);
Result<Spec> SpecFromJson(const nlohmann::json& json);

// "2GiB", "500MB", 1048576 → bytes; "30m", "2h", "90s", 90 → seconds; "20ms", "800us", "1.5s" → microseconds, never without
// a unit.
Result<std::int64_t> ParseBytes(std::string_view text);
Result<std::int64_t> ParseSeconds(std::string_view text);
Result<std::int64_t> ParseMicroseconds(std::string_view text);

}  // namespace ratchet::pipeline
