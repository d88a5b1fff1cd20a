#include "pipeline/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <random>
#include <string>

#include "pipeline/spec_recipe.h"

namespace ratchet::pipeline {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kFull = R"(# how parcels are sorted
model: parcel-sorter
data:
  dataset: parcels
  target: label
  split: {validation: 0.1, holdout: 0.25, key: id}
  expect:
    - {column: label, in: [0, 1, 2]}
    - {column: price, min: 0, max: 1e3, missing_at_most: 0.01}
    - {column: id, not_null: true, unique: true, matches: "^[a-z]+$"}
train:
  recipe: vision.classifier
  params: {epochs: 3, learning_rate: 1e-3, name: "3", quote: 'it''s "é"', deep: {widths: [1, 2.5]}, fast: true}
  seed: 18446744073709551615
  limits: {cpus: 2, memory: 2GiB, time: 30m, disk: 500MB, attempts: 5}
test:
  metric: accuracy
  budgets: {p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB}
gate:
  better_by: 0.01
  confidence: 0.99
  baseline: majority
release: {strategy: immediate, approval: auto}
retrain:
  new_rows: 5000
)";

const std::string kLeast = "model: m\ndata: {dataset: d, target: t}\ntrain: {recipe: a.b}\n";

TEST(ParseSpec, ReadsEveryKey) {
  auto spec = ParseSpec(kFull);
  ASSERT_TRUE(spec) << spec.error().Message();
  EXPECT_EQ(spec->model, "parcel-sorter");
  EXPECT_EQ(spec->data.dataset, "parcels");
  EXPECT_EQ(spec->data.target, "label");
  EXPECT_EQ(spec->data.split->holdout, 0.25);
  EXPECT_EQ(spec->data.split->key, "id");
  EXPECT_EQ(spec->data.expect.dump(),
            R"([{"column":"label","in":[0,1,2]},{"column":"price","max":1000.0,"min":0,"missing_at_most":0.01},)"
            R"({"column":"id","matches":"^[a-z]+$","not_null":true,"unique":true}])");
  EXPECT_EQ(spec->train.recipe, "vision.classifier");
  EXPECT_FALSE(spec->train.command);
  EXPECT_EQ(
      spec->train.params.dump(),
      R"({"deep":{"widths":[1,2.5]},"epochs":3,"fast":true,"learning_rate":0.001,"name":"3","quote":"it's \"é\""})");
  EXPECT_EQ(spec->train.seed, 18446744073709551615u);
  EXPECT_EQ(spec->train.limits.cpus, 2);
  EXPECT_EQ(spec->train.limits.memory_bytes, 2LL << 30);
  EXPECT_EQ(spec->train.limits.time_s, 1800);
  EXPECT_EQ(spec->train.limits.disk_bytes, 500'000'000);
  EXPECT_EQ(spec->train.limits.attempts, 5);
  EXPECT_EQ(spec->test.metric, "accuracy");
  EXPECT_EQ(spec->test.budgets.p50_latency_us, 1500);
  EXPECT_EQ(spec->test.budgets.p99_latency_us, 20'000);
  EXPECT_EQ(spec->test.budgets.bundle_bytes, 50 << 20);
  EXPECT_EQ(spec->test.budgets.memory_bytes, 500'000'000);
  EXPECT_EQ(SpecToJson(*spec)["test"]["budgets"].dump(), R"({"bundle_size":52428800,"memory":500000000,"p50_latency":"1500us","p99_latency":"20ms"})");
  EXPECT_EQ(spec->gate.better_by, 0.01);
  EXPECT_EQ(spec->gate.confidence, 0.99);
  EXPECT_EQ(spec->gate.baseline, "majority");
  EXPECT_EQ(spec->retrain.new_rows, 5000);
}

TEST(ParseSpec, FillsDefaultsWhenOnlyTheRequiredIsGiven) {
  auto spec = ParseSpec(kLeast + "test:\ngate:\n");
  ASSERT_TRUE(spec) << spec.error().Message();
  EXPECT_EQ(
      SpecToJson(*spec).dump(),
      R"({"data":{"dataset":"d","expect":[],"leakage":{"equal":"auto","near":"warn"},"target":"t"},"gate":{"baseline":"auto","better_by":0.0,"confidence":0.95,"fresh_rows":1000,"rule":"better"},)"
      R"("model":"m","release":{"approval":"auto","strategy":"immediate"},"retrain":{},"run":{"priority":0},"steps":{},"test":{"min_rows":100},)"
      R"("train":{"cache":true,"inputs":[],"limits":{"attempts":3,"cpus":1,"disk":10737418240,"memory":4294967296,"time":1800},"params":{},)"
      R"("recipe":"a.b","retry":{"delay":0.5,"factor":2.0,"jitter":0.1,"max_delay":60.0,"on":["signal"]},"seed":0}})");
}

TEST(ParseSpec, TakesCommandsWithNumbersAsWords) {
  auto spec =
      ParseSpec("model: m\ndata: {dataset: d, target: t}\ntrain: {command: [python3, train.py, --epochs, 3]}\n");
  ASSERT_TRUE(spec) << spec.error().Message();
  EXPECT_EQ(*spec->train.command, (std::vector<std::string>{"python3", "train.py", "--epochs", "3"}));
}

TEST(ParseSpec, TakesJsonCrlfTabsInJsonAndAByteOrderMark) {
  std::string json_text = SpecToJson(*ParseSpec(kFull)).dump(1, '\t');
  auto from_json = ParseSpec(json_text);
  ASSERT_TRUE(from_json) << from_json.error().Message();
  std::string crlf = "\xEF\xBB\xBF";
  for (char c : kFull) crlf += c == '\n' ? "\r\n" : std::string(1, c);
  auto from_crlf = ParseSpec(crlf);
  ASSERT_TRUE(from_crlf) << from_crlf.error().Message();
  EXPECT_EQ(SpecToJson(*from_json), SpecToJson(*ParseSpec(kFull)));
  EXPECT_EQ(SpecToJson(*from_crlf), SpecToJson(*ParseSpec(kFull)));
}

TEST(ParseSpec, ExpandsAliases) {
  auto spec = ParseSpec("model: &n m\ndata: {dataset: *n, target: t}\ntrain: {recipe: a.b}\n");
  ASSERT_TRUE(spec) << spec.error().Message();
  EXPECT_EQ(spec->data.dataset, "m");
}

// One change of the full spec, and the fault it makes: where and what is said.
struct Fault {
  std::string from, to, field;
  int line;
  std::string says;
};

const Fault kFaults[] = {
    {"model: parcel-sorter", "modle: parcel-sorter", "modle", 2, "did you mean 'model'?"},
    {"model: parcel-sorter", "model: ../etc", "model", 2, "a character that is not allowed"},
    {"model: parcel-sorter", "model: 7", "model", 2, "must be text, not '7'; put it in quotes"},
    {"model: parcel-sorter", "model: [a]", "model", 2, "must be text, not a list"},
    {"model: parcel-sorter", "model:", "model", 2, "is missing"},
    {"dataset: parcels", "datset: parcels", "data.datset", 4, "did you mean 'dataset'?"},
    {"dataset: parcels", "dataset: ''", "data.dataset", 4, "it is empty"},
    {"target: label", "target: row", "data.target", 5, "taken for the row number"},
    {"holdout: 0.25", "holdout: 0.95", "data.split.holdout", 6, "together must be below 1"},
    {"holdout: 0.25", "holdout: 1", "data.split.holdout", 6, "a share above 0 and below 1, not '1'"},
    {"holdout: 0.25", "holdout: .nan", "data.split.holdout", 6, "not '.nan'"},
    {"holdout: 0.25", "holdout: '0.25'", "data.split.holdout", 6, "a share"},
    {"key: id", "by_time: ts", "data.split.by_time", 6, "not available in this version"},
    {"in: [0, 1, 2]", "in: []", "data.expect[0].in", 8, "a list of the allowed values"},
    {"in: [0, 1, 2]", "inn: [0]", "data.expect[0].inn", 8, "did you mean 'in'?"},
    {", in: [0, 1, 2]", "", "data.expect[0].column", 8, "nothing that is expected of it"},
    {"max: 1e3", "max: -1", "data.expect[1].max", 9, "at least min"},
    {"missing_at_most: 0.01", "missing_at_most: 2", "data.expect[1].missing_at_most", 9, "a share from 0 to 1"},
    {"unique: true", "unique: 1", "data.expect[2].unique", 10, "must be true or false"},
    {"recipe: vision.classifier", "recipe: vision", "train.recipe", 12, "a recipe is written plugin.recipe"},
    {"recipe: vision.classifier", "command: python3 train.py", "train.command", 12, "must be a list such as"},
    {"recipe: vision.classifier", "command: []", "train.command", 12, "must have 1 to 256 words"},
    {"recipe: vision.classifier", "recipe: a.b\n  command: [x]", "train.command", 13, "keep one of the two"},
    {"  recipe: vision.classifier\n", "", "train.recipe", 12, "is missing"},
    {"epochs: 3", "epochs: -3", "train.params.epochs", 13, "at least 1"},
    {"epochs: 3", "epochs: 99999999999999999999", "train.params.epochs", 13, "fits 64 bits"},
    {"learning_rate: 1e-3", "learning_rate: .inf", "train.params.learning_rate", 13, "finite number"},
    {"  seed: 18446744073709551615", "  seed: -1", "train.seed", 14, "whole number from 0"},
    {"  seed: 18446744073709551615", "  sweep: {trials: 8}", "train.sweep", 14, "must name 1 to 32 parameters"},
    {"cpus: 2", "cpus: 0", "train.limits.cpus", 15, "a whole number from 1 to 1024, not '0'"},
    {"cpus: 2", "cpus: 1.5", "train.limits.cpus", 15, "a whole number"},
    {"memory: 2GiB", "memory: 2GB2", "train.limits.memory", 15, "the unit 'GB2' is not known"},
    {"memory: 2GiB", "memory: 12", "train.limits.memory", 15, "from 1MiB"},
    {"time: 30m", "time: -5", "train.limits.time", 15, "a time from 1s to 30d"},
    {"attempts: 5", "attempts: 99999999999", "train.limits.attempts", 15, "from 1 to 100"},
    {"metric: accuracy", "metric: acuracy", "test.metric", 17, "Did you mean 'accuracy'?"},
    {"metric: accuracy", "slices: [1, label, label]", "test.slices[2]", 17, "a second time"},
    {"metric: accuracy", "slices: label", "test.slices", 17, "must be a list of columns"},
    {"metric: accuracy", "slices: [{margin: -1, column: x}]", "test.slices[0].margin", 17, "at least 0"},
    {"metric: accuracy", "slices: [{margin: 1}]", "test.slices[0].column", 17, "is missing"},
    {"metric: accuracy", "min_rows: 1", "test.min_rows", 17, "from 2 to"},
    {"metric: accuracy", "group_by: [a]", "test.group_by", 17, "must be text"},
    {"{p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB}", "[20ms]", "test.budgets", 18, "must be a map with the keys p50_latency, p99_latency, bundle_size, memory"},
    {"p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB", "p99_latncy: 20ms", "test.budgets.p99_latncy", 18, "did you mean 'p99_latency'?"},
    {"p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB", "p99_latency: 20", "test.budgets.p99_latency", 18, "must be a time with its unit, from 1us to 10m such as 20ms, not"},
    {"p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB", "p50_latency: 0.5us", "test.budgets.p50_latency", 18, "not a whole number of microseconds"},
    {"p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB", "p50_latency: 11m", "test.budgets.p50_latency", 18, "from 1us to 10m"},
    {"p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB", "p50_latency: [5ms]", "test.budgets.p50_latency", 18, "not a list"},
    {"p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB", "bundle_size: 50mib", "test.budgets.bundle_size", 18, "the unit 'mib' is not known"},
    {"p50_latency: 1500us, p99_latency: 20ms, bundle_size: 50MiB, memory: 500MB", "memory: 0", "test.budgets.memory", 18, "from 1 byte"},
    {"better_by: 0.01", "better_by: -0.01", "gate.better_by", 20, "at least 0"},
    {"confidence: 0.99", "confidence: 2", "gate.confidence", 21, "0.5 to below 1"},
    {"baseline: majority", "baseline: majorty", "gate.baseline", 22, "did you mean 'majority'?"},
    {"baseline: majority", "baseline: most popular", "gate.baseline", 22, "not available in this version"},
    {"baseline: majority", "baseline: last value", "gate.baseline", 22, "not available in this version"},
    {"baseline: majority", "baseline: prior", "gate.baseline", 22, "must be auto or majority or mean or median or reset, not 'prior'"},
    {"baseline: majority", "baseline: [mean]", "gate.baseline", 22, "must be"},
    {"strategy: immediate", "strategy: canry", "release.strategy", 23, "did you mean 'canary'?"},
    {"strategy: immediate", "strategy: canary", "release.steps", 23, "is missing; it is the shares of traffic"},
    {"strategy: immediate", "strategy: canary, steps: []", "release.steps", 23, "a list of 1 to 20 shares"},
    {"strategy: immediate", "strategy: canary, steps: [5%, 25%]", "release.steps", 23, "must end with 100%"},
    {"strategy: immediate", "strategy: canary, steps: [5%, 5%, 100%]", "release.steps[1]", 23, "more than the step before"},
    {"strategy: immediate", "strategy: canary, steps: [0, 1]", "release.steps[0]", 23, "above 0 and at most 100%"},
    {"strategy: immediate", "strategy: canary, steps: [5%, 200%]", "release.steps[1]", 23, "above 0 and at most 100%"},
    {"strategy: immediate", "steps: [5%]", "release.steps", 23, "belongs to `strategy: canary`; this one is immediate"},
    {"strategy: immediate", "watch: {}", "release.watch", 23, "belongs to the strategies shadow, canary and ab"},
    {"strategy: immediate", "strategy: ab", "release.shares", 23, "is missing"},
    {"strategy: immediate", "strategy: ab, shares: {previous: 5%}", "release.shares.candidate", 23, "is missing"},
    {"strategy: immediate", "strategy: ab, shares: {candidate: 60%, previous: 40%}", "release.shares", 23, "must leave something to the live version"},
    {"strategy: immediate", "strategy: shadow, share: 0", "release.share", 23, "above 0 and at most 100%"},
    {"strategy: immediate", "strategy: shadow, watch: {metric_drop: 0.1}", "release.watch", 23, "what a shadow answers nobody sees"},
    {"strategy: immediate", "strategy: shadow, watch: {p99_latency: 50}", "release.watch.p99_latency", 23, "must be a time with its unit"},
    {"strategy: immediate", "strategy: shadow, watch: {error_rate: 100%}", "release.watch.error_rate", 23, "from 0 to below 100%"},
    {"strategy: immediate", "strategy: shadow, watch: {for: 0}", "release.watch.for", 23, "from 1s to 30d"},
    {"strategy: immediate", "strategy: shadow, watch: {min_requests: 0}", "release.watch.min_requests", 23, "from 1 to"},
    {"strategy: immediate", "strategy: shadow, watch: {error_rat: 1}", "release.watch.error_rat", 23, "did you mean 'error_rate'?"},
    {"approval: auto", "approval: manually", "release.approval", 23, "did you mean 'manual'?"},
    {"new_rows: 5000", "new_rows: 0", "retrain.new_rows", 25, "a whole number from 1"},
    {"new_rows: 5000", "schedule: '0 3 * *'", "retrain.schedule", 25, "five fields"},
    {"new_rows: 5000", "drift: 0", "retrain.drift", 25, "above 0"},
    {"new_rows: 5000", "live_metric_below: none", "retrain.live_metric_below", 25, "where lower is better"},
    {"new_rows: 5000", "live_metric_below: .inf", "retrain.live_metric_below", 25, "a number in the metric's own unit"},
    {"new_rows: 5000", "live_metric_below: 88", "retrain.live_metric_below", 25, "above 0 and at most 1"},
};

std::string Changed(std::string text, const std::string& from, const std::string& to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ParseSpec, NamesPathLineAndWhatIsAllowedForEachFault) {
  for (const Fault& fault : kFaults) {
    SCOPED_TRACE(fault.to);
    auto spec = ParseSpec(Changed(kFull, fault.from, fault.to));
    ASSERT_FALSE(spec);
    const Error& error = spec.error();
    EXPECT_EQ(error.code, ErrorCode::kInvalid);
    EXPECT_EQ(error.field, fault.field) << error.Message();
    EXPECT_EQ(error.line, fault.line) << error.Message();
    ASSERT_FALSE(error.details.empty());
    EXPECT_THAT(error.details[0].detail, HasSubstr(fault.says));
  }
}

// One entry of data.expect, whose first line is line 5, and the fault in it.
struct ExpectFault {
  std::string entry, field;
  int line;
  std::string says;
};

const ExpectFault kExpectFaults[] = {
    {"{columm: x, min: 0}", ".columm", 5, "did you mean 'column'?"},
    {"{column: x, min: a}", ".min", 5, "must be a number"},
    {"column: x\n      min: 0\n      missing_at_most: 1.5", ".missing_at_most", 7, "a share from 0 to 1"},
    {"{column: x, matches: '(a'}", ".matches", 5, ""},
    {"column: x\n      matches: ''", ".matches", 6, "1 to 1000 bytes"},
    {"{column: x, type: intger}", ".type", 5, "integer, real, text or blob"},
    {"{column: x, in: [99999999999999999999]}", "", 5, "'99999999999999999999' must fit 64 bits"},
    {"{unique: []}", ".unique", 5, "a list of 1 to 16 columns"},
    {"{unique: [a, a]}", ".unique", 5, "names column 'a' twice"},
    {"unique: [a, b]\n      min: 3", ".min", 6, "make it an entry of its own"},
    {"rows: 5", ".rows", 5, "a map with min, max or both"},
    {"rows:\n        min: 10\n        max: 5", ".rows.max", 7, "must be at least min"},
    {"rows: {minn: 10}", ".rows.minn", 5, "did you mean 'min'?"},
    {"fresh: {column: ts}", ".fresh.within", 5, "is missing"},
    {"fresh:\n        column: ts\n        within: soon", ".fresh.within", 7, "such as 90s, 30m, 12h or 2d"},
    {"fresh: {within: 2d}", ".fresh.column", 5, "the column of times"},
    {"like: previous", ".like", 5, "live version's training data"},
    {"like: live\n      columns: [a]\n      psi_at_most: -1", ".psi_at_most", 7, "at least 0"},
    {"{like: live, ks_at_most: 2}", ".ks_at_most", 5, "a distance from 0 to 1"},
    {"~", "", 5, "must be a map such as"},
    {"{}", "", 5, "must be a map such as"},
    {"price", "", 5, "must be a map such as"},
};

TEST(ParseSpec, NamesPathAndLineOfEachFaultOfAnExpectation) {
  for (const ExpectFault& fault : kExpectFaults) {
    SCOPED_TRACE(fault.entry);
    auto spec = ParseSpec("model: m\ntrain: {recipe: a.b}\ndata:\n  expect:\n    - " + fault.entry + "\n  dataset: d\n  target: t\n");
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().field, "data.expect[0]" + fault.field) << spec.error().Message();
    EXPECT_EQ(spec.error().line, fault.line) << spec.error().Message();
    EXPECT_THAT(spec.error().details[0].detail, HasSubstr(fault.says));
  }
}

TEST(ParseSpec, TakesEveryFormOfExpectation) {
  auto spec = ParseSpec(
      "model: m\ntrain: {recipe: a.b}\ndata:\n  dataset: d\n  target: t\n  expect:\n"
      "    - {column: x, min: 0, max: , type: real}\n    - {unique: [a, b]}\n    - {rows: {min: 100}}\n"
      "    - {fresh: {column: ts, within: 2d}}\n    - {like: live, columns: [x], psi_at_most: 0.1}\n");
  ASSERT_TRUE(spec) << spec.error().Message();
  EXPECT_EQ(spec->data.expect.dump(),
            R"([{"column":"x","min":0,"type":"real"},{"unique":["a","b"]},{"rows":{"min":100}},)"
            R"({"fresh":{"column":"ts","within":"2d"}},{"columns":["x"],"like":"live","psi_at_most":0.1}])");
  EXPECT_TRUE(SpecFromJson(SpecToJson(*spec)));
}

TEST(ParseSpec, RefusesMoreExpectationsThanAreEvaluated) {
  std::string text = "model: m\ntrain: {recipe: a.b}\ndata:\n  dataset: d\n  target: t\n  expect:\n";
  for (int i = 0; i < 1001; ++i) text += "    - {rows: {min: 1}}\n";
  auto spec = ParseSpec(text);
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().field, "data.expect");
  EXPECT_THAT(spec.error().Message(), HasSubstr("at most 1000"));
}

