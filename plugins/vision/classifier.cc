#include <spdlog/fmt/fmt.h>
#include <torch/torch.h>

#include <algorithm>

#include "plugins/sdk/class_table.h"
#include "plugins/sdk/fit.h"
#include "plugins/sdk/recipe.h"
#include "plugins/sdk/torch_bundle.h"
#include "plugins/vision/augment.h"
#include "plugins/vision/image_set.h"
#include "plugins/vision/network.h"

namespace ratchet::vision {
namespace {

constexpr std::int64_t kScoreRows = 256;          // images scored at once
constexpr std::int64_t kNoValidationRows = 1024;  // training rows looked at where there are no validation rows

// Mean and deviation of each channel's bytes over all images.
std::pair<torch::Tensor, torch::Tensor> ByteStatistics(const torch::Tensor& images) {
  const auto channels = images.size(1);
  torch::Tensor sum = torch::zeros({channels}, torch::kFloat64), squares = torch::zeros({channels}, torch::kFloat64);
  for (const torch::Tensor& part : images.split(4096)) {
    const torch::Tensor values = part.to(torch::kFloat32);
    sum += values.sum({0, 2, 3}, false, torch::kFloat64);
    squares += values.square().sum({0, 2, 3}, false, torch::kFloat64);
  }
  const auto count = static_cast<double>(images.numel() / channels);
  const torch::Tensor mean = sum / count;
  const torch::Tensor deviation = (squares / count - mean.square()).clamp_min(1.0).sqrt();
  return {mean, deviation};
}

struct Labelled {
  torch::Tensor images, labels;  // on the device
};

class ClassifierTask final : public sdk::FitTask {
 public:
  ClassifierTask(torch::jit::Module& net, Labelled train, Labelled validation, AugmentOptions augment, double smoothing)
      : net_(net),
        train_(std::move(train)),
        validation_(std::move(validation)),
        augment_(augment),
        smoothing_(smoothing) {}

  std::int64_t rows() const override { return train_.images.size(0); }

  torch::Tensor Loss(const torch::Tensor& rows) override {
    const torch::Tensor at = rows.to(train_.images.device());
    const torch::Tensor images = Augment(train_.images.index_select(0, at), augment_);
    return at::cross_entropy_loss(Logits(images), train_.labels.index_select(0, at), {}, at::Reduction::Mean, -100,
                                  smoothing_);
  }

  sdk::Evaluation Evaluate() override {
    if (validation_.images.size(0) == 0)
      return Look({train_.images.narrow(0, 0, std::min(rows(), kNoValidationRows)), {}});
    return Look(validation_);
  }

 private:
  torch::Tensor Logits(const torch::Tensor& images) { return net_.run_method("logits", images).toTensor(); }

  sdk::Evaluation Look(const Labelled& data) {
    sdk::Evaluation result;
    std::int64_t correct = 0;
    double loss = 0;
    for (std::int64_t from = 0; from < data.images.size(0); from += kScoreRows) {
      const std::int64_t rows = std::min(kScoreRows, data.images.size(0) - from);
      const torch::Tensor logits = Logits(data.images.narrow(0, from, rows));
      result.finite = result.finite && torch::isfinite(logits).all().item<bool>();
      if (!data.labels.defined()) continue;
      const torch::Tensor labels = data.labels.narrow(0, from, rows);
      correct += logits.argmax(1).eq(labels).sum().item<std::int64_t>();
      // A class that training has not seen is a wrong answer, but has no probability to lose.
      loss += at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum, -1).item<double>();
    }
    if (!data.labels.defined()) return result;
    const auto rows = static_cast<double>(data.images.size(0));
    result.score = static_cast<double>(correct) / rows;
    result.metrics = {{"validation_accuracy", *result.score}, {"validation_loss", loss / rows}};
    return result;
  }

