#pragma once

#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/records.h"

namespace ratchet::registry {

// One node of the graph that a new run is made of.
struct StepInput {
  std::string name, kind;
  std::vector<std::string> needs;  // names of steps that stand before it in the list
  std::optional<Json> params;
};

struct RunInput {
  std::string pipeline;
  Json reason, overrides, spec;      // spec: with the overrides applied
  std::vector<StepInput> steps;
  std::int64_t priority = 0;
  std::optional<std::int64_t> deadline_s;
  bool fresh = false;
  std::optional<std::int64_t> reproduces;  // then revision and dataset version are those of that run
};

// Queues a run of the pipeline's current revision on its dataset's latest version. kNotFound: no such pipeline;
// kConflict: the dataset has no rows yet. Event run.created.
Result<Run> CreateRun(Db& db, std::int64_t now_us, const RunInput& input);
Result<Run> GetRun(Db& db, std::int64_t id);  // with steps and attempts; kNotFound
struct RunFilter {
  std::optional<std::string> pipeline, state;
};
Page<Run> ListRuns(Db& db, const RunFilter& filter, int limit, const std::optional<std::string>& after);  // newest first

// What there is to do about a run: its row (without spec and steps), and the steps that run or may start. Costs what is
// open, not what is done.
struct RunWork {
  Run run;
  std::vector<Step> open;  // with attempts; running ones first, then those that may start, by position
};
inline constexpr int kMostReadySteps = 32;  // that may start, in one RunWork
std::vector<RunWork> RunningRuns(Db& db);   // oldest first
Result<RunWork> WorkOf(Db& db, std::int64_t run);  // kNotFound
// A queued run as far as the queue is concerned. Runs of paused pipelines are left out, but for cancelled ones.
struct QueuedRun {
  std::int64_t id = 0;
  std::string pipeline;
  std::int64_t priority = 0;
  bool cancel_asked = false;
};
std::vector<QueuedRun> QueuedRuns(Db& db, int limit);  // highest priority first, then oldest
// Pipelines that have a run under way.
std::vector<std::string> RunningPipelines(Db& db);
// When a run of the pipeline was last begun; 0 = never.
std::int64_t LastBegunAt(Db& db, const std::string& pipeline);
struct ActiveCounts {
  std::int64_t queued = 0, running = 0;
  std::int64_t Total() const { return queued + running; }
};
ActiveCounts CountActiveRuns(Db& db);
// The newest run of the pipeline, whatever its state; without spec and steps.
std::optional<Run> LastRun(Db& db, const std::string& pipeline);
// Whether one of the pipeline's newest thousand runs, later than run `after`, was started for this kind of reason.
bool WasStartedFor(Db& db, const std::string& pipeline, const std::string& reason_kind, std::int64_t after);

// Moves of state, each checked against the table (kConflict), each with its event.
struct RunEnd {
  std::string outcome, summary;
  std::optional<Json> error;
};
Status StartRun(Db& db, std::int64_t now_us, std::int64_t run);
Status EndRun(Db& db, std::int64_t now_us, std::int64_t run, RunState to, const RunEnd& end);
Status MoveStep(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step, StepState to);
// Adds the next attempt as running and moves its step to running.
Result<Attempt> StartAttempt(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step);
void SetAttemptPid(Db& db, std::int64_t run, const std::string& step, std::int64_t number, std::int64_t pid);
struct AttemptEnd {
  std::optional<Json> error, result;
  std::optional<double> cpu_s;
  std::optional<std::int64_t> max_rss_bytes, read_bytes;
};
Status EndAttempt(Db& db, std::int64_t now_us, const Attempt& attempt, AttemptState to, const AttemptEnd& end);
// Notes on a run under way: how it will end, and what ended it.
void NoteOutcome(Db& db, std::int64_t run, const std::string& outcome);
void NoteError(Db& db, std::int64_t run, const Json& error);
Status SetCandidate(Db& db, std::int64_t run, std::int64_t version);
void SetOutputs(Db& db, std::int64_t run, const std::string& step, const Json& outputs);
void SetCacheKey(Db& db, std::int64_t run, const std::string& step, const std::string& key);
// The step's outputs_json, by name; nothing where it has none.
std::optional<Json> OutputsOf(Db& db, std::int64_t run, const std::string& step);

// What a step with this content brought before.
struct CachedStep {
  std::int64_t run = 0;
  std::string step;
  Json result;
  std::optional<Json> outputs;
};
std::optional<CachedStep> FindCached(Db& db, const std::string& key);
// Keeps what the step brought under the key that was set for it; nothing where none was. The first to do the work stays
// the one that is named.
void KeepCached(Db& db, std::int64_t now_us, const CachedStep& step);
// Moves a pending step to succeeded by what another run did.
Status TakeCached(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step, const CachedStep& cached);

// Why a run's candidate is judged again.
struct StaleDecision {
  std::string step;                                // gate or release: where it was seen
  std::optional<std::int64_t> judged_against, live;  // versions; equal where another one was live in between
  std::int64_t time = 1;                           // the how-manieth, from 1
};
// Sends a run under way back to its test, since what it was compared with is not live any more, or not all the time since:
// test, gate and release are pending again. The count is kept in the test's outputs, "judged_again". Event decision.stale,
// audit entry. kConflict where a state does not allow it.
Status JudgeAgain(Db& db, std::int64_t now_us, std::int64_t run, const StaleDecision& why);

// Notes that the run is to end; the orchestrator does it. kConflict when it has ended.
Result<Run> AskCancel(Db& db, std::int64_t now_us, const std::string& actor, std::int64_t run);
// Queues a failed or cancelled run again from its first step that did not succeed (from `test` on where the gate or the
// release failed, so that the comparison is with the version that is live now). kConflict in other states.
Result<Run> RetryRun(Db& db, std::int64_t now_us, const std::string& actor, std::int64_t run);

}  // namespace ratchet::registry
