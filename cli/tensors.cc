#include "cli/tensors.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/names.h"
#include "cli/csv.h"
#include "cli/human.h"
#include "cli/png_image.h"

namespace ratchet::cli {
namespace {

std::unexpected<Error> Refuse(std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "read the rows", "", std::move(cause), std::move(hint));
}

bool IsFloat(const TensorInput& input) { return input.datatype.starts_with("FP"); }

std::string ColumnList(const std::vector<TensorInput>& inputs) {
  std::string list;
  for (const TensorInput& input : inputs) list += (list.empty() ? "" : ", ") + input.name + " " + input.datatype;
  return "The model takes: " + list;
}

// A value as a tensor element of the input's datatype. A missing one is null (NaN there) for floats, "" for texts.
Result<Json> Element(const TensorInput& input, const Json& value, size_t row) {
  auto refuse = [&](const std::string& cause) {
    return Refuse(fmt::format("row {}, {}: {}", row + 1, input.name, cause), ColumnList({input}));
  };
  if (input.datatype == "BYTES") return value.is_null() ? Json("") : Json(ShownValue(value));
  if (value.is_null() && IsFloat(input)) return Json(nullptr);
  if (value.is_null()) return refuse("the value is missing");
  if (value.is_string()) return refuse(Quoted(value.get<std::string>()) + " is not a number");
  if (input.datatype == "BOOL") return value.is_boolean() ? Result<Json>(value) : refuse("not true or false");
  if (!value.is_number() && !value.is_boolean()) return refuse("not a number");
  if (IsFloat(input) || value.is_number_integer()) return value.is_boolean() ? Json(value.get<bool>() ? 1 : 0) : value;
  double number = value.is_boolean() ? value.get<bool>() : value.get<double>();
  if (std::abs(number) > 9e15 || std::floor(number) != number) return refuse("not a whole number");
  return Json(static_cast<std::int64_t>(number));
}

// Appends a row's value, nested lists flattened; returns how many elements that were.
Result<std::int64_t> AppendValue(const TensorInput& input, const Json& value, size_t row, Json& data, int depth = 0) {
  if (!value.is_array()) {
    RATCHET_ASSIGN(Json element, Element(input, value, row));
    data.push_back(std::move(element));
    return 1;
  }
  if (depth > 8) return Refuse(fmt::format("row {}, {}: lists in too many lists", row + 1, input.name));
  std::int64_t count = 0;
  for (const Json& item : value) {
    RATCHET_ASSIGN(std::int64_t added, AppendValue(input, item, row, data, depth + 1));
    count += added;
  }
  return count;
}

Result<Json> TensorOfRows(const TensorInput& input, const Json& rows) {
  Json data = Json::array();
  bool named = false;
  for (size_t row = 0; row < rows.size(); ++row) {
    named = named || rows[row].contains(input.name);
    RATCHET_ASSIGN(std::int64_t count, AppendValue(input, Field(rows[row], input.name), row, data));
    if (count != input.ElementsPerRow() && rows[row].contains(input.name))
      return Refuse(
          fmt::format("row {}, {}: {} values instead of {}", row + 1, input.name, count, input.ElementsPerRow()));
  }
  if (!named) return Refuse(fmt::format("there is no column {}", Quoted(input.name)));
  std::vector<std::int64_t> shape = input.shape;
  shape[0] = static_cast<std::int64_t>(rows.size());
  return Json{{"name", input.name}, {"datatype", input.datatype}, {"shape", shape}, {"data", std::move(data)}};
}

Result<std::string> RequestOfRows(const std::vector<TensorInput>& inputs, const Json& rows) {
  if (rows.empty()) return Refuse("there are none", ColumnList(inputs));
  std::string missing;
  for (const TensorInput& input : inputs)
    if (std::none_of(rows.begin(), rows.end(), [&](const Json& row) { return row.contains(input.name); }))
      missing += (missing.empty() ? "" : ", ") + input.name;
  if (!missing.empty()) return Refuse("no column is named " + missing, ColumnList(inputs));
  Json request{{"inputs", Json::array()}};
  for (const TensorInput& input : inputs) {
    RATCHET_ASSIGN(Json tensor, TensorOfRows(input, rows));
    request["inputs"].push_back(std::move(tensor));
  }
  return request.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A CSV cell as the JSON value that the datatype asks for; what does not fit stays text and is refused as such later.
Json CellValue(const TensorInput& input, const std::string& cell) {
  if (input.datatype == "BYTES") return cell;
  if (cell.empty()) return nullptr;
  if (input.datatype == "BOOL") {
    if (cell == "true" || cell == "1") return true;
    if (cell == "false" || cell == "0") return false;
    return cell;
  }
  std::int64_t whole = 0;
  const char* end = cell.data() + cell.size();
  if (auto parsed = std::from_chars(cell.data(), end, whole); parsed.ec == std::errc() && parsed.ptr == end)
    return whole;
  double number = 0;
  auto parsed = std::from_chars(cell.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return cell;
  return std::isfinite(number) ? Json(number) : Json(nullptr);
}

Result<std::string> RequestOfCsv(const std::vector<TensorInput>& inputs, std::string_view bytes) {
  if (!IsUtf8Text(bytes)) return Refuse("the text is not valid UTF-8", "Save it as UTF-8");
  RATCHET_ASSIGN(CsvTable table, ParseCsv(bytes));
  Json rows = Json::array();
  for (const auto& cells : table.rows) {
    Json row = Json::object();
    for (const TensorInput& input : inputs) {
      auto column = std::find(table.header.begin(), table.header.end(), input.name);
      if (column != table.header.end())
        row[input.name] = CellValue(input, cells[static_cast<size_t>(column - table.header.begin())]);
    }
    rows.push_back(std::move(row));
  }
  return RequestOfRows(inputs, rows);
}

// One JSON document a line; discarded when any line is not one.
Json ParseJsonLines(std::string_view text) {
  Json rows = Json::array();
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    rows.push_back(ParseJson(line));
    if (rows.back().is_discarded()) return rows.back();
  }
  return rows;
}

Result<std::string> RequestOfJson(const std::vector<TensorInput>& inputs, std::string_view bytes) {
  Json json = ParseJson(bytes);
  if (json.is_discarded()) json = ParseJsonLines(bytes);
  if (json.is_discarded()) return Refuse("the text begins like JSON but is not valid JSON");
  if (json.is_object() && Field(json, "inputs").is_array()) return std::string(bytes);
  if (json.is_object()) json = json.contains("instances") ? Json(Field(json, "instances")) : Json::array({json});
  if (!json.is_array()) return Refuse("\"instances\" is not a list");
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i].is_object()) continue;
    if (inputs.size() != 1)
      return Refuse(fmt::format("row {} is not an object with the inputs' names", i + 1), ColumnList(inputs));
    json[i] = Json{{inputs[0].name, json[i]}};
  }
  return RequestOfRows(inputs, json);
}

