#include "pipeline/step_folder.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/names.h"
#include "pipeline/graph.h"

namespace ratchet::pipeline {
namespace {

using registry::BlobStore;
using registry::Json;

constexpr std::uint64_t kMaxResultBytes = 8u << 20;
constexpr std::streamoff kProgressTailBytes = 16 * 1024;
constexpr std::streamoff kLogTailBytes = 4 * 1024;
constexpr std::streamoff kMaxProgressBytes = 4 << 20;
constexpr size_t kMaxTailLines = 20;
constexpr size_t kMaxTailLineBytes = 500;
constexpr size_t kMaxEpochs = 10'000;
constexpr int kOpenFiles = 1024;

Json Packs(const StepInputs& inputs, const BlobStore& blobs, const std::string& split) {
  Json paths = Json::array();
  for (const Json& segment : inputs.data->dataset_manifest.at("segments"))
    if (segment.at("split") == split) paths.push_back(blobs.PathOf(segment.at("sha256")));
  return paths;
}

Json BundlePaths(const registry::Version& version, const BlobStore& blobs) {
  return {{"version", version.version},
          {"manifest", blobs.PathOf(version.bundle)},
          {"model", blobs.PathOf(version.manifest.at("files").at("model.pt").at("sha256"))}};
}

// Whether the step sees the dataset at all; the user's own see what their inputs ask for.
bool IsOwn(const StepInputs& inputs) { return inputs.step.kind == "command" || inputs.step.kind == "recipe"; }

bool Asks(const StepInputs& inputs, const std::string& input) {
  return std::ranges::count(inputs.work->inputs, input) > 0;
}

Json DataPart(const StepInputs& inputs) {
  if (IsOwn(inputs) && !Asks(inputs, "data.train") && !Asks(inputs, "data.validation")) return {};
  const Json& manifest = inputs.data->dataset_manifest;
  return {{"dataset", inputs.data->dataset.dataset}, {"version", inputs.data->dataset.version},
          {"manifest", inputs.data->dataset.manifest}, {"target", inputs.spec->data.target},
          {"key", manifest.at("split").value("key", Json())}, {"schema", manifest.at("schema")},
          {"expect", inputs.spec->data.expect}};
}

Json InputsPart(const StepInputs& inputs, const BlobStore& blobs) {
  Json part = Json::object();
  for (const char* split : {"train", "validation"})
    part[split] = !IsOwn(inputs) || Asks(inputs, std::string("data.") + split) ? Packs(inputs, blobs, split) : Json::array();
  part["files"] = Json::object();
  for (const auto& [name, sha256] : inputs.files) part["files"][name] = blobs.PathOf(sha256);
  if (!inputs.reference.is_null()) {
    part["reference"] = Json::array();
    for (const Json& segment : inputs.reference.at("segments"))
      if (segment.at("split") == "train") part["reference"].push_back(blobs.PathOf(segment.at("sha256")));
  }
  return part;
}

// A trial is a training with parameters of its own.
Json ParamsPart(const StepInputs& inputs) {
  Json params = inputs.work->params;
  if (inputs.step.params) params.update(*inputs.step.params);
  return params;
}

std::string KindPart(const std::string& kind) { return kind == "trial" ? "train" : kind; }

Json LimitsPart(const LimitSpec& limits) {
  return {{"cpus", limits.cpus}, {"memory_bytes", limits.memory_bytes}, {"time_s", limits.time_s},
          {"disk_bytes", limits.disk_bytes}, {"open_files", kOpenFiles}};
}

// The end of a file that a step writes. Only a regular file is opened: a pipe in its place would hold the caller.
std::string ReadTail(const std::string& path, std::streamoff limit_bytes) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path, ignored))) return "";
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  std::streamoff size = file.tellg();
  std::streamoff start = std::max<std::streamoff>(0, size - limit_bytes);
  std::string tail(static_cast<size_t>(size - start), '\0');
  file.seekg(start);
  file.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  return tail;
}

