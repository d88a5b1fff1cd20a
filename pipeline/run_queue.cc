#include "pipeline/run_queue.h"

#include <algorithm>
#include <tuple>

namespace ratchet::pipeline {

std::vector<std::int64_t> NextToBegin(const QueueFacts& facts) {
  std::vector<registry::QueuedRun> queued = facts.queued;
  auto last_begun = [&](const std::string& pipeline) {
    auto found = facts.last_begun.find(pipeline);
    return found == facts.last_begun.end() ? 0 : found->second;
  };
  std::ranges::sort(queued, [&](const registry::QueuedRun& a, const registry::QueuedRun& b) {
    return std::tuple(-a.priority, last_begun(a.pipeline), a.id) < std::tuple(-b.priority, last_begun(b.pipeline), b.id);
  });
  std::set<std::string> running = facts.running;
  std::int64_t places = facts.free_places;
  std::vector<std::int64_t> begin;
  for (const registry::QueuedRun& run : queued) {
    if (run.cancel_asked) {
      begin.push_back(run.id);
    } else if (places > 0 && running.insert(run.pipeline).second) {
      begin.push_back(run.id);
      --places;
    }
  }
  return begin;
}

}  // namespace ratchet::pipeline
