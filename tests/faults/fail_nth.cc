// fail_nth: one run from push to release, again and again: each time the Nth write, sync, rename, folder or statement of SQL
// fails, or the daemon dies in its Nth call, or the power goes out there, for N = 1, 2, 3 … until a run passes untouched.
// Usage: fail_nth [FAULT [N]]; without arguments all faults, every N.

#include <spdlog/fmt/fmt.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/log.h"
#include "registry/models.h"
#include "registry/runs.h"
#include "tests/faults/simulated_daemon.h"
#include "tests/faults/system_faults.h"

namespace ratchet::faults {
namespace {

using registry::Db;
using Found = std::optional<std::string>;

struct Fault {
  const char* name;
  Call call = Call::kWrite;
  int error_number = 0;
  enum class Kind { kFails, kDies, kPowerOut } kind = Kind::kFails;
};

const std::vector<Fault> kFaults = {
    {.name = "full-disk", .call = Call::kWrite, .error_number = ENOSPC}, {.name = "write", .call = Call::kWrite, .error_number = EIO},
    {.name = "sync", .call = Call::kSync},                               {.name = "rename", .call = Call::kRename},
    {.name = "folder", .call = Call::kFolder},                           {.name = "sql", .call = Call::kSql},
    {.name = "death", .kind = Fault::Kind::kDies},                       {.name = "power", .kind = Fault::Kind::kPowerOut},
};

constexpr char kSpec[] =
    "model: sorter\ndata: {dataset: parcels, target: label}\n"
    "steps: {join: {command: [join], inputs: [data.train], outputs: [rows]}}\n"
    "train: {command: [train], inputs: [join.rows]}\n";
constexpr int kTries = 4;     // of a user who is refused
constexpr int kTicks = 200;   // until the run has ended

// One run with one fault.
class FaultyRun {
 public:
  FaultyRun(const Fault& fault, std::int64_t n) : fault_(fault) {
    Faults() = SystemFaults{};
    ForgetWrites();
    if (fault.kind == Fault::Kind::kFails) {
      Faults().fail_kind = fault.call;
      Faults().fail_at = n;
      Faults().fail_errno = fault.error_number;
    } else {
      Faults().calls_to_live = n - 1;
    }
    processes_.quality_bias = 0.3;
  }
  ~FaultyRun() { Faults() = SystemFaults{}; }

  // The first invariant that did not hold; `reached`: whether there were as many calls at all.
  Found Run(bool& reached) {
    Found found = ToRelease();
    if (!found) found = Settle("after the fault");
    reached = died_ || Faults().counts[static_cast<size_t>(fault_.call)] >= Faults().fail_at;
    if (fault_.kind != Fault::Kind::kFails) reached = died_;
    if (!found) found = Reopen();
    if (!found) found = Settle("after it was opened again");
    return found;
  }

 private:
  bool Try(const std::function<bool()>& act) {
    for (int i = 0; i < kTries; ++i) {
      const bool done = act();
      if (Faults().dead && Reopen()) return false;
      if (done) return true;
    }
    return false;
  }

  Found Reopen() {
    const bool died = Faults().dead;
    died_ = died_ || died;
    daemon_.Stop();
    if (died && fault_.kind == Fault::Kind::kPowerOut) {
      CutPower([](size_t) { return size_t{0}; });
      processes_.PowerWentOut();
    }
    ForgetWrites();
    for (int i = 0; !daemon_.Start(); ++i) {
      if (i == kTries) return "the registry cannot be opened again";
      daemon_.Stop();
    }
    return CheckAlways(daemon_.scene(acknowledged_));
  }

