#include "registry/bundle_manifest.h"

#include <array>
#include <set>
#include <utility>

#include "base/digest.h"
#include "base/names.h"

namespace ratchet::registry {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<Datatype, std::string_view>, 10> kDatatypes = {{{Datatype::kBool, "BOOL"},
                                                                               {Datatype::kUint8, "UINT8"},
                                                                               {Datatype::kInt8, "INT8"},
                                                                               {Datatype::kInt16, "INT16"},
                                                                               {Datatype::kInt32, "INT32"},
                                                                               {Datatype::kInt64, "INT64"},
                                                                               {Datatype::kFp16, "FP16"},
                                                                               {Datatype::kFp32, "FP32"},
                                                                               {Datatype::kFp64, "FP64"},
                                                                               {Datatype::kBytes, "BYTES"}}};

std::unexpected<Error> Fault(const std::string& field, std::string cause) {
  Error error{.code = ErrorCode::kInvalid, .operation = "read bundle manifest", .subject = field, .cause = cause};
  error.field = field;
  return std::unexpected(std::move(error));
}

// One JSON object and the path that leads to it; every getter checks presence and type.
class Object {
 public:
  static Result<Object> Of(const Json& value, std::string path) {
    if (!value.is_object()) return Fault(path, "must be an object");
    return Object(value, std::move(path));
  }

