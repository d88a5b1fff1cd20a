#include "worker/command_end.h"

#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "worker/process_watch.h"

namespace ratchet::worker {
namespace {

constexpr int kTailLines = 10;

std::string LastLines(const std::string& tail) {
  auto end = tail.find_last_not_of(" \r\n");
  if (end == std::string::npos) return "it printed nothing";
  auto begin = end + 1;
  for (int lines = 0; lines < kTailLines && begin > 0; ++lines) {
    const auto at = tail.rfind('\n', begin - 1);
    if (at == std::string::npos) {
      begin = 0;
      break;
    }
    begin = lines + 1 < kTailLines ? at : at + 1;
  }
  if (begin < tail.size() && tail[begin] == '\n') ++begin;
  return "its last lines: " + tail.substr(begin, end + 1 - begin);
}

}  // namespace

bool IsWithheld(std::string_view variable) {
  if (variable.starts_with("RATCHET_")) return true;
  std::string upper(variable);
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return std::ranges::any_of(
      std::array{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY"},
      [&](const char* word) { return upper.find(word) != std::string::npos; });
}

std::vector<std::string> CommandEnvironment(const std::map<std::string, std::string>& more) {
  std::vector<std::string> environment;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text(*one);
    const auto name = text.substr(0, text.find('='));
    if (name.size() == text.size() || IsWithheld(name) || more.contains(std::string(name))) continue;
    environment.emplace_back(text);
  }
  for (const auto& [name, value] : more) environment.push_back(name + "=" + value);
  return environment;
}

std::expected<void, StepError> JudgeEnd(const CommandEnd& end, const std::string& tail) {
  const int status = end.status;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const auto says = [&](std::string_view word) { return tail.find(word) != std::string::npos; };
  const auto how = WIFSIGNALED(status)
                       ? fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)))
                       : fmt::format("ended with exit code {}", WEXITSTATUS(status));
  const auto message = fmt::format("the {} {} {}; {}", end.who, end.name, how, LastLines(tail));
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
    return std::unexpected(StepError{ErrorClass::kDiskQuota, message, "Raise limits.disk or write less."});
  // What Python, C++ and LibTorch print when memory is refused to them; there is no other sign of it.
  if (says("MemoryError") || says("std::bad_alloc") || says("not enough memory: you tried to allocate") ||
      says("Cannot allocate memory"))
    return std::unexpected(StepError{ErrorClass::kOutOfMemory, message, "Raise limits.memory or use smaller batches."});
  if (WIFSIGNALED(status))
    return std::unexpected(StepError{ErrorClass::kSignal, message, "The whole log is kept with the run."});
  return UserFault(message, "The whole log is kept with the run.");
}

std::unexpected<StepError> CannotRun(const CommandEnd& end, int why) {
  return UserFault(
      fmt::format("the {}'s program cannot be run: {}: {}", end.who, end.name, strerror(why)),
      fmt::format("Name a program of the PATH or one of the {}'s files (./run.sh) in its command.", end.who));
}

StepError NameLimits(const StepSpec& spec, StepError error) {
  const auto used = FolderBytes(spec.folder);
  if (used >= spec.limits.disk_bytes)
    return {ErrorClass::kDiskQuota,
            fmt::format("the step's folder holds {}, the limit is {}; {}", BytesText(used),
                        BytesText(spec.limits.disk_bytes), error.message),
            "Raise limits.disk or write less."};
  if (error.error_class == ErrorClass::kOutOfMemory)
    error.message = fmt::format("memory was refused within limits.memory, {}; {}", BytesText(spec.limits.memory_bytes),
                                error.message);
  return error;
}

}  // namespace ratchet::worker
