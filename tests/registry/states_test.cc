#include "registry/states.h"

#include <gtest/gtest.h>

namespace ratchet::registry {
namespace {

TEST(States, ReadBackTheirNames) {
  for (RunState state : {RunState::kQueued, RunState::kRunning, RunState::kSucceeded, RunState::kFailed, RunState::kCancelled})
    EXPECT_EQ(StateFromName<RunState>(Name(state)).value(), state);
  EXPECT_FALSE(StateFromName<RunState>("bored"));
}

TEST(States, NeverLeaveAnEndButForARetry) {
  EXPECT_FALSE(MayMove(RunState::kSucceeded, RunState::kRunning));
  EXPECT_FALSE(MayMove(RunState::kSucceeded, RunState::kQueued));
  EXPECT_TRUE(MayMove(RunState::kFailed, RunState::kQueued));
  EXPECT_FALSE(MayMove(AttemptState::kLost, AttemptState::kSucceeded));
  EXPECT_FALSE(MayMove(AttemptState::kFailed, AttemptState::kRunning));
  EXPECT_FALSE(MayMove(VersionState::kRejected, VersionState::kPassed));
  EXPECT_FALSE(MayMove(ReleaseState::kDone, ReleaseState::kFailed));
  EXPECT_FALSE(MayMove(ReleaseState::kAborted, ReleaseState::kDone));
}

}  // namespace
}  // namespace ratchet::registry
