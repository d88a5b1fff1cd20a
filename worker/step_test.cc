#include <ATen/Parallel.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <variant>

#include "base/files.h"
#include "base/names.h"
#include "lake/pack.h"
#include "plugins/sdk/torch_bundle.h"
#include "registry/bundle_manifest.h"
#include "worker/baseline.h"
#include "worker/bundle_check.h"
#include "worker/cells.h"
#include "worker/confined_call.h"
#include "worker/leak_check.h"
#include "worker/probed_rows.h"
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
constexpr char kReset[] = "reset";  // gate.baseline

// The rows' targets, read before any model runs: one a row of the holdout, of the task's kind.
struct Targets {
  std::vector<std::int32_t> classes;  // of the common list; −1 where missing
  std::vector<double> numbers;        // not finite where missing
};

// One side of the comparison: something that answers for a batch of the holdout, which begins at row `first`.
class Side {
 public:
  virtual ~Side() = default;
  virtual Status Answer(const lake::Schema& schema, const lake::Batch& batch, const Targets& targets, size_t first) = 0;
  Answers answers;
};

class ModelSide final : public Side {
 public:
  // Runs code of the module's already; see RunTest.
  static Result<std::unique_ptr<ModelSide>> Load(const BundleFiles& files, const Signature& signature,
                                                 const ClassList& classes) {
    RATCHET_ASSIGN(auto module, sdk::LoadModel(files.model));
    return std::unique_ptr<ModelSide>(new ModelSide(signature, classes, std::move(module)));
  }

  Status Answer(const lake::Schema& schema, const lake::Batch& batch, const Targets& targets, size_t first) override {
    RATCHET_ASSIGN(const auto values, Values(schema, batch));
    const auto rows = static_cast<size_t>(batch.rows);
    if (signature_.task == Task::kRegression)
      AddNumberAnswers(values, std::span(targets.numbers).subspan(first, rows), answers);
    else
      AddClassAnswers(values, map_, std::span(targets.classes).subspan(first, rows), answers);
    return {};
  }

  // Output 0, row after row.
  Result<std::vector<double>> Values(const lake::Schema& schema, const lake::Batch& batch) {
    RATCHET_ASSIGN(const auto outputs, Forward(module_, signature_, schema, batch));
    const auto told = outputs.at(0).to(torch::kFloat64).contiguous();
    const bool regression = signature_.task == Task::kRegression;
    const size_t width = regression ? 1 : map_.common.size();
    if (static_cast<size_t>(told.numel()) != static_cast<size_t>(batch.rows) * width)
      return Fail(ErrorCode::kInvalid, "score", "output", regression ? "not one number a row" : "not one probability for each class");
    return std::vector<double>(told.data_ptr<double>(), told.data_ptr<double>() + told.numel());
  }

 private:
  ModelSide(const Signature& signature, const ClassList& classes, torch::jit::Module module)
      : signature_(signature), map_(MapClasses(ClassValues(signature.classes), classes)), module_(std::move(module)) {}
  const Signature& signature_;
  ClassMap map_;
  torch::jit::Module module_;
};

class BaselineSide final : public Side {
 public:
  BaselineSide(Baseline baseline, Task task) : baseline_(std::move(baseline)), task_(task) {}
  Baseline& baseline() { return baseline_; }

  Status Answer(const lake::Schema&, const lake::Batch& batch, const Targets& targets, size_t first) override {
    const auto rows = static_cast<size_t>(batch.rows);
    if (task_ == Task::kClassification) baseline_.AnswerClasses(std::span(targets.classes).subspan(first, rows), answers);
    else baseline_.AnswerNumbers(std::span(targets.numbers).subspan(first, rows), answers);
    return {};
  }

 private:
  Baseline baseline_;
  Task task_;
};

// Why the live version cannot answer for these rows: it is not a fault of the run.
struct Unscorable {
  std::string reason;   // manifest, columns, task, target, module or answers: what of it does not fit
  std::string message;  // for people
};

