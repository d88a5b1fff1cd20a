#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/digest.h"
#include "base/result.h"
#include "lake/sqlite_file.h"

namespace ratchet::lake {

inline constexpr std::size_t kKeysInMemory = 1'048'576;      // some 50 MB
inline constexpr std::int64_t kMaxKeys = 500'000'000;        // some 15 GB of scratch disk
inline constexpr std::int64_t kKeySetCacheBytes = 64 << 20;  // of a set on disk

// A set of texts of any number and length in bounded memory: their digests (128 bits of SHA-256, so that no two texts
// are ever taken for each other) are held in memory up to a limit, then in a file that has no name and so is gone with
// the process. One thread.
class KeySet {
 public:
  // `folder`: where the file is made; empty = the system's folder for such. `share`: of how many sets that split memory
  // and cache among them this is one.
  explicit KeySet(std::string folder, std::size_t share = 1, std::size_t keys_in_memory = kKeysInMemory);

  // True where the text is new. kTooLarge beyond kMaxKeys; kIo where the file cannot be made.
  Result<bool> Insert(std::string_view text);
  std::int64_t size() const { return size_; }
  bool on_disk() const { return file_ != nullptr; }

 private:
  using Digest = std::array<char, 16>;
  struct DigestHash {
    std::size_t operator()(const Digest& digest) const;
  };
  Status MoveToDisk();
  Result<bool> InsertOnDisk(const Digest& digest);

  const std::string folder_;
  const std::size_t keys_in_memory_;
  const std::int64_t cache_bytes_;
  Sha256 hash_;
  std::int64_t size_ = 0;
  std::unordered_set<Digest, DigestHash> held_;
  std::unique_ptr<SqliteFile> file_;
  SqliteStatement insert_;
};

}  // namespace ratchet::lake
