#include "worker/cells.h"

namespace ratchet::worker {

lake::Value CellAt(const lake::Column& column, const lake::ColumnBatch& values, size_t row) {
  if (values.missing[row] != 0) return std::monostate{};
  switch (column.type) {
    case lake::ColumnType::kInteger:
      return values.integers[row];
    case lake::ColumnType::kReal:
      return values.reals[row];
    case lake::ColumnType::kText:
      return values.texts[row];
    case lake::ColumnType::kBlob:
      return std::monostate{};
  }
  return std::monostate{};
}

}  // namespace ratchet::worker
