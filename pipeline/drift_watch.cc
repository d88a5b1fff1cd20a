#include "pipeline/drift_watch.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "lake/drift.h"
#include "lake/manifest.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;

constexpr int kNiceness = 10;                     // serving and the control loop come first
constexpr std::chrono::milliseconds kPause{200};  // between looks, however many commits there are
constexpr std::chrono::seconds kLongestWait{60};  // failures are tried again then
constexpr std::int64_t kRetryAfterUs = 60'000'000;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// The training packs up to and after the dataset version that the live version was trained on.
struct Sides {
  std::vector<std::string> before, now;
  std::int64_t new_rows = 0;
};

Sides SidesOf(const lake::Manifest& manifest, std::int64_t trained_on) {
  Sides sides;
  for (const lake::Segment& segment : manifest.segments) {
    if (segment.split != lake::Split::kTrain) continue;
    const bool is_new = segment.push > trained_on;
    (is_new ? sides.now : sides.before).push_back(segment.sha256);
    if (is_new) sides.new_rows += segment.rows;
  }
  return sides;
}

// In the schema's order.
std::vector<std::string> ColumnsToCompare(const Json& bundle, const lake::Manifest& manifest) {
  std::vector<std::string> inputs;
  for (const Json& input : bundle.value("/signature/inputs"_json_pointer, Json::array()))
    inputs.push_back(input.value("column", input.value("name", "")));
  const std::string target = bundle.value("target", "");
  const bool reads_columns =
      std::ranges::any_of(inputs, [&](const auto& name) { return manifest.schema.Find(name) >= 0; });
  std::vector<std::string> columns;
  for (const lake::Column& column : manifest.schema.columns) {
    const bool is_input =
        reads_columns ? std::ranges::count(inputs, column.name) > 0 : column.name != manifest.split.key;
    if (is_input || column.name == target) columns.push_back(column.name);
  }
  return columns;
}

Json ReportOf(lake::Drift drift, std::int64_t rows_before, std::int64_t rows_now) {
  Json report = {{"rows_before", rows_before}, {"rows_now", rows_now}};
  if (drift.worst >= 0) report["worst_column"] = drift.columns[static_cast<size_t>(drift.worst)].column;
  std::ranges::stable_sort(drift.columns, std::ranges::greater{}, &lake::ColumnDrift::psi);
  if (drift.columns.size() > kDriftColumnsKept) drift.columns.resize(kDriftColumnsKept);
  report["columns"] = Json::parse(lake::ColumnDriftsToJson(drift.columns));
  return report;
}

}  // namespace

void DriftWatch::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void DriftWatch::Wake() {
  std::lock_guard lock(mutex_);
  wake_asked_ = true;
  woken_.notify_all();
}

void DriftWatch::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void DriftWatch::Run(const std::stop_token& stop) {
  setpriority(PRIO_PROCESS, 0, kNiceness);  // on Linux: of the calling thread
  while (!stop.stop_requested()) {
    Look(stop);
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, stop, kPause, [] { return false; });
    woken_.wait_for(lock, stop, kLongestWait, [this] { return wake_asked_; });
    wake_asked_ = false;
  }
}

void DriftWatch::Look(const std::stop_token& stop) {
  auto all = store_.Read([](Db& db) -> Result<std::vector<registry::DriftDue>> { return registry::DriftsDue(db); });
  if (!all) return spdlog::error("{}", all.error().Message());
  std::erase_if(passed_over_, [&](const auto& entry) {
    return std::ranges::count(*all, entry.first, &registry::DriftDue::pipeline) == 0;
  });
  for (const registry::DriftDue& due : *all) {
    if (stop.stop_requested()) return;
    if (IsPassedOver(due)) continue;
    auto report = Compare(due, stop);
    Status done = report ? Status() : Status(std::unexpected(report.error()));
    if (report && *report)
      done = store_.Write([&](Db& db) -> Status {
        registry::KeepDrift(db, due.pipeline, **report);
        return {};
      });
    if (stop.stop_requested()) return;
    if (!done) spdlog::error("drift of pipeline {}: {}", due.pipeline, done.error().Message());
    if (!done || !*report)
      passed_over_[due.pipeline] = {due.dataset_version, due.live,
                                    done ? kNever : clock_.MonotonicUs() + kRetryAfterUs};
  }
}

bool DriftWatch::IsPassedOver(const registry::DriftDue& due) const {
  const auto known = passed_over_.find(due.pipeline);
  return known != passed_over_.end() && known->second.dataset_version == due.dataset_version &&
         known->second.live == due.live && clock_.MonotonicUs() < known->second.retry_at_us;
}

Result<std::optional<registry::DriftReport>> DriftWatch::Compare(const registry::DriftDue& due,
                                                                 const std::stop_token& stop) {
  RATCHET_ASSIGN(const std::string text, blobs_.Read(due.dataset_manifest));
  RATCHET_ASSIGN(const lake::Manifest manifest, lake::ManifestFromJson(text));
  const Sides sides = SidesOf(manifest, due.trained_on);
  if (sides.new_rows < kLeastNewRows || sides.before.empty()) return std::nullopt;
  RATCHET_ASSIGN(const lake::Summary before, summaries_.Of(sides.before, stop));
  RATCHET_ASSIGN(const lake::Summary now, summaries_.Of(sides.now, stop));
  lake::Drift drift = lake::CompareSummaries(before, now, ColumnsToCompare(due.bundle, manifest));
  const double worst = drift.worst < 0 ? 0 : drift.columns[static_cast<size_t>(drift.worst)].psi;
  return registry::DriftReport{.dataset_version = due.dataset_version,
                               .live = due.live,
                               .worst = worst,
                               .report = ReportOf(std::move(drift), before.rows, now.rows),
                               .at = clock_.WallUs()};
}

}  // namespace ratchet::pipeline
