#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daemon/api.h"
#include "lake/ingest.h"
#include "lake/manifest.h"
#include "lake/retired_keys.h"
#include "pipeline/holdout_plan.h"
#include "registry/records.h"

// Where pushes and rotations of a dataset's holdout meet.
namespace ratchet::daemon {

// A folder of one request's own below the data directory's staging; gone with it.
class StagingFolder {
 public:
  static Result<std::unique_ptr<StagingFolder>> Make(Api& api);
  ~StagingFolder();
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  StagingFolder(Files& files, std::string path) : files_(files), path_(std::move(path)) {}
  Files& files_;
  const std::string path_;
};

// The manifest of the newest version; it must have one.
Result<lake::Manifest> LatestManifest(Api& api, const registry::Dataset& dataset);

// The keys that a push must not seal again; null where there are none.
Result<std::shared_ptr<const lake::RetiredKeys>> RetiredKeysOf(Api& api, const lake::Manifest& manifest);

// The packs of a push, adopted already, so that none of these retired keys is among the sealed ones: where a rotation came
// while the push was under way. Adopts what it makes.
Status TakeOutRetired(Api& api, const lake::Manifest& before, std::vector<lake::IngestedPack>& packs);

// How many sealed rows a rotation would retire as things are, without force.
Result<std::int64_t> SpentRows(Api& api, const registry::Dataset& dataset);

}  // namespace ratchet::daemon
