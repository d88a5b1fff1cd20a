#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/names.h"
#include "lake/pack.h"
#include "lake/pack_format.h"
#include "lake/sqlite_file.h"

namespace ratchet::lake {
namespace {

std::unexpected<Error> Corrupt(const SqliteFile& file, std::string cause) {
  return Fail(ErrorCode::kCorrupt, "read pack", file.path(), std::move(cause), "Push the data again");
}

Result<std::string> ReadMeta(SqliteFile& file, std::string_view key) {
  RATCHET_ASSIGN(SqliteStatement statement, file.Prepare("SELECT value FROM meta WHERE key = ?1"));
  statement.Bind(1, key);
  RATCHET_ASSIGN(bool found, statement.Step());
  if (!found) return Corrupt(file, "its meta table has no " + Quoted(key));
  return statement.Text(0);
}

Result<std::int64_t> ReadInteger(SqliteFile& file, const std::string& sql) {
  RATCHET_ASSIGN(SqliteStatement statement, file.Prepare(sql));
  RATCHET_ASSIGN(bool found, statement.Step());
  return found ? statement.Integer(0) : 0;
}

// The table must be what the schema says, column by column: `row INTEGER PRIMARY KEY`, then the schema's.
Status CheckRowsTable(SqliteFile& file, const Schema& schema) {
  RATCHET_ASSIGN(SqliteStatement tables, file.Prepare("PRAGMA table_list('rows')"));
  RATCHET_ASSIGN(bool found, tables.Step());
  if (!found || tables.Text(2) != "table") return Corrupt(file, "it has no table named rows");
  RATCHET_ASSIGN(SqliteStatement columns, file.Prepare("PRAGMA table_xinfo('rows')"));
  std::size_t count = 0;
  while (true) {
    RATCHET_ASSIGN(bool more, columns.Step());
    if (!more) break;
    const std::string name = columns.Text(1), type = columns.Text(2);
    if (columns.Integer(6) != 0) return Corrupt(file, "column " + Quoted(name) + " of its rows is computed");
    if (count == 0) {
      if (name != "row" || type != "INTEGER" || columns.Integer(5) != 1) {
        return Corrupt(file, "the first column of its rows is not \"row\" INTEGER PRIMARY KEY");
      }
    } else if (count > schema.columns.size() || schema.columns[count - 1].name != name ||
               SqlTypeName(schema.columns[count - 1].type) != type) {
      return Corrupt(file, "column " + Quoted(name) + " of its rows is not what its schema says");
    }
    ++count;
  }
  if (count != schema.columns.size() + 1) return Corrupt(file, "its rows lack columns that its schema names");
  return {};
}

Value ToValue(const Cell& cell) {
  if (auto* integer = std::get_if<std::int64_t>(&cell)) return *integer;
  if (auto* real = std::get_if<double>(&cell)) return *real;
  if (auto* bytes = std::get_if<std::string_view>(&cell)) return std::string(*bytes);
  return std::monostate{};
}

class SqlitePackReader final : public PackReader {
 public:
  explicit SqlitePackReader(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  Status Begin(const std::vector<std::string>& columns) {
    if (paths_.empty()) return Fail(ErrorCode::kInvalid, "read packs", "", "no pack is given");
    Schema whole;
    for (const std::string& path : paths_) {
      RATCHET_ASSIGN(auto file, SqliteFile::Open(path, SqliteFile::Mode::kRead));
      RATCHET_ASSIGN(PackHead head, ReadPackHead(*file));
      if (rows_in_.empty()) whole = head.schema;
      if (!(head.schema == whole)) {
        return Fail(ErrorCode::kInvalid, "read packs", path, "its schema differs from that of " + paths_.front());
      }
      rows_in_.push_back(head.rows);
      rows_ += head.rows;
    }
    return Select(whole, columns);
  }

  const Schema& schema() const override { return schema_; }
  std::int64_t rows() const override { return rows_; }

  Result<Batch> Next(std::int64_t max_rows) override {
    Batch batch;
    batch.columns.resize(schema_.columns.size());
    while (batch.rows < max_rows) {
      RATCHET_ASSIGN(bool more, StepRow());
      if (!more) break;
      RATCHET_TRY(Append(batch, max_rows));
      ++batch.rows;
    }
    return batch;
  }

  Result<std::optional<Row>> NextRow() override {
    RATCHET_ASSIGN(bool more, StepRow());
    if (!more) return std::nullopt;
    Row row;
    row.reserve(schema_.columns.size());
    for (std::size_t i = 0; i < schema_.columns.size(); ++i) {
      const Cell cell = statement_.At(static_cast<int>(i) + 1);
      RATCHET_TRY(Check(schema_.columns[i], cell));
      row.push_back(ToValue(cell));
    }
    return row;
  }

  Status Rewind() override { return Skip(0); }

  Status Skip(std::int64_t rows) override {
    Close();
    next_file_ = 0;
    while (next_file_ < paths_.size() && rows >= rows_in_[next_file_]) rows -= rows_in_[next_file_++];
    first_row_ = next_file_ < paths_.size() ? rows : 0;
    return {};
  }

 private:
  Status Select(const Schema& whole, const std::vector<std::string>& columns) {
    if (columns.empty()) schema_ = whole;
    for (const std::string& name : columns) {
      int index = whole.Find(name);
      if (index < 0) {
        std::vector<std::string> known;
        for (const Column& column : whole.columns) known.push_back(column.name);
        const std::string near = NearestName(name, known);
        return Fail(ErrorCode::kInvalid, "read packs", paths_.front(), "it has no column " + Quoted(name),
                    near.empty() ? "" : "Did you mean " + Quoted(near) + "?");
      }
      schema_.columns.push_back(whole.columns[static_cast<std::size_t>(index)]);
    }
    for (const Column& column : schema_.columns) elements_.push_back(ShapeElements(column));
    return {};
  }

  void Close() {
    statement_ = {};
    file_.reset();
  }

  // Moves to the next row, over the borders of packs. False at the end.
  Result<bool> StepRow() {
    while (true) {
      if (file_) {
        RATCHET_ASSIGN(bool more, statement_.Step());
        if (more) return true;
        Close();
      }
      if (next_file_ == paths_.size()) return false;
      RATCHET_ASSIGN(file_, SqliteFile::Open(paths_[next_file_++], SqliteFile::Mode::kRead));
      RATCHET_ASSIGN(statement_, file_->Prepare(SelectSql(schema_)));
      statement_.Bind(1, first_row_);
      first_row_ = 0;
    }
  }

  Status Check(const Column& column, const Cell& cell) const {
    auto checked = CheckCell(column, cell);
    if (!checked) return Corrupt(*file_, checked.error().Message());
    return {};
  }

  Status Append(Batch& batch, std::int64_t max_rows) {
    for (std::size_t i = 0; i < schema_.columns.size(); ++i) {
      const Cell cell = statement_.At(static_cast<int>(i) + 1);
      RATCHET_TRY(Check(schema_.columns[i], cell));
      AppendCell(batch.columns[i], schema_.columns[i], elements_[i], cell, max_rows);
    }
    return {};
  }

  static void AppendCell(ColumnBatch& to, const Column& column, std::int64_t elements, const Cell& cell,
                         std::int64_t max_rows) {
    const bool missing = std::holds_alternative<std::monostate>(cell);
    to.missing.push_back(missing ? 1 : 0);
    if (column.type == ColumnType::kInteger) {
      to.integers.push_back(missing ? 0 : std::get<std::int64_t>(cell));
    } else if (column.type == ColumnType::kReal) {
      auto* integer = std::get_if<std::int64_t>(&cell);
      to.reals.push_back(missing ? 0.0 : integer ? static_cast<double>(*integer) : std::get<double>(cell));
    } else if (elements == 0) {
      to.texts.emplace_back(missing ? std::string_view() : std::get<std::string_view>(cell));
    } else {
      const std::size_t at = to.bytes.size(), size = static_cast<std::size_t>(elements);
      // A caller's huge max_rows must not reserve what the packs do not hold.
      if (at == 0) to.bytes.reserve(size * static_cast<std::size_t>(std::min<std::int64_t>(max_rows, 1024)));
      to.bytes.resize(at + size);
      if (!missing) std::memcpy(to.bytes.data() + at, std::get<std::string_view>(cell).data(), size);
    }
  }

  const std::vector<std::string> paths_;
  std::vector<std::int64_t> rows_in_;   // rows of each pack
  std::vector<std::int64_t> elements_;  // of each column's shape
  Schema schema_;
  std::int64_t rows_ = 0;
  std::size_t next_file_ = 0;
  std::int64_t first_row_ = 0;  // rows to pass over in the next file
  std::unique_ptr<SqliteFile> file_;
  SqliteStatement statement_;
};

}  // namespace

std::string SelectSql(const Schema& columns) {
  std::string sql = "SELECT row";
  for (const Column& column : columns.columns) sql += ", " + SqlName(column.name);
  return sql + " FROM rows WHERE row > ?1 ORDER BY row";
}

Result<PackHead> ReadPackHead(SqliteFile& file) {
  RATCHET_ASSIGN(std::int64_t mark, ReadInteger(file, "PRAGMA application_id"));
  if (mark != kPackApplicationId)
    return Corrupt(file, "it is an SQLite file, but no pack (its application_id differs)");
  RATCHET_ASSIGN(std::string format, ReadMeta(file, "format"));
  if (format != "1") return Corrupt(file, "its format is " + Quoted(format) + ", this program reads format 1");
  RATCHET_ASSIGN(std::string schema, ReadMeta(file, "schema"));
  PackHead head;
  auto parsed = SchemaFromJson(schema);
  if (!parsed) return Corrupt(file, "its schema is not valid: " + parsed.error().Message());
  head.schema = std::move(*parsed);
  RATCHET_TRY(CheckRowsTable(file, head.schema));
  RATCHET_ASSIGN(std::string rows, ReadMeta(file, "rows"));
  auto [end, error] = std::from_chars(rows.data(), rows.data() + rows.size(), head.rows);
  if (error != std::errc() || end != rows.data() + rows.size() || head.rows < 0) {
    return Corrupt(file, "its count of rows is no number");
  }
  RATCHET_ASSIGN(std::int64_t last, ReadInteger(file, "SELECT max(row) FROM rows"));
  if (last != head.rows) {
    return Corrupt(file, "it says " + rows + " rows, but the last one is " + std::to_string(last));
  }
  if (head.rows == 0) return head;
  RATCHET_ASSIGN(std::int64_t first, ReadInteger(file, "SELECT min(row) FROM rows"));
  if (first != 1) return Corrupt(file, "its rows are numbered from " + std::to_string(first) + ", not from 1");
  return head;
}

Result<std::unique_ptr<PackReader>> PackReader::Open(const std::vector<std::string>& paths,
                                                     std::vector<std::string> columns) {
  auto reader = std::make_unique<SqlitePackReader>(paths);
  RATCHET_TRY(reader->Begin(columns));
  RATCHET_TRY(reader->Rewind());
  return reader;
}

Status MergePacks(const std::vector<std::string>& inputs, const std::string& output) {
  RATCHET_ASSIGN(auto reader, PackReader::Open(inputs));
  const Schema schema = reader->schema();
  RATCHET_ASSIGN(auto writer, PackWriter::Create(output, schema));
  std::vector<Cell> cells(schema.columns.size());
  for (const std::string& path : inputs) {
    RATCHET_ASSIGN(auto file, SqliteFile::Open(path, SqliteFile::Mode::kRead));
    RATCHET_ASSIGN(SqliteStatement rows, file->Prepare(SelectSql(schema)));
    rows.Bind(1, std::int64_t{0});
    while (true) {
      RATCHET_ASSIGN(bool more, rows.Step());
      if (!more) break;
      for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = rows.At(static_cast<int>(i) + 1);
      RATCHET_TRY(writer->Add(cells));
    }
  }
  return writer->Finish();
}

}  // namespace ratchet::lake
