#include "pipeline/spec.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"
#include "gate/live_metric.h"
#include "gate/metrics.h"
#include "lake/expectations.h"
#include "pipeline/cron.h"
#include "pipeline/spec_sections.h"
#include "pipeline/sweep.h"
#include "pipeline/spec_tree.h"

namespace ratchet::pipeline {
namespace {

constexpr std::int64_t kMostRunSeconds = 90LL * 86'400;
constexpr size_t kMostSliceColumns = 16;
constexpr std::int64_t kMostNewRows = 1'000'000'000'000;
constexpr size_t kMaxColumnBytes = 128;

Status Refuse(std::string_view text, std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "check the spec", Quoted(text), std::move(cause), std::move(hint));
}

Status CheckColumn(const std::string& name) {
  if (name.empty()) return Refuse(name, "a column's name is not empty");
  if (name.size() > kMaxColumnBytes)
    return Refuse(name, fmt::format("a column's name has at most {} bytes", kMaxColumnBytes));
  if (std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return Refuse(name, "a column's name has no control characters");
  if (name == "row") return Refuse(name, "this name is taken for the row number");
  return {};
}

Section::Check NameCheck(std::string kind) {
  return [kind](const std::string& name) { return CheckName(kind, name); };
}

Status CheckMetricName(const std::string& name) {
  auto metric = gate::FindMetric(name);
  if (metric) return {};
  return Refuse(name, metric.error().cause, metric.error().hint);
}

void ReadSplit(Section split, std::optional<SplitSpec>& into) {
  SplitSpec read;
  Take(read.validation,
       split.Number("validation", "a share of at least 0 and below 1", [](double v) { return v >= 0 && v < 1; }));
  Take(read.holdout, split.Number("holdout", "a share above 0 and below 1", [](double v) { return v > 0 && v < 1; }));
  if (read.validation + read.holdout >= 1)
    split.Fault(split.Has("holdout") ? "holdout" : "validation",
                fmt::format("validation {} and holdout {} together must be below 1, so that rows are left to train on",
                            read.validation, read.holdout));
  read.key = split.Text("key", CheckColumn);
  into = std::move(read);
}

// The line of what `path` leads to, or of the last that the tree has of it. Keys may hold dots of their own.
int LineAlong(const YamlNode& from, std::string_view path) {
  int line = from.line;
  for (const YamlNode* node = &from; path.size() > 1;) {
    path.remove_prefix(1);
    auto leads = [&](const YamlEntry& entry) {
      return path.starts_with(entry.key) && (path.size() == entry.key.size() || path[entry.key.size()] == '.');
    };
    auto entry = std::ranges::find_if(node->entries, leads);
    if (entry == node->entries.end()) break;
    if (entry->line > 0) line = entry->line;
    path.remove_prefix(entry->key.size());
    node = &entry->node;
  }
  return line;
}

// As everywhere in a spec, a key without a value counts as absent.
YamlNode WithoutNulls(YamlNode node) {
  std::erase_if(node.entries, [](const YamlEntry& entry) { return entry.node.kind == YamlNode::Kind::kNull; });
  for (YamlEntry& entry : node.entries) entry.node = WithoutNulls(std::move(entry.node));
  return node;
}

// The first scalar that is a number beyond 64 bits: JSON has no word for it.
const YamlNode* FindBeyondRange(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kPlain) return JsonFromTree(node).is_discarded() ? &node : nullptr;
  for (const YamlNode& item : node.items)
    if (const YamlNode* found = FindBeyondRange(item)) return found;
  for (const YamlEntry& entry : node.entries)
    if (const YamlNode* found = FindBeyondRange(entry.node)) return found;
  return nullptr;
}

void ReadExpectation(const YamlNode& given, const std::string& path, Faults& faults, nlohmann::json& into) {
  const YamlNode item = WithoutNulls(given);
  if (const YamlNode* number = FindBeyondRange(item))
    return faults.Add(path, number->line,
                      fmt::format("{} must fit 64 bits; put it in quotes if it is text", Describe(*number)));
  nlohmann::json json = JsonFromTree(item);
  auto read = lake::ExpectationFromJson(json.dump(), path);
  if (read) return into.push_back(std::move(json));
  for (const FieldError& fault : read.error().details)
    faults.Add(fault.field, LineAlong(item, std::string_view(fault.field).substr(path.size())), fault.detail);
}

void ReadExpect(Section& data, Faults& faults, nlohmann::json& into) {
  const YamlNode* list = data.Find("expect");
  if (!list) return;
  if (list->kind != YamlNode::Kind::kList)
    return data.Fault("expect", "must be a list of expectations such as - {column: price, min: 0}");
  if (list->items.size() > lake::kMaxExpectations)
    return data.Fault("expect", fmt::format("must have at most {} entries", lake::kMaxExpectations));
  for (size_t i = 0; i < list->items.size(); ++i)
    ReadExpectation(list->items[i], data.PathOf(fmt::format("expect[{}]", i)), faults, into);
}

void ReadLeakage(Section leakage, LeakageSpec& into) {
  Take(into.equal, leakage.OneOf("equal", {"auto", "drop", "warn", "refuse", "off"}));
  Take(into.near, leakage.OneOf("near", {"drop", "warn", "refuse", "off"}));
  into.at_most = leakage.Number("at_most", "a share of the sealed rows from 0 to 1", [](double v) { return v >= 0 && v <= 1; });
}

void ReadData(Section data, Faults& faults, DataSpec& into) {
  data.Require("dataset", "the name of a dataset in the lake");
  data.Require("target", "the column to predict");
  Take(into.dataset, data.Text("dataset", NameCheck("dataset")));
  Take(into.target, data.Text("target", CheckColumn));
  if (data.Has("split")) ReadSplit(data.Child("split", {"validation", "holdout", "key"}, {"by_time"}), into.split);
  ReadLeakage(data.Child("leakage", {"equal", "near", "at_most"}), into.leakage);
  ReadExpect(data, faults, into.expect);
}

std::vector<std::string> TrainKeys() {
  std::vector<std::string> keys = kWorkKeys;
  keys.push_back("sweep");
  return keys;
}

void ReadTrain(Section train, Faults& faults, TrainSpec& into) {
  ReadWork(train, faults, into);
  if (const YamlNode* sweep = train.Find("sweep")) into.sweep = ReadSweep(faults, *sweep, train.PathOf("sweep"));
}

// The zone is checked with the schedule: both are of one form, `schedule: {cron, zone}`.
void ReadSchedule(Section& retrain, RetrainSpec& into) {
  const YamlNode* node = retrain.Find("schedule");
  if (!node) return;
  if (node->kind == YamlNode::Kind::kMap) {
    Section schedule = retrain.Child("schedule", {"cron", "zone"});
    schedule.Require("cron", "five fields such as \"0 3 * * *\"");
    into.schedule = schedule.Text("cron");
    Take(into.zone, schedule.Text("zone"));
  } else {
    into.schedule = retrain.Text("schedule");
  }
  if (!into.schedule) return;
  auto parsed = Schedule::Parse(*into.schedule, into.zone);
  if (!parsed) retrain.Fault("schedule", parsed.error().cause + (parsed.error().hint.empty() ? "" : "; " + parsed.error().hint));
}

void ReadRetrain(Section retrain, RetrainSpec& into) {
  into.new_rows = retrain.Whole("new_rows", 1, kMostNewRows);
  into.drift = retrain.Number("drift", "a population stability index above 0, such as 0.2", [](double v) { return v > 0; });
  into.live_metric_below = retrain.Number(
      "live_metric_below",
      "a number in the metric's own unit, such as 0.88; where lower is better (log_loss, mae, rmse) a run starts above it",
      [](double v) { return std::isfinite(v); });
  ReadSchedule(retrain, into);
}

// What feedback can measure depends on the metric, as far as the spec names one.
void CheckLiveMetric(Section& retrain, const Spec& spec) {
  if (!spec.retrain.live_metric_below || !spec.test.metric) return;
  const double limit = *spec.retrain.live_metric_below;
  if (!gate::FindLiveMetric(*spec.test.metric))
    retrain.Fault("live_metric_below",
                  fmt::format("feedback is measured row by row, which {} is not; it can be accuracy, log_loss, mae or rmse",
                              *spec.test.metric));
  else if (*spec.test.metric == "accuracy" && (limit <= 0 || limit > 1))
    retrain.Fault("live_metric_below", fmt::format("accuracy is a share; give a number above 0 and at most 1, not {}", limit));
  else if (*spec.test.metric != "accuracy" && limit < 0)
    retrain.Fault("live_metric_below",
                  fmt::format("{} is never below 0, and a run starts when it is above this number; give one of at least 0, not {}",
                              *spec.test.metric, limit));
}

void ReadRun(Section run, RunSpec& into) {
  into.deadline_s = run.Quantity("deadline", 1, kMostRunSeconds, "a time from 1s to 90d such as 30m or 6h", ParseSeconds);
  Take(into.priority, run.Whole("priority", -100, 100));
}

// "label", or {column: label, margin: 0.01}.
std::optional<SliceSpec> ReadSlice(const YamlNode& node, const std::string& path, Faults& faults) {
  if (node.kind == YamlNode::Kind::kPlain || node.kind == YamlNode::Kind::kQuoted) {
    if (Status named = CheckColumn(node.text); named) return SliceSpec{.column = node.text};
    faults.Add(path, node.line, "must name a column");
    return std::nullopt;
  }
  Section slice(faults, &node, path, node.line, {"column", "margin"});
  SliceSpec into;
  slice.Require("column", "the column whose groups must not get worse");
  Take(into.column, slice.Text("column", CheckColumn));
  Take(into.margin, slice.Number("margin", "a number of at least 0, in the metric's unit", [](double v) { return v >= 0; }));
  return into;
}

void ReadTest(Section test, Faults& faults, TestSpec& into) {
  into.metric = test.Text("metric", CheckMetricName);
  into.group_by = test.Text("group_by", CheckColumn);
  Take(into.min_rows, test.Whole("min_rows", 2, kMostNewRows));
  if (test.Has("budgets")) ReadBudgets(test.Child("budgets", kBudgetKeys), into.budgets);
  const YamlNode* slices = test.Find("slices");
  if (!slices) return;
  if (slices->kind != YamlNode::Kind::kList)
    return test.Fault("slices", "must be a list of columns such as [label], or of {column: label, margin: 0.01}");
  if (slices->items.size() > kMostSliceColumns)
    return test.Fault("slices", fmt::format("must have at most {} entries", kMostSliceColumns));
  for (size_t i = 0; i < slices->items.size(); ++i) {
    auto slice = ReadSlice(slices->items[i], fmt::format("test.slices[{}]", i), faults);
    if (slice && std::ranges::count(into.slices, slice->column, &SliceSpec::column) > 0)
      test.Fault(fmt::format("slices[{}]", i), "names a column a second time");
    else if (slice) into.slices.push_back(std::move(*slice));
  }
}

void ReadGate(Section gate, GateSpec& into) {
  Take(into.rule, gate.OneOf("rule", {"better", "not_worse"}));
  Take(into.margin, gate.Number("margin", "a number above 0, in the metric's unit", [](double v) { return v > 0; }));
  if (into.rule == "not_worse" && into.margin == 0) gate.Require("margin", "the largest loss that `rule: not_worse` lets pass");
  if (into.rule == "better" && gate.Has("margin")) gate.Fault("margin", "belongs to `rule: not_worse`; this rule has better_by");
  if (into.rule == "not_worse" && gate.Has("better_by")) gate.Fault("better_by", "belongs to `rule: better`; this rule has margin");
  Take(into.fresh_rows, gate.Whole("fresh_rows", 1, kMostNewRows));
  Take(into.better_by, gate.Number("better_by", "a number of at least 0", [](double v) { return v >= 0; }));
  Take(into.confidence, gate.Number("confidence", "a number from 0.5 to below 1, such as 0.95",
                                    [](double v) { return v >= 0.5 && v < 1; }));
  Take(into.baseline, gate.OneOf("baseline", {"auto", "majority", "mean", "median", "reset"},
                                   {"last value", "seasonal naive", "most popular"}));
}

}  // namespace

