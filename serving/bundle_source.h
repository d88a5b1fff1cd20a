#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "base/files.h"
#include "base/result.h"
#include "serving/model_runner.h"

namespace ratchet::serving {

// Where bundles come from: a blob store on this host, or a cache of the same layout that is filled over the wire. What
// it hands out has the digest that was asked for. One thread.
class BundleSource {
 public:
  // Writes the blob into a new file at `path`; kTooLarge beyond the limit.
  using Fetch = std::function<Status(const std::string& sha256, const std::string& path, std::uint64_t limit_bytes)>;

  // Reads `store`, never writes it.
  BundleSource(Files& files, std::string store);
  // Keeps what was fetched under `cache`.
  BundleSource(Files& files, std::string cache, Fetch fetch);

  // kNotFound, kCorrupt (digest or manifest wrong), kTooLarge, kUnavailable, kIo. A file of the cache that is corrupt
  // is fetched anew.
  Result<LocalBundle> Open(const std::string& bundle_sha256);

  // Removes from the cache all but these bundles. Nothing for a store.
  void KeepOnly(const std::set<std::string>& bundles);

 private:
  std::string PathOf(const std::string& sha256) const;
  Status Provide(const std::string& sha256, std::uint64_t limit_bytes);
  Status FetchInto(const std::string& sha256, std::uint64_t limit_bytes);

  Files& files_;
  const std::string folder_;
  const Fetch fetch_;
};

}  // namespace ratchet::serving