TEST(ParseSpec, TellsEveryFaultAtOnce) {
  auto spec = ParseSpec("modle: x\ndata: {dataset: d}\ngate: {confidence: 2}\nrelease: 3\n");
  ASSERT_FALSE(spec);
  std::vector<std::string> fields;
  for (const FieldError& detail : spec.error().details) fields.push_back(detail.field);
  EXPECT_THAT(fields,
              testing::UnorderedElementsAre("modle", "model", "train", "data.target", "gate.confidence", "release"));
  EXPECT_THAT(spec.error().Message(), HasSubstr("(and 5 more faults)"));
}

TEST(ParseSpec, RefusesTextThatIsNoSpecWithItsLine) {
  struct Case {
    std::string text;
    int line;
    std::string says;
  };
  const Case cases[] = {
      {"", 0, "the spec is empty"},
      {"# only a comment\n", 0, "empty"},
      {"just words\n", 1, "must be a map"},
      {"- a\n- b\n", 1, "must be a map"},
      {kLeast + "model: again\n", 4, "stands twice"},
      {kLeast + "---\nmodel: b\n", 0, "more than one document"},
      {"model: !!python/object x\n", 1, "tags"},
      {"model: !mine {}\n", 1, "tags"},
      {"{a: 1}: b\n", 1, "a key is a list or a map"},
      {"model: m\n: x\n", 2, "a key is missing"},
      {"model: \"open\n", 1, "a quote is never closed"},
      {kLeast + "test: {metric: 'accuracy}\n", 4, "a quote is never closed"},
      {kLeast + "test: {metric: \"accuracy\\\"}\n", 4, "a quote is never closed"},
      {"model: m\ndata: *nothing\n", 2, "not valid YAML"},
      {"model: &a [*a]\n", 1, ""},
      {"model: m\ndata:\n\tdataset: d\n", 0, "tab"},
      {"model: m\ndata: x\xFF\n", 2, "not UTF-8"},
      {std::string("model: m\ndata: \0\n", 17), 2, "control character"},
      {"model: m\x1b\n", 1, "control character"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    auto spec = ParseSpec(c.text);
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(spec.error().Message(), HasSubstr(c.says));
    EXPECT_TRUE(c.line == 0 || spec.error().line == c.line) << spec.error().Message();
  }
}

std::string Repeated(const std::string& piece, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += piece;
  text.resize(bytes);
  return text;
}

// Every hostile text is refused well within a second (the limit is loose for slow and instrumented builds).
void ExpectRefusedFast(const std::string& text, ErrorCode code = ErrorCode::kInvalid) {
  auto start = std::chrono::steady_clock::now();
  auto spec = ParseSpec(text);
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().code, code) << spec.error().Message();
  EXPECT_LT(took.count(), 5.0) << spec.error().Message();
}

