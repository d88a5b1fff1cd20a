#include "plugins/sdk/class_table.h"

#include <spdlog/fmt/fmt.h>

#include <iterator>
#include <set>
#include <utility>

#include "base/names.h"

namespace ratchet::sdk {
namespace {

template <typename T>
void Append(std::vector<T>&& more, std::vector<T>& all) {
  if (all.empty())
    all = std::move(more);
  else
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::unexpected<Error> BadTarget(const lake::Column& column, std::string cause, std::string hint) {
  auto failure =
      Fail(ErrorCode::kInvalid, "read classes from target", Quoted(column.name), std::move(cause), std::move(hint));
  failure.error().field = "data.target";
  return failure;
}

template <typename T>
std::vector<T> Distinct(const std::vector<T>& values, const std::vector<std::uint8_t>& missing) {
  std::set<T> seen;
  for (size_t i = 0; i < values.size() && seen.size() <= kMaxClasses; ++i)
    if (!missing[i]) seen.insert(values[i]);
  if constexpr (std::is_same_v<T, std::string>) seen.erase(std::string());
  return {seen.begin(), seen.end()};
}

template <typename T>
std::unordered_map<T, std::int64_t> IndexOf(const std::vector<T>& values) {
  std::unordered_map<T, std::int64_t> index;
  for (const T& value : values) index.emplace(value, static_cast<std::int64_t>(index.size()));
  return index;
}

template <typename T>
std::vector<std::int64_t> LookUp(const std::vector<T>& values, const std::vector<std::uint8_t>& missing,
                                 const std::unordered_map<T, std::int64_t>& index) {
  std::vector<std::int64_t> found(missing.size(), -1);
  for (size_t i = 0; i < missing.size(); ++i) {
    if (missing[i]) continue;
    if (const auto it = index.find(values[i]); it != index.end()) found[i] = it->second;
  }
  return found;
}

}  // namespace

Result<ClassTable> ClassTable::FromTargets(const lake::Column& column, const lake::ColumnBatch& targets) {
  ClassTable table;
  if (column.type != lake::ColumnType::kInteger && column.type != lake::ColumnType::kText)
    return BadTarget(
        column, fmt::format("its type is {}, and a class is an integer or a text", lake::ColumnTypeName(column.type)),
        "Choose another target, or a recipe for regression.");
  table.is_integer_ = column.type == lake::ColumnType::kInteger;
  if (table.is_integer_)
    table.integers_ = Distinct(targets.integers, targets.missing);
  else
    table.texts_ = Distinct(targets.texts, targets.missing);
  if (table.size() < 2)
    return BadTarget(column,
                     fmt::format("the training rows hold {} class(es), and at least 2 are needed", table.size()),
                     "Push rows of more classes.");
  if (table.size() > kMaxClasses)
    return BadTarget(column, fmt::format("it holds more than {} different values", kMaxClasses),
                     "Choose a target with fewer classes, or a recipe for regression.");
  table.integer_index_ = IndexOf(table.integers_);
  table.text_index_ = IndexOf(table.texts_);
  return table;
}

nlohmann::json ClassTable::Json() const { return is_integer_ ? nlohmann::json(integers_) : nlohmann::json(texts_); }

std::vector<std::int64_t> ClassTable::IndexesOf(const lake::ColumnBatch& targets) const {
  return is_integer_ ? LookUp(targets.integers, targets.missing, integer_index_)
                     : LookUp(targets.texts, targets.missing, text_index_);
}

void AppendColumn(lake::ColumnBatch more, lake::ColumnBatch& all) {
  Append(std::move(more.missing), all.missing);
  Append(std::move(more.integers), all.integers);
  Append(std::move(more.reals), all.reals);
  Append(std::move(more.texts), all.texts);
  Append(std::move(more.bytes), all.bytes);
}

}  // namespace ratchet::sdk