  std::string Path(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  // Null when the key is absent or null.
  const Json* Find(const std::string& key) const {
    auto found = value_->find(key);
    return found == value_->end() || found->is_null() ? nullptr : &*found;
  }

  Result<std::string> Text(const std::string& key) const {
    const Json* value = Find(key);
    if (!value) return Fault(Path(key), "is missing");
    if (!value->is_string()) return Fault(Path(key), "must be a text");
    return value->get<std::string>();
  }
  Result<std::string> TextOr(const std::string& key, std::string otherwise) const {
    if (!Find(key)) return otherwise;
    return Text(key);
  }
  Result<std::int64_t> IntegerOr(const std::string& key, std::int64_t otherwise) const {
    const Json* value = Find(key);
    if (!value) return otherwise;
    if (!value->is_number_integer()) return Fault(Path(key), "must be an integer");
    return value->get<std::int64_t>();
  }
  Result<Json> ObjectOr(const std::string& key) const {
    const Json* value = Find(key);
    if (!value) return Json::object();
    if (!value->is_object()) return Fault(Path(key), "must be an object");
    return *value;
  }
  Result<const Json*> List(const std::string& key) const {
    const Json* value = Find(key);
    if (!value) return Fault(Path(key), "is missing");
    if (!value->is_array()) return Fault(Path(key), "must be a list");
    return value;
  }

 private:
  Object(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {}
  const Json* value_;
  std::string path_;
};

Result<Json> ParseJson(std::string_view text) {
  if (text.size() > kMaxManifestBytes) {
    return Fail(ErrorCode::kTooLarge, "read bundle manifest", "", "is larger than 4 MiB");
  }
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Fault("", "is not valid JSON");
  return json;
}

Result<Task> ReadTask(const Object& object) {
  RATCHET_ASSIGN(std::string name, object.Text("task"));
  for (Task task : {Task::kClassification, Task::kRegression}) {
    if (TaskName(task) == name) return task;
  }
  return Fault(object.Path("task"), "is " + Quoted(name) + ", must be classification or regression");
}

Result<std::vector<std::int64_t>> ReadShape(const Object& object) {
  RATCHET_ASSIGN(const Json* list, object.List("shape"));
  std::vector<std::int64_t> shape;
  for (const Json& size : *list) {
    if (!size.is_number_integer()) return Fault(object.Path("shape"), "must hold integers");
    shape.push_back(size.get<std::int64_t>());
  }
  return shape;
}

enum class Side { kInput, kOutput };

Result<TensorSpec> ReadTensor(const Json& value, const std::string& path, Side side) {
  RATCHET_ASSIGN(Object object, Object::Of(value, path));
  TensorSpec spec;
  RATCHET_ASSIGN(spec.name, object.Text("name"));
  RATCHET_ASSIGN(std::string datatype, object.Text("datatype"));
  auto known = ParseDatatype(datatype);
  if (!known) return Fault(object.Path("datatype"), known.error().cause);
  spec.datatype = *known;
  RATCHET_ASSIGN(spec.shape, ReadShape(object));
  if (side == Side::kInput) {
    RATCHET_ASSIGN(spec.column, object.TextOr("column", spec.name));
  }
  return spec;
}

Result<std::vector<TensorSpec>> ReadTensors(const Object& object, const std::string& key, Side side) {
  RATCHET_ASSIGN(const Json* list, object.List(key));
  if (list->size() > kMaxTensors) return Fault(object.Path(key), "holds more than 4096 tensors");
  std::vector<TensorSpec> specs;
  for (size_t i = 0; i < list->size(); ++i) {
    RATCHET_ASSIGN(TensorSpec spec, ReadTensor((*list)[i], object.Path(key) + "[" + std::to_string(i) + "]", side));
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<Classes> ReadClasses(const Object& object) {
  if (!object.Find("classes")) return Classes{};
  RATCHET_ASSIGN(const Json* list, object.List("classes"));
  if (list->empty()) return Classes{};
  if (list->size() > kMaxClasses) return Fault("classes", "holds more than 100000 values");
  bool all_integers = true, all_texts = true;
  for (const Json& value : *list) {
    all_integers = all_integers && value.is_number_integer();
    all_texts = all_texts && value.is_string();
  }
  if (all_integers) return list->get<std::vector<std::int64_t>>();
  if (all_texts) return list->get<std::vector<std::string>>();
  return Fault("classes", "must be all integers or all texts");
}

Result<std::map<std::string, BundleFile>> ReadFiles(const Object& object) {
  RATCHET_ASSIGN(Json files, object.ObjectOr("files"));
  std::map<std::string, BundleFile> read;
  for (const auto& [name, value] : files.items()) {
    RATCHET_ASSIGN(Object entry, Object::Of(value, "files." + name));
    BundleFile file;
    RATCHET_ASSIGN(file.sha256, entry.Text("sha256"));
    RATCHET_ASSIGN(std::int64_t bytes, entry.IntegerOr("bytes", -1));
    if (bytes < 0) return Fault(entry.Path("bytes"), "must be the size of the file");
    file.bytes = static_cast<std::uint64_t>(bytes);
    read.emplace(name, std::move(file));
  }
  return read;
}

Result<std::vector<std::string>> ReadOps(const Object& object) {
  if (!object.Find("ops")) return std::vector<std::string>{};
  RATCHET_ASSIGN(const Json* list, object.List("ops"));
  std::vector<std::string> ops;
  for (const Json& value : *list) {
    if (!value.is_string()) return Fault("ops", "must hold names of plugins");
    ops.push_back(value.get<std::string>());
  }
  return ops;
}

Result<Lineage> ReadLineage(const Object& manifest) {
  RATCHET_ASSIGN(Json value, manifest.ObjectOr("lineage"));
  RATCHET_ASSIGN(Object object, Object::Of(value, "lineage"));
  Lineage lineage;
  RATCHET_ASSIGN(lineage.pipeline, object.TextOr("pipeline", ""));
  RATCHET_ASSIGN(lineage.revision, object.IntegerOr("revision", 0));
  RATCHET_ASSIGN(lineage.run, object.IntegerOr("run", 0));
  RATCHET_ASSIGN(lineage.dataset, object.TextOr("dataset", ""));
  RATCHET_ASSIGN(lineage.dataset_version, object.IntegerOr("dataset_version", 0));
  RATCHET_ASSIGN(lineage.dataset_manifest, object.TextOr("dataset_manifest", ""));
  RATCHET_ASSIGN(lineage.params, object.ObjectOr("params"));
  RATCHET_ASSIGN(lineage.seed, object.IntegerOr("seed", 0));
  RATCHET_ASSIGN(Json files, object.ObjectOr("trainer_files"));
  for (const auto& [name, digest] : files.items()) {
    if (!digest.is_string()) return Fault("lineage.trainer_files." + name, "must be a SHA-256");
    lineage.trainer_files[name] = digest.get<std::string>();
  }
  return lineage;
}

Status CheckShape(const TensorSpec& spec, const std::string& field) {
  if (spec.shape.empty() || spec.shape.size() > kMaxDimensions || spec.shape[0] != -1) {
    return Fault(field + ".shape", "must have 1 to 8 dimensions, the first of them -1 (rows)");
  }
  for (std::int64_t size : spec.shape) {
    if (size == 0 || size < -1) return Fault(field + ".shape", "must hold sizes of 1 or more, or -1 for any size");
  }
  if (spec.datatype == Datatype::kBytes && spec.shape.size() != 1) {
    return Fault(field + ".shape", "must be [-1] for datatype BYTES");
  }
  return {};
}

Status CheckTensors(const std::vector<TensorSpec>& specs, const std::string& side) {
  if (specs.empty()) return Fault(side, "must name at least one tensor");
  if (specs.size() > kMaxTensors) return Fault(side, "holds more than 4096 tensors");
  std::set<std::string> names;
  for (size_t i = 0; i < specs.size(); ++i) {
    const std::string field = side + "[" + std::to_string(i) + "]";
    const std::string& name = specs[i].name;
    if (name.empty() || name.size() > 128 || !IsUtf8Text(name)) {
      return Fault(field + ".name", "must be 1 to 128 bytes of UTF-8");
    }
    if (!names.insert(name).second) return Fault(field + ".name", Quoted(name) + " is named twice");
    RATCHET_TRY(CheckShape(specs[i], field));
  }
  return {};
}

template <typename T>
bool AllDifferent(const std::vector<T>& values) {
  return std::set<T>(values.begin(), values.end()).size() == values.size();
}

Status CheckClassification(const Signature& signature) {
  const size_t classes = ClassCount(signature.classes);
  if (classes < 2) return Fault("classes", "must list at least two values for task classification");
  const auto* integers = std::get_if<std::vector<std::int64_t>>(&signature.classes);
  const auto* texts = std::get_if<std::vector<std::string>>(&signature.classes);
  if (integers ? !AllDifferent(*integers) : !AllDifferent(*texts)) return Fault("classes", "holds a value twice");
  const TensorSpec& output = signature.outputs[0];
  if (!IsFloating(output.datatype) || output.shape.size() != 2 ||
      (output.shape[1] != -1 && output.shape[1] != static_cast<std::int64_t>(classes))) {
    return Fault("outputs[0]", "must be floating-point probabilities of shape [-1," + std::to_string(classes) + "]");
  }
  return {};
}

Status CheckRegression(const Signature& signature) {
  if (ClassCount(signature.classes) != 0) return Fault("classes", "must be absent for task regression");
  const TensorSpec& output = signature.outputs[0];
  const bool one_per_row = output.shape.size() == 1 || (output.shape.size() == 2 && output.shape[1] == 1);
  if (!IsFloating(output.datatype) || !one_per_row) {
    return Fault("outputs[0]", "must be floating-point of shape [-1] or [-1,1]");
  }
  return {};
}

Status CheckSignature(const Signature& signature) {
  RATCHET_TRY(CheckTensors(signature.inputs, "inputs"));
  RATCHET_TRY(CheckTensors(signature.outputs, "outputs"));
  switch (signature.task) {
    case Task::kClassification:
      return CheckClassification(signature);
    case Task::kRegression:
      return CheckRegression(signature);
  }
  return Fault("task", "is unknown");
}

Json TensorsJson(const std::vector<TensorSpec>& specs) {
  Json list = Json::array();
  for (const TensorSpec& spec : specs) {
    Json entry = {{"name", spec.name}, {"datatype", DatatypeName(spec.datatype)}, {"shape", spec.shape}};
    if (!spec.column.empty()) entry["column"] = spec.column;
    list.push_back(std::move(entry));
  }
  return list;
}

// Adds "classes" where there are any.
void AddClasses(const Classes& classes, Json& json) {
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&classes)) json["classes"] = *integers;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&classes)) json["classes"] = *texts;
}

Json LineageJson(const Lineage& lineage) {
  return {{"pipeline", lineage.pipeline},
          {"revision", lineage.revision},
          {"run", lineage.run},
          {"dataset", lineage.dataset},
          {"dataset_version", lineage.dataset_version},
          {"dataset_manifest", lineage.dataset_manifest},
          {"params", lineage.params},
          {"seed", lineage.seed},
          {"trainer_files", lineage.trainer_files}};
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string_view TaskName(Task task) {
  switch (task) {
    case Task::kClassification:
      return "classification";
    case Task::kRegression:
      return "regression";
  }
  return "";
}

std::string_view DatatypeName(Datatype datatype) {
  for (const auto& [known, name] : kDatatypes) {
    if (known == datatype) return name;
  }
  return "";
}

Result<Datatype> ParseDatatype(std::string_view name) {
  for (const auto& [known, known_name] : kDatatypes) {
    if (known_name == name) return known;
  }
  return Fail(ErrorCode::kInvalid, "read datatype", std::string(name.substr(0, 32)),
              "is " + Quoted(name) + ", must be one of BOOL UINT8 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BYTES");
}

bool IsFloating(Datatype datatype) {
  return datatype == Datatype::kFp16 || datatype == Datatype::kFp32 || datatype == Datatype::kFp64;
}

size_t ClassCount(const Classes& classes) {
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&classes)) return integers->size();
  if (const auto* texts = std::get_if<std::vector<std::string>>(&classes)) return texts->size();
  return 0;
}

