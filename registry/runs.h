#pragma once

#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/records.h"

namespace ratchet::registry {

inline constexpr const char* kStepNames[] = {"validate", "train", "test", "gate", "release"};

struct RunInput {
  std::string pipeline;
  Json reason, overrides, spec;  // spec: with the overrides applied
};

// Queues a run of the pipeline's current revision on its dataset's latest version. kNotFound: no such pipeline;
// kConflict: the dataset has no rows yet. Event run.created.
Result<Run> CreateRun(Db& db, std::int64_t now_us, const RunInput& input);
Result<Run> GetRun(Db& db, std::int64_t id);  // with steps and attempts; kNotFound
struct RunFilter {
  std::optional<std::string> pipeline, state;
};
Page<Run> ListRuns(Db& db, const RunFilter& filter, int limit, const std::optional<std::string>& after);  // newest first
std::vector<Run> ActiveRuns(Db& db);  // queued and running, oldest first, with steps
// The newest run of the pipeline, whatever its state.
std::optional<Run> LastRun(Db& db, const std::string& pipeline);

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
  std::optional<std::int64_t> max_rss_bytes;
};
Status EndAttempt(Db& db, std::int64_t now_us, const Attempt& attempt, AttemptState to, const AttemptEnd& end);
Status SetCandidate(Db& db, std::int64_t run, std::int64_t version);

// Notes that the run is to end; the orchestrator does it. kConflict when it has ended.
Result<Run> AskCancel(Db& db, std::int64_t now_us, const std::string& actor, std::int64_t run);
// Queues a failed or cancelled run again from its first step that did not succeed (from `test` on where the gate or the
// release failed, so that the comparison is with the version that is live now). kConflict in other states.
Result<Run> RetryRun(Db& db, std::int64_t now_us, const std::string& actor, std::int64_t run);

}  // namespace ratchet::registry
