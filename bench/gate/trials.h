#pragma once

#include <boost/math/distributions/binomial.hpp>

#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

// Many independent trials on all cores. What comes out depends on the seed alone, not on the threads.
namespace ratchet::bench {

struct Run {
  std::uint64_t seed = 1;
  unsigned threads = 1;
};

// `trial(random)` with a generator of its own for each of `count` trials; the answers in the order of the trials. `stream`
// sets apart the uses of one seed.
template <typename Trial>
auto RunTrials(const Run& run, std::uint64_t stream, int count, const Trial& trial) {
  using Answer = decltype(trial(std::declval<std::mt19937_64&>()));
  std::vector<Answer> answers(static_cast<size_t>(count));
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < answers.size(); i = next++) {
      std::seed_seq seeds{run.seed, run.seed >> 32, stream, static_cast<std::uint64_t>(i)};
      std::mt19937_64 random(seeds);
      answers[i] = trial(random);
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < run.threads; ++i) threads.emplace_back(work);
  work();
  threads.clear();
  return answers;
}

// A share of trials and its one-sided upper 95 % bound (Clopper and Pearson 1934).
struct Share {
  double share = 0, upper = 1;
};
inline Share ShareOf(std::int64_t hits, std::int64_t trials) {
  double n = static_cast<double>(trials), k = static_cast<double>(hits);
  using Binomial = boost::math::binomial_distribution<double>;
  return {k / n, hits == trials ? 1 : Binomial::find_upper_bound_on_p(n, k, 0.05)};
}

template <typename Range>
Share ShareOf(const Range& hits) {
  std::int64_t count = 0;
  for (auto hit : hits) count += hit ? 1 : 0;
  return ShareOf(count, static_cast<std::int64_t>(hits.size()));
}

// The standard library's goes through lgamma, which writes libm's global sign; nobody reads it, but a thread sanitizer says
// so.
inline std::int64_t DrawBinomial(std::int64_t count, double share, std::mt19937_64& random) {
  return std::binomial_distribution<std::int64_t>(count, share)(random);
}

}  // namespace ratchet::bench
