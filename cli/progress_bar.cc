#include "cli/progress_bar.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "cli/human.h"

namespace ratchet::cli {
namespace {

constexpr std::int64_t kRedrawUs = 50'000;
constexpr std::int64_t kPlainLineUs = 5'000'000;
constexpr size_t kWidestBar = 30;
constexpr size_t kNarrowestBar = 8;

}  // namespace

std::string Bar(double fraction, size_t width, bool utf8) {
  size_t cells = width > 2 ? width - 2 : 0;
  fraction = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  auto filled = static_cast<size_t>(fraction * static_cast<double>(cells) + 1e-9);
  std::string bar = "[";
  for (size_t i = 0; i < cells; ++i) bar += i < filled ? (utf8 ? "█" : "#") : (utf8 ? "░" : "-");
  return bar + "]";
}

std::string TransferLine(const Transfer& transfer, size_t columns, bool utf8) {
  double rate = transfer.elapsed_s > 0 ? static_cast<double>(transfer.done_bytes) / transfer.elapsed_s : 0;
  std::string moved = ShownSize(static_cast<double>(transfer.done_bytes));
  std::string speed = rate > 0 ? "  " + ShownSize(rate) + "/s" : "";
  auto fitted = [&](const std::string& line) { return columns == 0 ? line : CutToWidth(line, columns); };
  if (transfer.total_bytes < 0) return fitted(fmt::format("{}  {}{}", transfer.label, moved, speed));
  double fraction = transfer.total_bytes == 0
                        ? 1.0
                        : static_cast<double>(transfer.done_bytes) / static_cast<double>(transfer.total_bytes);
  bool all_sent = transfer.done_bytes >= transfer.total_bytes;
  std::string left = all_sent ? "  storing"
                     : rate > 0
                         ? "  " + ShownTimeLeft(static_cast<double>(transfer.total_bytes - transfer.done_bytes) / rate)
                         : "";
  std::string tail = fmt::format(" {:3.0f}%  {} of {}{}{}", std::floor(std::min(1.0, fraction) * 100), moved,
                                 ShownSize(static_cast<double>(transfer.total_bytes)), speed, left);
  size_t taken = DisplayWidth(transfer.label) + 1 + DisplayWidth(tail);
  size_t width = columns > taken ? std::min(columns - taken, kWidestBar) : 0;
  std::string bar = width >= kNarrowestBar ? " " + Bar(fraction, width, utf8) : "";
  return fitted(transfer.label + bar + tail);
}

std::string CutPainted(const std::string& text, size_t width) {
  if (DisplayWidth(text) <= width) return text;
  std::string out;
  size_t used = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\x1b') {
      size_t end = std::min(text.find('m', at), text.size() - 1);
      out += text.substr(at, end - at + 1);
      at = end + 1;
      continue;
    }
    size_t end = std::min(text.find('\x1b', at), text.size());
    std::string plain = text.substr(at, end - at);
    std::string kept = CutToWidth(plain, width - used);
    out += kept;
    used += DisplayWidth(kept);
    if (kept != plain || used >= width) return out + "\x1b[0m";
    at = end;
  }
  return out;
}

void LiveLines::Show(const std::vector<std::string>& lines) {
  if (!console_.Live()) return;
  std::string text = shown_ > 0 ? fmt::format("\x1b[{}F", shown_) : "";
  for (const std::string& line : lines) text += "\x1b[2K" + CutPainted(line, console_.Around().columns - 1) + "\n";
  if (lines.size() < shown_) text += "\x1b[J";
  shown_ = lines.size();
  console_.Err(text);
}

void LiveLines::Clear() {
  if (shown_ > 0) console_.Err(fmt::format("\x1b[{}F\x1b[J", shown_));
  shown_ = 0;
}

TransferProgress::TransferProgress(Console& console, std::string label, std::int64_t total_bytes, std::int64_t now_us)
    : console_(console),
      lines_(console),
      transfer_{.label = std::move(label), .total_bytes = total_bytes},
      started_us_(now_us),
      told_us_(now_us) {}

void TransferProgress::Advance(std::int64_t by_bytes, std::int64_t now_us) {
  transfer_.done_bytes += by_bytes;
  transfer_.elapsed_s = static_cast<double>(now_us - started_us_) / 1e6;
  bool whole = transfer_.done_bytes == transfer_.total_bytes;
  if (now_us - told_us_ < (console_.Live() ? kRedrawUs : kPlainLineUs) && !(whole && console_.Live())) return;
  told_us_ = now_us;
  const Surroundings& around = console_.Around();
  if (console_.Live())
    lines_.Show({TransferLine(transfer_, around.columns - 1, around.utf8)});
  else
    console_.NoteLine(TransferLine(transfer_, 0, around.utf8));
}

}  // namespace ratchet::cli
