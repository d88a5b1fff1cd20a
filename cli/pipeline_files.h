#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/client.h"

namespace ratchet::cli {

// A pipeline spec read from a file, with what must travel with it.
struct SpecFile {
  std::string text;
  std::string model;                         // the spec's `model`; empty where it cannot be told
  std::map<std::string, std::string> files;  // its commands' own files: name as written → content
  std::vector<std::string> missing;          // words of commands that are named like scripts and are not there
};

inline constexpr std::size_t kCommandFileLimitBytes = 1 << 20;

// Reads the spec and, beside it, each regular file that train.command or a step's command names by a relative path
// without "..". A spec that is not YAML is still returned, for the server to say what is wrong with it, with the line.
Result<SpecFile> ReadSpecFile(const std::string& path);

// The body for PUT and validate: YAML alone, or JSON with the files in base64.
RequestBody SpecRequest(const SpecFile& spec);

std::string Base64(std::string_view bytes);

}  // namespace ratchet::cli
