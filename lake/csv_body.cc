#include <algorithm>
#include <cstring>

#include "base/names.h"
#include "lake/body_reader.h"
#include "lake/csv_tokenizer.h"
#include "lake/ingest.h"
#include "lake/number_text.h"

namespace ratchet::lake {
namespace {

bool IsAscii(std::string_view bytes) {
  unsigned char all = 0;
  for (unsigned char c : bytes) all |= c;
  return all < 0x80 && bytes.find('\0') == std::string_view::npos;
}

// The rows that types are inferred from, kept in two arrays whatever their number.
struct Window {
  std::string bytes;
  std::vector<std::size_t> ends;  // of all cells, row after row
  std::vector<bool> quotes;
  std::vector<std::int64_t> lines;  // of each row

  void Add(const CsvRecord& record) {
    for (const CsvCell& cell : record.cells) {
      bytes += cell.text;
      ends.push_back(bytes.size());
      quotes.push_back(cell.quoted);
    }
    lines.push_back(record.line);
  }

  bool Full() const { return lines.size() >= kInferenceRows || bytes.size() >= kInferenceBytes; }

  CsvCell CellAt(std::size_t index) const {
    const std::size_t start = index == 0 ? 0 : ends[index - 1];
    return {std::string_view(bytes).substr(start, ends[index] - start), quotes[index]};
  }
};

// What has been seen of one column in the window.
struct ColumnEvidence {
  bool integer = false, huge = false, real = false, not_finite = false, text = false;

  void Add(std::string_view cell) {
    if (cell.empty()) return;
    switch (ReadNumber(cell).kind) {
      case NumberKind::kNone:
        text = true;
        break;
      case NumberKind::kInteger:
        integer = true;
        break;
      case NumberKind::kHugeInteger:
        huge = true;
        break;
      case NumberKind::kReal:
        real = true;
        break;
      case NumberKind::kNotFinite:
        not_finite = true;
        break;
      case NumberKind::kNan:
        break;
    }
  }

  ColumnType Type() const {
    if (text || (huge && !real)) return ColumnType::kText;
    if (real || (integer && not_finite)) return ColumnType::kReal;
    return integer ? ColumnType::kInteger : ColumnType::kText;
  }
};

class CsvBody final : public BodyReader {
 public:
  CsvBody(const std::optional<Schema>& schema, SplitSink& sink)
      : known_(schema),
        sink_(sink),
        tokenizer_(kMaxColumns, [this](const CsvRecord& record) { return Take(record); }) {}

  Status Feed(std::string_view bytes) override { return tokenizer_.Feed(bytes); }

  Status Finish() override {
    RATCHET_TRY(tokenizer_.Finish());
    if (names_.empty()) {
      return DataFault(0, "", "the body is empty", "Send a header line with the column names, then one line a row");
    }
    if (!begun_) RATCHET_TRY(BeginInferred());
    return {};
  }

 private:
  Status Take(const CsvRecord& record) {
    if (!IsAscii(record.bytes)) RATCHET_TRY(CheckUtf8(record));
    if (names_.empty()) return TakeHeader(record);
    if (record.cells.size() != names_.size()) {
      return DataFault(record.line, "",
                       "the row has " + std::to_string(record.cells.size()) + " cells, the header has " +
                           std::to_string(names_.size()),
                       "Put cells that hold commas, quotes or line breaks in double quotes");
    }
    if (begun_) return Write(record.cells, record.line);
    window_.Add(record);
    return window_.Full() ? BeginInferred() : Status{};
  }

  Status CheckUtf8(const CsvRecord& record) const {
    for (std::size_t i = 0; i < record.cells.size(); ++i) {
      if (IsUtf8Text(record.cells[i].text)) continue;
      const std::string column = i < names_.size() ? names_[i] : std::to_string(i + 1);
      return DataFault(record.line, column, "the bytes " + Quoted(record.cells[i].text) + " are no UTF-8 text",
                       "Save the file as UTF-8");
    }
    return {};
  }

  Status TakeHeader(const CsvRecord& record) {
    RATCHET_TRY(CheckHeader(record));
    Schema schema;
    for (const CsvCell& cell : record.cells) schema.columns.push_back({.name = std::string(cell.text)});
    if (auto checked = CheckSchema(schema); !checked) {
      Error& error = checked.error();
      return DataFault(record.line, error.field, "the header is not usable: " + error.cause, error.hint);
    }
    for (const Column& column : schema.columns) names_.push_back(column.name);
    if (!known_) return {};
    RATCHET_TRY(CheckColumnNames(names_, *known_));
    return Begin(*known_);
  }

