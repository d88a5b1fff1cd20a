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

// A column of the evidence and where its values go.
struct Sink {
  std::string column;
  std::vector<std::int32_t>* whole = nullptr;
  std::vector<double>* real = nullptr;
};

void AddSinks(const std::string& side, TestScores::Form form, bool two_classes, TestScores::Answers& into, std::vector<Sink>& sinks) {
  if (form == TestScores::Form::kNumbers) return sinks.push_back({.column = side + "prediction", .real = &into.prediction});
  sinks.push_back({.column = side + "predicted", .whole = &into.predicted});
  sinks.push_back({.column = side + "p_target", .real = &into.target_probability});
  sinks.push_back({.column = side + "p_predicted", .real = &into.predicted_probability});
  sinks.push_back({.column = side + "square_sum", .real = &into.square_sum});
  if (two_classes) sinks.push_back({.column = side + "p_positive", .real = &into.positive_probability});
}

// Tells the form of the pack, and where its columns go.
std::vector<Sink> SinksOf(const lake::Schema& schema, TestScores& scores) {
  const int target = schema.Find("test:target");
  if (target < 0)
    return {{.column = "candidate", .real = &scores.candidate}, {.column = "opponent", .real = &scores.opponent}};
  const bool classes = schema.columns[static_cast<size_t>(target)].type == ColumnType::kInteger;
  scores.form = classes ? TestScores::Form::kClasses : TestScores::Form::kNumbers;
  std::vector<Sink> sinks;
  if (classes) sinks.push_back({.column = "test:target", .whole = &scores.target_class});
  else sinks.push_back({.column = "test:target", .real = &scores.target_number});
  const bool two_classes = schema.Find("candidate:p_positive") >= 0;
  AddSinks("candidate:", scores.form, two_classes, scores.candidate_answers, sinks);
  AddSinks("opponent:", scores.form, two_classes, scores.opponent_answers, sinks);
  return sinks;
}

Status CheckSinks(const std::string& path, const lake::Schema& schema, const std::vector<Sink>& sinks) {
  for (const Sink& sink : sinks) {
    const int index = schema.Find(sink.column);
    const ColumnType wanted = sink.whole != nullptr ? ColumnType::kInteger : ColumnType::kReal;
    if (index < 0 || schema.columns[static_cast<size_t>(index)].type != wanted)
      return Fail(ErrorCode::kCorrupt, "read the scores in", path, fmt::format("there is no such column as {}", sink.column));
  }
  return {};
}

void Pour(const lake::ColumnBatch& batch, const Sink& sink) {
  if (sink.real != nullptr) sink.real->insert(sink.real->end(), batch.reals.begin(), batch.reals.end());
  else
    for (const std::int64_t value : batch.integers) sink.whole->push_back(static_cast<std::int32_t>(value));
}

}  // namespace

Result<TestScores> ReadTestScores(const std::string& path, const TestSpec& test) {
  TestScores scores;
  RATCHET_ASSIGN(const auto whole, lake::PackReader::Open({path}));
  const std::vector<Sink> sinks = SinksOf(whole->schema(), scores);
  RATCHET_TRY(CheckSinks(path, whole->schema(), sinks));
  std::vector<std::string> wanted;
  for (const Sink& sink : sinks) wanted.push_back(sink.column);
  for (const SliceSpec& slice : test.slices) wanted.push_back(slice.column);
  if (test.group_by && std::ranges::count(wanted, *test.group_by) == 0) wanted.push_back(*test.group_by);
  RATCHET_ASSIGN(auto reader, lake::PackReader::Open({path}, wanted));
  std::map<std::string, Cells> cells;
  while (true) {
    RATCHET_ASSIGN(const lake::Batch batch, reader->Next(kBatchRows));
    if (batch.rows == 0) break;
    for (size_t i = 0; i < sinks.size(); ++i) Pour(batch.columns[i], sinks[i]);
    for (size_t i = sinks.size(); i < wanted.size(); ++i)
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
