#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ratchet::cli {

// Pure functions from values to what a person reads. Times are microseconds since 1970 UTC.

inline constexpr const char* kAbsent = "–";

std::string ShownAge(std::int64_t then_us, std::int64_t now_us);  // "3 min ago"; a date after 30 days
std::string ShownDuration(double milliseconds);                   // "12 ms", "1.2 s", "3 min 5 s", "2 h 10 min"
std::string ShownTimeLeft(double seconds);                        // "0:42 left", "1:02:03 left"
std::string ShownSize(double bytes);                              // "512 B", "1.2 MiB"
std::string ShownCount(std::int64_t count);                       // "10,000"
std::string ShownNumber(double number);                           // up to 6 significant digits
std::string ShownP(double p);                                     // "p = 0.00123", "p < 1e-300"
std::string ShownScore(std::optional<double> score);              // four decimals, "–" when absent
std::string ShownTime(std::int64_t at_us);                        // local "2026-01-31 12:00:00"
std::string ShownInt(std::optional<std::int64_t> number);         // plain digits, "–" when absent

// "1 row", "2 rows", "10,000 rows".
std::string Counted(std::int64_t count, std::string_view singular);

// Columns a terminal needs for the text: combining marks and escape sequences take none, wide characters two.
std::size_t DisplayWidth(std::string_view text);
// Cut to at most `width` columns, ending in "…" where something was cut. Text without escape sequences only.
std::string CutToWidth(std::string_view text, std::size_t width);
// Lines of at most `width` columns (from 1), broken at spaces, and within a word that is wider. One empty line for none.
std::vector<std::string> WrapToWidth(std::string_view text, std::size_t width);
// Safe to print on a terminal: control characters become '?', except tab and newline which become spaces.
std::string OneLine(std::string_view text);

}  // namespace ratchet::cli
