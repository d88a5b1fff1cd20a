#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "pipeline/executor.h"
#include "pipeline/spec.h"
#include "registry/blob_store.h"
#include "registry/holdout.h"
#include "registry/records.h"

// The folder of one attempt: what goes in (step.json) and what is read back. See docs/formats.md, "Step folder".
namespace ratchet::pipeline {

// "5/train-1", the attempt's name at its executor.
std::string AttemptId(std::int64_t run, const std::string& step, std::int64_t number);
// "DATA/runs/5/train-1"
std::string AttemptFolder(const std::string& data_dir, std::int64_t run, const std::string& step, std::int64_t number);

// What all steps of a run have in common; it never changes.
struct RunData {
  registry::DatasetVersion dataset;
  registry::Json dataset_manifest;  // the manifest blob, parsed
  registry::Json trainer_files;     // name → SHA-256
};

// All that a step.json is made of.
struct StepInputs {
  const registry::Run* run = nullptr;
  const Spec* spec = nullptr;
  const WorkSpec* work = nullptr;                           // what drives the step: its own, or training's
  registry::Step step;
  std::int64_t attempt = 1;
  std::shared_ptr<const RunData> data;
  std::map<std::string, std::string> files;                 // "STEP.OUTPUT" → SHA-256
  std::optional<std::string> resume;                        // checkpoint folder of an earlier attempt
  std::optional<registry::Version> candidate, live;         // test only
  std::optional<std::int64_t> live_epoch;                   // test only: registry::LiveState of `live`
  std::optional<registry::HoldoutEpoch> epoch;              // test only: the sealed rows that it may open …
  registry::Json holdout_manifest;                          // … as this manifest, parsed, has them
  registry::Json reference;                                 // validate with `like`: manifest of the live version's rows, parsed
  std::string metric;                                       // train and test
  std::string data_dir;
  bool sandbox_required = true;
  std::string serve_program = {};                           // test only: ratchet-serve; empty: serving is not measured
};

// Pure but for blob paths.
registry::Json MakeStepFile(const StepInputs& inputs, const registry::BlobStore& blobs);
// Makes the step's folder anew with its step.json. Not durable: what is lost with the power is a lost attempt.
Status WriteStepFolder(Files& files, const registry::Json& step);

// The last lines of what the step has printed, at most 20.
registry::Json LogTail(const std::string& folder);

// result.json, or nothing when the step has not ended. kCorrupt: it is there but is not one.
Result<std::optional<registry::Json>> ReadResult(Files& files, const std::string& folder);
// Whether a result of `test` says all that the gate asks for.
bool IsTestResult(const registry::Json& result);
// Whether such a result has scores of the rows with it; it has none where the live version could not be scored.
bool HasScores(const registry::Json& test_result);
// Every whole line of progress.jsonl that has an epoch and metrics, at most 10,000 of them.
std::vector<registry::Json> EpochProgress(const std::string& folder);
// The last complete line of progress.jsonl; null when there is none. Reads the file's tail only.
std::optional<registry::Json> LatestProgress(const std::string& folder);

}  // namespace ratchet::pipeline
