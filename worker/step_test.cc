#include <spdlog/fmt/fmt.h>
#include <torch/script.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/files.h"
#include "base/names.h"
#include "lake/pack.h"
#include "plugins/sdk/torch_bundle.h"
#include "registry/bundle_manifest.h"
#include "worker/bundle_check.h"
#include "worker/progress_log.h"
#include "worker/scoring.h"
#include "worker/steps.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;
using registry::Task;

constexpr std::int64_t kBatchRows = 256;

// The target of a batch in both forms that scores need; the one of the other task is empty.
struct Targets {
  lake::Column column;
  lake::ColumnBatch values;
};

// One side of the comparison: something that can be scored on a batch of the holdout.
class Side {
 public:
  virtual ~Side() = default;
  virtual Status Score(Metric metric, const lake::Schema& schema, const lake::Batch& batch, const Targets& targets) = 0;
  ScoreColumn column;
};

class ModelSide final : public Side {
 public:
  static Result<std::unique_ptr<ModelSide>> Load(const BundleFiles& files) {
    RATCHET_ASSIGN(const auto text, SystemFiles().Read(files.manifest, registry::kMaxManifestBytes));
    RATCHET_ASSIGN(auto manifest, registry::ParseManifest(text));
    RATCHET_ASSIGN(auto module, sdk::LoadModel(files.model));
    return std::unique_ptr<ModelSide>(new ModelSide(std::move(manifest), std::move(module)));
  }

  const registry::BundleManifest& manifest() const { return manifest_; }

  Status Score(Metric metric, const lake::Schema& schema, const lake::Batch& batch, const Targets& targets) override {
    const auto& signature = manifest_.signature;
    RATCHET_ASSIGN(const auto outputs, Forward(module_, signature, schema, batch));
    const auto answers = outputs.at(0).to(torch::kFloat64).contiguous();
    const std::span<const double> values(answers.data_ptr<double>(), static_cast<size_t>(answers.numel()));
    if (signature.task == Task::kRegression) {
      if (answers.numel() != batch.rows) return Fail(ErrorCode::kInvalid, "score", "output", "not one number a row");
      RATCHET_ASSIGN(const auto numbers, TargetNumbers(targets.column, targets.values));
      ScoreNumbers(metric, values, numbers, column);
      return {};
    }
    const auto classes = static_cast<std::int64_t>(registry::ClassCount(signature.classes));
    if (answers.numel() != batch.rows * classes)
      return Fail(ErrorCode::kInvalid, "score", "output", "not one probability for each class");
    RATCHET_ASSIGN(const auto indexes, TargetIndexes(signature.classes, targets.column, targets.values));
    ScoreClasses(metric, values, classes, indexes, column);
    return {};
  }

 private:
  ModelSide(registry::BundleManifest manifest, torch::jit::Module module)
      : manifest_(std::move(manifest)), module_(std::move(module)) {}
  registry::BundleManifest manifest_;
  torch::jit::Module module_;
};

// What the first version must beat: the majority class, with the classes' shares as its probabilities, or the mean;
// both of the training rows.
class BaselineSide final : public Side {
 public:
  static Result<std::unique_ptr<BaselineSide>> Learn(const StepSpec& spec, Task task) {
    RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(spec.train, {spec.data.target}));
    std::unique_ptr<BaselineSide> side(new BaselineSide(task));
    const auto& target = reader->schema().columns.at(0);
    for (;;) {
      RATCHET_ASSIGN(const auto batch, reader->Next(4096));
      if (batch.rows == 0) return side;
      RATCHET_TRY(side->Add(target, batch.columns.at(0)));
    }
  }

  Status Score(Metric metric, const lake::Schema&, const lake::Batch& batch, const Targets& targets) override {
    if (task_ == Task::kRegression) {
      const double mean = count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
      const std::vector<double> predictions(static_cast<size_t>(batch.rows), mean);
      RATCHET_ASSIGN(const auto numbers, TargetNumbers(targets.column, targets.values));
      ScoreNumbers(metric, predictions, numbers, column);
      return {};
    }
    const auto majority = std::ranges::max_element(counts_, {}, [](const auto& entry) { return entry.second; });
    for (size_t row = 0; row < targets.values.missing.size(); ++row) {
      if (targets.values.missing[row] != 0) continue;
      const auto key = Key(targets.column, targets.values, row);
      const auto it = counts_.find(key);
      const double share = it == counts_.end() ? 0 : static_cast<double>(it->second) / static_cast<double>(count_);
      const bool correct = majority != counts_.end() && majority->first == key;
      column.scores.emplace_back(metric == Metric::kAccuracy ? (correct ? 1.0 : 0.0) : LogLoss(share));
    }
    return {};
  }

 private:
  explicit BaselineSide(Task task) : task_(task) {}

  static lake::Value Key(const lake::Column& column, const lake::ColumnBatch& values, size_t row) {
    if (column.type == lake::ColumnType::kInteger) return values.integers[row];
    if (column.type == lake::ColumnType::kReal) return values.reals[row];
    return values.texts.empty() ? std::string() : values.texts[row];
  }

  Status Add(const lake::Column& column, const lake::ColumnBatch& values) {
    if (task_ == Task::kRegression) {
      RATCHET_ASSIGN(const auto numbers, TargetNumbers(column, values));
      for (const auto& number : numbers)
        if (number) sum_ += *number, ++count_;
      return {};
    }
    for (size_t row = 0; row < values.missing.size(); ++row)
      if (values.missing[row] == 0) ++counts_[Key(column, values, row)], ++count_;
    return {};
  }

  Task task_;
  double sum_ = 0;
  std::int64_t count_ = 0;
  std::map<lake::Value, std::int64_t> counts_;
};

