#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "pipeline/executor.h"

namespace ratchet::daemon {

inline constexpr std::int64_t kReplicaSilenceUs = 45'000'000;  // a replica unseen for so long is dropped
inline constexpr size_t kMaxReplicas = 256;

// What one replica told of one model.
struct ReplicaModel {
  std::int64_t epoch = 0;
  std::set<std::int64_t> ready;
  std::map<std::int64_t, std::string> failed;  // version → why
};

struct Replica {
  std::string id;
  std::map<std::string, ReplicaModel> models;
  std::int64_t seen_at = 0;  // wall time
  std::int64_t seen_mono_us = 0;
  bool attached = false;  // it holds a request open, or has just been answered
  std::uint64_t report = 0;  // number of its newest report
};

// What is known of the replicas that serve: soft state, built from their sync requests alone. Any thread.
class ReplicaHub final : public pipeline::ServingView {
 public:
  explicit ReplicaHub(const Clock& clock) : clock_(clock) {}

  // Called, by the reporting thread, whenever a replica has said something new. Set before use.
  void OnReport(std::function<void()> listener) { listener_ = std::move(listener); }

  // A replica is to be there: until one is attached, nothing counts as confirmed. Set before use.
  void ExpectReplica() { expects_replica_ = true; }

  // Takes in what a replica says; returns the report's number. kOverloaded beyond kMaxReplicas.
  Result<std::uint64_t> Report(const std::string& id, std::map<std::string, ReplicaModel> models);
  // The connection of that report broke: the replica is not waited for until it reports again. Nothing, if it has
  // reported anew in the meantime.
  void Detach(const std::string& id, std::uint64_t report);
  std::vector<Replica> List();

  // Returns when each attached replica has confirmed the model's epoch (at once when there is none, and none is
  // expected); kTimeout names one that has not within `wait_ms`.
  Status WaitForEpoch(const std::string& model, std::int64_t epoch, std::int64_t wait_ms);

  pipeline::LoadState Loaded(const std::string& model, std::int64_t version) override;
  bool Confirmed(const std::string& model, std::int64_t epoch) override;
  std::vector<pipeline::QuarantinedVersion> Quarantined() override;

 private:
  void DropSilent();
  // An attached replica behind the epoch, or empty.
  std::string Behind(const std::string& model, std::int64_t epoch) const;

  const Clock& clock_;
  std::function<void()> listener_ = [] {};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Replica> replicas_;
  std::uint64_t reports_ = 0;
  bool expects_replica_ = false;
};

}  // namespace ratchet::daemon
