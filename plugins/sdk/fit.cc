#include "plugins/sdk/fit.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <spdlog/fmt/fmt.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numbers>

#include "base/digest.h"
#include "plugins/sdk/checkpoint.h"

namespace ratchet::sdk {
namespace {

using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

constexpr double kReportEvery_s = 0.5;
// An epoch whose mean loss is this many times that of the first step's, an untrained model's, will not recover.
constexpr double kHopelessLossRatio = 20;

std::vector<torch::Tensor> Weights(const torch::jit::Module& module) {
  std::vector<torch::Tensor> all;
  for (const auto& parameter : module.parameters()) all.push_back(parameter);
  for (const auto& buffer : module.buffers()) all.push_back(buffer);
  return all;
}

std::vector<torch::Tensor> Copies(const std::vector<torch::Tensor>& tensors, torch::Device device) {
  std::vector<torch::Tensor> copies;
  for (const torch::Tensor& tensor : tensors)
    copies.push_back(tensor.detach().to(device, tensor.scalar_type(), false, true));
  return copies;
}

void Assign(const std::vector<torch::Tensor>& from, const std::vector<torch::Tensor>& to) {
  TORCH_CHECK(from.size() == to.size(), "the weights are another model's");
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < to.size(); ++i) {
    torch::Tensor target = to[i];
    target.copy_(from[i]);
  }
}

std::unique_ptr<torch::optim::AdamW> MakeOptimizer(const torch::jit::Module& module, const FitOptions& options) {
  std::vector<torch::Tensor> decayed, free;
  for (const auto& parameter : module.parameters()) (parameter.dim() > 1 ? decayed : free).push_back(parameter);
  auto with_decay = std::make_unique<torch::optim::AdamWOptions>(options.learning_rate);
  with_decay->weight_decay(options.weight_decay);
  auto without = std::make_unique<torch::optim::AdamWOptions>(options.learning_rate);
  without->weight_decay(0);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(decayed, std::move(with_decay));
  groups.emplace_back(free, std::move(without));
  return std::make_unique<torch::optim::AdamW>(std::move(groups), torch::optim::AdamWOptions(options.learning_rate));
}

// The one-cycle schedule with cosine ramps: peak/25 up to the peak, then down to nearly nothing.
double LearningRateAt(const FitOptions& options, std::int64_t step, std::int64_t steps) {
  const double rise = std::max(1.0, options.warm_up * static_cast<double>(steps));
  const auto ramp = [](double from, double to, double part) {
    return to + (from - to) * (1 + std::cos(std::numbers::pi * part)) / 2;
  };
  const double low = options.learning_rate / 25, end = options.learning_rate * 1e-4;
  if (step < rise) return ramp(low, options.learning_rate, static_cast<double>(step) / rise);
  return ramp(options.learning_rate, end,
              (static_cast<double>(step) - rise) / std::max(1.0, static_cast<double>(steps) - rise));
}

void SetLearningRate(torch::optim::Optimizer& optimizer, double rate) {
  for (auto& group : optimizer.param_groups()) group.options().set_lr(rate);
}

// One generator seed per epoch, so that a resumed run draws what an undisturbed one would have drawn.
std::uint64_t EpochSeed(std::uint64_t seed, std::int64_t epoch) {
  Sha256 digest;
  digest.Update(fmt::format("ratchet-epoch-1 {} {}", seed, epoch));
  return digest.FinishU64() >> 1;
}

class Loop {
 public:
  Loop(torch::jit::Module& module, FitTask& task, const FitOptions& options, const TrainInput& input,
       const std::string& fingerprint)
      : module_(module),
        task_(task),
        options_(options),
        input_(input),
        fingerprint_(Sha256Hex(fmt::format("{} {} {} {}", fingerprint, input.params.dump(), input.seed, task.rows()))),
        weights_(Weights(module)),
        best_weights_(Copies(weights_, torch::kCPU)),
        optimizer_(MakeOptimizer(module, options)),
        steps_per_epoch_((task.rows() + options.batch_size - 1) / options.batch_size) {}