  Found ToRelease() {
    for (int i = 0; !daemon_.Start(); ++i) {
      if (i == kTries) return "the registry cannot be made";
      died_ = died_ || Faults().dead;
      daemon_.Stop();
      if (died_ && fault_.kind == Fault::Kind::kPowerOut) CutPower([](size_t) { return size_t{0}; });
    }
    if (!Try([&] { return user_.Apply("sorter", kSpec); })) return "a spec cannot be applied";
    if (!Try([&] { return user_.Push("parcels", 100); })) return "rows cannot be pushed";
    if (!Try([&] { return user_.StartRun("sorter", true, 0); })) return "a run cannot be started";
    if (auto found = UntilEnd()) return found;
    if (Live()) return std::nullopt;
    // A disk that fails for once is no fault of the run's: a retry must do, or a new run where the gate has spoken already.
    if (!Try([&] { return user_.Retry(1) || user_.StartRun("sorter", true, 0); })) return "the run cannot be retried";
    if (auto found = UntilEnd()) return found;
    return Live() ? std::nullopt : Found("the retried run has not gone live");
  }

  Found UntilEnd() {
    for (int i = 0; i < kTicks; ++i) {
      NoteFeed(daemon_.store(), acknowledged_);
      const std::int64_t wake_us = daemon_.Tick();
      if (Faults().dead)
        if (auto found = Reopen()) return found;
      Outside outside;
      auto active = daemon_.Read([](Db& db) -> Result<std::int64_t> { return registry::CountActiveRuns(db).Total(); });
      if (active && *active == 0) return std::nullopt;
      clock_.AdvanceUs(std::max<std::int64_t>(wake_us - clock_.WallUs(), 0));
    }
    return "the run has not ended";
  }

  Found Settle(const std::string& when) {
    Scene scene = daemon_.scene(acknowledged_);
    scene.disk_failed = fault_.kind == Fault::Kind::kFails && fault_.error_number != ENOSPC;
    auto found = CheckAtRest(scene);
    if (!found) return std::nullopt;
    return when + ": " + *found;
  }

  bool Live() {
    auto model = daemon_.Read([](Db& db) { return registry::GetModel(db, "sorter"); });
    return model && model->live;
  }

  const Fault fault_;
  bool died_ = false;
  Chance chance_{1};
  SimulatedClock clock_;
  Troubles troubles_{.steps_fail = false, .replicas_fail = false, .slow = false, .starts_stall = false};
  TemporaryFolder folder_;
  SimulatedProcesses processes_{chance_, clock_, troubles_};
  SimulatedReplicas replicas_{chance_, clock_, troubles_};
  SimulatedDaemon daemon_{folder_.path(), clock_, processes_, replicas_};
  Acknowledged acknowledged_;
  SimulatedUser user_{daemon_, clock_, acknowledged_};
};

// True when every invariant held for each N; `runs`: how many there were.
bool FailEach(const Fault& fault, std::int64_t first, std::int64_t last, std::int64_t& runs) {
  bool reached = true;
  for (std::int64_t n = first; reached && n <= last; ++n, ++runs) {
    FaultyRun run(fault, n);
    auto found = run.Run(reached);
    if (!found) continue;
    std::fputs(fmt::format("fail_nth: {} {} FAILED: {}; repeat with: fail_nth {} {}\n", fault.name, n, *found, fault.name, n).c_str(), stdout);
    return false;
  }
  return true;
}

}  // namespace
}  // namespace ratchet::faults

int main(int argc, char** argv) {
  using namespace ratchet::faults;
  const std::string only = argc > 1 ? argv[1] : "";
  const std::int64_t n = argc > 2 ? std::atoll(argv[2]) : 0;
  spdlog::set_level(n > 0 ? spdlog::level::info : spdlog::level::off);
  std::int64_t total = 0;
  for (const Fault& fault : kFaults) {
    if (!only.empty() && only != fault.name) continue;
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t runs = 0;
    if (!FailEach(fault, n > 0 ? n : 1, n > 0 ? n : INT64_MAX, runs)) return 1;
    const double took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::fputs(fmt::format("{}: {} runs, {:.1f} s\n", fault.name, runs, took_s).c_str(), stdout);
    total += runs;
  }
  if (total == 0) return std::fputs("Usage: fail_nth [full-disk|write|sync|rename|folder|sql|death|power [N]]\n", stderr), 2;
  std::fputs(fmt::format("fail_nth: {} runs, each with its own fault: every invariant held\n", total).c_str(), stdout);
  return 0;
}
