#include "tests/faults/simulated_daemon.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "pipeline/graph.h"
#include "registry/datasets.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/release_steps.h"
#include "registry/runs.h"
#include "tests/faults/system_faults.h"

namespace ratchet::faults {
namespace {
using registry::Db;
using registry::Json;
}  // namespace

TemporaryFolder::TemporaryFolder() {
  const bool in_memory = access("/dev/shm", W_OK) == 0;
  path_ = (in_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/ratchet-sim-XXXXXX";
  RATCHET_CHECK(mkdtemp(path_.data()) != nullptr);
}

TemporaryFolder::~TemporaryFolder() {
  Outside outside;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

SimulatedDaemon::SimulatedDaemon(std::string folder, SimulatedClock& clock, SimulatedProcesses& processes,
                                 SimulatedReplicas& replicas)
    : folder_(std::move(folder)), clock_(clock), processes_(processes), replicas_(replicas), blobs_(files_, folder_ + "/blobs") {}

bool SimulatedDaemon::Start() {
  Faults().armed = true;
  auto store = registry::Store::Open(folder_ + "/registry.db", clock_);
  Faults().armed = false;
  if (!store) return spdlog::info("{}", store.error().Message()), false;
  store_ = std::move(*store);
  orchestrator_ = std::make_unique<pipeline::Orchestrator>(*store_, blobs_, files_, processes_, replicas_, clock_,
                                                           pipeline::OrchestratorOptions{.data_dir = folder_, .cpus = 3});
  return true;
}

void SimulatedDaemon::Stop() {
  Faults().armed = true;
  Faults().dead = true;
  orchestrator_.reset();
  store_.reset();
  Faults().armed = false;
  Faults().dead = false;
  Faults().calls_to_live = -1;
}

std::int64_t SimulatedDaemon::Tick() {
  Faults().armed = true;
  const std::int64_t wake_us = orchestrator_->Tick();
  Faults().armed = false;
  return wake_us;
}

Result<std::string> SimulatedDaemon::Put(const std::string& bytes) {
  Faults().armed = true;
  auto put = blobs_.Put(bytes);
  Faults().armed = false;
  return put;
}

bool SimulatedUser::Apply(const std::string& pipeline, const std::string& spec_text) {
  auto spec = pipeline::ParseSpec(spec_text);
  RATCHET_CHECK(spec);
  auto applied = daemon_.Write([&](Db& db) {
    return registry::ApplyPipeline(db, clock_.WallUs(), "user", {.name = pipeline, .model = spec->model, .dataset = spec->data.dataset,
                                                                 .spec_text = spec_text, .spec = pipeline::SpecToJson(*spec),
                                                                 .files = Json::object()});
  });
  if (!applied) return spdlog::info("{}", applied.error().Message()), false;
  acknowledged_.revisions[pipeline + "@" + std::to_string(applied->pipeline.revision)] = spec_text;
  return true;
}

// What the manifest of this version lists: sealed rows of every push so far.
static Json HoldoutSegments(std::int64_t version) {
  constexpr std::int64_t kHoldoutRows = 400;
  Json segments = Json::array();
  for (std::int64_t push = 1; push <= version; ++push)
    segments.push_back({{"split", "holdout"}, {"sha256", std::string(64, 'a')}, {"rows", kHoldoutRows}, {"bytes", 1}, {"push", push}});
  return segments;
}

bool SimulatedUser::Push(const std::string& dataset, std::int64_t rows) {
  std::int64_t version = 1;
  (void)daemon_.Write([&](Db& db) -> Status {
    if (auto found = registry::GetDataset(db, dataset)) version = found->latest_version + 1;
    return {};
  });
  const Json manifest = {{"schema", Json::array()}, {"split", {{"key", nullptr}}}, {"segments", HoldoutSegments(version)},
                         {"at", clock_.MonotonicUs()}};
  auto sha256 = daemon_.Put(manifest.dump());
  if (!sha256) return false;
  auto pushed = daemon_.Write([&](Db& db) -> Result<registry::DatasetVersion> {
    RATCHET_ASSIGN(registry::Dataset found, registry::EnsureDataset(db, clock_.WallUs(), dataset, {{"holdout", 0.2}}));
    registry::DatasetVersion made{.dataset = dataset, .version = version, .manifest = *sha256, .rows = found.rows,
                                  .added = {rows, 0, 0}, .created_at = clock_.WallUs()};
    made.rows.train += rows;
    return registry::AddDatasetVersion(db, made, Json::array());
  });
  if (!pushed) return false;
  acknowledged_.dataset_versions[dataset + "@" + std::to_string(pushed->version)] = *sha256;
  return true;
}

bool SimulatedUser::StartRun(const std::string& pipeline, bool fresh, std::int64_t priority, std::optional<std::int64_t> reproduces) {
  auto run = daemon_.Write([&](Db& db) -> Result<registry::Run> {
    RATCHET_ASSIGN(registry::Pipeline record, registry::GetPipeline(db, pipeline));
    Json spec_json = record.spec;
    registry::Run first;
    if (reproduces) {
      RATCHET_ASSIGN(first, registry::GetRun(db, *reproduces));
      spec_json = first.spec;
    }
    RATCHET_ASSIGN(pipeline::Spec spec, pipeline::SpecFromJson(spec_json));
    return registry::CreateRun(db, clock_.WallUs(), {.pipeline = pipeline, .reason = {{"kind", "manual"}, {"detail", ""}},
                                                     .overrides = Json::object(), .spec = spec_json,
                                                     .steps = reproduces ? pipeline::PlanReproduction(spec, first) : pipeline::PlanSteps(spec),
                                                     .priority = priority,
                                                     .deadline_s = spec.run.deadline_s, .fresh = fresh, .reproduces = reproduces});
  });
  if (!run) return false;
  acknowledged_.runs[run->id] = pipeline;
  return true;
}

bool SimulatedUser::Cancel(std::int64_t run) {
  return daemon_.Write([&](Db& db) { return registry::AskCancel(db, clock_.WallUs(), "user", run); }).has_value();
}

bool SimulatedUser::Retry(std::int64_t run) {
  return daemon_.Write([&](Db& db) { return registry::RetryRun(db, clock_.WallUs(), "user", run); }).has_value();
}

bool SimulatedUser::Pause(const std::string& pipeline, bool paused) {
  acknowledged_.paused.erase(pipeline);  // either, until it is acknowledged
  if (!daemon_.Write([&](Db& db) { return registry::SetPaused(db, clock_.WallUs(), "user", pipeline, paused); })) return false;
  acknowledged_.paused[pipeline] = paused;
  return true;
}

bool SimulatedUser::Promote(const std::string& model, std::int64_t version, registry::ReleaseKind kind) {
  auto release = daemon_.Write([&](Db& db) {
    return registry::BeginRelease(db, clock_.WallUs(), {.model = model, .to = version, .kind = kind, .actor = "user", .reason = "a wish",
                                                        .run = {}, .expected = {}});
  });
  if (release) acknowledged_.releases[release->id] = release->kind;
  return release.has_value();
}

bool SimulatedUser::Rollback(const std::string& model, std::optional<std::int64_t> to) {
  auto release = daemon_.Write([&](Db& db) { return registry::Rollback(db, clock_.WallUs(), model, to, "user", "a wish"); });
  if (release) acknowledged_.releases[release->id] = release->kind;
  return release.has_value();
}

bool SimulatedUser::ApproveRelease(const std::string& model) {
  return daemon_.Write([&](Db& db) { return registry::ApproveRelease(db, clock_.WallUs(), model, "user", ""); }).has_value();
}

bool SimulatedUser::AbortRelease(const std::string& model) {
  return daemon_.Write([&](Db& db) { return registry::AbortUnderWay(db, clock_.WallUs(), model, "user", "a wish"); }).has_value();
}

bool SimulatedUser::NoteDrift(const std::string& pipeline, double worst) {
  return daemon_.Write([&](Db& db) -> Status {
    RATCHET_ASSIGN(registry::Pipeline record, registry::GetPipeline(db, pipeline));
    RATCHET_ASSIGN(registry::Dataset dataset, registry::GetDataset(db, record.dataset));
    registry::KeepDrift(db, pipeline, {.dataset_version = dataset.latest_version, .live = 1, .worst = worst,
                                       .report = {{"worst_column", "x"}}, .at = clock_.WallUs()});
    return {};
  }).has_value();
}

}  // namespace ratchet::faults
