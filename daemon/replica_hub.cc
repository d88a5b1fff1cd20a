#include "daemon/replica_hub.h"

#include <chrono>
#include <utility>

namespace ratchet::daemon {

Result<std::uint64_t> ReplicaHub::Report(const std::string& id, std::map<std::string, ReplicaModel> models) {
  std::uint64_t report = 0;
  {
    std::lock_guard lock(mutex_);
    DropSilent();
    if (!replicas_.contains(id) && replicas_.size() >= kMaxReplicas)
      return Fail(ErrorCode::kOverloaded, "take in replica", id,
                  "there are " + std::to_string(kMaxReplicas) + " already", "Wait until some have gone");
    report = ++reports_;
    replicas_[id] = {id, std::move(models), clock_.WallUs(), clock_.MonotonicUs(), true, report};
    changed_.notify_all();
  }
  listener_();
  return report;
}

void ReplicaHub::Detach(const std::string& id, std::uint64_t report) {
  std::lock_guard lock(mutex_);
  auto found = replicas_.find(id);
  if (found != replicas_.end() && found->second.report == report) found->second.attached = false;
  changed_.notify_all();
}

std::vector<Replica> ReplicaHub::List() {
  std::lock_guard lock(mutex_);
  DropSilent();
  std::vector<Replica> all;
  for (const auto& [id, replica] : replicas_) all.push_back(replica);
  return all;
}

Status ReplicaHub::WaitForEpoch(const std::string& model, std::int64_t epoch, std::int64_t wait_ms) {
  std::unique_lock lock(mutex_);
  const auto confirmed = [&] {
    DropSilent();
    return Behind(model, epoch).empty();
  };
  if (changed_.wait_for(lock, std::chrono::milliseconds(wait_ms), confirmed)) return {};
  return Fail(ErrorCode::kTimeout, "wait for replica", Behind(model, epoch),
              "it has not confirmed epoch " + std::to_string(epoch) + " of " + model,
              "The release stands; see `ratchet status` for the replicas");
}

pipeline::LoadState ReplicaHub::Loaded(const std::string& model, std::int64_t version) {
  std::lock_guard lock(mutex_);
  DropSilent();
  bool any = false;
  for (const auto& [id, replica] : replicas_) {
    if (!replica.attached) continue;
    const auto state = replica.models.find(model);
    if (state == replica.models.end()) return {};
    const auto failure = state->second.failed.find(version);
    if (failure != state->second.failed.end())
      return {.kind = pipeline::LoadState::Kind::kFailed, .cause = "replica " + id + ": " + failure->second};
    if (!state->second.ready.contains(version)) return {};
    any = true;
  }
  return {.kind = any ? pipeline::LoadState::Kind::kReady : pipeline::LoadState::Kind::kNoReplica, .cause = {}};
}

bool ReplicaHub::Confirmed(const std::string& model, std::int64_t epoch) {
  std::lock_guard lock(mutex_);
  return Behind(model, epoch).empty();
}

std::vector<pipeline::QuarantinedVersion> ReplicaHub::Quarantined() {
  constexpr std::string_view kSign = "quarantined: ";  // docs/formats.md, "Routes to replicas"
  std::lock_guard lock(mutex_);
  DropSilent();
  std::vector<pipeline::QuarantinedVersion> found;
  for (const auto& [id, replica] : replicas_)
    for (const auto& [name, model] : replica.models)
      for (const auto& [version, why] : model.failed)
        if (why.starts_with(kSign)) found.push_back({.model = name, .version = version, .why = "replica " + id + ": " + why});
  return found;
}

void ReplicaHub::DropSilent() {
  const std::int64_t oldest_us = clock_.MonotonicUs() - kReplicaSilenceUs;
  std::erase_if(replicas_, [&](const auto& entry) { return entry.second.seen_mono_us < oldest_us; });
}

std::string ReplicaHub::Behind(const std::string& model, std::int64_t epoch) const {
  bool any = false;
  for (const auto& [id, replica] : replicas_) {
    if (!replica.attached) continue;
    any = true;
    const auto state = replica.models.find(model);
    if (state == replica.models.end() || state->second.epoch < epoch) return id;
  }
  return any || !expects_replica_ ? "" : "of this host (it is not attached)";
}

}  // namespace ratchet::daemon
