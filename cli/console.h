#pragma once

#include <string>
#include <string_view>

namespace ratchet::cli {

enum class Paint { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };

// What the two output streams of this process are. Asked once, at the start.
struct Surroundings {
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool utf8 = true;
  bool color_allowed = true;  // false with NO_COLOR, TERM=dumb or --no-color
  std::size_t columns = 80;
};
Surroundings LookAround();

// The process's standard output and standard error. One thread.
class Console {
 public:
  explicit Console(Surroundings surroundings) : around_(surroundings) {}

  // What the user asked for. False when nobody reads any more (a closed pipe).
  bool Out(std::string_view text);
  // A line of the result and its newline.
  bool OutLine(std::string_view line);
  // What is said besides: progress, confirmations, warnings. Silent when quiet.
  void NoteLine(std::string_view line);
  // Errors; never silent.
  void ErrorLine(std::string_view line);
  void Err(std::string_view text);

  // The text in a colour, where that stream shows colours.
  std::string OnOut(Paint paint, std::string_view text) const;
  std::string OnErr(Paint paint, std::string_view text) const;

  void SetQuiet(bool quiet) { quiet_ = quiet; }
  void ForbidColor() { around_.color_allowed = false; }
  bool Quiet() const { return quiet_; }
  const Surroundings& Around() const { return around_; }
  // Bars that redraw themselves are shown on standard error, and only on a terminal that understands it.
  bool Live() const { return around_.err_is_terminal && !quiet_ && !dumb_; }
  void SetDumb(bool dumb) { dumb_ = dumb; }

 private:
  Surroundings around_;
  bool quiet_ = false;
  bool dumb_ = false;
};

std::string Painted(Paint paint, std::string_view text);

}  // namespace ratchet::cli
