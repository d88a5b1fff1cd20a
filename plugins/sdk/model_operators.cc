#include "plugins/sdk/model_operators.h"

#include <spdlog/fmt/fmt.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <array>
#include <string>

namespace ratchet::sdk {
namespace {

using torch::jit::Block;
using torch::jit::Node;

constexpr std::array kRefusedWords{"file", "files", "save", "load", "rpc", "python", "pythonop", "ignoredpythonop"};

bool HasRefusedWord(std::string_view name) {
  while (!name.empty()) {
    const auto end = std::min(name.find_first_of("_."), name.size());
    std::string word(name.substr(0, end));
    std::ranges::transform(word, word.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    if (std::ranges::find(kRefusedWords, word) != kRefusedWords.end()) return true;
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return false;
}

const Node* FindRefused(const Block* block);

const Node* FindRefused(const Node* node) {
  if (IsRefusedOperator(node->kind().toQualString())) return node;
  for (const Block* block : node->blocks())
    if (const Node* found = FindRefused(block)) return found;
  for (const auto name : node->attributeNames()) {
    if (node->kindOf(name) == torch::jit::AttributeKind::g)
      if (const Node* found = FindRefused(node->g(name)->block())) return found;
    if (node->kindOf(name) == torch::jit::AttributeKind::gs)
      for (const auto& graph : node->gs(name))
        if (const Node* found = FindRefused(graph->block())) return found;
  }
  return nullptr;
}

const Node* FindRefused(const Block* block) {
  for (const Node* node : block->nodes())
    if (const Node* found = FindRefused(node)) return found;
  return nullptr;
}

}  // namespace

bool IsRefusedOperator(std::string_view qualified_name) {
  const auto colons = qualified_name.find("::");
  if (colons == std::string_view::npos) return false;
  const auto space = qualified_name.substr(0, colons);
  if (space.find("c10d") != std::string_view::npos || space == "symm_mem") return true;
  return HasRefusedWord(qualified_name.substr(colons + 2));
}

// All that a file brings is compiled into one unit: functions, and the methods of all its classes.
Status CheckOperators(const torch::jit::Module& module) {
  for (torch::jit::Function* function : module._ivalue()->compilation_unit()->get_functions()) {
    auto* with_graph = torch::jit::tryToGraphFunction(*function);
    if (with_graph == nullptr) continue;
    with_graph->ensure_defined();
    const Node* refused = FindRefused(with_graph->graph()->block());
    if (refused == nullptr) continue;
    return Fail(ErrorCode::kInvalid, "take", "model",
                fmt::format("{} calls {}, which a model may not: it reaches files or other processes",
                            function->qualname().qualifiedName(), refused->kind().toQualString()),
                "Take that call out of the module: a model answers from its inputs and weights alone.");
  }
  return {};
}

}  // namespace ratchet::sdk
