#pragma once

#include <torch/script.h>

#include <string_view>

#include "base/result.h"

// What the code in a `model.pt` may call. TorchScript can reach files and other machines by operators that every
// LibTorch has; a model has no use for them. This keeps honest models honest and plain attacks out. It is no sandbox:
// a module can do harm by wrong memory accesses too, and what it runs while it is loaded has run before this looks.
namespace ratchet::sdk {

// True for an operator that opens files (aten::from_file, aten::save), speaks to other processes (c10d::…,
// prim::rpc_…) or runs Python. Judged by the words of its name, so that one which a later LibTorch adds is refused too.
bool IsRefusedOperator(std::string_view qualified_name);

// Looks through every function and method that came with a loaded module, whether `forward` calls it or not, and
// through all their nested blocks and graphs. kInvalid names the first refused operator and where it stands.
Status CheckOperators(const torch::jit::Module& module);

}  // namespace ratchet::sdk
