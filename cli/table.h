#pragma once

#include <string>
#include <vector>

#include "cli/console.h"

namespace ratchet::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

// A table for people: titles in capitals, columns aligned by display width, two spaces between.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell per column. Control characters are made harmless.
  void Add(std::vector<std::string> cells);
  // Colours the cell just added to column `column` of the last row.
  void PaintLast(size_t column, Paint paint);
  bool Empty() const { return rows_.empty(); }

  // `max_width` 0 = as wide as it needs to be; otherwise the widest columns are cut until all fits.
  std::string Render(size_t max_width, bool color) const;
  // For standard output: cut to the terminal's width, whole in a pipe.
  std::string Render(const Console& console) const;

 private:
  struct Cell {
    std::string text;
    Paint paint = Paint::kPlain;
  };
  std::vector<size_t> Widths(size_t max_width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "Label   value" lines, values aligned. Pairs with an empty value are left out.
std::string RenderPairs(const std::vector<std::pair<std::string, std::string>>& pairs);

// The colour of a state or outcome word: green when well, red when failed, yellow when under way.
Paint PaintOfState(const std::string& state);

}  // namespace ratchet::cli
