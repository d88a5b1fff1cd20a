#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/http_types.h"

namespace ratchet::daemon {

struct TarFile {
  std::string name;  // in the archive
  std::string path;  // on the disk
};

// Sends the files as one tar, piece by piece; false when the client has gone or a file cannot be read. By libarchive.
bool SendTar(const std::vector<TarFile>& files, const Send& send);

}  // namespace ratchet::daemon
