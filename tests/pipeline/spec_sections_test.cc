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

constexpr char kWithFeedback[] =
    "model: m\ndata: {dataset: d, target: t}\ntrain: {recipe: a.b}\n"
    "predictions: {sample: 0.25, redact: [name, address, name]}\nfeedback: {dataset: same, every: 50, within: 2h}\n";

TEST(PredictionsAndFeedback, AreReadAndWrittenOut) {
  const auto spec = ParseSpec(kWithFeedback);
  ASSERT_TRUE(spec) << spec.error().Message();
  EXPECT_EQ(spec->predictions.sample, 0.25);
  EXPECT_EQ(spec->predictions.redact, (std::vector<std::string>{"address", "name"}));
  EXPECT_EQ(spec->feedback.dataset, "d");
  EXPECT_EQ(spec->feedback.every, 50);
  EXPECT_EQ(spec->feedback.within_s, 7200);
  const json written = SpecToJson(*spec);
  EXPECT_EQ(written["predictions"].dump(), R"({"redact":["address","name"],"sample":0.25})");
  EXPECT_EQ(written["feedback"].dump(), R"({"dataset":"d","every":50,"within":7200})");
  EXPECT_EQ(SpecToJson(*SpecFromJson(written)), written);
}

TEST(PredictionsAndFeedback, NameWhatIsWrong) {
  const struct {
    const char *section, *field, *says;
  } cases[] = {{"predictions: {sample: 2}", "predictions.sample", "from 0 to 1"},
               {"predictions: {redacted: [a]}", "predictions.redacted", "did you mean 'redact'?"},
               {"predictions: {redact: [nam]}", "predictions.redact[0]", "did you mean 'name'?"},
               {"feedback: {every: 10}", "feedback.dataset", "`same` is that of data.dataset"},
               {"feedback: {dataset: same, every: 0}", "feedback.every", "from 1"},
               {"feedback: {dataset: same, within: 1s}", "feedback.within", "1m to 3650d"},
               {"feedback: {dataset: No Name}", "feedback.dataset", ""}};
  const Known known{.recipes = json::array(), .schema_of = [](const std::string&) {
    return lake::Schema{.columns = {{.name = "t"}, {.name = "name"}}};
  }};
  for (const auto& [section, field, says] : cases) {
    const auto spec = ParseSpec(std::string("model: m\ndata: {dataset: d, target: t}\ntrain: {recipe: a.b}\n") + section, known);
    ASSERT_FALSE(spec) << section;
    EXPECT_EQ(spec.error().field, field);
    EXPECT_THAT(spec.error().Message(), HasSubstr(says));
  }
}

TEST(CheckRecipe, ChecksNameAndParametersAgainstTheWorkers) {
  json recipes = json::parse(R"([{"name":"vision.classifier","task":"classification","params":[
      {"name":"epochs","type":"integer","min":1,"max":1000},{"name":"learning_rate","type":"real","min":0,"max":1}]}])");
  auto with = [](const std::string& train) {
    return "model: m\ndata: {dataset: d, target: t}\ntrain:\n  " + train + "\n";
  };
  struct Case {
    std::string train, field, says;
    int line;
  };
  const Case cases[] = {
      {"recipe: vision.clasifier", "train.recipe", "did you mean 'vision.classifier'?", 4},
      {"recipe: vision.classifier\ntest:\n  metric: rmse", "test.metric", "rmse is a metric for regression", 6},
      {"recipe: vision.classifier\ngate: {baseline: median}", "gate.baseline",
       "median is no baseline for classification, which vision.classifier is for (there are: auto, majority, reset)", 5},
      {"recipe: vision.classifier\n  params: {epoch: 3}", "train.params.epoch", "did you mean 'epochs'?", 5},
      {"recipe: vision.classifier\n  params: {epochs: 0}", "train.params.epochs", "from 1 to 1000, not '0'", 5},
      {"recipe: vision.classifier\n  params: {epochs: 1.5}", "train.params.epochs", "of type integer", 5},
      {"recipe: vision.classifier\n  params:\n    learning_rate: fast", "train.params.learning_rate", "of type real",
       6},
  };
  for (const Case& c : cases) {
    std::string text = with(c.train);
    auto status = ParseSpec(text, {.recipes = recipes});
    ASSERT_FALSE(status) << c.train;
    EXPECT_EQ(CheckRecipe(*ParseSpec(text), recipes).error().field, c.field);
    EXPECT_EQ(status.error().field, c.field);
    EXPECT_EQ(status.error().line, c.line);
    EXPECT_THAT(status.error().Message(), HasSubstr(c.says));
  }
  EXPECT_TRUE(
      CheckRecipe(*ParseSpec(with("recipe: vision.classifier\n  params: {epochs: 3, learning_rate: 1}")), recipes));
  EXPECT_TRUE(CheckRecipe(*ParseSpec(with("command: [x]")), recipes));
  for (const char* baseline : {"auto", "majority", "reset"})
    EXPECT_TRUE(CheckRecipe(*ParseSpec(with(std::string("recipe: vision.classifier\ngate: {baseline: ") + baseline + "}")), recipes));
  EXPECT_TRUE(CheckRecipe(*ParseSpec(with("command: [x]\ngate: {baseline: median}")), recipes)) << "its task is not known yet";
}

