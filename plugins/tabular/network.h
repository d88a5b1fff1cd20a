#pragma once

#include <torch/script.h>

#include <cstdint>

#include "plugins/tabular/features.h"

namespace ratchet::tabular {

enum class Head { kClasses, kNumber };

struct NetworkOptions {
  Head head = Head::kClasses;
  std::int64_t outputs = 2;  // classes; 1 for a number
  std::int64_t hidden = 128, layers = 2;
  double dropout = 0.1;                          // after each hidden layer
  double target_mean = 0, target_deviation = 1;  // of a number, in the target's unit
};

// A perceptron with a linear path beside it, over standardised numbers, their piecewise linear encoding (Gorishniy et
// al. 2022) and embeddings of categories (Guo & Berkhahn 2016), as TorchScript that holds vocabularies and statistics
// itself.
//   forward(number: float64 [rows] …, category: List[str] …) -> float32 [rows, classes] probabilities, or [rows]
//   numbers encode(as forward) -> (float64 [rows, numbers], int64 [rows, categories]), the raw numbers and the codes
//   scores(as encode gives) -> float32 [rows, outputs]: logits, or the standardised target; for training
// A missing number is NaN, a missing text is empty. Weights are drawn from LibTorch's generator.
torch::jit::Module MakeNetwork(const Features& features, const NetworkOptions& options);

}  // namespace ratchet::tabular
