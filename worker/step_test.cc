#include <ATen/Parallel.h>
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
#include "worker/cells.h"
#include "worker/confined_call.h"
#include "worker/progress_log.h"
#include "worker/scoring.h"
#include "worker/steps.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;
using registry::BundleManifest;
using registry::Signature;
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
  // Runs code of the module's already; see RunTest.
  static Result<std::unique_ptr<ModelSide>> Load(const BundleFiles& files, const Signature& signature) {
    RATCHET_ASSIGN(auto module, sdk::LoadModel(files.model));
    return std::unique_ptr<ModelSide>(new ModelSide(signature, std::move(module)));
  }

  Status Score(Metric metric, const lake::Schema& schema, const lake::Batch& batch, const Targets& targets) override {
    RATCHET_ASSIGN(const auto outputs, Forward(module_, signature_, schema, batch));
    const auto answers = outputs.at(0).to(torch::kFloat64).contiguous();
    const std::span<const double> values(answers.data_ptr<double>(), static_cast<size_t>(answers.numel()));
    if (signature_.task == Task::kRegression) {
      if (answers.numel() != batch.rows) return Fail(ErrorCode::kInvalid, "score", "output", "not one number a row");
      RATCHET_ASSIGN(const auto numbers, TargetNumbers(targets.column, targets.values));
      ScoreNumbers(metric, values, numbers, column);
      return {};
    }
    const auto classes = static_cast<std::int64_t>(registry::ClassCount(signature_.classes));
    if (answers.numel() != batch.rows * classes)
      return Fail(ErrorCode::kInvalid, "score", "output", "not one probability for each class");
    RATCHET_ASSIGN(const auto indexes, TargetIndexes(signature_.classes, targets.column, targets.values));
    ScoreClasses(metric, values, classes, indexes, column);
    return {};
  }

 private:
  ModelSide(const Signature& signature, torch::jit::Module module)
      : signature_(signature), module_(std::move(module)) {}
  const Signature& signature_;
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

// What is settled before a model runs.
struct Contest {
  BundleManifest candidate;
  std::optional<BundleManifest> live;
  std::unique_ptr<BaselineSide> baseline;  // where there is no live version
  Metric metric = Metric::kAccuracy;
  std::vector<lake::Column> slice_columns;
};

// What is heard of the holdout's rows, as they are scored.
struct Heard {
  ScoreColumn candidate, opponent;
  std::vector<lake::Row> slices;  // of every scored row
  std::int64_t rows_without_target = 0;
};

// The columns of the holdout that scoring reads, each once.
std::vector<std::string> ColumnsToRead(const StepSpec& spec, const Contest& contest) {
  std::set<std::string> wanted{spec.data.target};
  wanted.insert(spec.slices.begin(), spec.slices.end());
  for (auto& column : InputColumns(contest.candidate.signature)) wanted.insert(column);
  if (contest.live)
    for (auto& column : InputColumns(contest.live->signature)) wanted.insert(column);
  return {wanted.begin(), wanted.end()};
}

json CellToJson(const lake::Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return nullptr;
}

lake::Value CellFromJson(const json& cell) {
  if (cell.is_number_integer()) return cell.get<std::int64_t>();
  if (cell.is_number_float()) return cell.get<double>();
  if (cell.is_string()) return cell.get<std::string>();
  return std::monostate{};
}

// Takes the scores of a batch out of the side's column: {"scores":[…],"non_finite":0}.
json TakeScores(Side& side) {
  json scores = json::array();
  for (const auto& score : side.column.scores) scores.push_back(score ? json(*score) : json());
  const json taken{{"scores", std::move(scores)}, {"non_finite", side.column.non_finite_rows}};
  side.column = {};
  return taken;
}

void AddScores(const json& told, ScoreColumn& into) {
  for (const auto& score : told.at("scores"))
    into.scores.push_back(score.is_null() ? std::nullopt : std::optional(score.get<double>()));
  into.non_finite_rows += told.at("non_finite").get<std::int64_t>();
}

