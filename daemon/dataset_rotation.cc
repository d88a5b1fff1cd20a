#include "daemon/dataset_rotation.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>

#include "lake/rotation.h"
#include "registry/datasets.h"
#include "registry/holdout.h"

namespace ratchet::daemon {

Result<std::unique_ptr<StagingFolder>> StagingFolder::Make(Api& api) {
  std::string path = api.data_dir + "/staging/rotation-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return FailErrno("make a staging folder in", api.data_dir, errno);
  return std::unique_ptr<StagingFolder>(new StagingFolder(api.files, std::move(path)));
}

StagingFolder::~StagingFolder() { (void)files_.RemoveAll(path_); }

Result<lake::Manifest> LatestManifest(Api& api, const registry::Dataset& dataset) {
  RATCHET_ASSIGN(const registry::DatasetVersion latest, api.store.Read([&](Db& db) {
    return registry::GetDatasetVersion(db, dataset.name, dataset.latest_version);
  }));
  RATCHET_ASSIGN(const std::string text, api.blobs.Read(latest.manifest));
  return lake::ManifestFromJson(text);
}

Result<std::shared_ptr<const lake::RetiredKeys>> RetiredKeysOf(Api& api, const lake::Manifest& manifest) {
  if (!manifest.retired) return nullptr;
  return lake::RetiredKeys::Open(api.blobs.PathOf(manifest.retired->keys));
}

Status TakeOutRetired(Api& api, const lake::Manifest& before, std::vector<lake::IngestedPack>& packs) {
  RATCHET_ASSIGN(const auto retired, RetiredKeysOf(api, before));
  const auto sealed = std::ranges::find(packs, lake::Split::kHoldout, &lake::IngestedPack::split);
  if (!retired || sealed == packs.end()) return {};
  RATCHET_ASSIGN(const auto staging, StagingFolder::Make(api));
  RATCHET_ASSIGN(auto instead, lake::TakeRetired(api.blobs.PathOf(sealed->sha256), before.split, *retired, staging->path()));
  if (instead.empty()) return {};
  for (const lake::IngestedPack& pack : instead) RATCHET_TRY(api.blobs.AdoptExpected(pack.path, pack.sha256));
  packs.erase(sealed);
  packs.insert(packs.end(), instead.begin(), instead.end());
  return {};
}

Result<std::int64_t> SpentRows(Api& api, const registry::Dataset& dataset) {
  auto epochs = api.store.Read([&](Db& db) -> Result<std::vector<registry::HoldoutEpoch>> {
    return registry::CurrentEpochs(db, dataset.name);
  });
  if (!epochs) return std::unexpected(epochs.error());
  if (epochs->empty() || dataset.latest_version == 0) return 0;
  RATCHET_ASSIGN(const lake::Manifest manifest, LatestManifest(api, dataset));
  const auto plan = pipeline::PlanRotation(*epochs, pipeline::HoldoutRowsOf(manifest),
                                           {.dataset = dataset.name, .model = {}, .retired_until = manifest.retired ? manifest.retired->until_push : 0});
  return plan ? plan->rows : 0;
}

}  // namespace ratchet::daemon
