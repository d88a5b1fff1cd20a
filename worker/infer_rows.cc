#include "worker/infer_rows.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace ratchet::worker {
namespace {

using nlohmann::json;
using registry::Datatype;
using registry::TensorSpec;

struct Cell {
  const lake::Column& column;
  const lake::ColumnBatch& values;
  size_t row;

  bool IsTensor() const { return column.type == lake::ColumnType::kBlob && !column.shape.empty(); }
  bool IsMissing() const { return values.missing[row] != 0; }
  std::span<const std::uint8_t> Bytes() const {
    const size_t width = values.bytes.size() / values.missing.size();
    return std::span(values.bytes).subspan(row * width, width);
  }
};

json NumberAs(Datatype datatype, double value) {
  if (datatype == Datatype::kBool) return value != 0;
  if (registry::IsFloating(datatype)) return value;
  return static_cast<std::int64_t>(value);
}

std::optional<json> Number(const Cell& cell, Datatype datatype) {
  if (cell.IsMissing()) return json();
  if (cell.column.type == lake::ColumnType::kInteger) {
    const std::int64_t value = cell.values.integers[cell.row];
    return datatype == Datatype::kBool ? json(value != 0) : json(value);
  }
  const double value = cell.values.reals[cell.row];
  if (!std::isfinite(value)) return std::nullopt;
  return NumberAs(datatype, value);
}

std::string Text(const Cell& cell) {
  if (cell.IsMissing()) return {};
  if (cell.column.type == lake::ColumnType::kInteger) return std::to_string(cell.values.integers[cell.row]);
  if (cell.column.type == lake::ColumnType::kReal) return fmt::format("{}", cell.values.reals[cell.row]);
  if (cell.IsTensor()) return std::string(cell.Bytes().begin(), cell.Bytes().end());
  return cell.values.texts[cell.row];
}

std::optional<json> Data(const Cell& cell, Datatype datatype) {
  json data = json::array();
  if (datatype == Datatype::kBytes) {
    data.push_back(Text(cell));
  } else if (cell.IsTensor()) {
    for (const std::uint8_t byte : cell.Bytes()) data.push_back(NumberAs(datatype, byte));
  } else if (auto number = Number(cell, datatype)) {
    data.push_back(std::move(*number));
  } else {
    return std::nullopt;
  }
  return data;
}

// That of one row: sizes that the signature leaves open are those of the column.
std::vector<std::int64_t> ShapeOf(const TensorSpec& spec, const Cell& cell) {
  std::vector<std::int64_t> own{1}, shape = spec.shape;
  if (cell.IsTensor() && spec.datatype != Datatype::kBytes)
    own.insert(own.end(), cell.column.shape.begin(), cell.column.shape.end());
  shape.at(0) = 1;
  for (size_t i = 1; i < shape.size(); ++i)
    if (shape[i] == -1) shape[i] = shape.size() == own.size() ? own[i] : 1;
  return shape;
}

double ValueOf(const json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::optional<lake::Value> LabelOf(const json& output) {
  const json data = output.value("data", json::array());
  if (data.size() != 1) return std::nullopt;
  if (data[0].is_number_integer()) return data[0].get<std::int64_t>();
  if (data[0].is_string()) return data[0].get<std::string>();
  return std::nullopt;
}

const json* FindOutput(const json& outputs, const std::string& name) {
  for (const json& output : outputs)
    if (output.is_object() && output.value("name", json()) == name) return &output;
  return nullptr;
}

template <typename T>
std::vector<T> Cut(const std::vector<T>& values, size_t rows, size_t row) {
  if (values.empty() || rows == 0) return {};
  const auto width = static_cast<std::ptrdiff_t>(values.size() / rows);
  const auto from = values.begin() + static_cast<std::ptrdiff_t>(row) * width;
  return {from, from + width};
}

}  // namespace

std::optional<std::string> InferBody(const registry::Signature& signature, const lake::Schema& schema,
                                     const lake::Batch& batch, size_t row) {
  json inputs = json::array();
  for (const TensorSpec& spec : signature.inputs) {
    const auto index = static_cast<size_t>(schema.Find(spec.column.empty() ? spec.name : spec.column));
    const Cell cell{schema.columns.at(index), batch.columns.at(index), row};
    auto data = Data(cell, spec.datatype);
    if (!data) return std::nullopt;
    inputs.push_back({{"name", spec.name}, {"datatype", registry::DatatypeName(spec.datatype)},
                      {"shape", ShapeOf(spec, cell)}, {"data", std::move(*data)}});
  }
  try {
    return json{{"inputs", std::move(inputs)}}.dump();
  } catch (const json::exception&) {
    return std::nullopt;  // bytes that are no UTF-8
  }
}

std::optional<ServedRow> ReadInferAnswer(const registry::Signature& signature, const std::string& body) {
  const json answer = json::parse(body, nullptr, false);
  if (!answer.is_object()) return std::nullopt;
  const json outputs = answer.value("outputs", json::array());
  const json* first = FindOutput(outputs, signature.outputs.at(0).name);
  if (first == nullptr || !first->value("data", json()).is_array()) return std::nullopt;
  ServedRow served;
  for (const json& value : first->at("data")) served.values.push_back(ValueOf(value));
  if (signature.task != registry::Task::kClassification) return served;
  if (const json* label = FindOutput(outputs, "label")) served.label = LabelOf(*label);
  return served;
}

lake::Batch OneRow(const lake::Batch& batch, size_t row) {
  const auto rows = static_cast<size_t>(batch.rows);
  lake::Batch one{.rows = 1, .columns = {}};
  for (const lake::ColumnBatch& column : batch.columns)
    one.columns.push_back({.missing = Cut(column.missing, rows, row), .integers = Cut(column.integers, rows, row),
                           .reals = Cut(column.reals, rows, row), .texts = Cut(column.texts, rows, row),
                           .bytes = Cut(column.bytes, rows, row)});
  return one;
}

}  // namespace ratchet::worker
