// The reading half of v2_protocol.h: an infer request's body, checked against the model's signature. Members are read on
// demand, values straight into the tensors' memory.
#include <algorithm>

#include "base/names.h"
#include "serving/binary_tensors.h"
#include "serving/json_body.h"
#include "serving/request_members.h"
#include "serving/tensor_fill.h"
#include "serving/v2_protocol.h"

namespace ratchet::serving::v2 {
namespace {

namespace ondemand = simdjson::ondemand;

std::string Names(const std::vector<TensorSpec>& specs) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(specs.size(), 20); ++i) text += (i ? ", " : "") + specs[i].name;
  return specs.size() > 20 ? text + ", …" : text;
}

// Empty where it is no list; ends with -1 where something else than a size stands in it.
Result<std::optional<std::vector<std::int64_t>>> ReadShape(ondemand::value& value) {
  ondemand::array list;
  std::vector<std::int64_t> shape;
  if (value.get_array().get(list) != simdjson::SUCCESS) {
    RATCHET_TRY(CheckJson(value));
    return std::nullopt;
  }
  RATCHET_TRY(VisitElements(list, [&](ondemand::value& entry) -> Status {
    std::int64_t size = 0;
    if (!shape.empty() && shape.back() < 0) return CheckJson(entry);
    const bool sound = entry.get_int64().get(size) == simdjson::SUCCESS && size >= 0 && shape.size() < registry::kMaxDimensions;
    shape.push_back(sound ? size : -1);
    return sound ? Status() : CheckJson(entry);
  }));
  return shape;
}

// One entry of "inputs", its members in any order.
struct InputEntry {
  std::string_view name, datatype;
  std::optional<std::vector<std::int64_t>> shape;
  std::optional<std::int64_t> binary_bytes;
  std::string_view late_data;  // the text of "data" where it came before what says how to read it
  bool has_data = false;
  const TensorSpec* spec = nullptr;
  Tensor tensor;
};

class InferReader {
 public:
  // `binary` is what follows the JSON.
  InferReader(std::string_view json, std::string_view binary, const Signature& signature)
      : json_bytes_(json.size()), binary_(binary), signature_(signature), found_(signature.inputs.size()) {}

  Result<InferRequest> Read(ondemand::object& root) {
    RATCHET_TRY(VisitMembers(root, [&](std::string_view key, ondemand::value& value) { return Member(key, value); }));
    if (!has_inputs_) {
      return Refuse("the request needs \"inputs\": a list of tensors, expected " + Names(signature_.inputs));
    }
    RATCHET_TRY(Complete());
    if (!binary_.empty()) {
      return Refuse(std::to_string(binary_.size()) + " bytes of binary data follow the request that belong to no input");
    }
    return std::move(request_);
  }

 private:
  Status Member(std::string_view key, ondemand::value& value) {
    if (key == "inputs") return Inputs(value);
    if (key == "id") return ReadId(value, request_);
    if (key == "parameters") return ReadParameters(value, request_);
    if (key == "outputs") return Outputs(value);
    return CheckJson(value);
  }
  Status Inputs(ondemand::value& value);
  Status Input(ondemand::value& value);
  Status InputMember(std::string_view key, ondemand::value& value, InputEntry& entry);
  Status InputParameters(ondemand::value& value, InputEntry& entry);
  Status CheckEntry(InputEntry& entry) const;
  Status Data(ondemand::value& value, InputEntry& entry) const;
  Status Fill(ondemand::array& data, InputEntry& entry) const;
  Status FillLate(InputEntry& entry) const;
  Status FillBinary(InputEntry& entry);
  Status Complete();
  Status Outputs(ondemand::value& value);
  Status Output(ondemand::value& value, const std::vector<TensorSpec>& known);

  const size_t json_bytes_;
  std::string_view binary_;
  const Signature& signature_;
  InferRequest request_;
  bool has_inputs_ = false;
  std::vector<std::optional<Tensor>> found_;
};

Status InferReader::Inputs(ondemand::value& value) {
  ondemand::array list;
  if (has_inputs_) return Refuse("\"inputs\" is given twice");
  if (value.get_array().get(list) != simdjson::SUCCESS) {
    return Refuse("the request needs \"inputs\": a list of tensors, expected " + Names(signature_.inputs));
  }
  has_inputs_ = true;
  return VisitElements(list, [&](ondemand::value& entry) { return Input(entry); });
}