// What is said of the first fault at this path; empty where there is none.
std::string FaultAt(const Result<Spec>& spec, const std::string& path) {
  if (spec) return "";
  for (const FieldError& fault : spec.error().details)
    if (fault.field == path) return fault.detail;
  return "no fault there, but: " + spec.error().details.front().field + " " + spec.error().details.front().detail;
}

TEST(ParseSpec, KnowsBothRulesOfTheGate) {
  const auto gate = [](const std::string& text) {
    return ParseSpec("model: m\ndata: {dataset: d, target: t}\ntrain: {recipe: a.b}\ngate: {" + text + "}\n");
  };
  const auto refresh = gate("rule: not_worse, margin: 0.01, fresh_rows: 500");
  ASSERT_TRUE(refresh) << refresh.error().Message();
  EXPECT_EQ(refresh->gate.margin, 0.01);
  EXPECT_EQ(refresh->gate.fresh_rows, 500);
  EXPECT_EQ(SpecToJson(*SpecFromJson(SpecToJson(*refresh))), SpecToJson(*refresh));
  EXPECT_EQ(gate("better_by: 0.1")->gate.fresh_rows, 1000);
  EXPECT_THAT(FaultAt(gate("rule: not_worse"), "gate.margin"), HasSubstr("is missing"));
  EXPECT_THAT(FaultAt(gate("rule: not_worse, margin: 0"), "gate.margin"), HasSubstr("above 0"));
  EXPECT_THAT(FaultAt(gate("rule: not_worse, margin: 1, better_by: 1"), "gate.better_by"), HasSubstr("rule: better"));
  EXPECT_THAT(FaultAt(gate("margin: 1"), "gate.margin"), HasSubstr("rule: not_worse"));
  EXPECT_THAT(FaultAt(gate("fresh_rows: 0"), "gate.fresh_rows"), HasSubstr("from 1 to"));
}

TEST(CheckRecipe, IsToldInTheSameRoundAsAllOtherFaults) {
  const json recipes = json::parse(R"([{"name":"vision.classifier","task":"classification","params":[]}])");
  const auto spec = ParseSpec("model: m\ndata: {datset: d, target: t}\ntrain: {recipe: vision.clasifier}\n", {.recipes = recipes});
  ASSERT_FALSE(spec);
  std::vector<std::string> fields;
  for (const FieldError& fault : spec.error().details) fields.push_back(fault.field);
  EXPECT_EQ(fields, (std::vector<std::string>{"data.datset", "data.dataset", "train.recipe"}));
}

