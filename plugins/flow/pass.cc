#include <filesystem>

#include "plugins/flow/flow.h"

namespace ratchet::flow {

Result<nlohmann::json> Pass::Run(const sdk::StepContext& context) const {
  if (context.inputs.size() != context.outputs.size())
    return Fail(ErrorCode::kInvalid, "run", info_.name,
                "it has " + std::to_string(context.inputs.size()) + " inputs and " +
                    std::to_string(context.outputs.size()) + " outputs",
                "Name as many outputs as inputs.");
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    std::error_code failed;
    const auto target = context.out_folder + "/" + context.outputs[i];
    std::filesystem::copy_file(context.inputs[i].path, target, failed);
    if (failed) return Fail(ErrorCode::kIo, "copy", context.inputs[i].name, failed.message());
    // A blob is read-only, and so would its copy be.
    std::filesystem::permissions(target, std::filesystem::perms::owner_write, std::filesystem::perm_options::add,
                                 failed);
  }
  return nlohmann::json::object();
}

}  // namespace ratchet::flow
