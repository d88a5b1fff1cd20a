#pragma once

#include <string>

#include "base/result.h"
#include "serving/v2_protocol.h"

// Requests and answers by rows, for people who think in tables. Pure functions; any thread.
//
// A request is an object with exactly one of
//   instances, dataframe_records: [row, …]
//   dataframe_split: {"columns": […], "data": [row, …]}
//   inputs: {"name": [value of each row, …], …}, or [row, …]
// A row is an object of values by name, or a list of them: in the order of `columns` or else of the model's inputs. For a
// model of one input it may also be that input's value itself. An input goes by its own name or by that of the dataset's
// column that it comes from; what belongs to no input is passed over. `id` and `parameters` are those of V2.
namespace ratchet::serving {

// kInvalid names the row, the input and what was expected; also where an input has an open size beside the rows, which
// rows do not tell.
Result<v2::InferRequest> ParseRows(const v2::InferBody& body, const Signature& signature);

enum class RowAnswer {
  kOutputs,     // every output: an object by name, or the value alone where there is but one
  kPrediction,  // of a classification the label, else the first output
};

// {"predictions":[…],"model_name","model_version","id"[,"parameters":{"prediction_id"}]}: one entry a row.
std::string RowsJson(const std::string& model, std::int64_t version, const std::string& id, const std::string& prediction_id,
                     const std::vector<Tensor>& outputs, RowAnswer form);

}  // namespace ratchet::serving