Result<Spec> SpecFromTree(const YamlNode& tree, const Known& known) {
  Faults faults;
  Spec spec;
  Section root(faults, &tree, "", tree.line, {"model", "data", "steps", "train", "test", "gate", "release", "retrain",
                                               "predictions", "feedback", "run"});
  if (tree.kind == YamlNode::Kind::kNull) faults.Add("", tree.line, "the spec is empty; begin with 'model: NAME'");
  root.Require("model", "the model's name");
  root.Require("data", "the section that names dataset and target");
  root.Require("train", "the section that names a recipe or a command");
  Take(spec.model, root.Text("model", NameCheck("model")));
  if (root.Has("data")) ReadData(root.Child("data", {"dataset", "target", "split", "expect", "leakage"}), faults, spec.data);
  if (root.Has("train"))
    ReadTrain(root.Child("train", TrainKeys()), faults, spec.train);
  ReadSteps(root, faults, spec);
  ReadTest(root.Child("test", {"metric", "slices", "min_rows", "group_by", "budgets"}), faults, spec.test);
  ReadGate(root.Child("gate", {"rule", "better_by", "margin", "confidence", "baseline", "fresh_rows"}), spec.gate);
  Section release = root.Child("release", kReleaseKeys);
  ReadRelease(release, spec.release);
  CheckWatchedMetric(release, spec);
  Section retrain = root.Child("retrain", {"new_rows", "schedule", "drift", "live_metric_below"});
  ReadRetrain(retrain, spec.retrain);
  CheckLiveMetric(retrain, spec);
  ReadPredictions(root.Child("predictions", kPredictionKeys), spec.predictions);
  if (root.Has("feedback")) ReadFeedback(root.Child("feedback", kFeedbackKeys), spec.data, spec.feedback);
  ReadRun(root.Child("run", {"deadline", "priority"}), spec.run);
  if (!known.recipes.empty()) AddRecipeFaults(spec, known.recipes, &tree, faults);
  const auto schema = known.schema_of && !spec.data.dataset.empty() ? known.schema_of(spec.data.dataset) : std::nullopt;
  if (schema) AddColumnFaults(spec, *schema, tree, faults);
  if (!faults.Empty()) return std::unexpected(faults.ToError());
  return spec;
}

Result<Spec> ParseSpec(std::string_view text, const Known& known) {
  RATCHET_ASSIGN(YamlNode tree, ParseYamlTree(text));
  return SpecFromTree(tree, known);
}

}  // namespace ratchet::pipeline
