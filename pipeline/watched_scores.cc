// What feedback says during a release. Declared in pipeline/feedback.h.

#include "registry/watched_scores.h"

#include "base/log.h"
#include "pipeline/feedback.h"

namespace ratchet::pipeline {

// What was read is kept, and only what was joined since is read anew: a watch asks every second. So an outcome that is replaced
// later counts as it was first until the daemon starts anew.
std::vector<double> Feedback::ScoresSince(const std::string& model, std::int64_t version, std::int64_t since_us) {
  std::lock_guard lock(scores_mutex_);
  Scores& known = scores_[{model, version}];
  if (known.since_us != since_us) known = {.since_us = since_us, .last = 0, .values = {}};
  const std::int64_t room = kMostWatchedScores - static_cast<std::int64_t>(known.values.size());
  if (room <= 0) return known.values;
  auto fresh = events_.Read([&](registry::Db& db) -> Result<std::vector<registry::NumberedScore>> {
    return registry::ScoresAfter(db, model, version, since_us, known.last, room);
  });
  if (!fresh) return spdlog::error("{}", fresh.error().Message()), known.values;
  for (const registry::NumberedScore& score : *fresh) known.last = score.number, known.values.push_back(score.score);
  while (scores_.size() > kMostWatchedVersions)
    scores_.erase(scores_.begin()->first == Key{model, version} ? std::prev(scores_.end()) : scores_.begin());
  return scores_.at({model, version}).values;
}

}  // namespace ratchet::pipeline