Status InferReader::Input(ondemand::value& value) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return Refuse("every entry of \"inputs\" must be an object with a \"name\"");
  }
  InputEntry entry;
  RATCHET_TRY(VisitMembers(object, [&](std::string_view key, ondemand::value& member) { return InputMember(key, member, entry); }));
  RATCHET_TRY(CheckEntry(entry));
  auto& place = found_[static_cast<size_t>(entry.spec - signature_.inputs.data())];
  if (place) return Refuse(AboutInput(*entry.spec) + " is given twice");
  if (entry.binary_bytes) {
    RATCHET_TRY(FillBinary(entry));
  } else if (!entry.has_data) {
    return Refuse(AboutInput(*entry.spec) + " needs \"data\": a list of " + ExpectedValues(entry.spec->datatype));
  } else if (!entry.late_data.empty()) {
    RATCHET_TRY(FillLate(entry));
  }
  place = std::move(entry.tensor);
  return {};
}

Status InferReader::InputMember(std::string_view key, ondemand::value& value, InputEntry& entry) {
  if (key == "name") {
    if (value.get_string().get(entry.name) == simdjson::SUCCESS) return {};
    return Refuse("every entry of \"inputs\" must be an object with a \"name\"");
  }
  if (key == "datatype") {
    if (value.get_string().get(entry.datatype) == simdjson::SUCCESS) return {};
    return Refuse("input " + Quoted(entry.name) + " has a \"datatype\" that is no text");
  }
  if (key == "shape") {
    RATCHET_ASSIGN(entry.shape, ReadShape(value));
    return {};
  }
  if (key == "parameters") return InputParameters(value, entry);
  if (key == "data") return Data(value, entry);
  return CheckJson(value);
}

Status InferReader::InputParameters(ondemand::value& value, InputEntry& entry) {
  if (IsNull(value)) return {};
  ondemand::object parameters;
  if (value.get_object().get(parameters) != simdjson::SUCCESS) {
    return Refuse("input " + Quoted(entry.name) + " has \"parameters\" that are no object");
  }
  return VisitMembers(parameters, [&](std::string_view key, ondemand::value& parameter) -> Status {
    if (key != "binary_data_size") return CheckJson(parameter);
    std::int64_t bytes = 0;
    if (parameter.get_int64().get(bytes) != simdjson::SUCCESS || bytes < 0) {
      return Refuse("input " + Quoted(entry.name) + " has a \"binary_data_size\" that is no number of bytes");
    }
    entry.binary_bytes = bytes;
    return {};
  });
}

// What must be known of an input before its data can be read.
Status InferReader::CheckEntry(InputEntry& entry) const {
  if (entry.spec) return {};
  if (entry.name.data() == nullptr) return Refuse("every entry of \"inputs\" must be an object with a \"name\"");
  auto spec = std::ranges::find(signature_.inputs, entry.name, &TensorSpec::name);
  if (spec == signature_.inputs.end()) {
    return Refuse("input " + Quoted(entry.name) + " is unknown, expected " + Names(signature_.inputs));
  }
  const std::string expected(registry::DatatypeName(spec->datatype));
  if (entry.datatype.data() == nullptr) return Refuse(AboutInput(*spec) + " needs a \"datatype\", expected " + expected);
  if (entry.datatype != expected) {
    return Refuse(AboutInput(*spec) + " has datatype " + Quoted(entry.datatype) + ", expected " + expected);
  }
  if (!entry.shape) {
    return Refuse(AboutInput(*spec) + " needs a \"shape\": a list of integers, expected " + ShapeText(spec->shape));
  }
  if (!ShapeFits(*entry.shape, *spec) || ElementCount(*entry.shape) < 0) {
    return Refuse(AboutInput(*spec) + " has shape " + ShapeText(*entry.shape) + ", expected " + ShapeText(spec->shape) +
                  " (-1 = any size from 1)");
  }
  entry.spec = &*spec;
  entry.tensor = {.name = spec->name, .datatype = spec->datatype, .shape = *entry.shape};
  return {};
}

Status InferReader::Data(ondemand::value& value, InputEntry& entry) const {
  ondemand::array data;
  if (entry.has_data) return Refuse("input " + Quoted(entry.name) + " has \"data\" twice");
  if (value.get_array().get(data) != simdjson::SUCCESS) return CheckJson(value);  // then there is none
  entry.has_data = true;
  const bool known = entry.name.data() != nullptr && entry.datatype.data() != nullptr && entry.shape;
  if (!known) {
    if (auto error = data.raw_json().get(entry.late_data)) return NotJson(error);
    return {};
  }
  RATCHET_TRY(CheckEntry(entry));
  return Fill(data, entry);
}

Status InferReader::Fill(ondemand::array& data, InputEntry& entry) const {
  RATCHET_TRY(MakeRoom(*entry.spec, json_bytes_, entry.tensor));
  return FillTensor(data, *entry.spec, entry.tensor);
}

Status InferReader::FillLate(InputEntry& entry) const {
  return WithLateArray(entry.late_data, [&](ondemand::array& data) { return Fill(data, entry); });
}

