// Bodies of requests by rows: /v1/models/{m}:predict and /invocations.
#include "serving/rows_request.h"
#include "tests/fuzz/fuzz_input.h"

using namespace ratchet;
using namespace ratchet::serving;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, size_t size) {
  static const Signature signature{
      .task = registry::Task::kRegression,
      .inputs = {{.name = "x", .datatype = Datatype::kFp64, .shape = {-1, 1}, .column = "price"},
                 {.name = "t", .datatype = Datatype::kBytes, .shape = {-1}, .column = "kind"},
                 {.name = "b", .datatype = Datatype::kBool, .shape = {-1, 2, 2}, .column = "b"}},
      .outputs = {{.name = "y", .datatype = Datatype::kFp32, .shape = {-1}}}};
  const std::string body(reinterpret_cast<const char*>(data), size);
  const auto request = ParseRows(body, signature);
  if (!request) {
    fuzz::Expect(!request.error().Message().empty(), "a refusal says why");
    return 0;
  }
  const std::int64_t rows = request->inputs[0].Rows();
  fuzz::Expect(rows >= 1, "there are rows");
  for (const Tensor& tensor : request->inputs) {
    const auto elements = static_cast<size_t>(ElementCount(tensor.shape));
    fuzz::Expect(tensor.Rows() == rows, "all inputs have the same rows");
    fuzz::Expect(tensor.data.size() == elements * ElementBytes(tensor.datatype), "numbers fill the shape");
    fuzz::Expect(tensor.datatype != Datatype::kBytes || tensor.texts.size() == elements, "texts fill the shape");
  }
  RowsJson("m", 1, "a", "b", request->inputs, RowAnswer::kOutputs);
  RowsJson("m", 1, "a", "b", request->inputs, RowAnswer::kPrediction);
  return 0;
}
