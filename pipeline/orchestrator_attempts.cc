// From a pending step to a finished attempt. Declared in pipeline/orchestrator.h.

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "base/names.h"
#include "pipeline/holdout_plan.h"
#include "pipeline/orchestrator_run.h"
#include "pipeline/step_cache.h"
#include "registry/datasets.h"
#include "registry/events.h"

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::AttemptEnd;
using registry::AttemptState;
using registry::Db;
using registry::Json;
using registry::Run;
using registry::Step;
using registry::StepState;

// A folder itself: a trainer may have put a symbolic link in its place, to be led somewhere else by the next attempt.
bool IsFolder(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// The newest checkpoint that an earlier attempt of the step left.
std::optional<std::string> FindCheckpoint(const std::string& data_dir, const Run& run, const Step& step) {
  for (auto attempt = step.attempts.rbegin(); attempt != step.attempts.rend(); ++attempt) {
    std::string folder = AttemptFolder(data_dir, run.id, step.name, attempt->number) + "/checkpoint";
    if (IsFolder(folder)) return folder;
  }
  return std::nullopt;
}

AttemptEnd MakeEnd(const StepExit& exit) {
  AttemptEnd end;
  if (exit.cpu_s > 0) end.cpu_s = exit.cpu_s;
  if (exit.max_rss_bytes > 0) end.max_rss_bytes = exit.max_rss_bytes;
  if (exit.read_bytes > 0) end.read_bytes = exit.read_bytes;
  return end;
}

Result<Json> ParseBlob(const registry::BlobStore& blobs, const std::string& sha256) {
  RATCHET_ASSIGN(std::string text, blobs.Read(sha256));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Fail(ErrorCode::kCorrupt, "read blob", sha256, "not JSON");
  return json;
}

bool ExpectsLikeLive(const Json& expect) {
  return std::ranges::any_of(expect, [](const Json& item) { return item.is_object() && item.contains("like"); });
}

// Against whom and on which rows the candidate is tested is kept in the registry: the step's folder is neither durable nor
// out of the step's reach. That the sealed rows are opened is told.
Status NoteTest(Db& db, std::int64_t now_us, const StepInputs& inputs) {
  const registry::HoldoutEpoch& epoch = *inputs.epoch;
  RATCHET_TRY(registry::PutEpoch(db, epoch));
  Json noted = inputs.step.outputs.value_or(Json::object());  // how often it has been judged again
  noted.update({{"opponent_version", inputs.live ? Json(inputs.live->version) : Json()}, {"epoch", epoch.number},
                {"route_epoch", inputs.live_epoch ? Json(*inputs.live_epoch) : Json()}});
  registry::SetOutputs(db, inputs.run->id, inputs.step.name, noted);
  registry::AppendEvent(db, {.type = "holdout.opened", .run = inputs.run->id, .pipeline = inputs.run->pipeline, .model = epoch.model,
                             .data = {{"dataset", epoch.dataset}, {"epoch", epoch.number}, {"rows", epoch.rows},
                                      {"version", inputs.candidate->version}, {"attempt", inputs.attempt}},
                             .at = now_us});
  return {};
}

const StepExit kGone{.error_class = "lost", .message = "the process that ran it is gone", .hint = "It is tried again"};

// What a class of failure means for the reader who did not write Ratchet.
std::string HintFor(const std::string& error_class) {
  if (error_class == "out_of_memory") return "Raise limits.memory, or make batches smaller";
  if (error_class == "timeout") return "Raise limits.time, or do less per step";
  if (error_class == "disk_quota") return "Raise limits.disk, or write less to the step's folder";
  if (error_class == "signal") return "Look at the log for what it did last; retry.on: [signal] tries it again";
  return "";
}

}  // namespace

StepHost Orchestrator::HostOf(const Context& at, const Step& step) const {
  return executor_.HostOf(step.kind, pipeline::WorkOf(*at.spec, step).recipe);
}

StepRef Orchestrator::RefOf(const Context& at, const Step& step, std::int64_t attempt) const {
  return {.id = AttemptId(at.run().id, step.name, attempt),
          .folder = AttemptFolder(options_.data_dir, at.run().id, step.name, attempt), .host = HostOf(at, step)};
}

bool Orchestrator::HasRoom(const Context& at, const Step& step) {
  const int wanted = pipeline::WorkOf(*at.spec, step).limits.cpus;
  if (cpus_taken_ > 0 && cpus_taken_ + wanted > options_.cpus) return false;
  if (step.kind != "trial") return true;
  auto running = std::ranges::count_if(at.work.open, [](const Step& other) {
    return other.kind == "trial" && !other.attempts.empty() && other.attempts.back().state == AttemptState::kRunning;
  });
  return running < at.spec->train.sweep->parallel;
}

