#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include "cli/csv.h"
#include "cli/png_image.h"
#include "cli/tensors.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/program_run.h"

namespace ratchet::cli {
namespace {

using testing::HasSubstr;

std::string Png(std::uint32_t width, std::uint32_t height, std::uint32_t format, const std::string& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr);
  std::string bytes(size, '\0');
  png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr);
  bytes.resize(size);
  return bytes;
}

const std::vector<TensorInput> kImage = {{"image", "UINT8", {-1, 1, 2, 3}}};
const std::vector<TensorInput> kTable = {{"age", "FP32", {-1}}, {"plan", "BYTES", {-1}}, {"n", "INT64", {-1, 1}}};

std::string Cause(const Result<std::string>& result) { return result ? "no error" : result.error().Message(); }

TEST(DecodePng, KeepsGreyPixelsAndSplitsColours) {
  std::string grey("\x00\x01\x7F\x80\xFE\xFF", 6);
  EXPECT_EQ(DecodePng(Png(3, 2, PNG_FORMAT_GRAY, grey), 1, 2, 3), grey);
  EXPECT_EQ(DecodePng(Png(2, 1, PNG_FORMAT_RGB, "rgbRGB"), 3, 1, 2), "rRgGbB");
  EXPECT_EQ(DecodePng(Png(1, 1, PNG_FORMAT_GRAY, "a"), 3, 1, 1), "aaa");
}

TEST(DecodePng, NamesTheSizeItWants) {
  EXPECT_THAT(Cause(DecodePng(Png(3, 2, PNG_FORMAT_GRAY, "123456"), 1, 28, 28)),
              HasSubstr("it is 3 x 2 pixels, the model takes 28 x 28"));
}

TEST(DecodePng, RefusesATruncatedFile) {
  std::string png = Png(3, 2, PNG_FORMAT_GRAY, "123456");
  for (size_t length : {size_t{9}, png.size() / 2}) EXPECT_FALSE(DecodePng(png.substr(0, length), 1, 2, 3)) << length;
}

TEST(BuildInferRequest, MakesAnImageATensor) {
  auto request = BuildInferRequest(kImage, Png(3, 2, PNG_FORMAT_GRAY, std::string("\x00\x01\x02\x03\x04\xFF", 6)));
  ASSERT_TRUE(request) << Cause(request);
  EXPECT_EQ(*request, R"({"inputs":[{"name":"image","datatype":"UINT8","shape":[1,1,2,3],"data":[0,1,2,3,4,255]}]})");
  EXPECT_THAT(Cause(BuildInferRequest(kTable, Png(1, 1, PNG_FORMAT_GRAY, "1"))), HasSubstr("takes no image"));
}

TEST(BuildInferRequest, MakesNamedCsvColumnsTensors) {
  auto request = BuildInferRequest(kTable, "n,extra,age,plan\r\n1,x,2.5,\"a,b\"\r\n2,y,,\r\n");
  ASSERT_TRUE(request) << Cause(request);
  EXPECT_EQ(*request, R"({"inputs":[{"name":"age","datatype":"FP32","shape":[2],"data":[2.5,null]},)"
                      R"({"name":"plan","datatype":"BYTES","shape":[2],"data":["a,b",""]},)"
                      R"({"name":"n","datatype":"INT64","shape":[2,1],"data":[1,2]}]})");
}

TEST(BuildInferRequest, TakesRowsInEveryJsonForm) {
  std::string row = R"({"age":1,"plan":"p","n":2})";
  std::string expected = *BuildInferRequest(kTable, "age,plan,n\n1,p,2\n");
  for (const std::string& text : {"[" + row + "]", "{\"instances\":[" + row + "]}", row, row + "\n"})
    EXPECT_EQ(BuildInferRequest(kTable, text), expected) << text;
  EXPECT_EQ(BuildInferRequest(kImage, "[[[[1,2,3],[4,5,6]]]]"),
            R"({"inputs":[{"name":"image","datatype":"UINT8","shape":[1,1,2,3],"data":[1,2,3,4,5,6]}]})");
  std::string own = R"({"inputs":[],"x":1})";
  EXPECT_EQ(BuildInferRequest(kTable, own), own);
}

TEST(BuildInferRequest, SaysWhichRowAndColumnIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "the input is empty"},
      {"age,plan,n\n", "there are none"},
      {"age,n\n1,2\n", "no column is named plan"},
      {"age,plan,n\n1,a,2\nx,b,2\n", "row 2, age: 'x' is not a number"},
      {"age,plan,n\n1,a,2.5\n", "row 1, n: not a whole number"},
      {"age,plan,n\n1,a,\n", "row 1, n: the value is missing"},
      {"age,plan,n\n1,a\n", "line 2: it has 2 cells, the header 3"},
      {"age,\"plan,n\n", "a quote is never closed"},
      {"[1]", "row 1 is not an object"},
      {"[{\"age\":[1,2],\"plan\":\"a\",\"n\":1}]", "row 1, age: 2 values instead of 1"},
      {"{\"a\": ", "not valid JSON"},
      {"age,plan\xff,n\n", "not valid UTF-8"}};
  for (auto [text, cause] : cases) EXPECT_THAT(Cause(BuildInferRequest(kTable, text)), HasSubstr(cause)) << text;
}

