#include "lake/expectations.h"

#include <algorithm>
#include <memory>

#include "base/clock.h"
#include "base/names.h"
#include "lake/expectation_check.h"

namespace ratchet::lake {
namespace {

std::unexpected<Error> Refuse(std::size_t index, const std::string& key, std::string cause, std::string hint) {
  const std::string field = "expect[" + std::to_string(index) + "]." + key;
  auto failure = Fail(ErrorCode::kInvalid, "check the expectations", field, std::move(cause), std::move(hint));
  failure.error().field = field;
  return failure;
}

bool IsNumeric(ColumnType type) { return type == ColumnType::kInteger || type == ColumnType::kReal; }

// The columns that an entry names, and the key that names them.
std::vector<std::string> ColumnsOf(const Expectation& expectation, std::string& key) {
  key = "column";
  if (expectation.fresh) {
    key = "fresh.column";
    return {expectation.fresh->column};
  }
  if (expectation.like) {
    key = "columns";
    return expectation.like->columns;
  }
  if (!expectation.unique_together.empty()) {
    key = "unique";
    return expectation.unique_together;
  }
  return expectation.rows ? std::vector<std::string>{} : std::vector<std::string>{expectation.column};
}

Status CheckColumnsExist(const Expectation& expectation, std::size_t index, const Schema& schema) {
  std::string key;
  for (const std::string& name : ColumnsOf(expectation, key)) {
    if (schema.Find(name) >= 0) continue;
    std::vector<std::string> known;
    for (const Column& column : schema.columns) known.push_back(column.name);
    const std::string near = NearestName(name, known);
    return Refuse(index, key, "the dataset has no column " + Quoted(name),
                  near.empty() ? "Name one of its columns" : "Did you mean " + Quoted(near) + "?");
  }
  return {};
}

Status CheckColumn(const Expectation& expectation, std::size_t index, ColumnType type) {
  const std::string holds = "the column holds " + std::string(ColumnTypeName(type)) + " values";
  if (expectation.type && *expectation.type != type) return {};  // that is what it will say
  if ((expectation.min || expectation.max) && !IsNumeric(type)) {
    return Refuse(index, expectation.min ? "min" : "max", holds, "min and max are for columns of numbers");
  }
  if (expectation.matches && type != ColumnType::kText) {
    return Refuse(index, "matches", holds, "matches is for columns of text");
  }
  for (const Value& value : expectation.in) {
    const bool text = std::holds_alternative<std::string>(value);
    if (text == IsNumeric(type) || type == ColumnType::kBlob) {
      return Refuse(index, "in", holds, "List values of the column's type");
    }
  }
  return {};
}

Status CheckOne(const Expectation& expectation, std::size_t index, const Schema& schema) {
  RATCHET_TRY(CheckColumnsExist(expectation, index, schema));
  auto type_of = [&](const std::string& name) {
    return schema.columns[static_cast<std::size_t>(schema.Find(name))].type;
  };
  if (expectation.fresh && type_of(expectation.fresh->column) == ColumnType::kBlob) {
    return Refuse(index, "fresh.column", "the column holds blob values", "Name a column of numbers or text");
  }
  if (expectation.column.empty()) return {};
  return CheckColumn(expectation, index, type_of(expectation.column));
}

// The columns that must be read; empty = none has to.
std::vector<std::string> ColumnsToRead(const std::vector<Expectation>& expectations, const Schema& schema,
                                       const EvaluateOptions& options) {
  std::vector<std::string> columns;
  auto add = [&](const std::string& name) {
    if (std::find(columns.begin(), columns.end(), name) == columns.end()) columns.push_back(name);
  };
  for (const Expectation& expectation : expectations) {
    if (expectation.like && !options.live) continue;
    std::string key;
    for (const std::string& name : ColumnsOf(expectation, key)) add(name);
    if (!expectation.like || !expectation.like->columns.empty()) continue;
    for (const Column& column : schema.columns) add(column.name);
  }
  return columns;
}

bool AsksForUnique(const Expectation& expectation) {
  return expectation.unique || !expectation.unique_together.empty();
}

bool AsksForLive(const Expectation& expectation) { return expectation.like.has_value(); }

}  // namespace

Status CheckExpectations(const std::vector<Expectation>& expectations, const Schema& schema) {
  for (std::size_t i = 0; i < expectations.size(); ++i) RATCHET_TRY(CheckOne(expectations[i], i, schema));
  return {};
}

Result<std::vector<CheckResult>> Evaluate(const std::vector<Expectation>& expectations,
                                          const std::vector<std::string>& packs, const EvaluateOptions& options) {
  if (expectations.empty()) return std::vector<CheckResult>{};
  RATCHET_ASSIGN(auto reader, PackReader::Open(packs));
  RATCHET_TRY(CheckExpectations(expectations, reader->schema()));
  const std::vector<std::string> columns = ColumnsToRead(expectations, reader->schema(), options);
  if (!columns.empty()) {
    RATCHET_ASSIGN(reader, PackReader::Open(packs, columns));
  }
  const CheckSetting setting{.columns = reader->schema(),
                             .live = options.live,
                             .now_us = options.now_us != 0 ? options.now_us : SystemClock().WallUs(),
                             .scratch = options.scratch,
                             .unique_checks = static_cast<std::size_t>(
                                 std::count_if(expectations.begin(), expectations.end(), AsksForUnique))};
  std::vector<std::unique_ptr<RowCheck>> checks;
  for (const Expectation& expectation : expectations) {
    RATCHET_ASSIGN(auto check, MakeRowCheck(expectation, setting));
    checks.push_back(std::move(check));
  }
  std::optional<Summariser> summariser;
  if (options.live && std::any_of(expectations.begin(), expectations.end(), AsksForLive)) {
    summariser.emplace(reader->schema());
  }
  for (std::int64_t number = 1; !columns.empty(); ++number) {
    RATCHET_ASSIGN(std::optional<Row> row, reader->NextRow());
    if (!row) break;
    for (const auto& check : checks) RATCHET_TRY(check->Add(number, *row));
    if (summariser) summariser->Add(*row);
  }
  std::optional<Summary> summary;
  if (summariser) summary = summariser->Finish();
  const WholeData whole{.reader = *reader, .summary = summary ? &*summary : nullptr};
  std::vector<CheckResult> results;
  for (const auto& check : checks) {
    RATCHET_ASSIGN(CheckResult result, check->Finish(whole));
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace ratchet::lake
