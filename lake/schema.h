#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ratchet::lake {

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

// Names are 1–128 bytes of UTF-8 without control characters, distinct, not "row"; shapes have positive sizes.
Status CheckSchema(const Schema& schema);

// The JSON form of docs/formats.md, e.g. [{"name":"id","type":"text"}].
std::string SchemaToJson(const Schema& schema);
Result<Schema> SchemaFromJson(std::string_view json);

}  // namespace ratchet::lake
