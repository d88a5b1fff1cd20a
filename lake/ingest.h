#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/schema.h"
#include "lake/split.h"

namespace ratchet::lake {

enum class BodyFormat { kCsv, kJsonLines, kPack };

// From a Content-Type ("text/csv", "application/x-ndjson", "application/vnd.ratchet.pack", parameters ignored);
// kInvalid for any other.
Result<BodyFormat> BodyFormatFromContentType(std::string_view content_type);

// Named limits of one push; beyond them kTooLarge. kMaxColumns, kMaxCellBytes and kMaxRowBytes (schema.h) hold as well.
inline constexpr std::int64_t kMaxBodyBytes = 64ll << 30;
inline constexpr std::int64_t kMaxJsonLineBytes = 32 << 20;  // fits a largest cell in base64
// Types are inferred from the rows that come first: as many as fit both of these.
inline constexpr std::size_t kInferenceRows = 1'000;
inline constexpr std::size_t kInferenceBytes = 16 << 20;

struct IngestOptions {
  BodyFormat format = BodyFormat::kCsv;
  std::optional<Schema> schema;  // the dataset's; none = its first push: the schema is inferred (a pack brings its own)
  SplitPolicy split;             // checked by Start, its key as soon as the columns are known
  std::shared_ptr<const RetiredKeys> retired = nullptr;  // keys that fall into training though their hash says holdout
  std::string staging;           // an existing folder; the push makes a folder of its own in it
};

// One finished, synced pack in the staging folder.
struct IngestedPack {
  Split split = Split::kTrain;
  std::string path;
  std::int64_t rows = 0;
  std::int64_t bytes = 0;
  std::string sha256;
};

struct IngestResult {
  Schema schema;
  std::int64_t rows = 0;
  std::vector<IngestedPack> packs;  // at most one a split; splits without rows have none
};

// Takes in one push as its bytes arrive, in bounded memory, and leaves one pack a split in the staging folder. Adopts
// nothing: the caller moves the packs away; what is left in the staging folder goes with the object. One thread.
//
// CSV: RFC 4180 with a header, commas, UTF-8 (a byte order mark is passed over); blank lines are passed over. An empty
//   cell is missing, but a quoted empty one is empty text in a text column; `nan` in a column of numbers is missing.
//   Inferred types: integer when all values of the first rows are 64-bit integers, real when all are numbers, else
//   text. Numbers with leading zeros ("007") or a plus sign stay text, and so do integers beyond 64 bits unless the
//   column has reals as well: nothing is rounded unseen. A column without a value is text. inf is refused.
// JSON Lines: one flat object a line; numbers keep integer and real apart, true and false become 1 and 0, null or an
//   absent key is missing, a blob is base64 (and needs a dataset whose schema says blob). Integers beyond 64 bits are
//   refused but in real columns. A column must be seen in the first kInferenceRows rows.
// Pack: docs/formats.md; spooled to the disk, then read as hostile.
//
// Columns are mapped by name, so their order may differ from the dataset's. kInvalid names line and column (`line`,
// `field`), the value, and how to mend it.
class Ingest {
 public:
  static Result<std::unique_ptr<Ingest>> Start(IngestOptions options);
  virtual ~Ingest() = default;
  // Any cut of the body into pieces gives the same result. After an error every call returns that error.
  virtual Status Feed(std::string_view bytes) = 0;
  // The end of the body. Once.
  virtual Result<IngestResult> Finish() = 0;
};

}  // namespace ratchet::lake
