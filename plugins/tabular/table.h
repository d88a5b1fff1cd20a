#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "plugins/tabular/features.h"

namespace ratchet::tabular {

// Which rows can be learned from: 1 where the target has a value.
using UsableRows = std::function<std::vector<std::uint8_t>(const lake::ColumnBatch& target)>;

// What the first pass over the training packs finds.
struct Survey {
  FeatureFinder features;
  lake::ColumnBatch target;          // of all rows
  std::vector<std::uint8_t> usable;  // of all rows
};

Result<Survey> SurveyPacks(const std::vector<std::string>& packs, const std::vector<lake::Column>& columns,
                           const std::string& target, const UsableRows& usable);

// Rows as the network's `encode` sees them, those without a target left out.
struct Encoded {
  torch::Tensor numbers;     // float64 [rows, numbers]
  torch::Tensor codes;       // int64 [rows, categories]
  lake::ColumnBatch target;  // of all rows, those without a target too
  torch::Tensor kept;        // int64 [rows]: which of all rows these are
};

// The second pass: the network's own encoding, so that training and serving can't differ.
Result<Encoded> EncodePacks(const std::vector<std::string>& packs, const Features& features, const std::string& target,
                            const UsableRows& usable, torch::jit::Module& net);

}  // namespace ratchet::tabular