TEST(ParseSpec, NamesColumnsThatTheDatasetDoesNotHave) {
  const lake::Schema schema = lake::SchemaFromJson(R"([{"name":"label","type":"text"},{"name":"price","type":"real"}])").value();
  const Known known{.schema_of = [&](const std::string& dataset) {
    return dataset == "parcels" ? std::optional(schema) : std::nullopt;
  }};
  auto spec = [&](const std::string& data) {
    return ParseSpec("model: m\ntrain: {recipe: a.b}\ndata:\n  target: lable\n  expect:\n    - {unique: [label, prize]}\n" + data, known);
  };
  const auto wrong = spec("    - {column: weight, not_null: true}\n  dataset: parcels\n");
  EXPECT_THAT(FaultAt(wrong, "data.target"), HasSubstr("parcels has no column 'lable'; did you mean 'label'? (there are: label, price)"));
  EXPECT_THAT(FaultAt(wrong, "data.expect[0]"), HasSubstr("'prize'; did you mean 'price'?"));
  EXPECT_THAT(FaultAt(wrong, "data.expect[1]"), HasSubstr("no column 'weight'"));
  EXPECT_EQ(wrong.error().details.at(0).line, 4);
  EXPECT_EQ(wrong.error().details.at(2).line, 7);
  EXPECT_TRUE(spec("  dataset: later\n")) << "a dataset without rows has no columns yet";
}

TEST(CheckRecipe, ChecksOwnStepsAndSweepsAsWell) {
  const json recipes = json::parse(R"([{"name":"vision.classifier","task":"classification","params":[
      {"name":"epochs","type":"integer","min":1,"max":1000},{"name":"learning_rate","type":"real","min":0,"max":1}]},
      {"name":"flow.sql","task":"step","params":[{"name":"query","type":"text"}]}])");
  auto fault = [&](const std::string& steps, const std::string& train) {
    const auto spec = ParseSpec("model: m\ndata: {dataset: d, target: t}\n" + steps + "train: {" + train + "}\n");
    EXPECT_TRUE(spec) << spec.error().Message();
    const Status status = spec ? CheckRecipe(*spec, recipes) : Status();
    return status ? "" : status.error().field + ": " + status.error().Message();
  };
  auto step = [](const std::string& work) { return "steps:\n  a: {" + work + "}\n"; };
  const std::string train = "recipe: vision.classifier";
  EXPECT_THAT(fault(step("recipe: flow.sqll"), train), HasSubstr("steps.a.recipe: "));
  EXPECT_THAT(fault(step("recipe: vision.classifier"), train), HasSubstr("is for training"));
  EXPECT_THAT(fault(step("recipe: flow.sql, params: {qery: x}"), train), HasSubstr("did you mean 'query'?"));
  EXPECT_THAT(fault("", "recipe: flow.sql"), HasSubstr("is for steps"));
  EXPECT_THAT(fault("", train + ", sweep: {nonsense: [1, 2]}"), HasSubstr("train.sweep.nonsense: "));
  EXPECT_THAT(fault("", train + ", sweep: {learning_rate: [5000, 0.1]}"), HasSubstr("from 0 to 1"));
  EXPECT_THAT(fault("", train + ", sweep: {epochs: {int: [0, 5]}, trials: 2}"), HasSubstr("train.sweep.epochs: "));
  EXPECT_EQ(fault(step("recipe: flow.sql, params: {query: x}"), train + ", sweep: {epochs: {int: [1, 5]}, trials: 2}"), "");
}

Result<Spec> WithSteps(const std::string& steps, const std::string& train = "command: [t]") {
  return ParseSpec("model: m\ndata: {dataset: d, target: t}\nsteps:\n" + steps + "train: {" + train + "}\n");
}

TEST(SpecSteps, ComeAfterThoseTheyNeed) {
  auto spec = WithSteps("  z: {command: [a], outputs: [x]}\n  a: {command: [b], inputs: [z.x, data.train]}\n  b: {command: [c], needs: [a]}\n");
  ASSERT_TRUE(spec) << FaultAt(spec, "");
  ASSERT_EQ(spec->steps.size(), 3u);
  EXPECT_EQ(spec->steps[0].name, "z");
  EXPECT_EQ(spec->steps[1].name, "a");
  EXPECT_EQ(spec->steps[2].name, "b");
  auto again = SpecFromJson(SpecToJson(*spec));
  ASSERT_TRUE(again);
  EXPECT_EQ(SpecToJson(*again), SpecToJson(*spec));
}

