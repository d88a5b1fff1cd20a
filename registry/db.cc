#include "registry/db.h"

namespace ratchet::registry {

SQLite::Statement& Db::Cached(std::string_view sql) {
  std::string key(sql);
  auto found = statements_.find(key);
  if (found == statements_.end())
    found = statements_.emplace(key, std::make_unique<SQLite::Statement>(database_, key)).first;
  found->second->reset();
  found->second->clearBindings();
  return *found->second;
}

void Db::ResetStatements() {
  for (auto& [sql, statement] : statements_) statement->tryReset();
}

std::optional<std::int64_t> OptionalInt(SQLite::Statement& statement, int column) {
  SQLite::Column value = statement.getColumn(column);
  if (value.isNull()) return std::nullopt;
  return value.getInt64();
}

std::optional<double> OptionalReal(SQLite::Statement& statement, int column) {
  SQLite::Column value = statement.getColumn(column);
  if (value.isNull()) return std::nullopt;
  return value.getDouble();
}

std::optional<std::string> OptionalText(SQLite::Statement& statement, int column) {
  SQLite::Column value = statement.getColumn(column);
  if (value.isNull()) return std::nullopt;
  return value.getString();
}

std::optional<nlohmann::json> OptionalJson(SQLite::Statement& statement, int column) {
  SQLite::Column value = statement.getColumn(column);
  if (value.isNull()) return std::nullopt;
  return nlohmann::json::parse(value.getString());
}

nlohmann::json JsonColumn(SQLite::Statement& statement, int column) {
  return nlohmann::json::parse(statement.getColumn(column).getString());
}

}  // namespace ratchet::registry
