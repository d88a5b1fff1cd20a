#include "worker/sandbox.h"

#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "worker/sandbox_means.h"

namespace ratchet::worker {
namespace {

// Of root's powers a step keeps those over file permissions, for a home of another user, and no other: no raw devices,
// no modules, no mounts. The bounding set goes too, or an exec as root would bring them back.
// `more`: beside those.
Status DropCapabilities(unsigned more) {
  const unsigned kept = more | 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
                        1u << CAP_FSETID | 1u << CAP_KILL;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (capability >= 32 || (kept & 1u << capability) == 0) (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return FailErrno("read", "capabilities", errno);
  data[0].effective &= kept;
  data[0].permitted &= kept;
  data[0].inheritable = 0;
  data[1] = {};
  if (syscall(SYS_capset, &header, data) != 0) return FailErrno("drop", "capabilities", errno);
  return {};
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Result<std::string> Resolve(const std::string& path) {
  std::array<char, PATH_MAX> resolved;
  if (realpath(path.c_str(), resolved.data()) == nullptr) return FailErrno("resolve", path, errno);
  return std::string(resolved.data());
}

Status CheckPath(const std::string& named_root, const std::string& root, const std::string& given) {
  RATCHET_ASSIGN(const auto resolved, Resolve(given));
  const auto path = WithoutSlash(given);
  std::optional<std::string> expected;
  for (const auto& one : {named_root, root})
    if (!expected && path.starts_with(one + "/")) expected = root + path.substr(one.size());
  const bool leads_inside = resolved == root || resolved.starts_with(root + "/");
  if (expected ? resolved == *expected : !leads_inside) return {};
  return Fail(ErrorCode::kDenied, "allow", given, "a symbolic link leads from it to another place");
}

}  // namespace

Status CheckPaths(const SandboxPlan& plan) {
  if (plan.data_dir.empty()) return {};
  RATCHET_ASSIGN(const auto root, Resolve(plan.data_dir));
  for (const auto& path : plan.read) RATCHET_TRY(CheckPath(WithoutSlash(plan.data_dir), root, path));
  return CheckPath(WithoutSlash(plan.data_dir), root, plan.own_folder);
}

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

std::unique_ptr<PreparedSandbox> PrepareSandbox(SandboxMeans means, const std::string& data_dir) {
  return means == SandboxMeans::kLandlock && !data_dir.empty() ? PrepareLandlock(data_dir) : nullptr;
}

Status EnterSandbox(SandboxMeans means, const SandboxPlan& plan, std::unique_ptr<PreparedSandbox> prepared) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("set", "no_new_privs", errno);
  RATCHET_TRY(CheckPaths(plan));
  switch (means) {
    case SandboxMeans::kNone:
      return {};
    case SandboxMeans::kLandlock:
      RATCHET_TRY(EnterLandlock(plan, std::move(prepared)));
      break;
    case SandboxMeans::kMount:
      RATCHET_TRY(EnterMountNamespace(plan));
      // Without it the kernel gives root no namespace within this one (NarrowToWork). It is of no use for getting more:
      // there are no new privileges.
      return DropCapabilities(1u << CAP_SETFCAP);
  }
  return DropCapabilities(0);
}

Status NarrowToWork(SandboxMeans means, const CommandPlan& plan) {
  switch (means) {
    case SandboxMeans::kNone:
      return {};
    case SandboxMeans::kLandlock:
      RATCHET_TRY(NarrowLandlock(plan));
      break;
    case SandboxMeans::kMount:
      RATCHET_TRY(NarrowMounts(plan));
      break;
  }
  return DropCapabilities(0);
}

}  // namespace ratchet::worker