// What is settled before a model runs.
struct Contest {
  BundleManifest candidate;
  std::optional<BundleManifest> live;
  std::optional<Unscorable> unscorable;    // there is a live version, but not in `live`
  std::unique_ptr<BaselineSide> baseline;  // where there is no live version, or this stands in for it
  std::string metric;
  ClassList classes;  // of both sides and of the holdout
  Targets targets;
  std::int64_t rows_without_target = 0;
  std::int64_t leaked_rows = 0;  // with a target, and not judged on: training has them, too
  std::vector<lake::Column> slice_columns;

  bool Classifies() const { return candidate.signature.task == Task::kClassification; }
  bool HasTarget(size_t row) const {
    return Classifies() ? targets.classes[row] >= 0 : std::isfinite(targets.numbers[row]);
  }
};

// What is heard of the holdout's rows, as they are scored.
struct Heard {
  Answers candidate, opponent;
  std::vector<std::vector<double>> alone;  // the candidate's answers to some rows by themselves
  std::optional<Unscorable> live_fault;  // then the answers are not whole
};

// The columns of the holdout that the models read, each once.
std::vector<std::string> ColumnsToRead(const StepSpec& spec, const Contest& contest) {
  std::set<std::string> wanted{spec.data.target};
  for (auto& column : InputColumns(contest.candidate.signature)) wanted.insert(column);
  if (contest.live)
    for (auto& column : InputColumns(contest.live->signature)) wanted.insert(column);
  return {wanted.begin(), wanted.end()};
}

// Takes the answers of a batch out of the side, in the form that Hear reads.
json TakeAnswers(Side& side) {
  json predictions = json::array();
  for (const auto& number : side.answers.prediction) predictions.push_back(number ? json(*number) : json());
  json taken{{"predicted", side.answers.predicted},
             {"target_probability", side.answers.target_probability},
             {"predicted_probability", side.answers.predicted_probability},
             {"square_sum", side.answers.square_sum},
             {"positive_probability", side.answers.positive_probability},
             {"prediction", std::move(predictions)},
             {"non_finite", side.answers.non_finite_rows}};
  side.answers = {};
  return taken;
}

template <typename T>
void Extend(std::vector<T>& into, const json& told) {
  for (const auto& value : told) into.push_back(value.get<T>());
}

void AddAnswers(const json& told, Answers& into) {
  Extend(into.predicted, told.at("predicted"));
  Extend(into.target_probability, told.at("target_probability"));
  Extend(into.predicted_probability, told.at("predicted_probability"));
  Extend(into.square_sum, told.at("square_sum"));
  Extend(into.positive_probability, told.at("positive_probability"));
  for (const auto& number : told.at("prediction"))
    into.prediction.push_back(number.is_null() ? std::nullopt : std::optional(number.get<double>()));
  into.non_finite_rows += told.at("non_finite").get<std::int64_t>();
}

size_t ScoredRows(const Contest& contest) {
  const size_t all = contest.Classifies() ? contest.targets.classes.size() : contest.targets.numbers.size();
  return all - static_cast<size_t>(contest.rows_without_target + contest.leaked_rows);
}

TestedHoldout HoldoutOf(const StepSpec& spec, const Contest& contest) {
  return {.packs = spec.holdout, .scored_rows = static_cast<std::int64_t>(ScoredRows(contest)),
          .has_target = [&contest](size_t row) { return contest.HasTarget(row); }};
}

