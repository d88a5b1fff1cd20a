#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/names.h"
#include "lake/base64.h"
#include "lake/body_reader.h"
#include "lake/ingest.h"

// JSON Lines are read with the event interface of nlohmann-json: it refuses nesting at its first bracket and holds one
// value at a time, while simdjson builds an index of 8 to 12 bytes for every byte of a hostile line.
namespace ratchet::lake {
namespace {

using Json = nlohmann::json;

enum class JsonKind { kMissing, kInteger, kHugeInteger, kReal, kText };

struct JsonCell {
  JsonKind kind = JsonKind::kMissing;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
};

struct JsonRow {
  std::int64_t line = 0;
  std::vector<JsonCell> cells;  // by column index; columns found later are missing
};

std::string Shown(const JsonCell& cell) {
  switch (cell.kind) {
    case JsonKind::kMissing:
      return "null";
    case JsonKind::kInteger:
      return std::to_string(cell.integer);
    case JsonKind::kHugeInteger:
      return cell.text;
    case JsonKind::kReal:
      return Json(cell.real).dump();
    case JsonKind::kText:
      return Quoted(cell.text);
  }
  return "";
}

// Columns by name. While types are being inferred, new names may come.
class ColumnNames {
 public:
  explicit ColumnNames(const std::optional<Schema>& schema) : open_(!schema) {
    if (!schema) return;
    for (const Column& column : schema->columns) Add(column.name);
  }

  // Index, or -1. `hint` is where the name is likely to be: keys mostly come in the same order.
  int Find(const std::string& name, std::size_t hint) const {
    if (hint < names_.size() && names_[hint] == name) return static_cast<int>(hint);
    auto found = index_.find(name);
    return found == index_.end() ? -1 : static_cast<int>(found->second);
  }
  int Add(const std::string& name) {
    index_.emplace(name, names_.size());
    names_.push_back(name);
    return static_cast<int>(names_.size()) - 1;
  }
  void Close() { open_ = false; }
  bool open() const { return open_; }
  const std::vector<std::string>& all() const { return names_; }

 private:
  bool open_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::size_t> index_;
};

// Takes the events of one line into a row. The first fault stops the parser.
class LineEvents final : public nlohmann::json_sax<Json> {
 public:
  LineEvents(ColumnNames& names, JsonRow& row) : names_(names), row_(row) {}
  Error fault;
  std::vector<bool> seen;

  bool null() override { return Cell(JsonKind::kMissing) != nullptr; }
  bool boolean(bool value) override { return number_integer(value ? 1 : 0); }
  bool number_integer(number_integer_t value) override {
    JsonCell* cell = Cell(JsonKind::kInteger);
    if (cell != nullptr) cell->integer = value;
    return cell != nullptr;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return number_integer(static_cast<std::int64_t>(value));
    }
    return Huge(static_cast<double>(value), std::to_string(value));
  }
  bool number_float(number_float_t value, const string_t& raw) override {
    if (raw.find_first_of(".eE") == std::string::npos) return Huge(value, raw);
    JsonCell* cell = Cell(JsonKind::kReal);
    if (cell != nullptr) cell->real = value;
    return cell != nullptr;
  }
  bool string(string_t& value) override {
    JsonCell* cell = Cell(JsonKind::kText);
    if (cell == nullptr) return false;
    if (value.find('\0') != std::string::npos) return Refuse(Key(), "the text holds a NUL character", "Take it out");
    cell->text.swap(value);
    return true;
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    if (in_object_) return Nested();
    in_object_ = true;
    return true;
  }
  bool key(string_t& name) override {
    const std::size_t hint = column_ < 0 ? 0 : static_cast<std::size_t>(column_) + 1;
    column_ = names_.Find(name, hint);
    if (column_ < 0 && !NewColumn(name)) return false;
    const auto at = static_cast<std::size_t>(column_);
    if (at >= seen.size()) seen.resize(at + 1);
    if (seen[at]) return Refuse(name, "the key is there twice", "Keep one of the two");
    seen[at] = true;
    return true;
  }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override {
    if (in_object_) return Nested();
    return Refuse("", "the line is an array", "Write one object a line, with the column names as keys");
  }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    if (error.id == 406) return Refuse(Key(), "the number is beyond the range of a 64-bit real", "Use null if missing");
    return Refuse("", "it is no JSON object in UTF-8 (fault at byte " + std::to_string(position) + ")",
                  "Write one object a line; missing values are null, not NaN");
  }

 private:
  const std::string& Key() const {
    static const std::string kNone;
    return column_ < 0 ? kNone : names_.all()[static_cast<std::size_t>(column_)];
  }

