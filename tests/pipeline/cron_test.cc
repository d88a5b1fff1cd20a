#include "pipeline/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <cstdlib>
#include <ctime>
#include <ostream>
#include <random>
#include <set>

namespace ratchet::pipeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kMinuteUs = 60'000'000, kHourUs = 60 * kMinuteUs, kDayUs = 24 * kHourUs;

// The system's C library is the oracle: it reads the same zone files with other code. One thread.
class LocalZone {
 public:
  explicit LocalZone(const std::string& zone) {
    setenv("TZ", (":" + zone).c_str(), 1);
    tzset();
  }
  ~LocalZone() {
    unsetenv("TZ");
    tzset();
  }
  LocalZone(const LocalZone&) = delete;
  LocalZone& operator=(const LocalZone&) = delete;

  std::tm At(std::int64_t us) const {
    std::time_t seconds = us / 1'000'000;
    std::tm local{};
    localtime_r(&seconds, &local);
    return local;
  }
};

// "2026-03-29 02:30" in UTC.
std::int64_t Utc(const std::string& text) {
  std::tm time{};
  EXPECT_NE(strptime(text.c_str(), "%Y-%m-%d %H:%M", &time), nullptr) << text;
  return timegm(&time) * 1'000'000;
}

std::string UtcText(std::int64_t us) {
  std::time_t seconds = us / 1'000'000;
  std::tm time{};
  gmtime_r(&seconds, &time);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &time);
  return text;
}

Schedule Parsed(const std::string& text, const std::string& zone = "UTC") {
  auto schedule = Schedule::Parse(text, zone);
  EXPECT_TRUE(schedule) << schedule.error().Message();
  return schedule.value();
}

// The next fire times after `from`, all in UTC.
std::vector<std::string> Next(const std::string& text, const std::string& zone, const std::string& from, int count) {
  Schedule schedule = Parsed(text, zone);
  std::vector<std::string> times;
  for (std::int64_t at = Utc(from); count > 0; --count) times.push_back(UtcText(at = schedule.NextAfter(at)));
  return times;
}

Error Refused(const std::string& text, const std::string& zone = "UTC") {
  auto schedule = Schedule::Parse(text, zone);
  EXPECT_FALSE(schedule) << text;
  return schedule ? Error{} : schedule.error();
}

TEST(Cron, FiresDaily) {
  EXPECT_THAT(Next("0 3 * * *", "UTC", "2026-01-01 03:00", 2), ElementsAre("2026-01-02 03:00", "2026-01-03 03:00"));
  EXPECT_THAT(Next("@daily", "UTC", "2026-12-30 12:00", 2), ElementsAre("2026-12-31 00:00", "2027-01-01 00:00"));
}

TEST(Cron, NeverAnswersTheInstantItselfAndRoundsSecondsUp) {
  Schedule schedule = Parsed("* * * * *");
  std::int64_t noon = Utc("2026-05-05 12:00");
  EXPECT_EQ(schedule.NextAfter(noon), noon + kMinuteUs);
  EXPECT_EQ(schedule.NextAfter(noon - 1), noon);
  EXPECT_EQ(schedule.NextAfter(noon + 1), noon + kMinuteUs);
  EXPECT_EQ(Parsed("0 12 * * *").NextAfter(noon - 1), noon);
}

TEST(Cron, KnowsListsRangesStepsAndNames) {
  EXPECT_THAT(Next("5,10-20/5 9 * JAN Mon-Fri", "UTC", "2026-01-02 09:06", 4),
              ElementsAre("2026-01-02 09:10", "2026-01-02 09:15", "2026-01-02 09:20", "2026-01-05 09:05"));
  EXPECT_THAT(Next("0 0 * * sat-sun", "UTC", "2026-01-01 00:00", 3),
              ElementsAre("2026-01-03 00:00", "2026-01-04 00:00", "2026-01-10 00:00"));
  EXPECT_THAT(Next("  0\t0 * * 7 ", "UTC", "2026-01-01 00:00", 1), ElementsAre("2026-01-04 00:00"));
}

