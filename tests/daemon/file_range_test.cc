#include "daemon/file_range.h"

#include <gtest/gtest.h>

namespace ratchet::daemon {
namespace {

struct Case {
  const char* header;
  std::uint64_t size;
  const char* wanted;  // "first+count", "all" or "outside"
};

TEST(ParseRange, TakesOneRangeAndIgnoresWhatIsNone) {
  const Case cases[] = {
      {"bytes=0-99", 1000, "0+100"},
      {"bytes=100-", 1000, "100+900"},
      {"bytes=-5", 1000, "995+5"},
      {"bytes=-5000", 1000, "0+1000"},
      {"bytes=990-5000", 1000, "990+10"},
      {"bytes=1000-", 1000, "outside"},
      {"bytes=0-", 0, "outside"},
      {"bytes=-0", 10, "outside"},
      {"bytes=5-4", 10, "all"},
      {"bytes=a-b", 10, "all"},
      {"bytes=-", 10, "all"},
      {"bytes=0-1,3-4", 10, "all"},
      {"lines=0-1", 10, "all"},
      {"", 10, "all"},
      {"bytes=99999999999999999999-", 10, "all"},
  };
  for (const Case& one : cases) {
    const auto range = ParseRange(one.header, one.size);
    std::string got = "outside";
    if (range) got = *range ? std::to_string((*range)->first) + "+" + std::to_string((*range)->count) : "all";
    EXPECT_EQ(got, one.wanted) << one.header << " of " << one.size;
  }
}

}  // namespace
}  // namespace ratchet::daemon
