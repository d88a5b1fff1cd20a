#include <spdlog/fmt/fmt.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"
#include "plugins/sdk/class_table.h"
#include "plugins/sdk/fit.h"
#include "plugins/sdk/recipe.h"
#include "plugins/sdk/torch_bundle.h"
#include "plugins/tabular/features.h"
#include "plugins/tabular/network.h"
#include "plugins/tabular/table.h"

namespace ratchet::tabular {
namespace {

constexpr std::int64_t kScoreRows = 4096;
constexpr std::int64_t kNoValidationRows = 1024;  // training rows looked at where there are no validation rows
constexpr std::int64_t kMaxBins = 32;             // per number column
constexpr std::int64_t kMaxBinsInAll = 2048;
constexpr std::int64_t kAutoSteps = 2000;  // how long `epochs: 0` trains
constexpr std::int64_t kAutoEpochsLeast = 8, kAutoEpochsMost = 150;

struct Rows {
  torch::Tensor numbers, codes, targets;  // on the device; targets: int64 classes or float32 standardised
  std::int64_t size() const { return numbers.size(0); }
};

struct TargetScale {
  double mean = 0, deviation = 1;
};

class TableTask final : public sdk::FitTask {
 public:
  TableTask(torch::jit::Module& net, Head head, TargetScale scale, Rows train, Rows validation)
      : net_(net), head_(head), scale_(scale), train_(std::move(train)), validation_(std::move(validation)) {}

  std::int64_t rows() const override { return train_.size(); }

  torch::Tensor Loss(const torch::Tensor& rows) override {
    const torch::Tensor at = rows.to(train_.numbers.device());
    const torch::Tensor scores = Scores(train_.numbers.index_select(0, at), train_.codes.index_select(0, at));
    const torch::Tensor targets = train_.targets.index_select(0, at);
    return head_ == Head::kClasses ? at::cross_entropy_loss(scores, targets) : at::mse_loss(scores.squeeze(1), targets);
  }

  sdk::Evaluation Evaluate() override {
    const bool blind = validation_.size() == 0;
    const Rows& data = blind ? train_ : validation_;
    const std::int64_t count = blind ? std::min(data.size(), kNoValidationRows) : data.size();
    std::vector<torch::Tensor> parts;
    for (std::int64_t from = 0; from < count; from += kScoreRows) {
      const std::int64_t rows = std::min(kScoreRows, count - from);
      parts.push_back(Scores(data.numbers.narrow(0, from, rows), data.codes.narrow(0, from, rows)));
    }
    const torch::Tensor scores = torch::cat(parts);
    sdk::Evaluation result;
    result.finite = torch::isfinite(scores).all().item<bool>();
    if (blind) return result;
    if (head_ == Head::kClasses)
      JudgeClasses(scores, result);
    else
      JudgeNumbers(scores.squeeze(1).to(torch::kFloat64), result);
    return result;
  }

 private:
  torch::Tensor Scores(const torch::Tensor& numbers, const torch::Tensor& codes) {
    return net_.run_method("scores", numbers, codes).toTensor();
  }

  void JudgeClasses(const torch::Tensor& scores, sdk::Evaluation& result) const {
    const auto rows = static_cast<double>(validation_.size());
    const double correct = scores.argmax(1).eq(validation_.targets).sum().item<double>();
    // A class that training has not seen is a wrong answer, but has no probability to lose.
    const double loss =
        at::cross_entropy_loss(scores, validation_.targets, {}, at::Reduction::Sum, -1).item<double>() / rows;
    result.score = -loss;
    result.metrics = {{"validation_accuracy", correct / rows}, {"validation_loss", loss}};
  }

  void JudgeNumbers(const torch::Tensor& scores, sdk::Evaluation& result) const {
    const torch::Tensor error = (scores - validation_.targets.to(torch::kFloat64)) * scale_.deviation;
    const double rmse = std::sqrt(error.square().mean().item<double>());
    result.score = -rmse;
    result.metrics = {{"validation_rmse", rmse}, {"validation_mae", error.abs().mean().item<double>()}};
  }