  torch::jit::Module& net_;
  const Labelled train_, validation_;
  const AugmentOptions augment_;
  const double smoothing_;
};

sdk::RecipeInfo MakeInfo() {
  using sdk::ParamType;
  sdk::RecipeInfo info;
  info.name = "vision.classifier";
  info.summary = "Tells which class an image belongs to: a small convolutional network, quick on a CPU.";
  info.task = "classification";
  info.metric = "accuracy";
  info.baseline = "majority";
  info.params = {
      {"epochs", ParamType::kInteger, 5, 1, 1000, {}, "Passes over the training images."},
      {"batch_size", ParamType::kInteger, 128, 2, 4096, {}, "Images per step."},
      {"learning_rate", ParamType::kReal, 0.005, 1e-7, 1000, {}, "Peak of the one-cycle schedule."},
      {"weight_decay", ParamType::kReal, 0.01, 0, 10, {}, "Decay of kernels and matrices, as AdamW means it."},
      {"width",
       ParamType::kInteger,
       24,
       4,
       512,
       {},
       "Filters of the first convolution; later ones have 2 and 4 times as many."},
      {"augment",
       ParamType::kBoolean,
       true,
       {},
       {},
       {},
       "Train on changed copies of the images: mirrored by flip, moved by shift."},
      {"flip",
       ParamType::kBoolean,
       true,
       {},
       {},
       {},
       "Let augmentation mirror left to right; off where that changes the meaning, as with letters."},
      {"shift",
       ParamType::kInteger,
       0,
       0,
       64,
       {},
       "Pixels by which augmentation moves an image at most; pays from about 10 epochs on."},
      {"label_smoothing",
       ParamType::kReal,
       0.0,
       0,
       0.5,
       {},
       "Probability that is spread evenly over all classes in training."},
      {"patience",
       ParamType::kInteger,
       0,
       0,
       1000,
       {},
       "End after so many epochs without a better validation accuracy; 0 = never."},
      {"image", ParamType::kText, "", {}, {}, {}, "The image column; may be empty where there is only one."},
  };
  return info;
}

AugmentOptions AugmentFrom(const nlohmann::json& params, const lake::Column& image) {
  AugmentOptions options{.flip = false, .shift = 0};
  if (!params.at("augment").get<bool>()) return options;
  options.flip = params.at("flip").get<bool>();
  // More than a quarter of the image would leave too little of the thing it shows.
  options.shift = std::min(params.at("shift").get<std::int64_t>(), std::min(image.shape[1], image.shape[2]) / 4);
  return options;
}

sdk::FitOptions FitFrom(const nlohmann::json& params) {
  return {.epochs = params.at("epochs").get<std::int64_t>(),
          .batch_size = params.at("batch_size").get<std::int64_t>(),
          .learning_rate = params.at("learning_rate").get<double>(),
          .weight_decay = params.at("weight_decay").get<double>(),
          .warm_up = 0.2,
          .patience = params.at("patience").get<std::int64_t>()};
}

struct Data {
  lake::Column image;
  sdk::ClassTable classes;
  Labelled train, validation;  // on the CPU
};

Result<Data> Load(const sdk::TrainInput& input) {
  Data data;
  RATCHET_ASSIGN(data.image, FindImageColumn(input.schema, input.params.at("image").get<std::string>()));
  const int target = input.schema.Find(input.target);
  if (target < 0) return Fail(ErrorCode::kInvalid, "find target", input.target, "the dataset has no such column");
  if (input.report) input.report({.phase = "load"});
  RATCHET_ASSIGN(ImageSet train, ReadImages(input.train_packs, data.image, input.target));
  RATCHET_ASSIGN(data.classes, sdk::ClassTable::FromTargets(input.schema.columns[target], train.targets));
  RATCHET_ASSIGN(data.train.labels, Labels(train, data.classes, input.target));
  data.train.images = train.images;
  data.validation.images = train.images.narrow(0, 0, 0);
  if (input.validation_packs.empty()) return data;
  RATCHET_ASSIGN(ImageSet validation, ReadImages(input.validation_packs, data.image, input.target));
  RATCHET_ASSIGN(data.validation.labels, Labels(validation, data.classes, input.target));
  data.validation.images = validation.images;
  return data;
}

nlohmann::json SignatureOf(const Data& data) {
  nlohmann::json shape = {-1};
  for (const std::int64_t size : data.image.shape) shape.push_back(size);
  return {
      {"inputs", {{{"name", data.image.name}, {"datatype", "UINT8"}, {"shape", shape}, {"column", data.image.name}}}},
      {"outputs", {{{"name", "probabilities"}, {"datatype", "FP32"}, {"shape", {-1, data.classes.size()}}}}}};
}

Labelled OnDevice(const Labelled& data, torch::Device device) {
  return {data.images.to(device), data.labels.defined() ? data.labels.to(device) : data.labels};
}

Result<sdk::TrainOutput> TrainOn(const Data& data, const sdk::TrainInput& input) {
  const torch::Device device = sdk::ChooseDevice(input.device);
  torch::manual_seed(input.seed);
  const auto [mean, deviation] = ByteStatistics(data.train.images);
  const auto& sides = data.image.shape;
  torch::jit::Module net = MakeNetwork({.channels = sides[0],
                                        .height = sides[1],
                                        .width = sides[2],
                                        .classes = static_cast<std::int64_t>(data.classes.size()),
                                        .filters = input.params.at("width").get<std::int64_t>()},
                                       mean, deviation);
  net.to(device);
  ClassifierTask task(net, OnDevice(data.train, device), OnDevice(data.validation, device),
                      AugmentFrom(input.params, data.image), input.params.at("label_smoothing").get<double>());
  RATCHET_ASSIGN(sdk::FitOutcome outcome, sdk::Fit(net, task, FitFrom(input.params), input, SignatureOf(data).dump()));
  if (input.report) input.report({.phase = "save", .epoch = outcome.epochs, .of = outcome.epochs});
  RATCHET_TRY(sdk::SaveModel(net, input.model_path));
  return sdk::TrainOutput{SignatureOf(data), data.classes.Json(), std::move(outcome.metrics), outcome.epochs,
                          task.rows()};
}

class Classifier final : public sdk::Recipe {
 public:
  const sdk::RecipeInfo& Info() const override { return info_; }

  Result<sdk::TrainOutput> Train(const sdk::TrainInput& input) const override {
    try {
      sdk::PrepareProcess(input);
      RATCHET_ASSIGN(const Data data, Load(input));
      return TrainOn(data, input);
    } catch (const std::exception& error) {
      return Fail(ErrorCode::kInternal, "train", info_.name, error.what());
    }
  }

 private:
  const sdk::RecipeInfo info_ = MakeInfo();
};

}  // namespace
}  // namespace ratchet::vision

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3() {
  static const ratchet::vision::Classifier classifier;
  static const ratchet::sdk::Plugin plugin{"vision", "0.1.0", {&classifier}};
  return &plugin;
}
