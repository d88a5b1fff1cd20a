#include "pipeline/summary_cache.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/digest.h"
#include "base/log.h"
#include "lake/pack.h"

namespace ratchet::pipeline {
namespace {

namespace fs = std::filesystem;

// keys[i] stands for the first i packs.
std::vector<std::string> KeysOf(const std::vector<std::string>& packs) {
  std::vector<std::string> keys{""};
  for (const std::string& pack : packs) keys.push_back(Sha256Hex(keys.back() + pack));
  return keys;
}

// lake::Summarise, but a large pack does not hold up the end of the daemon.
Result<lake::Summary> Summarise(const std::string& pack, const std::stop_token& stop) {
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open({pack}));
  lake::Summariser summariser(reader->schema());
  while (!stop.stop_requested()) {
    RATCHET_ASSIGN(const auto row, reader->NextRow());
    if (!row) return summariser.Finish();
    summariser.Add(*row);
  }
  return Fail(ErrorCode::kUnavailable, "summarise", pack, "the daemon is stopping");
}

}  // namespace

Result<lake::Summary> SummaryCache::Of(const std::vector<std::string>& packs, const std::stop_token& stop) {
  const std::vector<std::string> keys = KeysOf(packs);
  lake::Summary summary;
  size_t known = packs.size();
  while (known > 0 && !Load(keys[known], summary)) --known;
  if (known == packs.size()) return summary;
  for (size_t i = known; i < packs.size(); ++i) {
    RATCHET_ASSIGN(const lake::Summary next, Summarise(blobs_.PathOf(packs[i]), stop));
    RATCHET_ASSIGN(summary, lake::Merge(summary, next));
  }
  Keep(keys.back(), summary);
  return summary;
}

bool SummaryCache::Load(const std::string& key, lake::Summary& into) const {
  const std::string path = PathOf(key);
  auto text = files_.Read(path);
  if (!text) return false;
  auto summary = lake::SummaryFromJson(*text);
  if (!summary) return false;
  into = std::move(*summary);
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);  // used just now
  return true;
}

void SummaryCache::Keep(const std::string& key, const lake::Summary& summary) {
  Status kept = files_.MakeFolders(folder_);
  if (kept) kept = files_.WriteAtomic(PathOf(key), lake::SummaryToJson(summary));
  if (!kept) return spdlog::warn("a summary has to be made again next time: {}", kept.error().Message());
  DropOldest();
}

void SummaryCache::DropOldest() {
  std::vector<std::pair<fs::file_time_type, std::string>> kept;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored))
    kept.emplace_back(entry.last_write_time(ignored), entry.path());
  if (kept.size() <= kSummariesKept) return;
  std::ranges::sort(kept);
  for (size_t i = 0; i + kSummariesKept < kept.size(); ++i) (void)files_.RemoveAll(kept[i].second);
}

}  // namespace ratchet::pipeline
