#pragma once

#include <optional>
#include <string>

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
// Hides it and stops its triggers; runs, versions and releases stay. kConflict while a run is active.
Status DeletePipeline(Db& db, std::int64_t now_us, const std::string& actor, const std::string& name);

}  // namespace ratchet::registry