Status ValidateManifest(const BundleManifest& manifest) {
  RATCHET_TRY(CheckSignature(manifest.signature));
  for (const std::string& name : manifest.ops) RATCHET_TRY(CheckName("plugin", name));
  if (!manifest.files.contains(kModelFile)) return Fault("files", "must name model.pt");
  for (const auto& [name, file] : manifest.files) {
    RATCHET_TRY(CheckName("bundle file", name));
    if (!IsSha256Hex(file.sha256)) return Fault("files." + name + ".sha256", "must be 64 lower-case hex digits");
  }
  return {};
}

Result<BundleManifest> ParseManifest(std::string_view text) {
  RATCHET_ASSIGN(Json json, ParseJson(text));
  RATCHET_ASSIGN(Object object, Object::Of(json, ""));
  RATCHET_ASSIGN(std::int64_t format, object.IntegerOr("format", 0));
  if (format != 1) return Fault("format", "must be 1; a newer Ratchet may have written this bundle");
  BundleManifest manifest;
  RATCHET_ASSIGN(manifest.signature.task, ReadTask(object));
  RATCHET_ASSIGN(Json signature, object.ObjectOr("signature"));
  RATCHET_ASSIGN(Object tensors, Object::Of(signature, "signature"));
  RATCHET_ASSIGN(manifest.signature.inputs, ReadTensors(tensors, "inputs", Side::kInput));
  RATCHET_ASSIGN(manifest.signature.outputs, ReadTensors(tensors, "outputs", Side::kOutput));
  RATCHET_ASSIGN(manifest.signature.classes, ReadClasses(object));
  RATCHET_ASSIGN(manifest.recipe, object.TextOr("recipe", ""));
  RATCHET_ASSIGN(manifest.target, object.TextOr("target", ""));
  RATCHET_ASSIGN(manifest.metric, object.TextOr("metric", ""));
  RATCHET_ASSIGN(manifest.ops, ReadOps(object));
  RATCHET_ASSIGN(manifest.lineage, ReadLineage(object));
  RATCHET_ASSIGN(manifest.training, object.ObjectOr("training"));
  RATCHET_ASSIGN(manifest.files, ReadFiles(object));
  RATCHET_TRY(ValidateManifest(manifest));
  return manifest;
}

