#pragma once

#include <cstddef>

#include "lake/pack.h"

namespace ratchet::worker {

// The value of one row, of a column that can be told apart by it: missing for a missing one, and for every blob.
lake::Value CellAt(const lake::Column& column, const lake::ColumnBatch& values, size_t row);

}  // namespace ratchet::worker
