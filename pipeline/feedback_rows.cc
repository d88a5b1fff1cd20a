#include "pipeline/feedback_rows.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "base/names.h"

namespace ratchet::pipeline {
namespace {

using nlohmann::json;

std::unexpected<Error> Unfit(const std::string& column, std::string cause) {
  return Fail(ErrorCode::kInvalid, "make a row of feedback: column", Quoted(column), std::move(cause));
}

template <typename Number>
std::optional<Number> NumberIn(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<lake::Value> IntegerFrom(const json& value, const std::string& column) {
  if (value.is_boolean()) return std::int64_t{value.get<bool>()};
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
    return Unfit(column, value.dump() + " is over 64 bits");
  if (value.is_number_integer()) return value.get<std::int64_t>();
  const auto number = value.is_string() ? NumberIn<double>(value.get<std::string>()) : std::optional(value.get<double>());
  if (value.is_string())
    if (const auto whole = NumberIn<std::int64_t>(value.get<std::string>())) return *whole;
  constexpr double kMost = 9.0e15;  // doubles up to here are exact whole numbers
  if (!number || std::trunc(*number) != *number || std::abs(*number) > kMost)
    return Unfit(column, "it is of integers, and " + value.dump().substr(0, 80) + " is none");
  return static_cast<std::int64_t>(*number);
}

Result<lake::Value> RealFrom(const json& value, const std::string& column) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number()) return value.get<double>();
  const auto number = NumberIn<double>(value.get<std::string>());
  if (!number || !std::isfinite(*number)) return Unfit(column, "it is of numbers, and " + value.dump().substr(0, 80) + " is none");
  return *number;
}

// All scalars of nested lists, in order.
void Flatten(const json& value, std::vector<json>& into) {
  if (!value.is_array()) return into.push_back(value);
  for (const json& item : value) Flatten(item, into);
}

Result<lake::Value> BlobFrom(std::span<const json> values, const lake::Column& column) {
  const auto elements = static_cast<size_t>(lake::ShapeElements(column));
  if (elements != 0 && values.size() != elements)
    return Unfit(column.name, "it takes " + std::to_string(elements) + " bytes, not " + std::to_string(values.size()));
  std::string bytes;
  bytes.reserve(values.size());
  for (const json& value : values) {
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() > 255)
      return Unfit(column.name, "a value of it is no byte");
    bytes += static_cast<char>(value.get<std::int64_t>());
  }
  return bytes;
}

// Which column an input was read from.
std::string ColumnOf(const json& manifest, const std::string& input) {
  const json signature = manifest.is_object() ? manifest.value("signature", json()) : json();
  const json inputs = signature.is_object() ? signature.value("inputs", json::array()) : json::array();
  for (const json& one : inputs)
    if (one.is_object() && one.value("name", "") == input) return one.value("column", input);
  return input;
}

std::string OwnKey(const registry::LabelledRow& labelled) {
  const registry::LoggedPrediction& prediction = labelled.prediction;
  std::string key = prediction.key.value_or(prediction.id);
  if (prediction.rows > 1) key += "/" + std::to_string(labelled.row);
  return key;
}

}  // namespace

Result<lake::Value> CellFrom(const json& value, const lake::Column& column) {
  if (value.is_null()) return lake::Value();
  if (value.is_structured()) return Unfit(column.name, "a list is no value of it");
  switch (column.type) {
    case lake::ColumnType::kInteger:
      return IntegerFrom(value, column.name);
    case lake::ColumnType::kReal:
      return RealFrom(value, column.name);
    case lake::ColumnType::kText: {
      if (!value.is_string()) return value.dump();
      const auto& text = value.get_ref<const std::string&>();
      return text.empty() ? lake::Value() : lake::Value(text);
    }
    case lake::ColumnType::kBlob:
      return BlobFrom({&value, 1}, column);
  }
  return lake::Value();
}

Result<FeedbackRows> FeedbackRows::Of(RowShape shape) {
  if (shape.schema.Find(shape.target) < 0)
    return Fail(ErrorCode::kInvalid, "make rows of feedback", "", "the dataset has no column " + Quoted(shape.target) + " for the outcomes");
  return FeedbackRows(std::move(shape));
}

Status FeedbackRows::ReadInputs(const registry::LoggedPrediction& prediction, const json& manifest) {
  if (prediction_ == prediction.id) return {};
  prediction_.clear();
  inputs_.clear();
  const json tensors = prediction.inputs ? json::parse(*prediction.inputs, nullptr, false) : json();
  if (!tensors.is_array())
    return Fail(ErrorCode::kInvalid, "make a row of feedback", prediction.id, "its inputs are not in the log: they were too large for it");
  for (const json& tensor : tensors) {
    if (!tensor.is_object()) continue;
    Input& input = inputs_[ColumnOf(manifest, tensor.value("name", ""))];
    const auto data = tensor.find("data");
    input.redacted = data == tensor.end();
    if (data != tensor.end()) Flatten(*data, input.values);
  }
  prediction_ = prediction.id;
  return {};
}

// The values of one row; kInvalid where the log has not the same number for each.
static Result<std::span<const json>> ValuesOfRow(const std::vector<json>& values, const registry::LabelledRow& labelled,
                                                 const std::string& column) {
  const auto rows = static_cast<size_t>(std::max<std::int64_t>(labelled.prediction.rows, 1));
  const size_t each = values.size() / rows, at = static_cast<size_t>(labelled.row) * each;
  if (each == 0 || values.size() % rows != 0 || at + each > values.size())
    return Unfit(column, "the log has not as many values as rows");
  return std::span(values).subspan(at, each);
}

Result<lake::Value> FeedbackRows::Cell(const registry::LabelledRow& labelled, const lake::Column& column) const {
  if (column.name == shape_.target) return CellFrom(json(labelled.outcome), column);
  const auto input = inputs_.find(column.name);
  if (input == inputs_.end() || input->second.redacted)
    return column.name == shape_.key ? CellFrom(json(OwnKey(labelled)), column) : Result<lake::Value>(lake::Value());
  RATCHET_ASSIGN(const auto values, ValuesOfRow(input->second.values, labelled, column.name));
  if (column.type == lake::ColumnType::kBlob) return BlobFrom(values, column);
  if (values.size() != 1) return Unfit(column.name, "the log has " + std::to_string(values.size()) + " values for it");
  return CellFrom(values[0], column);
}

Result<lake::Row> FeedbackRows::Make(const registry::LabelledRow& labelled, const json& manifest) {
  RATCHET_TRY(ReadInputs(labelled.prediction, manifest));
  lake::Row row;
  for (const lake::Column& column : shape_.schema.columns) {
    RATCHET_ASSIGN(lake::Value cell, Cell(labelled, column));
    row.push_back(std::move(cell));
  }
  return row;
}

bool IsBatchDue(const registry::WaitingRows& waiting, std::int64_t every, std::int64_t within_us, std::int64_t now_us) {
  if (waiting.rows == 0) return false;
  return waiting.rows >= every || (waiting.oldest_at && now_us - *waiting.oldest_at >= within_us);
}

}  // namespace ratchet::pipeline
