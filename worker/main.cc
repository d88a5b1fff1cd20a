#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <iostream>

#include "base/clock.h"
#include "base/log.h"
#include "worker/fork_server.h"
#include "worker/help.h"
#include "worker/process_record.h"
#include "worker/step_code.h"
#include "worker/step_process.h"
#include "worker/step_recipe.h"

namespace {

using namespace ratchet;
using namespace ratchet::worker;

struct Options {
  int control_fd = -1;
  std::string plugins;
  std::string log_level = "info";
  std::string sandbox = "auto";
  std::string run_step;
  std::string role = "recipes";
  std::string data_dir;
  bool list_recipes = false;
};

// Beside the program in a build tree and in an installation: ../lib/ratchet/NAME, where there is one.
std::string InLibraryFolder(const char* name) {
  std::error_code failed;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  for (const auto* below : {"../lib/ratchet", "../lib/" RATCHET_LIB_ARCH "/ratchet"}) {
    const auto path = (program.parent_path() / below / name).lexically_normal();
    if (!failed && std::filesystem::exists(path, failed)) return path.string();
  }
  return {};
}

int Complain(const Error& error) {
  std::cerr << "ratchet-worker: " << error.Message() << "\n";
  return 1;
}

std::string PluginFolder(const Options& options) {
  return options.plugins.empty() ? InLibraryFolder("plugins") : options.plugins;
}

// The code of steps, with LibTorch and the plugins.
Result<StepCode*> LoadCode(const Options& options) {
  auto library = InLibraryFolder(kStepCodeLibrary);
  RATCHET_ASSIGN(auto* code, LoadStepCode(library.empty() ? kStepCodeLibrary : library));
  RATCHET_TRY(code->LoadPlugins(PluginFolder(options)));
  for (const auto& fault : code->Faults()) spdlog::error("{}", fault.Message());
  return code;
}

// The plugins that need no LibTorch. Without any, commands run all the same.
PluginHost LoadLightPlugins(const Options& options) {
  PluginHost plugins;
  if (const auto folder = PluginFolder(options); !folder.empty())
    if (const auto loaded = plugins.Load(folder, PluginHost::Which::kLight); !loaded) spdlog::error("{}", loaded.error().Message());
  for (const auto& fault : plugins.Faults()) spdlog::error("{}", fault.Message());
  return plugins;
}

// A command's output goes to the step's log as ever, all other steps' to this terminal.
int RunCommandCold(const StepSpec& spec, SandboxMeans sandbox, const Clock& clock) {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  int order[2];
  if (pipe2(order, O_CLOEXEC) != 0) return Complain(FailErrno("make", "pipe", errno).error());
  if (write(order[1], spec.folder.data(), spec.folder.size()) < 0) return Complain(FailErrno("write", "pipe", errno).error());
  return Supervise({.sandbox = sandbox, .boot_id = BootId()}, std::nullopt, order[0], clock);
}

int RunCold(const Options& options, SandboxMeans sandbox, const Clock& clock) {
  std::error_code failed;
  auto folder = std::filesystem::absolute(options.run_step, failed).lexically_normal().string();
  if (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  const auto spec = ReadStepSpec(folder);
  if (!spec) return Complain(spec.error());
  if (spec->sandbox.required && sandbox == SandboxMeans::kNone)
    return Complain(
        Fail(ErrorCode::kDenied, "run step", folder, "there is no sandbox, and the step asks for one").error());
  if (spec->kind == StepKind::kCommand) return RunCommandCold(*spec, sandbox, clock);
  const auto code = LoadCode(options);
  if (!code) return Complain(code.error());
  const pid_t parent = getppid();
  auto ready = SetUpProcess(*spec, {.parent = parent});
  if (ready) ready = EnterStepSandbox(*spec, sandbox, parent);
  if (!ready) return Complain(ready.error());
  return (*code)->Run(*spec, sandbox, clock);
}

int ListRecipes(const Options& options) {
  const auto code = LoadCode(options);
  if (!code) return Complain(code.error());
  std::cout << (*code)->DescribeRecipes().dump(2) << "\n";
  return 0;
}

int Serve(const Options& options, SandboxMeans sandbox, const Clock& clock) {
  int kind = 0;
  socklen_t size = sizeof kind;
  if (getsockopt(options.control_fd, SOL_SOCKET, SO_TYPE, &kind, &size) != 0 || kind != SOCK_SEQPACKET)
    return Complain(Fail(ErrorCode::kInvalid, "use", "--control-fd " + std::to_string(options.control_fd),
                         "it is no SOCK_SEQPACKET socket", "ratchetd starts this program; by hand, use --run-step.")
                        .error());
  ForkServerOptions server{.control_fd = options.control_fd};
  server.supervisor.sandbox = sandbox;
  server.supervisor.data_dir = options.data_dir;
  server.ready = {
      {"event", "ready"}, {"role", options.role}, {"pid", getpid()}, {"sandbox", SandboxMeansName(sandbox)}};
  PluginHost light;
  if (options.role == "commands") {
    light = LoadLightPlugins(options);
    server.ready["recipes"] = light.Describe();
    server.supervisor.light = true;
    server.supervisor.run_step = [&clock, &light](const StepSpec& spec) { return RunLightStep(spec, light, clock); };
  } else {
    const auto code = LoadCode(options);
    if (!code) return Complain(code.error());
    (*code)->Warm();
    server.ready["recipes"] = (*code)->DescribeRecipes();
    server.ready["torch"] = (*code)->TorchVersion();
    server.supervisor.run_step = [&clock, sandbox, code = *code](const StepSpec& spec) {
      return code->Run(spec, sandbox, clock);
    };
  }
  return ServeSteps(server, clock);
}

int Run(const Options& options) {
  InitLog("ratchet-worker", options.log_level);
  const SystemClock clock;
  if (options.list_recipes) return ListRecipes(options);
  const auto asked = ParseSandboxMeans(options.sandbox);
  const auto sandbox = asked ? *asked : DetectSandbox();
  if (!options.run_step.empty()) return RunCold(options, sandbox, clock);
  return Serve(options, sandbox, clock);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(kDescription, "ratchet-worker");
  app.footer(kFooter);
  app.set_version_flag("--version", RATCHET_VERSION);
  app.add_option("--plugins", options.plugins, "Folder of libratchet_plugin_*.so (default: beside the program)")
      ->type_name("DIR");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off")
      ->type_name("LEVEL")
      ->capture_default_str();
  app.add_option("--sandbox", options.sandbox, "What keeps steps from the data directory")
      ->type_name("MEANS")
      ->check(CLI::IsMember({"auto", "landlock", "mount", "none"}))
      ->capture_default_str();
  auto* control = app.add_option("--control-fd", options.control_fd, "Serve as fork server on this socket")
                      ->type_name("N")
                      ->check(CLI::NonNegativeNumber);
  app.add_option("--role", options.role, "What to serve: steps that are commands, which needs no LibTorch, or all")
      ->type_name("ROLE")
      ->check(CLI::IsMember({"commands", "recipes"}))
      ->capture_default_str();
  app.add_option("--data", options.data_dir, "The data directory of the steps to come, so that their sandbox can be made ahead")
      ->type_name("DIR");
  auto* run_step = app.add_option("--run-step", options.run_step, "Run the step of this folder in this process")->type_name("FOLDER");
  auto* list = app.add_flag("--list-recipes", options.list_recipes, "Print what the plugins can train, as JSON");
  control->excludes(run_step)->excludes(list);
  run_step->excludes(list);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? 0 : 2;
  }
  if (options.control_fd < 0 && options.run_step.empty() && !options.list_recipes) {
    std::cerr << "ratchet-worker: give one of --control-fd, --run-step, --list-recipes; see --help\n";
    return 2;
  }
  return Run(options);
}