// The first line, bounded.
std::string ShortMessage(const Error& error) {
  constexpr size_t kMostBytes = 300;
  std::string text = error.Message();
  text.resize(std::min(text.find('\n'), text.size()));
  if (text.size() <= kMostBytes) return text;
  size_t end = kMostBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

json ToJson(const Unscorable& why) { return {{"reason", why.reason}, {"message", why.message}}; }

// What the models' process says of a live version that does not do; other errors are the step's.
Result<json> LiveFault(const char* reason, const Error& error) {
  if (error.code != ErrorCode::kInvalid) return std::unexpected(error);
  return json{{"live_unscorable", ToJson({reason, ShortMessage(error)})}};
}

// The confined process's part: loads the models and tells their answers, batch by batch. The live one comes first, so
// that a candidate has no hand in whether it can be scored.
Result<json> ScoreAll(const StepSpec& spec, Contest& contest, const Tell& tell) {
  std::unique_ptr<ModelSide> live;
  if (contest.live) {
    auto loaded = ModelSide::Load(*spec.live, contest.live->signature, contest.classes);
    if (!loaded) return LiveFault("module", loaded.error());
    live = std::move(*loaded);
  }
  RATCHET_ASSIGN(const auto candidate, ModelSide::Load(*spec.candidate, contest.candidate.signature, contest.classes));
  Side& opponent = live != nullptr ? static_cast<Side&>(*live) : *contest.baseline;
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout, ColumnsToRead(spec, contest)));
  const auto total = holdout->rows();
  std::int64_t done = 0, told = 0;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(kBatchRows));
    if (batch.rows == 0) break;
    const auto answered = opponent.Answer(holdout->schema(), batch, contest.targets, static_cast<size_t>(done));
    if (!answered && live != nullptr) return LiveFault("answers", answered.error());
    RATCHET_TRY(answered);
    RATCHET_TRY(candidate->Answer(holdout->schema(), batch, contest.targets, static_cast<size_t>(done)));
    tell({{"scored", {{"candidate", TakeAnswers(*candidate)}, {"opponent", TakeAnswers(opponent)}}}});
    done += batch.rows;
    if (done != total && done * 20 < (told + 1) * total) continue;  // some twenty lines in all
    told = done * 20 / std::max<std::int64_t>(total, 1);
    tell({{"progress", {{"phase", "test"}, {"step", done}, {"steps", total}}}});
  }
  if (!spec.serving) return json::object();
  const auto answer = [&](const lake::Schema& schema, const lake::Batch& batch) { return candidate->Values(schema, batch); };
  RATCHET_TRY(AnswerAlone(HoldoutOf(spec, contest), contest.candidate.signature, answer, SystemClock(), tell));
  return json::object();
}

void Hear(const json& told, ProgressLog& progress, Heard& heard) {
  if (told.contains("progress")) return progress.Append(told["progress"]);
  if (told.contains("alone")) return heard.alone.push_back(told["alone"].get<std::vector<double>>());
  const auto& scored = told.at("scored");
  AddAnswers(scored.at("candidate"), heard.candidate);
  AddAnswers(scored.at("opponent"), heard.opponent);
}

std::vector<double> NumberTargets(const Contest& contest) {
  std::vector<double> targets;
  std::ranges::copy_if(contest.targets.numbers, std::back_inserter(targets), [](double number) { return std::isfinite(number); });
  return targets;
}

bool AreWhole(const Contest& contest, const Answers& side, size_t rows) {
  if (!contest.Classifies()) return side.prediction.size() == rows;
  const size_t positives = contest.classes.size() == 2 ? rows : 0;
  return side.predicted.size() == rows && side.target_probability.size() == rows && side.square_sum.size() == rows &&
         side.predicted_probability.size() == rows && side.positive_probability.size() == positives;
}

std::expected<Heard, StepError> HearAnswers(const StepSpec& spec, Contest& contest, SandboxMeans sandbox,
                                            ProgressLog& progress) {
  Heard heard;
  const auto work = [&](const Tell& tell) -> StepOutcome {
    at::set_num_threads(spec.limits.cpus);
    RATCHET_STEP_ASSIGN(auto outcome, ScoreAll(spec, contest, tell));
    return outcome;
  };
  const auto outcome =
      CallConfined({.means = sandbox,
                    .step_folder = spec.folder,
                    .work = [&](const Tell& tell) { return Guarded(spec, [&] { return work(tell); }); },
                    .hear = [&](const json& told) { Hear(told, progress, heard); }});
  if (!outcome) return std::unexpected(outcome.error());
  if (outcome->contains("live_unscorable")) {
    const json& why = outcome->at("live_unscorable");
    heard.live_fault = Unscorable{why.at("reason"), why.at("message")};
    return heard;
  }
  for (const auto* side : {&heard.candidate, &heard.opponent}) {
    if (!AreWhole(contest, *side, ScoredRows(contest)))
      return InternalFault("the models' process told more or fewer answers than rows");
    if (contest.Classifies() && contest.classes.size() == 1 && side->non_finite_rows > 0)
      return UserFault("an answer is not finite, and there is one class only, so that none can be wrong",
                       "Push rows of other classes.");
  }
  return heard;
}

constexpr char kTarget[] = "test:target";

