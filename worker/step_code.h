#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "worker/sandbox.h"
#include "worker/step_spec.h"

// The seam between the program, which links no LibTorch and so starts in milliseconds, and libratchet_recipes.so, which
// holds the code of steps and is loaded where that is needed. Both are built together.
namespace ratchet::worker {

class StepCode {
 public:
  virtual ~StepCode() = default;
  // Loads the plugins of the folder; empty: none. kNotFound: no such folder.
  virtual Status LoadPlugins(const std::string& folder) = 0;
  virtual std::vector<Error> Faults() const = 0;       // plugins that could not be loaded
  virtual nlohmann::json DescribeRecipes() const = 0;  // as in the `ready` packet of docs/formats.md
  virtual std::string TorchVersion() const = 0;
  // Has LibTorch do what it does once, so that the children need not; starts no threads.
  virtual void Warm() = 0;
  // Runs the step in this process, to its result.json. Gives the exit code.
  virtual int Run(const StepSpec& spec, SandboxMeans sandbox, const Clock& clock) = 0;
};

using StepCodeEntry = StepCode* (*)();
inline constexpr char kStepCodeSymbol[] = "ratchet_step_code";
inline constexpr char kStepCodeLibrary[] = "libratchet_recipes.so";

// Loads the library at `path` for the rest of the process's life. kUnavailable, with the linker's word, if it can't.
Result<StepCode*> LoadStepCode(const std::string& path);

}  // namespace ratchet::worker
