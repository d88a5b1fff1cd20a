#include "registry/release_row.h"

#include "registry/events.h"

namespace ratchet::registry {

Release ReadRelease(SQLite::Statement& row) {
  return {.id = row.getColumn(0).getInt64(), .model = row.getColumn(1).getString(),
          .kind = row.getColumn(2).getString(), .from = OptionalInt(row, 3), .to = row.getColumn(4).getInt64(),
          .epoch = OptionalInt(row, 5), .state = StateColumn<ReleaseState>(row, 6), .strategy = row.getColumn(7).getString(),
          .actor = row.getColumn(8).getString(), .reason = row.getColumn(9).getString(), .run = OptionalInt(row, 10),
          .created_at = row.getColumn(11).getInt64(), .ended_at = OptionalInt(row, 12), .took_ms = OptionalReal(row, 13),
          .error = OptionalText(row, 14), .plan = OptionalJson(row, 15), .step = row.getColumn(16).getInt64(),
          .step_at = OptionalInt(row, 17), .split = OptionalJson(row, 18), .watched_us = row.getColumn(19).getInt64(),
          .watched_at = OptionalInt(row, 20), .evidence = OptionalJson(row, 21), .approved_by = OptionalText(row, 22),
          .approved_at = OptionalInt(row, 23), .harm = row.getColumn(24).getInt() != 0};
}

std::string ShowVersion(const std::string& model, std::optional<std::int64_t> version) {
  return version ? model + "@" + std::to_string(*version) : "none";
}

void ReleaseEvent(Db& db, std::int64_t now_us, const Release& release) {
  Json data = {{"release", release.id}, {"kind", release.kind}, {"state", Name(release.state)},
               {"from", release.from ? Json(*release.from) : Json()}, {"to", release.to}};
  if (release.step_at) data["step"] = release.step;
  AppendEvent(db, {.type = "release", .run = release.run, .model = release.model, .data = std::move(data), .at = now_us});
}

void EndWithout(Db& db, std::int64_t now_us, Release release, ReleaseState state, const std::string& error, const std::string& actor) {
  db.Exec("UPDATE releases SET state = ?, error = ?, ended_at = ? WHERE id = ?", Name(state), error, now_us, release.id);
  db.Exec("UPDATE models SET loading = NULL, epoch = epoch + 1, updated_at = ? WHERE name = ?", now_us, release.model);
  release.state = state;
  ReleaseEvent(db, now_us, release);
  AppendAudit(db, now_us, actor, "release." + std::string(Name(state)), ShowVersion(release.model, release.to), error);
}

}  // namespace ratchet::registry
