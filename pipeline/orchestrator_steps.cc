// The orchestrator's dealings with steps: their folders, what they brought, the gate. Declared in pipeline/orchestrator.h.

#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "base/digest.h"
#include "base/log.h"
#include "gate/decision.h"
#include "lake/pack.h"
#include "pipeline/orchestrator.h"
#include "registry/bundle_manifest.h"
#include "registry/datasets.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/runs.h"

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::AttemptEnd;
using registry::AttemptState;
using registry::Db;
using registry::Json;
using registry::Run;
using registry::StepState;

constexpr std::int64_t kScoreBatchRows = 65'536;

// A folder itself: a trainer may have put a symbolic link in its place, to be led somewhere else by the next attempt.
bool IsFolder(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// The newest checkpoint that an earlier attempt of the step left.
std::optional<std::string> FindCheckpoint(const std::string& data_dir, const Attempt& attempt) {
  for (std::int64_t number = attempt.number - 1; number >= 1; --number) {
    std::string folder = AttemptFolder(data_dir, attempt.run, attempt.step, number) + "/checkpoint";
    if (IsFolder(folder)) return folder;
  }
  return std::nullopt;
}

AttemptEnd MakeEnd(const StepExit& exit) {
  AttemptEnd end;
  if (exit.cpu_s > 0) end.cpu_s = exit.cpu_s;
  if (exit.max_rss_bytes > 0) end.max_rss_bytes = exit.max_rss_bytes;
  return end;
}

Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

struct Scores {
  std::vector<double> candidate, opponent;
};

Result<Scores> ReadScores(const std::string& path) {
  RATCHET_ASSIGN(auto reader, lake::PackReader::Open({path}, {"candidate", "opponent"}));
  Scores scores;
  while (true) {
    RATCHET_ASSIGN(lake::Batch batch, reader->Next(kScoreBatchRows));
    if (batch.rows == 0) return scores;
    auto& c = batch.columns[0].reals;
    auto& o = batch.columns[1].reals;
    scores.candidate.insert(scores.candidate.end(), c.begin(), c.end());
    scores.opponent.insert(scores.opponent.end(), o.begin(), o.end());
  }
}

// The decision report of docs/formats.md.
Json MakeReport(const gate::Decision& decision, const Json& tested, std::optional<std::int64_t> opponent_version,
                std::int64_t now_us) {
  return {{"verdict", gate::VerdictName(decision.verdict)}, {"reason", decision.reason},
          {"metric", tested.at("metric")}, {"higher_is_better", tested.value("higher_is_better", true)},
          {"candidate", tested.at("candidate")}, {"opponent", tested.at("opponent")},
          {"opponent_kind", tested.at("opponent_kind")},
          {"opponent_version", opponent_version ? Json(*opponent_version) : Json()},
          {"difference", decision.difference},
          {"interval", {NumberOrNull(decision.interval_low), NumberOrNull(decision.interval_high)}},
          {"confidence", decision.confidence}, {"alpha", decision.alpha}, {"p_value", decision.p_value},
          {"test", decision.test}, {"rows", decision.rows}, {"wins", decision.wins}, {"losses", decision.losses},
          {"better_by", decision.better_by}, {"forced", false},
          {"rows_needed", decision.rows_needed ? Json(*decision.rows_needed) : Json()}, {"decided_at", now_us}};
}

Result<Json> ParseBlob(const registry::BlobStore& blobs, const std::string& sha256) {
  RATCHET_ASSIGN(std::string text, blobs.Read(sha256));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Fail(ErrorCode::kCorrupt, "read blob", sha256, "not JSON");
  return json;
}

}  // namespace

std::string Orchestrator::MetricOf(const Run&, const Spec& spec, const Json& manifest) {
  if (spec.test.metric) return *spec.test.metric;
  std::string own = manifest.value("metric", "");
  if (!own.empty()) return own;
  return manifest.value("task", "") == "regression" ? "mae" : "accuracy";
}

