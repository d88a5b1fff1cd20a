#include "serving/confinement.h"

#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "base/landlock.h"

namespace ratchet::serving {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;  // unknown: no filter
#endif

constexpr std::uint32_t kForeignNumbers = 0x40000000;  // where x86-64 has a second set of numbers (x32)

// What no model needs, and by which a process gets at others or out of its confines.
constexpr std::array kRefusedCalls = {
    SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_mount, SYS_umount2, SYS_pivot_root,
    SYS_chroot, SYS_setns, SYS_unshare, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_init_module, SYS_finit_module,
    SYS_kexec_load, SYS_keyctl, SYS_add_key, SYS_io_uring_setup, SYS_pidfd_getfd,
#if defined(__x86_64__)
    SYS_fork, SYS_vfork,
#endif
};

constexpr std::array kReadForRunning = {
    "/usr/lib", "/lib", "/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache", "/etc/hosts",
    "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/proc/self", "/proc/cpuinfo",
    "/proc/meminfo", "/sys/devices/system", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"};

// Rights to a path as it is resolved now. What is not there is left out.
Status AllowResolved(const landlock::Ruleset& ruleset, const std::string& path, std::uint64_t rights) {
  std::array<char, PATH_MAX> resolved;
  if (realpath(path.c_str(), resolved.data()) == nullptr) return {};
  return ruleset.Allow(resolved.data(), rights);
}

std::string FolderOfProgram() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  const std::string program(path.data(), length > 0 ? static_cast<size_t>(length) : 0);
  return program.substr(0, program.rfind('/'));
}

Status LimitFiles(const ConfinementPlan& plan) {
  landlock::Ruleset ruleset;
  RATCHET_TRY(ruleset.Create(landlock::kAll));
  for (const char* path : kReadForRunning) RATCHET_TRY(AllowResolved(ruleset, path, landlock::kReading));
  for (const char* part : {"", "/../lib"}) RATCHET_TRY(AllowResolved(ruleset, FolderOfProgram() + part, landlock::kReading));
  RATCHET_TRY(AllowResolved(ruleset, "/dev/null", landlock::kReading | landlock::kWriteFile));
  for (const std::string& path : plan.read) RATCHET_TRY(AllowResolved(ruleset, path, landlock::kReading));
  for (const std::string& path : plan.own) RATCHET_TRY(AllowResolved(ruleset, path, landlock::kOwning & ~std::uint64_t{landlock::kExecute}));
  return ruleset.Enforce();
}

sock_filter Do(int code, std::uint32_t value) { return {static_cast<std::uint16_t>(code), 0, 0, value}; }
sock_filter If(int code, std::uint32_t value, std::uint8_t then_skip, std::uint8_t else_skip) {
  return {static_cast<std::uint16_t>(BPF_JMP | code | BPF_K), then_skip, else_skip, value};
}

// The filter as classic BPF: refused calls give EPERM, a new process too, and clone3, whose flags a filter cannot see,
// does not exist, upon which the C library takes clone.
std::vector<sock_filter> CallFilter() {
  constexpr int kLoad = BPF_LD | BPF_W | BPF_ABS;
  const auto allow = Do(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const auto refuse = Do(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  std::vector<sock_filter> filter = {
      Do(kLoad, offsetof(seccomp_data, arch)), If(BPF_JEQ, kArchitecture, 1, 0), refuse,
      Do(kLoad, offsetof(seccomp_data, nr)),   If(BPF_JGE, kForeignNumbers, 0, 1), refuse,
  };
  for (const long number : kRefusedCalls) {
    filter.push_back(If(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 1));
    filter.push_back(refuse);
  }
  filter.insert(filter.end(), {If(BPF_JEQ, SYS_clone3, 0, 1), Do(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                               If(BPF_JEQ, SYS_clone, 0, 3), Do(kLoad, offsetof(seccomp_data, args)),
                               If(BPF_JSET, CLONE_THREAD, 1, 0), refuse, allow});
  return filter;
}

Status LimitCalls() {
  std::vector<sock_filter> filter = CallFilter();
  const sock_fprog program{static_cast<std::uint16_t>(filter.size()), filter.data()};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return FailErrno("set", "system call filter", errno);
  return {};
}

}  // namespace

Result<std::string> Confine(const ConfinementPlan& plan) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("give up", "new privileges", errno);
  std::string had;
  if (landlock::Abi() > 0) {
    RATCHET_TRY(LimitFiles(plan));
    had = "files (Landlock)";
  }
  if (kArchitecture != 0) {
    RATCHET_TRY(LimitCalls());
    had += had.empty() ? "system calls (seccomp)" : ", system calls (seccomp)";
  }
  return had.empty() ? "nothing" : had;
}

}  // namespace ratchet::serving
