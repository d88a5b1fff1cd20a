#include "base/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ratchet::landlock {
namespace {

constexpr std::uint64_t kRightsOfFiles = kExecute | kWriteFile | kReadFile | kTruncate;
constexpr std::uint64_t kScopeAbstractSocket = 1u << 0, kScopeSignal = 1u << 1;

struct RulesetAttr {
  std::uint64_t handled_access_fs = 0, handled_access_net = 0, scoped = 0;
};
struct __attribute__((packed)) PathRule {
  std::uint64_t allowed = 0;
  std::int32_t fd = -1;
};

}  // namespace

int Abi() {
  constexpr int kVersion = 1;
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Ruleset::~Ruleset() {
  if (fd_ >= 0) close(fd_);
}

Status Ruleset::Create(std::uint64_t governed) {
  const int abi = Abi();
  RulesetAttr attr;
  attr.handled_access_fs = governed;
  if (abi < 2) attr.handled_access_fs &= ~std::uint64_t{kRefer};
  if (abi < 3) attr.handled_access_fs &= ~std::uint64_t{kTruncate};
  attr.scoped = abi >= 6 ? kScopeAbstractSocket | kScopeSignal : 0;
  const size_t size = abi >= 6 ? sizeof attr : sizeof attr.handled_access_fs;
  handled_ = attr.handled_access_fs;
  fd_ = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attr, size, 0));
  if (fd_ < 0) return FailErrno("create", "Landlock ruleset", errno);
  return {};
}

Status Ruleset::Allow(const std::string& path, std::uint64_t rights) const {
  const int fd = open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return FailErrno("open", path, errno);
  struct stat info {};
  int why = fstat(fd, &info) == 0 ? 0 : errno;
  if (why == 0 && S_ISLNK(info.st_mode)) why = ELOOP;
  if (why == 0) why = Add(fd, S_ISDIR(info.st_mode), rights);
  close(fd);
  if (why != 0) return FailErrno("allow", path, why);
  return {};
}

void Ruleset::AllowEntry(int folder, const dirent& entry, std::uint64_t rights) const {
  if (entry.d_type == DT_LNK) return;
  const int fd = openat(folder, entry.d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  struct stat info {};
  const bool told = entry.d_type != DT_UNKNOWN;
  if (told || (fstat(fd, &info) == 0 && !S_ISLNK(info.st_mode)))
    (void)Add(fd, told ? entry.d_type == DT_DIR : S_ISDIR(info.st_mode), rights);
  close(fd);
}

Status Ruleset::Enforce() const {
  if (syscall(SYS_landlock_restrict_self, fd_, 0) != 0) return FailErrno("enforce", "Landlock ruleset", errno);
  return {};
}

int Ruleset::Add(int fd, bool is_folder, std::uint64_t rights) const {
  constexpr int kRulePathBeneath = 1;
  PathRule rule;
  rule.fd = fd;
  rule.allowed = rights & handled_ & (is_folder ? ~std::uint64_t{0} : kRightsOfFiles);
  return syscall(SYS_landlock_add_rule, fd_, kRulePathBeneath, &rule, 0) == 0 ? 0 : errno;
}

}  // namespace ratchet::landlock
