#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lake/pack.h"

namespace ratchet::lake {

// Microseconds since 1970 UTC of what stands in a cell; nothing where it is no time.
// - Numbers count from 1970 UTC, and their size tells the unit: seconds below 10^11 (the year 5138), else milliseconds
//   below 10^14, else microseconds below 10^17. So milliseconds before 1973 and microseconds before 1973 are misread.
// - Text is ISO 8601: "2024-02-29", "2024-02-29T13:05", "2024-02-29 13:05:09.123456Z", "…+02:00", "…-0530". Without a
// zone it
//   is UTC; years are 0001 to 9999.
std::optional<std::int64_t> TimeOfCell(const Value& value);
std::optional<std::int64_t> TimeOfText(std::string_view text);

// "2026-01-31T13:05:09Z".
std::string TimeText(std::int64_t us);

// Seconds of "90s", "30m", "12h", "2d", "1.5 h" or a plain number of seconds; nothing for all else. At least 1 second,
// at most kLongestDurationS.
inline constexpr std::int64_t kLongestDurationS = 100LL * 366 * 86'400;
std::optional<std::int64_t> SecondsOfText(std::string_view text);

// "2d", "36h", "90s": the largest unit that needs no fraction.
std::string DurationText(std::int64_t seconds);

}  // namespace ratchet::lake
