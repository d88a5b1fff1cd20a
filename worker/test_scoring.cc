#include "worker/test_scoring.h"

#include <ATen/Parallel.h>
#include <spdlog/fmt/fmt.h>
#include <torch/script.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "base/clock.h"
#include "lake/pack.h"
#include "plugins/sdk/torch_bundle.h"
#include "worker/bundle_check.h"
#include "worker/confined_call.h"
#include "worker/steps.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;
using registry::Signature;
using registry::Task;

constexpr std::int64_t kBatchRows = 256;

// A model that answers for batches of the holdout, each of which begins at row `first`.
class ModelSide {
 public:
  // Runs code of the module's already.
  static Result<ModelSide> Load(const BundleFiles& files, const Signature& signature, const ClassList& classes) {
    RATCHET_ASSIGN(auto module, sdk::LoadModel(files.model));
    return ModelSide(signature, classes, std::move(module));
  }

  Result<Answers> Answer(const lake::Schema& schema, const lake::Batch& batch, const Targets& targets, size_t first) {
    RATCHET_ASSIGN(const auto values, Values(schema, batch));
    const auto rows = static_cast<size_t>(batch.rows);
    Answers answers;
    if (signature_.task == Task::kRegression)
      AddNumberAnswers(values, std::span(targets.numbers).subspan(first, rows), answers);
    else
      AddClassAnswers(values, map_, std::span(targets.classes).subspan(first, rows), answers);
    return answers;
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

// One model and what is asked of it.
struct Asked {
  const StepSpec& spec;
  const Contest& contest;
  const BundleFiles& files;
  const Signature& signature;
  bool is_live = false;

  // The live version answers first, so it has the first half of the progress.
  std::int64_t sides() const { return contest.live ? 2 : 1; }
  std::int64_t sides_before() const { return !is_live && contest.live ? 1 : 0; }
};

// In the form that AddAnswers reads.
json ToJson(const Answers& answers) {
  json predictions = json::array();
  for (const auto& number : answers.prediction) predictions.push_back(number ? json(*number) : json());
  return {{"predicted", answers.predicted},
          {"target_probability", answers.target_probability},
          {"predicted_probability", answers.predicted_probability},
          {"square_sum", answers.square_sum},
          {"positive_probability", answers.positive_probability},
          {"prediction", std::move(predictions)},
          {"non_finite", answers.non_finite_rows}};
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

// What the model's process says of a model that does not do; other errors are the step's.
Result<json> Unfit(const char* reason, const Error& error) {
  if (error.code != ErrorCode::kInvalid) return std::unexpected(error);
  return json{{"unfit", {{"reason", reason}, {"message", error.Message()}, {"hint", error.hint}}}};
}

// The columns of the holdout that the model reads, each once, and the target.
std::vector<std::string> ColumnsToRead(const Asked& asked) {
  const auto inputs = InputColumns(asked.signature);
  std::set<std::string> wanted(inputs.begin(), inputs.end());
  wanted.insert(asked.spec.data.target);
  return {wanted.begin(), wanted.end()};
}

// Some twenty lines of progress in all for each side.
class Told {
 public:
  Told(const Asked& asked, std::int64_t rows, const Tell& tell) : asked_(asked), rows_(std::max<std::int64_t>(rows, 1)), tell_(tell) {}
  void Upto(std::int64_t done) {
    if (done != rows_ && done * 20 < (twentieths_ + 1) * rows_) return;
    twentieths_ = done * 20 / rows_;
    tell_({{"progress", {{"phase", "test"}, {"step", asked_.sides_before() * rows_ + done}, {"steps", asked_.sides() * rows_}}}});
  }

 private:
  const Asked& asked_;
  const std::int64_t rows_;
  const Tell& tell_;
  std::int64_t twentieths_ = 0;
};

// The confined process's part: loads the model and tells its answers, batch by batch.
Result<json> AnswerAll(const Asked& asked, const Tell& tell) {
  auto model = ModelSide::Load(asked.files, asked.signature, asked.contest.classes);
  if (!model) return Unfit("module", model.error());
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(asked.spec.holdout, ColumnsToRead(asked)));
  Told told(asked, holdout->rows(), tell);
  for (std::int64_t done = 0;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(kBatchRows));
    if (batch.rows == 0) break;
    const auto answers = model->Answer(holdout->schema(), batch, asked.contest.targets, static_cast<size_t>(done));
    if (!answers) return Unfit("answers", answers.error());
    tell({{"scored", ToJson(*answers)}});
    told.Upto(done += batch.rows);
  }
  if (asked.is_live || !asked.spec.serving) return json::object();
  const auto answer = [&](const lake::Schema& schema, const lake::Batch& batch) { return model->Values(schema, batch); };
  RATCHET_TRY(AnswerAlone(HoldoutOf(asked.spec, asked.contest), asked.signature, answer, SystemClock(), tell));
  return json::object();
}

// What the process of one model told.
struct Side {
  Answers answers;
  std::vector<std::vector<double>> alone;
};

void Hear(const json& told, ProgressLog& progress, Side& side) {
  if (told.contains("progress")) return progress.Append(told["progress"]);
  if (told.contains("alone")) return side.alone.push_back(told["alone"].get<std::vector<double>>());
  AddAnswers(told.at("scored"), side.answers);
}

StepOutcome Ask(const Asked& asked, SandboxMeans sandbox, ProgressLog& progress, Side& side) {
  const auto work = [&](const Tell& tell) -> StepOutcome {
    at::set_num_threads(asked.spec.limits.cpus);
    RATCHET_STEP_ASSIGN(auto outcome, AnswerAll(asked, tell));
    return outcome;
  };
  std::optional<std::int64_t> most_ms;
  if (asked.is_live) most_ms = asked.spec.limits.time_s * 1000 / 2;
  return CallConfined({.means = sandbox,
                       .step_folder = asked.spec.folder,
                       .work = [&](const Tell& tell) { return Guarded(asked.spec, [&] { return work(tell); }); },
                       .hear = [&](const json& told) { Hear(told, progress, side); },
                       .most_ms = most_ms});
}

// Why the live version is none to compare with; nothing where it did, or where the fault is not its own.
std::optional<Unscorable> LiveFault(const Asked& asked, const StepOutcome& outcome) {
  if (outcome) {
    if (!outcome->contains("unfit")) return std::nullopt;
    const json& why = outcome->at("unfit");
    return Unscorable{why.at("reason"), ShortMessage(why.at("message"))};
  }
  const StepError& error = outcome.error();
  if (IsOwnDoing(error.signal)) return Unscorable{"crash", "it crashed while it was scored: " + error.message};
  if (error.error_class != ErrorClass::kTimeout) return std::nullopt;
  return Unscorable{"time", fmt::format("it has not answered the {} rows within half of limits.time, which is {} s", asked.contest.ScoredRows(),
                                        asked.spec.limits.time_s)};
}

std::expected<void, StepError> CandidateFault(const StepOutcome& outcome) {
  if (outcome) {
    if (!outcome->contains("unfit")) return {};
    const json& why = outcome->at("unfit");
    return UserFault(why.at("message"), why.at("hint"));
  }
  if (!IsOwnDoing(outcome.error().signal)) return std::unexpected(outcome.error());
  return UserFault("the candidate crashed while it was scored: " + outcome.error().message,
                   "A module must not run into what no error guards: division of integers by zero, endless recursion, an operator's own fault.");
}

std::expected<void, StepError> CheckWhole(const Contest& contest, const Answers& side) {
  const size_t rows = contest.ScoredRows(), positives = contest.classes.size() == 2 ? rows : 0;
  const bool whole = contest.Classifies()
                         ? side.predicted.size() == rows && side.target_probability.size() == rows && side.square_sum.size() == rows &&
                               side.predicted_probability.size() == rows && side.positive_probability.size() == positives
                         : side.prediction.size() == rows;
  if (!whole) return InternalFault("a model's process told more or fewer answers than rows");
  if (!contest.Classifies() || contest.classes.size() > 1 || side.non_finite_rows == 0) return {};
  return UserFault("an answer is not finite, and there is one class only, so that none can be wrong", "Push rows of other classes.");
}

void AnswerByBaseline(const Contest& contest, Answers& into) {
  if (contest.Classifies()) contest.baseline->AnswerClasses(contest.targets.classes, into);
  else contest.baseline->AnswerNumbers(contest.targets.numbers, into);
}

}  // namespace

std::expected<std::variant<Heard, Unscorable>, StepError> ScoreContest(const StepSpec& spec, const Contest& contest, SandboxMeans sandbox,
                                                                       ProgressLog& progress) {
  Heard heard;
  if (contest.live) {
    const Asked live{spec, contest, *spec.live, contest.live->signature, true};
    Side side;
    const auto outcome = Ask(live, sandbox, progress, side);
    if (auto fault = LiveFault(live, outcome)) return std::move(*fault);
    if (!outcome) return std::unexpected(outcome.error());
    heard.opponent = std::move(side.answers);
  } else {
    AnswerByBaseline(contest, heard.opponent);
  }
  Side side;
  const auto outcome = Ask({spec, contest, *spec.candidate, contest.candidate.signature, false}, sandbox, progress, side);
  if (auto fault = CandidateFault(outcome); !fault) return std::unexpected(fault.error());
  heard.candidate = std::move(side.answers);
  heard.alone = std::move(side.alone);
  for (const auto* answers : {&heard.candidate, &heard.opponent})
    if (auto checked = CheckWhole(contest, *answers); !checked) return std::unexpected(checked.error());
  return heard;
}

}  // namespace ratchet::worker
