#include "serving/rows_request.h"

#include <algorithm>

#include "base/names.h"
#include "serving/json_body.h"
#include "serving/request_members.h"
#include "serving/tensor_fill.h"
#include "serving/tensor_json.h"

namespace ratchet::serving {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr char kForms[] = "\"instances\", \"dataframe_split\", \"dataframe_records\" or \"inputs\"";
constexpr size_t kMaxColumns = 4096;

// Which input a value of a row goes to.
using InputIndex = std::optional<size_t>;

class RowsReader {
 public:
  RowsReader(size_t json_bytes, const Signature& signature) : json_bytes_(json_bytes), signature_(signature) {
    request_.is_v2_json = false;
    for (const TensorSpec& spec : signature.inputs) tensors_.push_back({.name = spec.name, .datatype = spec.datatype});
    filled_.assign(signature.inputs.size(), 0);
  }

  Result<v2::InferRequest> Read(ondemand::object& root) {
    RATCHET_TRY(VisitMembers(root, [&](std::string_view key, ondemand::value& value) { return Member(key, value); }));
    if (form_.empty()) return Refuse(std::string("the request needs one of ") + kForms);
    request_.inputs = std::move(tensors_);
    return std::move(request_);
  }

 private:
  Status Member(std::string_view key, ondemand::value& value);
  Status Rows(ondemand::value& value);
  Status Rows(ondemand::array& rows);
  Status Row(ondemand::value& value, std::int64_t row);
  Status Named(ondemand::object& values, std::int64_t row);
  Status Listed(ondemand::array& values, std::int64_t row);
  Status Value(ondemand::value& value, InputIndex input, std::int64_t row);
  Status AllThere(std::int64_t row) const;
  Status Split(ondemand::value& value);
  Status Columns(ondemand::value& value);
  Status Inputs(ondemand::value& value);
  Status Column(ondemand::value& value, size_t input);
  Status Begin(std::int64_t rows);
  Status Room(size_t input, size_t json_bytes);
  InputIndex Find(std::string_view name) const;
  Error InRow(Error error, std::int64_t row) const {
    error.cause = std::string(form_) + "[" + std::to_string(row) + "]: " + error.cause;
    return error;
  }

