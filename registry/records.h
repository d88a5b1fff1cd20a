#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "registry/states.h"

// The registry's rows as plain values. `*_at` are microseconds since 1970 UTC.
namespace ratchet::registry {

using Json = nlohmann::json;

struct Pipeline {
  std::string name, model, dataset;
  std::int64_t revision = 0;
  std::string spec_text;
  Json spec, files;  // files: {"train.py": "<sha256>"}
  std::int64_t created_at = 0, updated_at = 0;
  std::optional<std::int64_t> last_run;
  bool paused = false;                          // no run of it is begun
  std::optional<std::int64_t> schedule_seen_at; // fire times up to here are dealt with
};

struct SplitCounts {
  std::int64_t train = 0, validation = 0, holdout = 0;
  std::int64_t Total() const { return train + validation + holdout; }
};

struct Dataset {
  std::string name;
  Json split;                 // {"validation":0.1,"holdout":0.2,"key":"id"|null}
  std::optional<Json> schema; // none before the first push
  std::int64_t latest_version = 0;  // 0 = no rows yet
  SplitCounts rows;           // of the latest version
  std::int64_t created_at = 0, updated_at = 0;
};

struct DatasetVersion {
  std::string dataset;
  std::int64_t version = 0;
  std::string manifest;       // SHA-256 of the manifest blob
  SplitCounts rows, added;
  std::int64_t bytes_added = 0, created_at = 0;
};

struct Attempt {
  std::int64_t run = 0;
  std::string step;
  std::int64_t number = 0;    // from 1
  AttemptState state = AttemptState::kRunning;
  std::optional<std::int64_t> pid;
  std::int64_t started_at = 0;
  std::optional<std::int64_t> ended_at;
  std::optional<Json> error;   // {"class","message","hint"}
  std::optional<Json> result;  // result.json
  std::optional<double> cpu_s;
  std::optional<std::int64_t> max_rss_bytes, read_bytes;
};

// One node of a run's graph.
struct Step {
  std::string name;
  std::string kind;                       // validate, command, recipe, train, trial, select, test, gate, release
  StepState state = StepState::kPending;
  std::vector<std::string> needs;         // steps that must have ended first (GetRun only)
  std::optional<Json> params;             // a trial's own parameters
  std::int64_t blocked = 0;               // how many of its needs stand in its way
  std::optional<std::int64_t> ready_at;   // when the last of them ended
  std::optional<std::int64_t> started_at, ended_at;
  std::int64_t attempts_before = 0;       // how many attempts belong to tries before the run's last retry
  std::optional<std::int64_t> cached_from; // the run that did the work
  std::optional<Json> outputs;            // {"NAME":{"sha256","bytes"}}
  std::vector<Attempt> attempts;          // oldest first
};

struct Run {
  std::int64_t id = 0;
  std::string pipeline;
  std::int64_t revision = 0;
  std::string model;
  RunState state = RunState::kQueued;
  std::optional<std::string> outcome;  // promoted, rejected, failed, cancelled
  Json reason;                         // {"kind","detail"}
  Json overrides, spec;
  std::string dataset;
  std::int64_t dataset_version = 0;
  std::optional<std::int64_t> candidate, live_at_start;
  std::string summary;
  std::optional<Json> error;
  bool cancel_asked = false;
  std::int64_t priority = 0;                    // higher first
  std::optional<std::int64_t> deadline_s;       // from started_at
  bool fresh = false;                           // takes nothing from the cache
  std::optional<std::int64_t> reproduces;       // the run that this one does over
  std::string trace_id;                         // 32 hex digits, as OpenTelemetry has them
  std::int64_t created_at = 0;
  std::optional<std::int64_t> started_at, ended_at;
  std::vector<Step> steps;

  const Step* FindStep(std::string_view name) const;
};

struct Model {
  std::string name, metric;
  std::int64_t latest = 0, epoch = 0;
  std::optional<std::int64_t> live, previous, loading;
  std::int64_t created_at = 0, updated_at = 0;
};

struct Version {
  std::string model;
  std::int64_t version = 0;
  VersionState state = VersionState::kCandidate;
  std::string shown_state;  // candidate, passed, rejected, live, previous or retired
  std::int64_t run = 0;
  std::string bundle;       // SHA-256 of the manifest blob
  std::int64_t bundle_bytes = 0;
  Json manifest;
  std::string metric;
  std::optional<double> score, opponent;
  std::optional<std::string> opponent_kind;
  std::optional<std::int64_t> opponent_version;
  std::optional<std::string> verdict;
  std::optional<Json> decision;
  std::string recipe, dataset;
  std::int64_t dataset_version = 0, created_at = 0;
  std::optional<std::string> scores;  // SHA-256 of the pack of the rows' scores that the decision rests on
};

struct Release {
  std::int64_t id = 0;
  std::string model, kind;  // promote, rollback, force
  std::optional<std::int64_t> from;
  std::int64_t to = 0;
  std::optional<std::int64_t> epoch;
  ReleaseState state = ReleaseState::kPending;
  std::string strategy, actor, reason;
  std::optional<std::int64_t> run;
  std::int64_t created_at = 0;
  std::optional<std::int64_t> ended_at;
  std::optional<double> took_ms;
  std::optional<std::string> error;
  std::optional<Json> plan;              // pipeline/release_plan.h; none: live as soon as it is loaded
  std::int64_t step = 0;                 // from 0
  std::optional<std::int64_t> step_at;   // when it began
  std::optional<Json> split;             // registry/release_steps.h
  std::int64_t watched_us = 0;           // time with traffic in this step …
  std::optional<std::int64_t> watched_at; // … and when that was last seen
  std::optional<Json> evidence;          // docs/formats.md, "Release"
  std::optional<std::string> approved_by;
  std::optional<std::int64_t> approved_at;
  bool harm = false;                     // it ended because harm was proven
};

struct Event {
  std::int64_t id = 0;
  std::string type;
  std::optional<std::int64_t> run;
  std::optional<std::string> pipeline, model;
  Json data;
  std::int64_t at = 0;
};

struct AuditEntry {
  std::int64_t id = 0, at = 0;
  std::string actor, action, subject, detail, hash;
};

// One page of a list; `next` continues it.
template <typename T>
struct Page {
  std::vector<T> items;
  std::optional<std::string> next;
};

inline constexpr int kMaxPage = 500;

}  // namespace ratchet::registry
