// A replica that has changed its version a hundred times is no larger than one that has changed it ten times.

#include <gtest/gtest.h>
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <torch/script.h>
#include <unistd.h>

#include <fstream>

#include "serving/model_host.h"
#include "serving/torch_runner.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

constexpr int kWarmSwitches = 20, kSwitches = 100;
constexpr std::int64_t kWidth = 1024;  // 4 MiB of weights a version

std::int64_t ResidentBytes() {
  malloc_trim(0);  // what is free is not what is held
  std::int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

Signature WideSignature() {
  return {.task = registry::Task::kRegression,
          .inputs = {{.name = "x", .datatype = Datatype::kFp32, .shape = {-1, kWidth}}},
          .outputs = {{.name = "y", .datatype = Datatype::kFp32, .shape = {-1, 1}}}};
}

void SaveModel(const std::string& path) {
  torch::jit::Module module("M");
  module.register_parameter("weight", torch::randn({kWidth, kWidth}) * 0.01, false);
  module.define("def forward(self, x):\n    return torch.matmul(x, self.weight).mean(1, keepdim=True)\n");
  module.eval();
  module.save(path);
}

class SwitchMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    ConfigureTorch();
    SaveModel(folder_ / "model.pt");
  }
  // The next version becomes live; the one before it is kept warm, older ones are let go.
  void Switch() {
    ++version_;
    Route route{.model = "m", .epoch = version_, .live = Ref(version_), .previous = {}, .loading = {}};
    if (version_ > 1) route.previous = Ref(version_ - 1);
    host_.Adopt(OneRoute(version_, route));
    LocalBundle bundle = FakeBundle(Ref(version_));
    bundle.manifest.signature = WideSignature();
    bundle.model_path = folder_ / "model.pt";
    auto runner = LoadTorchModel(bundle);
    ASSERT_TRUE(runner) << runner.error().Message();
    host_.Add({"m", Ref(version_)}, bundle, std::move(*runner));
    Tensor x{.name = "x", .datatype = Datatype::kFp32, .shape = {8, kWidth}};
    x.data.resize(8 * kWidth * sizeof(float));
    const auto snapshot = host_.Snapshot();
    ASSERT_EQ(snapshot->models.at("m").live->ref.version, version_);
    ASSERT_TRUE(snapshot->models.at("m").live->runner->Run({x}));
  }

  TemporaryFolder folder_;
  ServeMetrics metrics_;
  ModelHost host_{metrics_};
  std::int64_t version_ = 0;
};

TEST_F(SwitchMemoryTest, ComesBackAfterAHundredSwitches) {
  for (int i = 0; i < kWarmSwitches; ++i) Switch();
  const std::int64_t before = ResidentBytes();
  for (int i = 0; i < kSwitches; ++i) Switch();
  const std::int64_t after = ResidentBytes();
  EXPECT_EQ(host_.Snapshot()->models.at("m").ready.size(), 2u);
  EXPECT_LT(static_cast<double>(after), 1.05 * static_cast<double>(before)) << before << " to " << after;
  RecordProperty("before_bytes", std::to_string(before));
  RecordProperty("after_bytes", std::to_string(after));
}

}  // namespace
}  // namespace ratchet::serving
