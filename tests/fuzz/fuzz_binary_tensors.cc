// Tensors as bytes. The first bytes choose datatype, shape and whether the body comes without a header.
#include "serving/binary_tensors.h"
#include "tests/fuzz/fuzz_input.h"

using namespace ratchet;
using namespace ratchet::serving;

namespace {

constexpr Datatype kDatatypes[] = {Datatype::kBool,  Datatype::kUint8, Datatype::kInt8, Datatype::kInt16, Datatype::kInt32,
                                   Datatype::kInt64, Datatype::kFp16,  Datatype::kFp32, Datatype::kFp64,  Datatype::kBytes};

// Of a half that is not a number the payload may change on the way through a float.
bool MayChange(const Tensor& tensor) {
  if (tensor.datatype != Datatype::kFp16) return false;
  for (std::int64_t i = 0; i < ElementCount(tensor.shape); ++i)
    if (tensor.As<float>()[i] != tensor.As<float>()[i]) return true;
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const Datatype datatype = kDatatypes[input.Byte() % std::size(kDatatypes)];
  const std::uint8_t form = input.Byte();
  const auto size_of = [&] { return static_cast<std::int64_t>(input.Byte() % 8) - 1; };
  TensorSpec spec{.name = "x", .datatype = datatype, .shape = {-1}, .column = {}};
  for (int i = 0; i < form % 3; ++i) spec.shape.push_back(size_of());
  std::vector<std::int64_t> shape = spec.shape;
  for (std::int64_t& its_size : shape) its_size = its_size < 0 ? input.Byte() % 16 : its_size;
  const bool raw = form & 0x80;
  const Signature signature{.task = registry::Task::kRegression, .inputs = {spec}, .outputs = {}, .classes = {}};
  const auto tensor = raw ? TensorFromRawBody(signature, input.Rest()) : TensorFromBytes(spec, shape, input.Rest());
  if (!tensor) return 0;
  const auto elements = static_cast<size_t>(ElementCount(tensor->shape));
  fuzz::Expect(datatype == Datatype::kBytes ? tensor->texts.size() == elements
                                            : tensor->data.size() == elements * ElementBytes(datatype),
               "the elements fill the shape");
  std::string again;
  AppendBinary(*tensor, again);
  fuzz::Expect(again.size() == BinaryBytes(*tensor), "the size told is the size written");
  const bool bare_text = raw && datatype == Datatype::kBytes;
  if (!bare_text && !MayChange(*tensor)) fuzz::Expect(again == input.Rest(), "bytes come back as they were");
  return 0;
}
