#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"

namespace ratchet::registry {

// Immutable files under `ROOT/ab/<sha256>`. What Put or Adopt returned survives a power cut. Any thread.
class BlobStore {
 public:
  BlobStore(Files& files, std::string root) : files_(files), root_(std::move(root)) {}

  // Stores the bytes; returns their SHA-256.
  Result<std::string> Put(std::string_view bytes);
  // Moves a file of the same file system into the store (fsync, rename) and returns its SHA-256, which is worked out
  // here. If the blob is there already the file is removed.
  Result<std::string> Adopt(const std::string& path);
  // As Adopt, for a file whose digest must be `expected`: kCorrupt otherwise, and the file stays, so that another try says the
  // same. When the file is gone but the blob is
  // there (an adoption that a crash cut short), it is a success.
  Status AdoptExpected(const std::string& path, const std::string& expected);
  // Puts a file of the same file system into the store under a second name and leaves it where it is: doing it again
  // after a crash gives the same. The file must not be written any more.
  Result<std::string> Keep(const std::string& path);
  Result<std::string> Read(const std::string& sha256, std::uint64_t limit_bytes = 64u << 20) const;
  bool Has(const std::string& sha256) const;
  // Where the blob lies, or would lie.
  std::string PathOf(const std::string& sha256) const;

 private:
  Status MoveIn(const std::string& path, const std::string& sha256);
  Files& files_;
  const std::string root_;
};

}  // namespace ratchet::registry
