#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/json_fields.h"
#include "cli/table.h"

namespace ratchet::cli {

// One input of a model as its Open Inference Protocol metadata gives it.
struct TensorInput {
  std::string name;
  std::string datatype;             // "UINT8", "FP32", "BYTES", …
  std::vector<std::int64_t> shape;  // the first dimension is the rows

  std::int64_t ElementsPerRow() const;
};

// The inputs in GET /v2/models/{name}.
Result<std::vector<TensorInput>> DecodeInputs(const Json& metadata);

// The body of an infer request from what a user has: a PNG image, CSV with a header, or JSON (a V2 request, an array of
// row objects, {"instances": […]}, or one row object a line). Which it is is told from the bytes.
Result<std::string> BuildInferRequest(const std::vector<TensorInput>& inputs, std::string_view bytes);

// An infer answer as a table: row, label and probability (or prediction, or the outputs as they are), version.
Result<Table> PredictionTable(const Json& answer);

}  // namespace ratchet::cli
