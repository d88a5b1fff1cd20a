#include "pipeline/test_scores.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lake/pack.h"

namespace ratchet::pipeline {
namespace {

constexpr std::int64_t kBatchRows = 65'536;
constexpr size_t kMaxNameBytes = 80;

using lake::ColumnType;
using Cells = std::vector<lake::Value>;  // one column, whole

lake::Value CellOf(const lake::Column& column, const lake::ColumnBatch& batch, size_t row) {
  if (batch.missing[row] != 0) return std::monostate();
  if (column.type == ColumnType::kInteger) return batch.integers[row];
  if (column.type == ColumnType::kReal) return batch.reals[row];
  return batch.texts[row];
}

std::string Shown(const lake::Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  const auto* text = std::get_if<std::string>(&value);
  return text ? text->substr(0, kMaxNameBytes) : "(missing)";
}

void FillNumbers(const Cells& cells, TestScores::Column& into) {
  for (const lake::Value& cell : cells) {
    if (const auto* integer = std::get_if<std::int64_t>(&cell)) into.number.push_back(static_cast<double>(*integer));
    else if (const auto* real = std::get_if<double>(&cell)) into.number.push_back(*real);
    else into.number.push_back(std::nan(""));
  }
}

void FillCategories(const Cells& cells, const std::set<lake::Value>& values, TestScores::Column& into) {
  std::map<lake::Value, std::uint32_t> codes;
  for (const lake::Value& value : values) {
    codes[value] = static_cast<std::uint32_t>(into.categories.size());
    into.categories.push_back(Shown(value));
  }
  for (const lake::Value& cell : cells) into.code.push_back(codes.at(cell));
}

TestScores::Column ColumnOf(const SliceSpec& spec, ColumnType type, const Cells& cells) {
  TestScores::Column column{.name = spec.column, .margin = spec.margin, .categories = {}, .code = {}, .number = {}};
  if (type == ColumnType::kReal) return FillNumbers(cells, column), column;
  const std::set<lake::Value> values(cells.begin(), cells.end());
  const bool many = type == ColumnType::kInteger && values.size() > gate::kMostCategories;
  if (many) FillNumbers(cells, column);
  else FillCategories(cells, values, column);
  return column;
}

std::vector<std::uint64_t> GroupCodes(const Cells& cells) {
  std::map<lake::Value, std::uint64_t> known;
  std::vector<std::uint64_t> codes;
  codes.reserve(cells.size());
  for (size_t row = 0; row < cells.size(); ++row) {
    const bool missing = std::holds_alternative<std::monostate>(cells[row]);
    codes.push_back(missing ? cells.size() + row : known.try_emplace(cells[row], known.size()).first->second);
  }
  return codes;
}

}  // namespace

Result<TestScores> ReadTestScores(const std::string& path, const TestSpec& test) {
  std::vector<std::string> wanted{"candidate", "opponent"};
  for (const SliceSpec& slice : test.slices) wanted.push_back(slice.column);
  if (test.group_by && std::ranges::count(wanted, *test.group_by) == 0) wanted.push_back(*test.group_by);
  RATCHET_ASSIGN(auto reader, lake::PackReader::Open({path}, wanted));
  TestScores scores;
  std::map<std::string, Cells> cells;
  while (true) {
    RATCHET_ASSIGN(const lake::Batch batch, reader->Next(kBatchRows));
    if (batch.rows == 0) break;
    const auto& c = batch.columns[0].reals;
    const auto& o = batch.columns[1].reals;
    scores.candidate.insert(scores.candidate.end(), c.begin(), c.end());
    scores.opponent.insert(scores.opponent.end(), o.begin(), o.end());
    for (size_t i = 2; i < wanted.size(); ++i)
      for (size_t row = 0; row < static_cast<size_t>(batch.rows); ++row)
        cells[wanted[i]].push_back(CellOf(reader->schema().columns[i], batch.columns[i], row));
  }
  if (test.group_by) scores.group = GroupCodes(cells[*test.group_by]);
  for (const SliceSpec& slice : test.slices) {
    const auto index = static_cast<size_t>(reader->schema().Find(slice.column));
    scores.columns.push_back(ColumnOf(slice, reader->schema().columns[index].type, cells[slice.column]));
  }
  return scores;
}

}  // namespace ratchet::pipeline
