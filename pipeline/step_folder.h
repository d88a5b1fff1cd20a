#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "pipeline/spec.h"
#include "registry/blob_store.h"
#include "registry/records.h"

// The folder of one attempt: what goes in (step.json) and what is read back. See docs/formats.md, "Step folder".
namespace ratchet::pipeline {

// "5/train-1", the attempt's name at its executor.
std::string AttemptId(std::int64_t run, const std::string& step, std::int64_t number);
// "DATA/runs/5/train-1"
std::string AttemptFolder(const std::string& data_dir, std::int64_t run, const std::string& step, std::int64_t number);

// All that a step.json is made of.
struct StepInputs {
  const registry::Run* run = nullptr;
  const Spec* spec = nullptr;
  registry::Json trainer_files = registry::Json::object();  // name → SHA-256
  registry::DatasetVersion dataset;
  registry::Json dataset_manifest;                          // the manifest blob, parsed
  std::string step;
  std::int64_t attempt = 1;
  std::optional<std::string> resume;                        // checkpoint folder of an earlier attempt
  std::optional<registry::Version> candidate, live;         // test only
  std::string metric;                                       // test only
  std::string data_dir;
  bool sandbox_required = true;
};

// Pure but for blob paths.
registry::Json MakeStepFile(const StepInputs& inputs, const registry::BlobStore& blobs);

// result.json, or nothing when the step has not ended. kCorrupt: it is there but is not one.
Result<std::optional<registry::Json>> ReadResult(Files& files, const std::string& folder);
// The last complete line of progress.jsonl; null when there is none. Reads the file's tail only.
std::optional<registry::Json> LatestProgress(const std::string& folder);

}  // namespace ratchet::pipeline
