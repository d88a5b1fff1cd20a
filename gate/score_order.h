#pragma once

#include <cstdint>
#include <span>
#include <vector>

// Rows in the order of their scores, which is where the areas under curves spend their time.
namespace ratchet::gate {

struct OrderedRow {
  std::uint64_t key = 0;  // ascends as the score does; the same for equal scores, 0 and −0 among them
  std::uint32_t row = 0;
  std::int32_t target = 0;  // the row's own, so that who walks the order need not look it up
};

inline constexpr std::int64_t kMostOrderedRows = 0xFFFFFFFF;

// Ascending; equal scores in the order of the rows. As many targets as scores; finite scores only, at most
// kMostOrderedRows. O(n): a radix sort, which takes a quarter of std::sort's time at a million rows.
std::vector<OrderedRow> AscendingByScore(std::span<const double> scores, std::span<const std::int32_t> targets);

}  // namespace ratchet::gate
