#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ratchet::lake {

// Limits of a dataset. SQLite holds 2,000 columns a table, and one of them is the row number.
inline constexpr std::size_t kMaxColumns = 1'999;
inline constexpr std::size_t kMaxColumnNameBytes = 128;
inline constexpr std::int64_t kMaxCellBytes = 16 << 20;
inline constexpr std::int64_t kMaxRowBytes = 64 << 20;

enum class ColumnType { kInteger, kReal, kText, kBlob };

std::string_view ColumnTypeName(ColumnType type);  // "integer", "real", "text", "blob"

// One typed column of a dataset. Every column may hold missing values.
struct Column {
  std::string name;
  ColumnType type = ColumnType::kText;
  // Blobs only: the value is a tensor of unsigned bytes of just this shape (channels, height, width for an image).
  // Empty = free bytes.
  std::vector<std::int64_t> shape;

  bool operator==(const Column&) const = default;
};

// Columns in their order. The order is part of a dataset's identity.
struct Schema {
  std::vector<Column> columns;

  // Index of the column, or -1.
  int Find(std::string_view name) const;
  bool operator==(const Schema&) const = default;
};

// Elements of a blob's shape; 0 for a column without one.
std::int64_t ShapeElements(const Column& column);

// Names are 1–128 bytes of UTF-8 without control characters, distinct and not "row" (the case of ASCII letters aside,
// as SQLite sees them); shapes have positive sizes and fit a cell. kInvalid with `field` = the column otherwise.
Status CheckSchema(const Schema& schema);

// The JSON form of docs/formats.md, e.g. [{"name":"id","type":"text"}].
std::string SchemaToJson(const Schema& schema);
Result<Schema> SchemaFromJson(std::string_view json);

}  // namespace ratchet::lake
