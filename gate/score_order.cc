#include "gate/score_order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace ratchet::gate {
namespace {

constexpr int kDigitBits = 11;
constexpr size_t kDigits = 6;  // 6 × 11 bits hold the 64 of a double
constexpr size_t kDigitValues = size_t{1} << kDigitBits;
constexpr size_t kFewRows = 4096;  // below, counting digits costs more than comparing
constexpr std::uint64_t kSign = std::uint64_t{1} << 63;

// Ascends as the number does. Adding 0 makes 0 of −0.
std::uint64_t KeyOf(double score) {
  const auto bits = std::bit_cast<std::uint64_t>(score + 0.0);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

size_t DigitOf(std::uint64_t key, size_t digit) { return (key >> (kDigitBits * digit)) & (kDigitValues - 1); }

using Counts = std::array<std::uint32_t, kDigitValues>;

// Each digit from the lowest, keeping the order of those before. Digits that all keys share are passed over: scores
// that were single precision have two such.
void RadixSort(std::vector<OrderedRow>& rows) {
  std::vector<Counts> counts(kDigits, Counts{});
  for (const OrderedRow& row : rows)
    for (size_t digit = 0; digit < kDigits; ++digit) ++counts[digit][DigitOf(row.key, digit)];
  std::vector<OrderedRow> sorted(rows.size());
  for (size_t digit = 0; digit < kDigits; ++digit) {
    if (counts[digit][DigitOf(rows[0].key, digit)] == rows.size()) continue;
    std::uint32_t begin = 0;
    for (std::uint32_t& count : counts[digit]) begin += std::exchange(count, begin);
    for (const OrderedRow& row : rows) sorted[counts[digit][DigitOf(row.key, digit)]++] = row;
    rows.swap(sorted);
  }
}

}  // namespace

std::vector<OrderedRow> AscendingByScore(std::span<const double> scores, std::span<const std::int32_t> targets) {
  std::vector<OrderedRow> rows(scores.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = {KeyOf(scores[i]), static_cast<std::uint32_t>(i), targets[i]};
  if (rows.size() < kFewRows)
    std::ranges::stable_sort(rows, {}, &OrderedRow::key);
  else
    RadixSort(rows);
  return rows;
}

}  // namespace ratchet::gate
