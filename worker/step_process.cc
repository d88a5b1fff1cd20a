#include "worker/step_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "base/files.h"

namespace ratchet::worker {
namespace {

constexpr std::uint64_t kCpuMarginS = 30;
// Address space that is mapped but never touched: stacks and heaps of threads, libraries, files mapped for reading.
constexpr std::uint64_t kSlackBytes = 4ull << 30;
constexpr std::uint64_t kSlackBytesPerCpu = 1ull << 30;

Status Limit(decltype(RLIMIT_AS) resource, const char* name, std::uint64_t most) {
  rlimit now{};
  if (getrlimit(resource, &now) != 0) return FailErrno("read limit", name, errno);
  const rlim_t value = now.rlim_max == RLIM_INFINITY ? most : std::min<rlim_t>(most, now.rlim_max);
  const rlimit wanted{value, value};
  if (setrlimit(resource, &wanted) != 0) return FailErrno("set limit", name, errno);
  return {};
}

std::uint64_t MappedBytes() {
  const auto statm = SystemFiles().Read("/proc/self/statm", 4096).value_or("0");
  return std::strtoull(statm.c_str(), nullptr, 10) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

Status SetLimits(const StepLimits& limits, bool limit_address_space) {
  // CUDA reserves address space by the terabyte.
  if (limit_address_space && access("/dev/nvidiactl", F_OK) != 0) {
    const auto slack = kSlackBytes + kSlackBytesPerCpu * static_cast<std::uint64_t>(limits.cpus);
    RATCHET_TRY(Limit(RLIMIT_AS, "RLIMIT_AS", MappedBytes() + limits.memory_bytes + slack));
  }
  RATCHET_TRY(Limit(RLIMIT_CPU, "RLIMIT_CPU", CpuSeconds(limits)));
  RATCHET_TRY(Limit(RLIMIT_FSIZE, "RLIMIT_FSIZE", limits.disk_bytes));
  RATCHET_TRY(Limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", static_cast<std::uint64_t>(limits.open_files)));
  return Limit(RLIMIT_CORE, "RLIMIT_CORE", 0);
}

// Where memory is short after all, the kernel shall choose a step before the daemon and what serves; and these shall
// have the processor first. Both are favours: failing is no fault.
void StandBack() {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) (void)!write(fd, "500", 3);
  if (fd >= 0) close(fd);
  errno = 0;
  (void)!nice(5);
}

Status SetStreams(int output_fd, bool close_others, int kept_fd) {
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) return FailErrno("open", "/dev/null", errno);
  if (output_fd >= 0 && (dup2(output_fd, STDOUT_FILENO) < 0 || dup2(output_fd, STDERR_FILENO) < 0))
    return FailErrno("redirect", "stdout and stderr", errno);
  if (close_others) CloseAllBut(std::max(kept_fd, STDERR_FILENO));
  return {};
}

Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return FailErrno("make", path, errno);
  return {};
}

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

std::uint64_t CpuSeconds(const StepLimits& limits) {
  return static_cast<std::uint64_t>(limits.cpus) * static_cast<std::uint64_t>(limits.time_s) + kCpuMarginS;
}

static void CloseRange(int first, int last) {
  if (first > last || syscall(SYS_close_range, first, last, 0u) == 0) return;
  for (int fd = first; fd <= std::min(last, 65535); ++fd) close(fd);  // a kernel before 5.9
}

void CloseAllBut(int kept) {
  CloseRange(STDERR_FILENO + 1, kept - 1);
  CloseRange(kept + 1, std::numeric_limits<int>::max());
}

void DieWithParent(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
}

Status SetUpProcess(const StepSpec& spec, const ProcessSetup& setup) {
  DieWithParent(setup.parent);
  // What the step leaves behind stays its own, and so can be told from what other steps leave.
  if (setup.keep_orphans) prctl(PR_SET_CHILD_SUBREAPER, 1);
  setsid();
  umask(0077);
  ResetSignals();
  if (chdir(spec.folder.c_str()) != 0) return FailErrno("enter", spec.folder, errno);
  RATCHET_TRY(SetStreams(setup.output_fd, setup.close_others, setup.kept_fd));
  StandBack();
  return SetLimits(spec.limits, setup.limit_address_space);
}

Status CopyCommandFiles(const StepSpec& spec) {
  // Without fsync, here and below: another attempt makes all this anew.
  RATCHET_TRY(MakeFolder(WorkFolder(spec)));
  for (const auto& [name, source] : spec.command_files) {
    const std::filesystem::path relative(name);
    const bool inside = !name.empty() && !relative.is_absolute() &&
                        std::ranges::none_of(relative, [](const auto& part) { return part == ".."; });
    if (!inside) return Fail(ErrorCode::kInvalid, "copy", name, "a trainer's file must have a name within its folder");
    const auto target = std::filesystem::path(WorkFolder(spec)) / relative;
    std::error_code failed;
    std::filesystem::create_directories(target.parent_path(), failed);
    if (!failed) std::filesystem::copy_file(source, target, std::filesystem::copy_options::overwrite_existing, failed);
    if (failed) return Fail(ErrorCode::kIo, "copy", source, failed.message());
    // Blobs are read-only; a script among them may be run as a program.
    if (chmod(target.c_str(), 0700) != 0) return FailErrno("make executable", target.string(), errno);
  }
  return {};
}

Status EnterStepSandbox(const StepSpec& spec, SandboxMeans means, pid_t parent,
                        std::unique_ptr<PreparedSandbox> prepared) {
  RATCHET_TRY(CopyCommandFiles(spec));
  // A recipe that trains nothing has no bundle or checkpoint to tell from what it leaves about, and is to be cheap.
  const auto temporary = spec.kind == StepKind::kRecipe ? WorkFolder(spec) : spec.folder + "/tmp";
  RATCHET_TRY(MakeFolder(temporary));
  setenv("TMPDIR", temporary.c_str(), 1);
  SandboxPlan plan{spec.sandbox.data_dir, spec.folder, spec.sandbox.read};
  if (spec.resume && access(spec.resume->c_str(), F_OK) == 0) plan.read.push_back(*spec.resume);
  RATCHET_TRY(EnterSandbox(means, plan, std::move(prepared)));
  // The kernel forgets the tie when a process changes its credentials in some ways.
  DieWithParent(parent);
  return {};
}

}  // namespace ratchet::worker
