#include "worker/step_inputs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "lake/pack.h"

namespace ratchet::worker {
namespace {

struct Split {
  const char* name;
  const char* file;  // of all packs together
  const std::vector<std::string>& packs;
};

std::vector<Split> Splits(const StepSpec& spec) {
  return {{kTrainInput, "/train.pack", spec.train}, {kValidationInput, "/validation.pack", spec.validation}};
}

Status WriteJson(const std::string& path, const nlohmann::json& value) {
  const auto text = value.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return FailErrno("make", path, errno);
  const ssize_t written = write(fd, text.data(), text.size());
  const int why = written < 0 ? errno : ENOSPC;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) return FailErrno("write", path, why);
  return {};
}

}  // namespace

std::vector<std::string> InputNames(const StepSpec& spec) {
  if (!spec.input_names.empty()) return spec.input_names;
  std::vector<std::string> names;
  for (const auto& split : Splits(spec))
    if (!split.packs.empty()) names.push_back(split.name);
  for (const auto& [name, path] : spec.files) names.push_back(name);
  return names;
}

std::map<std::string, std::string> InputPaths(const StepSpec& spec, const std::string& folder) {
  auto paths = spec.files;
  for (const auto& split : Splits(spec))
    if (!split.packs.empty()) paths[split.name] = split.packs.size() == 1 ? split.packs[0] : folder + split.file;
  return paths;
}

Status WriteInputs(const StepSpec& spec, const std::string& folder, const std::string& merged) {
  RATCHET_TRY(WriteJson(folder + "/params.json", spec.params));
  return WriteJson(folder + "/inputs.json", InputPaths(spec, merged));
}

Status MergeInputs(const StepSpec& spec, const std::string& folder) {
  for (const auto& split : Splits(spec)) {
    if (split.packs.size() < 2) continue;
    (void)unlink((folder + split.file).c_str());
    RATCHET_TRY(lake::MergePacks(split.packs, folder + split.file));
  }
  return {};
}

}  // namespace ratchet::worker
