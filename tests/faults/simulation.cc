#include "tests/faults/simulation.h"

#include <utility>

#include "registry/models.h"
#include "registry/release_steps.h"
#include "registry/runs.h"
#include "tests/faults/system_faults.h"

namespace ratchet::faults {
namespace {

using registry::Db;
using Found = std::optional<std::string>;

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourUs = 3600 * kSecondUs;
constexpr int kTroubledTicks = 120;
constexpr int kRestTicks = 4'000;
constexpr int kSettlingTicks = 200;
const Troubles kNoTroubles{.steps_fail = false, .replicas_fail = false, .slow = false, .starts_stall = false};

// Two pipelines that hand the model "plain" to and fro, so that runs of both race for it.
constexpr char kPlain[] = "plain", kTwin[] = "twin";

std::string DatasetOf(const std::string& pipeline) { return pipeline == kTwin ? kPlain : pipeline; }

bool IsAtRest(SimulatedDaemon& daemon) {
  Outside outside;
  auto quiet = daemon.Read([](Db& db) -> Result<bool> {
    return registry::CountActiveRuns(db).Total() == 0 && registry::LoadingReleases(db).empty() && registry::SharedReleases(db).empty();
  });
  return quiet && *quiet;
}

// What is left to do, for whoever looks into a seed.
std::string DescribeOpen(SimulatedDaemon& daemon, const SimulatedClock& clock) {
  Outside outside;
  auto text = daemon.Read([&](Db& db) -> Result<std::string> {
    std::string found = "now " + std::to_string(clock.WallUs());
    SQLite::Statement& rows = db.Prepare(
        "SELECT r.id || ' of ' || r.pipeline || ', ' || r.state || ', paused ' || p.paused || ', begun ' || coalesce(r.started_at, 0) ||"
        " coalesce((SELECT group_concat(s.name || ' ' || s.state || ' ' || coalesce((SELECT group_concat(a.number || a.state ||"
        " coalesce(a.ended_at, 0)) FROM attempts a WHERE a.run = s.run AND a.step = s.name), '')) FROM steps s WHERE s.run = r.id AND"
        " s.state IN ('pending', 'running') AND s.blocked = 0), '') FROM runs r JOIN pipelines p ON p.name = r.pipeline WHERE r.state IN"
        " ('queued', 'running')");
    while (rows.executeStep()) found += "; run " + rows.getColumn(0).getString();
    return found;
  });
  return text.value_or("");
}

}  // namespace

Simulation::Simulation(std::uint64_t seed) : chance_(seed) {
  for (const char* name : {"plain", "graph", "sweep", "clock"})
    if (pipelines_.empty() || chance_.OneIn(2)) pipelines_.push_back(name);
  if (chance_.OneIn(4)) pipelines_.erase(pipelines_.begin() + (pipelines_.size() > 1 ? 0 : 1), pipelines_.begin() + 1);
  if (pipelines_.front() == kPlain && !chance_.OneIn(3)) pipelines_.push_back(kTwin);
  busy_ = chance_.OneIn(2);
}

const std::string& Simulation::ModelOf(const std::string& pipeline) { return models_.try_emplace(pipeline, pipeline).first->second; }

std::string Simulation::Common(const std::string& pipeline, const std::string& train) {
  return "model: " + ModelOf(pipeline) + "\ndata: {dataset: " + DatasetOf(pipeline) + ", target: label}\ntrain: {" + train + "}\n";
}

// Another seed makes another revision; few of them, so that the cache is hit.
std::string Simulation::SpecText(const std::string& pipeline) {
  const std::string text = TrainText(pipeline);
  return text + ReleaseText();
}

std::string Simulation::ReleaseText() {
  const std::string approval = chance_.OneIn(3) ? ", approval: manual" : "";
  const std::string watch = ", watch: {error_rate: 5%, for: 4s, min_requests: 20}}\n";
  switch (chance_.Below(6)) {
    case 0: return "release: {strategy: canary, steps: [20%, 60%, 100%]" + approval + watch;
    case 1: return "release: {strategy: shadow, share: 50%" + approval + watch;
    case 2: return "release: {strategy: ab, shares: {candidate: 40%, previous: 10%}" + watch;
    case 3: return "release: {strategy: immediate" + approval + "}\n";
    default: return "";
  }
}

std::string Simulation::TrainText(const std::string& pipeline) {
  const std::string seed = "seed: " + std::to_string(chance_.Below(3));
  const std::string retry = "retry: {on: [signal, timeout, out_of_memory, internal], delay: 1, max_delay: 20}";
  if (pipeline == "graph")
    return Common(pipeline, "command: [train], inputs: [left.l, right.r, alone.a], " + seed + ", " + retry) +
           "steps:\n  join: {command: [join], inputs: [data.train], outputs: [rows], " + retry + "}\n"
           "  left: {command: [left], inputs: [join.rows], outputs: [l], " + retry + "}\n"
           "  right: {command: [right], inputs: [join.rows], outputs: [r], cache: false, " + seed + "}\n"
           "  alone: {recipe: vision.classifier, needs: [join], outputs: [a]}\n"
           "run: {deadline: 240s}\n";
  if (pipeline == "sweep")
    return Common(pipeline, "recipe: vision.classifier, " + seed + ", " + retry +
                            ", sweep: {rate: [0.1, 0.2, 0.3, 0.4, 0.5], parallel: 3, prune: asha}") +
           "gate: {baseline: reset}\nretrain: {new_rows: 150}\n";
  if (pipeline == "clock")
    return Common(pipeline, "recipe: vision.classifier, " + seed) + "retrain: {schedule: '*/20 * * * *', drift: 0.3}\n";
  if (pipeline == kTwin)
    return Common(pipeline, "recipe: vision.classifier, params: {epochs: 2}, " + seed + ", " + retry) + "retrain: {new_rows: 80}\n";
  return Common(pipeline, "recipe: vision.classifier, " + seed + ", " + retry) + "retrain: {new_rows: 100}\nrun: {priority: 2}\n";
}

void Simulation::ChooseFaults() {
  SystemFaults& faults = Faults();
  if (chance_.OneIn(busy_ ? 60 : 14)) faults.calls_to_live = chance_.Below(std::int64_t{1} << chance_.Below(9));
  if (chance_.OneIn(40)) disk_full_until_us_ = clock_.MonotonicUs() + chance_.Below(60 * kSecondUs);
  faults.disk_full = clock_.MonotonicUs() < disk_full_until_us_;
  if (chance_.OneIn(40)) processes_.BeDownUntil(clock_.MonotonicUs() + chance_.Below(30 * kSecondUs));
  if (chance_.OneIn(40)) replicas_.VanishUntil(clock_.MonotonicUs() + chance_.Below(200 * kSecondUs));
  if (chance_.OneIn(60)) clock_.JumpUs(chance_.Between(-kHourUs / 6, kHourUs / 6));
  if (chance_.OneIn(120)) clock_.JumpUs(chance_.Below(72 * kHourUs));
  if (chance_.OneIn(200)) clock_.JumpUs(-chance_.Below(72 * kHourUs));
  const std::int64_t slow_us = chance_.OneIn(10) ? chance_.Below(2 * kSecondUs) : 0;
  faults.on_sync = [this, slow_us] { clock_.AdvanceUs(slow_us); };
}

void Simulation::Act() {
  const std::string& pipeline = chance_.Of(pipelines_);
  bool done = false;
  switch (chance_.Below(12)) {
    case 0: case 1: done = user_.Push(DatasetOf(pipeline), chance_.Between(20, 120)); break;
    case 2: case 3: done = user_.StartRun(pipeline, chance_.OneIn(2), chance_.Below(5)); break;
    case 4: done = user_.Apply(pipeline, SpecText(pipeline)); break;
    case 5: done = user_.Pause(pipeline, chance_.OneIn(3)); break;
    case 6: done = user_.NoteDrift(pipeline, 0.1 * static_cast<double>(chance_.Below(6))); break;
    case 7: case 8: return ActOnModel();
    default: return ActOnRun();
  }
  ++(done ? counts_.acknowledged : counts_.refused);
}

void Simulation::ActOnModel() {
  const std::string model = ModelOf(chance_.Of(pipelines_));
  auto found = daemon_.Read([&](Db& db) { return registry::GetModel(db, model); });
  if (!found || found->latest == 0) return;
  const std::int64_t version = chance_.Between(1, found->latest);
  bool done = false;
  switch (chance_.Below(7)) {
    case 4: case 5: done = user_.ApproveRelease(model); break;
    case 6: done = user_.AbortRelease(model); break;
    case 0: done = user_.Promote(model, version, registry::ReleaseKind::kPromote); break;
    case 1: done = user_.Promote(model, version, registry::ReleaseKind::kForce); break;
    case 2: done = user_.Rollback(model, version); break;
    default: done = user_.Rollback(model, {}); break;
  }
  ++(done ? counts_.acknowledged : counts_.refused);
}

// One of the two pipelines gives the model up, though a run of it may still be under way, and the other takes it and starts
// a run: one pipeline alone never has two.
void Simulation::HandOver() {
  if (pipelines_.back() != kTwin) return;
  const bool back = ModelOf(kTwin) == kPlain;
  const std::string from = back ? kTwin : kPlain, to = back ? kPlain : kTwin;
  models_[from] = from + "-spare";
  user_.Apply(from, SpecText(from));
  models_[to] = kPlain;
  const bool done = user_.Apply(to, SpecText(to)) && user_.StartRun(to, true, 4);
  ++(done ? counts_.acknowledged : counts_.refused);
}

// Changes what is live while a candidate is compared with it, judged, or on its way.
void Simulation::Meddle() {
  auto models = daemon_.Read([](Db& db) -> Result<std::vector<std::string>> {
    std::vector<std::string> found;
    SQLite::Statement& rows = db.Prepare(
        "SELECT m.name FROM steps s JOIN runs r ON r.id = s.run JOIN models m ON m.name = r.model WHERE s.name IN ('test', 'gate', 'release')"
        " AND (s.state = 'running' OR s.state = 'pending' AND s.blocked = 0) AND r.state = 'running' AND m.live IS NOT NULL ORDER BY r.id");
    while (rows.executeStep()) found.push_back(rows.getColumn(0).getString());
    return found;
  });
  if (!models || models->empty()) return;
  const std::string& model = chance_.Of(*models);
  auto found = daemon_.Read([&](Db& db) { return registry::GetModel(db, model); });
  if (!found) return;
  bool done = found->previous && !chance_.OneIn(3) ? user_.Rollback(model, {})
                                                  : user_.Promote(model, chance_.Between(1, found->latest), registry::ReleaseKind::kForce);
  if (done && found->previous && chance_.OneIn(3)) user_.Rollback(model, {});
  ++(done ? counts_.acknowledged : counts_.refused);
}

// Between any two steps of a tick, where the daemon hears from the world.
void Simulation::MeddleMeanwhile() {
  if (meddling_ || Faults().dead || !chance_.OneIn(12)) return;
  meddling_ = true;
  Meddle();
  meddling_ = false;
}

void Simulation::ActOnRun() {
  auto runs = daemon_.Read([](Db& db) -> Result<registry::Page<registry::Run>> { return registry::ListRuns(db, {}, 8, {}); });
  if (!runs || runs->items.empty()) return;
  const registry::Run& run = chance_.Of(runs->items);
  bool done = false;
  if (run.state == registry::RunState::kSucceeded)
    done = user_.StartRun(run.pipeline, chance_.OneIn(2), 0, run.reproduces.value_or(run.id));
  else
    done = registry::IsEnd(run.state) ? user_.Retry(run.id) : user_.Cancel(run.id);
  ++(done ? counts_.acknowledged : counts_.refused);
}

Found Simulation::AfterCrash(bool may_fail_again) {
  ++counts_.crashes;
  const bool power = chance_.OneIn(3);
  daemon_.Stop();
  if (power) {
    ++counts_.power_cuts;
    CutPower([this](size_t writes) { return static_cast<size_t>(chance_.Below(static_cast<std::int64_t>(writes) + 1)); });
    processes_.PowerWentOut();
  }
  processes_.DaemonDied();
  ForgetWrites();
  clock_.AdvanceUs(chance_.Below(10 * kSecondUs));
  for (int tries = 0; !daemon_.Start(); ++tries) {
    if (tries == 3 || !may_fail_again) Faults().disk_full = false;
    if (tries == 10) return "the registry cannot be opened again";
    daemon_.Stop();
  }
  return CheckAlways(daemon_.scene(acknowledged_));
}

// Waits as the control loop does: until the tick that was asked for, or until something happens.
void Simulation::Pass(std::int64_t wake_us) {
  const std::int64_t wait_us = std::max<std::int64_t>(wake_us - clock_.WallUs(), 0);
  clock_.AdvanceUs(chance_.OneIn(3) ? chance_.Below(wait_us + 1) : wait_us);
  processes_.Live();
  Outside outside;
  if (auto routes = daemon_.Read([](Db& db) -> Result<registry::RouteTable> { return registry::Routes(db); })) replicas_.Serve(*routes);
}

// Someone lets through whatever waits for that.
void Simulation::ApproveAll() {
  auto waiting = daemon_.Read([](Db& db) -> Result<std::vector<registry::Release>> { return registry::SharedReleases(db); });
  if (!waiting) return;
  for (const registry::Release& release : *waiting)
    if (!release.approved_at && (release.state == registry::ReleaseState::kWaiting || release.strategy == "ab"))
      user_.ApproveRelease(release.model);
}

// Until every model has a live version, so that there is something to overtake.
void Simulation::Settle() {
  const Troubles trouble = std::exchange(troubles_, kNoTroubles);
  const double bias = std::exchange(processes_.quality_bias, 1);
  for (int i = 0; i < kSettlingTicks && !IsAtRest(daemon_); ++i) {
    const std::int64_t wake_us = daemon_.Tick();
    ++counts_.ticks;
    Pass(wake_us);
  }
  troubles_ = trouble;
  processes_.quality_bias = bias;
  for (const std::string& pipeline : pipelines_) user_.StartRun(pipeline, true, 0);
}

Found Simulation::Trouble() {
  troubles_.meanwhile = [this] { MeddleMeanwhile(); };
  troubles_.steps_fail = troubles_.starts_stall = !busy_;
  for (int i = 0; i < kTroubledTicks; ++i) {
    ChooseFaults();
    if (chance_.OneIn(3)) Act();
    if (!Faults().dead && chance_.OneIn(2)) Meddle();
    if (!Faults().dead && chance_.OneIn(10)) HandOver();
    if (!Faults().dead && busy_ && IsAtRest(daemon_))
      for (const std::string& pipeline : pipelines_) user_.StartRun(pipeline, true, 0);
    if (!Faults().dead) {
      NoteFeed(daemon_.store(), acknowledged_);
      const std::int64_t wake_us = daemon_.Tick();
      ++counts_.ticks;
      Pass(wake_us);
    }
    if (Faults().dead)
      if (auto found = AfterCrash(true)) return found;
    NoteFeed(daemon_.store(), acknowledged_);
  }
  return std::nullopt;
}

Found Simulation::Rest() {
  if (auto found = AfterCrash(false)) return found;
  Faults() = SystemFaults{};
  troubles_ = kNoTroubles;
  processes_.BeDownUntil(0);
  replicas_.VanishUntil(0);
  for (const std::string& pipeline : pipelines_) user_.Pause(pipeline, false);
  for (int i = 0; i < kRestTicks; ++i) {
    const std::int64_t wake_us = daemon_.Tick();
    ++counts_.ticks;
    if (IsAtRest(daemon_)) {
      NoteFeed(daemon_.store(), acknowledged_);
      return CheckAtRest(daemon_.scene(acknowledged_));
    }
    Pass(wake_us);
    ApproveAll();
  }
  auto found = CheckAtRest(daemon_.scene(acknowledged_));
  return "not at rest after " + std::to_string(kRestTicks) + " ticks without faults" + (found ? ": " + *found : "") + " (" + DescribeOpen(daemon_, clock_) + ")";
}

Found Simulation::Run() {
  Faults() = SystemFaults{};
  ForgetWrites();
  if (!daemon_.Start()) return "the registry cannot be made";
  for (const std::string& pipeline : pipelines_) {
    user_.Apply(pipeline, SpecText(pipeline));
    user_.Push(DatasetOf(pipeline), 200);
    user_.StartRun(pipeline, true, 0);
  }
  Settle();
  Found found = Trouble();
  if (!found) found = Rest();
  counts_.attempts = static_cast<std::int64_t>(processes_.Started().size());
  counts_.runs = static_cast<std::int64_t>(acknowledged_.runs.size());
  counts_.releases = static_cast<std::int64_t>(acknowledged_.releases.size());
  Faults() = SystemFaults{};
  if (found) return found;
  (void)daemon_.Read([&](Db& db) -> Status {
    SQLite::Statement& row = db.Prepare("SELECT count(*) FROM events WHERE type = 'decision.stale'");
    if (row.executeStep()) counts_.stale = row.getColumn(0).getInt64();
    SQLite::Statement& shared = db.Prepare("SELECT count(*), coalesce(sum(harm), 0) FROM releases WHERE step_at IS NOT NULL");
    if (shared.executeStep()) counts_.shared = shared.getColumn(0).getInt64(), counts_.rolled_back = shared.getColumn(1).getInt64();
    return {};
  });
  return found;
}

}  // namespace ratchet::faults
