#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

// What a bundle says about itself: `manifest.json` beside `model.pt`, and the part of it that a trainer writes,
// `signature.json`. See docs/formats.md, "Bundle". Plain values and pure functions; any thread.
namespace ratchet::registry {

enum class Task { kClassification, kRegression };

// The tensor element types of the Open Inference Protocol.
enum class Datatype { kBool, kUint8, kInt8, kInt16, kInt32, kInt64, kFp16, kFp32, kFp64, kBytes };

std::string_view TaskName(Task task);              // "classification"
std::string_view DatatypeName(Datatype datatype);  // "FP32"
// kInvalid for an unknown name; the cause lists the known ones.
Result<Datatype> ParseDatatype(std::string_view name);
bool IsFloating(Datatype datatype);

// One input or output of a model. The first dimension is always -1 (rows); another -1 means any size.
struct TensorSpec {
  std::string name;
  Datatype datatype = Datatype::kFp32;
  std::vector<std::int64_t> shape;
  std::string column;  // the dataset column an input is read from; empty for outputs

  bool operator==(const TensorSpec&) const = default;
};

// The target value of each column of the probabilities: none (regression), all integers, or all texts.
using Classes = std::variant<std::monostate, std::vector<std::int64_t>, std::vector<std::string>>;
size_t ClassCount(const Classes& classes);

// What the model takes and gives. `forward` gets the inputs as positional arguments in this order.
struct Signature {
  Task task = Task::kClassification;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  Classes classes;

  bool operator==(const Signature&) const = default;
};

// Where a bundle came from. Empty texts and zeros where a part is not known (a bundle made outside a pipeline).
struct Lineage {
  std::string pipeline;
  std::int64_t revision = 0;
  std::int64_t run = 0;
  std::string dataset;
  std::int64_t dataset_version = 0;
  std::string dataset_manifest;  // SHA-256 of the dataset version's manifest
  nlohmann::json params = nlohmann::json::object();
  std::int64_t seed = 0;
  std::map<std::string, std::string> trainer_files;  // file name → SHA-256

  bool operator==(const Lineage&) const = default;
};

struct BundleFile {
  std::string sha256;
  std::uint64_t bytes = 0;

  bool operator==(const BundleFile&) const = default;
};

struct BundleManifest {
  Signature signature;
  std::string recipe;  // empty for a bundle of `train.command`
  std::string target;  // the dataset column that the model predicts
  std::string metric;
  std::vector<std::string> ops;  // the plugins whose ops libraries model.pt needs
  Lineage lineage;
  nlohmann::json training = nlohmann::json::object();  // rows, epochs, metrics: what the trainer told
  std::map<std::string, BundleFile> files;             // always has kModelFile

  const BundleFile& model() const { return files.at("model.pt"); }
  bool operator==(const BundleManifest&) const = default;
};

inline constexpr char kModelFile[] = "model.pt";
inline constexpr std::uint64_t kMaxManifestBytes = 4u << 20;
inline constexpr size_t kMaxTensors = 4096;  // inputs, and outputs, of one signature
inline constexpr size_t kMaxClasses = 100000;
inline constexpr size_t kMaxDimensions = 8;

// Reads and validates the text of a manifest. kInvalid names the key at fault in `field`; kTooLarge over the limit.
// Keys that are not known are passed over, so that an older program reads what a newer one wrote in the same format.
Result<BundleManifest> ParseManifest(std::string_view text);

// The same rules, for a manifest that was made in memory.
Status ValidateManifest(const BundleManifest& manifest);

// The text to store. Deterministic: equal manifests give equal bytes, hence equal digests.
std::string SerialiseManifest(const BundleManifest& manifest);

// The `signature.json` that `train.command` writes: task, inputs, outputs, classes. Same rules and errors.
Result<Signature> ParseSignature(std::string_view text);
std::string SerialiseSignature(const Signature& signature);

}  // namespace ratchet::registry
