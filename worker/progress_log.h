#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "plugins/sdk/recipe.h"

namespace ratchet::worker {

inline constexpr size_t kMaxProgressLineBytes = 16 << 10;

// Appends to FOLDER/progress.jsonl; each line gets the time as `at`. What can't be written is dropped: progress is for
// people, and never a reason to fail. One thread.
class ProgressLog {
 public:
  ProgressLog(const std::string& folder, const Clock& clock);
  ~ProgressLog();
  ProgressLog(const ProgressLog&) = delete;
  ProgressLog& operator=(const ProgressLog&) = delete;

  void Append(nlohmann::json line);
  void Report(const sdk::Progress& progress);

  // Bytes of a trainer's own reports, cut anywhere. A line that is no JSON object or too long is told on stderr, the
  // first few times.
  void Feed(std::string_view bytes);

  // `metrics` of the last line that had some.
  const nlohmann::json& last_metrics() const { return last_metrics_; }

 private:
  void FeedLine(std::string_view line);
  void Complain(std::string_view what, std::string_view line);

  const Clock& clock_;
  int file_ = -1;
  std::string partial_;
  bool skipping_ = false;  // the rest of a line that was too long
  int complaints_ = 0;
  nlohmann::json last_metrics_ = nlohmann::json::object();
};

}  // namespace ratchet::worker