// Files that other steps made, by the names under which the step asks for them.
Status Orchestrator::GatherFiles(Db& db, StepInputs& inputs) {
  for (const std::string& input : inputs.work->inputs) {
    const InputName name = SplitInput(input);
    if (name.step == "data") continue;
    const auto outputs = registry::OutputsOf(db, inputs.run->id, name.step);
    if (!outputs || !outputs->contains(name.output))
      return Fail(ErrorCode::kCorrupt, "gather inputs of", inputs.step.name, "there is no " + input);
    inputs.files[input] = outputs->at(name.output).at("sha256");
  }
  return {};
}

Result<std::shared_ptr<const RunData>> Orchestrator::DataOf(const Run& run) {
  if (auto known = run_data_.find(run.id); known != run_data_.end()) return known->second;
  auto data = std::make_shared<RunData>();
  RATCHET_TRY(store_.Read([&](Db& db) -> Status {
    RATCHET_ASSIGN(data->dataset, registry::GetDatasetVersion(db, run.dataset, run.dataset_version));
    RATCHET_ASSIGN(data->trainer_files, registry::RevisionFiles(db, run.pipeline, run.revision));
    return {};
  }));
  RATCHET_ASSIGN(data->dataset_manifest, ParseBlob(blobs_, data->dataset.manifest));
  return run_data_[run.id] = std::move(data);
}

// Whom the rows (validate) or the candidate (test) are compared with.
Status Orchestrator::GatherVersions(const Context& at, StepInputs& inputs) {
  const Run& run = at.run();
  RATCHET_TRY(store_.Read([&](Db& db) -> Status {
    const registry::LiveState live = registry::LiveStateOf(db, run.model);
    inputs.live_epoch = live.epoch;
    if (live.version) {
      RATCHET_ASSIGN(inputs.live, registry::GetVersion(db, run.model, *live.version));
    }
    if (inputs.step.kind == "test") {
      RATCHET_ASSIGN(inputs.candidate, registry::GetVersion(db, run.model, run.candidate.value_or(0)));
    } else if (inputs.live && inputs.live->dataset == run.dataset && ExpectsLikeLive(at.spec->data.expect)) {
      RATCHET_ASSIGN(auto trained_on, registry::GetDatasetVersion(db, inputs.live->dataset, inputs.live->dataset_version));
      inputs.reference = trained_on.manifest;
    }
    return {};
  }));
  if (inputs.step.kind == "test") return GatherHoldout(at, inputs);
  if (!inputs.reference.is_string()) return {};
  RATCHET_ASSIGN(inputs.reference, ParseBlob(blobs_, inputs.reference));
  return {};
}

// The sealed rows to judge on. They are those of the run's data, or of newer data where another run has gone on to that.
Status Orchestrator::GatherHoldout(const Context& at, StepInputs& inputs) {
  const Run& run = at.run();
  RATCHET_ASSIGN(const auto current, store_.Read([&](Db& db) -> Result<std::optional<registry::HoldoutEpoch>> {
    return registry::CurrentEpoch(db, run.dataset, run.model);
  }));
  inputs.holdout_manifest = inputs.data->dataset_manifest;
  if (current && current->until_push > run.dataset_version) {
    RATCHET_ASSIGN(const auto newer, store_.Read([&](Db& db) {
      return registry::GetDatasetVersion(db, run.dataset, current->until_push);
    }));
    RATCHET_ASSIGN(inputs.holdout_manifest, ParseBlob(blobs_, newer.manifest));
  }
  const std::int64_t retired = RetiredUntil(inputs.holdout_manifest);
  inputs.epoch = NextEpoch(current, HoldoutRowsOf(inputs.holdout_manifest), at.spec->gate.fresh_rows, retired);
  inputs.epoch->dataset = run.dataset;
  inputs.epoch->model = run.model;
  if (inputs.epoch->opened_at == 0 || !current || current->number != inputs.epoch->number) inputs.epoch->opened_at = now_us_;
  if (inputs.epoch->rows > 0) return {};
  const std::string no_row = retired > 0 ? "every row of " + run.dataset + " that was sealed has been retired into training"
                                         : "no row of " + run.dataset + " has fallen into the holdout";
  return Fail(ErrorCode::kConflict, "test", run.model, no_row,
              "Push more rows, or make a dataset with a greater share for the holdout");
}

