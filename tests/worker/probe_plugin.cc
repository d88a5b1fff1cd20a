// A plugin for tests: its recipes do in a step what a test wants to see from within one.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "plugins/sdk/recipe.h"
#include "plugins/sdk/step_recipe.h"

namespace {

using namespace ratchet;
using namespace ratchet::sdk;

// Tries to open the paths of its parameter, a line each, and writes what came of it to `opened.txt`.
class Opener final : public Recipe {
 public:
  const RecipeInfo& Info() const override { return info_; }
  Result<TrainOutput> Train(const TrainInput& input) const override {
    std::ofstream report(input.work_folder + "/../opened.txt");
    std::istringstream paths(input.params["paths"].get<std::string>());
    for (std::string path; std::getline(paths, path);) {
      const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      report << (fd >= 0 ? "open " : "shut ") << path << "\n";
      if (fd >= 0) close(fd);
    }
    return Fail(ErrorCode::kInvalid, "train", "probe.opener", "it only looks");
  }

 private:
  RecipeInfo info_{"probe.opener",
                   "Tries to open files.",
                   "classification",
                   "accuracy",
                   {{"paths", ParamType::kText, "", {}, {}, {}, "One path a line."}}};
};

// Ends in the way its parameter says.
class Ender final : public Recipe {
 public:
  const RecipeInfo& Info() const override { return info_; }
  Result<TrainOutput> Train(const TrainInput& input) const override {
    const auto how = input.params["how"].get<std::string>();
    if (how == "crash") raise(SIGSEGV);
    if (how == "throw") throw std::runtime_error("thrown by the probe");
    if (how == "one_malloc") std::vector<char>(100ull << 30, 'x');
    if (how == "page_by_page") EatMemory();
    if (how == "progress") {
      input.report({.phase = "train", .epoch = 1, .of = 3, .loss = 0.5});
      const int fifo = open("work/ready.fifo", O_WRONLY | O_CLOEXEC);
      (void)!write(fifo, "reported\n", 9);
    }
    return Fail(ErrorCode::kInvalid, "train", "probe.ender", "it was asked to fail");
  }

 private:
  static void EatMemory() {
    constexpr size_t kBlock = 16 << 20;
    for (size_t eaten = 0; eaten < 100ull << 30; eaten += kBlock) {
      auto* block = static_cast<volatile char*>(std::malloc(kBlock));
      if (block == nullptr) throw std::bad_alloc();
      for (size_t at = 0; at < kBlock; at += 4096) block[at] = 1;
    }
  }
  RecipeInfo info_{"probe.ender",
                   "Ends badly.",
                   "classification",
                   "accuracy",
                   {{"how", ParamType::kText, "fail", {}, {}, {}, "What to do."}}};
};

// Writes what it was given to its first output.
class Step final : public StepRecipe {
 public:
  const RecipeInfo& Info() const override { return info_; }
  Result<nlohmann::json> Run(const StepContext& context) const override {
    nlohmann::json given{{"inputs", nlohmann::json::array()}, {"params", context.params}, {"seed", context.seed}};
    for (const auto& input : context.inputs) given["inputs"].push_back({input.name, input.path});
    std::istringstream paths(context.params["paths"].get<std::string>());
    for (std::string path; std::getline(paths, path);)
      if (std::ifstream(path).get() != EOF) given["opened"].push_back(path);
    std::ofstream(context.out_folder + "/" + context.outputs.at(0)) << given.dump();
    return nlohmann::json{{"inputs", context.inputs.size()}};
  }

 private:
  RecipeInfo info_{"probe.step",
                   "Tells what it was given.",
                   "step",
                   "",
                   {{"word", ParamType::kText, "none", {}, {}, {}, "A word."},
                    {"paths", ParamType::kText, "", {}, {}, {}, "Tries to open these, one a line."}}};
};

const Step kStep;
const Opener kOpener;
const Ender kEnder;
const Plugin kPlugin{"probe", "1", {&kOpener, &kEnder}, {&kStep}};

}  // namespace

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3() { return &kPlugin; }
