#pragma once

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "registry/states.h"

namespace ratchet::registry {

// One SQLite connection with its prepared statements, used by one thread at a time. Throws SQLite::Exception;
// Store::Write and Store::Read are where those stop.
class Db {
 public:
  Db(const std::string& path, int open_flags) : database_(path, open_flags) {}
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  SQLite::Database& database() { return database_; }

  // The statement, prepared once, reset, with its parameters bound in order.
  template <typename... Args>
  SQLite::Statement& Prepare(std::string_view sql, const Args&... args) {
    SQLite::Statement& statement = Cached(sql);
    int index = 0;
    (BindOne(statement, ++index, args), ...);
    return statement;
  }

  // Runs it to its end; returns the number of rows changed.
  template <typename... Args>
  int Exec(std::string_view sql, const Args&... args) {
    return Prepare(sql, args...).exec();
  }

  // Ends whatever reads are still open, so that no snapshot outlives its use.
  void ResetStatements();

 private:
  SQLite::Statement& Cached(std::string_view sql);

  static void BindOne(SQLite::Statement& s, int i, std::int64_t value) { s.bind(i, value); }
  static void BindOne(SQLite::Statement& s, int i, int value) { s.bind(i, value); }
  static void BindOne(SQLite::Statement& s, int i, double value) { s.bind(i, value); }
  static void BindOne(SQLite::Statement& s, int i, const std::string& value) { s.bind(i, value); }
  static void BindOne(SQLite::Statement& s, int i, const char* value) { s.bind(i, value); }
  static void BindOne(SQLite::Statement& s, int i, std::string_view value) { s.bind(i, std::string(value)); }
  // Bytes that are no UTF-8, from a name in a trainer's result say, are replaced: a row is written all the same.
  static void BindOne(SQLite::Statement& s, int i, const nlohmann::json& value) {
    s.bind(i, value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  template <typename T>
  static void BindOne(SQLite::Statement& s, int i, const std::optional<T>& value) {
    value ? BindOne(s, i, *value) : s.bind(i);
  }

  SQLite::Database database_;
  std::unordered_map<std::string, std::unique_ptr<SQLite::Statement>> statements_;
};

// Column access for nullable and JSON columns.
std::optional<std::int64_t> OptionalInt(SQLite::Statement& statement, int column);
std::optional<double> OptionalReal(SQLite::Statement& statement, int column);
std::optional<std::string> OptionalText(SQLite::Statement& statement, int column);
std::optional<nlohmann::json> OptionalJson(SQLite::Statement& statement, int column);
nlohmann::json JsonColumn(SQLite::Statement& statement, int column);

// States were written from the same table that reads them: another text means a damaged file.
template <typename State>
State StateColumn(SQLite::Statement& row, int column) {
  auto state = StateFromName<State>(row.getColumn(column).getString());
  if (!state) throw SQLite::Exception(state.error().Message(), SQLITE_CORRUPT);
  return *state;
}

}  // namespace ratchet::registry