  const size_t json_bytes_;
  const Signature& signature_;
  v2::InferRequest request_;
  std::string_view form_;
  std::vector<Tensor> tensors_;
  std::vector<std::int64_t> filled_;  // rows of each
  std::int64_t rows_ = 0;
  std::optional<std::vector<InputIndex>> columns_;  // of dataframe_split
};

Status RowsReader::Member(std::string_view key, ondemand::value& value) {
  static constexpr std::string_view kNames[] = {"instances", "dataframe_records", "dataframe_split", "inputs"};
  if (key == "id") return v2::ReadId(value, request_);
  if (key == "parameters") return v2::ReadParameters(value, request_);
  const auto known = std::ranges::find(kNames, key);
  if (known == std::end(kNames)) return CheckJson(value);
  if (!form_.empty()) return Refuse(std::string("the request must have just one of ") + kForms);
  form_ = *known;
  if (form_ == "dataframe_split") return Split(value);
  if (form_ == "inputs") return Inputs(value);
  return Rows(value);
}

InputIndex RowsReader::Find(std::string_view name) const {
  const auto& inputs = signature_.inputs;
  auto found = std::ranges::find(inputs, name, &TensorSpec::name);
  if (found == inputs.end()) found = std::ranges::find(inputs, name, &TensorSpec::column);
  if (found == inputs.end()) return std::nullopt;
  return static_cast<size_t>(found - inputs.begin());
}

Status RowsReader::Begin(std::int64_t rows) {
  if (rows < 1) return Refuse("\"" + std::string(form_) + "\" has no rows");
  rows_ = rows;
  size_t left_bytes = json_bytes_;  // each element of each input takes its part of the body
  for (size_t input = 0; input < tensors_.size(); ++input) {
    RATCHET_TRY(Room(input, left_bytes));
    left_bytes -= std::min(left_bytes, 2 * static_cast<size_t>(ElementCount(tensors_[input].shape)));
  }
  return {};
}

Status RowsReader::Room(size_t input, size_t json_bytes) {
  const TensorSpec& spec = signature_.inputs[input];
  tensors_[input].shape = spec.shape;
  tensors_[input].shape[0] = rows_;
  if (std::ranges::count(tensors_[input].shape, -1) > 0) {
    return Refuse(AboutInput(spec) + " of shape " + ShapeText(spec.shape) + " has sizes that rows do not tell: use /v2");
  }
  return MakeRoom(spec, json_bytes, tensors_[input]);
}

Status RowsReader::Rows(ondemand::value& value) {
  ondemand::array rows;
  if (value.get_array().get(rows) != simdjson::SUCCESS) return Refuse("\"" + std::string(form_) + "\" must be a list of rows");
  return Rows(rows);
}

Status RowsReader::Rows(ondemand::array& rows) {
  size_t count = 0;
  if (auto error = rows.count_elements().get(count)) return NotJson(error);
  RATCHET_TRY(Begin(static_cast<std::int64_t>(count)));
  std::int64_t row = 0;
  return VisitElements(rows, [&](ondemand::value& value) -> Status {
    Status read = Row(value, row);
    if (read) read = AllThere(row);
    if (!read) return std::unexpected(InRow(std::move(read).error(), row));
    ++row;
    return {};
  });
}

Status RowsReader::Row(ondemand::value& value, std::int64_t row) {
  ondemand::json_type type;
  if (auto error = value.type().get(type)) return NotJson(error);
  if (type == ondemand::json_type::object) {
    ondemand::object values;
    if (auto error = value.get_object().get(values)) return NotJson(error);
    return Named(values, row);
  }
  if (!columns_ && signature_.inputs.size() == 1) return Value(value, 0, row);
  ondemand::array values;
  if (value.get_array().get(values) != simdjson::SUCCESS) return Refuse("a row must be an object or a list of values");
  return Listed(values, row);
}

Status RowsReader::Named(ondemand::object& values, std::int64_t row) {
  return VisitMembers(values, [&](std::string_view key, ondemand::value& value) { return Value(value, Find(key), row); });
}

Status RowsReader::Listed(ondemand::array& values, std::int64_t row) {
  const size_t expected = columns_ ? columns_->size() : signature_.inputs.size();
  size_t count = 0;
  RATCHET_TRY(VisitElements(values, [&](ondemand::value& value) -> Status {
    const size_t at = count++;
    if (at >= expected) return CheckJson(value);
    return Value(value, columns_ ? (*columns_)[at] : InputIndex(at), row);
  }));
  if (count == expected) return {};
  return Refuse("a row of " + std::to_string(count) + " values, expected " + std::to_string(expected));
}

Status RowsReader::Value(ondemand::value& value, InputIndex input, std::int64_t row) {
  if (!input) return CheckJson(value);
  const TensorSpec& spec = signature_.inputs[*input];
  if (filled_[*input] != row) return Refuse(AboutInput(spec) + " is given twice");
  ++filled_[*input];
  return FillRow(value, spec, row, tensors_[*input]);
}

Status RowsReader::AllThere(std::int64_t row) const {
  const auto missing = std::ranges::find_if(filled_, [&](std::int64_t rows) { return rows != row + 1; });
  if (missing == filled_.end()) return {};
  const TensorSpec& spec = signature_.inputs[static_cast<size_t>(missing - filled_.begin())];
  return Refuse(AboutInput(spec) + " is missing, expected " + ExpectedValues(spec.datatype));
}

Status RowsReader::Split(ondemand::value& value) {
  ondemand::object split;
  std::string_view late_rows;  // the text of "data": its columns may come after it
  if (value.get_object().get(split) != simdjson::SUCCESS) {
    return Refuse("\"dataframe_split\" must be an object with \"columns\" and \"data\"");
  }
  RATCHET_TRY(VisitMembers(split, [&](std::string_view key, ondemand::value& member) -> Status {
    ondemand::array rows;
    if (key == "columns") return Columns(member);
    if (key != "data") return CheckJson(member);
    if (!late_rows.empty() || rows_ > 0) return Refuse("\"data\" of \"dataframe_split\" is given twice");
    if (columns_) return Rows(member);
    if (member.get_array().get(rows) != simdjson::SUCCESS) return Refuse("\"data\" of \"dataframe_split\" must be a list of rows");
    if (auto error = rows.raw_json().get(late_rows)) return NotJson(error);
    return {};
  }));
  if (late_rows.empty()) return rows_ > 0 ? Status() : Refuse("\"dataframe_split\" needs \"data\": a list of rows");
  return WithLateArray(late_rows, [&](ondemand::array& rows) { return Rows(rows); });
}

Status RowsReader::Columns(ondemand::value& value) {
  ondemand::array names;
  std::vector<InputIndex> columns;
  if (value.get_array().get(names) != simdjson::SUCCESS) return Refuse("\"columns\" must be a list of texts");
  RATCHET_TRY(VisitElements(names, [&](ondemand::value& entry) -> Status {
    std::string_view name;
    if (entry.get_string().get(name) != simdjson::SUCCESS || columns.size() >= kMaxColumns) {
      return Refuse("\"columns\" must be a list of at most " + std::to_string(kMaxColumns) + " texts");
    }
    columns.push_back(Find(name));
    return {};
  }));
  columns_ = std::move(columns);
  return {};
}

Status RowsReader::Inputs(ondemand::value& value) {
  ondemand::json_type type;
  if (auto error = value.type().get(type)) return NotJson(error);
  if (type != ondemand::json_type::object) return Rows(value);
  ondemand::object inputs;
  if (auto error = value.get_object().get(inputs)) return NotJson(error);
  RATCHET_TRY(VisitMembers(inputs, [&](std::string_view key, ondemand::value& column) {
    const InputIndex input = Find(key);
    return input ? Column(column, *input) : CheckJson(column);
  }));
  if (rows_ == 0) return Refuse("\"inputs\" has none of the model's inputs");
  return AllThere(rows_ - 1);
}

Status RowsReader::Column(ondemand::value& value, size_t input) {
  const TensorSpec& spec = signature_.inputs[input];
  ondemand::array values;
  if (value.get_array().get(values) != simdjson::SUCCESS) return Refuse(AboutInput(spec) + " must be a list, a value for each row");
  size_t count = 0;
  if (auto error = values.count_elements().get(count)) return NotJson(error);
  if (count == 0) return Refuse(AboutInput(spec) + " has no rows");
  if (rows_ == 0) rows_ = static_cast<std::int64_t>(count);
  if (static_cast<std::int64_t>(count) != rows_) {
    return Refuse(AboutInput(spec) + " has " + std::to_string(count) + " rows, expected " + std::to_string(rows_) + " as others have");
  }
  RATCHET_TRY(Room(input, json_bytes_));
  std::int64_t row = 0;
  return VisitElements(values, [&](ondemand::value& element) { return Value(element, input, row++); });
}

// What one entry of `predictions` tells.
std::vector<const Tensor*> Told(const std::vector<Tensor>& outputs, RowAnswer form) {
  std::vector<const Tensor*> told;
  for (const Tensor& output : outputs) told.push_back(&output);
  if (form == RowAnswer::kOutputs || told.empty()) return told;
  const auto label = std::ranges::find(outputs, "label", &Tensor::name);
  return {label == outputs.end() ? told[0] : &*label};
}

void AppendValue(const Tensor& tensor, std::int64_t row, RowAnswer form, std::string& text) {
  const std::int64_t elements = ElementCount({tensor.shape.begin() + 1, tensor.shape.end()});
  if (form == RowAnswer::kPrediction && elements == 1)
    AppendElements(tensor, static_cast<size_t>(row), 1, text);
  else
    AppendRow(tensor, row, text);
}

}  // namespace

