#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serving/tensor.h"

// The Open Inference Protocol V2, JSON over HTTP: what the bytes mean. Pure functions, no I/O; any thread.
namespace ratchet::serving::v2 {

inline constexpr size_t kMaxIdBytes = 256;

// Which of the protocol's questions a path asks.
enum class Question {
  kServerMetadata,  // /v2
  kServerLive,      // /v2/health/live
  kServerReady,     // /v2/health/ready
  kModelMetadata,   // /v2/models/{m}[/versions/{v}]
  kModelReady,      // …/ready
  kInfer,           // …/infer, the only POST
};

struct Target {
  Question question = Question::kServerMetadata;
  std::string model;
  std::optional<std::int64_t> version;  // absent = the live one
};

// Empty when the path (without query) is none of the protocol's.
std::optional<Target> ParseTarget(std::string_view path);

struct InferRequest {
  std::string id;                           // empty = none given
  std::string key;                          // of the case, "parameters": {"key": …}; empty = none given
  std::int64_t timeout_us = 0;              // "parameters": {"timeout": …}, µs; 0 = none given
  std::vector<Tensor> inputs;               // in the signature's order, each of them, all with the same rows
  std::vector<std::string> wanted_outputs;  // empty = all
};

// Reads the body of an infer request against what the model takes. `data` may be flat or nested as the shape is.
// A null stands for a missing value: NaN in FP tensors, the empty text in BYTES. kInvalid names the input and what was
// expected of it.
Result<InferRequest> ParseInfer(std::string_view body, const Signature& signature);

// The output that consumers of a classification want: `label` = the class of the largest probability of each row.
// Empty when the task has none or the signature names an output `label` itself.
std::optional<Tensor> DeriveLabel(const Signature& signature, const std::vector<Tensor>& outputs);

// Output names that may be asked for, `label` included.
std::vector<TensorSpec> AnswerSpecs(const Signature& signature);

// Keeps `wanted` in the order asked for; all when it is empty. The names have been checked by ParseInfer.
std::vector<Tensor> SelectOutputs(std::vector<Tensor> outputs, const std::vector<std::string>& wanted);

// NaN and infinities, which JSON has no words for, become null. `id` is the client's where it gave one, else the
// prediction's own, which is told as the parameter `prediction_id` where it is another.
std::string InferJson(const std::string& model, std::int64_t version, const std::string& id,
                      const std::string& prediction_id, const std::vector<Tensor>& outputs);
std::string ServerMetadataJson(const std::string& program_version);
std::string ModelMetadataJson(const std::string& model, const std::vector<std::int64_t>& versions,
                              const Signature& signature);
std::string ErrorJson(std::string_view message);

}  // namespace ratchet::serving::v2
