#include "worker/command_step.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <utility>

#include "base/digest.h"
#include "lake/pack.h"
#include "worker/command_end.h"
#include "worker/step_inputs.h"
#include "worker/step_process.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

constexpr int kProgressFd = 20;

std::string OutFolder(const StepSpec& spec) { return WorkFolder(spec) + "/out"; }

// A step is to cost a millisecond or two, and each file that is made costs a tenth of one: so TMPDIR is the working
// folder itself, and RATCHET_PROGRESS a pipe under the name of its descriptor.
std::map<std::string, std::string> Variables(const StepSpec& spec) {
  const auto work = WorkFolder(spec);
  const auto threads = std::to_string(spec.limits.cpus);
  std::map<std::string, std::string> variables{{"TMPDIR", work},
                                               {"RATCHET_INPUTS", work + "/inputs.json"},
                                               {"RATCHET_PARAMS", work + "/params.json"},
                                               {"RATCHET_OUT", OutFolder(spec)},
                                               {"RATCHET_PROGRESS", fmt::format("/dev/fd/{}", kProgressFd)},
                                               {"RATCHET_SEED", std::to_string(spec.seed)},
                                               {"RATCHET_THREADS", threads},
                                               {"RATCHET_STEP_FOLDER", spec.folder},
                                               {"OMP_NUM_THREADS", threads},
                                               {"PYTHONUNBUFFERED", "1"}};  // the log is read while it runs
  const auto inputs = InputPaths(spec, work);
  if (const auto it = inputs.find(kTrainInput); it != inputs.end()) variables["RATCHET_TRAIN"] = it->second;
  if (const auto it = inputs.find(kValidationInput); it != inputs.end()) variables["RATCHET_VALIDATION"] = it->second;
  return variables;
}

// From here on, what goes wrong is told to the supervisor. No fsync: all this is made again for another attempt.
Status Prepare(const StepSpec& spec, CommandStart& start) {
  RATCHET_TRY(SetUpProcess(spec, {.parent = start.parent,
                                  .output_fd = start.output_fd,
                                  .limit_address_space = start.limit_address_space,
                                  .keep_orphans = false,
                                  .close_others = false}));
  RATCHET_TRY(CopyCommandFiles(spec));
  const auto work = WorkFolder(spec);
  RATCHET_TRY(WriteInputs(spec, work, work));
  SandboxPlan plan{spec.sandbox.data_dir, work, spec.sandbox.read};
  RATCHET_TRY(EnterSandbox(start.sandbox, plan, std::move(start.prepared)));
  // The kernel forgets the tie when a process changes its credentials in some ways.
  DieWithParent(start.parent);
  RATCHET_TRY(MergeInputs(spec, work));
  if (chdir(work.c_str()) != 0) return FailErrno("enter", work, errno);
  return {};
}

[[noreturn]] void TellAndExit(int failure_fd, const StepError& error) {
  const auto text = ErrorToJson(error).dump(-1, ' ', false, json::error_handler_t::replace);
  (void)!write(failure_fd, text.data(), text.size());
  _exit(127);
}

std::unexpected<StepError> NoOutput(const std::string& name, const std::string& what) {
  return UserFault(fmt::format("the step ended well but {} is {} in RATCHET_OUT", name, what),
                   "Each of the step's outputs has to be written as a regular file of that name there.");
}

std::expected<json, StepError> CollectOne(const StepSpec& spec, const std::string& name) {
  const auto path = OutFolder(spec) + "/" + name;
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return NoOutput(name, "missing");
  if (!S_ISREG(info.st_mode)) return NoOutput(name, "no regular file");
  RATCHET_STEP_ASSIGN(const auto sha256, Sha256File(path));
  return json{{"path", "work/out/" + name}, {"sha256", sha256}, {"bytes", info.st_size}};
}

}  // namespace

Status MakeCommandFolders(const StepSpec& spec) {
  const auto work = WorkFolder(spec);
  for (const auto& folder : {work, work + "/out"})
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return FailErrno("make", folder, errno);
  return {};
}

void BecomeCommand(const StepSpec& spec, CommandStart start) {
  if (const auto ready = Prepare(spec, start); !ready) TellAndExit(start.failure_fd, FromError(ready.error()));
  auto arguments = spec.command;
  auto environment = CommandEnvironment(Variables(spec));
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (auto& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  const auto argv = pointers(arguments), envp = pointers(environment);
  // Out of the way of the numbers that shells use (3 to 9), and not closed by exec.
  dup2(start.progress_fd, kProgressFd);
  execvpe(argv[0], argv.data(), envp.data());
  TellAndExit(start.failure_fd, CannotRun({"step", spec.command[0], 0}, errno).error());
}

StepError ReadFailure(const std::string& told) {
  const auto error = json::parse(told, nullptr, false);
  if (!error.is_object()) return {ErrorClass::kInternal, "the command was not started: " + told, ""};
  const bool user = error.value("class", "") == ErrorClassName(ErrorClass::kUser);
  return {user ? ErrorClass::kUser : ErrorClass::kInternal, error.value("message", ""), error.value("hint", "")};
}

StepOutcome CollectOutputs(const StepSpec& spec) {
  auto outputs = json::object();
  struct stat info {};
  // The folder may have been replaced by a link to somebody else's.
  if (lstat(OutFolder(spec).c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    return UserFault("the step ended well but RATCHET_OUT is no folder any more", "Leave the folder in its place.");
  for (const auto& name : spec.outputs) {
    auto collected = CollectOne(spec, name);
    if (!collected) return std::unexpected(collected.error());
    outputs[name] = std::move(*collected);
  }
  return json{{"outputs", std::move(outputs)}};
}

}  // namespace ratchet::worker
