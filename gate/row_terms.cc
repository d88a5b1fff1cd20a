#include "gate/row_terms.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace ratchet::gate {
namespace {

constexpr double kLeastProbability = 1e-15;
// A ranking's gain may exceed the best one by rounding only.
constexpr double kGainSlack = 1e-9;

std::unexpected<Error> Refuse(const Metric& metric, std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "evaluate", MetricText(metric), std::move(cause), std::move(hint));
}

template <typename ScoreOfRow>
std::vector<double> EachRow(size_t rows, const ScoreOfRow& score) {
  std::vector<double> scores(rows);
  for (size_t i = 0; i < rows; ++i) scores[i] = score(i);
  return scores;
}

std::vector<double> Correct(const ClassColumns& c) {
  return EachRow(c.target.size(), [&](size_t i) { return c.predicted[i] == c.target[i] ? 1.0 : 0.0; });
}

std::vector<double> LogLosses(const ClassColumns& c) {
  return EachRow(c.target.size(),
                 [&](size_t i) { return -std::log(std::clamp(c.target_probability[i], kLeastProbability, 1.0)); });
}

std::vector<double> BrierScores(const ClassColumns& c) {
  const double scale = c.classes == 2 ? 0.5 : 1.0;
  return EachRow(c.target.size(),
                 [&](size_t i) { return scale * std::max(0.0, c.square_sum[i] - 2 * c.target_probability[i] + 1); });
}

double AbsoluteError(const NumberColumns& c, size_t i) { return std::abs(c.target[i] - c.prediction[i]); }

std::vector<double> AbsoluteErrors(const NumberColumns& c) {
  return EachRow(c.target.size(), [&](size_t i) { return AbsoluteError(c, i); });
}

std::vector<double> SquaredErrors(const NumberColumns& c) {
  return EachRow(c.target.size(), [&](size_t i) { return AbsoluteError(c, i) * AbsoluteError(c, i); });
}

std::vector<double> AbsoluteTargets(const NumberColumns& c) {
  return EachRow(c.target.size(), [&](size_t i) { return std::abs(c.target[i]); });
}

Result<RowTerms> PercentageErrors(const Metric& metric, const NumberColumns& c) {
  if (auto zero = std::ranges::find(c.target, 0.0); zero != c.target.end())
    return Refuse(
        metric, fmt::format("the target of row {} is 0, and no error is a share of that", zero - c.target.begin() + 1),
        "Use wape or smape.");
  return RowTerms{EachRow(c.target.size(), [&](size_t i) { return AbsoluteError(c, i) / std::abs(c.target[i]); }), {}};
}

std::vector<double> SymmetricErrors(const NumberColumns& c) {
  return EachRow(c.target.size(), [&](size_t i) {
    const double error = AbsoluteError(c, i);
    return error == 0 ? 0.0 : error / (std::abs(c.target[i]) / 2 + std::abs(c.prediction[i]) / 2);
  });
}

std::vector<double> ScaledErrors(const NumberColumns& c) {
  return EachRow(c.target.size(), [&](size_t i) { return AbsoluteError(c, i) / c.scale[i]; });
}

// `times` the mean over the levels.
std::vector<double> PinballLosses(const NumberColumns& c, double times) {
  const size_t levels = c.levels.size();
  const double share = times / static_cast<double>(levels);
  return EachRow(c.target.size(), [&](size_t i) {
    double sum = 0;
    for (size_t k = 0; k < levels; ++k) {
      const double above = c.target[i] - c.quantiles[i * levels + k];
      sum += std::max(c.levels[k] * above, (c.levels[k] - 1) * above);
    }
    return share * sum;
  });
}

Result<RowTerms> Covered(const Metric& metric, const NumberColumns& c) {
  const size_t levels = c.levels.size();
  if (levels < 2) return Refuse(metric, "an interval needs two quantile levels, and there is one");
  return RowTerms{EachRow(c.target.size(),
                          [&](size_t i) {
                            const double y = c.target[i];
                            return y >= c.quantiles[i * levels] && y <= c.quantiles[(i + 1) * levels - 1] ? 1.0 : 0.0;
                          }),
                  {}};
}

std::span<const float> ListOf(const Lists& lists, size_t row) {
  const std::int64_t begin = row == 0 ? 0 : lists.ends[row - 1];
  return lists.values.subspan(static_cast<size_t>(begin), static_cast<size_t>(lists.ends[row] - begin));
}

// Scores queries one after the other; holds the discounts and the room to sort in.
class QueryScorer {
 public:
  QueryScorer(MetricId id, std::int64_t cut_off) : id_(id), cut_off_(static_cast<size_t>(cut_off)) {
    if (id != MetricId::kNdcg) return;
    discount_.resize(cut_off_);
    for (size_t rank = 1; rank <= cut_off_; ++rank) discount_[rank - 1] = 1 / std::log2(static_cast<double>(rank + 1));
  }

