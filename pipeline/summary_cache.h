#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "lake/summary.h"
#include "registry/blob_store.h"

namespace ratchet::pipeline {

inline constexpr std::size_t kSummariesKept = 64;

// Summaries of lists of packs that grow at their end, as a dataset's do. Kept as files `FOLDER/<digest>.json`, not in
// memory: one may take some 60 MB there. The files are a cache: any may be lost, a damaged one is made again, and
// beyond kSummariesKept the one that was used longest ago goes. One thread.
class SummaryCache {
 public:
  SummaryCache(Files& files, const registry::BlobStore& blobs, std::string folder)
      : files_(files), blobs_(blobs), folder_(std::move(folder)) {}

  // Of all rows of the packs with these digests. Reads those packs only that come after the longest kept beginning of
  // the list, and keeps the answer. kUnavailable once a stop is asked for; else as lake::Summarise and lake::Merge.
  Result<lake::Summary> Of(const std::vector<std::string>& packs, const std::stop_token& stop);

 private:
  std::string PathOf(const std::string& key) const { return folder_ + "/" + key + ".json"; }
  bool Load(const std::string& key, lake::Summary& into) const;
  void Keep(const std::string& key, const lake::Summary& summary);
  void DropOldest();

  Files& files_;
  const registry::BlobStore& blobs_;
  const std::string folder_;
};

}  // namespace ratchet::pipeline
