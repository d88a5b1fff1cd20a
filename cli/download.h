#pragma once

#include <string>

#include "base/result.h"
#include "cli/client.h"
#include "cli/context.h"

namespace ratchet::cli {

// Writes the answer of `from` to the file, or to standard output where `path` is "-", and notes its size as that of `what`. The
// file is there as a whole or not at all. kNotFound and the like as the server answers; as of errno for the file.
Status DownloadTo(Context& context, Client& client, const std::string& from, const std::string& path, const std::string& what);

}  // namespace ratchet::cli