Result<std::string> RequestOfPng(const std::vector<TensorInput>& inputs, std::string_view bytes) {
  auto takes_image = [](const TensorInput& input) {
    return input.datatype == "UINT8" && input.shape.size() == 4 && (input.shape[1] == 1 || input.shape[1] == 3);
  };
  if (inputs.size() != 1 || !takes_image(inputs[0])) return Refuse("the model takes no image", ColumnList(inputs));
  const TensorInput& input = inputs[0];
  RATCHET_ASSIGN(std::string pixels, DecodePng(bytes, input.shape[1], input.shape[2], input.shape[3]));
  Json data = Json::array();
  for (unsigned char pixel : pixels) data.push_back(static_cast<int>(pixel));
  Json tensor{{"name", input.name},
              {"datatype", input.datatype},
              {"shape", {1, input.shape[1], input.shape[2], input.shape[3]}},
              {"data", std::move(data)}};
  return Json{{"inputs", Json::array({std::move(tensor)})}}.dump();
}

const Json* OutputNamed(const Json& answer, std::string_view name) {
  for (const Json& output : Field(answer, "outputs"))
    if (TextField(output, "name") == name) return &output;
  return nullptr;
}

}  // namespace

std::int64_t TensorInput::ElementsPerRow() const {
  std::int64_t count = 1;
  for (size_t i = 1; i < shape.size(); ++i) count *= shape[i];
  return count;
}

