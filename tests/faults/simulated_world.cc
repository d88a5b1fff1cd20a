#include "tests/faults/simulated_world.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/faults/simulated_results.h"
#include "tests/faults/system_faults.h"

namespace ratchet::faults {
namespace {

using Json = nlohmann::json;
using pipeline::LoadState;
using pipeline::StepRef;
using pipeline::StepStatus;

constexpr std::int64_t kSecondUs = 1'000'000;

Json Failure(const std::string& error_class) {
  return {{"outcome", "failed"}, {"error", {{"class", error_class}, {"message", "simulated"}, {"hint", ""}}}};
}

// JSON of a result's form, but not its types.
Json Nonsense(std::int64_t which) {
  const Json error = {{"outcome", "failed"}, {"error", "no"}}, outputs = {{"outcome", "succeeded"}, {"outputs", {{"rows", 3}, {"l", "x"}}}};
  const Json metrics = {{"outcome", "succeeded"}, {"training_metrics", {1, 2}}}, none = {{"outcome", 7}};
  const Json tested = {{"outcome", "succeeded"}, {"metric", 1}, {"candidate", "good"}};
  return std::vector<Json>{error, outputs, metrics, none, tested}[static_cast<size_t>(which)];
}

// The daemon's call to a seam, inside which it may die: before it has an effect or after.
class SeamCall {
 public:
  explicit SeamCall(const Troubles& troubles) : died_before_(Reached(Call::kSeam) != 0) {
    if (!died_before_ && troubles.meanwhile) troubles.meanwhile();
  }
  ~SeamCall() { if (!died_before_) Reached(Call::kSeam); }
  bool has_effect() const { return !died_before_; }