// Scores of both sides and the cells of the slices, for every row of the batch that has a target.
Result<json> ScoreBatch(const StepSpec& spec, const Contest& contest, Side& candidate, Side& opponent,
                        const lake::Schema& schema, const lake::Batch& batch) {
  const auto target = static_cast<size_t>(schema.Find(spec.data.target));
  const Targets targets{schema.columns[target], batch.columns[target]};
  RATCHET_TRY(candidate.Score(contest.metric, schema, batch, targets));
  RATCHET_TRY(opponent.Score(contest.metric, schema, batch, targets));
  json slices = json::array();
  std::int64_t without_target = 0;
  for (size_t row = 0; row < targets.values.missing.size(); ++row) {
    if (targets.values.missing[row] != 0) {
      ++without_target;
      continue;
    }
    json cells = json::array();
    for (const auto& column : contest.slice_columns)
      cells.push_back(CellToJson(CellAt(column, batch.columns[static_cast<size_t>(schema.Find(column.name))], row)));
    slices.push_back(std::move(cells));
  }
  return json{{"candidate", TakeScores(candidate)},
              {"opponent", TakeScores(opponent)},
              {"slices", std::move(slices)},
              {"without_target", without_target}};
}

// The confined process's part: loads the models and tells the scores, batch by batch.
Status ScoreAll(const StepSpec& spec, Contest& contest, const Tell& tell) {
  RATCHET_ASSIGN(const auto candidate, ModelSide::Load(*spec.candidate, contest.candidate.signature));
  std::unique_ptr<ModelSide> live;
  if (contest.live) {
    RATCHET_ASSIGN(live, ModelSide::Load(*spec.live, contest.live->signature));
  }
  Side& opponent = live != nullptr ? static_cast<Side&>(*live) : *contest.baseline;
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout, ColumnsToRead(spec, contest)));
  const auto total = holdout->rows();
  std::int64_t done = 0, told = 0;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(kBatchRows));
    if (batch.rows == 0) return {};
    RATCHET_ASSIGN(const auto scored, ScoreBatch(spec, contest, *candidate, opponent, holdout->schema(), batch));
    tell({{"scored", scored}});
    done += batch.rows;
    if (done != total && done * 20 < (told + 1) * total) continue;  // some twenty lines in all
    told = done * 20 / std::max<std::int64_t>(total, 1);
    tell({{"progress", {{"phase", "test"}, {"step", done}, {"steps", total}}}});
  }
}

void Hear(const json& told, ProgressLog& progress, Heard& heard) {
  if (told.contains("progress")) return progress.Append(told["progress"]);
  const auto& scored = told.at("scored");
  AddScores(scored.at("candidate"), heard.candidate);
  AddScores(scored.at("opponent"), heard.opponent);
  for (const auto& cells : scored.at("slices")) {
    auto& row = heard.slices.emplace_back();
    for (const auto& cell : cells) row.push_back(CellFromJson(cell));
  }
  heard.rows_without_target += scored.at("without_target").get<std::int64_t>();
}

std::expected<Heard, StepError> HearScores(const StepSpec& spec, Contest& contest, SandboxMeans sandbox,
                                           ProgressLog& progress) {
  Heard heard;
  const auto work = [&](const Tell& tell) -> StepOutcome {
    at::set_num_threads(spec.limits.cpus);
    RATCHET_STEP_TRY(ScoreAll(spec, contest, tell));
    return json::object();
  };
  const auto outcome =
      CallConfined({.means = sandbox,
                    .step_folder = spec.folder,
                    .work = [&](const Tell& tell) { return Guarded(spec, [&] { return work(tell); }); },
                    .hear = [&](const json& told) { Hear(told, progress, heard); }});
  if (!outcome) return std::unexpected(outcome.error());
  const auto rows = heard.slices.size();
  if (heard.candidate.scores.size() != rows || heard.opponent.scores.size() != rows)
    return InternalFault("the models' process told more or fewer scores than rows");
  return heard;
}

