#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/records.h"

namespace ratchet::registry {

struct PipelineInput {
  std::string name, model, dataset;
  std::string spec_text;
  Json spec, files;
};

struct Applied {
  Pipeline pipeline;
  bool created = false;  // there was none of this name (or it was deleted)
  bool changed = false;  // a new revision was made
};

// Makes revision 1, or the next when text or files differ. kConflict when another pipeline trains the same model: each
// would judge its candidates against the other's. Event pipeline.applied and audit entry on change.
Result<Applied> ApplyPipeline(Db& db, std::int64_t now_us, const std::string& actor, const PipelineInput& input);
Result<Pipeline> GetPipeline(Db& db, const std::string& name);  // kNotFound
// The trainer files of one revision, current or not: {"train.py": "<sha256>"}. kNotFound.
Result<Json> RevisionFiles(Db& db, const std::string& name, std::int64_t revision);
Page<Pipeline> ListPipelines(Db& db, int limit, const std::optional<std::string>& after);  // by name

// A pipeline as far as its triggers go, without its spec: the loop looks at every one in every tick.
struct PipelineMark {
  std::string name, dataset;
  std::int64_t revision = 0, updated_at = 0;
  bool paused = false;
  std::optional<std::int64_t> schedule_seen_at;
};
std::vector<PipelineMark> ListPipelineMarks(Db& db);  // by name
// Hides it and stops its triggers; runs, versions and releases stay. kConflict while a run is active.
Status DeletePipeline(Db& db, std::int64_t now_us, const std::string& actor, const std::string& name);

// While it is paused no run of it is begun, whoever asked for one; what runs goes on. Doing it twice is fine.
Result<Pipeline> SetPaused(Db& db, std::int64_t now_us, const std::string& actor, const std::string& name, bool paused);
// Notes that fire times of the pipeline's schedule up to `at_us` are dealt with.
void SetScheduleSeen(Db& db, const std::string& name, std::int64_t at_us);

// `predictions` of the specs, by model: how its answers are logged. Of a pipeline that was deleted they hold on, so that
// what was left out of the log stays out while the model serves.
struct PredictionSettings {
  std::int64_t revision = 0;           // grows with every change of any of them
  std::map<std::string, Json> of_model;
};
PredictionSettings PredictionSettingsOf(Db& db);

// A pipeline whose spec has `feedback`.
struct FeedbackPlan {
  std::string model, dataset, target;  // of the spec
  std::string to;                      // the dataset that rows go to
  std::int64_t every = 0, within_s = 0;
};
std::vector<FeedbackPlan> FeedbackPlans(Db& db);  // by name of the pipeline

// How far a pipeline's newest rows are from those that its live version was trained on.
struct DriftReport {
  std::int64_t dataset_version = 0, live = 0;
  double worst = 0;  // population stability index of the worst column
  Json report;       // per column
  std::int64_t at = 0;
};
std::optional<DriftReport> FindDrift(Db& db, const std::string& pipeline);
void KeepDrift(Db& db, const std::string& pipeline, const DriftReport& drift);

// A pipeline that asks for drift and whose dataset has grown since its live version was trained, in a way that its kept
// report does not know of.
struct DriftDue {
  std::string pipeline;
  std::int64_t live = 0;
  std::int64_t trained_on = 0;       // the live version's dataset version
  std::int64_t dataset_version = 0;  // the latest
  std::string dataset_manifest;      // SHA-256, of the latest
  Json bundle;                       // manifest of the live version's bundle
};
std::vector<DriftDue> DriftsDue(Db& db);  // by name

}  // namespace ratchet::registry
