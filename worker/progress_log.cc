#include "worker/progress_log.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <utility>

#include "base/names.h"

namespace ratchet::worker {
namespace {
constexpr int kMostComplaints = 10;
}

ProgressLog::ProgressLog(const std::string& folder, const Clock& clock)
    : clock_(clock),
      file_(open((folder + "/progress.jsonl").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644)) {}

ProgressLog::~ProgressLog() {
  if (file_ >= 0) close(file_);
}

void ProgressLog::Append(nlohmann::json line) {
  line["at"] = clock_.WallUs();
  if (const auto it = line.find("metrics"); it != line.end() && it->is_object() && !it->empty()) last_metrics_ = *it;
  const auto text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (file_ >= 0) (void)!write(file_, text.data(), text.size());
}

void ProgressLog::Report(const sdk::Progress& progress) {
  nlohmann::json line = nlohmann::json::object();
  if (!progress.phase.empty()) line["phase"] = progress.phase;
  if (progress.epoch > 0) line["epoch"] = progress.epoch;
  if (progress.of > 0) line["of"] = progress.of;
  if (progress.from > 0) line["from"] = progress.from;
  if (progress.step > 0) line["step"] = progress.step;
  if (progress.steps > 0) line["steps"] = progress.steps;
  if (progress.rows_per_s > 0) line["rows_per_s"] = progress.rows_per_s;
  if (progress.loss) line["loss"] = *progress.loss;
  if (!progress.metrics.empty()) line["metrics"] = progress.metrics;
  if (!progress.message.empty()) line["message"] = progress.message;
  // The ends of epochs and what a recipe has to say stay in the step's log; the rest only passes by.
  if (!progress.metrics.empty() || !progress.message.empty())
    spdlog::info("{}", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  Append(std::move(line));
}

void ProgressLog::Feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const auto piece = bytes.substr(0, end);
    if (!skipping_) partial_ += piece;
    if (partial_.size() > kMaxProgressLineBytes) {
      Complain("is too long", partial_);
      partial_.clear();
      skipping_ = true;
    }
    if (end == std::string_view::npos) return;
    if (!skipping_) FeedLine(std::exchange(partial_, {}));
    skipping_ = false;
    bytes.remove_prefix(end + 1);
  }
}

void ProgressLog::FeedLine(std::string_view line) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  auto parsed = nlohmann::json::parse(line, nullptr, false);
  if (parsed.is_object())
    Append(std::move(parsed));
  else
    Complain("is no JSON object", line);
}

void ProgressLog::Complain(std::string_view what, std::string_view line) {
  if (++complaints_ <= kMostComplaints) spdlog::warn("a progress line {}: {}", what, Quoted(line));
}

}  // namespace ratchet::worker