  Status CheckHeader(const CsvRecord& record) const {
    std::size_t numbers = 0;
    bool measured = false;  // "5.1" or "-3" is nobody's column name, while "2019" may be
    for (std::size_t i = 0; i < record.cells.size(); ++i) {
      const std::string_view name = record.cells[i].text;
      if (name.empty() && record.cells.size() > 1) {
        return DataFault(record.line, "", "column " + std::to_string(i + 1) + " has no name in the header",
                         "Name every column; a table index written without a name can be left out");
      }
      const NumberKind kind = ReadNumber(name).kind;
      const bool number = kind == NumberKind::kInteger || kind == NumberKind::kReal || kind == NumberKind::kHugeInteger;
      numbers += number ? 1 : 0;
      measured |= number && (kind == NumberKind::kReal || name.find('-') != std::string_view::npos);
    }
    if (numbers == record.cells.size() || measured) {
      return DataFault(record.line, "",
                       "there is no header: the first line holds values such as " + Quoted(record.cells.front().text) +
                           " where column names belong",
                       "Put a line with the column names first");
    }
    if (record.cells.size() == 1 && record.cells[0].text.find_first_of(";\t") != std::string_view::npos) {
      return DataFault(record.line, "", "the header is one cell, " + Quoted(record.cells[0].text),
                       "Separate the cells by commas");
    }
    return {};
  }

  Status Begin(const Schema& schema) {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const int at = schema.Find(names_[i]);
      RATCHET_CHECK(at >= 0);
      const Column& column = schema.columns[static_cast<std::size_t>(at)];
      if (column.type == ColumnType::kBlob) {
        return DataFault(1, column.name, "CSV cannot carry the bytes of a blob column",
                         "Push JSON Lines (base64) or a pack");
      }
      to_.push_back(static_cast<std::size_t>(at));
      types_.push_back(column.type);
    }
    row_.resize(names_.size());
    begun_ = true;
    return sink_.Begin(schema);
  }

  Status BeginInferred() {
    std::vector<ColumnEvidence> evidence(names_.size());
    for (std::size_t i = 0; i < window_.ends.size(); ++i) evidence[i % names_.size()].Add(window_.CellAt(i).text);
    Schema schema;
    for (std::size_t i = 0; i < names_.size(); ++i) schema.columns.push_back({names_[i], evidence[i].Type()});
    RATCHET_TRY(Begin(schema));
    std::vector<CsvCell> cells(names_.size());
    for (std::size_t row = 0; row < window_.lines.size(); ++row) {
      for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = window_.CellAt(row * cells.size() + i);
      RATCHET_TRY(Write(cells, window_.lines[row]));
    }
    window_ = {};
    return {};
  }

  Status Write(std::span<const CsvCell> cells, std::int64_t line) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (!Convert(cells[i], types_[i], row_[to_[i]])) return Misfit(cells[i].text, i, line);
    }
    return sink_.Add(row_);
  }

  // False when the cell does not fit the type.
  static bool Convert(const CsvCell& cell, ColumnType type, Cell& to) {
    to = std::monostate{};
    if (type == ColumnType::kText) {
      if (!cell.text.empty() || cell.quoted) to = cell.text;
      return true;
    }
    if (cell.text.empty()) return true;
    const Number number = ReadNumber(cell.text);
    if (number.kind == NumberKind::kNan) return true;
    if (number.kind == NumberKind::kInteger) {
      if (type == ColumnType::kInteger) {
        to = number.integer;
      } else {
        to = static_cast<double>(number.integer);
      }
      return true;
    }
    if (type != ColumnType::kReal) return false;
    if (number.kind != NumberKind::kReal && number.kind != NumberKind::kHugeInteger) return false;
    to = number.real;
    return true;
  }

  Status Misfit(std::string_view text, std::size_t column, std::int64_t line) const {
    const ColumnType type = types_[column];
    if (ReadNumber(text).kind == NumberKind::kNotFinite) {
      return DataFault(line, names_[column], Quoted(text) + " is no finite number",
                       "Leave the cell empty where the value is missing");
    }
    return DataFault(line, names_[column],
                     Quoted(text) + (type == ColumnType::kInteger ? " is no integer of 64 bits" : " is no number"),
                     TypeHint(type, !known_));
  }

  const std::optional<Schema> known_;
  SplitSink& sink_;
  CsvTokenizer tokenizer_;
  std::vector<std::string> names_;  // the header
  std::vector<std::size_t> to_;     // column of the schema for each column of the header
  std::vector<ColumnType> types_;   // by column of the header
  std::vector<Cell> row_;           // by column of the schema
  Window window_;
  bool begun_ = false;
};

}  // namespace

std::unique_ptr<BodyReader> MakeCsvBody(const std::optional<Schema>& schema, SplitSink& sink) {
  return std::make_unique<CsvBody>(schema, sink);
}

}  // namespace ratchet::lake
