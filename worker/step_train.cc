#include <ATen/Parallel.h>
#include <spdlog/fmt/fmt.h>

#include <filesystem>
#include <map>

#include "base/digest.h"
#include "base/files.h"
#include "lake/pack.h"
#include "registry/bundle_manifest.h"
#include "worker/bundle_check.h"
#include "worker/command_end.h"
#include "worker/command_process.h"
#include "worker/confined_call.h"
#include "worker/step_inputs.h"
#include "worker/steps.h"
#include "worker/trainer_output.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;
using registry::BundleManifest;

std::string ModelPath(const StepSpec& spec) { return spec.folder + "/bundle/model.pt"; }

registry::Lineage MakeLineage(const StepSpec& spec) {
  return {.pipeline = spec.pipeline,
          .revision = spec.revision,
          .run = spec.run,
          .dataset = spec.data.dataset,
          .dataset_version = spec.data.version,
          .dataset_manifest = spec.data.manifest,
          .params = spec.params,
          .seed = static_cast<std::int64_t>(spec.seed)};
}

// Adds the model file's digest to the manifest and writes it beside the model: the bundle is whole.
Status SealBundle(const StepSpec& spec, BundleManifest manifest) {
  RATCHET_ASSIGN(const auto sha256, Sha256File(ModelPath(spec)));
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(ModelPath(spec), failed);
  if (failed) return Fail(ErrorCode::kIo, "size", ModelPath(spec), failed.message());
  manifest.files[registry::kModelFile] = {sha256, bytes};
  RATCHET_TRY(registry::ValidateManifest(manifest));
  RATCHET_TRY(SystemFiles().Sync(ModelPath(spec)));
  return SystemFiles().WriteAtomic(spec.folder + "/bundle/manifest.json", registry::SerialiseManifest(manifest));
}

Result<registry::Signature> SignatureOfRecipe(const sdk::RecipeInfo& info, const sdk::TrainOutput& output) {
  json signature = output.signature;
  signature["task"] = info.task;
  signature["classes"] = output.classes;
  return registry::ParseSignature(signature.dump());
}

StepOutcome TrainByRecipe(const StepSpec& spec, const sdk::Recipe& recipe, ProgressLog& progress) {
  RATCHET_STEP_ASSIGN(const auto schema, lake::SchemaFromJson(spec.data.schema.dump()));
  RATCHET_STEP_ASSIGN(const auto params, sdk::CompleteParams(recipe.Info(), spec.params));
  sdk::TrainInput input{.train_packs = spec.train,
                        .validation_packs = spec.validation,
                        .files = spec.files,
                        .schema = schema,
                        .target = spec.data.target,
                        .key = spec.data.key,
                        .params = params,
                        .seed = spec.seed,
                        .threads = spec.limits.cpus,
                        .work_folder = spec.folder + "/tmp",
                        .checkpoint_folder = CheckpointFolder(spec),
                        .resume = spec.resume,
                        .model_path = ModelPath(spec),
                        .report = [&](const sdk::Progress& report) { progress.Report(report); }};
  at::set_num_threads(spec.limits.cpus);
  RATCHET_STEP_ASSIGN(const auto output, recipe.Train(input));
  RATCHET_STEP_ASSIGN(const auto signature, SignatureOfRecipe(recipe.Info(), output));
  RATCHET_STEP_TRY(TryModel(ModelPath(spec), signature, spec.train));
  BundleManifest manifest{.signature = signature,
                          .recipe = spec.recipe,
                          .target = spec.data.target,
                          .metric = spec.metric.empty() ? recipe.Info().metric : spec.metric,
                          .lineage = MakeLineage(spec)};
  manifest.lineage.params = params;
  manifest.training = {{"rows", output.rows}, {"epochs", output.epochs}, {"metrics", output.metrics}};
  RATCHET_STEP_TRY(SealBundle(spec, std::move(manifest)));
  return json{{"training_metrics", output.metrics}, {"rows", output.rows}, {"epochs", output.epochs}};
}

Result<CommandCall> PrepareCommand(const StepSpec& spec, SandboxMeans sandbox) {
  const auto work = WorkFolder(spec);
  CommandCall call{
      .argv = spec.command, .folder = work, .means = sandbox, .sandbox = {spec.folder, {work, CheckpointFolder(spec)}}};
  auto& variables = call.environment;
  RATCHET_TRY(MergeInputs(spec, spec.folder));
  const auto inputs = InputPaths(spec, spec.folder);
  const auto path_of = [&](const char* name) { return inputs.contains(name) ? inputs.at(name) : std::string(); };
  variables["RATCHET_TRAIN"] = path_of(kTrainInput);
  variables["RATCHET_VALIDATION"] = path_of(kValidationInput);
  RATCHET_TRY(WriteInputs(spec, work, spec.folder));
  variables["RATCHET_INPUTS"] = work + "/inputs.json";
  variables["RATCHET_STEP_FOLDER"] = spec.folder;
  for (const char* name : {"/out", "/tmp"}) RATCHET_TRY(SystemFiles().MakeFolders(work + name));
  variables["TMPDIR"] = work + "/tmp";
  variables["RATCHET_PARAMS"] = work + "/params.json";
  variables["RATCHET_OUT"] = work + "/out";
  variables["RATCHET_CHECKPOINT"] = CheckpointFolder(spec);
  variables["RATCHET_RESUME"] = spec.resume.value_or("");
  variables["RATCHET_TARGET"] = spec.data.target;
  variables["RATCHET_KEY"] = spec.data.key;
  variables["RATCHET_SEED"] = std::to_string(spec.seed);
  variables["RATCHET_THREADS"] = variables["OMP_NUM_THREADS"] = std::to_string(spec.limits.cpus);
  variables["PYTHONUNBUFFERED"] = "1";  // the log is read while the trainer runs
  return call;
}