Status WriteScores(const StepSpec& spec, const Contest& contest, const Heard& heard) {
  lake::Schema schema{{{"candidate", lake::ColumnType::kReal, {}}, {"opponent", lake::ColumnType::kReal, {}}}};
  schema.columns.insert(schema.columns.end(), contest.slice_columns.begin(), contest.slice_columns.end());
  const auto path = spec.folder + "/scores.pack";
  RATCHET_TRY(SystemFiles().RemoveAll(path));
  RATCHET_ASSIGN(const auto writer, lake::PackWriter::Create(path, schema));
  for (size_t row = 0; row < heard.slices.size(); ++row) {
    lake::Row cells{heard.candidate.scores[row].value_or(0), heard.opponent.scores[row].value_or(0)};
    cells.insert(cells.end(), heard.slices[row].begin(), heard.slices[row].end());
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

std::expected<void, StepError> CheckFit(const StepSpec& spec, const Contest& contest, const lake::Schema& schema) {
  if (schema.Find(spec.data.target) < 0)
    return UserFault(fmt::format("the dataset has no target column {}", Quoted(spec.data.target)));
  if (const auto fits = CheckColumns(contest.candidate.signature, schema); !fits)
    return UserFault("the candidate cannot be scored on this data: " + fits.error().Message());
  if (contest.live) {
    constexpr char kHint[] = "Push data that it understands, or let the candidate in by `ratchet promote --force`.";
    if (const auto fits = CheckColumns(contest.live->signature, schema); !fits)
      return UserFault("the live version cannot be scored on this data: " + fits.error().Message(), kHint);
    if (contest.live->signature.task != contest.candidate.signature.task)
      return UserFault("the live version is of another task than the candidate", kHint);
  }
  return CheckSlices(spec, schema);
}

std::expected<std::unique_ptr<BaselineSide>, StepError> LearnBaseline(const StepSpec& spec, Task task) {
  const std::string own = task == Task::kClassification ? "majority" : "mean";
  if (spec.baseline != "auto" && spec.baseline != own)
    return UserFault(fmt::format("gate.baseline: {} is none for {}", Quoted(spec.baseline), registry::TaskName(task)),
                     "Use auto or " + own + ".");
  RATCHET_STEP_ASSIGN(auto baseline, BaselineSide::Learn(spec, task));
  return baseline;
}

Result<BundleManifest> ReadManifest(const BundleFiles& files) {
  RATCHET_ASSIGN(const auto text, SystemFiles().Read(files.manifest, registry::kMaxManifestBytes));
  return registry::ParseManifest(text);
}

std::expected<Contest, StepError> Prepare(const StepSpec& spec) {
  if (!spec.candidate || spec.holdout.empty()) return InternalFault("a test step needs a candidate and a holdout");
  Contest contest;
  RATCHET_STEP_ASSIGN(contest.candidate, ReadManifest(*spec.candidate));
  if (spec.live) {
    RATCHET_STEP_ASSIGN(contest.live, ReadManifest(*spec.live));
  }
  const auto task = contest.candidate.signature.task;
  RATCHET_STEP_ASSIGN(contest.metric, ParseMetric(spec.metric.empty() ? contest.candidate.metric : spec.metric, task));
  RATCHET_STEP_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout));
  if (auto fits = CheckFit(spec, contest, holdout->schema()); !fits) return std::unexpected(fits.error());
  for (const auto& slice : spec.slices)
    contest.slice_columns.push_back(holdout->schema().columns[static_cast<size_t>(holdout->schema().Find(slice))]);
  if (contest.live) return contest;
  auto learned = LearnBaseline(spec, task);
  if (!learned) return std::unexpected(learned.error());
  contest.baseline = std::move(*learned);
  return contest;
}

json Summary(const Contest& contest, const Heard& heard) {
  const auto baseline_kind = contest.candidate.signature.task == Task::kClassification ? "majority" : "mean";
  return {{"metric", MetricName(contest.metric)},
          {"higher_is_better", HigherIsBetter(contest.metric)},
          {"rows", static_cast<std::int64_t>(heard.slices.size())},
          {"candidate", Summarise(contest.metric, heard.candidate)},
          {"opponent", Summarise(contest.metric, heard.opponent)},
          {"opponent_kind", contest.live ? "live" : baseline_kind},
          {"per_row", PerRowName(contest.metric)},
          {"metrics",
           {{"non_finite_rows", heard.candidate.non_finite_rows},
            {"opponent_non_finite_rows", heard.opponent.non_finite_rows},
            {"rows_without_target", heard.rows_without_target}}}};
}

}  // namespace

StepOutcome RunTest(const StepSpec& spec, SandboxMeans sandbox, const Clock& clock) {
  auto contest = Prepare(spec);
  if (!contest) return std::unexpected(contest.error());
  ProgressLog progress(spec.folder, clock);
  auto heard = HearScores(spec, *contest, sandbox, progress);
  if (!heard) return std::unexpected(heard.error());
  if (heard->slices.empty())
    return UserFault("the holdout has no row with a target", "Push more rows, or raise data.split.holdout.");
  Settle(contest->metric, heard->candidate, heard->opponent);
  RATCHET_STEP_TRY(WriteScores(spec, *contest, *heard));
  return Summary(*contest, *heard);
}

}  // namespace ratchet::worker