Result<std::vector<TensorInput>> DecodeInputs(const Json& metadata) {
  std::vector<TensorInput> inputs;
  for (const Json& item : Field(metadata, "inputs")) {
    TensorInput input{.name = TextField(item, "name"), .datatype = TextField(item, "datatype"), .shape = {}};
    for (const Json& size : Field(item, "shape"))
      if (size.is_number_integer()) input.shape.push_back(size.get<std::int64_t>());
    if (input.name.empty() || input.datatype.empty() || input.shape.empty())
      return Fail(ErrorCode::kCorrupt, "read the model's metadata", "", "an input has no name, datatype or shape");
    inputs.push_back(std::move(input));
  }
  if (inputs.empty()) return Fail(ErrorCode::kCorrupt, "read the model's metadata", "", "it names no inputs");
  return inputs;
}

Result<std::string> BuildInferRequest(const std::vector<TensorInput>& inputs, std::string_view bytes) {
  if (IsPng(bytes)) return RequestOfPng(inputs, bytes);
  size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return Refuse("the input is empty", ColumnList(inputs));
  if (bytes[first] == '{' || bytes[first] == '[') return RequestOfJson(inputs, bytes);
  if (bytes.substr(0, 512).find('\0') != std::string_view::npos)
    return Refuse("this is neither a PNG image nor CSV nor JSON", ColumnList(inputs));
  return RequestOfCsv(inputs, bytes);
}

Result<Table> PredictionTable(const Json& answer) {
  const Json& outputs = Field(answer, "outputs");
  if (!outputs.is_array() || outputs.empty())
    return Fail(ErrorCode::kCorrupt, "read the prediction", "", "the answer has no outputs");
  const Json* label = OutputNamed(answer, "label");
  const Json& first = outputs[0];
  const Json& shape = Field(first, "shape");
  size_t rows = shape.is_array() && !shape.empty() && shape[0].is_number_unsigned() ? shape[0].get<size_t>() : 0;
  const Json& data = Field(first, "data");
  if (rows == 0 || !data.is_array() || data.size() % rows != 0)
    return Fail(ErrorCode::kCorrupt, "read the prediction", "", "an output's shape and data do not agree");
  size_t width = data.size() / rows;
  std::string version = ShownValue(Field(answer, "model_version"));
  const char* value_title = label ? "PROBABILITY" : "PREDICTION";
  std::vector<Column> columns = {{"ROW", Align::kRight}};
  if (label) columns.push_back({"LABEL"});
  columns.insert(columns.end(), {{value_title, Align::kRight}, {"VERSION", Align::kRight}});
  Table table(columns);
  for (size_t row = 0; row < rows; ++row) {
    auto begin = data.begin() + static_cast<std::ptrdiff_t>(row * width);
    auto end = begin + static_cast<std::ptrdiff_t>(width);
    std::vector<std::string> cells = {std::to_string(row + 1)};
    if (label) {
      const Json& labels = Field(*label, "data");
      cells.push_back(row < labels.size() ? ShownValue(labels[row]) : kAbsent);
      auto likeliest = std::max_element(begin, end);
      cells.push_back(likeliest != end && likeliest->is_number() ? fmt::format("{:.4f}", likeliest->get<double>())
                                                                 : kAbsent);
    } else {
      std::string values;
      for (auto at = begin; at != end; ++at) values += (values.empty() ? "" : " ") + ShownValue(*at);
      cells.push_back(values);
    }
    cells.push_back(version);
    table.Add(std::move(cells));
  }
  return table;
}

}  // namespace ratchet::cli