// What a step prints may be anything, and a cut may halve a character; the registry holds text.
std::string AsText(std::string line) {
  if (!IsUtf8Text(line))
    std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) >= 0x80 || c == '\0'; }, '?');
  return line;
}

void AddAll(Json& list, const Json& paths) {
  for (const Json& path : paths) list.push_back(path);
}

Json EpochPacks(const StepInputs& inputs, const BlobStore& blobs) {
  Json paths = Json::array();
  for (const Json& segment : inputs.holdout_manifest.at("segments")) {
    const std::int64_t push = segment.at("push");
    if (segment.at("split") != "holdout" || push <= inputs.epoch->after_push || push > inputs.epoch->until_push) continue;
    paths.push_back(blobs.PathOf(segment.at("sha256")));
  }
  return paths;
}

// What is kept of a row beside its scores, for slices and groups.
Json ColumnsBeside(const TestSpec& test) {
  Json columns = Json::array();
  for (const SliceSpec& slice : test.slices) columns.push_back(slice.column);
  if (test.group_by && std::ranges::count(test.slices, *test.group_by, &SliceSpec::column) == 0) columns.push_back(*test.group_by);
  return columns;
}

// What only the test step gets: the sealed rows and the two bundles.
void AddTestPart(Json& step, const StepInputs& inputs, const BlobStore& blobs) {
  step["inputs"]["holdout"] = EpochPacks(inputs, blobs);
  step["candidate"] = BundlePaths(*inputs.candidate, blobs);
  step["live"] = inputs.live ? BundlePaths(*inputs.live, blobs) : Json();
  step["metric"] = inputs.metric;
  step["baseline"] = inputs.spec->gate.baseline;
  step["slices"] = ColumnsBeside(inputs.spec->test);
  step["serving"] = inputs.serve_program.empty() ? Json() : Json{{"program", inputs.serve_program}};
  step["leakage"] = LeakageToJson(inputs.spec->data.leakage);
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
  const WorkSpec& work = *inputs.work;
  const std::string& name = inputs.step.name;
  Json command_files = Json::object();
  if (work.command)
    for (const auto& [file, sha256] : inputs.data->trainer_files.items()) command_files[file] = blobs.PathOf(sha256);
  Json step = {{"format", 1}, {"run", run.id}, {"step", name}, {"attempt", inputs.attempt},
               {"kind", KindPart(inputs.step.kind)}, {"folder", AttemptFolder(inputs.data_dir, run.id, name, inputs.attempt)},
               {"pipeline", run.pipeline}, {"revision", run.revision}, {"model", run.model},
               {"recipe", work.recipe ? Json(*work.recipe) : Json()},
               {"command", work.command ? Json(*work.command) : Json()}, {"command_files", command_files},
               {"params", ParamsPart(inputs)}, {"seed", work.seed}, {"data", DataPart(inputs)},
               {"inputs", InputsPart(inputs, blobs)}, {"metric", inputs.metric}, {"limits", LimitsPart(work.limits)},
               {"resume", inputs.resume ? Json(*inputs.resume) : Json()}};
  if (const StepSpec* own = FindStep(*inputs.spec, name)) {
    step["input_names"] = own->inputs;
    step["outputs"] = own->outputs;
  }
  if (name == "test") AddTestPart(step, inputs, blobs);
  step["sandbox"] = {{"data_dir", inputs.data_dir}, {"read", ReadablePaths(step)}, {"required", inputs.sandbox_required}};
  return step;
}

Status WriteStepFolder(Files& files, const Json& step) {
  const std::string folder = step.at("folder");
  std::error_code error;
  if (!std::filesystem::create_directories(folder, error) && !error) {
    // Left by a daemon that died before it noted the attempt.
    RATCHET_TRY(files.RemoveAll(folder));
    std::filesystem::create_directories(folder, error);
  }
  std::ofstream file(folder + "/step.json", std::ios::binary);
  file << step.dump(1);
  file.close();
  if (error || !file)
    return Fail(ErrorCode::kUnavailable, "write", folder + "/step.json", error ? error.message() : "no space or no access");
  return {};
}