TEST(SpecSteps, RefuseWhatCannotRun) {
  EXPECT_NE(FaultAt(WithSteps("  a: {command: [x], needs: [b]}\n  b: {command: [x], needs: [a]}\n"), "steps.a").find("a needs b needs a"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  a: {command: [x], needs: [joni]}\n  join: {command: [x]}\n"), "steps.a.needs[0]").find("did you mean 'join'"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  a: {command: [x], outputs: [o]}\n"), "steps.a.outputs[0]").find("read by nothing"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  a: {command: [x], inputs: [b.o]}\n"), "steps.a.inputs[0]").find("which there is not"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  a: {command: [x], inputs: [data.holdout]}\n"), "steps.a.inputs[0]").find("gate alone"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  train: {command: [x]}\n"), "steps.train").find("built-in"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  a: {command: [x], outputs: ['../o']}\n"), "steps.a.outputs[0]").find("file name"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  a: {recipe: flow.pass, command: [x]}\n"), "steps.a.command").find("keep one"), std::string::npos);
  EXPECT_NE(FaultAt(WithSteps("  a: {command: [x], outputs: [o]}\n", "recipe: a.b, inputs: [a.o]"), "train.inputs").find("for a command"), std::string::npos);
}

TEST(SpecSchedule, IsOfOneOrTwoForms) {
  auto with = [](const std::string& retrain) { return ParseSpec("model: m\ndata: {dataset: d, target: t}\ntrain: {command: [x]}\nretrain: {" + retrain + "}\n"); };
  auto plain = with("schedule: '0 3 * * *'");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->retrain.zone, "UTC");
  auto zoned = with("schedule: {cron: '0 3 * * *', zone: Europe/Berlin}");
  ASSERT_TRUE(zoned);
  EXPECT_EQ(zoned->retrain.zone, "Europe/Berlin");
  EXPECT_EQ(SpecToJson(*SpecFromJson(SpecToJson(*zoned))), SpecToJson(*zoned));
  EXPECT_FALSE(with("schedule: '0 25 * * *'"));
  EXPECT_FALSE(with("schedule: {cron: '0 3 * * *', zone: Europe/Berlinn}"));
  EXPECT_FALSE(with("drift: 0"));
}

TEST(SpecLiveMetric, FitsTheMetricAsFarAsTheSpecNamesOne) {
  auto with = [](const std::string& more) {
    return ParseSpec("model: m\ndata: {dataset: d, target: t}\ntrain: {command: [x]}\n" + more);
  };
  auto spec = with("retrain: {live_metric_below: 0.88}\n");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->retrain.live_metric_below, 0.88);
  EXPECT_EQ(SpecFromJson(SpecToJson(*spec))->retrain.live_metric_below, 0.88);
  EXPECT_TRUE(with("test: {metric: mae}\nretrain: {live_metric_below: 120}\n"));
  EXPECT_NE(FaultAt(with("test: {metric: mae}\nretrain: {live_metric_below: -1}\n"), "retrain.live_metric_below").find("never below 0"),
            std::string::npos);
  EXPECT_NE(FaultAt(with("test: {metric: accuracy}\nretrain: {live_metric_below: 0}\n"), "retrain.live_metric_below").find("a share"),
            std::string::npos);
}

TEST(SpecRetry, NamesClasses) {
  auto spec = ParseSpec("model: m\ndata: {dataset: d, target: t}\ntrain: {command: [x], retry: {on: [timout]}}\n");
  EXPECT_NE(FaultAt(spec, "train.retry.on[0]").find("did you mean 'timeout'"), std::string::npos);
}

Result<Spec> WithLeakage(const std::string& leakage) {
  return ParseSpec("model: m\ndata:\n  dataset: d\n  target: t\n  leakage: " + leakage + "\ntrain: {recipe: a.b}\n");
}

