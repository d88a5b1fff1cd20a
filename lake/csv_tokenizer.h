#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ratchet::lake {

struct CsvCell {
  std::string_view text;  // without its quotes
  bool quoted = false;
};

// One record; views are valid during the call.
struct CsvRecord {
  std::int64_t line = 0;  // 1-based line on which it begins
  std::span<const CsvCell> cells;
  std::string_view bytes;  // all cells, one after the other
};

// Cuts a stream of bytes into the records of RFC 4180. Knows nothing of headers, types or encodings. Memory is bounded
// by kMaxCellBytes, kMaxRowBytes and the limit of cells. One thread.
class CsvTokenizer {
 public:
  using Handler = std::function<Status(const CsvRecord&)>;
  // Records of more than `max_cells` cells are refused.
  CsvTokenizer(std::size_t max_cells, Handler handler) : max_cells_(max_cells), handler_(std::move(handler)) {}

  Status Feed(std::string_view bytes);
  Status Finish();

 private:
  enum class State {
    kCellStart,
    kPlain,
    kQuoted,
    kQuoteSeen,  // a quote inside quotes: the cell's end or the first half of a doubled one
    kReturnSeen  // a carriage return: a line feed must follow
  };

  std::size_t FeedPlain(std::string_view bytes, std::size_t at, Status& status);
  std::size_t FeedQuoted(std::string_view bytes, std::size_t at, Status& status);
  Status EndOfPlain(char c);
  Status AfterQuote(char c);
  Status Append(std::string_view bytes);
  Status EndCell();
  Status EndRecord();
  std::unexpected<Error> Fault(std::string cause, std::string hint) const;

  const std::size_t max_cells_;
  const Handler handler_;
  State state_ = State::kCellStart;
  bool quoted_ = false;            // the cell under way
  std::int64_t line_ = 1;          // of the next byte
  std::int64_t record_line_ = 1;   // of the record's first byte
  std::size_t cell_start_ = 0;     // in bytes_
  std::string bytes_;              // of the record under way
  std::vector<std::size_t> ends_;  // of its finished cells, in bytes_
  std::vector<bool> quotes_;
  std::vector<CsvCell> cells_;
};

}  // namespace ratchet::lake
