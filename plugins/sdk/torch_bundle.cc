#include "plugins/sdk/torch_bundle.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <sstream>

#include "base/files.h"
#include "base/names.h"
#include "plugins/sdk/model_operators.h"

namespace ratchet::sdk {
namespace {

using Shape = std::vector<std::int64_t>;

// LibTorch's message without its stack of C++ frames.
std::string FirstLines(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, std::min(text.find("Exception raised from"), size_t{600}));
}

std::optional<torch::Dtype> NumericType(const std::string& datatype) {
  static const std::map<std::string, torch::Dtype> kTypes = {
      {"BOOL", torch::kBool},   {"UINT8", torch::kUInt8},  {"INT8", torch::kInt8},
      {"INT16", torch::kInt16}, {"INT32", torch::kInt32},  {"INT64", torch::kInt64},
      {"FP16", torch::kHalf},   {"FP32", torch::kFloat32}, {"FP64", torch::kFloat64}};
  const auto found = kTypes.find(datatype);
  if (found == kTypes.end()) return std::nullopt;
  return found->second;
}

std::unexpected<Error> BadInput(const std::string& input, std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "read rows as input", Quoted(input), std::move(cause), std::move(hint));
}

torch::jit::IValue TextList(const lake::Column& column, const lake::ColumnBatch& values, std::int64_t rows) {
  c10::List<std::string> texts;
  texts.reserve(rows);
  const auto width = rows > 0 ? values.bytes.size() / rows : 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    if (values.missing[i])
      texts.push_back(std::string());
    else if (column.type == lake::ColumnType::kInteger)
      texts.push_back(std::to_string(values.integers[i]));
    else if (column.type == lake::ColumnType::kReal)
      texts.push_back(fmt::format("{}", values.reals[i]));
    else if (!column.shape.empty())
      texts.push_back(std::string(reinterpret_cast<const char*>(values.bytes.data()) + i * width, width));
    else
      texts.push_back(values.texts[i]);
  }
  return texts;
}

// [rows] numbers of a numeric column; missing ones become NaN.
torch::Tensor Numbers(const lake::Column& column, const lake::ColumnBatch& values, std::int64_t rows,
                      torch::Dtype dtype, bool any_missing) {
  if (column.type == lake::ColumnType::kInteger && !any_missing) {
    auto tensor = torch::empty({rows}, torch::kInt64);
    if (rows > 0) std::memcpy(tensor.data_ptr(), values.integers.data(), rows * sizeof(std::int64_t));
    return tensor.to(dtype);
  }
  auto tensor = torch::empty({rows}, torch::kFloat64);
  double* out = tensor.data_ptr<double>();
  for (std::int64_t i = 0; i < rows; ++i) {
    const double value =
        column.type == lake::ColumnType::kInteger ? static_cast<double>(values.integers[i]) : values.reals[i];
    out[i] = values.missing[i] ? std::numeric_limits<double>::quiet_NaN() : value;
  }
  return tensor.to(dtype);
}

torch::Tensor Bytes(const Shape& shape, const lake::ColumnBatch& values, std::int64_t rows, torch::Dtype dtype) {
  Shape sizes = {rows};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  auto tensor = torch::empty(sizes, torch::kUInt8);
  if (!values.bytes.empty()) std::memcpy(tensor.data_ptr(), values.bytes.data(), values.bytes.size());
  return tensor.to(dtype);
}

// The tensor in the input's own shape: dimensions after the first that differ only by ones are taken as they are meant.
Result<torch::Tensor> InShape(const std::string& name, torch::Tensor tensor, const nlohmann::json& input) {
  if (!input.contains("shape")) return tensor;
  Shape wanted = input.at("shape").get<Shape>();
  if (wanted.empty()) return BadInput(name, "its shape has no dimension for rows");
  wanted[0] = tensor.size(0);
  bool fits = static_cast<std::int64_t>(wanted.size()) == tensor.dim();
  for (size_t i = 1; fits && i < wanted.size(); ++i) fits = wanted[i] == -1 || wanted[i] == tensor.size(i);
  if (fits) return tensor;
  std::int64_t elements = 1;
  for (size_t i = 1; i < wanted.size(); ++i) elements *= wanted[i];
  if (elements < 1 || elements * wanted[0] != tensor.numel())
    return BadInput(
        name, fmt::format("the column holds values of another shape than the input's {}", input.at("shape").dump()));
  return tensor.reshape(wanted);
}