  torch::jit::Module& net_;
  const Head head_;
  const TargetScale scale_;
  const Rows train_, validation_;
};

std::vector<sdk::Param> Params() {
  using sdk::ParamType;
  return {
      {"epochs",
       ParamType::kInteger,
       0,
       0,
       10000,
       {},
       "Passes over the training rows; 0 = as many as the number of rows calls for."},
      {"batch_size", ParamType::kInteger, 0, 0, 65536, {}, "Rows per step; 0 = as the number of rows calls for."},
      {"learning_rate", ParamType::kReal, 0.003, 1e-7, 1000, {}, "Peak of the one-cycle schedule."},
      {"weight_decay", ParamType::kReal, 0.02, 0, 10, {}, "Decay of matrices, as AdamW means it."},
      {"hidden", ParamType::kInteger, 128, 1, 4096, {}, "Units of a hidden layer."},
      {"layers", ParamType::kInteger, 2, 0, 16, {}, "Hidden layers; 0 makes a linear model."},
      {"dropout", ParamType::kReal, 0.1, 0, 0.9, {}, "Part of the hidden units left out in a training step."},
      {"max_categories",
       ParamType::kInteger,
       100,
       1,
       100000,
       {},
       "Most frequent texts of a column that are told apart; rarer ones count as unknown."},
      {"patience",
       ParamType::kInteger,
       20,
       0,
       10000,
       {},
       "End after so many epochs without a better validation score; 0 = never."},
  };
}

sdk::FitOptions FitFrom(const nlohmann::json& params, std::int64_t rows) {
  sdk::FitOptions options;
  options.batch_size = params.at("batch_size").get<std::int64_t>();
  if (options.batch_size == 0) options.batch_size = std::clamp<std::int64_t>(rows / 64, 32, 256);
  options.batch_size = std::max<std::int64_t>(options.batch_size, 2);
  options.epochs = params.at("epochs").get<std::int64_t>();
  if (options.epochs == 0)
    options.epochs = std::clamp(kAutoSteps * options.batch_size / rows, kAutoEpochsLeast, kAutoEpochsMost);
  options.learning_rate = params.at("learning_rate").get<double>();
  options.weight_decay = params.at("weight_decay").get<double>();
  options.patience = params.at("patience").get<std::int64_t>();
  return options;
}

std::vector<std::uint8_t> RowsWithClass(const lake::ColumnBatch& target) {
  std::vector<std::uint8_t> usable(target.missing.size());
  for (size_t i = 0; i < usable.size(); ++i)
    usable[i] = !target.missing[i] && (target.texts.empty() || !target.texts[i].empty());
  return usable;
}

double NumberAt(const lake::ColumnBatch& target, size_t row) {
  return target.reals.empty() ? static_cast<double>(target.integers[row]) : target.reals[row];
}

std::vector<std::uint8_t> RowsWithNumber(const lake::ColumnBatch& target) {
  std::vector<std::uint8_t> usable(target.missing.size());
  for (size_t i = 0; i < usable.size(); ++i) usable[i] = !target.missing[i] && std::isfinite(NumberAt(target, i));
  return usable;
}

// What the two recipes do differently: the target.
class TargetKind {
 public:
  virtual ~TargetKind() = default;
  virtual Head head() const = 0;
  virtual UsableRows usable() const = 0;
  virtual std::int64_t outputs() const = 0;
  virtual Status Learn(const lake::Column& column, const Survey& survey) = 0;  // from the training rows
  virtual torch::Tensor Encode(const Encoded& rows) const = 0;
  virtual TargetScale scale() const { return {}; }
  virtual nlohmann::json output() const = 0;
  virtual nlohmann::json classes() const { return nullptr; }
};

class ClassTarget final : public TargetKind {
 public:
  Head head() const override { return Head::kClasses; }
  UsableRows usable() const override { return RowsWithClass; }
  std::int64_t outputs() const override { return static_cast<std::int64_t>(table_.size()); }
  Status Learn(const lake::Column& column, const Survey& survey) override {
    RATCHET_ASSIGN(table_, sdk::ClassTable::FromTargets(column, survey.target));
    return {};
  }
  torch::Tensor Encode(const Encoded& rows) const override {
    return torch::tensor(table_.IndexesOf(rows.target), torch::kInt64).index_select(0, rows.kept);
  }
  nlohmann::json output() const override {
    return {{"name", "probabilities"}, {"datatype", "FP32"}, {"shape", {-1, table_.size()}}};
  }
  nlohmann::json classes() const override { return table_.Json(); }

