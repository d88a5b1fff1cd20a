#include "worker/sandbox.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "worker/sandbox_means.h"

namespace ratchet::worker {
namespace {

// Of root's powers a step keeps those over file permissions, for a home of another user, and no other: no raw devices,
// no modules, no mounts. The bounding set goes too, or an exec as root would bring them back.
Status DropCapabilities() {
  constexpr unsigned kKept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
                             1u << CAP_FSETID | 1u << CAP_KILL;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (capability >= 32 || (kKept & 1u << capability) == 0) (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return FailErrno("read", "capabilities", errno);
  data[0].effective &= kKept;
  data[0].permitted &= kKept;
  data[0].inheritable = 0;
  data[1] = {};
  if (syscall(SYS_capset, &header, data) != 0) return FailErrno("drop", "capabilities", errno);
  return {};
}

}  // namespace

std::string_view SandboxMeansName(SandboxMeans means) {
  switch (means) {
    case SandboxMeans::kNone:
      return "none";
    case SandboxMeans::kLandlock:
      return "landlock";
    case SandboxMeans::kMount:
      return "mount";
  }
  return "none";
}

std::optional<SandboxMeans> ParseSandboxMeans(std::string_view name) {
  for (const auto means : {SandboxMeans::kNone, SandboxMeans::kLandlock, SandboxMeans::kMount})
    if (SandboxMeansName(means) == name) return means;
  return std::nullopt;
}

bool MountNamespacesWork() {
  const pid_t child = fork();
  if (child == 0) {
    const bool works = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
                       mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                       mount("none", "/proc", "tmpfs", 0, nullptr) == 0;
    _exit(works ? 0 : 1);
  }
  int status = 1;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

SandboxMeans DetectSandbox() {
  if (LandlockAbi() > 0) return SandboxMeans::kLandlock;
  return MountNamespacesWork() ? SandboxMeans::kMount : SandboxMeans::kNone;
}

Status EnterSandbox(SandboxMeans means, const SandboxPlan& plan) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("set", "no_new_privs", errno);
  switch (means) {
    case SandboxMeans::kNone:
      return {};
    case SandboxMeans::kLandlock:
      RATCHET_TRY(EnterLandlock(plan));
      break;
    case SandboxMeans::kMount:
      RATCHET_TRY(EnterMountNamespace(plan));
      break;
  }
  return DropCapabilities();
}

}  // namespace ratchet::worker
