#pragma once

#include <optional>
#include <string>

#include "registry/db.h"
#include "registry/records.h"

namespace ratchet::registry {

// Makes the dataset without rows, or confirms that it is there with just this split policy: kConflict where it differs.
Result<Dataset> EnsureDataset(Db& db, std::int64_t now_us, const std::string& name, const Json& split);
Result<Dataset> GetDataset(Db& db, const std::string& name);  // kNotFound
Page<Dataset> ListDatasets(Db& db, int limit, const std::optional<std::string>& after);  // by name

// Adds version `input.version`, which must be the latest plus one (kConflict: another push came first; make the manifest
// anew on top of that one). Sets the schema on the first. Event dataset.version.
Result<DatasetVersion> AddDatasetVersion(Db& db, const DatasetVersion& input, const Json& schema);
Result<DatasetVersion> GetDatasetVersion(Db& db, const std::string& name, std::int64_t version);  // kNotFound
Page<DatasetVersion> ListDatasetVersions(Db& db, const std::string& name, int limit,
                                         const std::optional<std::string>& after);  // newest first

}  // namespace ratchet::registry
