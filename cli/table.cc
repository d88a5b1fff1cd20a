#include "cli/table.h"

#include <algorithm>
#include <numeric>

#include "base/result.h"
#include "cli/human.h"

namespace ratchet::cli {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kNarrowest = 6;

std::string Padded(const std::string& text, size_t width, Align align, bool last) {
  size_t have = DisplayWidth(text);
  std::string padding(width > have ? width - have : 0, ' ');
  if (align == Align::kRight) return padding + text;
  return last ? text : text + padding;
}

}  // namespace

void Table::Add(std::vector<std::string> cells) {
  RATCHET_CHECK(cells.size() == columns_.size());
  std::vector<Cell> row;
  for (const std::string& cell : cells) row.push_back({OneLine(cell)});
  rows_.push_back(std::move(row));
}

void Table::PaintLast(size_t column, Paint paint) {
  RATCHET_CHECK(!rows_.empty() && column < columns_.size());
  rows_.back()[column].paint = paint;
}

std::vector<size_t> Table::Widths(size_t max_width) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = DisplayWidth(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[i].text));
    widths.push_back(width);
  }
  auto total = [&] { return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1)); };
  auto widest_of = [&](bool whole) {
    size_t* widest = nullptr;
    for (size_t i = 0; i < widths.size(); ++i) {
      const bool kept = columns_[i].whole || columns_[i].align == Align::kRight;
      if (kept == whole && widths[i] > kNarrowest && (!widest || widths[i] > *widest)) widest = &widths[i];
    }
    return widest;
  };
  auto narrow = [&](bool whole) {
    while (max_width > 0 && total() > max_width) {
      size_t* widest = widest_of(whole);
      if (!widest) break;
      --*widest;
    }
  };
  narrow(false);
  narrow(true);
  return widths;
}

std::string Table::Render(size_t max_width, bool color, Overflow overflow) const {
  const std::vector<size_t> widths = Widths(max_width);
  std::string text;
  auto add_line = [&](const std::vector<Cell>& cells) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const bool last = i + 1 == columns_.size();
      const std::string& shown = cells[i].text;
      std::string padded = Padded(shown, widths[i], columns_[i].align, last);
      if (color && !shown.empty()) padded.replace(padded.find(shown), shown.size(), Painted(cells[i].paint, shown));
      line += padded + (last ? "" : std::string(kGap, ' '));
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.push_back({column.title, Paint::kDim});
  for (const auto& line : LinesOf(titles, widths, Overflow::kCut)) add_line(line);
  for (const auto& row : rows_)
    for (const auto& line : LinesOf(row, widths, overflow)) add_line(line);
  return text;
}

std::vector<std::vector<Table::Cell>> Table::LinesOf(const std::vector<Cell>& row, const std::vector<size_t>& widths,
                                                     Overflow overflow) {
  std::vector<std::vector<Cell>> lines(1, std::vector<Cell>(row.size()));
  for (size_t i = 0; i < row.size(); ++i) {
    const bool wrap = overflow == Overflow::kWrap && DisplayWidth(row[i].text) > widths[i];
    const auto parts = wrap ? WrapToWidth(row[i].text, widths[i]) : std::vector{CutToWidth(row[i].text, widths[i])};
    if (parts.size() > lines.size()) lines.resize(parts.size(), std::vector<Cell>(row.size()));
    for (size_t line = 0; line < parts.size(); ++line) lines[line][i] = {parts[line], row[i].paint};
  }
  return lines;
}

std::string Table::Render(const Console& console, Overflow overflow) const {
  const Surroundings& around = console.Around();
  return Render(around.out_is_terminal ? around.columns : 0, around.out_is_terminal && around.color_allowed, overflow);
}

std::string RenderPairs(const Pairs& pairs, const Console& console) {
  const Surroundings& around = console.Around();
  return RenderPairs(pairs, around.out_is_terminal ? around.columns : 0);
}

std::string RenderPairs(const Pairs& pairs, size_t max_width) {
  size_t width = 0;
  for (const auto& [label, value] : pairs)
    if (!value.empty()) width = std::max(width, DisplayWidth(label));
  std::string text;
  const size_t indent = width + kGap;
  for (const auto& [label, value] : pairs) {
    if (value.empty()) continue;
    // A path or a digest stays whole, so that it can be taken from the screen.
    const bool wrap = max_width > 2 * indent && value.find(' ') != std::string::npos;
    std::string head = Padded(label, indent, Align::kLeft, false);
    for (const std::string& line : wrap ? WrapToWidth(value, max_width - indent) : std::vector{value}) {
      text += head + line + "\n";
      head = std::string(indent, ' ');
    }
  }
  return text;
}

Paint PaintOfState(const std::string& state) {
  for (const char* well : {"succeeded", "promoted", "live", "passed", "done", "ready", "better", "not_worse", "ok", "active"})
    if (state == well) return Paint::kGreen;
  for (const char* bad : {"failed", "rejected", "aborted", "lost", "down", "not_better", "worse", "fail"})
    if (state == bad) return Paint::kRed;
  for (const char* moving :
       {"queued", "running", "loading", "pending", "starting", "candidate", "inconclusive", "live_unscorable", "warn"})
    if (state == moving) return Paint::kYellow;
  return Paint::kPlain;
}

}  // namespace ratchet::cli
