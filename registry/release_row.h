#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "registry/db.h"
#include "registry/records.h"

// What the sources of releases share; nobody else includes it.
namespace ratchet::registry {

inline constexpr std::string_view kSelectRelease =
    "SELECT id, model, kind, from_version, to_version, epoch, state, strategy, actor, reason, run, created_at, ended_at,"
    " took_ms, error, plan_json, step, step_at, split_json, watched_us, watched_at, evidence_json, approved_by, approved_at, harm"
    " FROM releases";

Release ReadRelease(SQLite::Statement& row);
std::string ShowVersion(const std::string& model, std::optional<std::int64_t> version);  // name@7, or "none"
void ReleaseEvent(Db& db, std::int64_t now_us, const Release& release);
// Ends a release without a change of what is live: route, event and audit entry (of `actor`).
void EndWithout(Db& db, std::int64_t now_us, Release release, ReleaseState state, const std::string& error, const std::string& actor);

}  // namespace ratchet::registry