std::string SerialiseManifest(const BundleManifest& manifest) {
  Json json = {
      {"format", 1},
      {"task", TaskName(manifest.signature.task)},
      {"recipe", manifest.recipe},
      {"target", manifest.target},
      {"signature",
       {{"inputs", TensorsJson(manifest.signature.inputs)}, {"outputs", TensorsJson(manifest.signature.outputs)}}},
      {"metric", manifest.metric},
      {"ops", manifest.ops},
      {"lineage", LineageJson(manifest.lineage)},
      {"training", manifest.training},
      {"files", Json::object()}};
  AddClasses(manifest.signature.classes, json);
  for (const auto& [name, file] : manifest.files) {
    json["files"][name] = {{"sha256", file.sha256}, {"bytes", file.bytes}};
  }
  return Dump(json);
}

Result<Signature> ParseSignature(std::string_view text) {
  RATCHET_ASSIGN(Json json, ParseJson(text));
  RATCHET_ASSIGN(Object object, Object::Of(json, ""));
  Signature signature;
  RATCHET_ASSIGN(signature.task, ReadTask(object));
  RATCHET_ASSIGN(signature.inputs, ReadTensors(object, "inputs", Side::kInput));
  RATCHET_ASSIGN(signature.outputs, ReadTensors(object, "outputs", Side::kOutput));
  RATCHET_ASSIGN(signature.classes, ReadClasses(object));
  RATCHET_TRY(CheckSignature(signature));
  return signature;
}

std::string SerialiseSignature(const Signature& signature) {
  Json json = {{"task", TaskName(signature.task)},
               {"inputs", TensorsJson(signature.inputs)},
               {"outputs", TensorsJson(signature.outputs)}};
  AddClasses(signature.classes, json);
  return Dump(json);
}

}  // namespace ratchet::registry
