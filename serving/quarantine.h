#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "serving/call_marks.h"

namespace ratchet::serving {

inline constexpr int kFaultsToQuarantine = 3;
inline constexpr std::int64_t kFaultWindowUs = 60'000'000;
// With this a replica's reason for not loading a version begins where the version has taken the process with it.
inline constexpr char kQuarantined[] = "quarantined: ";

// Bundles that took the process with them kFaultsToQuarantine times within kFaultWindowUs, each with what happened. Pure.
std::map<std::string, std::string> Repeaters(const std::vector<Fault>& faults);

// Which bundles are not to be loaded any more. A file a bundle in a folder of its own: removing it lets the bundle in
// again. Looked at by one thread.
class Quarantine {
 public:
  // Adds what the last process died of to what is kept of those before it. `now_us`: wall time.
  static Result<Quarantine> Open(Files& files, const std::string& folder, const std::vector<Fault>& last, std::int64_t now_us);

  // Why the bundle is not to be loaded; nothing where it may be.
  std::optional<std::string> Why(const std::string& bundle) const;

 private:
  Quarantine(Files& files, std::string folder) : files_(&files), folder_(std::move(folder)) {}
  Files* files_;
  std::string folder_;
};

}  // namespace ratchet::serving