// The columns of scores.pack (docs/formats.md).
lake::Schema EvidenceSchema(const Contest& contest) {
  using lake::ColumnType;
  const bool classifies = contest.Classifies();
  lake::Schema schema{{{kTarget, classifies ? ColumnType::kInteger : ColumnType::kReal, {}}}};
  for (const std::string side : {"candidate:", "opponent:"}) {
    if (classifies) schema.columns.push_back({side + "predicted", ColumnType::kInteger, {}});
    else schema.columns.push_back({side + "prediction", ColumnType::kReal, {}});
    if (!classifies) continue;
    for (const char* name : {"p_target", "p_predicted", "square_sum"})
      schema.columns.push_back({side + name, ColumnType::kReal, {}});
    if (contest.classes.size() == 2) schema.columns.push_back({side + "p_positive", ColumnType::kReal, {}});
  }
  schema.columns.insert(schema.columns.end(), contest.slice_columns.begin(), contest.slice_columns.end());
  return schema;
}

void AddCells(const Contest& contest, const Answers& side, size_t scored, lake::Row& cells) {
  if (!contest.Classifies()) return cells.push_back(side.prediction[scored].value_or(0));
  cells.push_back(std::int64_t{side.predicted[scored]});
  for (const auto* column : {&side.target_probability, &side.predicted_probability, &side.square_sum})
    cells.push_back((*column)[scored]);
  if (contest.classes.size() == 2) cells.push_back(side.positive_probability[scored]);
}

// The holdout's rows once more, for the columns of slices and groups.
Status WriteEvidence(const StepSpec& spec, const Contest& contest, const Heard& heard) {
  const auto path = spec.folder + "/scores.pack";
  RATCHET_TRY(SystemFiles().RemoveAll(path));
  RATCHET_ASSIGN(const auto writer, lake::PackWriter::Create(path, EvidenceSchema(contest)));
  std::vector<std::string> columns{spec.data.target};
  for (const auto& column : contest.slice_columns)
    if (column.name != spec.data.target) columns.push_back(column.name);
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout, columns));
  size_t row = 0, scored = 0;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(4096));
    if (batch.rows == 0) return writer->Finish();
    for (size_t in_batch = 0; in_batch < static_cast<size_t>(batch.rows); ++in_batch, ++row) {
      if (!contest.HasTarget(row)) continue;
      lake::Row cells;
      if (contest.Classifies()) cells.push_back(std::int64_t{contest.targets.classes[row]});
      else cells.push_back(contest.targets.numbers[row]);
      AddCells(contest, heard.candidate, scored, cells);
      AddCells(contest, heard.opponent, scored++, cells);
      for (const auto& column : contest.slice_columns)
        cells.push_back(CellAt(column, batch.columns[static_cast<size_t>(holdout->schema().Find(column.name))], in_batch));
      RATCHET_TRY(writer->Add(cells));
    }
  }
}

std::expected<void, StepError> CheckSlices(const StepSpec& spec, const lake::Schema& schema) {
  for (const auto& slice : spec.slices) {
    const int index = schema.Find(slice);
    if (index < 0) return UserFault(fmt::format("the dataset has no column {} for test.slices", Quoted(slice)));
    if (schema.columns[static_cast<size_t>(index)].type == lake::ColumnType::kBlob)
      return UserFault(fmt::format("test.slices: column {} holds blobs, which are no groups", Quoted(slice)));
    if (slice.starts_with("candidate:") || slice.starts_with("opponent:") || slice == kTarget)
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
    return Unscorable{"manifest", ShortMessage(manifest.error())};
  }
  const Signature& signature = manifest->signature;
  if (signature.task != task)
    return Unscorable{"task", fmt::format("it is for {}, and the candidate is for {}", registry::TaskName(signature.task),
                                          registry::TaskName(task))};
  if (const auto fits = CheckColumns(signature, schema); !fits) return Unscorable{"columns", ShortMessage(fits.error())};
  const auto& target = schema.columns[static_cast<size_t>(schema.Find(spec.data.target))];
  if (task == Task::kClassification)
    if (const auto fits = CheckTarget(signature.classes, target); !fits) return Unscorable{"target", ShortMessage(fits.error())};
  return std::move(*manifest);
}

