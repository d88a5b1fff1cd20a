#include <gtest/gtest.h>

#include "cli/human.h"
#include "cli/progress_bar.h"
#include "cli/run_view.h"

namespace ratchet::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

TEST(Bar, FillsByFraction) {
  EXPECT_EQ(Bar(0, 6, false), "[----]");
  EXPECT_EQ(Bar(0.5, 6, false), "[##--]");
  EXPECT_EQ(Bar(7, 6, false), "[####]");
  EXPECT_EQ(Bar(0.25, 6, true), "[█░░░]");
}

TEST(TransferLine, ShowsRateAndTimeLeft) {
  Transfer transfer{"a.pack", 5 << 20, 20 << 20, 1.0};
  EXPECT_EQ(TransferLine(transfer, 70, false),
            "a.pack [###----------]  25%  5.0 MiB of 20.0 MiB  5.0 MiB/s  0:03 left");
  EXPECT_EQ(TransferLine(transfer, 0, false), "a.pack  25%  5.0 MiB of 20.0 MiB  5.0 MiB/s  0:03 left");
}

TEST(TransferLine, CountsUpWhenTheTotalIsUnknown) {
  EXPECT_EQ(TransferLine({"stdin", 1024, -1, 2.0}, 80, true), "stdin  1.0 KiB  512 B/s");
}

TEST(CutPainted, KeepsColoursAndEndsThem) {
  EXPECT_EQ(CutPainted("\x1b[31mabcdef\x1b[0m", 4), "\x1b[31mabc…\x1b[0m");
  EXPECT_EQ(CutPainted("ab", 4), "ab");
}

TEST(StepFraction, CountsFinishedEpochsAndStepsWithin) {
  auto fraction = [](const char* json) { return StepFraction(ParseJson(json)); };
  EXPECT_DOUBLE_EQ(*fraction(R"({"epoch":1,"of":4})"), 0.25);
  EXPECT_DOUBLE_EQ(*fraction(R"({"epoch":2,"of":4,"step":5,"steps":10})"), 0.375);
  EXPECT_DOUBLE_EQ(*fraction(R"({"step":5,"steps":10})"), 0.5);
  EXPECT_FALSE(fraction(R"({"message":"x"})"));
  EXPECT_FALSE(fraction(R"({"epoch":1,"of":0})"));
}

Json RunningRun() {
  return ParseJson(
      R"({"id":5,"pipeline":"sorter","model":"sorter","state":"running","dataset":"parcels","dataset_version":1,
    "candidate":null,"steps":[
    {"name":"validate","state":"succeeded","started_at":1000000,"ended_at":1300000,"attempts":[],"progress":null},
    {"name":"train","state":"running","started_at":2000000,"attempts":[{"number":2,"state":"running","started_at":2000000}],
     "progress":{"phase":"train","epoch":1,"of":2,"loss":0.4123,"metrics":{"validation_accuracy":0.89},"rows_per_s":5200}},
    {"name":"test","state":"pending","attempts":[],"progress":null}]})");
}

TEST(AttemptFraction, CountsFromWhereTheAttemptResumed) {
  auto fraction = [](const char* json) { return AttemptFraction(ParseJson(json)); };
  EXPECT_EQ(fraction(R"({"epoch":1,"of":4,"step":5,"steps":10})"), 0.125);
  EXPECT_EQ(fraction(R"({"epoch":3,"of":4,"step":5,"steps":10,"from":2})"), 0.25) << "half an epoch of the two that are left";
  EXPECT_EQ(fraction(R"({"epoch":4,"of":4,"from":2})"), 1.0);
  EXPECT_EQ(fraction(R"({"epoch":4,"of":4,"from":4})"), std::nullopt);
  EXPECT_EQ(fraction(R"({"step":1,"steps":4})"), 0.25);
}

