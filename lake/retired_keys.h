#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace ratchet::lake {

inline constexpr std::size_t kMaxRetiredKeys = 32'000'000;  // 256 MB

// The keys of rows that were taken out of the holdout into training: their split hashes (Splitter::HashOf), ascending and
// distinct, 8 bytes each, big-endian. A row whose key is among them falls into `train` for ever, so that it never is a
// sealed row beside its twin in training. A file that is mapped, not read. Immutable; any thread.
class RetiredKeys {
 public:
  static Result<std::shared_ptr<const RetiredKeys>> Open(const std::string& path);  // kCorrupt: no such file of keys
  // A new file; durable on return.
  static Status Write(const std::string& path, std::span<const std::uint64_t> ascending);
  ~RetiredKeys();
  RetiredKeys(const RetiredKeys&) = delete;
  RetiredKeys& operator=(const RetiredKeys&) = delete;

  std::size_t size() const { return count_; }
  std::uint64_t At(std::size_t index) const;
  bool Has(std::uint64_t hash) const;

 private:
  RetiredKeys(const unsigned char* bytes, std::size_t count) : bytes_(bytes), count_(count) {}
  const unsigned char* bytes_;
  std::size_t count_;
};

}  // namespace ratchet::lake
