#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"

namespace ratchet::sdk {

// More classes than this is a target that is no class at all: an identifier, a price.
inline constexpr size_t kMaxClasses = 1000;

// The classes of a target column and their order: integers by value, texts by bytes. The manifest's `classes`.
class ClassTable {
 public:
  // The distinct values of `targets`; missing values and empty texts are passed over. kInvalid: a column of reals or
  // blobs, fewer than two classes, more than kMaxClasses.
  static Result<ClassTable> FromTargets(const lake::Column& column, const lake::ColumnBatch& targets);

  size_t size() const { return integers_.size() + texts_.size(); }
  nlohmann::json Json() const;
  // The class index of each value; -1 where it is missing or not in the table.
  std::vector<std::int64_t> IndexesOf(const lake::ColumnBatch& targets) const;

 private:
  bool is_integer_ = false;
  std::vector<std::int64_t> integers_;
  std::vector<std::string> texts_;
  std::unordered_map<std::int64_t, std::int64_t> integer_index_;
  std::unordered_map<std::string, std::int64_t> text_index_;
};

// Puts the rows of `more` after those of `all`; both of the same column.
void AppendColumn(lake::ColumnBatch more, lake::ColumnBatch& all);

}  // namespace ratchet::sdk
