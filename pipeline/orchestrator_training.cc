// What trainings bring: bundles, trials and their winner, reproductions. Declared in pipeline/orchestrator.h.

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "pipeline/asha.h"
#include "pipeline/orchestrator_run.h"
#include "gate/metrics.h"
#include "registry/bundle_manifest.h"

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::Db;
using registry::Json;
using registry::Run;
using registry::Step;
using registry::StepState;

AshaSettings::Better BetterOf(const std::string& metric) {
  auto known = gate::FindMetric(metric);
  return !known || known->higher_is_better ? AshaSettings::Better::kHigher : AshaSettings::Better::kLower;
}

// The validation metric after each epoch, as far as the trial has said, and how many epochs it is for.
void ReadCurve(const std::vector<Json>& lines, const std::string& metric, TrialProgress& into) {
  constexpr std::int64_t kMostEpochs = 100'000;
  for (const Json& line : lines) {
    const std::int64_t epoch = line["epoch"].is_number() ? line["epoch"].get<std::int64_t>() : 0;
    if (epoch < 1 || epoch > kMostEpochs) continue;
    const Json value = line["metrics"].value(metric, Json());
    if (!value.is_number()) continue;
    if (static_cast<std::int64_t>(into.metrics.size()) < epoch)
      into.metrics.resize(static_cast<size_t>(epoch), std::numeric_limits<double>::quiet_NaN());
    into.metrics[static_cast<size_t>(epoch - 1)] = value.get<double>();
    if (const Json of = line.value("of", Json()); of.is_number()) into.epochs = static_cast<int>(std::min(of.get<std::int64_t>(), kMostEpochs));
  }
}

TrialProgress::State StateOf(StepState state) {
  switch (state) {
    case StepState::kPending:
      return TrialProgress::State::kWaiting;
    case StepState::kRunning:
      return TrialProgress::State::kRunning;
    case StepState::kSucceeded:
      return TrialProgress::State::kSucceeded;
    case StepState::kSkipped:
      return TrialProgress::State::kStopped;
    default:
      return TrialProgress::State::kFailed;
  }
}

// The trials of a run, in the order of the graph.
struct TrialList {
  std::vector<std::string> names;
  std::vector<TrialProgress> progress;
};

TrialList ReadTrials(const Run& run, const std::string& data_dir, const std::string& metric) {
  TrialList trials;
  for (const Step& step : run.steps) {
    if (step.kind != "trial") continue;
    TrialProgress trial{.state = StateOf(step.state)};
    if (step.outputs)
      ReadCurve(step.outputs->value("epochs", std::vector<Json>()), metric, trial);
    else if (!step.attempts.empty())
      ReadCurve(EpochProgress(AttemptFolder(data_dir, run.id, step.name, step.attempts.back().number)), metric, trial);
    // A trainer that says nothing while it trains still says how well it did.
    if (trial.metrics.empty() && step.outputs)
      if (const Json last = step.outputs->value("metrics", Json::object()).value(metric, Json()); last.is_number())
        trial.metrics.push_back(last);
    trials.names.push_back(step.name);
    trials.progress.push_back(std::move(trial));
  }
  return trials;
}

bool SaysAnything(const TrialList& trials) {
  return std::ranges::any_of(trials.progress, [](const TrialProgress& trial) { return !trial.metrics.empty(); });
}

// By what the trials are compared: the first of these metrics that any of them tells of, or just the first.
struct RankedTrials {
  std::string metric;
  TrialList trials;
};

RankedTrials RankTrials(const Run& run, const std::string& data_dir, const std::vector<std::string>& metrics) {
  for (const std::string& metric : metrics) {
    TrialList trials = ReadTrials(run, data_dir, "validation_" + metric);
    if (SaysAnything(trials)) return {metric, std::move(trials)};
  }
  return {metrics.front(), ReadTrials(run, data_dir, "validation_" + metrics.front())};
}

}  // namespace

std::string Orchestrator::MetricOf(const Spec& spec, const Json& manifest) {
  if (spec.test.metric) return *spec.test.metric;
  std::string own = manifest.value("metric", "");
  if (!own.empty()) return own;
  return manifest.value("task", "") == "regression" ? "mae" : "accuracy";
}

// What trials are compared by, on the validation rows: what the spec names, and where the training tells nothing of that,
// what the recipe is measured by.
std::vector<std::string> Orchestrator::TrialMetrics(const Spec& spec) {
  std::vector<std::string> metrics;
  if (spec.test.metric) metrics.push_back(*spec.test.metric);
  std::string own = "accuracy";
  const Json ready = executor_.Describe();
  if (spec.train.recipe && ready.is_object())
    for (const Json& recipe : ready.value("recipes", Json::array()))
      if (recipe.value("name", "") == *spec.train.recipe) own = recipe.value("metric", "accuracy");
  metrics.push_back(std::move(own));
  return metrics;
}

// The manifest is copied and the model file moved, so that a crash in between leaves what is needed to do it again.
// {"bundle":{"sha256","bytes"},"model.pt":{"sha256","bytes"},"metrics":{…},"epochs":[…]}
Result<Json> Orchestrator::AdoptBundle(const Context& at, const Attempt& attempt, const Json& result) {
  const std::string step_folder = AttemptFolder(options_.data_dir, at.run().id, attempt.step, attempt.number);
  const std::string folder = step_folder + "/bundle";
  RATCHET_ASSIGN(std::string text, files_.Read(folder + "/manifest.json", registry::kMaxManifestBytes));
  RATCHET_ASSIGN(registry::BundleManifest manifest, registry::ParseManifest(text));
  Json outputs = {{"metrics", result.value("training_metrics", Json::object())}, {"epochs", EpochProgress(step_folder)}};
  std::int64_t bytes = static_cast<std::int64_t>(text.size());
  for (const auto& [name, file] : manifest.files) {
    RATCHET_TRY(blobs_.AdoptExpected(folder + "/" + name, file.sha256));
    bytes += static_cast<std::int64_t>(file.bytes);
    outputs[name] = {{"sha256", file.sha256}, {"bytes", file.bytes}};
  }
  RATCHET_ASSIGN(std::string bundle, blobs_.Put(text));
  outputs["bundle"] = {{"sha256", bundle}, {"bytes", bytes}};
  return outputs;
}

