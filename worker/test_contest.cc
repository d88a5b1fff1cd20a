#include "worker/test_contest.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "base/files.h"
#include "base/names.h"
#include "lake/pack.h"
#include "worker/bundle_check.h"
#include "worker/cells.h"

namespace ratchet::worker {
namespace {

using registry::BundleManifest;
using registry::Signature;
using registry::Task;

std::expected<void, StepError> CheckSlices(const StepSpec& spec, const lake::Schema& schema) {
  for (const auto& slice : spec.slices) {
    const int index = schema.Find(slice);
    if (index < 0) return UserFault(fmt::format("the dataset has no column {} for test.slices", Quoted(slice)));
    if (schema.columns[static_cast<size_t>(index)].type == lake::ColumnType::kBlob)
      return UserFault(fmt::format("test.slices: column {} holds blobs, which are no groups", Quoted(slice)));
    if (slice.starts_with(kCandidateColumns) || slice.starts_with(kOpponentColumns) || slice == kTargetColumn)
      return UserFault(fmt::format("test.slices: the name {} is taken by the scores", Quoted(slice)), "Rename the column.");
  }
  return {};
}

std::expected<void, StepError> CheckFit(const StepSpec& spec, const Contest& contest, const lake::Schema& schema) {
  if (schema.Find(spec.data.target) < 0)
    return UserFault(fmt::format("the dataset has no target column {}", Quoted(spec.data.target)));
  if (const auto fits = CheckColumns(contest.candidate.signature, schema); !fits)
    return UserFault("the candidate cannot be scored on this data: " + fits.error().Message());
  return CheckSlices(spec, schema);
}

// What the spec names; else what the recipe does for its own metric; else what is best under the metric.
std::string NameBaseline(const StepSpec& spec, const PluginHost& plugins, Task task, const std::string& metric) {
  if (spec.baseline != "auto" && spec.baseline != kReset) return spec.baseline;
  const sdk::Recipe* recipe = plugins.Find(spec.recipe);
  if (recipe != nullptr && recipe->Info().metric == metric && !recipe->Info().baseline.empty()) return recipe->Info().baseline;
  return BestBaseline(task, metric);
}

Result<BundleManifest> ReadManifest(const BundleFiles& files) {
  RATCHET_ASSIGN(const auto text, SystemFiles().Read(files.manifest, registry::kMaxManifestBytes));
  return registry::ParseManifest(text);
}

// The live version's manifest where it can be scored on such rows, as far as can be told before it is loaded.
Result<std::variant<BundleManifest, Unscorable>> CheckLive(const StepSpec& spec, Task task, const lake::Schema& schema) {
  auto manifest = ReadManifest(*spec.live);
  if (!manifest) {
    if (manifest.error().code != ErrorCode::kInvalid && manifest.error().code != ErrorCode::kCorrupt)
      return std::unexpected(manifest.error());
    return Unscorable{"manifest", ShortMessage(manifest.error().Message())};
  }
  const Signature& signature = manifest->signature;
  if (signature.task != task)
    return Unscorable{"task", fmt::format("it is for {}, and the candidate is for {}", registry::TaskName(signature.task),
                                          registry::TaskName(task))};
  if (const auto fits = CheckColumns(signature, schema); !fits) return Unscorable{"columns", ShortMessage(fits.error().Message())};
  const auto& target = schema.columns[static_cast<size_t>(schema.Find(spec.data.target))];
  if (task == Task::kClassification)
    if (const auto fits = CheckTarget(signature.classes, target); !fits) return Unscorable{"target", ShortMessage(fits.error().Message())};
  return std::move(*manifest);
}

// Every class that a side may answer or a row may ask for.
Status ListClasses(const StepSpec& spec, Contest& contest) {
  for (const auto* side : {&contest.candidate, contest.live ? &*contest.live : nullptr})
    if (side != nullptr)
      for (auto& value : ClassValues(side->signature.classes)) contest.classes.Add(std::move(value));
  if (contest.baseline) contest.baseline->AddClassesTo(contest.classes);
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout, {spec.data.target}));
  const auto& column = holdout->schema().columns.at(0);
  RATCHET_TRY(CheckTarget(contest.candidate.signature.classes, column));
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(4096));
    if (batch.rows == 0) break;
    for (size_t row = 0; row < static_cast<size_t>(batch.rows); ++row)
      if (batch.columns[0].missing[row] == 0) contest.classes.Add(ClassOf(column, batch.columns[0], row));
  }
  contest.classes.Close();
  if (contest.baseline) contest.baseline->Know(contest.classes);
  return {};
}

Status AddTargets(const lake::Column& column, const lake::Batch& batch, Contest& contest) {
  if (!contest.Classifies()) {
    RATCHET_ASSIGN(const auto numbers, TargetNumbers(column, batch.columns[0]));
    contest.targets.numbers.insert(contest.targets.numbers.end(), numbers.begin(), numbers.end());
    contest.rows_without_target += std::ranges::count_if(numbers, [](double number) { return !std::isfinite(number); });
    return {};
  }
  for (size_t row = 0; row < static_cast<size_t>(batch.rows); ++row) {
    contest.targets.classes.push_back(contest.classes.Find(ClassOf(column, batch.columns[0], row)));
    contest.rows_without_target += contest.targets.classes.back() < 0 ? 1 : 0;
  }
  return {};
}

