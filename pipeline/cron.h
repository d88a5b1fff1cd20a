#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Cron schedules with a time zone: text → typed value, and the times at which it fires.
namespace ratchet::pipeline {

inline constexpr size_t kMaxScheduleBytes = 256;
inline constexpr std::int64_t kMostMissedCounted = 1000;
// What NextAfter answers where no time is to come: only for instants after the year 9999.
inline constexpr std::int64_t kNeverFires = INT64_MAX;

// The fire times in an interval that has passed.
struct MissedFires {
  std::int64_t count = 0;     // ≥ 1; kMostMissedCounted where there are that many or more
  bool more = false;          // there are more than `count`
  std::int64_t first_us = 0;  // the earliest of them
};

// A plain value; any thread. Times are microseconds since 1970 UTC. A fire time is the first instant of a minute of the
// zone's local time.
//
// Fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or jan-dec), day of week (0-7 or sun-sat; 0 and
// 7 are Sunday); each is a list of *, values and ranges, and * and ranges may have a step: "*/15", "9-17/2",
// "mon-fri,sun". Or one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly. Case does not matter.
// There are no seconds. Days, as Vixie cron has it: where neither day field begins with *, a day that fits either one
// will do; else it must fit both.
//
// When the zone's clock changes, as Vixie cron has it:
// - A schedule whose minute or hour field begins with * is an interval and follows the clock on the wall: it fires at
//   every minute that the clock shows and the fields match. So "*/15 * * * *" fires each quarter of an hour through
//   both changes; an hour that is left out is left out, one that comes twice counts twice.
// - Every other schedule names times of day, and each of them fires once: a time that comes twice fires the first
//   time; one that is left out fires at the instant when the clock jumps over it, and several left out by one jump fire
//   once together.
class Schedule {
 public:
  // `zone`: a name of the IANA database ("Europe/Berlin", "UTC"), read once in the life of the process from
  // /usr/share/zoneinfo (package tzdata), so a new edition of it takes a restart; UTC needs no file. kInvalid, with
  // field "cron" or "zone": the subject is the text at fault, the cause names the cron field, the hint says what is
  // allowed or which zones have a name like it. A schedule that fits no day of the calendar, as 30 February, is
  // refused.
  static Result<Schedule> Parse(std::string_view text, std::string_view zone = "UTC");

  // The first fire time after the instant (never the instant itself).
  std::int64_t NextAfter(std::int64_t wall_us) const;

  // The fire times in (last, now], for one catch-up run; nothing where there are none, or where the clock went back. In
  // a daemon that was up all the time the count is 1.
  std::optional<MissedFires> Missed(std::int64_t last_us, std::int64_t now_us) const;

  const std::string& text() const { return text_; }  // as given
  const std::string& zone() const { return zone_; }

  // Which values a cron field allows: bit n stands for n.
  struct Fields {
    std::uint64_t minutes = 0, hours = 0, days = 0, months = 0, weekdays = 0;
    bool any_day = false, any_weekday = false;  // the field begins with *
    bool interval = false;                      // the minute or hour field begins with *
  };

 private:
  Schedule(std::string text, std::string zone, Fields fields)
      : text_(std::move(text)), zone_(std::move(zone)), fields_(fields) {}

  std::string text_, zone_;
  Fields fields_;
};

}  // namespace ratchet::pipeline
