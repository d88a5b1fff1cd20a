#include "registry/events.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/digest.h"

namespace ratchet::registry {
namespace {

std::string AuditHash(const std::string& before, const AuditEntry& entry) {
  Sha256 hash;
  for (const std::string& part : {before, std::to_string(entry.at), entry.actor, entry.action, entry.subject,
                                  entry.detail}) {
    hash.Update(std::to_string(part.size()) + ":");
    hash.Update(part);
  }
  return hash.FinishHex();
}

AuditEntry ReadAudit(SQLite::Statement& row) {
  return {.id = row.getColumn(0).getInt64(), .at = row.getColumn(1).getInt64(), .actor = row.getColumn(2).getString(),
          .action = row.getColumn(3).getString(), .subject = row.getColumn(4).getString(),
          .detail = row.getColumn(5).getString(), .hash = row.getColumn(6).getString()};
}

}  // namespace

void AppendEvent(Db& db, const Event& event) {
  db.Exec("INSERT INTO events (type, run, pipeline, model, data, at) VALUES (?, ?, ?, ?, ?, ?)", event.type, event.run,
          event.pipeline, event.model, event.data, event.at);
}

std::vector<Event> EventsAfter(Db& db, std::int64_t after, int limit, std::optional<std::int64_t> run) {
  constexpr std::string_view kAll =
      "SELECT id, type, run, pipeline, model, data, at FROM events WHERE id > ? ORDER BY id LIMIT ?";
  constexpr std::string_view kOfRun =
      "SELECT id, type, run, pipeline, model, data, at FROM events WHERE id > ? AND run = ? ORDER BY id LIMIT ?";
  SQLite::Statement& rows = run ? db.Prepare(kOfRun, after, *run, limit) : db.Prepare(kAll, after, limit);
  std::vector<Event> events;
  while (rows.executeStep())
    events.push_back({.id = rows.getColumn(0).getInt64(), .type = rows.getColumn(1).getString(),
                      .run = OptionalInt(rows, 2), .pipeline = OptionalText(rows, 3), .model = OptionalText(rows, 4),
                      .data = JsonColumn(rows, 5), .at = rows.getColumn(6).getInt64()});
  return events;
}

std::int64_t LastEventId(Db& db) {
  SQLite::Statement& row = db.Prepare("SELECT coalesce(max(id), 0) FROM events");
  row.executeStep();
  return row.getColumn(0).getInt64();
}

void AppendAudit(Db& db, std::int64_t now_us, const std::string& actor, const std::string& action,
                 const std::string& subject, const std::string& detail) {
  AuditEntry entry{.at = now_us, .actor = actor, .action = action, .subject = subject, .detail = detail};
  SQLite::Statement& last = db.Prepare("SELECT hash FROM audit ORDER BY id DESC LIMIT 1");
  entry.hash = AuditHash(last.executeStep() ? last.getColumn(0).getString() : "", entry);
  db.Exec("INSERT INTO audit (at, actor, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?)", entry.at,
          entry.actor, entry.action, entry.subject, entry.detail, entry.hash);
}

Page<AuditEntry> ListAudit(Db& db, int limit, const std::optional<std::string>& after) {
  std::int64_t before = ParseCursor(after, std::numeric_limits<std::int64_t>::max()).value_or(0);
  limit = std::clamp(limit, 1, kMaxPage);
  SQLite::Statement& rows = db.Prepare(
      "SELECT id, at, actor, action, subject, detail, hash FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?", before,
      limit + 1);
  Page<AuditEntry> page;
  while (rows.executeStep()) page.items.push_back(ReadAudit(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = std::to_string(page.items.back().id);
  }
  return page;
}

Status VerifyAudit(Db& db) {
  SQLite::Statement& rows = db.Prepare("SELECT id, at, actor, action, subject, detail, hash FROM audit ORDER BY id");
  std::string before;
  while (rows.executeStep()) {
    AuditEntry entry = ReadAudit(rows);
    if (AuditHash(before, entry) != entry.hash)
      return Fail(ErrorCode::kCorrupt, "verify the audit log", "entry " + std::to_string(entry.id),
                  "its hash does not follow from the entries before it", "It was changed after it was written");
    before = entry.hash;
  }
  return {};
}

std::optional<KeptAnswer> FindAnswer(Db& db, const std::string& scope, const std::string& key) {
  SQLite::Statement& row =
      db.Prepare("SELECT digest, status, body FROM idempotency WHERE scope = ? AND key = ?", scope, key);
  if (!row.executeStep()) return std::nullopt;
  return KeptAnswer{.request_digest = row.getColumn(0).getString(), .status = row.getColumn(1).getInt(),
                    .body = row.getColumn(2).getString()};
}

void KeepAnswer(Db& db, const std::string& scope, const std::string& key, const KeptAnswer& answer,
                std::int64_t now_us) {
  db.Exec("INSERT INTO idempotency (scope, key, digest, status, body, at) VALUES (?, ?, ?, ?, ?, ?)", scope, key,
          answer.request_digest, answer.status, answer.body, now_us);
}

Result<std::int64_t> ParseCursor(const std::optional<std::string>& cursor, std::int64_t start) {
  if (!cursor || cursor->empty()) return start;
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(cursor->data(), cursor->data() + cursor->size(), value);
  if (error != std::errc() || end != cursor->data() + cursor->size())
    return Fail(ErrorCode::kInvalid, "read the page cursor", "after", "not a cursor of an earlier page",
                "Use the 'next' of the page before, unchanged");
  return value;
}

}  // namespace ratchet::registry
