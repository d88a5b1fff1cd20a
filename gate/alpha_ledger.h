#pragma once

#include <cstdint>
#include <string>

// What looking at a holdout costs. The k-th look at the same sealed rows is tested at level α·6/(π²k²); since Σ 1/k² =
// π²/6, all looks together, however many there are, promote a candidate that is not better with probability at most α
// (Bonferroni over an open end). What may lead from one look to the next is the verdict: with "not promoted" as the
// only answer so far the next candidate is the same whatever the rows say, so the bound holds. It does not hold for
// whoever climbs by the figures themselves, digit by digit, as a leaderboard lets him.
namespace ratchet::gate {

// α of the k-th look, k ≥ 1, 0 < alpha < 1.
double LevelOfLook(double alpha, std::int64_t look);

struct AlphaBudget {
  double alpha = 0.05;     // for all looks together
  std::int64_t looks = 0;  // so far
  double spent = 0;
  double left = 0;        // alpha − spent, what all looks to come may cost together
  double next_level = 0;  // of look number looks + 1
};
AlphaBudget BudgetAfter(double alpha, std::int64_t looks);

// The least true mean gain that is found with the given power at this level, by `units` observations whose gains have
// this standard deviation. By the normal approximation.
double LeastMeanGain(double level, double units, double standard_deviation, double power = 0.8);

// The same for 0/1 scores, of which candidate and opponent differ on the share `differing` (0 to 1) of the rows: by the
// exact test's formula. Above `differing` (a gain that cannot be) where the level is out of reach.
double LeastShareGain(double level, std::int64_t rows, double differing, double power = 0.8);

// The standard deviation of one unit's gain for which a two-sided interval of the mean over `units` of them would be this
// wide: by the normal approximation, so a little too large for few units.
double SpreadOfInterval(double low, double high, double confidence, double units);

// What a report says before training time is spent.
struct LookForecast {
  std::int64_t look = 1;
  double level = 0;
  double least_gain = 0;
  bool worthwhile = true;  // least_gain is no more than the realistic gain
  std::string sentence;    // for people
};
// The next look after `budget` for 0/1 scores; `realistic_gain` > 0 is the most that a candidate may be hoped to gain,
// in the metric's unit, such as half of the live version's error.
LookForecast ForeseeShareLook(const AlphaBudget& budget, std::int64_t rows, double differing, double realistic_gain);
// The same for means with a known spread, of earlier looks for instance.
LookForecast ForeseeMeanLook(const AlphaBudget& budget, std::int64_t units, double standard_deviation,
                             double realistic_gain);

}  // namespace ratchet::gate