TEST(Cron, TakesEitherDayWhereBothAreGivenAndBothWhereOneBeginsWithAStar) {
  EXPECT_THAT(Next("0 0 13 * fri", "UTC", "2026-02-01 00:00", 4),
              ElementsAre("2026-02-06 00:00", "2026-02-13 00:00", "2026-02-20 00:00", "2026-02-27 00:00"));
  EXPECT_THAT(Next("0 0 1 * mon", "UTC", "2026-05-26 00:00", 2), ElementsAre("2026-06-01 00:00", "2026-06-08 00:00"));
  EXPECT_THAT(Next("0 0 */10 * mon", "UTC", "2026-01-01 00:00", 2),
              ElementsAre("2026-05-11 00:00", "2026-06-01 00:00"));
}

TEST(Cron, KnowsLeapDaysAndYearEnds) {
  EXPECT_THAT(Next("0 0 29 2 *", "UTC", "2026-01-01 00:00", 2), ElementsAre("2028-02-29 00:00", "2032-02-29 00:00"));
  EXPECT_THAT(Next("0 0 29 2 *", "UTC", "2096-03-01 00:00", 1), ElementsAre("2104-02-29 00:00"));
  // On a Sunday only: 28 years apart, and 40 where 2100 is no leap year.
  EXPECT_THAT(Next("0 0 29 2 */7", "UTC", "2060-03-01 00:00", 2), ElementsAre("2088-02-29 00:00", "2128-02-29 00:00"));
  EXPECT_THAT(Next("59 23 31 12 *", "Europe/Berlin", "2026-12-31 22:58", 2),
              ElementsAre("2026-12-31 22:59", "2027-12-31 22:59"));
  EXPECT_THAT(Next("@yearly", "America/New_York", "2026-06-01 00:00", 1), ElementsAre("2027-01-01 05:00"));
}

TEST(Cron, RefusesDaysThatNeverCome) {
  Error error = Refused("0 0 30 2 *");
  EXPECT_EQ(error.field, "cron");
  EXPECT_THAT(error.Message(), HasSubstr("fit no day"));
  Refused("0 0 31 4,6,9,11 *");
  EXPECT_THAT(Next("0 0 30 2 mon", "UTC", "2026-01-30 00:00", 1), ElementsAre("2026-02-02 00:00"));
}

TEST(Cron, FiresOnceAtTheJumpWhereBerlinLeavesATimeOut) {
  // 29 March 2026, 2:00 becomes 3:00 at 01:00 UTC.
  EXPECT_THAT(Next("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", 3),
              ElementsAre("2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"));
  EXPECT_THAT(Next("0,20,40 2 * * *", "Europe/Berlin", "2026-03-28 12:00", 2),
              ElementsAre("2026-03-29 01:00", "2026-03-30 00:00"));
  EXPECT_THAT(Next("0 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00", 2),
              ElementsAre("2026-03-29 01:00", "2026-03-30 00:00"));
}

TEST(Cron, FiresTheFirstTimeOnlyWhereBerlinRepeatsAnHour) {
  // 25 October 2026, 3:00 becomes 2:00 at 01:00 UTC.
  EXPECT_THAT(Next("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", 2),
              ElementsAre("2026-10-25 00:30", "2026-10-26 01:30"));
  EXPECT_THAT(Next("30 2 * * *", "Europe/Berlin", "2026-10-25 01:10", 1), ElementsAre("2026-10-26 01:30"));
  EXPECT_THAT(Next("0 3 * * *", "Europe/Berlin", "2026-10-24 12:00", 1), ElementsAre("2026-10-25 02:00"));
}

TEST(Cron, GoesOnByTheClockWithIntervals) {
  EXPECT_THAT(Next("*/30 * * * *", "Europe/Berlin", "2026-10-25 00:00", 4),
              ElementsAre("2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30", "2026-10-25 02:00"));
  EXPECT_THAT(Next("*/30 * * * *", "Europe/Berlin", "2026-03-29 00:30", 3),
              ElementsAre("2026-03-29 01:00", "2026-03-29 01:30", "2026-03-29 02:00"));
  EXPECT_THAT(Next("15 */2 * * *", "Europe/Berlin", "2026-03-28 22:00", 3),
              ElementsAre("2026-03-28 23:15", "2026-03-29 02:15", "2026-03-29 04:15"));
  EXPECT_THAT(Next("30 * * * *", "Europe/Berlin", "2026-10-25 00:00", 2),
              ElementsAre("2026-10-25 00:30", "2026-10-25 01:30"));
}