Status ReadTargets(const StepSpec& spec, Contest& contest) {
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout, {spec.data.target}));
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(4096));
    if (batch.rows == 0) return {};
    RATCHET_TRY(AddTargets(holdout->schema().columns.at(0), batch, contest));
  }
}

// Names a few of the classes.
std::string Listed(std::vector<std::string> names) {
  constexpr size_t kMost = 5;
  const bool more = names.size() > kMost;
  names.resize(std::min(names.size(), kMost));
  return fmt::format("{}{}", fmt::join(names, ", "), more ? ", …" : "");
}

std::expected<void, StepError> ReadRows(const StepSpec& spec, Contest& contest) {
  if (contest.Classifies()) RATCHET_STEP_TRY(ListClasses(spec, contest));
  RATCHET_STEP_TRY(ReadTargets(spec, contest));
  if (contest.ScoredRows() == 0)
    return UserFault("the holdout has no row with a target", "Push more rows, or raise data.split.holdout.");
  if (!NeedsTwoClasses(contest.metric) || contest.classes.size() == 2) return {};
  return UserFault(fmt::format("test.metric: {} is for two classes, and the models and the holdout have {}: {}", contest.metric,
                               contest.classes.size(), Listed(contest.classes.Names())),
                   "Use macro_f1 or log_loss.");
}

std::expected<void, StepError> FindLive(const StepSpec& spec, const lake::Schema& schema, Contest& contest) {
  if (!spec.live || contest.unscorable) return {};
  RATCHET_STEP_ASSIGN(auto live, CheckLive(spec, contest.candidate.signature.task, schema));
  if (auto* manifest = std::get_if<BundleManifest>(&live)) contest.live = std::move(*manifest);
  else contest.unscorable = std::get<Unscorable>(std::move(live));
  return {};
}

std::expected<void, StepError> FindBaseline(const StepSpec& spec, const PluginHost& plugins, Contest& contest) {
  if (contest.live) return {};
  const Task task = contest.candidate.signature.task;
  const auto name = NameBaseline(spec, plugins, task, contest.metric);
  RATCHET_STEP_ASSIGN(contest.baseline, Baseline::Learn(name, task, spec.train, spec.data.target));
  return {};
}

}  // namespace

bool Contest::HasTarget(size_t row) const { return Classifies() ? targets.classes[row] >= 0 : std::isfinite(targets.numbers[row]); }

size_t Contest::ScoredRows() const {
  const size_t all = Classifies() ? targets.classes.size() : targets.numbers.size();
  return all - static_cast<size_t>(rows_without_target + leaked_rows);
}

std::expected<Contest, StepError> PrepareContest(const StepSpec& spec, const PluginHost& plugins,
                                                 std::optional<Unscorable> live_fault) {
  if (!spec.candidate || spec.holdout.empty()) return InternalFault("a test step needs a candidate and a holdout");
  Contest contest{.unscorable = std::move(live_fault)};
  RATCHET_STEP_ASSIGN(contest.candidate, ReadManifest(*spec.candidate));
  contest.metric = spec.metric.empty() ? contest.candidate.metric : spec.metric;
  RATCHET_STEP_TRY(CheckMetric(contest.metric, contest.candidate.signature.task));
  RATCHET_STEP_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout));
  const lake::Schema& schema = holdout->schema();
  if (auto fits = CheckFit(spec, contest, schema); !fits) return std::unexpected(fits.error());
  if (auto found = FindLive(spec, schema, contest); !found) return std::unexpected(found.error());
  if (contest.unscorable && spec.baseline != kReset) return contest;  // nothing to compare with
  for (const auto& slice : spec.slices) contest.slice_columns.push_back(schema.columns[static_cast<size_t>(schema.Find(slice))]);
  if (auto found = FindBaseline(spec, plugins, contest); !found) return std::unexpected(found.error());
  if (auto read = ReadRows(spec, contest); !read) return std::unexpected(read.error());
  return contest;
}

std::expected<void, StepError> LeaveOut(const LeakCheck& check, Contest& contest) {
  for (size_t row = 0; row < check.dropped.size(); ++row) {
    if (check.dropped[row] == 0 || !contest.HasTarget(row)) continue;
    if (contest.Classifies()) contest.targets.classes[row] = -1;
    else contest.targets.numbers[row] = std::nan("");
    ++contest.leaked_rows;
  }
  if (contest.ScoredRows() > 0) return {};
  return UserFault("every sealed row with a target stands in training as well, so there is none to judge on",
                   "Push other rows, or judge on these all the same: data.leakage: {equal: warn, near: warn}.");
}

TestedHoldout HoldoutOf(const StepSpec& spec, const Contest& contest) {
  return {.packs = spec.holdout, .scored_rows = static_cast<std::int64_t>(contest.ScoredRows()),
          .has_target = [&contest](size_t row) { return contest.HasTarget(row); }};
}

std::string ShortMessage(const std::string& text) {
  constexpr size_t kMostBytes = 300;
  std::string line = text.substr(0, text.find('\n'));
  if (line.size() <= kMostBytes) return line;
  size_t end = kMostBytes;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
  return line.substr(0, end) + "…";
}

}  // namespace ratchet::worker