 private:
  sdk::ClassTable table_;
};

class NumberTarget final : public TargetKind {
 public:
  Head head() const override { return Head::kNumber; }
  UsableRows usable() const override { return RowsWithNumber; }
  std::int64_t outputs() const override { return 1; }
  TargetScale scale() const override { return scale_; }
  nlohmann::json output() const override { return {{"name", "prediction"}, {"datatype", "FP32"}, {"shape", {-1}}}; }

  Status Learn(const lake::Column&, const Survey& survey) override {
    double count = 0, sum = 0, squares = 0;
    for (size_t i = 0; i < survey.usable.size(); ++i)
      if (survey.usable[i]) ++count, sum += NumberAt(survey.target, i);
    scale_.mean = sum / std::max(count, 1.0);
    for (size_t i = 0; i < survey.usable.size(); ++i)
      if (survey.usable[i]) squares += std::pow(NumberAt(survey.target, i) - scale_.mean, 2);
    const double deviation = std::sqrt(squares / std::max(count, 1.0));
    scale_.deviation = deviation > 0 && std::isfinite(deviation) ? deviation : 1;
    return {};
  }

  torch::Tensor Encode(const Encoded& rows) const override {
    std::vector<double> values(rows.target.missing.size());
    for (size_t i = 0; i < values.size(); ++i) values[i] = (NumberAt(rows.target, i) - scale_.mean) / scale_.deviation;
    return torch::tensor(values, torch::kFloat64).index_select(0, rows.kept).to(torch::kFloat32);
  }

 private:
  TargetScale scale_;
};

class TableRecipe final : public sdk::Recipe {
 public:
  TableRecipe(sdk::RecipeInfo info, Head head) : info_(std::move(info)), head_(head) {}
  const sdk::RecipeInfo& Info() const override { return info_; }

  Result<sdk::TrainOutput> Train(const sdk::TrainInput& input) const override {
    try {
      sdk::PrepareProcess(input);
      if (head_ == Head::kNumber) return TrainWith(NumberTarget(), input);
      return TrainWith(ClassTarget(), input);
    } catch (const std::exception& error) {
      return Fail(ErrorCode::kInternal, "train", info_.name, error.what());
    }
  }

 private:
  Result<sdk::TrainOutput> TrainWith(TargetKind&& target, const sdk::TrainInput& input) const {
    RATCHET_ASSIGN(const lake::Column column, TargetColumn(input));
    RATCHET_ASSIGN(const auto columns, FeatureColumns(input.schema, input.target, input.key));
    if (input.report) input.report({.phase = "load"});
    RATCHET_ASSIGN(Survey survey, SurveyPacks(input.train_packs, columns, input.target, target.usable()));
    const std::int64_t rows = std::ranges::count(survey.usable, 1);
    if (rows < 2)
      return Fail(ErrorCode::kInvalid, "read target", Quoted(input.target), "fewer than 2 training rows have a value",
                  "Push more rows.");
    RATCHET_TRY(target.Learn(column, survey));
    const auto number_columns =
        std::ranges::count_if(columns, [](const auto& c) { return c.type != lake::ColumnType::kText; });
    const std::int64_t bins =
        std::clamp<std::int64_t>(kMaxBinsInAll / std::max<std::int64_t>(number_columns, 1), 4, kMaxBins);
    const Features features = survey.features.Finish(input.params.at("max_categories").get<std::int64_t>(), bins);
    const std::int64_t left_out = static_cast<std::int64_t>(survey.usable.size()) - rows;
    if (left_out > 0 && input.report)
      input.report(
          {.phase = "load", .message = fmt::format("{} training rows without a target are left out.", left_out)});
    RATCHET_ASSIGN(sdk::TrainOutput output, TrainOn(features, target, input));
    output.metrics["rows_without_target"] = left_out;
    return output;
  }

