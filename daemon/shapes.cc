#include "daemon/shapes.h"

#include <algorithm>

#include "gate/alpha_ledger.h"
#include "pipeline/step_folder.h"

namespace ratchet::daemon {
namespace {

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json RowsJson(const registry::SplitCounts& rows) {
  return {{"train", rows.train}, {"validation", rows.validation}, {"holdout", rows.holdout}};
}

Json AttemptJson(const registry::Attempt& attempt) {
  return {{"number", attempt.number},
          {"state", registry::Name(attempt.state)},
          {"pid", OrNull(attempt.pid)},
          {"started_at", attempt.started_at},
          {"ended_at", OrNull(attempt.ended_at)},
          {"error", OrNull(attempt.error)},
          {"cpu_s", OrNull(attempt.cpu_s)},
          {"max_rss_bytes", OrNull(attempt.max_rss_bytes)},
          {"read_bytes", OrNull(attempt.read_bytes)}};
}

// The files among what a step left; what else the engine keeps there is its own.
Json OutputsJson(const registry::Step& step) {
  Json files = Json::object();
  if (!step.outputs) return files;
  for (const auto& [name, output] : step.outputs->items())
    if (output.is_object() && output.contains("sha256"))
      files[name] = {{"sha256", output["sha256"]}, {"bytes", output.value("bytes", Json())}};
  return files;
}

Json StepJson(const registry::Run& run, const registry::Step& step, const std::string& data_dir, ProgressOf which) {
  Json attempts = Json::array();
  for (const registry::Attempt& attempt : step.attempts) attempts.push_back(AttemptJson(attempt));
  Json progress;
  if (!step.attempts.empty() && (which == ProgressOf::kAllSteps || step.state == registry::StepState::kRunning)) {
    const std::string folder = pipeline::AttemptFolder(data_dir, run.id, step.name, step.attempts.back().number);
    progress = OrNull(pipeline::LatestProgress(folder));
  }
  return {{"name", step.name},
          {"kind", step.kind},
          {"state", registry::Name(step.state)},
          {"needs", step.needs},
          {"params", OrNull(step.params)},
          {"ready_at", OrNull(step.ready_at)},
          {"started_at", OrNull(step.started_at)},
          {"ended_at", OrNull(step.ended_at)},
          {"cached_from", OrNull(step.cached_from)},
          {"outputs", OutputsJson(step)},
          {"attempts", std::move(attempts)},
          {"progress", std::move(progress)}};
}

Json TargetJson(const std::optional<registry::RouteTarget>& target) {
  if (!target) return nullptr;
  return {{"version", target->version}, {"bundle", target->bundle}};
}

}  // namespace

Json PipelineJson(const registry::Pipeline& pipeline) {
  return {{"name", pipeline.name},
          {"model", pipeline.model},
          {"revision", pipeline.revision},
          {"state", pipeline.paused ? "paused" : "active"},
          {"spec_text", pipeline.spec_text},
          {"spec", pipeline.spec},
          {"files", pipeline.files},
          {"created_at", pipeline.created_at},
          {"updated_at", pipeline.updated_at},
          {"last_run", OrNull(pipeline.last_run)}};
}

Json DriftJson(const registry::DriftReport& drift) {
  Json json = drift.report;
  json.update({{"dataset_version", drift.dataset_version}, {"live", drift.live}, {"worst", drift.worst}, {"at", drift.at}});
  return json;
}

// What was said before training of what the next look can prove.
static Json ForecastOf(const registry::Run& run) {
  const registry::Step* validate = run.FindStep("validate");
  return validate != nullptr && validate->outputs ? validate->outputs->value("forecast", Json()) : Json();
}

Json RunJson(const registry::Run& run, const std::string& data_dir, ProgressOf which) {
  Json steps = Json::array();
  for (const registry::Step& step : run.steps) steps.push_back(StepJson(run, step, data_dir, which));
  return {{"id", run.id},
          {"pipeline", run.pipeline},
          {"model", run.model},
          {"revision", run.revision},
          {"state", registry::Name(run.state)},
          {"outcome", OrNull(run.outcome)},
          {"reason", run.reason},
          {"overrides", run.overrides},
          {"dataset", run.dataset},
          {"dataset_version", run.dataset_version},
          {"candidate", OrNull(run.candidate)},
          {"live_at_start", OrNull(run.live_at_start)},
          {"summary", run.summary},
          {"error", OrNull(run.error)},
          {"priority", run.priority},
          {"deadline_s", OrNull(run.deadline_s)},
          {"fresh", run.fresh},
          {"reproduces", OrNull(run.reproduces)},
          {"trace_id", run.trace_id},
          {"created_at", run.created_at},
          {"started_at", OrNull(run.started_at)},
          {"ended_at", OrNull(run.ended_at)},
          {"forecast", ForecastOf(run)},
          {"steps", std::move(steps)}};
}

Json DatasetJson(const registry::Dataset& dataset) {
  return {{"name", dataset.name},
          {"target", nullptr},
          {"split", dataset.split},
          {"schema", dataset.schema.value_or(Json::array())},
          {"latest_version", dataset.latest_version},
          {"rows", RowsJson(dataset.rows)},
          {"created_at", dataset.created_at},
          {"updated_at", dataset.updated_at}};
}

Json HoldoutEpochJson(const registry::HoldoutEpoch& epoch) {
  Json json = {{"model", epoch.model}, {"epoch", epoch.number}, {"rows", epoch.rows}, {"after_push", epoch.after_push},
               {"until_push", epoch.until_push}, {"looks", epoch.looks}, {"alpha", nullptr},
               {"spent", epoch.alpha_spent}, {"left", nullptr}, {"next_level", nullptr}, {"opened_at", epoch.opened_at}};
  if (!epoch.budget) return json;
  json["alpha"] = *epoch.budget;
  json["left"] = std::max(0.0, *epoch.budget - epoch.alpha_spent);
  json["next_level"] = gate::LevelOfLook(*epoch.budget, epoch.looks + 1);
  return json;
}

Json DatasetVersionJson(const registry::DatasetVersion& version) {
  return {{"dataset", version.dataset},
          {"version", version.version},
          {"manifest", version.manifest},
          {"rows", RowsJson(version.rows)},
          {"rows_added", RowsJson(version.added)},
          {"bytes_added", version.bytes_added},
          {"created_at", version.created_at}};
}

Json ModelJson(const registry::Model& model) {
  return {{"name", model.name},
          {"live", OrNull(model.live)},
          {"previous", OrNull(model.previous)},
          {"latest_version", model.latest},
          {"epoch", model.epoch},
          {"metric", model.metric},
          {"created_at", model.created_at},
          {"updated_at", model.updated_at}};
}

Json VersionJson(const registry::Version& version, ManifestIn manifest) {
  Json json = {{"model", version.model},
               {"version", version.version},
               {"state", version.shown_state},
               {"run", version.run},
               {"bundle", version.bundle},
               {"bundle_bytes", version.bundle_bytes},
               {"metric", version.metric},
               {"score", OrNull(version.score)},
               {"opponent", OrNull(version.opponent)},
               {"opponent_kind", OrNull(version.opponent_kind)},
               {"verdict", OrNull(version.verdict)},
               {"recipe", version.recipe.empty() ? Json() : Json(version.recipe)},
               {"dataset", version.dataset},
               {"dataset_version", version.dataset_version},
               {"created_at", version.created_at}};
  if (manifest == ManifestIn::kIncluded) json["manifest"] = version.manifest;
  return json;
}

Json ReleaseJson(const registry::Release& release) {
  return {{"id", release.id},
          {"model", release.model},
          {"kind", release.kind},
          {"from", OrNull(release.from)},
          {"to", release.to},
          {"epoch", OrNull(release.epoch)},
          {"state", registry::Name(release.state)},
          {"strategy", release.strategy},
          {"actor", release.actor},
          {"reason", release.reason},
          {"run", OrNull(release.run)},
          {"created_at", release.created_at},
          {"ended_at", OrNull(release.ended_at)},
          {"took_ms", OrNull(release.took_ms)},
          {"error", OrNull(release.error)},
          {"plan", OrNull(release.plan)},
          {"step", release.step_at ? Json(release.step) : Json()},
          {"step_at", OrNull(release.step_at)},
          {"split", release.ended_at ? Json() : OrNull(release.split)},
          {"watched_s", release.watched_us / 1'000'000},
          {"evidence", OrNull(release.evidence)},
          {"approved_by", OrNull(release.approved_by)},
          {"harm", release.harm}};
}

static Json RouteSplitJson(const std::optional<registry::Route::Split>& split) {
  if (!split) return nullptr;
  Json arms = Json::array();
  for (const registry::Route::Arm& arm : split->arms)
    arms.push_back({{"role", arm.role}, {"version", arm.target.version}, {"bundle", arm.target.bundle}, {"share", arm.share}});
  return {{"release", split->release}, {"step", split->step}, {"mode", split->mode}, {"arms", std::move(arms)}};
}

Json RouteJson(const registry::Route& route) {
  return {{"model", route.model},
          {"epoch", route.epoch},
          {"live", TargetJson(route.live)},
          {"previous", TargetJson(route.previous)},
          {"loading", TargetJson(route.loading)},
          {"split", RouteSplitJson(route.split)}};
}

Json EventJson(const registry::Event& event) {
  Json json = {{"id", event.id}, {"type", event.type}, {"data", event.data}, {"at", event.at}};
  if (event.run) json["run"] = *event.run;
  if (event.pipeline) json["pipeline"] = *event.pipeline;
  if (event.model) json["model"] = *event.model;
  return json;
}

Json AuditJson(const registry::AuditEntry& entry) {
  return {{"id", entry.id},         {"at", entry.at},           {"actor", entry.actor},
          {"action", entry.action}, {"subject", entry.subject}, {"detail", entry.detail}};
}

}  // namespace ratchet::daemon
