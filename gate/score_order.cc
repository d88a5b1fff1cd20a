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

struct KeyedRow {
  std::uint64_t key;
  std::uint32_t row;
};

// Ascends as the number does.
std::uint64_t KeyOf(double score) {
  const auto bits = std::bit_cast<std::uint64_t>(score + 0.0);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

double ScoreOf(std::uint64_t key) { return std::bit_cast<double>((key & kSign) != 0 ? key & ~kSign : ~key); }

size_t DigitOf(std::uint64_t key, size_t digit) { return (key >> (kDigitBits * digit)) & (kDigitValues - 1); }

using Counts = std::array<std::uint32_t, kDigitValues>;

// Each digit from the lowest, keeping the order of those before. Digits that all keys share are passed over.
void RadixSort(std::vector<KeyedRow>& rows) {
  std::vector<Counts> counts(kDigits, Counts{});
  for (const KeyedRow& row : rows)
    for (size_t digit = 0; digit < kDigits; ++digit) ++counts[digit][DigitOf(row.key, digit)];
  std::vector<KeyedRow> sorted(rows.size());
  for (size_t digit = 0; digit < kDigits; ++digit) {
    if (counts[digit][DigitOf(rows[0].key, digit)] == rows.size()) continue;
    std::uint32_t begin = 0;
    for (std::uint32_t& count : counts[digit]) begin += std::exchange(count, begin);
    for (const KeyedRow& row : rows) sorted[counts[digit][DigitOf(row.key, digit)]++] = row;
    rows.swap(sorted);
  }
}

}  // namespace

std::vector<ScoredRow> AscendingByScore(std::span<const double> scores) {
  std::vector<KeyedRow> rows(scores.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = {KeyOf(scores[i]), static_cast<std::uint32_t>(i)};
  if (rows.size() < kFewRows)
    std::ranges::stable_sort(rows, {}, &KeyedRow::key);
  else
    RadixSort(rows);
  std::vector<ScoredRow> ordered(rows.size());
  std::ranges::transform(rows, ordered.begin(), [](const KeyedRow& row) {
    return ScoredRow{ScoreOf(row.key), row.row};
  });
  return ordered;
}

}  // namespace ratchet::gate
