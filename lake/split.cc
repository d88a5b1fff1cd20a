#include "lake/split.h"

#include <charconv>
#include <cmath>

#include "base/names.h"

namespace ratchet::lake {
namespace {

constexpr std::string_view kHashDomain("ratchet-split-1\0", 16);
constexpr char kUnitSeparator = 0x1f;

Status Refuse(std::string field, std::string cause, std::string hint) {
  auto failure = Fail(ErrorCode::kInvalid, "check the split", "", std::move(cause), std::move(hint));
  failure.error().field = std::move(field);
  return failure;
}

}  // namespace

std::string_view SplitName(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kHoldout:
      return "holdout";
  }
  return "train";
}

Result<Split> SplitFromName(std::string_view name) {
  for (Split split : {Split::kTrain, Split::kValidation, Split::kHoldout}) {
    if (SplitName(split) == name) return split;
  }
  return Fail(ErrorCode::kInvalid, "read the split", Quoted(name), "there is no such split",
              "Use train, validation or holdout");
}

Status CheckSplitPolicy(const SplitPolicy& policy) {
  const std::string hint = "Give fractions such as validation 0.1 and holdout 0.2 that add up to less than 1";
  auto fraction = [](double value) { return std::isfinite(value) && value >= 0 && value < 1; };
  if (!fraction(policy.validation)) return Refuse("split.validation", "validation is no fraction of 1", hint);
  if (!fraction(policy.holdout)) return Refuse("split.holdout", "holdout is no fraction of 1", hint);
  if (policy.validation + policy.holdout >= 1) return Refuse("split.holdout", "no rows are left to train on", hint);
  return {};
}

Status CheckSplitKey(const SplitPolicy& policy, const Schema& schema) {
  if (!policy.key || schema.Find(*policy.key) >= 0) return {};
  std::vector<std::string> known;
  for (const Column& column : schema.columns) known.push_back(column.name);
  const std::string near = NearestName(*policy.key, known);
  return Refuse("split.key", "the data has no column " + Quoted(*policy.key) + " to split by",
                near.empty() ? "Name a column of the data, or none" : "Did you mean " + Quoted(near) + "?");
}

Split SplitOfHash(std::uint64_t hash, const SplitPolicy& policy) {
  const double fraction = static_cast<double>(hash) * 0x1p-64;
  if (fraction < policy.holdout) return Split::kHoldout;
  if (fraction < policy.holdout + policy.validation) return Split::kValidation;
  return Split::kTrain;
}

void AppendKeyText(const Cell& cell, std::string& text) {
  if (auto* bytes = std::get_if<std::string_view>(&cell)) {
    text += *bytes;
    return;
  }
  char digits[32];
  std::to_chars_result end{digits, {}};
  if (auto* integer = std::get_if<std::int64_t>(&cell)) end = std::to_chars(digits, digits + sizeof digits, *integer);
  if (auto* real = std::get_if<double>(&cell)) {
    if (std::isnan(*real)) return;  // it is stored as missing
    end = std::to_chars(digits, digits + sizeof digits, *real == 0 ? 0.0 : *real);
  }
  text.append(digits, end.ptr);
}

Splitter::Splitter(SplitPolicy policy, const Schema& schema, std::shared_ptr<const RetiredKeys> retired)
    : policy_(std::move(policy)), key_column_(policy_.key ? schema.Find(*policy_.key) : -1), retired_(std::move(retired)) {}

Split Splitter::Of(std::span<const Cell> row) {
  const std::uint64_t hash = HashOf(row);
  const Split split = SplitOfHash(hash, policy_);
  return split == Split::kHoldout && retired_ && retired_->Has(hash) ? Split::kTrain : split;
}

std::uint64_t Splitter::HashOf(std::span<const Cell> row) {
  text_.assign(kHashDomain);
  if (key_column_ >= 0) {
    AppendKeyText(row[static_cast<std::size_t>(key_column_)], text_);
  } else {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text_ += kUnitSeparator;
      AppendKeyText(row[i], text_);
    }
  }
  hash_.Update(text_);
  return hash_.FinishU64();
}

}  // namespace ratchet::lake
