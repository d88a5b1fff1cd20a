#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

// A step as `step.json` describes it (docs/formats.md, "Step folder"). Plain values.
namespace ratchet::worker {

enum class StepKind { kValidate, kTrain, kTest, kCommand, kRecipe };

struct StepLimits {
  int cpus = 1;                             // threads, and CPU seconds per second
  std::uint64_t memory_bytes = 2ull << 30;  // of all processes of the step together
  std::int64_t time_s = 1800;               // wall time
  std::uint64_t disk_bytes = 10ull << 30;   // of the step's folder
  int open_files = 1024;                    // a process
};

struct StepData {
  std::string dataset;
  std::int64_t version = 0;
  std::string manifest;  // SHA-256 of the dataset version
  std::string target;
  std::string key;  // empty: none
  nlohmann::json schema = nlohmann::json::array();
  nlohmann::json expect = nlohmann::json::array();
};

struct BundleFiles {
  std::string manifest, model;  // absolute paths
};

// What a test does about sealed rows that stand in training as well: "auto" (of `equal` only), "drop", "warn", "refuse",
// "off". A step.json without it looks for none.
struct StepLeakage {
  std::string equal = "off", near = "off";
  std::optional<double> at_most;  // share of the sealed rows
};

struct StepSandbox {
  std::string data_dir;           // empty: nothing to hide
  std::vector<std::string> read;  // what the step may read below it, beside its own folder
  bool required = true;
};

// How a test step is to measure the candidate's serving.
struct StepServing {
  std::string program;              // ratchet-serve
  std::int64_t start_ms = 60'000;   // until it listens
  std::int64_t load_ms = 120'000;   // until the model is loaded
  std::int64_t answer_ms = 20'000;  // for one row
};

struct StepSpec {
  std::int64_t run = 0;
  std::string step;
  std::int64_t attempt = 1;
  StepKind kind = StepKind::kTrain;
  std::string folder;
  std::string pipeline, model;
  std::int64_t revision = 0;
  std::string recipe;                                // empty where `command` is given
  std::vector<std::string> command;                  // empty where `recipe` is given
  std::map<std::string, std::string> command_files;  // name in the folder → path to copy it from
  nlohmann::json params = nlohmann::json::object();
  std::uint64_t seed = 0;
  StepData data;
  std::vector<std::string> train, validation, holdout;  // packs
  std::map<std::string, std::string> files;             // other steps' outputs: "join.joined.csv" → path
  std::vector<std::string> input_names;                 // all inputs in the order of the pipeline's spec
  std::vector<std::string> outputs;                     // names of files, of custom steps
  std::optional<BundleFiles> candidate, live;
  std::string metric;
  std::string baseline = "auto";
  std::vector<std::string> slices;
  std::optional<StepServing> serving;  // none: it is not measured
  StepLeakage leakage;
  StepLimits limits;
  std::optional<std::string> resume;  // checkpoint folder of the attempt before
  StepSandbox sandbox;
};

// What a trainer's command may write: its working folder, made by EnterStepSandbox, and its checkpoint.
std::string WorkFolder(const StepSpec& spec);
std::string CheckpointFolder(const StepSpec& spec);

inline constexpr std::uint64_t kMaxStepSpecBytes = 16u << 20;

// Reads FOLDER/step.json. kInvalid names the key at fault; so does a spec that belongs to another folder, and one that
// hands a holdout to a step that is not a test.
Result<StepSpec> ReadStepSpec(const std::string& folder);
Result<StepSpec> ParseStepSpec(const std::string& text);

}  // namespace ratchet::worker