// What needs no look at the registry.
StepInputs Orchestrator::InputsOf(const Context& at, const Step& step, std::shared_ptr<const RunData> data) const {
  return {.run = &at.run(), .spec = at.spec.get(), .work = &pipeline::WorkOf(*at.spec, step), .step = step,
          .attempt = step.attempts.empty() ? 1 : step.attempts.back().number + 1, .data = std::move(data),
          .metric = at.spec->test.metric.value_or(""), .data_dir = options_.data_dir,
          .sandbox_required = options_.sandbox_required, .serve_program = options_.serve_program};
}

Result<StepInputs> Orchestrator::GatherInputs(const Context& at, const Step& step) {
  RATCHET_ASSIGN(auto data, DataOf(at.run()));
  StepInputs inputs = InputsOf(at, step, std::move(data));
  const bool compares = step.kind == "validate" || step.kind == "test";
  RATCHET_TRY(compares ? GatherVersions(at, inputs) : store_.Read([&](Db& db) { return GatherFiles(db, inputs); }));
  if (inputs.candidate) inputs.metric = MetricOf(*at.spec, inputs.candidate->manifest);
  if (step.kind == "train" || step.kind == "trial") inputs.resume = FindCheckpoint(options_.data_dir, at.run(), step);
  return inputs;
}

// Under which the step's work is kept in the cache; none where it may not be looked up at all.
std::optional<std::string> Orchestrator::KeyOf(const Context& at, const Step& step, const Json& step_file) const {
  if (!pipeline::WorkOf(*at.spec, step).cache || at.run().reproduces) return std::nullopt;
  return CacheKey(step_file, BuildOf(step_file, executor_.Describe()));
}

// True when another run did the same work.
bool Orchestrator::TakeFromCache(Context& at, const Step& step, const std::string& key) {
  if (at.run().fresh || !step.attempts.empty()) return false;
  auto cached = store_.Read([&](Db& db) -> Result<std::optional<registry::CachedStep>> { return registry::FindCached(db, key); });
  if (!cached || !*cached) return false;
  const Json outputs = (*cached)->outputs.value_or(Json::object());
  for (const Json& output : outputs)
    if (output.is_object() && output.contains("sha256") && !blobs_.Has(output["sha256"])) return false;
  const Json forecast = step.kind == "validate" ? Forecast(at) : Json();
  Status taken = store_.Write([&](Db& db) -> Status {
    RATCHET_TRY(registry::TakeCached(db, now_us_, at.run().id, step.name, **cached));
    NoteForecast(db, at, forecast);
    return step.kind == "train" ? MakeCandidate(db, at, outputs) : Status();
  });
  if (!taken) spdlog::warn("run {}: {} is done anew, the cache's answer would not do: {}", at.run().id, step.name, taken.error().Message());
  return taken.has_value();
}

bool Orchestrator::Perform(Context& at, const StartAttempt& action) {
  const Step& step = action.step;
  if (at.begun.contains(step.name)) return false;
  if (!executor_.Ready(HostOf(at, step))) {
    WakeAt(now_us_ + kWaitingTickUs);
    return false;
  }
  if (!HasRoom(at, step)) return false;
  auto inputs = GatherInputs(at, step);
  if (!inputs) return IsPassing(inputs.error()) ? Postpone(at.run(), inputs.error()) : FailRunStep(at, step.name, inputs.error());
  const Json step_file = MakeStepFile(*inputs, blobs_);
  const auto key = step.state == StepState::kPending ? KeyOf(at, step, step_file) : std::nullopt;
  if (key && TakeFromCache(at, step, *key)) return true;
  if (Status written = WriteStepFolder(files_, step_file); !written) return Postpone(at.run(), written.error());
  auto attempt = store_.Write([&](Db& db) -> Result<Attempt> {
    if (key) registry::SetCacheKey(db, at.run().id, step.name, *key);
    if (step.kind == "test") RATCHET_TRY(NoteTest(db, now_us_, *inputs));
    return registry::StartAttempt(db, now_us_, at.run().id, step.name);
  });
  if (!attempt) return Postpone(at.run(), attempt.error());
  SetGoing(at, {step, attempt->number});
  // Seen as running by what else is started in this round.
  for (Step& open : at.work.open)
    if (open.name == step.name) open.attempts.push_back(*attempt);
  return false;
}

