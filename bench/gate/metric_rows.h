#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "gate/evidence.h"

// Made-up holdout rows with the answers of a candidate and of a live version that is a little worse, for every metric.
namespace ratchet::bench {

// What one side answered; the targets stand in both, as the gate wants them.
struct Answers {
  std::vector<std::int32_t> target, predicted;
  std::vector<double> target_probability, square_sum, positive_probability;
  std::vector<double> target_number, prediction, scale, levels, quantiles;
  std::vector<std::int64_t> ranked_ends, relevant_ends;
  std::vector<float> ranked, relevant;
  std::vector<std::int32_t> word_edits, words, character_edits, characters;

  gate::Evidence Evidence(gate::Needs needs, std::int64_t classes) const;
};

struct PairedAnswers {
  Answers candidate, live;
};

// `rows` independent rows with what `needs` asks for. Of classes there are 2 of unequal frequency for the metrics of two
// classes, else 4, the rarest on one row of 20; numbers have heavy-tailed errors of unequal size, a query 10 answers.
PairedAnswers DrawAnswers(gate::Needs needs, std::int64_t classes, int rows, std::mt19937_64& random);

}  // namespace ratchet::bench