  Result<FitOutcome> Run() {
    RATCHET_TRY(Resume());
    while (epoch_ < options_.epochs && !outcome_.diverged && !OutOfPatience()) {
      const double loss = TrainEpoch();
      ++epoch_;
      Judge(loss);
      RATCHET_TRY(Save());
    }
    Assign(best_weights_, weights_);
    module_.eval();
    outcome_.epochs = epoch_;
    outcome_.metrics["best_epoch"] = outcome_.best_epoch;
    outcome_.metrics["diverged"] = outcome_.diverged;
    return outcome_;
  }

 private:
  bool OutOfPatience() const {
    return options_.patience > 0 && epoch_ - outcome_.best_epoch > options_.patience && epoch_ > 0;
  }

  void Say(Progress progress) const {
    progress.from = resumed_from_;
    if (input_.report) input_.report(progress);
  }

  Status Resume() {
    if (!input_.resume) return {};
    auto found = LoadCheckpoint(*input_.resume, fingerprint_, *optimizer_);
    if (!found) {
      // A broken checkpoint costs the epochs it held, not the training.
      optimizer_ = MakeOptimizer(module_, options_);
      Say({.phase = "load",
           .message = "The checkpoint can't be read, training starts anew: " + found.error().Message()});
      return {};
    }
    if (!*found) {
      Say({.phase = "load", .message = "There is no checkpoint of this training, it starts anew."});
      return {};
    }
    Restore(**found);
    Say({.phase = "load",
         .epoch = epoch_,
         .of = options_.epochs,
         .message = fmt::format("Resumed after epoch {}.", epoch_)});
    return {};
  }

  void Restore(const Checkpoint& checkpoint) {
    Assign(checkpoint.weights, weights_);
    best_weights_ = checkpoint.best_weights;
    epoch_ = resumed_from_ = checkpoint.epoch;
    outcome_.best_epoch = checkpoint.state.at("best_epoch").get<std::int64_t>();
    outcome_.diverged = checkpoint.state.at("diverged").get<bool>();
    outcome_.metrics = checkpoint.state.at("metrics");
    if (checkpoint.state.contains("best_score")) best_score_ = checkpoint.state.at("best_score").get<double>();
    if (checkpoint.state.contains("first_loss")) first_loss_ = checkpoint.state.at("first_loss").get<double>();
  }

  Status Save() {
    nlohmann::json state = {
        {"best_epoch", outcome_.best_epoch}, {"diverged", outcome_.diverged}, {"metrics", outcome_.metrics}};
    if (best_score_) state["best_score"] = *best_score_;
    if (first_loss_) state["first_loss"] = *first_loss_;
    return SaveCheckpoint(input_.checkpoint_folder,
                          {fingerprint_, epoch_, std::move(state), Copies(weights_, torch::kCPU), best_weights_},
                          *optimizer_);
  }

  // The mean loss of the epoch; not finite when training broke off in its midst.
  double TrainEpoch() {
    torch::manual_seed(EpochSeed(input_.seed, epoch_ + 1));
    module_.train();
    const auto batches = torch::randperm(task_.rows(), torch::kInt64).tensor_split(steps_per_epoch_);
    const auto start = SteadyClock::now();
    auto said = start;
    torch::Tensor sum;
    std::int64_t rows = 0;
    for (std::int64_t step = 0; step < steps_per_epoch_; ++step) {
      const torch::Tensor loss = Step(batches[step], epoch_ * steps_per_epoch_ + step);
      sum = sum.defined() ? sum + loss : loss;
      rows += batches[step].size(0);
      if (!first_loss_) first_loss_ = loss.item<double>();
      const auto now = SteadyClock::now();
      if (Seconds(now - said).count() < kReportEvery_s && step + 1 < steps_per_epoch_) continue;
      said = now;
      const double mean = sum.item<double>() / static_cast<double>(step + 1);
      if (!std::isfinite(mean)) return mean;
      Say({.phase = "train",
           .epoch = epoch_ + 1,
           .of = options_.epochs,
           .step = step + 1,
           .steps = steps_per_epoch_,
           .rows_per_s = static_cast<double>(rows) / std::max(1e-9, Seconds(now - start).count()),
           .loss = mean});
    }
    return sum.item<double>() / static_cast<double>(steps_per_epoch_);
  }

