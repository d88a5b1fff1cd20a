#include "serving/binary_tensors.h"

#include <gmock/gmock.h>

#include <cstring>

#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using ::testing::HasSubstr;

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TensorSpec Spec(Datatype datatype, std::vector<std::int64_t> shape) { return {.name = "x", .datatype = datatype, .shape = std::move(shape)}; }

TEST(BinaryTensor, GivesBackTheBytesItWasReadFrom) {
  const std::pair<Datatype, std::string> cases[] = {
      {Datatype::kBool, BytesOf<char>({1, 0})},
      {Datatype::kUint8, BytesOf<std::uint8_t>({0, 255})},
      {Datatype::kInt8, BytesOf<std::int8_t>({-128, 127})},
      {Datatype::kInt16, BytesOf<std::int16_t>({-32768, 5})},
      {Datatype::kInt32, BytesOf<std::int32_t>({-5, 7})},
      {Datatype::kInt64, BytesOf<std::int64_t>({INT64_MIN, INT64_MAX})},
      {Datatype::kFp16, BytesOf<std::uint16_t>({0x3e00, 0xfbff})},  // 1.5, -65504
      {Datatype::kFp32, BytesOf<float>({-0.25f, 3e38f})},
      {Datatype::kFp64, BytesOf<double>({1e300, -0.0})},
      {Datatype::kBytes, std::string("\3\0\0\0a\0b\0\0\0\0", 11)},
  };
  for (const auto& [datatype, bytes] : cases) {
    const auto tensor = TensorFromBytes(Spec(datatype, {-1}), {2}, bytes);
    ASSERT_TRUE(tensor) << tensor.error().Message();
    EXPECT_EQ(BinaryBytes(*tensor), bytes.size());
    std::string again;
    AppendBinary(*tensor, again);
    EXPECT_EQ(again, bytes) << registry::DatatypeName(datatype);
  }
}

TEST(BinaryTensor, HoldsHalvesAsFloatsAndTextsAsTheyAre) {
  const auto halves = TensorFromBytes(Spec(Datatype::kFp16, {-1}), {2}, BytesOf<std::uint16_t>({0x3e00, 0xfbff}));
  EXPECT_EQ(halves->As<float>()[0], 1.5f);
  EXPECT_EQ(halves->As<float>()[1], -65504.0f);
  const auto texts = TensorFromBytes(Spec(Datatype::kBytes, {-1}), {2}, std::string("\3\0\0\0a\0b\0\0\0\0", 11));
  EXPECT_EQ(texts->texts, (std::vector<std::string>{std::string("a\0b", 3), ""}));
}

TEST(BinaryTensor, RefusesOtherSizesAndSaysWhatWasExpected) {
  const auto fails = [](Datatype datatype, const std::string& bytes) {
    const auto tensor = TensorFromBytes(Spec(datatype, {-1}), {2}, bytes);
    return tensor ? "no error" : tensor.error().Message();
  };
  EXPECT_THAT(fails(Datatype::kFp32, std::string(7, '\0')), HasSubstr("input 'x' has 7 bytes of binary data, expected 8 for FP32 [2]"));
  EXPECT_THAT(fails(Datatype::kFp16, std::string(8, '\0')), HasSubstr("expected 4"));
  EXPECT_THAT(fails(Datatype::kBool, "\1\2"), HasSubstr("other than 0 and 1"));
  EXPECT_THAT(fails(Datatype::kBytes, std::string("\1\0\0\0a", 5)), HasSubstr("ends within element 1 of 2"));
  EXPECT_THAT(fails(Datatype::kBytes, std::string("\xff\xff\xff\xff", 4) + "a"), HasSubstr("ends within element 0"));
  EXPECT_THAT(fails(Datatype::kBytes, std::string(9, '\0')), HasSubstr("1 bytes of binary data after"));
}

Signature OneInput(Datatype datatype, std::vector<std::int64_t> shape) { return {.inputs = {Spec(datatype, std::move(shape))}}; }

TEST(RawBody, TellsItsShapeByItsSize) {
  const auto rows = TensorFromRawBody(OneInput(Datatype::kFp32, {-1, 3}), std::string(24, '\0'));
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->shape, (std::vector<std::int64_t>{2, 3}));
  const auto open = TensorFromRawBody(OneInput(Datatype::kInt16, {-1, -1, 2}), std::string(24, '\0'));
  EXPECT_EQ(open->shape, (std::vector<std::int64_t>{1, 6, 2}));
  const auto text = TensorFromRawBody(OneInput(Datatype::kBytes, {-1}), "a whole text");
  EXPECT_EQ(text->texts, std::vector<std::string>{"a whole text"});
}

TEST(RawBody, IsRefusedWhereItsShapeCannotBeTold) {
  const auto fails = [](const Signature& signature, size_t bytes) {
    const auto tensor = TensorFromRawBody(signature, std::string(bytes, '\0'));
    return tensor ? "no error" : tensor.error().Message();
  };
  EXPECT_THAT(fails(OneInput(Datatype::kFp32, {-1, 3}), 13), HasSubstr("13 bytes, expected a multiple of 12"));
  EXPECT_THAT(fails(OneInput(Datatype::kFp32, {-1, 3}), 0), HasSubstr("expected a multiple of 12"));
  EXPECT_THAT(fails(OneInput(Datatype::kFp32, {-1, -1, -1}), 12), HasSubstr("cannot be told"));
  EXPECT_THAT(fails(OneInput(Datatype::kBytes, {-1, 2}), 12), HasSubstr("more than one text"));
  Signature two = OneInput(Datatype::kFp32, {-1});
  two.inputs.push_back(two.inputs[0]);
  EXPECT_THAT(fails(two, 8), HasSubstr("models of one input, this one has 2"));
}

}  // namespace
}  // namespace ratchet::serving