TEST(Leakage, IsReadWrittenAndSetForOneRun) {
  const auto plain = ParseSpec("model: m\ndata: {dataset: d, target: t}\ntrain: {recipe: a.b}\n");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->data.leakage.equal, "auto");
  EXPECT_EQ(plain->data.leakage.near, "warn");
  EXPECT_FALSE(plain->data.leakage.at_most);
  const auto given = WithLeakage("{equal: refuse, near: off, at_most: 0.01}");
  ASSERT_TRUE(given) << given.error().Message();
  EXPECT_EQ(LeakageToJson(given->data.leakage), (json{{"equal", "refuse"}, {"near", "off"}, {"at_most", 0.01}}));
  const auto again = SpecFromJson(SpecToJson(*given));
  ASSERT_TRUE(again) << again.error().Message();
  EXPECT_EQ(SpecToJson(*again), SpecToJson(*given));
  const auto set = ApplyOverrides(*plain, {{"data.leakage.equal", "drop"}, {"data.leakage.at_most", 1}});
  ASSERT_TRUE(set) << set.error().Message();
  EXPECT_EQ(set->data.leakage.equal, "drop");
  EXPECT_EQ(set->data.leakage.at_most, 1.0);
}

TEST(Leakage, RefusesWhatItDoesNotKnow) {
  for (const auto& [given, field] : std::vector<std::pair<std::string, std::string>>{
           {"{equal: never}", "data.leakage.equal"}, {"{near: auto}", "data.leakage.near"}, {"{at_most: 2}", "data.leakage.at_most"},
           {"{at_most: -0.1}", "data.leakage.at_most"}, {"{same: drop}", "data.leakage.same"}, {"drop", "data.leakage"}}) {
    const auto spec = WithLeakage(given);
    ASSERT_FALSE(spec) << given;
    EXPECT_EQ(spec.error().field, field) << spec.error().Message();
    EXPECT_EQ(spec.error().line, 5);
  }
}

ReleaseSpec ReleaseOf(const std::string& release) {
  const std::string text = "model: m\ndata: {dataset: d, target: t}\ntrain: {recipe: a.b}\nrelease: " + release + "\n";
  auto spec = ParseSpec(text);
  EXPECT_TRUE(spec) << spec.error().Message();
  if (!spec) return {};
  auto again = SpecFromJson(SpecToJson(*spec));
  EXPECT_TRUE(again) << again.error().Message();
  EXPECT_EQ(again ? SpecToJson(*again) : json(), SpecToJson(*spec));
  return spec->release;
}

TEST(ReleaseSection, ReadsACanary) {
  const ReleaseSpec release = ReleaseOf(
      "{strategy: canary, steps: [5%, 0.25, 100%], approval: manual,"
      " watch: {error_rate: 1%, p99_latency: 50ms, metric_drop: 0.02, for: 2m, min_requests: 500, confidence: 0.99}}");
  EXPECT_EQ(release.strategy, "canary");
  EXPECT_EQ(release.steps, (std::vector<double>{0.05, 0.25, 1}));
  EXPECT_EQ(release.approval, "manual");
  EXPECT_EQ(release.watch.error_rate, 0.01);
  EXPECT_EQ(release.watch.p99_latency_us, 50'000);
  EXPECT_EQ(release.watch.metric_drop, 0.02);
  EXPECT_EQ(release.watch.for_s, 120);
  EXPECT_EQ(release.watch.min_requests, 500);
  EXPECT_EQ(release.watch.confidence, 0.99);
}

TEST(ReleaseSection, ReadsAShadowAndAnAbTest) {
  const ReleaseSpec shadow = ReleaseOf("{strategy: shadow, share: 20%}");
  EXPECT_EQ(shadow.share, 0.2);
  EXPECT_EQ(shadow.watch.for_s, 300);
  const ReleaseSpec ab = ReleaseOf("{strategy: ab, shares: {candidate: 40%, previous: 0.1}}");
  EXPECT_EQ(ab.shares, (std::map<std::string, double>{{"candidate", 0.4}, {"previous", 0.1}}));
}

TEST(ReleaseSection, RefusesADropThatCannotBeProven) {
  auto spec = ParseSpec("model: m\ndata: {dataset: d, target: t}\ntrain: {recipe: a.b}\ntest: {metric: rmse}\n"
                        "release: {strategy: canary, steps: [50%, 100%], watch: {metric_drop: 1}}\n");
  ASSERT_FALSE(spec);
  EXPECT_THAT(spec.error().Message(), HasSubstr("accuracy or log_loss"));
}

}  // namespace
}  // namespace ratchet::pipeline