  Result<lake::Column> TargetColumn(const sdk::TrainInput& input) const {
    const int index = input.schema.Find(input.target);
    if (index < 0)
      return Fail(ErrorCode::kInvalid, "find target", Quoted(input.target), "the dataset has no such column");
    const lake::Column& column = input.schema.columns[index];
    const bool is_number = column.type == lake::ColumnType::kInteger || column.type == lake::ColumnType::kReal;
    if (head_ == Head::kClasses || is_number) return column;
    auto failure =
        Fail(ErrorCode::kInvalid, "read target", Quoted(input.target),
             fmt::format("its type is {}, and {} learns numbers", lake::ColumnTypeName(column.type), info_.name),
             "Choose a number column, or tabular.classifier.");
    failure.error().field = "data.target";
    return failure;
  }

  Result<sdk::TrainOutput> TrainOn(const Features& features, const TargetKind& target,
                                   const sdk::TrainInput& input) const {
    const torch::Device device = sdk::ChooseDevice(input.device);
    torch::manual_seed(input.seed);
    torch::jit::Module net = MakeNetwork(features, {.head = head_,
                                                    .outputs = target.outputs(),
                                                    .hidden = input.params.at("hidden").get<std::int64_t>(),
                                                    .layers = input.params.at("layers").get<std::int64_t>(),
                                                    .dropout = input.params.at("dropout").get<double>(),
                                                    .target_mean = target.scale().mean,
                                                    .target_deviation = target.scale().deviation});
    RATCHET_ASSIGN(const Rows train, ReadRows(input.train_packs, features, target, input, net, device));
    RATCHET_ASSIGN(const Rows validation, ReadRows(input.validation_packs, features, target, input, net, device));
    net.to(device);
    TableTask task(net, head_, target.scale(), train, validation);
    const nlohmann::json signature = {{"inputs", InputsOf(features)}, {"outputs", {target.output()}}};
    RATCHET_ASSIGN(sdk::FitOutcome outcome,
                   sdk::Fit(net, task, FitFrom(input.params, train.size()), input, info_.name + signature.dump()));
    if (input.report) input.report({.phase = "save", .epoch = outcome.epochs, .of = outcome.epochs});
    RATCHET_TRY(sdk::SaveModel(net, input.model_path));
    return sdk::TrainOutput{signature, target.classes(), std::move(outcome.metrics), outcome.epochs, train.size()};
  }

  // Rows of the packs, or none where there are no packs.
  Result<Rows> ReadRows(const std::vector<std::string>& packs, const Features& features, const TargetKind& target,
                        const sdk::TrainInput& input, torch::jit::Module& net, torch::Device device) const {
    if (packs.empty()) return Rows{torch::empty({0}), torch::empty({0}), torch::empty({0})};
    RATCHET_ASSIGN(const Encoded encoded, EncodePacks(packs, features, input.target, target.usable(), net));
    return Rows{encoded.numbers.to(device), encoded.codes.to(device), target.Encode(encoded).to(device)};
  }

  const sdk::RecipeInfo info_;
  const Head head_;
};

}  // namespace
}  // namespace ratchet::tabular

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3() {
  using namespace ratchet::tabular;
  static const TableRecipe classifier({"tabular.classifier", "Tells which class a row of numbers and texts belongs to.",
                                       "classification", "accuracy", Params(), "majority"},
                                      Head::kClasses);
  static const TableRecipe regressor(
      {"tabular.regressor", "Tells a number from a row of numbers and texts.", "regression", "mae", Params(),
       "median"},
      Head::kNumber);
  static const ratchet::sdk::Plugin plugin{"tabular", "0.1.0", {&classifier, &regressor}};
  return &plugin;
}