bool Orchestrator::Perform(Context& at, const PollAttempt& action) {
  const Attempt& attempt = action.attempt;
  const StepRef ref = RefOf(at, action.step, attempt.number);
  StepStatus status = executor_.Poll(ref);
  WakeAt(now_us_ + kBusyTickUs);
  if (status.kind == StepStatus::Kind::kRunning) {
    if (status.pid && !attempt.pid && now_us_ - attempt.started_at >= kPidAfterUs)
      store_.Write([&](Db& db) -> Status {
        registry::SetAttemptPid(db, at.run().id, attempt.step, attempt.number, *status.pid);
        return {};
      });
    return false;
  }
  auto result = ReadResult(files_, ref.folder);
  // After a loss of power, what was not synced may be there in part.
  const bool gone = status.kind == StepStatus::Kind::kUnknown;
  if (!result && gone && result.error().code == ErrorCode::kCorrupt) result = std::nullopt;
  bool taken;
  if (!result) {
    StepExit unreadable = status.exit;
    unreadable.error_class = "internal";
    unreadable.message = "its result cannot be read: " + result.error().Message();
    taken = EndAttemptWithError(at, attempt, AttemptState::kFailed, unreadable);
  } else if (*result) {
    taken = TakeResult(at, attempt, **result, status.exit, gone);
  } else if (gone) {
    taken = EndAttemptWithError(at, attempt, AttemptState::kLost, kGone);
  } else {
    // Nobody here has asked for its end: a ratchetd that was interrupted did, or it could not begin.
    const bool lost = status.exit.error_class == "cancelled" || status.exit.error_class == "lost";
    StepExit exit = status.exit;
    if (lost) exit.error_class = "lost";
    if (lost && exit.hint.empty()) exit.hint = "It is tried again";
    taken = EndAttemptWithError(at, attempt, lost ? AttemptState::kLost : AttemptState::kFailed, exit);
  }
  if (!taken) return false;  // its end is still to be written down
  Leave(at, action.step, ref);
  return true;
}

bool Orchestrator::Perform(Context& at, const StopAttempt& action) {
  const Attempt& attempt = action.attempt;
  const Step* step = at.Find(attempt.step);
  const StepRef ref = RefOf(at, *step, attempt.number);
  StepStatus status = executor_.Poll(ref);
  if (status.kind == StepStatus::Kind::kRunning) {
    if (stopping_.insert(ref.id).second) executor_.Kill(ref, action.error_class, action.message);
    WakeAt(now_us_ + kWaitingTickUs);
    return false;
  }
  auto result = ReadResult(files_, ref.folder);
  if (result && *result && (*result)->value("outcome", "") == "succeeded") {  // it was faster
    if (!TakeResult(at, attempt, **result, status.exit, false)) return false;
  } else {
    StepExit exit = status.exit;
    exit.error_class = action.error_class;
    exit.message = action.message;
    if (action.error_class == "timeout") exit.hint = "Raise run.deadline";  // a step's own time is its supervisor's to keep
    if (!EndAttemptWithError(at, attempt, AttemptState::kCancelled, exit)) return false;
    Status moved = store_.Write(
        [&](Db& db) { return registry::MoveStep(db, now_us_, at.run().id, attempt.step, StepState::kCancelled); });
    if (!moved) return Postpone(at.run(), moved.error());
  }
  Leave(at, *step, ref);
  return true;
}

// Its end is written down: its place is free for the next step, in this very tick.
void Orchestrator::Leave(const Context& at, const Step& step, const StepRef& ref) {
  executor_.Forget(ref.id);
  stopping_.erase(ref.id);
  cpus_taken_ -= pipeline::WorkOf(*at.spec, step).limits.cpus;
}

bool Orchestrator::EndAttemptWithError(Context& at, const Attempt& attempt, AttemptState state, const StepExit& exit) {
  std::string error_class = exit.error_class;
  std::string message = exit.message;
  if (error_class.empty()) error_class = exit.signal ? "signal" : "internal";
  if (message.empty() && exit.signal) message = "its process was killed by signal " + std::to_string(*exit.signal);
  if (message.empty()) message = "its process ended with code " + std::to_string(exit.exit_code.value_or(-1)) + " and no result";
  AttemptEnd end = MakeEnd(exit);
  const std::string folder = AttemptFolder(options_.data_dir, at.run().id, attempt.step, attempt.number);
  end.error = Json{{"class", error_class}, {"message", message}, {"hint", exit.hint.empty() ? HintFor(error_class) : exit.hint},
                   {"log_tail", LogTail(folder)}};
  const Step* step = at.Find(attempt.step);
  const bool pruned = error_class == "pruned" && step != nullptr && step->kind == "trial";
  Status ended = store_.Write([&](Db& db) -> Status {
    RATCHET_TRY(registry::EndAttempt(db, now_us_, attempt, pruned ? AttemptState::kCancelled : state, end));
    if (!pruned) return {};
    registry::SetOutputs(db, at.run().id, attempt.step, {{"epochs", EpochProgress(folder)}});
    return registry::MoveStep(db, now_us_, at.run().id, attempt.step, StepState::kSkipped);
  });
  if (!ended) return Postpone(at.run(), ended.error());
  spdlog::warn("run {}: {} attempt {} {}: {}", at.run().id, attempt.step, attempt.number, error_class, Quoted(message));
  return true;
}