TEST(RunLines, ShowOneLineForMoreStepsThanAScreenHolds) {
  Json run = {{"id", 1}, {"state", "running"}, {"steps", Json::array()}};
  for (int i = 0; i < 1000; ++i)
    run["steps"].push_back({{"name", "fan-" + std::to_string(i)}, {"kind", "command"}, {"state", i < 990 ? "succeeded" : i < 992 ? "running" : "pending"}, {"attempts", Json::array()}});
  auto lines = RunLines(run, 0, {.columns = 100, .utf8 = false, .color = false});
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[1], "    others    990 of 998 ended \xC2\xB7 990 succeeded");
}

TEST(RunLines, ShowBarTimeLeftAndAttempt) {
  auto lines = RunLines(RunningRun(), 12 * kSecond, {.columns = 100, .utf8 = false, .color = false});
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "run 5 · sorter · parcels@1 · running");
  EXPECT_EQ(lines[1], "  + validate  300 ms");
  EXPECT_EQ(lines[2],
            "  > train     [############------------]  50%  0:10 left · attempt 2 · epoch 1/2 · "
            "loss 0.4123 · validation_accuracy 0.89 · 5,200 rows/s");
  EXPECT_EQ(lines[3], "    test      pending");
}

TEST(RunChanges, TellsEachChangeOnce) {
  Json run = RunningRun();
  EXPECT_EQ(
      RunChanges(Json(), run),
      (std::vector<std::string>{"run 5: running", "run 5: validate: succeeded, 300 ms", "run 5: train: running",
                                "run 5: train: epoch 1/2 · loss 0.4123 · validation_accuracy 0.89 · 5,200 rows/s"}));
  EXPECT_TRUE(RunChanges(run, run).empty());
  Json failed = run;
  failed["steps"][1]["state"] = "failed";
  failed["steps"][1]["attempts"][0]["error"] = {{"class", "user"}, {"message", "exit code 1"}, {"hint", "See the log"}};
  EXPECT_EQ(RunChanges(run, failed), (std::vector<std::string>{"run 5: train: failed, exit code 1. See the log"}));
}

TEST(RunChanges, WarnsOnceOfALookThatCanHardlyProveAnything) {
  const Json before = ParseJson(R"({"id":5,"state":"running","steps":[],"forecast":null})");
  Json now = before;
  now["forecast"] = {{"worthwhile", false}, {"sentence", "Push rows."}};
  EXPECT_EQ(RunChanges(before, now), (std::vector<std::string>{"run 5: warning: Push rows."}));
  EXPECT_TRUE(RunChanges(now, now).empty());
  const auto lines = RunLines(now, 0, {.columns = 12, .utf8 = false, .color = false});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_LE(lines[1].size(), 14u) << "one line of the terminal, with what marks the cut";
  now["forecast"]["worthwhile"] = true;
  EXPECT_TRUE(RunChanges(before, now).empty());
}

TEST(RunVerdict, SaysOutcomeCandidateAndWhy) {
  EXPECT_EQ(RunVerdict(ParseJson(R"({"id":5,"model":"m","state":"succeeded","outcome":"promoted","candidate":2,
                                     "summary":"Better by 0.03."})")),
            "run 5: promoted m@2. Better by 0.03.");
  EXPECT_EQ(
      RunVerdict(ParseJson(R"({"id":6,"model":"m","state":"failed","outcome":"failed","candidate":null,"summary":"",
                                     "error":{"class":"user","message":"exit code 1","hint":"See the log"}})")),
      "run 6: failed: exit code 1. See the log");
}

TEST(RunExitCode, IsZeroForPromotedOnly) {
  for (const char* outcome : {"rejected", "failed", "cancelled"}) EXPECT_EQ(RunExitCode(Json{{"outcome", outcome}}), 1);
  EXPECT_EQ(RunExitCode(Json{{"outcome", "promoted"}}), 0);
  EXPECT_EQ(RunExitCode(Json{{"outcome", nullptr}}), 1);
}

}  // namespace
}  // namespace ratchet::cli
