#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "pipeline/executor.h"
#include "registry/models.h"

// What a daemon finds around it, simulated: time, processes that run steps, replicas that serve. It outlives the daemon.
namespace ratchet::faults {

// All chance comes from here, in the order in which it is asked for.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}
  std::int64_t Below(std::int64_t end) { return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(end)); }
  std::int64_t Between(std::int64_t low, std::int64_t high) { return low + Below(high - low + 1); }
  bool OneIn(std::int64_t n) { return Below(n) == 0; }
  template <typename List>
  const auto& Of(const List& list) { return list[static_cast<size_t>(Below(static_cast<std::int64_t>(list.size())))]; }

 private:
  std::mt19937_64 random_;
};

// Wall time may jump either way; monotonic time never does.
class SimulatedClock final : public Clock {
 public:
  std::int64_t WallUs() const override { return 1'700'000'000'000'000 + jumped_us_ + passed_us_; }
  std::int64_t MonotonicUs() const override { return passed_us_; }
  void AdvanceUs(std::int64_t by_us) { passed_us_ += by_us; }
  void JumpUs(std::int64_t by_us) { jumped_us_ += by_us; }

 private:
  std::int64_t passed_us_ = 0, jumped_us_ = 0;
};

// How troubled a world is.
struct Troubles {
  bool steps_fail = true;      // by every class; otherwise each step succeeds
  bool replicas_fail = true;   // loads fail, replicas vanish; otherwise each load succeeds
  bool slow = true;            // steps and loads take minutes; otherwise a second
  bool starts_stall = true;    // the fork server takes its time, or dies with a start in its hands
  std::function<void()> meanwhile = {};  // what others do while the daemon waits for an answer from outside
};

// The steps' processes. They outlive the daemon; a cut of the power ends them.
class SimulatedProcesses final : public pipeline::Executor {
 public:
  enum class Play { kSucceed, kUserError, kInternalError, kSignal, kExitCode, kOutOfMemory, kTimeout, kDiskQuota, kVanish,
                    kGarbage, kNonsense, kWrongDigest, kSucceedAndVanish };

  SimulatedProcesses(Chance& chance, SimulatedClock& clock, const Troubles& troubles)
      : chance_(chance), clock_(clock), troubles_(troubles) {}

  bool Ready(pipeline::StepHost host) const override;
  nlohmann::json Describe() const override;
  Status Start(const pipeline::StepRef& step) override;
  void Kill(const pipeline::StepRef& step, const std::string& error_class, const std::string& message) override;
  pipeline::StepStatus Poll(const pipeline::StepRef& step) override;
  void Forget(const std::string& id) override;

  // What the steps do meanwhile.
  void Live();
  // A start that the daemon had handed over may still happen, or never.
  void DaemonDied();
  void PowerWentOut();
  // Until then nothing can be started: the fork servers are down.
  void BeDownUntil(std::int64_t us) { down_until_us_ = us; }

  std::vector<std::string> Alive() const;                   // ids of steps that run
  bool MadeResult(const std::string& id) const;             // it ran to a good end, and said so in its result.json
  bool WasStarted(const std::string& id) const { return processes_.contains(id); }
  std::vector<std::string> Started() const;
  const std::string& violation() const { return violation_; }
  double quality_bias = 0;  // of the candidates' scores

 private:
  enum class Where { kHanded, kRunning, kExited, kGone };  // kHanded: to the fork server; kGone: left no word
  struct Process {
    std::string folder;
    nlohmann::json step;
    Play play = Play::kSucceed;
    Where where = Where::kHanded;
    std::int64_t starts_us = 0, ends_us = 0, begun_us = 0;
    int epochs_said = 0;
    bool good_result = false;
    pipeline::StepExit exit;
  };

  Play Choose();
  void Begin(Process& process);
  void SayEpochs(Process& process);
  void End(Process& process);
  void Violate(const std::string& what);

  Chance& chance_;
  SimulatedClock& clock_;
  const Troubles& troubles_;
  std::map<std::string, Process> processes_;
  std::int64_t down_until_us_ = 0;
  std::string violation_;
};

// The replicas that serve.
class SimulatedReplicas final : public pipeline::ServingView {
 public:
  SimulatedReplicas(Chance& chance, SimulatedClock& clock, const Troubles& troubles)
      : chance_(chance), clock_(clock), troubles_(troubles) {}
  pipeline::LoadState Loaded(const std::string& model, std::int64_t version) override;
  bool Confirmed(const std::string& model, std::int64_t epoch) override;
  std::vector<pipeline::ArmReport> Counts(const std::string& model) override;
  void VanishUntil(std::int64_t us) { gone_until_us_ = us; }
  // What users ask meanwhile, of models that share traffic now. Some candidates fail much of it.
  void Serve(const registry::RouteTable& routes);

 private:
  struct Share {
    std::int64_t release = 0, step = 0, version = 0, live = 0;
    std::string instance;
    double candidate = 0, others = 0;  // requests so far
  };
  bool IsHarmful(const std::string& model, std::int64_t version);
  void ServeOne(const registry::Route& route);
  struct Load {
    std::int64_t ready_us = 0;
    bool fails = false;
  };
  Chance& chance_;
  SimulatedClock& clock_;
  const Troubles& troubles_;
  std::map<std::string, Load> loads_;
  std::map<std::string, Share> shares_;    // by model
  std::map<std::string, bool> harmful_;    // by version
  std::int64_t gone_until_us_ = 0, served_us_ = 0, instances_ = 0;
};

}  // namespace ratchet::faults
