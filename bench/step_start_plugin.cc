// A recipe whose first line notes the time: what bench_step_start measures up to.
#include <time.h>

#include <fstream>

#include "plugins/sdk/recipe.h"

namespace {

using namespace ratchet;
using namespace ratchet::sdk;

class Clock final : public Recipe {
 public:
  const RecipeInfo& Info() const override { return info_; }
  Result<TrainOutput> Train(const TrainInput&) const override {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    std::ofstream("started_ns") << now.tv_sec * 1'000'000'000ll + now.tv_nsec;
    return Fail(ErrorCode::kInvalid, "train", "bench.clock", "it only tells the time");
  }

 private:
  RecipeInfo info_{"bench.clock", "Notes when it was called.", "classification", "accuracy", {}};
};

const Clock kClock;
const Plugin kPlugin{"bench_clock", "1", {&kClock}};

}  // namespace

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3() { return &kPlugin; }
