#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/records.h"

// The feed of what happened, the audit log, and answers kept for repeated requests.
namespace ratchet::registry {

// Appends to the feed; `event.id` is ignored. Called inside the transaction that makes the change.
void AppendEvent(Db& db, const Event& event);
// Events after `after`, oldest first; with `run`, only that run's.
std::vector<Event> EventsAfter(Db& db, std::int64_t after, int limit, std::optional<std::int64_t> run = {});
std::int64_t LastEventId(Db& db);

// Appends to the audit log. Each entry's hash is SHA-256 over the hash before it and its own fields, so that a change of
// an old entry shows.
void AppendAudit(Db& db, std::int64_t now_us, const std::string& actor, const std::string& action,
                 const std::string& subject, const std::string& detail);
// Newest first; `after` is the cursor of the page before.
Page<AuditEntry> ListAudit(Db& db, int limit, const std::optional<std::string>& after);
// kCorrupt names the first entry whose hash does not follow.
Status VerifyAudit(Db& db);

// The answer that an Idempotency-Key got before, if any.
struct KeptAnswer {
  std::string request_digest;
  int status = 0;
  std::string body;
};
std::optional<KeptAnswer> FindAnswer(Db& db, const std::string& scope, const std::string& key);
void KeepAnswer(Db& db, const std::string& scope, const std::string& key, const KeptAnswer& answer, std::int64_t now_us);

// Cursors are row numbers as text. kInvalid for anything else.
Result<std::int64_t> ParseCursor(const std::optional<std::string>& cursor, std::int64_t start);

}  // namespace ratchet::registry
