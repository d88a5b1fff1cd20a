#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lake/pack.h"

namespace ratchet::lake {

// The lake's own door to SQLite, on its C interface: packs are read and written a cell at a time, without an allocation
// or an exception on the way, and files from outside are opened defensively.
class SqliteFile;

// A prepared statement. One thread; must not outlive its file.
class SqliteStatement {
 public:
  // True while there is a row.
  Result<bool> Step();
  void Reset() { sqlite3_reset(statement_.get()); }

  // Binds by reference: the bytes must stay as they are until the next Step() has returned. Bytes become a blob where
  // `type` says so, else text.
  void Bind(int index, const Cell& cell, ColumnType type = ColumnType::kText);
  // The cell of this row; text and bytes are valid until the next Step().
  Cell At(int column) const;
  std::string Text(int column) const;
  std::int64_t Integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  sqlite3_stmt* handle() const { return statement_.get(); }

 private:
  friend class SqliteFile;
  struct Close {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  const SqliteFile* file_ = nullptr;
  std::unique_ptr<sqlite3_stmt, Close> statement_;
};

class SqliteFile {
 public:
  enum class Mode {
    kCreate,   // a new file of ours, written once: no journal, no sync, exclusive
    kRead,     // a file that no one changes: no locks, so that it may lie in a folder nobody can write
    kHostile,  // as kRead, for bytes from outside: defensive, nothing of its schema trusted, sizes limited
  };
  static Result<std::unique_ptr<SqliteFile>> Open(const std::string& path, Mode mode);

  Status Execute(const std::string& sql);
  Result<SqliteStatement> Prepare(const std::string& sql);
  // The error of the last call: kCorrupt for a damaged file, kIo for the operating system's refusals, else kInternal.
  std::unexpected<Error> Failure(int code) const;
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  SqliteFile(std::string path, Mode mode) : path_(std::move(path)), mode_(mode) {}
  Status Configure();

  std::string path_;
  Mode mode_;
  std::unique_ptr<sqlite3, Close> database_;
};

// A name as an SQL identifier.
std::string SqlName(std::string_view name);

}  // namespace ratchet::lake
