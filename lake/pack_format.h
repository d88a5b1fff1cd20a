#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "lake/sqlite_file.h"

// The inside of the pack format, shared by those who write, read and take in packs.
namespace ratchet::lake {

inline constexpr std::int64_t kPackApplicationId = 0x52504b31;  // "RPK1"

std::string_view SqlTypeName(ColumnType type);    // "INTEGER"
std::string_view CellKindName(const Cell& cell);  // "an integer"

// Whether the cell may stand in the column: type, size, shape. kInvalid or kTooLarge with `field` = the column.
Status CheckCell(const Column& column, const Cell& cell);

// What a pack says about itself.
struct PackHead {
  Schema schema;
  std::int64_t rows = 0;
};

// Reads and checks the head of an opened pack: the mark, format, schema, the shape of its `rows` table. kCorrupt
// otherwise.
Result<PackHead> ReadPackHead(SqliteFile& file);

// SELECT of these columns, after the row number, in row order, of rows after row ?1.
std::string SelectSql(const Schema& columns);

}  // namespace ratchet::lake
