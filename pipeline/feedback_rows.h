#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "lake/schema.h"
#include "registry/feedback_batches.h"

namespace ratchet::pipeline {

// Where a dataset's row comes from.
struct RowShape {
  lake::Schema schema;
  std::string target;              // column of the outcome
  std::optional<std::string> key;  // column that decides the split; none = the whole row does
};

// From a logged prediction and its outcome to a row of the dataset: each input goes into the column that the version read
// it from, the outcome into the target, and into the key's column, unless it is an input itself, the user's own key, or
// the prediction's id where there was none ("order-17", of a request with several rows "order-17/0"). What was left out
// of the log (`redacted`) or is no input is missing. One thread: it keeps the inputs of the latest prediction.
class FeedbackRows {
 public:
  // kInvalid where the schema has no column `target`.
  static Result<FeedbackRows> Of(RowShape shape);

  // `manifest`: of the bundle of the prediction's version. kInvalid says why it cannot be a row: its inputs were too large
  // for the log, or a value does not fit its column.
  Result<lake::Row> Make(const registry::LabelledRow& labelled, const nlohmann::json& manifest);

 private:
  explicit FeedbackRows(RowShape shape) : shape_(std::move(shape)) {}

  // The values of one input of all rows, one after the other.
  struct Input {
    std::vector<nlohmann::json> values;
    bool redacted = false;
  };
  Status ReadInputs(const registry::LoggedPrediction& prediction, const nlohmann::json& manifest);
  Result<lake::Value> Cell(const registry::LabelledRow& labelled, const lake::Column& column) const;
  RowShape shape_;
  std::string prediction_;              // whose inputs these are
  std::map<std::string, Input> inputs_; // by column
};

// Whether those that wait are to become a version: there are `every`, or one has waited for `within_us`. Pure.
bool IsBatchDue(const registry::WaitingRows& waiting, std::int64_t every, std::int64_t within_us, std::int64_t now_us);

// A value of a tensor, or an outcome as text, as the column takes it; missing for null and, in a column of texts, for the
// empty text. kInvalid where it does not fit. Pure.
Result<lake::Value> CellFrom(const nlohmann::json& value, const lake::Column& column);

}  // namespace ratchet::pipeline
