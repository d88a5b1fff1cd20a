#include "cli/csv.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace ratchet::cli {
namespace {

class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
  }
  bool Done() const { return at_ >= text_.size(); }
  int Line() const { return line_; }

  Result<std::vector<std::string>> Record() {
    std::vector<std::string> cells;
    while (true) {
      RATCHET_ASSIGN(std::string cell, Cell());
      cells.push_back(std::move(cell));
      if (Done()) return cells;
      char end = text_[at_++];
      if (end == ',') continue;
      if (end == '\r' && !Done() && text_[at_] == '\n') ++at_;
      ++line_;
      return cells;
    }
  }

 private:
  Result<std::string> Cell() {
    if (Done() || text_[at_] != '"') {
      size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
      std::string cell(text_.substr(at_, end - at_));
      at_ = end;
      return cell;
    }
    const int opened = line_;
    std::string cell;
    for (++at_; !Done(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"')
        cell += text_[at_];
      else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"')
        cell += text_[at_++];
      else
        return AfterQuote(std::move(cell));
    }
    return Fail(ErrorCode::kInvalid, "read the CSV", fmt::format("line {}", opened), "a quote is never closed");
  }

  Result<std::string> AfterQuote(std::string cell) {
    ++at_;
    if (Done() || std::string_view(",\r\n").find(text_[at_]) != std::string_view::npos) return cell;
    return Fail(ErrorCode::kInvalid, "read the CSV", fmt::format("line {}", line_), "text follows a closing quote");
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

Result<CsvTable> ParseCsv(std::string_view text) {
  CsvReader reader(text);
  if (reader.Done())
    return Fail(ErrorCode::kInvalid, "read the CSV", "", "it is empty", "The first line names the columns");
  CsvTable table;
  RATCHET_ASSIGN(table.header, reader.Record());
  while (!reader.Done()) {
    int line = reader.Line();
    RATCHET_ASSIGN(std::vector<std::string> row, reader.Record());
    if (row.size() == 1 && row[0].empty() && table.header.size() > 1) continue;
    if (row.size() != table.header.size())
      return Fail(ErrorCode::kInvalid, "read the CSV", fmt::format("line {}", line),
                  fmt::format("it has {} cells, the header {}", row.size(), table.header.size()));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace ratchet::cli
