// bare_predict MODEL.pt INPUTS.json: runs a bundle's model with LibTorch alone, as a program that knows nothing of
// Ratchet would, and prints its outputs. For the test that ratchet-serve, LibTorch and Python answer alike.
//
// INPUTS.json: {"inputs":[{"datatype":"UINT8","shape":[1,1,28,28],"data":[0,…]},…]}, in the order of forward's
// arguments; data is flat. Output: {"outputs":[{"shape":[1,10],"data":[…]},…]}; exit code 1 and a line on stderr on any
// failure.
#include <torch/script.h>
#include <torch/torch.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
using torch::jit::IValue;

IValue ToInput(const json& input) {
  const std::string datatype = input.at("datatype");
  if (datatype == "BYTES") {
    c10::List<std::string> texts;
    for (const json& text : input.at("data")) texts.push_back(text.is_null() ? "" : text.get<std::string>());
    return texts;
  }
  static const std::map<std::string, torch::Dtype> kTypes = {
      {"BOOL", torch::kBool},   {"UINT8", torch::kUInt8},  {"INT8", torch::kInt8},
      {"INT16", torch::kInt16}, {"INT32", torch::kInt32},  {"INT64", torch::kInt64},
      {"FP16", torch::kHalf},   {"FP32", torch::kFloat32}, {"FP64", torch::kFloat64}};
  const std::vector<std::int64_t> shape = input.at("shape");
  const bool whole = datatype.starts_with("INT");
  torch::Tensor tensor =
      torch::empty({static_cast<std::int64_t>(input.at("data").size())}, whole ? torch::kInt64 : torch::kFloat64);
  std::int64_t i = 0;
  for (const json& value : input.at("data")) {
    if (whole)
      tensor.data_ptr<std::int64_t>()[i++] = value.get<std::int64_t>();
    else
      tensor.data_ptr<double>()[i++] = value.is_null()      ? NAN
                                       : value.is_boolean() ? value.get<bool>()
                                                            : value.get<double>();
  }
  return tensor.to(kTypes.at(datatype)).reshape(shape);
}

json ToJson(const IValue& value) {
  json output = {{"data", json::array()}};
  if (!value.isTensor()) {
    for (const IValue& text : value.toListRef()) output["data"].push_back(text.toStringRef());
    output["shape"] = {output["data"].size()};
    return output;
  }
  output["shape"] = value.toTensor().sizes().vec();
  const torch::Tensor flat = value.toTensor().to(torch::kFloat64).flatten().contiguous();
  for (std::int64_t i = 0; i < flat.numel(); ++i) output["data"].push_back(flat.data_ptr<double>()[i]);
  return output;
}

json Predict(const char* model_path, const char* inputs_path) {
  torch::jit::Module module = torch::jit::load(model_path, torch::kCPU);
  module.eval();
  std::ifstream file(inputs_path);
  const json request = json::parse(file);
  std::vector<IValue> inputs;
  for (const json& input : request.at("inputs")) inputs.push_back(ToInput(input));
  c10::InferenceMode inference;
  const IValue answer = module.forward(std::move(inputs));
  json outputs = json::array();
  if (!answer.isTuple())
    outputs.push_back(ToJson(answer));
  else
    for (const IValue& value : answer.toTupleRef().elements()) outputs.push_back(ToJson(value));
  return {{"outputs", outputs}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: bare_predict MODEL.pt INPUTS.json\n";
    return 2;
  }
  try {
    std::cout << Predict(argv[1], argv[2]).dump() << "\n";
    return 0;
  } catch (const std::exception& exception) {
    std::cerr << "bare_predict: " << exception.what() << "\n";
    return 1;
  }
}
