#pragma once

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
//  - written is only the own folder, /dev/shm and the usual device nodes. Not /tmp: it is nobody's quota. TMPDIR
//    points into the own folder instead.
//  - processes outside cannot be traced (ABI 1), signalled or reached by abstract sockets (ABI 6).
// Landlock does not govern chmod, chown, utime and stat, nor truncate(2) before ABI 3.
//
// With a user and mount namespace (where there is no Landlock) the data directory is replaced by an empty one that
// holds just the own folder and the listed paths; writing elsewhere is then left to the file permissions.
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

// Shuts this process and all its descendants in, for good. The process must have one thread. Descriptors that are open
// already keep their rights: close what must not be had.
Status EnterSandbox(SandboxMeans means, const SandboxPlan& plan);

}  // namespace ratchet::worker
