#include "plugins/flow/sql_result.h"

#include <optional>
#include <string_view>

#include "base/names.h"
#include "lake/pack.h"

namespace ratchet::flow {
namespace {

using lake::ColumnType;

std::unexpected<Error> BadColumn(const std::string& name, const std::string& what) {
  return Fail(ErrorCode::kInvalid, "make a pack of", "column " + Quoted(name), what,
              "Give it one type: CAST(… AS INTEGER), REAL, TEXT or BLOB.");
}

// The input's column that this column of the result is, if it is just that.
std::optional<lake::Column> ColumnOfInput(sqlite3_stmt* query, int at, const InputSchemas& inputs) {
  const char* schema = sqlite3_column_database_name(query, at);
  const char* column = sqlite3_column_origin_name(query, at);
  if (schema == nullptr || column == nullptr) return std::nullopt;
  // The number of a pack's row is a column of SQLite's, not of its schema.
  if (std::string_view(column) == "row") return lake::Column{column, ColumnType::kInteger, {}};
  const auto input = inputs.find(schema);
  const int found = input == inputs.end() ? -1 : input->second.Find(column);
  if (found < 0) return std::nullopt;
  return input->second.columns[static_cast<size_t>(found)];
}

ColumnType TypeOf(int sqlite_type) {
  switch (sqlite_type) {
    case SQLITE_INTEGER:
      return ColumnType::kInteger;
    case SQLITE_FLOAT:
      return ColumnType::kReal;
    case SQLITE_BLOB:
      return ColumnType::kBlob;
    default:
      return ColumnType::kText;
  }
}

bool IsNumber(ColumnType type) { return type == ColumnType::kInteger || type == ColumnType::kReal; }

// What the values of the columns without a type are.
Status LearnTypes(sqlite3* database, sqlite3_stmt* query, const std::vector<int>& columns,
                  std::vector<std::optional<ColumnType>>& types) {
  int code = SQLITE_OK;
  while ((code = sqlite3_step(query)) == SQLITE_ROW) {
    for (const int at : columns) {
      if (sqlite3_column_type(query, at) == SQLITE_NULL) continue;
      const auto type = TypeOf(sqlite3_column_type(query, at));
      auto& known = types[static_cast<size_t>(at)];
      if (known && *known != type) {
        if (!IsNumber(*known) || !IsNumber(type))
          return BadColumn(sqlite3_column_name(query, at), "its values are of different kinds");
        known = ColumnType::kReal;
      } else {
        known = type;
      }
    }
  }
  if (code != SQLITE_DONE) return QueryFailed(database);
  sqlite3_reset(query);
  return {};
}

Result<lake::Cell> CellAt(sqlite3_stmt* query, int at, const lake::Column& column) {
  const int type = sqlite3_column_type(query, at);
  if (type == SQLITE_NULL) return lake::Cell{};
  const auto bytes = [&](const void* start) {
    return std::string_view(static_cast<const char*>(start), static_cast<size_t>(sqlite3_column_bytes(query, at)));
  };
  switch (column.type) {
    case ColumnType::kInteger:
      if (type == SQLITE_INTEGER) return lake::Cell{static_cast<std::int64_t>(sqlite3_column_int64(query, at))};
      break;
    case ColumnType::kReal:
      if (type == SQLITE_FLOAT || type == SQLITE_INTEGER) return lake::Cell{sqlite3_column_double(query, at)};
      break;
    case ColumnType::kText:
      if (type == SQLITE_TEXT) return lake::Cell{bytes(sqlite3_column_text(query, at))};
      break;
    case ColumnType::kBlob:
      if (type == SQLITE_BLOB) return lake::Cell{bytes(sqlite3_column_blob(query, at))};
      break;
  }
  return BadColumn(column.name, "its values are of different kinds");
}

}  // namespace

std::unexpected<Error> QueryFailed(sqlite3* database) {
  return Fail(ErrorCode::kInvalid, "run", "the query", sqlite3_errmsg(database),
              "An input a.b is read as a_b.rows; only reading is allowed.");
}

Result<lake::Schema> ResultSchema(sqlite3* database, sqlite3_stmt* query, const InputSchemas& inputs) {
  const int count = sqlite3_column_count(query);
  lake::Schema schema;
  std::vector<int> unknown;
  std::vector<std::optional<ColumnType>> types(static_cast<size_t>(count));
  for (int at = 0; at < count; ++at) {
    auto column = ColumnOfInput(query, at, inputs);
    if (!column) unknown.push_back(at);
    schema.columns.push_back(column.value_or(lake::Column{}));
    schema.columns.back().name = sqlite3_column_name(query, at);
  }
  if (!unknown.empty()) RATCHET_TRY(LearnTypes(database, query, unknown, types));
  for (const int at : unknown)
    schema.columns[static_cast<size_t>(at)].type = types[static_cast<size_t>(at)].value_or(ColumnType::kText);
  RATCHET_TRY(lake::CheckSchema(schema));
  return schema;
}

Result<std::int64_t> WriteResultPack(sqlite3* database, sqlite3_stmt* query, const lake::Schema& schema,
                                     const std::string& path) {
  RATCHET_ASSIGN(const auto writer, lake::PackWriter::Create(path, schema));
  std::vector<lake::Cell> row(schema.columns.size());
  int code = SQLITE_OK;
  while ((code = sqlite3_step(query)) == SQLITE_ROW) {
    for (size_t at = 0; at < row.size(); ++at) {
      RATCHET_ASSIGN(row[at], CellAt(query, static_cast<int>(at), schema.columns[at]));
    }
    RATCHET_TRY(writer->Add(std::span<const lake::Cell>(row)));
  }
  if (code != SQLITE_DONE) return QueryFailed(database);
  RATCHET_TRY(writer->Finish());
  return writer->rows();
}

}  // namespace ratchet::flow