std::unexpected<StepError> BlameBundle(const Error& error) {
  auto of_the_input = FromError(error);
  return UserFault("the trainer's bundle is not usable: " + of_the_input.message, of_the_input.hint);
}

// A module is code of the trainer's: loading it runs some of it already. This process takes the verdict only.
StepOutcome TryStrangersModel(const StepSpec& spec, const registry::Signature& signature, SandboxMeans sandbox) {
  const auto work = [&]() -> StepOutcome {
    at::set_num_threads(spec.limits.cpus);
    if (const auto tried = TryModel(ModelPath(spec), signature, spec.train); !tried) return BlameBundle(tried.error());
    return json::object();
  };
  return CallConfined({.means = sandbox,
                       .step_folder = spec.folder,
                       .work = [&](const Tell&) { return Guarded(spec, work); },
                       .hear = {}});
}

// Moves the trainer's model into the bundle and checks it there, against the signature that it came with. Nothing of
// the trainer runs any more, so what is checked is what is sealed.
std::expected<registry::Signature, StepError> TakeTrainerOutput(const StepSpec& spec, SandboxMeans sandbox) {
  auto out = TrainerOutput::Open(WorkFolder(spec), "out");
  if (!out) return std::unexpected(out.error());
  const auto text = out->Read("signature.json", registry::kMaxManifestBytes);
  if (!text) return std::unexpected(text.error());
  if (auto moved = out->Move("model.pt", ModelPath(spec)); !moved) return std::unexpected(moved.error());
  auto signature = registry::ParseSignature(*text);
  if (!signature) return BlameBundle(signature.error());
  if (auto tried = TryStrangersModel(spec, *signature, sandbox); !tried) return std::unexpected(tried.error());
  return *signature;
}

// The digests of the trainer's own files as they were given, before the trainer could write over its copies.
Result<std::map<std::string, std::string>> DigestFiles(const StepSpec& spec) {
  std::map<std::string, std::string> digests;
  for (const auto& [name, source] : spec.command_files) {
    RATCHET_ASSIGN(digests[name], Sha256File(WorkFolder(spec) + "/" + name));
  }
  return digests;
}

StepOutcome TrainByCommand(const StepSpec& spec, SandboxMeans sandbox, ProgressLog& progress) {
  RATCHET_STEP_ASSIGN(const auto files, DigestFiles(spec));
  RATCHET_STEP_ASSIGN(const auto call, PrepareCommand(spec, sandbox));
  if (auto ran = RunCommand(call, progress); !ran) return std::unexpected(NameLimits(spec, std::move(ran.error())));
  auto signature = TakeTrainerOutput(spec, sandbox);
  if (!signature) return std::unexpected(signature.error());
  RATCHET_STEP_ASSIGN(const auto reader, lake::PackReader::Open(spec.train));
  const bool classifies = signature->task == registry::Task::kClassification;
  const auto metric = spec.metric.empty() ? (classifies ? "accuracy" : "mae") : spec.metric;
  BundleManifest manifest{
      .signature = std::move(*signature), .target = spec.data.target, .metric = metric, .lineage = MakeLineage(spec)};
  manifest.lineage.trainer_files = files;
  manifest.training = {{"rows", reader->rows()}, {"metrics", progress.last_metrics()}};
  RATCHET_STEP_TRY(SealBundle(spec, std::move(manifest)));
  return json{{"training_metrics", progress.last_metrics()}, {"rows", reader->rows()}};
}

}  // namespace

StepOutcome RunTrain(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock) {
  ProgressLog progress(spec.folder, clock);
  for (const char* name : {"/bundle", "/checkpoint", "/tmp"})
    RATCHET_STEP_TRY(SystemFiles().MakeFolders(spec.folder + name));
  if (spec.recipe.empty()) return TrainByCommand(spec, sandbox, progress);
  const auto recipe = FindRecipe(spec, plugins);
  if (!recipe) return std::unexpected(recipe.error());
  return TrainByRecipe(spec, **recipe, progress);
}

}  // namespace ratchet::worker
