#include "worker/leak_check.h"

#include <gtest/gtest.h>

// What follows from sealed rows that training has, too: the table of the modes.
namespace ratchet::worker {
namespace {

struct Rule {
  const char* mode;
  bool telling;       // pictures or free text
  double share;       // of the sealed rows
  double repeats;     // within training
  std::optional<double> at_most;
  LeakAction action;
};

TEST(LeakAction, FollowsFromModeShareAndTheKindOfRows) {
  using enum LeakAction;
  const Rule rules[] = {
      {"auto", true, 0, 0, {}, kNone},          {"auto", true, 0.01, 0, {}, kDropped},     {"auto", true, 0.2, 0, {}, kDropped},
      {"auto", true, 0.21, 0, {}, kRefused},    {"auto", true, 0.21, 0, 0.5, kDropped},    {"auto", true, 0.01, 0, 0.001, kRefused},
      {"auto", false, 0.01, 0, {}, kDropped},   {"auto", false, 0.06, 0, {}, kTold},       {"auto", false, 0.01, 0.3, {}, kTold},
      {"auto", false, 0.99, 0.99, {}, kTold},   {"drop", false, 0.19, 0.9, {}, kDropped},  {"drop", false, 0.21, 0, {}, kRefused},
      {"drop", false, 1.0, 0, 1.0, kDropped},   {"warn", true, 0.9, 0, {}, kTold},         {"warn", true, 0.9, 0, 0.0, kTold},
      {"refuse", true, 0.001, 0, {}, kRefused}, {"refuse", false, 0.01, 0, 0.02, kDropped}, {"off", true, 0.9, 0, {}, kNone},
  };
  for (const Rule& rule : rules) {
    lake::Leaks leaks;
    leaks.holdout_rows = 1'000;
    leaks.training_repeats = rule.repeats;
    leaks.telling = rule.telling;
    leaks.equal.rows = static_cast<std::int64_t>(rule.share * 1'000 + 0.5);
    EXPECT_EQ(LeakActionName(ActionOn(rule.mode, leaks, leaks.equal, rule.at_most)), LeakActionName(rule.action))
        << rule.mode << " telling " << rule.telling << " share " << rule.share << " repeats " << rule.repeats;
  }
}

}  // namespace
}  // namespace ratchet::worker