Result<Json> Orchestrator::PrepareStep(const Run& run, const Attempt& attempt) {
  RATCHET_ASSIGN(Spec spec, SpecFromJson(run.spec));
  StepInputs inputs{.run = &run, .spec = &spec, .step = attempt.step, .attempt = attempt.number,
                    .data_dir = options_.data_dir, .sandbox_required = options_.sandbox_required};
  RATCHET_TRY(store_.Read([&](Db& db) -> Status {
    RATCHET_ASSIGN(inputs.dataset, registry::GetDatasetVersion(db, run.dataset, run.dataset_version));
    RATCHET_ASSIGN(inputs.trainer_files, registry::RevisionFiles(db, run.pipeline, run.revision));
    if (attempt.step != "test") return {};
    RATCHET_ASSIGN(inputs.candidate, registry::GetVersion(db, run.model, run.candidate.value_or(0)));
    RATCHET_ASSIGN(registry::Model model, registry::GetModel(db, run.model));
    if (!model.live) return {};
    RATCHET_ASSIGN(inputs.live, registry::GetVersion(db, run.model, *model.live));
    return {};
  }));
  RATCHET_ASSIGN(inputs.dataset_manifest, ParseBlob(blobs_, inputs.dataset.manifest));
  if (inputs.candidate) inputs.metric = MetricOf(run, spec, inputs.candidate->manifest);
  else inputs.metric = spec.test.metric.value_or("");
  inputs.resume = FindCheckpoint(options_.data_dir, attempt);
  Json step = MakeStepFile(inputs, blobs_);
  std::string folder = step.at("folder");
  RATCHET_TRY(files_.RemoveAll(folder));
  RATCHET_TRY(files_.MakeFolders(folder));
  RATCHET_TRY(files_.WriteAtomic(folder + "/step.json", step.dump(1)));
  return step;
}

bool Orchestrator::EndAttemptWithError(const Run& run, const Attempt& attempt, AttemptState state, const StepExit& exit) {
  std::string error_class = exit.error_class;
  std::string message = exit.message;
  if (error_class.empty()) error_class = exit.signal ? "signal" : "internal";
  if (message.empty() && exit.signal) message = "its process was killed by signal " + std::to_string(*exit.signal);
  if (message.empty()) message = "its process ended with code " + std::to_string(exit.exit_code.value_or(-1)) + " and no result";
  AttemptEnd end = MakeEnd(exit);
  end.error = Json{{"class", error_class}, {"message", message}, {"hint", exit.hint}};
  Status ended = store_.Write([&](Db& db) { return registry::EndAttempt(db, now_us_, attempt, state, end); });
  if (!ended) return Postpone(run, ended.error());
  spdlog::warn("run {}: {} attempt {} {}: {}", run.id, attempt.step, attempt.number, error_class, message);
  return true;
}

bool Orchestrator::TakeResult(const Run& run, const Attempt& attempt, const Json& result, const StepExit& exit) {
  AttemptEnd end = MakeEnd(exit);
  end.result = result;
  if (result.value("outcome", "") != "succeeded") {
    end.error = result.value("error", Json{{"class", "internal"}, {"message", "failed without saying why"}, {"hint", ""}});
    Status ended = store_.Write(
        [&](Db& db) { return registry::EndAttempt(db, now_us_, attempt, AttemptState::kFailed, end); });
    return ended ? true : Postpone(run, ended.error());
  }
  Status taken;
  if (attempt.step == "train") {
    taken = AdoptTrained(run, attempt, end);
  } else {
    taken = store_.Write([&](Db& db) -> Status {
      RATCHET_TRY(registry::EndAttempt(db, now_us_, attempt, AttemptState::kSucceeded, end));
      return registry::MoveStep(db, now_us_, run.id, attempt.step, StepState::kSucceeded);
    });
  }
  if (taken) return true;
  if (IsPassing(taken.error())) return Postpone(run, taken.error());
  StepExit broken{.error_class = "internal", .message = "its result could not be taken in: " + taken.error().Message()};
  return EndAttemptWithError(run, attempt, AttemptState::kFailed, broken);
}

