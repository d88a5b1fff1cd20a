#include "bench/gate/metric_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace ratchet::bench {
namespace {

using gate::Needs;
using Random = std::mt19937_64;

constexpr double kCandidateSkill = 1.5, kLiveSkill = 1.35;  // of the true class's logit, in its noise's deviations
constexpr double kCandidateNoise = 0.9, kLiveNoise = 1.0;
constexpr double kShared = 0.7;  // of what is noise to one side, so much is noise to both
constexpr int kRanked = 10;

double Normal(Random& random) { return std::normal_distribution<double>()(random); }

// Noise of one side that goes along with the other's.
double Along(double shared, Random& random) { return kShared * shared + std::sqrt(1 - kShared * kShared) * Normal(random); }

void AddClasses(Answers& side, std::int32_t target, const std::vector<double>& prior, double skill,
                const std::vector<double>& shared, Random& random) {
  std::vector<double> p(prior.size());
  for (size_t k = 0; k < p.size(); ++k) {
    bool is_target = static_cast<size_t>(target) == k;
    p[k] = prior[k] * std::exp(skill * ((is_target ? skill : 0) + Along(shared[k], random)));
  }
  double sum = std::reduce(p.begin(), p.end()), squares = 0;
  for (double& share : p) {
    share /= sum;
    squares += share * share;
  }
  side.target.push_back(target);
  side.predicted.push_back(static_cast<std::int32_t>(std::ranges::max_element(p) - p.begin()));
  side.target_probability.push_back(p[static_cast<size_t>(target)]);
  side.square_sum.push_back(squares);
  side.positive_probability.push_back(p[1]);
}

void DrawClasses(PairedAnswers& both, std::int64_t classes, Random& random) {
  static const std::vector<double> kTwo = {0.85, 0.15}, kFour = {0.5, 0.3, 0.15, 0.05};
  const std::vector<double>& prior = classes == 2 ? kTwo : kFour;
  std::discrete_distribution<std::int32_t> target(prior.begin(), prior.end());
  std::vector<double> shared(prior.size());
  for (double& s : shared) s = Normal(random);
  std::int32_t drawn = target(random);
  AddClasses(both.candidate, drawn, prior, kCandidateSkill, shared, random);
  AddClasses(both.live, drawn, prior, kLiveSkill, shared, random);
}

void AddNumber(Answers& side, double target, double scale, double error) {
  side.target_number.push_back(target);
  side.prediction.push_back(target + error);
  side.scale.push_back(scale);
  side.levels = {0.1, 0.5, 0.9};
}

// Errors as large as the target is, with the tails of Student's t of 5 degrees; both sides' quantiles are too narrow.
void DrawNumbers(PairedAnswers& both, Random& random) {
  double target = std::exp(2 + 0.5 * Normal(random)), shared = Normal(random);
  double tail = std::sqrt(3 / std::gamma_distribution<double>(2.5, 2)(random));
  double scale = std::uniform_real_distribution<double>(0.5, 2)(random);
  auto add = [&](Answers& side, double noise, double width) {
    double error = 0.2 * target * noise * tail * Along(shared, random);
    AddNumber(side, target, scale, error);
    for (double z : {-1.0, 0.0, 1.0}) side.quantiles.push_back(target + error + z * width * 0.2 * target);
  };
  add(both.candidate, kCandidateNoise, 1.1);
  add(both.live, kLiveNoise, 0.9);
}

void AddRanking(Answers& side, const std::array<float, kRanked>& relevance, const std::array<double, kRanked>& score) {
  std::array<size_t, kRanked> order;
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, std::greater(), [&](size_t i) { return score[i]; });
  for (size_t i : order) side.ranked.push_back(relevance[i]);
  side.relevant.insert(side.relevant.end(), relevance.begin(), relevance.end());
  side.ranked_ends.push_back(static_cast<std::int64_t>(side.ranked.size()));
  side.relevant_ends.push_back(static_cast<std::int64_t>(side.relevant.size()));
}

void DrawQuery(PairedAnswers& both, Random& random) {
  std::discrete_distribution<int> relevance({0.8, 0.15, 0.05});
  std::array<float, kRanked> of;
  std::array<double, kRanked> candidate, live;
  for (size_t i = 0; i < of.size(); ++i) {
    of[i] = static_cast<float>(relevance(random));
    double shared = Normal(random);
    candidate[i] = of[i] + kCandidateNoise * Along(shared, random);
    live[i] = of[i] + kLiveNoise * Along(shared, random);
  }
  of[0] = std::max(of[0], 1.0F);
  AddRanking(both.candidate, of, candidate);
  AddRanking(both.live, of, live);
}

void DrawTranscript(PairedAnswers& both, Random& random) {
  std::int32_t words = 1 + std::poisson_distribution<std::int32_t>(12)(random), characters = 5 * words;
  double hardness = std::exp(0.7 * Normal(random));  // of the clip, the same to both
  auto add = [&](Answers& side, double rate) {
    double of_clip = std::min(0.9, rate * hardness);
    side.words.push_back(words);
    side.characters.push_back(characters);
    side.word_edits.push_back(std::binomial_distribution<std::int32_t>(words, of_clip)(random));
    side.character_edits.push_back(std::binomial_distribution<std::int32_t>(characters, of_clip / 3)(random));
  };
  add(both.candidate, 0.10);
  add(both.live, 0.12);
}

}  // namespace

gate::Evidence Answers::Evidence(Needs needs, std::int64_t classes) const {
  switch (needs) {
    case Needs::kClasses:
    case Needs::kTargetProbability:
    case Needs::kSquareSum:
    case Needs::kPositiveProbability:
    case Needs::kConfidence:
      return {gate::ClassColumns{classes, target, predicted, target_probability, {}, square_sum,
                                 classes == 2 ? std::span<const double>(positive_probability) : std::span<const double>()},
              {}};
    case Needs::kPredictions:
    case Needs::kScales:
    case Needs::kQuantiles:
      return {gate::NumberColumns{target_number, prediction, scale, levels, quantiles}, {}};
    case Needs::kRankedLists:
      return {gate::RankedColumns{{ranked_ends, ranked}, {relevant_ends, relevant}}, {}};
    case Needs::kWordEdits:
    case Needs::kCharacterEdits:
      return {gate::TranscriptColumns{word_edits, words, character_edits, characters}, {}};
  }
  return {};
}

PairedAnswers DrawAnswers(Needs needs, std::int64_t classes, int rows, Random& random) {
  PairedAnswers both;
  for (int row = 0; row < rows; ++row) {
    if (needs == Needs::kPredictions || needs == Needs::kScales || needs == Needs::kQuantiles) {
      DrawNumbers(both, random);
    } else if (needs == Needs::kRankedLists) {
      DrawQuery(both, random);
    } else if (needs == Needs::kWordEdits || needs == Needs::kCharacterEdits) {
      DrawTranscript(both, random);
    } else {
      DrawClasses(both, classes, random);
    }
  }
  return both;
}

}  // namespace ratchet::bench