  // `ranked`, `relevant`: all of the query. Above 1 where the ranking has more than the query.
  double Score(std::span<const float> ranked, std::span<const float> relevant) {
    const auto top = cut_off_ > 0 ? ranked.first(std::min(cut_off_, ranked.size())) : ranked;
    if (id_ == MetricId::kNdcg) return Quotient(Gain(top), BestGain(relevant));
    if (id_ == MetricId::kRecall) return Quotient(static_cast<double>(Hits(top)), static_cast<double>(Hits(relevant)));
    const auto first = std::ranges::find_if(top, [](float relevance) { return relevance > 0; });
    if (first == top.end()) return 0;
    if (Hits(relevant) == 0) return kMoreThanAll;
    return id_ == MetricId::kMrr ? 1 / static_cast<double>(first - top.begin() + 1) : 1.0;
  }

 private:
  static constexpr double kMoreThanAll = 2;

  static double Quotient(double part, double whole) { return part == 0 ? 0 : whole == 0 ? kMoreThanAll : part / whole; }

  static std::ptrdiff_t Hits(std::span<const float> list) {
    return std::ranges::count_if(list, [](float relevance) { return relevance > 0; });
  }

  double Gain(std::span<const float> list) const {
    double gain = 0;
    for (size_t i = 0; i < std::min(cut_off_, list.size()); ++i) gain += list[i] * discount_[i];
    return gain;
  }

  double BestGain(std::span<const float> relevant) {
    best_.clear();
    for (float relevance : relevant)
      if (relevance > 0) best_.push_back(relevance);
    if (best_.size() > cut_off_) {
      std::ranges::nth_element(best_, best_.begin() + static_cast<std::ptrdiff_t>(cut_off_), std::greater());
      best_.resize(cut_off_);
    }
    std::ranges::sort(best_, std::greater());
    return Gain(best_);
  }

  MetricId id_;
  size_t cut_off_;
  std::vector<double> discount_;
  std::vector<float> best_;
};

Result<RowTerms> QueryScores(const Metric& metric, const RankedColumns& c) {
  if (std::ranges::none_of(c.relevant.values, [](float relevance) { return relevance > 0; }))
    return Refuse(metric, "nothing is relevant to any query");
  QueryScorer scorer(metric.id, metric.cut_off);
  RowTerms terms{EachRow(c.relevant.ends.size(),
                         [&](size_t i) { return scorer.Score(ListOf(c.ranked, i), ListOf(c.relevant, i)); }),
                 {}};
  const auto over = std::ranges::find_if(terms.numerator, [](double score) { return score > 1 + kGainSlack; });
  if (over != terms.numerator.end())
    return Refuse(metric, fmt::format("the ranking of query {} has more relevance than the query",
                                      over - terms.numerator.begin() + 1));
  return terms;
}

std::vector<double> Numbers(std::span<const std::int32_t> counts) { return {counts.begin(), counts.end()}; }

}  // namespace

Result<RowTerms> TermsOf(const Metric& metric, const Evidence& evidence) {
  const auto classes = [&] { return std::get<ClassColumns>(evidence.columns); };
  const auto numbers = [&] { return std::get<NumberColumns>(evidence.columns); };
  const auto texts = [&] { return std::get<TranscriptColumns>(evidence.columns); };
  switch (metric.id) {
    case MetricId::kAccuracy:
    case MetricId::kMicroF1:
      return RowTerms{Correct(classes()), {}};
    case MetricId::kLogLoss:
      return RowTerms{LogLosses(classes()), {}};
    case MetricId::kBrier:
      return RowTerms{BrierScores(classes()), {}};
    case MetricId::kMae:
      return RowTerms{AbsoluteErrors(numbers()), {}};
    case MetricId::kRmse:
      return RowTerms{SquaredErrors(numbers()), {}};
    case MetricId::kWape:
      return RowTerms{AbsoluteErrors(numbers()), AbsoluteTargets(numbers())};
    case MetricId::kMape:
      return PercentageErrors(metric, numbers());
    case MetricId::kSmape:
      return RowTerms{SymmetricErrors(numbers()), {}};
    case MetricId::kMase:
      return RowTerms{ScaledErrors(numbers()), {}};
    case MetricId::kPinball:
      return RowTerms{PinballLosses(numbers(), 1), {}};
    case MetricId::kWeightedQuantileLoss:
      return RowTerms{PinballLosses(numbers(), 2), AbsoluteTargets(numbers())};
    case MetricId::kCoverage:
      return Covered(metric, numbers());
    case MetricId::kNdcg:
    case MetricId::kMrr:
    case MetricId::kHitRate:
    case MetricId::kRecall:
      return QueryScores(metric, std::get<RankedColumns>(evidence.columns));
    case MetricId::kWer:
      return RowTerms{Numbers(texts().word_edits), Numbers(texts().words)};
    case MetricId::kCer:
      return RowTerms{Numbers(texts().character_edits), Numbers(texts().characters)};
    case MetricId::kBalancedAccuracy:
    case MetricId::kMacroF1:
    case MetricId::kRocAuc:
    case MetricId::kPrAuc:
      break;
  }
  RATCHET_CHECK(metric.aggregate != Aggregate::kOfSet);
  return RowTerms{};
}

}  // namespace ratchet::gate
