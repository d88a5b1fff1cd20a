#include "worker/step_spec.h"

#include <utility>

#include "base/files.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

// Reads keys of one object; throws json exceptions, which ParseStepSpec turns into an error.
template <typename T>
void Read(const json& from, const char* key, T& into) {
  if (const auto it = from.find(key); it != from.end() && !it->is_null()) it->get_to(into);
}

StepKind ReadKind(const json& step) {
  const auto kind = step.at("kind").get<std::string>();
  if (kind == "validate") return StepKind::kValidate;
  if (kind == "train") return StepKind::kTrain;
  if (kind == "test") return StepKind::kTest;
  if (kind == "command") return StepKind::kCommand;
  if (kind == "recipe") return StepKind::kRecipe;
  throw std::invalid_argument("kind: must be validate, train, test, command or recipe");
}

StepLimits ReadLimits(const json& step) {
  StepLimits limits;
  const auto it = step.find("limits");
  if (it == step.end() || it->is_null()) return limits;
  Read(*it, "cpus", limits.cpus);
  Read(*it, "memory_bytes", limits.memory_bytes);
  Read(*it, "time_s", limits.time_s);
  Read(*it, "disk_bytes", limits.disk_bytes);
  Read(*it, "open_files", limits.open_files);
  constexpr int kMostCpus = 4096;
  constexpr std::int64_t kMostSeconds = 10ll * 366 * 24 * 3600;
  if (limits.cpus < 1 || limits.cpus > kMostCpus) throw std::invalid_argument("limits.cpus: must be 1 to 4096");
  if (limits.time_s < 1 || limits.time_s > kMostSeconds) throw std::invalid_argument("limits.time_s: must be positive");
  if (limits.memory_bytes == 0) throw std::invalid_argument("limits.memory_bytes: must be positive");
  if (limits.disk_bytes == 0) throw std::invalid_argument("limits.disk_bytes: must be positive");
  if (limits.open_files < 16) throw std::invalid_argument("limits.open_files: must be at least 16");
  return limits;
}

StepData ReadData(const json& step) {
  StepData data;
  const auto it = step.find("data");
  if (it == step.end()) return data;
  Read(*it, "dataset", data.dataset);
  Read(*it, "version", data.version);
  Read(*it, "manifest", data.manifest);
  Read(*it, "target", data.target);
  Read(*it, "key", data.key);
  Read(*it, "schema", data.schema);
  Read(*it, "expect", data.expect);
  return data;
}

std::optional<BundleFiles> ReadBundle(const json& step, const char* key) {
  const auto it = step.find(key);
  if (it == step.end() || it->is_null()) return std::nullopt;
  return BundleFiles{it->at("manifest").get<std::string>(), it->at("model").get<std::string>()};
}

std::optional<StepServing> ReadServing(const json& step) {
  const auto it = step.find("serving");
  if (it == step.end() || it->is_null()) return std::nullopt;
  StepServing serving;
  serving.program = it->at("program").get<std::string>();
  Read(*it, "start_ms", serving.start_ms);
  Read(*it, "load_ms", serving.load_ms);
  Read(*it, "answer_ms", serving.answer_ms);
  return serving;
}

StepLeakage ReadLeakage(const json& step) {
  StepLeakage leakage;
  const auto it = step.find("leakage");
  if (it == step.end() || it->is_null()) return leakage;
  Read(*it, "equal", leakage.equal);
  Read(*it, "near", leakage.near);
  if (const auto share = it->find("at_most"); share != it->end() && share->is_number()) leakage.at_most = share->get<double>();
  return leakage;
}

StepSandbox ReadSandbox(const json& step) {
  StepSandbox sandbox;
  const auto it = step.find("sandbox");
  if (it == step.end()) return sandbox;
  Read(*it, "data_dir", sandbox.data_dir);
  Read(*it, "read", sandbox.read);
  Read(*it, "required", sandbox.required);
  return sandbox;
}

void ReadInputs(const json& step, StepSpec& spec) {
  if (const auto it = step.find("inputs"); it != step.end() && !it->is_null()) {
    Read(*it, "train", spec.train);
    Read(*it, "validation", spec.validation);
    Read(*it, "holdout", spec.holdout);
    Read(*it, "files", spec.files);
  }
  if (spec.kind != StepKind::kTest && !spec.holdout.empty())
    throw std::invalid_argument("inputs.holdout: only a test step may be given the holdout");
}

// Names of files, since the paths below the output folder are made of them.
void ReadOutputs(const json& step, StepSpec& spec) {
  Read(step, "outputs", spec.outputs);
  for (const auto& name : spec.outputs)
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos)
      throw std::invalid_argument("outputs: must be names of files");
}

StepSpec ReadSpec(const json& step) {
  if (step.at("format") != 1) throw std::invalid_argument("format: only 1 is known");
  StepSpec spec;
  spec.kind = ReadKind(step);
  spec.folder = step.at("folder").get<std::string>();
  if (!spec.folder.starts_with('/')) throw std::invalid_argument("folder: must be absolute");
  Read(step, "run", spec.run);
  Read(step, "step", spec.step);
  Read(step, "attempt", spec.attempt);
  Read(step, "pipeline", spec.pipeline);
  Read(step, "model", spec.model);
  Read(step, "revision", spec.revision);
  Read(step, "recipe", spec.recipe);
  Read(step, "command", spec.command);
  Read(step, "command_files", spec.command_files);
  Read(step, "params", spec.params);
  Read(step, "seed", spec.seed);
  Read(step, "metric", spec.metric);
  Read(step, "baseline", spec.baseline);
  Read(step, "slices", spec.slices);
  if (const auto it = step.find("resume"); it != step.end() && it->is_string()) spec.resume = it->get<std::string>();
  spec.data = ReadData(step);
  spec.leakage = ReadLeakage(step);
  spec.limits = ReadLimits(step);
  spec.sandbox = ReadSandbox(step);
  spec.candidate = ReadBundle(step, "candidate");
  spec.live = ReadBundle(step, "live");
  spec.serving = ReadServing(step);
  ReadInputs(step, spec);
  Read(step, "input_names", spec.input_names);
  ReadOutputs(step, spec);
  if (spec.kind == StepKind::kCommand && spec.command.empty())
    throw std::invalid_argument("command: a command step needs one");
  if (spec.kind == StepKind::kRecipe && spec.recipe.empty())
    throw std::invalid_argument("recipe: a recipe step needs one");
  if (spec.kind == StepKind::kTrain && spec.recipe.empty() == spec.command.empty())
    throw std::invalid_argument("recipe, command: a train step needs just one of them");
  return spec;
}

}  // namespace

std::string WorkFolder(const StepSpec& spec) { return spec.folder + "/work"; }

std::string CheckpointFolder(const StepSpec& spec) { return spec.folder + "/checkpoint"; }

Result<StepSpec> ParseStepSpec(const std::string& text) {
  try {
    return ReadSpec(json::parse(text));
  } catch (const std::exception& fault) {
    return Fail(ErrorCode::kInvalid, "read", "step.json", fault.what());
  }
}

Result<StepSpec> ReadStepSpec(const std::string& folder) {
  RATCHET_ASSIGN(const auto text, SystemFiles().Read(folder + "/step.json", kMaxStepSpecBytes));
  RATCHET_ASSIGN(auto spec, ParseStepSpec(text));
  if (spec.folder != folder)
    return Fail(ErrorCode::kInvalid, "read", folder + "/step.json", "folder: names another one");
  return spec;
}

}  // namespace ratchet::worker