// The manifest is copied and the model file moved, so that a crash in between leaves what is needed to do it again.
Status Orchestrator::AdoptTrained(const Run& run, const Attempt& attempt, const AttemptEnd& end) {
  std::string folder = AttemptFolder(options_.data_dir, run.id, attempt.step, attempt.number) + "/bundle";
  RATCHET_ASSIGN(std::string text, files_.Read(folder + "/manifest.json", registry::kMaxManifestBytes));
  RATCHET_ASSIGN(registry::BundleManifest manifest, registry::ParseManifest(text));
  std::int64_t bytes = static_cast<std::int64_t>(text.size());
  for (const auto& [name, file] : manifest.files) {
    RATCHET_TRY(blobs_.AdoptExpected(folder + "/" + name, file.sha256));
    bytes += static_cast<std::int64_t>(file.bytes);
  }
  RATCHET_ASSIGN(std::string bundle, blobs_.Put(text));
  RATCHET_ASSIGN(Spec spec, SpecFromJson(run.spec));
  Json json = Json::parse(text);
  return store_.Write([&](Db& db) -> Status {
    auto version = registry::CreateVersion(
        db, now_us_, {.model = run.model, .metric = MetricOf(run, spec, json), .run = run.id, .bundle = bundle,
                      .bundle_bytes = bytes, .manifest = json, .recipe = spec.train.recipe.value_or("command"),
                      .dataset = run.dataset, .dataset_version = run.dataset_version});
    if (!version) return std::unexpected(version.error());
    RATCHET_TRY(registry::EndAttempt(db, now_us_, attempt, AttemptState::kSucceeded, end));
    return registry::MoveStep(db, now_us_, run.id, "train", StepState::kSucceeded);
  });
}

Result<registry::DecisionInput> Orchestrator::Judge(const Run& run) {
  const registry::Step* test = run.FindStep("test");
  RATCHET_CHECK(test != nullptr && !test->attempts.empty() && test->attempts.back().result);
  const Attempt& attempt = test->attempts.back();
  const Json& tested = *attempt.result;
  std::string folder = AttemptFolder(options_.data_dir, run.id, "test", attempt.number);
  RATCHET_ASSIGN(std::string step_text, files_.Read(folder + "/step.json"));
  Json step = Json::parse(step_text, nullptr, false);
  if (!step.is_object()) return Fail(ErrorCode::kCorrupt, "read", folder + "/step.json", "not JSON");
  std::optional<std::int64_t> opponent_version;
  if (step.contains("live") && step["live"].is_object()) opponent_version = step["live"].value("version", std::int64_t{0});
  RATCHET_ASSIGN(Scores scores, ReadScores(folder + "/scores.pack"));
  RATCHET_ASSIGN(Spec spec, SpecFromJson(run.spec));
  RATCHET_ASSIGN(gate::PerRow per_row, gate::PerRowFromName(tested.value("per_row", "")));
  RATCHET_ASSIGN(gate::Decision decision,
                 gate::Decide({.per_row = per_row, .candidate = scores.candidate, .opponent = scores.opponent},
                              {.better_by = spec.gate.better_by, .confidence = spec.gate.confidence}));
  RATCHET_ASSIGN(std::string scores_blob, blobs_.Keep(folder + "/scores.pack"));
  return registry::DecisionInput{.report = MakeReport(decision, tested, opponent_version, now_us_),
                                 .verdict = std::string(gate::VerdictName(decision.verdict)),
                                 .score = tested.at("candidate"), .opponent = tested.at("opponent"),
                                 .p_value = decision.p_value, .opponent_kind = tested.at("opponent_kind"),
                                 .opponent_version = opponent_version, .rows = decision.rows, .scores = scores_blob};
}

bool Orchestrator::Perform(const Run& run, const JudgeCandidate&) {
  auto decision = Judge(run);
  if (!decision) {
    if (IsPassing(decision.error())) return Postpone(run, decision.error());
    return FailRunStep(run, "gate", decision.error());
  }
  Status judged = store_.Write([&](Db& db) -> Status {
    const registry::Step* step = run.FindStep("gate");
    if (step->state == StepState::kPending)
      RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, "gate", StepState::kRunning));
    RATCHET_TRY(registry::RecordDecision(db, now_us_, run.model, run.candidate.value_or(0), *decision));
    RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, "gate", StepState::kSucceeded));
    if (decision->verdict == "better") return {};
    return registry::MoveStep(db, now_us_, run.id, "release", StepState::kSkipped);
  });
  if (judged) return true;
  return IsPassing(judged.error()) ? Postpone(run, judged.error()) : FailRunStep(run, "gate", judged.error());
}

}  // namespace ratchet::pipeline