 private:
  bool died_before_;
};

}  // namespace

bool SimulatedProcesses::Ready(pipeline::StepHost) const { return clock_.MonotonicUs() >= down_until_us_; }

Json SimulatedProcesses::Describe() const {
  return {{"torch", "1"}, {"recipes", {{{"name", "vision.classifier"}, {"build", "b"}, {"metric", "accuracy"}}}}};
}

void SimulatedProcesses::Violate(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

SimulatedProcesses::Play SimulatedProcesses::Choose() {
  if (!troubles_.steps_fail || !chance_.OneIn(3)) return Play::kSucceed;
  return static_cast<Play>(chance_.Below(static_cast<int>(Play::kSucceedAndVanish) + 1));
}

Status SimulatedProcesses::Start(const StepRef& ref) {
  SeamCall call(troubles_);
  if (!call.has_effect()) return Fail(ErrorCode::kIo, "start", ref.id, "the daemon is dead");
  Outside outside;
  Live();
  if (processes_.contains(ref.id)) Violate("attempt " + ref.id + " was started twice");
  const std::string prefix = ref.id.substr(0, ref.id.rfind('-') + 1);
  for (const auto& [id, other] : processes_)
    if (id.starts_with(prefix) && id.find('-', prefix.size()) == std::string::npos &&
        (other.where == Where::kRunning || other.where == Where::kHanded))
      Violate("attempt " + ref.id + " was started while " + id + " runs");
  Process process{.folder = ref.folder, .step = Json::parse(std::ifstream(ref.folder + "/step.json"), nullptr, false)};
  if (!process.step.is_object()) {
    Violate("attempt " + ref.id + " was started without a readable step.json");
    return Fail(ErrorCode::kCorrupt, "start", ref.id, "no step.json");
  }
  if (!Ready(ref.host)) return Fail(ErrorCode::kUnavailable, "start", ref.id, "the fork server is down");
  if (troubles_.starts_stall && chance_.OneIn(20)) return Fail(ErrorCode::kUnavailable, "start", ref.id, "it would not");
  process.starts_us = clock_.MonotonicUs() + (troubles_.starts_stall && chance_.OneIn(5) ? chance_.Below(3 * kSecondUs) : 0);
  Process& kept = processes_[ref.id] = std::move(process);
  if (kept.starts_us <= clock_.MonotonicUs()) Begin(kept);
  return {};
}

void SimulatedProcesses::Begin(Process& process) {
  process.where = Where::kRunning;
  process.play = Choose();
  process.begun_us = clock_.MonotonicUs();
  const bool long_one = troubles_.slow && chance_.OneIn(4);
  process.ends_us = process.begun_us + (long_one ? chance_.Below(200 * kSecondUs) : chance_.Below(2 * kSecondUs));
}

void SimulatedProcesses::SayEpochs(Process& process) {
  if (process.step.value("kind", "") != "train" || process.ends_us <= process.begun_us) return;
  const auto passed = std::min(clock_.MonotonicUs(), process.ends_us) - process.begun_us;
  const int epochs = static_cast<int>(passed * kEpochs / (process.ends_us - process.begun_us));
  if (epochs <= process.epochs_said) return;
  std::ofstream file(process.folder + "/progress.jsonl", std::ios::app);
  while (process.epochs_said < epochs) file << EpochLine(process.step, ++process.epochs_said, kEpochs);
}

void SimulatedProcesses::End(Process& process) {
  SayEpochs(process);
  process.where = process.play == Play::kVanish || process.play == Play::kSucceedAndVanish ? Where::kGone : Where::kExited;
  process.exit.cpu_s = 0.5;
  if (process.play == Play::kSignal) process.exit.signal = 11;
  if (process.play == Play::kExitCode) process.exit.exit_code = 3;
  if (process.play == Play::kOutOfMemory) process.exit.error_class = "out_of_memory";
  if (process.play == Play::kTimeout) process.exit.error_class = "timeout";
  if (process.play == Play::kDiskQuota) process.exit.error_class = "disk_quota";
  std::error_code ignored;
  if (!std::filesystem::is_directory(process.folder, ignored)) return;
  Json result;
  const bool well = process.play == Play::kSucceed || process.play == Play::kSucceedAndVanish;
  if (well || process.play == Play::kWrongDigest)
    result = WriteGoodResult(process.step, process.folder,
                             std::clamp(0.4 + 0.1 * static_cast<double>(chance_.Below(6)) + quality_bias, 0.0, 1.0));
  if (process.play == Play::kWrongDigest && process.step["kind"] == "train")
    std::ofstream(process.folder + "/bundle/model.pt", std::ios::app) << "x";
  else if (process.play == Play::kWrongDigest && process.step.contains("outputs"))
    std::ofstream(process.folder + "/" + process.step["outputs"][0].get<std::string>(), std::ios::app) << "x";
  else
    process.good_result = well || process.play == Play::kWrongDigest;
  if (process.play == Play::kUserError) result = Failure("user");
  if (process.play == Play::kInternalError) result = Failure("internal");
  if (process.play == Play::kNonsense) result = Nonsense(chance_.Below(process.step["kind"] == "test" ? 5 : 4));
  if (process.play == Play::kGarbage) std::ofstream(process.folder + "/result.json") << "{\"outcome\":";
  if (result.is_object()) std::ofstream(process.folder + "/result.json") << result.dump();
}

void SimulatedProcesses::Live() {
  Outside outside;
  const std::int64_t now_us = clock_.MonotonicUs();
  for (auto& [id, process] : processes_) {
    if (process.where == Where::kHanded && process.starts_us <= now_us) Begin(process);
    if (process.where != Where::kRunning) continue;
    if (process.ends_us <= now_us) End(process);
    else SayEpochs(process);
  }
}

void SimulatedProcesses::Kill(const StepRef& ref, const std::string& error_class, const std::string& message) {
  SeamCall call(troubles_);
  if (!call.has_effect()) return;
  Outside outside;
  Live();
  auto found = processes_.find(ref.id);
  if (found == processes_.end()) return;
  Process& process = found->second;
  if (process.where == Where::kHanded) process.where = Where::kGone;
  if (process.where != Where::kRunning) return;
  process.where = Where::kExited;
  process.exit.error_class = error_class;
  process.exit.message = message;
}

StepStatus SimulatedProcesses::Poll(const StepRef& ref) {
  SeamCall call(troubles_);
  Outside outside;
  Live();
  auto found = processes_.find(ref.id);
  if (found == processes_.end()) {
    processes_[ref.id].where = Where::kGone;  // the daemon has claimed it: it can never start
    return {};
  }
  Process& process = found->second;
  switch (process.where) {
    case Where::kHanded: return {.kind = StepStatus::Kind::kRunning, .pid = {}, .exit = {}};
    case Where::kRunning: return {.kind = StepStatus::Kind::kRunning, .pid = 4242, .exit = {}};
    case Where::kExited: return {.kind = StepStatus::Kind::kExited, .pid = 4242, .exit = process.exit};
    case Where::kGone: break;
  }
  return {};
}

void SimulatedProcesses::Forget(const std::string&) { SeamCall call(troubles_); }

void SimulatedProcesses::DaemonDied() {
  // Whoever finds a start in the fork server's hands first has it: the supervisor, or the next daemon's claim.
  for (auto& [id, process] : processes_)
    if (process.where == Where::kHanded && chance_.OneIn(2)) process.where = Where::kGone;
}

void SimulatedProcesses::PowerWentOut() {
  Live();
  for (auto& [id, process] : processes_)
    if (process.where == Where::kRunning || process.where == Where::kHanded) process.where = Where::kGone;
}

std::vector<std::string> SimulatedProcesses::Alive() const {
  std::vector<std::string> ids;
  for (const auto& [id, process] : processes_)
    if (process.where == Where::kRunning || process.where == Where::kHanded) ids.push_back(id);
  return ids;
}

std::vector<std::string> SimulatedProcesses::Started() const {
  std::vector<std::string> ids;
  for (const auto& [id, process] : processes_)
    if (!process.folder.empty()) ids.push_back(id);
  return ids;
}

bool SimulatedProcesses::MadeResult(const std::string& id) const {
  auto found = processes_.find(id);
  return found != processes_.end() && found->second.good_result;
}

LoadState SimulatedReplicas::Loaded(const std::string& model, std::int64_t version) {
  SeamCall call(troubles_);
  const std::int64_t now_us = clock_.MonotonicUs();
  if (now_us < gone_until_us_) return {.kind = LoadState::Kind::kNoReplica, .cause = {}};
  auto [found, fresh] = loads_.try_emplace(model + "@" + std::to_string(version));
  Load& load = found->second;
  if (fresh && troubles_.replicas_fail) load.fails = chance_.OneIn(8);
  if (fresh) load.ready_us = now_us + (troubles_.slow && chance_.OneIn(4) ? chance_.Below(200 * kSecondUs) : kSecondUs / 10);
  if (now_us < load.ready_us && troubles_.slow) return {.kind = LoadState::Kind::kLoading, .cause = {}};
  if (load.fails && troubles_.replicas_fail) return {.kind = LoadState::Kind::kFailed, .cause = "simulated: a bad file"};
  return {.kind = LoadState::Kind::kReady, .cause = {}};
}

bool SimulatedReplicas::Confirmed(const std::string&, std::int64_t) {
  SeamCall call(troubles_);
  return !troubles_.slow || !chance_.OneIn(3);
}

bool SimulatedReplicas::IsHarmful(const std::string& model, std::int64_t version) {
  const auto [found, fresh] = harmful_.try_emplace(model + "@" + std::to_string(version));
  if (fresh) found->second = chance_.OneIn(4);
  return found->second;
}

void SimulatedReplicas::ServeOne(const registry::Route& route) {
  Share& share = shares_[route.model];
  const registry::Route::Split& split = *route.split;
  const registry::Route::Arm& arm = split.arms.front();
  const bool anew = share.release != split.release || share.step != split.step || share.instance.empty();
  if (anew || (troubles_.replicas_fail && chance_.OneIn(50)))  // a replica's process may begin anew, and counts from 0
    share = {.release = split.release, .step = split.step, .version = arm.target.version, .live = route.live->version,
             .instance = std::to_string(++instances_)};
  const auto requests = static_cast<double>(troubles_.slow && chance_.OneIn(4) ? 0 : 200);
  share.candidate += requests * arm.share;
  share.others += requests * (split.mode == "shadow" ? arm.share : 1 - arm.share);
}

void SimulatedReplicas::Serve(const registry::RouteTable& routes) {
  const std::int64_t now_us = clock_.MonotonicUs();
  if (now_us < gone_until_us_) return shares_.clear();
  if (now_us - served_us_ < kSecondUs / 2) return;
  served_us_ = now_us;
  for (const registry::Route& route : routes.routes) {
    if (route.split && route.live && !route.split->arms.empty()) ServeOne(route);
    else shares_.erase(route.model);
  }
}

std::vector<pipeline::ArmReport> SimulatedReplicas::Counts(const std::string& model) {
  SeamCall call(troubles_);
  const auto found = shares_.find(model);
  if (found == shares_.end() || clock_.MonotonicUs() < gone_until_us_) return {};
  const Share& share = found->second;
  const auto candidate = static_cast<std::int64_t>(share.candidate), others = static_cast<std::int64_t>(share.others);
  const std::int64_t errors = IsHarmful(model, share.version) ? candidate / 2 : 0;
  const Json arms = {{std::to_string(share.version), {{"requests", candidate}, {"errors", errors}, {"unkeyed", candidate}}},
                     {std::to_string(share.live), {{"requests", others}, {"errors", others / 100}, {"unkeyed", others}}}};
  return {{.release = share.release, .step = share.step, .replica = "r1", .instance = share.instance, .counts = {{"arms", arms}}}};
}

}  // namespace ratchet::faults
