#include "lake/csv_tokenizer.h"

#include <algorithm>
#include <array>

#include "lake/body_reader.h"
#include "lake/schema.h"

namespace ratchet::lake {
namespace {

constexpr std::array<bool, 256> kEndsPlain = [] {
  std::array<bool, 256> table{};
  for (unsigned char c : {',', '"', '\n', '\r'}) table[c] = true;
  return table;
}();

}  // namespace

std::unexpected<Error> CsvTokenizer::Fault(std::string cause, std::string hint) const {
  return DataFault(record_line_, "", "cell " + std::to_string(ends_.size() + 1) + " " + std::move(cause),
                   std::move(hint));
}

Status CsvTokenizer::Feed(std::string_view bytes) {
  Status status;
  for (std::size_t at = 0; at < bytes.size() && status;) {
    switch (state_) {
      case State::kCellStart:
      case State::kPlain:
        at = FeedPlain(bytes, at, status);
        break;
      case State::kQuoted:
        at = FeedQuoted(bytes, at, status);
        break;
      case State::kQuoteSeen:
        status = AfterQuote(bytes[at++]);
        break;
      case State::kReturnSeen:
        if (bytes[at++] != '\n') {
          status = Fault("has a carriage return without a line feed", "End lines with \\n or \\r\\n");
        } else {
          status = EndRecord();
        }
        break;
    }
  }
  return status;
}

std::size_t CsvTokenizer::FeedPlain(std::string_view bytes, std::size_t at, Status& status) {
  std::size_t end = at;
  while (end < bytes.size() && !kEndsPlain[static_cast<unsigned char>(bytes[end])]) ++end;
  if (end > at) {
    status = Append(bytes.substr(at, end - at));
    state_ = State::kPlain;
  }
  if (status && end < bytes.size()) status = EndOfPlain(bytes[end++]);
  return end;
}

Status CsvTokenizer::EndOfPlain(char c) {
  if (c == ',') return EndCell();
  if (c == '\n') return EndRecord();
  if (c == '\r') {
    state_ = State::kReturnSeen;
    return {};
  }
  if (state_ == State::kPlain) {
    return Fault("has a quote inside, but does not begin with one",
                 "Put the whole cell in quotes and double the quotes inside it");
  }
  quoted_ = true;
  state_ = State::kQuoted;
  return {};
}

std::size_t CsvTokenizer::FeedQuoted(std::string_view bytes, std::size_t at, Status& status) {
  std::size_t end = std::min(bytes.find('"', at), bytes.size());
  std::string_view inside = bytes.substr(at, end - at);
  line_ += std::count(inside.begin(), inside.end(), '\n');
  status = Append(inside);
  if (end == bytes.size()) return end;
  state_ = State::kQuoteSeen;
  return end + 1;
}

Status CsvTokenizer::AfterQuote(char c) {
  if (c == '"') {
    state_ = State::kQuoted;
    return Append("\"");
  }
  if (c == ',') return EndCell();
  if (c == '\n') return EndRecord();
  if (c != '\r') return Fault("goes on after its closing quote", "Double the quotes inside a quoted cell");
  state_ = State::kReturnSeen;
  return {};
}

Status CsvTokenizer::Append(std::string_view bytes) {
  if (bytes_.size() - cell_start_ + bytes.size() > static_cast<std::size_t>(kMaxCellBytes)) {
    return DataFault(record_line_, "", "cell " + std::to_string(ends_.size() + 1) + " is larger than 16 MiB",
                     "Look for a missing line end or closing quote", ErrorCode::kTooLarge);
  }
  if (bytes_.size() + bytes.size() > static_cast<std::size_t>(kMaxRowBytes)) {
    return DataFault(record_line_, "", "the row is larger than 64 MiB", "Look for a missing line end",
                     ErrorCode::kTooLarge);
  }
  bytes_ += bytes;
  return {};
}

Status CsvTokenizer::EndCell() {
  if (ends_.size() == max_cells_) {
    return DataFault(record_line_, "", "it has more than " + std::to_string(max_cells_) + " cells",
                     "Look for a missing line end", ErrorCode::kTooLarge);
  }
  ends_.push_back(bytes_.size());
  quotes_.push_back(quoted_);
  cell_start_ = bytes_.size();
  quoted_ = false;
  state_ = State::kCellStart;
  return {};
}

Status CsvTokenizer::EndRecord() {
  const bool blank = ends_.empty() && bytes_.empty() && !quoted_;
  RATCHET_TRY(EndCell());
  if (!blank) {
    cells_.clear();
    std::size_t start = 0;
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      cells_.push_back({std::string_view(bytes_).substr(start, ends_[i] - start), quotes_[i]});
      start = ends_[i];
    }
    RATCHET_TRY(handler_({.line = record_line_, .cells = cells_, .bytes = bytes_}));
  }
  bytes_.clear();
  ends_.clear();
  quotes_.clear();
  cell_start_ = 0;
  record_line_ = ++line_;
  return {};
}

Status CsvTokenizer::Finish() {
  if (state_ == State::kQuoted) return Fault("has no closing quote", "Close it, or double the quotes inside it");
  if (state_ == State::kReturnSeen) return EndRecord();
  if (state_ == State::kCellStart && ends_.empty() && bytes_.empty() && !quoted_) return {};
  return EndRecord();
}

}  // namespace ratchet::lake
