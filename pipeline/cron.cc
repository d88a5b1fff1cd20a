// Abseil's time zones (cctz): in Debian 12 and 13 alike, there already as a library beneath LibTorch, reading
// /usr/share/zoneinfo at run time, and open about times that are skipped or repeated. The alternative, Howard Hinnant's
// date, throws, and the C++20 time zones that grew out of it are not in g++ 12.
#include "pipeline/cron.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include "pipeline/cron_fields.h"
#include "pipeline/time_zones.h"

namespace ratchet::pipeline {
namespace {

// After so many years the calendar repeats itself, days of the week and leap years included.
constexpr int kCalendarYears = 400;
constexpr int kLastYear = 9999;
constexpr int kHours = 24, kMinutes = 60;

bool Has(std::uint64_t values, std::int64_t value) { return values >> value & 1; }

bool FitsDay(const Schedule::Fields& fields, absl::CivilDay day) {
  int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;  // theirs begins with Monday
  bool day_fits = Has(fields.days, day.day()), weekday_fits = Has(fields.weekdays, weekday);
  return fields.any_day || fields.any_weekday ? day_fits && weekday_fits : day_fits || weekday_fits;
}

// The first day from `day` on that fits; nothing where none before `end` does.
std::optional<absl::CivilDay> NextDay(const Schedule::Fields& fields, absl::CivilDay day, absl::CivilDay end) {
  while (day < end) {
    if (!Has(fields.months, day.month()))
      day = absl::CivilDay(absl::CivilMonth(day) + 1);
    else if (FitsDay(fields, day))
      return day;
    else
      ++day;
  }
  return std::nullopt;
}

// The first minute of the day from `hour`:`minute` on that fits.
std::optional<absl::CivilMinute> NextInDay(const Schedule::Fields& fields, absl::CivilDay day, int hour, int minute) {
  for (; hour < kHours; ++hour, minute = 0) {
    if (!Has(fields.hours, hour)) continue;
    for (; minute < kMinutes; ++minute)
      if (Has(fields.minutes, minute)) return absl::CivilMinute(day.year(), day.month(), day.day(), hour, minute);
  }
  return std::nullopt;
}

// The first minute of the calendar from `from` on that fits, whatever the zone's clock does.
std::optional<absl::CivilMinute> NextMinute(const Schedule::Fields& fields, absl::CivilMinute from) {
  absl::CivilDay today(from), end(from.year() + kCalendarYears + 1, 1, 1);
  auto day = NextDay(fields, today, end);
  if (day && *day == today) {
    if (auto found = NextInDay(fields, today, from.hour(), from.minute())) return found;
    day = NextDay(fields, today + 1, end);
  }
  return day ? NextInDay(fields, *day, 0, 0) : std::nullopt;
}

// The first whole minute from the second on.
absl::CivilMinute RoundedUp(absl::CivilSecond second) {
  absl::CivilMinute minute(second);
  return absl::CivilSecond(minute) < second ? minute + 1 : minute;
}

// The instant at which the zone's clock first shows `minute` or, jumping, a later time.
absl::Time FirstReached(const absl::TimeZone& zone, absl::CivilMinute minute) {
  absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(minute));
  return info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
}

// For schedules of named times. FirstReached never falls as the minute rises, and every minute up to the one that the
// clock shows has been reached, so the search goes on from the next.
std::optional<absl::Time> NextNamedTime(const Schedule::Fields& fields, const absl::TimeZone& zone, absl::Time after) {
  absl::CivilMinute minute(zone.At(after).cs);
  while (auto found = NextMinute(fields, minute + 1)) {
    if (absl::Time at = FirstReached(zone, *found); at > after) return at;
    minute = *found;  // in an hour that comes twice, this is the second time
  }
  return std::nullopt;
}

// For intervals: from one change of the clock to the next the local time runs evenly.
std::optional<absl::Time> NextOfInterval(const Schedule::Fields& fields, const absl::TimeZone& zone, absl::Time after) {
  absl::CivilSecond shown = zone.At(after).cs;
  absl::Time start = absl::FromUnixSeconds(absl::ToUnixSeconds(after));  // rounds down, as `shown` is
  absl::CivilMinute from = absl::CivilMinute(shown) + 1;
  const std::int64_t last_year = shown.year() + kCalendarYears;
  while (auto found = NextMinute(fields, from)) {
    absl::Time at = start + absl::Seconds(absl::CivilSecond(*found) - shown);
    absl::TimeZone::CivilTransition change;
    if (!zone.NextTransition(start, &change)) return at;
    absl::Time changed = zone.At(change.to).trans;
    if (at < changed) return at;
    start = changed;
    shown = change.to;
    from = RoundedUp(shown);
    if (shown.year() > last_year) break;
  }
  return std::nullopt;
}

}  // namespace

Result<Schedule> Schedule::Parse(std::string_view text, std::string_view zone) {
  RATCHET_ASSIGN(Fields fields, ParseCronFields(text));
  RATCHET_TRY(CheckTimeZone(zone));
  auto refuse = [](std::string_view subject, std::string cause, std::string hint, std::string field) {
    Error error{.code = ErrorCode::kInvalid, .operation = "read the schedule", .subject = std::string(subject)};
    error.cause = std::move(cause);
    error.hint = std::move(hint);
    error.field = std::move(field);
    return std::unexpected(std::move(error));
  };
  if (!NextMinute(fields, absl::CivilMinute(2000, 1, 1)))
    return refuse(text, "the day of month and month fields fit no day of the calendar",
                  "April, June, September and November have 30 days, February has 28 or 29", "cron");
  absl::TimeZone loaded;
  if (!absl::LoadTimeZone(std::string(zone), &loaded))
    return refuse(zone, "its file in the time zone database cannot be read", "Install tzdata anew", "zone");
  return Schedule(std::string(text), std::string(zone), fields);
}

std::int64_t Schedule::NextAfter(std::int64_t wall_us) const {
  absl::TimeZone zone;
  absl::LoadTimeZone(zone_, &zone);  // kept by the library since Parse
  absl::Time after = absl::FromUnixMicros(wall_us);
  if (zone.At(after).cs.year() > kLastYear) return kNeverFires;
  auto next = fields_.interval ? NextOfInterval(fields_, zone, after) : NextNamedTime(fields_, zone, after);
  return next ? absl::ToUnixMicros(*next) : kNeverFires;
}

std::optional<MissedFires> Schedule::Missed(std::int64_t last_us, std::int64_t now_us) const {
  if (now_us <= last_us) return std::nullopt;
  std::int64_t at = NextAfter(last_us);
  if (at > now_us) return std::nullopt;
  MissedFires missed{.first_us = at};
  for (; at <= now_us && at != kNeverFires; at = NextAfter(at)) {
    if (missed.count == kMostMissedCounted) {
      missed.more = true;
      break;
    }
    ++missed.count;
  }
  return missed;
}

}  // namespace ratchet::pipeline
