#include "registry/watched_scores.h"

namespace ratchet::registry {

std::vector<NumberedScore> ScoresAfter(Db& db, const std::string& model, std::int64_t version, std::int64_t since_us,
                                       std::int64_t after, std::int64_t most) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT j.number, j.score FROM joined j JOIN predictions p ON p.number = j.prediction WHERE j.model = ? AND j.version = ?"
      " AND j.at >= ? AND j.number > ? AND j.score IS NOT NULL AND p.role <> 'version' ORDER BY j.number LIMIT ?",
      model, version, since_us, after, most);
  std::vector<NumberedScore> scores;
  while (rows.executeStep()) scores.push_back({rows.getColumn(0).getInt64(), rows.getColumn(1).getDouble()});
  return scores;
}

}  // namespace ratchet::registry
