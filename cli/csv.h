#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ratchet::cli {

struct CsvTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // each as long as the header
};

// RFC 4180: comma, quotes doubled inside quotes, CRLF or LF, a byte order mark is skipped. The first line is the
// header. A ragged row or an open quote is refused with its line.
Result<CsvTable> ParseCsv(std::string_view text);

}  // namespace ratchet::cli
