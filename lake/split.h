#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"
#include "lake/pack.h"
#include "lake/retired_keys.h"

namespace ratchet::lake {

enum class Split { kTrain, kValidation, kHoldout };

std::string_view SplitName(Split split);  // "train", "validation", "holdout"
Result<Split> SplitFromName(std::string_view name);

// How a dataset's rows are dealt out, fixed with its first push. (A cut by time is not there yet.)
struct SplitPolicy {
  double validation = 0.1;  // fractions of 1
  double holdout = 0.2;
  std::optional<std::string> key;  // the column that decides; none = the whole row does

  bool operator==(const SplitPolicy&) const = default;
};

// Fractions are finite, not negative and leave something to train on; the key, if any, is a column of the schema.
// kInvalid with `field` = "split.validation", "split.holdout" or "split.key" otherwise.
Status CheckSplitPolicy(const SplitPolicy& policy);
Status CheckSplitKey(const SplitPolicy& policy, const Schema& schema);

// The split of a hash: the hash as a fraction of 2^64 below `holdout`, below `holdout + validation`, or above. Pure.
Split SplitOfHash(std::uint64_t hash, const SplitPolicy& policy);

// Appends the key text of one cell: integers in decimal, reals as the shortest text that reads back the same (3.0 as
// "3", -0.0 as "0"), text and blobs as they are, missing as nothing.
void AppendKeyText(const Cell& cell, std::string& text);

// Decides the split of rows of one schema. The same key text always gets the same split, in every process and for ever.
// One thread (it keeps a hash and a buffer between rows).
class Splitter {
 public:
  // The policy must have passed both checks with this schema. `retired`: keys that fall into `train` whatever their hash.
  Splitter(SplitPolicy policy, const Schema& schema, std::shared_ptr<const RetiredKeys> retired = nullptr);
  Split Of(std::span<const Cell> row);
  // The first 8 bytes of the digest of the row's key text, by which it falls; see docs/formats.md.
  std::uint64_t HashOf(std::span<const Cell> row);

 private:
  const SplitPolicy policy_;
  const int key_column_;  // -1: all columns
  const std::shared_ptr<const RetiredKeys> retired_;
  Sha256 hash_;
  std::string text_;
};

}  // namespace ratchet::lake
