#include "worker/step_spec.h"

#include <gtest/gtest.h>

namespace ratchet::worker {
namespace {

using nlohmann::json;

json Sound() {
  return {{"format", 1},
          {"run", 5},
          {"step", "train"},
          {"attempt", 2},
          {"kind", "train"},
          {"folder", "/d/runs/5/train-2"},
          {"recipe", "vision.classifier"},
          {"command", nullptr},
          {"params", {{"epochs", 3}}},
          {"seed", 7},
          {"data", {{"dataset", "p"}, {"version", 1}, {"target", "label"}, {"key", nullptr}}},
          {"inputs", {{"train", {"/d/a"}}, {"validation", json::array()}}},
          {"limits", {{"cpus", 2}, {"memory_bytes", 1024}, {"time_s", 60}}},
          {"resume", "/d/runs/5/train-1/checkpoint"}};
}

TEST(ParseStepSpec, ReadsWhatIsGivenAndDefaultsTheRest) {
  const auto spec = ParseStepSpec(Sound().dump());
  ASSERT_TRUE(spec.has_value()) << spec.error().Message();
  EXPECT_EQ(spec->recipe, "vision.classifier");
  EXPECT_TRUE(spec->command.empty());
  EXPECT_EQ(spec->attempt, 2);
  EXPECT_EQ(spec->limits.cpus, 2);
  EXPECT_EQ(spec->limits.open_files, 1024);
  EXPECT_EQ(spec->data.key, "");
  EXPECT_EQ(spec->resume, "/d/runs/5/train-1/checkpoint");
  EXPECT_TRUE(spec->sandbox.required);
}

TEST(ParseStepSpec, RefusesTheHoldoutForAllButTests) {
  auto step = Sound();
  step["inputs"]["holdout"] = {"/d/secret"};
  const auto spec = ParseStepSpec(step.dump());
  ASSERT_FALSE(spec.has_value());
  EXPECT_NE(spec.error().Message().find("inputs.holdout"), std::string::npos);
}

TEST(ParseStepSpec, RefusesWhatItCannotRun) {
  const std::vector<std::pair<const char*, json>> wrong{
      {"/format", 2},        {"/kind", "dance"},       {"/folder", "relative"}, {"/recipe", nullptr},
      {"/command", {"x"}},   {"/limits/cpus", 0},      {"/limits/time_s", -1},  {"/limits/memory_bytes", 0},
      {"/inputs/train", 12}, {"/limits/open_files", 2}};
  for (const auto& [at, value] : wrong) {
    auto step = Sound();
    step[json::json_pointer(at)] = value;
    EXPECT_FALSE(ParseStepSpec(step.dump()).has_value()) << at;
  }
  EXPECT_FALSE(ParseStepSpec("{").has_value());
  EXPECT_FALSE(ParseStepSpec("[]").has_value());
}

}  // namespace
}  // namespace ratchet::worker
