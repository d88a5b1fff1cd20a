#include "worker/step_code.h"

#include "worker/plugin_host.h"
#include "worker/steps.h"

namespace ratchet::worker {
namespace {

class Code final : public StepCode {
 public:
  Status LoadPlugins(const std::string& folder) override {
    if (folder.empty()) return {};
    return plugins_.Load(folder);
  }
  std::vector<Error> Faults() const override { return plugins_.Faults(); }
  nlohmann::json DescribeRecipes() const override { return plugins_.Describe(); }
  std::string TorchVersion() const override { return worker::TorchVersion(); }
  void Warm() override { WarmTorch(); }
  int Run(const StepSpec& spec, SandboxMeans sandbox, const Clock& clock) override {
    return RunStep(spec, plugins_, sandbox, clock);
  }

 private:
  PluginHost plugins_;
};

}  // namespace
}  // namespace ratchet::worker

extern "C" ratchet::worker::StepCode* ratchet_step_code() {
  static ratchet::worker::Code code;
  return &code;
}