// The columns of the holdout that scoring reads, each once.
std::vector<std::string> ColumnsToRead(const StepSpec& spec, const ModelSide& candidate, const ModelSide* live) {
  std::set<std::string> wanted{spec.data.target};
  wanted.insert(spec.slices.begin(), spec.slices.end());
  for (const auto* side : {&candidate, live})
    if (side != nullptr)
      for (auto& column : InputColumns(side->manifest().signature)) wanted.insert(column);
  return {wanted.begin(), wanted.end()};
}

lake::Value CellOf(const lake::Column& column, const lake::ColumnBatch& values, size_t row) {
  if (values.missing[row] != 0) return std::monostate{};
  switch (column.type) {
    case lake::ColumnType::kInteger:
      return values.integers[row];
    case lake::ColumnType::kReal:
      return values.reals[row];
    case lake::ColumnType::kText:
      return values.texts[row];
    case lake::ColumnType::kBlob:
      return std::monostate{};
  }
  return std::monostate{};
}

// The comparison as it goes over the holdout once.
struct Comparison {
  Metric metric = Metric::kAccuracy;
  Side* candidate = nullptr;
  Side* opponent = nullptr;
  std::vector<lake::Column> slice_columns;
  std::vector<lake::Row> slices;  // of every scored row
  std::int64_t rows_without_target = 0;
};

Status ScoreBatch(const StepSpec& spec, const lake::Schema& schema, const lake::Batch& batch, Comparison& comparison) {
  const auto target = static_cast<size_t>(schema.Find(spec.data.target));
  const Targets targets{schema.columns[target], batch.columns[target]};
  RATCHET_TRY(comparison.candidate->Score(comparison.metric, schema, batch, targets));
  RATCHET_TRY(comparison.opponent->Score(comparison.metric, schema, batch, targets));
  for (size_t row = 0; row < targets.values.missing.size(); ++row) {
    if (targets.values.missing[row] != 0) {
      ++comparison.rows_without_target;
      continue;
    }
    lake::Row cells;
    for (const auto& column : comparison.slice_columns) {
      const auto index = static_cast<size_t>(schema.Find(column.name));
      cells.push_back(CellOf(column, batch.columns[index], row));
    }
    comparison.slices.push_back(std::move(cells));
  }
  return {};
}

Status ScoreAll(const StepSpec& spec, lake::PackReader& holdout, ProgressLog& progress, Comparison& comparison) {
  const auto total = holdout.rows();
  std::int64_t done = 0, told = 0;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout.Next(kBatchRows));
    if (batch.rows == 0) return {};
    RATCHET_TRY(ScoreBatch(spec, holdout.schema(), batch, comparison));
    done += batch.rows;
    if (done != total && done * 20 < (told + 1) * total) continue;  // some twenty lines in all
    told = done * 20 / std::max<std::int64_t>(total, 1);
    progress.Append({{"phase", "test"}, {"step", done}, {"steps", total}});
  }
}

Status WriteScores(const StepSpec& spec, const Comparison& comparison) {
  lake::Schema schema{{{"candidate", lake::ColumnType::kReal, {}}, {"opponent", lake::ColumnType::kReal, {}}}};
  schema.columns.insert(schema.columns.end(), comparison.slice_columns.begin(), comparison.slice_columns.end());
  const auto path = spec.folder + "/scores.pack";
  RATCHET_TRY(SystemFiles().RemoveAll(path));
  RATCHET_ASSIGN(const auto writer, lake::PackWriter::Create(path, schema));
  for (size_t row = 0; row < comparison.slices.size(); ++row) {
    lake::Row cells{comparison.candidate->column.scores[row].value_or(0),
                    comparison.opponent->column.scores[row].value_or(0)};
    cells.insert(cells.end(), comparison.slices[row].begin(), comparison.slices[row].end());
    RATCHET_TRY(writer->Add(cells));
  }
  return writer->Finish();
}

