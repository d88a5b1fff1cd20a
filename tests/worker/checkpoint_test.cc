#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <random>
#include <set>
#include <sstream>

#include "tests/worker/worker_process.h"
#include "worker/process_watch.h"

// The built-in recipes, killed in their third epoch in a real process, go on from where they were.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;

constexpr int kDeadlineMs = 120'000;

struct Case {
  std::string recipe;
  json params;
  lake::Schema schema;
  std::vector<lake::Row> (*rows)(int, unsigned);
  int count;
};

std::vector<lake::Row> Photos(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<lake::Row> rows;
  for (int i = 0; i < count; ++i) {
    std::string pixels(28 * 28, '\0');
    for (char& pixel : pixels) pixel = static_cast<char>(random() % 64);
    const std::int64_t label = random() % 4;
    for (int x = 0; x < 28; ++x) pixels[static_cast<size_t>(28 * (4 + 6 * label) + x)] = '\xf0';
    rows.push_back({std::move(pixels), label});
  }
  return rows;
}

std::vector<lake::Row> Numbers(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<lake::Row> rows;
  for (int i = 0; i < count; ++i) {
    const double x = static_cast<double>(random() % 1000) / 100, y = static_cast<double>(random() % 1000) / 100;
    rows.push_back({x, y, std::int64_t{x * y > 25}});
  }
  return rows;
}

Case Vision() {
  return {"vision.classifier",
          {{"epochs", 5}, {"width", 16}, {"shift", 1}},
          {{{"photo", lake::ColumnType::kBlob, {1, 28, 28}}, {"label", lake::ColumnType::kInteger, {}}}},
          Photos,
          6000};
}

Case Tabular() {
  return {"tabular.classifier",
          {{"epochs", 5}, {"batch_size", 16}},
          {{{"x", lake::ColumnType::kReal, {}},
            {"y", lake::ColumnType::kReal, {}},
            {"label", lake::ColumnType::kInteger, {}}}},
          Numbers,
          12'000};
}

void Fill(const Case& given, StepFolder& folder) {
  folder.step["recipe"] = given.recipe;
  folder.step["command"] = nullptr;
  folder.step["params"] = given.params;
  folder.step["data"]["schema"] = json::parse(lake::SchemaToJson(given.schema));
  folder.step["inputs"]["train"] = {folder.AddPack("train", given.schema, given.rows(given.count, 1))};
  folder.step["inputs"]["validation"] = {folder.AddPack("validation", given.schema, given.rows(200, 2))};
}

// The epochs that were begun, and waits until this one is among them.
std::set<int> EpochsOf(const StepFolder& folder) {
  std::set<int> epochs;
  std::istringstream lines(folder.Read("progress.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto progress = json::parse(line, nullptr, false);
    if (progress.is_object() && progress.value("phase", "") == "train" && progress.contains("step"))
      epochs.insert(progress.value("epoch", 0));
  }
  return epochs;
}

bool AwaitEpoch(const StepFolder& folder, int epoch) {
  const int watch = inotify_init1(IN_CLOEXEC);
  inotify_add_watch(watch, folder.path().c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
  std::array<char, 4096> events;
  bool begun = false;
  for (pollfd polled{watch, POLLIN, 0}; !(begun = EpochsOf(folder).contains(epoch)) && !folder.Has("exit.json");)
    if (poll(&polled, 1, kDeadlineMs) != 1 || read(watch, events.data(), events.size()) <= 0) break;
  close(watch);
  return begun;
}

class Checkpoint : public ::testing::TestWithParam<Case (*)()> {};

TEST_P(Checkpoint, LetsAKilledTrainingGoOnToTheSameWeights) {
  const Case given = GetParam()();
  const WorkerProcess worker({"--plugins", RATCHET_PLUGINS});
  StepFolder undisturbed, killed, resumed;
  for (auto* folder : {&undisturbed, &killed, &resumed}) Fill(given, *folder);
  ASSERT_EQ(undisturbed.Run(worker)["exit_code"], 0) << undisturbed.Read("log");
  EXPECT_EQ(EpochsOf(undisturbed), (std::set{1, 2, 3, 4, 5}));

  ASSERT_EQ(killed.Start(worker)["event"], "started");
  ASSERT_TRUE(AwaitEpoch(killed, 3));
  for (const pid_t child : Family(killed.supervisor())) kill(child, SIGKILL);
  EXPECT_EQ(killed.AwaitExit()["signal"], SIGKILL);
  ASSERT_TRUE(killed.Result().is_null());

  resumed.step["resume"] = killed.path() + "/checkpoint";
  resumed.step["attempt"] = 2;
  ASSERT_EQ(resumed.Run(worker)["exit_code"], 0) << resumed.Read("log");
  // On a machine that is quick enough the third epoch has ended before the signal comes, and is not repeated either.
  const auto repeated = EpochsOf(resumed);
  EXPECT_FALSE(repeated.contains(1));
  EXPECT_FALSE(repeated.contains(2));
  EXPECT_TRUE(repeated.contains(5));
  const auto weights = undisturbed.Read("bundle/model.pt");
  EXPECT_GT(weights.size(), 1000u);
  EXPECT_TRUE(weights == resumed.Read("bundle/model.pt"));
}

INSTANTIATE_TEST_SUITE_P(Recipes, Checkpoint, ::testing::Values(Vision, Tabular),
                         [](const auto& info) { return info.param == Vision ? "Vision" : "Tabular"; });

}  // namespace
}  // namespace ratchet::worker::testing
