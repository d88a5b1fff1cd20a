#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "serving/model_runner.h"

// ratchet-serve for one bundle that no route names: what a test step measures a candidate in before it may go live
// (docs/formats.md, "Scratch serving"). The same HTTP server, protocol and model host as ever; no control plane, no
// log of predictions, no folder. It writes nothing.
namespace ratchet::serving {

// The name under which the bundle answers, as its version 1.
inline constexpr char kScratchModel[] = "candidate";

struct ScratchOptions {
  std::string manifest, model;  // files of the bundle; an empty manifest means: no scratch serving
  int told_fd = 1;              // where to say what happens, one JSON object a line
  int threads = 1;              // that compute
};

// Answers on a free port of 127.0.0.1 until `wait` returns. Tells `listening` with the address and the memory taken so
// far, then `loaded` with the time it took, or `failed` with the reason, which is the error returned as well: kInvalid
// for a model that is not what its manifest says, kCorrupt for one of another digest.
Status ServeScratch(const ScratchOptions& options, const ModelLoader& load, const std::function<void()>& wait);

}  // namespace ratchet::serving
