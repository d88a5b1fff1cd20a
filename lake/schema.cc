#include "lake/schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/names.h"

namespace ratchet::lake {
namespace {

constexpr std::string_view kOperation = "check the schema";

// SQLite compares column names without regard to the case of ASCII letters.
std::string Folded(std::string_view name) {
  std::string folded(name);
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return folded;
}

std::unexpected<Error> Refuse(std::string_view column, std::string cause, std::string hint) {
  auto failure = Fail(ErrorCode::kInvalid, std::string(kOperation), column.empty() ? "" : "column " + Quoted(column),
                      std::move(cause), std::move(hint));
  failure.error().field = std::string(column);
  return failure;
}

Status CheckColumnName(const std::string& name) {
  const std::string hint = "Use 1 to 128 bytes of UTF-8 without control characters";
  if (name.empty()) return Refuse(name, "a column has no name", hint);
  if (name.size() > kMaxColumnNameBytes) return Refuse(name, "the name is too long", hint);
  if (!IsUtf8Text(name)) return Refuse(name, "the name is not UTF-8", hint);
  bool control = std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (control) return Refuse(name, "the name holds a control character", hint);
  if (Folded(name) == "row") return Refuse(name, "this name is taken by the row number", "Rename the column");
  return {};
}

Status CheckShape(const Column& column) {
  if (column.shape.empty()) return {};
  if (column.type != ColumnType::kBlob) return Refuse(column.name, "only a blob can have a shape", "Drop the shape");
  std::int64_t elements = 1;
  for (std::int64_t size : column.shape) {
    if (size < 1) return Refuse(column.name, "the shape has a size below 1", "Use positive sizes");
    if (size > kMaxCellBytes / elements) return Refuse(column.name, "the shape is too large", "A cell holds 16 MiB");
    elements *= size;
  }
  return {};
}

Result<ColumnType> ColumnTypeFromName(const std::string& name, const std::string& column) {
  for (ColumnType type : {ColumnType::kInteger, ColumnType::kReal, ColumnType::kText, ColumnType::kBlob}) {
    if (ColumnTypeName(type) == name) return type;
  }
  return Refuse(column, Quoted(name) + " is no column type", "Use integer, real, text or blob");
}

Result<Column> ColumnFromJson(const nlohmann::json& json) {
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string() || !json.contains("type") ||
      !json["type"].is_string()) {
    return Refuse("", "a column is no object with a name and a type", R"(Write {"name":"id","type":"text"})");
  }
  Column column{.name = json["name"].get<std::string>()};
  RATCHET_ASSIGN(column.type, ColumnTypeFromName(json["type"].get<std::string>(), column.name));
  if (json.contains("shape")) {
    for (const auto& size : json["shape"]) {
      if (!size.is_number_integer()) return Refuse(column.name, "its shape is no list of integers", "Write [1,28,28]");
      column.shape.push_back(size.get<std::int64_t>());
    }
  }
  return column;
}

}  // namespace

std::string_view ColumnTypeName(ColumnType type) {
  switch (type) {
    case ColumnType::kInteger:
      return "integer";
    case ColumnType::kReal:
      return "real";
    case ColumnType::kText:
      return "text";
    case ColumnType::kBlob:
      return "blob";
  }
  return "text";
}

std::int64_t ShapeElements(const Column& column) {
  std::int64_t elements = column.shape.empty() ? 0 : 1;
  for (std::int64_t size : column.shape) elements *= size;
  return elements;
}

int Schema::Find(std::string_view name) const {
  auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& column) { return column.name == name; });
  return found == columns.end() ? -1 : static_cast<int>(found - columns.begin());
}

Status CheckSchema(const Schema& schema) {
  if (schema.columns.empty()) return Refuse("", "it has no columns", "Give at least one column");
  if (schema.columns.size() > kMaxColumns) {
    return Refuse("", "it has " + std::to_string(schema.columns.size()) + " columns",
                  "A dataset holds at most " + std::to_string(kMaxColumns));
  }
  std::unordered_set<std::string> seen;
  for (const Column& column : schema.columns) {
    RATCHET_TRY(CheckColumnName(column.name));
    RATCHET_TRY(CheckShape(column));
    if (!seen.insert(Folded(column.name)).second) {
      return Refuse(column.name, "the name is there twice (upper and lower case count as the same)",
                    "Rename one of the two");
    }
  }
  return {};
}

std::string SchemaToJson(const Schema& schema) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Column& column : schema.columns) {
    nlohmann::ordered_json entry{{"name", column.name}, {"type", ColumnTypeName(column.type)}};
    if (!column.shape.empty()) entry["shape"] = column.shape;
    json.push_back(std::move(entry));
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<Schema> SchemaFromJson(std::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return Refuse("", "it is no JSON array", R"(Write [{"name":"id","type":"text"}])");
  Schema schema;
  for (const auto& entry : json) {
    RATCHET_ASSIGN(Column column, ColumnFromJson(entry));
    schema.columns.push_back(std::move(column));
  }
  RATCHET_TRY(CheckSchema(schema));
  return schema;
}

}  // namespace ratchet::lake
