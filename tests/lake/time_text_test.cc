#include "lake/time_text.h"

#include <gtest/gtest.h>

namespace ratchet::lake {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

TEST(TimeText, ReadsIso8601) {
  // Seconds from `date -u -d … +%s`.
  const struct {
    const char* text;
    std::int64_t us;
  } cases[] = {{"1970-01-01", 0},
               {"2024-02-29", 1'709'164'800 * kSecondUs},
               {"2024-02-29T13:05", 1'709'211'900 * kSecondUs},
               {"2024-02-29 13:05:09.25", 1'709'211'909 * kSecondUs + 250'000},
               {"2024-02-29t13:05:09,1234567Z", 1'709'211'909 * kSecondUs + 123'456},
               {"2024-02-29T13:05:09+02:00", 1'709'204'709 * kSecondUs},
               {"2024-02-29T13:05:09-0530", 1'709'231'709 * kSecondUs},
               {"2024-02-29T13:05:09-05", 1'709'229'909 * kSecondUs},
               {"1969-12-31T23:59:59Z", -kSecondUs},
               {"0001-01-01", -62'135'596'800 * kSecondUs}};
  for (const auto& c : cases) EXPECT_EQ(TimeOfText(c.text), c.us) << c.text;
}

TEST(TimeText, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2024", "2024-2-9", "2023-02-29", "2024-13-01", "0000-01-01", "2024-01-01T", "2024-01-01T1",
        "2024-01-01T24:00", "2024-01-01T10:60", "2024-01-01T10:00:61", "2024-01-01T10:00:00.", "2024-01-01T10:00ZZ",
        "2024-01-01T10:00+", "2024-01-01T10:00+2", "2024-01-01x", "01/02/2024", " 2024-01-01"}) {
    EXPECT_EQ(TimeOfText(text), std::nullopt) << text;
  }
}

TEST(TimeText, ReadsTheUnitOfANumberOffItsSize) {
  const std::int64_t us = 1'709'211'909'250'000;
  EXPECT_EQ(TimeOfCell(us), us);
  EXPECT_EQ(TimeOfCell(us / 1000), us);
  EXPECT_EQ(TimeOfCell(us / kSecondUs), us - 250'000);
  EXPECT_EQ(TimeOfCell(1'709'211'909.25), us);
  EXPECT_EQ(TimeOfCell(std::int64_t{-1}), -kSecondUs);
  EXPECT_EQ(TimeOfCell(INT64_MAX), std::nullopt);
  EXPECT_EQ(TimeOfCell(INT64_MIN), std::nullopt);
  EXPECT_EQ(TimeOfCell(std::monostate{}), std::nullopt);
  EXPECT_EQ(TimeOfCell(std::string("2024-02-29T13:05:09.25Z")), us);
}

TEST(TimeText, WritesWhatItReads) {
  for (const char* text :
       {"2024-02-29T13:05:09Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"})
    EXPECT_EQ(TimeText(*TimeOfText(text)), text);
  EXPECT_EQ(TimeText(-1), "1969-12-31T23:59:59Z");
}

TEST(TimeText, ReadsDurations) {
  EXPECT_EQ(SecondsOfText("90s"), 90);
  EXPECT_EQ(SecondsOfText("90"), 90);
  EXPECT_EQ(SecondsOfText("30m"), 1800);
  EXPECT_EQ(SecondsOfText("1.5 h"), 5400);
  EXPECT_EQ(SecondsOfText("2d"), 172'800);
  for (const char* text : {"", "d", "2w", "-2d", "0", "0.1s", "1e3", "nan", "inf", "99999999d", "2d2", "2 "})
    EXPECT_EQ(SecondsOfText(text), std::nullopt) << text;
  for (const char* text : {"90s", "31m", "36h", "2d"}) EXPECT_EQ(DurationText(*SecondsOfText(text)), text);
}

}  // namespace
}  // namespace ratchet::lake