bool Orchestrator::TakeResult(Context& at, const Attempt& attempt, const Json& result, const StepExit& exit, bool gone) {
  AttemptEnd end = MakeEnd(exit);
  end.result = result;
  if (result.value("outcome", "") != "succeeded") {
    end.error = result.value("error", Json{{"class", "internal"}, {"message", "failed without saying why"}, {"hint", ""}});
    (*end.error)["log_tail"] = LogTail(AttemptFolder(options_.data_dir, at.run().id, attempt.step, attempt.number));
    Status ended = store_.Write(
        [&](Db& db) { return registry::EndAttempt(db, now_us_, attempt, AttemptState::kFailed, end); });
    return ended ? true : Postpone(at.run(), ended.error());
  }
  const Step& step = *at.Find(attempt.step);
  const bool trained = step.kind == "train" || step.kind == "trial";
  auto outputs = trained ? AdoptBundle(at, attempt, result) : AdoptOutputs(at, step, attempt, result);
  const Json forecast = step.kind == "validate" ? Forecast(at) : Json();
  auto take = [&](Db& db) -> Status {
    registry::SetOutputs(db, at.run().id, step.name, *outputs);
    if (step.kind == "train" && !at.run().reproduces) RATCHET_TRY(MakeCandidate(db, at, *outputs));
    RATCHET_TRY(registry::EndAttempt(db, now_us_, attempt, AttemptState::kSucceeded, end));
    registry::KeepCached(db, now_us_, {.run = at.run().id, .step = step.name, .result = result, .outputs = *outputs});
    NoteForecast(db, at, forecast);
    return registry::MoveStep(db, now_us_, at.run().id, step.name, StepState::kSucceeded);
  };
  Status taken = outputs ? EndAndGoOn(at, step, take) : Status(std::unexpected(outputs.error()));
  if (taken) return true;
  if (IsPassing(taken.error())) return Postpone(at.run(), taken.error());
  if (gone) return EndAttemptWithError(at, attempt, AttemptState::kLost, kGone);
  StepExit broken{.error_class = "internal", .message = "its result could not be taken in: " + taken.error().Message()};
  return EndAttemptWithError(at, attempt, AttemptState::kFailed, broken);
}

// What a step leaves for others, under content addresses: {"NAME":{"sha256","bytes"}}.
Result<Json> Orchestrator::AdoptOutputs(const Context& at, const Step& step, const Attempt& attempt, const Json& result) {
  const std::string folder = AttemptFolder(options_.data_dir, at.run().id, step.name, attempt.number);
  Json outputs = Json::object();
  if (step.kind == "test") {
    if (!IsTestResult(result)) return Fail(ErrorCode::kCorrupt, "take in", "result.json", "it does not say what was tested");
    if (HasScores(result)) {
      RATCHET_ASSIGN(std::string scores, blobs_.Keep(folder + "/scores.pack"));
      outputs["scores.pack"] = {{"sha256", scores}};
    }
    for (const char* noted : {"opponent_version", "epoch", "route_epoch", "judged_again"})
      outputs[noted] = step.outputs ? step.outputs->value(noted, Json()) : Json();
  }
  const StepSpec* own = FindStep(*at.spec, step.name);
  if (own == nullptr) return outputs;
  const Json made = result.value("outputs", Json::object());
  for (const std::string& name : own->outputs) {
    if (!made.contains(name)) return Fail(ErrorCode::kInvalid, "take in", step.name, "it made no " + name);
    const Json& output = made[name];
    RATCHET_TRY(blobs_.AdoptExpected(folder + "/" + output.at("path").get<std::string>(), output.at("sha256")));
    outputs[name] = {{"sha256", output.at("sha256")}, {"bytes", output.at("bytes")}};
  }
  return outputs;
}

}  // namespace ratchet::pipeline