Result<v2::InferRequest> ParseRows(const v2::InferBody& body, const Signature& signature) {
  JsonBody text(body.bytes, body.readable_bytes);
  RATCHET_ASSIGN(ondemand::object root, text.Root());
  RowsReader reader(body.bytes.size(), signature);
  RATCHET_ASSIGN(v2::InferRequest request, reader.Read(root));
  RATCHET_TRY(text.End());
  return request;
}

std::string RowsJson(const std::string& model, std::int64_t version, const std::string& id, const std::string& prediction_id,
                     const std::vector<Tensor>& outputs, RowAnswer form) {
  const std::vector<const Tensor*> told = Told(outputs, form);
  const std::int64_t rows = told.empty() ? 0 : told[0]->Rows();
  std::string text = "{\"predictions\":[";
  for (std::int64_t row = 0; row < rows; ++row) {
    if (row) text += ',';
    if (told.size() == 1) {
      AppendValue(*told[0], row, form, text);
      continue;
    }
    for (size_t i = 0; i < told.size(); ++i) {
      text += (i ? "," : "{") + JsonText(told[i]->name) + ":";
      AppendValue(*told[i], row, form, text);
    }
    text += '}';
  }
  text += "],\"model_name\":" + JsonText(model) + ",\"model_version\":\"" + std::to_string(version) + "\",\"id\":" + JsonText(id);
  if (prediction_id != id) text += ",\"parameters\":{\"prediction_id\":" + JsonText(prediction_id) + "}";
  return text + "}";
}

}  // namespace ratchet::serving
