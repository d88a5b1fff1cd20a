#include <gtest/gtest.h>

#include "cli/human.h"
#include "cli/server_url.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

TEST(ShownAge, UsesTheLargestFittingUnit) {
  const std::int64_t now = 1'700'000'000 * kSecond;
  const std::pair<std::int64_t, const char*> cases[] = {
      {-5, "just now"},           {0, "just now"},         {1, "1 s ago"},
      {59, "59 s ago"},           {60, "1 min ago"},       {3599, "59 min ago"},
      {3600, "1 h ago"},          {47 * 3600, "47 h ago"}, {48 * 3600, "2 days ago"},
      {29 * 86400, "29 days ago"}};
  for (auto [seconds, text] : cases) EXPECT_EQ(ShownAge(now - seconds * kSecond, now), text) << seconds;
  EXPECT_EQ(ShownAge(now - 60 * 86400 * kSecond, now).size(), 10u);  // a date
}

TEST(ShownDuration, UsesTheLargestFittingUnit) {
  const std::pair<double, const char*> cases[] = {
      {-1, "0.0 ms"},     {1.24, "1.2 ms"},      {12, "12 ms"},          {999.6, "1.0 s"},
      {59'900, "59.9 s"}, {59'960, "1 min 0 s"}, {185'000, "3 min 5 s"}, {7'800'000, "2 h 10 min"}};
  for (auto [ms, text] : cases) EXPECT_EQ(ShownDuration(ms), text) << ms;
}

TEST(ShownSize, UsesBinaryUnits) {
  const std::pair<double, const char*> cases[] = {{0, "0 B"},
                                                  {1023, "1023 B"},
                                                  {1024, "1.0 KiB"},
                                                  {1.5 * 1024 * 1024, "1.5 MiB"},
                                                  {1024.0 * 1024 * 1023.99, "1.0 GiB"}};
  for (auto [bytes, text] : cases) EXPECT_EQ(ShownSize(bytes), text) << bytes;
}

TEST(ShownCount, GroupsThousands) {
  const std::pair<std::int64_t, const char*> cases[] = {
      {0, "0"}, {999, "999"}, {1000, "1,000"}, {-12345, "-12,345"}, {1234567, "1,234,567"}};
  for (auto [count, text] : cases) EXPECT_EQ(ShownCount(count), text);
}

TEST(ShownTimeLeft, CountsMinutesAndHours) {
  EXPECT_EQ(ShownTimeLeft(0.2), "0:01 left");
  EXPECT_EQ(ShownTimeLeft(62), "1:02 left");
  EXPECT_EQ(ShownTimeLeft(3723), "1:02:03 left");
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  const std::pair<const char*, size_t> cases[] = {
      {"", 0}, {"abc", 3}, {"äö", 2}, {"日本", 4}, {"e\xCC\x81", 1}, {"\x1b[31mred\x1b[0m", 3}, {"\xFF", 1}, {"📦", 2}};
  for (auto [text, width] : cases) EXPECT_EQ(DisplayWidth(text), width) << text;
}

TEST(CutToWidth, EndsInAnEllipsisAndNeverSplitsACharacter) {
  EXPECT_EQ(CutToWidth("parcels", 7), "parcels");
  EXPECT_EQ(CutToWidth("parcels", 4), "par…");
  EXPECT_EQ(CutToWidth("日本語", 4), "日…");
  EXPECT_EQ(CutToWidth("abc", 0), "");
}

TEST(Table, KeepsWordsAndNumbersWholeOnANarrowScreen) {
  Table table({{"RUN", Align::kRight}, {"PIPELINE"}, WordColumn("OUTCOME"), {"REASON"}});
  table.Add({"1234567890", "a-pipeline-with-a-long-name", "not_better", "10,000 rows since version 1"});
  const std::string shown = table.Render(50, false);
  EXPECT_NE(shown.find("1234567890  "), std::string::npos) << shown;
  EXPECT_NE(shown.find("not_better  "), std::string::npos) << shown;
  EXPECT_EQ(shown.find("a-pipeline-with-a-long-name"), std::string::npos) << shown;
  EXPECT_LE(DisplayWidth(shown.substr(0, shown.find('\n'))), 50u) << shown;
}

TEST(Table, AlignsByDisplayWidth) {
  Table table({{"NAME"}, {"ROWS", Align::kRight}, {"WHEN"}});
  table.Add({"größe", "12", "now"});
  table.Add({"日本", "1,000", "1 h ago"});
  EXPECT_EQ(table.Render(0, false),
            "NAME    ROWS  WHEN\n"
            "größe     12  now\n"
            "日本   1,000  1 h ago\n");
}

TEST(Table, CutsTheWidestColumnToFit) {
  Table table({{"ID"}, {"REASON"}});
  table.Add({"1", "a reason that goes on and on"});
  EXPECT_EQ(table.Render(14, false), "ID  REASON\n1   a reason …\n");
}

TEST(WrapToWidth, BreaksAtSpacesAndWithinAWordThatIsTooWide) {
  const std::tuple<const char*, size_t, std::vector<std::string>> cases[] = {
      {"", 5, {""}}, {"one two", 7, {"one two"}}, {"one two", 6, {"one", "two"}}, {"abcdefgh", 3, {"abc", "def", "gh"}},
      {"a  b", 9, {"a  b"}}, {"日本語", 4, {"日本", "語"}}, {"x abcdef", 4, {"x", "abcd", "ef"}}};
  for (const auto& [text, width, lines] : cases) EXPECT_EQ(WrapToWidth(text, width), lines) << text;
}

TEST(Table, WrapsWhereAskedTo) {
  Table table({{"ID"}, {"REASON"}, {"N"}});
  table.Add({"1", "two words or more", "7"});
  EXPECT_EQ(table.Render(16, false, Overflow::kWrap), "ID  REASON     N\n1   two words  7\n    or more\n");
}

TEST(RenderPairs, GoesOnBelowTheBeginningButKeepsADigestWhole) {
  EXPECT_EQ(RenderPairs({{"Why", "two words"}, {"Id", "0123456789abcdef"}, {"No", ""}}, 11),
            "Why  two\n     words\nId   0123456789abcdef\n");
  EXPECT_EQ(RenderPairs({{"Why", "two words"}}, 0), "Why  two words\n");
}

TEST(ShownP, NamesABoundWhereADoubleRunsOut) {
  EXPECT_EQ(ShownP(0.00123), "p = 0.00123");
  EXPECT_EQ(ShownP(1e-300), "p = 1e-300");
  EXPECT_EQ(ShownP(2.23e-308), "p < 1e-300");
}

TEST(Table, MakesControlCharactersHarmless) {
  Table table({{"NAME"}});
  table.Add({"a\x1b[2Jb\nc"});
  EXPECT_EQ(table.Render(0, false), "NAME\na?[2Jb c\n");
}

TEST(Table, PaintsWithoutChangingTheAlignment) {
  Table table({{"STATE"}, {"N"}});
  table.Add({"ok", "1"});
  table.PaintLast(0, Paint::kGreen);
  EXPECT_EQ(table.Render(0, true), "\x1b[2mSTATE\x1b[0m  \x1b[2mN\x1b[0m\n\x1b[32mok\x1b[0m     1\n");
}

TEST(ParseServerUrl, TakesApartWhatUsersWrite) {
  struct Case {
    const char* text;
    const char* shown;  // nullptr = refused
  } cases[] = {{"http://127.0.0.1:7300", "http://127.0.0.1:7300"},
               {"127.0.0.1:7300", "http://127.0.0.1:7300"},
               {"https://ratchet.example/team/", "https://ratchet.example:443/team"},
               {"http://[::1]:80", "http://[::1]:80"},
               {"http://host:0", nullptr},
               {"http://host:x", nullptr},
               {"ftp://host", nullptr},
               {"http://", nullptr},
               {"http://a b", nullptr},
               {"http://user@host", nullptr}};
  for (const Case& c : cases) {
    auto url = ParseServerUrl(c.text);
    ASSERT_EQ(url.has_value(), c.shown != nullptr) << c.text;
    if (url) {
      EXPECT_EQ(url->Text(), c.shown);
    }
  }
}

TEST(ReachableFrom, ReplacesAddressesThatMeanTheServersOwnHost) {
  auto remote = *ParseServerUrl("http://depot:7300");
  auto local = *ParseServerUrl("http://127.0.0.1:7300");
  EXPECT_EQ(ReachableFrom(remote, "http://127.0.0.1:7301"), "http://depot:7301");
  EXPECT_EQ(ReachableFrom(remote, "http://edge:7301"), "http://edge:7301");
  EXPECT_EQ(ReachableFrom(local, "http://0.0.0.0:7301"), "http://127.0.0.1:7301");
  EXPECT_EQ(ReachableFrom(local, "http://127.0.0.1:7301"), "http://127.0.0.1:7301");
}

TEST(PercentEncoded, EscapesAllButUnreserved) {
  EXPECT_EQ(PercentEncoded("a b/c?d=ä~-._"), "a%20b%2Fc%3Fd%3D%C3%A4~-._");
}

}  // namespace
}  // namespace ratchet::cli
