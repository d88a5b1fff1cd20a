// Bodies of infer requests as HTTP brings them: JSON, JSON and binary tensors behind it, raw, compressed. The first byte
// chooses the headers; with bit 0 the next one says how much of the body is not JSON.
#include "serving/infer_dialect.h"
#include "tests/fuzz/fuzz_input.h"

using namespace ratchet;
using namespace ratchet::serving;

namespace {

const Signature& FuzzedSignature() {
  static const Signature signature{
      .task = registry::Task::kClassification,
      .inputs = {{.name = "x", .datatype = Datatype::kFp32, .shape = {-1, 3}, .column = "x"},
                 {.name = "t", .datatype = Datatype::kBytes, .shape = {-1}, .column = "text"},
                 {.name = "n", .datatype = Datatype::kInt8, .shape = {-1, -1}, .column = "n"},
                 {.name = "h", .datatype = Datatype::kFp16, .shape = {-1, 1, 2}, .column = "h"}},
      .outputs = {{.name = "p", .datatype = Datatype::kFp32, .shape = {-1, 2}}},
      .classes = std::vector<std::string>{"cat", "dog"}};
  return signature;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t flags = input.Byte();
  HttpRequest request{.method = "POST", .path = "/v2/models/m/infer", .body = {}};
  if (flags & 1) {
    const size_t binary = input.Byte(), whole = input.Rest().size();
    request.headers.emplace_back("inference-header-content-length", std::to_string(whole - std::min(whole, binary)));
  }
  if (flags & 2) request.headers.emplace_back("content-encoding", flags & 4 ? "zstd" : "gzip");
  request.body = input.Rest();
  const auto parsed = V2Dialect().Parse(request, FuzzedSignature());
  if (!parsed) {
    fuzz::Expect(!parsed.error().Message().empty(), "a refusal says why");
    return 0;
  }
  const std::int64_t rows = parsed->inputs[0].Rows();
  for (const Tensor& tensor : parsed->inputs) {
    const auto elements = static_cast<size_t>(ElementCount(tensor.shape));
    fuzz::Expect(tensor.Rows() == rows, "all inputs have the same rows");
    fuzz::Expect(tensor.data.size() == elements * ElementBytes(tensor.datatype), "numbers fill the shape");
    fuzz::Expect(tensor.datatype != Datatype::kBytes || tensor.texts.size() == elements, "texts fill the shape");
  }
  // Written as JSON and read again, it says the same.
  const std::string once = v2::InputsJson(parsed->inputs);
  const auto again = v2::ParseInfer(once, FuzzedSignature());
  fuzz::Expect(again.has_value(), "what was read can be written and read");
  fuzz::Expect(v2::InputsJson(again->inputs) == once, "it stays the same");
  return 0;
}