  bool Refuse(std::string_view column, std::string cause, std::string hint) {
    fault = DataFault(row_.line, column, std::move(cause), std::move(hint)).error();
    return false;
  }

  bool Nested() { return Refuse(Key(), "the value is an object or array", "Make a column of each of its values"); }

  bool NewColumn(const std::string& name) {
    if (!names_.open()) {
      return Refuse(name, "there is no such column",
                    "Push just the dataset's columns; a new dataset's must all be in its first " +
                        std::to_string(kInferenceRows) + " rows");
    }
    if (names_.all().size() == kMaxColumns) {
      return Refuse(name, "there are more than " + std::to_string(kMaxColumns) + " columns", "Use fewer keys");
    }
    column_ = names_.Add(name);
    return true;
  }

  JsonCell* Cell(JsonKind kind) {
    if (!in_object_) {
      Refuse("", "the line is no object", "Write one object a line, with the column names as keys");
      return nullptr;
    }
    const auto at = static_cast<std::size_t>(column_);
    if (at >= row_.cells.size()) row_.cells.resize(at + 1);
    row_.cells[at].kind = kind;
    return &row_.cells[at];
  }

  bool Huge(double value, const std::string& raw) {
    JsonCell* cell = Cell(JsonKind::kHugeInteger);
    if (cell == nullptr) return false;
    cell->real = value;
    cell->text = raw;
    return true;
  }

  ColumnNames& names_;
  JsonRow& row_;
  bool in_object_ = false;
  int column_ = -1;
};

// What has been seen of one column in the first rows.
struct JsonEvidence {
  bool integer = false, real = false, text = false;
  std::int64_t text_line = 0, number_line = 0;

  void Add(const JsonCell& cell, std::int64_t line) {
    if (cell.kind == JsonKind::kMissing) return;
    (cell.kind == JsonKind::kText ? text : cell.kind == JsonKind::kReal ? real : integer) = true;
    (cell.kind == JsonKind::kText ? text_line : number_line) = line;
  }
};

class JsonBody final : public BodyReader {
 public:
  JsonBody(const std::optional<Schema>& schema, SplitSink& sink) : known_(schema), sink_(sink), names_(schema) {}

