#include "lake/time_text.h"

#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <chrono>
#include <cmath>

namespace ratchet::lake {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

std::optional<std::int64_t> TimeOfNumber(double value) {
  const double size = std::fabs(value);
  if (!(size < 1e17)) return std::nullopt;
  const double unit_us = size < 1e11 ? 1e6 : size < 1e14 ? 1e3 : 1;
  return std::llround(value * unit_us);
}

// Takes pieces off the front of a text; once one is not there, `ok` stays false.
struct Scanner {
  std::string_view rest;
  bool ok = true;

  bool Take(char c) {
    if (rest.empty() || rest[0] != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  void Need(char c) { ok = Take(c) && ok; }
  int Digits(std::size_t count, int most) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (i >= rest.size() || rest[i] < '0' || rest[i] > '9') return Refused();
      value = value * 10 + (rest[i] - '0');
    }
    rest.remove_prefix(count);
    return value <= most ? value : Refused();
  }
  int Refused() {
    ok = false;
    return 0;
  }
};

// ".123456789": what is finer than a microsecond is dropped.
std::int64_t FractionUs(Scanner& text) {
  std::int64_t value = 0, unit = kSecondUs / 10;
  std::size_t digits = 0;
  for (; digits < text.rest.size() && text.rest[digits] >= '0' && text.rest[digits] <= '9'; ++digits, unit /= 10) {
    value += unit * (text.rest[digits] - '0');
  }
  if (digits == 0) text.ok = false;
  text.rest.remove_prefix(digits);
  return value;
}

// Seconds to take off for the zone at the end.
std::int64_t ZoneSeconds(Scanner& text) {
  if (text.rest.empty() || text.Take('Z') || text.Take('z')) return 0;
  const int sign = text.Take('+') ? 1 : text.Take('-') ? -1 : text.Refused();
  const int hours = text.Digits(2, 23);
  if (text.rest.empty()) return sign * hours * 3600;
  text.Take(':');
  return sign * (hours * 3600 + text.Digits(2, 59) * 60);
}

}  // namespace

std::optional<std::int64_t> TimeOfText(std::string_view given) {
  Scanner text{given};
  const int year = text.Digits(4, 9999);
  text.Need('-');
  const int month = text.Digits(2, 12);
  text.Need('-');
  const int day = text.Digits(2, 31);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!text.ok || !date.ok() || year == 0) return std::nullopt;
  std::int64_t seconds = std::chrono::sys_days(date).time_since_epoch().count() * std::int64_t{86'400}, fraction = 0;
  if (text.rest.empty()) return seconds * kSecondUs;
  if (!text.Take('T') && !text.Take('t')) text.Need(' ');
  seconds += text.Digits(2, 23) * 3600;
  text.Need(':');
  seconds += text.Digits(2, 59) * 60;
  if (text.Take(':')) {
    seconds += text.Digits(2, 60);  // 60: a leap second
    if (text.Take('.') || text.Take(',')) fraction = FractionUs(text);
  }
  seconds -= ZoneSeconds(text);
  if (!text.ok || !text.rest.empty()) return std::nullopt;
  return seconds * kSecondUs + fraction;
}

std::optional<std::int64_t> TimeOfCell(const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return TimeOfNumber(static_cast<double>(*integer));
  if (auto* real = std::get_if<double>(&value)) return TimeOfNumber(*real);
  if (auto* text = std::get_if<std::string>(&value)) return TimeOfText(*text);
  return std::nullopt;
}

std::string TimeText(std::int64_t us) {
  std::int64_t seconds = us / kSecondUs - (us % kSecondUs < 0 ? 1 : 0);
  const std::int64_t of_day = ((seconds % 86'400) + 86'400) % 86'400;
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days((seconds - of_day) / std::int64_t{86'400}))};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), of_day / 3600,
                     of_day / 60 % 60, of_day % 60);
}

std::optional<std::int64_t> SecondsOfText(std::string_view text) {
  const char* end = text.data() + text.size();
  double number = 0;
  const auto [after, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit(after, static_cast<std::size_t>(end - after));
  if (unit.size() > 1 && unit[0] == ' ') unit.remove_prefix(1);
  if (unit == "m")
    number *= 60;
  else if (unit == "h")
    number *= 3600;
  else if (unit == "d")
    number *= 86'400;
  else if (!unit.empty() && unit != "s")
    return std::nullopt;
  if (!(number >= 1 && number <= static_cast<double>(kLongestDurationS))) return std::nullopt;
  return std::llround(number);
}

std::string DurationText(std::int64_t seconds) {
  if (seconds % 86'400 == 0) return fmt::format("{}d", seconds / 86'400);
  if (seconds % 3600 == 0) return fmt::format("{}h", seconds / 3600);
  if (seconds % 60 == 0) return fmt::format("{}m", seconds / 60);
  return fmt::format("{}s", seconds);
}

}  // namespace ratchet::lake