TEST(Cron, HoldsForNewYorkAndForTheHalfHourOfLordHowe) {
  EXPECT_THAT(Next("30 2 * * *", "America/New_York", "2026-03-08 00:00", 2),
              ElementsAre("2026-03-08 07:00", "2026-03-09 06:30"));
  EXPECT_THAT(Next("30 1 * * *", "America/New_York", "2026-11-01 00:00", 2),
              ElementsAre("2026-11-01 05:30", "2026-11-02 06:30"));
  // 4 October 2026: 2:00 becomes 2:30 at 15:30 UTC of the 3rd. 5 April 2026: 2:00 becomes 1:30 at 15:00 UTC of the 4th.
  EXPECT_THAT(Next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00", 2),
              ElementsAre("2026-10-03 15:30", "2026-10-04 15:15"));
  EXPECT_THAT(Next("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 00:00", 2),
              ElementsAre("2026-04-04 14:45", "2026-04-05 15:15"));
  EXPECT_THAT(Next("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04 14:30", 4),
              ElementsAre("2026-04-04 14:45", "2026-04-04 15:00", "2026-04-04 15:15", "2026-04-04 15:30"));
}

TEST(Cron, CountsWhatWasMissed) {
  Schedule nightly = Parsed("0 3 * * *");
  std::int64_t last = Utc("2026-01-01 03:00");
  EXPECT_FALSE(nightly.Missed(last, last));
  EXPECT_FALSE(nightly.Missed(last, last + kDayUs - 1));
  EXPECT_FALSE(nightly.Missed(last, last - 10 * kDayUs)) << "the clock went back";
  auto one = nightly.Missed(last, last + kDayUs);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->count, 1);
  EXPECT_EQ(one->first_us, last + kDayUs);
  auto week = nightly.Missed(last, last + 7 * kDayUs + kHourUs);
  ASSERT_TRUE(week);
  EXPECT_EQ(week->count, 7);
  EXPECT_FALSE(week->more);
}

TEST(Cron, CountsMissedTimesToALimit) {
  Schedule busy = Parsed("* * * * *");
  std::int64_t last = Utc("2026-01-01 00:00");
  auto at_limit = busy.Missed(last, last + kMostMissedCounted * kMinuteUs);
  EXPECT_EQ(at_limit->count, kMostMissedCounted);
  EXPECT_FALSE(at_limit->more);
  auto beyond = busy.Missed(last, last + (kMostMissedCounted + 1) * kMinuteUs);
  EXPECT_EQ(beyond->count, kMostMissedCounted);
  EXPECT_TRUE(beyond->more);
}