std::expected<void, StepError> CheckSlices(const StepSpec& spec, const lake::Schema& schema) {
  for (const auto& slice : spec.slices) {
    const int index = schema.Find(slice);
    if (index < 0) return UserFault(fmt::format("the dataset has no column {} for test.slices", Quoted(slice)));
    if (schema.columns[static_cast<size_t>(index)].type == lake::ColumnType::kBlob)
      return UserFault(fmt::format("test.slices: column {} holds blobs, which are no groups", Quoted(slice)));
    if (slice == "candidate" || slice == "opponent")
      return UserFault(fmt::format("test.slices: the name {} is taken by the scores", slice), "Rename the column.");
  }
  return {};
}

std::expected<void, StepError> CheckFit(const StepSpec& spec, const ModelSide& candidate, const ModelSide* live,
                                        const lake::Schema& schema) {
  if (schema.Find(spec.data.target) < 0)
    return UserFault(fmt::format("the dataset has no target column {}", Quoted(spec.data.target)));
  if (const auto fits = CheckColumns(candidate.manifest().signature, schema); !fits)
    return UserFault("the candidate cannot be scored on this data: " + fits.error().Message());
  if (live != nullptr) {
    constexpr char kHint[] = "Push data that it understands, or let the candidate in by `ratchet promote --force`.";
    if (const auto fits = CheckColumns(live->manifest().signature, schema); !fits)
      return UserFault("the live version cannot be scored on this data: " + fits.error().Message(), kHint);
    if (live->manifest().signature.task != candidate.manifest().signature.task)
      return UserFault("the live version is of another task than the candidate", kHint);
  }
  return CheckSlices(spec, schema);
}

std::expected<std::unique_ptr<Side>, StepError> LearnBaseline(const StepSpec& spec, Task task) {
  const std::string own = task == Task::kClassification ? "majority" : "mean";
  if (spec.baseline != "auto" && spec.baseline != own)
    return UserFault(fmt::format("gate.baseline: {} is none for {}", Quoted(spec.baseline), registry::TaskName(task)),
                     "Use auto or " + own + ".");
  RATCHET_STEP_ASSIGN(auto baseline, BaselineSide::Learn(spec, task));
  return std::unique_ptr<Side>(std::move(baseline));
}

json Summary(const Comparison& comparison, std::string_view opponent_kind) {
  const auto rows = static_cast<std::int64_t>(comparison.slices.size());
  return {{"metric", MetricName(comparison.metric)},
          {"higher_is_better", HigherIsBetter(comparison.metric)},
          {"rows", rows},
          {"candidate", Summarise(comparison.metric, comparison.candidate->column)},
          {"opponent", Summarise(comparison.metric, comparison.opponent->column)},
          {"opponent_kind", opponent_kind},
          {"per_row", PerRowName(comparison.metric)},
          {"metrics",
           {{"non_finite_rows", comparison.candidate->column.non_finite_rows},
            {"opponent_non_finite_rows", comparison.opponent->column.non_finite_rows},
            {"rows_without_target", comparison.rows_without_target}}}};
}

}  // namespace

StepOutcome RunTest(const StepSpec& spec, const Clock& clock) {
  if (!spec.candidate || spec.holdout.empty()) return InternalFault("a test step needs a candidate and a holdout");
  RATCHET_STEP_ASSIGN(const auto candidate, ModelSide::Load(*spec.candidate));
  std::unique_ptr<ModelSide> live;
  if (spec.live) {
    RATCHET_STEP_ASSIGN(live, ModelSide::Load(*spec.live));
  }
  const auto& manifest = candidate->manifest();
  const auto task = manifest.signature.task;
  Comparison comparison{.candidate = candidate.get(), .opponent = live.get()};
  RATCHET_STEP_ASSIGN(comparison.metric, ParseMetric(spec.metric.empty() ? manifest.metric : spec.metric, task));
  RATCHET_STEP_ASSIGN(const auto whole, lake::PackReader::Open(spec.holdout));
  if (auto fits = CheckFit(spec, *candidate, live.get(), whole->schema()); !fits) return std::unexpected(fits.error());
  std::unique_ptr<Side> baseline;
  if (live == nullptr) {
    auto learned = LearnBaseline(spec, task);
    if (!learned) return std::unexpected(learned.error());
    baseline = std::move(*learned);
    comparison.opponent = baseline.get();
  }
  for (const auto& slice : spec.slices)
    comparison.slice_columns.push_back(whole->schema().columns[static_cast<size_t>(whole->schema().Find(slice))]);
  RATCHET_STEP_ASSIGN(const auto reader,
                      lake::PackReader::Open(spec.holdout, ColumnsToRead(spec, *candidate, live.get())));
  ProgressLog progress(spec.folder, clock);
  RATCHET_STEP_TRY(ScoreAll(spec, *reader, progress, comparison));
  if (comparison.slices.empty())
    return UserFault("the holdout has no row with a target", "Push more rows, or raise data.split.holdout.");
  Settle(comparison.metric, candidate->column, comparison.opponent->column);
  RATCHET_STEP_TRY(WriteScores(spec, comparison));
  const auto baseline_kind = task == Task::kClassification ? "majority" : "mean";
  return Summary(comparison, live != nullptr ? "live" : baseline_kind);
}

}  // namespace ratchet::worker