Json LogTail(const std::string& folder) {
  // The log goes on in segments named by the offset of their first byte.
  std::error_code ignored;
  std::string newest = folder + "/log";
  std::uint64_t highest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("log.")) continue;
    const std::uint64_t start = std::strtoull(name.c_str() + 4, nullptr, 10);
    if (start >= highest) {
      highest = start;
      newest = entry.path();
    }
  }
  std::string tail = ReadTail(newest, kLogTailBytes);
  Json lines = Json::array();
  std::istringstream stream(tail);
  for (std::string line; std::getline(stream, line);)
    if (!line.empty()) lines.push_back(AsText(line.substr(0, kMaxTailLineBytes)));
  while (lines.size() > kMaxTailLines) lines.erase(lines.begin());
  return lines;
}

std::vector<Json> EpochProgress(const std::string& folder) {
  std::vector<Json> epochs;
  std::istringstream stream(ReadTail(folder + "/progress.jsonl", kMaxProgressBytes));
  for (std::string line; std::getline(stream, line) && epochs.size() < kMaxEpochs;) {
    Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.contains("epoch") && json.contains("metrics") && json["metrics"].is_object())
      epochs.push_back(std::move(json));
  }
  return epochs;
}

// What is read of a result must be of the type that it is read as: the daemon does not die of a worker's slip.
static bool HasForm(const Json& result) {
  auto is_object = [](const Json& part) { return part.is_null() || part.is_object(); };
  if (!result.is_object() || !result.contains("outcome") || !result["outcome"].is_string()) return false;
  if (!is_object(result.value("error", Json())) || !is_object(result.value("training_metrics", Json()))) return false;
  const Json outputs = result.value("outputs", Json::object());
  return outputs.is_object() && std::ranges::all_of(outputs, [](const Json& output) {
           return output.is_object() && output.value("path", Json()).is_string() && output.value("sha256", Json()).is_string() &&
                  output.value("bytes", Json()).is_number_integer();
         });
}

static bool IsEvidence(const Json& result) {
  if (result["evidence"] == "numbers") return true;
  const Json names = result.value("class_names", Json::array());
  return result["evidence"] == "classes" && result.value("classes", Json()).is_number_integer() && names.is_array() &&
         std::ranges::all_of(names, [](const Json& name) { return name.is_string(); });
}

bool HasScores(const Json& test_result) { return test_result.contains("evidence") || test_result.contains("per_row"); }

bool IsTestResult(const Json& result) {
  for (const char* text : {"metric", "opponent_kind"})
    if (!result.value(text, Json()).is_string()) return false;
  if (result.contains("live_unscorable")) {
    const Json& why = result["live_unscorable"];
    for (const char* text : {"reason", "message"})
      if (!why.is_object() || !why.value(text, Json()).is_string()) return false;
    if (!HasScores(result)) return true;
  }
  if (result.contains("evidence")) return IsEvidence(result);
  if (!result.value("per_row", Json()).is_string()) return false;
  return result.value("candidate", Json()).is_number() && result.value("opponent", Json()).is_number() &&
         result.value("higher_is_better", Json(true)).is_boolean();
}

Result<std::optional<Json>> ReadResult(Files& files, const std::string& folder) {
  std::string path = folder + "/result.json";
  auto text = files.Read(path, kMaxResultBytes);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) return std::nullopt;
    return std::unexpected(text.error());
  }
  Json result = Json::parse(*text, nullptr, false);
  if (!HasForm(result))
    return Fail(ErrorCode::kCorrupt, "read", path, "not a step's result");
  return result;
}

std::optional<Json> LatestProgress(const std::string& folder) {
  std::string tail = ReadTail(folder + "/progress.jsonl", kProgressTailBytes);
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
