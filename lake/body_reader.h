#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "lake/split_sink.h"

// The three forms of a pushed body, each turned into typed rows for the sink. Inside of the ingest.
namespace ratchet::lake {

class BodyReader {
 public:
  virtual ~BodyReader() = default;
  virtual Status Feed(std::string_view bytes) = 0;
  virtual Status Finish() = 0;
};

// `schema` is the dataset's, if there is one. The sink outlives the reader.
std::unique_ptr<BodyReader> MakeCsvBody(const std::optional<Schema>& schema, SplitSink& sink);
std::unique_ptr<BodyReader> MakeJsonBody(const std::optional<Schema>& schema, SplitSink& sink);
// Spools to a new file at `spool_path`.
std::unique_ptr<BodyReader> MakePackBody(const std::optional<Schema>& schema, SplitSink& sink, std::string spool_path);

// A fault of the pushed data at a line and column ("" = the whole line).
std::unexpected<Error> DataFault(std::int64_t line, std::string_view column, std::string cause, std::string hint,
                                 ErrorCode code = ErrorCode::kInvalid);

// The pushed columns must be just the dataset's; names those that are missing and those that are not known.
Status CheckColumnNames(const std::vector<std::string>& pushed, const Schema& dataset);

// "Correct the value …": how to mend a value that does not fit its column, depending on where the type comes from.
std::string TypeHint(ColumnType type, bool inferred);

}  // namespace ratchet::lake
