#pragma once

#include <string>
#include <vector>

#include "cli/console.h"

namespace ratchet::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
  bool whole = false;  // narrowed only when no other column can be, as those to the right, which hold numbers
};

// A column of words to look for, such as states: half of one says nothing.
inline Column WordColumn(std::string title) { return {.title = std::move(title), .whole = true}; }

// What becomes of text that is wider than its column may be.
enum class Overflow { kCut, kWrap };

// A table for people: titles in capitals, columns aligned by display width, two spaces between.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell per column. Control characters are made harmless.
  void Add(std::vector<std::string> cells);
  // Colours the cell just added to column `column` of the last row.
  void PaintLast(size_t column, Paint paint);
  bool Empty() const { return rows_.empty(); }

  // `max_width` 0 = as wide as it needs to be; otherwise the widest columns are narrowed until all fits, words and numbers
  // last.
  std::string Render(size_t max_width, bool color, Overflow overflow = Overflow::kCut) const;
  // For standard output: within the terminal's width, whole in a pipe.
  std::string Render(const Console& console, Overflow overflow = Overflow::kCut) const;

 private:
  struct Cell {
    std::string text;
    Paint paint = Paint::kPlain;
  };
  std::vector<size_t> Widths(size_t max_width) const;
  // A row as the lines that it takes, each with a cell per column.
  static std::vector<std::vector<Cell>> LinesOf(const std::vector<Cell>& row, const std::vector<size_t>& widths,
                                                Overflow overflow);

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "Label   value" lines, values aligned. Pairs with an empty value are left out. On a terminal a sentence that is wider
// goes on below its beginning.
using Pairs = std::vector<std::pair<std::string, std::string>>;
std::string RenderPairs(const Pairs& pairs, size_t max_width);
std::string RenderPairs(const Pairs& pairs, const Console& console);

// The colour of a state or outcome word: green when well, red when failed, yellow when under way.
Paint PaintOfState(const std::string& state);

}  // namespace ratchet::cli