// Every class that a side may answer or a row may ask for.
Status ListClasses(const StepSpec& spec, Contest& contest) {
  for (const auto* side : {&contest.candidate, contest.live ? &*contest.live : nullptr})
    if (side != nullptr)
      for (auto& value : ClassValues(side->signature.classes)) contest.classes.Add(std::move(value));
  if (contest.baseline) contest.baseline->baseline().AddClassesTo(contest.classes);
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
  if (contest.baseline) contest.baseline->baseline().Know(contest.classes);
  return {};
}

Status ReadTargets(const StepSpec& spec, Contest& contest) {
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout, {spec.data.target}));
  const auto& column = holdout->schema().columns.at(0);
  size_t row = 0;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(4096));
    if (batch.rows == 0) return {};
    if (contest.Classifies()) {
      for (size_t i = 0; i < static_cast<size_t>(batch.rows); ++i)
        contest.targets.classes.push_back(contest.classes.Find(ClassOf(column, batch.columns[0], i)));
    } else {
      RATCHET_ASSIGN(const auto numbers, TargetNumbers(column, batch.columns[0]));
      contest.targets.numbers.insert(contest.targets.numbers.end(), numbers.begin(), numbers.end());
    }
    for (; row < static_cast<size_t>(std::max(contest.targets.classes.size(), contest.targets.numbers.size())); ++row)
      contest.rows_without_target += contest.HasTarget(row) ? 0 : 1;
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
  if (ScoredRows(contest) == 0)
    return UserFault("the holdout has no row with a target", "Push more rows, or raise data.split.holdout.");
  if (!NeedsTwoClasses(contest.metric) || contest.classes.size() == 2) return {};
  return UserFault(fmt::format("test.metric: {} is for two classes, and the models and the holdout have {}: {}", contest.metric,
                               contest.classes.size(), Listed(contest.classes.Names())),
                   "Use macro_f1 or log_loss.");
}

// With `live_fault` the live version is known not to do, and the baseline is to stand in for it.
std::expected<Contest, StepError> Prepare(const StepSpec& spec, const PluginHost& plugins, std::optional<Unscorable> live_fault) {
  if (!spec.candidate || spec.holdout.empty()) return InternalFault("a test step needs a candidate and a holdout");
  Contest contest{.unscorable = std::move(live_fault)};
  RATCHET_STEP_ASSIGN(contest.candidate, ReadManifest(*spec.candidate));
  const auto task = contest.candidate.signature.task;
  contest.metric = spec.metric.empty() ? contest.candidate.metric : spec.metric;
  RATCHET_STEP_TRY(CheckMetric(contest.metric, task));
  RATCHET_STEP_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout));
  if (auto fits = CheckFit(spec, contest, holdout->schema()); !fits) return std::unexpected(fits.error());
  if (spec.live && !contest.unscorable) {
    RATCHET_STEP_ASSIGN(auto live, CheckLive(spec, task, holdout->schema()));
    if (auto* manifest = std::get_if<BundleManifest>(&live)) contest.live = std::move(*manifest);
    else contest.unscorable = std::get<Unscorable>(std::move(live));
  }
  if (contest.unscorable && spec.baseline != kReset) return contest;  // nothing to compare with
  for (const auto& slice : spec.slices)
    contest.slice_columns.push_back(holdout->schema().columns[static_cast<size_t>(holdout->schema().Find(slice))]);
  if (!contest.live) {
    RATCHET_STEP_ASSIGN(auto learned, Baseline::Learn(NameBaseline(spec, plugins, task, contest.metric), task, spec.train,
                                                      spec.data.target));
    contest.baseline = std::make_unique<BaselineSide>(std::move(learned), task);
  }
  if (auto read = ReadRows(spec, contest); !read) return std::unexpected(read.error());
  return contest;
}

// Rows that training has, too, are taken for rows without a target from here on: neither side is asked about them.
std::expected<json, StepError> LeaveOutLeaked(const StepSpec& spec, Contest& contest) {
  auto check = CheckLeaks(spec, InputColumns(contest.candidate.signature));
  if (!check) return std::unexpected(check.error());
  for (size_t row = 0; row < check->dropped.size(); ++row) {
    if (check->dropped[row] == 0 || !contest.HasTarget(row)) continue;
    if (contest.Classifies()) contest.targets.classes[row] = -1;
    else contest.targets.numbers[row] = std::nan("");
    ++contest.leaked_rows;
  }
  if (ScoredRows(contest) == 0)
    return UserFault("every sealed row with a target stands in training as well, so there is none to judge on",
                     "Push other rows, or judge on these all the same: data.leakage: {equal: warn, near: warn}.");
  return std::move(check->report);
}