TEST(Cron, EndsWithTheYear9999) {
  EXPECT_EQ(Parsed("* * * * *").NextAfter(INT64_MAX - 1), kNeverFires);
  EXPECT_GT(Parsed("0 0 29 2 *", "Europe/Berlin").NextAfter(Utc("2900-01-01 00:00")), Utc("2900-01-01 00:00"));
  EXPECT_LT(Parsed("@daily").NextAfter(-kDayUs * 400'000), -kDayUs * 399'998) << "long ago is no fault either";
}

struct Fault {
  std::string text, field, allowed;
};

TEST(Cron, SaysWhichFieldIsWrongAndWhatIsAllowed) {
  const Fault faults[] = {
      {"60 3 * * *", "minute", "0-59"},
      {"0 24 * * *", "hour", "0-23"},
      {"0 0 0 * *", "day of month", "1-31"},
      {"0 0 * 13 *", "month", "1-12 or jan-dec"},
      {"0 0 * mai *", "month", "1-12 or jan-dec"},
      {"0 0 * * 8", "day of week", "sun-sat"},
      {"*/0 * * * *", "minute", "from 1 to 59"},
      {"*/90 * * * *", "minute", "from 1 to 59"},
      {"5/15 * * * *", "minute", "write 5-59/15"},
      {"30-10 * * * *", "minute", "ends before it begins"},
      {"1,,2 * * * *", "minute", "a value is missing"},
      {"1- * * * *", "minute", "a value is missing"},
      {"-1 * * * *", "minute", "a value is missing"},
      {"0 0 L * *", "day of month", "1-31"},
      {"0 0 * * 5#2", "day of week", "0-7"},
      {"99999999999 * * * *", "minute", "0-59"},
      {"0x1 * * * *", "minute", "0-59"},
  };
  for (const Fault& fault : faults) {
    Error error = Refused(fault.text);
    EXPECT_EQ(error.field, "cron");
    EXPECT_THAT(error.Message(), HasSubstr("in the " + fault.field + " field")) << fault.text;
    EXPECT_THAT(error.Message(), HasSubstr(fault.allowed)) << fault.text;
  }
}

TEST(Cron, RefusesTextsOfAnotherShape) {
  EXPECT_THAT(Refused("").Message(), HasSubstr("it has 0 fields"));
  EXPECT_THAT(Refused("0 3 * *").Message(), HasSubstr("five fields"));
  EXPECT_THAT(Refused("0 0 3 * * *").Message(), HasSubstr("there are no seconds"));
  EXPECT_THAT(Refused("@dayly").Message(), HasSubstr("Did you mean @daily?"));
  EXPECT_THAT(Refused("@reboot").Message(), HasSubstr("@hourly"));
  EXPECT_THAT(Refused(std::string(kMaxScheduleBytes + 1, '*')).Message(), HasSubstr("longer than"));
}

TEST(Cron, RefusesUnknownZonesWithNamesLikeThem) {
  Error error = Refused("@daily", "Europe/Berln");
  EXPECT_EQ(error.field, "zone");
  EXPECT_THAT(error.Message(), HasSubstr("Europe/Berlin"));
  EXPECT_THAT(Refused("@daily", "berlin").Message(), HasSubstr("Europe/Berlin"));
  EXPECT_THAT(Refused("@daily", "new york").Message(), HasSubstr("America/New_York"));
  EXPECT_THAT(Refused("@daily", "Nowhere at all").Message(), HasSubstr("IANA"));
  for (const char* zone : {"", "../../../etc/localtime", "/usr/share/zoneinfo/UTC", "localtime", "right/UTC", "Europe",
                           "tzdata.zi", "file:UTC", "UTC+1"})
    EXPECT_EQ(Refused("@daily", zone).field, "zone") << zone;
}

TEST(Cron, NeedsNoFileForUtc) {
  setenv("TZDIR", "/nonexistent", 1);
  EXPECT_TRUE(Schedule::Parse("@daily", "UTC"));
  EXPECT_THAT(Refused("@daily", "Asia/Tokyo").Message(), HasSubstr("install tzdata"));
  unsetenv("TZDIR");
}

// A random field: its text, and the values that it allows.
struct RandomField {
  std::string text = "*";
  std::set<int> values;
  bool star = true;
};

RandomField DrawField(std::mt19937_64& random, int least, int most) {
  RandomField field;
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  int kind = below(4), step = 1 + below(most - 1);
  if (kind >= 2) {  // a list of values and a stepped range
    field.star = false;
    std::vector<std::string> items;
    for (int i = below(3); i >= 0; --i) {
      int value = least + below(most - least + 1);
      field.values.insert(value);
      items.push_back(std::to_string(value));
    }
    if (kind == 3) {
      int first = least + below(most - least + 1), last = first + below(most - first + 1);
      for (int value = first; value <= last; value += step) field.values.insert(value);
      items.push_back(fmt::format("{}-{}/{}", first, last, step));
    }
    field.text = fmt::format("{}", fmt::join(items, ","));
  } else {
    if (kind == 0) step = 1;
    if (kind == 1) field.text = fmt::format("*/{}", step);
    for (int value = least; value <= most; value += step) field.values.insert(value);
  }
  return field;
}

struct RandomSchedule {
  RandomField minute, hour, day, weekday;
  std::string Text() const { return fmt::format("{} {} {} * {}", minute.text, hour.text, day.text, weekday.text); }
  bool Interval() const { return minute.star || hour.star; }
  bool FitsTime(const std::tm& local) const {
    bool day_fits = day.values.contains(local.tm_mday), weekday_fits = weekday.values.contains(local.tm_wday);
    bool date = day.star || weekday.star ? day_fits && weekday_fits : day_fits || weekday_fits;
    return date && minute.values.contains(local.tm_min) && hour.values.contains(local.tm_hour);
  }
};

// Minute by minute: an interval fires where the clock shows a time that fits; all else when the clock first reaches or
// passes one.
std::vector<std::int64_t> BruteForce(const RandomSchedule& schedule, const LocalZone& zone, std::int64_t from,
                                     std::int64_t to) {
  std::vector<std::int64_t> times;
  auto shown = [&](std::int64_t us) {
    std::tm local = zone.At(us);
    return static_cast<std::int64_t>(timegm(&local)) / 60;
  };
  std::int64_t reached = shown(from);
  for (std::int64_t at = from + kMinuteUs; at <= to; at += kMinuteUs) {
    bool fires = false;
    if (schedule.Interval()) fires = schedule.FitsTime(zone.At(at));
    for (std::int64_t now = shown(at); reached < now;) {
      std::time_t seconds = ++reached * 60;
      std::tm passed{};
      gmtime_r(&seconds, &passed);
      if (!schedule.Interval()) fires = fires || schedule.FitsTime(passed);
    }
    if (fires) times.push_back(at);
  }
  return times;
}

struct Change {
  const char *zone, *at;  // in UTC
};
// Names the case in ctest's list, which would else show the bytes of the pointers.
void PrintTo(const Change& change, std::ostream* out) { *out << change.zone << " " << change.at; }

class CronAgainstMinuteScan : public testing::TestWithParam<Change> {};

TEST_P(CronAgainstMinuteScan, GivesTheSameTimesAroundAChangeOfTheClock) {
  std::int64_t from = Utc(GetParam().at) - 30 * kHourUs, to = from + 60 * kHourUs;
  LocalZone zone(GetParam().zone);
  ASSERT_NE(zone.At(from).tm_gmtoff, zone.At(to).tm_gmtoff) << "the clock changes in between";
  std::mt19937_64 random(7);
  size_t fired = 0;
  for (int round = 0; round < 300; ++round) {
    RandomSchedule drawn{DrawField(random, 0, 59), DrawField(random, 0, 23), DrawField(random, 1, 31),
                         DrawField(random, 0, 6)};
    Schedule schedule = Parsed(drawn.Text(), GetParam().zone);
    std::vector<std::int64_t> expected = BruteForce(drawn, zone, from, to), actual;
    for (std::int64_t at = schedule.NextAfter(from); at <= to; at = schedule.NextAfter(at)) {
      ASSERT_TRUE(actual.empty() || at > actual.back()) << drawn.Text();
      actual.push_back(at);
    }
    ASSERT_EQ(actual, expected) << drawn.Text();
    fired += actual.size();
    // From any instant between, too.
    for (int i = 0; i < 20; ++i) {
      std::int64_t after = from + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(to - from));
      auto next = std::ranges::upper_bound(expected, after);
      if (next == expected.end()) continue;
      ASSERT_EQ(schedule.NextAfter(after), *next) << drawn.Text() << " after " << after;
    }
  }
  EXPECT_GT(fired, 1000u);
}

INSTANTIATE_TEST_SUITE_P(Zones, CronAgainstMinuteScan,
                         testing::Values(Change{"Europe/Berlin", "2026-03-29 01:00"},
                                         Change{"Europe/Berlin", "2026-10-25 01:00"},
                                         Change{"America/New_York", "2026-03-08 07:00"},
                                         Change{"America/New_York", "2026-11-01 06:00"},
                                         Change{"Australia/Lord_Howe", "2026-04-04 15:00"},
                                         Change{"Australia/Lord_Howe", "2026-10-03 15:30"},
                                         Change{"America/Santiago", "2026-09-06 04:00"},  // midnight is left out
                                         Change{"Pacific/Apia", "2011-12-30 10:00"}));    // a whole day is

}  // namespace
}  // namespace ratchet::pipeline
