#include "worker/running_step.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace ratchet::worker {
namespace {

constexpr std::int64_t kDiskCheckEveryUs = 1'000'000;
constexpr size_t kLogReadBytes = 64 << 10;
// A step that floods its log must not keep the fork server from its other work.
constexpr int kLogReadsAtOnce = 16;

bool WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

RunningStep::RunningStep(std::string id, StepSpec spec, pid_t pid, int log_pipe, std::int64_t started_us,
                         std::unique_ptr<StepCgroup> cgroup)
    : id_(std::move(id)),
      spec_(std::move(spec)),
      pid_(pid),
      log_pipe_(log_pipe),
      started_us_(started_us),
      disk_checked_us_(started_us),
      cgroup_(std::move(cgroup)) {
  const auto path = spec_.folder + "/log";
  // The folder is the step's: no link of its making may lead the log elsewhere.
  log_file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
}

RunningStep::~RunningStep() {
  if (log_pipe_ >= 0) close(log_pipe_);
  if (log_file_ >= 0) close(log_file_);
}

void RunningStep::DrainLog(std::uint64_t limit_bytes) {
  std::array<char, kLogReadBytes> buffer;
  for (int reads = 0; log_pipe_ >= 0 && reads < kLogReadsAtOnce; ++reads) {
    const ssize_t got = read(log_pipe_, buffer.data(), buffer.size());
    if (got < 0) return;
    if (got == 0) {
      close(std::exchange(log_pipe_, -1));
      return;
    }
    const auto room = limit_bytes - std::min(limit_bytes, log_bytes_);
    const auto kept = std::min<std::uint64_t>(room, static_cast<std::uint64_t>(got));
    // A full disk costs the log's tail, never the step.
    if (log_file_ >= 0) (void)WriteAll(log_file_, buffer.data(), kept);
    log_bytes_ += static_cast<std::uint64_t>(got);
    if (log_bytes_ > limit_bytes && !killed_)
      Kill(ErrorClass::kDiskQuota, fmt::format("its log grew beyond {}", BytesText(limit_bytes)));
  }
}

void RunningStep::CheckLimits(const std::vector<ProcessEntry>& all, std::int64_t now_us) {
  if (killed_) return;
  if (now_us - started_us_ > spec_.limits.time_s * 1'000'000)
    return Kill(ErrorClass::kTimeout, fmt::format("it took longer than limits.time, {} s", spec_.limits.time_s));
  CheckMemory(all);
  if (killed_ || now_us - disk_checked_us_ < kDiskCheckEveryUs) return;
  disk_checked_us_ = now_us;
  const auto used = FolderBytes(spec_.folder);
  if (used > spec_.limits.disk_bytes)
    Kill(ErrorClass::kDiskQuota,
         fmt::format("its folder holds {}, over the limit of {}", BytesText(used), BytesText(spec_.limits.disk_bytes)));
}

void RunningStep::CheckMemory(const std::vector<ProcessEntry>& all) {
  const auto family = Descendants(all, pid_);
  auto used = ResidentBytes(family);
  // The cheap figure counts what was shared by fork over and over; only where it is too much, the exact one is worth
  // it.
  if (used > spec_.limits.memory_bytes) used = ProportionalBytes(family);
  peak_bytes_ = std::max(peak_bytes_, used);
  if (used > spec_.limits.memory_bytes)
    Kill(ErrorClass::kOutOfMemory, fmt::format("it used {} of memory, over limits.memory, {}", BytesText(used),
                                               BytesText(spec_.limits.memory_bytes)));
}

void RunningStep::Kill(ErrorClass why, std::string message) {
  if (ended_) return;
  if (!killed_) killed_ = StepError{why, std::move(message), ""};
  if (cgroup_ != nullptr) cgroup_->KillAll();
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
}

nlohmann::json RunningStep::Exited(int status, const rusage& used) const {
  nlohmann::json packet{{"event", "exited"}, {"id", id_},        {"exit_code", nullptr},
                        {"signal", nullptr}, {"class", nullptr}, {"message", ""}};
  if (WIFEXITED(status)) packet["exit_code"] = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) packet["signal"] = WTERMSIG(status);
  Explain(status, packet);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + time.tv_usec / 1e6; };
  packet["cpu_s"] = seconds(used.ru_utime) + seconds(used.ru_stime);
  const auto peak = std::max(peak_bytes_, static_cast<std::uint64_t>(used.ru_maxrss) * 1024);
  const auto of_cgroup = cgroup_ == nullptr ? 0 : cgroup_->PeakBytes();
  packet["max_rss_bytes"] = of_cgroup > 0 ? of_cgroup : peak;
  return packet;
}

void RunningStep::Explain(int status, nlohmann::json& packet) const {
  const auto say = [&](ErrorClass error_class, const std::string& message) {
    packet["class"] = ErrorClassName(error_class);
    packet["message"] = message;
  };
  if (killed_) return say(killed_->error_class, killed_->message);
  if (cgroup_ != nullptr && cgroup_->OutOfMemoryKilled())
    return say(ErrorClass::kOutOfMemory,
               fmt::format("it needed more memory than limits.memory, {}", BytesText(spec_.limits.memory_bytes)));
  if (!WIFSIGNALED(status)) return;
  switch (WTERMSIG(status)) {
    case SIGXFSZ:
      return say(ErrorClass::kDiskQuota,
                 fmt::format("it wrote a file beyond the limit of {}", BytesText(spec_.limits.disk_bytes)));
    case SIGXCPU:
      return say(ErrorClass::kTimeout, fmt::format("it used all the processor time of {} cores and {} s",
                                                   spec_.limits.cpus, spec_.limits.time_s));
    case SIGKILL:
      packet["message"] = "killed by SIGKILL from outside; the kernel does that where the machine runs out of memory";
      return;
    default:
      packet["message"] = fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
}

}  // namespace ratchet::worker
