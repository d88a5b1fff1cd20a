#include "serving/bundle_source.h"

#include <spdlog/spdlog.h>

#include <cstring>
#include <filesystem>

#include "base/digest.h"

namespace ratchet::serving {
namespace {

namespace fs = std::filesystem;

constexpr char kPart[] = ".part";

std::uint64_t SizeOf(const std::string& path) {
  std::error_code none;
  const auto bytes = fs::file_size(path, none);
  return none ? 0 : bytes;
}

Status CheckDigest(const std::string& path, const std::string& sha256) {
  RATCHET_ASSIGN(std::string found, Sha256File(path));
  if (found == sha256) return {};
  return Fail(ErrorCode::kCorrupt, "read blob", path, "its SHA-256 is " + found);
}

}  // namespace

BundleSource::BundleSource(Files& files, std::string store) : files_(files), folder_(std::move(store)) {}

BundleSource::BundleSource(Files& files, std::string cache, Fetch fetch, Pause pause)
    : files_(files), folder_(std::move(cache)), fetch_(std::move(fetch)), pause_(std::move(pause)) {}

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
  const std::string path = PathOf(sha256), part = path + kPart;
  RATCHET_TRY(files_.MakeFolders(fs::path(path).parent_path().string()));
  // One that was whole when the process was killed has nothing left to ask for.
  if (SizeOf(part) > 0 && CheckDigest(part, sha256)) return files_.Rename(part, path);
  Status fetched = FetchPatiently(sha256, part, limit_bytes);
  if (fetched) fetched = CheckDigest(part, sha256);
  if (fetched) fetched = files_.Rename(part, path);
  if (!fetched && fetched.error().code != ErrorCode::kUnavailable) (void)files_.RemoveAll(part);
  return fetched;
}

Status BundleSource::FetchPatiently(const std::string& sha256, const std::string& part, std::uint64_t limit_bytes) {
  std::uint64_t had = SizeOf(part);
  std::int64_t wait_us = kFirstWaitUs;
  for (int fruitless = 0;;) {
    Status fetched = fetch_(sha256, part, limit_bytes);
    if (fetched || fetched.error().code != ErrorCode::kUnavailable) return fetched;
    const std::uint64_t has = SizeOf(part);
    if (has > had) fruitless = 0, wait_us = kFirstWaitUs;
    if (++fruitless > kFruitlessTries || !pause_(wait_us)) return fetched;
    had = has;
    wait_us *= 2;
  }
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
    std::string name = entry->path().filename().string();
    if (name.ends_with(kPart)) name.resize(name.size() - std::strlen(kPart));
    if (!entry->is_regular_file(error) || digests.contains(name)) continue;
    if (auto removed = files_.RemoveAll(entry->path().string()); !removed)
      spdlog::warn("{}", removed.error().Message());
  }
}

}  // namespace ratchet::serving
