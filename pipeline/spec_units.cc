#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <cmath>
#include <span>

#include "base/names.h"
#include "pipeline/spec.h"

namespace ratchet::pipeline {
namespace {

struct Unit {
  std::string_view name;
  double size;
};

constexpr Unit kByteUnits[] = {{"", 1},      {"B", 1},         {"KB", 1e3},      {"MB", 1e6},      {"GB", 1e9},
                               {"TB", 1e12}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1LL << 40}};
constexpr Unit kShortTimeUnits[] = {{"us", 1}, {"µs", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}};
constexpr Unit kTimeUnits[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86'400}};

Result<std::int64_t> ParseWithUnit(std::string_view text, std::span<const Unit> units, std::string_view what,
                                   std::string_view hint) {
  auto refuse = [&](std::string cause) {
    return Fail(ErrorCode::kInvalid, fmt::format("read the {}", what), Quoted(text), std::move(cause),
                std::string(hint));
  };
  size_t digits = text.find_first_not_of("0123456789.");
  std::string_view number = text.substr(0, digits);
  std::string_view name = digits == std::string_view::npos ? "" : text.substr(digits);
  if (name.starts_with(' ')) name.remove_prefix(1);
  double value = 0;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (number.empty() || error != std::errc() || end != number.data() + number.size())
    return refuse("it does not begin with a number");
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    double total = value * unit.size;
    if (!(total < 9e18)) return refuse("it is too large");
    if (unit.size == 1 && total != std::floor(total))
      return refuse(fmt::format("it is not a whole number of {}", what));
    return static_cast<std::int64_t>(total);
  }
  return refuse(fmt::format("the unit {} is not known", Quoted(name)));
}

}  // namespace

Result<std::int64_t> ParseBytes(std::string_view text) {
  return ParseWithUnit(text, kByteUnits, "bytes", "Write a size as 500MB, 2GiB or a number of bytes");
}

Result<std::int64_t> ParseSeconds(std::string_view text) {
  return ParseWithUnit(text, kTimeUnits, "seconds", "Write a time as 90s, 30m, 2h, 1d or a number of seconds");
}

Result<std::int64_t> ParseMicroseconds(std::string_view text) {
  return ParseWithUnit(text, kShortTimeUnits, "microseconds", "Write a time with its unit, as 20ms, 800us or 1.5s");
}

}  // namespace ratchet::pipeline
