#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>

#include "base/files.h"
#include "base/names.h"
#include "lake/pack.h"
#include "lake/pack_format.h"
#include "lake/sqlite_file.h"

namespace ratchet::lake {
namespace {

std::string CreateRowsSql(const Schema& schema) {
  std::string sql = "CREATE TABLE rows(row INTEGER PRIMARY KEY";
  for (const Column& column : schema.columns) {
    sql += ", " + SqlName(column.name) + " " + std::string(SqlTypeName(column.type));
  }
  return sql + ") STRICT";
}

std::string InsertSql(const Schema& schema) {
  std::string sql = "INSERT INTO rows VALUES(?1";
  for (std::size_t i = 0; i < schema.columns.size(); ++i) sql += ",?" + std::to_string(i + 2);
  return sql + ")";
}

// Lets the disk begin while the caller goes on. A hint only: what is durable is decided by the sync that follows.
void StartWriteback(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  close(fd);
}

class SqlitePackWriter final : public PackWriter {
 public:
  SqlitePackWriter(std::string path, Schema schema) : path_(std::move(path)), schema_(std::move(schema)) {}

  ~SqlitePackWriter() override {
    insert_ = {};
    file_.reset();
    if (!finished_) unlink(path_.c_str());
  }

  Status Begin() {
    RATCHET_ASSIGN(file_, SqliteFile::Open(path_, SqliteFile::Mode::kCreate));
    RATCHET_TRY(file_->Execute("PRAGMA application_id=" + std::to_string(kPackApplicationId)));
    RATCHET_TRY(file_->Execute("BEGIN; CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT"));
    RATCHET_TRY(file_->Execute(CreateRowsSql(schema_)));
    RATCHET_ASSIGN(insert_, file_->Prepare(InsertSql(schema_)));
    cells_.resize(schema_.columns.size());
    return {};
  }

  Status Add(const Row& row) override {
    if (row.size() != schema_.columns.size()) return WrongCount(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      cells_[i] = std::visit([](const auto& value) -> Cell { return value; }, row[i]);
    }
    return Add(std::span<const Cell>(cells_));
  }

  Status Add(std::span<const Cell> row) override {
    if (finished_) return Fail(ErrorCode::kConflict, "write pack", path_, "it is finished already");
    if (row.size() != schema_.columns.size()) return WrongCount(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      RATCHET_TRY(CheckCell(schema_.columns[i], row[i]));
      insert_.Bind(static_cast<int>(i) + 2, row[i], schema_.columns[i].type);
    }
    insert_.Bind(1, rows_ + 1);
    RATCHET_TRY(insert_.Step());
    insert_.Reset();
    ++rows_;
    return {};
  }

  std::int64_t rows() const override { return rows_; }

  Status Finish() override {
    RATCHET_TRY(FinishUnsynced());
    finished_ = false;  // not before it is synced
    RATCHET_TRY(SystemFiles().Sync(path_));
    finished_ = true;
    return {};
  }

  Status FinishUnsynced() override {
    if (finished_) return Fail(ErrorCode::kConflict, "write pack", path_, "it is finished already");
    RATCHET_TRY(WriteMeta("format", "1"));
    RATCHET_TRY(WriteMeta("schema", SchemaToJson(schema_)));
    RATCHET_TRY(WriteMeta("rows", std::to_string(rows_)));
    RATCHET_TRY(file_->Execute("COMMIT"));
    insert_ = {};
    file_.reset();
    StartWriteback(path_);
    finished_ = true;
    return {};
  }

 private:
  Status WriteMeta(std::string_view key, std::string_view value) {
    RATCHET_ASSIGN(SqliteStatement statement, file_->Prepare("INSERT INTO meta VALUES(?1, ?2)"));
    statement.Bind(1, key);
    statement.Bind(2, value);
    RATCHET_TRY(statement.Step());
    return {};
  }

  Status WrongCount(std::size_t values) const {
    return Fail(ErrorCode::kInvalid, "write pack", path_,
                "row " + std::to_string(rows_ + 1) + " has " + std::to_string(values) + " values for " +
                    std::to_string(schema_.columns.size()) + " columns");
  }

  const std::string path_;
  const Schema schema_;
  std::unique_ptr<SqliteFile> file_;
  SqliteStatement insert_;
  std::vector<Cell> cells_;
  std::int64_t rows_ = 0;
  bool finished_ = false;
};

}  // namespace

std::string_view SqlTypeName(ColumnType type) {
  switch (type) {
    case ColumnType::kInteger:
      return "INTEGER";
    case ColumnType::kReal:
      return "REAL";
    case ColumnType::kText:
      return "TEXT";
    case ColumnType::kBlob:
      return "BLOB";
  }
  return "TEXT";
}

std::string_view CellKindName(const Cell& cell) {
  if (std::holds_alternative<std::int64_t>(cell)) return "an integer";
  if (std::holds_alternative<double>(cell)) return "a real";
  if (std::holds_alternative<std::string_view>(cell)) return "text or bytes";
  return "missing";
}

Status CheckCell(const Column& column, const Cell& cell) {
  auto refuse = [&](ErrorCode code, std::string cause) -> Status {
    auto failure = Fail(code, "check a value", "column " + Quoted(column.name), std::move(cause));
    failure.error().field = column.name;
    return failure;
  };
  if (std::holds_alternative<std::monostate>(cell)) return {};
  const bool integer = std::holds_alternative<std::int64_t>(cell);
  const bool real = std::holds_alternative<double>(cell);
  bool fits = !integer && !real;
  if (column.type == ColumnType::kInteger) fits = integer;
  if (column.type == ColumnType::kReal) fits = integer || real;
  if (!fits) {
    return refuse(ErrorCode::kInvalid, "the column holds " + std::string(ColumnTypeName(column.type)) +
                                           " values, this one is " + std::string(CellKindName(cell)));
  }
  if (integer || real) return {};
  const auto size = static_cast<std::int64_t>(std::get<std::string_view>(cell).size());
  if (size > kMaxCellBytes) {
    return refuse(ErrorCode::kTooLarge, "the value has " + std::to_string(size) + " bytes, the limit is " +
                                            std::to_string(kMaxCellBytes) + " (16 MiB)");
  }
  if (!column.shape.empty() && size != ShapeElements(column)) {
    return refuse(ErrorCode::kInvalid, "the value has " + std::to_string(size) +
                                           " bytes where the column's shape asks for " +
                                           std::to_string(ShapeElements(column)));
  }
  return {};
}

Result<std::unique_ptr<PackWriter>> PackWriter::Create(const std::string& path, const Schema& schema) {
  RATCHET_TRY(CheckSchema(schema));
  int fd = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0 && errno == EEXIST) return Fail(ErrorCode::kConflict, "write pack", path, "the file exists already");
  if (fd < 0) return FailErrno("write pack", path, errno);
  close(fd);
  auto writer = std::make_unique<SqlitePackWriter>(path, schema);
  RATCHET_TRY(writer->Begin());
  return writer;
}

}  // namespace ratchet::lake
