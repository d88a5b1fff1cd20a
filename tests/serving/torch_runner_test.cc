#include "serving/torch_runner.h"

#include <gmock/gmock.h>
#include <spdlog/spdlog.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <thread>

#include "serving/batch_tensors.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using ::testing::HasSubstr;

class TorchRunnerTest : public ::testing::Test {
 protected:
  TorchRunnerTest() { spdlog::set_level(spdlog::level::off); }

  torch::jit::Module Define(const std::string& source) {
    torch::jit::Module module("M");
    torch::manual_seed(3);
    module.register_parameter("weight", torch::randn({8, 1, 3, 3}), false);
    module.register_parameter("linear", torch::randn({10, 8 * 28 * 28}) * 0.01, false);
    module.define(source);
    module.eval();
    module.save(folder_ / "model.pt");
    return module;
  }
  Result<std::shared_ptr<const ModelRunner>> Load(const Signature& signature, std::vector<std::string> ops = {}) {
    return LoadTorchModel(
        {.digest = "", .manifest = {.signature = signature, .ops = ops}, .model_path = folder_ / "model.pt"});
  }
  static Signature ImageSignature() {
    return {.task = registry::Task::kClassification,
            .inputs = {{.name = "image", .datatype = Datatype::kUint8, .shape = {-1, 1, 28, 28}}},
            .outputs = {{.name = "probabilities", .datatype = Datatype::kFp32, .shape = {-1, 10}}},
            .classes = std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}};
  }
  TemporaryFolder folder_;
};

constexpr char kCnn[] = R"(
def forward(self, image):
    x = torch.relu(torch.conv2d(image.float() / 255.0, self.weight, None, [1, 1], [1, 1]))
    return torch.softmax(torch.matmul(x.flatten(1), self.linear.t()), 1)
)";

Tensor Image(std::int64_t rows) {
  Tensor image{.name = "image", .datatype = Datatype::kUint8, .shape = {rows, 1, 28, 28}};
  for (std::int64_t i = 0; i < rows * 784; ++i) image.data.push_back(static_cast<std::byte>((i * 7919) % 256));
  return image;
}

TEST_F(TorchRunnerTest, AnswersAsADirectCallDoesWithinOneMillionth) {
  torch::jit::Module module = Define(kCnn);
  auto runner = Load(ImageSignature());
  ASSERT_TRUE(runner) << runner.error().Message();
  for (std::int64_t rows : {1, 3, 32}) {
    Tensor image = Image(rows);
    torch::InferenceMode inference;
    torch::Tensor expected =
        module.forward({torch::from_blob(image.data.data(), image.shape, torch::kUInt8)}).toTensor();
    auto outputs = (*runner)->Run({image});
    ASSERT_TRUE(outputs) << outputs.error().Message();
    EXPECT_EQ((*outputs)[0].shape, (std::vector<std::int64_t>{rows, 10}));
    torch::Tensor got = torch::from_blob((*outputs)[0].data.data(), (*outputs)[0].shape, torch::kFloat32);
    EXPECT_LE((got - expected).abs().max().item<float>(), 1e-6f);
  }
}