TEST(PredictionTable, ShowsLabelAndProbabilityOrTheValue) {
  auto table = PredictionTable(ParseJson(R"({"model_version":"2","outputs":[
      {"name":"probabilities","shape":[2,2],"data":[0.1,0.9,0.75,0.25]},{"name":"label","shape":[2],"data":["yes","no"]}]})"));
  ASSERT_TRUE(table);
  EXPECT_EQ(table->Render(0, false),
            "ROW  LABEL  PROBABILITY  VERSION\n  1  yes         0.9000        2\n  2  no          0.7500        2\n");
  table = PredictionTable(ParseJson(R"({"model_version":"1","outputs":[{"name":"y","shape":[1,1],"data":[3.5]}]})"));
  ASSERT_TRUE(table);
  EXPECT_EQ(table->Render(0, false), "ROW  PREDICTION  VERSION\n  1         3.5        1\n");
  EXPECT_FALSE(PredictionTable(ParseJson(R"({"outputs":[{"name":"y","shape":[3],"data":[1]}]})")));
}

TEST(Predict, FindsTheDataPlaneByTheStatus) {
  FakeServer server;
  server.On("GET /api/v1/status", R"({"serve":{"url":")" + server.Url() + R"("}})");
  server.On("GET /v2/models/sorter/versions/2",
            R"({"name":"sorter","inputs":[{"name":"image","datatype":"UINT8","shape":[-1,1,1,2]}],"outputs":[]})");
  std::string answer =
      R"({"model_name":"sorter","model_version":"2","id":"x","outputs":[{"name":"probabilities","datatype":"FP32",)"
      R"("shape":[1,2],"data":[0.25,0.75]},{"name":"label","datatype":"INT64","shape":[1],"data":[9]}]})";
  server.On("POST /v2/models/sorter/versions/2/infer", answer);
  std::string png = Png(2, 1, PNG_FORMAT_GRAY, "ab");
  EXPECT_EQ(Ratchet(server.Url(), {"predict", "sorter", "--version", "2", "-"}, png).out,
            "ROW  LABEL  PROBABILITY  VERSION\n  1  9           0.7500        2\n");
  EXPECT_EQ(Ratchet(server.Url(), {"predict", "sorter", "--version", "2", "-", "-o", "json"}, png).out, answer + "\n");
}

TEST(Predict, GoesOnWithoutTheControlPlane) {
  FakeServer plane;
  plane.On("GET /v2/models/m", R"({"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],"outputs":[]})");
  plane.On("POST /v2/models/m/infer",
           R"({"model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[3.5]}]})");
  std::string away;
  {
    FakeServer control;
    away = control.Url();
    control.On("GET /api/v1/status", R"({"serve":{"url":")" + plane.Url() + R"("}})");
    EXPECT_EQ(Ratchet(away, {"predict", "m", "-"}, "x\n1\n").code, 0);
  }
  ProgramEnd end = Ratchet(away, {"predict", "m", "-"}, "x\n1\n");
  EXPECT_EQ(end.code, 0);
  EXPECT_THAT(end.out, HasSubstr("3.5"));
  EXPECT_EQ(end.err, "");
}

TEST(Predict, SaysWhenNeitherPlaneAnswers) {
  std::string away;
  {
    FakeServer control, plane;
    away = control.Url();
    control.On("GET /api/v1/status", R"({"serve":{"url":")" + plane.Url() + R"("}})");
    EXPECT_EQ(Ratchet(away, {"predict", "m", "-"}, "x\n1\n").code, 1);
  }
  ProgramEnd end = Ratchet(away, {"predict", "m", "-"}, "x\n1\n");
  EXPECT_EQ(end.code, 3);
  EXPECT_THAT(end.err, HasSubstr("and the data plane does not answer at http://127.0.0.1:"));
  EXPECT_THAT(end.err, HasSubstr("--serve URL"));
}

TEST(Predict, PrintsTheDataPlanesRefusal) {
  FakeServer server;
  server.On("GET /v2/models/m", R"({"error":"model m has no live version"})", 404);
  ProgramEnd end = Ratchet("http://127.0.0.1:1", {"predict", "m", "-", "--serve", server.Url()}, "a\n1\n");
  EXPECT_EQ(end.code, 1);
  EXPECT_EQ(end.err, "ratchet: model m has no live version.\n");
}

}  // namespace
}  // namespace ratchet::cli
