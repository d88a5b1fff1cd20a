#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/names.h"
#include "lake/body_reader.h"
#include "lake/ingest.h"
#include "lake/pack_format.h"
#include "lake/sqlite_file.h"

namespace ratchet::lake {
namespace {

// A pushed pack must hold the two tables of the format and nothing else: no views, triggers, virtual tables, indexes.
Status CheckObjects(SqliteFile& file) {
  RATCHET_ASSIGN(SqliteStatement objects, file.Prepare("SELECT type, name, tbl_name FROM sqlite_schema"));
  while (true) {
    RATCHET_ASSIGN(bool more, objects.Step());
    if (!more) return {};
    const std::string type = objects.Text(0), name = objects.Text(1), table = objects.Text(2);
    if (type == "table" && (name == "meta" || name == "rows")) continue;
    if (type == "index" && table == "meta" && name.starts_with("sqlite_autoindex_")) continue;
    return DataFault(0, "", "the pack holds a " + Quoted(type) + " named " + Quoted(name),
                     "A pack holds the tables meta and rows, and nothing else");
  }
}

Status CheckSound(SqliteFile& file) {
  // Check constraints are the sender's code; the values are checked here anyway.
  RATCHET_TRY(file.Execute("PRAGMA ignore_check_constraints=ON"));
  RATCHET_ASSIGN(SqliteStatement check, file.Prepare("PRAGMA quick_check(1)"));
  RATCHET_ASSIGN(bool answered, check.Step());
  const std::string verdict = answered ? check.Text(0) : "no answer";
  if (verdict == "ok") return {};
  return Fail(ErrorCode::kCorrupt, "take in the pack", "", "it is damaged: " + Quoted(verdict), "Make it anew");
}

Status CheckSameColumns(const Schema& pushed, const Schema& dataset) {
  std::vector<std::string> names;
  for (const Column& column : pushed.columns) names.push_back(column.name);
  RATCHET_TRY(CheckColumnNames(names, dataset));
  for (const Column& column : pushed.columns) {
    const Column& known = dataset.columns[static_cast<std::size_t>(dataset.Find(column.name))];
    if (known.type != column.type) {
      return DataFault(0, column.name,
                       "the pack holds " + std::string(ColumnTypeName(column.type)) + " values, the dataset " +
                           std::string(ColumnTypeName(known.type)),
                       "Make the pack with the dataset's types, or make a new dataset");
    }
    if (known.shape != column.shape) {
      return DataFault(0, column.name, "the shape differs from the dataset's",
                       "Make the pack with the dataset's shape");
    }
  }
  return {};
}

class PackBody final : public BodyReader {
 public:
  PackBody(const std::optional<Schema>& schema, SplitSink& sink, std::string spool_path)
      : known_(schema), sink_(sink), spool_path_(std::move(spool_path)) {}

  ~PackBody() override {
    if (spool_ >= 0) close(spool_);
    unlink(spool_path_.c_str());
  }

  Status Feed(std::string_view bytes) override {
    if (spool_ < 0) spool_ = open(spool_path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (spool_ < 0) return FailErrno("spool the pack to", spool_path_, errno);
    while (!bytes.empty()) {
      const ssize_t written = write(spool_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FailErrno("spool the pack to", spool_path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  Status Finish() override {
    if (spool_ < 0) return DataFault(0, "", "the body is empty", "Send a pack");
    auto copied = CopyRows();
    if (copied || !copied.error().subject.starts_with(spool_path_)) return copied;
    // The sender knows nothing of the spool file.
    copied.error().operation = "take in the pack";
    copied.error().subject.clear();
    return copied;
  }

 private:
  Status CopyRows() {
    RATCHET_ASSIGN(auto file, SqliteFile::Open(spool_path_, SqliteFile::Mode::kHostile));
    RATCHET_TRY(CheckObjects(*file));
    RATCHET_TRY(CheckSound(*file));
    RATCHET_ASSIGN(PackHead head, ReadPackHead(*file));
    if (known_) RATCHET_TRY(CheckSameColumns(head.schema, *known_));
    const Schema& schema = known_ ? *known_ : head.schema;
    RATCHET_TRY(sink_.Begin(schema));
    RATCHET_ASSIGN(SqliteStatement rows, file->Prepare(SelectSql(schema)));
    rows.Bind(1, std::int64_t{0});
    std::vector<Cell> cells(schema.columns.size());
    for (std::int64_t last = 0;; ++last) {
      RATCHET_ASSIGN(bool more, rows.Step());
      if (!more) return {};
      if (rows.Integer(0) != last + 1) return OutOfOrder(rows.Integer(0), last + 1);
      RATCHET_TRY(ReadRow(rows, schema, last + 1, cells));
      RATCHET_TRY(sink_.Add(cells));
    }
  }

  static Status OutOfOrder(std::int64_t row, std::int64_t expected) {
    return DataFault(0, "", "row " + std::to_string(expected) + " is numbered " + std::to_string(row),
                     "Number the rows of a pack 1, 2, 3, …");
  }

  static Status ReadRow(const SqliteStatement& rows, const Schema& schema, std::int64_t row, std::vector<Cell>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const Column& column = schema.columns[i];
      cells[i] = rows.At(static_cast<int>(i) + 1);
      if (auto fits = CheckStored(rows, column, static_cast<int>(i) + 1, cells[i]); !fits) {
        return DataFault(0, column.name, "row " + std::to_string(row) + ": " + fits.error().cause, "Make the pack anew",
                         fits.error().code);
      }
    }
    return {};
  }

  // What the file really stores, whatever its table claims: text and bytes told apart, text in UTF-8.
  static Status CheckStored(const SqliteStatement& rows, const Column& column, int at, const Cell& cell) {
    RATCHET_TRY(CheckCell(column, cell));
    const int stored = sqlite3_column_type(rows.handle(), at);
    const bool text = column.type == ColumnType::kText;
    if (std::holds_alternative<std::string_view>(cell) && (stored == SQLITE_TEXT) != text) {
      return Fail(ErrorCode::kInvalid, "", "", text ? "it holds bytes, not text" : "it holds text, not bytes");
    }
    if (text && stored == SQLITE_TEXT && !IsUtf8Text(std::get<std::string_view>(cell))) {
      return Fail(ErrorCode::kInvalid, "", "", "the text is not UTF-8");
    }
    auto* real = std::get_if<double>(&cell);
    if (real != nullptr && (*real - *real != 0)) return Fail(ErrorCode::kInvalid, "", "", "inf is no finite number");
    return {};
  }

  const std::optional<Schema> known_;
  SplitSink& sink_;
  const std::string spool_path_;
  int spool_ = -1;
};

}  // namespace

std::unique_ptr<BodyReader> MakePackBody(const std::optional<Schema>& schema, SplitSink& sink, std::string spool_path) {
  return std::make_unique<PackBody>(schema, sink, std::move(spool_path));
}

}  // namespace ratchet::lake
