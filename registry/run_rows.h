#pragma once

#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/runs.h"

// What registry/runs.cc and registry/steps.cc share; nobody else includes it.
namespace ratchet::registry {

void InsertSteps(Db& db, std::int64_t now_us, std::int64_t run, const std::vector<StepInput>& steps);
void LoadSteps(Db& db, Run& run);          // all, with needs and attempts
void LoadOpenSteps(Db& db, RunWork& work); // see RunWork
// Counts anew what stands in each step's way, after steps went back.
void CountBlocked(Db& db, std::int64_t now_us, std::int64_t run);
// Appends to the feed what happened to a run, with its trace's ids.
void RunEvent(Db& db, std::int64_t now_us, std::int64_t run, const std::string& type, Json data);

template <typename State>
Status CheckMove(State from, State to, const std::string& subject) {
  if (MayMove(from, to)) return {};
  return Fail(ErrorCode::kConflict, "move", subject,
              "it is " + std::string(Name(from)) + " and cannot become " + std::string(Name(to)));
}

}  // namespace ratchet::registry
