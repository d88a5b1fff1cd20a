#include <dlfcn.h>

#include "worker/step_code.h"

namespace ratchet::worker {

Result<StepCode*> LoadStepCode(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr)
    return Fail(ErrorCode::kUnavailable, "load", path, dlerror(), "Install Ratchet and LibTorch of the same release.");
  const auto entry = reinterpret_cast<StepCodeEntry>(dlsym(library, kStepCodeSymbol));
  if (entry == nullptr) return Fail(ErrorCode::kUnavailable, "load", path, "it is no part of Ratchet");
  return entry();
}

}  // namespace ratchet::worker
