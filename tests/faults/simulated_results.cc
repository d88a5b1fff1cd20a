#include "tests/faults/simulated_results.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/digest.h"
#include "lake/pack.h"
#include "tests/pipeline/fake_bundle.h"

namespace ratchet::faults {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr int kRows = 200;

// Between 0 and 1, the same for the same training.
double Quality(const Json& step) {
  return std::stoul(Sha256Hex(step.at("params").dump() + step.at("seed").dump()).substr(0, 4), nullptr, 16) / 65536.0;
}

void WriteBundle(const Json& step, const std::string& folder) {
  Json inputs = Json::array();
  for (const Json& paths : step.at("inputs"))
    for (const Json& path : paths) inputs.push_back(path.get<std::string>().substr(path.get<std::string>().rfind('/') + 1));
  pipeline::WriteFakeBundle(folder, "weights of " + step.at("params").dump() + step.at("seed").dump() + inputs.dump());
}

// A pack costs a database each; there are few scores, so each is made once.
const std::string& ScoresPack(const std::string& folder, int right) {
  static std::map<int, std::string> made;
  std::string& bytes = made[right];
  if (!bytes.empty()) return bytes;
  const std::string path = folder + "/scores.new";
  fs::remove(path);
  lake::Schema schema{{{"candidate", lake::ColumnType::kReal, {}}, {"opponent", lake::ColumnType::kReal, {}}}};
  auto pack = lake::PackWriter::Create(path, schema);
  RATCHET_CHECK(pack);
  for (int i = 0; i < kRows; ++i)
    RATCHET_CHECK((*pack)->Add(lake::Row{i < right ? 1.0 : 0.0, i < kRows / 2 ? 1.0 : 0.0}));
  RATCHET_CHECK((*pack)->Finish());
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  fs::remove(path);
  return bytes = text.str();
}

// The worst candidates find a live version that cannot be scored; by `baseline: reset` the baseline stands in for it.
constexpr int kRightWhenUnscorable = 100;

Json WriteScores(const Json& step, const std::string& folder, double score) {
  const int right = static_cast<int>(score * kRows);
  const Json unscorable = {{"reason", "columns"}, {"message", "simulated"}};
  const bool live = !step.at("live").is_null(), reset = step.at("baseline") == "reset";
  if (live && right < kRightWhenUnscorable && !reset)
    return {{"outcome", "succeeded"}, {"metric", "accuracy"}, {"opponent_kind", "live"}, {"live_unscorable", unscorable}};
  if (live && right < kRightWhenUnscorable) {
    Json result = WriteScores({{"live", nullptr}, {"baseline", "reset"}}, folder, 1 - score);
    result["live_unscorable"] = unscorable;
    return result;
  }
  std::ofstream(folder + "/scores.pack", std::ios::binary) << ScoresPack(folder, right);
  return {{"outcome", "succeeded"}, {"metric", "accuracy"}, {"higher_is_better", true}, {"rows", kRows},
          {"candidate", static_cast<double>(right) / kRows}, {"opponent", 0.5}, {"per_row", "correct"},
          {"opponent_kind", step.at("live").is_null() ? "majority" : "live"}};
}

}  // namespace

std::string EpochLine(const Json& step, int epoch, int of) {
  Json line = {{"epoch", epoch}, {"of", of},
               {"metrics", {{"validation_accuracy", Quality(step) * epoch / of}}}};
  return line.dump() + "\n";
}

Json WriteGoodResult(const Json& step, const std::string& folder, double score) {
  const std::string kind = step.at("kind");
  if (kind == "test") return WriteScores(step, folder, score);
  Json result = {{"outcome", "succeeded"}};
  if (kind == "train") {
    WriteBundle(step, folder);
    result["training_metrics"] = {{"validation_accuracy", Quality(step)}};
  }
  for (const Json& output : step.value("outputs", Json::array())) {
    const std::string name = output, text = "made by " + step.at("step").get<std::string>() + step.at("params").dump();
    std::ofstream(folder + "/" + name) << text;
    result["outputs"][name] = {{"path", name}, {"sha256", Sha256Hex(text)}, {"bytes", text.size()}};
  }
  return result;
}

}  // namespace ratchet::faults
