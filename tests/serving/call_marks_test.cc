#include "serving/call_marks.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "serving/quarantine.h"
#include "serving/watched_models.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::int64_t kSecond = 1'000'000;

std::string Bundle(int n) { return Sha256Hex("bundle " + std::to_string(n)); }

// What a process leaves behind that marks calls and then ends as `end` says.
std::vector<Fault> LeftBy(const std::string& path, const std::function<void(CallMarks&)>& end) {
  const pid_t child = fork();
  if (child == 0) {
    SystemClock clock;
    auto marks = CallMarks::Create(path, clock);
    CallMarks::CatchCrashes();
    { const auto over = (*marks)->Begin(Bundle(1), kSecond); }
    end(**marks);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  SystemFiles files;
  return ReadFaults(files, path);
}

TEST(CallMarks, TellWhichCallACrashCameOf) {
  TemporaryFolder folder;
  for (int signal_number : {SIGSEGV, SIGABRT, SIGFPE}) {
    const auto left = LeftBy(folder / "calls", [&](CallMarks& marks) {
      const auto mark = marks.Begin(Bundle(2), kSecond);
      raise(signal_number);
    });
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0].bundle, Bundle(2));
    EXPECT_EQ(left[0].how, "signal " + std::to_string(signal_number));
    EXPECT_GT(left[0].at_us, 0);
  }
}

TEST(CallMarks, TellOfAStackThatOverflowed) {
  TemporaryFolder folder;
  const auto left = LeftBy(folder / "calls", [](CallMarks& marks) {
    const auto mark = marks.Begin(Bundle(2), kSecond);
    const std::function<int(int)> deeper = [&](int depth) {
      volatile char fill[4096] = {static_cast<char>(depth)};
      return depth == INT32_MAX ? 0 : deeper(depth + 1) + fill[0];
    };
    _exit(deeper(0));
  });
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].how, "signal " + std::to_string(SIGSEGV));
}

TEST(CallMarks, BlameNobodyForADeathOutsideOfACallOrFromOutside) {
  TemporaryFolder folder;
  EXPECT_THAT(LeftBy(folder / "calls", [](CallMarks&) { abort(); }), IsEmpty());
  EXPECT_THAT(LeftBy(folder / "calls",
                     [](CallMarks& marks) {
                       const auto mark = marks.Begin(Bundle(2), kSecond);
                       raise(SIGKILL);
                     }),
              IsEmpty());
  EXPECT_THAT(LeftBy(folder / "calls", [](CallMarks&) {}), IsEmpty());
}

TEST(CallMarks, FindACallOverItsLimit) {
  TemporaryFolder folder;
  ManualClock clock;
  SystemFiles files;
  auto marks = std::move(*CallMarks::Create(folder / "calls", clock));
  {
    const auto mark = marks->Begin(Bundle(3), 2 * kSecond);
    EXPECT_FALSE(marks->FindOverdue());
    clock.AdvanceUs(2 * kSecond + 1);
    const auto overdue = marks->FindOverdue();
    ASSERT_TRUE(overdue);
    EXPECT_EQ(overdue->bundle, Bundle(3));
    EXPECT_EQ(overdue->how, "it ran for more than 2 s");
    EXPECT_EQ(ReadFaults(files, folder / "calls").size(), 1u);
  }
  EXPECT_FALSE(marks->FindOverdue());
}

TEST(CallMarks, ReadNothingFromWhatIsNoSuchFile) {
  TemporaryFolder folder;
  SystemFiles files;
  EXPECT_THAT(ReadFaults(files, folder / "none"), IsEmpty());
  std::ofstream(folder / "short") << "x";
  EXPECT_THAT(ReadFaults(files, folder / "short"), IsEmpty());
}

TEST(Quarantine, TakesThreeFaultsOfOneBundleInAMinute) {
  const auto fault = [](int bundle, std::int64_t at_s) { return Fault{Bundle(bundle), "signal 11", at_s * kSecond}; };
  EXPECT_THAT(Repeaters({fault(1, 0), fault(1, 10), fault(2, 20)}), IsEmpty());
  EXPECT_THAT(Repeaters({fault(1, 0), fault(1, 30), fault(1, 61)}), IsEmpty());
  const auto found = Repeaters({fault(2, 1), fault(1, 50), fault(1, 0), fault(1, 60)});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found.at(Bundle(1)), HasSubstr("signal 11"));
}

TEST(Quarantine, RemembersAcrossProcessesAndForgetsWhatIsRemoved) {
  TemporaryFolder folder;
  SystemFiles files;
  for (std::int64_t death = 1; death <= 3; ++death) {
    const std::int64_t now_us = death * 10 * kSecond;
    auto quarantine = Quarantine::Open(files, folder / "quarantine", {{Bundle(1), "signal 6", now_us - 1}}, now_us);
    ASSERT_TRUE(quarantine);
    EXPECT_EQ(quarantine->Why(Bundle(1)).has_value(), death == 3);
  }
  auto quarantine = Quarantine::Open(files, folder / "quarantine", {}, 1000 * kSecond);
  EXPECT_THAT(quarantine->Why(Bundle(1)).value_or(""), StartsWith(kQuarantined));
  EXPECT_FALSE(quarantine->Why(Bundle(2)));
  std::filesystem::remove(folder / ("quarantine/" + Bundle(1)));
  EXPECT_FALSE(quarantine->Why(Bundle(1)));
}

// Runs until it is let go.
class HeldRunner final : public ModelRunner {
 public:
  Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return released_; });
    return inputs;
  }
  void Release() {
    std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool released_ = false;
};

TEST(WatchedModels, AHangingCallIsFoundAndAQuarantinedBundleIsNotLoaded) {
  TemporaryFolder folder;
  SystemFiles files;
  SystemClock clock;
  auto marks = std::move(*CallMarks::Create(folder / "calls", clock));
  auto quarantine = *Quarantine::Open(files, folder / "quarantine", {}, 0);
  auto held = std::make_shared<HeldRunner>();
  const ModelLoader load = WatchedLoader([&](const LocalBundle&) { return held; }, *marks, quarantine, {.call_us = 1000});
  auto runner = load(FakeBundle(Ref(1)));
  ASSERT_TRUE(runner);
  std::mutex mutex;
  std::vector<std::string> hung;
  std::atomic<bool> found{false};
  std::thread call([&] { (void)(*runner)->Run({}); });
  {
    CallWatchdog watchdog(*marks, [&](const Fault& fault) {
      std::lock_guard lock(mutex);
      hung.push_back(fault.bundle);
      found = true;
    });
    EXPECT_TRUE(Eventually([&] { return found.load(); }));
  }
  held->Release();
  call.join();
  EXPECT_THAT(hung, ElementsAre(Ref(1).bundle));
  std::filesystem::create_directories(folder / "quarantine");
  std::ofstream(folder / ("quarantine/" + Ref(1).bundle)) << "it crashed\n";
  const auto refused = load(FakeBundle(Ref(1)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().Message(), StartsWith("quarantined: it crashed"));
}

}  // namespace
}  // namespace ratchet::serving
