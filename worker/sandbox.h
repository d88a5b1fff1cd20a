#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// What keeps a step away from the data directory, the holdout above all.
//
// What holds inside, with Landlock (any ABI):
//  - below the data directory nothing can be opened, listed, made, linked or removed but the step's own folder (all
//    rights) and the listed paths (reading); by no other path either: symbolic and hard links, bind mounts,
//    /proc/PID/root and /proc/PID/fd of processes outside give nothing.
//  - everything else can be read and executed, so a Python of the user's home works; but the folders above the data
//    directory cannot be listed themselves.
//  - written is only the own folder and the usual device nodes. Not /tmp and not /dev/shm: they are nobody's quota.
//    TMPDIR points into the own folder instead.
//  - processes outside cannot be traced (ABI 1), signalled or reached by abstract sockets (ABI 6).
// Landlock does not govern chmod, chown, utime and stat, nor truncate(2) before ABI 3.
//
// With a user and mount namespace (where there is no Landlock) the data directory is replaced by an empty one that
// holds just the own folder and the listed paths, and /dev/shm is a small one of the step's own; writing elsewhere is
// then left to the file permissions, and processes of the same user can be signalled.
//
// A trainer's command is shut in once more (NarrowToWork): of the step's folder it writes only what is made for it, so
// what the daemon reads there (result.json, the bundle, the log) is the step's own word. It cannot trace the step's
// process. Where it can signal it (Landlock before ABI 6, mount namespaces) it gains nothing: a step that is killed
// leaves no result.json, and so has failed.
//
// Both: no new privileges, and a step of root keeps only the capabilities that concern file permissions.
namespace ratchet::worker {

enum class SandboxMeans { kNone, kLandlock, kMount };

std::string_view SandboxMeansName(SandboxMeans means);  // "landlock", "mount", "none"
std::optional<SandboxMeans> ParseSandboxMeans(std::string_view name);

// The best means that this kernel gives this user. Tries a namespace in a child process if need be.
SandboxMeans DetectSandbox();
bool MountNamespacesWork();

struct SandboxPlan {
  std::string data_dir;  // may go through symbolic links; empty: only writing is limited
  std::string own_folder;
  std::vector<std::string> read;  // files or folders; kNotFound if one is not there
};

// kDenied for a path of the plan that leads somewhere else than it says: below the data directory (named or resolved)
// no part of it may be a symbolic link, and from outside none may lead into it. A trainer makes links in its
// checkpoint.
Status CheckPaths(const SandboxPlan& plan);

// What can be had of a sandbox before it is known which step it is for. It keeps a descriptor open, which closes on exec.
class PreparedSandbox {
 public:
  virtual ~PreparedSandbox() = default;
  virtual int descriptor() const = 0;
};

// For steps of this data directory; null where nothing can be made ahead (no Landlock, an empty name). A data directory
// beside a thousand other entries costs some milliseconds here.
std::unique_ptr<PreparedSandbox> PrepareSandbox(SandboxMeans means, const std::string& data_dir);

// Shuts this process and all its descendants in, for good. The process must have one thread. Descriptors that are open
// already keep their rights: close what must not be had. `prepared` by the same means or null; where it is of another
// data directory, or what lies around that has changed since, it is made anew.
Status EnterSandbox(SandboxMeans means, const SandboxPlan& plan, std::unique_ptr<PreparedSandbox> prepared = nullptr);

struct CommandPlan {
  std::string step_folder;            // of the sandbox that this process is in
  std::vector<std::string> writable;  // folders of it that the command may write; no symbolic links
};

// A second, narrower sandbox within the first, by the same means: of the step's folder only `writable` is written any
// more. For the process that becomes a trainer's command; one thread. Nothing with kNone.
Status NarrowToWork(SandboxMeans means, const CommandPlan& plan);

}  // namespace ratchet::worker
