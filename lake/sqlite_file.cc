#include "lake/sqlite_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ratchet::lake {
namespace {

// A `file:` address, so that SQLite can be told that the file never changes.
std::string Address(const std::string& path) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string address = path.starts_with('/') ? "file://" : "file:";
  for (unsigned char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      address += '%';
      address += kDigits[c >> 4];
      address += kDigits[c & 15];
    } else {
      address += static_cast<char>(c);
    }
  }
  return address + "?immutable=1";
}

ErrorCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return ErrorCode::kCorrupt;
    case SQLITE_TOOBIG:
      return ErrorCode::kTooLarge;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorCode::kIo;
    default:
      return ErrorCode::kInternal;
  }
}

// The file must be as long as its header says: SQLite would read what was cut off the last page as zeros.
Status CheckLength(const std::string& path) {
  auto corrupt = [&](std::string cause) -> Status {
    return Fail(ErrorCode::kCorrupt, "read pack", path, std::move(cause), "Push the data again");
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("read pack", path, errno);
  unsigned char header[32];
  const ssize_t got = pread(fd, header, sizeof header, 0);
  const off_t size = lseek(fd, 0, SEEK_END);
  close(fd);
  if (got < static_cast<ssize_t>(sizeof header) || std::memcmp(header, "SQLite format 3", 16) != 0) {
    return corrupt("it is no SQLite file, and so no pack");
  }
  const std::int64_t page_bytes = header[16] == 0 && header[17] == 1 ? 65536 : header[16] << 8 | header[17];
  std::int64_t pages = 0;
  for (int i = 28; i < 32; ++i) pages = pages << 8 | header[i];
  if (size != pages * page_bytes) {
    return corrupt("it has " + std::to_string(size) + " bytes where its header says " +
                   std::to_string(pages * page_bytes));
  }
  return {};
}

}  // namespace

Result<bool> SqliteStatement::Step() {
  int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return file_->Failure(code);
}

void SqliteStatement::Bind(int index, const Cell& cell, ColumnType type) {
  sqlite3_stmt* to = statement_.get();
  if (auto* integer = std::get_if<std::int64_t>(&cell)) {
    sqlite3_bind_int64(to, index, *integer);
  } else if (auto* real = std::get_if<double>(&cell)) {
    sqlite3_bind_double(to, index, *real);
  } else if (auto* bytes = std::get_if<std::string_view>(&cell)) {
    // A null pointer would bind NULL; an empty text is not a missing one.
    const char* start = bytes->data() ? bytes->data() : "";
    if (type == ColumnType::kBlob) {
      sqlite3_bind_blob64(to, index, start, bytes->size(), SQLITE_STATIC);
    } else {
      sqlite3_bind_text64(to, index, start, bytes->size(), SQLITE_STATIC, SQLITE_UTF8);
    }
  } else {
    sqlite3_bind_null(to, index);
  }
}

Cell SqliteStatement::At(int column) const {
  sqlite3_stmt* from = statement_.get();
  switch (sqlite3_column_type(from, column)) {
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(from, column));
    case SQLITE_FLOAT:
      return sqlite3_column_double(from, column);
    case SQLITE_TEXT:
    case SQLITE_BLOB: {
      auto* bytes = static_cast<const char*>(sqlite3_column_blob(from, column));
      auto size = static_cast<std::size_t>(sqlite3_column_bytes(from, column));
      return bytes == nullptr ? std::string_view("") : std::string_view(bytes, size);
    }
    default:
      return std::monostate{};
  }
}

std::string SqliteStatement::Text(int column) const {
  auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return text == nullptr ? ""
                         : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

Result<std::unique_ptr<SqliteFile>> SqliteFile::Open(const std::string& path, Mode mode) {
  std::unique_ptr<SqliteFile> file(new SqliteFile(path, mode));
  sqlite3* database = nullptr;
  const bool create = mode == Mode::kCreate;
  if (!create) RATCHET_TRY(CheckLength(path));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
  int code = sqlite3_open_v2((create ? path : Address(path)).c_str(), &database, flags, nullptr);
  file->database_.reset(database);
  if (code != SQLITE_OK) return file->Failure(code);
  RATCHET_TRY(file->Configure());
  return file;
}

Status SqliteFile::Configure() {
  sqlite3* database = database_.get();
  switch (mode_) {
    case Mode::kCreate:
      // Nobody reads the file before Finish() has synced it, so a journal would only copy it.
      return Execute(
          "PRAGMA page_size=8192; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
          "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-4096");
    case Mode::kRead:
      return {};
    case Mode::kHostile:
      sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
      sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
      sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
      sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
      sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
      sqlite3_limit(database, SQLITE_LIMIT_LENGTH, static_cast<int>(kMaxRowBytes));
      sqlite3_limit(database, SQLITE_LIMIT_SQL_LENGTH, 1 << 20);
      sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
      sqlite3_limit(database, SQLITE_LIMIT_WORKER_THREADS, 0);
      return Execute("PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA query_only=ON");
  }
  return {};
}

Status SqliteFile::Execute(const std::string& sql) {
  int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Failure(code);
  return {};
}

Result<SqliteStatement> SqliteFile::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v3(database_.get(), sql.c_str(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                &statement, nullptr);
  SqliteStatement prepared;
  prepared.file_ = this;
  prepared.statement_.reset(statement);
  if (code != SQLITE_OK) return Failure(code);
  return prepared;
}

std::unexpected<Error> SqliteFile::Failure(int code) const {
  const std::string operation = mode_ == Mode::kCreate ? "write pack" : "read pack";
  const ErrorCode kind = CodeOf(code);
  std::string cause = database_ ? sqlite3_errmsg(database_.get()) : sqlite3_errstr(code);
  std::string hint;
  if ((code & 0xff) == SQLITE_FULL) hint = "Free some space on that disk and try again";
  if (kind == ErrorCode::kCorrupt) hint = "The file is no pack or is damaged; push the data again";
  return Fail(kind, operation, path_, std::move(cause), std::move(hint));
}

std::string SqlName(std::string_view name) {
  std::string quoted = "\"";
  for (char c : name) {
    quoted += c;
    if (c == '"') quoted += c;
  }
  return quoted + '"';
}

}  // namespace ratchet::lake
