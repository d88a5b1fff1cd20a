#include "pipeline/step_folder.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace ratchet::pipeline {
namespace {

using registry::BlobStore;
using registry::Json;

constexpr std::uint64_t kMaxResultBytes = 8u << 20;
constexpr std::streamoff kProgressTailBytes = 16 * 1024;
constexpr int kOpenFiles = 1024;

Json Packs(const StepInputs& inputs, const BlobStore& blobs, const std::string& split) {
  Json paths = Json::array();
  for (const Json& segment : inputs.dataset_manifest.at("segments"))
    if (segment.at("split") == split) paths.push_back(blobs.PathOf(segment.at("sha256")));
  return paths;
}

Json BundlePaths(const registry::Version& version, const BlobStore& blobs) {
  return {{"version", version.version},
          {"manifest", blobs.PathOf(version.bundle)},
          {"model", blobs.PathOf(version.manifest.at("files").at("model.pt").at("sha256"))}};
}

Json DataPart(const StepInputs& inputs) {
  const Json& manifest = inputs.dataset_manifest;
  return {{"dataset", inputs.dataset.dataset}, {"version", inputs.dataset.version},
          {"manifest", inputs.dataset.manifest}, {"target", inputs.spec->data.target},
          {"key", manifest.at("split").value("key", Json())}, {"schema", manifest.at("schema")},
          {"expect", inputs.spec->data.expect}};
}

Json LimitsPart(const LimitSpec& limits) {
  return {{"cpus", limits.cpus}, {"memory_bytes", limits.memory_bytes}, {"time_s", limits.time_s},
          {"disk_bytes", limits.disk_bytes}, {"open_files", kOpenFiles}};
}

void AddAll(Json& list, const Json& paths) {
  for (const Json& path : paths) list.push_back(path);
}

// What only the test step gets: the sealed rows and the two bundles.
void AddTestPart(Json& step, const StepInputs& inputs, const BlobStore& blobs) {
  step["inputs"]["holdout"] = Packs(inputs, blobs, "holdout");
  step["candidate"] = BundlePaths(*inputs.candidate, blobs);
  step["live"] = inputs.live ? BundlePaths(*inputs.live, blobs) : Json();
  step["metric"] = inputs.metric;
  step["baseline"] = inputs.spec->gate.baseline;
  step["slices"] = Json::array();
}

// Every path below the data directory that the step's inputs name.
Json ReadablePaths(const Json& step) {
  Json paths = Json::array();
  for (const Json& packs : step.at("inputs")) AddAll(paths, packs);
  for (const Json& file : step.at("command_files")) paths.push_back(file);
  if (!step.at("resume").is_null()) paths.push_back(step.at("resume"));
  for (const char* bundle : {"candidate", "live"})
    if (step.contains(bundle) && step[bundle].is_object())
      for (const char* file : {"manifest", "model"}) paths.push_back(step[bundle][file]);
  return paths;
}

}  // namespace

std::string AttemptId(std::int64_t run, const std::string& step, std::int64_t number) {
  return std::to_string(run) + "/" + step + "-" + std::to_string(number);
}

std::string AttemptFolder(const std::string& data_dir, std::int64_t run, const std::string& step, std::int64_t number) {
  return data_dir + "/runs/" + AttemptId(run, step, number);
}

Json MakeStepFile(const StepInputs& inputs, const BlobStore& blobs) {
  const registry::Run& run = *inputs.run;
  const TrainSpec& train = inputs.spec->train;
  Json command_files = Json::object();
  for (const auto& [name, sha256] : inputs.trainer_files.items()) command_files[name] = blobs.PathOf(sha256);
  Json step = {{"format", 1}, {"run", run.id}, {"step", inputs.step}, {"attempt", inputs.attempt},
               {"kind", inputs.step}, {"folder", AttemptFolder(inputs.data_dir, run.id, inputs.step, inputs.attempt)},
               {"pipeline", run.pipeline}, {"revision", run.revision}, {"model", run.model},
               {"recipe", train.recipe ? Json(*train.recipe) : Json()},
               {"command", train.command ? Json(*train.command) : Json()}, {"command_files", command_files},
               {"params", train.params}, {"seed", train.seed}, {"data", DataPart(inputs)},
               {"inputs", {{"train", Packs(inputs, blobs, "train")}, {"validation", Packs(inputs, blobs, "validation")}}},
               {"metric", inputs.metric}, {"limits", LimitsPart(train.limits)},
               {"resume", inputs.resume ? Json(*inputs.resume) : Json()}};
  if (inputs.step == "test") AddTestPart(step, inputs, blobs);
  step["sandbox"] = {{"data_dir", inputs.data_dir}, {"read", ReadablePaths(step)}, {"required", inputs.sandbox_required}};
  return step;
}

Result<std::optional<Json>> ReadResult(Files& files, const std::string& folder) {
  std::string path = folder + "/result.json";
  auto text = files.Read(path, kMaxResultBytes);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) return std::nullopt;
    return std::unexpected(text.error());
  }
  Json result = Json::parse(*text, nullptr, false);
  if (!result.is_object() || !result.contains("outcome") || !result["outcome"].is_string())
    return Fail(ErrorCode::kCorrupt, "read", path, "not a step's result");
  return result;
}

std::optional<Json> LatestProgress(const std::string& folder) {
  std::error_code ignored;
  std::string path = folder + "/progress.jsonl";
  // Only a regular file is opened: a pipe in its place would hold the caller.
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path, ignored))) return std::nullopt;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return std::nullopt;
  std::streamoff size = file.tellg();
  std::streamoff start = std::max<std::streamoff>(0, size - kProgressTailBytes);
  std::string tail(static_cast<size_t>(size - start), '\0');
  file.seekg(start);
  file.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  while (true) {
    size_t end = tail.rfind('\n');
    if (end == std::string::npos) return std::nullopt;
    tail.resize(end);
    size_t begin = tail.rfind('\n');
    Json line = Json::parse(tail.substr(begin == std::string::npos ? 0 : begin + 1), nullptr, false);
    if (line.is_object()) return line;
  }
}

}  // namespace ratchet::pipeline
