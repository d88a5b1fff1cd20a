#include "worker/step_watch.h"

#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "worker/process_watch.h"

namespace ratchet::worker {
namespace {
constexpr std::int64_t kDiskCheckEveryUs = 1'000'000;
}

std::optional<StepError> StepWatch::OverLimit(const std::vector<pid_t>& family, std::int64_t now_us) {
  const auto& limits = spec_.limits;
  if (now_us - started_us_ > limits.time_s * 1'000'000)
    return StepError{ErrorClass::kTimeout, fmt::format("it took longer than limits.time, {} s", limits.time_s),
                     "Raise limits.time or give it less to do."};
  if (auto over = OverMemory(family)) return over;
  if (now_us - std::max(started_us_, disk_checked_us_) < kDiskCheckEveryUs) return std::nullopt;
  disk_checked_us_ = now_us;
  const auto used = FolderBytes(spec_.folder);
  if (used <= limits.disk_bytes) return std::nullopt;
  return StepError{
      ErrorClass::kDiskQuota,
      fmt::format("its folder holds {}, over the limit of {}", BytesText(used), BytesText(limits.disk_bytes)),
      "Raise limits.disk or write less."};
}

std::optional<StepError> StepWatch::OverMemory(const std::vector<pid_t>& family) {
  const auto most = spec_.limits.memory_bytes;
  auto used = ResidentBytes(family);
  // The cheap figure counts what was shared by fork over and over; only where it is too much, the exact one is worth
  // it.
  if (used > most) used = ProportionalBytes(family);
  peak_bytes_ = std::max(peak_bytes_, used);
  if (used <= most) return std::nullopt;
  return StepError{ErrorClass::kOutOfMemory,
                   fmt::format("it used {} of memory, over limits.memory, {}", BytesText(used), BytesText(most)),
                   "Raise limits.memory or use smaller batches."};
}

void StepWatch::Condemn(StepError why) {
  if (!condemned_) condemned_ = std::move(why);
}

nlohmann::json StepWatch::Exit(int status, const rusage& used) const {
  nlohmann::json exit{{"exit_code", nullptr}, {"signal", nullptr}, {"class", nullptr}, {"message", ""}, {"hint", ""}};
  if (WIFEXITED(status)) exit["exit_code"] = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) exit["signal"] = WTERMSIG(status);
  Explain(status, exit);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + time.tv_usec / 1e6; };
  exit["cpu_s"] = seconds(used.ru_utime) + seconds(used.ru_stime);
  const auto peak = std::max(peak_bytes_, static_cast<std::uint64_t>(used.ru_maxrss) * 1024);
  const auto of_cgroup = cgroup_ == nullptr ? 0 : cgroup_->PeakBytes();
  exit["max_rss_bytes"] = of_cgroup > 0 ? of_cgroup : peak;
  exit["read_bytes"] = read_bytes_;
  return exit;
}

void StepWatch::Explain(int status, nlohmann::json& exit) const {
  const auto say = [&](ErrorClass error_class, const std::string& message, const std::string& hint) {
    exit["class"] = ErrorClassName(error_class);
    exit["message"] = message;
    exit["hint"] = hint;
  };
  if (condemned_) return say(condemned_->error_class, condemned_->message, condemned_->hint);
  const auto& limits = spec_.limits;
  if (cgroup_ != nullptr && cgroup_->OutOfMemoryKilled())
    return say(ErrorClass::kOutOfMemory,
               fmt::format("it needed more memory than limits.memory, {}", BytesText(limits.memory_bytes)),
               "Raise limits.memory or use smaller batches.");
  if (!WIFSIGNALED(status)) return;
  switch (WTERMSIG(status)) {
    case SIGXFSZ:
      return say(ErrorClass::kDiskQuota,
                 fmt::format("it wrote a file beyond the limit of {}", BytesText(limits.disk_bytes)),
                 "Raise limits.disk or write less.");
    case SIGXCPU:
      return say(ErrorClass::kTimeout,
                 fmt::format("it used all the processor time of {} cores and {} s", limits.cpus, limits.time_s),
                 "Raise limits.time or limits.cpus.");
    case SIGKILL:
      exit["message"] = "killed by SIGKILL from outside; the kernel does that where the machine runs out of memory";
      return;
    default:
      exit["message"] = fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
}

}  // namespace ratchet::worker
