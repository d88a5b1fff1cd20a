// Runs that start by themselves. Declared in pipeline/orchestrator.h.

#include "base/log.h"
#include "pipeline/cron.h"
#include "pipeline/orchestrator_run.h"
#include "pipeline/triggers.h"
#include "registry/datasets.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;

bool HasTriggers(const Spec& spec) {
  return spec.retrain.new_rows || spec.retrain.schedule || spec.retrain.drift || spec.retrain.live_metric_below;
}

// What feedback says of the version that is live, where the spec asks.
void LookAtLive(Db& db, const std::string& pipeline, const Spec& spec, const std::optional<registry::Run>& last, LiveMetrics* live_metrics,
                TriggerFacts& facts) {
  if (!spec.retrain.live_metric_below || !live_metrics || facts.run_active || facts.paused) return;
  auto model = registry::GetModel(db, spec.model);
  if (!model || !model->live) return;
  auto version = registry::GetVersion(db, spec.model, *model->live);
  if (!version) return;
  facts.live_limit = spec.retrain.live_metric_below;
  facts.live_metric = gate::FindLiveMetric(version->metric);
  facts.live_version = version->version;
  facts.live = live_metrics->FigureOf(spec.model, version->version, version->metric, last ? last->created_at : 0);
  if (!facts.live || facts.live->fresh_rows < gate::kLeastLiveRows) return;
  facts.live_was_tried = registry::WasStartedFor(db, pipeline, kLiveMetricReason, version->run);
}

struct Watched {
  TriggerFacts facts;
  bool has_rows = false;
};

Result<Watched> Look(Db& db, const registry::PipelineMark& pipeline, const Spec& spec, LiveMetrics* live_metrics) {
  Watched watched{.facts = {.paused = pipeline.paused, .new_rows = spec.retrain.new_rows,
                            .drift_limit = spec.retrain.drift, .drift = {}, .drifted_column = {}, .live_limit = {}, .live = {},
                            .live_metric = {}}};
  auto dataset = registry::GetDataset(db, pipeline.dataset);
  if (!dataset || dataset->latest_version == 0) return watched;  // it may come later
  watched.has_rows = true;
  watched.facts.rows_now = dataset->rows.Total();
  std::int64_t seen_version = 0;
  const auto last = registry::LastRun(db, pipeline.name);
  if (last) {
    watched.facts.run_active = !registry::IsEnd(last->state);
    auto used = registry::GetDatasetVersion(db, last->dataset, last->dataset_version);
    if (used && last->dataset == pipeline.dataset) {
      watched.facts.rows_at_last_run = used->rows.Total();
      seen_version = used->version;
    }
  }
  auto drift = registry::FindDrift(db, pipeline.name);
  if (drift && drift->dataset_version > seen_version) {
    watched.facts.drift = drift->worst;
    watched.facts.drifted_column = drift->report.value("worst_column", "");
  }
  LookAtLive(db, pipeline.name, spec, last, live_metrics, watched.facts);
  return watched;
}

}  // namespace

// The spec of a pipeline that may start by itself; null for all others.
Result<Orchestrator::SpecPtr> Orchestrator::TriggeredSpec(const registry::PipelineMark& pipeline) {
  auto& known = triggered_specs_[pipeline.name];
  if (known.first == pipeline.revision) return known.second;
  RATCHET_ASSIGN(auto record, store_.Read([&](Db& db) { return registry::GetPipeline(db, pipeline.name); }));
  known = {record.revision, nullptr};  // also where it is not understood: that is said once
  RATCHET_ASSIGN(Spec spec, SpecFromJson(record.spec));
  if (HasTriggers(spec)) known.second = std::make_shared<const Spec>(std::move(spec));
  return known.second;
}

void Orchestrator::FireTriggers() {
  auto pipelines = store_.Read([](Db& db) -> Result<std::vector<registry::PipelineMark>> { return registry::ListPipelineMarks(db); });
  if (!pipelines) return spdlog::error("{}", pipelines.error().Message()), void();
  for (const registry::PipelineMark& pipeline : *pipelines) {
    auto spec = TriggeredSpec(pipeline);
    if (!spec) spdlog::error("{}", spec.error().Message());
    if (spec && *spec) FireTrigger(pipeline, **spec);
  }
}

bool Orchestrator::FireTrigger(const registry::PipelineMark& pipeline, const Spec& spec) {
  auto watched = store_.Read([&](Db& db) { return Look(db, pipeline, spec, live_metrics_); });
  if (!watched) return spdlog::error("{}", watched.error().Message()), false;
  if (spec.retrain.schedule) {
    auto schedule = Schedule::Parse(*spec.retrain.schedule, spec.retrain.zone);
    if (!schedule) return spdlog::error("pipeline {}: {}", pipeline.name, schedule.error().Message()), false;
    // A schedule counts from when it was applied; what fell into a pause or into an empty dataset's time is not made up.
    const std::int64_t since_us = std::max(pipeline.schedule_seen_at.value_or(0), pipeline.updated_at);
    auto missed = schedule->Missed(since_us, now_us_);
    if (missed) watched->facts.missed_fires = missed->count, watched->facts.first_missed_us = missed->first_us;
    WakeAt(schedule->NextAfter(now_us_));
  }
  auto trigger = watched->has_rows ? DueTrigger(watched->facts) : std::nullopt;
  if (!trigger) return false;
  auto run = store_.Write([&](Db& db) -> Result<registry::Run> {
    if (trigger->kind == "schedule") registry::SetScheduleSeen(db, pipeline.name, now_us_);
    RATCHET_ASSIGN(auto record, registry::GetPipeline(db, pipeline.name));
    if (record.revision != pipeline.revision)
      return Fail(ErrorCode::kUnavailable, "start a run of", pipeline.name, "its spec has just changed");
    return registry::CreateRun(db, now_us_, {.pipeline = pipeline.name,
                                             .reason = {{"kind", trigger->kind}, {"detail", trigger->detail}},
                                             .overrides = Json::object(), .spec = record.spec, .steps = PlanSteps(spec),
                                             .priority = spec.run.priority, .deadline_s = spec.run.deadline_s});
  });
  if (!run) return spdlog::error("{}", run.error().Message()), false;
  spdlog::info("run {} of {} starts: {}", run->id, pipeline.name, trigger->detail);
  return true;
}

}  // namespace ratchet::pipeline