// Makes the run's candidate of a bundle that has been adopted. Called inside the transaction that ends the training.
Status Orchestrator::MakeCandidate(Db& db, const Context& at, const Json& outputs) {
  const std::string bundle = outputs.at("bundle").at("sha256");
  RATCHET_ASSIGN(std::string text, blobs_.Read(bundle, registry::kMaxManifestBytes));
  Json manifest = Json::parse(text, nullptr, false);
  if (!manifest.is_object()) return Fail(ErrorCode::kCorrupt, "read", bundle, "not a manifest");
  const std::string metric = MetricOf(*at.spec, manifest);
  auto version = registry::CreateVersion(
      db, now_us_, {.model = at.run().model, .metric = metric, .run = at.run().id, .bundle = bundle,
                    .bundle_bytes = outputs["bundle"].value("bytes", std::int64_t{0}), .manifest = std::move(manifest),
                    .recipe = at.spec->train.recipe.value_or("command"), .dataset = at.run().dataset,
                    .dataset_version = at.run().dataset_version});
  if (!version) return std::unexpected(version.error());
  return {};
}

void Orchestrator::PruneTrials(Context& at) {
  const bool any = std::ranges::any_of(at.work.open, [](const Step& step) { return step.kind == "trial"; });
  if (!any) return;
  auto run = store_.Read([&](Db& db) { return registry::GetRun(db, at.run().id); });
  if (!run) return;
  const auto [metric, trials] = RankTrials(*run, options_.data_dir, TrialMetrics(*at.spec));
  AshaSettings settings{.better = BetterOf(metric)};
  for (const TrialProgress& trial : trials.progress) settings.max_epochs = std::max(settings.max_epochs, trial.epochs);
  for (const TrialVerdict& verdict : JudgeTrials(settings, trials.progress)) {
    const Step* step = at.Find(trials.names[verdict.trial]);
    if (!verdict.stop || step == nullptr || step->attempts.empty()) continue;
    const std::int64_t number = step->attempts.back().number;
    const StepRef ref{.id = AttemptId(at.run().id, step->name, number),
                      .folder = AttemptFolder(options_.data_dir, at.run().id, step->name, number)};
    if (stopping_.insert(ref.id).second) executor_.Kill(ref, "pruned", verdict.reason);
  }
}

bool Orchestrator::Perform(Context& at, const SelectTrial&) {
  auto run = store_.Read([&](Db& db) { return registry::GetRun(db, at.run().id); });
  if (!run) return Postpone(at.run(), run.error());
  const auto [metric, trials] = RankTrials(*run, options_.data_dir, TrialMetrics(*at.spec));
  const auto best = BestTrial(BetterOf(metric), trials.progress);
  const Step* winner = best ? run->FindStep(trials.names[*best]) : nullptr;
  if (winner == nullptr || !winner->outputs) {
    return FailRunStep(at, "train", Error{.code = ErrorCode::kInvalid, .operation = "pick the best trial of", .subject = at.run().pipeline,
                                          .cause = "no trial made a model",
                                          .hint = "`ratchet run show " + std::to_string(at.run().id) + "` says why each of them failed", .field = {}});
  }
  Json outputs = *winner->outputs;
  outputs["trial"] = winner->name;
  Status moved = store_.Write([&](Db& db) -> Status {
    RATCHET_TRY(registry::MoveStep(db, now_us_, at.run().id, "train", StepState::kRunning));
    registry::SetOutputs(db, at.run().id, "train", outputs);
    if (!at.run().reproduces) RATCHET_TRY(MakeCandidate(db, at, outputs));
    return registry::MoveStep(db, now_us_, at.run().id, "train", StepState::kSucceeded);
  });
  if (moved) return true;
  return IsPassing(moved.error()) ? Postpone(at.run(), moved.error()) : FailRunStep(at, "train", moved.error());
}

// The weights are one file, so equal weights are an equal digest.
std::string Orchestrator::CompareReproduction(const Run& run, std::string& summary) {
  auto digests = store_.Read([&](Db& db) -> Result<std::pair<std::string, std::string>> {
    auto own = registry::OutputsOf(db, run.id, "train"), first = registry::OutputsOf(db, *run.reproduces, "train");
    auto weights = [](const std::optional<Json>& outputs) -> std::string {
      if (!outputs || !outputs->contains("model.pt")) return "";
      return outputs->at("model.pt").value("sha256", "");
    };
    return std::pair(weights(own), weights(first));
  });
  const std::string of = " run " + std::to_string(*run.reproduces);
  const bool equal = digests && !digests->first.empty() && digests->first == digests->second;
  summary = equal ? "The weights are bit for bit those of" + of + ": " + digests->first + "."
                  : "The weights differ from those of" + of + (digests ? ": " + digests->first + " and " + digests->second + "." : ".");
  return equal ? "reproduced" : "differs";
}

}  // namespace ratchet::pipeline
