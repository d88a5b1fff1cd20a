#pragma once

#include <vector>

#include "base/result.h"
#include "gate/comparison.h"
#include "gate/evidence.h"
#include "gate/method.h"
#include "gate/metrics.h"

// A metric's figure over the holdout, and what each row has to do with it. O(rows), for the two areas under a curve
// O(rows log rows).
//
// What counts as what, where usage differs (w: the row's weight; all else as in scikit-learn):
// - balanced_accuracy: mean recall of the classes that are some row's target.
// - macro_f1: mean F1 of the classes that are some row's target or answer. micro_f1 is the accuracy.
// - log_loss: probabilities below 1e-15 count as that, so that no single row decides all.
// - brier: Σ_k (p_k − y_k)², halved for two classes, so that it lies in [0, 1] there.
// - pr_auc: average precision Σ (R_n − R_{n−1}) P_n, no interpolation; rows of one score count as one step.
// - mape: refused where a target is 0. smape: 2|y − f| / (|y| + |f|), in [0, 2], 0 for 0/0.
// - mase: mean of |y − f| / scale (Hyndman & Koehler 2006, International Journal of Forecasting 22:679–688).
// - pinball: mean over rows and levels of max(q(y − f), (q − 1)(y − f)); weighted_quantile_loss: mean over levels of
//   2 Σ pinball / Σ|y|, which at the level 0.5 alone is wape.
// - coverage: share of rows from the lowest to the highest predicted quantile, both included.
// - ndcg@k: gain = relevance, discount 1 / log2(rank + 1). hit_rate@k, recall@k, mrr: relevant is what is above 0.
//   A query to which nothing is relevant scores 0 on all four.
// - wer, cer: edits by length of the references, over all rows; above 1 where much is inserted.
namespace ratchet::gate {

// influence[i] is W · ∂value/∂w_i, with w_i the weight of row i (1 where there are none) and W the sum of all: by what
// the figure changes for a little more of such a row (the empirical influence value or infinitesimal jackknife: Hampel
// 1974, JASA 69:383–393; Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", ch. 6). Its mean by the
// weights is 0 up to rounding; the variance of the figure is about the variance of that mean. For roc_auc it is made of
// DeLong's structural components.
struct Figure {
  double value = 0;  // in the metric's unit
  std::vector<double> influence;
};

// Beside what CheckEvidence refuses, kInvalid: one class only (balanced_accuracy: as target; roc_auc, pr_auc: either
// missing), a target of 0 (mape), targets or references that sum to 0 (wape, weighted_quantile_loss, wer, cer), fewer
// than two levels (coverage), a ranking that has more relevance than the query, or nothing relevant to any query,
// a cut-off that ParseMetric would refuse, numbers so large that the figure is not finite.
Result<Figure> Evaluate(const Metric& metric, const Evidence& evidence);

// Candidate against opponent on the same rows. Where these have weights, Sampling::weight must say them again: the
// figures are weighted, and each gain is that of one row of weight 1. The difference is oriented by the metric's goal;
// for coverage it is the opponent's distance from highest − lowest level less the candidate's (at no distance the gain
// is read as if from above, so that its spread is not lost). kInvalid as Evaluate, and where the rows are not the same
// on both sides.
Result<Comparison> Compare(const Metric& metric, const Evidence& candidate, const Evidence& opponent, Method method = kNewestMethod);

// Candidate's figure less the opponent's, turned so that positive means better; as the mean of Comparison::gain.
// `nominal`: what Goal::kNominal aims at; not looked at for the other goals.
double OrientedDifference(Goal goal, double candidate, double opponent, double nominal = 0);

}  // namespace ratchet::gate
