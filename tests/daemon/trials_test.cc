#include "daemon/trials.h"

#include <gtest/gtest.h>

#include "pipeline/graph.h"
#include "pipeline/spec.h"

namespace ratchet::daemon {
namespace {

using registry::Step;
using registry::StepState;

constexpr char kSpec[] =
    "model: toys\n"
    "data: {dataset: toys, target: label}\n"
    "train:\n"
    "  recipe: tabular.classifier\n"
    "  sweep: {learning_rate: {log: [0.001, 0.1]}, depth: [1, 3], shape: [flat, deep], trials: 3, search: random}\n";

Json Epoch(int epoch, double value) {
  return {{"epoch", epoch}, {"of", 4}, {"metrics", {{"validation_accuracy", value}}}};
}

registry::Run SweepRun() {
  const auto spec = pipeline::ParseSpec(kSpec);
  EXPECT_TRUE(spec) << spec.error().Message();
  registry::Run run{.id = 5, .spec = pipeline::SpecToJson(*spec)};
  for (const auto& input : pipeline::PlanSteps(*spec)) run.steps.push_back({.name = input.name, .kind = input.kind, .params = input.params});
  return run;
}

Step& Named(registry::Run& run, const std::string& name) { return const_cast<Step&>(*run.FindStep(name)); }

TEST(Trials, AreRankedByTheirBestEpoch) {
  auto run = SweepRun();
  Named(run, "trial-1").state = StepState::kSucceeded;
  Named(run, "trial-1").outputs = Json{{"epochs", {Epoch(1, 0.5), Epoch(2, 0.9), Epoch(3, 0.7), Epoch(4, 0.8)}}};
  Step& pruned = Named(run, "trial-2");
  pruned.state = StepState::kSkipped;
  pruned.outputs = Json{{"epochs", {Epoch(1, 0.4)}}};
  pruned.attempts.push_back({.state = registry::AttemptState::kCancelled, .error = Json{{"class", "pruned"}, {"message", "third of three after epoch 1"}}});
  const Json trials = TrialsJson(run, "/none", "");
  EXPECT_EQ(trials["metric"], "validation_accuracy");
  EXPECT_EQ(trials["best"], "trial-1");
  EXPECT_EQ(trials["epochs_spent"], 5);
  EXPECT_EQ(trials["items"][0]["best"], 0.9);
  EXPECT_EQ(trials["items"][0]["best_epoch"], 2);
  EXPECT_EQ(trials["items"][0]["rank"], 1);
  EXPECT_EQ(trials["items"][0]["curve"].size(), 4u);
  EXPECT_EQ(trials["items"][1]["state"], "pruned");
  EXPECT_EQ(trials["items"][1]["reason"], "third of three after epoch 1");
  EXPECT_EQ(trials["items"][1]["of"], 4);
  EXPECT_TRUE(trials["items"][2]["rank"].is_null());
}

TEST(Trials, GiveTheAxesAndLinesOfAPlot) {
  auto run = SweepRun();
  Named(run, "trial-1").outputs = Json{{"epochs", {Epoch(1, 0.5)}}};
  const Json trials = TrialsJson(run, "/none", "accuracy");
  ASSERT_EQ(trials["axes"].size(), 4u);
  EXPECT_EQ(trials["axes"][0].dump(), R"({"domain":[1,3],"kind":"linear","name":"depth"})");
  EXPECT_EQ(trials["axes"][1].dump(), R"({"domain":[0.001,0.1],"kind":"log","name":"learning_rate"})");
  EXPECT_EQ(trials["axes"][2].dump(), R"({"domain":["flat","deep"],"kind":"category","name":"shape"})");
  EXPECT_EQ(trials["axes"][3]["name"], "validation_accuracy");
  ASSERT_EQ(trials["lines"].size(), 3u);
  EXPECT_EQ(trials["lines"][0]["values"][1], trials["items"][0]["params"]["learning_rate"]);
  EXPECT_EQ(trials["lines"][0]["values"][3], 0.5);
  EXPECT_TRUE(trials["lines"][1]["values"][3].is_null());
}

TEST(Trials, AreBetterTheLowerWhereTheMetricIsAnError) {
  auto run = SweepRun();
  const auto epoch = [](double value) { return Json{{"epoch", 1}, {"metrics", {{"validation_mae", value}}}}; };
  Named(run, "trial-1").outputs = Json{{"epochs", {epoch(3)}}};
  Named(run, "trial-2").outputs = Json{{"epochs", {epoch(2)}}};
  const Json trials = TrialsJson(run, "/none", "mae");
  EXPECT_EQ(trials["higher_is_better"], false);
  EXPECT_EQ(trials["best"], "trial-2");
}

TEST(Trials, AreNoneWithoutASweep) {
  const Json trials = TrialsJson(registry::Run{.id = 5}, "/none", "");
  EXPECT_TRUE(trials["items"].empty());
  EXPECT_TRUE(trials["axes"].empty());
  EXPECT_TRUE(trials["best"].is_null());
}

}  // namespace
}  // namespace ratchet::daemon
