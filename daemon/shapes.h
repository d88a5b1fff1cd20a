#pragma once

#include <optional>

#include "daemon/api.h"
#include "registry/holdout.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/records.h"

// The registry's records as the JSON of docs/formats.md, "Control plane HTTP: shapes".
namespace ratchet::daemon {

Json PipelineJson(const registry::Pipeline& pipeline);
Json DriftJson(const registry::DriftReport& drift);
// Whose `progress` is read from the step folders: a list has it of running steps only, as each costs a file.
enum class ProgressOf { kRunningSteps, kAllSteps };
Json RunJson(const registry::Run& run, const std::string& data_dir, ProgressOf which = ProgressOf::kRunningSteps);
Json DatasetJson(const registry::Dataset& dataset);
Json HoldoutEpochJson(const registry::HoldoutEpoch& epoch);
Json DatasetVersionJson(const registry::DatasetVersion& version);
Json ModelJson(const registry::Model& model);
enum class ManifestIn { kLeftOut, kIncluded };
Json VersionJson(const registry::Version& version, ManifestIn manifest);
Json ReleaseJson(const registry::Release& release);
Json RouteJson(const registry::Route& route);
Json EventJson(const registry::Event& event);
Json AuditJson(const registry::AuditEntry& entry);

}  // namespace ratchet::daemon