  torch::Tensor Step(const torch::Tensor& rows, std::int64_t step) {
    SetLearningRate(*optimizer_, LearningRateAt(options_, step, options_.epochs * steps_per_epoch_));
    const torch::Tensor loss = task_.Loss(rows);
    optimizer_->zero_grad();
    loss.backward();
    optimizer_->step();
    return loss.detach();
  }

  // Measures the weights of the epoch that just ended, keeps them if they are the best so far, and sees a hopeless
  // case.
  void Judge(double loss) {
    torch::NoGradGuard no_grad;
    module_.eval();
    if (!std::isfinite(loss)) {
      Diverge("The loss is no longer a finite number.");
      return;
    }
    Evaluation now = task_.Evaluate();
    if (!now.finite || (now.score && !std::isfinite(*now.score))) {
      Diverge("The model's outputs are no longer finite numbers.");
      return;
    }
    now.metrics["train_loss"] = loss;
    if (!now.score || !best_score_ || *now.score >= *best_score_) {
      best_score_ = now.score;
      best_weights_ = Copies(weights_, torch::kCPU);
      outcome_.best_epoch = epoch_;
      outcome_.metrics = now.metrics;
    }
    Say({.phase = "validate", .epoch = epoch_, .of = options_.epochs, .loss = loss, .metrics = now.metrics});
    if (loss > kHopelessLossRatio * std::max(first_loss_.value_or(loss), 1e-3))
      Diverge(fmt::format("The loss has grown to {:.3g} from {:.3g}.", loss, first_loss_.value_or(0)));
  }

  void Diverge(const std::string& why) {
    outcome_.diverged = true;
    Say({.phase = "train",
         .epoch = epoch_,
         .of = options_.epochs,
         .message = fmt::format(
             "Training diverged: {} It ends here with the weights of epoch {}; try a smaller learning_rate.", why,
             outcome_.best_epoch)});
  }

  torch::jit::Module& module_;
  FitTask& task_;
  const FitOptions options_;
  const TrainInput& input_;
  const std::string fingerprint_;
  const std::vector<torch::Tensor> weights_;  // the module's own, parameters and buffers
  std::vector<torch::Tensor> best_weights_;   // copies on the CPU
  std::unique_ptr<torch::optim::AdamW> optimizer_;
  const std::int64_t steps_per_epoch_;
  std::int64_t epoch_ = 0, resumed_from_ = 0;
  std::optional<double> best_score_, first_loss_;
  FitOutcome outcome_;
};

}  // namespace

torch::Device ChooseDevice(const std::string& wanted) {
  return wanted == "auto" && torch::cuda::is_available() ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU);
}

void PrepareProcess(const TrainInput& input) {
  at::set_num_threads(std::max(1, input.threads));
#ifdef __GLIBC__
  // Activations are MiB large and made anew every step: given back to the kernel each time, they would cost a third of
  // an epoch in page faults. 32 MiB is the most that glibc takes as its threshold; it refuses more.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

Result<FitOutcome> Fit(torch::jit::Module& module, FitTask& task, const FitOptions& options, const TrainInput& input,
                       const std::string& fingerprint) {
  try {
    // The graph is run as it stands: specialising it costs seconds, and the kernels take nearly all the time anyway.
    torch::jit::GraphOptimizerEnabledGuard plain(false);
    return Loop(module, task, options, input, fingerprint).Run();
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInternal, "train", "the model", error.what());
  }
}

}  // namespace ratchet::sdk
