// A live version that keeps taking the data plane with it gives way to the one before. Declared in pipeline/orchestrator.h.

#include "base/log.h"
#include "pipeline/orchestrator_run.h"

namespace ratchet::pipeline {

using registry::Db;

// What cannot be undone, since there is no earlier version, say, is told once and left to a person.
void Orchestrator::FollowQuarantine() {
  std::set<std::string> seen;
  for (const QuarantinedVersion& one : serving_.Quarantined()) {
    const std::string name = one.model + "@" + std::to_string(one.version);
    seen.insert(name);
    const auto is_live = [&](Db& db) -> Result<bool> {
      RATCHET_ASSIGN(const registry::Model model, registry::GetModel(db, one.model));
      return model.live == one.version;
    };
    const auto live = store_.Read(is_live);
    if (live && !*live) continue;
    auto undone = store_.Write([&](Db& db) -> Result<bool> {
      RATCHET_ASSIGN(const bool still_live, is_live(db));
      if (!still_live) return false;
      RATCHET_TRY(registry::Rollback(db, now_us_, one.model, std::nullopt, "system", name + ": " + one.why));
      return true;
    });
    const bool told = quarantine_told_.contains(name);
    if (undone && *undone) spdlog::error("{} was rolled back: {}", name, one.why);
    if (!undone && !told) spdlog::error("{} is in quarantine but stays live: {}", name, undone.error().Message());
  }
  quarantine_told_ = std::move(seen);
}

}  // namespace ratchet::pipeline
