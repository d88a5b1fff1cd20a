#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/faults/simulated_daemon.h"

namespace ratchet::faults {

struct SimulationCounts {
  std::int64_t ticks = 0, crashes = 0, power_cuts = 0, runs = 0, attempts = 0, releases = 0, acknowledged = 0, refused = 0;
  std::int64_t stale = 0;  // decisions that a release overtook
  std::int64_t shared = 0, rolled_back = 0;  // releases that shared traffic; of these, those that did proven harm
};

// A stretch of a daemon's life with several pipelines and users, full of faults, that follows from its seed alone; then
// the faults cease, and all must come to its end.
class Simulation {
 public:
  explicit Simulation(std::uint64_t seed);
  // The first invariant that did not hold.
  std::optional<std::string> Run();
  const SimulationCounts& counts() const { return counts_; }

 private:
  void Settle();
  std::optional<std::string> Trouble();
  std::optional<std::string> Rest();
  std::optional<std::string> AfterCrash(bool may_fail_again);
  void ChooseFaults();
  void Act();
  void ActOnModel();
  void Meddle();
  void MeddleMeanwhile();
  void HandOver();
  void ActOnRun();
  void Pass(std::int64_t wake_us);
  const std::string& ModelOf(const std::string& pipeline);
  std::string Common(const std::string& pipeline, const std::string& train);
  std::string SpecText(const std::string& pipeline);
  std::string TrainText(const std::string& pipeline);
  std::string ReleaseText();
  void ApproveAll();

  Chance chance_;
  SimulatedClock clock_;
  Troubles troubles_;
  TemporaryFolder folder_;
  SimulatedProcesses processes_{chance_, clock_, troubles_};
  SimulatedReplicas replicas_{chance_, clock_, troubles_};
  SimulatedDaemon daemon_{folder_.path(), clock_, processes_, replicas_};
  Acknowledged acknowledged_;
  SimulatedUser user_{daemon_, clock_, acknowledged_};
  std::vector<std::string> pipelines_;
  std::map<std::string, std::string> models_;  // of each pipeline, as last asked for
  SimulationCounts counts_;
  bool busy_ = false;  // little fails, so that many candidates are judged while others change what is live
  bool meddling_ = false;
  std::int64_t disk_full_until_us_ = 0;
};

}  // namespace ratchet::faults
