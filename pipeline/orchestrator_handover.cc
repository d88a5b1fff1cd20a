// The end of a step and the start of what it sets free, in one commit: a chain of short steps waits for the disk once a step,
// not twice. Declared in pipeline/orchestrator.h.

#include "base/log.h"
#include "pipeline/orchestrator_run.h"
#include "pipeline/step_cache.h"

namespace ratchet::pipeline {

using registry::Db;
using registry::Json;
using registry::Step;

// Begins one of the user's own steps inside the transaction that ends its predecessor. What is out of the ordinary (a hit of
// the cache, inputs that are not at hand, a full disk) is left to Perform(StartAttempt), which knows what to say of it.
Status Orchestrator::BeginInside(Db& db, const Context& at, const Step& step, std::vector<Begun>& begun) {
  const registry::Run& run = at.run();
  StepInputs inputs = InputsOf(at, step, run_data_.at(run.id));
  if (!GatherFiles(db, inputs)) return {};
  const Json step_file = MakeStepFile(inputs, blobs_);
  const auto key = KeyOf(at, step, step_file);
  if (key && !run.fresh && registry::FindCached(db, *key)) return {};
  if (!WriteStepFolder(files_, step_file)) return {};
  if (key) registry::SetCacheKey(db, run.id, step.name, *key);
  RATCHET_ASSIGN(const registry::Attempt attempt, registry::StartAttempt(db, now_us_, run.id, step.name));
  begun.push_back({step, attempt.number});
  return {};
}

Status Orchestrator::BeginSuccessors(Db& db, const Context& at, const Step& ended, std::vector<Begun>& begun) {
  if (!run_data_.contains(at.run().id)) return {};
  RATCHET_ASSIGN(const registry::RunWork work, registry::WorkOf(db, at.run().id));
  const auto cpus_of = [&](const Step& step) { return pipeline::WorkOf(*at.spec, step).limits.cpus; };
  int taken = cpus_taken_ - cpus_of(ended);
  for (const RunAction& action : NextActions(work, PolicyOf(at), now_us_)) {
    const auto* start = std::get_if<StartAttempt>(&action);
    if (start == nullptr) continue;
    const Step& next = start->step;
    const bool own = next.kind == "command" || next.kind == "recipe";
    if (!own || !next.attempts.empty() || !executor_.Ready(HostOf(at, next))) continue;
    if (taken > 0 && taken + cpus_of(next) > options_.cpus) continue;
    const size_t before = begun.size();
    RATCHET_TRY(BeginInside(db, at, next, begun));
    if (begun.size() > before) taken += cpus_of(next);
  }
  return {};
}

// Writes down the end of a step and the start of its successors, which are set going after the commit.
Status Orchestrator::EndAndGoOn(Context& at, const Step& ended, const std::function<Status(Db&)>& end) {
  std::vector<Begun> begun;
  Status done = store_.Write([&](Db& db) -> Status {
    begun.clear();  // what a failed commit took along is tried again
    RATCHET_TRY(end(db));
    return BeginSuccessors(db, at, ended, begun);
  });
  if (!done && !begun.empty()) {
    begun.clear();
    done = store_.Write(end);  // whose fault it was shows by itself
  }
  for (const Begun& next : done ? begun : std::vector<Begun>{}) SetGoing(at, next);
  return done;
}

// Its attempt is written down. One that could not be started is found lost at the next look, and tried again.
void Orchestrator::SetGoing(Context& at, const Begun& begun) {
  at.begun.insert(begun.step.name);
  cpus_taken_ += pipeline::WorkOf(*at.spec, begun.step).limits.cpus;
  Status started = executor_.Start(RefOf(at, begun.step, begun.attempt));
  WakeAt(now_us_ + kBusyTickUs);
  if (!started) Postpone(at.run(), started.error());
}

}  // namespace ratchet::pipeline