TEST_F(TorchRunnerTest, AnswersManyThreadsAtOnceAlike) {
  Define(kCnn);
  auto runner = Load(ImageSignature());
  ASSERT_TRUE(runner);
  const std::vector<std::byte> expected = (*(*runner)->Run({Image(2)}))[0].data;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        auto outputs = (*runner)->Run({Image(2)});
        if (!outputs || (*outputs)[0].data != expected) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(TorchRunnerTest, JoinsRowsOnlyWhereTheirAnswersDoNotDependOnTheirCompany) {
  Define(kCnn);
  EXPECT_TRUE((*Load(ImageSignature()))->Joinable());
  Define(R"(
def forward(self, image):
    x = image.float().flatten(1)[:, :10]
    return torch.softmax(x - x.mean(0, keepdim=True), 1)
)");
  EXPECT_FALSE((*Load(ImageSignature()))->Joinable());
}

TEST_F(TorchRunnerTest, AnswersABatchAsItAnswersEachRowAlone) {
  Define(kCnn);
  auto runner = Load(ImageSignature());
  ASSERT_TRUE(runner);
  const Tensor images = Image(13);
  const std::vector<std::int64_t> single(13, 1);
  const auto together = SplitRows(*(*runner)->Run({images}), single);
  const auto alone = SplitRows({images}, single);
  for (size_t row = 0; row < alone.size(); ++row) {
    const auto answer = *(*runner)->Run(alone[row]);
    for (int column = 0; column < 10; ++column)
      EXPECT_NEAR(answer[0].As<float>()[column], together[row][0].As<float>()[column], 1e-6);
  }
}

TEST_F(TorchRunnerTest, CarriesTextsAndSeveralInputsAndOutputs) {
  Define(R"(
def forward(self, name: List[str], price):
    lengths = torch.zeros([len(name)])
    shouted: List[str] = []
    for i in range(len(name)):
        lengths[i] = float(len(name[i]))
        shouted.append(name[i].upper())
    return lengths + price, shouted
)");
  const Signature signature{.task = registry::Task::kRegression,
                            .inputs = {{.name = "name", .datatype = Datatype::kBytes, .shape = {-1}},
                                       {.name = "price", .datatype = Datatype::kFp32, .shape = {-1}}},
                            .outputs = {{.name = "y", .datatype = Datatype::kFp32, .shape = {-1}},
                                        {.name = "loud", .datatype = Datatype::kBytes, .shape = {-1}}}};
  auto runner = Load(signature);
  ASSERT_TRUE(runner) << runner.error().Message();
  Tensor name{.name = "name", .datatype = Datatype::kBytes, .shape = {2}, .texts = {"ab", ""}};
  Tensor price{.name = "price", .datatype = Datatype::kFp32, .shape = {2}, .data = std::vector<std::byte>(8)};
  price.As<float>()[1] = 1.5f;
  auto outputs = (*runner)->Run({name, price});
  ASSERT_TRUE(outputs) << outputs.error().Message();
  EXPECT_EQ((*outputs)[0].As<float>()[0], 2.0f);
  EXPECT_EQ((*outputs)[0].As<float>()[1], 1.5f);
  EXPECT_EQ((*outputs)[1].texts, (std::vector<std::string>{"AB", ""}));
}

TEST_F(TorchRunnerTest, RefusesAModuleThatDoesNotDoWhatItsSignatureSays) {
  Define("def forward(self, image):\n    return image.double().flatten(1)[:, :10]\n");
  EXPECT_THAT(Load(ImageSignature()).error().Message(), HasSubstr("the signature says FP32"));
  Define("def forward(self, image):\n    return image.float().flatten(1)[:, :9]\n");
  EXPECT_THAT(Load(ImageSignature()).error().Message(), HasSubstr("the signature says [-1,10]"));
  Define("def forward(self, image):\n    return image, image\n");
  EXPECT_THAT(Load(ImageSignature()).error().Message(), HasSubstr("forward gives 2 values"));
  Define("def forward(self, image, more):\n    return image\n");
  EXPECT_FALSE(Load(ImageSignature()));
  std::ofstream(folder_ / "model.pt") << "not a model";
  EXPECT_FALSE(Load(ImageSignature()));
}

TEST_F(TorchRunnerTest, SaysWhichOpsLibraryIsMissing) {
  Define(kCnn);
  EXPECT_THAT(Load(ImageSignature(), {"forecast"}).error().Message(), HasSubstr("forecast"));
}

TEST_F(TorchRunnerTest, GivesAnErrorWhenTheModuleThrowsOnSomeInput) {
  Define(R"(
def forward(self, image):
    assert int(image.max()) <= 254, "too bright"
    return torch.softmax(image.float().flatten(1)[:, :10], 1)
)");
  auto runner = Load(ImageSignature());
  ASSERT_TRUE(runner) << runner.error().Message();
  Tensor bright = Image(1);
  bright.data[5] = std::byte{255};
  auto outputs = (*runner)->Run({bright});
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().code, ErrorCode::kInternal);
  EXPECT_THAT(outputs.error().Message(), HasSubstr("too bright"));
  Tensor dark = Image(1);
  std::fill(dark.data.begin(), dark.data.end(), std::byte{1});
  EXPECT_TRUE((*runner)->Run({dark}));
}

}  // namespace
}  // namespace ratchet::serving