  Status Feed(std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, end);
      if (partial_.size() + piece.size() > static_cast<std::size_t>(kMaxJsonLineBytes)) {
        return DataFault(line_, "", "the line is longer than " + std::to_string(kMaxJsonLineBytes >> 20) + " MiB",
                         "Write one object a line", ErrorCode::kTooLarge);
      }
      if (end == std::string_view::npos) {
        partial_ += piece;
        return {};
      }
      if (partial_.empty()) {
        RATCHET_TRY(TakeLine(piece));
      } else {
        partial_ += piece;
        RATCHET_TRY(TakeLine(partial_));
        partial_.clear();
      }
      bytes.remove_prefix(end + 1);
    }
    return {};
  }

  Status Finish() override {
    if (!partial_.empty()) RATCHET_TRY(TakeLine(partial_));
    if (rows_ == 0) return DataFault(0, "", "the body is empty", "Send one JSON object a line");
    return checked_ ? Status{} : EndWindow();
  }

 private:
  Status TakeLine(std::string_view line) {
    const std::int64_t number = line_++;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return {};
    for (JsonCell& cell : row_.cells) cell.kind = JsonKind::kMissing;
    row_.line = number;
    LineEvents events(names_, row_);
    if (!Json::sax_parse(line.begin(), line.end(), &events)) return std::unexpected(std::move(events.fault));
    for (std::size_t i = 0; !checked_ && i < events.seen.size(); ++i) {
      if (i >= seen_.size()) seen_.resize(i + 1);
      if (events.seen[i]) seen_[i] = true;
    }
    return TakeRow();
  }

  Status TakeRow() {
    ++rows_;
    // Counted as held in memory: a short line may name the last of many columns.
    if (!checked_) window_bytes_ += row_.cells.size() * sizeof(JsonCell);
    for (std::size_t i = 0; !checked_ && i < row_.cells.size(); ++i) window_bytes_ += row_.cells[i].text.size();
    if (known_ && !begun_) RATCHET_TRY(Begin(*known_));
    if (begun_) {
      RATCHET_TRY(Write(row_));
    } else {
      window_.push_back(row_);
    }
    const bool full = rows_ >= static_cast<std::int64_t>(kInferenceRows) || window_bytes_ >= kInferenceBytes;
    return full && !checked_ ? EndWindow() : Status{};
  }

  // The columns are settled: every one of the dataset's was there, or the new ones get their types.
  Status EndWindow() {
    checked_ = true;
    names_.Close();
    if (known_) {
      std::vector<std::string> pushed;
      for (std::size_t i = 0; i < seen_.size(); ++i) {
        if (seen_[i]) pushed.push_back(names_.all()[i]);
      }
      return CheckColumnNames(pushed, *known_);
    }
    RATCHET_ASSIGN(Schema schema, Infer());
    RATCHET_TRY(Begin(schema));
    for (const JsonRow& row : window_) RATCHET_TRY(Write(row));
    window_ = {};
    return {};
  }

  Result<Schema> Infer() const {
    std::vector<JsonEvidence> evidence(names_.all().size());
    for (const JsonRow& row : window_) {
      for (std::size_t i = 0; i < row.cells.size(); ++i) evidence[i].Add(row.cells[i], row.line);
    }
    Schema schema;
    for (std::size_t i = 0; i < evidence.size(); ++i) {
      const JsonEvidence& seen = evidence[i];
      if (seen.text && (seen.integer || seen.real)) {
        return DataFault(seen.number_line, names_.all()[i],
                         "the value is a number, on line " + std::to_string(seen.text_line) + " it is text",
                         "Write all values of a column as numbers, or all in quotes");
      }
      const ColumnType number = seen.real ? ColumnType::kReal : ColumnType::kInteger;
      schema.columns.push_back({names_.all()[i], seen.integer || seen.real ? number : ColumnType::kText});
    }
    return schema;
  }

  Status Begin(const Schema& schema) {
    schema_ = schema;
    out_.resize(schema.columns.size());
    blobs_.resize(schema.columns.size());
    begun_ = true;
    return sink_.Begin(schema);
  }

  Status Write(const JsonRow& row) {
    for (std::size_t i = 0; i < out_.size(); ++i) {
      out_[i] = std::monostate{};
      if (i < row.cells.size()) RATCHET_TRY(Convert(row.cells[i], i, row.line));
    }
    auto added = sink_.Add(out_);
    if (added || added.error().field.empty()) return added;
    return DataFault(row.line, added.error().field, added.error().cause, "Correct the value", added.error().code);
  }

  Status Convert(const JsonCell& cell, std::size_t at, std::int64_t line) {
    const ColumnType type = schema_.columns[at].type;
    const bool text = cell.kind == JsonKind::kText;
    if (cell.kind == JsonKind::kMissing) return {};
    if (type == ColumnType::kInteger && cell.kind == JsonKind::kInteger) {
      out_[at] = cell.integer;
    } else if (type == ColumnType::kReal && !text) {
      out_[at] = cell.kind == JsonKind::kInteger ? static_cast<double>(cell.integer) : cell.real;
    } else if (type == ColumnType::kText && text) {
      out_[at] = std::string_view(cell.text);
    } else if (type == ColumnType::kBlob && text && FromBase64(cell.text, blobs_[at])) {
      out_[at] = std::string_view(blobs_[at]);
    } else {
      return Misfit(cell, at, line);
    }
    return {};
  }

  Status Misfit(const JsonCell& cell, std::size_t at, std::int64_t line) const {
    const ColumnType type = schema_.columns[at].type;
    std::string hint = TypeHint(type, !known_);
    if (cell.kind == JsonKind::kHugeInteger) hint = "It is beyond 64 bits: write it in quotes to keep it as text";
    if (type == ColumnType::kText) hint = "Write the value in quotes";
    if (type == ColumnType::kBlob) hint = "Write the bytes as base64 with padding";
    std::string wanted = type == ColumnType::kBlob ? "base64" : std::string(ColumnTypeName(type));
    return DataFault(line, schema_.columns[at].name, Shown(cell) + " is no " + wanted, std::move(hint));
  }

  const std::optional<Schema> known_;
  SplitSink& sink_;
  ColumnNames names_;  // in schema order once begun
  Schema schema_;
  std::string partial_;  // the line under way
  std::int64_t line_ = 1;
  std::int64_t rows_ = 0;
  JsonRow row_;             // of the line just read
  std::vector<bool> seen_;  // columns with a key in the first rows
  std::vector<JsonRow> window_;
  std::size_t window_bytes_ = 0;
  std::vector<Cell> out_;
  std::vector<std::string> blobs_;  // decoded, for out_ to point at
  bool begun_ = false, checked_ = false;
};

}  // namespace

std::unique_ptr<BodyReader> MakeJsonBody(const std::optional<Schema>& schema, SplitSink& sink) {
  return std::make_unique<JsonBody>(schema, sink);
}

}  // namespace ratchet::lake
