#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/console.h"

namespace ratchet::cli {

// "[██████░░░░]": `width` columns in all, filled for `fraction` (0 to 1; beyond is clamped).
std::string Bar(double fraction, std::size_t width, bool utf8);

// One line of a transfer: "parcels-1.pack [████░░] 42%  12.0 MiB of 28.6 MiB  40.1 MiB/s  0:01 left".
// An unknown total (< 0) shows what has gone so far; `columns` 0 = no limit and no bar.
struct Transfer {
  std::string label;
  std::int64_t done_bytes = 0;
  std::int64_t total_bytes = -1;
  double elapsed_s = 0;
};
std::string TransferLine(const Transfer& transfer, std::size_t columns, bool utf8);

// Some lines at the bottom of the terminal (standard error) that are drawn over themselves. One thread.
class LiveLines {
 public:
  explicit LiveLines(Console& console) : console_(console) {}
  // Cut to the terminal's width, so that each takes just one row of it.
  void Show(const std::vector<std::string>& lines);
  // Takes the lines away; what is printed next stands in their place.
  void Clear();

 private:
  Console& console_;
  std::size_t shown_ = 0;
};

// Tells of a transfer: a bar on a terminal, otherwise a line every few seconds.
class TransferProgress {
 public:
  TransferProgress(Console& console, std::string label, std::int64_t total_bytes, std::int64_t now_us);
  void Advance(std::int64_t by_bytes, std::int64_t now_us);
  void Finish() { lines_.Clear(); }

 private:
  Console& console_;
  LiveLines lines_;
  Transfer transfer_;
  const std::int64_t started_us_;
  std::int64_t told_us_;
};

// Like CutToWidth, for text with colour sequences: these are kept, and ended where the text is cut.
std::string CutPainted(const std::string& text, std::size_t width);

}  // namespace ratchet::cli