Status InferReader::FillBinary(InputEntry& entry) {
  if (entry.has_data) return Refuse(AboutInput(*entry.spec) + " has both \"data\" and a \"binary_data_size\"");
  const auto bytes = static_cast<size_t>(*entry.binary_bytes);
  if (bytes > binary_.size()) {
    return Refuse(AboutInput(*entry.spec) + " has a \"binary_data_size\" of " + std::to_string(bytes) + ", but " +
                  std::to_string(binary_.size()) + " bytes follow the JSON (" + kBinaryHeader + " says where it ends)");
  }
  request_.is_v2_json = false;
  RATCHET_ASSIGN(entry.tensor, TensorFromBytes(*entry.spec, std::move(*entry.shape), binary_.substr(0, bytes)));
  binary_.remove_prefix(bytes);
  return {};
}

Status InferReader::Complete() {
  for (size_t i = 0; i < found_.size(); ++i) {
    const TensorSpec& spec = signature_.inputs[i];
    if (!found_[i]) {
      return Refuse(AboutInput(spec) + " is missing, expected " + std::string(registry::DatatypeName(spec.datatype)) + " " +
                    ShapeText(spec.shape));
    }
    if (const std::int64_t rows = i ? request_.inputs[0].Rows() : found_[i]->Rows(); found_[i]->Rows() != rows) {
      return Refuse(AboutInput(spec) + " has " + std::to_string(found_[i]->Rows()) + " rows, expected " +
                    std::to_string(rows) + " as " + AboutInput(signature_.inputs[0]) + " has");
    }
    request_.inputs.push_back(std::move(*found_[i]));
  }
  return {};
}

Status InferReader::Outputs(ondemand::value& value) {
  if (IsNull(value)) return {};
  ondemand::array list;
  if (value.get_array().get(list) != simdjson::SUCCESS) return Refuse("\"outputs\" must be a list");
  const std::vector<TensorSpec> known = AnswerSpecs(signature_);
  return VisitElements(list, [&](ondemand::value& entry) { return Output(entry, known); });
}

Status InferReader::Output(ondemand::value& value, const std::vector<TensorSpec>& known) {
  ondemand::object object;
  std::string_view name;
  std::optional<bool> binary;
  const auto parameter = [&](std::string_view key, ondemand::value& member) -> Status {
    bool wanted = false;
    if (key != "binary_data") return CheckJson(member);
    if (member.get_bool().get(wanted) != simdjson::SUCCESS) return Refuse("the parameter \"binary_data\" must be true or false");
    binary = wanted;
    return {};
  };
  const auto member = [&](std::string_view key, ondemand::value& inner) -> Status {
    ondemand::object parameters;
    if (key == "name" && inner.get_string().get(name) == simdjson::SUCCESS) return {};
    if (key == "parameters" && inner.get_object().get(parameters) == simdjson::SUCCESS) return VisitMembers(parameters, parameter);
    return CheckJson(inner);
  };
  if (value.get_object().get(object) == simdjson::SUCCESS) RATCHET_TRY(VisitMembers(object, member));
  if (name.data() == nullptr) return Refuse("every entry of \"outputs\" must be an object with a \"name\"");
  if (std::ranges::find(known, name, &TensorSpec::name) == known.end()) {
    return Refuse("output " + Quoted(name) + " is unknown, expected " + Names(known));
  }
  if (std::ranges::find(request_.wanted_outputs, name) != request_.wanted_outputs.end()) {
    return Refuse("output " + Quoted(name) + " is asked for twice");
  }
  request_.wanted_outputs.emplace_back(name);
  if (binary) request_.binary_outputs.emplace(name, *binary);
  return {};
}

}  // namespace

bool InferRequest::WantsBinary(const std::string& output) const {
  auto found = binary_outputs.find(output);
  return found == binary_outputs.end() ? binary_by_default : found->second;
}

Result<InferRequest> ParseInfer(const InferBody& body, const Signature& signature) {
  const std::string_view json = body.bytes.substr(0, body.json_bytes);
  JsonBody text(json, body.readable_bytes);
  RATCHET_ASSIGN(ondemand::object root, text.Root());
  InferReader reader(json, body.bytes.substr(json.size()), signature);
  RATCHET_ASSIGN(InferRequest request, reader.Read(root));
  RATCHET_TRY(text.End());
  return request;
}

Result<InferRequest> ParseRawInfer(std::string_view body, const Signature& signature) {
  InferRequest request{.binary_by_default = true, .is_v2_json = false};
  RATCHET_ASSIGN(Tensor input, TensorFromRawBody(signature, body));
  request.inputs.push_back(std::move(input));
  return request;
}

}  // namespace ratchet::serving::v2
