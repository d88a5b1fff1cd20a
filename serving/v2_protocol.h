#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serving/tensor.h"

// The Open Inference Protocol V2 over HTTP, with Triton's extensions for binary tensors, statistics and the repository
// index: what the bytes mean. Pure functions, no I/O; any thread.
namespace ratchet::serving::v2 {

inline constexpr size_t kMaxIdBytes = 256;

// Which of the protocol's questions a path asks.
enum class Question {
  kServerMetadata,  // /v2
  kServerLive,      // /v2/health/live
  kServerReady,     // /v2/health/ready
  kModelMetadata,   // /v2/models/{m}[/versions/{v}]
  kModelReady,      // …/ready
  kInfer,           // POST …/infer, or as the dialect has it
  kStatistics,      // /v2/models[/{m}[/versions/{v}]]/stats
  kRepositoryIndex, // POST /v2/repository/index
};

// How a client speaks of inputs and outputs.
enum class Dialect {
  kV2,           // tensors
  kPredict,      // /v1/models/{m}[/versions/{v}]:predict: rows (serving/rows_request.h)
  kInvocations,  // /invocations: rows as MLflow's scoring server takes them
};

struct Target {
  Question question = Question::kServerMetadata;
  std::string model;                    // empty: of /invocations, and of statistics of all models
  std::optional<std::int64_t> version;  // absent = the live one
  Dialect dialect = Dialect::kV2;       // of kInfer
};

// Empty when the path (without query) is none of the protocol's.
std::optional<Target> ParseTarget(std::string_view path);

struct InferRequest {
  std::string id;                           // empty = none given
  std::string key;                          // of the case, "parameters": {"key": …}; empty = none given
  std::vector<Tensor> inputs;               // in the signature's order, each of them, all with the same rows
  std::vector<std::string> wanted_outputs;  // empty = all
  std::int64_t timeout_us = 0;              // "parameters": {"timeout": …}, µs, as Triton has it; 0 = none given
  bool binary_by_default = false;           // "parameters": {"binary_data_output": …}
  std::map<std::string, bool, std::less<>> binary_outputs;  // "outputs": [… "parameters": {"binary_data": …}]

  bool is_v2_json = true;                   // false: its body says the same in another form

  bool WantsBinary(const std::string& output) const;
  bool WantsAnyBinary() const { return binary_by_default || !binary_outputs.empty(); }
};

// The bytes of an infer request. JSON alone converts from its text.
struct InferBody {
  InferBody(std::string_view body) : bytes(body), json_bytes(body.size()), readable_bytes(body.size()) {}
  InferBody(const std::string& body) : InferBody(std::string_view(body)) {}
  InferBody(const char* body) : InferBody(std::string_view(body)) {}

  std::string_view bytes;
  size_t json_bytes;      // at most the bytes there are; what follows is binary data
  size_t readable_bytes;  // that may be read from the first on, beyond the end too: kJsonPaddingBytes more save a copy
};

// Reads an infer request against what the model takes. `data` may be flat or nested as the shape is.
// A null stands for a missing value: NaN in FP tensors, the empty text in BYTES. kInvalid names the input and what was
// expected of it.
Result<InferRequest> ParseInfer(const InferBody& body, const Signature& signature);

// The whole body is the model's one input, as bytes (TensorFromRawBody); all outputs are wanted as bytes.
Result<InferRequest> ParseRawInfer(std::string_view body, const Signature& signature);

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

// The answer in the form that the request wants: outputs as JSON or, behind the JSON and in its order, as bytes.
struct MixedBody {
  std::string bytes;
  size_t json_bytes = 0;  // the first ones
  bool has_binary = false;
};
MixedBody InferMixed(const std::string& model, std::int64_t version, const std::string& id, const std::string& prediction_id,
                     const std::vector<Tensor>& outputs, const InferRequest& request);

// `{"inputs":[…]}`: the inputs of a request in whatever form as those of one in JSON.
std::string InputsJson(const std::vector<Tensor>& inputs);

std::string ServerMetadataJson(const std::string& program_version);
std::string ModelMetadataJson(const std::string& model, const std::vector<std::int64_t>& versions,
                              const Signature& signature);
std::string ErrorJson(std::string_view message);

}  // namespace ratchet::serving::v2
