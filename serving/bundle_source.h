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
  // Writes the blob into the file at `path`, from where that one ends where it is there; kTooLarge beyond the limit,
  // kUnavailable where another try may go on from what has come.
  using Fetch = std::function<Status(const std::string& sha256, const std::string& path, std::uint64_t limit_bytes)>;
  // Waits between two tries; false to give up.
  using Pause = std::function<bool(std::int64_t wait_us)>;

  // A fetch that was cut off is tried again, with doubling waits, as long as each but the last few brings some bytes.
  static constexpr int kFruitlessTries = 4;
  static constexpr std::int64_t kFirstWaitUs = 100'000;

  // Reads `store`, never writes it.
  BundleSource(Files& files, std::string store);
  // Keeps what was fetched under `cache`; of a file that has not come whole the part that has, for the next try.
  BundleSource(Files& files, std::string cache, Fetch fetch, Pause pause = [](std::int64_t) { return false; });

  // kNotFound, kCorrupt (digest or manifest wrong), kTooLarge, kUnavailable, kIo. A file of the cache that is corrupt
  // is fetched anew.
  Result<LocalBundle> Open(const std::string& bundle_sha256);

  // Removes from the cache all but these bundles, whole or not. Nothing for a store.
  void KeepOnly(const std::set<std::string>& bundles);

 private:
  std::string PathOf(const std::string& sha256) const;
  Status Provide(const std::string& sha256, std::uint64_t limit_bytes);
  Status FetchInto(const std::string& sha256, std::uint64_t limit_bytes);
  Status FetchPatiently(const std::string& sha256, const std::string& part, std::uint64_t limit_bytes);

  Files& files_;
  const std::string folder_;
  const Fetch fetch_;
  const Pause pause_;
};

}  // namespace ratchet::serving