TEST(ParseSpec, RefusesBombsFast) {
  std::string laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 30; ++i) {
    std::string before = "*a" + std::to_string(i - 1), list = before;
    for (int j = 0; j < 9; ++j) list += ", " + before;
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + list + "]\n";
  }
  ExpectRefusedFast(laughs);
  std::string wide = "a: &a \"" + std::string(100'000, 'x') + "\"\nb: [";
  for (int i = 0; i < 10'000; ++i) wide += "*a, ";
  ExpectRefusedFast(wide + "]\n");
}

TEST(ParseSpec, RefusesDeepAndLongTextFast) {
  for (const char* piece : {"[",  "{",  "{a: ", "- ",   "? ",   "[[]",   "? - ",  "a: {",  "&a ",         "!",  "!a ",
                            "*",  "\"", "'",    "|\n",  ">\n ", "a:\n ", "---\n", "...\n", "%YAML 1.2\n", "\t", " ",
                            "\n", "#",  "[a, ", "a: [", ",",    ":",     ": ",    "]",     "}",           "a"}) {
    SCOPED_TRACE(piece);
    ExpectRefusedFast(Repeated(piece, kMaxSpecBytes));
  }
  std::string stairs;
  for (int i = 0; i < 700; ++i) stairs += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  ExpectRefusedFast(stairs.substr(0, kMaxSpecBytes));
  ExpectRefusedFast(Repeated("[", 10 << 20), ErrorCode::kTooLarge);
  ExpectRefusedFast(Repeated("a: {b: [c]}\n", 10 << 20), ErrorCode::kTooLarge);
}

TEST(ParseSpec, NeverCrashesOnMutatedSpecs) {
  std::mt19937_64 random(7);
  const std::string odd = "[]{}:,-#&*!|>'\"%@`?\n\t \r~0.eE+xX\xC3\xA9\xFF";
  int good = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string text = kFull;
    for (int change = 1 + static_cast<int>(random() % 4); change > 0; --change) {
      size_t at = random() % text.size(), length = std::min<size_t>(random() % 12, text.size() - at);
      switch (random() % 4) {
        case 0:
          text[at] = odd[random() % odd.size()];
          break;
        case 1:
          text.erase(at, length);
          break;
        case 2:
          text.insert(random() % text.size(), text.substr(at, length));
          break;
        case 3:
          text.insert(at, 1, odd[random() % odd.size()]);
          break;
      }
    }
    auto spec = ParseSpec(text);
    if (spec) {
      ++good;
      EXPECT_EQ(SpecToJson(SpecFromJson(SpecToJson(*spec)).value()), SpecToJson(*spec)) << text;
    } else {
      EXPECT_FALSE(spec.error().Message().empty());
    }
  }
  EXPECT_GT(good, 500);  // changes in comments and names leave specs good: the mutations are near the grammar
  EXPECT_LT(good, 19'000);
}

TEST(SpecToJson, IsTheInverseOfSpecFromJson) {
  for (const std::string& text : {kFull, kLeast}) {
    json written = SpecToJson(*ParseSpec(text));
    auto again = SpecFromJson(written);
    ASSERT_TRUE(again) << again.error().Message();
    EXPECT_EQ(SpecToJson(*again), written);
    EXPECT_EQ(SpecToJson(*ParseSpec(written.dump())), written);
  }
}

TEST(SpecFromJson, RefusesWhatTextWouldBeRefusedFor) {
  json deep = 1;
  for (int i = 0; i < 5'000; ++i) deep = json::array({deep});
  EXPECT_FALSE(SpecFromJson(deep));
  EXPECT_FALSE(SpecFromJson(json::array()));
  EXPECT_FALSE(SpecFromJson({{"model", 3}}));
}

TEST(ApplyOverrides, ChangesTheValuesNamed) {
  auto spec = ApplyOverrides(*ParseSpec(kFull), {{"train.params.epochs", 9},
                                                 {"train.params.new", {{"a", 1}}},
                                                 {"train.limits.memory", "1GiB"},
                                                 {"train.seed", 4},
                                                 {"gate.confidence", 0.9}});
  ASSERT_TRUE(spec) << spec.error().Message();
  EXPECT_EQ(spec->train.params["epochs"], 9);
  EXPECT_EQ(spec->train.params["new"]["a"], 1);
  EXPECT_EQ(spec->train.params["learning_rate"], 0.001);
  EXPECT_EQ(spec->train.limits.memory_bytes, 1LL << 30);
  EXPECT_EQ(spec->train.seed, 4u);
  EXPECT_EQ(spec->gate.confidence, 0.9);
}

TEST(ApplyOverrides, RefusesOtherPathsAndImpossibleValues) {
  Spec spec = *ParseSpec(kFull);
  struct Case {
    json overrides;
    std::string field, says;
  };
  const Case cases[] = {
      {{{"model", "other"}}, "model", "cannot be set for one run"},
      {{{"train.recipe", "a.b"}}, "train.recipe", "cannot be set"},
      {{{"gate.confidense", 0.9}}, "gate.confidense", "did you mean 'gate.confidence'?"},
      {{{"train.params.epochs.x", 1}}, "train.params.epochs.x", "not a map"},
      {{{"train.params.", 1}}, "train.params.", "cannot be set"},
      {{{"train.params.a..b", 1}}, "train.params.a..b", "cannot be set"},
      {{{"gate.confidence", 2}}, "gate.confidence", "0.5 to below 1"},
      {{{"train.limits.cpus", "many"}}, "train.limits.cpus", "a whole number"},
      {{{"train.params.epochs", std::nan("")}}, "train.params.epochs", "finite"},
  };
  for (const Case& c : cases) {
    auto changed = ApplyOverrides(spec, c.overrides);
    ASSERT_FALSE(changed) << c.field;
    EXPECT_EQ(changed.error().field, c.field) << changed.error().Message();
    EXPECT_THAT(changed.error().Message(), HasSubstr(c.says));
  }
  EXPECT_FALSE(ApplyOverrides(spec, json::array({1})));
}

TEST(ParseBytes, ReadsUnitsAndRefusesTheRest) {
  EXPECT_EQ(ParseBytes("2GiB").value(), 2LL << 30);
  EXPECT_EQ(ParseBytes("500MB").value(), 500'000'000);
  EXPECT_EQ(ParseBytes("1048576").value(), 1'048'576);
  EXPECT_EQ(ParseBytes("1.5 KiB").value(), 1536);
  for (const char* bad : {"", "GiB", "-1", "1e9", "2gib", "1.2.3", "1.5", "99999999999TiB", "2 GiB x", "nan"})
    EXPECT_EQ(ParseBytes(bad).error().code, ErrorCode::kInvalid) << bad;
}

TEST(ParseSeconds, ReadsUnitsAndRefusesTheRest) {
  EXPECT_EQ(ParseSeconds("30m").value(), 1800);
  EXPECT_EQ(ParseSeconds("2h").value(), 7200);
  EXPECT_EQ(ParseSeconds("1.5h").value(), 5400);
  EXPECT_EQ(ParseSeconds("90").value(), 90);
  for (const char* bad : {"", "m", "20ms", "1:30", "-5s", "0.5s"})
    EXPECT_EQ(ParseSeconds(bad).error().code, ErrorCode::kInvalid) << bad;
}

}  // namespace
}  // namespace ratchet::pipeline
