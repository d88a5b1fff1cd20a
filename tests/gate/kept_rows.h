#pragma once

#include <cstdint>
#include <vector>

#include "gate/evidence.h"

// Columns that own what gate::Evidence only looks at, for tests to spoil one at a time. The evidence is valid as long
// as they are, and must be made anew after a change.
namespace ratchet::gate {

struct KeptClasses {
  std::int64_t classes = 2;
  std::vector<std::int32_t> target = {0, 1, 1, 0, 1, 0};
  std::vector<std::int32_t> predicted = {0, 1, 0, 0, 1, 1};
  std::vector<double> target_probability = {0.9, 0.8, 0.4, 0.7, 0.6, 0.3};
  std::vector<double> predicted_probability = {0.9, 0.8, 0.6, 0.7, 0.6, 0.7};
  std::vector<double> square_sum = {0.82, 0.68, 0.52, 0.58, 0.52, 0.58};
  std::vector<double> positive_probability = {0.1, 0.8, 0.4, 0.3, 0.6, 0.7};
  std::vector<double> weight;

  Evidence Kept() const {
    return {ClassColumns{classes, target, predicted, target_probability, predicted_probability, square_sum,
                         positive_probability},
            weight};
  }
};

struct KeptNumbers {
  std::vector<double> target = {1, 2, -3, 4};
  std::vector<double> prediction = {1.5, 2, -2, 5};
  std::vector<double> scale = {1, 2, 1, 2};
  std::vector<double> levels = {0.1, 0.9};
  std::vector<double> quantiles = {0, 2, 1, 3, -2, -1, 3, 6};
  std::vector<double> weight;

  Evidence Kept() const { return {NumberColumns{target, prediction, scale, levels, quantiles}, weight}; }
};

struct KeptRankings {
  std::vector<std::int64_t> ranked_ends = {3, 5};
  std::vector<float> ranked = {0, 1, 2, 1, 0};
  std::vector<std::int64_t> relevant_ends = {2, 3};
  std::vector<float> relevant = {2, 1, 1};
  std::vector<double> weight;

  Evidence Kept() const { return {RankedColumns{{ranked_ends, ranked}, {relevant_ends, relevant}}, weight}; }
};

struct KeptTranscripts {
  std::vector<std::int32_t> word_edits = {0, 2, 1};
  std::vector<std::int32_t> words = {4, 5, 0};
  std::vector<std::int32_t> character_edits = {0, 7, 3};
  std::vector<std::int32_t> characters = {20, 24, 0};
  std::vector<double> weight;

  Evidence Kept() const { return {TranscriptColumns{word_edits, words, character_edits, characters}, weight}; }
};

}  // namespace ratchet::gate
