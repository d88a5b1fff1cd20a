#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "lake/schema.h"

namespace ratchet::lake {

// One cell: missing, integer, real, text, or bytes. Text and blobs are told apart by the column's type.
using Value = std::variant<std::monostate, std::int64_t, double, std::string>;
using Row = std::vector<Value>;  // one value a schema column, in order

// A cell by reference: as Value, but text and bytes belong to someone else. What the hot paths pass on.
using Cell = std::variant<std::monostate, std::int64_t, double, std::string_view>;

// A stretch of rows, column by column: what training and scoring read. `missing[i]` is 1 where row i has no value;
// the value there is 0, 0.0 or empty.
struct ColumnBatch {
  std::vector<std::uint8_t> missing;
  std::vector<std::int64_t> integers;  // kInteger
  std::vector<double> reals;           // kReal
  std::vector<std::string> texts;      // kText, and kBlob without a shape
  std::vector<std::uint8_t> bytes;     // kBlob with a shape: rows × product(shape), row after row; zeros where missing
};

struct Batch {
  std::int64_t rows = 0;
  std::vector<ColumnBatch> columns;  // parallel to the requested columns
};

// Writes one pack file (docs/formats.md). One thread. The file is complete and synced only after Finish(); destroyed
// before, the writer removes it.
class PackWriter {
 public:
  // Makes a new file at `path`; kConflict if it exists.
  static Result<std::unique_ptr<PackWriter>> Create(const std::string& path, const Schema& schema);
  virtual ~PackWriter() = default;
  // The row must match the schema: kInvalid names the column otherwise.
  // An integer is taken for a real column, and NaN is written as missing.
  virtual Status Add(const Row& row) = 0;
  virtual Status Add(std::span<const Cell> row) = 0;  // the same, without owning the bytes
  virtual std::int64_t rows() const = 0;
  virtual Status Finish() = 0;
  // As Finish(), but the file is complete only, its way to the disk just begun: the caller syncs it.
  virtual Status FinishUnsynced() = 0;
};

// Reads rows of one or more packs of the same schema as if they were one, in file order, then row order. One thread.
class PackReader {
 public:
  // Opens read-only and checks format and schema: kCorrupt for bytes that are no pack, kInvalid for differing schemas,
  // an unknown column or an empty list of packs. Holds one file open at a time. The packs must not change while read.
  // `columns` selects and orders what batches hold; empty = all of the schema.
  static Result<std::unique_ptr<PackReader>> Open(const std::vector<std::string>& paths,
                                                  std::vector<std::string> columns = {});
  virtual ~PackReader() = default;
  virtual const Schema& schema() const = 0;               // of the selected columns
  virtual std::int64_t rows() const = 0;                  // of all packs together
  virtual Result<Batch> Next(std::int64_t max_rows) = 0;  // rows == 0: the end
  virtual Result<std::optional<Row>> NextRow() = 0;       // nullopt: the end. Not to be mixed with Next().
  virtual Status Rewind() = 0;
  virtual Status Skip(std::int64_t rows) = 0;  // from the start: rewinds, then passes over that many
};

// Writes all rows of `inputs` into one new pack at `output` (for trainers that want a single file).
Status MergePacks(const std::vector<std::string>& inputs, const std::string& output);

}  // namespace ratchet::lake
