#include "serving/bundle_source.h"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "base/digest.h"

namespace ratchet::serving {
namespace {

namespace fs = std::filesystem;

Status CheckDigest(const std::string& path, const std::string& sha256) {
  RATCHET_ASSIGN(std::string found, Sha256File(path));
  if (found == sha256) return {};
  return Fail(ErrorCode::kCorrupt, "read blob", path, "its SHA-256 is " + found);
}

}  // namespace

BundleSource::BundleSource(Files& files, std::string store) : files_(files), folder_(std::move(store)) {}

BundleSource::BundleSource(Files& files, std::string cache, Fetch fetch)
    : files_(files), folder_(std::move(cache)), fetch_(std::move(fetch)) {}

std::string BundleSource::PathOf(const std::string& sha256) const {
  return folder_ + "/sha256/" + sha256.substr(0, 2) + "/" + sha256;
}

Result<LocalBundle> BundleSource::Open(const std::string& bundle_sha256) {
  RATCHET_TRY(Provide(bundle_sha256, registry::kMaxManifestBytes));
  RATCHET_ASSIGN(std::string text, files_.Read(PathOf(bundle_sha256), registry::kMaxManifestBytes));
  LocalBundle bundle{.digest = bundle_sha256};
  RATCHET_ASSIGN(bundle.manifest, registry::ParseManifest(text));
  const registry::BundleFile& model = bundle.manifest.model();
  RATCHET_TRY(Provide(model.sha256, model.bytes));
  bundle.model_path = PathOf(model.sha256);
  return bundle;
}

// The blob is at its path with the right content, or an error says why not.
Status BundleSource::Provide(const std::string& sha256, std::uint64_t limit_bytes) {
  const std::string path = PathOf(sha256);
  Status there = CheckDigest(path, sha256);
  if (there || !fetch_) return there;
  if (there.error().code == ErrorCode::kCorrupt) spdlog::warn("{}; fetching it anew", there.error().Message());
  return FetchInto(sha256, limit_bytes);
}

Status BundleSource::FetchInto(const std::string& sha256, std::uint64_t limit_bytes) {
  const std::string path = PathOf(sha256), temporary = path + ".part";
  RATCHET_TRY(files_.MakeFolders(fs::path(path).parent_path().string()));
  Status fetched = fetch_(sha256, temporary, limit_bytes);
  if (fetched) fetched = CheckDigest(temporary, sha256);
  if (fetched) fetched = files_.Rename(temporary, path);
  if (!fetched) (void)files_.RemoveAll(temporary);
  return fetched;
}

void BundleSource::KeepOnly(const std::set<std::string>& bundles) {
  if (!fetch_) return;
  std::set<std::string> digests = bundles;
  for (const std::string& bundle : bundles) {
    auto text = files_.Read(PathOf(bundle), registry::kMaxManifestBytes);
    if (!text) continue;
    if (auto manifest = registry::ParseManifest(*text)) digests.insert(manifest->model().sha256);
  }
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder_ + "/sha256", error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_regular_file(error) || digests.contains(entry->path().filename().string())) continue;
    if (auto removed = files_.RemoveAll(entry->path().string()); !removed)
      spdlog::warn("{}", removed.error().Message());
  }
}

}  // namespace ratchet::serving
