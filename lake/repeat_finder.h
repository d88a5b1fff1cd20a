#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace ratchet::lake {

inline constexpr std::size_t kKeysInMemory = 1'048'576;  // 24 MiB
inline constexpr std::size_t kMaxRuns = 1'024;           // so 10^9 rows and 24 GiB of disk where one has all the memory
inline constexpr std::size_t kRepeatsTold = 5;

struct Repeats {
  std::int64_t rows = 0;            // with a key that came before
  std::vector<std::int64_t> first;  // the numbers of the first kRepeatsTold of them, ascending
};

// Finds the rows whose key came before, among any number of keys in bounded memory: digests of the keys (128 bits of
// SHA-256, so that no two are ever taken for each other) are collected and, whenever memory is full, written in order
// to a file that has no name and so is gone with the process; in the end the runs are merged. One thread.
class RepeatFinder {
 public:
  // `folder`: where the file is made; empty = the system's folder for such. `share`: among how many finders memory is
  // split.
  explicit RepeatFinder(std::string folder, std::size_t share = 1, std::size_t keys_in_memory = kKeysInMemory);

  // In ascending order of rows, from 1. With `counts` false the row is none of the repeats, but those after it are.
  // kTooLarge beyond kMaxRuns times what fits in memory; kIo and kUnavailable where the disk refuses.
  Status Add(std::string_view key, std::int64_t row, bool counts = true);
  // Ends the search; to be called once.
  Result<Repeats> Finish();
  bool on_disk() const { return runs_ > 0; }

  struct Entry {
    std::array<char, 16> digest;
    std::int64_t row;  // twice, plus 1 where it counts
    auto operator<=>(const Entry&) const = default;
  };

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  Status WriteRun();
  Result<Repeats> MergeRuns();

  const std::string folder_;
  const std::size_t keys_in_memory_;
  Sha256 hash_;
  std::vector<Entry> held_;
  std::size_t runs_ = 0;  // of keys_in_memory_ entries each
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace ratchet::lake
