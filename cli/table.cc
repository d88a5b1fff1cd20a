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
  while (max_width > 0 && total() > max_width) {
    auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kNarrowest) break;
    --*widest;
  }
  return widths;
}

std::string Table::Render(size_t max_width, bool color) const {
  std::vector<size_t> widths = Widths(max_width);
  std::string text;
  auto add_line = [&](auto cell_of) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      bool last = i + 1 == columns_.size();
      Cell cell = cell_of(i);
      std::string shown = CutToWidth(cell.text, widths[i]);
      std::string padded = Padded(shown, widths[i], columns_[i].align, last);
      if (color && !shown.empty()) padded.replace(padded.find(shown), shown.size(), Painted(cell.paint, shown));
      text += padded + (last ? "" : std::string(kGap, ' '));
    }
    text += '\n';
  };
  add_line([&](size_t i) { return Cell{columns_[i].title, Paint::kDim}; });
  for (const auto& row : rows_) add_line([&](size_t i) { return row[i]; });
  return text;
}

std::string Table::Render(const Console& console) const {
  const Surroundings& around = console.Around();
  return Render(around.out_is_terminal ? around.columns : 0, around.out_is_terminal && around.color_allowed);
}

std::string RenderPairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  size_t width = 0;
  for (const auto& [label, value] : pairs)
    if (!value.empty()) width = std::max(width, DisplayWidth(label));
  std::string text;
  for (const auto& [label, value] : pairs)
    if (!value.empty()) text += Padded(label, width + kGap, Align::kLeft, false) + value + "\n";
  return text;
}

Paint PaintOfState(const std::string& state) {
  for (const char* well : {"succeeded", "promoted", "live", "passed", "done", "ready", "better", "ok", "active"})
    if (state == well) return Paint::kGreen;
  for (const char* bad : {"failed", "rejected", "aborted", "lost", "down", "not_better", "fail"})
    if (state == bad) return Paint::kRed;
  for (const char* moving :
       {"queued", "running", "loading", "pending", "starting", "candidate", "inconclusive", "warn"})
    if (state == moving) return Paint::kYellow;
  return Paint::kPlain;
}

}  // namespace ratchet::cli
