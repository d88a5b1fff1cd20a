#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace ratchet::cli {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// The first of the three variables that is set decides, as in setlocale(3).
bool SpeaksUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value = Environment(name);
    if (value.empty()) continue;
    std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return true;
}

size_t TerminalColumns() {
  winsize size{};
  for (int fd : {STDERR_FILENO, STDOUT_FILENO})
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void Write(std::FILE* stream, std::string_view text) { std::fwrite(text.data(), 1, text.size(), stream); }

}  // namespace

Surroundings LookAround() {
  return {.out_is_terminal = isatty(STDOUT_FILENO) == 1,
          .err_is_terminal = isatty(STDERR_FILENO) == 1,
          .utf8 = SpeaksUtf8(),
          .color_allowed = Environment("NO_COLOR").empty() && Environment("TERM") != "dumb",
          .columns = TerminalColumns()};
}

std::string Painted(Paint paint, std::string_view text) {
  const char* code = "0";
  switch (paint) {
    case Paint::kPlain:
      return std::string(text);
    case Paint::kBold:
      code = "1";
      break;
    case Paint::kDim:
      code = "2";
      break;
    case Paint::kRed:
      code = "31";
      break;
    case Paint::kGreen:
      code = "32";
      break;
    case Paint::kYellow:
      code = "33";
      break;
    case Paint::kCyan:
      code = "36";
      break;
  }
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

bool Console::Out(std::string_view text) {
  Write(stdout, text);
  return std::fflush(stdout) == 0;
}

bool Console::OutLine(std::string_view line) { return Out(std::string(line) + "\n"); }

void Console::NoteLine(std::string_view line) {
  if (!quiet_) ErrorLine(line);
}

void Console::ErrorLine(std::string_view line) { Err(std::string(line) + "\n"); }

void Console::Err(std::string_view text) {
  Write(stderr, text);
  std::fflush(stderr);
}

std::string Console::OnOut(Paint paint, std::string_view text) const {
  return around_.color_allowed && around_.out_is_terminal ? Painted(paint, text) : std::string(text);
}

std::string Console::OnErr(Paint paint, std::string_view text) const {
  return around_.color_allowed && around_.err_is_terminal ? Painted(paint, text) : std::string(text);
}

}  // namespace ratchet::cli