json Summary(const Contest& contest, const Heard& heard) {
  constexpr size_t kMostNames = 200;
  json summary{{"metric", contest.metric},
               {"evidence", contest.Classifies() ? "classes" : "numbers"},
               {"rows", ScoredRows(contest)},
               {"opponent_kind", contest.live ? "live" : contest.baseline->baseline().name()},
               {"metrics",
                {{"non_finite_rows", heard.candidate.non_finite_rows},
                 {"opponent_non_finite_rows", heard.opponent.non_finite_rows},
                 {"rows_without_target", contest.rows_without_target}}}};
  if (contest.unscorable) summary["live_unscorable"] = ToJson(*contest.unscorable);
  if (!contest.Classifies()) return summary;
  summary["classes"] = contest.classes.size();
  if (auto names = contest.classes.Names(); names.size() <= kMostNames) summary["class_names"] = std::move(names);
  return summary;
}

// The candidate as it would serve: result.json's `serving`.
StepOutcome Serve(const StepSpec& spec, const Contest& contest, const Heard& heard, SandboxMeans sandbox, const Clock& clock) {
  const Signature& signature = contest.candidate.signature;
  const ClassMap map = contest.Classifies() ? MapClasses(ClassValues(signature.classes), contest.classes) : ClassMap();
  const auto rows = ProbedRows(HoldoutOf(spec, contest), signature, heard.alone,
                               {.answers = heard.candidate, .map = map, .targets = contest.targets.classes});
  if (!rows) return std::unexpected(rows.error());
  return ProbeServing(ProbePlanOf(spec, sandbox), signature, *rows, clock);
}

// The evidence of what was heard, and what it says in short.
StepOutcome Conclude(const StepSpec& spec, const Contest& contest, Heard& heard, SandboxMeans sandbox, ProgressLog& progress,
                     const Clock& clock) {
  json serving;
  if (spec.serving) {
    progress.Append({{"phase", "serve"}, {"message", "asking the candidate over HTTP"}});
    auto served = Serve(spec, contest, heard, sandbox, clock);
    if (!served) return served;
    serving = std::move(*served);
  }
  if (!contest.Classifies()) Settle(NumberTargets(contest), heard.candidate, heard.opponent);
  RATCHET_STEP_TRY(WriteEvidence(spec, contest, heard));
  json summary = Summary(contest, heard);
  if (!serving.is_null()) summary["serving"] = std::move(serving);
  return summary;
}

json NotCompared(const Contest& contest) {
  return {{"metric", contest.metric}, {"opponent_kind", "live"}, {"live_unscorable", ToJson(*contest.unscorable)}};
}

}  // namespace

StepOutcome RunTest(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock) {
  auto contest = Prepare(spec, plugins, {});
  if (!contest) return std::unexpected(contest.error());
  if (contest->unscorable && spec.baseline != kReset) return NotCompared(*contest);
  auto leakage = LeaveOutLeaked(spec, *contest);
  if (!leakage) return std::unexpected(leakage.error());
  ProgressLog progress(spec.folder, clock);
  auto heard = HearAnswers(spec, *contest, sandbox, progress);
  if (heard && heard->live_fault) {
    contest->unscorable = heard->live_fault;
    if (spec.baseline != kReset) return NotCompared(*contest);
    contest = Prepare(spec, plugins, heard->live_fault);
    if (!contest) return std::unexpected(contest.error());
    if (leakage = LeaveOutLeaked(spec, *contest); !leakage) return std::unexpected(leakage.error());
    heard = HearAnswers(spec, *contest, sandbox, progress);
  }
  if (!heard) return std::unexpected(heard.error());
  auto summary = Conclude(spec, *contest, *heard, sandbox, progress, clock);
  if (summary && !leakage->is_null()) (*summary)["leakage"] = std::move(*leakage);
  return summary;
}

}  // namespace ratchet::worker