Result<torch::jit::IValue> ReadInput(const nlohmann::json& input, const lake::Schema& schema,
                                     const lake::Batch& batch) {
  const std::string name = input.at("name").get<std::string>();
  const std::string column_name = input.value("column", name);
  const int index = schema.Find(column_name);
  if (index < 0 || index >= static_cast<int>(batch.columns.size()))
    return BadInput(name, fmt::format("the data has no column {}", Quoted(column_name)));
  const lake::Column& column = schema.columns[index];
  const lake::ColumnBatch& values = batch.columns[index];
  const std::string datatype = input.at("datatype").get<std::string>();
  if (datatype == "BYTES") return TextList(column, values, batch.rows);
  const auto dtype = NumericType(datatype);
  if (!dtype) return BadInput(name, fmt::format("its datatype {} is not known", Quoted(datatype)));
  const bool is_blob = column.type == lake::ColumnType::kBlob && !column.shape.empty();
  if (!is_blob && column.type != lake::ColumnType::kInteger && column.type != lake::ColumnType::kReal)
    return BadInput(name, fmt::format("column {} is of type {} and can't be read as {}", Quoted(column_name),
                                      lake::ColumnTypeName(column.type), datatype));
  const auto gap = is_blob ? values.missing.end() : std::find(values.missing.begin(), values.missing.end(), 1);
  const bool any_missing = gap != values.missing.end();
  if (any_missing && !torch::isFloatingType(*dtype))
    return BadInput(name,
                    fmt::format("row {} of the batch has no value, and {} can't say so",
                                gap - values.missing.begin() + 1, datatype),
                    "Let the model take FP64, where NaN stands for a missing number.");
  torch::Tensor tensor = is_blob ? Bytes(column.shape, values, batch.rows, *dtype)
                                 : Numbers(column, values, batch.rows, *dtype, any_missing);
  RATCHET_ASSIGN(tensor, InShape(name, tensor, input));
  return torch::jit::IValue(tensor);
}

}  // namespace

Status SaveModel(const torch::jit::Module& module, const std::string& path) {
  try {
    torch::jit::Module copy = module.deepcopy();
    copy.to(torch::kCPU);
    copy.eval();
    std::ostringstream bytes;
    copy.save(bytes);
    return SystemFiles().WriteAtomic(path, bytes.str());
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInternal, "save model", path, FirstLines(error));
  }
}

Result<torch::jit::Module> LoadModel(const std::string& path) {
  if (::access(path.c_str(), R_OK) != 0) return FailErrno("load model", path, errno);
  try {
    torch::jit::Module module = torch::jit::load(path, torch::kCPU);
    module.eval();
    RATCHET_TRY(CheckOperators(module));
    return module;
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInvalid, "load model", path, FirstLines(error),
                "It has to be TorchScript, as torch.jit.save writes it.");
  }
}

Result<std::vector<torch::jit::IValue>> InputsFromBatch(const nlohmann::json& inputs, const lake::Schema& schema,
                                                        const lake::Batch& batch) {
  try {
    std::vector<torch::jit::IValue> values;
    for (const nlohmann::json& input : inputs) {
      RATCHET_ASSIGN(torch::jit::IValue value, ReadInput(input, schema, batch));
      values.push_back(std::move(value));
    }
    return values;
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInvalid, "read rows as", "a model's inputs", FirstLines(error));
  }
}

Result<torch::Tensor> FirstOutput(torch::jit::Module& module, std::vector<torch::jit::IValue> inputs) {
  try {
    torch::InferenceMode no_grad;
    torch::jit::IValue output = module.forward(std::move(inputs));
    if (output.isTuple() && !output.toTupleRef().elements().empty()) output = output.toTupleRef().elements()[0];
    if (output.isTensor()) return output.toTensor().to(torch::kCPU);
    return Fail(ErrorCode::kInvalid, "run", "the model", fmt::format("it gave {}, not a tensor", output.tagKind()));
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInvalid, "run", "the model", FirstLines(error));
  }
}

}  // namespace ratchet::sdk
